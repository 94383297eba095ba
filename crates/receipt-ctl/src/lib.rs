//! What receiptctl shares with others: the expansion of data sets into events, and what a log says of one conversation.
//! No network.

pub mod dataset;
pub mod story;
