//! The distances of a face to the nearest points of a crowd.

use facesearch_core::squared_distance;

use super::Crowding;

/// The crowding of a face among `points`, which lie one after another, by the `nearest` of those
/// that `counts` lets in (by their number); `None` where there are none.
pub(super) fn crowding(
    points: &[f32],
    nearest: usize,
    vector: &[f32],
    counts: impl Fn(usize) -> bool,
) -> Option<Crowding> {
    let numbered = points.chunks_exact(vector.len().max(1)).enumerate();
    let counted = numbered.filter(|(number, _)| counts(*number));
    let mut squared: Vec<f64> = counted.map(|(_, point)| squared_distance(point, vector)).collect();
    if squared.len() > nearest {
        squared.select_nth_unstable_by(nearest, f64::total_cmp);
        squared.truncate(nearest);
        // A sum must not depend on where the selection left each number.
        squared.sort_unstable_by(f64::total_cmp);
    }
    Crowding::of(&squared)
}
