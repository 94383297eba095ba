//! receipt-store
