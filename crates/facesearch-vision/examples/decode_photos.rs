//! Writes photos as they are decoded here, as PPM files, so that a reference implementation can be
//! given exactly the same pixels: two JPEG decoders differ by a step or two, which is enough to
//! move a detector's boxes by pixels.
//!
//! Run: `cargo run --example decode_photos -- ROOT OUT FILE...`; `FILE` relative to `ROOT`, the
//! result is `OUT/FILE.ppm`.

use std::error::Error;
use std::path::Path;

use facesearch_vision::{DecodeLimits, decode};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [root, out, files @ ..] = &arguments[..] else {
        return Err("usage: decode_photos ROOT OUT FILE...".into());
    };
    for file in files {
        let photo = decode(&std::fs::read(Path::new(root).join(file))?, &DecodeLimits::default())?;
        let mut ppm = format!("P6\n{} {}\n255\n", photo.width(), photo.height()).into_bytes();
        ppm.extend(photo.rgb());
        let path = Path::new(out).join(format!("{file}.ppm"));
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(out)))?;
        std::fs::write(path, ppm)?;
    }
    Ok(())
}
