//! How near does the nearest other person lie, in a gallery of N people?
//!
//! If all comparisons were alike and independent, the rate would be `1 - (1 - F(d))^N`, with `F`
//! the distribution of impostor distances. They are not: some faces are near to many (Doddington et
//! al., *Sheep, goats, lambs and wolves*, ICSLP 1998), and the formula is wrong several times over.
//!
//! So each probe's own distances are used. A probe with `c` of `M` other people within `d` is not
//! mistaken in a random gallery of `N` of them with probability `C(M - c, N) / C(M, N)`, exactly.
//! The mean over the probes is the false positive identification rate (FPIR). In a gallery larger
//! than `M`, each further `M` people count as a new, independent trial, which overestimates the
//! rate.
//!
//! Rare false alarms rest on few probes: of 400 people, four decide on a rate of 0.01. Below a rate
//! that many probes show, the curve continues as the formula says for each probe. Its `F` comes
//! from all comparisons together (`normalised.rs`), scaled to meet the curve.

use serde::{Deserialize, Serialize};

use super::normalised::Comparisons;
use super::tail::Tail;
use crate::PeopleError;

/// Bins of the histogram of distances.
const BINS: usize = 1 << 14;
/// How many probes a rate must rest on. Fewer would follow single pairs of people.
const PROBES: f64 = 100.0;
/// The lowest rate that is counted is kept within these limits. Below it, the curve is computed
/// from all comparisons.
const LOWEST_COUNTED: (f64, f64) = (0.05, 0.2);
/// Rates above that at which the curve has a point.
const RATES: [f64; 12] = [0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9];

/// False alarm rates for one gallery size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ImpostorTable {
    /// How many people are enrolled.
    pub(crate) people: usize,
    /// Thresholds with their rates, ascending.
    pub(crate) curve: Vec<(f64, f64)>,
    /// Below the curve; `None` where the distances have no tail to fit.
    tail: Option<Tail>,
}

/// The probability of a false alarm for every gallery size and threshold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Impostors {
    /// Some gallery sizes, ascending. The last is all people of the data.
    tables: Vec<ImpostorTable>,
}

/// Learns the false alarm rates from probes of people who are not enrolled.
///
/// - **Input:** for each probe its distances (fused as searches will fuse them) to every person it
///   is not: an index's own faces against all other identities, or a cohort against all. Probes
///   count alike, so give one probe for each person; they may differ by a few in the number of
///   distances. A few hundred probes are enough for a rate of 0.1, some thousands for 0.01.
/// - **Trap:** two names of one person are each other's nearest impostor. Clean the index first; a
///   handful of such pairs does no harm, more do.
/// - **Cost:** some hundred bytes for each probe; the time to sort each probe's distances.
///
/// # Errors
///
/// [`PeopleError::TooFew`] with fewer than 20 probes or 20 people.
pub fn nearest_impostors(
    probes: impl IntoIterator<Item = Vec<f32>>,
) -> Result<Impostors, PeopleError> {
    let mut histogram: Option<Histogram> = None;
    let mut count = 0usize;
    for mut distances in probes {
        distances.retain(|distance| distance.is_finite());
        distances.sort_by(f32::total_cmp);
        let histogram = match &mut histogram {
            Some(histogram) => histogram,
            None if distances.len() < 20 => {
                let (what, got) = ("other people to compare with", distances.len());
                return Err(PeopleError::TooFew { what, got, wanted: 20 });
            }
            empty @ None => empty.insert(Histogram::new(&distances)),
        };
        histogram.add(&distances);
        count += 1;
    }
    match histogram {
        Some(histogram) if count >= 20 => Ok(histogram.finish(count as f64)),
        _ => {
            let what = "faces to calibrate with";
            Err(PeopleError::TooFew { what, got: count, wanted: 20 })
        }
    }
}

/// Where the nearest of N people lies, summed over the probes.
struct Histogram {
    /// The upper end of the last bin.
    highest: f64,
    sizes: Vec<usize>,
    /// For each size: the expected number of probes whose nearest impostor is in each bin.
    mass: Vec<Vec<f64>>,
    comparisons: Comparisons,
}

impl Histogram {
    /// For the gallery sizes up to the number of distances of the `first` probe.
    fn new(first: &[f32]) -> Self {
        let people = first.len();
        let mut sizes: Vec<usize> =
            (0..).map(|power| people >> power).take_while(|size| *size >= 5).collect();
        sizes.reverse();
        let highest = f64::from(first.last().copied().unwrap_or(1.0)).max(1e-6) * 1.5;
        let mass = vec![vec![0.0; BINS]; sizes.len()];
        Self { highest, mass, comparisons: Comparisons::default(), sizes }
    }

