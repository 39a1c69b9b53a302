//! A model that sees each face twice: as it is, and in the mirror.
//!
//! The mean of the two embeddings carries less of what is chance in one of them (how the chip was
//! cut, where the light came from), so photos of one person come closer together than photos of two people do. For
//! dlib's network on LFW View 1 the mean distance of one person's photos falls by 5 %, that of two
//! people's by 1.5 % (`docs/alignment.md`). dlib offers the same with random views
//! ("jitters"). The price is twice the work.

use facesearch_core::{Chip, Embedder, Embedding, Metric, VisionError};

/// An [`Embedder`] that gives the mean of a chip's embedding and its mirror image's.
pub struct Mirrored<E> {
    inner: E,
    name: String,
}

impl<E: Embedder> Mirrored<E> {
    /// `inner` with a name of its own, `<inner>-mirrored`: its embeddings are not comparable with
    /// the plain ones.
    pub fn new(inner: E) -> Self {
        let name = format!("{}-mirrored", inner.name());
        Self { inner, name }
    }
}

impl<E: Embedder> Embedder for Mirrored<E> {
    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn metric(&self) -> Metric {
        self.inner.metric()
    }

    fn batch_size(&self) -> usize {
        self.inner.batch_size().div_ceil(2)
    }

    fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
        let both: Vec<Chip> = chips.iter().cloned().chain(chips.iter().map(mirrored)).collect();
        let mut plain = self.inner.embed(&both)?;
        let mirrored = plain.split_off(chips.len());
        let mean = |(a, b): (Option<Embedding>, Option<Embedding>)| {
            let (a, b) = a.zip(b)?;
            let numbers = a.as_slice().iter().zip(b.as_slice()).map(|(a, b)| (a + b) / 2.0);
            Embedding::new(numbers.collect(), self.metric()).ok()
        };
        Ok(plain.into_iter().zip(mirrored).map(mean).collect())
    }
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
        let embedder = Mirrored::new(FirstBytes);
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
}
