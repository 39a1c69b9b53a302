//! A booster as LightGBM's text, which LightGBM reads back.
//!
//! Counts and weights of the training rows are left out. LightGBM needs them to explain
//! predictions, not to predict.

use std::fmt::{Display, Write};

use super::booster::{Booster, Link};
use super::tree::{Child, Missing, Node, Question, Tree};

impl Booster {
    /// The model in LightGBM's text format, version 4. [`Booster::parse`] of it gives the same
    /// model, to the last bit of every number.
    pub fn to_text(&self) -> String {
        let trees: Vec<String> =
            self.trees.iter().enumerate().map(|(number, tree)| of_tree(number, tree)).collect();
        let objective = match self.link {
            Link::Identity => "regression".to_owned(),
            Link::Logistic { scale } => format!("binary sigmoid:{scale}"),
        };
        let mut text = String::from("tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\n");
        let mut line = |key: &str, value: String| {
            text.push_str(&format!("{key}={value}\n"));
        };
        line("label_index", "0".into());
        line("max_feature_idx", self.features.len().saturating_sub(1).to_string());
        line("objective", objective);
        line("feature_names", self.features.join(" "));
        // From where to where each feature went in training: no prediction depends on it.
        line("feature_infos", spaced(self.features.iter().map(|_| "[-inf:inf]")));
        if self.average {
            text.push_str("average_output\n");
        }
        // The size of each tree's block with the line that ends it, so that readers can jump.
        text.push_str(&format!("tree_sizes={}\n\n", spaced(trees.iter().map(|t| t.len()))));
        text.extend(trees);
        text.push_str("end of trees\n");
        text
    }
}

fn of_tree(number: usize, tree: &Tree) -> String {
    let mut text = format!("Tree={number}\nnum_leaves={}\n", tree.leaves.len());
    let sets: Vec<&Vec<u32>> = tree.nodes.iter().filter_map(|node| set(node)).collect();
    let mut seen = 0;
    let thresholds = tree.nodes.iter().map(|node| match &node.question {
        Question::AtMost { threshold, .. } => format!("{threshold:?}"),
        // The number of the node's set of categories.
        Question::OneOf(_) => {
            seen += 1;
            (seen - 1).to_string()
        }
    });
    let thresholds = spaced(thresholds);
    let mut line = |key: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{key}={value}");
    };
    line("num_cat", sets.len().to_string());
    line("split_feature", spaced(tree.nodes.iter().map(|node| node.feature)));
    line("split_gain", spaced(tree.nodes.iter().map(|_| 0)));
    line("threshold", thresholds);
    line("decision_type", spaced(tree.nodes.iter().map(decision)));
    line("left_child", spaced(tree.nodes.iter().map(|node| place(node.yes))));
    line("right_child", spaced(tree.nodes.iter().map(|node| place(node.no))));
    line("leaf_value", spaced(tree.leaves.iter().map(|leaf| format!("{leaf:?}"))));
    if !sets.is_empty() {
        let ends = sets.iter().scan(0, |end, set| {
            *end += set.len();
            Some(*end)
        });
        line("cat_boundaries", spaced(std::iter::once(0).chain(ends)));
        line("cat_threshold", spaced(sets.iter().flat_map(|set| set.iter())));
    }
    line("is_linear", "0".into());
    line("shrinkage", "1".into());
    text.push_str("\n\n");
    text
}

fn set(node: &Node) -> Option<&Vec<u32>> {
    match &node.question {
        Question::OneOf(set) => Some(set),
        Question::AtMost { .. } => None,
    }
}

/// LightGBM's byte: bit 0 categories, bit 1 missing values go left, bits 2 and 3 what is missing.
fn decision(node: &Node) -> u8 {
    match node.question {
        Question::OneOf(_) => 1,
        Question::AtMost { missing, missing_yes, .. } => {
            let kind = match missing {
                Missing::Nothing => 0,
                Missing::Zero => 1,
                Missing::NotANumber => 2,
            };
            kind << 2 | u8::from(missing_yes) << 1
        }
    }
}

fn place(child: Child) -> i64 {
    match child {
        Child::Node(node) => node as i64,
        Child::Leaf(leaf) => -(leaf as i64) - 1,
    }
}

fn spaced(values: impl Iterator<Item = impl Display>) -> String {
    values.map(|value| value.to_string()).collect::<Vec<_>>().join(" ")
}
