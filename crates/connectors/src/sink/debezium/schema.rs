//! Schemas as the JSON converter writes them around keys and values.

use serde_json::{Value, json};

use super::Column;
use super::shape::{ColumnType, DecimalMode, EnvelopeOptions, SourceTable};

/// Names of schemas have letters, digits and `_` only.
fn full_name(options: &EnvelopeOptions, table: &SourceTable, what: &str) -> String {
    let plain = |name: &str| -> String {
        let allowed = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.');
        name.chars().map(|letter| if allowed(letter) { letter } else { '_' }).collect()
    };
    format!("{}.{}.{}.{what}", plain(&options.name), plain(&table.schema), plain(&table.table))
}

/// What comes before the payload of a key.
pub(super) fn of_key<'a>(
    options: &EnvelopeOptions,
    table: &SourceTable,
    columns: impl Iterator<Item = &'a Column>,
) -> Vec<u8> {
    let fields: Vec<Value> = columns.map(|column| field(column, false, options.decimal)).collect();
    let name = full_name(options, table, "Key");
    opening(&json!({"type": "struct", "fields": fields, "optional": false, "name": name}))
}

/// What comes before the payload of a value. Columns outside of the key may be missing from a row before, and are optional.
pub(super) fn of_value(options: &EnvelopeOptions, table: &SourceTable, columns: &[Column]) -> Vec<u8> {
    let fields: Vec<Value> = columns.iter().map(|column| field(column, !column.is_key, options.decimal)).collect();
    let name = full_name(options, table, "Value");
    let image = |of: &str| json!({"type": "struct", "fields": fields, "optional": true, "name": name, "field": of});
    let fields = json!([
        image("before"),
        image("after"),
        source(),
        transaction(),
        plain("string", false, "op"),
        plain("int64", true, "ts_ms"),
        plain("int64", true, "ts_us"),
        plain("int64", true, "ts_ns"),
    ]);
    let name = full_name(options, table, "Envelope");
    opening(&json!({"type": "struct", "fields": fields, "optional": false, "name": name, "version": 2}))
}

fn opening(schema: &Value) -> Vec<u8> {
    format!("{{\"schema\":{schema},\"payload\":").into_bytes()
}

fn plain(type_name: &str, optional: bool, field: &str) -> Value {
    json!({"type": type_name, "optional": optional, "field": field})
}

fn source() -> Value {
    let snapshot = json!({
        "type": "string", "optional": true, "name": "io.debezium.data.Enum", "version": 1,
        "parameters": {"allowed": "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental"},
        "default": "false", "field": "snapshot",
    });
    let fields = json!([
        plain("string", false, "version"),
        plain("string", false, "connector"),
        plain("string", false, "name"),
        plain("int64", false, "ts_ms"),
        snapshot,
        plain("string", false, "db"),
        plain("string", true, "sequence"),
        plain("int64", true, "ts_us"),
        plain("int64", true, "ts_ns"),
        plain("string", false, "schema"),
        plain("string", false, "table"),
        plain("int64", true, "txId"),
        plain("int64", true, "lsn"),
        plain("int64", true, "xmin"),
    ]);
    let name = "io.debezium.connector.postgresql.Source";
    json!({"type": "struct", "fields": fields, "optional": false, "name": name, "field": "source"})
}

fn transaction() -> Value {
    let fields = json!([
        plain("string", false, "id"),
        plain("int64", false, "total_order"),
        plain("int64", false, "data_collection_order"),
    ]);
    json!({
        "type": "struct", "fields": fields, "optional": true, "name": "event.block", "version": 1, "field": "transaction",
    })
}

fn field(column: &Column, optional: bool, decimal: DecimalMode) -> Value {
    let mut schema = of_type(&column.column_type, optional, decimal);
    if let Value::Object(members) = &mut schema {
        members.insert(String::from("field"), json!(column.name));
    }
    schema
}

fn of_type(column_type: &ColumnType, optional: bool, decimal: DecimalMode) -> Value {
    let unnamed = |type_name: &str| json!({"type": type_name, "optional": optional});
    let named =
        |type_name: &str, name: &str| json!({"type": type_name, "optional": optional, "name": name, "version": 1});
    match (column_type, decimal) {
        (ColumnType::Boolean, _) => unnamed("boolean"),
        (ColumnType::Int16, _) => unnamed("int16"),
        (ColumnType::Int32, _) => unnamed("int32"),
        (ColumnType::Int64, _) => unnamed("int64"),
        (ColumnType::Float32, _) => unnamed("float"),
        (ColumnType::Decimal { .. } | ColumnType::VariableDecimal, DecimalMode::String) => unnamed("string"),
        (ColumnType::Float64, _) | (ColumnType::Decimal { .. } | ColumnType::VariableDecimal, DecimalMode::Double) => {
            unnamed("double")
        }
        (ColumnType::Decimal { precision, scale }, DecimalMode::Precise) => json!({
            "type": "bytes", "optional": optional, "name": "org.apache.kafka.connect.data.Decimal", "version": 1,
            "parameters": {"scale": scale.to_string(), "connect.decimal.precision": precision.to_string()},
        }),
        (ColumnType::VariableDecimal, DecimalMode::Precise) => json!({
            "type": "struct",
            "fields": [plain("int32", false, "scale"), plain("bytes", false, "value")],
            "optional": optional, "name": "io.debezium.data.VariableScaleDecimal", "version": 1,
        }),
        (ColumnType::Date, _) => named("int32", "io.debezium.time.Date"),
        (ColumnType::Time { millis: true }, _) => named("int32", "io.debezium.time.Time"),
        (ColumnType::Time { millis: false }, _) => named("int64", "io.debezium.time.MicroTime"),
        (ColumnType::ZonedTime, _) => named("string", "io.debezium.time.ZonedTime"),
        (ColumnType::Timestamp { millis: true }, _) => named("int64", "io.debezium.time.Timestamp"),
        (ColumnType::Timestamp { millis: false }, _) => named("int64", "io.debezium.time.MicroTimestamp"),
        (ColumnType::ZonedTimestamp { .. }, _) => named("string", "io.debezium.time.ZonedTimestamp"),
        (ColumnType::Text, _) => unnamed("string"),
        (ColumnType::Json, _) => named("string", "io.debezium.data.Json"),
        (ColumnType::Xml, _) => named("string", "io.debezium.data.Xml"),
        (ColumnType::Uuid, _) => named("string", "io.debezium.data.Uuid"),
        (ColumnType::Bytes, _) => unnamed("bytes"),
        (ColumnType::Array(element), _) => {
            json!({"type": "array", "items": of_type(element, true, decimal), "optional": optional})
        }
    }
}
