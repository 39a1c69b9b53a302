//! Does an ensemble beat the best of its models? Judged on pairs that nothing was learnt from.

use serde::Serialize;

use super::{Blend, Booster, TrainOptions};
use crate::EvalError;
use crate::pairs::{Bootstrap, Interval, Roc, Trial, best_threshold, intervals};

/// The false accept rate at which a contender's true accept rate is given.
const RATE: f64 = 1e-2;
/// The ridge of the blend, as scikit-learn has it unless it is told otherwise.
const RIDGE: f64 = 1.0;

/// Labelled pairs with the distances of several models.
#[derive(Debug, Clone, PartialEq)]
pub struct Distances {
    /// What each column is, such as `dlib_l2`.
    pub names: Vec<String>,
    /// The columns that the sums are made of: one for each model.
    pub summed: Vec<usize>,
    /// A row for each pair; `NaN` where a face was missing.
    pub rows: Vec<Vec<f64>>,
    /// Whether each pair is one person.
    pub same: Vec<bool>,
}

/// How a contender judges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// By one distance.
    Single,
    /// By the root of the mean of the models' squared distances, each in units of its own
    /// threshold: the distance in an index of several models that count alike.
    EqualParts,
    /// By logistic regression on the same squares: the distance in an index whose models count as
    /// their weights say.
    Blend,
    /// By boosted trees over all distances.
    Booster,
}

/// How one way to judge did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contender {
    /// The column, or what was made of them.
    pub name: String,
    /// How it judges.
    pub kind: Kind,
    /// Share of right decisions on the pairs that it learnt from.
    pub train_accuracy: f64,
    /// Share of right decisions on the test pairs.
    pub accuracy: f64,
    /// Its interval.
    pub accuracy_interval: Option<Interval>,
    /// Accuracy less that of the best single distance on the same pairs.
    pub gain: f64,
    /// Its interval, the pairs being drawn for both at once.
    pub gain_interval: Option<Interval>,
    /// Area under the ROC curve of the test pairs.
    pub auc: f64,
    /// Its interval.
    pub auc_interval: Option<Interval>,
    /// True accept rate at a false accept rate of 0.01, on the test pairs.
    pub tar: f64,
}

/// What the comparison found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Study {
    /// Pairs that were learnt from; with folds, each pair was learnt from in all folds but its own.
    pub train_pairs: usize,
    /// Pairs that were judged.
    pub test_pairs: usize,
    /// Judged pairs without all distances; everybody calls them different.
    pub failed: usize,
    /// The single distance that was best on the training pairs; gains are over it.
    pub best_single: String,
    /// All contenders; single distances first.
    pub contenders: Vec<Contender>,
    /// What each summed model counts in the blend, of 1, and the threshold of the whole: learnt on
    /// all the training pairs. `None` where a model would count less than nothing.
    pub blend: Option<Weights>,
}

/// Weights of squared distances in units of their thresholds, and the threshold of the root of the
/// whole.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Weights {
    /// The model's share of the whole, with the threshold that its distance is divided by.
    pub parts: Vec<Part>,
    /// Up to here the two are more likely one person than not.
    pub threshold: f64,
}

/// One model's part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// The column.
    pub name: String,
    /// Its weight; all together are 1.
    pub weight: f64,
    /// What its distance is divided by.
    pub unit: f64,
}

/// Learns on `train` and judges `test`.
///
/// A pair that lacks a distance is not learned from, and every contender calls it different. Single
/// distances and equal parts decide by the threshold that was best on the training pairs, blend and
/// booster by a probability of one half. `booster` may bring trees that are trained already; they
/// find their features by name.
///
/// # Errors
///
/// [`EvalError::TooFew`] where pairs of one kind are missing, [`EvalError::Features`] where the two
/// have other columns, [`EvalError::NoFeature`] where the booster wants another one, and those of
/// [`Booster::train`] and [`Blend::fit`].
pub fn study(
    train: &Distances,
    test: &Distances,
    booster: Option<&Booster>,
    options: &TrainOptions,
    how: &Bootstrap,
) -> Result<Study, EvalError> {
    if train.names != test.names {
        let (expected, got) = (train.names.len(), test.names.len());
        return Err(EvalError::Features { expected, got });
    }
    let learnt = Learnt::from(&train.complete(), booster, options)?;
    let judged = learnt.judge(test)?;
    let names = &train.names;
    sum_up(train.rows.len(), test, names, &judged, &learnt.train_accuracy, learnt.weights(), how)
}

