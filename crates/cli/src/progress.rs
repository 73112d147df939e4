//! How work under way is shown: bars on a terminal, plain lines elsewhere; both on stderr.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Local};
use headwater_app::view::{Observer, RunReport, StepOutcome, StepReport};
use headwater_project::Timestamp;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::print::{Color, Printer, grouped, seconds};

const TICK: Duration = Duration::from_millis(120);
/// Up to where dots lead to how a step went.
const LINE_WIDTH: usize = 80;

/// Work whose size is not known.
pub(crate) struct Spinner {
    printer: Printer,
    bar: ProgressBar,
}

impl Spinner {
    pub(crate) fn start(printer: &Printer, what: &'static str) -> Self {
        let bar = bar(printer);
        bar.set_style(style("{spinner} {msg} {elapsed}"));
        bar.set_message(what);
        bar.enable_steady_tick(TICK);
        Self { printer: printer.clone(), bar }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

impl Observer for Spinner {
    fn message(&self, text: &str) {
        say(&self.printer, &self.bar, text);
    }
}

/// A line for each step that ends, and on a terminal a bar below them.
pub(crate) struct RunLines {
    printer: Printer,
    bar: ProgressBar,
    counts: Mutex<Counts>,
}

#[derive(Clone, Copy, Default)]
struct Counts {
    planned: usize,
    done: usize,
}

impl RunLines {
    pub(crate) fn start(printer: &Printer) -> Self {
        let bar = bar(printer);
        bar.set_style(style("{spinner} {pos} of {len} {wide_msg} {elapsed}"));
        Self { printer: printer.clone(), bar, counts: Mutex::default() }
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) -> Counts {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut counts);
        *counts
    }
}

impl Observer for RunLines {
    fn planned(&self, steps: usize) {
        self.count(|counts| counts.planned = steps);
        self.bar.set_length(u64::try_from(steps).unwrap_or(u64::MAX));
        self.bar.enable_steady_tick(TICK);
    }

    fn started(&self, _id: &str, name: &str, kind: &str) {
        self.bar.set_message(format!("{kind} {name}"));
    }

    fn finished(&self, step: &StepReport) {
        let counts = self.count(|counts| counts.done += 1);
        self.bar.inc(1);
        say(&self.printer, &self.bar, &line(&self.printer, step, counts));
    }

    fn message(&self, text: &str) {
        say(&self.printer, &self.bar, text);
    }
}

fn bar(printer: &Printer) -> ProgressBar {
    let shown = printer.stderr_is_terminal && !printer.is_quiet;
    let target = if shown { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    ProgressBar::with_draw_target(None, target)
}

/// A template is ours, so that a wrong one only costs its looks.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn say(printer: &Printer, bar: &ProgressBar, text: &str) {
    bar.suspend(|| printer.words(text));
}

/// `12:03:01  3 of 17 OK created sql table model main.users ........ [1,234 rows in 0.21s]`.
fn line(printer: &Printer, step: &StepReport, counts: Counts) -> String {
    let width = counts.planned.to_string().len();
    let ended = step.started_at.saturating_add(Duration::from_secs_f64(step.seconds.clamp(0.0, 1e9)));
    let (label, color) = label(step);
    let what = described(step);
    let taken = 2 * width + " of ".len() + label.len() + what.chars().count() + 3;
    let dots = ".".repeat(LINE_WIDTH.saturating_sub(taken).max(3));
    format!(
        "{}  {:>width$} of {} {} {what} {} [{}]",
        printer.paint(&time_of_day(ended), Color::Faint),
        counts.done,
        counts.planned,
        printer.paint(label, color),
        printer.paint(&dots, Color::Faint),
        result(step),
    )
}

fn label(step: &StepReport) -> (&'static str, Color) {
    match step.outcome {
        StepOutcome::Success if step.kind.ends_with("test") => ("PASS", Color::Green),
        StepOutcome::Success => ("OK", Color::Green),
        StepOutcome::Unchanged => ("SAME", Color::Faint),
        StepOutcome::Warn => ("WARN", Color::Yellow),
        StepOutcome::Fail => ("FAIL", Color::Red),
        StepOutcome::Error => ("ERROR", Color::Red),
        StepOutcome::Skipped => ("SKIP", Color::Yellow),
    }
}

/// What was done to what, as dbt says it.
fn described(step: &StepReport) -> String {
    let relation = step.relation.as_deref().unwrap_or(&step.name);
    let materialized = step.materialized.as_deref().unwrap_or_default();
    let verb = |done: &'static str, doing: &'static str| match step.outcome {
        StepOutcome::Success => done,
        StepOutcome::Error => doing,
        _ => "",
    };
    let counted = match (step.outcome, step.rows) {
        (StepOutcome::Warn | StepOutcome::Fail, Some(rows)) => format!("{} ", grouped(rows)),
        _ => String::new(),
    };
    match step.kind.as_str() {
        "model" => format!("{}sql {materialized} model {relation}", verb("created ", "creating ")),
        "seed" => format!("{}seed file {relation}", verb("loaded ", "loading ")),
        "snapshot" => format!("{}{relation}", verb("snapshotted ", "snapshotting ")),
        _ => format!("{counted}{}", step.name),
    }
}

fn result(step: &StepReport) -> String {
    let took = seconds(step.seconds);
    match (step.outcome, step.rows) {
        (StepOutcome::Skipped, _) => String::from("SKIP"),
        (StepOutcome::Unchanged, _) => String::from("SAME"),
        (StepOutcome::Success, Some(rows)) if !step.kind.ends_with("test") => {
            let ending = if rows == 1 { "" } else { "s" };
            format!("{} row{ending} in {took}", grouped(rows))
        }
        _ => format!("{} in {took}", label(step).0),
    }
}

/// dbt's last lines: whether all went well, and `Done. PASS=15 WARN=0 ERROR=0 SKIP=0 NO-OP=2 TOTAL=17`. What did not change is
/// counted under NO-OP.
pub(crate) fn summary(report: &RunReport) -> String {
    let count = |outcomes: &[StepOutcome]| report.steps.iter().filter(|step| outcomes.contains(&step.outcome)).count();
    let (failed, warned) = (count(&[StepOutcome::Fail, StepOutcome::Error]), count(&[StepOutcome::Warn]));
    let plural = |count: usize, word: &str| format!("{count} {word}{}", if count == 1 { "" } else { "s" });
    let lead = match (report.succeeded, failed + warned) {
        (true, 0) if report.steps.is_empty() => String::from("No node is selected; completed"),
        (true, 0) => String::from("Completed successfully"),
        (false, 0) => String::from("Not completed"),
        _ => format!("Completed with {} and {}", plural(failed, "error"), plural(warned, "warning")),
    };
    format!(
        "{lead} in {}\nDone. PASS={} WARN={warned} ERROR={failed} SKIP={} NO-OP={} TOTAL={}",
        seconds(report.seconds),
        count(&[StepOutcome::Success]),
        count(&[StepOutcome::Skipped]),
        count(&[StepOutcome::Unchanged]),
        report.steps.len(),
    )
}

/// The clock on the wall of whoever reads.
pub(crate) fn time_of_day(time: Timestamp) -> String {
    let utc = DateTime::from_timestamp_micros(time.as_micros()).unwrap_or_default();
    utc.with_timezone(&Local).format("%H:%M:%S").to_string()
}
