//! The legal lives of a run and of a step. A change is asked for as (from, to); the store applies it only when the row
//! still is in `from`.
//!
//! ```text
//! run    queued -> running -> succeeded | failed | cancelled | crashed
//!        queued -> cancelled
//! step   (new) -> pending -> running -> succeeded | warn | failed | cancelled | crashed
//!        (new) -> any status a step can start in: pending, running, skipped, unchanged
//!        pending -> skipped | unchanged | cancelled | crashed
//! ```

use crate::error::{Error, Result};

macro_rules! status {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word stored and shown.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            pub fn parse(text: &str) -> crate::error::Result<Self> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    other => Err(crate::error::Error::Corrupt { what: format!(concat!($what, " `{}`"), other) }),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use status;

status! {
    RunStatus, "run status" {
        Queued = "queued",
        Running = "running",
        Succeeded = "succeeded",
        Failed = "failed",
        Cancelled = "cancelled",
        /// The process that owned the run ended without saying how it went.
        Crashed = "crashed",
    }
}

impl RunStatus {
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Queued => matches!(next, Self::Running | Self::Cancelled),
            Self::Running => next.is_final(),
            _ => false,
        }
    }
}

status! {
    StepStatus, "step status" {
        Pending = "pending",
        Running = "running",
        Succeeded = "succeeded",
        /// Done, with a finding of severity `warn`.
        Warn = "warn",
        Failed = "failed",
        /// Not tried, because something upstream failed.
        Skipped = "skipped",
        /// Not needed: code and inputs are those of the published version.
        Unchanged = "unchanged",
        Cancelled = "cancelled",
        Crashed = "crashed",
    }
}

impl StepStatus {
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Pending | Self::Running)
    }

    /// Statuses a step can be recorded with for the first time.
    pub fn may_begin(self) -> bool {
        matches!(self, Self::Pending | Self::Running | Self::Skipped | Self::Unchanged)
    }

    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Pending => {
                matches!(next, Self::Running | Self::Skipped | Self::Unchanged | Self::Cancelled | Self::Crashed)
            }
            Self::Running => {
                matches!(next, Self::Succeeded | Self::Warn | Self::Failed | Self::Cancelled | Self::Crashed)
            }
            _ => false,
        }
    }
}

pub(crate) fn check_run_change(from: RunStatus, to: RunStatus) -> Result<()> {
    if from.may_become(to) { Ok(()) } else { Err(Error::IllegalTransition { from: from.as_str(), to: to.as_str() }) }
}

pub(crate) fn check_step_change(from: Option<StepStatus>, to: StepStatus) -> Result<()> {
    let legal = from.map_or_else(|| to.may_begin(), |from| from.may_become(to));
    if legal {
        Ok(())
    } else {
        Err(Error::IllegalTransition { from: from.map_or("(new)", StepStatus::as_str), to: to.as_str() })
    }
}
