//! From a chip's bytes to the numbers that a network was trained on.
//!
//! Each model has its own way, and none can be told from the file of weights. The names are those
//! of deepface (`deepface/modules/preprocessing.py`), whose presets people know.
//!
//! - **Trap:** the mean colours of VGG-Face are subtracted in the order blue, green, red, and
//!   deepface feeds every network blue first, also those that were trained on red first; its
//!   thresholds were measured that way. A model file here states its order.

use candle_core::{Device, Tensor};
use facesearch_core::Chip;

/// In which order a network reads the colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColourOrder {
    /// Red, green, blue, as a [`Chip`] has them.
    Rgb,
    /// Blue, green, red, as OpenCV has them.
    Bgr,
}

impl ColourOrder {
    /// The one of this name: `rgb` or `bgr`.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Rgb, Self::Bgr].into_iter().find(|order| order.name() == name)
    }

    /// Its name in options, records and the catalogue.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rgb => "rgb",
            Self::Bgr => "bgr",
        }
    }
}

/// How a byte `x` of a chip becomes a number.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Normalisation {
    /// `x` itself, 0 to 255.
    Raw,
    /// `x / 255` (DeepFace, OpenFace, DeepID).
    Base,
    /// `(x - mean) / deviation` of this chip's own numbers, all colours together; the deviation is
    /// that of the population, and at least one over the root of how many numbers there are.
    Facenet,
    /// `x / 127.5 - 1` (FaceNet as its author published it in 2018).
    Facenet2018,
    /// `x` less the mean colour of VGG-Face's training pictures; first, second and third channel
    /// 93.5940, 104.7624 and 129.1863, which are blue, green and red.
    VggFace,
    /// The same for VGGFace2's: 91.4953, 103.8827, 131.0912.
    VggFace2,
    /// `(x - 127.5) / 128`.
    ArcFace,
    /// `x / 255` less 0.485, 0.456 and 0.406, divided by 0.229, 0.224 and 0.225, which are red,
    /// green and blue (networks that began with ImageNet).
    ImageNet,
}

impl Normalisation {
    /// The one of this name, in any case: `base`, `raw`, `Facenet`, `Facenet2018`, `VGGFace`,
    /// `VGGFace2`, `ArcFace` as in deepface, and `ImageNet`.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "raw" => Self::Raw,
            "base" => Self::Base,
            "facenet" => Self::Facenet,
            "facenet2018" => Self::Facenet2018,
            "vggface" => Self::VggFace,
            "vggface2" => Self::VggFace2,
            "arcface" => Self::ArcFace,
            "imagenet" => Self::ImageNet,
            _ => return None,
        })
    }

    /// Its name, as it is written into an index.
    pub fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Base => "base",
            Self::Facenet => "facenet",
            Self::Facenet2018 => "facenet2018",
            Self::VggFace => "vggface",
            Self::VggFace2 => "vggface2",
            Self::ArcFace => "arcface",
            Self::ImageNet => "imagenet",
        }
    }

    /// For each channel factor and summand: `x * factor + summand`. `chip` is looked at only where
    /// they depend on it.
    fn linear(self, chip: &[u8]) -> [(f32, f32); 3] {
        let each = |mean: [f64; 3], deviation: [f64; 3]| {
            std::array::from_fn(|c| ((1.0 / deviation[c]) as f32, (-mean[c] / deviation[c]) as f32))
        };
        match self {
            Self::Raw => [(1.0, 0.0); 3],
            Self::Base => [(1.0 / 255.0, 0.0); 3],
            Self::Facenet => {
                let n = chip.len().max(1) as f64;
                let sum: u64 = chip.iter().map(|v| u64::from(*v)).sum();
                let squares: u64 = chip.iter().map(|v| u64::from(*v) * u64::from(*v)).sum();
                let mean = sum as f64 / n;
                let variance = squares as f64 / n - mean * mean;
                // A chip of one colour has no deviation, and nothing to tell a network.
                each([mean; 3], [variance.max(1.0 / n).sqrt(); 3])
            }
            Self::Facenet2018 => each([127.5; 3], [127.5; 3]),
            Self::VggFace => each([93.5940, 104.7624, 129.1863], [1.0; 3]),
            Self::VggFace2 => each([91.4953, 103.8827, 131.0912], [1.0; 3]),
            Self::ArcFace => each([127.5; 3], [128.0; 3]),
            Self::ImageNet => each(
                [0.485 * 255.0, 0.456 * 255.0, 0.406 * 255.0],
                [0.229 * 255.0, 0.224 * 255.0, 0.225 * 255.0],
            ),
        }
    }
}

