//! Bytes of a file to upright RGB pixels.
//!
//! A photo is known by what its bytes say, never by its name: half of the JPEGs on an old disk are
//! called `.png` by somebody. The codecs are those of the `image` crate; this file adds what an
//! indexing run over a million unknown files needs on top of them: limits that are checked before
//! memory is taken, orientation, one rule for transparency, one for files that end early, and
//! reasons that can be shown to people.
//!
//! - **Orientation:** all eight of EXIF. Unreadable EXIF counts as "upright".
//! - **Animation:** the first frame (GIF, WebP).
//! - **Transparency:** the picture is laid over black, because that is what somebody looking at it
//!   sees; what an editor left in fully transparent pixels is nobody's face.
//! - **16 bits a channel, palettes, grey, CMYK:** brought to 8-bit RGB. Colour profiles are not
//!   applied.
//! - **JPEG that ends early:** read as far as it goes when at most one row in twenty is missing, an
//!   error otherwise: the rest would be grey, and a face cut in half is worse than none.

use std::io::Cursor;

use facesearch_core::{Photo, VisionError, catch_panic};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

/// A picture of which more than one row in this many is missing is not shown to the detector.
const MISSING_ROWS: u32 = 20;

/// How much a photo may ask for. A few bytes can claim to be a picture of a gigabyte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most pixels that a photo may have, whatever its shape.
    pub max_pixels: u64,
    /// Most bytes that a codec may take for the decoded picture; a picture of 16 bits a channel
    /// or with transparency needs more than three a pixel.
    pub max_bytes: u64,
}

impl Default for DecodeLimits {
    /// 200 megapixels (the largest phone sensors made) of four bytes.
    fn default() -> Self {
        Self { max_pixels: 200_000_000, max_bytes: 800_000_000 }
    }
}

/// Decodes a photo and turns it upright: JPEG, PNG, WebP, BMP, GIF or TIFF.
///
/// The same bytes always give the same pixels.
///
/// # Errors
///
/// [`VisionError::Rejected`] where the picture is larger than `limits` allow, with both numbers;
/// [`VisionError::Decode`] where the bytes are no picture, or not enough of one.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Photo, VisionError> {
    if bytes.is_empty() {
        return Err(bad("the file is empty"));
    }
    // The codecs promise errors, not panics, for any bytes. Should one break that promise on one
    // file in a million, the run must still go on; nothing is shared that could be left half done.
    catch_panic(|| decode_with_codec(bytes, limits))
        .unwrap_or_else(|_| Err(bad("the decoder gave up on this file")))
}

/// How many bytes of memory decoding a photo and looking at it takes at most, as its header says: the codec's
/// picture, a second one where it is turned or brought to 8-bit RGB, and what a detector makes of it. 0 for
/// what is no picture.
pub(crate) fn memory(bytes: &[u8]) -> u64 {
    let header = || {
        let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().ok()?;
        let decoder = reader.into_decoder().ok()?;
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        Some(decoder.total_bytes().saturating_add(pixels.saturating_mul(5)))
    };
    catch_panic(header).ok().flatten().unwrap_or(0)
}

fn decode_with_codec(bytes: &[u8], limits: &DecodeLimits) -> Result<Photo, VisionError> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .expect("reading from memory cannot fail");
    // The limits go to the codec before it reads its first header; the size that it finds there is
    // checked below, where both numbers are at hand.
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(limits.max_bytes);
    reader.limits(allowed.clone());
    let format = reader.format().ok_or_else(|| {
        bad("the content is none of JPEG, PNG, WebP, BMP, GIF and TIFF, whatever the file's name")
    })?;
    let explain = |error| explain(error, format, limits);

    let mut decoder = reader.into_decoder().map_err(explain)?;
    check_size(decoder.dimensions(), decoder.total_bytes(), limits)?;
    allowed.reserve(decoder.total_bytes()).map_err(explain)?;
    decoder.set_limits(allowed).map_err(explain)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(explain)?;
    if format == ImageFormat::Jpeg && !has_end_marker(bytes) {
        check_missing_rows(&picture)?;
    }
    picture = over_black(picture);
    picture.apply_orientation(orientation);
    let upright = picture.into_rgb8();
    Ok(Photo::new(upright.width(), upright.height(), upright.into_raw()))
}

