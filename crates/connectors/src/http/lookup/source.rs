//! The source: one look at the open keys after the other, each asked for until the service stops answering.
//!
//! The position `h/<source>` counts the batches of rows. A look begins only when the lake has the rows of the one before: which
//! keys are open, the table says.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, SchemaRef};
use headwater_ingest::codec::Codec;
use headwater_ingest::error::Result;
use headwater_ingest::position::Positions;
use headwater_ingest::record::RecordBuffer;
use headwater_ingest::schema::Provenance;
use headwater_ingest::source::{Effect, Next, ReadLimits, RowBatch, Source};
use headwater_project::config::HttpConnection;
use headwater_project::{Clock, Entropy, Failure};

use super::answers::{KeyTexts, Outcome, outcomes};
use super::config::LookupConfig;
use super::rows::{ATTEMPTS_COLUMN, Row, Rows, STATUS_COLUMN, Status, key_texts};
use super::template::{Filled, Template};
use crate::http::config::HttpConfig;
use crate::http::requests::{Reply, Requests};
use crate::http::source::http_key;

/// Keys of one look.
const KEYS_AT_ONCE: usize = 10_000;
/// Rows are handed on when there are so many, or when the first of them is so old.
const ROWS_AT_ONCE: usize = 500;
const HOLD: Duration = Duration::from_secs(2);
/// Time for requests before the pipeline is given a turn.
const TURN: Duration = Duration::from_millis(200);

/// The keys that have no answer yet.
pub trait OpenKeys: Send {
    /// Up to `limit` of them: the columns of the key, `_attempts` (64-bit integer) and `_status` (text) of the row there is;
    /// NULL where there is none.
    fn open(&mut self, limit: usize) -> Result<RecordBatch, Failure>;
}

pub struct LookupSource {
    key: String,
    config: HttpConfig,
    lookup: LookupConfig,
    template: Template,
    open_keys: Box<dyn OpenKeys>,
    requests: Requests,
    rows: Rows,
    clock: Arc<dyn Clock>,
    stop_at_end: bool,
    /// Of the last batch, and of the last that the lake has.
    position: i64,
    in_lake: i64,
    looked: Option<Duration>,
    /// More keys may be open than a look takes.
    more: bool,
    /// Everything that could be asked for was.
    finished: bool,
    look: Option<Look>,
}

/// Keys under way.
struct Look {
    keys: RecordBatch,
    texts: Vec<KeyTexts>,
    next: usize,
    done: Vec<Row>,
    /// Since when the oldest of `done` waits.
    since: Duration,
    /// The service does not answer: the rest waits for the next look.
    given_up: bool,
}

impl Look {
    fn is_over(&self) -> bool {
        self.given_up || self.next >= self.keys.num_rows()
    }

    fn attempts(&self, row: usize) -> Option<i64> {
        let attempts = self.keys.column_by_name(ATTEMPTS_COLUMN)?.as_primitive_opt::<Int64Type>()?;
        attempts.is_valid(row).then(|| attempts.value(row))
    }

    /// Whether the key has an answer already, which a failure must not take away.
    fn is_answered(&self, row: usize) -> bool {
        let answered = [Status::Ok.as_str(), Status::NotFound.as_str()];
        let status = self.keys.column_by_name(STATUS_COLUMN).and_then(|column| column.as_string_opt::<i32>());
        status.is_some_and(|status| status.is_valid(row) && answered.contains(&status.value(row)))
    }
}

impl LookupSource {
    /// `table` is the columns the table has, if it is there.
    pub fn new(
        name: &str,
        connection: HttpConnection,
        (config, lookup): (HttpConfig, LookupConfig),
        open_keys: Box<dyn OpenKeys>,
        table: Option<&SchemaRef>,
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
    ) -> Result<Self> {
        let address = format!("{}{}", connection.url.trim_end_matches('/'), config.path);
        Ok(Self {
            key: http_key(name),
            template: Template::new(&config.path, &config.query),
            rows: Rows::new(&lookup, table, &address)?,
            requests: Requests::new(name, connection, config.tries, Arc::clone(&clock), entropy),
            config,
            lookup,
            open_keys,
            clock,
            stop_at_end: false,
            position: 0,
            in_lake: 0,
            looked: None,
            more: false,
            finished: false,
            look: None,
        })
    }

