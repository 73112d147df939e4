use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
    Int32Array, Int64Array, ListArray, MapBuilder, StringArray, StringViewArray, StructArray,
    TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Int32Type};
use arrow::ipc::reader::StreamReader;
use arrow::record_batch::RecordBatch;
use headwater_project::Failure;

use super::*;

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap()
}

fn encode(format: RowFormat, batches: &[RecordBatch], end: End<'_>) -> Vec<u8> {
    let mut encoder = format.encoder(&batches[0].schema()).unwrap();
    let mut out = Vec::new();
    encoder.start(&mut out).unwrap();
    for batch in batches {
        encoder.batch(batch, &mut out).unwrap();
    }
    encoder.finish(end, &mut out).unwrap();
    out
}

fn text(format: RowFormat, batches: &[RecordBatch]) -> String {
    String::from_utf8(encode(format, batches, End::default())).unwrap()
}

/// One column as the list of its JSON values.
fn check(array: ArrayRef, expected: &str) {
    let lines = text(RowFormat::JsonLines, &[batch(vec![("c", array)])]);
    let values: Vec<_> = lines.lines().map(|line| line.trim_start_matches("{\"c\":").trim_end_matches('}')).collect();
    assert_eq!(values.join(" "), expected);
}

#[test]
fn integers_beyond_what_a_double_holds_are_strings() {
    let edge = (1_i64 << 53) - 1;
    check(
        Arc::new(Int64Array::from(vec![Some(edge), Some(edge + 1), Some(-edge), Some(-edge - 1), None])),
        "9007199254740991 \"9007199254740992\" -9007199254740991 \"-9007199254740992\" null",
    );
    check(Arc::new(Int64Array::from(vec![i64::MIN])), "\"-9223372036854775808\"");
    check(Arc::new(UInt64Array::from(vec![u64::MAX, 0])), "\"18446744073709551615\" 0");
    check(Arc::new(Int32Array::from(vec![i32::MIN])), "-2147483648");
}

#[test]
fn decimals_are_exact_strings() {
    let values = Decimal128Array::from(vec![Some(12_345), Some(-1), None]).with_precision_and_scale(38, 2).unwrap();
    check(Arc::new(values), "\"123.45\" \"-0.01\" null");
}

#[test]
fn floats_keep_their_shortest_text_and_specials_are_strings() {
    check(
        Arc::new(Float64Array::from(vec![0.1, 1e300, f64::NAN, f64::NEG_INFINITY])),
        "0.1 1e+300 \"NaN\" \"-Infinity\"",
    );
    check(Arc::new(Float32Array::from(vec![0.1, f32::INFINITY])), "0.1 \"Infinity\"");
}

#[test]
fn dates_and_times_are_iso() {
    check(Arc::new(Date32Array::from(vec![0, -1])), "\"1970-01-01\" \"1969-12-31\"");
    check(Arc::new(TimestampMicrosecondArray::from(vec![1_500_000])), "\"1970-01-01T00:00:01.500\"");
    check(Arc::new(TimestampMicrosecondArray::from(vec![0]).with_timezone("UTC")), "\"1970-01-01T00:00:00Z\"");
}

#[test]
fn strings_of_any_layout_are_escaped() {
    check(Arc::new(StringViewArray::from(vec![Some("a\"b\n\u{1}é"), None])), "\"a\\\"b\\n\\u0001é\" null");
    let dictionary: DictionaryArray<Int32Type> = vec![Some("x"), None, Some("x")].into_iter().collect();
    check(Arc::new(dictionary), "\"x\" null \"x\"");
    check(Arc::new(BinaryArray::from(vec![&[0_u8, 255][..]])), "\"00ff\"");
    check(Arc::new(BooleanArray::from(vec![Some(true), None])), "true null");
}

#[test]
fn nested_values_are_nested_json() {
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![Some(vec![Some(1), None]), None, Some(vec![])]);
    check(Arc::new(list.clone()), "[1,null] null []");
    check(Arc::new(list.slice(2, 1)), "[]");
    let field = Arc::new(Field::new("a", DataType::Int64, true));
    let inner: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
    check(Arc::new(StructArray::from(vec![(field, inner)])), "{\"a\":1 {\"a\":null");
    let mut map = MapBuilder::new(None, arrow::array::Int32Builder::new(), arrow::array::StringBuilder::new());
    map.keys().append_value(7);
    map.values().append_value("v");
    map.append(true).unwrap();
    check(Arc::new(map.finish()), "{\"7\":\"v\"");
}

fn sample() -> [RecordBatch; 2] {
    let rows = |numbers: Vec<Option<i64>>, texts: Vec<Option<&str>>| {
        batch(vec![("n", Arc::new(Int64Array::from(numbers)) as ArrayRef), ("t", Arc::new(StringArray::from(texts)))])
    };
    [rows(vec![Some(1), None], vec![Some("a,\"b\""), Some("")]), rows(vec![Some(3)], vec![None])]
}

#[test]
fn every_text_format_joins_batches() {
    assert_eq!(text(RowFormat::Csv, &sample()), "n,t\n1,\"a,\"\"b\"\"\"\n,\"\"\n3,\n");
    assert_eq!(
        text(RowFormat::JsonRecords, &sample()),
        "[\n{\"n\":1,\"t\":\"a,\\\"b\\\"\"},\n{\"n\":null,\"t\":\"\"},\n{\"n\":3,\"t\":null}\n]\n"
    );
    let object: serde_json::Value = serde_json::from_str(&text(RowFormat::JsonObject, &sample())).unwrap();
    let expected = serde_json::json!({
        "columns": [{"name": "n", "type": "Int64"}, {"name": "t", "type": "Utf8"}],
        "rows": [[1, "a,\"b\""], [null, ""], [3, null]],
        "row_count": 3,
        "truncated": false,
    });
    assert_eq!(object, expected);
}

#[test]
fn no_rows_are_still_a_whole_answer() {
    let empty = [sample()[0].slice(0, 0)];
    assert_eq!(text(RowFormat::JsonRecords, &empty), "[]\n");
    assert_eq!(text(RowFormat::JsonLines, &empty), "");
    assert_eq!(text(RowFormat::Csv, &empty), "n,t\n");
}

#[test]
fn a_failure_after_rows_leaves_json_that_says_so() {
    let failure = Failure::user("it broke");
    let bytes = encode(RowFormat::JsonObject, &sample(), End { failure: Some(&failure), truncated: false });
    let object: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(object["error"]["message"], "it broke");
    assert!(object.get("row_count").is_none());
}

#[test]
fn an_arrow_stream_reads_back_as_it_was() {
    let bytes = encode(RowFormat::Arrow, &sample(), End::default());
    let read: Vec<_> = StreamReader::try_new(bytes.as_slice(), None).unwrap().map(Result::unwrap).collect();
    assert_eq!(read, sample());
}
