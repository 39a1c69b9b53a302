//! Whose face it is, as far as names of files tell.
//!
//! Only the most prominent face of a photo is labelled (the largest that the model had a vector
//! for): the friend in the background of a picture of Obama is not Obama.
//!
//! A label belongs to the content, under the path that answers name
//! ([`PhotoRecord::path`](facesearch_core::PhotoRecord::path)): of two copies in two folders the
//! first path's folder is the label.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use facesearch_core::display_path;

use crate::error::IdentityError;
use crate::roots::{Roots, absolute};

/// Where labels come from.
#[derive(Debug, Clone, Default)]
pub enum IdentityRule {
    /// Nobody is labelled.
    None,
    /// The name of the folder that a file is in. A file that lies directly in a folder which was
    /// asked for is nobody's: in `photos/obama/1.jpg` and `photos/2.jpg`, found under `photos`, the
    /// first is `obama` and the second is not `photos`. The trap this leaves is closed: indexing
    /// `photos/obama` alone later does not take `obama` away.
    #[default]
    Folder,
    /// The file's name without its extension.
    Stem,
    /// A table of paths and labels.
    Table(IdentityTable),
    /// This label for every photo; where it is `None`, labels stay as they are.
    Fixed(Option<String>),
}

/// What a rule says of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// This label, or none.
    Label(Option<String>),
    /// This label where the photo has it already, none otherwise.
    KeepOnly(String),
    /// Whatever the label is now.
    Keep,
}

impl Verdict {
    /// The label to have, given the one there is.
    pub(crate) fn settle(self, now: Option<&str>) -> Option<String> {
        match self {
            Self::Label(label) => label,
            Self::KeepOnly(label) => (now == Some(label.as_str())).then_some(label),
            Self::Keep => now.map(str::to_owned),
        }
    }
}

impl IdentityRule {
    /// What this rule says of the photo at `path`, when `roots` are indexed.
    pub(crate) fn verdict(&self, path: &Path, roots: &Roots) -> Verdict {
        match self {
            Self::None => Verdict::Label(None),
            Self::Fixed(Some(label)) => Verdict::Label(Some(label.clone())),
            Self::Fixed(None) => Verdict::Keep,
            Self::Stem => Verdict::Label(path.file_stem().and_then(label)),
            Self::Table(table) => match table.get(path) {
                Some(label) => Verdict::Label(label.map(str::to_owned)),
                None if roots.contain(path) => Verdict::Label(None),
                None => Verdict::Keep,
            },
            Self::Folder => {
                let folder = path.parent().and_then(Path::file_name).and_then(label);
                match (roots.contain(path), folder) {
                    (false, _) => Verdict::Keep,
                    (true, Some(folder)) if roots.hold_directly(path) => Verdict::KeepOnly(folder),
                    (true, folder) => Verdict::Label(folder),
                }
            }
        }
    }
}

/// Whether a file or a folder that it is in has one of `names`, as a rule would read them.
pub(crate) fn is_named_after(path: &Path, names: &BTreeSet<String>) -> bool {
    let folders = path.components().map(|part| part.as_os_str());
    folders.chain(path.file_stem()).filter_map(label).any(|name| names.contains(&name))
}

/// A name as a label: trimmed, as text also where it is not quite text; `None` where it is blank.
fn label(name: &OsStr) -> Option<String> {
    let text = match name.to_str() {
        Some(text) => text.trim().to_owned(),
        None => display_path(Path::new(name)),
    };
    (!text.is_empty()).then_some(text)
}

/// A table that says whose photo a file is.
#[derive(Debug, Clone, Default)]
pub struct IdentityTable(HashMap<PathBuf, Option<String>>);

impl IdentityTable {
    /// Reads a CSV file whose first line names the columns `path` and `identity` (others are
    /// ignored). Relative paths are relative to the folder of the file; an empty identity is
    /// nobody; a path has one line.
    ///
    /// # Errors
    ///
    /// [`IdentityError`], with the line where there is one.
    pub fn read(path: &Path) -> Result<Self, IdentityError> {
        let read = |source| IdentityError::Read { path: path.into(), source };
        let folder = absolute(path).map_err(|error| read(error.into()))?;
        let folder = folder.parent().unwrap_or(Path::new("")).to_owned();
        let mut reader = csv::Reader::from_path(path).map_err(read)?;
        let headers = reader.byte_headers().map_err(read)?.clone();
        let column = |column: &'static str| {
            let found = headers.iter().position(|name| trim(name) == column.as_bytes());
            found.ok_or_else(|| IdentityError::Column { path: path.into(), column })
        };
        let (paths, identities) = (column("path")?, column("identity")?);

