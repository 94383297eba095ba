//! receipt-log
