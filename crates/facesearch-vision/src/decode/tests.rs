//! Checks decoding against pictures made here, whose pixels are known, and against a folder of
//! files made to break decoders.

use std::time::{Duration, Instant};

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, Rgb, RgbImage, Rgba, RgbaImage};

use super::*;
use crate::testing::shared;

fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// 3x2, every pixel of its own colour.
fn small() -> RgbImage {
    RgbImage::from_fn(3, 2, |x, y| Rgb([x as u8 * 100, y as u8 * 200, 7]))
}

fn reason(bytes: &[u8], limits: &DecodeLimits) -> String {
    decode(bytes, limits).unwrap_err().to_string()
}

#[test]
fn lossless_formats_give_back_every_pixel() {
    for format in [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP] {
        let photo = decode(&encode(&small().into(), format), &DecodeLimits::default()).unwrap();
        assert_eq!((photo.width(), photo.height()), (3, 2));
        assert_eq!(photo.rgb(), small().as_raw().as_slice(), "{format:?}");
    }
}

#[test]
fn transparency_is_laid_over_black() {
    let pixels = [Rgba([200, 100, 50, 255]), Rgba([200, 100, 50, 0]), Rgba([200, 100, 50, 128])];
    let picture = RgbaImage::from_fn(3, 1, |x, _| pixels[x as usize]);
    let bytes = encode(&picture.into(), ImageFormat::Png);
    let photo = decode(&bytes, &DecodeLimits::default()).unwrap();
    assert_eq!(photo.rgb(), [200, 100, 50, 0, 0, 0, 100, 50, 25]);
}

/// A JPEG with an EXIF segment that says nothing but the orientation.
fn oriented(picture: &RgbImage, orientation: u16) -> Vec<u8> {
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 100)
        .encode(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .unwrap();
    let mut exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01".to_vec();
    exif.extend(orientation.to_be_bytes());
    exif.extend([0; 6]);
    let mut segment = vec![0xFF, 0xE1];
    segment.extend(((exif.len() + 2) as u16).to_be_bytes());
    segment.extend(exif);
    jpeg.splice(2..2, segment);
    jpeg
}

/// Where the top left quarter of the stored picture ends up, by the definition of the tag: its
/// value names the sides on which the stored first row and first column are to be shown.
#[test]
fn all_eight_orientations_turn_the_picture_upright() {
    let stored = RgbImage::from_fn(64, 32, |x, y| Rgb([u8::from(x < 32 && y < 16) * 255; 3]));
    let corners = [
        (1, [0.25, 0.25]),
        (2, [0.75, 0.25]),
        (3, [0.75, 0.75]),
        (4, [0.25, 0.75]),
        (5, [0.25, 0.25]),
        (6, [0.75, 0.25]),
        (7, [0.75, 0.75]),
        (8, [0.25, 0.75]),
        (0, [0.25, 0.25]),
        (99, [0.25, 0.25]),
    ];
    for (orientation, bright) in corners {
        let photo = decode(&oriented(&stored, orientation), &DecodeLimits::default()).unwrap();
        let turned = (5..=8).contains(&orientation);
        let (width, height) = if turned { (32, 64) } else { (64, 32) };
        assert_eq!((photo.width(), photo.height()), (width, height), "{orientation}");
        for [fx, fy] in [[0.25, 0.25], [0.75, 0.25], [0.25, 0.75], [0.75, 0.75]] {
            let (x, y) = ((fx * width as f32) as u32, (fy * height as f32) as u32);
            let value = photo.rgb()[((y * width + x) * 3) as usize];
            assert_eq!(value > 128, [fx, fy] == bright, "orientation {orientation} at {fx} {fy}");
        }
    }
}

/// The tag has two mirrored pairs of turns that look alike by one corner; this tells them apart.
#[test]
fn mirrored_turns_are_not_plain_turns() {
    let stored = RgbImage::from_fn(64, 32, |x, _| Rgb([u8::from(x < 32) * 255; 3]));
    let top = |orientation| {
        let photo = decode(&oriented(&stored, orientation), &DecodeLimits::default()).unwrap();
        photo.rgb()[0] > 128
    };
    // The stored left side is shown on top for 5 and 6, at the bottom for 7 and 8.
    assert_eq!([top(5), top(6), top(7), top(8)], [true, true, false, false]);
}

