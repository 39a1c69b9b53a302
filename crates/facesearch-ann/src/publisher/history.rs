//! What a publication knows of those before it: which ids were given, and when.

use std::time::{SystemTime, UNIX_EPOCH};

use super::collect::Tables;
use crate::manifest::Manifest;

/// Faces that come within so many seconds came at once, so that the history of a long run is short.
const GRAIN: i64 = 60;

/// What the manifest keeps of the past.
pub(super) struct History {
    pub(super) next_face: u64,
    pub(super) added: Vec<(u64, i64)>,
}

impl History {
    /// The past of `standing`, and what `tables` has more.
    pub(super) fn of(standing: Option<Manifest>, tables: &Tables) -> Self {
        let (next_face, mut added) =
            standing.map_or((0, Vec::new()), |old| (old.next_face, old.added));
        let end = tables.last_id.map_or(0, |last| last.0 + 1);
        if end > next_face {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            let last = added.last().map_or(i64::MIN, |(_, at)| *at);
            if now >= last.saturating_add(GRAIN) {
                added.push((next_face, now));
            }
        }
        Self { next_face: next_face.max(end), added }
    }
}
