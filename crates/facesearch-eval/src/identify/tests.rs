//! Compares the experiment with its definition: search one probe at a time, sort, count.

use std::collections::BTreeSet;

use facesearch_core::Metric;
use facesearch_people::{PeopleError, Random};
use proptest::{collection::vec, prelude::*};

use super::*;
use crate::evidence::Fusion;
use crate::pairs::Bootstrap;
use crate::{EvalError, Faces};

/// Faces whose numbers are drawn from `number`.
fn faces_of(number: impl Strategy<Value = f32>) -> impl Strategy<Value = Faces> {
    vec((0u8..8, vec(number, 3)), 4..40).prop_map(|faces| {
        let faces: Vec<(String, Vec<f32>)> =
            faces.into_iter().map(|(name, v)| (name.to_string(), v)).collect();
        Faces::new(faces.iter().map(|(name, v)| (&name[..], v))).unwrap()
    })
}

/// Few values on purpose: many distances are equal, and exactly so.
fn some_faces() -> impl Strategy<Value = Faces> {
    faces_of((-3i8..4).prop_map(f32::from))
}

/// How to search what: means of distances round, so that they go with faces without ties.
fn some_search() -> impl Strategy<Value = (Faces, Fusion)> {
    let mean = prop_oneof![Just(Fusion::MeanOfBest(2)), Just(Fusion::Template)];
    prop_oneof![
        some_faces().prop_map(|faces| (faces, Fusion::Nearest)),
        (faces_of(-3.0f32..3.0), mean),
    ]
}

/// Whether rounding could put two of these in another order.
fn too_close(told: &[(f64, u32)], fusion: Fusion, thresholds: &[f64]) -> bool {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-5;
    fusion != Fusion::Nearest
        && (told.windows(2).any(|pair| near(pair[0].0, pair[1].0))
            || told.iter().any(|told| thresholds.iter().any(|t| near(told.0, *t))))
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>().sqrt()
}

/// What one probe is told: every enrolled person with a distance, nearest first; of two at the same
/// distance the wrong one first.
fn told(faces: &Faces, split: &Split, n: usize, row: usize, fusion: Fusion) -> Vec<(f64, u32)> {
    let mut told: Vec<(f64, bool, u32)> = Vec::new();
    for rows in &split.gallery[..n] {
        let person = faces.person(rows[0]);
        let mut photos: Vec<f64> =
            rows.iter().map(|r| distance(faces.vector(row), faces.vector(*r))).collect();
        photos.sort_by(f64::total_cmp);
        let score = match fusion {
            Fusion::Nearest => photos[0],
            Fusion::MeanOfBest(m) => {
                photos.truncate(m);
                photos.iter().sum::<f64>() / photos.len() as f64
            }
            Fusion::Template => {
                let mean: Vec<f32> = (0..faces.dim())
                    .map(|i| {
                        rows.iter().map(|r| faces.vector(*r)[i]).sum::<f32>() / rows.len() as f32
                    })
                    .collect();
                // All-zero means cancel: there the photos themselves are kept.
                if mean.iter().all(|v| *v == 0.0) {
                    photos[0]
                } else {
                    distance(faces.vector(row), &mean)
                }
            }
        };
        told.push((score, person == faces.person(row), person));
    }
    told.sort_by(|a, b| a.partial_cmp(b).unwrap());
    told.into_iter().map(|(score, _, person)| (score, person)).collect()
}

