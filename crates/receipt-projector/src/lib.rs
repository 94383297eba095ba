//! receipt-projector
