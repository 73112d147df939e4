//! The only place that writes to the terminal. Data goes to stdout, words to stderr.

mod findings;
mod number;
mod rows;
mod table;

use std::io::Write;

use headwater_project::Failure;
use serde::Serialize;

use crate::commands::Stop;

pub(crate) use findings::count_findings;
pub(crate) use number::{bytes, grouped, seconds};
pub(crate) use rows::{RowsOut, batch_table, write_rows};
pub(crate) use table::{Align, Table};

/// How and how much to print.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    pub(crate) json: bool,
    pub(crate) is_quiet: bool,
    /// Colour on stderr.
    pub(crate) color: bool,
    pub(crate) stdout_is_terminal: bool,
    pub(crate) stderr_is_terminal: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Color {
    Red,
    Green,
    Yellow,
    Faint,
}

impl Printer {
    /// Bytes to stdout.
    pub(crate) fn data(&self, bytes: &[u8]) -> Result<(), Stop> {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(bytes)?;
        stdout.flush()?;
        Ok(())
    }

    /// A line to stdout.
    pub(crate) fn line(&self, text: &str) -> Result<(), Stop> {
        self.data(format!("{text}\n").as_bytes())
    }

    /// A value to stdout as JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Stop> {
        let text = serde_json::to_string_pretty(value).map_err(|error| {
            Failure::internal("the answer cannot be written as JSON").with_detail(error.to_string())
        })?;
        self.line(&text)
    }

    /// A table to stdout.
    pub(crate) fn table(&self, table: &Table) -> Result<(), Stop> {
        self.data(table.render().as_bytes())
    }

    /// A line to stderr, unless only errors are wanted.
    pub(crate) fn words(&self, text: &str) {
        if !self.is_quiet {
            to_stderr(&format!("{text}\n"));
        }
    }

    /// A failure to stderr: message, cause, remedy.
    pub(crate) fn failure(&self, failure: &Failure) {
        to_stderr(&self.failure_text(failure));
    }

    /// A failure of a step, which it names.
    pub(crate) fn step_failure(&self, kind: &str, name: &str, failure: &Failure) {
        let mut named = failure.clone();
        named.message = format!("{kind} {name}: {}", failure.message);
        self.failure(&named);
    }

    fn failure_text(&self, failure: &Failure) -> String {
        let place = failure.position.map(|place| format!(" (line {}, column {})", place.line, place.column));
        let (head, place) = (self.paint("error", Color::Red), place.unwrap_or_default());
        let mut text = format!("{head}: {}{place}\n", failure.message);
        for line in failure.detail.iter().flat_map(|detail| detail.lines()) {
            text.push_str(&format!("  {line}\n"));
        }
        if let Some(hint) = &failure.hint {
            text.push_str(&format!("  hint: {}\n", hint.replace('\n', "\n        ")));
        }
        text
    }

    pub(crate) fn paint(&self, text: &str, color: Color) -> String {
        if !self.color {
            return text.to_owned();
        }
        let code = match color {
            Color::Red => 31,
            Color::Green => 32,
            Color::Yellow => 33,
            Color::Faint => 2,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }
}

/// When stderr is closed there is nobody left to tell.
fn to_stderr(text: &str) {
    std::io::stderr().lock().write_all(text.as_bytes()).unwrap_or(());
}
