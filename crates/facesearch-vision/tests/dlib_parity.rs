//! Landmarks, chips and embeddings against dlib itself.
//!
//! `models/reference/dlib_reference.py` writes what dlib says of a folder of photos, and the pixels
//! it saw. Set `FACESEARCH_REFERENCE` to its output and `FACESEARCH_MODELS` to the folder with
//! dlib's two files.

#![expect(clippy::print_stdout, reason = "a test says what it measured")]

use std::fs;
use std::path::PathBuf;

use candle_core::Device;
use facesearch_core::{Chip, Embedder, Photo};
use facesearch_vision::{DlibRect, DlibResNet, Precision, ShapePredictor5, dlib_chip};
use serde::Deserialize;
use sha2::{Digest, Sha256};

#[derive(Deserialize)]
struct Reference {
    photos: Vec<PhotoReference>,
}

#[derive(Deserialize)]
struct PhotoReference {
    photo: String,
    raw: String,
    width: u32,
    height: u32,
    faces: Vec<FaceReference>,
}

#[derive(Deserialize)]
struct FaceReference {
    r#box: [i32; 4],
    landmarks: [[i32; 2]; 5],
    chip_sha256: String,
    descriptor: Vec<f32>,
}

struct Setting {
    reference: Reference,
    folder: PathBuf,
    models: PathBuf,
}

fn setting() -> Setting {
    let named = |name: &str| PathBuf::from(std::env::var_os(name).expect(name));
    let (folder, models) = (named("FACESEARCH_REFERENCE"), named("FACESEARCH_MODELS"));
    let json = fs::read_to_string(folder.join("dlib.json")).expect("dlib.json in the reference");
    let reference = serde_json::from_str(&json).expect("dlib.json as the script writes it");
    Setting { reference, folder, models }
}

impl Setting {
    fn model(&self, name: &str) -> Vec<u8> {
        fs::read(self.models.join(name)).expect(name)
    }

    /// Every face with its photo and what dlib says of it.
    fn for_each(&self, mut check: impl FnMut(&str, &Photo, &FaceReference)) -> usize {
        let mut count = 0;
        for entry in &self.reference.photos {
            let rgb = fs::read(self.folder.join(&entry.raw)).expect("raw pixels");
            let photo = Photo::new(entry.width, entry.height, rgb);
            for face in &entry.faces {
                check(&entry.photo, &photo, face);
                count += 1;
            }
        }
        assert!(count > 0, "the reference holds no face");
        count
    }
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE and FACESEARCH_MODELS"]
fn landmarks_equal_dlibs() {
    let setting = setting();
    let bytes = setting.model("shape_predictor_5_face_landmarks.dat");
    let predictor = ShapePredictor5::from_bytes(&bytes).unwrap();
    let count = setting.for_each(|name, photo, face| {
        let [left, top, right, bottom] = face.r#box;
        let points = predictor.predict(photo, DlibRect { left, top, right, bottom });
        assert_eq!(points, face.landmarks, "{name} at {:?}", face.r#box);
    });
    println!("{count} faces");
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE and FACESEARCH_MODELS"]
fn chips_equal_dlibs() {
    let setting = setting();
    let count = setting.for_each(|name, photo, face| {
        let chip = dlib_chip(photo, &face.landmarks, 150, 0.25);
        let hash: String =
            Sha256::digest(chip.rgb()).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hash, face.chip_sha256, "{name} at {:?}", face.r#box);
    });
    println!("{count} faces");
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE and FACESEARCH_MODELS"]
fn embeddings_equal_dlibs() {
    let setting = setting();
    let bytes = setting.model("dlib_face_recognition_resnet_model_v1.dat");
    let network = DlibResNet::from_bytes(&bytes, &Device::Cpu).unwrap();
    let mut chips: Vec<Chip> = Vec::new();
    let mut wanted: Vec<(String, Vec<f32>)> = Vec::new();
    setting.for_each(|name, photo, face| {
        chips.push(dlib_chip(photo, &face.landmarks, 150, 0.25));
        wanted.push((format!("{name} at {:?}", face.r#box), face.descriptor.clone()));
    });
    let mut worst = 0.0f64;
    for (chips, wanted) in
        chips.chunks(network.batch_size()).zip(wanted.chunks(network.batch_size()))
    {
        let embeddings = network.embed(chips).unwrap();
        for (embedding, (name, wanted)) in embeddings.iter().zip(wanted) {
            let got = embedding.as_ref().expect("an embedding").as_slice();
            assert_eq!(got.len(), wanted.len());
            let squared: f64 =
                got.iter().zip(wanted).map(|(a, b)| f64::from(a - b) * f64::from(a - b)).sum();
            worst = worst.max(squared.sqrt());
            assert!(squared.sqrt() <= 1e-5, "{name} is {} from dlib's", squared.sqrt());
        }
    }
    println!("{} faces, the farthest is {worst:.2e} from dlib's", chips.len());
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE and FACESEARCH_MODELS"]
fn embeddings_of_integers_are_near_dlibs() {
    let setting = setting();
    let path = setting.models.join("dlib_face_recognition_resnet_model_v1.dat");
    let network = DlibResNet::open_at(path, &Device::Cpu, Precision::Int16).unwrap();
    let (mut distances, mut largest) = (Vec::new(), 0.0f64);
    setting.for_each(|_, photo, face| {
        let chip = dlib_chip(photo, &face.landmarks, 150, 0.25);
        let embedding = network.embed(&[chip]).unwrap().remove(0).expect("an embedding");
        let pairs = embedding.as_slice().iter().zip(&face.descriptor);
        let squared: f64 = pairs.map(|(a, b)| f64::from(a - b) * f64::from(a - b)).sum();
        largest = largest.max(squared.sqrt());
        distances.push(squared.sqrt());
    });
    let mean = distances.iter().sum::<f64>() / distances.len() as f64;
    println!(
        "{} faces, {mean:.2e} from dlib's in the mean, {largest:.2e} at most",
        distances.len()
    );
    assert!(mean < 0.01 && largest < 0.02);
}

#[test]
#[ignore = "needs FACESEARCH_REFERENCE and FACESEARCH_MODELS"]
fn a_damaged_file_is_an_error_that_names_the_byte() {
    let setting = setting();
    let chain = |error: &dyn std::error::Error| error.source().expect("a cause").to_string();
    let bytes = setting.model("shape_predictor_5_face_landmarks.dat");
    for cut in [0, 1, 17, 1000, bytes.len() / 2, bytes.len() - 1] {
        let error = ShapePredictor5::from_bytes(&bytes[..cut]).unwrap_err();
        assert!(chain(&error).starts_with("at byte "), "{}", chain(&error));
    }
    let mut network = setting.model("dlib_face_recognition_resnet_model_v1.dat");
    for cut in [0, 1, 17, 1000, network.len() / 2, network.len() - 1] {
        let error = DlibResNet::from_bytes(&network[..cut], &Device::Cpu).unwrap_err();
        assert!(chain(&error).starts_with("at byte "), "{}", chain(&error));
    }
    network.push(0);
    let error = DlibResNet::from_bytes(&network, &Device::Cpu).unwrap_err();
    assert!(chain(&error).contains("1 bytes more than expected"), "{}", chain(&error));
}
