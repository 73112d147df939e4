use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Float64Type, Schema, SchemaRef, TimeUnit};
use arrow::json::LineDelimitedWriter;
use proptest::prelude::*;

use super::*;
use crate::record::{Record, RecordBuffer};
use crate::schema::{DriftPolicy, NewFields, Provenance};
use crate::sink::Origin;

fn origin() -> Origin {
    Origin::Log { topic: "t".into(), partition: 3 }
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("score", DataType::Float64, true),
        Field::new("paid", DataType::Boolean, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
        Field::new("place", DataType::Struct(vec![Field::new("city", DataType::Utf8, true)].into()), true),
        Field::new("tags", DataType::List(Arc::new(Field::new("element", DataType::Utf8, true))), true),
    ]))
}

fn records<'a>(payloads: impl IntoIterator<Item = &'a [u8]>) -> RecordBuffer {
    let mut records = RecordBuffer::default();
    for (offset, payload) in (100..).zip(payloads) {
        records.push(Record { offset, timestamp: 5, key: b"", payload });
    }
    records
}

fn fixed() -> Decoder {
    let policy = DriftPolicy { new_fields: NewFields::Freeze, ..DriftPolicy::default() };
    Decoder::new(Codec::Json, policy, Provenance::Log, Some(schema())).unwrap()
}

/// Rows as JSON without the columns of their provenance.
fn rows(batch: &RecordBatch) -> Vec<String> {
    let own = (0..batch.num_columns() - 3).collect::<Vec<_>>();
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(&batch.project(&own).unwrap()).unwrap();
    writer.finish().unwrap();
    String::from_utf8(writer.into_inner()).unwrap().lines().map(str::to_owned).collect()
}

/// One record between two good ones: it must come out as expected and leave its neighbours alone.
fn check(payload: impl AsRef<[u8]>, expected: Result<&str, &str>) {
    let payload = payload.as_ref();
    let good: &[u8] = br#"{"id":1,"place":{"city":"x"},"tags":["a","b"]}"#;
    let shown = String::from_utf8_lossy(&payload[..payload.len().min(100)]).into_owned();
    let decoded = fixed().decode(&records([good, payload, good]), &[], &origin()).unwrap();
    let kept = r#"{"id":1,"place":{"city":"x"},"tags":["a","b"]}"#;
    match expected {
        Ok(row) => assert_eq!(rows(&decoded.rows), [kept, row, kept], "{shown}"),
        Err(reason) => {
            assert_eq!(rows(&decoded.rows), [kept, kept], "{shown}");
            let rejected = &decoded.rejected[0];
            assert!(rejected.reason.contains(reason), "{shown}: {}", rejected.reason);
            assert_eq!((rejected.offset, rejected.length), (101, payload.len() as u64));
        }
    }
}