proptest! {
    #[test]
    fn every_figure_is_that_of_searching_one_by_one(
        (faces, fusion) in some_search(),
        enrol in 1usize..4,
        unknown in 0.2f64..0.6,
        seed in 0u64..1000,
    ) {
        const THRESHOLDS: [f64; 5] = [0.50003, 1.00003, 1.73213, 2.50003, 4.00003];
        let Ok(split) = split(&faces, &Protocol { enrol, unknown, seed }) else { return Ok(()) };
        let all = split.gallery.len();
        for set in run(&faces, &split, &[1, 3, all], fusion, Metric::L2) {
            let enrolled: BTreeSet<u32> =
                split.gallery[..set.people].iter().map(|rows| faces.person(rows[0])).collect();
            let inside: Vec<usize> = split.known.iter().map(|(_, row)| *row)
                .filter(|row| enrolled.contains(&faces.person(*row))).collect();
            prop_assert_eq!(set.known(), inside.len());
            prop_assert_eq!(set.unknown(), split.unknown.len());
            let answers = |rows: &[usize]| -> Vec<(u32, Vec<(f64, u32)>)> {
                rows.iter().map(|row| {
                    (faces.person(*row), told(&faces, &split, set.people, *row, fusion))
                }).collect()
            };
            let (inside, outside) = (answers(&inside), answers(&split.unknown));
            let mut all = inside.iter().chain(&outside);
            prop_assume!(!all.any(|(_, told)| too_close(told, fusion, &THRESHOLDS)));
            for t in THRESHOLDS {
                let named = |told: &[(f64, u32)]| (told[0].0 <= t).then_some(told[0].1);
                let right = inside.iter().filter(|(p, told)| named(told) == Some(*p)).count();
                let wrong = inside.iter()
                    .filter(|(p, told)| named(told).is_some_and(|n| n != *p)).count();
                let alarm = outside.iter().filter(|(_, told)| named(told).is_some()).count();
                let got = set.at(t);
                let counted = (got.right, got.wrong_name, got.false_alarm);
                prop_assert_eq!(counted, (right, wrong, alarm));
                prop_assert_eq!(got.false_unknown, inside.len() - right - wrong);
                prop_assert_eq!(got.right_unknown, outside.len() - alarm);
                let share = |n, of: usize| (of > 0).then(|| n as f64 / of as f64);
                prop_assert_eq!(set.fpir(t), share(alarm, outside.len()));
                prop_assert_eq!(set.fnir(t), share(inside.len() - right, inside.len()));
            }
            for k in 1..=set.people {
                let found = inside.iter()
                    .filter(|(p, told)| told.iter().take(k).any(|(_, q)| q == p)).count();
                let want = (!inside.is_empty()).then(|| found as f64 / inside.len() as f64);
                prop_assert_eq!(set.rank(k), want);
                prop_assert_eq!(set.cmc(set.people).get(k - 1).copied(), want);
            }
        }
    }

    #[test]
    fn the_threshold_for_a_false_alarm_rate_is_the_largest_that_keeps_to_it(
        faces in some_faces(), seed in 0u64..1000, wanted in 0.0f64..1.0,
    ) {
        let protocol = Protocol { enrol: 1, unknown: 0.5, seed };
        let Ok(split) = split(&faces, &protocol) else { return Ok(()) };
        for set in run(&faces, &split, &[split.gallery.len()], Fusion::Nearest, Metric::L2) {
            let Some(point) = set.at_fpir(wanted) else { continue };
            prop_assert!(point.fpir <= wanted);
            prop_assert_eq!(Some(point.fpir), set.fpir(point.threshold));
            if point.threshold < f64::MAX {
                prop_assert!(set.fpir(point.threshold.next_up()).unwrap() > wanted);
            }
            for point in set.det() {
                prop_assert_eq!(Some(point.fpir), set.fpir(point.threshold));
                let fnir = set.fnir(point.threshold).unwrap();
                prop_assert!((point.fnir - fnir).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn every_face_has_one_place_and_no_outsider_is_enrolled(
        faces in some_faces(), enrol in 1usize..4, seed in 0u64..1000,
    ) {
        let protocol = Protocol { enrol, unknown: 0.4, seed };
        let Ok(split) = split(&faces, &protocol) else { return Ok(()) };
        let enrolled: Vec<usize> = split.gallery.iter().flatten().copied().collect();
        let mut rows = enrolled.clone();
        rows.extend(split.known.iter().map(|(_, row)| *row));
        rows.extend(&split.unknown);
        rows.sort_unstable();
        prop_assert_eq!(rows, (0..faces.len()).collect::<Vec<_>>());
        let inside: BTreeSet<u32> = enrolled.iter().map(|row| faces.person(*row)).collect();
        prop_assert!(split.unknown.iter().all(|row| !inside.contains(&faces.person(*row))));
        for (place, row) in &split.known {
            prop_assert_eq!(faces.person(split.gallery[*place][0]), faces.person(*row));
            prop_assert_eq!(split.gallery[*place].len(), enrol);
        }
    }
}

#[test]
fn a_report_says_where_it_rests_on_too_few_outsiders() {
    let vectors: Vec<(String, [f32; 1])> =
        (0..60u8).map(|i| ((i / 2).to_string(), [f32::from(i) * 1.5])).collect();
    let faces = Faces::new(vectors.iter().map(|(name, v)| (&name[..], v))).unwrap();
    let split = split(&faces, &Protocol::default()).unwrap();
    let sets = run(&faces, &split, &[15, 99], Fusion::Nearest, Metric::L2);
    assert_eq!(sets.len(), 1, "15 people and 'at most 99' are the same gallery");
    let made = report(&sets[0], Some(2.0), &Bootstrap::default());
    assert_eq!((made.people, made.known, made.unknown), (15, 15, 30));
    let supported: Vec<bool> = made.fnir.iter().map(|at| at.supported).collect();
    assert_eq!(supported, [true, false, false]);
    assert_eq!(made, report(&sets[0], Some(2.0), &Bootstrap::default()));
    // Without resamples there are no intervals, and the same figures.
    let bare = report(&sets[0], Some(2.0), &Bootstrap { resamples: 0, ..Bootstrap::default() });
    assert_eq!(bare.ranks.len(), made.ranks.len());
    let points = |made: &IdentifyReport| made.fnir.iter().map(|at| at.point).collect::<Vec<_>>();
    assert_eq!(points(&bare), points(&made));
    assert!(bare.ranks.iter().all(|(_, _, interval)| interval.is_none()));
}

#[test]
fn an_experiment_without_sense_is_refused() {
    let faces = Faces::new([("a", [0.0])]).unwrap();
    let split = |enrol, unknown| split(&faces, &Protocol { enrol, unknown, seed: 1 });
    assert!(matches!(split(0, 0.5), Err(EvalError::Option { .. })));
    assert!(matches!(split(1, 1.0), Err(EvalError::Option { .. })));
    assert!(matches!(split(1, f64::NAN), Err(EvalError::Option { .. })));
    assert!(matches!(split(1, 0.0), Err(EvalError::TooFew { .. })));
    let mixed = Faces::new([("a", vec![0.0]), ("b", vec![0.0, 1.0])]);
    assert!(matches!(mixed, Err(PeopleError::Dimension { expected: 1, got: 2 })));
}

/// Points drawn alike, so that no person is a better mistake than another.
fn cloud(people: usize, photos: usize) -> Faces {
    let mut random = Random::new(3);
    let mut number = || random.below(1 << 20) as f32 / (1 << 20) as f32 - 0.5;
    let mut faces = Vec::new();
    for person in 0..people {
        let centre: Vec<f32> = (0..16).map(|_| number()).collect();
        for _ in 0..photos {
            let face: Vec<f32> = centre.iter().map(|c| c + 0.2 * number()).collect();
            faces.push((format!("{person:05}"), face));
        }
    }
    Faces::new(faces.iter().map(|(name, face)| (&name[..], face))).unwrap()
}

#[test]
fn a_threshold_of_the_enrolled_holds_for_outsiders_and_beyond() {
    let faces = cloud(3000, 2);
    let small = split(&faces, &Protocol { unknown: 0.5, ..Protocol::default() }).unwrap();
    let own = |n| own_impostors(&faces, &small, n, Fusion::Nearest, Metric::L2).unwrap();
    let sets = run(&faces, &small, &[300, 600, 1500], Fusion::Nearest, Metric::L2);
    for set in &sets {
        for kept in kept(set, &own(set.people), &[0.1, 0.01], &Bootstrap::default()).unwrap() {
            let ratio = kept.observed.fpir / kept.wanted;
            // Of 300 people 3 are 0.01: too few to know where that is.
            let few = set.people < 600 && kept.wanted < 0.1;
            assert!(few || (0.5..2.0).contains(&ratio), "{kept:?} of {}", set.people);
            let around = kept.interval.unwrap();
            assert!(around.low <= kept.observed.fpir && kept.observed.fpir <= around.high);
        }
    }
    // What 300 people foretell of 1,500 is what 1,500 show.
    let foretold = extrapolated(&sets[0], &own(300), 1500, 0.1).unwrap();
    let seen = sets[2].fnir(foretold.threshold).unwrap();
    assert!((foretold.fnir - seen).abs() < 0.05, "{foretold:?}, but {seen}");
    assert!(own_impostors(&faces, &small, 10, Fusion::Nearest, Metric::L2).is_err());
}
