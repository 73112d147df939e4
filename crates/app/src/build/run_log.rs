//! What a run said, kept as text so that it can be read later.
//!
//! One file for each run, `.headwater/target/logs/<run>.log`: a line for each thing that happened, beginning with the time
//! (RFC 3339, UTC); further lines of the same message are indented by four spaces. The newest [`KEPT`] runs keep theirs.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use headwater_project::{Clock, Failure, Kind};

use crate::instance::Instance;
use crate::rfc3339;
use crate::view::{Observer, RunReport, StepReport};

const KEPT: i64 = 1_000;
/// A longer log is shown from here before its end.
const MAX_SHOWN_BYTES: u64 = 4 << 20;

/// Writes down what an observer is told, and tells it to the next. A log that cannot be written costs the log, not the run.
pub(super) struct RunLog {
    clock: Arc<dyn Clock>,
    file: Mutex<Option<File>>,
    next: Arc<dyn Observer>,
}

impl RunLog {
    pub(super) fn begin(instance: &Instance, run: i64, next: Arc<dyn Observer>) -> Self {
        let folder = instance.paths.run_logs();
        let created = std::fs::create_dir_all(&folder).and_then(|()| File::create(path(&folder, run)));
        if let Err(error) = &created {
            tracing::warn!(run, %error, "the log of this run is not kept");
        }
        // Already gone, or never there: both are fine.
        std::fs::remove_file(path(&folder, run - KEPT)).unwrap_or(());
        Self { clock: Arc::clone(&instance.clock), file: Mutex::new(created.ok()), next }
    }

    pub(super) fn line(&self, text: &str) {
        let line = format!("{} {}\n", rfc3339(self.clock.now()), text.trim_end().replace('\n', "\n    "));
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = file.as_mut().map(|file| file.write_all(line.as_bytes())) {
            tracing::warn!(%error, "the rest of this run's log is not kept");
            *file = None;
        }
    }

    pub(super) fn failure(&self, failure: &Failure) {
        self.line(&described(failure));
    }

    pub(super) fn end(&self, report: &RunReport, cancelled: bool) {
        let how = match (cancelled, report.succeeded) {
            (true, _) => "cancelled",
            (false, true) => "succeeded",
            (false, false) => "failed",
        };
        self.line(&format!("run {how} in {:.2} s; {} published", report.seconds, report.published.len()));
    }
}

impl Observer for RunLog {
    fn planned(&self, steps: usize) {
        self.line(&format!("{steps} steps planned"));
        self.next.planned(steps);
    }

    fn started(&self, id: &str, name: &str, kind: &str) {
        self.line(&format!("{kind} {name} started"));
        self.next.started(id, name, kind);
    }

    fn finished(&self, step: &StepReport) {
        self.line(&outcome(step));
        self.next.finished(step);
    }

    fn message(&self, text: &str) {
        self.line(text);
        self.next.message(text);
    }
}

impl Instance {
    /// What a run said, oldest first; its last 4 MiB when that is more. `None` when nothing is kept of it.
    pub fn run_log(&self, run: i64) -> Result<Option<String>, Failure> {
        match tail(&path(&self.paths.run_logs(), run)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                let kind = Kind::External { retry_after: None };
                Err(Failure::new(kind, format!("the log of run {run} cannot be read")).with_detail(error.to_string()))
            }
        }
    }
}

fn path(folder: &Path, run: i64) -> PathBuf {
    folder.join(format!("{run}.log"))
}

fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(MAX_SHOWN_BYTES);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(MAX_SHOWN_BYTES).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(if skipped == 0 { text.into_owned() } else { format!("({skipped} earlier bytes are left out)\n{text}") })
}

fn outcome(step: &StepReport) -> String {
    let rows = step.rows.map(|rows| format!(", {rows} rows")).unwrap_or_default();
    let failure = step.failure.as_ref().map(|failure| format!("\n{}", described(failure))).unwrap_or_default();
    let StepReport { kind, name, outcome, seconds, .. } = step;
    format!("{kind} {name}: {} in {seconds:.2} s{rows}{failure}", outcome.as_str())
}

/// Message, detail and hint, a line each.
fn described(failure: &Failure) -> String {
    let detail = failure.detail.as_ref().map(|detail| format!("\n{detail}")).unwrap_or_default();
    let hint = failure.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    format!("{}{detail}{hint}", failure.message)
}