#[test]
fn values_go_in_as_they_are() {
    check(r#"{"id":7,"name":"a","score":1.5,"paid":true}"#, Ok(r#"{"id":7,"name":"a","score":1.5,"paid":true}"#));
    check(r#" { "name" : "a" , "id" : -3 } "#, Ok(r#"{"id":-3,"name":"a"}"#));
    check(r#"{}"#, Ok("{}"));
    check(r#"{"id":null,"place":null,"tags":[]}"#, Ok(r#"{"tags":[]}"#));
    check(r#"{"id":1540919166796.0}"#, Ok(r#"{"id":1540919166796}"#));
    check(r#"{"id":1e3,"score":3}"#, Ok(r#"{"id":1000,"score":3.0}"#));
    check(r#"{"name":"\u00e9\ud83c\udfb5\n\"\/"}"#, Ok(r#"{"name":"é🎵\n\"/"}"#));
    check(r#"{"name":"a\u0000b"}"#, Ok(r#"{"name":"a\u0000b"}"#));
    check(r#"{"name":{"deep":[1,2]}}"#, Ok(r#"{"name":"{\"deep\":[1,2]}"}"#));
    check(r#"{"at":"2018-11-01T21:01:46.5Z"}"#, Ok(r#"{"at":"2018-11-01T21:01:46.500Z"}"#));
    check("\u{feff}{\"id\":1}", Ok(r#"{"id":1}"#));
    check(r#"{"n\u0061me":"x"}"#, Ok(r#"{"name":"x"}"#));
    check(r#"{"place":{"city":"y"},"tags":["c",null]}"#, Ok(r#"{"place":{"city":"y"},"tags":["c",null]}"#));
    check(r#"{"new":null,"other":[],"third":{}}"#, Ok("{}"));
}

#[test]
fn a_name_that_is_escaped_is_read_and_not_taken_as_it_stands() {
    let schema =
        Arc::new(Schema::new(vec![Field::new("a\"b", DataType::Int64, true), Field::new("c", DataType::Int64, true)]));
    let policy = DriftPolicy { new_fields: NewFields::Freeze, ..DriftPolicy::default() };
    let mut decoder = Decoder::new(Codec::Json, policy, Provenance::Log, Some(schema)).unwrap();
    let payloads: [&[u8]; 4] = [br#"{"a\"b":1,"c":2}"#, br#"{"c":3,"a\u0022b":4}"#, br#"{"a"b":5}"#, br#"{"cc":6}"#];
    let decoded = decoder.decode(&records(payloads), &[], &origin()).unwrap();
    assert_eq!(rows(&decoded.rows), [r#"{"a\"b":1,"c":2}"#, r#"{"a\"b":4,"c":3}"#]);
    let reasons: Vec<&str> = decoded.rejected.iter().map(|one| one.reason.as_ref()).collect();
    assert!(reasons[0].contains("expected `:`") && reasons[1].contains("no column"), "{reasons:?}");
}

#[test]
fn what_is_no_record_is_refused() {
    check("", Err("no JSON object"));
    check("[1]", Err("no JSON object"));
    check("{\"id\":1", Err("record ends"));
    check("{\"name\":\"abc", Err("ends inside a string"));
    check(r#"{"id":1}{"id":2}"#, Err("text after the record at byte 9"));
    check(r#"{"id":1,}"#, Err("expected a field name"));
    check(r#"{"tags":["a",]}"#, Err("expected a value"));
    check(r#"{"id":01}"#, Err("expected"));
    check(r#"{"id":+1}"#, Err("expected a value"));
    check(r#"{"id":1.}"#, Err("a digit"));
    check(r#"{"score":NaN}"#, Err("expected a value"));
    check(r#"{"score":Infinity}"#, Err("expected a value"));
    check(r#"{"score":1e400}"#, Err("out of range"));
    check(r#"{"id":1,"id":1}"#, Err("`id` is there twice"));
    check(r#"{"place":{"city":"a","city":"b"}}"#, Err("`city` is there twice"));
    check(r#"{"name":"\ud83c"}"#, Err("lone surrogate"));
    check(r#"{"name":"\udfb5\ud83c"}"#, Err("lone surrogate"));
    check(r#"{"name":"\ud83c\u0041"}"#, Err("lone surrogate"));
    check(r#"{"name":"\u12g4"}"#, Err("bad unicode escape"));
    check(r#"{"name":"\x"}"#, Err("unknown escape"));
    check(b"{\"name\":\"a\0b\"}", Err("control character"));
    check(b"{\"name\":\"\xe9\"}", Err("not UTF-8 at byte 10"));
    check(b"\xff\xfe{\0\"\0", Err("UTF-16"));
    check(format!("{{\"new\":{}", "[".repeat(100_000)), Err("nested deeper"));
    check("{\"new\":".repeat(100_000), Err("nested deeper"));
    check(r#"{"_offset":1}"#, Err("reserved"));
    check(r#"{"_Offset":1}"#, Err("reserved"));
}

#[test]
fn values_of_another_type_are_refused() {
    check(r#"{"id":1.5}"#, Err("`id` holds integers, found 1.5"));
    check(r#"{"id":9223372036854775808}"#, Err("`id` holds integers"));
    check(r#"{"id":90071992547409930.0}"#, Err("`id` holds integers"));
    check(r#"{"id":"1"}"#, Err("found text"));
    check(r#"{"name":1}"#, Err("`name` holds text, found a number"));
    check(r#"{"paid":"true"}"#, Err("found text"));
    check(r#"{"place":[1]}"#, Err("`place` holds objects, found an array"));
    check(r#"{"tags":["a",{"b":1},3]}"#, Err("found a number"));
    check(r#"{"at":"yesterday"}"#, Err("no timestamp"));
    check(r#"{"at":12}"#, Err("`at` holds timestamps"));
    check(r#"{"new":1}"#, Err("`new` has no column"));
    check(r#"{"place":{"zip":1}}"#, Err("`zip` has no column"));
}

#[test]
fn a_million_keys_and_a_big_string_are_only_data() {
    let keys: Vec<String> = (0..200_000).map(|n| format!("\"k{n}\":null")).collect();
    check(format!("{{{}}}", keys.join(",")), Ok("{}"));
    let text = "x".repeat(8 << 20);
    check(format!("{{\"name\":\"{text}\"}}"), Ok(&format!("{{\"name\":\"{text}\"}}")));
}

#[test]
fn rows_say_where_they_came_from() {
    let batch = fixed().decode(&records([&b"{}"[..], b"x", b"{}"]), &[], &origin()).unwrap();
    let column = |name: &str| {
        format!("{:?}", batch.rows.column_by_name(name).unwrap().to_data().buffers()[0].typed_data::<u8>())
    };
    assert_eq!(batch.rows.num_rows(), 2);
    assert_eq!(column("_partition"), format!("{:?}", [3_u8, 0, 0, 0, 3, 0, 0, 0]));
    let offsets = batch.rows.column_by_name("_offset").unwrap().to_data();
    assert_eq!(offsets.buffers()[0].typed_data::<i64>(), [100, 102]);
    let times = batch.rows.column_by_name("_timestamp").unwrap().to_data();
    assert_eq!(times.buffers()[0].typed_data::<i64>(), [5_000, 5_000]);
    assert_eq!(batch.rejected[0].origin, origin());
}

fn evolving(codec: Codec, policy: DriftPolicy) -> Decoder {
    Decoder::new(codec, policy, Provenance::Log, None).unwrap()
}

#[test]
fn new_fields_become_columns_and_lose_no_record() {
    let mut decoder = evolving(Codec::Json, DriftPolicy::default());
    decoder.decode(&records([&br#"{"a":1}"#[..]]), &[], &origin()).unwrap();
    let next = records([&br#"{"a":2,"b":"x"}"#[..], br#"{"a":3,"c":{"d":[1]}}"#, br#"{"a":"no"}"#]);
    let decoded = decoder.decode(&next, &[], &origin()).unwrap();
    assert_eq!(rows(&decoded.rows), [r#"{"a":2,"b":"x"}"#, r#"{"a":3,"c":{"d":[1]}}"#]);
    assert_eq!(decoded.rejected.len(), 1);
    assert_eq!(decoded.rows.schema(), decoder.table_schema().unwrap());
}

#[test]
fn integers_widen_to_floats_only_where_allowed() {
    let check = |widen_integers, expected: &[&str]| {
        let mut decoder = evolving(Codec::Json, DriftPolicy { widen_integers, ..DriftPolicy::default() });
        decoder.decode(&records([&br#"{"a":1}"#[..]]), &[], &origin()).unwrap();
        let decoded = decoder.decode(&records([&br#"{"a":2}"#[..], br#"{"a":2.5}"#]), &[], &origin()).unwrap();
        assert_eq!(rows(&decoded.rows), expected);
    };
    check(true, &[r#"{"a":2.0}"#, r#"{"a":2.5}"#]);
    check(false, &[r#"{"a":2}"#]);
}

#[test]
fn records_beyond_the_column_limit_are_refused_not_thinned() {
    let mut decoder = evolving(Codec::Json, DriftPolicy { max_columns: 2, ..DriftPolicy::default() });
    let all = records([&br#"{"a":1}"#[..], br#"{"b":1}"#, br#"{"c":1}"#, br#"{"a":2}"#]);
    let decoded = decoder.decode(&all, &[], &origin()).unwrap();
    assert_eq!(rows(&decoded.rows), [r#"{"a":1}"#, r#"{"b":1}"#, r#"{"a":2}"#]);
    assert_eq!(decoded.rejected[0].reason, "field `c` has no column and none can be added");
}

#[test]
fn fields_that_differ_only_by_case_are_one_column() {
    let check = |new_fields, expected: &[&str], refused: &[&str]| {
        let mut decoder = evolving(Codec::Json, DriftPolicy { new_fields, ..DriftPolicy::default() });
        let all = [
            &br#"{"Id":1,"place":{"x":1}}"#[..],
            br#"{"id":2}"#,
            br#"{"Id":3,"place":{"X":2}}"#,
            br#"{"Id":4,"places":[{"Y":1,"y":2}]}"#,
            br#"{"Id":5}"#,
        ];
        let decoded = decoder.decode(&records(all), &[], &origin()).unwrap();
        assert_eq!(rows(&decoded.rows), expected);
        let reasons: Vec<&str> = decoded.rejected.iter().map(|record| record.reason.as_str()).collect();
        assert_eq!(reasons, refused);
    };
    check(
        NewFields::Evolve,
        &[r#"{"Id":1,"place":{"x":1}}"#, r#"{"Id":5}"#],
        &[
            "field `id` differs only by case from column `Id`",
            "field `X` differs only by case from column `x`",
            "field `y` differs only by case from column `Y`",
        ],
    );
}

#[test]
fn delimited_rows_get_types_and_reasons() {
    let header: Vec<String> = ["id", "zip", "name", "score", "ok"].map(str::to_owned).to_vec();
    let mut decoder = evolving(Codec::Delimited(Delimiters::default()), DriftPolicy::default());
    let all = records([
        &b"1,01234,\"a \"\"b\"\",\nc\",1.5,true"[..],
        b"2,90210,,2,false",
        b"3,1,\"\",,",
        b"4,1",
        b"5,1,\"x,1,true",
        b"6,1,\"x\"y,1,true",
        b"x,1,a,1,true",
        b"7,1,\xe9,1,true",
        b"8,1,a\0,1,true",
    ]);
    let decoded = decoder.decode(&all, &header, &origin()).unwrap();
    let expected = [
        r#"{"id":1,"zip":"01234","name":"a \"b\",\nc","score":1.5,"ok":true}"#,
        r#"{"id":2,"zip":"90210","score":2.0,"ok":false}"#,
        r#"{"id":3,"zip":"1","name":""}"#,
    ];
    let reasons: Vec<&str> = decoded.rejected.iter().map(|rejected| rejected.reason.as_str()).collect();
    assert_eq!(rows(&decoded.rows), expected);
    assert_eq!(reasons.len(), 6);
    for (reason, part) in reasons.iter().zip(["2 fields", "never closed", "after a closing", "found", "UTF-8", "NUL"]) {
        assert!(reason.contains(part), "{reason}");
    }
    let later = decoder.decode(&records([&b"09,1,a,1,true"[..]]), &header, &origin()).unwrap();
    assert_eq!(later.rejected[0].reason, "field `id` holds integers, found a code with a leading zero");
}

#[test]
fn a_row_with_more_values_than_its_header_has_names_is_refused_whatever_the_policy() {
    let header = ["id".to_owned()];
    for new_fields in [NewFields::Evolve, NewFields::Freeze, NewFields::Discard, NewFields::Fail] {
        let mut decoder =
            evolving(Codec::Delimited(Delimiters::default()), DriftPolicy { new_fields, ..DriftPolicy::default() });
        let decoded = decoder.decode(&records([&b"1"[..], b"2,more", b"3"]), &header, &origin()).unwrap();
        assert_eq!(rows(&decoded.rows), [r#"{"id":1}"#, r#"{"id":3}"#]);
        assert!(decoded.rejected[0].reason.contains("2 fields"), "{:?}", decoded.rejected);
    }
}

#[test]
fn text_lines_are_one_column() {
    let mut decoder = evolving(Codec::Text, DriftPolicy::default());
    let decoded = decoder.decode(&records([&b"a b"[..], b"\xff"]), &[], &origin()).unwrap();
    assert_eq!(rows(&decoded.rows), [r#"{"line":"a b"}"#]);
    assert_eq!(decoded.rejected.len(), 1);
}

#[test]
fn types_no_codec_fills_are_refused_with_the_column() {
    let schema = Schema::new(vec![Field::new("amount", DataType::Float16, true)]);
    let error = Decoder::new(Codec::Json, DriftPolicy::default(), Provenance::Log, Some(Arc::new(schema))).unwrap_err();
    assert!(error.to_string().contains("`amount`"));
}

/// Splits at every chunk size and expects `line: text` for each record, `line! reason` for each that was given up.
fn check_framing(framing: Framing, input: &[u8], limit: usize, expected: &[&str]) {
    for chunk in [1, 2, 3, 7, input.len().max(1)] {
        let mut splitter = Splitter::new(framing, limit);
        let mut records = RecordBuffer::default();
        input.chunks(chunk).for_each(|chunk| splitter.feed(chunk, 0, &mut records));
        splitter.finish(0, &mut records);
        let kept = records
            .iter()
            .map(|record| (record.offset, format!("{}: {}", record.offset, String::from_utf8_lossy(record.payload))));
        let lost =
            splitter.take_unframed().into_iter().map(|lost| (lost.line, format!("{}! {}", lost.line, lost.reason)));
        let mut found: Vec<(i64, String)> = kept.chain(lost).collect();
        found.sort();
        let found: Vec<String> = found.into_iter().map(|(_, text)| text).collect();
        assert_eq!(found, expected, "chunks of {chunk}");
    }
}

#[test]
fn lines_are_cut_and_counted() {
    check_framing(Framing::Lines, b"a\nb\r\n\n \nc", 100, &["1: a", "2: b", "5: c"]);
    check_framing(Framing::Lines, b"", 100, &[]);
    check_framing(Framing::Lines, b"\n\n", 100, &[]);
    check_framing(Framing::Lines, b"aa\nbbbbbbbbb\ncc\n", 4, &["1: aa", "2! record is too long", "3: cc"]);
    check_framing(Framing::Lines, b"bbbbbbbbb", 4, &["1! record is too long"]);
}

#[test]
fn rows_keep_line_ends_inside_quotes() {
    let rows = Framing::Rows { quote: b'"' };
    check_framing(rows, b"a,\"x\ny\"\r\nb\n", 100, &["1: a,\"x\ny\"", "3: b"]);
    check_framing(rows, b"a\n\"x\nb\nc\n", 100, &["1: a", "2! quote is never closed", "3: b", "4: c"]);
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        (-1e15_f64..1e15).prop_map(|number| serde_json::json!(number)),
        ".{0,12}".prop_map(Into::into),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(serde_json::Value::Array),
            prop::collection::btree_map("[a-d]", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// Lines of what is left of the text after each record before, one record after the other.
fn rows_of(mut text: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let mut line = 1;
    while !text.is_empty() {
        let ends = text.match_indices('\n').map(|(place, _)| place).chain([text.len()]);
        let whole = ends.clone().find(|end| text[..*end].matches('"').count().is_multiple_of(2));
        // A quote that is never closed costs its own line.
        let end = whole.or_else(|| ends.clone().next()).unwrap();
        match whole {
            Some(end) if text[..end].trim_ascii().is_empty() => {}
            Some(end) => rows.push(format!("{line}: {}", text[..end].strip_suffix('\r').unwrap_or(&text[..end]))),
            None => rows.push(format!("{line}! quote is never closed")),
        }
        line += text[..end].matches('\n').count() + 1;
        text = text.get(end + 1..).unwrap_or_default();
    }
    rows
}

proptest! {
    #[test]
    fn rows_are_cut_alike_however_they_come(text in "[ab,\"\r\n]{0,60}") {
        let expected = rows_of(&text);
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        check_framing(Framing::Rows { quote: b'"' }, text.as_bytes(), 1000, &expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever comes, each record is either a row or rejected, and nothing panics.
    #[test]
    fn every_record_is_a_row_or_rejected(
        objects in prop::collection::vec(prop::collection::btree_map("[a-f]", any_json(), 0..5), 1..12),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let mut lines: Vec<Vec<u8>> = objects.iter().map(|object| serde_json::to_vec(object).unwrap()).collect();
        for (at, byte) in damage {
            let line = at.index(lines.len());
            let place = at.index(lines[line].len());
            lines[line][place] = byte;
        }
        let mut decoder = evolving(Codec::Json, DriftPolicy { widen_integers: true, ..DriftPolicy::default() });
        for batch in lines.chunks(4) {
            let decoded = decoder.decode(&records(batch.iter().map(Vec::as_slice)), &[], &origin()).unwrap();
            prop_assert_eq!(decoded.rows.num_rows() + decoded.rejected.len(), batch.len());
        }
    }

    /// A single object of our own types comes back as it was.
    #[test]
    fn what_is_decoded_is_what_was_written(id in any::<i64>(), name in ".{0,40}", score in any::<f64>(), paid in any::<bool>()) {
        prop_assume!(score.is_finite());
        let text = serde_json::json!({"id": id, "name": name, "score": score, "paid": paid}).to_string();
        let decoded = fixed().decode(&records([text.as_bytes()]), &[], &origin()).unwrap();
        let back: serde_json::Value = serde_json::from_str(&rows(&decoded.rows)[0]).unwrap();
        prop_assert_eq!(&back["id"], &serde_json::json!(id));
        prop_assert_eq!(&back["name"], &serde_json::json!(name));
        let scores = decoded.rows.column_by_name("score").unwrap().as_primitive::<Float64Type>();
        prop_assert_eq!(scores.value(0).to_bits(), score.to_bits());
        prop_assert_eq!(&back["paid"], &serde_json::json!(paid));
    }
}

#[test]
fn declared_decimals_take_what_they_hold_exactly() {
    let schema = Arc::new(Schema::new(vec![Field::new("amount", DataType::Decimal128(6, 2), true)]));
    let check = |value: &str, expected: Result<&str, &str>| {
        let mut decoder =
            Decoder::new(Codec::Json, DriftPolicy::default(), Provenance::Log, Some(Arc::clone(&schema))).unwrap();
        let payload = format!(r#"{{"amount":{value}}}"#);
        let decoded = decoder.decode(&records([payload.as_bytes()]), &[], &origin()).unwrap();
        match expected {
            Ok(expected) => {
                let shown = arrow::util::display::array_value_to_string(decoded.rows.column(0), 0).unwrap();
                assert_eq!(shown, expected, "{value}");
            }
            Err(reason) => {
                assert!(decoded.rejected[0].reason.contains(reason), "{value}: {}", decoded.rejected[0].reason);
            }
        }
    };
    check("12.3", Ok("12.30"));
    check("-0.05", Ok("-0.05"));
    check("1e3", Ok("1000.00"));
    check("1.2300", Ok("1.23"));
    check("125e-1", Ok("12.50"));
    check("0", Ok("0.00"));
    check("0.000", Ok("0.00"));
    check(r#""9999.99""#, Ok("9999.99"));
    check("0.001", Err("no decimal(6, 2)"));
    check("10000", Err("no decimal(6, 2)"));
    check("1e400", Err("no decimal(6, 2)"));
    check("1e-999999999999", Err("no decimal(6, 2)"));
    check(r#""x""#, Err("no decimal(6, 2)"));
    check("true", Err("found a boolean"));
}

fn decoded_with(new_fields: NewFields, payloads: &[&str]) -> Result<Decoded, crate::Error> {
    let schema = Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("place", DataType::Struct(vec![Field::new("city", DataType::Utf8, true)].into()), true),
        Field::new(
            "items",
            DataType::List(Arc::new(Field::new(
                "element",
                DataType::Struct(vec![Field::new("n", DataType::Int64, true)].into()),
                true,
            ))),
            true,
        ),
    ]);
    let policy = DriftPolicy { new_fields, ..DriftPolicy::default() };
    let mut decoder = Decoder::new(Codec::Json, policy, Provenance::Log, Some(Arc::new(schema))).unwrap();
    decoder.decode(&records(payloads.iter().map(|payload| payload.as_bytes())), &[], &origin())
}

#[test]
fn new_fields_become_columns_or_are_refused_kept_apart_or_fatal() {
    let payloads = [r#"{"id":1}"#, r#"{"id":2,"new":"x","nothing":null}"#, r#"{"id":3}"#];
    let evolved = decoded_with(NewFields::Evolve, &payloads).unwrap();
    assert_eq!(rows(&evolved.rows), [r#"{"id":1}"#, r#"{"id":2,"new":"x"}"#, r#"{"id":3}"#]);
    let frozen = decoded_with(NewFields::Freeze, &payloads).unwrap();
    assert_eq!(rows(&frozen.rows), [r#"{"id":1}"#, r#"{"id":3}"#]);
    assert!(frozen.rejected[0].reason.contains("`new` has no column"));
    assert_eq!(frozen.accepted, [0, 2]);
    let kept = decoded_with(NewFields::Discard, &payloads).unwrap();
    assert_eq!(rows(&kept.rows), [r#"{"id":1}"#, r#"{"id":2,"_overflow":"{\"new\":\"x\"}"}"#, r#"{"id":3}"#]);
    let failed = decoded_with(NewFields::Fail, &payloads).unwrap_err();
    assert!(failed.to_string().contains("`new`"), "{failed}");
    assert!(decoded_with(NewFields::Fail, &[r#"{"id":1,"nothing":null}"#]).is_ok());
}

#[test]
fn nested_fields_without_a_column_are_kept_by_their_path() {
    let check = |payload: &str, expected: Option<&str>| {
        let decoded = decoded_with(NewFields::Discard, &[payload, r#"{"id":0}"#]).unwrap();
        let overflow = decoded.rows.column_by_name("_overflow").unwrap().as_string::<i32>().clone();
        assert_eq!(overflow.iter().collect::<Vec<_>>(), [expected, None], "{payload}");
    };
    check(r#"{"place":{"city":"a","zip":"8001"}}"#, Some(r#"{"place.zip":"8001"}"#));
    check(r#"{"items":[{"n":1,"x":1},{"x":[2, {"y":3}]}]}"#, Some(r#"{"items.0.x":1,"items.1.x":[2, {"y":3}]}"#));
    check(r#"{"a":1,"place":{"b":{}, "c":{"d":1}},"e\"f":1.50}"#, Some(r#"{"a":1,"place.c":{"d":1},"e\"f":1.50}"#));
    check(r#"{"id":1}"#, None);
    // What a refused record held goes with it.
    let decoded = decoded_with(NewFields::Discard, &[r#"{"a":1,"id":"x"}"#, r#"{"id":1}"#]).unwrap();
    assert_eq!(rows(&decoded.rows), [r#"{"id":1}"#]);
    let reserved = decoded_with(NewFields::Discard, &[r#"{"_overflow":"{}"}"#]).unwrap();
    assert!(reserved.rejected[0].reason.contains("reserved"));
}
