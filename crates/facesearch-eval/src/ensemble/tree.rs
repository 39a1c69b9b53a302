//! One decision tree, walked as LightGBM walks it.
//!
//! The trap is in what is missing: whether `NaN`, or zero too, counts as missing is each node's own
//! affair, and a node that knows no missing values takes `NaN` for zero.

/// A tree; [`Tree::value`] cannot leave it or go round in circles, because whoever makes one has
/// checked that children come after their parents and stay inside.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) leaves: Vec<f64>,
}

/// A question about one feature.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) feature: usize,
    pub(super) question: Question,
    pub(super) yes: Child,
    pub(super) no: Child,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Question {
    /// Is the number at most this one? Missing numbers go where `missing_yes` says.
    AtMost { threshold: f64, missing: Missing, missing_yes: bool },
    /// Is the category one of these? Bit `i` of the words stands for category `i`.
    OneOf(Vec<u32>),
}

/// What a node takes for missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    Nothing,
    Zero,
    NotANumber,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Child {
    Node(usize),
    Leaf(usize),
}

impl Tree {
    /// The value of the leaf that `row` ends in.
    pub(super) fn value(&self, row: &[f64]) -> f64 {
        let mut at = if self.nodes.is_empty() { Child::Leaf(0) } else { Child::Node(0) };
        loop {
            at = match at {
                Child::Leaf(leaf) => return self.leaves[leaf],
                Child::Node(node) => {
                    let node = &self.nodes[node];
                    if node.question.answer(row[node.feature]) { node.yes } else { node.no }
                }
            }
        }
    }
}

impl Question {
    fn answer(&self, value: f64) -> bool {
        /// LightGBM's idea of zero, a single-precision constant there.
        const ZERO: f64 = 1e-35f32 as f64;
        match self {
            Self::AtMost { threshold, missing, missing_yes } => {
                let value =
                    if value.is_nan() && *missing != Missing::NotANumber { 0.0 } else { value };
                let is_missing = match missing {
                    Missing::Nothing => false,
                    Missing::Zero => value.abs() <= ZERO,
                    Missing::NotANumber => value.is_nan(),
                };
                if is_missing { *missing_yes } else { value <= *threshold }
            }
            // A category is cut to a whole number; below zero, or not a number, is none of them.
            Self::OneOf(_) if value.is_nan() || value <= -1.0 || value >= 2f64.powi(31) => false,
            Self::OneOf(words) => {
                let category = value as usize;
                words.get(category / 32).is_some_and(|word| word >> (category % 32) & 1 == 1)
            }
        }
    }
}
