//! Labelled pairs, and what scikit-learn and scipy say of them
//! (`models/reference/sklearn_reference.py`).

use serde_json::Value;

use crate::pairs::Trial;

/// Each case: its trials, and the numbers to compare with, by name.
pub(crate) fn pairs() -> Vec<(Vec<Trial>, Value)> {
    let text = include_str!("../tests/golden/pairs.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    let trials = |case: &Value| {
        let (distance, same) = (case["distance"].as_array(), case["same"].as_array());
        let pairs = distance.unwrap().iter().zip(same.unwrap());
        pairs.map(|(d, same)| Trial::new(d.as_f64(), same.as_bool().unwrap())).collect()
    };
    cases.into_iter().map(|case| (trials(&case), case)).collect()
}
