//! A message as JSON text: for types that contain themselves, which no column can hold, and for what lies too deep.
//!
//! Names are those of the schema. Fields that are not there are left out. Integers are numbers, bytes base64, enums names, and
//! times, durations and wrapped values as in Protobuf's own JSON; so are `Struct`, `Value` and `ListValue`.

use arrow::temporal_conversions::timestamp_us_to_datetime;
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use super::scalar::{Cell, Scalar};
use super::time;
use super::wire::{Raw, Wire, last_of};
use crate::codec::base64;
use crate::codec::column::Refusal;
use crate::limits::MAX_JSON_DEPTH;

/// Adds the text of a message to `out`.
pub(super) fn write(of: &MessageDescriptor, bytes: &[u8], depth: usize, out: &mut String) -> Result<(), Refusal> {
    if depth > MAX_JSON_DEPTH {
        return Err(format!("nested deeper than {MAX_JSON_DEPTH} levels"));
    }
    let Some(name) = of.full_name().strip_prefix("google.protobuf.") else { return object(of, bytes, depth, out) };
    match name {
        "Timestamp" => {
            let at = timestamp_us_to_datetime(time::timestamp(bytes)?).unwrap_or_default();
            quote(&at.format("%Y-%m-%dT%H:%M:%S%.fZ").to_string(), out);
        }
        "Duration" => {
            let nanos = time::duration(bytes)?;
            let (sign, whole) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
            let text = format!("{sign}{}.{:09}", whole / 1_000_000_000, whole % 1_000_000_000);
            quote(&format!("{}s", text.trim_end_matches('0').trim_end_matches('.')), out);
        }
        "Struct" => return contents(of, bytes, depth, out),
        "ListValue" => {
            if last_of(bytes, 1)?.is_none() {
                out.push_str("[]");
                return Ok(());
            }
            return contents(of, bytes, depth, out);
        }
        "Value" => return value(of, bytes, depth, out),
        name => match Scalar::wrapped(name) {
            None => return object(of, bytes, depth, out),
            Some(scalar) => match last_of(bytes, 1)? {
                None => cell(scalar.zero(), out),
                Some(raw) => cell(scalar.read(raw)?.ok_or_else(|| mismatch(name, raw))?, out),
            },
        },
    }
    Ok(())
}

/// The only field of a message, in the place of the message.
fn contents(of: &MessageDescriptor, bytes: &[u8], depth: usize, out: &mut String) -> Result<(), Refusal> {
    let all = entries(bytes)?;
    let Some(only) = of.get_field(1) else { return Err(format!("message `{}` has no field 1", of.full_name())) };
    let values: Vec<Raw<'_>> = all.iter().filter(|(number, _)| *number == 1).map(|(_, value)| *value).collect();
    field(&only, &values, depth, out)
}

/// A value of any kind: the one of its fields that is there.
fn value(of: &MessageDescriptor, bytes: &[u8], depth: usize, out: &mut String) -> Result<(), Refusal> {
    match entries(bytes)?.last() {
        Some((number @ 2.., raw)) => match of.get_field(*number) {
            Some(found) => field(&found, &[*raw], depth, out),
            None => {
                out.push_str("null");
                Ok(())
            }
        },
        _ => {
            out.push_str("null");
            Ok(())
        }
    }
}

fn object(of: &MessageDescriptor, bytes: &[u8], depth: usize, out: &mut String) -> Result<(), Refusal> {
    let all = entries(bytes)?;
    out.push('{');
    let mut first = true;
    let mut rest = all.as_slice();
    while let Some((number, _)) = rest.first() {
        let number = *number;
        let (these, others) = rest.split_at(rest.partition_point(|(other, _)| *other == number));
        rest = others;
        let Some(found) = of.get_field(number) else { continue };
        if !std::mem::take(&mut first) {
            out.push(',');
        }
        quote(found.name(), out);
        out.push(':');
        let values: Vec<Raw<'_>> = these.iter().map(|(_, value)| *value).collect();
        field(&found, &values, depth, out)?;
    }
    out.push('}');
    Ok(())
}

/// The values of a message by the numbers of their fields, those of one number in their order.
fn entries(bytes: &[u8]) -> Result<Vec<(u32, Raw<'_>)>, Refusal> {
    let (mut wire, mut all) = (Wire::new(bytes), Vec::new());
    while let Some(entry) = wire.field()? {
        all.push(entry);
    }
    all.sort_by_key(|(number, _)| *number);
    Ok(all)
}

