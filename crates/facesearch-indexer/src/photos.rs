//! The photos below a folder, for those who only want to look at them.

use std::io;
use std::path::{Path, PathBuf};

use crate::file::begins_like_photo;
use crate::kind::is_named_like_photo;
use crate::roots::Roots;
use crate::walk::{Met, Scope, Walk};

/// The photos below a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhotosBelow {
    /// Their paths, in the order of an indexing run. Each begins with the folder as it was given.
    pub photos: Vec<PathBuf>,
    /// Links out of the folder that were not followed.
    pub links_not_followed: u64,
}

/// Every file below `folder` that an indexing run would take for a photo. A folder that cannot be
/// read is passed over. Links out of `folder` are followed where `follow_links` is set.
///
/// # Errors
///
/// Where the working directory, from which a relative `folder` starts, is unknown.
pub fn photos_below(folder: &Path, follow_links: bool) -> io::Result<PhotosBelow> {
    let roots = Roots::new(&[folder.to_owned()])?;
    let mut photos = Vec::new();
    let mut walk = Walk::new(&roots, Scope { exclude: &[], follow_links });
    for met in walk.by_ref() {
        let Met::File(path) = met else { continue };
        let is_photo = path.is_file() && (is_named_like_photo(&path) || begins_like_photo(&path));
        if is_photo {
            let below = roots.outermost().iter().find_map(|root| path.strip_prefix(root).ok());
            photos.push(below.map_or_else(|| path.clone(), |below| folder.join(below)));
        }
    }
    Ok(PhotosBelow { photos, links_not_followed: walk.links_not_followed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn photos_are_found_by_name_or_content_and_named_as_asked() {
        let dir = tempfile::tempdir().unwrap();
        for (name, content) in
            [("b.jpg", &b"x"[..]), ("a/c", b"\xff\xd8\xff\xe0"), ("notes.txt", b"hello")]
        {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let found = photos_below(dir.path(), false).unwrap();
        assert_eq!(found.photos, ["a/c", "b.jpg"].map(|name| dir.path().join(name)));
        assert_eq!(found.links_not_followed, 0);
    }
}
