//! receiptctl, the command line client of receiptd.

fn main() {}
