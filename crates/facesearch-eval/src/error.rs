//! Errors of evaluation. Each message says what happened, to what, and what to do next.

/// What can go wrong when results are read or judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum EvalError {
    #[error(
        "line {line} of the pairs is no pair ({what}); give `name n n`, `name n name n` or a csv \
         of a,b,same"
    )]
    Pairs { line: u64, what: String },
    #[error(
        "there are too few {what} to judge by: {got} of at least {wanted}; add more labelled photos"
    )]
    TooFew { what: &'static str, got: usize, wanted: usize },
    #[error("{what} is {got}; it must be {wanted}")]
    Option { what: &'static str, got: f64, wanted: &'static str },
    #[error(
        "a vector has {got} numbers where the others have {expected}; embed all with one model"
    )]
    Dimension { expected: usize, got: usize },
    #[error(transparent)]
    People(#[from] facesearch_people::PeopleError),
    #[error(
        "the booster is damaged at line {line} ({what}); take the file again from where it came"
    )]
    Booster { line: usize, what: String },
    #[error(
        "line {line} of the booster says that it is of a kind that is not read ({what}); give one \
         with one output, whose trees have constant leaves"
    )]
    BoosterKind { line: usize, what: String },
    #[error("no booster can be trained on these pairs ({reason}); give others, or fewer models")]
    Training { reason: String },
    #[error("the booster wants a feature `{name}`, which is none of the distances given; add it")]
    NoFeature { name: String },
    #[error("the booster wants {expected} features, a row has {got}; give the features it names")]
    Features { expected: usize, got: usize },
}
