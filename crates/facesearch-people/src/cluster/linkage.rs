//! Average linkage: merges the two nearest clusters until none are near enough.
//!
//! The distance of two clusters is the mean squared distance over all their pairs, less the local
//! density around the two (Sokal and Michener, *A statistical method for evaluating systematic
//! relationships*, 1958, on squares). The mean of squares follows exactly from each cluster's sum
//! of vectors and sum of squared lengths. So a merge costs one vector sum, however large the
//! clusters are, and no table of pairs is kept.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::density::cohort_distances;
use super::false_discovery::{FalseDiscovery, ImpostorPairs, pairs_within};
use super::{Graph, Vectors};
use crate::PeopleError;

/// How to cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct LinkageOptions {
    /// How near two clusters must be on average (root of the mean squared L2 distance) to be one
    /// person, where the local density is the median. Belongs to the model.
    pub(crate) threshold: f32,
    /// Faces nearer than this are certainly one person, so they say nothing about how near the
    /// faces of other people lie.
    pub(crate) same_person_below: f32,
    /// How much the local density counts, from 0 (not at all) to below 1.
    pub(crate) density_weight: f32,
    /// Seed for the random choice of the cohort.
    pub(crate) seed: u64,
}

impl LinkageOptions {
    /// Options for clusters within `threshold`; the rest as found best on LFW's View 1.
    pub(crate) fn new(threshold: f32) -> Self {
        Self { threshold, same_person_below: 0.94 * threshold, density_weight: 0.7, seed: 1 }
    }

    fn check(&self) -> Result<(), PeopleError> {
        let refuse =
            |what, got: f32, wanted| Err(PeopleError::Option { what, got: got.into(), wanted });
        if !(0.0..1.0).contains(&self.density_weight) {
            return refuse("the weight of the density", self.density_weight, "from 0 to below 1");
        }
        if !(self.threshold >= 0.0 && self.threshold.is_finite()) {
            return refuse("the threshold", self.threshold, "at least 0");
        }
        Ok(())
    }
}

/// What is known about faces before they are clustered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Constraints {
    /// Pairs of rows that are one person.
    pub(crate) same: Vec<(usize, usize)>,
    /// Pairs of rows that are two people, such as two faces of one photo.
    pub(crate) different: Vec<(usize, usize)>,
    /// The person in each row, where one is known. The rows of one person make one cluster, and no
    /// cluster has two people. Empty where nobody is known.
    pub(crate) person: Vec<Option<u32>>,
}

/// Faces in clusters.
#[derive(Debug, Clone, PartialEq)]
pub struct Clusters {
    /// The cluster of each row. Clusters are numbered from 0, in order of their first row.
    pub group: Vec<u32>,
    /// How many clusters there are, those of a single face included.
    pub groups: usize,
    /// The threshold they were made with, L2.
    pub threshold: f32,
}

/// Clusters the faces of `vectors` into people. A face that nobody else is near is a cluster of
/// one.
///
/// Only clusters that the `graph` connects are compared; with 16 neighbours or more, few merges are
/// missed. The result is the same on any number of threads.
///
/// - **Cost:** a few thousand distances for each row, and some for each edge of the graph. Beside
///   the graph, memory for at most one `f64` vector for every two rows.
///
/// # Errors
///
/// [`PeopleError::Contradiction`] where `constraints` call two faces both one person and two;
/// [`PeopleError::Option`] where an option is out of range. Panics where `graph` or `constraints`
/// are of other rows.
pub(crate) fn cluster(
    vectors: &(impl Vectors + ?Sized),
    graph: &Graph,
    constraints: &Constraints,
    options: &LinkageOptions,
) -> Result<Clusters, PeopleError> {
    options.check()?;
    let scale = DensityScale::new(vectors, options);
    merge_within(vectors, graph, constraints, &scale, options.threshold)
}

