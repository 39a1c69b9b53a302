//! A folder of photos becomes a complete index, resumably.
