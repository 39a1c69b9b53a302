//! The faces of one photo, named together: nobody is in a picture twice.
//!
//! Each face may take one of its candidates, at the price of that candidate's cost, or nobody, at
//! a fixed price; the cheapest naming in which no identity is taken twice wins. That is rectangular
//! assignment; the Hungarian algorithm (Kuhn, *The Hungarian method for the assignment problem*,
//! Naval Research Logistics Quarterly 2, 1955) finds it exactly.

use std::collections::BTreeMap;

use pathfinding::{kuhn_munkres::kuhn_munkres_min, matrix::Matrix};

/// Who a face was named, and what its candidate costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Naming<I> {
    /// The identity.
    pub identity: I,
    /// The cost of this face being that identity.
    pub cost: f64,
}

/// Names the faces of one photo; `None` where a face is nobody's.
///
/// - **Input:** for each face its candidates with their costs, such as the distance, or
///   `-ln p` of a calibrated probability; any number, in any order. A candidate that costs as much
///   as `nobody` or more, or a cost that is not a number, is no candidate. With distances,
///   `nobody` is the threshold.
/// - **Output:** one entry per face, in order. Of equally cheap namings always the same one.
/// - **Trap:** with the threshold as the price of nobody, a face may be moved from its nearest
///   candidate to its second only within the threshold, never to a stranger.
/// - **Cost:** at worst cubic in the faces times the candidates; a group photo takes milliseconds.
pub fn assign_jointly<I: Copy + Ord>(
    faces: &[Vec<Naming<I>>],
    nobody: f64,
) -> Vec<Option<Naming<I>>> {
    let mut columns: BTreeMap<I, usize> = BTreeMap::new();
    let within: Vec<Vec<&Naming<I>>> = faces
        .iter()
        .map(|candidates| candidates.iter().filter(|c| c.cost < nobody).collect())
        .collect();
    for candidate in within.iter().flatten() {
        columns.insert(candidate.identity, 0);
    }
    for (number, column) in columns.values_mut().enumerate() {
        *column = number;
    }
    if columns.is_empty() {
        return vec![None; faces.len()];
    }
    // Columns: every identity, then one "nobody" for each face. What is no candidate costs twice
    // as much as nobody, so it is never part of the cheapest naming.
    let prices = Prices::new(within.iter().flatten().map(|c| c.cost), nobody);
    let mut costs = Matrix::new(faces.len(), columns.len() + faces.len(), prices.never());
    for (face, candidates) in within.iter().enumerate() {
        for candidate in candidates {
            let cell = &mut costs[(face, columns[&candidate.identity])];
            *cell = (*cell).min(prices.of(candidate.cost));
        }
        costs[(face, columns.len() + face)] = prices.of(nobody);
    }
    let (_, chosen) = kuhn_munkres_min(&costs);
    let named = |(face, column): (usize, usize)| {
        within[face]
            .iter()
            .filter(|candidate| columns[&candidate.identity] == column)
            .min_by(|a, b| a.cost.total_cmp(&b.cost))
            .map(|candidate| **candidate)
    };
    chosen.into_iter().enumerate().map(named).collect()
}

/// Costs as integers, which the algorithm compares exactly: `0..2^40` from the cheapest candidate
/// to nobody, so that sums over a million faces still fit.
struct Prices {
    cheapest: f64,
    step: f64,
}

impl Prices {
    const NOBODY: i64 = 1 << 40;

    fn new(costs: impl Iterator<Item = f64>, nobody: f64) -> Self {
        let cheapest = costs.fold(nobody, f64::min).max(f64::MIN / 4.0);
        Self { cheapest, step: Self::NOBODY as f64 / (nobody - cheapest) }
    }

    fn of(&self, cost: f64) -> i64 {
        (((cost - self.cheapest) * self.step).round() as i64).clamp(0, Self::NOBODY)
    }

    fn never(&self) -> i64 {
        2 * Self::NOBODY
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// The definition: try everything.
    fn cheapest(faces: &[Vec<Naming<u8>>], nobody: f64, taken: &mut Vec<u8>) -> f64 {
        let Some((face, rest)) = faces.split_first() else { return 0.0 };
        let mut best = nobody + cheapest(rest, nobody, taken);
        for candidate in face {
            if candidate.cost < nobody && !taken.contains(&candidate.identity) {
                taken.push(candidate.identity);
                best = best.min(candidate.cost + cheapest(rest, nobody, taken));
                taken.pop();
            }
        }
        best
    }

    proptest! {
        #[test]
        fn no_naming_is_cheaper_and_nobody_is_named_twice(
            faces in vec(vec((0u8..5, 0.0f64..1.0), 0..6), 0..6),
            nobody in 0.1f64..0.9,
        ) {
            let faces: Vec<Vec<Naming<u8>>> = faces
                .into_iter()
                .map(|face| {
                    face.into_iter().map(|(identity, cost)| Naming { identity, cost }).collect()
                })
                .collect();
            let got = assign_jointly(&faces, nobody);
            prop_assert_eq!(got.len(), faces.len());
            let cost: f64 = got.iter().map(|name| name.map_or(nobody, |name| name.cost)).sum();
            prop_assert!((cost - cheapest(&faces, nobody, &mut Vec::new())).abs() < 1e-9);
            let mut names: Vec<u8> = got.iter().flatten().map(|name| name.identity).collect();
            let all = names.len();
            names.sort_unstable();
            names.dedup();
            prop_assert_eq!(names.len(), all);
            for (name, candidates) in got.iter().zip(&faces) {
                prop_assert!(name.is_none_or(|name| candidates.contains(&name)));
            }
        }
    }

    #[test]
    fn the_second_nearest_gives_way_or_becomes_nobody() {
        let anna = |cost| Naming { identity: "Anna", cost };
        let berta = |cost| Naming { identity: "Berta", cost };
        let names = |faces: &[Vec<Naming<&'static str>>]| -> Vec<Option<&'static str>> {
            assign_jointly(faces, 0.55).into_iter().map(|n| n.map(|n| n.identity)).collect()
        };
        let both = [vec![anna(0.40), berta(0.50)], vec![anna(0.41)]];
        assert_eq!(names(&both), [Some("Berta"), Some("Anna")]);
        assert_eq!(names(&[vec![anna(0.4)], vec![anna(0.3)]]), [None, Some("Anna")]);
        assert_eq!(names(&[vec![anna(f64::NAN)], vec![]]), [None, None]);
        assert_eq!(names(&[]), []);
    }
}
