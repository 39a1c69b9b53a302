//! Checks the reader against what PyTorch itself reads from the same files
//! (`models/reference/torch_weights.py`), and that damage gives an error.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::shared;

/// What PyTorch says of one array.
#[derive(serde::Deserialize)]
struct Golden {
    shape: Vec<usize>,
    sum: f64,
    absolute: f64,
    first: f64,
    last: f64,
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn arrays_equal_what_pytorch_reads() {
    let golden: BTreeMap<String, BTreeMap<String, Golden>> =
        serde_json::from_str(include_str!("golden.json")).unwrap();
    for (file, arrays) in golden {
        let path = shared(&format!("models/{file}"));
        let read = read_torch(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), arrays.keys().collect::<Vec<_>>(), "{file}");
        for (name, want) in arrays {
            let got = &read[&name];
            let sum = got.values.iter().map(|v| f64::from(*v)).sum::<f64>();
            let absolute = got.values.iter().map(|v| f64::from(v.abs())).sum::<f64>();
            assert_eq!(got.shape, want.shape, "{file} {name}");
            assert!((sum - want.sum).abs() <= 1e-9 * want.absolute.max(1.0), "{file} {name}");
            assert!((absolute - want.absolute).abs() <= 1e-9 * want.absolute.max(1.0));
            assert_eq!(got.values[0], want.first as f32, "{file} {name}");
            assert_eq!(*got.values.last().unwrap(), want.last as f32, "{file} {name}");
        }
    }
}

/// Two arrays over one storage of six numbers 0, 1, 2, …; the second is the transposed first.
fn small_file() -> Vec<u8> {
    let mut file = OLD_MAGIC.to_vec();
    file.extend(b"\x80\x02M\xe9\x03.\x80\x02}.");
    file.extend(b"\x80\x02}(X\x01\0\0\0aq\x01");
    file.extend(tensor(b"K\0(K\x02K\x03t(K\x03K\x01t"));
    file.extend(b"X\x01\0\0\0b}X\x01\0\0\0c");
    file.extend(tensor(b"K\0(K\x03K\x02t(K\x01K\x03t"));
    file.extend(b"su.\x80\x02](X\x01\0\0\0ze.");
    file.extend(6u64.to_le_bytes());
    file.extend((0..6).flat_map(|v| (v as f32).to_le_bytes()));
    file
}

fn tensor(window: &[u8]) -> Vec<u8> {
    let storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0zX\x03\0\0\0cpuK\x06NtQ";
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        &storage[..],
        window,
        b"\x89ccollections\nOrderedDict\n)RtR",
    ]
    .concat()
}

#[test]
fn strides_and_nested_dicts_are_followed() {
    let read = read_torch(&small_file()).unwrap();
    assert_eq!(read.keys().collect::<Vec<_>>(), ["a", "b.c"]);
    assert_eq!(read["a"].shape, [2, 3]);
    assert_eq!(read["a"].values, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(read["b.c"].shape, [3, 2]);
    assert_eq!(read["b.c"].values, [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
}

fn changed(from: &[u8], to: &[u8]) -> WeightsError {
    assert_eq!(from.len(), to.len());
    let mut file = small_file();
    let at = file.windows(from.len()).position(|window| window == from).unwrap();
    file[at..at + to.len()].copy_from_slice(to);
    read_torch(&file).unwrap_err()
}

#[test]
fn what_would_be_run_elsewhere_is_refused_by_name() {
    let error = changed(b"torch._utils\n_rebuild_tensor_v2", b"subprocess\ncheck_output_of_ls__");
    let error = error.to_string();
    assert!(error.contains("`subprocess.check_output_of_ls__`"), "{error}");
}

#[test]
fn a_window_outside_its_storage_is_refused() {
    for (from, to) in [
        (b"K\0(K\x02K\x03t".as_slice(), b"K\x01(K\x02K\x03t".as_slice()),
        (b"K\0(K\x02K\x03t", b"K\0(K\x02K\x04t"),
        (b"(K\x03K\x01t", b"(K\x04K\x01t"),
        (b"zX\x03\0\0\0cpuK\x06", b"zX\x03\0\0\0cpuK\x07"),
        (b"\x06\0\0\0\0\0\0\0", b"\x05\0\0\0\0\0\0\0"),
        (b"\x06\0\0\0\0\0\0\0", b"\x06\0\0\0\0\0\0\xff"),
    ] {
        assert!(matches!(changed(from, to), WeightsError::Damaged { .. }));
    }
}

#[test]
fn every_cut_is_an_error() {
    let file = small_file();
    for end in 0..file.len() {
        assert!(read_torch(&file[..end]).is_err(), "cut at {end}");
    }
}

/// A pickle in which dicts hold each other: 16 levels of 16 times the level below.
#[test]
fn dicts_that_hold_each_other_end() {
    let mut model = b"\x80\x02}q\x00".to_vec();
    for level in 0..16u8 {
        model.push(b'}');
        model.push(b'(');
        for key in b'a'..b'q' {
            model.extend([b'X', 1, 0, 0, 0, key, b'h', level]);
        }
        model.extend([b'u', b'q', level + 1]);
    }
    model.push(b'.');
    let file = [OLD_MAGIC, b"\x80\x02M\xe9\x03.\x80\x02}.", &model, b"\x80\x02]."].concat();
    assert!(read_torch(&file).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Flipped bits in a real file: an error, or other numbers in the same shapes; never a panic.
    #[test]
    #[ignore = "needs FACESEARCH_SHARED"]
    fn damage_never_panics(
        file in prop::sample::select(vec!["mtcnn/pnet.pt", "blazeface/blazefaceback.pth"]),
        flips in prop::collection::vec((0.0..1.0f64, 0u8..8, any::<bool>()), 1..8),
        cut in prop::option::of(0.0..1.0f64),
    ) {
        let path = shared(&format!("models/{file}"));
        let mut bytes = std::fs::read(path).unwrap();
        // Half of the flips hit the pickles at the start, where the structure is.
        for (at, bit, early) in flips {
            let range = if early { bytes.len().min(2000) } else { bytes.len() };
            bytes[(at * range as f64) as usize] ^= 1 << bit;
        }
        if let Some(cut) = cut {
            bytes.truncate((cut * bytes.len() as f64) as usize);
            prop_assert!(read_torch(&bytes).is_err());
        } else if let Ok(read) = read_torch(&bytes) {
            for array in read.values() {
                prop_assert_eq!(array.values.len(), array.shape.iter().product::<usize>());
            }
        }
    }

    /// Any opcodes behind a valid start.
    #[test]
    fn no_program_panics(
        program in prop::collection::vec(
            prop_oneof![
                prop::sample::select(
                    b"(.qrhjNKMJUX)]}aescuQRbt\x85\x86\x87\x88\x89\x8a\x00\x01".to_vec()
                ),
                any::<u8>(),
            ],
            0..300,
        ),
    ) {
        let file = [OLD_MAGIC, b"\x80\x02M\xe9\x03.\x80\x02}.", &program].concat();
        let _ = read_torch(&file);
    }
}
