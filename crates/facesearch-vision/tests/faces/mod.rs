//! What the tests of detectors share: photos, and faces beside those of another implementation.

use std::path::{Path, PathBuf};

use facesearch_core::{BoundingBox, DetectedFace, Photo};
use facesearch_vision::{DecodeLimits, decode};

/// The folder of test data, which `FACESEARCH_SHARED` names; it must hold the file `needed`.
pub(crate) fn shared(needed: &str) -> PathBuf {
    let root =
        std::env::var_os("FACESEARCH_SHARED").expect("FACESEARCH_SHARED names the test data");
    let root = PathBuf::from(root);
    assert!(root.join(needed).exists(), "FACESEARCH_SHARED names no folder with {needed}");
    root
}

pub(crate) fn photo(path: impl AsRef<Path>) -> Photo {
    decode(&std::fs::read(path).unwrap(), &DecodeLimits::default()).unwrap()
}

/// The largest difference of two faces in a corner, in a point, and in the score.
pub(crate) fn difference(got: &DetectedFace, want: &[f32]) -> (f32, f32, f32) {
    let b = got.bbox;
    let corners = [b.x, b.y, b.x + b.width, b.y + b.height];
    let far = |got: &[f32], want: &[f32]| {
        got.iter().zip(want).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    };
    (
        far(&corners, &want[..4]),
        far(got.landmarks.0.as_flattened(), &want[5..]),
        (got.score - want[4]).abs(),
    )
}

pub(crate) fn bbox(row: &[f32]) -> BoundingBox {
    BoundingBox { x: row[0], y: row[1], width: row[2] - row[0], height: row[3] - row[1] }
}
