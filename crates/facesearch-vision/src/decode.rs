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
//! - **Memory:** what a codec takes at its peak is estimated from the header before anything is
//!   decoded (`decode/cost.rs`): thirty bytes can claim a picture of a gigabyte.
//! - **JPEG that ends early:** read as far as it goes when at most one row in twenty is missing, an
//!   error otherwise: the rest would be grey, and a face cut in half is worse than none.

mod cost;

use std::io::Cursor;

use facesearch_core::{Photo, VisionError, catch_panic};
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use self::cost::Cost;

/// A picture of which more than one row in this many is missing is not shown to the detector.
const MISSING_ROWS: u32 = 20;

/// How much a photo may ask for. A few bytes can claim to be a picture of a gigabyte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeLimits {
    /// Most pixels that a photo may have, whatever its shape.
    pub max_pixels: u64,
    /// Most bytes of memory that decoding a photo may take at any time, besides those of its file:
    /// the codec's own, and the picture, which is there twice while it is turned upright.
    pub max_memory: u64,
}

impl Default for DecodeLimits {
    /// 200 megapixels (the largest phone sensors made) and 2 GiB: a progressive JPEG of that size
    /// takes 1.2 to 1.8 GB, depending on its colours.
    fn default() -> Self {
        Self { max_pixels: 200_000_000, max_memory: 2 << 30 }
    }
}

/// Decodes a photo and turns it upright: JPEG, PNG, WebP, BMP, GIF or TIFF.
///
/// The same bytes always give the same pixels.
///
/// # Errors
///
/// [`VisionError::Rejected`] where the picture is larger, or takes more memory to decode, than
/// `limits` allow, with both numbers; [`VisionError::Decode`] where the bytes are no picture, or
/// not enough of one.
pub fn decode(bytes: &[u8], limits: &DecodeLimits) -> Result<Photo, VisionError> {
    if bytes.is_empty() {
        return Err(bad("the file is empty"));
    }
    // The codecs promise errors, not panics, for any bytes. Should one break that promise on one
    // file in a million, the run must still go on; nothing is shared that could be left half done.
    catch_panic(|| decode_with_codec(bytes, limits))
        .unwrap_or_else(|_| Err(bad("the decoder gave up on this file")))
}

/// How many bytes of memory decoding a photo takes at most, as its header says, besides those of
/// its file, and the pixels it becomes. `None` for what is no picture.
pub(crate) fn memory(bytes: &[u8]) -> Option<(u64, u64)> {
    let header = || {
        let (format, mut decoder) = open(bytes, &Limits::no_limits()).ok()?;
        let (width, height) = decoder.dimensions();
        let is_turned = is_turned(orientation(bytes, format, &mut decoder));
        let cost = Cost::of(bytes, format, &decoder, is_turned);
        Some((cost.peak, u64::from(width) * u64::from(height)))
    };
    catch_panic(header).ok().flatten()
}

/// The codec for these bytes, which has read the header.
fn open<'a>(
    bytes: &'a [u8],
    limits: &Limits,
) -> Result<(ImageFormat, impl ImageDecoder + 'a), (Option<ImageFormat>, ImageError)> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|error| (None, ImageError::IoError(error)))?;
    let format = reader.format();
    let mut allowed = limits.clone();
    if format == Some(ImageFormat::Png) {
        // It reads texts and profiles with the header, and unpacks the profiles.
        let most = allowed.max_alloc.unwrap_or(u64::MAX).min(cost::of_png_header(bytes));
        allowed.max_alloc = Some(most);
    }
    reader.limits(allowed);
    let decoder = reader.into_decoder().map_err(|error| (format, error))?;
    Ok((format.expect("a format without a name has no decoder"), decoder))
}

fn decode_with_codec(bytes: &[u8], limits: &DecodeLimits) -> Result<Photo, VisionError> {
    // The limits go to the codec before it reads its first header; what it finds there is checked
    // below, where all numbers are at hand.
    let mut allowed = Limits::no_limits();
    allowed.max_alloc = Some(limits.max_memory);
    let (format, mut decoder) =
        open(bytes, &allowed).map_err(|(format, error)| explain(error, format, limits))?;
    let explain = |error| explain(error, Some(format), limits);
    let orientation = orientation(bytes, format, &mut decoder);
    let cost = Cost::of(bytes, format, &decoder, is_turned(orientation));
    check_size(decoder.dimensions(), cost, limits)?;
    allowed.reserve(decoder.total_bytes()).map_err(explain)?;
    decoder.set_limits(allowed).map_err(explain)?;
    let picture = DynamicImage::from_decoder(decoder).map_err(explain)?;
    if format == ImageFormat::Jpeg && !has_end_marker(bytes) {
        check_missing_rows(&picture)?;
    }
    // To three bytes a pixel first, so that the least is turned.
    let mut upright = DynamicImage::ImageRgb8(over_black(picture).into_rgb8());
    upright.apply_orientation(orientation);
    let upright = upright.into_rgb8();
    Ok(Photo::new(upright.width(), upright.height(), upright.into_raw()))
}

/// How the picture was held, if its file says so.
fn orientation(bytes: &[u8], format: ImageFormat, decoder: &mut impl ImageDecoder) -> Orientation {
    // The codec would make room for whatever length an EXIF chunk claims.
    if format == ImageFormat::WebP && cost::is_exif_cut(bytes) {
        return Orientation::NoTransforms;
    }
    decoder.orientation().unwrap_or(Orientation::NoTransforms)
}

/// Whether a picture has to be made anew to be upright, rather than turned in its place.
fn is_turned(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

fn check_size(
    (width, height): (u32, u32),
    cost: Cost,
    limits: &DecodeLimits,
) -> Result<(), VisionError> {
    if width == 0 || height == 0 {
        return Err(bad("the picture has no pixels"));
    }
    let pixels = u64::from(width) * u64::from(height);
    let most = limits.max_pixels;
    if pixels > most {
        let reason = format!("{width}x{height} is {pixels} pixels, the limit is {most}");
        return Err(VisionError::Rejected { reason });
    }
    let (bytes, most) = (cost.peak, limits.max_memory);
    if bytes > most {
        let reason = format!(
            "{width}x{height} takes about {bytes} bytes of memory to decode, the limit is {most}"
        );
        return Err(VisionError::Rejected { reason });
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
fn explain(error: ImageError, format: Option<ImageFormat>, limits: &DecodeLimits) -> VisionError {
    let name = match format {
        Some(ImageFormat::Jpeg) => "JPEG",
        Some(ImageFormat::Png) => "PNG",
        Some(ImageFormat::WebP) => "WebP",
        Some(ImageFormat::Bmp) => "BMP",
        Some(ImageFormat::Gif) => "GIF",
        Some(ImageFormat::Tiff) => "TIFF",
        _ => {
            return bad("the content is none of JPEG, PNG, WebP, BMP, GIF and TIFF, whatever the \
                        file's name");
        }
    };
    tracing::debug!(%error, format = name, "a codec refused a photo");
    match error {
        ImageError::Limits(_) => VisionError::Rejected {
            reason: format!(
                "the {name} data takes more memory than the limit of {} bytes",
                limits.max_memory
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
