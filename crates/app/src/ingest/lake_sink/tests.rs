//! Lives of a table and its quarantine, with deaths between their commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::Int64Type;
use headwater_engine::{Engine, EngineOptions};
use headwater_lake::maintain::Policy;
use headwater_lake::{Credentials, Location, Storage};
use headwater_project::{Clock, Entropy, Kind, Timestamp};

use super::*;

const HOUR: i64 = 3_600_000_000;
const PIPELINE: &str = "s";

#[derive(Debug)]
struct Moved(AtomicI64);

impl Clock for Moved {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1_000, Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

/// File and line of a record.
type Place = (&'static str, i64);

/// What a life does, one after the other; then it ends.
#[derive(Clone, Copy, Debug)]
enum Does {
    /// Commits up to a position: so many rows, and these records are set aside.
    Commit(i64, i64, &'static [Place]),
    /// The same, but dies before the table's commit: nothing but the clock and the lake goes on after it.
    Die(i64, i64, &'static [Place]),
    /// The clock steps back by an hour.
    ClockBack,
    /// Small files become large ones.
    Compact,
}

use Does::{ClockBack, Commit as Taken, Compact, Die};

struct World {
    lake: Lake,
    clock: Arc<Moved>,
}

impl World {
    fn new() -> Self {
        let clock = Arc::new(Moved(AtomicI64::new(1_700_000_000_000_000)));
        let storage = Storage::open(&Location::Memory, &Credentials::default()).unwrap();
        let lake = Lake::new(storage, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Counter::default()));
        Self { lake, clock }
    }

    fn table() -> TableName {
        TableName::new(PIPELINE, "t")
    }

    fn sink(&self) -> LakeSink {
        LakeSink::new(self.lake.clone(), Self::table(), PIPELINE, vec![String::from("f/s")], None)
    }

    async fn live(&self, life: &[Does]) {
        let mut sink = self.sink();
        sink.open().await.unwrap();
        for does in life {
            match *does {
                Taken(position, rows, rejected) => {
                    let commit = staged(&mut sink, position, rows, rejected).await;
                    sink.commit(commit).await.unwrap();
                }
                Die(position, rows, rejected) => {
                    let commit = staged(&mut sink, position, rows, rejected).await;
                    sink.commit_rejected(&commit).await.unwrap();
                }
                ClockBack => drop(self.clock.0.fetch_sub(HOUR, Ordering::SeqCst)),
                Compact => {
                    let policy = Policy { small_files: 2, checkpoint_every: u64::MAX / 2, ..Policy::default() };
                    let done = self.lake.maintain(&quarantine_of(&Self::table()), policy, &[]).await.unwrap();
                    assert!(done.compacted.is_some());
                }
            }
        }
    }

    async fn batches(&self, sql: &str) -> Vec<RecordBatch> {
        let options = EngineOptions {
            memory_bytes: 64 << 20,
            column_cache_bytes: 0,
            spill_folder: None,
            partitions: 1,
            default_schema: String::from(PIPELINE),
            dialect: None,
        };
        let engine = Engine::new(self.lake.clone(), &options).unwrap();
        let session = engine.session(BTreeMap::new(), BTreeSet::new());
        session.query(sql, &[]).await.unwrap().collect().await.unwrap()
    }

    async fn set_aside(&self) -> Vec<(String, i64)> {
        let mut found = Vec::new();
        for batch in self.batches("select source_file, position from s.t_quarantine order by 1, 2").await {
            let files = cast(batch.column(0), &DataType::Utf8).unwrap();
            let lines = batch.column(1).as_primitive::<Int64Type>();
            found.extend(
                (0..batch.num_rows()).map(|row| (files.as_string::<i32>().value(row).to_owned(), lines.value(row))),
            );
        }
        found
    }

    async fn check_set_aside(&self, expected: &[Place], what: &str) {
        let expected: Vec<_> = expected.iter().map(|(file, line)| ((*file).to_owned(), *line)).collect();
        assert_eq!(self.set_aside().await, expected, "{what}");
    }

    async fn rows(&self) -> i64 {
        let batches = self.batches("select count(*) from s.t").await;
        batches[0].column(0).as_primitive::<Int64Type>().value(0)
    }

    /// What a version of this program that knows no moments sets aside.
    async fn set_aside_as_before(&self, number: i64, rejected: &[Place]) {
        let owner = Owner::new(&self.lake);
        let opening = Opening { owner, keys: vec![rejected_key(PIPELINE)], ..self.opening() };
        let mut writer = opening.run().await.unwrap();
        writer.write(&quarantine_batch(&records(rejected)).unwrap()).await.unwrap();
        let positions = Progress::from([(rejected_key(PIPELINE), number)]);
        writer.commit(&positions, &serde_json::json!({})).await.unwrap();
    }

    fn opening(&self) -> Opening {
        let sink = self.sink();
        sink.opening(quarantine_of(&Self::table()), quarantine_schema(), &sink.owner)
    }
}

fn records(places: &[Place]) -> Vec<Rejected> {
    let record = |(file, line): &Place| Rejected {
        reason: String::from("not JSON"),
        bytes: format!("{file} {line}").into_bytes(),
        key: Vec::new(),
        header: Arc::default(),
        length: 3,
        origin: Origin::File { path: (*file).into() },
        offset: *line,
        timestamp: 0,
    };
    places.iter().map(record).collect()
}

async fn staged(sink: &mut LakeSink, position: i64, rows: i64, rejected: &[Place]) -> Commit {
    if rows > 0 {
        let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..rows));
        let rows = RecordBatch::try_from_iter([("id", ids)]).unwrap();
        sink.evolve(rows.schema()).await.unwrap();
        sink.write(rows).await.unwrap();
    }
    sink.reject(records(rejected)).await.unwrap();
    let mut positions = Positions::default();
    positions.set("f/s", position);
    Commit { positions, rows: rows.unsigned_abs(), rejected: rejected.len() as u64, ..Commit::default() }
}

#[tokio::test]
async fn a_record_is_set_aside_once_for_each_time_the_table_took_it() {
    let check = async |what: &str, lives: &[&[Does]], rows: i64, expected: &[Place]| {
        let world = World::new();
        for life in lives {
            world.live(life).await;
        }
        world.check_set_aside(expected, what).await;
        assert_eq!(world.rows().await, rows, "{what}");
    };
    check(
        "files get other numbers when one comes between",
        &[
            &[Die(3, 3, &[("1", 2), ("2", 2), ("3", 2)])],
            &[Taken(1, 1, &[("0", 2)]), Taken(2, 1, &[("1", 2)]), Taken(3, 1, &[("2", 2)])],
            &[Taken(4, 1, &[("3", 2)])],
        ],
        4,
        &[("0", 2), ("1", 2), ("2", 2), ("3", 2)],
    )
    .await;
    check(
        "commits end elsewhere, and die again",
        &[
            &[Taken(1, 1, &[("1", 2)]), Die(4, 3, &[("2", 2), ("3", 2)])],
            &[Taken(2, 1, &[("2", 2)]), Die(3, 0, &[("3", 2)])],
            &[Die(3, 0, &[("3", 2)])],
            &[Taken(3, 1, &[("3", 2)]), Taken(4, 1, &[])],
        ],
        4,
        &[("1", 2), ("2", 2), ("3", 2)],
    )
    .await;
    check(
        "the clock steps back",
        &[
            &[Taken(1, 1, &[("1", 2)]), Taken(2, 1, &[])],
            &[ClockBack, Taken(3, 1, &[("2", 2)]), ClockBack, Die(4, 1, &[("3", 2)])],
            &[ClockBack, Die(4, 1, &[("3", 2)])],
            &[ClockBack, Taken(4, 1, &[("3", 2)])],
        ],
        4,
        &[("1", 2), ("2", 2), ("3", 2)],
    )
    .await;
    check(
        "the table stamps ahead of the quarantine",
        &[&[Taken(1, 1, &[])], &[ClockBack, Die(2, 1, &[("1", 2)])], &[Taken(2, 1, &[("1", 2)])]],
        2,
        &[("1", 2)],
    )
    .await;
    check(
        "the same record comes with every answer",
        &[
            &[Taken(1, 1, &[("url", 1)]), Die(2, 1, &[("url", 1)])],
            &[Taken(2, 1, &[("url", 1)]), Taken(3, 1, &[("url", 1)]), Taken(4, 1, &[("url", 1)])],
        ],
        4,
        &[("url", 1); 4],
    )
    .await;
    check(
        "a file is gone when it is looked for again, and a record fits by then",
        &[&[Taken(1, 1, &[]), Die(3, 1, &[("1", 2), ("2", 2)])], &[Taken(2, 2, &[])]],
        3,
        &[],
    )
    .await;
    check(
        "nothing but what is set aside, from the first commit on",
        &[&[Die(1, 0, &[("1", 1)])], &[Die(1, 0, &[("1", 1)])], &[Taken(1, 0, &[("1", 1)]), Taken(2, 1, &[])]],
        1,
        &[("1", 1)],
    )
    .await;
    check(
        "what is taken back lies in one file with what stays",
        &[
            &[Taken(1, 1, &[("1", 2)]), Taken(2, 1, &[("2", 2)])],
            &[Compact, Die(3, 1, &[("3", 2)]), Compact],
            &[Taken(3, 1, &[("3", 2)])],
        ],
        3,
        &[("1", 2), ("2", 2), ("3", 2)],
    )
    .await;
}

#[tokio::test]
async fn what_is_half_committed_is_gone_once_the_table_is_opened() {
    let world = World::new();
    world.live(&[Taken(1, 1, &[("1", 2)]), Die(2, 1, &[("2", 2)])]).await;
    world.check_set_aside(&[("1", 2), ("2", 2)], "after the death").await;
    let mut sink = world.sink();
    let positions = sink.open().await.unwrap();
    assert_eq!(positions.0, BTreeMap::from([(String::from("f/s"), 1)]), "the source's positions only");
    world.check_set_aside(&[("1", 2)], "after the table was opened").await;
    let commit = staged(&mut sink, 2, 1, &[("2", 2)]).await;
    sink.commit_rejected(&commit).await.unwrap();
    sink.abandon().await;
    sink.open().await.unwrap();
    world.check_set_aside(&[("1", 2)], "and after a commit that failed in the same life").await;
}

#[tokio::test]
async fn who_lost_the_table_sets_nothing_aside() {
    let world = World::new();
    world.live(&[Taken(1, 1, &[("1", 2)])]).await;
    let mut old = world.sink();
    old.open().await.unwrap();
    let commit = staged(&mut old, 2, 1, &[("2", 2)]).await;
    world.live(&[Taken(2, 1, &[("2", 2)])]).await;
    assert_eq!(old.commit(commit).await.unwrap_err().kind, Kind::Conflict);
    assert_eq!(old.open().await.unwrap_err().kind, Kind::Conflict);
    world.check_set_aside(&[("1", 2), ("2", 2)], "only the new owner's").await;
}

#[tokio::test]
async fn what_an_older_version_set_aside_stays() {
    let world = World::new();
    world.live(&[Taken(1, 1, &[])]).await;
    world.set_aside_as_before(1, &[("1", 2)]).await;
    world.live(&[Taken(2, 1, &[("2", 2)]), Die(3, 1, &[("3", 2)])]).await;
    world.live(&[Die(3, 1, &[("3", 2)])]).await;
    world.check_set_aside(&[("1", 2), ("2", 2), ("3", 2)], "until the table is opened").await;
    world.set_aside_as_before(9, &[("4", 2)]).await;
    world.live(&[Taken(4, 1, &[])]).await;
    let expected = [("1", 2), ("2", 2), ("3", 2), ("4", 2)];
    world.check_set_aside(&expected, "one that came between does not say what is settled").await;
}
