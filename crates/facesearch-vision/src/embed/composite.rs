//! Several recognition models that look at each face together.
//!
//! Each model has chips of its own, so they travel as one: [`Mosaic`] cuts all of them and puts
//! them one below the other, [`Composite`] takes them apart again. The embedding is the models'
//! embeddings one after the other, each scaled by `√weight / threshold`. Its squared L2 distance is
//! then the weighted sum of the models' squared distances, each in units of that model's own
//! threshold: whatever searches by L2 searches by the ensemble, and 1 is where the models are
//! undecided.

use std::sync::Arc;

use facesearch_core::{
    BoundingBox, Chip, DetectedFace, Embedder, Embedding, Landmarks, Metric, Photo, VisionError,
};

use crate::align::Aligner;

/// One model of an ensemble.
pub struct CompositePart {
    /// What cuts its chips; all of one size.
    pub aligner: Box<dyn Aligner>,
    /// The model.
    pub embedder: Box<dyn Embedder>,
    /// What it counts; the weights of all parts should add up to 1.
    pub weight: f64,
    /// Its own threshold, L2, above 0.
    pub threshold: f64,
}

/// The ensemble as an aligner and an embedder that belong together. `name` is the embedder's.
///
/// Panics without parts, or where a weight or a threshold is not above 0: that is a bug.
pub fn composite(name: String, parts: Vec<CompositePart>) -> (Mosaic, Composite) {
    assert!(!parts.is_empty(), "an ensemble has models");
    let (mut aligners, mut members) = (Vec::new(), Vec::new());
    for part in parts {
        assert!(part.weight > 0.0 && part.threshold > 0.0, "weights and thresholds are above 0");
        let scale = part.weight.sqrt() / part.threshold;
        members.push(Member {
            size: size_of_chips(&*part.aligner),
            embedder: part.embedder,
            scale,
        });
        aligners.push(part.aligner);
    }
    let names: Vec<_> = aligners.iter().map(|aligner| aligner.name()).collect();
    let mosaic = Mosaic { name: names.join(" | "), aligners };
    (mosaic, Composite { name, members: members.into() })
}

/// What an aligner's chips measure, as cut from a photo with nothing on it.
fn size_of_chips(aligner: &dyn Aligner) -> [u32; 2] {
    let blank = Photo::new(64, 64, vec![128; 64 * 64 * 3]);
    let points = [[24.0, 26.0], [40.0, 26.0], [32.0, 34.0], [26.0, 42.0], [38.0, 42.0]];
    let face = DetectedFace {
        bbox: BoundingBox { x: 16.0, y: 12.0, width: 32.0, height: 40.0 },
        score: 1.0,
        landmarks: Landmarks(points),
    };
    let chip = aligner.chip(&blank, &face);
    [chip.width(), chip.height()]
}

/// The chips of several models one below the other, the narrower ones filled up with black.
pub struct Mosaic {
    aligners: Vec<Box<dyn Aligner>>,
    name: String,
}

impl Aligner for Mosaic {
    fn name(&self) -> &str {
        &self.name
    }

    fn chip(&self, photo: &Photo, face: &DetectedFace) -> Chip {
        let chips: Vec<_> = self.aligners.iter().map(|one| one.chip(photo, face)).collect();
        let width = chips.iter().map(Chip::width).max().unwrap_or(0);
        let height = chips.iter().map(Chip::height).sum();
        let mut pixels = Vec::with_capacity(width as usize * height as usize * 3);
        for chip in &chips {
            for row in chip.rgb().chunks_exact((chip.width() as usize * 3).max(1)) {
                pixels.extend_from_slice(row);
                pixels.resize(pixels.len() + (width - chip.width()) as usize * 3, 0);
            }
        }
        Chip::new(width, height, pixels)
    }
}

struct Member {
    embedder: Box<dyn Embedder>,
    /// Pixels across and down of its chips.
    size: [u32; 2],
    scale: f64,
}

/// The embedder for the chips of the [`Mosaic`] that it was made with.
#[derive(Clone)]
pub struct Composite {
    name: String,
    members: Arc<[Member]>,
}

impl Embedder for Composite {
    fn name(&self) -> &str {
        &self.name
    }

    fn dim(&self) -> usize {
        self.members.iter().map(|member| member.embedder.dim()).sum()
    }

    /// The parts are scaled already, each in its own metric.
    fn metric(&self) -> Metric {
        Metric::L2
    }

    fn batch_size(&self) -> usize {
        self.members.iter().map(|member| member.embedder.batch_size()).min().unwrap_or(1)
    }

    /// A face that one of the models gives no vector for has none.
    fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
        let mut whole: Vec<Option<Vec<f32>>> =
            vec![Some(Vec::with_capacity(self.dim())); chips.len()];
        let mut top = 0;
        for Member { embedder, size, scale } in self.members.iter() {
            let own: Vec<Chip> = chips.iter().map(|chip| cut(chip, top, *size)).collect();
            for (vector, part) in whole.iter_mut().zip(embedder.embed(&own)?) {
                match (&mut *vector, part) {
                    (Some(vector), Some(part)) => vector.extend(
                        part.as_slice().iter().map(|value| (f64::from(*value) * scale) as f32),
                    ),
                    _ => *vector = None,
                }
            }
            top += size[1];
        }
        let embedding = |vector: Vec<f32>| Embedding::new(vector, Metric::L2).ok();
        Ok(whole.into_iter().map(|vector| vector.and_then(embedding)).collect())
    }
}

