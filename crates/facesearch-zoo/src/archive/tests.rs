//! Archives as packages have them, and as somebody hostile would make them.

use super::*;
use crate::testing::{bytes, gz_writer, tar_gz, wheel};

fn check(archive: &[u8], is_wheel: bool, member: &str) -> Result<Vec<u8>, ArchiveError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    std::fs::write(&path, archive).unwrap();
    let mut out = Vec::new();
    let outcome = extract(&path, is_wheel, member, &mut out);
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "nothing is written beside the archive");
    outcome.map(|()| out)
}

fn missing(outcome: Result<Vec<u8>, ArchiveError>) -> bool {
    matches!(outcome, Err(ArchiveError::NoMember(_)))
}

fn damaged(outcome: Result<Vec<u8>, ArchiveError>) -> bool {
    matches!(outcome, Err(ArchiveError::Damaged(_)))
}

#[test]
fn only_the_named_file_comes_out() {
    let (a, b) = (bytes(1, 10_000), bytes(2, 20_000));
    let files: [(&str, &[u8]); 2] = [("p/a.dat", &a), ("p/b.dat", &b)];
    for (archive, is_wheel) in [(tar_gz(&files), false), (wheel(&files), true)] {
        assert_eq!(check(&archive, is_wheel, "p/b.dat").unwrap(), b);
        assert!(missing(check(&archive, is_wheel, "b.dat")));
        assert!(missing(check(&archive, is_wheel, "./p/b.dat")));
        assert!(missing(check(&archive, is_wheel, "p")));
        assert!(missing(check(&archive, is_wheel, "")));
    }
}

#[test]
fn paths_that_climb_are_never_followed() {
    let files: [(&str, &[u8]); 3] =
        [("../archive", b"overwritten"), ("/etc/passwd", b"root"), ("p/a.dat", b"good")];
    for (archive, is_wheel) in [(tar_gz(&files), false), (wheel(&files), true)] {
        assert_eq!(check(&archive, is_wheel, "p/a.dat").unwrap(), b"good");
    }
}

#[test]
fn links_and_folders_are_no_files() {
    let mut tar = tar::Builder::new(gz_writer());
    for (path, kind) in [
        ("link", tar::EntryType::Symlink),
        ("hard", tar::EntryType::Link),
        ("dir", tar::EntryType::Directory),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path(path).unwrap();
        if kind != tar::EntryType::Directory {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_size(0);
        header.set_cksum();
        tar.append(&header, &[][..]).unwrap();
    }
    let archive = tar.into_inner().unwrap().finish().unwrap();
    for member in ["link", "hard", "dir"] {
        assert!(missing(check(&archive, false, member)), "{member}");
    }

    let mut zip = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.add_symlink("link", "/etc/passwd", options).unwrap();
    zip.add_directory("dir/", options).unwrap();
    let archive = zip.finish().unwrap().into_inner();
    for member in ["link", "dir/"] {
        assert!(missing(check(&archive, true, member)), "{member}");
    }
}

#[test]
fn a_size_that_is_a_lie_costs_nothing() {
    let mut tar = gz_writer();
    let mut header = tar::Header::new_gnu();
    header.set_path("p/a.dat").unwrap();
    header.set_size(1 << 40);
    header.set_cksum();
    tar.write_all(header.as_bytes()).unwrap();
    tar.write_all(b"a few bytes only").unwrap();
    let archive = tar.finish().unwrap();
    // What is there comes out and no more; whoever takes it sees that it is too short.
    assert_eq!(check(&archive, false, "p/a.dat").unwrap(), b"a few bytes only");
}

#[test]
fn cut_and_altered_archives_are_damaged() {
    let a = bytes(1, 50_000);
    let (tar, zip) = (tar_gz(&[("p/a.dat", &a)]), wheel(&[("p/a.dat", &a)]));
    assert!(damaged(check(&tar[..tar.len() / 2], false, "p/a.dat")));
    assert!(damaged(check(&zip[..zip.len() / 2], true, "p/a.dat")));
    assert!(damaged(check(b"", false, "p/a.dat")));
    assert!(damaged(check(b"", true, "p/a.dat")));
    assert!(damaged(check(&zip, false, "p/a.dat")));
    assert!(damaged(check(&tar, true, "p/a.dat")));
    let mut altered = zip.clone();
    altered[zip.len() / 2] ^= 0xff;
    assert!(damaged(check(&altered, true, "p/a.dat")), "the checksum of the zip tells");
}
