//! The log of changes beside a table that is kept by key.
//!
//! It is committed before the table and has positions of its own. When the process ends between the two commits, the table's
//! positions decide what is read again, and rows up to the log's own are not added a second time.

use headwater_project::{Classify, Failure, fault};

use crate::capture::follow;
use crate::error::Error;
use crate::position::Positions;
use crate::sink::{Commit, TableSink};
use crate::source::LogRows;

pub(super) struct ChangeLog {
    sink: Box<dyn TableSink>,
    /// What the log has, with what is staged.
    held: Positions,
    /// What the next commit adds to that.
    staged: Positions,
    rows: u64,
}

impl ChangeLog {
    pub(super) fn new(sink: Box<dyn TableSink>) -> Self {
        Self { sink, held: Positions::default(), staged: Positions::default(), rows: 0 }
    }

    pub(super) async fn open(&mut self) -> Result<(), Failure> {
        self.held = self.sink.open().await?;
        self.staged = Positions::default();
        self.rows = 0;
        Ok(())
    }

    pub(super) async fn stage(&mut self, log: LogRows) -> Result<(), Failure> {
        let LogRows { rows, position, offsets } = log;
        let held = self.held.get(&position).unwrap_or(-1);
        let first = offsets.partition_point(|offset| *offset <= held);
        let Some(last) = offsets.get(first..).and_then(<[i64]>::last) else { return Ok(()) };
        let rows = rows.slice(first, rows.num_rows().saturating_sub(first));
        follow(&mut *self.sink, &rows.schema()).await?;
        self.rows += rows.num_rows() as u64;
        self.sink.write(rows).await?;
        self.held.set(position.clone(), *last);
        self.staged.set(position, *last);
        Ok(())
    }

    /// Commits what was staged; must come before the commit of the table.
    pub(super) async fn commit(&mut self) -> Result<(), Failure> {
        if self.rows == 0 {
            return Ok(());
        }
        let (positions, rows) = (std::mem::take(&mut self.staged), std::mem::take(&mut self.rows));
        self.sink.commit(Commit { positions, rows, ..Commit::default() }).await?;
        fault::point("cdc.log_committed_before_current").map_err(|error| Error::from(error).failure())
    }

    pub(super) async fn abandon(&mut self) {
        self.sink.abandon().await;
    }
}
