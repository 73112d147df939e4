use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array,
    StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Field;
use headwater_project::Classify;

use super::*;

const NOW: Timestamp = Timestamp(1_700_000_000_123_456);
const COMMITTED: i64 = 1_699_999_999_000_001;
const SOURCE: &str = r#""connector":"postgresql","name":"shop","ts_ms":1699999999000,"snapshot":"false","db":"app","sequence":"[null,\"90\"]","ts_us":1699999999000001,"ts_ns":1699999999000001000,"schema":"public","table":"items","txId":7,"lsn":90,"xmin":null},"transaction":null,"#;
const WRITTEN: &str = r#","ts_ms":1700000000123,"ts_us":1700000000123456,"ts_ns":1700000000123456000}"#;

fn options() -> EnvelopeOptions {
    EnvelopeOptions {
        name: "shop".into(),
        schemas: false,
        tombstones: true,
        decimal: DecimalMode::Precise,
        truncations: Truncations::Send,
    }
}

fn table(columns: &[(&str, ColumnType)]) -> SourceTable {
    let column = |(name, column_type): &(&str, ColumnType)| SourceColumn {
        name: (*name).to_owned(),
        column_type: column_type.clone(),
    };
    SourceTable {
        database: "app".into(),
        schema: "public".into(),
        table: "items".into(),
        columns: columns.iter().map(column).collect(),
        key: vec!["id".into()],
    }
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let fields: Vec<Field> =
        columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap()
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// A change of a row with a number and a word, and the columns that say what it is.
fn change(
    op: &str,
    id: Option<i32>,
    word: Option<&str>,
    old_key: Option<&str>,
    unchanged: Option<&str>,
) -> RecordBatch {
    batch(vec![
        ("_op", texts(&[Some(op)])),
        ("_lsn", Arc::new(Int64Array::from(vec![100]))),
        ("_seq", Arc::new(Int64Array::from(vec![0]))),
        ("_committed_at", Arc::new(TimestampMicrosecondArray::from(vec![COMMITTED]).with_timezone("UTC"))),
        ("_old_key", texts(&[old_key])),
        ("_unchanged", texts(&[unchanged])),
        ("_xid", Arc::new(Int64Array::from(vec![7]))),
        ("_change_lsn", Arc::new(Int64Array::from(vec![90]))),
        ("id", Arc::new(Int32Array::from(vec![id]))),
        ("word", texts(&[word])),
        ("_ingested_at", Arc::new(TimestampMicrosecondArray::from(vec![1]).with_timezone("UTC"))),
    ])
}

/// Key, value and header of each message.
fn messages(rows: &RecordBatch, columns: &[(&str, ColumnType)], options: EnvelopeOptions) -> Vec<[Option<String>; 3]> {
    let encoder = Encoder::new(table(columns), options, &rows.schema()).unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut found = Vec::new();
    let mut take = |message: Message<'_>| {
        let header = message.header.map(|(name, value)| format!("{name}={}", text(value)));
        found.push([message.key.map(text), message.value.map(text), header]);
        Ok(())
    };
    encoder.encode(rows, NOW, &mut take).unwrap();
    found
}

const COLUMNS: &[(&str, ColumnType)] = &[("id", ColumnType::Int32), ("word", ColumnType::Text)];

