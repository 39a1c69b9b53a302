//! Which files are photos.

use std::path::Path;

/// How much of a file [`looks_like_photo`] needs to see.
pub(crate) const MAGIC: usize = 32;

const EXTENSIONS: [&str; 11] =
    ["jpg", "jpeg", "jpe", "jfif", "png", "webp", "bmp", "dib", "gif", "tif", "tiff"];

/// Whether the file's name says that it is a photo.
pub(crate) fn is_named_like_photo(path: &Path) -> bool {
    let Some(extension) = path.extension().and_then(|extension| extension.to_str()) else {
        return false;
    };
    EXTENSIONS.iter().any(|photo| extension.eq_ignore_ascii_case(photo))
}

/// Whether the first bytes of the file at `path` are those of a photo.
///
/// The trap: raw files of cameras (`.dng`, `.nef`, `.cr2`) begin as TIFF does, so that only a file
/// with no extension at all counts as one.
pub(crate) fn looks_like_photo(path: &Path, start: &[u8]) -> bool {
    start.starts_with(b"\xff\xd8\xff")
        || start.starts_with(b"\x89PNG\r\n\x1a\n")
        || start.starts_with(b"GIF87a")
        || start.starts_with(b"GIF89a")
        || (start.starts_with(b"RIFF") && start.get(8..12) == Some(b"WEBP"))
        || is_bmp(start)
        || (path.extension().is_none() && is_tiff(start))
}

/// Two letters are too common a beginning: the reserved zeros and the length of the second header
/// must be there too.
fn is_bmp(start: &[u8]) -> bool {
    start.starts_with(b"BM")
        && start.get(6..10) == Some(&[0; 4])
        && start.get(15..18) == Some(&[0; 3])
        && [12, 40, 52, 56, 64, 108, 124].contains(&start[14])
}

fn is_tiff(start: &[u8]) -> bool {
    [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| start.starts_with(*magic))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_count() {
        for name in ["a.jpg", "a.JPG", "é.Tiff", "a.b.webp", ".x.png"] {
            assert!(is_named_like_photo(Path::new(name)), "{name}");
        }
        for name in ["jpg", ".jpg", "a.txt", "a.jpg.json", "a."] {
            assert!(!is_named_like_photo(Path::new(name)), "{name}");
        }
    }

    #[test]
    fn first_bytes_count_where_the_name_says_nothing() {
        let look = |name: &str, start: &[u8]| looks_like_photo(Path::new(name), start);
        assert!(look("x", b"\xff\xd8\xff\xe0"));
        assert!(look("x.txt", b"GIF89a.."));
        assert!(look("x", b"RIFF\0\0\0\0WEBPVP8 "));
        assert!(look("x", b"BM\x10\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0"));
        assert!(look("x", b"II*\0\x08\0\0\0"));
        assert!(!look("x.dng", b"II*\0\x08\0\0\0"));
        assert!(!look("x.md", b"BM is how this text begins"));
        assert!(!look("x", b"RIFF\0\0\0\0WAVE"));
        assert!(!look("x", b"") && !look("x", b"BM") && !look("x", b"\xff\xd8"));
    }
}
