//! Compares every figure with scikit-learn's on the same distances
//! (`models/reference/sklearn_reference.py`), and the readers with hand-made lists.

use facesearch_people::calibrate::{Criterion, stump};
use serde_json::Value;

use super::*;
use crate::EvalError;

fn golden() -> Vec<(Vec<Trial>, Value)> {
    let text = include_str!("../../../facesearch-people/tests/golden/pairs.json");
    let cases: Vec<Value> = serde_json::from_str(text).unwrap();
    let trials = |case: &Value| {
        let (distance, same) = (case["distance"].as_array(), case["same"].as_array());
        let pairs = distance.unwrap().iter().zip(same.unwrap());
        pairs.map(|(d, same)| Trial::new(d.as_f64(), same.as_bool().unwrap())).collect()
    };
    cases.into_iter().map(|case| (trials(&case), case)).collect()
}

fn folds(case: &Value) -> Vec<usize> {
    case["fold"].as_array().unwrap().iter().map(|f| f.as_u64().unwrap() as usize).collect()
}

#[track_caller]
fn close(got: f64, want: &Value) {
    let want = want.as_f64().unwrap();
    assert!((got - want).abs() <= 1e-9, "{got} is not scikit-learn's {want}");
}

#[test]
fn the_roc_points_are_scikit_learns() {
    for (trials, case) in golden() {
        let roc = Roc::new(&trials).unwrap();
        let want = case["roc"].as_array().unwrap();
        assert_eq!(roc.points().len(), want.len());
        for (got, want) in roc.points().iter().zip(want) {
            close(got.false_accept_rate, &want[0]);
            close(got.true_accept_rate, &want[1]);
            if want[2].is_null() {
                assert!(got.threshold.is_infinite());
            } else {
                close(got.threshold, &want[2]);
            }
        }
    }
}

#[test]
fn what_is_read_off_the_roc_is_scikit_learns() {
    for (trials, case) in golden() {
        let roc = Roc::new(&trials).unwrap();
        close(roc.auc(), &case["auc"]);
        close(roc.equal_error_rate(), &case["eer"]);
        for (far, want) in [1e-2, 1e-3, 1e-4].iter().zip(case["tar"].as_array().unwrap()) {
            close(roc.at_false_accept_rate(*far).true_accept_rate, want);
        }
    }
}

#[test]
fn the_accuracy_over_folds_is_that_of_scikit_learns_split() {
    for (trials, case) in golden() {
        let got = ten_fold(&trials, &folds(&case)).unwrap();
        close(got.mean, &case["fold_mean"]);
        close(got.standard_error, &case["fold_error"]);
        let want = case["fold_accuracies"].as_array().unwrap();
        got.folds.iter().zip(want).for_each(|(got, want)| close(*got, want));
        assert_eq!(got.folds.len(), want.len());
    }
}

#[test]
fn pairs_without_a_distance_are_different_at_every_threshold() {
    let trials = [
        Trial::new(None, true),
        Trial::new(Some(f64::NAN), false),
        Trial::new(Some(0.3), true),
        Trial::new(Some(0.9), false),
    ];
    let counts = Counts::at(&trials, f64::INFINITY);
    assert_eq!((counts.true_accepts, counts.false_rejects), (1, 1));
    assert_eq!((counts.false_accepts, counts.true_rejects), (1, 1));
    let roc = Roc::new(&trials).unwrap();
    assert_eq!(roc.at_false_accept_rate(1.0).true_accept_rate, 0.5);
}

#[test]
fn one_kind_of_pair_alone_makes_no_curve() {
    let same = [Trial::new(Some(0.2), true)];
    assert!(matches!(Roc::new(&same), Err(EvalError::TooFew { got: 0, .. })));
    assert!(matches!(Roc::new(&[]), Err(EvalError::TooFew { got: 0, .. })));
    assert!(matches!(ten_fold(&same, &[0]), Err(EvalError::TooFew { what: "folds", .. })));
}

