//! Joins the two nearest groups until none are near enough.
//!
//! The distance of two groups is the mean over all their pairs of the squared distance, less what
//! is usual around the two (Sokal and Michener's average linkage, *A statistical method for
//! evaluating systematic relationships*, 1958, on squares). For squares that mean follows from each
//! group's sum of vectors and of squared lengths alone, exactly, so a join costs one vector sum
//! however large the groups are, and no table of pairs is kept.

use std::cmp::Reverse;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::chance::Strangers;
use super::density::surroundings;
use super::{ClusterOptions, Graph, Vectors};
use crate::PeopleError;

/// What somebody has said about faces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Constraints {
    /// Pairs of rows that are one person, such as earlier groups that new faces are to join.
    pub same: Vec<(usize, usize)>,
    /// Pairs of rows that are two people, such as two faces of one photo.
    pub not_same: Vec<(usize, usize)>,
    /// The number of the person in each row, where one is known: rows of one person are one group,
    /// and no group has two people. Empty where nobody is known.
    pub person: Vec<Option<u32>>,
}

/// Faces in groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clusters {
    /// The group of each row; groups are numbered in order of their first row.
    pub group: Vec<u32>,
    /// How many groups there are, those of a single face among them.
    pub groups: usize,
}

/// Groups the faces of `vectors` into people.
///
/// Only groups that the `graph` connects are compared: with 16 neighbours or more, little is
/// missed. The same input always gives the same groups, on any number of threads. Faces that belong
/// to nobody else are groups of one.
///
/// - **Cost:** a few thousand distances for each row and some for each edge of the graph; memory of
///   at most one `f64` vector for every two rows beside the graph.
///
/// # Errors
///
/// [`PeopleError::Contradiction`] where `constraints` say both of two faces; [`PeopleError::Option`]
/// where the options make no sense. Panics where `graph` or `constraints` speak of other rows.
pub fn cluster(
    vectors: &(impl Vectors + ?Sized),
    graph: &Graph,
    constraints: &Constraints,
    options: &ClusterOptions,
) -> Result<Clusters, PeopleError> {
    let rows = vectors.len();
    assert_eq!(graph.rows(), rows, "the graph is of other faces");
    options.check()?;
    let scale = Scale::new(vectors, options);
    groups_within(vectors, graph, constraints, &scale, options.threshold.into())
}

/// Groups the faces as [`cluster`] does, with a threshold of at most `options.threshold` that
/// follows from the faces: the largest at which, of all pairs of faces that near, a share
/// `strangers` is expected to be of two people. Returns the threshold, too.
///
/// - **Why:** pairs of strangers grow with the square of the faces, pairs of one person do not; so
///   a threshold that is right for a thousand faces joins strangers among a million.
/// - **Input:** `verification`: the distance up to which the model calls two faces one person.
///   Pairs beyond it are taken to be strangers, and how their number falls towards it says how many
///   lie below. With too few such pairs, as in a small album, the threshold stays
///   `options.threshold`.
/// - **Cost:** that of `cluster`, and two million distances and a second linkage.
///
/// # Errors
///
/// Those of [`cluster`].
pub fn cluster_by_chance(
    vectors: &(impl Vectors + ?Sized),
    graph: &Graph,
    constraints: &Constraints,
    options: &ClusterOptions,
    verification: f32,
    strangers: f64,
) -> Result<(Clusters, f32), PeopleError> {
    options.check()?;
    assert_eq!(graph.rows(), vectors.len(), "the graph is of other faces");
    let (scale, loosest) = (Scale::new(vectors, options), f64::from(options.threshold));
    let loose = groups_within(vectors, graph, constraints, &scale, loosest)?;
    let beyond = f64::from(verification).powi(2);
    let Some(chance) = Strangers::learn(vectors, &scale, &loose, beyond, options.seed) else {
        return Ok((loose, options.threshold));
    };
    let threshold = chance.threshold(vectors, &scale, graph, loosest, strangers) as f32;
    if threshold >= options.threshold {
        return Ok((loose, options.threshold));
    }
    let strict = groups_within(vectors, graph, constraints, &scale, threshold.into())?;
    Ok((strict, threshold))
}

fn groups_within(
    vectors: &(impl Vectors + ?Sized),
    graph: &Graph,
    constraints: &Constraints,
    scale: &Scale,
    threshold: f64,
) -> Result<Clusters, PeopleError> {
    let near_enough = threshold.powi(2) - scale.weight * scale.usual;
    let mut forest = Forest::new(vectors, graph, &scale.around, scale.weight);
    forest.obey(constraints)?;
    forest.join_until(near_enough);
    Ok(forest.groups())
}

/// What is usual around each face.
pub(super) struct Scale {
    around: Vec<f64>,
    usual: f64,
    weight: f64,
}

