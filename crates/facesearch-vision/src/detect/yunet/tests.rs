//! Checks how a photo is divided; what is seen in it is compared with OpenCV in
//! `tests/yunet_parity.rs`.

use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn tiles_cover_a_side_and_every_face_is_whole_in_the_tile_that_owns_it(side in 1usize..40_000) {
        let tiles = tiles(side);
        prop_assert_eq!(tiles[0].pixels.start, 0);
        prop_assert_eq!(tiles[tiles.len() - 1].pixels.end, side);
        for pair in tiles.windows(2) {
            prop_assert!(pair[0].pixels.end >= pair[1].pixels.start + SHARED);
            prop_assert_eq!(pair[0].own.end, pair[1].own.start);
        }
        for tile in &tiles {
            prop_assert!(tile.pixels.len() <= TILE && tile.pixels.start % 32 == 0);
            let half = SHARED as f32 / 2.0;
            let (start, end) = (tile.pixels.start as f32, tile.pixels.end as f32);
            prop_assert!(tile.pixels.start == 0 || tile.own.start >= start + half);
            prop_assert!(tile.pixels.end == side || tile.own.end <= end - half);
        }
    }

    #[test]
    fn the_sizes_of_a_photo_show_faces_from_the_smallest_wanted_to_the_largest_possible(
        shorter in 1usize..40_000,
        min_face in 12u32..400,
    ) {
        let scales = scales(shorter, min_face);
        prop_assert!(f64::from(min_face) * scales[0] <= SMALLEST.max(f64::from(min_face.min(16))));
        let last = scales[scales.len() - 1];
        prop_assert!(shorter as f64 * last <= LARGEST);
        // A face too large for one size is not too small for the next.
        prop_assert!(LARGEST * STEP >= SMALLEST);
    }
}

#[test]
fn other_bytes_are_refused() {
    for bytes in [&b""[..], b"not a network"] {
        assert!(YuNet::from_bytes(bytes, YuNetOptions::default(), &Device::Cpu).is_err());
    }
}