/// An envelope around these images.
fn envelope(op: &str, before: &str, after: &str) -> String {
    let version = env!("CARGO_PKG_VERSION");
    format!(r#"{{"before":{before},"after":{after},"source":{{"version":"{version}",{SOURCE}"op":"{op}"{WRITTEN}"#)
}

#[track_caller]
fn check(rows: &RecordBatch, expected: &[(Option<&str>, Option<String>, Option<&str>)]) {
    let expected: Vec<[Option<String>; 3]> = expected
        .iter()
        .map(|(key, value, header)| [key.map(str::to_owned), value.clone(), header.map(str::to_owned)])
        .collect();
    assert_eq!(messages(rows, COLUMNS, options()), expected);
}

#[test]
fn each_change_is_an_envelope_under_its_key() {
    let key = Some(r#"{"id":1}"#);
    let after = r#"{"id":1,"word":"it's \"a\""}"#;
    let word = Some("it's \"a\"");
    check(&change("i", Some(1), word, None, None), &[(key, Some(envelope("c", "null", after)), None)]);
    check(&change("u", Some(1), word, None, None), &[(key, Some(envelope("u", "null", after)), None)]);
    check(
        &change("d", Some(1), None, None, None),
        &[(key, Some(envelope("d", r#"{"id":1,"word":null}"#, "null")), None), (key, None, None)],
    );
    check(&change("t", None, None, None, None), &[(None, Some(envelope("t", "null", "null")), None)]);
}

#[test]
fn a_change_of_the_key_is_a_delete_and_an_insert() {
    check(
        &change("u", Some(2), Some("a"), Some("[\"1\"]"), None),
        &[
            (
                Some(r#"{"id":1}"#),
                Some(envelope("d", r#"{"id":1,"word":null}"#, "null")),
                Some(r#"__debezium.newkey={"id":2}"#),
            ),
            (Some(r#"{"id":1}"#), None, Some(r#"__debezium.newkey={"id":2}"#)),
            (
                Some(r#"{"id":2}"#),
                Some(envelope("c", "null", r#"{"id":2,"word":"a"}"#)),
                Some(r#"__debezium.oldkey={"id":1}"#),
            ),
        ],
    );
}

#[test]
fn a_value_that_was_not_sent_says_so() {
    let after = r#"{"id":1,"word":"__debezium_unavailable_value"}"#;
    check(
        &change("u", Some(1), None, None, Some("word, other")),
        &[(Some(r#"{"id":1}"#), Some(envelope("u", "null", after)), None)],
    );
    let is_null = envelope("u", "null", r#"{"id":1,"word":null}"#);
    check(&change("u", Some(1), None, None, Some("words")), &[(Some(r#"{"id":1}"#), Some(is_null), None)]);
}

#[test]
fn what_is_not_wanted_is_left_out() {
    let quiet = EnvelopeOptions { tombstones: false, truncations: Truncations::Skip, ..options() };
    assert_eq!(messages(&change("d", Some(1), None, None, None), COLUMNS, quiet.clone()).len(), 1);
    assert_eq!(messages(&change("t", None, None, None, None), COLUMNS, quiet), Vec::<[Option<String>; 3]>::new());
}

#[test]
fn a_row_of_the_table_itself_is_read() {
    let rows = batch(vec![
        ("_op", texts(&[Some("r")])),
        ("_lsn", Arc::new(Int64Array::from(vec![80]))),
        ("id", Arc::new(Int32Array::from(vec![1]))),
        ("word", texts(&[Some("a")])),
    ]);
    let [message] = messages(&rows, COLUMNS, options()).try_into().unwrap();
    let value = message[1].clone().unwrap();
    let parsed: serde_json::Value = serde_json::from_str(&value).unwrap();
    assert_eq!(parsed["op"], "r");
    assert_eq!(parsed["source"]["snapshot"], "true");
    assert_eq!(parsed["source"]["lsn"], 80);
    assert_eq!(parsed["source"]["txId"], serde_json::Value::Null);
    assert_eq!(parsed["source"]["ts_us"], 1_700_000_000_123_456_i64);
    assert_eq!(parsed["after"]["word"], "a");
}

#[test]
fn columns_the_table_no_longer_has_are_there_as_long_as_they_have_values() {
    let only_id = &[("id", ColumnType::Int32)];
    let after = |word| {
        let found = messages(&change("i", Some(1), word, None, None), only_id, options());
        let parsed: serde_json::Value = serde_json::from_str(found[0][1].as_deref().unwrap()).unwrap();
        parsed["after"].to_string()
    };
    assert_eq!(after(Some("a")), r#"{"id":1,"word":"a"}"#);
    assert_eq!(after(None), r#"{"id":1}"#);
}

#[test]
fn what_was_not_recorded_is_null() {
    let rows = change("i", Some(1), None, None, None);
    let known: Vec<usize> = (0..rows.num_columns()).filter(|place| !matches!(place, 6 | 7)).collect();
    let found = messages(&rows.project(&known).unwrap(), COLUMNS, options());
    let parsed: serde_json::Value = serde_json::from_str(found[0][1].as_deref().unwrap()).unwrap();
    for name in ["txId", "lsn", "sequence", "xmin"] {
        assert_eq!(parsed["source"][name], serde_json::Value::Null, "{name}");
    }
}

/// The JSON of a value of a column.
fn shown(column_type: &ColumnType, array: ArrayRef, decimal: DecimalMode) -> Option<String> {
    let column_type = ColumnType::of(Some(column_type), array.data_type())?;
    let mut out = Vec::new();
    value::write_cell(&column_type, &array, 0, decimal, &mut out)?;
    Some(String::from_utf8(out).unwrap())
}

fn text(value: &str) -> ArrayRef {
    texts(&[Some(value)])
}

fn moment(micros: i64) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![micros]).with_timezone("UTC"))
}

#[test]
fn values_have_the_forms_the_connector_gives_them() {
    let list = |of| ColumnType::Array(Box::new(of));
    let zoned = |digits| ColumnType::ZonedTimestamp { digits };
    let cases: Vec<(ColumnType, ArrayRef, &str)> = vec![
        (ColumnType::Boolean, Arc::new(BooleanArray::from(vec![true])), "true"),
        (ColumnType::Int64, Arc::new(Int64Array::from(vec![i64::MIN])), "-9223372036854775808"),
        (ColumnType::Float64, Arc::new(Float64Array::from(vec![1.5])), "1.5"),
        (ColumnType::Float64, Arc::new(Float64Array::from(vec![f64::NEG_INFINITY])), r#""-Infinity""#),
        (ColumnType::Float64, Arc::new(Float64Array::from(vec![f64::NAN])), r#""NaN""#),
        (ColumnType::Date, Arc::new(Date32Array::from(vec![-1])), "-1"),
        (ColumnType::Timestamp { millis: false }, moment(1_529_507_596_945_104), "1529507596945104"),
        (ColumnType::Timestamp { millis: true }, moment(-1_500), "-2"),
        (zoned(6), moment(1_529_507_596_945_104), r#""2018-06-20T15:13:16.945104Z""#),
        (zoned(6), moment(1_529_507_596_000_000), r#""2018-06-20T15:13:16.000000Z""#),
        (zoned(3), moment(1_529_507_596_945_000), r#""2018-06-20T15:13:16.945Z""#),
        (zoned(0), moment(1_529_507_596_000_000), r#""2018-06-20T15:13:16Z""#),
        (ColumnType::Time { millis: false }, text("12:00:00.5"), "43200500000"),
        (ColumnType::Time { millis: true }, text("00:00:01.25"), "1250"),
        (ColumnType::ZonedTime, text("04:05:06.7-01:30"), r#""05:35:06.7Z""#),
        (ColumnType::ZonedTime, text("00:30:00+01"), r#""23:30:00Z""#),
        (ColumnType::Bytes, Arc::new(BinaryArray::from(vec![&b"\x00\xff"[..]])), r#""AP8=""#),
        (ColumnType::Json, text(r#"{"a": 1}"#), r#""{\"a\": 1}""#),
        (ColumnType::Uuid, text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), r#""a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11""#),
        (list(ColumnType::Int32), text("{1,NULL,-3}"), "[1,null,-3]"),
        (list(ColumnType::Boolean), text("{t,f}"), "[true,false]"),
        (list(ColumnType::Date), text(r#"{1970-01-02,"0001-12-31 BC"}"#), "[1,-719163]"),
        (list(ColumnType::Bytes), text(r#"{"\\x00ff"}"#), r#"["AP8="]"#),
        (list(ColumnType::Timestamp { millis: false }), text(r#"{"1970-01-01 00:00:01.5"}"#), "[1500000]"),
        (list(zoned(6)), text(r#"{"1970-01-01 01:00:01.5+01"}"#), r#"["1970-01-01T00:00:01.500000Z"]"#),
        // What the lake keeps as text on request stays text.
        (ColumnType::Date, text("infinity"), r#""infinity""#),
        (ColumnType::Text, text("1 day"), r#""1 day""#),
    ];
    for (column_type, array, expected) in cases {
        let found = shown(&column_type, Arc::clone(&array), DecimalMode::Precise);
        assert_eq!(found.as_deref(), Some(expected), "{column_type:?} {array:?}");
    }
}

#[test]
fn decimals_are_bytes_text_or_numbers() {
    let kept: ArrayRef = Arc::new(Decimal128Array::from(vec![-1_234]).with_precision_and_scale(10, 2).unwrap());
    let fixed = ColumnType::Decimal { precision: 10, scale: 2 };
    let variable = ColumnType::VariableDecimal;
    let cases: [(&ColumnType, ArrayRef, DecimalMode, Option<&str>); 9] = [
        (&fixed, Arc::clone(&kept), DecimalMode::Precise, Some(r#""+y4=""#)),
        (&fixed, Arc::clone(&kept), DecimalMode::String, Some(r#""-12.34""#)),
        (&fixed, kept, DecimalMode::Double, Some("-12.34")),
        (&fixed, text("12.34"), DecimalMode::Precise, Some(r#""BNI=""#)),
        (&variable, text("1.5"), DecimalMode::Precise, Some(r#"{"scale":1,"value":"Dw=="}"#)),
        (&variable, text("1.50"), DecimalMode::String, Some(r#""1.50""#)),
        (&variable, text("NaN"), DecimalMode::Double, Some(r#""NaN""#)),
        (&variable, text("NaN"), DecimalMode::Precise, None),
        (&fixed, text("1.234"), DecimalMode::Precise, None),
    ];
    for (column_type, array, decimal, expected) in cases {
        let found = shown(column_type, Arc::clone(&array), decimal);
        assert_eq!(found.as_deref(), expected, "{column_type:?} {array:?} {decimal:?}");
    }
}

/// What is said of a value that has no form.
fn refused(column_type: ColumnType, value: &str, decimal: DecimalMode) -> Option<String> {
    let rows = batch(vec![("_op", text("i")), ("id", text(value))]);
    let encoder = Encoder::new(table(&[("id", column_type)]), EnvelopeOptions { decimal, ..options() }, &rows.schema());
    encoder.unwrap().encode(&rows, NOW, &mut |_| Ok(())).unwrap_err().failure().hint
}

#[test]
fn a_hint_is_one_that_helps() {
    let (fixed, list) =
        (ColumnType::Decimal { precision: 10, scale: 2 }, ColumnType::Array(Box::new(ColumnType::VariableDecimal)));
    for (column_type, value, decimal, expected) in [
        (fixed.clone(), "NaN", DecimalMode::Precise, "decimal: string"),
        (list.clone(), "{1,NaN}", DecimalMode::Precise, "decimal: string"),
        (fixed.clone(), "1.234", DecimalMode::Precise, "as_text"),
        (fixed, "***", DecimalMode::String, "as_text"),
        (ColumnType::Time { millis: false }, "***", DecimalMode::Precise, "as_text"),
        (list, "***", DecimalMode::Double, "as_text"),
    ] {
        let hint = refused(column_type.clone(), value, decimal).unwrap_or_default();
        assert!(hint.contains(expected), "{column_type:?} {value}: {hint}");
    }
}

#[test]
fn what_has_no_form_is_refused_by_name() {
    let rows = batch(vec![("_op", text("i")), ("id", text("NaN"))]);
    let columns = &[("id", ColumnType::VariableDecimal)];
    let encoder = Encoder::new(table(columns), options(), &rows.schema()).unwrap();
    let failure = encoder.encode(&rows, NOW, &mut |_| Ok(())).unwrap_err().to_string();
    assert!(failure.contains("`NaN` in column `id`"), "{failure}");
    let rows = batch(vec![("_op", text("i")), ("word", text("a"))]);
    let failure = Encoder::new(table(COLUMNS), options(), &rows.schema()).unwrap_err().failure();
    assert!(failure.message.contains("changes of public.items have no column `id`"), "{failure}");
    assert!(failure.hint.is_some_and(|hint| hint.contains("key was changed") && hint.contains("begin anew")));
}

#[test]
fn schemas_wrap_keys_and_values() {
    let rows = change("d", Some(1), None, None, None);
    let with_schemas = EnvelopeOptions { schemas: true, name: "my-shop".into(), ..options() };
    let found = messages(&rows, COLUMNS, with_schemas);
    let parsed =
        |text: &Option<String>| -> serde_json::Value { serde_json::from_str(text.as_deref().unwrap()).unwrap() };
    let key = parsed(&found[0][0]);
    let expected = serde_json::json!({
        "schema": {
            "type": "struct", "fields": [{"type": "int32", "optional": false, "field": "id"}],
            "optional": false, "name": "my_shop.public.items.Key",
        },
        "payload": {"id": 1},
    });
    assert_eq!(key, expected);
    assert_eq!(found[1], [found[0][0].clone(), None, None]);
    let value = parsed(&found[0][1]);
    assert_eq!(value["payload"]["op"], "d");
    let fields = value["schema"]["fields"].as_array().unwrap();
    let names: Vec<&str> = fields.iter().map(|field| field["field"].as_str().unwrap()).collect();
    let members: Vec<&String> = value["payload"].as_object().unwrap().keys().collect();
    assert_eq!(names, members, "schema and payload have the same members in the same order");
    let word = serde_json::json!({"type": "string", "optional": true, "field": "word"});
    assert_eq!(fields[0]["fields"][1], word);
    let source: Vec<&str> =
        fields[2]["fields"].as_array().unwrap().iter().map(|field| field["field"].as_str().unwrap()).collect();
    let members: Vec<&String> = value["payload"]["source"].as_object().unwrap().keys().collect();
    assert_eq!(source, members);
}
