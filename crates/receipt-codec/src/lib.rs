//! receipt-codec
