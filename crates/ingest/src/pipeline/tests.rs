use std::collections::{BTreeMap, VecDeque};
use std::io::Read;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, Int64Type};
use async_trait::async_trait;
use bytes::Bytes;
use headwater_project::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::codec::Codec;
use crate::log::{Consumers, EventLog, MemoryLog, TopicConfig};
use crate::log_source::LogSource;
use crate::position::{Positions, log_key};
use crate::record::RecordBuffer;
use crate::sink::{Commit, CommitReceipt, Origin, Rejected};
use crate::source::conformance;

/// Moves on by a second with every look, so that intervals pass without waiting.
#[derive(Debug, Default)]
struct TickingClock(AtomicI64);

impl Clock for TickingClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1_000, Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.now().as_micros()).unwrap())
    }
}

/// Stands still but for the commits of a table, each of which takes a minute of it.
#[derive(Debug, Default)]
struct CommitClock(AtomicI64);

impl Clock for CommitClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.now().as_micros()).unwrap())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    Open,
    Evolve,
    Write,
    Reject,
    CommitLost,
    /// Committed, but the answer was lost.
    CommitUnknown,
    Put,
    /// A panic while rows are written.
    Panic,
    Final,
}

/// A table in memory that fails on demand; what each call meets is taken from the front of `trouble`.
#[derive(Debug, Default)]
struct Table {
    positions: Positions,
    schema: Option<SchemaRef>,
    rows: Vec<(i32, i64)>,
    rejected: Vec<(i32, i64)>,
    commits: Vec<Commit>,
    trouble: VecDeque<Trouble>,
    raw: BTreeMap<String, Bytes>,
    clock: Option<Arc<CommitClock>>,
}

#[derive(Clone, Default)]
struct MemoryTable {
    shared: Arc<Mutex<Table>>,
    staged: Vec<(i32, i64)>,
    staged_rejected: Vec<(i32, i64)>,
}

impl MemoryTable {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.shared.lock().unwrap()
    }

    /// Fails if the next trouble is one of these; other calls leave it for whom it concerns.
    fn meet(&self, mine: &[Trouble]) -> Result<Trouble, Failure> {
        let mut table = self.table();
        let next = table.trouble.front().copied().unwrap_or(Trouble::None);
        if next == Trouble::Panic && mine.contains(&Trouble::Write) {
            table.trouble.pop_front();
            drop(table);
            panic!("trouble");
        }
        if next == Trouble::None
            || mine.contains(&next)
            || mine.contains(&Trouble::CommitLost) && next == Trouble::Final
        {
            table.trouble.pop_front();
        }
        let kind = if next == Trouble::Final { Kind::Conflict } else { Kind::External { retry_after: None } };
        let failing = mine.contains(&next) || next == Trouble::Final && mine.contains(&Trouble::CommitLost);
        if failing && next != Trouble::CommitUnknown { Err(Failure::new(kind, "trouble")) } else { Ok(next) }
    }
}

#[async_trait]
impl TableSink for MemoryTable {
    async fn open(&mut self) -> Result<Positions, Failure> {
        self.meet(&[Trouble::Open])?;
        assert!(self.staged.is_empty() && self.staged_rejected.is_empty(), "opened with rows staged");
        Ok(self.table().positions.clone())
    }

    fn schema(&self) -> Option<SchemaRef> {
        self.table().schema.clone()
    }

    async fn evolve(&mut self, schema: SchemaRef) -> Result<(), Failure> {
        self.meet(&[Trouble::Evolve])?;
        self.table().schema = Some(schema);
        Ok(())
    }

    async fn write(&mut self, rows: RecordBatch) -> Result<(), Failure> {
        self.meet(&[Trouble::Write])?;
        assert_eq!(Some(rows.schema()), self.table().schema);
        let partitions = rows.column_by_name("_partition").unwrap().as_primitive::<Int32Type>();
        let offsets = rows.column_by_name("_offset").unwrap().as_primitive::<Int64Type>();
        self.staged.extend(partitions.values().iter().copied().zip(offsets.values().iter().copied()));
        Ok(())
    }

    fn records(&self) -> Option<SchemaRef> {
        None
    }

    async fn remember(&mut self, _records: SchemaRef) -> Result<(), Failure> {
        Err(Failure::internal("not asked for"))
    }

