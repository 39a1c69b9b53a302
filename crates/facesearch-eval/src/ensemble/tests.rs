//! Compares predictions with LightGBM's own (`models/reference/lightgbm_reference.py`), and damages
//! models in every way that is quickly thought of.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::EvalError;

const NAN: &str = include_str!("../../tests/golden/booster_nan.txt");
const ZERO: &str = include_str!("../../tests/golden/booster_zero.txt");

#[track_caller]
fn check(model: &str, golden: &str) -> Booster {
    let booster = Booster::parse(model).unwrap();
    let golden: Value = serde_json::from_str(golden).unwrap();
    let list = |key: &str| golden[key].as_array().unwrap().clone();
    for ((row, raw), predicted) in list("rows").iter().zip(list("raw")).zip(list("predicted")) {
        let row: Vec<f64> =
            row.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect();
        for (got, want) in [(booster.raw(&row), raw), (booster.predict(&row), predicted)] {
            let (got, want) = (got.unwrap(), want.as_f64().unwrap());
            assert!((got - want).abs() < 1e-9, "{got} is not LightGBM's {want} for {row:?}");
        }
    }
    booster
}

#[test]
fn predictions_are_lightgbms_with_missing_values_and_categories() {
    check(NAN, include_str!("../../tests/golden/booster_nan.json"));
    check(ZERO, include_str!("../../tests/golden/booster_zero.json"));
}

#[test]
fn deepfaces_published_booster_predicts_as_under_lightgbm() {
    let path = "data/deepface-pairs/boosted_lightface_7.txt";
    let Some(path) = crate::test_data::shared(path) else { return };
    let text = std::fs::read_to_string(path).unwrap();
    let booster = check(&text, include_str!("../../tests/golden/booster_published.json"));
    assert_eq!((booster.trees(), booster.features().len()), (524, 14));
    assert_eq!(booster.features()[0], "Facenet");
    assert_eq!(booster.link(), Link::Logistic { scale: 1.0 });
    assert!(matches!(booster.predict(&[0.5]), Err(EvalError::Features { expected: 14, got: 1 })));
}

#[test]
fn what_cannot_be_right_is_named_with_its_line() {
    let damage = |from: &str, to: &str| {
        assert!(NAN.contains(from), "nothing to damage: {from}");
        Booster::parse(&NAN.replacen(from, to, 1)).unwrap_err().to_string()
    };
    let says = |error: String, what: &str| assert!(error.contains(what), "{error}");
    says(damage("tree\n", "three\n"), "line 1");
    says(damage("version=v4", "version=v9"), "line 2 (`version`");
    says(damage("num_class=1", "num_class=3"), "one output");
    says(damage("Tree=1", "Tree=2"), "not in order");
    says(damage("end of trees", ""), "end of the trees is missing");
    says(damage("split_feature=", "split_feature=99 "), "`split_feature`");
    says(damage("left_child=1", "left_child=0"), "before its parent");
    says(damage("left_child=1", "left_child=99"), "no such child");
    says(damage("left_child=1", "left_child=-9223372036854775808"), "no such child");
    says(damage("leaf_value=", "leaf_value=x "), "no list");
    says(damage("is_linear=0", "is_linear=1"), "linear");
    says(damage("cat_boundaries=0", "cat_boundaries=7"), "`cat_boundaries`");
    says(damage("max_feature_idx=3", "max_feature_idx=18446744073709551615"), "feature names");
    says(damage("objective=binary", "objective=poisson"), "not read");
    assert!(Booster::parse("").is_err());
}

proptest! {
    #[test]
    fn no_damage_makes_it_panic_or_walk_for_ever(
        at in 0..NAN.len(), with in any::<u8>(), cut in any::<bool>(),
        row in proptest::collection::vec(-3.0f64..80.0, 4),
    ) {
        let mut bytes = NAN.as_bytes().to_vec();
        bytes[at] = b' ' + with % 95;
        if cut {
            bytes.truncate(at + 1);
        }
        if let Ok(booster) = Booster::parse(&String::from_utf8(bytes).unwrap()) {
            let _ = booster.predict(&row);
        }
    }
}

#[test]
fn the_blend_is_scikit_learns_logistic_regression() {
    let golden: Value =
        serde_json::from_str(include_str!("../../tests/golden/blend.json")).unwrap();
    let rows: Vec<Vec<f64>> = serde_json::from_value(golden["rows"].clone()).unwrap();
    let same: Vec<bool> = serde_json::from_value(golden["same"].clone()).unwrap();
    for case in golden["cases"].as_array().unwrap() {
        let blend = Blend::fit(&rows, &same, case["ridge"].as_f64().unwrap()).unwrap();
        for (row, want) in rows.iter().zip(case["predicted"].as_array().unwrap()) {
            let (got, want) = (blend.predict(row).unwrap(), want.as_f64().unwrap());
            assert!((got - want).abs() < 1e-4, "{got} is not {want}");
        }
        for (got, want) in blend.weights.iter().zip(case["weights"].as_array().unwrap()) {
            let want = want.as_f64().unwrap();
            assert!((got / want - 1.0).abs() < 1e-3, "{got} is not {want}");
        }
    }
    assert!(matches!(
        Blend::fit(&rows, &vec![true; rows.len()], 1.0),
        Err(EvalError::TooFew { got: 0, .. })
    ));
    assert!(matches!(Blend::fit(&rows, &same, 0.0), Err(EvalError::Option { .. })));
    let ragged = [vec![1.0], vec![1.0, 2.0]];
    assert!(matches!(
        Blend::fit(&ragged, &[true, false], 1.0),
        Err(EvalError::Features { expected: 1, got: 2 })
    ));
}