    /// Adds one probe's sorted distances. The i-th is the nearest of N random people if it is among
    /// them and none before it is.
    fn add(&mut self, distances: &[f32]) {
        self.comparisons.add(distances);
        for (size, mass) in self.sizes.iter().zip(&mut self.mass) {
            let mut none_so_far = 1.0;
            for (i, distance) in distances.iter().enumerate() {
                let is_chosen = (*size as f64 / (distances.len() - i) as f64).min(1.0);
                let bin = (f64::from(*distance) / self.highest * BINS as f64) as usize;
                mass[bin.min(BINS - 1)] += none_so_far * is_chosen;
                none_so_far *= 1.0 - is_chosen;
                if none_so_far < 1e-12 {
                    break;
                }
            }
        }
    }

    fn finish(self, probes: f64) -> Impostors {
        let Self { highest, sizes, mass, comparisons } = self;
        let all = sizes.last().copied().unwrap_or(0) as f64;
        let normalised = comparisons.fit();
        let table = |(people, mass): (&usize, &Vec<f64>)| {
            let people = *people;
            // A probe counts once for each gallery of this size among the people.
            let galleries = all / people as f64;
            let lowest = (PROBES / probes / galleries).clamp(LOWEST_COUNTED.0, LOWEST_COUNTED.1);
            let Counted { below, mut curve } = count(mass, highest / BINS as f64, probes, lowest);
            let first = curve.first().copied().unwrap_or((highest, 1.0));
            match normalised.as_ref().filter(|normalised| normalised.covers(first.1, people)) {
                Some(normalised) => {
                    let (mut lower, tail) = normalised.below(first, people);
                    lower.append(&mut curve);
                    ImpostorTable { people, curve: lower, tail }
                }
                // In a gallery much smaller than all people, rare false alarms were seen.
                None => {
                    let tail = Tail::fit(first.0, first.1, &below, lowest * probes * galleries);
                    ImpostorTable { people, curve, tail }
                }
            }
        };
        Impostors { tables: sizes.iter().zip(&mass).map(table).collect() }
    }
}

/// What a histogram shows.
struct Counted {
    /// Distances up to the lowest rate that is counted, with their share.
    below: Vec<(f64, f64)>,
    /// The curve from that rate on.
    curve: Vec<(f64, f64)>,
}

/// Reads a histogram with bins of `width`. The curve gets a point where the share of the `probes`
/// reaches `lowest`, and at each of [`RATES`] above it.
fn count(mass: &[f64], width: f64, probes: f64, lowest: f64) -> Counted {
    let (mut below, mut curve, mut sum) = (Vec::new(), Vec::new(), 0.0);
    let above = RATES.iter().copied().filter(|rate| *rate > lowest);
    let mut rates = std::iter::once(lowest).chain(above).peekable();
    for (bin, mass) in mass.iter().enumerate().filter(|(_, mass)| **mass > 0.0) {
        let share = mass / probes;
        sum += share;
        if sum <= lowest {
            below.push(((bin as f64 + 0.5) * width, share));
        }
        if rates.next_if(|rate| sum >= *rate).is_some() {
            while rates.next_if(|rate| sum >= *rate).is_some() {}
            curve.push(((bin + 1) as f64 * width, sum.min(1.0)));
        }
    }
    Counted { below, curve }
}

impl Impostors {
    /// The tables, people ascending.
    #[cfg(test)]
    pub(crate) fn tables(&self) -> &[ImpostorTable] {
        &self.tables
    }

    /// The probability that somebody who is not enrolled lies within `threshold` of one of the
    /// `people` who are (FPIR). Extrapolated beyond the number of people it was learned from.
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
                // Between two sizes, both are scaled to this one, and the nearer counts more.
                let part = (people - a.people) as f64 / (b.people - a.people) as f64;
                scaled(a) * (1.0 - part) + scaled(b) * part
            }
            (Some(only), None) | (None, Some(only)) => scaled(only),
            (None, None) => 0.0,
        }
    }

    /// The largest threshold at which the FPIR in a gallery of `people` is at most `fpir`; 0 where
    /// no threshold keeps to it.
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
    /// The rate at `threshold` for this table's gallery size. Above the curve it stays at the
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
