//! Compares the graph, the clusters and the score with their definitions, computed pair by pair.

use proptest::{collection::vec, prelude::*};

use super::false_discovery::FalseDiscovery;
use super::linkage::cluster_at_false_discovery_rate;
use super::*;
use crate::{Faces, PeopleError, Random};

fn faces(vectors: &[Vec<f32>]) -> Faces {
    Faces::new(vectors.iter().map(|v| ("", v))).unwrap()
}

fn square(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum()
}

/// Average linkage by its definition: every pair of groups, every pair of faces, every time.
fn average_linkage(
    vectors: &[Vec<f32>],
    near_enough: f64,
    different: &[(usize, usize)],
) -> Vec<u32> {
    let mut groups: Vec<Vec<usize>> = (0..vectors.len()).map(|row| vec![row]).collect();
    loop {
        let mut best = (near_enough, None);
        for a in 0..groups.len() {
            for b in a + 1..groups.len() {
                let (rows, others) = (&groups[a], &groups[b]);
                let are_in = |x: &usize, y: &usize| rows.contains(x) && others.contains(y);
                if different.iter().any(|(x, y)| are_in(x, y) || are_in(y, x)) {
                    continue;
                }
                let pairs = rows.iter().flat_map(|x| others.iter().map(move |y| (*x, *y)));
                let sum: f64 = pairs.map(|(x, y)| square(&vectors[x], &vectors[y])).sum();
                let mean = sum / (rows.len() * others.len()) as f64;
                if mean < best.0 {
                    best = (mean, Some((a, b)));
                }
            }
        }
        let Some((a, b)) = best.1 else { break };
        let merged = groups.remove(b);
        groups[a].extend(merged);
    }
    groups.sort_by_key(|group| *group.iter().min().unwrap());
    let mut group = vec![0; vectors.len()];
    for (number, rows) in groups.iter().enumerate() {
        rows.iter().for_each(|row| group[*row] = number as u32);
    }
    group
}

proptest! {
    #[test]
    fn the_exact_graph_is_sort_and_cut(
        vectors in vec(vec(-3i8..4, 2), 1..40), k in 1usize..6,
    ) {
        let vectors: Vec<Vec<f32>> =
            vectors.into_iter().map(|v| v.into_iter().map(f32::from).collect()).collect();
        let graph = Graph::exact(&faces(&vectors), k);
        for (row, vector) in vectors.iter().enumerate() {
            let mut want: Vec<usize> = (0..vectors.len()).filter(|other| *other != row).collect();
            want.sort_by_key(|other| (square(vector, &vectors[*other]) as u64, *other));
            want.truncate(k);
            prop_assert_eq!(graph.neighbours(row).collect::<Vec<_>>(), want);
        }
    }

    #[test]
    fn clusters_are_those_of_average_linkage_by_definition(
        vectors in vec(vec(0.0f32..1.0, 3), 2..24),
        threshold in 0.1f32..0.9,
        different in vec((0usize..24, 0usize..24), 0..3),
    ) {
        let rows = vectors.len();
        let different: Vec<(usize, usize)> =
            different.into_iter().filter(|(a, b)| a != b && *a < rows && *b < rows).collect();
        let faces = faces(&vectors);
        let options =
            LinkageOptions { threshold, same_person_below: 0.0, density_weight: 0.0, seed: 1 };
        let constraints = Constraints { different: different.clone(), ..Constraints::default() };
        let graph = Graph::exact(&faces, rows - 1);
        let got = cluster(&faces, &graph, &constraints, &options).unwrap();
        let want = average_linkage(&vectors, f64::from(threshold).powi(2), &different);
        prop_assert_eq!(&got.group, &want);
        prop_assert_eq!(got.groups as u32, want.iter().max().unwrap() + 1);
    }

    #[test]
    fn scores_are_those_of_looking_at_every_pair(
        labels in vec((0u32..5, 0u32..5), 1..30),
    ) {
        let (group, person): (Vec<u32>, Vec<u32>) = labels.iter().copied().unzip();
        let (mut tp, mut in_group, mut in_person) = (0.0, 0.0, 0.0);
        let (mut precision, mut recall) = (0.0, 0.0);
        for i in 0..labels.len() {
            let same_group = (0..labels.len()).filter(|j| group[*j] == group[i]);
            let (all, right) = same_group.fold((0.0, 0.0), |(n, r), j| {
                (n + 1.0, r + f64::from(u8::from(person[j] == person[i])))
            });
            precision += right / all / labels.len() as f64;
            let own = person.iter().filter(|p| **p == person[i]).count() as f64;
            recall += right / own / labels.len() as f64;
            for j in 0..i {
                let (g, p) = (group[i] == group[j], person[i] == person[j]);
                tp += f64::from(u8::from(g && p));
                in_group += f64::from(u8::from(g));
                in_person += f64::from(u8::from(p));
            }
        }
        let got = score_clusters(&group, &person);
        let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 1.0 };
        prop_assert!((got.precision - share(tp, in_group)).abs() < 1e-12);
        prop_assert!((got.recall - share(tp, in_person)).abs() < 1e-12);
        prop_assert!((got.bcubed_precision - precision).abs() < 1e-12);
        prop_assert!((got.bcubed_recall - recall).abs() < 1e-12);
    }
}

