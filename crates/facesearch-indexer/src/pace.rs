//! When to publish during a run: soon at first, so that something can be searched; then ever less
//! often, so that publishing takes less than a twentieth of the time.

use std::time::{Duration, Instant};

/// Publishing takes at most one part in this many of the time.
const SHARE: u32 = 20;

/// How much longer each pause is than the one before.
const GROWTH: f64 = 1.5;

#[derive(Debug)]
pub(crate) struct Pace {
    pause: Duration,
    since: Instant,
}

impl Pace {
    pub(crate) fn new(first: Duration, now: Instant) -> Self {
        Self { pause: first, since: now }
    }

    pub(crate) fn is_due(&self, now: Instant) -> bool {
        now.duration_since(self.since) >= self.pause
    }

    /// Takes note of a publication that ended `now` and took `cost`.
    pub(crate) fn published(&mut self, cost: Duration, now: Instant) {
        let longer = self.pause.mul_f64(GROWTH).min(Duration::from_secs(3600));
        self.pause = longer.max(cost.saturating_mul(SHARE));
        self.since = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishing_stays_below_its_share() {
        let start = Instant::now();
        let mut pace = Pace::new(Duration::from_secs(5), start);
        let (mut now, mut spent, mut times) = (start, Duration::ZERO, 0);
        while now < start + Duration::from_secs(36_000) {
            now += Duration::from_secs(1);
            if pace.is_due(now) {
                // Each costs more than the one before, as the index grows.
                let cost = Duration::from_millis(100) + now.duration_since(start) / 1000;
                (now, spent, times) = (now + cost, spent + cost, times + 1);
                pace.published(cost, now);
            }
        }
        assert!(times >= 10, "{times}");
        assert!(spent * SHARE <= now.duration_since(start), "{spent:?} in {times}");
    }
}
