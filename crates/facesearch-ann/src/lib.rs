//! Candidates, fast, and the published snapshot that readers map.
