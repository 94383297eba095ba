//! receiptd.
fn main() {}
