//! Reading quarantined records again, after the source's file or the project's ideas about its columns were mended.
//!
//! Two tables take part, and no commit spans both: rows go into the table first, with the number of the round and the places
//! of their records in the note of the commit; then those records leave the quarantine, in a commit with the same number.
//! A round that was cut off between the two shows by the numbers, and is finished from the note before anything else.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, TimestampMicrosecondType};
use headwater_ingest::pipeline::{Pipeline, Replayed, Reread, SetAside};
use headwater_ingest::position::{Positions, replay_key};
use headwater_ingest::record::{Record, RecordBuffer};
use headwater_ingest::sink::Origin;
use headwater_lake::{KeyedRows, Lake, Owner, PipelineWriter, Progress, StageOptions, TableName};
use headwater_project::{Classify, Failure, fault};
use serde::{Deserialize, Serialize};

use crate::asset::quoted;
use crate::ingest::{Mode, Work, quarantine_of, quarantine_schema};
use crate::instance::{Instance, parse_table_name};
use crate::view::QuarantineReplay;

/// Records and bytes read again in one round.
const ROUND_RECORDS: usize = 10_000;
const ROUND_BYTES: usize = 32 << 20;

/// Where a quarantined record came from: the columns that tell it from all others.
const PLACE: [&str; 4] = ["position", "partition", "topic", "source_file"];

/// Records of one origin that left the quarantine, as the note of a commit has them.
#[derive(Debug, Serialize, Deserialize)]
struct Taken {
    topic: Option<String>,
    partition: Option<i32>,
    source_file: Option<String>,
    positions: Vec<i64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Note {
    replayed: Vec<Taken>,
    round: i64,
}

impl Instance {
    /// Reads the quarantined records of a table again, or those of one reason, and takes what fits by now into the table.
    pub async fn replay_quarantine(&self, table: &str, reason: Option<&str>) -> Result<QuarantineReplay, Failure> {
        self.require_writer()?;
        self.project().require_sound()?;
        let table = parse_table_name(table).ok_or_else(|| {
            Failure::user(format!("`{table}` is no table of a source")).with_hint("Name it as `schema.table`.")
        })?;
        let quarantine = quarantine_of(&table);
        if self.lake.load(&quarantine).await.map_err(|error| error.failure())?.is_none() {
            return Err(Failure::user(format!("nothing of `{table}` was set aside"))
                .with_hint("`headwater quarantine list` shows the tables that have a quarantine."));
        }
        let mut pipeline = self.pipeline_of(&table).await?;
        pipeline.take_over().await?;
        let replay = Replay { lake: self.lake.clone(), id: table.schema.clone(), table, quarantine };
        replay.open().await?;
        replay.finish_last().await?;
        let mut told = QuarantineReplay { table: replay.table.to_string(), ..QuarantineReplay::default() };
        let mut batches = Batches::default();
        let mut stream = self.query(&replay.records(reason), Vec::new()).await?;
        while let Some(batch) = stream.next().await? {
            for row in 0..batch.num_rows() {
                if batches.add(&batch, row, &mut told)? {
                    replay.round(&mut pipeline, batches.take(), &mut told).await?;
                }
            }
        }
        replay.round(&mut pipeline, batches.take(), &mut told).await?;
        Ok(told)
    }

    /// The pipeline that fills a table.
    async fn pipeline_of(&self, table: &TableName) -> Result<Pipeline, Failure> {
        let name = table.to_string();
        for planned in crate::ingest::plan(self, std::slice::from_ref(&table.schema), Mode::UntilEnd).await? {
            match planned.work {
                Work::Table(pipeline) if planned.handles.iter().any(|handle| handle.table == name) => {
                    return Ok(*pipeline);
                }
                _ => {}
            }
        }
        Err(Failure::user(format!("no source fills `{table}` with records that could be read again"))
            .with_hint("Records are read as the source's file says: it must be there."))
    }
}

struct Replay {
    lake: Lake,
    /// What the pipeline is called in the tables' commits.
    id: String,
    table: TableName,
    quarantine: TableName,
}

impl Replay {
    /// The statement that reads what is to be read again, record after record of each origin.
    fn records(&self, reason: Option<&str>) -> String {
        let condition =
            reason.map_or_else(String::new, |text| format!(" WHERE reason = '{}'", text.replace('\'', "''")));
        format!(
            "SELECT topic, partition, source_file, position, record_time, length, record_bytes, record_key, header FROM {}\
             {condition} ORDER BY topic, partition, source_file, header, position",
            quoted(&self.quarantine)
        )
    }

