//! receipt-server
