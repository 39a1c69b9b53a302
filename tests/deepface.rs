//! The article's network from end to end, with seeded weights in place of the published ones.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use facesearch_nn::{StateDict, WeightArray, write_safetensors};

use crate::models::Models;
use crate::support::{demo, json_lines, photo, scratch, stderr, stdout, text};

/// The arrays of the network without its classifier, as Keras names them, and how many numbers
/// reach one of the layer's.
const ARRAYS: [(&str, &[usize], usize); 6] = [
    ("C1", &[32, 3, 11, 11], 3 * 11 * 11),
    ("C3", &[16, 32, 9, 9], 32 * 9 * 9),
    ("L4", &[55 * 55, 9 * 9 * 16, 16], 9 * 9 * 16),
    ("L5", &[25 * 25, 7 * 7 * 16, 16], 7 * 7 * 16),
    ("L6", &[21 * 21, 5 * 5 * 16, 16], 5 * 5 * 16),
    ("F7", &[4096, 21 * 21 * 16], 21 * 21 * 16),
];

/// Weights that keep a picture's numbers in range, the same in every run.
fn weights() -> StateDict {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut weights = BTreeMap::new();
    for (name, shape, reach) in ARRAYS {
        let scale = (6.0 / reach as f32).sqrt();
        let values = (0..shape.iter().product::<usize>()).map(|_| scale * next()).collect();
        weights.insert(format!("{name}.kernel"), WeightArray { shape: shape.to_vec(), values });
        let shape = match name {
            "L4" => vec![55, 55, 16],
            "L5" => vec![25, 25, 16],
            "L6" => vec![21, 21, 16],
            _ => vec![shape[0]],
        };
        let values = vec![0.01; shape.iter().product()];
        weights.insert(format!("{name}.bias"), WeightArray { shape, values });
    }
    weights
}

/// L2 of two embeddings as `represent` prints them, in double precision.
fn distance(a: &serde_json::Value, b: &serde_json::Value) -> f64 {
    let numbers = |face: &serde_json::Value| -> Vec<f64> {
        face["embedding"].as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).collect()
    };
    let (a, b) = (numbers(a), numbers(b));
    assert_eq!((a.len(), b.len()), (4096, 4096));
    a.iter().zip(&b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
}

#[test]
fn embeddings_of_4096_numbers_are_kept_searched_and_judged_exactly() {
    let (models, dir) = (Models::new(), scratch());
    // Where deepface keeps it: found there without being named.
    let folder = models.home().join(".deepface/weights");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("VGGFace2_DeepFace_weights_val-0.9034.h5");
    write_safetensors(&weights(), &file).unwrap();

    let index = dir.path().join("index");
    let people = demo().join("people");
    let fill = ["index", text(&people), "--index", text(&index), "--model", "deepface"];
    let output = models.run_for(0, &fill);
    assert!(stderr(&output).contains(".deepface"), "{}", stderr(&output));
    fs::remove_file(&file).unwrap();

    let asked = photo("obama2.jpg");
    let query =
        ["query", text(&asked), "--index", text(&index), "--json", "-k", "3", "--threshold", "2"];
    let answer = &json_lines(&models.run_for(0, &query))[0];
    assert_eq!(answer["model"], "deepface");
    let represent = |path: &Path| {
        let what = ["represent", text(path), "--model", "deepface", "--json"];
        json_lines(&models.run_for(0, &what))[0]["faces"][0].clone()
    };
    let probe = represent(&asked);
    let candidates = answer["faces"][0]["candidates"].as_array().unwrap();
    assert!(!candidates.is_empty());
    for candidate in candidates {
        let face = represent(Path::new(candidate["photo"].as_str().unwrap()));
        let (exact, said) = (distance(&probe, &face), candidate["distance"].as_f64().unwrap());
        assert!((exact - said).abs() < 1e-5, "{exact} {said}");
    }
    let stats = &json_lines(&models.run_for(0, &["stats", "--index", text(&index), "--json"]))[0];
    assert_eq!(stats["contract"]["dimension"], 4096);
    assert_eq!(stats["contract"]["metric"], "normalised-l2");

    // The article's table wants four photos: two of one person, two of another.
    let photos = ["obama.jpg", "obama2.jpg", "biden.jpg", "biden2.jpg"].map(photo);
    let [a, b, c, d] = photos.each_ref().map(|path| text(path));
    let table = models.run(&["models", "reproduce", "deepface", a, b, c, d]);
    let table = stdout(&table);
    assert_eq!(table.lines().count(), 7, "{table}");
    assert!(table.contains("0.4814623") && table.contains("0.6083447"), "{table}");
}
