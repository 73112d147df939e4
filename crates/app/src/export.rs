//! Sinks: rows of tables on their way out.
//!
//! How far a table was sent is the destination's to say, and asked for at each start. It is the greatest `_ingested_at` that
//! was sent, or the version of the table, when all rows are sent. Changes of a captured table begin with its rows as they are,
//! sent at the position up to which the log of changes is in them.

mod captured;
mod destination;
mod progress;
mod reading;

use std::time::Duration;

use headwater_connectors::kafka::config::Snapshot;
use headwater_connectors::sink::{RowSink, Transfer};
use headwater_project::unwind::caught;
use headwater_project::{Classify, Diagnostic, Diagnostics, Failure, Kind};
use tokio_util::sync::CancellationToken;

use crate::instance::{Instance, parse_table_name};
use crate::project::Project;
use crate::query::QueryStream;
use crate::sink_file::{Send, SinkConfig};
use captured::Captured;
pub(crate) use destination::shown as shown_destination;
pub(crate) use progress::{Phase, Progress, ProgressHandle};
pub(crate) use reading::Reading;
use reading::place;

/// Wait after a sink failed, unless the destination asks for more.
const RETRY: Duration = Duration::from_secs(5);

/// What a sink did.
#[derive(Clone, Debug)]
pub struct Exported {
    pub sink: String,
    pub kind: &'static str,
    /// Where rows go, within the connection if there is one.
    pub destination: String,
    pub outcome: Result<Sent, Failure>,
}

/// What a sink sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    pub rows: u64,
    /// Sets of rows, each of which went out as a whole.
    pub transfers: u64,
    /// How far the destination has the table; nothing when it never got a row.
    pub position: Option<i64>,
}

/// Problems of sinks that can be told without asking anybody.
pub(crate) fn check(project: &Project, found: &mut Diagnostics) {
    for (index, sink) in project.sinks.iter().enumerate() {
        let mut problems = Vec::new();
        if project.sinks.iter().take(index).any(|before| before.name() == sink.name()) {
            problems.push(Diagnostic::error("another sink has this name"));
        }
        if parse_table_name(sink.table()).is_none() {
            problems.push(Diagnostic::error(format!("`{}` is no table", sink.table())).hint("Write `schema.table`."));
        }
        problems.extend(destination::check(project, sink));
        for problem in problems {
            let message = format!("sink `{}`: {}", sink.name(), problem.message);
            found.push(Diagnostic { message, ..problem });
        }
    }
}

impl Instance {
    /// Sends what the named sinks (all, when none is named) have not sent yet. One that fails does not keep the others.
    pub async fn export(&self, names: &[String], cancel: &CancellationToken) -> Result<Vec<Exported>, Failure> {
        self.require_writer()?;
        self.project().require_sound()?;
        let sinks = &self.project().sinks;
        if let Some(unknown) = names.iter().find(|name| !sinks.iter().any(|sink| sink.name() == **name)) {
            return Err(Failure::unknown("sink", unknown, sinks.iter().map(|sink| sink.name())));
        }
        let mut exported = Vec::new();
        for config in sinks.iter().filter(|sink| names.is_empty() || names.iter().any(|name| name == sink.name())) {
            if cancel.is_cancelled() {
                break;
            }
            exported.push(Exported {
                sink: config.name().to_owned(),
                kind: config.kind(),
                destination: shown_destination(self.project(), config),
                outcome: Box::pin(once(self, config, cancel)).await,
            });
        }
        Ok(exported)
    }
}

async fn once(instance: &Instance, config: &SinkConfig, cancel: &CancellationToken) -> Result<Sent, Failure> {
    let progress = ProgressHandle::default();
    let mut export = Export::open(instance, config, progress.clone(), cancel).await?;
    if !export.send_new(cancel).await? && !cancel.is_cancelled() {
        return Err(Failure::user(format!("the table that `{}` is of is not copied to the end yet", config.table()))
            .with_hint("A sink of changes begins with its rows: run `headwater ingest` or `headwater up` first."));
    }
    Ok(progress.read().sent)
}

