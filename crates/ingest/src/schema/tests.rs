use arrow::datatypes::Schema;

use super::*;
use crate::codec::Codec;
use crate::record::RecordBuffer;

fn inferred(lines: &[&str]) -> SchemaRef {
    let mut records = RecordBuffer::default();
    lines.iter().for_each(|line| records.push_payload(0, b"", line.as_bytes()));
    infer::infer(&Codec::Json, &[], &records)
}

fn shown(schema: &Schema) -> String {
    let fields = schema.fields().iter().map(|field| format!("{}:{}", field.name(), type_name(field.data_type())));
    fields.collect::<Vec<_>>().join(" ")
}

fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Struct(fields) => {
            let inner = fields.iter().map(|field| format!("{}:{}", field.name(), type_name(field.data_type())));
            format!("{{{}}}", inner.collect::<Vec<_>>().join(","))
        }
        DataType::List(item) => format!("[{}]", type_name(item.data_type())),
        other => other.to_string(),
    }
}

#[test]
fn a_schema_is_inferred_from_what_most_records_say() {
    let check = |lines: &[&str], expected: &str| assert_eq!(shown(&inferred(lines)), expected);
    check(&[r#"{"a":1,"b":"x","c":true,"d":1.0}"#], "a:Int64 b:Utf8 c:Boolean d:Float64");
    check(&[r#"{"a":1}"#, r#"{"a":1.5}"#], "a:Float64");
    check(&[r#"{"a":null}"#, r#"{"b":[]}"#, r#"{"c":{}}"#], "");
    check(&[r#"{"a":null}"#, r#"{"a":"x"}"#], "a:Utf8");
    check(&[r#"{"a":1}"#, r#"{"a":"x"}"#, r#"{"a":2}"#], "a:Int64");
    check(&[r#"{"a":{"b":1}}"#, r#"{"a":{"c":[{"d":"x"}]}}"#], "a:{b:Int64,c:[{d:Utf8}]}");
    check(&["nonsense", "[1]", r#"{"a":1}"#], "a:Int64");
    check(&[r#"{"_offset":1,"a":1}"#], "a:Int64");
}

#[test]
fn drift_adds_and_widens_and_never_takes_away() {
    let check = |current: &[&str], new: &[&str], policy: DriftPolicy, expected: &str| {
        assert_eq!(shown(&drift::evolve(&inferred(current), &inferred(new), &policy)), expected);
    };
    let usual = DriftPolicy::default();
    let widening = DriftPolicy { widen_integers: true, ..usual };
    check(&[r#"{"a":1}"#], &[r#"{"b":"x"}"#], usual, "a:Int64 b:Utf8");
    check(&[r#"{"a":1}"#], &[r#"{"a":"x"}"#], usual, "a:Int64");
    check(&[r#"{"a":1}"#], &[r#"{"a":1.5}"#], usual, "a:Int64");
    check(&[r#"{"a":1}"#], &[r#"{"a":1.5}"#], widening, "a:Float64");
    check(&[r#"{"a":1.5}"#], &[r#"{"a":1}"#], widening, "a:Float64");
    check(&[r#"{"a":{"b":1}}"#], &[r#"{"a":{"c":1}}"#], usual, "a:{b:Int64,c:Int64}");
    check(&[r#"{"a":[{"b":1}]}"#], &[r#"{"a":[{"c":1}]}"#], usual, "a:[{b:Int64,c:Int64}]");
    check(&[r#"{"a":1}"#], &[r#"{"b":1}"#], DriftPolicy { new_fields: NewFields::Freeze, ..usual }, "a:Int64");
    check(&[r#"{"a":1}"#], &[r#"{"b":1,"c":1}"#], DriftPolicy { max_columns: 2, ..usual }, "a:Int64 b:Int64");
}

#[test]
fn nothing_to_change_gives_the_same_schema() {
    let current = inferred(&[r#"{"a":1}"#]);
    let evolved = drift::evolve(&current, &inferred(&[r#"{"a":2}"#]), &DriftPolicy::default());
    assert!(Arc::ptr_eq(&current, &evolved));
}

#[test]
fn provenance_comes_and_goes() {
    let records = inferred(&[r#"{"a":1}"#]);
    for provenance in [Provenance::Log, Provenance::File] {
        assert_eq!(without_provenance(&with_provenance(&records, provenance)), records);
    }
}
