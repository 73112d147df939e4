//! Errors of the façade.

use headwater_project::{Classify, Kind};

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TransformError {
    #[error("'{criterion}' is not a selection: {reason}")]
    Selection { criterion: String, reason: String, hint: Option<String> },
}

impl Classify for TransformError {
    fn kind(&self) -> Kind {
        Kind::User
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Selection { hint, .. } => hint.clone(),
        }
    }
}
