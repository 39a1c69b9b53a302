//! What came out of the searches, and the error rates at every threshold.

use serde::Serialize;

/// Where a probe's own person stood.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mate {
    /// Distance to the right person.
    pub distance: f32,
    /// Their place among all enrolled people, from 1; people at the same distance come before.
    pub rank: usize,
}

/// One search.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Outcome {
    /// The person in the probe, as numbered by [`Faces`](crate::Faces).
    pub person: u32,
    /// Where the right person stood; `None` where they are not enrolled.
    pub mate: Option<Mate>,
    /// Distance to the nearest enrolled person, right or wrong.
    pub nearest: f32,
}

impl Outcome {
    /// Whether this is an enrolled person who is not named rightly at `threshold`: beyond it, or
    /// behind somebody else.
    fn missed(&self, threshold: f64) -> bool {
        self.mate.is_some_and(|mate| mate.rank > 1 || f64::from(mate.distance) > threshold)
    }

    /// Whether this is an outsider who is given a name at `threshold`.
    fn alarm(&self, threshold: f64) -> bool {
        self.mate.is_none() && f64::from(self.nearest) <= threshold
    }
}

/// All searches in a gallery of one size.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OpenSet {
    /// How many people are enrolled.
    pub people: usize,
    /// The searches.
    pub outcomes: Vec<Outcome>,
}

/// The error rates at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct OpenSetPoint {
    /// The largest distance that still names somebody.
    pub threshold: f64,
    /// Share of the outsiders who are given a name.
    pub fpir: f64,
    /// Share of the enrolled people who are not given their own name, first in rank.
    pub fnir: f64,
}

/// The searches counted at one threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct AtThreshold {
    /// Enrolled, and given their own name.
    pub right: usize,
    /// Enrolled, and given somebody else's.
    pub wrong_name: usize,
    /// Enrolled, and called unknown.
    pub false_unknown: usize,
    /// Not enrolled, and given a name.
    pub false_alarm: usize,
    /// Not enrolled, and called unknown.
    pub right_unknown: usize,
}

impl OpenSet {
    /// Searches for enrolled people.
    pub fn known(&self) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.mate.is_some()).count()
    }

    /// Searches for outsiders.
    pub fn unknown(&self) -> usize {
        self.outcomes.len() - self.known()
    }

    /// Share of the enrolled people who are among the first `k`, whatever the distance; `None`
    /// without such searches.
    pub fn rank(&self, k: usize) -> Option<f64> {
        let mates = self.outcomes.iter().filter_map(|outcome| outcome.mate);
        share(mates.filter(|mate| mate.rank <= k).count(), self.known())
    }

    /// [`rank`](Self::rank) for 1 to `last`: the cumulative match characteristic.
    pub fn cmc(&self, last: usize) -> Vec<f64> {
        let known = self.known();
        let mut at = vec![0; last];
        for mate in self.outcomes.iter().filter_map(|outcome| outcome.mate) {
            if let Some(count) = at.get_mut(mate.rank - 1) {
                *count += 1;
            }
        }
        let mut sum = 0;
        at.iter()
            .filter_map(|count| {
                sum += count;
                share(sum, known)
            })
            .collect()
    }

    /// Share of outsiders who are given a name at `threshold`; `None` without outsiders.
    pub fn fpir(&self, threshold: f64) -> Option<f64> {
        let alarms = self.outcomes.iter().filter(|outcome| outcome.alarm(threshold)).count();
        share(alarms, self.unknown())
    }

    /// Share of enrolled people who are not given their own name at `threshold`; `None` without
    /// such searches. This is NIST's FNIR at rank 1.
    pub fn fnir(&self, threshold: f64) -> Option<f64> {
        let missed = self.outcomes.iter().filter(|outcome| outcome.missed(threshold)).count();
        share(missed, self.known())
    }

    /// The largest threshold at which FPIR is at most `fpir`, and what it does; `None` without
    /// searches of both kinds.
    ///
    /// Below `1 / outsiders` it is the threshold with no false alarm among those tried, and says
    /// little about outsiders who were not.
    pub fn at_fpir(&self, fpir: f64) -> Option<OpenSetPoint> {
        let alarms = self.alarm_distances();
        // The product may fall a rounding error short of the whole number that is meant.
        let allowed = (fpir * alarms.len() as f64 + 1e-9).floor() as usize;
        let threshold = match alarms.get(allowed) {
            Some(first_too_many) => f64::from(*first_too_many).next_down(),
            None => f64::MAX,
        };
        self.point(threshold)
    }

    /// The detection error trade-off: a point at the distance of every false alarm, threshold
    /// ascending; the first lies just below the first of them.
    pub fn det(&self) -> Vec<OpenSetPoint> {
        let mut alarms = self.alarm_distances();
        alarms.dedup();
        let mut mates: Vec<f32> = self.outcomes.iter().filter_map(named_first).collect();
        mates.sort_by(f32::total_cmp);
        let (known, unknown) = (self.known() as f64, self.alarm_distances());
        if known == 0.0 || unknown.is_empty() {
            return Vec::new();
        }
        let first = alarms.first().map(|d| f64::from(*d).next_down());
        let thresholds = first.into_iter().chain(alarms.iter().map(|d| f64::from(*d)));
        let within = |sorted: &[f32], t: f64| sorted.partition_point(|d| f64::from(*d) <= t) as f64;
        thresholds
            .map(|threshold| OpenSetPoint {
                threshold,
                fpir: within(&unknown, threshold) / unknown.len() as f64,
                fnir: 1.0 - within(&mates, threshold) / known,
            })
            .collect()
    }

    /// Every search, counted at `threshold`.
    pub fn at(&self, threshold: f64) -> AtThreshold {
        let mut counts = AtThreshold::default();
        for outcome in &self.outcomes {
            let named = f64::from(outcome.nearest) <= threshold;
            *match (outcome.mate, named) {
                (Some(mate), true) if mate.rank == 1 => &mut counts.right,
                (Some(_), true) => &mut counts.wrong_name,
                (Some(_), false) => &mut counts.false_unknown,
                (None, true) => &mut counts.false_alarm,
                (None, false) => &mut counts.right_unknown,
            } += 1;
        }
        counts
    }

    fn point(&self, threshold: f64) -> Option<OpenSetPoint> {
        let (fpir, fnir) = (self.fpir(threshold)?, self.fnir(threshold)?);
        Some(OpenSetPoint { threshold, fpir, fnir })
    }

    fn alarm_distances(&self) -> Vec<f32> {
        let outsiders = self.outcomes.iter().filter(|outcome| outcome.mate.is_none());
        let mut nearest: Vec<f32> = outsiders.map(|outcome| outcome.nearest).collect();
        nearest.sort_by(f32::total_cmp);
        nearest
    }
}

fn named_first(outcome: &Outcome) -> Option<f32> {
    outcome.mate.filter(|mate| mate.rank == 1).map(|mate| mate.distance)
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
