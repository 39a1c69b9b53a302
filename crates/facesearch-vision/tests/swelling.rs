//! Small files that claim to be large pictures: what decoding one takes is known before, and kept
//! to.
//!
//! Alone in its file, because the allocator that counts is the whole process's.

#![expect(clippy::print_stdout, reason = "a test says what it measured")]

use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use facesearch_core::{Chip, DetectedFace, FaceDetector, FaceFinder, Photo, VisionError};
use facesearch_vision::{Aligner, DecodeLimits, Finder, decode};
use image::{DynamicImage, ImageFormat, RgbImage};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// One test at a time: what the other one allocates would count too.
static ALONE: Mutex<()> = Mutex::new(());

/// No file here may keep a decoder busy for longer.
const SOON: Duration = Duration::from_secs(30);

/// Bytes held at most during `work`, beyond those held before; and what it gave.
fn peak<T>(work: impl FnOnce() -> T) -> (u64, T) {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    let given = work();
    (ALLOCATED.peak_usage().saturating_sub(before) as u64, given)
}

/// Sees nothing, so that what is measured is decoding.
struct Blind;

impl FaceDetector for Blind {
    fn name(&self) -> &str {
        "blind"
    }
    fn detect(&self, _: &Photo) -> Result<Vec<DetectedFace>, VisionError> {
        Ok(Vec::new())
    }
}

impl Aligner for Blind {
    fn name(&self) -> &str {
        "blind"
    }
    fn chip(&self, _: &Photo, face: &DetectedFace) -> Chip {
        unreachable!("no face was seen, {face:?}")
    }
}

/// Decodes within a few limits: what is taken is never more than was announced, nor than allowed.
fn check(name: &str, bytes: &[u8]) {
    let finder = Finder::new(Box::new(Blind), Box::new(Blind));
    let (to_look, announced) = peak(|| finder.memory(bytes));
    let allowance = 4 * bytes.len() as u64 + (10 << 20);
    assert!(to_look <= allowance, "{name}: {to_look} bytes only to look at the header");
    for max_memory in [8 << 20, 192 << 20, 1 << 30] {
        let limits = DecodeLimits { max_memory, ..DecodeLimits::default() };
        let start = Instant::now();
        let (taken, photo) = peak(|| decode(bytes, &limits));
        assert!(start.elapsed() < SOON, "{name}: {:?}", start.elapsed());
        let said = photo.map(|photo| (photo.width(), photo.height()));
        println!("{name}: {taken} of {announced} within {max_memory}, {said:?}");
        assert!(taken <= max_memory.max(allowance), "{name}: {taken} of {max_memory}");
        // What is not known to be a picture is refused before it takes anything.
        assert!(taken <= announced.max(allowance), "{name}: {taken}, announced were {announced}");
    }
}

/// Lets no panic be printed that becomes an error: finding its place in the source takes memory.
fn hush_caught_panics() {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !facesearch_core::is_panic_caught() {
                print(panic);
            }
        }));
    });
}

fn alone<T>(test: impl FnOnce() -> T) -> T {
    hush_caught_panics();
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    test()
}

fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&[0xFF, marker][..], &length, content].concat()
}

/// A JPEG of these components whose only scan has a few bytes.
fn jpeg(sof: u8, [width, height]: [u16; 2], sampling: &[u8], in_scan: usize) -> Vec<u8> {
    let mut frame = vec![8];
    frame.extend(height.to_be_bytes());
    frame.extend(width.to_be_bytes());
    frame.push(sampling.len() as u8);
    let mut scan = vec![in_scan as u8];
    for (id, sampling) in (1..).zip(sampling) {
        frame.extend([id, *sampling, 0]);
    }
    (1..=in_scan as u8).for_each(|id| scan.extend([id, 0]));
    scan.extend(if sof == 0xC2 { [0, 0, 0] } else { [0, 63, 0] });
    // One code of one bit for the value 0.
    let table = |class: u8| {
        let mut table = vec![class << 4, 1];
        table.extend([0; 16]);
        segment(0xC4, &table)
    };
    let tables = segment(0xDB, &[&[0][..], &[1; 64]].concat());
    let parts = [tables, segment(sof, &frame), table(0), table(1), segment(0xDA, &scan)];
    [&[0xFF, 0xD8][..], &parts.concat(), &[0; 64], &[0xFF, 0xD9]].concat()
}