    async fn round_of(&self, table: &TableName) -> Result<i64, Failure> {
        let version = self.lake.require(table).await.map_err(|error| error.failure())?;
        let round = version.transaction(&replay_key(&self.id)).await.map_err(|error| error.failure())?;
        Ok(round.unwrap_or(0))
    }

    /// The quarantine for changes, with every column that is read here.
    async fn open(&self) -> Result<PipelineWriter, Failure> {
        let (keys, options, owner) = ([replay_key(&self.id)], StageOptions::default(), Owner::new(&self.lake));
        PipelineWriter::open(&self.lake, &self.quarantine, &self.id, &quarantine_schema(), &keys, options, &owner)
            .await
            .map_err(|error| error.failure())
    }

    /// Takes out of the quarantine what a round that was cut off has put into the table.
    async fn finish_last(&self) -> Result<(), Failure> {
        if self.lake.load(&self.table).await.map_err(|error| error.failure())?.is_none() {
            return Ok(());
        }
        let (done, begun) = (self.round_of(&self.quarantine).await?, self.round_of(&self.table).await?);
        if begun <= done {
            return Ok(());
        }
        let infos = self.lake.commit_infos(&self.table).await.map_err(|error| error.failure())?;
        let note = note_of(&infos, begun).ok_or_else(|| {
            Failure::internal(format!("the log of `{}` no longer says which records its last replay took", self.table))
        })?;
        self.remove(&note.replayed, begun).await
    }

    async fn round(
        &self,
        pipeline: &mut Pipeline,
        batches: Vec<SetAside>,
        told: &mut QuarantineReplay,
    ) -> Result<(), Failure> {
        let records: usize = batches.iter().map(|batch| batch.records.len()).sum();
        if records == 0 {
            return Ok(());
        }
        let round = self.round_of(&self.quarantine).await? + 1;
        let mut positions = Positions::default();
        positions.set(replay_key(&self.id), round);
        let replayed = pipeline.replay(batches, positions, note).await?;
        let taken: Vec<Taken> = replayed.iter().map(|(batch, one)| places(batch, one)).collect();
        fault::point("qr.rows_committed_before_quarantine")
            .map_err(|injected| Failure::internal(injected.to_string()))?;
        self.remove(&taken, round).await?;
        let rows: u64 = replayed.iter().map(|(_, one)| one.taken.len() as u64).sum();
        let left_out: u64 = replayed.iter().map(|(_, one)| one.left_out.len() as u64).sum();
        told.taken += rows;
        told.left_out += left_out;
        told.remaining += records as u64 - rows - left_out;
        Ok(())
    }

    /// The second half of a round.
    async fn remove(&self, taken: &[Taken], round: i64) -> Result<(), Failure> {
        let mut writer = self.open().await?;
        let removed = keyed(taken).map_err(|error| Failure::internal(error.to_string()))?;
        if removed.num_rows() > 0 {
            let rows = RecordBatch::new_empty(Arc::new(quarantine_schema()));
            let key = PLACE.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().into();
            let changes = KeyedRows { key, rows, removed, unchanged: Vec::new() };
            writer.merge(&changes).await.map_err(|error| error.failure())?;
        }
        let progress = Progress::from([(replay_key(&self.id), round)]);
        let info = serde_json::json!({ "replayed": round });
        writer.commit(&progress, &info).await.map(drop).map_err(|error| error.failure())
    }
}

/// What the commit of a round said.
fn note_of(infos: &[serde_json::Value], round: i64) -> Option<Note> {
    let notes = infos.iter().rev().filter_map(|info| info.get("source")?.as_array()).flatten();
    let mut notes = notes.filter_map(|note| serde_json::from_value::<Note>(note.clone()).ok());
    notes.find(|note| note.round == round)
}

/// What a commit says of the records it took.
fn note(replayed: &[Reread], position: &Positions) -> String {
    let round = position.0.values().copied().next().unwrap_or_default();
    let note = Note { replayed: replayed.iter().map(|(batch, one)| places(batch, one)).collect(), round };
    serde_json::to_string(&note).unwrap_or_default()
}

fn places(batch: &SetAside, replayed: &Replayed) -> Taken {
    let gone = replayed.taken.iter().chain(&replayed.left_out);
    let positions = gone.filter_map(|place| batch.records.offsets().get(*place).copied()).collect();
    match &batch.origin {
        Origin::Log { topic, partition } => {
            Taken { topic: Some(topic.to_string()), partition: Some(*partition), source_file: None, positions }
        }
        Origin::File { path } => Taken { topic: None, partition: None, source_file: Some(path.to_string()), positions },
    }
}

/// The places of records as rows of the columns in [`PLACE`].
fn keyed(taken: &[Taken]) -> Result<RecordBatch, arrow::error::ArrowError> {
    let each = || taken.iter().flat_map(|one| one.positions.iter().map(move |position| (one, *position)));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(each().map(|(_, position)| position).collect::<Int64Array>()),
        Arc::new(each().map(|(one, _)| one.partition).collect::<Int32Array>()),
        Arc::new(each().map(|(one, _)| one.topic.clone()).collect::<StringArray>()),
        Arc::new(each().map(|(one, _)| one.source_file.clone()).collect::<StringArray>()),
    ];
    let types = [DataType::Int64, DataType::Int32, DataType::Utf8, DataType::Utf8];
    let fields = PLACE.iter().zip(types).map(|(name, of)| Field::new(*name, of, true));
    RecordBatch::try_new(Arc::new(Schema::new(fields.collect::<Vec<_>>())), columns)
}

