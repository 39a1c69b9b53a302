//! How near does the nearest wrong person lie, in a gallery of N?
//!
//! Were all comparisons alike and independent, it would be `1 - (1 - F(d))^N` with `F` the
//! distribution of between-person distances. They are not: some faces are near to many (Doddington
//! et al., *Sheep, goats, lambs and wolves*, ICSLP 1998), and the formula is then wrong several
//! times over. So the formula is applied to each probe with its own distances: a probe with `c` of
//! `M` other people within `d` is not mistaken in a random gallery of `N` of them with probability
//! `C(M - c, N) / C(M, N)`, exactly; the mean over the probes is the false alarm rate. Above the
//! people there are, each further `M` people are taken to be a new, independent trial, which errs on
//! the side of too many alarms.
//!
//! Rare alarms are those of few probes: of 400 people, four decide on a rate of 0.01. Below a rate
//! that many of them show, the curve goes on as the formula says for each of them, with an `F` that
//! all comparisons together say (`comparisons.rs`), scaled to meet what the probes show.

use serde::{Deserialize, Serialize};

use super::Tail;
use super::comparisons::Comparisons;
use crate::PeopleError;

/// The distances are sorted into this many steps.
const STEPS: usize = 1 << 14;
/// How many probes a rate must rest on: fewer would follow single pairs of people.
const PROBES: f64 = 100.0;
/// The rate that is, within limits; below it, the tail of all comparisons is followed.
const SHOWN: (f64, f64) = (0.05, 0.2);
/// False alarm rates at which the curve is kept, above that.
const RATES: [f64; 12] = [0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// False alarm rates for one gallery size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ImpostorTable {
    /// How many people are enrolled.
    pub people: usize,
    /// Thresholds with their false alarm rates, ascending.
    pub curve: Vec<(f64, f64)>,
    /// Below the curve; `None` where the distances have no tail to fit.
    pub tail: Option<Tail>,
}

/// False alarm rates for every gallery size and threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Impostors {
    /// Some gallery sizes, ascending; the last is all people there were.
    tables: Vec<ImpostorTable>,
}

/// Learns the false alarm rates from probes that are not of the people they are compared with.
///
/// - **Input:** for each probe its score (distance, fused as searches will fuse it) to every
///   person it is not: an index's own faces against all other identities, or a cohort of outsiders
///   against all. Probes may differ in the number of scores by a few; they are weighted alike, so
///   give one probe per person. A few hundred probes are enough for a rate of 0.1, some thousands
///   for 0.01.
/// - **Trap:** one person enrolled under two names is each other's nearest impostor. Clean the
///   index first; a handful of such pairs is tolerated by the tail, not more.
/// - **Cost:** some hundred bytes a probe are kept; time is that of sorting each one's scores.
///
/// # Errors
///
/// [`PeopleError::TooFew`] with fewer than 20 probes or 20 people.
pub fn nearest_impostors(
    probes: impl IntoIterator<Item = Vec<f32>>,
) -> Result<Impostors, PeopleError> {
    let mut sums: Option<Sums> = None;
    let mut count = 0usize;
    for mut scores in probes {
        scores.retain(|score| score.is_finite());
        scores.sort_by(f32::total_cmp);
        let sums = match &mut sums {
            Some(sums) => sums,
            None if scores.len() < 20 => {
                let (what, got) = ("other people to compare with", scores.len());
                return Err(PeopleError::TooFew { what, got, wanted: 20 });
            }
            empty @ None => empty.insert(Sums::new(&scores)),
        };
        sums.add(&scores);
        count += 1;
    }
    match sums {
        Some(sums) if count >= 20 => Ok(sums.finish(count as f64)),
        _ => {
            let what = "faces to calibrate with";
            Err(PeopleError::TooFew { what, got: count, wanted: 20 })
        }
    }
}

/// Where the nearest of N people lies, summed over probes.
struct Sums {
    highest: f64,
    sizes: Vec<usize>,
    /// For each size: the probability that falls into each step.
    mass: Vec<Vec<f64>>,
    comparisons: Comparisons,
}

impl Sums {
    fn new(first: &[f32]) -> Self {
        let people = first.len();
        let mut sizes: Vec<usize> =
            (0..).map(|power| people >> power).take_while(|size| *size >= 5).collect();
        sizes.reverse();
        let highest = f64::from(first.last().copied().unwrap_or(1.0)).max(1e-6) * 1.5;
        let mass = vec![vec![0.0; STEPS]; sizes.len()];
        Self { highest, mass, comparisons: Comparisons::default(), sizes }
    }

    /// Adds one probe's sorted scores: the i-th is the nearest of N random people if it is among
    /// them and none of those before it is.
    fn add(&mut self, scores: &[f32]) {
        self.comparisons.add(scores);
        for (size, mass) in self.sizes.iter().zip(&mut self.mass) {
            let mut none_so_far = 1.0;
            for (i, score) in scores.iter().enumerate() {
                let taken = (*size as f64 / (scores.len() - i) as f64).min(1.0);
                let step = (f64::from(*score) / self.highest * STEPS as f64) as usize;
                mass[step.min(STEPS - 1)] += none_so_far * taken;
                none_so_far *= 1.0 - taken;
                if none_so_far < 1e-12 {
                    break;
                }
            }
        }
    }

