//! A model that sees each face several times: in every view of its chip, and each in the mirror.
//!
//! The mean of the embeddings carries less of what is chance in one of them (how the chip was cut,
//! where the light came from), so photos of one person come closer together than photos of two
//! people do. dlib offers the same with random views ("jitters"). `docs/alignment.md` has what two
//! alignments and the mirror gain for dlib's network. The price is twice the work for each view.

use facesearch_core::{Chip, Embedder, Embedding, Metric, VisionError};

/// An [`Embedder`] for chips of one or more square views, one above the other (as
/// [`Stacked`](crate::Stacked) cuts them): the mean over the views and their mirror images.
pub struct Views<E> {
    inner: E,
    name: String,
    metric: Metric,
}

impl<E: Embedder> Views<E> {
    /// `inner` with a name of its own, `<inner>-mirrored`: its embeddings are not comparable with
    /// the plain ones.
    pub fn new(inner: E) -> Self {
        let name = format!("{}-mirrored", inner.name());
        let metric = inner.metric();
        Self { inner, name, metric }
    }

    /// The same with embeddings for another metric. The mean is taken of `inner`'s embeddings as
    /// they are, whatever becomes of it then.
    pub fn with_metric(mut self, metric: Metric) -> Self {
        self.metric = metric;
        self
    }
}

impl<E: Embedder> Embedder for Views<E> {
    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn metric(&self) -> Metric {
        self.metric
    }

    fn batch_size(&self) -> usize {
        self.inner.batch_size().div_ceil(4)
    }

    fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
        let mut views = Vec::new();
        let mut counts = Vec::with_capacity(chips.len());
        for chip in chips {
            let before = views.len();
            for view in unstacked(chip) {
                views.push(mirrored(&view));
                views.push(view);
            }
            counts.push(views.len() - before);
        }
        let mut embeddings = self.inner.embed(&views)?.into_iter();
        let mut take = |count| embeddings.by_ref().take(count).collect::<Vec<_>>();
        let mean = |count| self.mean(take(count).into_iter().collect::<Option<_>>()?);
        Ok(counts.into_iter().map(mean).collect())
    }
}

impl<E: Embedder> Views<E> {
    fn mean(&self, views: Vec<Embedding>) -> Option<Embedding> {
        let mut sum = vec![0.0f32; self.dim()];
        for view in &views {
            sum.iter_mut().zip(view.as_slice()).for_each(|(sum, number)| *sum += number);
        }
        let mean = sum.into_iter().map(|number| number / views.len() as f32).collect();
        Embedding::new(mean, self.metric()).ok()
    }
}

/// The squares of a chip, from the top; a chip that is no stack of squares is its own only view.
fn unstacked(chip: &Chip) -> Vec<Chip> {
    let side = chip.width();
    if side == 0 || !chip.height().is_multiple_of(side) {
        return vec![chip.clone()];
    }
    let square = chip.rgb().chunks_exact(side as usize * side as usize * 3);
    square.map(|pixels| Chip::new(side, side, pixels.to_vec())).collect()
}

/// The chip with left and right exchanged.
fn mirrored(chip: &Chip) -> Chip {
    let rows = chip.rgb().chunks_exact(chip.width() as usize * 3);
    let pixels = rows.flat_map(|row| row.rchunks_exact(3)).flatten().copied();
    Chip::new(chip.width(), chip.height(), pixels.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a chip's first two bytes; none for a chip that starts with 9.
    struct FirstBytes;

    impl Embedder for FirstBytes {
        fn name(&self) -> &str {
            "first-bytes"
        }

        fn dim(&self) -> usize {
            2
        }

        fn metric(&self) -> Metric {
            Metric::L2
        }

        fn batch_size(&self) -> usize {
            8
        }

        fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
            let first = |chip: &Chip| {
                let numbers = chip.rgb()[..2].iter().map(|byte| f32::from(*byte)).collect();
                (chip.rgb()[0] != 9).then(|| Embedding::new(numbers, Metric::L2).unwrap())
            };
            Ok(chips.iter().map(first).collect())
        }
    }

    #[test]
    fn the_mean_of_both_views_in_the_order_of_the_chips() {
        let chip = |pixels: [[u8; 3]; 2]| Chip::new(2, 1, pixels.concat());
        let embedder = Views::new(FirstBytes);
        let chips = [
            chip([[1, 2, 0], [3, 6, 0]]),
            chip([[9, 0, 0], [1, 1, 1]]),
            chip([[5, 5, 0], [7, 7, 0]]),
        ];
        let got = embedder.embed(&chips).unwrap();
        assert_eq!(got[0].as_ref().unwrap().as_slice(), [2.0, 4.0]);
        assert_eq!(got[1], None);
        assert_eq!(got[2].as_ref().unwrap().as_slice(), [6.0, 6.0]);
        assert_eq!(embedder.name(), "first-bytes-mirrored");
    }

    #[test]
    fn stacked_views_are_taken_apart_and_averaged() {
        let pixels = [[1, 2, 0], [3, 6, 0], [0, 0, 0], [0, 0, 0]];
        let more = [[5, 4, 0], [7, 8, 0], [0, 0, 0], [0, 0, 0]];
        let chip = Chip::new(2, 4, [pixels.concat(), more.concat()].concat());
        let got = Views::new(FirstBytes).embed(&[chip]).unwrap();
        // The means of 1 and 3, 5 and 7; of 2 and 6, 4 and 8.
        assert_eq!(got[0].as_ref().unwrap().as_slice(), [4.0, 5.0]);
    }
}
