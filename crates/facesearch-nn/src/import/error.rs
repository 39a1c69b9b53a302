//! Why a network cannot be read from a file.

use crate::network::NetworkError;

/// Why a network cannot be imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the messages are the documentation")]
pub enum ImportError {
    #[error("the network's file is damaged: {what}; fetch or export it again")]
    Damaged { what: String },
    #[error("the network uses the operator {operator} (at {node}), which is not known here")]
    Operator { operator: String, node: String },
    #[error("the network uses {operator} (at {node}) in a way that is not known here: {what}")]
    Use { operator: String, node: String, what: String },
    #[error("{what}; say the size of the picture, in rows and columns")]
    Size { what: String },
    #[error("the file's layers do not fit together")]
    Network(#[from] NetworkError),
}

impl ImportError {
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}
