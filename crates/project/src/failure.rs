//! What every plane's errors have in common: whose fault, and whether trying again can help.

use std::time::Duration;

use crate::config::suggest;
use crate::span::Position;

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

    /// Where in the text that was handed in, when the error is about a place of it.
    fn position(&self) -> Option<Position> {
        None
    }

    /// The error and its chain of causes as plain data.
    fn failure(&self) -> Failure {
        Failure::of(self)
    }
}

/// An error as it crosses the façade: the same three texts in the terminal, over HTTP and in logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub kind: Kind,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub position: Option<Position>,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None, hint: None, position: None }
    }

    /// An error with its chain of causes. A cause that only repeats the one before it, as wrapped errors do, is told once.
    pub fn of<E: Classify + ?Sized>(error: &E) -> Self {
        let mut causes: Vec<String> = Vec::new();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            if !causes.last().is_some_and(|before| before.contains(&text)) {
                causes.push(text);
            }
            source = cause.source();
        }
        let detail = (!causes.is_empty()).then(|| causes.join(": "));
        let (message, hint, position) = (error.to_string(), error.hint(), error.position());
        Self { kind: error.kind(), message, detail, hint, position }
    }

    pub fn user(message: impl Into<String>) -> Self {
        Self::new(Kind::User, message)
    }

    /// Something was named that is not there; the hint is what could have been meant.
    pub fn unknown<'a>(what: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        let hint = match suggest(name, known.iter().copied()) {
            Some(near) => format!("Did you mean `{near}`?"),
            None if known.is_empty() => format!("There are no {what}s."),
            None => format!("Known {what}s: {}.", known.join(", ")),
        };
        Self::user(format!("there is no {what} `{name}`")).with_hint(hint)
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

    fn position(&self) -> Option<Position> {
        self.position
    }

    fn failure(&self) -> Failure {
        self.clone()
    }
}