    async fn truncate(&mut self) -> Result<(), Failure> {
        Err(Failure::internal("not asked for"))
    }

    fn mark(&self) -> i64 {
        0
    }

    async fn retire(&mut self, _mark: i64) -> Result<(), Failure> {
        Err(Failure::internal("not asked for"))
    }

    async fn merge(&mut self, _changes: crate::sink::KeyedChanges) -> Result<(), Failure> {
        Err(Failure::internal("not asked for"))
    }

    async fn reject(&mut self, records: Vec<Rejected>) -> Result<(), Failure> {
        self.meet(&[Trouble::Reject])?;
        for record in records {
            let Origin::Log { partition, .. } = record.origin else { panic!("not from a log") };
            self.staged_rejected.push((partition, record.offset));
        }
        Ok(())
    }

    async fn commit(&mut self, commit: Commit) -> Result<CommitReceipt, Failure> {
        let met = self.meet(&[Trouble::CommitLost, Trouble::CommitUnknown])?;
        let clock = self.table().clock.clone();
        if let Some(clock) = clock {
            // The reader gets ahead meanwhile, until it is held back.
            tokio::time::sleep(Duration::from_millis(20)).await;
            clock.0.fetch_add(60_000, Ordering::SeqCst);
        }
        let mut table = self.shared.lock().unwrap();
        assert_eq!((commit.rows, commit.rejected), (self.staged.len() as u64, self.staged_rejected.len() as u64));
        table.rows.append(&mut self.staged);
        table.rejected.append(&mut self.staged_rejected);
        table.positions.advance(&commit.positions);
        table.commits.push(commit);
        match met {
            Trouble::CommitUnknown => Err(Failure::new(Kind::External { retry_after: None }, "no answer")),
            _ => Ok(CommitReceipt { version: table.commits.len() as u64 }),
        }
    }

    async fn abandon(&mut self) {
        self.staged.clear();
        self.staged_rejected.clear();
    }
}

struct RawFolder(MemoryTable);

#[async_trait]
impl RawStore for RawFolder {
    async fn put(&self, path: &str, bytes: Bytes) -> Result<(), Failure> {
        self.0.meet(&[Trouble::Put])?;
        self.0.table().raw.insert(path.to_owned(), bytes);
        Ok(())
    }
}

/// Two partitions; in each, every seventh record is bad and a field appears half way.
fn log_of(records: i64) -> Arc<MemoryLog> {
    let log = MemoryLog::default();
    log.create_topic("t", &TopicConfig { partitions: 2, ..TopicConfig::default() }).unwrap();
    for partition in 0..2 {
        let mut buffer = RecordBuffer::default();
        for number in 0..records {
            let text = match number {
                bad if bad % 7 == 3 => format!("{{\"n\":{number}"),
                late if late > records / 2 => format!("{{\"n\":{number},\n\"late\":true}}"),
                _ => format!("{{\"n\":{number}}}"),
            };
            buffer.push_payload(1_541_105_000_000 + number * 60_000, b"", text.as_bytes());
        }
        log.append("t", partition, &buffer).unwrap();
    }
    log.sync().unwrap();
    Arc::new(log)
}

fn source(log: &Arc<MemoryLog>) -> LogSource {
    let log: Arc<dyn EventLog> = Arc::<MemoryLog>::clone(log);
    LogSource::new("p", "t", Codec::Json, log, Arc::default(), Arc::new(TickingClock::default()))
}

fn options(rows: u64) -> PipelineOptions {
    PipelineOptions {
        rotation: Rotation { rows, bytes: u64::MAX, interval: Duration::MAX },
        batch_bytes: 64,
        idle_wait: Duration::ZERO,
        backoff: (Duration::ZERO, Duration::ZERO),
        ..PipelineOptions::default()
    }
}

fn pipeline(log: &Arc<MemoryLog>, table: &MemoryTable, options: PipelineOptions, stop_at_end: bool) -> Pipeline {
    let source = if stop_at_end { source(log).stop_at_end() } else { source(log) };
    let clock = Arc::new(TickingClock::default());
    Pipeline::new("p", Box::new(source), Box::new(table.clone()), clock, options)
        .with_raw_files(Arc::new(RawFolder(table.clone())))
}

