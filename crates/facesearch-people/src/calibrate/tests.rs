//! Compares curves, tables and cuts with scikit-learn's on the same distances
//! (`models/reference/sklearn_reference.py`), and the impostor tables with a count of every
//! possible gallery.

use serde_json::Value;

use super::calibration::Probability;
use super::isotonic::Isotonic;
use super::logistic::Logistic;
use super::tail::Tail;
use super::*;
use crate::pairs::Trial;
use crate::{PeopleError, Random, golden};

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[test]
fn the_isotonic_curve_is_scikit_learns() {
    for (trials, case) in golden::pairs() {
        let curve = Isotonic::fit(&trials).unwrap();
        for asked in case["isotonic"].as_array().unwrap() {
            let got = curve.probability(number(&asked[0]));
            assert!((got - number(&asked[1])).abs() < 1e-9, "{got} is not {asked}");
        }
    }
}

#[test]
fn the_logistic_curve_is_scikit_learns() {
    for (trials, case) in golden::pairs() {
        let curve = Logistic::fit(&trials).unwrap();
        let want = &case["logistic"];
        let want = Logistic { slope: number(&want[0]), offset: number(&want[1]) };
        for i in 0..80 {
            let d = f64::from(i) / 40.0;
            let (got, want) = (curve.probability(d), want.probability(d));
            // scikit-learn stops its own descent early.
            assert!((got - want).abs() < 2e-3, "{got} at {d} is not {want}");
        }
    }
}

#[test]
fn the_reliability_table_is_scikit_learns() {
    for (trials, case) in golden::pairs() {
        let truth = trials.iter().filter(|trial| !trial.failed()).map(Trial::same);
        let predicted = case["said"].as_array().unwrap().iter().map(number);
        let predictions: Vec<(f64, bool)> = predicted.zip(truth).collect();
        let got = Reliability::new(&predictions, 10);
        assert!((got.brier - number(&case["brier"])).abs() < 1e-9);
        let want = case["reliability"].as_array().unwrap();
        assert_eq!(got.bins.len(), want.len());
        for (got, want) in got.bins.iter().zip(want) {
            assert!((got.predicted - number(&want[0])).abs() < 1e-9);
            assert!((got.observed - number(&want[1])).abs() < 1e-9);
        }
        let counted: usize = got.bins.iter().map(|bin| bin.count).sum();
        assert_eq!(counted, predictions.len());
    }
}

#[test]
fn the_stump_is_scikit_learns() {
    for (trials, case) in golden::pairs() {
        let got = stump(&trials, Criterion::Gain).unwrap();
        let want = number(&case["stump"]);
        assert!((got.threshold - want).abs() < 1e-6, "{got:?} is not {want}");
    }
    let equal = [Trial::new(Some(0.5), true), Trial::new(Some(0.5), false)];
    assert!(matches!(stump(&equal, Criterion::Gain), Err(PeopleError::TooFew { .. })));
    assert!(stump(&[], Criterion::Gain).is_err());
}

#[test]
fn a_tail_of_known_shape_is_recovered() {
    for (scale, shape) in [(0.05, -0.3), (0.1, 0.0), (0.02, 0.05), (0.04, -0.45)] {
        // The quantiles of the distribution, from its definition.
        let n = 20_000;
        let below: Vec<(f64, f64)> = (0..n)
            .map(|i| {
                let q = (f64::from(i) + 0.5) / f64::from(n);
                let unit: f64 = if shape == 0.0 { -q.ln() } else { (q.powf(-shape) - 1.0) / shape };
                (1.0 - scale * unit, 2.0)
            })
            .collect();
        let tail = Tail::fit(1.0, 0.05, &below, 1e6).unwrap();
        assert!((tail.shape - shape).abs() < 0.01, "{tail:?}, shape {shape}");
        assert!((tail.scale / scale - 1.0).abs() < 0.02, "{tail:?}, scale {scale}");
        for part in [0.5, 0.1, 0.01] {
            let at = below[(f64::from(n) * part) as usize].0;
            assert!((tail.probability(at) / (0.05 * part) - 1.0).abs() < 0.05);
        }
    }
    assert!(Tail::fit(1.0, 0.05, &[(0.9, 1.0)], 1.0).is_none());
    assert!(Tail::fit(1.0, 0.05, &[], 0.0).is_none());
}