/// How far the destination of a sink has its table; nothing is made or changed there.
pub(crate) async fn reached(instance: &Instance, config: &SinkConfig) -> Result<Option<i64>, Failure> {
    let mut sink = destination::open(instance, config, &CancellationToken::new())?;
    let asked = tokio::task::spawn_blocking(move || sink.reached()).await;
    asked.map_err(|error| Failure::internal(error.to_string()))?.map_err(|error| error.failure())
}

/// Runs a sink until it is stopped, from the start again whenever its destination fails. `Err` is what it had failed with at the
/// stop.
pub(crate) async fn forever(
    instance: Instance,
    config: SinkConfig,
    progress: ProgressHandle,
    stop: CancellationToken,
) -> Result<(), Failure> {
    while !stop.is_cancelled() {
        let was_there = is_there(&instance, &config).await;
        let failure = match caught(sending(&instance, &config, &progress, &stop)).await.flatten() {
            Ok(()) => break,
            Err(failure) => failure,
        };
        let mut wait = wait_after(&failure);
        if failure.kind == Kind::User {
            let was_there = was_there.map(|was_there| was_there || progress.has_read());
            wait = wait_for_table(was_there, is_there(&instance, &config).await);
        }
        let Some(wait) = wait else {
            progress.failed(&failure, Phase::Failed, instance.now());
            return Err(stand_still(config.name(), failure, &stop).await);
        };
        if stop.is_cancelled() {
            break;
        }
        progress.failed(&failure, Phase::Retrying, instance.now());
        tracing::warn!(sink = config.name(), detail = failure.detail.as_deref(), "sink failed: {failure}");
        // Whether the wait is over or a stop was asked for makes no difference here: the loop looks.
        drop(tokio::time::timeout(wait.max(RETRY), stop.cancelled()).await);
    }
    progress.stopped();
    Ok(())
}

/// How long to wait before another try; nothing where trying again does not help.
fn wait_after(failure: &Failure) -> Option<Duration> {
    match failure.kind {
        Kind::External { retry_after } => Some(retry_after.unwrap_or_default()),
        // Memory that others have now.
        Kind::Exhausted => Some(Duration::ZERO),
        Kind::User | Kind::Conflict | Kind::Internal => None,
    }
}

/// The same of a failure that a missing table would explain: a model that is yet to be built, a source that is yet to bring
/// something. It may have come since the sink looked for it: it counts as there if it was when the try began, or was read by
/// it, and still is. Where nobody can say whether it is, that decides.
fn wait_for_table(was_there: Result<bool, Failure>, is_there: Result<bool, Failure>) -> Option<Duration> {
    match (was_there, is_there) {
        (Ok(true), Ok(true)) => None,
        (Ok(_), Ok(_)) => Some(Duration::ZERO),
        (Err(failure), _) | (_, Err(failure)) => wait_after(&failure),
    }
}

async fn is_there(instance: &Instance, config: &SinkConfig) -> Result<bool, Failure> {
    Reading { instance, config }.is_there().await
}

/// Says that a sink has failed for good, which is no reason for anything else to end, and waits for the stop: then it has failed
/// still. Nor is a conflict: it is about this destination, and whoever takes the project over fences its tables.
async fn stand_still(name: &str, failure: Failure, stop: &CancellationToken) -> Failure {
    let (detail, hint) = (failure.detail.as_deref(), failure.hint.as_deref());
    tracing::error!(sink = name, detail, hint, "a sink stopped: {failure}");
    stop.cancelled().await;
    failure
}

async fn sending(
    instance: &Instance,
    config: &SinkConfig,
    progress: &ProgressHandle,
    stop: &CancellationToken,
) -> Result<(), Failure> {
    let mut export = Export::open(instance, config, progress.clone(), stop).await?;
    while !stop.is_cancelled() {
        export.send_new(stop).await?;
        drop(tokio::time::timeout(config.every(), stop.cancelled()).await);
    }
    Ok(())
}

