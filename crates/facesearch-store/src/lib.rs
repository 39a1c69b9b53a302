//! The truth: exact vectors and records in sled.
