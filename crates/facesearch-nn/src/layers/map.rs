//! The memory layout of a value.

/// The layout of one value: images one after the other. An image is rows of pixels inside a border
/// of zeros, and the channels of a pixel are together.
///
/// The border is what convolutions read beyond the edge. It is as wide as the widest padding among
/// the layers that read the value by the definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Map {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
    /// Rows above, columns to the left, rows below, columns to the right.
    pub(crate) border: [usize; 4],
}

impl Map {
    /// Numbers from a row to the next.
    pub(crate) fn row_stride(&self) -> usize {
        (self.width + self.border[1] + self.border[3]) * self.channels
    }

    /// Numbers from an image to the next.
    pub(crate) fn image_stride(&self) -> usize {
        (self.height + self.border[0] + self.border[2]) * self.row_stride()
    }

    /// Numbers from the beginning of an image to its pixel at `(y, x)`.
    pub(crate) fn offset(&self, y: usize, x: usize) -> usize {
        (y + self.border[0]) * self.row_stride() + (x + self.border[1]) * self.channels
    }

    /// Cuts an image above row `y`. Returns how many numbers are above the cut, and the maps of
    /// both parts.
    pub(crate) fn cut(&self, y: usize) -> (usize, Map, Map) {
        let [above, left, below, right] = self.border;
        let upper = Map { height: y, border: [above, left, 0, right], ..*self };
        let lower = Map { height: self.height - y, border: [0, left, below, right], ..*self };
        (upper.image_stride(), upper, lower)
    }

    /// The range of row `y` of an image, without the border.
    pub(crate) fn row(&self, image: usize, y: usize) -> std::ops::Range<usize> {
        let start = image * self.image_stride() + self.offset(y, 0);
        start..start + self.width * self.channels
    }

    /// Writes the zeros of the border. Needed for each value, as memory is reused for other maps.
    pub(crate) fn clear_border(&self, images: &mut [f32]) {
        if self.border == [0; 4] {
            return;
        }
        let row = self.row_stride();
        let (left, right) = (self.border[1] * self.channels, self.border[3] * self.channels);
        for image in images.chunks_exact_mut(self.image_stride()) {
            let (above, rest) = image.split_at_mut(self.border[0] * row);
            let (rows, below) = rest.split_at_mut(self.height * row);
            above.fill(0.0);
            below.fill(0.0);
            for row in rows.chunks_exact_mut(row) {
                row[..left].fill(0.0);
                let end = row.len() - right;
                row[end..].fill(0.0);
            }
        }
    }
}
