//! Checks the reader against what Keras wrote (`models/reference/keras_reference.py`), and that
//! damage gives an error.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::strategy::ValueTree;

use super::*;
use crate::testing::reference;

#[derive(serde::Deserialize)]
struct Golden {
    shape: Vec<usize>,
    /// The numbers in the layout of this crate's layers, as numpy's `transpose` brings them there.
    values: Vec<f32>,
}

#[test]
fn arrays_equal_what_keras_wrote() {
    let Some(folder) = reference("keras-small.json") else { return };
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
fn damaged_files_are_errors_or_other_weights_but_never_a_panic() {
    let Some(folder) = reference("keras-small.h5") else { return };
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
