//! What receiptctl shares with others: the expansion of data sets into events. No network.

pub mod dataset;