impl Scale {
    fn new(vectors: &(impl Vectors + ?Sized), options: &ClusterOptions) -> Self {
        let around = surroundings(vectors, options);
        let usual = median(&around);
        Self { around, usual, weight: options.weight.into() }
    }

    /// A squared distance of two faces as it would be in surroundings of median density.
    pub(super) fn pair(&self, square: f64, a: usize, b: usize) -> f64 {
        square - self.weight * ((self.around[a] + self.around[b]) / 2.0 - self.usual)
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// A group of faces, alive until it is joined to another.
struct Group {
    /// Its first row, by which ties are broken.
    first: usize,
    size: f64,
    /// Sum of its vectors; `None` for a single face, whose vector is where it always was.
    sum: Option<Box<[f64]>>,
    squares: f64,
    around: f64,
    /// Groups that the graph connects it with, by any number they ever had.
    near: Vec<usize>,
    /// Groups it must not be joined with, likewise.
    not: BTreeSet<usize>,
    /// Who it is, where that is known.
    person: Option<u32>,
}

/// All groups there ever were: the rows first, each join appended.
struct Forest<'a, V: Vectors + ?Sized> {
    vectors: &'a V,
    weight: f64,
    groups: Vec<Group>,
    /// What each group became; itself while it is alive.
    became: Vec<usize>,
}

/// A possible join: mean distance, then the two groups' first rows, then their numbers.
#[derive(PartialEq)]
struct Join {
    score: f64,
    first: (usize, usize),
    groups: (usize, usize),
}

impl Eq for Join {}

impl Ord for Join {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let ties = (self.first, self.groups).cmp(&(other.first, other.groups));
        self.score.total_cmp(&other.score).then(ties)
    }
}

impl PartialOrd for Join {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<'a, V: Vectors + ?Sized> Forest<'a, V> {
    fn new(vectors: &'a V, graph: &Graph, around: &[f64], weight: f64) -> Self {
        let rows = vectors.len();
        let mut near: Vec<Vec<usize>> = vec![Vec::new(); rows];
        for row in 0..rows {
            for other in graph.neighbours(row) {
                near[row].push(other);
                near[other].push(row);
            }
        }
        let groups = near.into_iter().enumerate().map(|(first, mut near)| {
            near.sort_unstable();
            near.dedup();
            let vector = vectors.vector(first);
            let squares = vector.iter().map(|v| f64::from(*v).powi(2)).sum();
            let (around, not) = (around[first], BTreeSet::new());
            Group { first, size: 1.0, sum: None, squares, around, near, not, person: None }
        });
        Self { vectors, weight, groups: groups.collect(), became: (0..rows).collect() }
    }

    /// The living group that `group` is part of.
    fn find(&mut self, group: usize) -> usize {
        let mut root = group;
        while self.became[root] != root {
            root = self.became[root];
        }
        let mut at = group;
        while self.became[at] != root {
            at = std::mem::replace(&mut self.became[at], root);
        }
        root
    }

    /// Joins what is the same and remembers what is not.
    fn obey(&mut self, constraints: &Constraints) -> Result<(), PeopleError> {
        let mut first_of = BTreeMap::new();
        let mut same = Vec::new();
        for (row, person) in constraints.person.iter().enumerate() {
            let Some(person) = person else { continue };
            self.groups[row].person = Some(*person);
            match first_of.entry(*person) {
                Entry::Vacant(vacant) => drop(vacant.insert(row)),
                Entry::Occupied(first) => same.push((*first.get(), row)),
            }
        }
        for &(row, other) in same.iter().chain(&constraints.same) {
            let (a, b) = (self.find(row), self.find(other));
            let people = (self.groups[a].person, self.groups[b].person);
            if let (Some(one), Some(two)) = people
                && one != two
            {
                return Err(PeopleError::Contradiction { a: row, b: other });
            }
            if a != b {
                self.join(a, b);
            }
        }
        for &(row, other) in &constraints.not_same {
            let (a, b) = (self.find(row), self.find(other));
            if a == b {
                return Err(PeopleError::Contradiction { a: row, b: other });
            }
            self.groups[a].not.insert(b);
            self.groups[b].not.insert(a);
        }
        Ok(())
    }

    fn join_until(&mut self, near_enough: f64) {
        let mut joins = BinaryHeap::new();
        for a in 0..self.groups.len() {
            if self.became[a] == a {
                let near = self.living_near(a);
                self.offer(a, near.into_iter().filter(|b| *b > a), near_enough, &mut joins);
            }
        }
        while let Some(Reverse(Join { groups: (a, b), .. })) = joins.pop() {
            if self.became[a] != a || self.became[b] != b || self.forbidden(a, b) {
                continue;
            }
            let joined = self.join(a, b);
            let near = self.living_near(joined);
            self.offer(joined, near.into_iter(), near_enough, &mut joins);
        }
    }

