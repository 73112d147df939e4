//! Every change of some tables, from the write-ahead log.
//!
//! Positions, all committed with data: `pg/<source>/<table>` is the place of the last commit record in the log that the
//! table's rows include, `pg/<source>/<table>/oid` which table that was; of the progress table, `pg/<source>/lsn` is how far
//! the whole stream was taken, `pg/<source>/system` whose it is, and `pg/<source>/intent` that a slot is being made. The server
//! is told a place only after the progress table has it, so a slot found beyond it was moved by somebody else.
//!
//! A table without a position, or whose number or columns changed so that the log does not tell its rows, is copied: a
//! temporary slot gives a snapshot and the place C in the log it is of; the rows are committed with position C - 1, and the
//! stream's transactions up to there are left out for that table. A commit record at C itself belongs to the stream.

mod image;
mod setup;
mod stream;
mod table;

use std::sync::Arc;
use std::time::Duration;

use headwater_ingest::capture::{ChangeSource, Outlet, Resume};
use headwater_ingest::error::Result;
use headwater_ingest::pipeline::{Ended, Rotation};
use headwater_project::{Clock, Entropy};

use crate::postgres::Target;
use crate::postgres::config::{PostgresConfig, TableConfig};

/// The position keys of the progress table.
pub fn progress_keys(source: &str) -> Vec<String> {
    ["lsn", "system", "intent"].iter().map(|what| progress_key(source, what)).collect()
}

fn progress_key(source: &str, what: &str) -> String {
    format!("pg/{source}/{what}")
}

/// The position keys of a captured table: its place in the log, and which table it was.
pub fn table_keys(source: &str, table: &str) -> [String; 2] {
    [format!("pg/{source}/{table}"), format!("pg/{source}/{table}/oid")]
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
        self.config.slot.clone().unwrap_or_else(|| own_name(&self.source))
    }

    fn publication(&self) -> String {
        self.config.publication.clone().unwrap_or_else(|| own_name(&self.source))
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
