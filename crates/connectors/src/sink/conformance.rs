//! What every sink must do, as one function that a test of each sink calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{Promise, RowSink, Transfer};

/// Columns of the rows that are sent: `id`, a number that no two rows share, and `word`, a text with what breaks quoting.
pub fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, false), Field::new("word", DataType::Utf8, true)]))
}

/// Opens the same destination anew, as another life of the process does.
pub type Open<'a> = dyn FnMut() -> Box<dyn RowSink> + 'a;

/// How often the destination has each `id`.
pub type Holds<'a> = dyn FnMut() -> BTreeMap<i64, u64> + 'a;

/// Sends rows to an empty destination, gives up in every place, and returns what the sink does wrong first.
pub fn check(open: &mut Open<'_>, holds: &mut Holds<'_>) -> Result<(), String> {
    Suite { open, holds, committed: 0, seen_more: false }.run()
}

struct Suite<'a, 'b> {
    open: &'a mut Open<'b>,
    holds: &'a mut Holds<'b>,
    /// Rows `0..committed` are at the destination.
    committed: i64,
    /// Rows that were written and not committed may be there too.
    seen_more: bool,
}

/// Rows of these numbers.
pub fn rows(ids: std::ops::Range<i64>) -> Result<RecordBatch, String> {
    let words = ids.clone().map(|id| (id % 3 != 0).then(|| format!("it's \"{id}\", \\ ü\n")));
    let columns: Vec<ArrayRef> =
        vec![Arc::new(Int64Array::from_iter_values(ids)), Arc::new(StringArray::from_iter(words))];
    RecordBatch::try_new(schema(), columns).map_err(|error| error.to_string())
}

impl Suite<'_, '_> {
    fn run(&mut self) -> Result<(), String> {
        ensure(reached(&mut *(self.open)())?.is_none(), "a destination that was never asked to resume has a position")?;
        let mut first = (self.open)();
        ensure(resumed(&mut *first)?.is_none(), "a destination that has nothing reports a position")?;
        self.seen_more = first.promise() == Promise::AtLeastOnce;
        self.send(&mut *first, None, 10, &[5, 0, 7])?;
        self.send(&mut *first, Some(10), 20, &[1])?;
        self.compare("after two commits of one sink")?;
        self.send(&mut *first, Some(20), 21, &[])?;
        ensure(reached(&mut *(self.open)())? == Some(21), "whoever looks is told another position than the last")?;
        let mut second = (self.open)();
        ensure(resumed(&mut *second)? == Some(21), "a transfer without rows did not move the position")?;
        self.abandoned(&mut *second, 21)?;
        self.send(&mut *second, Some(21), 30, &[300, 300])?;
        drop(second);
        self.dropped(30)?;
        let mut third = (self.open)();
        ensure(resumed(&mut *third)? == Some(30), "a transfer that was dropped moved the position")?;
        ensure(resumed(&mut *third)? == Some(30), "resuming twice gives another position")?;
        self.send(&mut *third, Some(30), 31, &[2])?;
        self.compare("after the last commit")?;
        ensure(resumed(&mut *(self.open)())? == Some(31), "the last position is not reported")
    }

    fn send(&mut self, sink: &mut dyn RowSink, after: Option<i64>, position: i64, sizes: &[i64]) -> Result<(), String> {
        begin(sink, after, position)?;
        let mut next = self.committed;
        for size in sizes {
            sink.write(&rows(next..next + size)?).map_err(|error| format!("write fails: {error}"))?;
            next += size;
        }
        sink.commit().map_err(|error| format!("commit fails: {error}"))?;
        self.committed = next;
        Ok(())
    }

    /// Rows that are taken back are not there, and the same sink goes on from where it was.
    fn abandoned(&mut self, sink: &mut dyn RowSink, after: i64) -> Result<(), String> {
        begin(sink, Some(after), after + 1)?;
        sink.write(&rows(self.committed..self.committed + 3)?).map_err(|error| format!("write fails: {error}"))?;
        ensure(reached(&mut *(self.open)())? == Some(after), "a look during a transfer finds another position")?;
        sink.abandon().map_err(|error| format!("abandon fails: {error}"))?;
        self.compare("after a transfer was taken back")?;
        ensure(resumed(sink)? == Some(after), "a transfer that was taken back moved the position")
    }

    /// As [`Suite::abandoned`], of a process that went away.
    fn dropped(&mut self, after: i64) -> Result<(), String> {
        let mut sink = (self.open)();
        ensure(resumed(&mut *sink)? == Some(after), "the position is not that of the last commit")?;
        begin(&mut *sink, Some(after), after + 7)?;
        sink.write(&rows(self.committed..self.committed + 3)?).map_err(|error| format!("write fails: {error}"))?;
        drop(sink);
        ensure(resumed(&mut *(self.open)())? == Some(after), "a transfer that was dropped moved the position")?;
        self.compare("after a transfer was dropped")
    }

    fn compare(&mut self, when: &str) -> Result<(), String> {
        let found = (self.holds)();
        for id in 0..self.committed {
            let count = found.get(&id).copied().unwrap_or(0);
            let right = if self.seen_more { count >= 1 } else { count == 1 };
            ensure(right, format!("{when}: row {id} of {} is there {count} times", self.committed))?;
        }
        let more = found.keys().find(|id| **id >= self.committed);
        ensure(self.seen_more || more.is_none(), format!("{when}: row {more:?} is there, which was not committed"))
    }
}

fn begin(sink: &mut dyn RowSink, after: Option<i64>, position: i64) -> Result<(), String> {
    let transfer = Transfer { schema: schema(), after, position, is_whole: false };
    sink.begin(&transfer).map_err(|error| format!("begin fails: {error}"))
}

fn resumed(sink: &mut dyn RowSink) -> Result<Option<i64>, String> {
    sink.resume().map_err(|error| format!("resume fails: {error}"))
}

fn reached(sink: &mut dyn RowSink) -> Result<Option<i64>, String> {
    sink.reached().map_err(|error| format!("a look fails: {error}"))
}

fn ensure(holds: bool, problem: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(problem.into()) }
}
