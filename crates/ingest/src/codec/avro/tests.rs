use std::sync::Arc;

use arrow::json::LineDelimitedWriter;

use super::*;
use crate::codec::{Codec, Decoder};
use crate::schema::{DriftPolicy, Provenance};
use crate::sink::Origin;

const FIRST: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "id", "type": "long"},
    {"name": "state", "type": {"type": "enum", "name": "State", "symbols": ["NEW", "PAID"]}},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
    {"name": "at", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
    {"name": "tags", "type": {"type": "array", "items": "string"}},
    {"name": "before", "type": ["null", "State"]}]}"#;

const SECOND: &str = r#"{"type": "record", "name": "Order", "namespace": "shop", "fields": [
    {"name": "id", "type": "int"},
    {"name": "note", "type": ["null", "string"]},
    {"name": "extra", "type": {"type": "map", "values": "double"}}]}"#;

fn framed_record(id: u32, body: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), body].concat()
}

/// The rows of these records as JSON lines, without their provenance, and the reasons of those refused.
fn check(records: &[Vec<u8>], rows: &[&str], reasons: &[&str]) {
    let schemas = Arc::new(Schemas::default());
    schemas.learn(1, Schema::parse(FIRST));
    schemas.learn(2, Schema::parse(SECOND));
    schemas.learn(3, Err(String::from("schema 3 is nowhere")));
    let mut decoder = Decoder::new(Codec::Avro(schemas), DriftPolicy::default(), Provenance::Log, None).unwrap();
    let mut buffer = RecordBuffer::default();
    records.iter().for_each(|record| buffer.push_payload(0, b"", record));
    let origin = Origin::Log { topic: "t".into(), partition: 0 };
    let decoded = decoder.decode(&buffer, &[], &origin).unwrap();
    let fields = decoded.rows.num_columns() - Provenance::Log.fields().len();
    let shown = decoded.rows.project(&(0..fields).collect::<Vec<_>>()).unwrap();
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(&shown).unwrap();
    writer.finish().unwrap();
    let text = String::from_utf8(writer.into_inner()).unwrap();
    assert_eq!(text.lines().collect::<Vec<_>>(), rows);
    assert_eq!(decoded.rejected.iter().map(|one| one.reason.as_str()).collect::<Vec<_>>(), reasons);
}

/// id 7, PAID, 12.34, one second after 1970, tags a and b, before NEW.
fn first() -> Vec<u8> {
    framed_record(1, &[14, 2, 4, 0x04, 0xD2, 2, 0xD0, 0x0F, 4, 2, b'a', 2, b'b', 0, 2, 0])
}

#[test]
fn records_of_two_versions_share_the_columns() {
    // id -1, note x, extra {k: 1.0} in a block that also says its size of 10 bytes.
    let second = framed_record(2, &[&[1, 2, 2, b'x', 1, 20, 2, b'k'][..], &1.0_f64.to_le_bytes(), &[0]].concat());
    check(
        &[first(), second],
        &[
            r#"{"id":7,"state":"PAID","price":12.34,"at":"1970-01-01T00:00:01Z","tags":["a","b"],"before":"NEW"}"#,
            r#"{"id":-1,"note":"x","extra":[{"key":"k","value":1.0}]}"#,
        ],
        &[],
    );
}

#[test]
fn what_does_not_read_is_refused_and_leaves_nothing() {
    let cut = first()[..15].to_vec();
    let more = [first(), vec![0]].concat();
    let symbol = framed_record(1, &[14, 9]);
    let items = framed_record(1, &[14, 2, 4, 0x04, 0xD2, 0, 0xFE, 0xFF, 0xFF, 0xFF, 0x0F]);
    let endless = framed_record(1, &[0xFF; 12]);
    check(
        &[cut, first(), more, symbol, items, endless, b"{}".to_vec(), framed_record(3, &[]), framed_record(9, &[])],
        &[r#"{"id":7,"state":"PAID","price":12.34,"at":"1970-01-01T00:00:01Z","tags":["a","b"],"before":"NEW"}"#],
        &[
            "a length of 1 where 0 bytes of the record are left",
            "1 bytes after the record",
            "an enum has no such symbol",
            "a block claims 2147483647 items and the record has 0 bytes left",
            "an integer is longer than 64 bits",
            "record does not begin with the number of a schema",
            "schema 3 is nowhere",
            "schema 9 is not known",
        ],
    );
}

#[test]
fn schemas_that_no_column_can_hold_say_why() {
    let cases = [
        (r#""string""#, "schema is that of string, not of a record"),
        (
            r#"{"type": "record", "name": "a", "fields": [{"name": "x", "type": "nowhere"}]}"#,
            "schema refers to `nowhere`, which it does not define",
        ),
        (
            r#"{"type": "record", "name": "a", "fields": [{"name": "x", "type": ["null", "a"]}]}"#,
            "type `a` contains itself, which no column can",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Schema::parse(text).unwrap_err(), expected);
    }
}

#[test]
fn types_of_other_schemas_are_known_by_their_names() {
    let money =
        r#"{"type": "record", "name": "Money", "namespace": "shop", "fields": [{"name": "cents", "type": "long"}]}"#;
    let line =
        r#"{"type": "record", "name": "Line", "namespace": "shop", "fields": [{"name": "price", "type": "Money"}]}"#;
    let own = r#"{"type": "record", "name": "Bill", "namespace": "other", "fields": [
        {"name": "lines", "type": {"type": "array", "items": "shop.Line"}}, {"name": "total", "type": ["null", "shop.Money"]}]}"#;
    let named = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    let whole = Schema::parse_with(own, &[named("shop.Money", money), named("shop.Line", line)]).unwrap();
    let one = r#"{"type": "record", "name": "Bill", "fields": [
        {"name": "lines", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
            {"name": "price", "type": {"type": "record", "name": "Money", "fields": [{"name": "cents", "type": "long"}]}}]}}},
        {"name": "total", "type": ["null", "Money"]}]}"#;
    assert_eq!(whole, Schema::parse(one).unwrap());
    let reason = Schema::parse_with(own, &[named("shop.Line", line)]).unwrap_err();
    assert_eq!(reason, "`shop.Line`: schema refers to `Money`, which it does not define");
}
