//! Findings about a project: what is wrong, where, and what to do.

use crate::span::{Files, Span};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    Warning,
    Error,
}

/// One finding. `message` is a lower-case fragment without a full stop; `detail` and `hint` are sentences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub message: String,
    /// The cause, when the message alone does not show it.
    pub detail: Option<String>,
    /// The remedy.
    pub hint: Option<String>,
    pub span: Option<Span>,
    /// The name dbt has for a warning, by which it is silenced or made an error.
    pub event: Option<&'static str>,
}

impl Diagnostic {
    pub fn error(message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, message: message.into(), detail: None, hint: None, span: None, event: None }
    }

    pub fn warning(message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(message) }
    }

    #[must_use]
    pub fn event(mut self, name: &'static str) -> Self {
        self.event = Some(name);
        self
    }

    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// One finding as plain text: `error: message`, place, detail and hint on lines of their own.
    pub fn render(&self, files: &Files) -> String {
        let label = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let mut text = format!("{label}: {}\n", self.message);
        if let Some(span) = self.span {
            text.push_str(&format!("  --> {}\n", files.locate(span)));
        }
        if let Some(detail) = &self.detail {
            text.push_str(&format!("  {detail}\n"));
        }
        if let Some(hint) = &self.hint {
            text.push_str(&format!("  hint: {hint}\n"));
        }
        text
    }
}

/// Findings collected while reading; reading goes on after each.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    pub found: Vec<Diagnostic>,
}

impl Diagnostics {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    pub fn has_errors(&self) -> bool {
        self.found.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}