fn run(pipeline: &mut Pipeline, stop: &CancellationToken) -> Result<Ended, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(pipeline.run(stop))
}

fn assert_exactly_once(table: &Table, records: i64) {
    let mut all: Vec<(i32, i64)> = table.rows.iter().chain(&table.rejected).copied().collect();
    all.sort_unstable();
    let expected: Vec<(i32, i64)> = (0..2).flat_map(|partition| (0..records).map(move |n| (partition, n))).collect();
    assert_eq!(all, expected);
    assert!(table.rejected.iter().all(|(_, offset)| offset % 7 == 3));
    let mut raw: Vec<String> = table.raw.values().flat_map(|bytes| lines(bytes)).collect();
    raw.sort();
    assert_eq!(raw.len() as i64, 2 * records, "raw files hold every record once");
}

fn lines(bytes: &[u8]) -> Vec<String> {
    let mut text = String::new();
    flate2::read::GzDecoder::new(bytes).read_to_string(&mut text).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_log_source_conforms() {
    let log = log_of(40);
    let mut expected = conformance::Expected::new();
    for partition in 0..2 {
        let mut records = RecordBuffer::default();
        log.read("t", partition, 0, usize::MAX, &mut records).unwrap();
        expected.insert(format!("t/{partition}"), records.iter().map(|record| record.payload.to_vec()).collect());
    }
    conformance::check(&mut |_| Box::new(source(&log).stop_at_end()), &expected).unwrap();
}

#[test]
fn a_source_that_never_had_a_record_is_known_to_have_none_waiting() {
    let (log, table, stop) = (log_of(0), MemoryTable::default(), CancellationToken::new());
    let mut pipeline = pipeline(&log, &table, options(5), false);
    let metrics = pipeline.metrics();
    let look = async {
        while metrics.read().lag.records.is_none() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ended, ()) = runtime.block_on(async { tokio::join!(pipeline.run(&stop), look) });
    assert_eq!((ended.unwrap(), metrics.read().lag.records), (Ended::Stopped, Some(0)));
}

#[test]
fn everything_lands_once_and_is_counted() {
    let (log, table) = (log_of(100), MemoryTable::default());
    let mut pipeline = pipeline(&log, &table, options(30), true);
    assert_eq!(run(&mut pipeline, &CancellationToken::new()).unwrap(), Ended::SourceEnded);
    assert_exactly_once(&table.table(), 100);
    let metrics = pipeline.metrics().read();
    assert_eq!((metrics.records_in, metrics.rows_out + metrics.rejected), (200, 200));
    assert_eq!(
        (metrics.lag.records, metrics.failures, metrics.commits),
        (Some(0), 0, table.table().commits.len() as u64)
    );
    assert!(metrics.commits >= 6);
}

#[test]
fn what_is_committed_is_trimmed_and_nothing_else() {
    let (log, table) = (log_of(50), MemoryTable::default());
    run(&mut pipeline(&log, &table, options(10), true), &CancellationToken::new()).unwrap();
    let partitions = &log.topics().unwrap()[0].partitions;
    assert!(partitions.iter().all(|partition| partition.start_offset == 50));

    let (log, table) = (log_of(50), MemoryTable::default());
    table.table().trouble = [Trouble::None; 5].into_iter().chain([Trouble::Final]).collect();
    run(&mut pipeline(&log, &table, options(10), true), &CancellationToken::new()).unwrap_err();
    for (number, partition) in (0..).zip(&log.topics().unwrap()[0].partitions) {
        let committed = table.table().positions.get(&log_key("p", "t", number)).unwrap_or(-1);
        assert!(partition.start_offset <= committed + 1);
    }
}

#[test]
fn raw_files_lie_by_hour_and_start_offset() {
    let (log, table) = (log_of(3), MemoryTable::default());
    run(&mut pipeline(&log, &table, options(1_000), true), &CancellationToken::new()).unwrap();
    let table = table.table();
    let paths: Vec<&String> = table.raw.keys().collect();
    assert_eq!(
        paths,
        ["raw/t/date=2018-11-01 20:00:00+00/0-0.jsonl.gz", "raw/t/date=2018-11-01 20:00:00+00/1-0.jsonl.gz"]
    );
    assert_eq!(lines(&table.raw[paths[0]]), ["{\"n\":0}", "{\"n\":1}", "{\"n\":2, \"late\":true}"]);
}

#[test]
fn a_lost_owner_stops_and_says_so() {
    let (log, table) = (log_of(20), MemoryTable::default());
    table.table().trouble = [Trouble::Final].into();
    let mut pipeline = pipeline(&log, &table, options(5), true);
    assert_eq!(run(&mut pipeline, &CancellationToken::new()).unwrap_err().kind, Kind::Conflict);
    assert_eq!(pipeline.metrics().read().last_error.unwrap().kind, Kind::Conflict);
}

#[test]
fn a_stop_commits_what_was_read() {
    let (log, table) = (log_of(20), MemoryTable::default());
    let mut pipeline = pipeline(&log, &table, options(u64::MAX), false);
    let stop = CancellationToken::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let staged = table.clone();
    let stopper = async {
        while staged.table().schema.is_none() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let (ended, ()) = runtime.block_on(async { tokio::join!(pipeline.run(&stop), stopper) });
    assert_eq!(ended.unwrap(), Ended::Stopped);
    let table = table.table();
    assert!(!table.rows.is_empty());
    let taken: i64 = (0..2).map(|n| table.positions.get(&log_key("p", "t", n)).map_or(0, |last| last + 1)).sum();
    assert_eq!(taken, (table.rows.len() + table.rejected.len()) as i64);
}

#[test]
fn a_pipeline_that_was_stopped_goes_on_where_its_table_is_when_it_is_run_again() {
    let (log, table) = (log_of(40), MemoryTable::default());
    let mut pipeline = pipeline(&log, &table, options(7), true);
    let stopped = CancellationToken::new();
    stopped.cancel();
    for _ in 0..3 {
        assert_eq!(run(&mut pipeline, &stopped).unwrap(), Ended::Stopped);
    }
    table.table().trouble = [Trouble::None; 6].into_iter().chain([Trouble::Final]).collect();
    run(&mut pipeline, &CancellationToken::new()).unwrap_err();
    assert_eq!(run(&mut pipeline, &CancellationToken::new()).unwrap(), Ended::SourceEnded);
    assert_exactly_once(&table.table(), 40);
    let metrics = pipeline.metrics().read();
    assert_eq!((metrics.positions.get(&log_key("p", "t", 1)), metrics.caught_up), (Some(39), true));
}

#[test]
fn time_alone_makes_a_commit_due() {
    let (log, table) = (log_of(30), MemoryTable::default());
    let rotation = Rotation { rows: u64::MAX, bytes: u64::MAX, interval: Duration::from_secs(3) };
    let mut pipeline = pipeline(&log, &table, PipelineOptions { rotation, ..options(0) }, true);
    run(&mut pipeline, &CancellationToken::new()).unwrap();
    assert!(table.table().commits.len() > 2);
}

#[test]
fn the_time_of_a_commit_does_not_make_the_next_one_due() {
    let (log, table) = (log_of(400), MemoryTable::default());
    let clock = Arc::new(CommitClock::default());
    table.table().clock = Some(Arc::clone(&clock));
    let rotation = Rotation { rows: 200, bytes: u64::MAX, interval: Duration::from_secs(3) };
    let options = PipelineOptions { rotation, batch_bytes: 1, ..options(0) };
    let source = Box::new(source(&log).stop_at_end());
    let mut pipeline = Pipeline::new("p", source, Box::new(table.clone()), clock, options)
        .with_raw_files(Arc::new(RawFolder(table.clone())));
    run(&mut pipeline, &CancellationToken::new()).unwrap();
    assert_exactly_once(&table.table(), 400);
    assert_eq!(table.table().commits.len(), 4);
}

#[test]
fn a_gap_and_a_rewound_topic_are_told_not_skipped() {
    let check = |committed: i64, expected: &str| {
        let (log, table) = (log_of(20), MemoryTable::default());
        log.trim("t", 0, 10, Timestamp::default()).unwrap();
        table.table().positions.set(log_key("p", "t", 0), committed);
        let failure = run(&mut pipeline(&log, &table, options(5), true), &CancellationToken::new()).unwrap_err();
        assert!(failure.message.contains(expected), "{}", failure.message);
        assert!(table.table().commits.is_empty());
    };
    check(5, "are gone");
    check(20, "ends at 20");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whichever calls fail, and however, every record ends up in the table or in quarantine exactly once.
    #[test]
    fn failures_neither_lose_nor_double(
        trouble in prop::collection::vec(prop_oneof![
            2 => Just(Trouble::None),
            1 => prop::sample::select(vec![
                Trouble::Open, Trouble::Evolve, Trouble::Write, Trouble::Reject, Trouble::CommitLost,
                Trouble::CommitUnknown, Trouble::Put, Trouble::Panic,
            ]),
        ], 0..24),
        rows in 1_u64..40,
        records in 1_i64..60,
    ) {
        let (log, table) = (log_of(records), MemoryTable::default());
        table.table().trouble = trouble.into();
        run(&mut pipeline(&log, &table, options(rows), true), &CancellationToken::new()).unwrap();
        assert_exactly_once(&table.table(), records);
    }
}

#[test]
fn the_slowest_consumer_keeps_its_records() {
    let log = log_of(20);
    let consumers = Arc::<Consumers>::default();
    consumers.advance("other", "t", 0, 4);
    let shared: Arc<dyn EventLog> = Arc::<MemoryLog>::clone(&log);
    let clock = Arc::new(TickingClock::default());
    let source = LogSource::new("p", "t", Codec::Json, shared, consumers, clock.clone()).stop_at_end();
    let table = MemoryTable::default();
    let mut pipeline = Pipeline::new("p", Box::new(source), Box::new(table), clock, options(5));
    run(&mut pipeline, &CancellationToken::new()).unwrap();
    let starts: Vec<i64> = log.topics().unwrap()[0].partitions.iter().map(|one| one.start_offset).collect();
    assert_eq!(starts, [4, 20]);
}

/// A source whose third batch, of each life up to the third, is a panic.
struct Panicking {
    inner: LogSource,
    lives: u32,
    batches: u32,
}

impl Source for Panicking {
    fn codec(&self) -> Option<Codec> {
        self.inner.codec()
    }

    fn provenance(&self) -> crate::schema::Provenance {
        self.inner.provenance()
    }

    fn resume(&mut self, committed: &Positions) -> crate::Result<()> {
        (self.lives, self.batches) = (self.lives + 1, 0);
        self.inner.resume(committed)
    }

    fn next_batch(
        &mut self,
        limits: &crate::source::ReadLimits,
        buffer: RecordBuffer,
    ) -> crate::Result<crate::source::Next> {
        self.batches += 1;
        assert!(self.batches != 3 || self.lives > 3, "a third batch");
        self.inner.next_batch(limits, buffer)
    }

    fn committed(&mut self, positions: &Positions) -> crate::Result<()> {
        self.inner.committed(positions)
    }
}

#[test]
fn what_panics_is_tried_again_from_what_is_committed() {
    let (log, table) = (log_of(100), MemoryTable::default());
    table.table().trouble = [Trouble::None, Trouble::None, Trouble::Panic].into();
    let source = Panicking { inner: source(&log).stop_at_end(), lives: 0, batches: 0 };
    let clock = Arc::new(TickingClock::default());
    let mut pipeline = Pipeline::new("p", Box::new(source), Box::new(table.clone()), clock, options(5))
        .with_raw_files(Arc::new(RawFolder(table.clone())));
    assert_eq!(run(&mut pipeline, &CancellationToken::new()).unwrap(), Ended::SourceEnded);
    assert_exactly_once(&table.table(), 100);
    let metrics = pipeline.metrics().read();
    assert!(metrics.failures >= 3, "{} failures", metrics.failures);
}

/// The source has nothing more by the time the only commit fails.
#[test]
fn a_commit_that_fails_is_tried_again_although_nothing_more_comes() {
    let (log, table) = (log_of(20), MemoryTable::default());
    table.table().trouble = [Trouble::CommitLost].into();
    let mut options = options(u64::MAX);
    options.rotation.interval = Duration::from_secs(200);
    let mut pipeline = pipeline(&log, &table, options, false);
    let stop = CancellationToken::new();
    let landed = table.clone();
    let stopper = async {
        let count = || {
            let table = landed.table();
            table.rows.len() + table.rejected.len()
        };
        while count() < 40 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (ended, ()) = runtime.block_on(async { tokio::join!(pipeline.run(&stop), stopper) });
    assert_eq!(ended.unwrap(), Ended::Stopped);
    assert_exactly_once(&table.table(), 20);
}

/// The records of a log as changes that only its table of changes keeps.
struct Logging {
    inner: LogSource,
    decoder: crate::codec::Decoder,
}

impl Source for Logging {
    fn codec(&self) -> Option<Codec> {
        None
    }

    fn provenance(&self) -> crate::schema::Provenance {
        crate::schema::Provenance::None
    }

    fn resume(&mut self, committed: &Positions) -> crate::Result<()> {
        self.inner.resume(committed)
    }

    fn next_batch(
        &mut self,
        limits: &crate::source::ReadLimits,
        buffer: RecordBuffer,
    ) -> crate::Result<crate::source::Next> {
        use crate::source::{Effect, LogRows, Next, RowBatch};
        let batch = match self.inner.next_batch(limits, buffer)? {
            Next::Batch(batch) => *batch,
            other => return Ok(other),
        };
        let decoded = self.decoder.decode(&batch.records, &[], &batch.origin)?;
        let Origin::Log { topic, partition } = &batch.origin else { panic!("not from a log") };
        let offsets = decoded.rows.column_by_name("_offset").unwrap().as_primitive::<Int64Type>().values().to_vec();
        let nothing = decoded.rows.slice(0, 0);
        let log = LogRows { rows: decoded.rows, position: log_key("p", topic, *partition), offsets };
        Ok(Next::Rows(Box::new(RowBatch {
            rows: nothing.clone(),
            effect: Effect::Merge { key: Arc::from([]), removed: nothing, unchanged: Vec::new(), log: Some(log) },
            rejected: decoded.rejected,
            bytes: 1,
            positions: batch.positions,
            boundary: batch.boundary,
            info: None,
        })))
    }

    fn committed(&mut self, positions: &Positions) -> crate::Result<()> {
        self.inner.committed(positions)
    }
}

#[test]
fn a_log_of_changes_has_each_once_whatever_fails_between_its_commit_and_the_tables() {
    use Trouble::{CommitLost, CommitUnknown, None as Fine, Write};
    let troubles: [(&[Trouble], &[Trouble]); 5] = [
        (&[], &[]),
        (&[Fine, Fine, CommitLost], &[]),
        (&[CommitUnknown, CommitLost, CommitLost], &[]),
        (&[], &[Fine, Fine, CommitUnknown]),
        (&[CommitLost], &[Write, CommitLost, Fine, Write]),
    ];
    for (of_table, of_log) in troubles {
        let (log, table, changes) = (log_of(60), MemoryTable::default(), MemoryTable::default());
        table.table().trouble = of_table.iter().copied().collect();
        changes.table().trouble = of_log.iter().copied().collect();
        let provenance = crate::schema::Provenance::Log;
        let of = |name: &str, of: arrow::datatypes::DataType| arrow::datatypes::Field::new(name, of, true);
        let fields = vec![of("n", arrow::datatypes::DataType::Int64), of("late", arrow::datatypes::DataType::Boolean)];
        let shape = Some(Arc::new(arrow::datatypes::Schema::new(fields)));
        let decoder = crate::codec::Decoder::new(Codec::Json, DriftPolicy::default(), provenance, shape).unwrap();
        let logging = Logging { inner: source(&log).stop_at_end(), decoder };
        let clock = Arc::new(TickingClock::default());
        let options =
            PipelineOptions { rotation: Rotation { interval: Duration::ZERO, ..options(1).rotation }, ..options(1) };
        let mut pipeline = Pipeline::new("p", Box::new(logging), Box::new(table.clone()), clock, options)
            .with_change_log(Box::new(changes.clone()));
        run(&mut pipeline, &CancellationToken::new()).unwrap();
        let mut all = [changes.table().rows.clone(), table.table().rejected.clone()].concat();
        all.sort_unstable();
        let expected: Vec<_> = (0..2).flat_map(|partition| (0..60).map(move |n| (partition, n))).collect();
        assert_eq!(all, expected, "{of_table:?} {of_log:?}");
    }
}
