use std::sync::Arc;

use arrow::json::LineDelimitedWriter;

use super::*;
use crate::codec::{Codec, Decoder};
use crate::schema::{DriftPolicy, Provenance};
use crate::sink::Origin;

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 0x7F {
        out.push((value & 0x7F) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

fn number(field: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(field) << 3), varint(value)].concat()
}

fn bytes(field: u32, value: &[u8]) -> Vec<u8> {
    [varint(u64::from(field) << 3 | 2), varint(value.len() as u64), value.to_vec()].concat()
}

fn text(field: u32, value: &str) -> Vec<u8> {
    bytes(field, value.as_bytes())
}

fn fixed64(field: u32, value: u64) -> Vec<u8> {
    [varint(u64::from(field) << 3 | 1), value.to_le_bytes().to_vec()].concat()
}

fn fixed32(field: u32, value: u32) -> Vec<u8> {
    [varint(u64::from(field) << 3 | 5), value.to_le_bytes().to_vec()].concat()
}

fn group(field: u32, inside: &[u8]) -> Vec<u8> {
    [varint(u64::from(field) << 3 | 3), inside.to_vec(), varint(u64::from(field) << 3 | 4)].concat()
}

/// A record of the first message of schema 1.
fn record(parts: &[Vec<u8>]) -> Vec<u8> {
    framed_record(1, &[0], parts)
}

fn framed_record(id: u32, path: &[u8], parts: &[Vec<u8>]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), path, &parts.concat()].concat()
}

