//! LightGBM's text format: `key=value` lines, a block for the model, then one for each tree.
//!
//! The layout is that of LightGBM's `GBDT::SaveModelToString`, versions 3 and 4. A node's
//! `decision_type` is a byte: bit 0 categorical, bit 1 missing values go left, bits 2 and 3 what
//! counts as missing. A negative child `c` is the leaf `-c - 1`.

use std::collections::HashMap;

use super::booster::{Booster, Link};
use super::tree::{Child, Missing, Node, Question, Tree};
use crate::EvalError;

/// The `key=value` lines of one block, with where they stand.
struct Block<'a> {
    first_line: usize,
    values: HashMap<&'a str, (usize, &'a str)>,
}

pub(super) fn booster(text: &str) -> Result<Booster, EvalError> {
    let (header, trees) = blocks(text)?;
    if header.values.get("version").is_none_or(|(_, v)| !matches!(*v, "v3" | "v4")) {
        return Err(header.foreign("version", "neither v3 nor v4"));
    }
    for key in ["num_class", "num_tree_per_iteration"] {
        if header.number::<usize>(key)? != 1 {
            return Err(header.foreign(key, "only models with one output are read"));
        }
    }
    let features: Vec<String> =
        header.text("feature_names")?.split(' ').map(str::to_owned).collect();
    if header.number::<usize>("max_feature_idx")?.checked_add(1) != Some(features.len()) {
        return Err(header.bad("max_feature_idx", "not the number of feature names"));
    }
    let announced = header.text("tree_sizes")?.split_whitespace().count();
    if announced != trees.len() {
        return Err(header.bad("tree_sizes", "not the number of trees"));
    }
    let link = link(&header)?;
    let average = header.values.contains_key("average_output");
    let trees = trees.iter().map(|block| tree(block, features.len())).collect::<Result<_, _>>()?;
    Ok(Booster { features, trees, link, average })
}

/// The model's block, and one for each tree; what follows the trees is of no use here.
fn blocks(text: &str) -> Result<(Block<'_>, Vec<Block<'_>>), EvalError> {
    let mut lines = (1..).zip(text.lines());
    match lines.next() {
        Some((_, "tree")) => {}
        _ => return Err(damaged(1, "it does not begin with `tree`")),
    }
    let mut blocks = vec![Block { first_line: 1, values: HashMap::new() }];
    let mut last = 1;
    for (line, content) in lines {
        last = line;
        let content = content.trim_end();
        if content == "end of trees" {
            let header = blocks.remove(0);
            return Ok((header, blocks));
        }
        let (key, value) = content.split_once('=').unwrap_or((content, ""));
        if key == "Tree" {
            if value.parse() != Ok(blocks.len() - 1) {
                return Err(damaged(line, "the trees are not in order"));
            }
            blocks.push(Block { first_line: line, values: HashMap::new() });
        } else if let Some(block) = blocks.last_mut()
            && !key.is_empty()
            && block.values.insert(key, (line, value)).is_some()
        {
            return Err(damaged(line, "a key is there twice"));
        }
    }
    Err(damaged(last, "the end of the trees is missing"))
}

fn link(header: &Block<'_>) -> Result<Link, EvalError> {
    let objective = header.values.get("objective").map_or("", |(_, objective)| objective);
    let mut words = objective.split_whitespace();
    match words.next().unwrap_or("") {
        "binary" => {
            let scale = words.find_map(|word| word.strip_prefix("sigmoid:"));
            let scale = scale.and_then(|scale| scale.parse().ok()).filter(|s: &f64| *s > 0.0);
            scale
                .map(|scale| Link::Logistic { scale })
                .ok_or_else(|| header.bad("objective", "no sigmoid above 0"))
        }
        "cross_entropy" => Ok(Link::Logistic { scale: 1.0 }),
        // Its sums are square roots.
        "regression" if words.any(|word| word == "sqrt") => {
            Err(header.foreign("objective", "regression on square roots is not read"))
        }
        "" | "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape"
        | "lambdarank" | "rank_xendcg" => Ok(Link::Identity),
        _ => Err(header.foreign("objective", "an objective that is not read")),
    }
}

