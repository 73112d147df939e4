//! Every change of some tables, from the write-ahead log.
//!
//! Positions, all committed with data: `pg/<source>/<table>` is the place of the last commit record in the log that the
//! table's rows include, `pg/<source>/<table>/oid` which table that was, `.../published` which entry of the publication it
//! was; of the progress table, `pg/<source>/lsn` is how far the whole stream was taken, `pg/<source>/system` whose it is, and
//! `pg/<source>/intent` that a slot is being made. The server is told a place only after the progress table has it, so a slot
//! found beyond it was moved by somebody else.
//!
//! A table without a position, or whose number, entry or columns changed so that the log does not tell its rows, is copied.
//! The first copies of a source, and those of small tables, are made while the stream waits: a temporary slot gives a
//! snapshot and the place C in the log it is of; the rows are committed with position C - 1, and the stream's transactions
//! up to there are left out for that table. A commit record at C itself belongs to the stream. Large tables that come to need
//! a copy later, and those somebody asks to have copied again, are copied beside the stream: `beside`, `chunk_reader`,
//! `copying`.

mod beside;
mod chunk_query;
mod chunk_reader;
mod copying;
mod image;
mod publication;
mod setup;
mod shapes;
mod slot;
mod stream;
mod table;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use headwater_ingest::capture::{ChangeSource, Outlet, Resume};
use headwater_ingest::error::Result;
use headwater_ingest::pipeline::{Ended, Rotation};
use headwater_project::{Clock, Entropy};

pub use beside::{COPY_BEGUN, COPY_ENDED, CopyEvent, check_copy_beside};
pub(crate) use setup::required_key;
pub(crate) use slot::{SlotMeter, described};

use crate::postgres::Target;
use crate::postgres::config::{PostgresConfig, TableConfig};

/// The position keys of the progress table.
pub fn progress_keys(source: &str) -> Vec<String> {
    ["lsn", "system", "intent"].iter().map(|what| progress_key(source, what)).collect()
}

fn progress_key(source: &str, what: &str) -> String {
    format!("pg/{source}/{what}")
}

/// The position keys of a captured table.
#[derive(Clone, Debug)]
pub struct TableKeys {
    /// The last commit its rows include.
    pub lsn: String,
    /// Which table that was.
    pub oid: String,
    /// Which entry of the publication.
    pub published: String,
    /// Counts copies beside the stream: odd while one is under way.
    pub copy: String,
    /// The mark of the rows there were when that copy began.
    pub since: String,
}

impl TableKeys {
    pub fn new(source: &str, table: &str) -> Self {
        let key = |what: &str| format!("pg/{source}/{table}{what}");
        Self { lsn: key(""), oid: key("/oid"), published: key("/published"), copy: key("/copy"), since: key("/since") }
    }

    /// Whether a position `copy` says that a copy beside the stream is under way: its table lacks rows, or has rows that the
    /// source no longer has.
    pub fn is_copying(copy: i64) -> bool {
        copy % 2 != 0
    }

    pub fn all(&self) -> Vec<String> {
        [&self.lsn, &self.oid, &self.published, &self.copy, &self.since].map(Clone::clone).to_vec()
    }
}

/// Name of the slot a source reads from.
pub fn slot_name(source: &str, config: &PostgresConfig) -> String {
    config.slot.clone().unwrap_or_else(|| own_name(source))
}

/// Captures the tables of one source.
pub struct CaptureSource {
    source: String,
    tables: Vec<(String, TableConfig)>,
    target: Target,
    config: PostgresConfig,
    rotation: Rotation,
    stop_at_end: bool,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
}

impl CaptureSource {
    pub fn new(
        source: &str,
        target: Target,
        config: PostgresConfig,
        rotation: Rotation,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let tables = config.each_table().map(|(name, table)| (name.to_owned(), table)).collect();
        Self { source: source.to_owned(), tables, target, config, rotation, stop_at_end: false, clock, entropy }
    }

    /// End once everything was taken that the server had at the start.
    #[must_use]
    pub fn stop_at_end(mut self) -> Self {
        self.stop_at_end = true;
        self
    }

    fn slot(&self) -> String {
        slot_name(&self.source, &self.config)
    }

    fn publication(&self) -> String {
        self.config.publication.clone().unwrap_or_else(|| own_name(&self.source))
    }

    /// Name of a table in the lake.
    fn lake_name(&self, index: usize) -> String {
        let (name, config) = &self.tables[index];
        PostgresConfig::lake_name(name, config)
    }

    /// Says that a captured table was dropped, and that the others go on.
    fn tell_dropped(&self, index: usize) {
        let name = self.tables.get(index).map(|(name, _)| name);
        tracing::warn!(
            source = self.source,
            table = name,
            "a captured table was dropped: what the lake has of it stays; take it out of `tables`, or make it again to have it copied"
        );
    }

    /// Rows of the progress table: what happened, and the rest of the story.
    fn events(&self, told: &[(String, String)]) -> RecordBatch {
        let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let fields = vec![
            Field::new("at", time, true),
            Field::new("event", DataType::Utf8, true),
            Field::new("detail", DataType::Utf8, true),
        ];
        let schema = Arc::new(Schema::new(fields));
        let now = self.clock.now().as_micros();
        let at = TimestampMicrosecondArray::from_value(now, told.len()).with_timezone("UTC");
        let events: StringArray = told.iter().map(|(event, _)| Some(event)).collect();
        let details: StringArray = told.iter().map(|(_, detail)| Some(detail)).collect();
        let columns: Vec<ArrayRef> = vec![Arc::new(at), Arc::new(events), Arc::new(details)];
        RecordBatch::try_new(Arc::clone(&schema), columns).unwrap_or_else(|_| RecordBatch::new_empty(schema))
    }
}

/// A name of ours that a slot may have: small letters, digits and `_`, at most 63.
fn own_name(source: &str) -> String {
    let letters =
        source.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_lowercase() } else { '_' });
    format!("headwater_{}", letters.take(50).collect::<String>())
}

/// How long a copy or set-up waits for the table to take what it was given.
const TAKEN_WITHIN: Duration = Duration::from_secs(1);

impl ChangeSource for CaptureSource {
    fn run(&mut self, from: &Resume, outlet: &mut Outlet) -> Result<Ended> {
        let Some(ready) = setup::Setup::new(self, from, outlet).run()? else { return Ok(Ended::Stopped) };
        stream::Streaming::new(self, ready, outlet).run()
    }
}
