//! How well recognition models tell people apart on LFW View 1, from bytes to distances.
//!
//! Run: `cargo run --release --example recognisers_view1 -- LFW MODELS`
//!
//! `LFW` is the folder with `images/` and the lists of pairs. `MODELS` holds `mtcnn/` with `pnet.pt`,
//! `rnet.pt` and `onet.pt`, `openvino-reid0095/face-reidentification-retail-0095.xml` and `.bin`,
//! and `mobilefacenet-foamliu/MobileFaceNet.onnx`. The threshold is the best on `pairsDevTrain.txt`
//! and judged on `pairsDevTest.txt`, whose people are others. The first face of each photo is the
//! one compared; a pair with a photo in which none was found counts as "different".

#![expect(clippy::print_stdout, reason = "an example that prints a table")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use candle_core::Device;
use facesearch_core::{Chip, DetectedFace, Embedder, Embedding, FaceDetector, Metric, Photo};
use facesearch_vision::{
    Aligner, ColourOrder, Mtcnn, MtcnnOptions, NetworkEmbedder, Normalisation, OnnxOptions,
    Retail0095, Template, most_prominent_first, onnx_embedder,
};
use rayon::prelude::*;

/// Two photos and whether they show one person.
type Pair = (String, String, bool);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [lfw, models] = &arguments[..] else {
        return Err("usage: recognisers_view1 LFW MODELS".into());
    };
    let (lfw, models) = (Path::new(lfw), Path::new(models));
    let train = read_pairs(&lfw.join("pairsDevTrain.txt"))?;
    let test = read_pairs(&lfw.join("pairsDevTest.txt"))?;
    let recognisers = recognisers(models)?;

    let detector = Mtcnn::open(models.join("mtcnn"), MtcnnOptions::default(), &Device::Cpu)?;
    let mut names: Vec<&String> = train.iter().chain(&test).flat_map(|(a, b, _)| [a, b]).collect();
    names.sort();
    names.dedup();
    // One chip for each model and photo: the photos themselves would not stay in memory.
    let cut = |name: &String| -> Result<Vec<Option<Chip>>, Box<dyn Error + Send + Sync>> {
        let bytes = std::fs::read(lfw.join("images").join(name))?;
        let photo: Photo = facesearch_vision::decode(&bytes, &Default::default())?;
        let mut faces: Vec<DetectedFace> = detector.detect(&photo)?;
        most_prominent_first(&mut faces, &photo);
        let chip = |template: &Template| faces.first().map(|face| template.chip(&photo, face));
        Ok(recognisers.iter().map(|(template, _)| chip(template)).collect())
    };
    let chips: Vec<Vec<Option<Chip>>> = names
        .par_iter()
        .map(|name| cut(name))
        .collect::<Result<_, _>>()
        .map_err(|error| -> Box<dyn Error> { error })?;

    let found = chips.iter().filter(|chips| chips[0].is_some()).count();
    println!("{} photos, a face found in {found}\n", names.len());
    println!(
        "| model | threshold (L2) | train accuracy | test accuracy | best on test | photos/s |"
    );
    println!("|---|---|---|---|---|---|");
    for (i, (_, embedder)) in recognisers.iter().enumerate() {
        let seen: Vec<_> =
            names.iter().zip(&chips).filter_map(|(n, c)| Some((*n, c[i].clone()?))).collect();
        let started = std::time::Instant::now();
        let embeddings = embed(embedder, &seen)?;
        let speed = seen.len() as f64 / started.elapsed().as_secs_f64();
        let distances = |pairs: &[Pair]| -> Vec<(f32, bool)> {
            let distance = |a, b| {
                let pair = embeddings.get(a).zip(embeddings.get(b));
                pair.map_or(f32::INFINITY, |(a, b): (&Embedding, _)| a.distance(b).get())
            };
            pairs.iter().map(|(a, b, same)| (distance(a, b), *same)).collect()
        };
        let (train, test) = (distances(&train), distances(&test));
        let (threshold, on_train) = best_threshold(&train);
        let on_test = accuracy_at(&test, threshold);
        let (_, at_best) = best_threshold(&test);
        let name = embedder.name();
        println!(
            "| {name} | {threshold:.3} | {on_train:.4} | {on_test:.4} | {at_best:.4} | {speed:.0} |"
        );
    }
    Ok(())
}

fn recognisers(models: &Path) -> Result<Vec<(Template, NetworkEmbedder)>, Box<dyn Error>> {
    let retail = models.join("openvino-reid0095/face-reidentification-retail-0095.xml");
    let (xml, bin) = (std::fs::read(&retail)?, std::fs::read(retail.with_extension("bin"))?);
    let retail = Retail0095::from_bytes(&xml, &bin, &Device::Cpu)?;
    let options = OnnxOptions {
        name: "mobilefacenet".to_owned(),
        size: None,
        colours: ColourOrder::Rgb,
        normalisation: Normalisation::ImageNet,
        metric: Metric::Cosine,
    };
    let bytes = std::fs::read(models.join("mobilefacenet-foamliu/MobileFaceNet.onnx"))?;
    let mobile = onnx_embedder(&bytes, options, &Device::Cpu)?;
    Ok(vec![(Template::RETAIL_0095, retail), (Template::ARCFACE, mobile)])
}

fn embed<'a>(
    embedder: &NetworkEmbedder,
    seen: &[(&'a String, Chip)],
) -> Result<BTreeMap<&'a String, Embedding>, Box<dyn Error>> {
    let mut embeddings = BTreeMap::new();
    for batch in seen.chunks(embedder.batch_size()) {
        let chips: Vec<Chip> = batch.iter().map(|(_, chip)| chip.clone()).collect();
        for ((name, _), embedding) in batch.iter().zip(embedder.embed(&chips)?) {
            embeddings.extend(embedding.map(|embedding| (*name, embedding)));
        }
    }
    Ok(embeddings)
}

/// LFW's list: a count, then `name i j` for one person, `name i name j` for two.
fn read_pairs(path: &Path) -> Result<Vec<Pair>, Box<dyn Error>> {
    let photo = |name: &str, number: &str| -> Result<String, Box<dyn Error>> {
        Ok(format!("{name}/{name}_{:04}.jpg", number.parse::<u32>()?))
    };
    let mut pairs = Vec::new();
    for line in std::fs::read_to_string(path)?.lines().skip(1) {
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            [name, a, b] => pairs.push((photo(name, a)?, photo(name, b)?, true)),
            [one, a, other, b] => pairs.push((photo(one, a)?, photo(other, b)?, false)),
            _ => {}
        }
    }
    Ok(pairs)
}

fn accuracy_at(distances: &[(f32, bool)], threshold: f32) -> f64 {
    let right = distances.iter().filter(|(distance, same)| (*distance <= threshold) == *same);
    right.count() as f64 / distances.len() as f64
}

/// The threshold at which most pairs are decided right, in steps of 0.005.
fn best_threshold(distances: &[(f32, bool)]) -> (f32, f64) {
    let tried = (0..400).map(|step| step as f32 * 0.005);
    tried
        .map(|threshold| (threshold, accuracy_at(distances, threshold)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .expect("thresholds were tried")
}
