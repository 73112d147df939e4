//! Against a real server: `HEADWATER_TEST_POSTGRES` is the port of one on this machine whose role `postgres` needs no
//! password. tests/sinks/sinks.py starts it and runs these.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int16Array,
    Int32Array, Int64Array, ListArray, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{Field, Int64Type, Schema, SchemaRef};
use headwater_project::{Classify, Kind};

use super::{PostgresSink, PostgresTable};
use crate::postgres::Target;
use crate::postgres::error::PgError;
use crate::postgres::wire::{Connection, Purpose, Rows};
use crate::sink::{Identity, RowSink, Transfer, conformance, still_surroundings};

fn target() -> Option<Target> {
    let Ok(port) = std::env::var("HEADWATER_TEST_POSTGRES") else {
        println!("skipped: HEADWATER_TEST_POSTGRES names no server");
        return None;
    };
    let json = serde_json::json!({
        "host": "127.0.0.1", "port": port.parse::<u16>().unwrap(), "database": "postgres", "user": "postgres",
    });
    Some(Target::new(&serde_json::from_value(json).unwrap(), Path::new("/")))
}

fn ask(target: &Target, sql: &str) -> Rows {
    let surroundings = still_surroundings();
    let mut connection = Connection::open(target, Purpose::Statements, &*surroundings.entropy).unwrap();
    connection.query(sql).unwrap()
}

fn sink(target: &Target, table: &str, more: &str) -> PostgresSink {
    let config: PostgresTable =
        serde_json::from_str(&format!("{{\"connection\": \"c\", \"table\": \"{table}\"{more}}}")).unwrap();
    let identity = Identity { id: format!("p/{table}"), sends: String::from("added from a.b") };
    PostgresSink::new(target.clone(), config, false, identity, still_surroundings())
}

/// Nothing of an earlier run, neither the table nor how far it was sent.
fn fresh(target: &Target, table: &str) {
    ask(target, &format!("DROP TABLE IF EXISTS {table}"));
    if ask(target, "SELECT to_regclass('headwater_sinks')").first(0).is_some() {
        ask(target, &format!("DELETE FROM headwater_sinks WHERE sink = 'p/{table}'"));
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

fn transfer(schema: SchemaRef, after: Option<i64>, position: i64) -> Transfer {
    Transfer { schema, after, position, is_whole: false }
}

fn send(sink: &mut PostgresSink, rows: &RecordBatch) -> headwater_ingest::Result<()> {
    let after = sink.resume()?;
    sink.begin(&transfer(rows.schema(), after, after.unwrap_or(0) + 1))?;
    sink.write(rows)?;
    sink.commit()
}

#[test]
fn a_postgres_sink_does_what_every_sink_does() {
    let Some(target) = target() else { return };
    for (table, more) in [("conform_append", ""), ("conform_upsert", ", \"key\": \"id\"")] {
        fresh(&target, table);
        let mut open = || Box::new(sink(&target, table, more)) as Box<dyn RowSink>;
        let mut holds = || {
            if ask(&target, &format!("SELECT to_regclass('{table}')")).first(0).is_none() {
                return BTreeMap::new();
            }
            let found = ask(&target, &format!("SELECT id, count(*) FROM {table} GROUP BY id"));
            let number = |text: &Option<String>| -> i64 { text.as_ref().unwrap().parse().unwrap() };
            found.rows.iter().map(|row| (number(&row[0]), number(&row[1]).cast_unsigned())).collect()
        };
        conformance::check(&mut open, &mut holds).unwrap();
    }
}

/// Each value as the server writes it.
#[test]
fn every_type_arrives_as_the_value_it_was() {
    let Some(target) = target() else { return };
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None]), None]);
    let columns: Vec<(&str, ArrayRef, &str, &str)> = vec![
        ("boolean", Arc::new(BooleanArray::from(vec![Some(true), None])), "boolean", "t"),
        ("small", Arc::new(Int16Array::from(vec![Some(i16::MIN), None])), "smallint", "-32768"),
        ("int", Arc::new(Int32Array::from(vec![Some(i32::MAX), None])), "integer", "2147483647"),
        ("big", Arc::new(Int64Array::from(vec![Some(i64::MIN), None])), "bigint", "-9223372036854775808"),
        ("huge", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])), "numeric(20,0)", "18446744073709551615"),
        ("single", Arc::new(Float32Array::from(vec![Some(1.1), None])), "real", "1.1"),
        ("double", Arc::new(Float64Array::from(vec![Some(f64::NAN), None])), "double precision", "NaN"),
        (
            "amount",
            Arc::new(Decimal128Array::from(vec![Some(-123_456), None]).with_precision_and_scale(12, 3).unwrap()),
            "numeric(12,3)",
            "-123.456",
        ),
        ("day", Arc::new(Date32Array::from(vec![Some(-719_162), None])), "date", "0001-01-01"),
        (
            "at",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(-1), None]).with_timezone("UTC")),
            "timestamp with time zone",
            "1969-12-31 23:59:59.999999+00",
        ),
        (
            "clock",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None])),
            "timestamp without time zone",
            "1970-01-01 00:00:00.000001",
        ),
        ("Odd \"name", Arc::new(StringArray::from(vec![Some("ü\t\\."), None])), "text", "ü\t\\."),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None])), "bytea", "\\x00ff"),
        ("list", Arc::new(list), "jsonb", "[1, null]"),
    ];
    fresh(&target, "kinds");
    let rows = batch(columns.iter().map(|(name, array, ..)| (*name, Arc::clone(array))).collect());
    send(&mut sink(&target, "kinds", ""), &rows).unwrap();
    for (name, _, type_name, value) in columns {
        let quoted = crate::postgres::wire::quoted_name(name);
        let found = ask(
            &target,
            &format!(
                "SELECT format_type(atttypid, atttypmod), (SELECT {quoted} FROM kinds WHERE {quoted} IS NOT NULL), \
                 (SELECT count(*) FROM kinds WHERE {quoted} IS NULL) FROM pg_attribute \
                 WHERE attrelid = 'kinds'::regclass AND attname = {}",
                crate::postgres::wire::quoted_text(name)
            ),
        );
        assert_eq!(
            (found.first(0), found.first(1), found.first(2)),
            (Some(type_name), Some(value), Some("1")),
            "{name}"
        );
    }
}

