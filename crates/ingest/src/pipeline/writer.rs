//! The async half: stages rows and commits them.

use std::sync::mpsc::Sender;

use arrow::datatypes::SchemaRef;
use headwater_project::{Classify, Failure, fault};
use tokio::sync::mpsc::Receiver;

use crate::error::Error;
use crate::pipeline::Pipeline;
use crate::pipeline::metrics::{Committed, Counts};
use crate::pipeline::reader::Step;
use crate::position::Positions;
use crate::sink::{Commit, KeyedChanges};
use crate::source::Effect;

impl Pipeline {
    /// Does what the reader says until it is done or something fails; dropping the channels tells the reader.
    pub(super) async fn write(
        &mut self,
        mut steps: Receiver<Step>,
        acknowledge: Sender<Positions>,
        mut table: Option<SchemaRef>,
    ) -> Result<(), Failure> {
        let mut remembered = self.sink.records();
        while let Some(step) = steps.recv().await {
            match step {
                Step::Rows { schema, records, rows, effect, rejected } => {
                    self.follow(&schema, &mut table).await?;
                    if let Some(records) = records.filter(|records| remembered.as_ref() != Some(records)) {
                        self.sink.remember(SchemaRef::clone(&records)).await?;
                        remembered = Some(records);
                    }
                    match effect {
                        Effect::Append if rows.num_rows() == 0 => {}
                        Effect::Append => self.sink.write(rows).await?,
                        Effect::Merge { key, removed, unchanged, log } => {
                            if let (Some(table), Some(log)) = (&mut self.change_log, log) {
                                table.stage(log).await?;
                            }
                            if rows.num_rows() + removed.num_rows() > 0 {
                                self.sink.merge(KeyedChanges { key, rows, removed, unchanged }).await?;
                            }
                        }
                        Effect::Replace { log } => {
                            if let (Some(table), Some(log)) = (&mut self.change_log, log) {
                                table.stage(log).await?;
                            }
                            self.sink.truncate().await?;
                            if rows.num_rows() > 0 {
                                self.sink.write(rows).await?;
                            }
                        }
                    }
                    if !rejected.is_empty() {
                        self.sink.reject(rejected).await?;
                    }
                }
                Step::Commit { schema, positions, info, counts, raw_files, lag, read_at } => {
                    self.follow(&schema, &mut table).await?;
                    if let Some(store) = &self.raw_store {
                        for file in raw_files {
                            store.put(&file.path, file.bytes).await?;
                        }
                    }
                    if let Some(log) = &mut self.change_log {
                        log.commit().await?;
                    }
                    let Counts { rows, rejected, left_out, .. } = counts;
                    let commit = Commit { positions: positions.clone(), info, rows, rejected, left_out };
                    let receipt = self.sink.commit(commit).await?;
                    let committed = Committed { counts, positions: &positions, receipt, lag, read_at };
                    self.metrics.committed(&committed, self.clock.now());
                    fault::point("dl.commit_done_before_upstream_ack").map_err(|error| Error::from(error).failure())?;
                    // A reader that has failed by itself no longer listens; it resumes from what is committed.
                    drop(acknowledge.send(positions));
                }
            }
        }
        Ok(())
    }

    /// Makes the table able to hold rows of this schema.
    pub(super) async fn follow(&mut self, schema: &SchemaRef, table: &mut Option<SchemaRef>) -> Result<(), Failure> {
        if table.as_ref().is_none_or(|table| !covers(table, schema)) {
            self.sink.evolve(SchemaRef::clone(schema)).await?;
            *table = Some(SchemaRef::clone(schema));
        }
        Ok(())
    }
}

/// Whether rows of this schema go into the table as it is. Compares names and types: what a table adds to a field (metadata,
/// that it may be null) does not matter.
fn covers(table: &SchemaRef, rows: &SchemaRef) -> bool {
    rows.fields().iter().all(|field| {
        let found = table.fields().iter().find(|other| other.name() == field.name());
        found.is_some_and(|found| found.data_type().equals_datatype(field.data_type()))
    })
}
