//! Copies of captured tables that are made beside their stream: who asked for one, and how far they are.
//!
//! A request is a pinned value of the state database, from the moment it is accepted until the table's positions in the lake
//! say that the copy has begun. How far it is stands in the progress table of the source. So the process that asks need not be
//! the one that copies, and neither has to live until the end.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use headwater_connectors::postgres::{
    COPY_BEGUN, COPY_ENDED, CopyEvent, Mode as Follow, PostgresConfig, TableConfig, TableKeys, Target,
    check_copy_beside,
};
use headwater_ingest::capture::{Copies, LEDGER_EVENT};
use headwater_ingest::stream_health::CopyProgress;
use headwater_lake::TableName;
use headwater_project::{Classify, Failure, Timestamp};

use super::connected::PROGRESS_TABLE;
use crate::instance::Instance;
use crate::source_file::{PostgresSourceConfig, SourceConfig};
use crate::view::{PastCopy, TableCopy};

/// The copies of one source.
pub(super) struct TableCopies {
    instance: Instance,
    source: String,
    /// Names of its tables in the lake, in the order the source was opened with.
    tables: Vec<String>,
}

impl TableCopies {
    pub(super) fn new(instance: &Instance, config: &PostgresSourceConfig) -> Self {
        let tables = config.from.each_table().map(|(name, table)| PostgresConfig::lake_name(name, &table)).collect();
        Self { instance: instance.clone(), source: config.name.clone(), tables }
    }

    fn key(&self, table: usize) -> Result<String, Failure> {
        let table = self.tables.get(table).ok_or_else(|| Failure::internal("a source asks for a table it lacks"))?;
        Ok(request_key(&self.source, table))
    }
}

/// Ends with `/`, so that no key begins with another.
fn request_key(source: &str, table: &str) -> String {
    format!("copy/{source}/{table}/")
}

#[async_trait]
impl Copies for TableCopies {
    async fn ledger(&self) -> Result<Vec<String>, Failure> {
        let mut ledger = Vec::new();
        for batch in self.instance.capture_events(&self.source, &[LEDGER_EVENT]).await? {
            ledger.extend(texts(&batch, "detail")?.into_iter().flatten());
        }
        Ok(ledger)
    }

    fn is_wanted(&self, table: usize) -> Result<bool, Failure> {
        let pinned = self.instance.state.pinned(&self.key(table)?);
        Ok(pinned.map_err(|error| error.failure())?.is_some())
    }

    fn has_begun(&self, table: usize) -> Result<(), Failure> {
        self.instance.state.unpin(&self.key(table)?).map(drop).map_err(|error| error.failure())
    }
}

/// A column of text.
fn texts(batch: &RecordBatch, name: &str) -> Result<Vec<Option<String>>, Failure> {
    let internal = |error: arrow::error::ArrowError| Failure::internal(error.to_string());
    let column = batch.schema_ref().index_of(name).map_err(internal)?;
    let texts = arrow::compute::cast(batch.column(column), &DataType::Utf8).map_err(internal)?;
    Ok(texts.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect())
}

impl Instance {
    /// Rows `at` (microseconds since 1970), `event`, `detail` of the progress table of a capture, in the order of their commits.
    async fn capture_events(&self, source: &str, events: &[&str]) -> Result<Vec<RecordBatch>, Failure> {
        let table = TableName::new(source.to_owned(), PROGRESS_TABLE);
        let found = self.lake.load(&table).await.map_err(|error| error.failure())?;
        if found.is_none_or(|table| table.schema().field_with_name("event").is_err()) {
            return Ok(Vec::new());
        }
        let events: Vec<String> = events.iter().map(|event| format!("'{event}'")).collect();
        let sql = format!(
            "SELECT CAST(at AS BIGINT) AS at, event, detail FROM \"{}\".\"{}\" WHERE event IN ({}) ORDER BY _ingested_at",
            table.schema,
            table.table,
            events.join(", ")
        );
        self.query(&sql, Vec::new()).await?.collect().await
    }

    /// The last copy of each table of a capture that was made beside its stream, by the table's name in the lake.
    pub(crate) async fn last_copies(&self, source: &str) -> Result<BTreeMap<String, PastCopy>, Failure> {
        let mut copies = BTreeMap::new();
        for batch in self.capture_events(source, &[COPY_BEGUN, COPY_ENDED]).await? {
            let times = batch.column(0).as_primitive::<Int64Type>();
            let told = texts(&batch, "event")?.into_iter().zip(texts(&batch, "detail")?);
            for (row, (event, detail)) in told.enumerate() {
                let at = times.is_valid(row).then(|| Timestamp(times.value(row)));
                if let Some(found) = detail.as_deref().and_then(CopyEvent::parse) {
                    note(&mut copies, found, event.as_deref() == Some(COPY_ENDED), at);
                }
            }
        }
        Ok(copies)
    }