/// Learns on all folds but one and judges that one, for each fold. `fold[i]` is the fold of row
/// `i`, from 0. The figures are those of all pairs together.
///
/// # Errors
///
/// As [`study`], and [`EvalError::TooFew`] for fewer than two folds. Panics if `fold` is not as
/// long as the rows.
pub fn study_folds(
    pairs: &Distances,
    fold: &[usize],
    options: &TrainOptions,
    how: &Bootstrap,
) -> Result<Study, EvalError> {
    assert_eq!(pairs.rows.len(), fold.len(), "every pair has one fold");
    let folds = fold.iter().max().map_or(0, |last| last + 1);
    if folds < 2 {
        return Err(EvalError::TooFew { what: "folds", got: folds, wanted: 2 });
    }
    let mut judged: Vec<Vec<Verdict>> = vec![Vec::new(); pairs.rows.len()];
    let mut accuracy: Vec<f64> = Vec::new();
    for held_out in 0..folds {
        let (test, train): (Vec<usize>, Vec<usize>) =
            (0..fold.len()).partition(|row| fold[*row] == held_out);
        let learnt = Learnt::from(&pairs.only(&train).complete(), None, options)?;
        accuracy.resize(learnt.train_accuracy.len(), 0.0);
        for (sum, share) in accuracy.iter_mut().zip(&learnt.train_accuracy) {
            *sum += share / folds as f64;
        }
        for (row, verdicts) in test.iter().zip(learnt.judge(&pairs.only(&test))?) {
            judged[*row] = verdicts;
        }
    }
    let weights = Learnt::from(&pairs.complete(), None, options)?.weights();
    sum_up(pairs.rows.len(), pairs, &pairs.names, &judged, &accuracy, weights, how)
}

impl Distances {
    fn only(&self, rows: &[usize]) -> Self {
        Self {
            rows: rows.iter().map(|row| self.rows[*row].clone()).collect(),
            same: rows.iter().map(|row| self.same[*row]).collect(),
            ..self.clone()
        }
    }

    /// The pairs that lack no distance.
    pub fn complete(&self) -> Self {
        let whole = |row: &usize| self.rows[*row].iter().all(|value| value.is_finite());
        self.only(&(0..self.rows.len()).filter(whole).collect::<Vec<_>>())
    }
}

/// What one contender says of one pair.
#[derive(Debug, Clone, Copy)]
struct Verdict {
    /// Smaller is more likely the same; infinite where a distance is missing.
    score: f64,
    accepted: bool,
}

/// All contenders, ready to judge.
struct Learnt {
    names: Vec<String>,
    thresholds: Vec<f64>,
    summed: Vec<usize>,
    equal: f64,
    blend: Blend,
    booster: Booster,
    /// Which column each of the booster's features is.
    asked: Vec<usize>,
    train_accuracy: Vec<f64>,
}

impl Learnt {
    /// `train` has all its distances.
    fn from(
        train: &Distances,
        booster: Option<&Booster>,
        options: &TrainOptions,
    ) -> Result<Self, EvalError> {
        super::both_kinds(&train.same)?;
        let best = |score: &dyn Fn(&Vec<f64>) -> f64| {
            let pairs = train.rows.iter().zip(&train.same);
            let trials: Vec<_> =
                pairs.map(|(row, same)| Trial::new(Some(score(row)), *same)).collect();
            let best = best_threshold(&trials).map(|best| best.threshold);
            best.ok_or(EvalError::TooFew { what: "pairs with a distance", got: 0, wanted: 1 })
        };
        let thresholds = (0..train.names.len())
            .map(|column| best(&|row| row[column]))
            .collect::<Result<Vec<f64>, _>>()?;
        let sums = Sums { columns: &train.summed, thresholds: &thresholds };
        let equal = best(&|row| sums.equal(row))?;
        let squares: Vec<_> = train.rows.iter().map(|row| sums.squares(row)).collect();
        let blend = Blend::fit(&squares, &train.same, RIDGE)?;
        let booster = match booster {
            Some(grown) => grown.clone(),
            None => Booster::train(&train.names, &train.rows, &train.same, options)?,
        };
        let column = |feature: &String| {
            let found = train.names.iter().position(|name| super::word(name) == *feature);
            found.ok_or_else(|| EvalError::NoFeature { name: feature.clone() })
        };
        let asked = booster.features().iter().map(column).collect::<Result<_, _>>()?;
        let mut learnt = Self {
            names: train.names.clone(),
            thresholds,
            summed: train.summed.clone(),
            equal,
            blend,
            booster,
            asked,
            train_accuracy: Vec::new(),
        };
        let judged = learnt.judge(train)?;
        learnt.train_accuracy = accuracies(&judged, &train.same);
        Ok(learnt)
    }

    fn judge(&self, pairs: &Distances) -> Result<Vec<Vec<Verdict>>, EvalError> {
        pairs.rows.iter().map(|row| self.judge_one(row)).collect()
    }

    fn judge_one(&self, row: &[f64]) -> Result<Vec<Verdict>, EvalError> {
        let sums = Sums { columns: &self.summed, thresholds: &self.thresholds };
        let within = |score: f64, threshold: f64| Verdict { score, accepted: score <= threshold };
        if row.iter().any(|value| !value.is_finite()) {
            return Ok(vec![within(f64::INFINITY, 0.0); self.names.len() + 3]);
        }
        let singles = row.iter().zip(&self.thresholds);
        let mut verdicts: Vec<_> = singles.map(|(value, at)| within(*value, *at)).collect();
        verdicts.push(within(sums.equal(row), self.equal));
        let asked: Vec<f64> = self.asked.iter().map(|column| row[*column]).collect();
        for probability in [self.blend.predict(&sums.squares(row))?, self.booster.predict(&asked)?]
        {
            verdicts.push(within(1.0 - probability, 0.5));
        }
        Ok(verdicts)
    }

