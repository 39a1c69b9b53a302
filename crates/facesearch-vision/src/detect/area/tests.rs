//! Checks the resizing against its definition, written out pixel by pixel.

use proptest::prelude::*;

use super::*;
use crate::testing::noise;

fn defined(photo: &Photo, region: &Region, size: Size, x: usize, y: usize, channel: usize) -> f64 {
    let (wide, high) = (region.x.len() as f64, region.y.len() as f64);
    let from = |i: usize, len: f64, n: usize| (i as f64 * len / n as f64).floor() as usize;
    let to = |i: usize, len: f64, n: usize| ((i + 1) as f64 * len / n as f64).ceil() as usize;
    let (mut sum, mut count) = (0.0, 0.0);
    for row in from(y, high, size.height)..to(y, high, size.height) {
        for column in from(x, wide, size.width)..to(x, wide, size.width) {
            let at = (region.y.start + row) * photo.width() as usize + region.x.start + column;
            sum += f64::from(photo.rgb()[at * 3 + channel]);
            count += 1.0;
        }
    }
    (sum / count - 127.5) / 128.0
}

proptest! {
    #[test]
    fn every_pixel_is_the_mean_of_its_window(
        (width, height) in (1usize..30, 1usize..30),
        corner in (0.0..1.0f64, 0.0..1.0f64),
        (out_width, out_height) in (1usize..30, 1usize..30),
        cut in 0usize..10,
        seed in any::<u32>(),
    ) {
        let bytes = noise(width * height * 3, seed);
        let photo = Photo::new(width as u32, height as u32, bytes);
        let (left, top) = ((corner.0 * width as f64) as usize, (corner.1 * height as f64) as usize);
        let region = Region { x: left..width, y: top..height };
        let size = Size { height: out_height, width: out_width };
        let first = cut.min(out_width - 1);
        let wide = out_width - first;
        let mut out = vec![0.0; wide * out_height * 3];
        let (upper, lower) = out.split_at_mut(out_height / 2 * wide * 3);
        for (y, out) in [(0..out_height / 2, upper), (out_height / 2..out_height, lower)] {
            let part = Region { x: first..out_width, y };
            resize_part(&photo, &region, size, &part, Scaling::SIGNED, out);
        }
        for (i, got) in out.iter().enumerate() {
            let (pixel, channel) = (i / 3, i % 3);
            let (x, y) = (first + pixel % wide, pixel / wide);
            let want = defined(&photo, &region, size, x, y, channel);
            prop_assert!((f64::from(*got) - want).abs() < 1e-5, "{x} {y}: {got} {want}");
        }
    }
}

/// Photos so high that a window's bytes do not add up in 16 bits, and so large that cores share the
/// work.
#[test]
fn high_windows_and_shared_work_give_the_same_means() {
    for (width, height, size) in [
        (2usize, 1031usize, Size { height: 2, width: 1 }),
        (3, 1000, Size { height: 4, width: 2 }),
        (640, 512, Size { height: 300, width: 200 }),
    ] {
        let bytes = (0..width * height * 3).map(|i| 255 - (i * i / 7 % 5) as u8).collect();
        let photo = Photo::new(width as u32, height as u32, bytes);
        let region = Region::all(&photo);
        let part = Region { x: 0..size.width, y: 0..size.height };
        let mut out = vec![0.0; size.width * size.height * 3];
        resize_part(&photo, &region, size, &part, Scaling::SIGNED, &mut out);
        for (i, got) in out.iter().enumerate() {
            let (x, y) = (i / 3 % size.width, i / 3 / size.width);
            let want = defined(&photo, &region, size, x, y, i % 3);
            assert!(
                (f64::from(*got) - want).abs() < 1e-5,
                "{width}x{height} {x} {y}: {got} {want}"
            );
        }
    }
}

/// The longest windows: of 257 rows, whose bytes just add up in 16 bits, and of one more.
#[test]
fn a_white_photo_stays_white() {
    for height in [767, 770] {
        let photo = Photo::new(1, height, vec![255; height as usize * 3]);
        let (size, part) = (Size { height: 3, width: 1 }, Region { x: 0..1, y: 0..3 });
        let mut out = [0.0; 9];
        resize_part(&photo, &Region::all(&photo), size, &part, Scaling::NONE, &mut out);
        assert_eq!(out, [255.0; 9], "{height} rows");
    }
}