fn refused(target: &Target, create: &str, more: &str, rows: &RecordBatch, expected: &[&str]) {
    fresh(target, "refusing");
    ask(target, create);
    let failure = send(&mut sink(target, "refusing", more), rows).unwrap_err().failure();
    let told =
        format!("{} {} {}", failure.message, failure.detail.unwrap_or_default(), failure.hint.unwrap_or_default());
    assert_eq!(failure.kind, Kind::User, "{told}");
    for expected in expected {
        assert!(told.contains(expected), "`{expected}` is not in `{told}`");
    }
}

#[test]
fn what_does_not_fit_is_refused_and_named() {
    let Some(target) = target() else { return };
    let rows = batch(vec![
        ("id", Arc::new(Int64Array::from(vec![1, 1 << 40]))),
        ("half", Arc::new(Float64Array::from(vec![0.5, 1.0]))),
    ]);
    let wrong = "CREATE TABLE refusing (id bigint, half integer)";
    refused(&target, wrong, "", &rows, &["`half`", "integer", "double precision", "alter table"]);
    refused(
        &target,
        "CREATE TABLE refusing (id bigint)",
        "",
        &rows,
        &["lacks `half` double precision", "evolve: true"],
    );
    let narrow = "CREATE TABLE refusing (id integer, half float8)";
    refused(&target, narrow, "", &rows, &["out of range", "22003"]);
    let unkeyed = "CREATE TABLE refusing (id bigint, half float8)";
    refused(&target, unkeyed, ", \"key\": \"id\"", &rows, &["42P10", "CREATE UNIQUE INDEX"]);
    refused(&target, unkeyed, ", \"key\": \"none\"", &rows, &["key column `none`", "\"id\""]);
    refused(&target, "SELECT 1", ", \"create\": false", &rows, &["refusing does not exist"]);
    let needs = "CREATE TABLE refusing (id bigint, half float8, other text NOT NULL)";
    refused(&target, needs, "", &rows, &["other", "23502"]);
    let zero = batch(vec![("word", Arc::new(StringArray::from(vec!["a\0b"])))]);
    refused(&target, "SELECT 1", "", &zero, &["22021", "word"]);
}

#[test]
fn columns_that_appear_are_added_when_asked_for() {
    let Some(target) = target() else { return };
    fresh(&target, "growing");
    let mut sink = sink(&target, "growing", ", \"evolve\": true, \"key\": \"id\"");
    let ids = |ids: Vec<i64>| Arc::new(Int64Array::from(ids)) as ArrayRef;
    send(&mut sink, &batch(vec![("id", ids(vec![1, 2]))])).unwrap();
    let more = batch(vec![("id", ids(vec![2, 3, 3])), ("word", Arc::new(StringArray::from(vec!["b", "c", "d"])))]);
    send(&mut sink, &more).unwrap();
    let found = ask(&target, "SELECT string_agg(id || coalesce(word, '-'), ' ' ORDER BY id) FROM growing");
    assert_eq!(found.first(0), Some("1- 2b 3d"));
}

#[test]
fn who_was_overtaken_cannot_commit() {
    let Some(target) = target() else { return };
    fresh(&target, "overtaken");
    let rows = batch(vec![("id", Arc::new(Int64Array::from(vec![1])))]);
    let (mut one, mut other) = (sink(&target, "overtaken", ""), sink(&target, "overtaken", ""));
    assert_eq!((one.resume().unwrap(), other.resume().unwrap()), (None, None));
    other.begin(&transfer(rows.schema(), None, 5)).unwrap();
    other.write(&rows).unwrap();
    other.commit().unwrap();
    let error = one.begin(&transfer(rows.schema(), None, 6)).unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "{error}");
    assert_eq!(one.resume().unwrap(), Some(5));
    assert_eq!(ask(&target, "SELECT count(*) FROM overtaken").first(0), Some("1"));
    ask(&target, "DELETE FROM headwater_sinks WHERE sink = 'p/overtaken'");
    let failure = one.begin(&transfer(rows.schema(), Some(5), 6)).unwrap_err().failure();
    assert!(failure.kind == Kind::User && failure.message.contains("deleted the row of sink"), "{failure}");
}

#[test]
fn server_errors_say_what_to_do() {
    let connection = serde_json::from_str(r#"{"database": "d", "user": "u"}"#).unwrap();
    let sink = sink(&Target::new(&connection, Path::new("/")), "app.t", "");
    for (code, expected) in [("42501", "Grant the role"), ("42P10", "unique index"), ("3F000", "CREATE SCHEMA")] {
        let error = PgError::Server { code: code.to_owned(), message: String::from("no"), detail: None, hint: None };
        let hint = sink.explained(error.into()).failure().hint.unwrap_or_default();
        assert!(hint.contains(expected), "{code}: {hint}");
    }
    let refused = sink.identity.require_same("all from a.b", "delete it").unwrap_err().failure();
    assert!(refused.message.contains("all from a.b") && refused.hint.is_some_and(|hint| hint.contains("delete it")));
}