#[test]
fn too_many_pixels_are_rejected_with_both_numbers() {
    let bytes = encode(&small().into(), ImageFormat::Png);
    let limits = DecodeLimits { max_pixels: 5, ..DecodeLimits::default() };
    assert_eq!(reason(&bytes, &limits), "rejected: 3x2 is 6 pixels, the limit is 5");
    let (needed, pixels) = memory(&bytes).unwrap();
    assert_eq!(pixels, 6);
    let limits = DecodeLimits { max_memory: needed - 1, ..DecodeLimits::default() };
    let wanted = format!("takes about {needed} bytes of memory to decode, the limit is");
    assert!(reason(&bytes, &limits).contains(&wanted), "{}", reason(&bytes, &limits));
    let limits = DecodeLimits { max_pixels: 6, max_memory: needed };
    assert!(decode(&bytes, &limits).is_ok());
}

#[test]
fn what_is_no_picture_says_so_in_words() {
    let limits = DecodeLimits::default();
    assert_eq!(reason(b"", &limits), "cannot decode: the file is empty");
    assert!(reason(b"<html>hello</html>", &limits).contains("none of JPEG, PNG"));
    assert_eq!(reason(b"\x89PNG\r\n\x1a\n", &limits), "cannot decode: the PNG data ends early");
}

#[test]
fn a_jpeg_that_lost_its_tail_decodes_and_one_that_lost_its_half_does_not() {
    let noise = RgbImage::from_fn(400, 400, |x, y| {
        let mixed = x.wrapping_mul(2_654_435_761) ^ y.wrapping_mul(40_503_001);
        Rgb([(mixed >> 8) as u8, (mixed >> 16) as u8, (mixed >> 24) as u8])
    });
    let mut whole = Vec::new();
    JpegEncoder::new(&mut whole).encode_image(&noise).unwrap();
    let limits = DecodeLimits::default();
    assert!(decode(&whole[..whole.len() - 2], &limits).is_ok());
    assert!(decode(&whole[..whole.len() * 99 / 100], &limits).is_ok());
    let cut = reason(&whole[..whole.len() / 2], &limits);
    assert!(cut.contains("ends early") && cut.contains("of 400 rows"), "{cut}");
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn hostile_files_end_in_pixels_or_in_one_line_soon() {
    let folder = shared("data/hostile");
    let limits = DecodeLimits::default();
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let started = Instant::now();
        let result = decode(&bytes, &limits);
        assert!(started.elapsed() < Duration::from_secs(20), "{}", path.display());
        assert_eq!(result.as_ref().ok(), decode(&bytes, &limits).as_ref().ok());
        let name = path.file_name().unwrap().to_str().unwrap();
        match &result {
            Ok(photo) => assert!(photo.width() > 0 && photo.height() > 0, "{name}"),
            Err(error) => {
                let line = error.to_string();
                assert!(line.len() < 160 && !line.contains(['\n', '{', '"']), "{name}: {line}");
            }
        }
        // `many_chunks.png` has no end chunk, `exif_garbage.jpg` a segment that lies about its
        // length.
        let must_fail = [
            "empty",
            "one_byte",
            "text",
            "random",
            "html_",
            "bomb",
            "zero",
            "many_chunks",
            "exif_garbage",
            "truncated_10",
            "truncated_50",
            "truncated_90",
        ];
        let may_fail = name.starts_with("bitflips") || name.starts_with("jpeg_claims");
        if !may_fail {
            let fails = must_fail.iter().any(|prefix| name.starts_with(prefix));
            assert_eq!(result.is_err(), fails, "{name}: {:?}", result.err());
        }
        seen += 1;
    }
    assert_eq!(seen, 57);
}

proptest::proptest! {
    /// Any bytes behind the first bytes of a format: an error or pixels, within small limits.
    #[test]
    fn no_bytes_make_it_panic(
        magic in proptest::sample::select(vec![
            &b"\xFF\xD8\xFF\xE0"[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"BM", b"II*\0", b"MM\0*",
            b"RIFF\0\0\0\0WEBPVP8 ",
        ]),
        rest in proptest::collection::vec(proptest::num::u8::ANY, 0..400),
    ) {
        let bytes = [magic, &rest].concat();
        let limits = DecodeLimits { max_pixels: 1 << 20, max_memory: 1 << 24 };
        if let Ok(photo) = decode_with_codec(&bytes, &limits) {
            proptest::prop_assert!(photo.rgb().len() <= 3 << 20);
        }
    }
}
