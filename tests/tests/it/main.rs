//! receiptd's parts together.

mod layers;
mod projector;
mod store_convergence;
mod store_queries;
mod store_time_index;
