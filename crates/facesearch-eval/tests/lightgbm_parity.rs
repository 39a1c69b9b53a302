//! Boosters read and written here, beside LightGBM itself.
//!
//! `FACESEARCH_LIGHTGBM` names a Python that has LightGBM; `models/reference/make_boosters.sh`
//! makes one and prints its path. The tests run `models/reference/booster_reference.py` with it.
//! What LightGBM trained must predict the same here, and what was trained here the same in
//! LightGBM.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says so by panicking")]

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use facesearch_eval::EvalError;
use facesearch_eval::ensemble::{Booster, TrainOptions};
use serde_json::{Value, json};

fn lightgbm(arguments: &[&Path], verb: &str) -> Vec<u8> {
    let python = std::env::var_os("FACESEARCH_LIGHTGBM").expect("FACESEARCH_LIGHTGBM is set");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let script = root.join("models/reference/booster_reference.py");
    let mut all: Vec<OsString> = vec![script.into(), verb.into()];
    all.extend(arguments.iter().map(Into::into));
    let said = Command::new(python).args(all).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    said.stdout
}

fn numbers(list: &Value) -> Vec<f64> {
    list.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

/// Within 1e-6, of the number itself where that is large.
#[track_caller]
fn same(got: f64, want: f64, of: &str) {
    let near = (got - want).abs() <= 1e-6 * want.abs().max(1.0);
    assert!(near, "{of}: {got} is not LightGBM's {want}");
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.extension().is_some_and(|e| e == ending)).collect();
    files.sort();
    files
}

#[test]
#[ignore = "needs FACESEARCH_LIGHTGBM"]
fn boosters_of_lightgbm_predict_the_same_here_and_after_being_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("boosters");
    lightgbm(&[&out], "make");
    let models = files(&out, "txt");
    assert!(models.len() > 35, "only {} boosters", models.len());
    for model in models {
        let name = model.file_stem().unwrap().to_string_lossy().into_owned();
        let booster = Booster::parse(&fs::read_to_string(&model).unwrap())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let again = Booster::parse(&booster.to_text()).unwrap();
        assert_eq!(again, booster, "{name} changes when it is written");
        let text = fs::read_to_string(model.with_extension("json")).unwrap();
        let golden: Value = serde_json::from_str(&text).unwrap();
        let rows = golden["rows"].as_array().unwrap();
        assert!(rows.len() > 60);
        let (raw, predicted) = (numbers(&golden["raw"]), numbers(&golden["predicted"]));
        for ((row, raw), predicted) in rows.iter().zip(raw).zip(predicted) {
            let row = numbers(row);
            same(booster.raw(&row).unwrap(), raw, &name);
            same(booster.predict(&row).unwrap(), predicted, &name);
        }
    }
    for model in files(&out.join("refused"), "txt") {
        let error = Booster::parse(&fs::read_to_string(&model).unwrap()).unwrap_err();
        let name = model.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(matches!(error, EvalError::BoosterKind { .. }), "{name}: {error}");
    }
}

/// A stream of numbers in `0..1`.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as f64 / (1u64 << 31) as f64
    }
}

#[test]
#[ignore = "needs FACESEARCH_LIGHTGBM"]
fn boosters_trained_here_predict_the_same_in_lightgbm() {
    let dir = tempfile::tempdir().unwrap();
    let (file, rows_file) = (dir.path().join("model.txt"), dir.path().join("rows.json"));
    let mut dice = Dice(5);
    for (n, features, gaps) in [(40, 1, 0.0), (300, 3, 0.2), (2000, 14, 0.05)] {
        let names: Vec<String> = (0..features).map(|i| format!("model {i}: l2")).collect();
        let (mut rows, mut truth) = (Vec::new(), Vec::new());
        for i in 0..n {
            let same = i % 2 == 0;
            let mut distance = || {
                let base = if same { 0.7 } else { 1.1 };
                let gap = dice.next() < gaps;
                let value = base + 0.8 * (dice.next() - 0.5);
                if gap { f64::NAN } else { value }
            };
            rows.push((0..features).map(|_| distance()).collect::<Vec<f64>>());
            truth.push(same);
        }
        for options in [
            TrainOptions::default(),
            TrainOptions {
                trees: 7,
                depth: 6,
                learning_rate: 1.0,
                falling: false,
                ..Default::default()
            },
        ] {
            let booster = Booster::train(&names, &rows, &truth, &options).unwrap();
            let text = booster.to_text();
            assert_eq!(Booster::parse(&text).unwrap(), booster);
            fs::write(&file, text).unwrap();
            // Those learnt from, then every threshold's neighbourhood: the same numbers, a bit off.
            let mut asked = rows.clone();
            asked.extend(rows.iter().map(|row| {
                row.iter().map(|value| value + 1e-3 * (dice.next() - 0.5)).collect::<Vec<_>>()
            }));
            asked.push(vec![f64::NAN; features]);
            asked.push(vec![0.0; features]);
            fs::write(&rows_file, json!(asked).to_string()).unwrap();
            let said = lightgbm(&[&file, &rows_file], "predict");
            let said: Value = serde_json::from_slice(&said).unwrap();
            assert_eq!(said["trees"], booster.trees());
            assert_eq!(said["features"], json!(booster.features()));
            let (raw, predicted) = (numbers(&said["raw"]), numbers(&said["predicted"]));
            for ((row, raw), predicted) in asked.iter().zip(raw).zip(predicted) {
                same(booster.raw(row).unwrap(), raw, "raw");
                same(booster.predict(row).unwrap(), predicted, "predicted");
            }
        }
    }
}
