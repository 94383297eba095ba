//! Producers in other languages.