/// What a network takes: the size of its chips, the order of its colours, the scale of its numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ChipInput {
    /// Pixels across and down.
    pub size: [u32; 2],
    /// Which colour comes first.
    pub colours: ColourOrder,
    /// How bytes become numbers.
    pub normalisation: Normalisation,
}

impl ChipInput {
    /// A name that tells two inputs apart, for an index's contract: `112x112-bgr-arcface`.
    pub fn name(&self) -> String {
        let [width, height] = self.size;
        format!("{width}x{height}-{}-{}", self.colours.name(), self.normalisation.name())
    }

    /// `(chips, 3, height, width)` numbers; in memory a pixel's colours lie together, as they do in
    /// the chips and in the networks' maps.
    pub(crate) fn tensor(&self, chips: &[Chip], device: &Device) -> candle_core::Result<Tensor> {
        let [width, height] = self.size;
        let (row, rows) = (3 * width as usize, height as usize);
        let mut numbers = vec![0f32; chips.len() * rows * row];
        for (chip, out) in chips.iter().zip(numbers.chunks_exact_mut(rows * row)) {
            if [chip.width(), chip.height()] != self.size {
                candle_core::bail!("a chip must be {width}x{height}, not {chip:?}")
            }
            let [first, second, third] = self.normalisation.linear(chip.rgb());
            let pixels = out.as_chunks_mut().0.iter_mut().zip(chip.rgb().as_chunks().0);
            let number = |byte, (factor, summand)| f32::from(byte) * factor + summand;
            match self.colours {
                ColourOrder::Rgb => pixels.for_each(|(to, &[red, green, blue])| {
                    *to = [number(red, first), number(green, second), number(blue, third)];
                }),
                ColourOrder::Bgr => pixels.for_each(|(to, &[red, green, blue])| {
                    *to = [number(blue, first), number(green, second), number(red, third)];
                }),
            }
        }
        let dims = (chips.len(), height as usize, width as usize, 3);
        Tensor::from_vec(numbers, dims, device)?.permute((0, 3, 1, 2))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use facesearch_core::{BoundingBox, DetectedFace, Landmarks, Photo};

    use super::*;
    use crate::align::{Aligner, BoxAligner};

    fn numbers(normalisation: Normalisation, colours: ColourOrder) -> Vec<f32> {
        let input = ChipInput { size: [2, 1], colours, normalisation };
        let chip = Chip::new(2, 1, vec![0, 50, 100, 150, 200, 255]);
        let x = input.tensor(&[chip], &Device::Cpu).unwrap();
        assert_eq!(x.dims(), [1, 3, 1, 2]);
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn near(got: &[f32], want: &[f32]) {
        assert_eq!(got.len(), want.len());
        for (g, w) in got.iter().zip(want) {
            assert!((g - w).abs() < 1e-4, "{got:?}, not {want:?}");
        }
    }

    #[test]
    fn colours_stand_in_planes_in_the_order_asked_for() {
        use ColourOrder::{Bgr, Rgb};
        near(&numbers(Normalisation::Raw, Rgb), &[0.0, 150.0, 50.0, 200.0, 100.0, 255.0]);
        near(&numbers(Normalisation::Raw, Bgr), &[100.0, 255.0, 50.0, 200.0, 0.0, 150.0]);
    }

    #[test]
    fn each_scale_is_the_formula_of_its_name() {
        let bgr = |n| numbers(n, ColourOrder::Bgr);
        let of = |f: fn(f32, usize) -> f32| -> Vec<f32> {
            let raw = [100.0, 255.0, 50.0, 200.0, 0.0, 150.0];
            raw.iter().enumerate().map(|(i, x)| f(*x, i / 2)).collect()
        };
        near(&bgr(Normalisation::Base), &of(|x, _| x / 255.0));
        near(&bgr(Normalisation::Facenet2018), &of(|x, _| x / 127.5 - 1.0));
        near(&bgr(Normalisation::ArcFace), &of(|x, _| (x - 127.5) / 128.0));
        near(&bgr(Normalisation::VggFace), &of(|x, c| x - [93.594, 104.7624, 129.1863][c]));
        near(&bgr(Normalisation::VggFace2), &of(|x, c| x - [91.4953, 103.8827, 131.0912][c]));
        let image_net: fn(f32, usize) -> f32 =
            |x, c| (x / 255.0 - [0.485, 0.456, 0.406][c]) / [0.229, 0.224, 0.225][c];
        near(&bgr(Normalisation::ImageNet), &of(image_net));
        // numpy: x = [100, 255, 50, 200, 0, 150]; (x - x.mean()) / x.std()
        let numpy =
            [-0.298_228_6, 1.491_143, -0.875_445_3, 0.856_204_7, -1.452_661_9, 0.278_988_06];
        near(&bgr(Normalisation::Facenet), &numpy);
    }

    /// What deepface computed: `models/reference/preprocessing_reference.py`.
    #[test]
    fn each_normalisation_equals_deepfaces() {
        let golden: Golden = serde_json::from_str(include_str!("preprocess/golden.json")).unwrap();
        assert_eq!(golden.normalised.len(), 7);
        for (name, want) in golden.normalised {
            let normalisation = Normalisation::named(&name).unwrap();
            let size = golden.chip.size;
            let input = ChipInput { size, colours: ColourOrder::Bgr, normalisation };
            let chip = Chip::new(size[0], size[1], golden.chip.rgb.clone());
            let x = input.tensor(&[chip], &Device::Cpu).unwrap();
            let got: Vec<f32> = x.flatten_all().unwrap().to_vec1().unwrap();
            assert_eq!(got.len(), want.len());
            for (g, w) in got.iter().zip(&want) {
                assert!((g - w).abs() <= 1e-5 * w.abs().max(1.0), "{name}: {g}, not {w}");
            }
        }
    }

    /// The same: deepface's chips have numbers between bytes, ours are rounded to the next.
    #[test]
    fn a_box_between_black_bars_equals_deepfaces() {
        let golden: Golden = serde_json::from_str(include_str!("preprocess/golden.json")).unwrap();
        let [width, height] = golden.photo.size;
        let photo = Photo::new(width, height, golden.photo.rgb);
        let bbox = BoundingBox { x: 0.0, y: 0.0, width: width as f32, height: height as f32 };
        let face = DetectedFace { bbox, score: 1.0, landmarks: Landmarks([[0.0; 2]; 5]) };
        assert!(!golden.resized.is_empty());
        for Resized { size: [width, height], rgb } in golden.resized {
            let chip = BoxAligner::padded(width, height).chip(&photo, &face);
            assert_eq!(chip.rgb().len(), rgb.len());
            let off = chip.rgb().iter().zip(&rgb).map(|(g, w)| (f32::from(*g) - w).abs());
            let off = off.fold(0.0, f32::max);
            assert!(off < 0.51, "{width}x{height}: {off}");
        }
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        chip: Pixels,
        normalised: BTreeMap<String, Vec<f32>>,
        photo: Pixels,
        resized: Vec<Resized>,
    }

    #[derive(serde::Deserialize)]
    struct Pixels {
        size: [u32; 2],
        rgb: Vec<u8>,
    }

    #[derive(serde::Deserialize)]
    struct Resized {
        size: [u32; 2],
        rgb: Vec<f32>,
    }

    #[test]
    fn a_chip_of_one_colour_gives_finite_numbers() {
        let input = ChipInput {
            size: [4, 4],
            colours: ColourOrder::Rgb,
            normalisation: Normalisation::Facenet,
        };
        let x = input.tensor(&[Chip::new(4, 4, vec![9; 48])], &Device::Cpu).unwrap();
        let x: Vec<f32> = x.flatten_all().unwrap().to_vec1().unwrap();
        assert!(x.iter().all(|v| v.is_finite() && v.abs() < 1.0));
    }

    #[test]
    fn names_lead_back_to_what_they_name() {
        for name in
            ["base", "raw", "Facenet", "Facenet2018", "VGGFace", "VGGFace2", "ArcFace", "ImageNet"]
        {
            let found = Normalisation::named(name).unwrap();
            assert_eq!(found.name(), name.to_ascii_lowercase());
        }
        assert_eq!(Normalisation::named("other"), None);
    }
}