fn tree(block: &Block<'_>, features: usize) -> Result<Tree, EvalError> {
    let leaves: Vec<f64> = block.list("leaf_value")?;
    if leaves.is_empty() || leaves.len() != block.number::<usize>("num_leaves")? {
        return Err(block.bad("leaf_value", "not the number of leaves"));
    }
    if block.values.get("is_linear").is_some_and(|(_, linear)| *linear != "0") {
        return Err(block.foreign("is_linear", "linear trees are not read"));
    }
    let inner = leaves.len() - 1;
    if inner == 0 {
        return Ok(Tree { nodes: Vec::new(), leaves });
    }
    let feature: Vec<usize> = block.list_of("split_feature", inner)?;
    let threshold: Vec<f64> = block.list_of("threshold", inner)?;
    let decision: Vec<u8> = block.list_of("decision_type", inner)?;
    let left: Vec<i64> = block.list_of("left_child", inner)?;
    let right: Vec<i64> = block.list_of("right_child", inner)?;
    let categories = categories(block)?;
    let mut nodes = Vec::with_capacity(inner);
    for node in 0..inner {
        if feature[node] >= features {
            return Err(block.bad("split_feature", "there is no such feature"));
        }
        let child = |key, children: &[i64]| {
            child(children[node], node, leaves.len()).ok_or_else(|| {
                block.bad(key, "there is no such child, or it stands before its parent")
            })
        };
        let question = if decision[node] & 1 == 1 {
            let words = categories.get(threshold[node] as usize);
            Question::OneOf(
                words.ok_or_else(|| block.bad("threshold", "no such categories"))?.clone(),
            )
        } else {
            let missing = match decision[node] >> 2 & 3 {
                0 => Missing::Nothing,
                1 => Missing::Zero,
                2 => Missing::NotANumber,
                _ => return Err(block.bad("decision_type", "an unknown kind of missing values")),
            };
            let missing_yes = decision[node] & 2 != 0;
            Question::AtMost { threshold: threshold[node], missing, missing_yes }
        };
        let (yes, no) = (child("left_child", &left)?, child("right_child", &right)?);
        nodes.push(Node { feature: feature[node], question, yes, no });
    }
    Ok(Tree { nodes, leaves })
}

/// A child; `None` where it is out of bounds, or not after its parent: LightGBM numbers nodes as it
/// splits, so a child always is, and walks end.
fn child(number: i64, parent: usize, leaves: usize) -> Option<Child> {
    match usize::try_from(number) {
        Ok(node) => (node > parent && node < leaves - 1).then_some(Child::Node(node)),
        Err(_) => {
            let leaf = usize::try_from(-(number + 1)).ok()?;
            (leaf < leaves).then_some(Child::Leaf(leaf))
        }
    }
}

/// The sets of categories, as bits.
fn categories(block: &Block<'_>) -> Result<Vec<Vec<u32>>, EvalError> {
    let sets: usize = block.number("num_cat")?;
    if sets == 0 {
        return Ok(Vec::new());
    }
    let words: Vec<u32> = block.list("cat_threshold")?;
    let bounds: Vec<usize> = block.list("cat_boundaries")?;
    if bounds.len() - 1 != sets {
        return Err(block.bad("cat_boundaries", "not the number of category sets"));
    }
    bounds
        .windows(2)
        .map(|bound| words.get(bound[0]..bound[1]).map(<[u32]>::to_vec))
        .collect::<Option<_>>()
        .ok_or_else(|| block.bad("cat_boundaries", "beyond the categories"))
}

impl<'a> Block<'a> {
    fn text(&self, key: &str) -> Result<&'a str, EvalError> {
        let found = self.values.get(key).map(|(_, value)| *value);
        found.ok_or_else(|| damaged(self.first_line, &format!("there is no `{key}`")))
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Result<T, EvalError> {
        self.text(key)?.parse().map_err(|_| self.bad(key, "no such number"))
    }

    /// At least one number.
    fn list<T: std::str::FromStr>(&self, key: &str) -> Result<Vec<T>, EvalError> {
        let numbers = self.text(key)?.split(' ').map(str::parse);
        numbers.collect::<Result<_, _>>().map_err(|_| self.bad(key, "no list of such numbers"))
    }

    fn list_of<T: std::str::FromStr>(&self, key: &str, n: usize) -> Result<Vec<T>, EvalError> {
        let list = self.list(key)?;
        if list.len() == n { Ok(list) } else { Err(self.bad(key, "not one entry for each split")) }
    }

    fn bad(&self, key: &str, what: &str) -> EvalError {
        damaged(self.line(key), &format!("`{key}`: {what}"))
    }

    /// Not damaged, but nothing for this reader.
    fn foreign(&self, key: &str, what: &str) -> EvalError {
        EvalError::BoosterKind { line: self.line(key), what: format!("`{key}`: {what}") }
    }

    fn line(&self, key: &str) -> usize {
        self.values.get(key).map_or(self.first_line, |(line, _)| *line)
    }
}

fn damaged(line: usize, what: &str) -> EvalError {
    EvalError::Booster { line, what: what.to_owned() }
}
