//! Checks suppression against its definition, for boxes on a coarse grid, where ties are common.

use proptest::prelude::*;

use super::*;

fn boxes() -> impl Strategy<Value = Vec<Candidate>> {
    let one = (0u8..6, 0u8..6, 1u8..5, 1u8..5, 0u8..4).prop_map(|(x, y, w, h, score)| {
        let [x1, y1, w, h] = [x, y, w, h].map(f32::from);
        Candidate { x1, y1, x2: x1 + w, y2: y1 + h, score: f32::from(score) / 4.0 }
    });
    prop::collection::vec(one, 0..25)
}

/// Shared and whole pixels counted one by one; all corners are whole numbers.
fn counted(a: &Candidate, b: &Candidate, overlap: Overlap) -> f32 {
    let edge = if overlap == Overlap::Smaller { 1 } else { 0 };
    let pixels = |c: &Candidate| {
        let (x, y) = (c.x1 as i32..c.x2 as i32 + edge, c.y1 as i32..c.y2 as i32 + edge);
        y.flat_map(|y| x.clone().map(move |x| (x, y))).collect::<std::collections::BTreeSet<_>>()
    };
    let (a, b) = (pixels(a), pixels(b));
    let shared = a.intersection(&b).count() as f32;
    match overlap {
        Overlap::Union => shared / a.union(&b).count() as f32,
        Overlap::Smaller => shared / a.len().min(b.len()) as f32,
    }
}

proptest! {
    /// A box is dropped if and only if a kept one before it overlaps it by more than the limit.
    #[test]
    fn the_surest_of_each_heap_stays(
        boxes in boxes(),
        limit in prop::sample::select(vec![0.2f32, 0.5, 0.7]),
        overlap in prop::sample::select(vec![Overlap::Union, Overlap::Smaller]),
    ) {
        let kept = suppress(&boxes, |b| b, limit, overlap);
        let rank = |place: &usize| (std::cmp::Reverse((boxes[*place].score * 4.0) as u8), *place);
        prop_assert!(kept.is_sorted_by_key(rank));
        for place in 0..boxes.len() {
            let surer = kept.iter().filter(|k| rank(k) < rank(&place));
            let hidden = surer
                .into_iter()
                .any(|k| counted(&boxes[*k], &boxes[place], overlap) > limit);
            prop_assert_eq!(kept.contains(&place), !hidden);
        }
    }
}
