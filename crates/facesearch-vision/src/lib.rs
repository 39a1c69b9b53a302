//! Photo bytes to upright pixels to faces to embeddings.