/// Records of the round to come, by where they came from.
#[derive(Default)]
struct Batches {
    open: BTreeMap<(String, Option<i32>, String, String), SetAside>,
    records: usize,
    bytes: usize,
}

impl Batches {
    /// Adds the record of a row; whether the round is full now.
    fn add(&mut self, batch: &RecordBatch, row: usize, told: &mut QuarantineReplay) -> Result<bool, Failure> {
        let row = Row { batch, row };
        let bytes = row.bytes("record_bytes")?.unwrap_or_default();
        let whole = row.number::<Int64Type>("length")?.is_none_or(|length| length == bytes.len() as i64);
        if !whole {
            told.cut_short += 1;
            return Ok(false);
        }
        let (topic, partition) = (row.text("topic")?, row.number::<Int32Type>("partition")?);
        let (file, header) = (row.text("source_file")?, row.text("header")?);
        let key = (
            topic.clone().unwrap_or_default(),
            partition,
            file.clone().unwrap_or_default(),
            header.clone().unwrap_or_default(),
        );
        let open = self.open.entry(key).or_insert_with(|| SetAside {
            records: RecordBuffer::default(),
            header: header.and_then(|text| serde_json::from_str::<Vec<String>>(&text).ok()).unwrap_or_default().into(),
            origin: match (topic, partition) {
                (Some(topic), Some(partition)) => Origin::Log { topic: topic.into(), partition },
                _ => Origin::File { path: file.unwrap_or_default().into() },
            },
        });
        open.records.push(Record {
            offset: row.number::<Int64Type>("position")?.unwrap_or_default(),
            timestamp: row.number::<TimestampMicrosecondType>("record_time")?.unwrap_or_default() / 1_000,
            key: row.bytes("record_key")?.unwrap_or_default(),
            payload: bytes,
        });
        self.records += 1;
        self.bytes += bytes.len();
        Ok(self.records >= ROUND_RECORDS || self.bytes >= ROUND_BYTES)
    }

    fn take(&mut self) -> Vec<SetAside> {
        let Self { open, .. } = std::mem::take(self);
        open.into_values().collect()
    }
}

/// One row of the quarantine.
struct Row<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl<'a> Row<'a> {
    fn column(&self, name: &str) -> Result<&'a ArrayRef, Failure> {
        self.batch.column_by_name(name).ok_or_else(|| Failure::internal(format!("a quarantine has no `{name}`")))
    }

    fn text(&self, name: &str) -> Result<Option<String>, Failure> {
        let column = self.column(name)?;
        let value = match column.data_type() {
            DataType::Utf8View => {
                column.as_string_view().is_valid(self.row).then(|| column.as_string_view().value(self.row))
            }
            _ => column
                .as_string_opt::<i32>()
                .filter(|texts| texts.is_valid(self.row))
                .map(|texts| texts.value(self.row)),
        };
        Ok(value.map(str::to_owned))
    }

    fn bytes(&self, name: &str) -> Result<Option<&'a [u8]>, Failure> {
        let column = self.column(name)?;
        Ok(match column.data_type() {
            DataType::BinaryView => {
                column.as_binary_view().is_valid(self.row).then(|| column.as_binary_view().value(self.row))
            }
            _ => column
                .as_binary_opt::<i32>()
                .filter(|bytes| bytes.is_valid(self.row))
                .map(|bytes| bytes.value(self.row)),
        })
    }

    fn number<T: arrow::datatypes::ArrowPrimitiveType>(&self, name: &str) -> Result<Option<T::Native>, Failure> {
        let column = self.column(name)?.as_primitive_opt::<T>();
        Ok(column.filter(|values| values.is_valid(self.row)).map(|values| values.value(self.row)))
    }
}