/// Twenty probes, twenty people, distances that are all different.
fn small_world() -> Vec<Vec<f32>> {
    let mut random = Random::new(5);
    let mut order: Vec<u32> = (0..400).collect();
    random.shuffle(&mut order);
    order.chunks(20).map(|probe| probe.iter().map(|i| 0.5 + *i as f32 / 400.0).collect()).collect()
}

#[test]
fn the_impostor_table_is_the_mean_over_every_possible_gallery() {
    let world = small_world();
    let impostors = nearest_impostors(world.clone()).unwrap();
    let sizes: Vec<usize> = impostors.tables().iter().map(|table| table.people).collect();
    assert_eq!(sizes, [5, 10, 20]);
    // Every gallery of 5 out of 20, as bits.
    let galleries: Vec<u32> = (0u32..1 << 20).filter(|set| set.count_ones() == 5).collect();
    assert_eq!(galleries.len(), 15_504);
    // Rates below a fifth are not counted, but computed from all comparisons.
    let counted = |point: &&(f64, f64)| point.1 >= 0.2;
    for &(threshold, rate) in impostors.tables()[0].curve.iter().filter(counted).step_by(3) {
        let mut alarms = 0u64;
        for probe in &world {
            let near: u32 =
                (0..20).filter(|i| f64::from(probe[*i]) <= threshold).map(|i| 1 << i).sum();
            alarms += galleries.iter().filter(|set| **set & near != 0).count() as u64;
        }
        let want = alarms as f64 / (galleries.len() * world.len()) as f64;
        assert!((rate - want).abs() < 1e-9, "{rate} at {threshold} is not {want}");
    }
    // All twenty: each probe counts once, at its smallest score.
    for (threshold, rate) in impostors.tables()[2].curve.iter().filter(counted) {
        let near = world.iter().filter(|p| p.iter().any(|d| f64::from(*d) <= *threshold)).count();
        assert!((rate - near as f64 / 20.0).abs() < 1e-9);
    }
}

#[test]
fn rates_rise_with_the_threshold_and_with_the_people() {
    let impostors = nearest_impostors(small_world()).unwrap();
    for people in [1, 4, 7, 20, 100, 1_000_000] {
        let rates: Vec<f64> =
            (0..100).map(|i| impostors.fpir(f64::from(i) / 50.0, people)).collect();
        assert!(rates.windows(2).all(|pair| pair[0] <= pair[1] + 1e-12), "{people}: {rates:?}");
        assert!(rates.iter().all(|rate| (0.0..=1.0).contains(rate)));
        for wanted in [0.001, 0.1, 0.5] {
            let threshold = impostors.threshold(wanted, people).unwrap();
            // Among a million, even distance 0 may be more likely than wanted: nothing is accepted.
            assert!(threshold == 0.0 || impostors.fpir(threshold, people) <= wanted + 1e-9);
        }
    }
    let strict = |people| impostors.threshold(0.1, people).unwrap();
    assert!(strict(10) > strict(20) && strict(20) > strict(1000));
    assert!(impostors.threshold(0.0, 10).is_err() && impostors.threshold(f64::NAN, 10).is_err());
    assert_eq!(impostors.fpir(1.0, 0), 0.0);
}

#[test]
fn rare_alarms_follow_the_formula_where_comparisons_are_alike() {
    // Distances of a known distribution (logistic, around 1), alike for all.
    let (mut random, scale) = (Random::new(3), 0.03);
    let mut distance = || {
        let share = (random.below(1 << 30) as f64 + 0.5) / f64::from(1 << 30);
        1.0 + scale * (share / (1.0 - share)).ln()
    };
    let world: Vec<Vec<f32>> =
        (0..1000).map(|_| (0..1000).map(|_| distance() as f32).collect()).collect();
    let impostors = nearest_impostors(world).unwrap();
    for people in [50, 500, 1000] {
        for wanted in [0.1, 0.01] {
            let threshold = impostors.threshold(wanted, people).unwrap();
            let share = 1.0 / (1.0 + (-(threshold - 1.0) / scale).exp());
            let off = (1.0 - (1.0 - share).powi(people as i32)) / wanted;
            assert!(off > 0.5 && off < 2.0, "{people}: {off} times {wanted}");
        }
    }
}

