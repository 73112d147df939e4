//! Writes and reads over a lake in memory, each a table: what happened before, the query, how it is written, what is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use headwater_lake::{Credentials, Lake, Location, Storage, TableName};
use headwater_project::{Clock, Entropy, Timestamp};

use crate::{
    Applied, Engine, EngineError, EngineOptions, OnSchemaChange, Parameter, PublishedRelation, Result, Session, Target,
    Update, Write,
};

#[derive(Debug, Default)]
struct Ticks(AtomicI64, AtomicU64);

impl Clock for Ticks {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.fetch_add(1_000_000, Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl Entropy for Ticks {
    fn next_u64(&self) -> u64 {
        self.1.fetch_add(1, Ordering::SeqCst)
    }
}

fn engine() -> Engine {
    let ticks = Arc::new(Ticks::default());
    let storage = Storage::open(&Location::Memory, &Credentials::default()).unwrap();
    let lake = Lake::new(storage, Arc::clone(&ticks) as Arc<dyn Clock>, ticks);
    let options = EngineOptions {
        memory_bytes: 64 << 20,
        spill_folder: None,
        partitions: 2,
        default_schema: String::from("main"),
    };
    Engine::new(lake, &options).unwrap()
}

fn newest(engine: &Engine) -> Session {
    engine.session(BTreeMap::new(), BTreeSet::new())
}

fn target(write: Write) -> Target {
    Target {
        name: TableName::new("main", "t"),
        base: None,
        write,
        on_schema_change: OnSchemaChange::default(),
        info: serde_json::Value::Null,
    }
}

fn texts(batches: &[RecordBatch]) -> Vec<String> {
    let options = FormatOptions::default().with_null("null");
    let mut rows = Vec::new();
    for batch in batches {
        let columns: Vec<ArrayFormatter<'_>> =
            batch.columns().iter().map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
        for row in 0..batch.num_rows() {
            rows.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join(" "));
        }
    }
    rows
}

async fn read_with(session: &Session, sql: &str, parameters: &[(String, Parameter)]) -> Result<Vec<String>> {
    Ok(texts(&session.query(sql, parameters).await?.collect().await?))
}

async fn read(session: &Session, sql: &str) -> Vec<String> {
    read_with(session, sql, &[]).await.unwrap()
}

async fn write(engine: &Engine, sql: &str, target: &Target) -> Result<Applied> {
    newest(engine).apply(sql, target).await
}

fn columns(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

fn by_key(update: Update, allow_duplicates: bool) -> Write {
    Write::ReplaceByKey { unique_key: columns(&["id"]), update, allow_duplicates }
}

const THREE_ROWS: &str = "select * from (values (1, 'a', 10), (2, 'a', 20), (3, 'b', 30)) as v(id, day, amount)";

/// `change` over [`THREE_ROWS`], written by `way`; the whole table in order of its columns, or what the error says.
async fn check(way: Write, change: &str, expected: std::result::Result<&[&str], &str>) {
    let engine = engine();
    let partition_by = match &way {
        Write::ReplacePartitions { partition_by } => partition_by.clone(),
        _ => Vec::new(),
    };
    write(&engine, THREE_ROWS, &target(Write::Replace { partition_by })).await.unwrap();
    let written = write(&engine, change, &target(way.clone())).await;
    match (written, expected) {
        (Ok(_), Ok(rows)) => {
            let sql = "select id, day, amount from t order by id, day, amount";
            assert_eq!(read(&newest(&engine), sql).await, rows, "{way:?}");
        }
        (Err(error), Err(words)) => assert!(format!("{error} {error:?}").contains(words), "{way:?}: {error:?}"),
        (written, _) => panic!("{way:?}: {written:?}, expected {expected:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_of_writing_leaves_the_rows_it_promises() {
    let change = "select * from (values (3, 'b', 31), (4, 'b', 40)) as v(id, day, amount)";
    let replace = Write::Replace { partition_by: Vec::new() };
    check(replace, change, Ok(&["3 b 31", "4 b 40"])).await;
    check(Write::Append, change, Ok(&["1 a 10", "2 a 20", "3 b 30", "3 b 31", "4 b 40"])).await;
    let partitions = Write::ReplacePartitions { partition_by: columns(&["day"]) };
    check(partitions, change, Ok(&["1 a 10", "2 a 20", "3 b 31", "4 b 40"])).await;
    check(by_key(Update::All, false), change, Ok(&["1 a 10", "2 a 20", "3 b 31", "4 b 40"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_takes_over_the_columns_it_names_and_keeps_the_others() {
    let change = "select 1 as id, 'z' as day, 99 as amount";
    let only = by_key(Update::Only(columns(&["amount"])), false);
    check(only, change, Ok(&["1 a 99", "2 a 20", "3 b 30"])).await;
    let all_but = by_key(Update::AllBut(columns(&["AMOUNT"])), false);
    check(all_but, change, Ok(&["1 z 10", "2 a 20", "3 b 30"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_twice_is_refused_unless_rows_are_deleted_and_inserted() {
    let change = "select * from (values (1, 'a', 11), (1, 'a', 12)) as v(id, day, amount)";
    check(by_key(Update::All, false), change, Err("1")).await;
    check(by_key(Update::All, true), change, Ok(&["1 a 11", "1 a 12", "2 a 20", "3 b 30"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_null_key_equals_nothing() {
    let change = "select cast(null as bigint) as id, 'n' as day, 1 as amount";
    check(by_key(Update::All, false), change, Ok(&["1 a 10", "2 a 20", "3 b 30", "null n 1"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_result_changes_nothing_but_a_replacement() {
    let nothing = "select 1 as id, 'a' as day, 1 as amount where false";
    let partitions = Write::ReplacePartitions { partition_by: columns(&["day"]) };
    for way in [Write::Append, partitions, by_key(Update::All, false)] {
        check(way, nothing, Ok(&["1 a 10", "2 a 20", "3 b 30"])).await;
    }
    check(Write::Replace { partition_by: Vec::new() }, nothing, Ok(&[])).await;
}

/// Appends a row with the columns (id, note) to a table of (id, amount), under each rule for changed columns.
async fn check_change(rule: OnSchemaChange, expected: Option<&[&str]>) {
    let engine = engine();
    write(&engine, "select 1 as id, 10 as amount", &target(Write::Replace { partition_by: Vec::new() })).await.unwrap();
    let append = Target { on_schema_change: rule, ..target(Write::Append) };
    let written = write(&engine, "select 2 as id, 20 as amount, 'new' as note", &append).await;
    match expected {
        Some(rows) => {
            written.unwrap();
            assert_eq!(read(&newest(&engine), "select * from t order by id").await, rows, "{rule:?}");
        }
        None => assert!(matches!(written, Err(EngineError::SchemaChanged { .. })), "{rule:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_columns_are_left_out_added_or_refused_as_the_model_says() {
    check_change(OnSchemaChange::Ignore, Some(&["1 10", "2 20"])).await;
    check_change(OnSchemaChange::Append, Some(&["1 10 null", "2 20 new"])).await;
    check_change(OnSchemaChange::Sync, Some(&["1 10 null", "2 20 new"])).await;
    check_change(OnSchemaChange::Fail, None).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_was_never_published_is_taken_back_by_the_next() {
    let engine = engine();
    let first = write(&engine, "select 1 as id", &target(Write::Replace { partition_by: Vec::new() })).await.unwrap();
    write(&engine, "select 2 as id", &target(Write::Append)).await.unwrap();
    let over_published = Target { base: Some(first.version), ..target(Write::Append) };
    write(&engine, "select 3 as id", &over_published).await.unwrap();
    assert_eq!(read(&newest(&engine), "select id from t order by id").await, ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_reads_the_published_version_whatever_is_built_beside_it() {
    let engine = engine();
    let first = write(&engine, "select 1 as id", &target(Write::Replace { partition_by: Vec::new() })).await.unwrap();
    let name = TableName::new("main", "t");
    let published: BTreeMap<_, _> = [(name.clone(), PublishedRelation::Version(first.version))].into();
    let session = engine.session(published, [name].into());
    write(&engine, "select 2 as id", &target(Write::Append)).await.unwrap();
    assert_eq!(read(&session, "select id from t").await, ["1"]);
    assert_eq!(read(&newest(&engine), "select count(*) from t").await, ["2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_built_table_that_was_not_published_does_not_exist() {
    let engine = engine();
    write(&engine, "select 1 as id", &target(Write::Replace { partition_by: Vec::new() })).await.unwrap();
    let session = engine.session(BTreeMap::new(), [TableName::new("main", "t")].into());
    let missing = read_with(&session, "select * from t", &[]).await;
    assert!(matches!(missing, Err(EngineError::NoSuchTable(..))), "{missing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn values_come_back_from_the_lake_as_they_went_in() {
    let engine = engine();
    let sql = "select 9223372036854775807 as whole, cast('12345678901234567890.123456789' as decimal(38, 9)) as exact, \
        arrow_cast('2262-04-12T00:00:00.000001Z', 'Timestamp(Microsecond, Some(\"UTC\"))') as moment, \
        date '0001-01-01' as day, 'Zoë — 🎵 a text longer than a view holds' as words, cast(null as boolean) as unknown";
    write(&engine, sql, &target(Write::Replace { partition_by: Vec::new() })).await.unwrap();
    let expected = "9223372036854775807 12345678901234567890.123456789 2262-04-12T00:00:00.000001Z 0001-01-01 \
        Zoë — 🎵 a text longer than a view holds null";
    assert_eq!(read(&newest(&engine), "select * from t").await, [expected]);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_partitions_of_any_spelling_read_back() {
    let engine = engine();
    let sql = "select * from (values (1, 'a/b=c %'), (2, ''), (3, null), (4, 'Zoë')) as v(id, place)";
    write(&engine, sql, &target(Write::Replace { partition_by: columns(&["place"]) })).await.unwrap();
    let rows = read(&newest(&engine), "select id, place from t order by id").await;
    // Delta has no empty partition value: it is NULL.
    assert_eq!(rows, ["1 a/b=c %", "2 null", "3 null", "4 Zoë"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parameters_are_values_and_never_sql() {
    let engine = engine();
    write(&engine, THREE_ROWS, &target(Write::Replace { partition_by: Vec::new() })).await.unwrap();
    let hostile = [(String::from("day"), Parameter::Text(String::from("a' or '1'='1")))];
    let rows = read_with(&newest(&engine), "select id from t where day = $day", &hostile).await.unwrap();
    assert!(rows.is_empty(), "{rows:?}");
    let list = [(String::from("days"), Parameter::TextList(columns(&["b", "c"])))];
    let rows = read_with(&newest(&engine), "select id from t where array_has($days, day)", &list).await.unwrap();
    assert_eq!(rows, ["3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_only_read() {
    let engine = engine();
    for sql in ["create table x as select 1", "insert into t values (1)", "copy (select 1) to '/tmp/x'", "set a = 1"] {
        assert!(read_with(&newest(&engine), sql, &[]).await.is_err(), "{sql}");
    }
}

/// The side of a join that is kept in memory must be the one that is small there, not the one that compresses well.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_keeps_the_few_repeated_keys_and_not_the_wide_rows() {
    let engine = engine();
    let wide = "select unnest(generate_series(1, 50000)) as id, 'the same text over and over' as a, 'another' as b, 'and more' as c";
    write(&engine, wide, &target(Write::Replace { partition_by: Vec::new() })).await.unwrap();
    let sql = "explain with repeated as (select id from t where id is not null group by id having count(*) > 1), \
        rows as (select id, upper(a) as a, b, c from t where id is not null) \
        select rows.* from repeated right join rows on repeated.id = rows.id where repeated.id is null";
    let plan = read(&newest(&engine), sql).await.join("\n");
    let join = plan.lines().find(|line| line.contains("HashJoinExec")).unwrap_or_default();
    assert!(join.contains("join_type=RightAnti") || join.contains("join_type=Right,"), "{plan}");
}