/// Clusters the faces as [`cluster`] does, with a threshold that follows from the faces: the
/// largest, up to `options.threshold`, at which the expected false discovery rate of pairs is
/// `limit.rate`.
///
/// - **Why:** the number of impostor pairs grows with the square of the number of faces, that of
///   genuine pairs does not. So a threshold that is right for a thousand faces merges different
///   people among a million.
/// - **Trap:** with few pairs beyond the model's threshold, as in a small album, nothing can be
///   estimated, and the threshold stays `options.threshold`.
/// - **Cost:** that of [`cluster`], millions of distances, and a second linkage.
///
/// # Errors
///
/// Those of [`cluster`].
pub(crate) fn cluster_at_false_discovery_rate(
    vectors: &(impl Vectors + ?Sized),
    graph: &Graph,
    constraints: &Constraints,
    options: &LinkageOptions,
    limit: &FalseDiscovery,
) -> Result<Clusters, PeopleError> {
    options.check()?;
    let scale = DensityScale::new(vectors, options);
    let loose = merge_within(vectors, graph, constraints, &scale, options.threshold)?;
    let beyond = f64::from(limit.model_threshold).powi(2);
    let Some(impostors) = ImpostorPairs::learn(vectors, &scale, &loose, beyond, options.seed)
    else {
        return Ok(loose);
    };
    let loosest = f64::from(options.threshold);
    let pairs = pairs_within(vectors, &scale, graph, loosest);
    let threshold = impostors.threshold(&pairs, loosest, limit.rate) as f32;
    if threshold >= options.threshold {
        return Ok(loose);
    }
    merge_within(vectors, graph, constraints, &scale, threshold)
}

fn merge_within(
    vectors: &(impl Vectors + ?Sized),
    graph: &Graph,
    constraints: &Constraints,
    scale: &DensityScale,
    threshold: f32,
) -> Result<Clusters, PeopleError> {
    assert_eq!(graph.rows(), vectors.len(), "the graph is of other faces");
    let near_enough = f64::from(threshold).powi(2) - scale.weight * scale.median;
    let mut linkage = Linkage::new(vectors, graph, scale);
    linkage.apply(constraints)?;
    linkage.merge_all(near_enough);
    Ok(linkage.into_clusters(threshold))
}

/// The local density around each face, to correct distances by.
pub(super) struct DensityScale {
    densities: Vec<f64>,
    median: f64,
    weight: f64,
}

impl DensityScale {
    fn new(vectors: &(impl Vectors + ?Sized), options: &LinkageOptions) -> Self {
        let densities = cohort_distances(vectors, options);
        let median = median(&densities);
        Self { densities, median, weight: options.density_weight.into() }
    }

    /// The squared distance of two faces, as it would be where the density is the median.
    pub(super) fn corrected(&self, square: f64, a: usize, b: usize) -> f64 {
        square - self.weight * ((self.densities[a] + self.densities[b]) / 2.0 - self.median)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// A cluster, current until it is merged into another.
struct Cluster {
    /// Its smallest row, which breaks ties.
    first: usize,
    size: f64,
    /// Sum of its vectors; `None` for a single face, which needs no copy of its vector.
    sum: Option<Box<[f64]>>,
    /// Sum of the squared lengths of its vectors.
    squares: f64,
    /// Sum of the densities around its faces.
    density: f64,
    /// Clusters that the graph connects it with. A cluster that was merged since stands for the one
    /// it was merged into.
    neighbours: Vec<usize>,
    /// Clusters that are somebody else, numbered likewise.
    different: BTreeSet<usize>,
    /// Who it is, where that is known.
    person: Option<u32>,
}

/// The state of the linkage: every cluster there ever was. The rows come first, then each merge.
struct Linkage<'a, V: Vectors + ?Sized> {
    vectors: &'a V,
    density_weight: f64,
    clusters: Vec<Cluster>,
    /// What each cluster was merged into; itself while it is current.
    merged_into: Vec<usize>,
}

/// A possible merge. Ordered by distance, then by the first rows of the two clusters, then by their
/// numbers.
#[derive(PartialEq)]
struct Merge {
    distance: f64,
    first: (usize, usize),
    clusters: (usize, usize),
}

impl Eq for Merge {}

impl Ord for Merge {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let ties = (self.first, self.clusters).cmp(&(other.first, other.clusters));
        self.distance.total_cmp(&other.distance).then(ties)
    }
}

