//! Paths under the user's home, as catalogues spell them.

use std::path::{Path, PathBuf};

/// Replaces a leading `~` by the user's home.
pub(crate) fn expand(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), directories::BaseDirs::new()) {
        (Ok(rest), Some(base)) => base.home_dir().join(rest),
        _ => path.to_owned(),
    }
}
