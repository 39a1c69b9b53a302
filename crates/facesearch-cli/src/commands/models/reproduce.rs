//! `facesearch models reproduce deepface`: the article's six distances beside ours.
//!
//! The article feeds the network the box of OpenCV's Haar detector, stretched to 152x152, blue
//! first, divided by 255; deepface pads the box instead. Here the boxes are those of the detector
//! in use, stretched as in the article, so distances are near the article's and not equal to them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use facesearch::{Verified, VisionOptions};
use facesearch_core::{Threshold, ThresholdSource};
use serde::Serialize;

use crate::args::Global;
use crate::exit::{Exit, Failure};
use crate::open;
use crate::printer::{Printer, shown};

/// Compute what an article reports, and print both
#[derive(Debug, Args)]
pub(crate) struct ReproduceArgs {
    /// Which article
    #[arg(value_enum)]
    pub(crate) article: Article,

    /// The four photos in the article's order: 1 and 2 are one person, 3 and 4 another
    #[arg(num_args = 0..=4, value_name = "PHOTO")]
    pub(crate) photos: Vec<PathBuf>,

    /// One JSON object per pair
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Article {
    /// S. I. Serengil, Face Recognition with Facebook DeepFace in Keras, 2020
    Deepface,
}

/// The article's pairs of photos, whether they show one person, and its distances: L2 of vectors of
/// unit length.
const TABLE: [(usize, usize, bool, f32); 6] = [
    (1, 2, true, 0.481_462_27),
    (3, 4, true, 0.539_554_95),
    (1, 3, false, 0.655_981),
    (1, 4, false, 0.602_327_76),
    (2, 3, false, 0.585_643_7),
    (2, 4, false, 0.608_344_7),
];

const THRESHOLD: f32 = 0.55;

const PHOTOS: &str = "the article's photos are img1.jpg to img4.jpg in the folder python/tests of \
                      https://github.com/serengil/tensorflow-101; run `facesearch models reproduce \
                      deepface img1.jpg img2.jpg img3.jpg img4.jpg`";

#[derive(Serialize)]
struct Pair {
    a: String,
    b: String,
    same: bool,
    published: f32,
    computed: f32,
    threshold: f32,
    verified: bool,
}

/// Exits with 0 where all six decisions at 0.55 are the article's, with 1 where one is not, with 6
/// where the weights are missing.
pub(super) fn run(
    args: &ReproduceArgs,
    global: &Global,
    out: &mut Printer,
) -> anyhow::Result<Exit> {
    let Article::Deepface = args.article;
    let vision = VisionOptions { model: Some("deepface".into()), ..VisionOptions::default() };
    // First the weights: the message about them says what to fetch.
    let vision = open::models(global, out)?.open_aligned(&vision, "stretch")?;
    let [_, _, _, _] = &args.photos[..] else { return Err(Failure::usage(PHOTOS)) };
    let given = Threshold::new(THRESHOLD, ThresholdSource::Given);
    let threshold = given.ok_or_else(|| Failure::usage("0.55 is no threshold"))?;
    let mut exit = Exit::Success;
    if !args.json {
        out.line("photos  the same  published  computed  at 0.55")?;
    }
    for (a, b, same, published) in TABLE {
        let [one, other] = [a, b].map(|number| &args.photos[number - 1]);
        let Verified { distance, verified, .. } = vision.verify(one, other, threshold.clone())?;
        let computed = distance.get();
        if verified != same {
            exit = Exit::Nobody;
        }
        if args.json {
            let (a, b, threshold) = (shown(one), shown(other), THRESHOLD);
            out.json(&Pair { a, b, same, published, computed, threshold, verified })?;
        } else {
            let same = if same { "yes" } else { "no" };
            let verified = if verified { "the same" } else { "not the same" };
            out.line(format!(
                "{a}, {b}    {same:8}  {published:<9.7}  {computed:<8.6}  {verified}"
            ))?;
        }
    }
    Ok(exit)
}
