//! Findings about the project and about the machine.

use headwater_app::view;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub struct Finding {
    /// `error` or `warning`.
    pub severity: &'static str,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    pub path: Option<String>,
    pub line: Option<u32>,
    pub column: Option<u32>,
}

impl From<view::Finding> for Finding {
    fn from(finding: view::Finding) -> Self {
        let (line, column) = finding.place.as_ref().map(|place| (place.line, place.column)).unzip();
        Self {
            severity: if finding.is_error { "error" } else { "warning" },
            message: finding.message,
            detail: finding.detail,
            hint: finding.hint,
            path: finding.place.map(|place| place.path),
            line,
            column,
        }
    }
}

#[derive(Debug, Serialize)]
pub struct Diagnosis {
    pub check: String,
    /// `ok`, `warning` or `error`.
    pub verdict: &'static str,
    pub detail: String,
    pub hint: Option<String>,
}

impl From<view::Diagnosis> for Diagnosis {
    fn from(diagnosis: view::Diagnosis) -> Self {
        Self { check: diagnosis.check, verdict: diagnosis.verdict, detail: diagnosis.detail, hint: diagnosis.hint }
    }
}
