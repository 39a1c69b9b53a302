//! Which faces get a search structure of their own, as a matter of their ids alone.
//!
//! The first and largest segment ends at a coarse grid of ids, so that new faces seldom concern it;
//! what is left is divided in the same way, until so little is left that a scan is as fast. Each
//! segment has at most an eighth as many ids as the one before, so there are few, and in growing to
//! twice its size an index rebuilds its largest segment eight times. Because nothing but ids
//! counts, the same faces always make the same files.

use std::ops::Range;

/// Fewer faces than this are scanned.
pub(super) const SCANNED: usize = 10_000;

/// The id ranges of the segments over `ids`, which ascend.
pub(super) fn segments(ids: &[u64], single: bool) -> Vec<Range<u64>> {
    let Some(last) = ids.last() else { return Vec::new() };
    let end = last + 1;
    let mut ranges = Vec::new();
    let mut start = 0;
    loop {
        let rest = &ids[ids.partition_point(|id| *id < start)..];
        if rest.len() < SCANNED {
            return ranges;
        }
        let left = end - start;
        let grid = if single { 1 } else { ((1 << left.ilog2()) / 8).max(1) };
        let next = start + left / grid * grid;
        if rest[0] < next {
            ranges.push(start..next);
        }
        start = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(n: u64) -> Vec<Range<u64>> {
        segments(&(0..n).collect::<Vec<_>>(), false)
    }

    #[test]
    fn few_faces_are_scanned() {
        assert!(plan(0).is_empty());
        assert!(plan(9_999).is_empty());
        assert_eq!(plan(10_000), vec![0u64..9_216]);
    }

    #[test]
    fn segments_are_few_and_leave_little() {
        for n in [20_000, 99_999, 1_000_000, 1_048_575] {
            let plan = plan(n);
            assert!(plan.len() <= 4, "{plan:?}");
            assert!(plan.windows(2).all(|pair| pair[0].end == pair[1].start));
            assert!(n - plan.last().unwrap().end < SCANNED as u64);
        }
    }

    #[test]
    fn one_more_face_seldom_concerns_the_largest_segment() {
        let ids: Vec<u64> = (0..400_000).collect();
        let largest = |n: usize| segments(&ids[..n], false)[0].clone();
        let changes = (200_000..400_000).filter(|n| largest(*n) != largest(n + 1)).count();
        assert!(changes <= 9, "{changes}");
    }

    #[test]
    fn holes_in_the_ids_do_not_matter() {
        let ids: Vec<u64> = (0..30_000).map(|i| i * 1000).collect();
        let plan = segments(&ids, false);
        assert_eq!(plan[0].start, 0);
        assert!(plan.iter().all(|range| ids.iter().any(|id| range.contains(id))));
        assert_eq!(segments(&ids, true), vec![0u64..29_999_001]);
    }
}
