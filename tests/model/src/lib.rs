//! receipt-model
