//! Names as people can safely read them.

use std::path::Path;

/// A path for messages and tables: one line, nothing that a terminal would obey.
///
/// Printable characters stay; a control character, a line break, a bidirectional override or a byte
/// that is not UTF-8 is shown as an escape (`\n`, `\u{202e}`, `\xff`), and a backslash that would
/// then be ambiguous is doubled.
pub fn display_path(path: &Path) -> String {
    let mut shown = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' if cfg!(unix) => shown.push_str("\\\\"),
                c if c.is_control() || is_invisible(c) => shown.extend(c.escape_default()),
                c => shown.push(c),
            }
        }
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// Characters that change how their neighbours are drawn, or break lines, without being controls.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["a b.jpg", "Zoë/été.png", "写真/😀.jpg", "-rf", "it's \"x\", y"] {
            assert_eq!(display_path(Path::new(name)), name);
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let shown = |name: &str| display_path(Path::new(name));
        assert_eq!(shown("a\nb\r\t.jpg"), "a\\nb\\r\\t.jpg");
        assert_eq!(shown("\u{1b}[31mred"), "\\u{1b}[31mred");
        assert_eq!(shown("gpj.\u{202e}exe"), "gpj.\\u{202e}exe");
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_not_utf8_are_escaped() {
        use std::os::unix::ffi::OsStrExt;
        let name = std::ffi::OsStr::from_bytes(b"a\xff\xfeb");
        assert_eq!(display_path(Path::new(name)), "a\\xff\\xfeb");
        assert_eq!(display_path(Path::new("a\\xff")), "a\\\\xff");
    }
}
