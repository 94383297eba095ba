//! receipt-api
