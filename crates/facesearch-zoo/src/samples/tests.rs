//! The demo can only show what it says if the photos are chosen so.

use std::collections::BTreeSet;

use super::*;
use crate::Source;

#[test]
fn the_demo_has_people_to_name_and_somebody_unknown() {
    let samples = Samples::builtin();
    let queried: BTreeSet<&str> = samples.of(Role::Query).map(|p| p.identity.as_str()).collect();
    for known in ["Barack Obama", "Joe Biden"] {
        assert!(samples.is_indexed(known) && queried.contains(known), "{known}");
    }
    assert!(queried.iter().any(|identity| !samples.is_indexed(identity)), "nobody is unknown");
}

#[test]
fn no_photo_is_both_indexed_and_asked_about() {
    let samples = Samples::builtin();
    let contents: BTreeSet<_> = samples.photos().iter().map(|p| p.artifact.sha256).collect();
    assert_eq!(contents.len(), samples.photos().len());
}

#[test]
fn every_photo_has_a_credit_an_address_and_a_package() {
    for photo in Samples::builtin().photos() {
        let sources = &photo.artifact.sources;
        assert!(!photo.credit.is_empty());
        assert!(matches!(&sources[0], Source::Url { url, .. } if url.starts_with("https://")));
        assert!(sources.iter().any(|source| matches!(source, Source::Package { .. })));
    }
}
