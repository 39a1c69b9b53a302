//! Errors of this crate. Each message says what happened, to what, and what to do next.

use facesearch_core::{EmbeddingError, GalleryError};

/// What can go wrong when people are clustered, or distances calibrated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum PeopleError {
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
    #[error("faces {a} and {b} are labelled both as one person and as two; correct one label")]
    Contradiction { a: usize, b: usize },
    #[error("the cohort cannot be used: {what}; fit it again with `facesearch models cohort`")]
    Cohort { what: &'static str },
    #[error(transparent)]
    Gallery(#[from] GalleryError),
    #[error(transparent)]
    Embedding(#[from] EmbeddingError),
}
