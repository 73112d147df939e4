use headwater_project::{Classify, Kind};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{text}` is not a cron expression")]
    Cron {
        text: String,
        #[source]
        source: croner::errors::CronError,
    },

    #[error("cron expression `{text}` never fires")]
    NeverFires { text: String },

    #[error("`{name}` is not a time zone")]
    TimeZone { name: String },

    #[error("a schedule cannot fire every {0:?}")]
    Period(std::time::Duration),

    #[error("steps depend on each other: {}", steps.join(", "))]
    Cycle { steps: Vec<String> },

    #[error("step {step} cannot go from {from} to {to}")]
    IllegalStep { step: String, from: &'static str, to: &'static str },

    #[error("step {step} is not part of the run")]
    UnknownStep { step: String },
}

impl Classify for Error {
    fn kind(&self) -> Kind {
        match self {
            Self::IllegalStep { .. } | Self::UnknownStep { .. } => Kind::Internal,
            _ => Kind::User,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Cron { .. } => {
                "Write five fields: minute, hour, day of month, month, day of week, for example `5 * * * *`."
            }
            Self::NeverFires { .. } => "Choose a day that exists in the month.",
            Self::TimeZone { .. } => "Use a name of the time zone database such as `UTC` or `Europe/Berlin`.",
            Self::Period(_) => "Use a whole number of seconds, at least 1s.",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
