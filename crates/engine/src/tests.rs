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

mod columns;
mod traces;

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

fn options() -> EngineOptions {
    EngineOptions {
        memory_bytes: 64 << 20,
        column_cache_bytes: 8 << 20,
        spill_folder: None,
        partitions: 2,
        default_schema: String::from("main"),
        dialect: None,
    }
}

fn engine() -> Engine {
    let ticks = Arc::new(Ticks::default());
    let storage = Storage::open(&Location::Memory, &Credentials::default()).unwrap();
    let lake = Lake::new(storage, Arc::clone(&ticks) as Arc<dyn Clock>, ticks);
    Engine::new(lake, &options()).unwrap()
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
    Write::ReplaceByKey { unique_key: columns(&["id"]), update, allow_duplicates, predicates: Vec::new() }
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
async fn rows_that_meet_a_condition_are_replaced_whatever_their_keys() {
    let change = "select * from (values (9, 'b', 90)) as v(id, day, amount)";
    for (condition, expected) in [
        ("id >= 2", ["1 a 10", "9 b 90"].as_slice()),
        ("day = 'a'", &["3 b 30", "9 b 90"]),
        ("amount > 100", &["1 a 10", "2 a 20", "3 b 30", "9 b 90"]),
        ("nullif(id, 2) is null", &["1 a 10", "3 b 30", "9 b 90"]),
    ] {
        check(Write::ReplaceWhere { condition: condition.to_owned() }, change, Ok(expected)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_rows_that_meet_the_predicates_are_replaced_by_key() {
    let change = "select * from (values (1, 'a', 11), (3, 'b', 31)) as v(id, day, amount)";
    for (predicate, expected) in [
        ("id >= 2", ["1 a 10", "1 a 11", "2 a 20", "3 b 31"].as_slice()),
        ("DBT_INTERNAL_DEST.day = 'b'", &["1 a 10", "1 a 11", "2 a 20", "3 b 31"]),
        ("DBT_INTERNAL_SOURCE.amount > 20", &["1 a 10", "1 a 11", "2 a 20", "3 b 31"]),
        ("DBT_INTERNAL_DEST.amount < DBT_INTERNAL_SOURCE.amount", &["1 a 11", "2 a 20", "3 b 31"]),
    ] {
        let predicates = vec![predicate.to_owned()];
        let way = Write::ReplaceByKey {
            unique_key: columns(&["id"]),
            update: Update::All,
            allow_duplicates: true,
            predicates,
        };
        check(way, change, Ok(expected)).await;
    }
}

/// Statements over [`THREE_ROWS`] as `t`, then what a query of the same session sees, or what the error says.
async fn check_statements(statements: &str, query: &str, expected: std::result::Result<&[&str], &str>) {
    let engine = engine();
    write(&engine, THREE_ROWS, &target(Write::Replace { partition_by: Vec::new() })).await.unwrap();
    let session = newest(&engine);
    let done = session.execute(statements, &serde_json::Value::Null).await.map(drop);
    let seen = match done {
        Ok(()) => read_with(&session, query, &[]).await,
        Err(error) => Err(error),
    };
    match (seen, expected) {
        (Ok(rows), Ok(expected)) => assert_eq!(rows, expected, "{statements}"),
        (Err(error), Err(words)) => assert!(format!("{error} {error:?}").contains(words), "{statements}: {error:?}"),
        (seen, _) => panic!("{statements}: {seen:?}, expected {expected:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn statements_change_tables_as_they_say() {
    let all = "select id, amount from t order by id, amount";
    let others = "select * from u order by 1";
    for (statements, query, expected) in [
        ("insert into t values (4, 'c', 40)", all, Ok(["1 10", "2 20", "3 30", "4 40"].as_slice())),
        ("insert into t (amount, id) select 50, 5", all, Ok(&["1 10", "2 20", "3 30", "5 50"])),
        ("insert into t (id) values (7)", all, Ok(&["1 10", "2 20", "3 30", "7 null"])),
        ("insert into t (id, no_such) values (7, 8)", all, Err("no_such")),
        ("insert into t (id) values (7, 8)", all, Err("gives 2 values for 1 columns")),
        ("delete from t where amount >= 20", all, Ok(&["1 10"])),
        ("delete from t", all, Ok(&[])),
        ("delete from main.t as x where x.id = 2;", all, Ok(&["1 10", "3 30"])),
        (
            "update t set amount = amount * 2 where id = 3; update t set amount = 0 where id = 1",
            all,
            Ok(&["1 0", "2 20", "3 60"]),
        ),
        ("update t set no_such = 1", all, Err("no_such")),
        ("truncate table t", all, Ok(&[])),
        ("create table u as select 1 as n; insert into u values (2)", others, Ok(&["1", "2"])),
        ("create table u (n int, s varchar); insert into u values (1, 'x')", others, Ok(&["1 x"])),
        ("create table t as select 1 as n", others, Err("exists already")),
        ("create table if not exists t as select 1 as n", all, Ok(&["1 10", "2 20", "3 30"])),
        ("create or replace table t as select 9 as id, 90 as amount", all, Ok(&["9 90"])),
        ("create view u as select id from t where id > 2", others, Ok(&["3"])),
        ("create table u as select 1 as n; drop table u", others, Err("does not exist")),
        ("drop table if exists u", all, Ok(&["1 10", "2 20", "3 30"])),
        ("drop table u", all, Err("does not exist")),
        ("alter table t rename to u", others, Ok(&["1 a 10", "2 a 20", "3 b 30"])),
        (
            "alter table t add column extra int default 5; alter table t drop column day; alter table t rename column amount to n",
            "select * from t order by id limit 1",
            Ok(&["1 10 5"]),
        ),
        (
            "create schema s; grant select on t to somebody; analyze t; begin; commit",
            all,
            Ok(&["1 10", "2 20", "3 30"]),
        ),
        ("create table u as select cast('9999-12-31' as timestamp) as at", others, Ok(&["9999-12-31T00:00:00Z"])),
        ("call something()", all, Err("cannot be run here")),
    ] {
        check_statements(statements, query, expected).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn temporary_tables_are_gone_when_they_are_dropped_at_the_end() {
    let engine = engine();
    let session = newest(&engine);
    session.execute("create temporary table u as select 1 as n", &serde_json::Value::Null).await.unwrap();
    assert_eq!(read(&session, "select n from u").await, ["1"]);
    session.drop_temporaries().await.unwrap();
    assert!(read_with(&newest(&engine), "select n from u", &[]).await.is_err());
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

#[tokio::test]
async fn the_first_rows_come_in_the_order_of_the_query() {
    let engine = engine();
    let sql = "select x from (values (2), (null), (3), (1)) as t(x) order by x desc nulls last";
    let rows = newest(&engine).first_rows(sql, Some(3)).await.unwrap().collect().await.unwrap();
    assert_eq!(texts(&rows), ["3", "2", "1"]);
}