/// The rows of these records as JSON lines, without their provenance, and the reasons of those refused.
fn check(schemas: &[&str], records: &[Vec<u8>], rows: &[&str], reasons: &[&str]) {
    let known = Arc::new(Schemas::default());
    for (id, text) in (1..).zip(schemas) {
        known.learn(id, Schema::compile(text, vec![("other.proto".to_owned(), OTHER.to_owned())]));
    }
    let mut decoder = Decoder::new(Codec::Protobuf(known), DriftPolicy::default(), Provenance::Log, None).unwrap();
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

const OTHER: &str = r#"syntax = "proto3"; package other; message Place { string city = 1; }"#;

#[test]
fn every_scalar_has_its_column() {
    let schema = r#"syntax = "proto3";
        message All {
          double a = 1; float b = 2; int32 c = 3; int64 d = 4; uint32 e = 5; uint64 f = 6; sint32 g = 7; sint64 h = 8;
          fixed32 i = 9; fixed64 j = 10; sfixed32 k = 11; sfixed64 l = 12; bool m = 13; string n = 14; bytes o = 15;
        }"#;
    let minus = (-1_i64).cast_unsigned();
    let full = record(&[
        fixed64(1, 1.5_f64.to_bits()),
        fixed32(2, 0.25_f32.to_bits()),
        number(3, minus),
        number(4, minus),
        number(5, u64::from(u32::MAX)),
        number(6, u64::MAX),
        number(7, 1),
        number(8, 3),
        fixed32(9, u32::MAX),
        fixed64(10, u64::MAX),
        fixed32(11, u32::MAX),
        fixed64(12, u64::MAX),
        number(13, 1),
        text(14, "ä"),
        bytes(15, &[1, 255]),
    ]);
    check(
        &[schema],
        &[full, record(&[])],
        &[
            r#"{"a":1.5,"b":0.25,"c":-1,"d":-1,"e":4294967295,"f":18446744073709551615,"g":-1,"h":-2,"i":4294967295,"j":18446744073709551615,"k":-1,"l":-1,"m":true,"n":"ä","o":"01ff"}"#,
            r#"{"a":0.0,"b":0.0,"c":0,"d":0,"e":0,"f":0,"g":0,"h":0,"i":0,"j":0,"k":0,"l":0,"m":false,"n":"","o":""}"#,
        ],
        &[],
    );
}

#[test]
fn messages_lists_maps_and_choices_are_columns() {
    let schema = r#"syntax = "proto3"; import "other.proto";
        enum State { NEW = 0; PAID = 3; ALSO_PAID = 4; }
        message Order {
          int64 id = 1; State state = 2; other.Place place = 3; repeated int32 packed = 4; repeated int32 single = 5 [packed = false];
          map<string, int64> amounts = 6; oneof pay { string card = 7; other.Place cash = 8; } optional int32 maybe = 9;
          repeated Line lines = 10; message Line { string sku = 1; int32 count = 2; } repeated State states = 11;
        }"#;
    let full = record(&[
        number(1, 7),
        number(2, 3),
        bytes(3, &text(1, "Ulm")),
        bytes(4, &[1, 2, 0x96, 1]),
        number(4, 9),
        number(5, 1),
        bytes(5, &[2, 3]),
        bytes(6, &[text(1, "k"), number(2, 5)].concat()),
        bytes(6, &number(2, 6)),
        bytes(8, &[]),
        number(9, 0),
        bytes(10, &[text(1, "a"), number(2, 2)].concat()),
        bytes(10, &[]),
        bytes(11, &[3, 99]),
    ]);
    let nothing = r#"{"id":0,"state":"NEW","packed":[],"single":[],"amounts":[],"lines":[],"states":[]}"#;
    check(
        &[schema],
        &[full, record(&[])],
        &[
            r#"{"id":7,"state":"PAID","place":{"city":"Ulm"},"packed":[1,2,150,9],"single":[1,2,3],"amounts":[{"key":"k","value":5},{"key":"","value":6}],"cash":{"city":""},"maybe":0,"lines":[{"sku":"a","count":2},{"sku":"","count":0}],"states":["PAID","99"]}"#,
            nothing,
        ],
        &[],
    );
}

#[test]
fn order_and_repetition_on_the_wire_mean_what_they_do_in_protobuf() {
    let schema = r#"syntax = "proto3";
        message A { int32 n = 1; repeated string tags = 2; B b = 3; } message B { int32 x = 1; repeated int32 y = 2; C c = 3; } message C { string z = 1; }"#;
    let mixed = record(&[
        text(2, "one"),
        bytes(3, &[number(1, 1), number(2, 1), bytes(3, &text(1, "first"))].concat()),
        number(1, 5),
        text(2, "two"),
        number(900, 1),
        group(901, &[number(1, 1), group(2, &text(3, "x"))].concat()),
        bytes(3, &[number(2, 2), bytes(3, &text(1, "last"))].concat()),
        number(1, 6),
    ]);
    check(&[schema], &[mixed], &[r#"{"n":6,"tags":["one","two"],"b":{"x":1,"y":[1,2],"c":{"z":"last"}}}"#], &[]);
}

#[test]
fn the_second_syntax_has_defaults_required_fields_and_groups() {
    let schema = r#"syntax = "proto2";
        message Old {
          required int32 id = 1; optional string word = 2 [default = "none"]; optional int32 plain = 3;
          optional Kind kind = 4 [default = B]; repeated group Item = 5 { optional int32 n = 1; }
        }
        enum Kind { A = 0; B = 1; }"#;
    check(
        &[schema],
        &[
            record(&[number(1, 1)]),
            record(&[number(1, 2), text(2, "w"), number(3, 0), number(4, 0), group(5, &number(1, 8)), group(5, &[])]),
            record(&[text(2, "w")]),
        ],
        &[
            r#"{"id":1,"word":"none","kind":"B","item":[]}"#,
            r#"{"id":2,"word":"w","plain":0,"kind":"A","item":[{"n":8},{}]}"#,
        ],
        &["field `id` is required and not there"],
    );
}

#[test]
fn messages_of_google_are_the_values_they_stand_for() {
    let schema = r#"syntax = "proto3";
        import "google/protobuf/timestamp.proto"; import "google/protobuf/duration.proto"; import "google/protobuf/wrappers.proto";
        import "google/protobuf/struct.proto"; import "google/protobuf/empty.proto"; import "google/protobuf/any.proto";
        import "confluent/meta.proto"; import "confluent/type/decimal.proto";
        message W {
          google.protobuf.Timestamp at = 1; google.protobuf.Duration took = 2; google.protobuf.Int64Value count = 3;
          google.protobuf.StringValue word = 4; google.protobuf.Struct more = 5; google.protobuf.Empty yes = 6;
          google.protobuf.Any any = 7; int32 noted = 8 [(confluent.field_meta).doc = "x"]; confluent.type.Decimal price = 9;
          google.protobuf.Value loose = 10; google.protobuf.UInt64Value large = 11;
        }"#;
    let entry = |key: &str, value: Vec<u8>| bytes(1, &[text(1, key), bytes(2, &value)].concat());
    let list = bytes(1, &[bytes(1, &number(4, 1)), bytes(1, &number(1, 0))].concat());
    let more =
        [entry("n", fixed64(2, 1.5_f64.to_bits())), entry("l", bytes(6, &list[2..])), entry("s", text(3, "a\"b"))];
    let full = record(&[
        bytes(1, &[number(1, 1), number(2, 500_000_999)].concat()),
        bytes(2, &[number(1, (-1_i64).cast_unsigned()), number(2, i64::from(-500_000_000).cast_unsigned())].concat()),
        bytes(3, &number(1, 4)),
        bytes(4, &[]),
        bytes(5, &more.concat()),
        bytes(6, &[]),
        bytes(7, &text(1, "type")),
        number(8, 2),
        bytes(10, &text(3, "x")),
        bytes(11, &number(1, 9)),
    ]);
    check(
        &[schema],
        &[full, record(&[bytes(1, &number(2, 2_000_000_000))]), record(&[bytes(2, &number(1, 400_000_000_000))])],
        &[
            r#"{"at":"1970-01-01T00:00:01.500Z","took":-1.500000000,"count":4,"word":"","more":"{\"n\":1.5,\"l\":[true,null],\"s\":\"a\\\"b\"}","yes":true,"any":{"type_url":"type","value":""},"noted":2,"loose":"\"x\"","large":9}"#,
        ],
        &[
            "a time of 0 seconds and 2000000000 nanoseconds is out of range",
            "a duration of 400000000000 seconds and 0 nanoseconds is out of range",
        ],
    );
}

#[test]
fn what_contains_itself_is_text_from_there_on() {
    let schema = r#"syntax = "proto3";
        message Node { int32 n = 1; repeated Node below = 2; map<string, Node> named = 3; bytes raw = 4; Kind kind = 5; repeated int64 many = 6; }
        enum Kind { A = 0; B = 1; }"#;
    let leaf = [number(1, 3), bytes(4, &[1, 2, 3, 4]), number(5, 1), bytes(6, &[1, 2])].concat();
    let inner = [number(1, 2), bytes(2, &leaf), bytes(3, &[text(1, "k"), bytes(2, &number(1, 9))].concat())].concat();
    check(
        &[schema],
        &[record(&[number(1, 1), bytes(2, &inner), bytes(2, &[])])],
        &[
            r#"{"n":1,"below":["{\"n\":2,\"below\":[{\"n\":3,\"raw\":\"AQIDBA==\",\"kind\":\"B\",\"many\":[1,2]}],\"named\":{\"k\":{\"n\":9}}}","{}"],"named":[],"raw":"","kind":"A","many":[]}"#,
        ],
        &[],
    );
    let mut deep = number(1, 1);
    for _ in 0..80 {
        deep = bytes(2, &deep);
    }
    check(&[schema], &[record(&[deep])], &[], &["nested deeper than 64 levels"]);
}

#[test]
fn the_message_is_the_one_that_the_record_names() {
    let schema = r#"syntax = "proto3";
        message First { int32 a = 1; }
        message Second { map<string, int32> m = 1; message Inner { int32 b = 1; } message Other { int32 c = 1; } }"#;
    let newer = r#"syntax = "proto3"; message First { int32 a = 1; string later = 2; }"#;
    check(
        &[schema, newer],
        &[
            record(&[number(1, 1)]),
            framed_record(1, &[2, 0], &[number(1, 2)]),
            framed_record(1, &[4, 2, 2], &[number(1, 3)]),
            framed_record(2, &[0], &[number(1, 4)]),
            framed_record(1, &[2, 8], &[]),
            framed_record(1, &[0x7F], &[]),
        ],
        &[r#"{"a":1}"#, r#"{"a":2}"#, r#"{"c":3}"#, r#"{"a":4,"later":""}"#],
        &["schema has no message at [4]", "record says that its message is inside of -64 others"],
    );
}

#[test]
fn bytes_that_do_not_add_up_are_refused_and_leave_nothing() {
    let schema = r#"syntax = "proto3"; message A { int32 n = 1; string s = 2; repeated B b = 3; repeated fixed32 f = 4; } message B { int32 x = 1; }"#;
    let good = record(&[number(1, 1), text(2, "ok"), bytes(3, &number(1, 2))]);
    let cases: &[(Vec<u8>, &str)] = &[
        (vec![8], "record ends inside a value"),
        (vec![8, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 1], "an integer is longer than 64 bits"),
        (vec![18, 200, 1, b'x'], "a length of 200 where 1 bytes of the record are left"),
        ([number(1, 5), text(2, "gone"), bytes(3, &[8])].concat(), "record ends inside a value"),
        (bytes(2, &[0xFF, 0xFE]), "text is not UTF-8"),
        (number(2, 1), "field `s` holds text, found a varint"),
        (text(1, "x"), "field `n` holds integers, found bytes after their length"),
        (bytes(4, &[1, 2, 3]), "record ends inside a value"),
        (vec![0, 1], "0 is no number of a field"),
        (vec![15], "7 is no type of the wire"),
        (vec![12], "a group 1 ends that did not begin"),
        (vec![11, 8, 1], "record ends inside a value"),
        (vec![11, 20], "a group 2 ends that did not begin"),
        (vec![11; 100], "groups nested deeper than 64 levels"),
    ];
    let records: Vec<Vec<u8>> =
        cases.iter().map(|(body, _)| record(std::slice::from_ref(body))).chain([good]).collect();
    let reasons: Vec<&str> = cases.iter().map(|(_, reason)| *reason).collect();
    check(&[schema], &records, &[r#"{"n":1,"s":"ok","b":[{"x":2}],"f":[]}"#], &reasons);
}

#[test]
fn a_short_record_cannot_unfold_to_any_size() {
    let fields: String = (1..900).map(|n| format!("int32 f{n} = {n};")).collect();
    let schema = format!(r#"syntax = "proto3"; message A {{ repeated B b = 1; }} message B {{ {fields} }}"#);
    let many = record(&[bytes(1, &[]).repeat(10_000)]);
    check(&[&schema], &[many], &[], &["the lists of the record unfold to more than 4194304 values"]);
}

#[test]
fn schemas_that_do_not_compile_say_why() {
    let nested = format!(r#"syntax = "proto3"; {} {}"#, "message A {".repeat(70), "}".repeat(70));
    let wide: String = (0..1001).map(|n| format!("int32 f{n} = {};", n + 1)).collect();
    let wide = format!(r#"syntax = "proto3"; message A {{ {wide} }}"#);
    let cases = [
        (
            r#"syntax = "proto3"; message A { Nowhere n = 1; }"#,
            "schema does not compile: name 'Nowhere' is not defined",
        ),
        (
            r#"syntax = "proto3"; import "absent.proto"; message A {}"#,
            "schema does not compile: import 'absent.proto' not found",
        ),
        (nested.as_str(), "schema is nested deeper than 64 levels"),
        (wide.as_str(), "schema has more than 1000 fields, nested ones counted"),
    ];
    for (text, expected) in cases {
        check(&[text], &[record(&[])], &[], &[expected]);
    }
}

mod any_bytes {
    use proptest::prelude::*;

    use super::*;

    const SCHEMA: &str = r#"syntax = "proto3"; import "google/protobuf/timestamp.proto"; import "google/protobuf/struct.proto";
        message A {
          int32 n = 1; string s = 2; A inner = 3; repeated sint64 many = 4; map<string, B> named = 5; oneof one { double d = 6; B b = 7; }
          google.protobuf.Timestamp at = 8; google.protobuf.Value any = 9; repeated B list = 10; fixed32 f = 11; bytes raw = 12;
        }
        message B { uint64 x = 1; repeated bool flags = 2; A back = 3; }"#;

    /// Tags of fields that are there, lengths that nearly fit, and anything else.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let small = proptest::collection::vec(any::<u8>(), 0..12);
        let tagged = (1_u8..14, 0_u8..6, 0_u8..9, small.clone())
            .prop_map(|(field, kind, length, rest)| [&[field << 3 | kind, length][..], &rest].concat());
        prop_oneof![3 => tagged, 1 => small]
    }

    proptest! {
        #[test]
        fn are_a_row_or_refused_and_the_rows_around_stay(pieces in proptest::collection::vec(piece(), 0..8)) {
            let known = Arc::new(Schemas::default());
            known.learn(1, Schema::compile(SCHEMA, Vec::new()));
            let mut decoder = Decoder::new(Codec::Protobuf(known), DriftPolicy::default(), Provenance::Log, None).unwrap();
            let mut buffer = RecordBuffer::default();
            let good = record(&[number(1, 5), bytes(10, &number(1, 6))]);
            for payload in [&good, &record(&pieces), &good] {
                buffer.push_payload(0, b"", payload);
            }
            let origin = Origin::Log { topic: "t".into(), partition: 0 };
            let decoded = decoder.decode(&buffer, &[], &origin).unwrap();
            prop_assert_eq!(decoded.rows.num_rows() + decoded.rejected.len(), 3);
            let last = decoded.rows.num_rows() - 1;
            let (first, last) = (decoded.rows.slice(0, 1), decoded.rows.slice(last, 1));
            prop_assert_eq!(first.column(0), last.column(0));
            for column in decoded.rows.columns() {
                prop_assert!(column.to_data().validate_full().is_ok());
            }
        }
    }
}
