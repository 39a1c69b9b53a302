//! A face cut out of its photo, as part of a page.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use facesearch_core::BoundingBox;
use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, crop_imm, resize};
use maud::{Markup, html};

/// Pixels of a picture, across and down.
const SIZE: u32 = 112;
/// How much around the face is shown, as a share of its box on each side.
const AROUND: f32 = 0.2;

/// The face at `bbox` in a photo, as a picture inside of the page; a word where the photo is gone
/// or cannot be read, for a report is no reason to fail, or where nobody knows which part of it to
/// cut out, as with imported vectors.
pub(crate) fn crop(photo: &Path, bbox: &BoundingBox, words: &str) -> Markup {
    if bbox.width <= 0.0 || bbox.height <= 0.0 {
        return html! { span.gone { "no place in a photo is known" } };
    }
    match encoded(photo, bbox) {
        Some(jpeg) => {
            let source = format!("data:image/jpeg;base64,{}", STANDARD.encode(jpeg));
            html! { img src=(source) width=(SIZE) height=(SIZE) alt=(words) title=(words); }
        }
        None => html! { span.gone { "photo not to be had" } },
    }
}

fn encoded(photo: &Path, bbox: &BoundingBox) -> Option<Vec<u8>> {
    let photo = facesearch::read_photo(photo).ok()?;
    let (width, height) = (photo.width(), photo.height());
    let picture = RgbImage::from_raw(width, height, photo.rgb().to_vec())?;
    let side = bbox.width.max(bbox.height) * (1.0 + 2.0 * AROUND);
    let corner = |start: f32, length: f32, limit: u32| {
        (start + length / 2.0 - side / 2.0).clamp(0.0, limit.saturating_sub(1) as f32) as u32
    };
    let (x, y) = (corner(bbox.x, bbox.width, width), corner(bbox.y, bbox.height, height));
    let side = (side.round() as u32).max(1);
    let face = crop_imm(&picture, x, y, side.min(width - x), side.min(height - y)).to_image();
    let small = resize(&face, SIZE, SIZE, FilterType::Triangle);
    let mut jpeg = Vec::new();
    JpegEncoder::new_with_quality(&mut jpeg, 82).encode_image(&small).ok()?;
    Some(jpeg)
}