/// The part of a mosaic that begins `top` rows down.
fn cut(mosaic: &Chip, top: u32, [width, height]: [u32; 2]) -> Chip {
    let rows = mosaic.rgb().chunks_exact((mosaic.width() as usize * 3).max(1));
    let rows = rows.skip(top as usize).take(height as usize);
    let pixels = rows.flat_map(|row| &row[..width as usize * 3]).copied().collect();
    Chip::new(width, height, pixels)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cuts a chip of one colour, of any size.
    struct Plain([u32; 2], u8);

    impl Aligner for Plain {
        fn name(&self) -> &str {
            "plain"
        }

        fn chip(&self, photo: &Photo, face: &DetectedFace) -> Chip {
            // The face's score stands for what is seen in it.
            let colour = self.1 + (face.score * 10.0) as u8 + (photo.width() == 0) as u8;
            let [width, height] = self.0;
            Chip::new(width, height, vec![colour; (width * height * 3) as usize])
        }
    }

    /// Gives the sum of a chip's pixels and its width; nothing for a chip that begins with `not`.
    struct Sum {
        metric: Metric,
        not: u8,
    }

    impl Embedder for Sum {
        fn name(&self) -> &str {
            "sum"
        }

        fn dim(&self) -> usize {
            2
        }

        fn metric(&self) -> Metric {
            self.metric
        }

        fn batch_size(&self) -> usize {
            4
        }

        fn embed(&self, chips: &[Chip]) -> Result<Vec<Option<Embedding>>, VisionError> {
            let one = |chip: &Chip| {
                let sum = chip.rgb().iter().map(|byte| f32::from(*byte)).sum();
                let vector = vec![sum, chip.width() as f32];
                (chip.rgb()[0] != self.not).then(|| Embedding::new(vector, self.metric).unwrap())
            };
            Ok(chips.iter().map(one).collect())
        }
    }

    fn part(size: [u32; 2], colour: u8, sum: Sum, weight: f64, threshold: f64) -> CompositePart {
        let (aligner, embedder) = (Box::new(Plain(size, colour)), Box::new(sum));
        CompositePart { aligner, embedder, weight, threshold }
    }

    fn ensemble(not: u8) -> (Mosaic, Composite) {
        let plain = |metric| Sum { metric, not };
        composite(
            "both".into(),
            vec![
                part([2, 3], 1, plain(Metric::L2), 0.25, 2.0),
                part([5, 1], 40, plain(Metric::NormalisedL2), 0.75, 0.5),
            ],
        )
    }

    fn face(score: f32) -> DetectedFace {
        let bbox = BoundingBox { x: 0.0, y: 0.0, width: 1.0, height: 1.0 };
        DetectedFace { bbox, score, landmarks: Landmarks([[0.0; 2]; 5]) }
    }

    #[test]
    fn squared_distances_add_up_by_weight_in_units_of_the_thresholds() {
        let (mosaic, embedder) = ensemble(0);
        let photo = Photo::new(1, 1, vec![0; 3]);
        let chips = [0.1, 0.7].map(|score| mosaic.chip(&photo, &face(score)));
        assert_eq!((chips[0].width(), chips[0].height()), (5, 4));
        let whole: Vec<_> = embedder.embed(&chips).unwrap().into_iter().flatten().collect();
        assert_eq!((embedder.dim(), whole[0].dim(), embedder.batch_size()), (4, 4, 4));
        // Each model on its own chips.
        let apart = |size, colour, metric| {
            let chips = [0.1, 0.7].map(|score| Plain(size, colour).chip(&photo, &face(score)));
            let both = Sum { metric, not: 0 }.embed(&chips).unwrap();
            f64::from(both[0].as_ref().unwrap().distance(both[1].as_ref().unwrap()).get())
        };
        let (a, b) = (apart([2, 3], 1, Metric::L2), apart([5, 1], 40, Metric::NormalisedL2));
        let want = 0.25 * (a / 2.0).powi(2) + 0.75 * (b / 0.5).powi(2);
        let got = f64::from(whole[0].distance(&whole[1]).get()).powi(2);
        assert!((got / want - 1.0).abs() < 1e-5, "{got} is not {want}");
    }

    #[test]
    fn a_face_that_one_model_gives_up_has_no_embedding() {
        // The second face's second chip begins with 47.
        let (mosaic, embedder) = ensemble(47);
        let photo = Photo::new(1, 1, vec![0; 3]);
        let chips = [0.1, 0.7, 0.2].map(|score| mosaic.chip(&photo, &face(score)));
        let got = embedder.embed(&chips).unwrap();
        assert_eq!(got.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    }
}
