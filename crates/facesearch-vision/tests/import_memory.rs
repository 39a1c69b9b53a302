//! What a damaged network file can make the importer allocate: never more than four times the
//! file's size.
//!
//! Alone in its file, because the allocator that counts is the whole process's. Set
//! `FACESEARCH_SHARED` to the folder with real network files; without it the test says that it was
//! skipped.

#![expect(clippy::print_stdout, reason = "a test says what it measured, or why it was skipped")]

use std::path::{Path, PathBuf};

use facesearch_vision::{import_onnx, import_openvino};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// What the program has in use whatever the file, and an error message's worth.
const SLACK: usize = 1 << 18;

/// Bytes held at most during `work`, beyond those held before.
fn peak(work: impl FnOnce()) -> usize {
    let before = ALLOCATED.current_usage();
    ALLOCATED.reset_peak_usage();
    work();
    ALLOCATED.peak_usage().saturating_sub(before)
}

/// Numbers that look random, the same each time.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

fn check(name: &str, file: &[u8], import: impl Fn(&[u8]), size: usize) {
    let most = 4 * size + SLACK;
    let whole = peak(|| import(file));
    assert!(whole <= most, "{name}: {whole} bytes for {size}");
    let mut random = Random(0x5eed);
    let mut worst = whole;
    for _ in 0..150 {
        let mut damaged = file.to_vec();
        for _ in 0..=random.below(4) {
            // Headers and node lists are near the ends; weights lie between.
            let place = match random.below(3) {
                0 => random.below(file.len().min(20_000)),
                1 => file.len() - 1 - random.below(file.len().min(20_000)),
                _ => random.below(file.len()),
            };
            damaged[place] ^= 1 << random.below(8);
        }
        if random.below(4) == 0 {
            damaged.truncate(random.below(file.len()));
        }
        let used = peak(|| import(&damaged));
        assert!(used <= most, "{name}, damaged: {used} bytes for {size}");
        worst = worst.max(used);
    }
    println!("{name}: at most {:.2} times the file", worst as f64 / size as f64);
}

#[test]
fn a_damaged_file_never_takes_more_than_four_times_its_size() {
    let models = std::env::var_os("FACESEARCH_SHARED").map(|dir| PathBuf::from(dir).join("models"));
    let Some(models) = models.filter(|models| models.exists()) else {
        println!("skipped: FACESEARCH_SHARED names no folder with models");
        return;
    };
    let read = |name: &Path| std::fs::read(models.join(name)).expect("a network's file");
    for name in ["mobilefacenet-foamliu/MobileFaceNet.onnx", "yunet/yunet_n_dynamic.onnx"] {
        let file = read(Path::new(name));
        let import = |bytes: &[u8]| drop(import_onnx(bytes, Some([128, 96])));
        check(name, &file, import, file.len());
    }
    for name in [
        "openvino-reid0095/face-reidentification-retail-0095",
        "openvino-landmarks-0009/landmarks-regression-retail-0009",
    ] {
        let path = Path::new(name);
        let (xml, bin) = (read(&path.with_extension("xml")), read(&path.with_extension("bin")));
        let import = |bytes: &[u8]| drop(import_openvino(bytes, &bin, None));
        check(name, &xml, import, xml.len() + bin.len());
    }
}
