//! Space-to-depth: blocks of 2x2 pixels become one pixel of four times the channels.

use crate::kernels::Form;
use crate::layers::Map;
use crate::network::Window;

/// The map of an input after space-to-depth. On it, a window of 4x4 and stride 1 does what the
/// original window does with stride 2.
pub(super) fn deep_map(input: &Map, output: &Map) -> Map {
    let extra = Form::SpaceToDepth.taps() - 1;
    let [height, width] = [output.height, output.width].map(|len| len + extra);
    Map { channels: 4 * input.channels, height, width, border: [0; 4] }
}

/// Writes an image after space-to-depth, with zeros where the window sees padding.
pub(super) fn space_to_depth(
    (from, map): (&[f32], &Map),
    (to, deep): (&mut [f32], &Map),
    window: &Window,
) {
    let [top, left] = [window.padding[0], window.padding[1]];
    let (channels, pair) = (map.channels, 2 * map.channels);
    for (y, line) in to.chunks_exact_mut(deep.row_stride()).enumerate() {
        for second in 0..2 {
            let pairs = line.chunks_exact_mut(2 * pair).map(|to| &mut to[second * pair..][..pair]);
            let y = (2 * y + second).wrapping_sub(top);
            if y >= map.height {
                pairs.for_each(|to| to.fill(0.0));
                continue;
            }
            let row = &from[map.offset(y, 0)..][..map.width * channels];
            for (x, to) in pairs.enumerate() {
                let x = (2 * x).wrapping_sub(left);
                if x < map.width && x + 1 < map.width {
                    let from = &row[x * channels..][..pair];
                    // Two pixels of three channels are the common case. A known length saves a call
                    // for a few bytes.
                    match (<&mut [f32; 6]>::try_from(&mut *to), <&[f32; 6]>::try_from(from)) {
                        (Ok(to), Ok(from)) => *to = *from,
                        _ => to.copy_from_slice(from),
                    }
                    continue;
                }
                for (to, x) in to.chunks_exact_mut(channels).zip([x, x.wrapping_add(1)]) {
                    match row.get(x.saturating_mul(channels)..) {
                        Some(from) if x < map.width => to.copy_from_slice(&from[..channels]),
                        _ => to.fill(0.0),
                    }
                }
            }
        }
    }
}
