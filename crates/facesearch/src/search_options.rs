//! How faces are searched and decided on.

use facesearch_core::Effort;
use facesearch_query::Filter;

/// How faces are searched and decided on.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchOptions {
    /// How many identities to rank for each face.
    pub k: usize,
    /// The largest distance of one person.
    pub threshold: ThresholdChoice,
    /// What decides besides.
    pub rule: DecisionRule,
    /// The share of strangers who may be given a name; `None` for [`RATE`].
    pub rate: Option<f64>,
    /// Work per search.
    pub effort: Effort,
    /// Which faces may be found.
    pub filter: Filter,
    /// Whether each answer says how it was found.
    pub explain: bool,
}

impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            k: 5,
            threshold: ThresholdChoice::Own,
            rule: DecisionRule::Crowd,
            rate: None,
            effort: Effort::default(),
            filter: Filter::default(),
            explain: false,
        }
    }
}

/// The share of strangers who may be given a name, where nobody says otherwise.
pub const RATE: f64 = 0.01;

/// What decides besides the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DecisionRule {
    /// Whether strangers would come so near, judged by the crowd around the face and the candidate.
    /// Where there is no crowd (a model without a cohort, and fewer than 50 people), the distance
    /// decides alone.
    #[default]
    Crowd,
    /// Nothing: the distance decides alone.
    Distance,
}

/// What decides who is the same person.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum ThresholdChoice {
    /// The model's own threshold.
    #[default]
    Own,
    /// This L2 distance; 0 is a value.
    Given(f32),
    /// One that somebody published for the model, by its name in the catalogue.
    Preset(String),
    /// The threshold that gives this share of strangers a name, by the index's calibration and its
    /// size now.
    Fpir(f64),
}
