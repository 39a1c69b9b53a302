//! What decoding a picture takes, told from its header.
//!
//! A codec's memory beside the picture follows from numbers that stand in the first bytes, or in a
//! few places that are found by skipping from one to the next. The figures are those of the codecs
//! in use (zune-jpeg, image-webp, png, gif, tiff), and `tests/swelling.rs` compares them with what
//! is really taken.

use image::{ColorType, ImageDecoder, ImageFormat};

/// Bytes of memory that every codec may take for its tables.
const TABLES: u64 = 1 << 20;

/// What a picture takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// Bytes at the worst moment between the first and the last pixel, besides the file's.
    pub(super) peak: u64,
}

impl Cost {
    /// Of the picture in `bytes`, whose header `decoder` has read, and which is turned on its side
    /// or not.
    pub(super) fn of(
        bytes: &[u8],
        format: ImageFormat,
        decoder: &impl ImageDecoder,
        is_turned: bool,
    ) -> Self {
        let (width, height) = decoder.dimensions();
        let pixels = u64::from(width) * u64::from(height);
        let (picture, rgb) = (decoder.total_bytes(), pixels.saturating_mul(3));
        let file = bytes.len() as u64;
        let codec = match format {
            // It keeps a copy of the file, and its texts and profiles.
            ImageFormat::Jpeg => jpeg(bytes).saturating_add(3 * file),
            ImageFormat::Png => of_png_header(bytes),
            ImageFormat::WebP => webp(bytes, pixels).saturating_add(file),
            // The frame, where it is not of the picture's size.
            ImageFormat::Gif => gif_frame(bytes),
            // All samples before they are brought to three colours, and a strip as it lies in the
            // file.
            ImageFormat::Tiff => picture.saturating_mul(4).div_ceil(3).saturating_add(2 * file),
            _ => 0,
        };
        let color = decoder.color_type();
        // What has transparency is brought to four bytes a pixel before it is brought to three.
        let (before, between) = match color.has_alpha() {
            true if color == ColorType::Rgba8 => (0, picture),
            true => (picture.saturating_add(rgb / 3 * 4), rgb / 3 * 4),
            false => (0, picture),
        };
        let to_rgb = if color == ColorType::Rgb8 { 0 } else { between.saturating_add(rgb) };
        // A quarter turn makes a picture anew.
        let turned = if is_turned { rgb.saturating_mul(2) } else { rgb };
        let peak = [picture.saturating_add(codec), before, to_rgb, turned].into_iter().max();
        Self { peak: peak.unwrap_or(0).saturating_add(TABLES) }
    }
}

/// What the decoder of a PNG may take besides the picture: a few rows, and texts and profiles, of
/// which none that is of use is longer than a few megabytes.
pub(super) fn of_png_header(bytes: &[u8]) -> u64 {
    const METADATA: u64 = 4 << 20;
    let number = |at: usize| bytes.get(at..at + 4).and_then(|b| b.first_chunk().copied());
    let width = number(16).map_or(0, u32::from_be_bytes);
    // Eight bytes a pixel at most, each row with its neighbours.
    let rows = 4 * 8 * u64::from(width);
    METADATA.saturating_add(rows).saturating_add(4 * bytes.len() as u64)
}

/// What the decoder of a JPEG takes besides the picture and copies of the file, as the segments
/// before the first scan say.
fn jpeg(bytes: &[u8]) -> u64 {
    let mut most = 0;
    let mut frame = None;
    let mut at = 2;
    while let Some([0xFF, marker]) = bytes.get(at..at + 2) {
        match marker {
            // Fill bytes, and markers without a length.
            0xFF => at += 1,
            0x01 | 0xD0..=0xD8 => at += 2,
            _ => {
                let Some(length) = bytes.get(at + 2..at + 4) else { break };
                let length = usize::from(u16::from_be_bytes([length[0], length[1]]));
                let segment = bytes.get(at + 4..at + 2 + length.max(2)).unwrap_or_default();
                match marker {
                    0xC0..=0xC2 => frame = Frame::read(*marker == 0xC2, segment),
                    0xDA => {
                        let in_scan = segment.first().copied().unwrap_or(0);
                        let memory = frame.as_ref().map_or(0, |frame| frame.memory(in_scan));
                        return most.max(memory);
                    }
                    _ => {}
                }
                most = most.max(frame.as_ref().map_or(0, |frame| frame.memory(0)));
                at += 2 + length.max(2);
            }
        }
    }
    most
}

/// What a JPEG says of its samples.
struct Frame {
    is_progressive: bool,
    width: u64,
    height: u64,
    /// Samples across and down of each component in a block of all.
    components: Vec<[u64; 2]>,
}