#[test]
fn the_same_seed_gives_the_same_interval_around_the_figure() {
    let (trials, case) = golden().remove(0);
    let how = Bootstrap { resamples: 400, ..Bootstrap::default() };
    let made = report(&trials, Some(&folds(&case)), Some(0.95), &how).unwrap();
    assert_eq!(made, report(&trials, Some(&folds(&case)), Some(0.95), &how).unwrap());
    let interval = made.accuracy_interval.unwrap();
    // The spread of a share p of n independent trials is known: sqrt(p (1 - p) / n).
    let p = made.accuracy.unwrap();
    let want = 2.0 * 1.96 * (p * (1.0 - p) / trials.len() as f64).sqrt();
    let got = interval.high - interval.low;
    assert!((got / want - 1.0).abs() < 0.2, "width {got}, binomial {want}");
    assert!(interval.low < p && p < interval.high);
    let auc = made.auc_interval.unwrap();
    assert!(auc.low < made.auc && made.auc < auc.high);
    assert!(made.tar[0].supported && !made.tar[2].supported);
}

#[test]
fn lists_of_lfw_are_read_with_and_without_folds() {
    let text = "2\t1\nA\t1\t2\nA\t1\tB\t30\nC_D\t3\t4\nE\t1\tF\t12345\n";
    let pairs = read_lfw(text).unwrap();
    let brief: Vec<_> = pairs.iter().map(|p| (&p.a[..], &p.b[..], p.same, p.fold)).collect();
    assert_eq!(
        brief,
        [
            ("A/A_0001.jpg", "A/A_0002.jpg", true, Some(0)),
            ("A/A_0001.jpg", "B/B_0030.jpg", false, Some(0)),
            ("C_D/C_D_0003.jpg", "C_D/C_D_0004.jpg", true, Some(1)),
            ("E/E_0001.jpg", "F/F_12345.jpg", false, Some(1)),
        ]
    );
    let development = read_lfw("1\nA 1 2\n\nA 1 B 3\n").unwrap();
    assert!(development.iter().all(|p| p.fold.is_none()));
    assert_eq!(development.len(), 2);
}

#[test]
fn damaged_lists_of_lfw_name_the_line() {
    let line = |text: &str| match read_lfw(text).unwrap_err() {
        EvalError::Pairs { line, .. } => line,
        other => panic!("{other}"),
    };
    assert_eq!(line(""), 1);
    assert_eq!(line("pairs\n"), 1);
    assert_eq!(line("1\nA 1 2\n"), 2);
    assert_eq!(line("1\nA 1 2\nA 1 2\n"), 3);
    assert_eq!(line("1\nA 1 2\nA 1 B 2\nA 1 2\n"), 4);
    assert_eq!(line("1\nA one 2\nA 1 B 2\n"), 2);
    assert_eq!(line("18446744073709551615 18446744073709551615\n"), 1);
    assert_eq!(line("0\nA 1 2\n"), 2);
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn the_list_of_view_1_is_read_whole() {
    let view = crate::test_data::shared("data/lfw-view1");
    let text = std::fs::read_to_string(view.join("pairsDevTest.txt")).unwrap();
    let pairs = read_lfw(&text).unwrap();
    assert_eq!((pairs.len(), pairs.iter().filter(|p| p.same).count()), (1000, 500));
    for pair in &pairs {
        assert!(view.join("images").join(&pair.a).is_file(), "{}", pair.a);
        assert_eq!(pair.same, pair.a.split('/').next() == pair.b.split('/').next());
    }
}

#[test]
fn csv_lists_take_columns_in_any_order_and_say_where_they_fail() {
    let text = "same,b,A,extra\nYes,\"x, y.jpg\",z.jpg,1\n0,b.jpg,a.jpg,2\n";
    let pairs = read_csv(text.as_bytes()).unwrap();
    assert_eq!((&pairs[0].a[..], &pairs[0].b[..], pairs[0].same), ("z.jpg", "x, y.jpg", true));
    assert!(!pairs[1].same);
    let folds = read_csv("a,b,same,fold\nx,y,1,3\n".as_bytes()).unwrap();
    assert_eq!(folds[0].fold, Some(3));
    let line = |text: &str| match read_csv(text.as_bytes()).unwrap_err() {
        EvalError::Pairs { line, .. } => line,
        other => panic!("{other}"),
    };
    assert_eq!(line("a,b\nx,y\n"), 1);
    assert_eq!(line("a,b,same\nx,y,maybe\n"), 2);
    assert_eq!(line("a,b,same\nx,y,1\nx,y\n"), 3);
}

#[test]
fn folds_dealt_afterwards_are_even_in_both_kinds() {
    let trials: Vec<Trial> = (0..95).map(|i| Trial::new(Some(1.0), i % 3 == 0)).collect();
    let fold = spread_folds(&trials, 10);
    for kind in [true, false] {
        let sizes: Vec<usize> = (0..10)
            .map(|f| (0..95).filter(|i| fold[*i] == f && trials[*i].same() == kind).count())
            .collect();
        assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1, "{sizes:?}");
    }
}