    /// End once no key is left to ask for now, instead of waiting for more.
    #[must_use]
    pub fn stop_at_end(mut self) -> Self {
        self.stop_at_end = true;
        self
    }

    fn is_due(&self) -> bool {
        let is_time = |looked| self.clock.monotonic().saturating_sub(looked) >= self.config.every.0;
        self.more || self.looked.is_none_or(is_time)
    }

    /// Looks for keys. Those that are new get a row at once.
    fn begin(&mut self) -> Result<Next> {
        let now = self.clock.monotonic();
        let keys = self.open_keys.open(KEYS_AT_ONCE)?;
        self.looked = Some(now);
        self.more = keys.num_rows() == KEYS_AT_ONCE;
        self.finished = keys.num_rows() == 0;
        if keys.num_rows() == 0 && self.position > 0 {
            return Ok(Next::Idle);
        }
        let texts = key_texts(&keys, &self.lookup.key_schema())?;
        let look = Look { keys, texts, next: 0, done: Vec::new(), since: now, given_up: false };
        let is_new = |row: &usize| look.attempts(*row).is_none();
        let pending =
            |key| Row { key, status: Status::Pending, attempts: 0, asked_at: None, error: None, record: None };
        let new: Vec<Row> = (0..look.keys.num_rows()).filter(is_new).map(pending).collect();
        // The first batch makes the table, whether there are keys or not.
        let batch = (!new.is_empty() || self.position == 0).then(|| self.batch(&look.keys, new)).transpose()?;
        if !look.is_over() {
            self.look = Some(look);
        }
        Ok(batch.map_or(Next::Idle, |batch| Next::Rows(Box::new(batch))))
    }

    fn batch(&mut self, keys: &RecordBatch, rows: Vec<Row>) -> Result<RowBatch> {
        let rows = self.rows.build(keys, rows)?;
        self.position += 1;
        let mut positions = Positions::default();
        positions.set(&self.key, self.position);
        let removed = RecordBatch::new_empty(self.lookup.key_schema());
        let effect = Effect::merge(self.lookup.key.keys().cloned().collect(), removed);
        let bytes = rows.get_array_memory_size() as u64;
        Ok(RowBatch { rows, effect, rejected: Vec::new(), bytes, positions, boundary: true, info: None })
    }

    /// Asks for as many keys as there is time for.
    fn ask(&mut self, look: &mut Look) -> Result<()> {
        let until = self.clock.monotonic() + TURN;
        while !look.is_over() && !self.requests.is_waiting() && self.clock.monotonic() < until {
            let last = look.texts.len().min(look.next + self.lookup.batch.max(1));
            let keys = look.texts.get(look.next..last).unwrap_or_default();
            let Some(found) = self.found(keys)? else { return Ok(()) };
            let now = self.clock.now();
            if look.done.is_empty() {
                look.since = self.clock.monotonic();
            }
            look.given_up = found.given_up;
            for (key, outcome) in (look.next..last).zip(found.outcomes) {
                let (status, record, error) = match outcome {
                    Outcome::Found(record) => (Status::Ok, Some(record), None),
                    Outcome::NotFound => (Status::NotFound, None, None),
                    Outcome::Failed(_) if look.is_answered(key) => continue,
                    Outcome::Failed(problem) => (Status::Failed, None, Some(problem)),
                };
                let attempts = look.attempts(key).unwrap_or(0) + 1;
                look.done.push(Row { key, status, attempts, asked_at: Some(now), error, record });
            }
            look.next = last;
        }
        Ok(())
    }

