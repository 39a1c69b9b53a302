//! Boosted trees learned from labelled pairs.
//!
//! The trees are grown by `forust` (XGBoost's algorithm: second-order logistic loss, histograms),
//! then kept in the form in which LightGBM's models are read, so there is one way to predict.
//!
//! Distances come with knowledge that a few thousand pairs cannot teach: a larger one never makes
//! two faces more likely to be one person. [`TrainOptions::falling`] holds the trees to that.

use forust_ml::constraints::{Constraint, ConstraintMap};
use forust_ml::objective::ObjectiveType;
use forust_ml::{GradientBooster, Matrix};

use super::booster::{Booster, Link};
use super::tree::{Child, Missing, Node, Question, Tree};
use crate::EvalError;

/// How a booster is grown.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TrainOptions {
    /// How many trees, from 1.
    pub trees: usize,
    /// How many questions deep each may be, from 1 to 16.
    pub depth: usize,
    /// How much of each tree counts, above 0 and at most 1.
    pub learning_rate: f32,
    /// Ridge on the leaves' values, from 0.
    pub ridge: f32,
    /// Least sum of second derivatives in a leaf, from 0: fewer undecided pairs are left together.
    pub least_weight: f32,
    /// Whether a larger feature may never make "the same" more likely, as is right for distances.
    pub falling: bool,
}

impl Default for TrainOptions {
    /// The usual first try. Over the training pairs of LFW's View 1, ten folds do not tell the
    /// settings around it apart (`docs/benchmarks/ensembles.md`).
    fn default() -> Self {
        Self {
            trees: 100,
            depth: 3,
            learning_rate: 0.1,
            ridge: 1.0,
            least_weight: 1.0,
            falling: true,
        }
    }
}

impl TrainOptions {
    fn check(&self) -> Result<(), EvalError> {
        let refuse = |what, got, wanted| Err(EvalError::Option { what, got, wanted });
        if !(1..=100_000).contains(&self.trees) {
            return refuse("the number of trees", self.trees as f64, "from 1 to 100,000");
        }
        if !(1..=16).contains(&self.depth) {
            return refuse("the depth of the trees", self.depth as f64, "from 1 to 16");
        }
        if !(self.learning_rate > 0.0 && self.learning_rate <= 1.0) {
            return refuse("the learning rate", self.learning_rate.into(), "above 0, at most 1");
        }
        for (what, got) in [("the ridge", self.ridge), ("the least weight", self.least_weight)] {
            if !(got >= 0.0 && got.is_finite()) {
                return refuse(what, got.into(), "at least 0");
            }
        }
        Ok(())
    }
}

impl Booster {
    /// Learns from rows of features, such as the distances of several models, and the truth;
    /// `NaN` stands for a missing feature.
    ///
    /// In a feature's name, what LightGBM does not allow (white space, `,:[]{}"`) becomes `_`.
    /// The same rows in the same order always give the same trees.
    ///
    /// # Errors
    ///
    /// [`EvalError::TooFew`] without a row of each truth, [`EvalError::Features`] where a row has
    /// not one value for each name, [`EvalError::Option`] for an infinite feature or an option out
    /// of bounds, [`EvalError::Training`] where the trees cannot be grown. Panics where there is
    /// not one truth for each row.
    pub fn train(
        names: &[String],
        rows: &[Vec<f64>],
        truth: &[bool],
        options: &TrainOptions,
    ) -> Result<Self, EvalError> {
        assert_eq!(rows.len(), truth.len(), "every row has one truth");
        options.check()?;
        super::both_kinds(truth)?;
        for row in rows {
            if row.len() != names.len() {
                return Err(EvalError::Features { expected: names.len(), got: row.len() });
            }
            if let Some(odd) = row.iter().find(|value| value.is_infinite()) {
                let (what, wanted) = ("a feature", "finite, or not a number where it is missing");
                return Err(EvalError::Option { what, got: *odd, wanted });
            }
        }
        let constraint =
            if options.falling { Constraint::Negative } else { Constraint::Unconstrained };
        let constraints: ConstraintMap = (0..names.len()).map(|i| (i, constraint)).collect();
        let mut forest = GradientBooster::default()
            .set_objective_type(ObjectiveType::LogLoss)
            .set_iterations(options.trees)
            .set_max_depth(options.depth)
            .set_learning_rate(options.learning_rate)
            .set_l2(options.ridge)
            .set_min_leaf_weight(options.least_weight)
            .set_monotone_constraints(Some(constraints))
            .set_initialize_base_score(true)
            // One thread: sums in one order, so the same trees on every machine.
            .set_parallel(false);
        let columns: Vec<f64> =
            (0..names.len()).flat_map(|column| rows.iter().map(move |row| row[column])).collect();
        let labels: Vec<f64> = truth.iter().map(|same| f64::from(u8::from(*same))).collect();
        forest
            .fit_unweighted(&Matrix::new(&columns, rows.len(), names.len()), &labels, None)
            .map_err(|error| EvalError::Training { reason: error.to_string() })?;
        let mut trees: Vec<Tree> = forest.trees.iter().map(tree).collect();
        if let Some(first) = trees.first_mut() {
            // LightGBM's files have no place for what the sum starts from, either.
            first.leaves.iter_mut().for_each(|leaf| *leaf += forest.base_score);
        }
        Ok(Self {
            features: names.iter().map(|name| super::word(name)).collect(),
            trees,
            link: Link::Logistic { scale: 1.0 },
            average: false,
        })
    }
}

/// The same tree with its inner nodes and its leaves numbered apart, parents first.
fn tree(grown: &forust_ml::tree::Tree) -> Tree {
    let mut tree = Tree { nodes: Vec::new(), leaves: Vec::new() };
    add(grown, 0, &mut tree);
    tree
}

/// Adds a node and all below it; no deeper than [`TrainOptions::depth`].
fn add(grown: &forust_ml::tree::Tree, at: usize, tree: &mut Tree) -> Child {
    let node = &grown.nodes[at];
    if node.is_leaf {
        tree.leaves.push(node.weight_value.into());
        return Child::Leaf(tree.leaves.len() - 1);
    }
    let place = tree.nodes.len();
    let question = Question::AtMost {
        // There, "below"; here, "at most": the next number down asks the same of every number.
        threshold: node.split_value.next_down(),
        missing: Missing::NotANumber,
        missing_yes: node.missing_node == node.left_child,
    };
    let nowhere = Child::Leaf(0);
    tree.nodes.push(Node { feature: node.split_feature, question, yes: nowhere, no: nowhere });
    let yes = add(grown, node.left_child, tree);
    let no = add(grown, node.right_child, tree);
    (tree.nodes[place].yes, tree.nodes[place].no) = (yes, no);
    Child::Node(place)
}