impl Frame {
    fn read(is_progressive: bool, segment: &[u8]) -> Option<Self> {
        let [_, h1, h0, w1, w0, count, rest @ ..] = segment else { return None };
        let side = |high: &u8, low: &u8| u64::from(u16::from_be_bytes([*high, *low]));
        let sampling = |part: &[u8]| [u64::from(part[1] >> 4), u64::from(part[1] & 15)];
        let components = rest.chunks_exact(3).take(usize::from(*count)).map(sampling).collect();
        Some(Self { is_progressive, width: side(w1, w0), height: side(h1, h0), components })
    }

    /// Bytes that are needed besides the picture, where the first scan has so many components.
    fn memory(&self, in_scan: u8) -> u64 {
        let most = |axis: usize| self.components.iter().map(|part| part[axis]).max().unwrap_or(1);
        let [across, down] = [most(0).max(1), most(1).max(1)];
        let blocks = self.width.div_ceil(8 * across) * self.height.div_ceil(8 * down);
        let samples = |[h, v]: &[u64; 2]| blocks.saturating_mul(64 * h * v);
        let all: u64 = self.components.iter().map(samples).fold(0, u64::saturating_add);
        // All coefficients are kept where they do not come in one scan, 16 bits each.
        let at_once = !self.is_progressive && usize::from(in_scan) == self.components.len();
        let coefficients = if at_once { 0 } else { all.saturating_mul(2) };
        // A row of blocks of each component, and the same enlarged.
        let row = (self.width + 8 * across) * 16;
        let rows: u64 = self.components.iter().map(|part| part[1] + 2 * across * down).sum();
        coefficients.saturating_add(row.saturating_mul(rows + 4))
    }
}

/// A chunk of a RIFF file.
struct Chunk<'a> {
    name: &'a [u8],
    /// As much of it as is there.
    content: &'a [u8],
    is_cut: bool,
}

/// The chunks of a RIFF file from `bytes` on.
fn chunks(mut bytes: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    std::iter::from_fn(move || {
        let (head, rest) = bytes.split_at_checked(8)?;
        let (name, length) = head.split_at(4);
        let length = u32::from_le_bytes(*length.first_chunk()?) as usize;
        let content = &rest[..length.min(rest.len())];
        bytes = rest.get(length.checked_add(length % 2)?..).unwrap_or_default();
        Some(Chunk { name, content, is_cut: content.len() < length })
    })
}

/// Whether the EXIF chunk of a WebP claims to be longer than the file.
pub(super) fn is_exif_cut(bytes: &[u8]) -> bool {
    let mut chunks = chunks(bytes.get(12..).unwrap_or_default());
    chunks.any(|chunk| chunk.name == b"EXIF" && chunk.is_cut)
}

/// What the decoder of a WebP takes besides the picture, which has so many pixels.
fn webp(bytes: &[u8], pixels: u64) -> u64 {
    let of_chunk = |chunk: Chunk<'_>| match chunk.name {
        b"VP8 " => {
            let side = |at: usize| {
                let side = chunk.content.get(at..at + 2).and_then(|b| b.first_chunk().copied());
                u64::from(side.map_or(0, u16::from_le_bytes) & 0x3FFF).next_multiple_of(16)
            };
            // One sample of brightness for each pixel, two of colour for four.
            side(6) * side(8) * 3 / 2
        }
        // Four bytes a pixel, and the tables by which they are predicted.
        b"VP8L" => pixels.saturating_mul(5),
        // Four bytes a pixel, of which one is taken.
        b"ALPH" => pixels.saturating_mul(6),
        _ => 0,
    };
    let (mut still, mut moving) = (0u64, 0u64);
    for chunk in chunks(bytes.get(12..).unwrap_or_default()) {
        if chunk.name == b"ANMF" {
            // A picture of an animation is read by itself, and then laid on the canvas. One is
            // read.
            let parts = chunks(chunk.content.get(16..).unwrap_or_default()).map(of_chunk);
            moving = moving.max(parts.fold(pixels.saturating_mul(4), u64::saturating_add));
        } else {
            still = still.saturating_add(of_chunk(chunk));
        }
    }
    still.max(moving)
}

/// Bytes of the first frame of a GIF: a number of its palette and a colour for each pixel.
fn gif_frame(bytes: &[u8]) -> u64 {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 2).and_then(|b| b.first_chunk().copied());
        u64::from(bytes.map_or(0, u16::from_le_bytes))
    };
    let table = |flags: u8| if flags & 0x80 != 0 { 3 << ((flags & 7) + 1) } else { 0 };
    let mut at = 13 + bytes.get(10).map_or(0, |flags| table(*flags));
    loop {
        match bytes.get(at) {
            Some(0x2C) => return number(at + 5) * number(at + 7) * 5,
            // An extension: blocks, each behind its length, up to one of none.
            Some(0x21) => {
                at += 2;
                while let Some(length) = bytes.get(at).copied().filter(|length| *length > 0) {
                    at += 1 + usize::from(length);
                }
                at += 1;
            }
            _ => return 0,
        }
    }
}