fn field(of: &FieldDescriptor, values: &[Raw<'_>], depth: usize, out: &mut String) -> Result<(), Refusal> {
    if of.is_map() {
        return map(of, values, depth, out);
    }
    if !of.is_list() {
        return match (of.kind(), values) {
            (Kind::Message(_), [_, _, ..]) => {
                let parts =
                    values.iter().filter_map(|raw| if let Raw::Bytes(bytes) = raw { Some(*bytes) } else { None });
                single(of, Raw::Bytes(&parts.collect::<Vec<_>>().concat()), depth, out)
            }
            (_, [.., last]) => single(of, *last, depth, out),
            (_, []) => {
                out.push_str("null");
                Ok(())
            }
        };
    }
    let packed = match of.kind() {
        Kind::Enum(_) => Some(Scalar::Int32),
        kind => Scalar::of(&kind).filter(|scalar| scalar.is_packed()),
    };
    out.push('[');
    let mut first = true;
    let mut comma = |out: &mut String| {
        if !std::mem::take(&mut first) {
            out.push(',');
        }
    };
    for raw in values {
        if let (Some(scalar), Raw::Bytes(bytes)) = (packed, raw) {
            let mut wire = Wire::new(bytes);
            while !wire.is_empty() {
                comma(out);
                single(of, scalar.next(&mut wire)?, depth, out)?;
            }
        } else {
            comma(out);
            single(of, *raw, depth, out)?;
        }
    }
    out.push(']');
    Ok(())
}

fn map(of: &FieldDescriptor, values: &[Raw<'_>], depth: usize, out: &mut String) -> Result<(), Refusal> {
    let Kind::Message(entry) = of.kind() else { return Err(format!("field `{}` is no map", of.name())) };
    let (key, value) = (entry.map_entry_key_field(), entry.map_entry_value_field());
    out.push('{');
    for (place, raw) in values.iter().enumerate() {
        let Raw::Bytes(bytes) = raw else { return Err(mismatch(of.name(), *raw)) };
        if place > 0 {
            out.push(',');
        }
        let mut name = String::new();
        match last_of(bytes, 1)? {
            Some(raw) => single(&key, raw, depth, &mut name)?,
            None => cell(Scalar::of(&key.kind()).map_or(Cell::Text(""), Scalar::zero), &mut name),
        }
        if name.starts_with('"') {
            out.push_str(&name);
        } else {
            quote(&name, out);
        }
        out.push(':');
        match last_of(bytes, 2)? {
            Some(raw) => single(&value, raw, depth, out)?,
            None => match value.kind() {
                Kind::Message(of) => write(&of, &[], depth + 1, out)?,
                Kind::Enum(of) => quote(of.default_value().name(), out),
                kind => cell(Scalar::of(&kind).map_or(Cell::Text(""), Scalar::zero), out),
            },
        }
    }
    out.push('}');
    Ok(())
}

#[expect(clippy::cast_possible_truncation, reason = "an enum is the lower half of its varint")]
fn single(of: &FieldDescriptor, raw: Raw<'_>, depth: usize, out: &mut String) -> Result<(), Refusal> {
    match (of.kind(), raw) {
        (Kind::Message(of), Raw::Bytes(bytes)) => write(&of, bytes, depth + 1, out)?,
        (Kind::Enum(of), Raw::Varint(value)) => {
            let number = (value as u32).cast_signed();
            match of.get_value(number) {
                Some(value) => quote(value.name(), out),
                None => quote(&number.to_string(), out),
            }
        }
        (kind, raw) => {
            let scalar = Scalar::of(&kind).ok_or_else(|| mismatch(of.name(), raw))?;
            cell(scalar.read(raw)?.ok_or_else(|| mismatch(of.name(), raw))?, out);
        }
    }
    Ok(())
}

fn mismatch(name: &str, raw: Raw<'_>) -> Refusal {
    format!("field `{name}` holds something else, found {}", raw.name())
}

fn cell(cell: Cell<'_>, out: &mut String) {
    match cell {
        Cell::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Cell::Integer(value) => out.push_str(&value.to_string()),
        Cell::Unsigned(value) => out.push_str(&value.to_string()),
        Cell::Float(value) if value.is_finite() => out.push_str(&serde_json::Value::from(value).to_string()),
        Cell::Float(value) if value.is_nan() => out.push_str("\"NaN\""),
        Cell::Float(value) => out.push_str(if value > 0.0 { "\"Infinity\"" } else { "\"-Infinity\"" }),
        Cell::Text(text) => quote(text, out),
        Cell::Bytes(bytes) => {
            out.push('"');
            base64::encode(bytes, out);
            out.push('"');
        }
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..' ' => out.push_str(&format!("\\u{:04x}", u32::from(character))),
            other => out.push(other),
        }
    }
    out.push('"');
}