/// A sink at work.
struct Export<'a> {
    reading: Reading<'a>,
    /// Away while it waits for its destination on another thread.
    sink: Option<Box<dyn RowSink>>,
    is_by_commit: bool,
    /// How far the destination has the table.
    position: Option<i64>,
    progress: ProgressHandle,
}

/// Rows that are about to go out.
struct Going {
    rows: QueryStream,
    position: i64,
    is_whole: bool,
}

impl<'a> Export<'a> {
    async fn open(
        instance: &'a Instance,
        config: &'a SinkConfig,
        progress: ProgressHandle,
        stop: &CancellationToken,
    ) -> Result<Self, Failure> {
        let mut sink = destination::open(instance, config, stop)?;
        let opened = tokio::task::spawn_blocking(move || sink.resume().map(|position| (sink, position))).await;
        let (sink, position) =
            opened.map_err(|error| Failure::internal(error.to_string()))?.map_err(|error| error.failure())?;
        progress.opened(position);
        let reading = Reading { instance, config };
        Ok(Self { reading, is_by_commit: sink.is_by_commit(), sink: Some(sink), position, progress })
    }

    /// Sends what waits. `false` when changes cannot begin: their table is not copied to the end, or a stop came before the end
    /// of its rows.
    async fn send_new(&mut self, stop: &CancellationToken) -> Result<bool, Failure> {
        let (mut has_begun, mut is_there) = (true, true);
        if let Some(changes) = self.reading.config.changes() {
            if self.position.is_none() && changes.snapshot == Snapshot::Initial {
                has_begun = self.send_captured(stop).await?;
            }
            // Without a change there is no log of changes.
            is_there = has_begun && self.reading.is_there().await?;
        }
        match self.reading.config.send() {
            _ if !is_there => {}
            Send::Added if self.is_by_commit => self.send_commits(stop).await?,
            Send::Added => self.send_added(stop).await?,
            Send::All => self.send_version(stop).await?,
        }
        self.progress.caught_up();
        Ok(has_begun)
    }

    /// Calls the sink on a thread that may wait. After an error it is gone, as the contract of sinks has it.
    async fn call(
        &mut self,
        action: impl FnOnce(&mut dyn RowSink) -> headwater_ingest::Result<()> + std::marker::Send + 'static,
    ) -> Result<(), Failure> {
        let Some(mut sink) = self.sink.take() else {
            return Err(Failure::internal("a sink that failed was used again"));
        };
        let called = tokio::task::spawn_blocking(move || {
            let done = action(&mut *sink);
            (sink, done)
        });
        let (sink, done) = called.await.map_err(|error| Failure::internal(error.to_string()))?;
        done.map_err(|error| error.failure())?;
        self.sink = Some(sink);
        Ok(())
    }

    /// The rows of a captured table as they are now. `false` when it is not copied to the end, or a stop came before theirs.
    ///
    /// Its place is asked for before its rows: what the table takes in between comes again with its changes, which end in
    /// the same rows. A commit of the log that reaches beyond the place is sent whole.
    async fn send_captured(&mut self, stop: &CancellationToken) -> Result<bool, Failure> {
        let reading = self.reading;
        let captured = Captured::of_log(reading.instance.project(), reading.config.table())?;
        let Some(place) = captured.place(reading.instance).await? else { return Ok(false) };
        let position = if reading.is_there().await? { reading.before_place(place.lsn).await? } else { 0 };
        let rows = reading.captured_rows(&captured.current, place.lsn).await?;
        // The rows are of the version of just now: it must be no copy's that has begun since.
        if captured.place(reading.instance).await?.is_none_or(|now| now.copy != place.copy) {
            return Ok(false);
        }
        self.transfer(Going { rows, position, is_whole: false }, stop).await
    }

