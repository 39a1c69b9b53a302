//! How well decoding, detection, alignment and embedding do together on LFW View 1, for each way to
//! align.
//!
//! Run: `cargo run --release --example lfw_view1 -- LFW MODELS [PAIRS]`
//!
//! `LFW` is the folder with `images/` and the lists of pairs, `MODELS` one with `pnet.pt`,
//! `rnet.pt`, `onet.pt`, `shape_predictor_5_face_landmarks.dat` and
//! `dlib_face_recognition_resnet_model_v1.dat`; `PAIRS` is `pairsDevTest.txt` unless said
//! otherwise. The first face of each photo is the one compared; a pair with a photo in which none
//! was found counts as "different". The table in `docs/alignment.md` is its output.

#![expect(clippy::print_stdout, reason = "an example that prints a table")]

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::Path;

use candle_core::Device;
use facesearch_core::{Chip, DetectedFace, Embedder, Embedding, FaceDetector, Photo};
use facesearch_vision::{
    Aligner, DlibAligner, DlibResNet, Mtcnn, MtcnnOptions, PointAligner, ShapePredictor5,
    SquareInBox, Stacked, Views, most_prominent_first,
};
use rayon::prelude::*;

/// A decided pair: two photos and whether they show one person.
type Pair = (String, String, bool);

/// A way to align, with the words for it in the table.
type Titled = (String, Box<dyn Aligner>);

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [lfw, models, rest @ ..] = &arguments[..] else {
        return Err("usage: lfw_view1 LFW MODELS [PAIRS]".into());
    };
    let (lfw, models) = (Path::new(lfw), Path::new(models));
    let pairs = read_pairs(&lfw.join(rest.first().map_or("pairsDevTest.txt", |name| name)))?;
    let names: BTreeSet<&String> = pairs.iter().flat_map(|(a, b, _)| [a, b]).collect();
    let names: Vec<&String> = names.into_iter().collect();

    let detector = Mtcnn::open(models, MtcnnOptions::default(), &Device::Cpu)?;
    let started = std::time::Instant::now();
    let seen: Vec<(Photo, Option<DetectedFace>)> = names
        .par_iter()
        .map(|name| {
            let bytes = std::fs::read(lfw.join("images").join(name))?;
            let photo = facesearch_vision::decode(&bytes, &Default::default())?;
            let mut faces = detector.detect(&photo)?;
            most_prominent_first(&mut faces, &photo);
            Ok((photo, faces.first().copied()))
        })
        .collect::<Result<_, Box<dyn Error + Send + Sync>>>()
        .map_err(|error| -> Box<dyn Error> { error })?;
    let found = seen.iter().filter(|(_, face)| face.is_some()).count();
    println!(
        "{} photos, a face found in {found} ({:.2} %), {:.1} photos/s\n",
        names.len(),
        100.0 * found as f64 / names.len() as f64,
        names.len() as f64 / started.elapsed().as_secs_f64(),
    );

    let weights = std::fs::read(models.join("dlib_face_recognition_resnet_model_v1.dat"))?;
    let plain = DlibResNet::from_bytes(&weights, &Device::Cpu)?;
    let mirrored = Views::new(DlibResNet::from_bytes(&weights, &Device::Cpu)?);
    println!(
        "| alignment | embedding | mean distance, same | other | best threshold | accuracy there \
         | at 0.55 | at 0.60 |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for (title, aligner) in aligners(models)? {
        let stacked = title.contains("stacked");
        for embedder in [&plain as &dyn Embedder, &mirrored].into_iter().skip(stacked.into()) {
            let embeddings = embed(embedder, aligner.as_ref(), &names, &seen)?;
            let distances: Vec<(f32, bool)> = pairs
                .iter()
                .map(|(a, b, same)| {
                    let far = f32::INFINITY;
                    let pair = embeddings.get(a).zip(embeddings.get(b));
                    (pair.map_or(far, |(a, b)| a.distance(b).get()), *same)
                })
                .collect();
            let (best, accuracy) = best_threshold(&distances);
            println!(
                "| {title} | {} | {:.3} | {:.3} | {best:.3} | {accuracy:.4} | {:.4} | {:.4} |",
                embedder.name(),
                mean(&distances, true),
                mean(&distances, false),
                accuracy_at(&distances, 0.55),
                accuracy_at(&distances, 0.60),
            );
        }
    }
    Ok(())
}

/// The mean distance of the pairs that show one person, or of those that show two.
fn mean(distances: &[(f32, bool)], wanted: bool) -> f32 {
    let found = distances.iter().filter(|(distance, same)| *same == wanted && distance.is_finite());
    let (sum, count) = found.fold((0.0, 0.0), |(sum, count), (d, _)| (sum + d, count + 1.0));
    sum / count
}

/// The alignments compared.
fn aligners(models: &Path) -> Result<Vec<Titled>, Box<dyn Error>> {
    let predictor = || ShapePredictor5::open(models.join("shape_predictor_5_face_landmarks.dat"));
    let mut aligners: Vec<Titled> =
        vec![("MTCNN's five points".to_owned(), Box::new(PointAligner::MTCNN))];
    for side in [SquareInBox::MTCNN.side, 0.973] {
        let square = SquareInBox { side, ..SquareInBox::MTCNN };
        let title = format!("dlib's predictor, square of {side}");
        aligners.push((title, Box::new(DlibAligner::new(predictor()?, square))));
    }
    let both: Vec<Box<dyn Aligner>> = vec![
        Box::new(DlibAligner::new(predictor()?, SquareInBox::MTCNN)),
        Box::new(PointAligner::MTCNN),
    ];
    aligners.push(("both, stacked".to_owned(), Box::new(Stacked::new(both))));
    Ok(aligners)
}

/// The embedding of each photo's first face.
fn embed<'a>(
    embedder: &dyn Embedder,
    aligner: &dyn Aligner,
    names: &[&'a String],
    seen: &[(Photo, Option<DetectedFace>)],
) -> Result<BTreeMap<&'a String, Embedding>, Box<dyn Error>> {
    let chips: Vec<(&String, Chip)> = names
        .par_iter()
        .zip(seen)
        .filter_map(|(name, (photo, face))| Some((*name, aligner.chip(photo, face.as_ref()?))))
        .collect();
    let mut embeddings = BTreeMap::new();
    for batch in chips.chunks(embedder.batch_size()) {
        let pixels: Vec<Chip> = batch.iter().map(|(_, chip)| chip.clone()).collect();
        for ((name, _), embedding) in batch.iter().zip(embedder.embed(&pixels)?) {
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