    /// What the service says about some keys; nothing when it has to be asked again.
    fn found(&mut self, keys: &[KeyTexts]) -> Result<Option<Found>> {
        let failed = |problem: String| vec![Outcome::Failed(problem); keys.len()];
        let url = match self.address(keys)? {
            Filled::Address(url) => url,
            Filled::Unusable(reason) => return Ok(Some(Found::goes_on(failed(reason)))),
        };
        let is_alone = self.lookup.batch <= 1;
        Ok(Some(match self.requests.ask(&url, None)? {
            Reply::Json(answer, _) => Found::goes_on(outcomes(&self.lookup, &self.config.records, &answer, keys)),
            Reply::Refused(404 | 410) if is_alone => Found::goes_on(vec![Outcome::NotFound; keys.len()]),
            Reply::Refused(status @ (401 | 403)) => Found::ends(failed(format!("the service answered {status}"))),
            Reply::Refused(status) => Found::goes_on(failed(format!("the service answered {status}"))),
            Reply::GivenUp { problem, .. } => Found::ends(failed(problem)),
            Reply::Later | Reply::Unchanged => return Ok(None),
        }))
    }

    fn address(&self, keys: &[KeyTexts]) -> Result<Filled, Failure> {
        let value = |name: &str| {
            let place = self.lookup.key.keys().position(|known| known == name);
            let values = keys.iter().filter_map(|key| key.get(place?).map(String::as_str));
            values.collect::<Vec<_>>().join(&self.lookup.separator)
        };
        self.template.fill(self.requests.connection(), &value)
    }

    /// Hands rows on when it is time.
    fn hand_on(&mut self, mut look: Look) -> Result<Next> {
        let is_old = self.clock.monotonic().saturating_sub(look.since) >= HOLD;
        let is_time = look.is_over() || look.done.len() >= ROWS_AT_ONCE || is_old;
        let rows = if is_time { std::mem::take(&mut look.done) } else { Vec::new() };
        let batch = (!rows.is_empty()).then(|| self.batch(&look.keys, rows)).transpose()?;
        if look.is_over() {
            if look.given_up {
                let left = look.keys.num_rows() - look.next;
                tracing::warn!(
                    source = self.key,
                    left,
                    "the service does not answer; the keys left wait for the next look"
                );
                self.more = false;
            }
            self.finished = !self.more;
        } else {
            self.look = Some(look);
        }
        Ok(batch.map_or(Next::Idle, |batch| Next::Rows(Box::new(batch))))
    }
}

/// What the service says about some keys.
struct Found {
    outcomes: Vec<Outcome>,
    /// It says the same about any other.
    given_up: bool,
}

impl Found {
    fn goes_on(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes, given_up: false }
    }

    fn ends(outcomes: Vec<Outcome>) -> Self {
        Self { outcomes, given_up: true }
    }
}

impl Source for LookupSource {
    fn codec(&self) -> Option<Codec> {
        None
    }

    fn provenance(&self) -> Provenance {
        Provenance::None
    }

    fn resume(&mut self, committed: &Positions) -> Result<()> {
        self.position = committed.get(&self.key).unwrap_or(0);
        self.in_lake = self.position;
        (self.look, self.looked, self.more, self.finished) = (None, None, false, false);
        self.requests.reset();
        Ok(())
    }

    fn next_batch(&mut self, _: &ReadLimits, _: RecordBuffer) -> Result<Next> {
        if let Some(mut look) = self.look.take() {
            self.ask(&mut look)?;
            return self.hand_on(look);
        }
        if self.stop_at_end && self.finished {
            return Ok(Next::End);
        }
        if self.in_lake < self.position || !self.is_due() {
            return Ok(Next::Idle);
        }
        self.begin()
    }

    fn committed(&mut self, positions: &Positions) -> Result<()> {
        self.in_lake = self.in_lake.max(positions.get(&self.key).unwrap_or(0));
        Ok(())
    }

    fn lag(&self) -> Option<u64> {
        Some(self.look.as_ref().map_or(0, |look| (look.keys.num_rows() - look.next.min(look.keys.num_rows())) as u64))
    }
}
