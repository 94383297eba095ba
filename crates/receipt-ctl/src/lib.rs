//! receipt-ctl
