//! The seam between a generator and whoever drives it.

use std::io::{self, Write};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use headwater_project::Timestamp;

use crate::error::SimError;

/// One stream of records of one shape.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicSpec {
    pub name: String,
    /// Columns of the topic's JSON objects in the order of their fields, declared up front so that a table has its schema
    /// before the first record. A column that is nullable may be absent from a record.
    pub schema: SchemaRef,
}

/// A table that belongs to the generated world and does not change while it runs. It lands once.
#[derive(Clone, Debug)]
pub struct ReferenceTable {
    pub name: &'static str,
    pub rows: RecordBatch,
}

/// One record, borrowed from the generator's buffer for the length of the call.
#[derive(Clone, Copy, Debug)]
pub struct Generated<'a> {
    /// Index into [`Generator::topics`].
    pub topic: usize,
    /// What the record is about; records of one key keep their order when partitions are chosen by it.
    pub key: u64,
    /// When the event happened. A late record is delivered after its event time.
    pub timestamp: Timestamp,
    /// One JSON object without a line break. A malformed record (only when asked for) is anything but that, yet never
    /// empty and never with a line break in it.
    pub payload: &'a [u8],
}

/// Takes records as they are produced. Must not fail: a sink that can (a full disk) remembers the error, ignores what
/// follows and lets its owner see it after the call to [`Generator::produce`].
pub trait RecordSink {
    fn record(&mut self, record: Generated<'_>);
}

/// Why a call to [`Generator::produce`] returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Everything due before the given time was produced.
    Time,
    /// The record limit was reached; more may be due.
    Limit,
    /// There will never be another record.
    Exhausted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Produced {
    pub records: usize,
    pub bytes: u64,
    pub stop: Stop,
}

/// What one topic has got so far, for reconciling it with what arrived at the other end:
/// `delivered = good + duplicates + malformed`, and `late` of the good ones came after their time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicCounts {
    pub delivered: u64,
    /// Well-formed records, each event counted once.
    pub good: u64,
    pub late: u64,
    pub duplicates: u64,
    pub malformed: u64,
    /// Late records and duplicates that wait for their time; a generator that is exhausted has none.
    pub waiting: u64,
    /// Faults that were drawn but not staged because too many records were waiting already. Such a record was delivered
    /// once and in time.
    pub faults_skipped: u64,
}

/// Counts per topic, in the order of [`Generator::topics`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub topics: Vec<TopicCounts>,
}

/// A deterministic stream of records in the order of their delivery.
///
/// The contract, which every generator's tests hold:
/// - **Same configuration, same records.** The sequence of records depends on the configuration (with its seed) only:
///   never on how many calls of `produce` made it, their arguments, the clock, the machine's load, or whether a snapshot
///   was taken and restored in between.
/// - **Order.** Delivery times never go backwards. Event times may (late records).
/// - **Memory** depends on the size of the simulated world, not on the number of records produced.
/// - **Concurrency.** One caller at a time; nothing happens between calls, no threads, no I/O besides `snapshot`'s.
/// - **Errors.** Construction may fail; producing cannot.
///
/// A driver calls `produce(now, ...)` in a loop: while it returns [`Stop::Limit`] it is behind (the backlog), on
/// [`Stop::Time`] it sleeps until `next_time`, and on [`Stop::Exhausted`] it is done.
pub trait Generator: Send {
    fn topics(&self) -> &[TopicSpec];

    fn reference_tables(&self) -> Result<Vec<ReferenceTable>, SimError>;

    /// No record is due before this time; `None` when there will never be another. It may be early: the step due then can
    /// turn out to produce nothing.
    fn next_time(&self) -> Option<Timestamp>;

    /// Hands the sink the records with a delivery time before `until`, in order, and stops after the event that brings
    /// their number to `max_records` or more (records of one event are not split, so that no call starts within one).
    fn produce(&mut self, until: Timestamp, max_records: usize, sink: &mut dyn RecordSink) -> Produced;

    /// Writes the whole state. Restoring it in another process continues with exactly the records this one would have
    /// produced next. The caller makes it durable (sync, rename).
    fn snapshot(&self, out: &mut dyn Write) -> io::Result<()>;

    fn counts(&self) -> Counts;
}