impl PartialOrd for Merge {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a, V: Vectors + ?Sized> Linkage<'a, V> {
    fn new(vectors: &'a V, graph: &Graph, scale: &DensityScale) -> Self {
        let rows = vectors.len();
        let mut connected: Vec<Vec<usize>> = vec![Vec::new(); rows];
        for row in 0..rows {
            for other in graph.neighbours(row) {
                connected[row].push(other);
                connected[other].push(row);
            }
        }
        let single = |(row, mut neighbours): (usize, Vec<usize>)| {
            neighbours.sort_unstable();
            neighbours.dedup();
            Cluster {
                first: row,
                size: 1.0,
                sum: None,
                squares: vectors.vector(row).iter().map(|x| f64::from(*x).powi(2)).sum(),
                density: scale.densities[row],
                neighbours,
                different: BTreeSet::new(),
                person: None,
            }
        };
        let clusters = connected.into_iter().enumerate().map(single).collect();
        let merged_into = (0..rows).collect();
        Self { vectors, density_weight: scale.weight, clusters, merged_into }
    }

    /// The current cluster that `cluster` is part of.
    fn current(&mut self, cluster: usize) -> usize {
        let mut root = cluster;
        while self.merged_into[root] != root {
            root = self.merged_into[root];
        }
        let mut at = cluster;
        while self.merged_into[at] != root {
            at = std::mem::replace(&mut self.merged_into[at], root);
        }
        root
    }

    /// Merges what is known to be one person, and notes what is known to be two.
    fn apply(&mut self, constraints: &Constraints) -> Result<(), PeopleError> {
        let mut first_of = BTreeMap::new();
        let mut same = Vec::new();
        for (row, person) in constraints.person.iter().enumerate() {
            let Some(person) = person else { continue };
            self.clusters[row].person = Some(*person);
            match first_of.entry(*person) {
                Entry::Vacant(vacant) => drop(vacant.insert(row)),
                Entry::Occupied(first) => same.push((*first.get(), row)),
            }
        }
        for &(row, other) in same.iter().chain(&constraints.same) {
            let (a, b) = (self.current(row), self.current(other));
            if self.are_two_people(a, b) {
                return Err(PeopleError::Contradiction { a: row, b: other });
            }
            if a != b {
                self.merge(a, b);
            }
        }
        for &(row, other) in &constraints.different {
            let (a, b) = (self.current(row), self.current(other));
            if a == b {
                return Err(PeopleError::Contradiction { a: row, b: other });
            }
            self.clusters[a].different.insert(b);
            self.clusters[b].different.insert(a);
        }
        Ok(())
    }

    fn merge_all(&mut self, near_enough: f64) {
        let mut queue = BinaryHeap::new();
        for a in 0..self.clusters.len() {
            if self.merged_into[a] == a {
                let neighbours = self.current_neighbours(a);
                let later = neighbours.into_iter().filter(|b| *b > a);
                self.enqueue(a, later, near_enough, &mut queue);
            }
        }
        while let Some(Reverse(Merge { clusters: (a, b), .. })) = queue.pop() {
            if self.merged_into[a] != a || self.merged_into[b] != b || self.must_not_merge(a, b) {
                continue;
            }
            let merged = self.merge(a, b);
            let neighbours = self.current_neighbours(merged);
            self.enqueue(merged, neighbours.into_iter(), near_enough, &mut queue);
        }
    }

    fn enqueue(
        &self,
        a: usize,
        neighbours: impl Iterator<Item = usize>,
        near_enough: f64,
        queue: &mut BinaryHeap<Reverse<Merge>>,
    ) {
        for b in neighbours {
            let distance = self.distance(a, b);
            if distance <= near_enough {
                let (row, other) = (self.clusters[a].first, self.clusters[b].first);
                let first = (row.min(other), row.max(other));
                queue.push(Reverse(Merge { distance, first, clusters: (a, b) }));
            }
        }
    }