fn check_size(
    (width, height): (u32, u32),
    bytes: u64,
    limits: &DecodeLimits,
) -> Result<(), VisionError> {
    if width == 0 || height == 0 {
        return Err(bad("the picture has no pixels"));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.max_pixels {
        return Err(VisionError::Rejected {
            reason: format!(
                "{width}x{height} is {pixels} pixels, the limit is {}",
                limits.max_pixels
            ),
        });
    }
    if bytes > limits.max_bytes {
        return Err(VisionError::Rejected {
            reason: format!(
                "{width}x{height} takes {bytes} bytes decoded, the limit is {}",
                limits.max_bytes
            ),
        });
    }
    Ok(())
}

/// Whether the last scan of a JPEG is closed. Looked for after the last start of scan, because the
/// thumbnail inside a photo has an end marker of its own.
fn has_end_marker(jpeg: &[u8]) -> bool {
    // Nearly every file ends with it, and looking for the scan means to read all of it.
    if jpeg.ends_with(&[0xFF, 0xD9]) {
        return true;
    }
    let marker = |code: u8| move |pair: &[u8]| pair == [0xFF, code];
    let scan = jpeg.windows(2).rposition(marker(0xDA)).unwrap_or(0);
    jpeg[scan..].windows(2).any(marker(0xD9))
}

/// The decoder leaves rows that never came at mid grey; a photo does not have such rows.
fn check_missing_rows(picture: &DynamicImage) -> Result<(), VisionError> {
    let height = picture.height();
    let row_bytes = picture.as_bytes().len() / height as usize;
    let rows = picture.as_bytes().chunks_exact(row_bytes).rev();
    let missing = rows.take_while(|row| row.iter().all(|value| *value == 128)).count();
    if missing * MISSING_ROWS as usize > height as usize {
        return Err(bad(&format!("the file ends early: {missing} of {height} rows are missing")));
    }
    Ok(())
}

fn over_black(picture: DynamicImage) -> DynamicImage {
    if !picture.color().has_alpha() {
        return picture;
    }
    let mut rgba = picture.into_rgba8();
    for pixel in rgba.pixels_mut() {
        let alpha = u16::from(pixel.0[3]);
        for channel in &mut pixel.0[..3] {
            *channel = ((u16::from(*channel) * alpha + 127) / 255) as u8;
        }
    }
    DynamicImage::ImageRgba8(rgba)
}

/// A codec's error in words. Its own text, which is made for programmers, goes to the log.
fn explain(error: ImageError, format: ImageFormat, limits: &DecodeLimits) -> VisionError {
    let name = match format {
        ImageFormat::Jpeg => "JPEG",
        ImageFormat::Png => "PNG",
        ImageFormat::WebP => "WebP",
        ImageFormat::Bmp => "BMP",
        ImageFormat::Gif => "GIF",
        ImageFormat::Tiff => "TIFF",
        _ => "picture",
    };
    tracing::debug!(%error, format = name, "a codec refused a photo");
    match error {
        ImageError::Limits(_) => VisionError::Rejected {
            reason: format!(
                "the {name} data takes more memory than the limit of {} bytes",
                limits.max_bytes
            ),
        },
        ImageError::Unsupported(_) => {
            bad(&format!("this kind of {name} is not supported; save it as an ordinary one"))
        }
        ImageError::IoError(_) => bad(&format!("the {name} data ends early")),
        _ => bad(&format!("the {name} data is damaged")),
    }
}

fn bad(reason: &str) -> VisionError {
    VisionError::Decode { reason: reason.to_owned() }
}

#[cfg(test)]
mod tests;