    /// Rows of later commits than the last that was sent, as many commits at once as there are.
    async fn send_added(&mut self, stop: &CancellationToken) -> Result<(), Failure> {
        let (reading, after) = (self.reading, self.position);
        let Some(position) = reading.commit_time("max", after).await? else { return Ok(()) };
        let (place, order) = (place(), reading.order(false).await?);
        let later = after.unwrap_or(i64::MIN);
        let which = format!("WHERE {place} > {later} AND {place} <= {position} ORDER BY {order}");
        let rows = reading.rows(&which).await?;
        self.transfer(Going { rows, position, is_whole: false }, stop).await.map(drop)
    }

    /// The same, one commit at a time and in an order that is the same each time.
    async fn send_commits(&mut self, stop: &CancellationToken) -> Result<(), Failure> {
        let reading = self.reading;
        let mut order = None;
        while let Some(position) = reading.commit_time("min", self.position).await? {
            let order = match &mut order {
                Some(order) => order,
                None => order.insert(reading.order(true).await?),
            };
            let rows = reading.rows(&format!("WHERE {} = {position} ORDER BY {order}", place())).await?;
            if !self.transfer(Going { rows, position, is_whole: false }, stop).await? {
                break;
            }
        }
        Ok(())
    }

    /// All rows, unless the destination has them as they are now.
    async fn send_version(&mut self, stop: &CancellationToken) -> Result<(), Failure> {
        let reading = self.reading;
        let version = reading.version().await?.filter(|version| Some(*version) != self.position);
        let Some(position) = version else { return Ok(()) };
        let order = if self.is_by_commit { reading.order(true).await? } else { String::new() };
        let order = if order.is_empty() { order } else { format!("ORDER BY {order}") };
        let rows = reading.rows(&order).await?;
        self.transfer(Going { rows, position, is_whole: true }, stop).await.map(drop)
    }

    /// Sends rows as one. `false` when a stop came before their end.
    async fn transfer(&mut self, mut going: Going, stop: &CancellationToken) -> Result<bool, Failure> {
        let (schema, position, is_whole) = (going.rows.schema.clone(), going.position, going.is_whole);
        let transfer = Transfer { schema, after: self.position, position, is_whole };
        self.progress.sending();
        self.call(move |sink| sink.begin(&transfer)).await?;
        let mut count = 0;
        while let Some(batch) = going.rows.next().await? {
            if stop.is_cancelled() {
                return self.call(|sink| sink.abandon()).await.map(|()| false);
            }
            count += batch.num_rows() as u64;
            self.call(move |sink| sink.write(&batch)).await?;
        }
        self.call(|sink| sink.commit()).await?;
        self.position = Some(position);
        self.progress.sent(count, position, self.reading.instance.now());
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_kind(kind: Kind) -> Failure {
        Failure::new(kind, "it failed")
    }

    #[test]
    fn what_passes_is_tried_again() {
        let (soon, later) = (Duration::ZERO, Duration::from_secs(60));
        for (kind, expected) in [
            (Kind::External { retry_after: None }, Some(soon)),
            (Kind::External { retry_after: Some(later) }, Some(later)),
            (Kind::Exhausted, Some(soon)),
            (Kind::User, None),
            (Kind::Conflict, None),
            (Kind::Internal, None),
        ] {
            assert_eq!(wait_after(&of_kind(kind)), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_table_that_is_not_there_is_waited_for_and_so_is_a_store_that_cannot_say() {
        let (now, away) = (Some(Duration::ZERO), || of_kind(Kind::External { retry_after: None }));
        assert_eq!(wait_for_table(Ok(true), Ok(true)), None);
        assert_eq!(wait_for_table(Ok(false), Ok(false)), now);
        assert_eq!(wait_for_table(Ok(false), Ok(true)), now, "it came while the sink looked for it");
        assert_eq!(wait_for_table(Ok(true), Ok(false)), now);
        assert_eq!(wait_for_table(Err(away()), Ok(true)), now);
        assert_eq!(wait_for_table(Ok(true), Err(away())), now);
        assert_eq!(wait_for_table(Ok(true), Err(of_kind(Kind::User))), None);
    }
}