/// People as points; some crowd together, most stand apart, so comparisons are not alike.
fn crowd(random: &mut Random, people: usize) -> Vec<Vec<f32>> {
    let uniform = |random: &mut Random| random.below(1 << 20) as f32 / (1 << 20) as f32;
    (0..people)
        .map(|_| {
            let reach = if random.below(10) == 0 { 0.45 } else { 1.0 };
            (0..12)
                .map(|_| reach * (uniform(random) + uniform(random) + uniform(random) - 1.5))
                .collect()
        })
        .collect()
}

#[test]
fn the_threshold_keeps_to_the_wanted_rate_on_people_it_never_saw() {
    let mut random = Random::new(11);
    let gallery = crowd(&mut random, 1200);
    let strangers = crowd(&mut random, 4000);
    let distance = |a: &[f32], b: &[f32]| facesearch_core::distance(a, b).get();
    let impostors = nearest_impostors(gallery.iter().enumerate().map(|(i, probe)| {
        let others = gallery.iter().enumerate().filter(|(j, _)| *j != i);
        others.map(|(_, other)| distance(probe, other)).collect()
    }))
    .unwrap();
    for people in [100, 400, 1200] {
        let nearest: Vec<f64> = strangers
            .iter()
            .map(|probe| {
                let near = gallery[..people].iter().map(|other| distance(probe, other));
                f64::from(near.fold(f32::INFINITY, f32::min))
            })
            .collect();
        for wanted in [0.1, 0.01] {
            let threshold = impostors.threshold(wanted, people).unwrap();
            let alarms = nearest.iter().filter(|d| **d <= threshold).count();
            let got = alarms as f64 / strangers.len() as f64;
            assert!(got / wanted < 2.0 && got / wanted > 0.5, "{got} for {wanted} at {people}");
        }
    }
}

#[test]
fn too_little_to_learn_from_is_refused() {
    let alike: Vec<Trial> = (1..9).map(|i| Trial::new(Some(f64::from(i)), true)).collect();
    assert!(matches!(stump(&alike, Criterion::Gain), Err(PeopleError::TooFew { .. })));
    let few = |probes: usize, people: usize| nearest_impostors(vec![vec![1.0; people]; probes]);
    assert!(matches!(few(0, 50), Err(PeopleError::TooFew { got: 0, .. })));
    assert!(matches!(few(19, 50), Err(PeopleError::TooFew { got: 19, .. })));
    assert!(matches!(few(50, 19), Err(PeopleError::TooFew { got: 19, .. })));
    assert!(few(20, 20).is_ok(), "equal distances are a tail without a shape, not an error");
    assert!(Isotonic::fit(&[Trial::new(None, true)]).is_none());
    assert!(Logistic::fit(&[Trial::new(Some(0.1), true)]).is_none());
    let upside_down = [(0.1, false), (0.2, false), (0.8, true), (0.9, true)]
        .map(|(d, same)| Trial::new(Some(d), same));
    assert!(Logistic::fit(&upside_down).is_none());
}

#[test]
fn a_calibration_survives_json_and_moves_with_the_prior() {
    let (trials, _) = golden::pairs().remove(0);
    let impostors = nearest_impostors(small_world()).unwrap();
    for probability in [
        Probability::Isotonic(Isotonic::fit(&trials).unwrap()),
        Probability::Logistic(Logistic::fit(&trials).unwrap()),
    ] {
        let curve = probability.clone();
        let made = Calibration {
            probability: Some(probability),
            prior: 0.5,
            impostors: impostors.clone(),
        };
        let json = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<Calibration>(&json).unwrap(), made);
        let at = curve.at(1.0);
        assert!((made.probability(1.0, 0.5).unwrap() - at).abs() < 1e-12);
        // Bayes: odds of 1 : 99 instead of 1 : 1 divide the odds by 99.
        let rare = made.probability(1.0, 0.01).unwrap();
        assert!((rare / (1.0 - rare) * 99.0 - at / (1.0 - at)).abs() < 1e-9);
        assert_eq!(made.probability(1.0, 0.0), Some(0.0));
        let alarms = made.expected_false_alarms(0.6, 10, 1000);
        assert!((alarms - 1000.0 * made.impostors.fpir(0.6, 10)).abs() < 1e-9);
    }
}