    fn offer(
        &self,
        a: usize,
        near: impl Iterator<Item = usize>,
        near_enough: f64,
        joins: &mut BinaryHeap<Reverse<Join>>,
    ) {
        for b in near {
            let score = self.score(a, b);
            if score <= near_enough {
                let (one, other) = (self.groups[a].first, self.groups[b].first);
                let first = (one.min(other), one.max(other));
                joins.push(Reverse(Join { score, first, groups: (a, b) }));
            }
        }
    }

    /// The living groups around `group`, each once; also tidies its list.
    fn living_near(&mut self, group: usize) -> Vec<usize> {
        let mut near = std::mem::take(&mut self.groups[group].near);
        for other in &mut near {
            *other = self.find(*other);
        }
        near.sort_unstable();
        near.dedup();
        near.retain(|other| *other != group);
        self.groups[group].near.clone_from(&near);
        near
    }

    /// Whether somebody said that the two are not one; what is said stands at both.
    fn forbidden(&mut self, a: usize, b: usize) -> bool {
        if let (Some(one), Some(other)) = (self.groups[a].person, self.groups[b].person)
            && one != other
        {
            return true;
        }
        let (few, other) =
            if self.groups[a].not.len() <= self.groups[b].not.len() { (a, b) } else { (b, a) };
        let not: Vec<usize> = self.groups[few].not.iter().copied().collect();
        not.into_iter().any(|group| self.find(group) == other)
    }

    /// Mean over all pairs of the squared distance, less what is usual around the two.
    fn score(&self, a: usize, b: usize) -> f64 {
        let (a, b) = (&self.groups[a], &self.groups[b]);
        let product = match (&a.sum, &b.sum) {
            (None, None) => dot(self.vectors.vector(a.first), self.vectors.vector(b.first)),
            (Some(sum), None) => dot(sum, self.vectors.vector(b.first)),
            (None, Some(sum)) => dot(sum, self.vectors.vector(a.first)),
            (Some(one), Some(other)) => dot(one, other),
        };
        let square = a.squares / a.size + b.squares / b.size - 2.0 * product / (a.size * b.size);
        square - self.weight / 2.0 * (a.around / a.size + b.around / b.size)
    }

    /// Makes one living group of two, and returns its number.
    fn join(&mut self, a: usize, b: usize) -> usize {
        let number = self.groups.len();
        let mut taken = [a, b].map(|group| {
            let first = self.groups[group].first;
            let sum = self.groups[group].sum.take();
            sum.unwrap_or_else(|| self.vectors.vector(first).iter().map(|v| (*v).into()).collect())
        });
        let [sum, other] = &mut taken;
        sum.iter_mut().zip(other.iter()).for_each(|(sum, other)| *sum += other);
        let [sum, _] = taken;
        let [mut one, other] = [a, b].map(|group| {
            let group = &mut self.groups[group];
            (std::mem::take(&mut group.near), std::mem::take(&mut group.not))
        });
        one.0.extend(other.0);
        one.1.extend(other.1);
        let (a_group, b_group) = (&self.groups[a], &self.groups[b]);
        let joined = Group {
            first: a_group.first.min(b_group.first),
            size: a_group.size + b_group.size,
            sum: Some(sum),
            squares: a_group.squares + b_group.squares,
            around: a_group.around + b_group.around,
            near: one.0,
            not: one.1,
            person: a_group.person.or(b_group.person),
        };
        self.groups.push(joined);
        self.became.push(number);
        (self.became[a], self.became[b]) = (number, number);
        number
    }

    fn groups(mut self) -> Clusters {
        let mut numbers = vec![None; self.groups.len()];
        let (mut group, mut groups) = (Vec::new(), 0);
        for row in 0..self.vectors.len() {
            let root = self.find(row);
            let number = *numbers[root].get_or_insert_with(|| {
                groups += 1;
                groups as u32 - 1
            });
            group.push(number);
        }
        Clusters { group, groups }
    }
}

/// Several sums at once, which the compiler makes one instruction of.
fn dot<A: Copy + Into<f64>, B: Copy + Into<f64>>(a: &[A], b: &[B]) -> f64 {
    const AT_ONCE: usize = 16;
    let mut sums = [0.0; AT_ONCE];
    for (a, b) in a.chunks(AT_ONCE).zip(b.chunks(AT_ONCE)) {
        for (sum, (a, b)) in sums.iter_mut().zip(a.iter().zip(b)) {
            *sum += (*a).into() * (*b).into();
        }
    }
    sums.iter().sum()
}