/// Each person as a tight bundle of unit vectors; some people with many photos.
fn album(people: usize, seed: u64) -> (Vec<Vec<f32>>, Vec<u32>) {
    let mut random = Random::new(seed);
    let mut normal =
        move || (0..12).map(|_| random.below(1 << 20) as f32).sum::<f32>() / 1_048_576.0 - 6.0;
    let (mut vectors, mut person) = (Vec::new(), Vec::new());
    for number in 0..people {
        let centre: Vec<f32> = (0..32).map(|_| normal()).collect();
        for _ in 0..if number % 20 == 0 { 40 } else { 1 + number % 4 } {
            let v: Vec<f32> = centre.iter().map(|c| c + 0.5 * normal()).collect();
            let length = v.iter().map(|x| x * x).sum::<f32>().sqrt();
            vectors.push(v.into_iter().map(|x| x / length).collect());
            person.push(number as u32);
        }
    }
    (vectors, person)
}

#[test]
fn people_of_an_album_are_found_whatever_the_order_and_the_threads() {
    let (vectors, person) = album(200, 3);
    let run = |vectors: &[Vec<f32>]| {
        let faces = faces(vectors);
        let graph = Graph::exact(&faces, 16);
        cluster(&faces, &graph, &Constraints::default(), &LinkageOptions::new(0.95)).unwrap()
    };
    let found = run(&vectors);
    let score = score_clusters(&found.group, &person);
    assert!(score.precision > 0.99 && score.recall > 0.95, "{score:?}");
    let alone = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    assert_eq!(alone.install(|| run(&vectors)), found);
}

#[test]
fn the_threshold_falls_as_the_people_become_more() {
    let chosen = |people: usize| {
        let (vectors, person) = album(people, 7);
        let faces = faces(&vectors);
        let graph = Graph::exact(&faces, 48);
        let (options, nothing) = (LinkageOptions::new(1.0), Constraints::default());
        let limit = FalseDiscovery { model_threshold: 1.1, rate: 0.02 };
        let found =
            cluster_at_false_discovery_rate(&faces, &graph, &nothing, &options, &limit).unwrap();
        let threshold = found.threshold;
        let fixed = LinkageOptions { threshold, ..options };
        assert_eq!(found, cluster(&faces, &graph, &nothing, &fixed).unwrap());
        // The share of impostor pairs among all pairs within the threshold, by looking at each.
        let (mut within, mut impostors) = (0.0, 0.0);
        let limit = f64::from(threshold).powi(2);
        for a in 0..vectors.len() {
            for b in (0..a).filter(|b| square(&vectors[a], &vectors[*b]) <= limit) {
                within += 1.0;
                impostors += f64::from(u8::from(person[a] != person[b]));
            }
        }
        let score = score_clusters(&found.group, &person);
        assert!(score.precision > 0.99 && score.recall > 0.9, "{people}: {score:?}");
        (threshold, impostors / within)
    };
    let (few, many) = (chosen(60), chosen(1200));
    assert_eq!(few.0, 1.0, "an album has too few impostor pairs to count");
    assert!(many.0 < 0.97, "{many:?}");
    assert!((0.004..0.08).contains(&many.1), "{many:?}");
}

