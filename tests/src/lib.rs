//! receipt-tests
