//! What every plane's errors have in common: whose fault, and whether trying again can help.

use std::time::Duration;

/// Whose fault an error is, and whether to retry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The user's project, data or command; the same input fails again.
    User,
    /// Something outside the process (network, disk, another service); worth another try.
    External { retry_after: Option<Duration> },
    /// A limit of memory, time, disk or size was reached.
    Exhausted,
    /// Somebody else changed the same thing; reload and decide.
    Conflict,
    /// A bug of ours.
    Internal,
}

/// Implemented by the error type of every plane.
pub trait Classify: std::error::Error {
    fn kind(&self) -> Kind;

    /// What to do about it, as a sentence.
    fn hint(&self) -> Option<String> {
        None
    }

    /// The error and its chain of causes as plain data.
    fn failure(&self) -> Failure {
        let mut causes = Vec::new();
        let mut source = self.source();
        while let Some(cause) = source {
            causes.push(cause.to_string());
            source = cause.source();
        }
        let detail = if causes.is_empty() { None } else { Some(causes.join(": ")) };
        Failure { kind: self.kind(), message: self.to_string(), detail, hint: self.hint() }
    }
}

/// An error as it crosses the façade: the same three texts in the terminal, over HTTP and in logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, hint: None }
    }

    pub fn user(message: impl Into<String>) -> Self {
        Self::new(Kind::User, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Classify for Failure {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn hint(&self) -> Option<String> {
        self.hint.clone()
    }

    fn failure(&self) -> Failure {
        self.clone()
    }
}