#[test]
fn constraints_hold_and_contradictions_are_named() {
    let (vectors, person) = album(30, 9);
    let faces = faces(&vectors);
    let graph = Graph::exact(&faces, 8);
    let options = LinkageOptions::new(0.95);
    let impostors = (0, person.iter().position(|p| *p == 7).unwrap());
    let genuine = (0, 1);
    assert_eq!(person[0], person[1]);
    let constraints =
        Constraints { same: vec![impostors], different: vec![genuine], person: vec![] };
    let got = cluster(&faces, &graph, &constraints, &options).unwrap();
    assert_eq!(got.group[impostors.0], got.group[impostors.1]);
    assert_ne!(got.group[genuine.0], got.group[genuine.1]);
    let constraints =
        Constraints { same: vec![(0, 1), (1, 2)], different: vec![(2, 0)], person: vec![] };
    let refused = cluster(&faces, &graph, &constraints, &options);
    assert!(matches!(refused, Err(PeopleError::Contradiction { a: 2, b: 0 })));
    // Faces of one name are one cluster and those of two names are two, however near they are.
    let mut named = vec![None; person.len()];
    (named[impostors.0], named[impostors.1], named[genuine.1]) = (Some(4), Some(4), Some(5));
    let constraints = Constraints { person: named, ..Constraints::default() };
    let got = cluster(&faces, &graph, &constraints, &options).unwrap();
    assert_eq!(got.group[impostors.0], got.group[impostors.1]);
    assert_ne!(got.group[genuine.0], got.group[genuine.1]);
    let both = Constraints { same: vec![genuine], ..constraints };
    let refused = cluster(&faces, &graph, &both, &options);
    assert!(matches!(refused, Err(PeopleError::Contradiction { a: 0, b: 1 })));
    let odd = LinkageOptions { density_weight: 1.0, ..options };
    let refused = cluster(&faces, &graph, &Constraints::default(), &odd);
    assert!(matches!(refused, Err(PeopleError::Option { .. })));
}

#[test]
fn a_graph_from_an_index_takes_rows_with_few_neighbours() {
    let graph = Graph::from_index(3, 2, |row| match row {
        0 => Ok::<_, ()>(vec![0, 1, 9, 2, 1]),
        1 => Ok(vec![]),
        _ => Ok(vec![1]),
    });
    let graph = graph.unwrap();
    let near = |row| graph.neighbours(row).collect::<Vec<_>>();
    assert_eq!((near(0), near(1), near(2)), (vec![1, 2], vec![], vec![1]));
    assert_eq!(Graph::from_index(2, 1, |_| Err::<Vec<u32>, _>("broken")), Err("broken"));
    let nobody = faces(&[]);
    let threshold = ClusterThreshold::Fixed(1.0);
    let none = cluster_vectors(&nobody, &Graph::exact(&nobody, 4), threshold);
    assert_eq!(none.unwrap().groups, 0);
}

#[test]
fn a_model_with_a_loose_threshold_does_not_get_a_looser_one() {
    let (vectors, _) = album(300, 5);
    let faces = faces(&vectors);
    let graph = Graph::exact(&faces, 16);
    let threshold = |model_threshold: f32| {
        let options = LinkageOptions::new(0.9 * model_threshold);
        let limit = FalseDiscovery { model_threshold, rate: 0.015 };
        let nothing = Constraints::default();
        cluster_at_false_discovery_rate(&faces, &graph, &nothing, &options, &limit)
            .unwrap()
            .threshold
    };
    // At 1.3 more than a twentieth of all impostor pairs are within the model's threshold.
    let (usual, loose) = (threshold(1.1), threshold(1.3));
    assert!(loose < 1.1 * usual, "{loose} and {usual}");
}
