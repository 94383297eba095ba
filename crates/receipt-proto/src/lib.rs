//! receipt-proto
