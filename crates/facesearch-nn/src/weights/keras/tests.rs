//! Checks the reader against what Keras wrote (`models/reference/keras_reference.py`), and that
//! damage gives an error.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::super::Weights;
use super::*;
use crate::testing::reference;

#[derive(serde::Deserialize)]
struct Golden {
    shape: Vec<usize>,
    /// The numbers in the layout of this crate's layers, as numpy's `transpose` brings them there.
    values: Vec<f32>,
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn arrays_equal_what_keras_wrote() {
    let folder = reference("keras-small.json");
    let json = std::fs::read(folder.join("keras-small.json")).unwrap();
    let golden: BTreeMap<String, Golden> = serde_json::from_slice(&json).unwrap();
    for file in ["keras-small.h5", "keras-small-model.h5"] {
        let read = read_keras(&folder.join(file), &[]).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), golden.keys().collect::<Vec<_>>());
        for (name, want) in &golden {
            assert_eq!(read[name].shape, want.shape, "{name}");
            assert_eq!(read[name].values, want.values, "{name}");
        }
    }
    let fewer = read_keras(&folder.join("keras-small.h5"), &["dense"]).unwrap();
    assert!(golden.contains_key("dense.kernel") && !fewer.contains_key("dense.kernel"));
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn damaged_files_are_errors_or_other_weights_but_never_a_panic() {
    let folder = reference("keras-small.h5");
    let bytes = std::fs::read(folder.join("keras-small.h5")).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let check = |bytes: &[u8]| {
        std::fs::write(file.path(), bytes).unwrap();
        read_keras(file.path(), &[])
    };
    for cut in (0..bytes.len()).step_by(bytes.len() / 97 + 1) {
        assert!(check(&bytes[..cut]).is_err(), "cut at {cut} of {}", bytes.len());
    }
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let flips = proptest::collection::vec((0..bytes.len(), 0u8..8), 1..8);
    let cases = proptest::collection::vec(flips, 600).new_tree(&mut runner).unwrap().current();
    for flips in cases {
        let mut changed = bytes.clone();
        flips.iter().for_each(|(at, bit)| changed[*at] ^= 1 << bit);
        if let Ok(arrays) = check(&changed) {
            let numbers: usize = arrays.values().map(|array| array.values.len()).sum();
            assert!(numbers * 4 <= bytes.len() * 4);
        }
    }
}

#[test]
fn no_file_is_an_error_that_names_it() {
    let error = read_keras(Path::new("/nowhere/weights.h5"), &[]).unwrap_err();
    assert!(error.to_string().contains("/nowhere/weights.h5"), "{error}");
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE"]
fn weights_are_converted_once_and_mapped_from_then_on() {
    let folder = reference("keras-small.h5");
    let dir = tempfile::tempdir().unwrap();
    let (source, cached) = (dir.path().join("small.h5"), dir.path().join("small.safetensors"));
    std::fs::copy(folder.join("keras-small.h5"), &source).unwrap();
    let shape = [5, 60];
    let take = |mut weights: Weights| weights.take("dense.kernel", &shape).unwrap();
    let wanted = read_keras(&source, &[]).unwrap();
    assert_eq!(wanted["dense.kernel"].shape, shape);
    let first = Weights::open_cached(&source, &[], &cached).unwrap();
    assert!(matches!(first, Weights::Mapped(_)));
    assert_eq!(*take(first), *wanted["dense.kernel"].values);
    // A whole cache is used without the source. A damaged one is made again.
    std::fs::remove_file(&source).unwrap();
    assert!(Weights::open_cached(&source, &[], &cached).is_ok());
    std::fs::write(&cached, b"cut").unwrap();
    assert!(Weights::open_cached(&source, &[], &cached).is_err());
    std::fs::copy(folder.join("keras-small.h5"), &source).unwrap();
    assert_eq!(
        *take(Weights::open_cached(&source, &[], &cached).unwrap()),
        *wanted["dense.kernel"].values
    );
}

#[test]
fn a_file_of_another_kind_is_refused_by_its_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), b"<?xml version=\"1.0\"?><net/>").unwrap();
    let error = Weights::open(file.path(), &[]).unwrap_err().to_string();
    assert!(error.contains("OpenVINO"), "{error}");
    std::fs::write(file.path(), b"no weights at all").unwrap();
    assert!(matches!(Weights::open(file.path(), &[]), Err(WeightsError::Damaged { .. })));
}
