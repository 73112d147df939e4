//! Proving that a table is its source: the source is read once more, from its beginning, and what comes is compared with what
//! the table holds, part by part, by counts and by sums of hashes. Nothing is kept, and the source is told nothing.

mod tally;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Int32Type, Int64Type, Schema, SchemaRef};
use async_trait::async_trait;
use headwater_ingest::Positions;
use headwater_ingest::pipeline::Pipeline;
use headwater_ingest::schema::{OFFSET_COLUMN, PARTITION_COLUMN, TOPIC_COLUMN};
use headwater_ingest::sink::{Commit, CommitReceipt, KeyedChanges, Rejected, TableSink, Unchanged};
use headwater_lake::{INGESTED_AT, Progress, TableName};
use headwater_project::{Classify, Failure};
use tokio_util::sync::CancellationToken;

use crate::asset::quoted;
use crate::ingest::{Mode, Planned, Work, quarantine_of};
use crate::instance::{Instance, parse_table_name};
use crate::view::{Verification, VerifiedPart};
use tally::{Bounds, Part, Sum, Tally};

impl Instance {
    /// Compares every table of a source with what the source has.
    pub async fn verify(&self, source: &str, cancel: CancellationToken) -> Result<Vec<Verification>, Failure> {
        self.project().require_sound()?;
        let sources = [source.to_owned()];
        self.require_sources(&sources)?;
        let begins_late =
            self.project().sources.iter().any(|one| one.config.name() == source && one.config.begins_late());
        let mut found = Vec::new();
        for Planned { work, handles, .. } in crate::ingest::plan(self, &sources, Mode::Look).await? {
            let (Work::Table(pipeline), Some(handle)) = (work, handles.first()) else { continue };
            let Some(table) = parse_table_name(&handle.table) else { continue };
            found.push(self.verified(source, &table, *pipeline, begins_late, &cancel).await?);
        }
        if found.is_empty() {
            return Err(Failure::user(format!("source `{source}` has nothing that could be read once more")));
        }
        Ok(found)
    }

    async fn verified(
        &self,
        source: &str,
        table: &TableName,
        pipeline: Pipeline,
        begins_late: bool,
        cancel: &CancellationToken,
    ) -> Result<Verification, Failure> {
        let Some(version) = self.lake.load(table).await.map_err(|error| error.failure())? else {
            return Err(Failure::user(format!("there is no table `{table}` yet"))
                .with_hint(format!("`headwater ingest {source}` makes it.")));
        };
        let history = self.lake.position_history(table, "k/").await.map_err(|error| error.failure())?;
        let schema = own_columns(version.schema());
        let mut ends = BTreeMap::new();
        for (key, last) in self.lake.positions(&version, "k/").await.map_err(|error| error.failure())? {
            ends.extend(partition_of(&key, source, &schema).map(|part| (part, Bounds { first: i64::MIN, last })));
        }
        let records = version.records(source).map_err(|error| error.failure())?;
        if begins_late {
            self.begin_with_first_rows(table, &schema, &mut ends).await?;
        }
        let look = Look::new(Tally::new(Arc::clone(&schema), ends.clone())?, records);
        let mut pipeline = pipeline.looking(Box::new(look.clone()));
        pipeline.run(cancel).await?;
        let theirs = look.take()?.parts();
        for (part, sum) in &theirs {
            if let (Some(bounds), Some(first)) = (ends.get_mut(part), sum.first) {
                bounds.first = bounds.first.max(first);
            }
        }
        let ours = self.tallied(table, schema, ends.clone()).await?;
        Ok(compared(table, &theirs, &ours, &ends, &commits_of(&history, source)))
    }

    /// Nothing says where a source began that took what came after its first start: its first row is what is known.
    async fn begin_with_first_rows(
        &self,
        table: &TableName,
        schema: &SchemaRef,
        bounds: &mut BTreeMap<Part, Bounds>,
    ) -> Result<(), Failure> {
        let topic = if schema.column_with_name(TOPIC_COLUMN).is_some() { TOPIC_COLUMN } else { "''" };
        let sql =
            format!("SELECT {topic}, {PARTITION_COLUMN}, min({OFFSET_COLUMN}) FROM {} GROUP BY 1, 2", quoted(table));
        let names = Tally::new(Arc::clone(schema), BTreeMap::new())?;
        for batch in self.query(&sql, Vec::new()).await?.collect().await? {
            let topics = texts(&batch, 0)?;
            let (partitions, firsts) =
                (batch.column(1).as_primitive::<Int32Type>(), batch.column(2).as_primitive::<Int64Type>());
            for row in 0..batch.num_rows() {
                let part = names.partition_of(topics.value(row), partitions.value(row));
                if let Some(bounds) = bounds.get_mut(&part) {
                    bounds.first = firsts.value(row);
                }
            }
        }
        Ok(())
    }