        let mut table = HashMap::new();
        for record in reader.into_byte_records() {
            let record = record.map_err(read)?;
            let line = record.position().map_or(0, csv::Position::line);
            let wrong = |what: String| IdentityError::Line { path: path.into(), line, what };
            let field = |column| record.get(column).unwrap_or_default();
            let file = path_of(field(paths)).ok_or_else(|| wrong("no path is given".into()))?;
            let identity = std::str::from_utf8(field(identities))
                .map_err(|_| wrong("the identity is not UTF-8".into()))?
                .trim();
            let identity = (!identity.is_empty()).then(|| identity.to_owned());
            let file = absolute(&folder.join(file)).map_err(|error| wrong(error.to_string()))?;
            match table.entry(file) {
                Entry::Vacant(vacant) => drop(vacant.insert(identity)),
                Entry::Occupied(there) if *there.get() == identity => {}
                Entry::Occupied(there) => {
                    let shown = display_path(there.key());
                    return Err(wrong(format!("{shown} has another identity further up")));
                }
            }
        }
        Ok(Self(table))
    }

    /// How many paths it names.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it names none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `None` where the path is not in the table; `Some(None)` where it is nobody's there.
    fn get(&self, path: &Path) -> Option<Option<&str>> {
        self.0.get(path).map(Option::as_deref)
    }
}

fn trim(name: &[u8]) -> &[u8] {
    // Spreadsheets begin a UTF-8 file with a mark that is no part of the first name.
    name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name).trim_ascii()
}

#[cfg(unix)]
fn path_of(field: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt;
    (!field.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(field)))
}

#[cfg(not(unix))]
fn path_of(field: &[u8]) -> Option<PathBuf> {
    let text = std::str::from_utf8(field).ok()?;
    (!text.is_empty()).then(|| PathBuf::from(text))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn verdict(rule: &IdentityRule, path: &str) -> Verdict {
        let roots = Roots::lexical(&["/photos", "/photos/obama", "/x/y.jpg"]);
        rule.verdict(Path::new(path), &roots)
    }

    fn some(label: &str) -> Verdict {
        Verdict::Label(Some(label.into()))
    }

    #[test]
    fn a_folder_names_its_files_but_not_the_folder_that_was_asked_for() {
        let rule = IdentityRule::Folder;
        assert_eq!(verdict(&rule, "/photos/obama/1.jpg"), some("obama"));
        assert_eq!(verdict(&rule, "/photos/deep/er/1.jpg"), some("er"));
        assert_eq!(verdict(&rule, "/photos/ anna /1.jpg"), some("anna"));
        assert_eq!(verdict(&rule, "/photos/1.jpg"), Verdict::KeepOnly("photos".into()));
        assert_eq!(verdict(&rule, "/x/y.jpg"), Verdict::KeepOnly("x".into()));
        assert_eq!(verdict(&rule, "/elsewhere/a/1.jpg"), Verdict::Keep);
    }

    #[test]
    fn a_stem_names_its_file_wherever_it_is() {
        assert_eq!(verdict(&IdentityRule::Stem, "/photos/Zoë.tar.jpg"), some("Zoë.tar"));
        assert_eq!(verdict(&IdentityRule::Stem, "/elsewhere/joe"), some("joe"));
        assert_eq!(verdict(&IdentityRule::None, "/photos/joe.jpg"), Verdict::Label(None));
    }

    #[test]
    fn what_is_settled_depends_on_what_is_there() {
        let keep = Verdict::KeepOnly("obama".into());
        assert_eq!(keep.clone().settle(Some("obama")).as_deref(), Some("obama"));
        assert_eq!(keep.clone().settle(Some("biden")), None);
        assert_eq!(keep.settle(None), None);
        assert_eq!(Verdict::Keep.settle(Some("x")).as_deref(), Some("x"));
        assert_eq!(Verdict::Label(None).settle(Some("x")), None);
    }

    fn table(text: &[u8]) -> Result<(tempfile::TempDir, IdentityTable), String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("who.csv");
        fs::write(&file, text).unwrap();
        match IdentityTable::read(&file) {
            Ok(table) => Ok((dir, table)),
            Err(error) => Err(error.to_string().replace(&display_path(&file), "who.csv")),
        }
    }

    #[test]
    fn a_table_is_relative_to_its_own_folder() {
        let text = b"\xef\xbb\xbfid, identity ,path\n1,\"Obama, Barack\",a/./b.jpg\n2,,/c.jpg\n\
                     3,x,../up.jpg\n";
        let (dir, table) = table(text).unwrap();
        let at = |path: &str| table.get(&absolute(&dir.path().join(path)).unwrap());
        assert_eq!(at("a/b.jpg"), Some(Some("Obama, Barack")));
        assert_eq!(at("/c.jpg"), Some(None));
        assert_eq!(at("../up.jpg"), Some(Some("x")));
        assert_eq!(at("other.jpg"), None);
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn a_bad_table_says_where() {
        let why = |text: &[u8]| table(text).unwrap_err();
        assert_eq!(
            why(b"path,name\na,b\n"),
            "who.csv has no column `identity`; its first line must name the columns `path` and \
             `identity`"
        );
        assert_eq!(why(b"path,identity\na,b\n,c\n"), "who.csv line 3: no path is given");
        assert_eq!(why(b"path,identity\na,\xff\n"), "who.csv line 2: the identity is not UTF-8");
        assert!(why(b"path,identity\na,b\na,c\n").contains("line 3"));
        assert!(why(b"path,identity\na,b,c\n").contains("cannot read the identities"));
        assert!(table(b"path,identity\na,b\na,b\n").is_ok());
    }
}
