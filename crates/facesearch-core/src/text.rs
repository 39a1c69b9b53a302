//! Names as people can safely read them.

use std::borrow::Cow;
use std::path::Path;

/// A path for messages and tables: one line, nothing that a terminal would obey.
///
/// Printable characters stay; what [`is_disruptive`] names and bytes that are not UTF-8 are shown
/// as escapes (`\n`, `\u{202e}`, `\xff`), and a backslash that would then be ambiguous is doubled.
pub fn display_path(path: &Path) -> String {
    let mut shown = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' if cfg!(unix) => shown.push_str("\\\\"),
                c if is_disruptive(c) => shown.extend(c.escape_default()),
                c => shown.push(c),
            }
        }
        for byte in chunk.invalid() {
            shown.push_str(&format!("\\x{byte:02x}"));
        }
    }
    shown
}

/// Text for a terminal or a log: one line, with every character that [`is_disruptive`] names shown
/// as an escape (`\n`, `\u{1b}`).
///
/// Backslashes stay as they are, so text that was escaped before does not change again. For the
/// same reason the result cannot be turned back into what it was.
pub fn escape_text(text: &str) -> Cow<'_, str> {
    if !text.contains(is_disruptive) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_disruptive(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown.into()
}

/// Whether a character does something else than to be seen: it steers a terminal, breaks a line,
/// reorders its neighbours, or cannot be seen at all.
///
/// These are the control characters (C0 with tab and line feed, DEL, C1), the line and paragraph
/// separators, the bidirectional controls, and the format characters without a width.
pub fn is_disruptive(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_stay_as_they_are() {
        for name in ["a b.jpg", "Zoë/été.png", "写真/😀.jpg", "-rf", "it's \"x\", y"] {
            assert_eq!(display_path(Path::new(name)), name);
            assert!(matches!(escape_text(name), Cow::Borrowed(same) if same == name));
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_escaped() {
        let shown = |name: &str| display_path(Path::new(name));
        assert_eq!(shown("a\nb\r\t.jpg"), "a\\nb\\r\\t.jpg");
        assert_eq!(shown("\u{1b}[31mred"), "\\u{1b}[31mred");
        assert_eq!(shown("gpj.\u{202e}exe"), "gpj.\\u{202e}exe");
    }

    #[test]
    fn every_kind_of_disruptive_character_is_escaped() {
        let ranges = [
            (0x00, 0x1f),
            (0x7f, 0x9f),
            (0xad, 0xad),
            (0x61c, 0x61c),
            (0x200b, 0x200f),
            (0x2028, 0x202e),
            (0x2060, 0x206f),
            (0xfeff, 0xfeff),
            (0xe0001, 0xe007f),
        ];
        for c in ranges.into_iter().flat_map(|(from, to)| from..=to).filter_map(char::from_u32) {
            let text = format!("a{c}b");
            for shown in [display_path(Path::new(&text)), escape_text(&text).into_owned()] {
                assert!(shown.starts_with("a\\") && shown.ends_with('b'), "{shown:?}");
                assert!(!shown.contains(is_disruptive), "{shown:?}");
            }
        }
    }

    #[test]
    fn escaped_text_does_not_change_again() {
        let once = display_path(Path::new("a\\b\u{1b}\n"));
        assert_eq!(escape_text(&once), once);
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