    /// What the table and its quarantine hold.
    async fn tallied(
        &self,
        table: &TableName,
        schema: SchemaRef,
        bounds: BTreeMap<Part, Bounds>,
    ) -> Result<BTreeMap<Part, Sum>, Failure> {
        let columns = schema.fields().iter().map(|field| format!("\"{}\"", field.name().replace('"', "\"\"")));
        let sql = format!("SELECT {} FROM {}", columns.collect::<Vec<_>>().join(", "), quoted(table));
        let mut tally = Tally::new(schema, bounds)?;
        let mut stream = self.query(&sql, Vec::new()).await?;
        while let Some(batch) = stream.next().await? {
            tally.add(&batch)?;
        }
        let quarantine = quarantine_of(table);
        if self.lake.load(&quarantine).await.map_err(|error| error.failure())?.is_some() {
            let sql = format!("SELECT topic, partition, source_file, position FROM {}", quoted(&quarantine));
            let mut stream = self.query(&sql, Vec::new()).await?;
            while let Some(batch) = stream.next().await? {
                quarantined(&mut tally, &batch)?;
            }
        }
        Ok(tally.parts())
    }
}

/// The columns of a table that come from the source.
fn own_columns(table: &Schema) -> SchemaRef {
    let fields = table.fields().iter().filter(|field| field.name() != INGESTED_AT).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The part that a position key of this source is of.
fn partition_of(key: &str, source: &str, schema: &Schema) -> Option<Part> {
    let (topic, partition) = key.strip_prefix(&format!("k/{source}/"))?.rsplit_once('/')?;
    let partition = partition.parse().ok()?;
    Some(match schema.column_with_name(TOPIC_COLUMN) {
        Some(_) => Part::TopicPartition(topic.to_owned(), partition),
        None => Part::Partition(partition),
    })
}

fn texts(batch: &RecordBatch, column: usize) -> Result<StringArray, Failure> {
    let texts = arrow::compute::cast(batch.column(column), &DataType::Utf8);
    Ok(texts.map_err(|error| Failure::internal(error.to_string()))?.as_string::<i32>().clone())
}

fn quarantined(tally: &mut Tally, batch: &RecordBatch) -> Result<(), Failure> {
    let (topics, files) = (texts(batch, 0)?, texts(batch, 2)?);
    let (partitions, positions) =
        (batch.column(1).as_primitive::<Int32Type>(), batch.column(3).as_primitive::<Int64Type>());
    for row in 0..batch.num_rows() {
        let part = match files.is_valid(row) {
            true => Part::File(files.value(row).to_owned()),
            false => tally.partition_of(topics.value(row), partitions.value(row)),
        };
        tally.quarantine(part, positions.value(row));
    }
    Ok(())
}

/// How many commits moved each part that has positions, and whether each began where the one before it ended.
fn commits_of(history: &[(u64, Progress)], source: &str) -> BTreeMap<String, (u64, bool)> {
    let mut commits: BTreeMap<String, (u64, bool, i64)> = BTreeMap::new();
    for (key, last) in history.iter().flat_map(|(_, moved)| moved) {
        let Some(part) = key.strip_prefix(&format!("k/{source}/")) else { continue };
        let known = commits.entry(part.to_owned()).or_insert((0, true, i64::MIN));
        *known = (known.0 + 1, known.1 && *last > known.2, *last);
    }
    commits.into_iter().map(|(part, (count, grows, _))| (part, (count, grows))).collect()
}

fn compared(
    table: &TableName,
    theirs: &BTreeMap<Part, Sum>,
    ours: &BTreeMap<Part, Sum>,
    ends: &BTreeMap<Part, Bounds>,
    commits: &BTreeMap<String, (u64, bool)>,
) -> Verification {
    let mut parts = Vec::new();
    let names: std::collections::BTreeSet<&Part> = theirs.keys().chain(ours.keys()).collect();
    for part in names {
        let (source, lake) =
            (theirs.get(part).copied().unwrap_or_default(), ours.get(part).copied().unwrap_or_default());
        let moved = commits.iter().find(|(key, _)| is_key_of(key, part)).map(|(_, moved)| *moved);
        parts.push(VerifiedPart {
            part: part.to_string(),
            source_rows: source.rows,
            lake_rows: lake.rows,
            source_quarantined: source.quarantined,
            lake_quarantined: lake.quarantined,
            first: ends.get(part).map(|bounds| bounds.first).filter(|first| *first > i64::MIN),
            last: ends.get(part).map(|bounds| bounds.last),
            commits: moved.map(|(count, _)| count),
            difference: difference(source, lake, moved),
        });
    }
    Verification { table: table.to_string(), parts }
}

fn is_key_of(key: &str, part: &Part) -> bool {
    match part {
        Part::Partition(partition) => key.ends_with(&format!("/{partition}")),
        Part::TopicPartition(topic, partition) => *key == format!("{topic}/{partition}"),
        Part::Whole | Part::File(_) => false,
    }
}

fn difference(source: Sum, lake: Sum, moved: Option<(u64, bool)>) -> Option<String> {
    if moved.is_some_and(|(_, grows)| !grows) {
        return Some(String::from("a commit does not begin where the one before it ended"));
    }
    let more = |what: &str, source: u64, lake: u64| match source.cmp(&lake) {
        std::cmp::Ordering::Greater => Some(format!("{what} missing from the lake: {}", source - lake)),
        std::cmp::Ordering::Less => Some(format!("{what} in the lake that the source lacks: {}", lake - source)),
        std::cmp::Ordering::Equal => None,
    };
    more("rows", source.rows, lake.rows)
        .or_else(|| more("quarantined records", source.quarantined, lake.quarantined))
        .or_else(|| (source.hashes != lake.hashes).then(|| String::from("rows differ in their values")))
}

/// A table that only looks at what would be written.
#[derive(Clone)]
struct Look {
    tally: Arc<Mutex<Option<Tally>>>,
    schema: SchemaRef,
    records: Option<SchemaRef>,
}

impl Look {
    fn new(tally: Tally, records: Option<SchemaRef>) -> Self {
        let schema = Arc::clone(tally.schema());
        Self { tally: Arc::new(Mutex::new(Some(tally))), schema, records }
    }

    fn tally(&self) -> MutexGuard<'_, Option<Tally>> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Result<Tally, Failure> {
        self.tally().take().ok_or_else(|| Failure::internal("a comparison was taken twice"))
    }

    fn with(&self, add: impl FnOnce(&mut Tally) -> Result<(), Failure>) -> Result<(), Failure> {
        self.tally().as_mut().map_or(Ok(()), add)
    }
}

