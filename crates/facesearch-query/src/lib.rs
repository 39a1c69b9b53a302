//! A photo or an embedding becomes ranked identities and a decision.
