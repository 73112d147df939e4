//! The async half: stages rows and commits them.

use std::sync::mpsc::Sender;

use arrow::datatypes::SchemaRef;
use headwater_project::{Classify, Failure, fault};
use tokio::sync::mpsc::Receiver;

use crate::error::Error;
use crate::pipeline::Pipeline;
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
        while let Some(step) = steps.recv().await {
            match step {
                Step::Rows { schema, rows, effect, rejected } => {
                    self.follow(&schema, &mut table).await?;
                    match effect {
                        Effect::Append if rows.num_rows() == 0 => {}
                        Effect::Append => self.sink.write(rows).await?,
                        Effect::Replace => {
                            self.sink.truncate().await?;
                            self.sink.write(rows).await?;
                        }
                        Effect::Merge { key, removed } => {
                            let unchanged = Vec::new();
                            self.sink.merge(KeyedChanges { key, rows, removed, unchanged }).await?;
                        }
                    }
                    if !rejected.is_empty() {
                        self.sink.reject(rejected).await?;
                    }
                }
                Step::Commit { schema, positions, info, counts, raw_files, lag } => {
                    self.follow(&schema, &mut table).await?;
                    if let Some(store) = &self.raw_store {
                        for file in raw_files {
                            store.put(&file.path, file.bytes).await?;
                        }
                    }
                    let commit =
                        Commit { positions: positions.clone(), info, rows: counts.rows, rejected: counts.rejected };
                    let receipt = self.sink.commit(commit).await?;
                    self.metrics.committed(counts, receipt, lag, self.clock.now());
                    fault::point("dl.commit_done_before_upstream_ack").map_err(|error| Error::from(error).failure())?;
                    // A reader that has failed by itself no longer listens; it resumes from what is committed.
                    drop(acknowledge.send(positions));
                }
            }
        }
        Ok(())
    }

    /// Makes the table able to hold rows of this schema.
    async fn follow(&mut self, schema: &SchemaRef, table: &mut Option<SchemaRef>) -> Result<(), Failure> {
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