    /// A copy of a captured table that was asked for or is under way. `positions` are the table's, `progress` what the process
    /// that copies has read.
    pub(crate) fn table_copy(
        &self,
        table: &TableName,
        positions: &BTreeMap<String, i64>,
        progress: Option<&CopyProgress>,
    ) -> Result<Option<TableCopy>, Failure> {
        let asked = self.state.pinned(&request_key(&table.schema, &table.table)).map_err(|error| error.failure())?;
        let asked_at = asked.and_then(|micros| micros.parse().ok()).map(Timestamp);
        let number = positions.get(&TableKeys::new(&table.schema, &table.table).copy);
        let is_under_way = number.is_some_and(|number| TableKeys::is_copying(*number));
        let copy = TableCopy {
            asked_at,
            is_under_way,
            rows: progress.map(|progress| progress.rows),
            of_rows: progress.and_then(|progress| progress.of_rows),
        };
        Ok((asked_at.is_some() || is_under_way).then_some(copy))
    }

    /// Has a captured table copied again while its changes go on: by the process that follows the source now, or by the next
    /// that does. `table` is named as in the source's file, or as in the lake, with its schema or without. Returns once the
    /// request is stored; refuses a source that has no stream, and a table that has to be copied while the stream waits.
    pub async fn resnapshot(&self, source: &str, table: &str) -> Result<(), Failure> {
        self.require_writer()?;
        self.require_sources(&[source.to_owned()])?;
        let found = self.project().sources.iter().find(|one| one.config.name() == source);
        let Some(SourceConfig::Postgres(config)) = found.map(|found| &found.config) else {
            return Err(no_stream(source));
        };
        if config.from.mode != Follow::Capture {
            return Err(no_stream(source));
        }
        let (written, table_config) = table_of(config, table)?;
        let project = self.project();
        let target = Target::new(project.postgres_connection(&config.from.connection)?, &project.root);
        let (name, entropy) = (written.clone(), Arc::clone(&self.entropy));
        let lake_name = PostgresConfig::lake_name(&written, &table_config);
        let check = move || check_copy_beside(&target, &name, &table_config, &*entropy);
        tokio::task::spawn_blocking(check).await.map_err(|error| Failure::internal(error.to_string()))??;
        let asked_at = self.now().as_micros().to_string();
        let pinned = self.state.pin(&request_key(source, &lake_name), &asked_at);
        pinned.map(drop).map_err(|error| error.failure())
    }
}

/// Notes what the progress table says of a copy; the end of one counts only for the copy that began.
fn note(copies: &mut BTreeMap<String, PastCopy>, told: CopyEvent, is_end: bool, at: Option<Timestamp>) {
    let CopyEvent { table, number, rows } = told;
    if !is_end {
        copies.insert(table, PastCopy { number, begun_at: at, ended_at: None, rows: None });
    } else if let Some(copy) = copies.get_mut(&table).filter(|copy| copy.number == number) {
        (copy.ended_at, copy.rows) = (at, rows);
    }
}

fn no_stream(source: &str) -> Failure {
    Failure::user(format!("source `{source}` has no stream that a copy could be made beside"))
        .with_hint("Only sources of kind `postgres` with `mode: capture` have.")
}

fn table_of(config: &PostgresSourceConfig, table: &str) -> Result<(String, TableConfig), Failure> {
    let in_lake = table.strip_prefix(&config.name).and_then(|rest| rest.strip_prefix('.'));
    let is_it = |(written, options): &(&str, TableConfig)| {
        let name = PostgresConfig::lake_name(written, options);
        *written == table || name == table || in_lake == Some(&*name)
    };
    let mut found: Vec<(&str, TableConfig)> = config.from.each_table().filter(is_it).collect();
    match (found.pop(), found.pop()) {
        (Some((written, options)), None) => Ok((written.to_owned(), options)),
        (Some((one, _)), Some((other, _))) => {
            Err(Failure::user(format!("`{table}` is the name of more than one table of source `{}`", config.name))
                .with_hint(format!("It may be {one} or {other}: name it as the source's file does.")))
        }
        (None, _) => {
            let names: Vec<&str> = config.from.each_table().map(|(written, _)| written).collect();
            let hint = match headwater_project::config::suggest(table, names.iter().copied()) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("It has {}.", config.from.tables.keys().cloned().collect::<Vec<_>>().join(", ")),
            };
            Err(Failure::user(format!("source `{}` has no table `{table}`", config.name)).with_hint(hint))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_copy_of_a_table_is_told_with_its_own_end() {
        let mut copies = BTreeMap::new();
        let events = [(false, "a", 1, None), (true, "a", 1, Some(5)), (false, "b", 1, None), (false, "a", 3, None)];
        for (at, (is_end, table, number, rows)) in (0..).zip(events) {
            let told = CopyEvent { table: table.to_owned(), number, rows };
            note(&mut copies, told, is_end, Some(Timestamp(at)));
        }
        let begun = |number, at| PastCopy { number, begun_at: Some(Timestamp(at)), ended_at: None, rows: None };
        assert_eq!(copies, BTreeMap::from([("a".to_owned(), begun(3, 3)), ("b".to_owned(), begun(1, 2))]));
        note(&mut copies, CopyEvent { table: "a".into(), number: 1, rows: Some(9) }, true, None);
        assert_eq!(copies["a"], begun(3, 3), "the end of another copy");
        note(&mut copies, CopyEvent { table: "a".into(), number: 3, rows: Some(7) }, true, Some(Timestamp(4)));
        assert_eq!(copies["a"], PastCopy { ended_at: Some(Timestamp(4)), rows: Some(7), ..begun(3, 3) });
    }
}
