use headwater_project::{Classify, Kind};

/// A request names filters or values a dashboard does not have.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("dashboard has no filter `{name}`")]
    UnknownFilter { name: String },

    #[error("filter `{filter}` takes {expected}")]
    WrongValue { filter: String, expected: &'static str },

    #[error("`{preset}` is not a date range")]
    UnknownPreset { preset: String },

    #[error("date range of filter `{filter}` ends before it starts")]
    ReversedRange { filter: String },
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        Kind::User
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnknownPreset { .. } => {
                Some(format!("Use one of {}, or two dates `2026-01-31..2026-02-28`.", crate::DATE_PRESETS.join(", ")))
            }
            _ => None,
        }
    }
}