#[test]
fn measured_lists_give_trials_and_their_folds() {
    let read = |text: &str, distance: &str| {
        let columns = Columns { distance: distance.into(), ..Columns::default() };
        read_distances(text.as_bytes(), &columns)
    };
    let (trials, folds) = read("same,gap,fold\nyes,0.25,1\nno,,0\n", "gap").unwrap();
    assert_eq!(trials, [Trial::new(Some(0.25), true), Trial::new(None, false)]);
    assert_eq!(folds, Some(vec![1, 0]));
    assert_eq!(read("distance,same\n1,0\n", "distance").unwrap().1, None);
    for wrong in ["distance,same\n-1,0\n", "distance,same\n1,x\n", "same\n1\n", "distance\n1\n"] {
        assert!(read(wrong, "distance").is_err(), "{wrong}");
    }
}

#[test]
fn errors_against_rejected_pairs_are_those_of_looking_at_what_is_left() {
    for (trials, _) in golden() {
        let quality: Vec<f32> =
            (0..trials.len()).map(|i| ((i * 37) % 101) as f32 / 100.0).collect();
        for (share, far) in [(0.0, 0.1), (0.1, 0.1), (0.25, 0.01), (0.5, 0.3)] {
            let got = rejection(&trials, &quality, far, &[share]).unwrap()[0];
            let mut left: Vec<(f32, Trial)> =
                quality.iter().copied().zip(trials.iter().copied()).collect();
            left.sort_by(|a, b| a.0.total_cmp(&b.0));
            left.drain(..(share * trials.len() as f64).round() as usize);
            let of = |same: bool| left.iter().filter(move |(_, trial)| trial.same() == same);
            let share_within = |same: bool, threshold: f64| {
                let within = of(same).filter(|(_, trial)| trial.distance() <= threshold).count();
                within as f64 / of(same).count() as f64
            };
            // Every distance is tried as the threshold, and one that accepts nothing.
            let tried = left.iter().map(|(_, trial)| trial.distance()).chain([-1.0]);
            let allowed = tried.filter(|threshold| share_within(false, *threshold) <= far);
            let best = allowed.map(|threshold| share_within(true, threshold)).fold(0.0, f64::max);
            assert_eq!(got.same, of(true).count());
            assert!(
                (got.false_non_match_rate - (1.0 - best)).abs() < 1e-12,
                "{share} {far} {got:?}"
            );
        }
        assert!(matches!(
            rejection(&trials, &quality[1..], 0.1, &[0.0]),
            Err(EvalError::Dimension { .. })
        ));
        assert!(rejection(&trials, &quality, 0.1, &[1.0]).is_err());
    }
}

#[test]
#[ignore = "needs FACESEARCH_SHARED"]
fn the_stump_finds_the_thresholds_that_deepface_publishes() {
    let file = "data/deepface-pairs/face-recognition-pivot.csv";
    let path = crate::test_data::shared(file);
    let cut = |column: &str, criterion| {
        let columns = Columns { distance: column.into(), same: "decision".into() };
        let (trials, _) = read_distances(std::fs::File::open(&path).unwrap(), &columns).unwrap();
        stump(&trials, criterion).unwrap()
    };
    // Published for these models: 0.64 (DeepFace, L2 of unit vectors), 0.40 (VGG-Face, cosine, in
    // the releases of that time).
    let deepface = cut("DeepFace_euclidean_l2", Criterion::Gain);
    assert_eq!(format!("{:.2}", deepface.threshold), "0.64");
    let vgg = cut("VGG-Face_cosine", Criterion::Gain);
    assert!(vgg.below <= 0.40 && 0.40 < vgg.above, "{vgg:?}");
    // The later ratio cuts the same DeepFace distances at 0.54.
    let ratio = cut("DeepFace_euclidean_l2", Criterion::GainRatio);
    assert_eq!(format!("{:.2}", ratio.threshold), "0.54");
    // FaceNet parts the pairs without an error: one bit is all there is to gain.
    assert!((cut("Facenet_cosine", Criterion::Gain).gain - 1.0).abs() < 1e-12);
}
