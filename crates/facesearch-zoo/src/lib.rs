//! Model files: what they are, where they come from, that they are the right bytes.
