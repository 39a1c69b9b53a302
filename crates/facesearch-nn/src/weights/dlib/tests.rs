//! The primitive values, and damaged networks.

use super::reader::power_of_two;
use super::*;

#[test]
fn powers_of_two_are_exact() {
    for e in -1100..1100 {
        assert_eq!(power_of_two(e), 2f64.powi(e), "2^{e}");
    }
}

#[test]
fn integers_and_floats_follow_the_format() {
    let mut r = Reader::new(&[0x01, 5, 0x82, 0x00, 0x01, 0x01, 3, 0x81, 1]);
    assert_eq!(r.int(), Ok(5));
    assert_eq!(r.int(), Ok(-256));
    assert_eq!(r.float(), Ok(1.5));
    assert_eq!(r.end(), Ok(()));
    assert_eq!(r.int().unwrap_err().offset, 9);
}

#[test]
fn a_tensor_larger_than_the_file_is_refused_before_it_is_made() {
    let mut bytes = vec![1, 2];
    (0..4).for_each(|_| bytes.extend([4, 0xff, 0xff, 0, 0]));
    let error = Reader::new(&bytes).tensor().unwrap_err();
    assert!(error.what.contains("are left") || error.what.contains("tensor of"), "{error}");
}

#[test]
fn no_bytes_at_all_make_it_panic() {
    let steps = [Step::Layer, Step::Mark, Step::Layer];
    let mut seed = 1u32;
    for len in 0..400 {
        let bytes: Vec<u8> = (0..len)
            .map(|_| {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (seed >> 24) as u8 & if seed & 64 == 0 { 0x07 } else { 0xff }
            })
            .collect();
        assert!(read_metric_network(&bytes, &steps).is_err());
        assert!(Reader::new(&bytes).matrix_of::<3>("three").is_err() || len > 2);
    }
}