/// The table has what the source did not send again: there is nothing to compare it with.
fn unsent(cells: &Unchanged, rows: &RecordBatch) -> Failure {
    let schema = rows.schema();
    let names = cells.columns.iter().filter_map(|column| schema.fields().get(*column));
    let names = names.map(|field| format!("`{}`", field.name())).collect::<Vec<_>>().join(", ");
    Failure::user(format!("the source does not say again what {names} held"))
        .with_detail("An update left long values out that the topic no longer has; the table kept them.")
        .with_hint("With REPLICA IDENTITY FULL for the table in its database, every change says all values.")
}

#[async_trait]
impl TableSink for Look {
    /// Everything is read from the beginning, also again after a failure.
    async fn open(&mut self) -> Result<Positions, Failure> {
        self.with(|tally| {
            tally.clear();
            Ok(())
        })?;
        Ok(Positions::default())
    }

    fn schema(&self) -> Option<SchemaRef> {
        Some(Arc::clone(&self.schema))
    }

    fn records(&self) -> Option<SchemaRef> {
        self.records.clone()
    }

    async fn remember(&mut self, _records: SchemaRef) -> Result<(), Failure> {
        Ok(())
    }

    /// What the table has no column for is nothing it could be compared by.
    async fn evolve(&mut self, _schema: SchemaRef) -> Result<(), Failure> {
        Ok(())
    }

    async fn write(&mut self, rows: RecordBatch) -> Result<(), Failure> {
        self.with(|tally| tally.add(&rows))
    }

    async fn truncate(&mut self) -> Result<(), Failure> {
        self.with(|tally| {
            tally.clear();
            Ok(())
        })
    }

    fn mark(&self) -> i64 {
        0
    }

    async fn retire(&mut self, _mark: i64) -> Result<(), Failure> {
        Err(Failure::internal("a comparison was asked to retire rows"))
    }

    async fn merge(&mut self, changes: KeyedChanges) -> Result<(), Failure> {
        if let Some(cells) = changes.unchanged.first() {
            return Err(unsent(cells, &changes.rows));
        }
        self.with(|tally| tally.merge(&changes.key, &changes.rows, &changes.removed))
    }

    async fn reject(&mut self, records: Vec<Rejected>) -> Result<(), Failure> {
        self.with(|tally| {
            tally.reject(&records);
            Ok(())
        })
    }

    async fn commit(&mut self, _commit: Commit) -> Result<CommitReceipt, Failure> {
        Ok(CommitReceipt { version: 0 })
    }

    async fn abandon(&mut self) {}
}
