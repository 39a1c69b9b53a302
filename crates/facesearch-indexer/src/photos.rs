//! The photos below a folder, for those who only want to look at them.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::kind::{MAGIC, is_named_like_photo, looks_like_photo};
use crate::roots::Roots;
use crate::walk::{Met, Walk};

/// Every file below `folder` that an indexing run would take for a photo, in the order of such a
/// run. Paths begin with `folder` as it is given; a folder that cannot be read is passed over.
///
/// # Errors
///
/// Where the working directory, from which a relative `folder` starts, is unknown.
pub fn photos_below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let roots = Roots::new(&[folder.to_owned()])?;
    let mut photos = Vec::new();
    for met in Walk::new(&roots, &[]) {
        let Met::File(path) = met else { continue };
        let is_photo = path.is_file() && (is_named_like_photo(&path) || begins_like_photo(&path));
        if is_photo {
            let below = roots.outermost().iter().find_map(|root| path.strip_prefix(root).ok());
            photos.push(below.map_or_else(|| path.clone(), |below| folder.join(below)));
        }
    }
    Ok(photos)
}

fn begins_like_photo(path: &Path) -> bool {
    let mut start = Vec::with_capacity(MAGIC);
    let read = File::open(path).and_then(|file| file.take(MAGIC as u64).read_to_end(&mut start));
    read.is_ok() && looks_like_photo(path, &start)
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
        let photos = photos_below(dir.path()).unwrap();
        assert_eq!(photos, ["a/c", "b.jpg"].map(|name| dir.path().join(name)));
    }
}