#[test]
fn jpegs_of_every_kind_keep_to_what_was_announced() {
    alone(|| {
        for size in [[1_000, 800], [9_000, 8_000], [65_000, 3_000], [3_000, 65_000]] {
            for sampling in [
                &[0x11][..],
                &[0x44],
                &[0x11, 0x11, 0x11],
                &[0x22, 0x11, 0x11],
                &[0x21, 0x11, 0x11],
                &[0x12, 0x11, 0x11],
                &[0x41, 0x11, 0x11],
                &[0x22, 0x22, 0x22],
                &[0x11, 0x22, 0x22],
                &[0x11, 0x11, 0x11, 0x11],
                &[0x22, 0x11, 0x11, 0x22],
            ] {
                for sof in [0xC0, 0xC2] {
                    for in_scan in [1, sampling.len()] {
                        let name = format!(
                            "SOF {sof:x} of {size:?}, {sampling:x?}, {in_scan} in the scan"
                        );
                        check(&name, &jpeg(sof, size, sampling, in_scan));
                    }
                }
            }
        }
    });
}

fn riff(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut body = b"WEBP".to_vec();
    for (name, content) in chunks {
        body.extend(*name);
        body.extend((content.len() as u32).to_le_bytes());
        body.extend(content);
        body.extend(vec![0; content.len() % 2]);
    }
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

fn vp8(width: u16, height: u16) -> Vec<u8> {
    let mut chunk = vec![0x10, 0, 0, 0x9D, 0x01, 0x2A];
    chunk.extend(width.to_le_bytes());
    chunk.extend(height.to_le_bytes());
    chunk.extend([0; 60]);
    chunk
}

fn vp8l(width: u32, height: u32, alpha: u32) -> Vec<u8> {
    let header = (width - 1) | (height - 1) << 14 | alpha << 28;
    let mut chunk = vec![0x2F];
    chunk.extend(header.to_le_bytes());
    // No transform, no cache, no entropy image; every code has a single symbol of one bit.
    chunk.extend([0x88, 0x88, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    chunk
}

/// The chunk that announces others: `flags`, and the size of the canvas.
fn vp8x(flags: u8, width: u32, height: u32) -> Vec<u8> {
    let mut chunk = vec![flags, 0, 0, 0];
    chunk.extend(&(width - 1).to_le_bytes()[..3]);
    chunk.extend(&(height - 1).to_le_bytes()[..3]);
    chunk
}

#[test]
fn webps_of_every_kind_keep_to_what_was_announced() {
    alone(|| {
        for [width, height] in [[640, 480], [14_000, 14_000], [16_000, 2_000]] {
            let (wide, high) = (width as u16, height as u16);
            let name = |kind: &str| format!("WebP {kind} {width}x{height}");
            check(&name("lossy"), &riff(&[(b"VP8 ", vp8(wide, high))]));
            for alpha in [0, 1] {
                check(&name("lossless"), &riff(&[(b"VP8L", vp8l(width, height, alpha))]));
            }
            let alpha = vec![0; 40];
            let parts = [
                (b"VP8X", vp8x(0x10, width, height)),
                (b"ALPH", alpha),
                (b"VP8 ", vp8(wide, high)),
            ];
            check(&name("with transparency"), &riff(&parts));
            let mut frame = vec![0; 6];
            frame.extend(&(width - 1).to_le_bytes()[..3]);
            frame.extend(&(height - 1).to_le_bytes()[..3]);
            frame.extend([0; 4]);
            let inner = riff(&[(b"VP8 ", vp8(wide, high))]);
            frame.extend(&inner[12..]);
            let parts =
                [(b"VP8X", vp8x(2, width, height)), (b"ANIM", vec![0; 6]), (b"ANMF", frame)];
            check(&name("animated"), &riff(&parts));
            // A canvas of one pixel, and a picture of many.
            let parts = [(b"VP8X", vp8x(0, 1, 1)), (b"VP8 ", vp8(16_000, 12_000))];
            check(&name("with a small canvas"), &riff(&parts));
        }
        // Texts that claim four gigabytes.
        let mut lying = riff(&[(b"VP8X", vp8x(0x08, 10, 10)), (b"VP8 ", vp8(10, 10))]);
        lying.extend(b"EXIF\xFF\xFF\xFF\xFF");
        let length = lying.len() as u32;
        lying[4..8].copy_from_slice(&(length + 1_000_000).to_le_bytes());
        check("WebP with a long EXIF", &lying);
    });
}

fn deflated(content: &[u8], times: usize) -> Vec<u8> {
    let mut out = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    (0..times).for_each(|_| out.write_all(content).expect("memory"));
    out.finish().expect("memory")
}

/// A PNG with more chunks behind its first.
fn png(size: [u32; 2], kind: [u8; 2], chunks: &[(&[u8; 4], &[u8])], data: &[u8]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8], content: &[u8]| {
        file.extend((content.len() as u32).to_be_bytes());
        let mut crc = flate2::Crc::new();
        crc.update(name);
        crc.update(content);
        file.extend(name);
        file.extend(content);
        file.extend(crc.sum().to_be_bytes());
    };
    let [width, height] = size.map(u32::to_be_bytes);
    chunk(b"IHDR", &[&width[..], &height, &kind, &[0, 0, 0]].concat());
    chunks.iter().for_each(|(name, content)| chunk(*name, content));
    chunk(b"IDAT", data);
    chunk(b"IEND", &[]);
    file
}

#[test]
fn pngs_with_anything_inside_keep_to_what_was_announced() {
    alone(|| {
        let swollen = deflated(&vec![0; 1 << 20], 1_500);
        let row = deflated(&[0, 1, 2, 3], 1);
        let profile = [b"profile\0\0", &swollen[..]].concat();
        check("PNG with a profile of 1.5 GB", &png([1, 1], [8, 2], &[(b"iCCP", &profile)], &row));
        let text = [b"text\0\0", &swollen[..]].concat();
        check("PNG with a text of 1.5 GB", &png([1, 1], [8, 2], &[(b"zTXt", &text)], &row));
        let text = [b"XML:com.adobe.xmp\0\x01\0\0\0", &swollen[..]].concat();
        check("PNG with a text of 1.5 GB", &png([1, 1], [8, 2], &[(b"iTXt", &text)], &row));
        let short: Vec<(&[u8; 4], &[u8])> = vec![(b"tEXt", b"a\0b"); 50_000];
        check("PNG with many texts", &png([1, 1], [8, 2], &short, &row));
        for (size, kind) in [
            ([9_000, 9_000], [8, 0]),
            ([9_000, 9_000], [8, 2]),
            ([9_000, 9_000], [8, 6]),
            ([7_000, 7_000], [16, 6]),
            ([7_000, 7_000], [16, 0]),
            ([7_000, 7_000], [16, 4]),
            ([7_000, 7_000], [8, 4]),
            ([20_000, 10_000], [1, 0]),
            ([2_000_000, 90], [8, 6]),
        ] {
            let samples = [1, 0, 3, 0, 2, 0, 4][usize::from(kind[1])];
            let row = 1 + (size[0] as usize * samples * usize::from(kind[0])).div_ceil(8);
            let data = deflated(&vec![0; row], size[1] as usize);
            check(&format!("PNG {size:?} {kind:?}"), &png(size, kind, &[], &data));
        }
    });
}

#[test]
fn other_pictures_keep_to_what_was_announced() {
    alone(|| {
        let picture = DynamicImage::ImageRgb8(RgbImage::new(3_000, 2_000));
        for picture in [
            picture.clone(),
            DynamicImage::ImageRgba8(picture.to_rgba8()),
            DynamicImage::ImageRgb16(picture.to_rgb16()),
            DynamicImage::ImageRgba16(picture.to_rgba16()),
            DynamicImage::ImageLuma8(picture.to_luma8()),
        ] {
            for format in [ImageFormat::Tiff, ImageFormat::Bmp, ImageFormat::Png] {
                let mut bytes = std::io::Cursor::new(Vec::new());
                if picture.write_to(&mut bytes, format).is_ok() {
                    check(&format!("{format:?} {:?}", picture.color()), &bytes.into_inner());
                }
            }
        }
        // A small screen and a large frame, and the other way round.
        for [screen, frame] in [[[1, 1], [60_000, 3_000]], [[14_000, 14_000], [5, 5]]] {
            let [[sw, sh], [fw, fh]] =
                [screen, frame].map(|size: [u16; 2]| size.map(u16::to_le_bytes));
            let mut gif = [&b"GIF89a"[..], &sw, &sh, &[0x80, 0, 0], &[0; 6]].concat();
            gif.extend([0x21, 0xFE, 3, b'a', b'b', b'c', 0]);
            gif.extend(
                [&[0x2C, 0, 0, 0, 0][..], &fw, &fh, &[0, 2, 2, 0x4C, 0x01, 0, 0x3B]].concat(),
            );
            check(&format!("GIF {screen:?} {frame:?}"), &gif);
        }
    });
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn files_that_broke_it_before_keep_to_what_was_announced() {
    alone(|| {
        let shared = std::env::var_os("FACESEARCH_SHARED").expect("FACESEARCH_SHARED is set");
        let file = Path::new(&shared).join("data/breaking/jpg200Mcmykprog.jpg");
        let bytes = std::fs::read(file).expect("a breaking file");
        let finder = Finder::new(Box::new(Blind), Box::new(Blind));
        assert!(finder.memory(&bytes) > 2_200_000_000, "{}", finder.memory(&bytes));
        let limits = DecodeLimits { max_memory: 192 << 20, ..DecodeLimits::default() };
        for limits in [limits, DecodeLimits::default()] {
            let (taken, result) = peak(|| decode(&bytes, &limits));
            let error = result.expect_err("it is too large").to_string();
            assert!(error.contains("bytes of memory to decode, the limit is"), "{error}");
            assert!(taken < 16 << 20, "{taken}");
        }
    });
}
