//! Non-maximum suppression: of boxes that show the same thing, the surest stays.

/// A box with corners in pixels, `x2` and `y2` its far edges, and how sure its network is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Candidate {
    pub(super) x1: f32,
    pub(super) y1: f32,
    pub(super) x2: f32,
    pub(super) y2: f32,
    pub(super) score: f32,
}

impl Candidate {
    /// Area, and that which two boxes share, with `edge` pixels added to each side's length.
    fn area(&self, edge: f32) -> f32 {
        (self.x2 - self.x1 + edge) * (self.y2 - self.y1 + edge)
    }

    fn shared(&self, other: &Self, edge: f32) -> f32 {
        let width = self.x2.min(other.x2) - self.x1.max(other.x1) + edge;
        let height = self.y2.min(other.y2) - self.y1.max(other.y1) + edge;
        width.max(0.0) * height.max(0.0)
    }
}

/// How much of two boxes is the same, as MTCNN measures it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Overlap {
    /// What they share, of what either covers.
    Union,
    /// What they share, of the smaller one: a box inside another is always the same face. Counts
    /// the far edges' pixels as part of the box.
    Smaller,
}

impl Overlap {
    fn of(self, a: &Candidate, b: &Candidate) -> f32 {
        match self {
            Self::Union => {
                let shared = a.shared(b, 0.0);
                shared / (a.area(0.0) + b.area(0.0) - shared)
            }
            Self::Smaller => a.shared(b, 1.0) / a.area(1.0).min(b.area(1.0)),
        }
    }
}

/// The places of those boxes that no surer kept box overlaps by more than `limit`, the surest
/// first, ties in the order given.
///
/// `candidate` reads the box of an item, so that what belongs to a box needs no second list.
pub(super) fn suppress<T>(
    items: &[T],
    candidate: impl Fn(&T) -> &Candidate,
    limit: f32,
    overlap: Overlap,
) -> Vec<usize> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by(|a, b| candidate(&items[*b]).score.total_cmp(&candidate(&items[*a]).score));
    let mut kept: Vec<usize> = Vec::new();
    for place in order {
        let this = candidate(&items[place]);
        let same = |kept: &usize| overlap.of(candidate(&items[*kept]), this) > limit;
        if !kept.iter().any(same) {
            kept.push(place);
        }
    }
    kept
}

#[cfg(test)]
mod tests;
