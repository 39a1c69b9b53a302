//! Compares predictions with LightGBM's own (`models/reference/lightgbm_reference.py`), and damages
//! models in every way that is quickly thought of.

use facesearch_people::Random;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::EvalError;
use crate::pairs::Bootstrap;

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
#[ignore = "needs FACESEARCH_SHARED"]
fn deepfaces_published_booster_predicts_as_under_lightgbm() {
    let path = "data/deepface-pairs/boosted_lightface_7.txt";
    let path = crate::test_data::shared(path);
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
    says(damage("version=v4", "version=v9"), "line 2 of");
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

/// Pairs whose distances by two models know different things, and a third that knows nothing.
fn pairs(n: usize, seed: u64) -> Distances {
    let mut random = Random::new(seed);
    let mut number = move || random.bits() as f64 / u64::MAX as f64;
    let mut pairs = Distances {
        names: ["a_l2", "b_l2", "noise_l2"].map(String::from).to_vec(),
        summed: vec![0, 1],
        rows: Vec::new(),
        same: Vec::new(),
    };
    for i in 0..n {
        let same = i % 2 == 0;
        let centre = if same { 0.8 } else { 1.2 };
        let mut near = |spread: f64| centre + spread * (number() + number() - 1.0);
        let row = vec![near(0.5), near(0.5), 1.0 + 0.5 * (number() - 0.5)];
        pairs.rows.push(row);
        pairs.same.push(same);
    }
    pairs
}

fn by_hand(pairs: &Distances, right: impl Fn(&[f64]) -> bool) -> f64 {
    let right = pairs.rows.iter().zip(&pairs.same).filter(|(row, same)| right(row) == **same);
    right.count() as f64 / pairs.rows.len() as f64
}

#[test]
fn what_is_learnt_from_two_models_beats_both_and_is_counted_right() {
    let (train, test) = (pairs(2000, 1), pairs(1000, 2));
    let how = Bootstrap { resamples: 200, ..Bootstrap::default() };
    let options = TrainOptions::default();
    let study = study(&train, &test, None, &options, &how).unwrap();
    let of = |name: &str| study.contenders.iter().find(|one| one.name == name).unwrap();
    assert_eq!((study.train_pairs, study.test_pairs, study.failed), (2000, 1000, 0));
    let best = of(&study.best_single);
    assert_eq!((best.gain, best.gain_interval.unwrap().high), (0.0, 0.0));
    for ensemble in ["equal parts", "blend", "booster"] {
        let one = of(ensemble);
        assert!(one.gain_interval.unwrap().low > 0.0, "{one:?}");
        assert!((one.gain - (one.accuracy - best.accuracy)).abs() < 1e-12);
    }
    // The same by hand.
    let booster = Booster::train(&train.names, &train.rows, &train.same, &options).unwrap();
    let accuracy = by_hand(&test, |row| booster.predict(row).unwrap() >= 0.5);
    assert_eq!(of("booster").accuracy, accuracy);
    let weights = study.blend.clone().unwrap();
    assert!((weights.parts.iter().map(|part| part.weight).sum::<f64>() - 1.0).abs() < 1e-12);
    let whole = |row: &[f64]| {
        let square = |(part, d): (&Part, &f64)| part.weight * (d / part.unit).powi(2);
        weights.parts.iter().zip(row).map(square).sum::<f64>().sqrt()
    };
    let accuracy = by_hand(&test, |row| whole(row) <= weights.threshold);
    assert_eq!(of("blend").accuracy, accuracy);
    // A booster that is there already gives the same figures, with its features in another order.
    let mut turned = train.clone();
    turned.names.reverse();
    turned.rows.iter_mut().for_each(|row| row.reverse());
    let grown = Booster::train(&turned.names, &turned.rows, &turned.same, &options).unwrap();
    let again = super::study(&train, &test, Some(&grown), &options, &how).unwrap();
    let got = again.contenders.last().unwrap().accuracy;
    assert_eq!(got, by_hand(&test, |row| grown.predict(&[row[2], row[1], row[0]]).unwrap() >= 0.5));
    let other = Distances { names: vec!["x".into(), "y".into(), "z".into()], ..train.clone() };
    let missing = super::study(&other, &other, Some(&grown), &options, &how);
    assert!(matches!(missing, Err(EvalError::NoFeature { .. })));
}

#[test]
fn in_folds_no_pair_is_judged_by_what_it_taught() {
    let all = pairs(300, 3);
    let fold: Vec<usize> = (0..300).map(|i| i / 2 % 3).collect();
    let how = Bootstrap { resamples: 5, ..Bootstrap::default() };
    let options = TrainOptions { trees: 20, ..TrainOptions::default() };
    let study = study_folds(&all, &fold, &options, &how).unwrap();
    let mut right = 0;
    for held_out in 0..3 {
        let part = |is: bool| -> (Vec<Vec<f64>>, Vec<bool>) {
            let rows = (0..300).filter(|row| (fold[*row] == held_out) == is);
            rows.map(|row| (all.rows[row].clone(), all.same[row])).unzip()
        };
        let ((test, truth), (rows, same)) = (part(true), part(false));
        let booster = Booster::train(&all.names, &rows, &same, &options).unwrap();
        let judged = test.iter().map(|row| booster.predict(row).unwrap() >= 0.5);
        right += judged.zip(&truth).filter(|(said, same)| said == *same).count();
    }
    let booster = study.contenders.last().unwrap();
    assert_eq!(booster.accuracy, right as f64 / 300.0);
    assert!(matches!(
        study_folds(&all, &[0; 300], &options, &how),
        Err(EvalError::TooFew { what: "folds", .. })
    ));
}

#[test]
fn pairs_without_a_distance_teach_nothing_and_are_different() {
    let mut train = pairs(200, 4);
    let mut test = pairs(100, 5);
    for row in [0, 1, 2] {
        train.rows[row][0] = f64::NAN;
        test.rows[row][1] = f64::NAN;
    }
    let how = Bootstrap { resamples: 5, ..Bootstrap::default() };
    let with = study(&train, &test, None, &TrainOptions::default(), &how).unwrap();
    let without = study(&train.complete(), &test, None, &TrainOptions::default(), &how).unwrap();
    assert_eq!(with.contenders, without.contenders);
    assert_eq!((with.train_pairs, without.train_pairs, with.failed), (200, 197, 3));
    // Pairs 0 and 2 are one person, pair 1 is not: two errors for everybody.
    let whole = study(&train, &test.complete(), None, &TrainOptions::default(), &how).unwrap();
    for (failed, whole) in with.contenders.iter().zip(&whole.contenders) {
        let wrong = (1.0 - whole.accuracy) * 97.0 + 2.0;
        assert!((failed.accuracy - (1.0 - wrong / 100.0)).abs() < 1e-9, "{}", failed.name);
    }
}

#[test]
fn trees_of_distances_never_fall_the_wrong_way() {
    let train = pairs(600, 6);
    let train_with = |falling| {
        let options = TrainOptions { trees: 200, depth: 5, falling, ..TrainOptions::default() };
        Booster::train(&train.names, &train.rows, &train.same, &options).unwrap()
    };
    let rises = |booster: &Booster| {
        let mut rises = 0;
        for row in &train.rows {
            for feature in 0..3 {
                let mut further = row.clone();
                further[feature] += 0.05;
                let (near, far) = (booster.raw(row).unwrap(), booster.raw(&further).unwrap());
                rises += usize::from(far > near + 1e-9);
            }
        }
        rises
    };
    assert_eq!(rises(&train_with(true)), 0);
    // Without the rule they do, so the rule is what keeps them.
    assert!(rises(&train_with(false)) > 0);
}

#[test]
fn what_cannot_be_trained_says_why() {
    let all = pairs(50, 7);
    let train = |names: &[String], rows: &[Vec<f64>], same: &[bool], options: &TrainOptions| {
        Booster::train(names, rows, same, options).unwrap_err().to_string()
    };
    let usual = TrainOptions::default();
    let says = |error: String, what: &str| assert!(error.contains(what), "{error}");
    says(train(&all.names, &all.rows, &[true; 50], &usual), "pairs of two people");
    says(train(&all.names[..2], &all.rows, &all.same, &usual), "wants 2 features, a row has 3");
    let mut infinite = all.rows.clone();
    infinite[3][1] = f64::INFINITY;
    says(train(&all.names, &infinite, &all.same, &usual), "a feature is inf");
    for (options, what) in [
        (TrainOptions { trees: 0, ..usual }, "number of trees"),
        (TrainOptions { depth: 17, ..usual }, "depth"),
        (TrainOptions { learning_rate: 0.0, ..usual }, "learning rate"),
        (TrainOptions { ridge: f32::NAN, ..usual }, "ridge"),
    ] {
        says(train(&all.names, &all.rows, &all.same, &options), what);
    }
    // A feature that says nothing is no reason to give up.
    for nothing in [1.0, f64::NAN] {
        let rows: Vec<_> = all.rows.iter().map(|row| vec![row[0], row[1], nothing]).collect();
        let booster = Booster::train(&all.names, &rows, &all.same, &usual).unwrap();
        let asks = |tree: &tree::Tree| tree.nodes.iter().any(|node| node.feature == 2);
        assert!(!booster.trees.iter().any(asks));
    }
}

#[test]
fn what_is_written_is_read_back_to_the_last_bit() {
    for text in [NAN, ZERO] {
        let booster = Booster::parse(text).unwrap();
        assert_eq!(Booster::parse(&booster.to_text()).unwrap(), booster);
    }
    let all = pairs(500, 8);
    let booster =
        Booster::train(&all.names, &all.rows, &all.same, &TrainOptions::default()).unwrap();
    assert_eq!(Booster::parse(&booster.to_text()).unwrap(), booster);
    assert_eq!((booster.trees(), booster.features()), (100, &all.names[..]));
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