    fn weights(&self) -> Option<Weights> {
        // The probability is one half where the weighted squares add up to the offset.
        let whole: f64 = -self.blend.weights.iter().sum::<f64>();
        let sound = self.blend.weights.iter().all(|weight| *weight <= 0.0) && whole > 0.0;
        let of = |(column, weight): (&usize, &f64)| Part {
            name: self.names[*column].clone(),
            weight: -weight / whole,
            unit: self.thresholds[*column],
        };
        let parts = self.summed.iter().zip(&self.blend.weights).map(of).collect();
        let threshold = (self.blend.offset / whole).max(0.0).sqrt();
        sound.then_some(Weights { parts, threshold })
    }
}

/// Squared distances in units of their thresholds.
struct Sums<'a> {
    columns: &'a [usize],
    thresholds: &'a [f64],
}

impl Sums<'_> {
    fn squares(&self, row: &[f64]) -> Vec<f64> {
        // A threshold of 0 parts copies from all else; any unit does for it.
        let unit =
            |column: usize| Some(self.thresholds[column]).filter(|t| *t > 0.0).unwrap_or(1.0);
        self.columns.iter().map(|column| (row[*column] / unit(*column)).powi(2)).collect()
    }

    fn equal(&self, row: &[f64]) -> f64 {
        let squares = self.squares(row);
        (squares.iter().sum::<f64>() / squares.len() as f64).sqrt()
    }
}

/// Each contender's share of right decisions.
fn accuracies(judged: &[Vec<Verdict>], same: &[bool]) -> Vec<f64> {
    let mut right = vec![0usize; judged.first().map_or(0, Vec::len)];
    for (verdicts, same) in judged.iter().zip(same) {
        for (right, verdict) in right.iter_mut().zip(verdicts) {
            *right += usize::from(verdict.accepted == *same);
        }
    }
    right.iter().map(|right| *right as f64 / same.len() as f64).collect()
}

fn sum_up(
    train_pairs: usize,
    test: &Distances,
    names: &[String],
    judged: &[Vec<Verdict>],
    train_accuracy: &[f64],
    blend: Option<Weights>,
    how: &Bootstrap,
) -> Result<Study, EvalError> {
    super::both_kinds(&test.same)?;
    let mut best = 0;
    for single in 1..names.len() {
        if train_accuracy[single] > train_accuracy[best] {
            best = single;
        }
    }
    let items: Vec<(&Vec<Verdict>, bool)> = judged.iter().zip(test.same.iter().copied()).collect();
    let n = train_accuracy.len();
    let figures = |items: &[(&Vec<Verdict>, bool)]| -> Vec<f64> {
        let same: Vec<bool> = items.iter().map(|item| item.1).collect();
        let rights = |i: usize| items.iter().filter(|item| item.0[i].accepted == item.1).count();
        let accuracy: Vec<f64> = (0..n).map(|i| rights(i) as f64 / same.len() as f64).collect();
        let gain: Vec<f64> = accuracy.iter().map(|share| share - accuracy[best]).collect();
        let auc = (0..n).map(|i| {
            let roc = Roc::new(&trials(items, i));
            roc.map_or(f64::NAN, |roc| roc.auc())
        });
        accuracy.iter().chain(&gain).copied().chain(auc).collect()
    };
    let (seen, around) = (figures(&items), intervals(&items, how, figures));
    let all = names.iter().map(|name| (name.clone(), Kind::Single)).chain([
        ("equal parts".into(), Kind::EqualParts),
        ("blend".into(), Kind::Blend),
        ("booster".into(), Kind::Booster),
    ]);
    let contenders = all.enumerate().map(|(i, (name, kind))| {
        let roc = Roc::new(&trials(&items, i))?;
        Ok(Contender {
            name,
            kind,
            train_accuracy: train_accuracy[i],
            accuracy: seen[i],
            accuracy_interval: around[i],
            gain: seen[n + i],
            gain_interval: around[n + i],
            auc: seen[2 * n + i],
            auc_interval: around[2 * n + i],
            tar: roc.at_false_accept_rate(RATE).true_accept_rate,
        })
    });
    let missing = |row: &&Vec<f64>| row.iter().any(|value| !value.is_finite());
    Ok(Study {
        train_pairs,
        test_pairs: test.rows.len(),
        failed: test.rows.iter().filter(missing).count(),
        best_single: names[best].clone(),
        contenders: contenders.collect::<Result<_, EvalError>>()?,
        blend,
    })
}

fn trials(items: &[(&Vec<Verdict>, bool)], contender: usize) -> Vec<Trial> {
    items
        .iter()
        .map(|(verdicts, same)| Trial::new(Some(verdicts[contender].score), *same))
        .collect()
}