    /// The current clusters that `cluster` is connected with, each once. Shortens its list to them.
    fn current_neighbours(&mut self, cluster: usize) -> Vec<usize> {
        let mut neighbours = std::mem::take(&mut self.clusters[cluster].neighbours);
        for other in &mut neighbours {
            *other = self.current(*other);
        }
        neighbours.sort_unstable();
        neighbours.dedup();
        neighbours.retain(|other| *other != cluster);
        self.clusters[cluster].neighbours.clone_from(&neighbours);
        neighbours
    }

    /// Whether both clusters have a known person, and not the same one.
    fn are_two_people(&self, a: usize, b: usize) -> bool {
        let people = (self.clusters[a].person, self.clusters[b].person);
        matches!(people, (Some(person), Some(other)) if person != other)
    }

    /// Whether a constraint says that the two are different people. It is noted at both of them.
    fn must_not_merge(&mut self, a: usize, b: usize) -> bool {
        if self.are_two_people(a, b) {
            return true;
        }
        let counts = [a, b].map(|cluster| self.clusters[cluster].different.len());
        let (shorter, other) = if counts[0] <= counts[1] { (a, b) } else { (b, a) };
        let different: Vec<usize> = self.clusters[shorter].different.iter().copied().collect();
        different.into_iter().any(|cluster| self.current(cluster) == other)
    }

    /// The mean squared distance over all pairs, less the density around the two clusters.
    fn distance(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (&self.clusters[a], &self.clusters[b]);
        let product = match (&a.sum, &b.sum) {
            (None, None) => dot(self.vectors.vector(a.first), self.vectors.vector(b.first)),
            (Some(sum), None) => dot(sum, self.vectors.vector(b.first)),
            (None, Some(sum)) => dot(sum, self.vectors.vector(a.first)),
            (Some(sum), Some(other)) => dot(sum, other),
        };
        let square = a.squares / a.size + b.squares / b.size - 2.0 * product / (a.size * b.size);
        square - self.density_weight / 2.0 * (a.density / a.size + b.density / b.size)
    }

    /// Merges two current clusters, and returns the number of the new one.
    fn merge(&mut self, a: usize, b: usize) -> usize {
        let number = self.clusters.len();
        let mut sum = self.take_sum(a);
        sum.iter_mut().zip(self.take_sum(b)).for_each(|(sum, other)| *sum += other);
        let [mut lists, others] = [a, b].map(|cluster| {
            let cluster = &mut self.clusters[cluster];
            (std::mem::take(&mut cluster.neighbours), std::mem::take(&mut cluster.different))
        });
        lists.0.extend(others.0);
        lists.1.extend(others.1);
        let (own, other) = (&self.clusters[a], &self.clusters[b]);
        let merged = Cluster {
            first: own.first.min(other.first),
            size: own.size + other.size,
            sum: Some(sum),
            squares: own.squares + other.squares,
            density: own.density + other.density,
            neighbours: lists.0,
            different: lists.1,
            person: own.person.or(other.person),
        };
        self.clusters.push(merged);
        self.merged_into.push(number);
        (self.merged_into[a], self.merged_into[b]) = (number, number);
        number
    }

    /// The sum of a cluster's vectors, which it keeps no longer.
    fn take_sum(&mut self, cluster: usize) -> Box<[f64]> {
        let Cluster { first, sum, .. } = &mut self.clusters[cluster];
        sum.take()
            .unwrap_or_else(|| self.vectors.vector(*first).iter().map(|x| (*x).into()).collect())
    }

    fn into_clusters(mut self, threshold: f32) -> Clusters {
        let mut numbers = vec![None; self.clusters.len()];
        let (mut group, mut groups) = (Vec::new(), 0);
        for row in 0..self.vectors.len() {
            let root = self.current(row);
            let number = *numbers[root].get_or_insert_with(|| {
                groups += 1;
                groups as u32 - 1
            });
            group.push(number);
        }
        Clusters { group, groups, threshold }
    }
}

/// The inner product, as several sums at once, which the compiler vectorises.
fn dot<A: Copy + Into<f64>, B: Copy + Into<f64>>(a: &[A], b: &[B]) -> f64 {
    const LANES: usize = 16;
    let mut sums = [0.0; LANES];
    for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += (*a).into() * (*b).into();
        }
    }
    sums.iter().sum()
}