    fn finish(self, probes: f64) -> Impostors {
        let Self { highest, sizes, mass, comparisons } = self;
        let width = highest / STEPS as f64;
        let all = sizes.last().copied().unwrap_or(0) as f64;
        let likeness = comparisons.fit();
        let table = |(people, mass): (&usize, &Vec<f64>)| {
            // A probe stands for as many as there are galleries of this size among the people.
            let galleries = all / *people as f64;
            let part = (PROBES / probes / galleries).clamp(SHOWN.0, SHOWN.1);
            let (mut below, mut curve, mut sum) = (Vec::new(), Vec::new(), 0.0);
            let above = RATES.iter().copied().filter(|rate| *rate > part);
            let mut rates = std::iter::once(part).chain(above).peekable();
            for (step, mass) in mass.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
                let mass = mass / probes;
                sum += mass;
                if sum <= part {
                    below.push(((step as f64 + 0.5) * width, mass));
                }
                if rates.next_if(|rate| sum >= *rate).is_some() {
                    while rates.next_if(|rate| sum >= *rate).is_some() {}
                    curve.push(((step + 1) as f64 * width, sum.min(1.0)));
                }
            }
            let first = curve.first().copied().unwrap_or((highest, 1.0));
            match likeness.as_ref().filter(|likeness| likeness.covers(first.1, *people)) {
                Some(likeness) => {
                    let (mut lower, tail) = likeness.below(first, *people);
                    lower.append(&mut curve);
                    ImpostorTable { people: *people, curve: lower, tail }
                }
                // Of a gallery much smaller than all people there are enough to see rare alarms.
                None => {
                    let tail = Tail::fit(first.0, first.1, &below, part * probes * galleries);
                    ImpostorTable { people: *people, curve, tail }
                }
            }
        };
        Impostors { tables: sizes.iter().zip(&mass).map(table).collect() }
    }
}

impl Impostors {
    /// The tables, people ascending.
    pub fn tables(&self) -> &[ImpostorTable] {
        &self.tables
    }

    /// How many people the data had; beyond that, rates are extrapolated.
    pub fn people(&self) -> usize {
        self.tables.last().map_or(0, |table| table.people)
    }

    /// The probability that somebody who is not enrolled lies within `threshold` of one of
    /// `people` who are (FPIR).
    pub fn fpir(&self, threshold: f64, people: usize) -> f64 {
        if people == 0 || self.tables.is_empty() {
            return 0.0;
        }
        let after = self.tables.partition_point(|table| table.people < people);
        let scaled = |table: &ImpostorTable| {
            let trials = people as f64 / table.people as f64;
            // 1 - (1 - rate)^trials, without loss where the rate is tiny.
            -f64::exp_m1(trials * f64::ln_1p(-table.rate(threshold).min(1.0 - 1e-15)))
        };
        match (after.checked_sub(1).map(|i| &self.tables[i]), self.tables.get(after)) {
            (Some(a), Some(b)) => {
                // Between two sizes: both brought to this size, the nearer one counting more.
                let part = (people - a.people) as f64 / (b.people - a.people) as f64;
                scaled(a) * (1.0 - part) + scaled(b) * part
            }
            (Some(only), None) | (None, Some(only)) => scaled(only),
            (None, None) => 0.0,
        }
    }

    /// The largest threshold at which the false alarm rate in a gallery of `people` is at most
    /// `fpir`; 0 where none is so small.
    ///
    /// # Errors
    ///
    /// [`PeopleError::Option`] where `fpir` is not above 0 and below 1.
    pub fn threshold(&self, fpir: f64, people: usize) -> Result<f64, PeopleError> {
        if !(fpir > 0.0 && fpir < 1.0) {
            let (what, wanted) = ("the wanted false alarm rate", "above 0 and below 1");
            return Err(PeopleError::Option { what, got: fpir, wanted });
        }
        let last = self.tables.iter().filter_map(|table| table.curve.last());
        let (mut low, mut high) = (0.0, last.map(|(t, _)| *t).fold(0.0, f64::max));
        if self.fpir(high, people) <= fpir {
            return Ok(high);
        }
        for _ in 0..60 {
            let middle = low + (high - low) / 2.0;
            if self.fpir(middle, people) <= fpir {
                low = middle;
            } else {
                high = middle;
            }
        }
        Ok(low)
    }
}

impl ImpostorTable {
    /// The false alarm rate at `threshold` for this table's size; above the curve it stays at the
    /// curve's last rate.
    fn rate(&self, threshold: f64) -> f64 {
        let after = self.curve.partition_point(|point| point.0 < threshold);
        match (after.checked_sub(1).map(|i| self.curve[i]), self.curve.get(after)) {
            (Some(a), Some(b)) => a.1 + (b.1 - a.1) * (threshold - a.0) / (b.0 - a.0),
            (Some(last), None) => last.1,
            (None, first) => match self.tail {
                Some(tail) => tail.probability(threshold),
                None => first.filter(|first| first.0 <= threshold).map_or(0.0, |first| first.1),
            },
        }
    }
}
