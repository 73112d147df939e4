//! Record batches of an Arrow stream as JSON records.
//!
//! What JSON has no place for keeps its meaning: decimals, dates and times become text, bytes hexadecimal text. A row with a
//! value that has no text either (`NaN`, a time no calendar has) is written as no JSON at all, so that it goes to quarantine
//! like every record that does not read.
//!
//! The bytes are somebody else's: lengths they state are believed only as far as there are bytes behind them, buffers that
//! are packed by themselves are refused, and so are types whose values may be more than their bytes. What still makes the
//! reader panic is a bad body, not a bug that ends the process.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type, Schema};
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::root_as_message;
use arrow::json::writer::{LineDelimited, NullableEncoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions, WriterBuilder};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use headwater_ingest::limits::{MAX_COLUMN_DEPTH, MAX_COLUMNS};
use headwater_ingest::schema::is_reserved;

use super::body::{BodyError, MAX_GROWTH};
use super::records::{MAX_RECORDS, Records};

/// Marks the beginning of a message.
const CONTINUATION: [u8; 4] = [0xFF; 4];

/// The rows of a stream, in order.
pub(super) fn records(body: Vec<u8>, limit: usize) -> Result<Records, BodyError> {
    refuse_packed_buffers(&body).map_err(BodyError::Malformed)?;
    let read = catch_unwind(AssertUnwindSafe(|| read(body, limit.saturating_mul(MAX_GROWTH))));
    read.unwrap_or_else(|_| Err(BodyError::Malformed(String::from("it is no Arrow stream"))))
}

/// Looks at each message's head: a buffer that is packed says itself how much memory to take for it.
fn refuse_packed_buffers(body: &[u8]) -> Result<(), String> {
    let mut rest = body;
    while let Some((head, after)) = rest.split_first_chunk::<4>() {
        let (size, after) = match after.split_first_chunk::<4>() {
            Some((size, after)) if *head == CONTINUATION => (u32::from_le_bytes(*size), after),
            _ => (u32::from_le_bytes(*head), after),
        };
        let Some((message, after)) = after.split_at_checked(size as usize).filter(|_| size > 0) else { break };
        let message = root_as_message(message).map_err(|error| format!("it is no Arrow stream: {error}"))?;
        let rows = message.header_as_record_batch();
        let rows = rows.or_else(|| message.header_as_dictionary_batch().and_then(|batch| batch.data()));
        if rows.is_some_and(|rows| rows.compression().is_some()) {
            return Err(String::from("its buffers are packed; send them plain and pack the whole body"));
        }
        let Some(next) = usize::try_from(message.bodyLength()).ok().and_then(|length| after.get(length..)) else {
            return Err(String::from("it is no Arrow stream: a message is longer than the body"));
        };
        rest = next;
    }
    Ok(())
}

fn read(body: Vec<u8>, largest: usize) -> Result<Records, BodyError> {
    let broken = |error: ArrowError| BodyError::Malformed(format!("it is no Arrow stream: {error}"));
    let (mut decoder, mut buffer) = (StreamDecoder::new(), Buffer::from_vec(body));
    let mut lines = Lines { bytes: Vec::new(), largest };
    let (mut rows, mut is_checked) = (0_usize, false);
    while !buffer.is_empty() {
        let Some(batch) = decoder.decode(&mut buffer).map_err(broken)? else { continue };
        if !std::mem::replace(&mut is_checked, true) {
            check_schema(batch.schema_ref()).map_err(BodyError::Malformed)?;
        }
        rows = rows.saturating_add(batch.num_rows());
        if rows > MAX_RECORDS {
            return Err(BodyError::TooMany { limit: MAX_RECORDS });
        }
        write(&batch, &mut lines)?;
    }
    decoder.finish().map_err(broken)?;
    Ok(Records::lines(lines.bytes))
}

fn write(batch: &RecordBatch, lines: &mut Lines) -> Result<(), BodyError> {
    let largest = lines.largest;
    // The writer holds one row at a time; what is nested in it must not be more than all of it may become.
    if batch.columns().iter().map(nested_values).fold(0, usize::saturating_add) > largest / 2 {
        return Err(BodyError::TooLarge { limit: largest });
    }
    let mut writer = WriterBuilder::new().with_encoder_factory(Arc::new(Exact)).build::<_, LineDelimited>(lines);
    let written = writer.write(batch).and_then(|()| writer.finish());
    written.map_err(|error| match error {
        ArrowError::IoError(_, _) => BodyError::TooLarge { limit: largest },
        error => BodyError::Malformed(error.to_string()),
    })
}

/// Lines of JSON, up to so many bytes.
struct Lines {
    bytes: Vec<u8>,
    largest: usize,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.largest {
            return Err(io::Error::other("too large"));
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn check_schema(schema: &Schema) -> Result<(), String> {
    let mut seen = BTreeSet::new();
    for field in schema.fields() {
        let name = field.name();
        if !seen.insert(name) {
            return Err(format!("two columns are called `{name}`"));
        }
        if name.is_empty() {
            return Err(String::from("a column has no name"));
        }
        if is_reserved(name) {
            return Err(format!("the name `{name}` is reserved"));
        }
        if !is_taken(field.data_type(), 0) {
            return Err(format!("column `{name}` has type {}, which is not taken", field.data_type()));
        }
    }
    if seen.len() > MAX_COLUMNS {
        return Err(format!("there are {} columns, a table has at most {MAX_COLUMNS}", seen.len()));
    }
    Ok(())
}

/// Whether values of a type are bounded by their bytes, and have a meaning in JSON.
fn is_taken(data_type: &DataType, depth: usize) -> bool {
    if depth > MAX_COLUMN_DEPTH {
        return false;
    }
    match data_type {
        DataType::Null => depth == 0,
        DataType::Struct(fields) => {
            !fields.is_empty() && fields.iter().all(|field| is_taken(field.data_type(), depth + 1))
        }
        DataType::List(item) | DataType::LargeList(item) => is_taken(item.data_type(), depth + 1),
        DataType::FixedSizeList(item, size) => *size > 0 && is_taken(item.data_type(), depth + 1),
        DataType::Dictionary(_, values) => depth == 0 && !values.is_nested() && is_taken(values, depth + 1),
        DataType::FixedSizeBinary(size) => *size > 0,
        DataType::ListView(_)
        | DataType::LargeListView(_)
        | DataType::Map(_, _)
        | DataType::RunEndEncoded(_, _)
        | DataType::Union(_, _) => false,
        _ => true,
    }
}

/// Values inside of lists and structures.
fn nested_values(array: &ArrayRef) -> usize {
    let with_own = |array: &ArrayRef| array.len().saturating_add(nested_values(array));
    match array.data_type() {
        DataType::Struct(_) => array.as_struct().columns().iter().map(with_own).fold(0, usize::saturating_add),
        DataType::List(_) => with_own(array.as_list::<i32>().values()),
        DataType::LargeList(_) => with_own(array.as_list::<i64>().values()),
        DataType::FixedSizeList(_, _) => with_own(array.as_fixed_size_list().values()),
        _ => 0,
    }
}

/// Writes what the usual encoders would change.
#[derive(Debug)]
struct Exact;

impl EncoderFactory for Exact {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Float16 => {
                let values = array.as_primitive::<Float16Type>();
                Box::new(Float(move |row| f64::from(values.value(row).to_f32()), true))
            }
            DataType::Float32 => {
                let values = array.as_primitive::<Float32Type>();
                Box::new(Float(move |row| f64::from(values.value(row)), true))
            }
            DataType::Float64 => {
                let values = array.as_primitive::<Float64Type>();
                Box::new(Float(move |row| values.value(row), false))
            }
            data_type if data_type.is_temporal() || data_type.is_decimal() => Box::new(Text::new(array)?),
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

/// A number, or `NaN` and `Infinity`, which are no JSON. Of four bytes it is written with as few digits as tell it apart.
struct Float<F>(F, bool);

impl<F: Fn(usize) -> f64> Encoder for Float<F> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        let value = (self.0)(row);
        #[expect(clippy::cast_possible_truncation, reason = "it was of four bytes before")]
        let written = match value {
            value if !value.is_finite() => write!(out, "{value}"),
            value if self.1 => serde_json::to_writer(&mut *out, &(value as f32)).map_err(io::Error::from),
            value => serde_json::to_writer(&mut *out, &value).map_err(io::Error::from),
        };
        // Writing to memory does not fail.
        written.unwrap_or_default();
    }
}

/// Decimals, dates and times as text.
struct Text<'a>(ArrayFormatter<'a>);

const PLAIN: FormatOptions<'static> = FormatOptions::new().with_display_error(false);

impl<'a> Text<'a> {
    fn new(array: &'a dyn Array) -> Result<Self, ArrowError> {
        ArrayFormatter::try_new(array, &PLAIN).map(Self)
    }
}

impl Encoder for Text<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        match self.0.value(row).try_to_string() {
            Ok(text) => {
                out.push(b'"');
                out.extend_from_slice(text.as_bytes());
                out.push(b'"');
            }
            Err(_) => out.extend_from_slice(b"out of range"),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
        Int64Array, ListArray, NullArray, StringArray, StructArray, TimestampMicrosecondArray, TimestampSecondArray,
    };
    use arrow::datatypes::{Field, Int32Type};
    use arrow::ipc::writer::StreamWriter;

    use super::*;

    fn stream(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
        let fields: Vec<Field> =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
        let arrays = columns.into_iter().map(|(_, array)| array).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays).unwrap();
        let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
        writer.write(&batch).unwrap();
        writer.write(&batch.slice(0, 0)).unwrap();
        writer.finish().unwrap();
        writer.into_inner().unwrap()
    }

    fn check(columns: Vec<(&str, ArrayRef)>, expected: &[&str]) {
        let found = records(stream(columns), 1 << 20).unwrap();
        let found: Vec<_> = found.iter().map(|record| std::str::from_utf8(record).unwrap()).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn rows_are_records_that_mean_the_same() {
        let struct_fields = vec![Field::new("x", DataType::Int64, true)];
        let inner: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
        check(
            vec![
                ("i", Arc::new(Int64Array::from(vec![Some(i64::MAX), None]))),
                ("f", Arc::new(Float64Array::from(vec![0.1, 1e300]))),
                ("g", Arc::new(Float32Array::from(vec![0.1_f32, 2.0]))),
                ("b", Arc::new(BooleanArray::from(vec![true, false]))),
                ("t", Arc::new(StringArray::from(vec!["a\n\"b\"", "ü"]))),
                ("s", Arc::new(StructArray::new(struct_fields.into(), vec![inner], None))),
                (
                    "l",
                    Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
                        Some(vec![Some(1), None]),
                        Some(vec![]),
                    ])),
                ),
                ("d", Arc::new("x y".split(' ').collect::<DictionaryArray<Int32Type>>())),
                ("n", Arc::new(NullArray::new(2))),
            ],
            &[
                r#"{"i":9223372036854775807,"f":0.1,"g":0.1,"b":true,"t":"a\n\"b\"","s":{"x":1},"l":[1,null],"d":"x"}"#,
                r#"{"f":1e+300,"g":2.0,"b":false,"t":"ü","s":{"x":2},"l":[],"d":"y"}"#,
            ],
        );
    }

    #[test]
    fn what_json_cannot_say_is_text() {
        let decimals = Decimal128Array::from(vec![12_345_678_901_234_567_890_i128]).with_precision_and_scale(38, 4);
        check(
            vec![
                ("m", Arc::new(decimals.unwrap())),
                ("d", Arc::new(Date32Array::from(vec![19_000]))),
                ("t", Arc::new(TimestampMicrosecondArray::from(vec![1_500_000]).with_timezone("UTC"))),
                ("b", Arc::new(BinaryArray::from(vec![&b"\0\xff"[..]]))),
            ],
            &[r#"{"m":"1234567890123456.7890","d":"2022-01-08","t":"1970-01-01T00:00:01.500Z","b":"00ff"}"#],
        );
    }

    #[test]
    fn what_nothing_can_say_is_no_record() {
        check(
            vec![("f", Arc::new(Float64Array::from(vec![f64::NAN, f64::NEG_INFINITY, 1.0])))],
            &[r#"{"f":NaN}"#, r#"{"f":-inf}"#, r#"{"f":1.0}"#],
        );
        check(vec![("t", Arc::new(TimestampSecondArray::from(vec![i64::MAX])))], &[r#"{"t":out of range}"#]);
    }

    #[test]
    fn a_stream_that_is_none_is_refused() {
        let good = stream(vec![("i", Arc::new(Int64Array::from(vec![1])))]);
        let refused = |body: &[u8]| matches!(records(body.to_vec(), 1 << 20), Err(BodyError::Malformed(_)));
        assert!(
            refused(b"a,b\n1,2\n") && refused(&good[..good.len() / 2]) && refused(&[&good[..], &good[..]].concat())
        );
        let one = || -> ArrayRef { Arc::new(Int64Array::from(vec![1])) };
        assert!(refused(&stream(vec![("a", one()), ("a", one())])));
        assert!(refused(&stream(vec![("_offset", one())])));
        let empty = || -> ArrayRef { Arc::new(StructArray::new_empty_fields(1, None)) };
        assert!(refused(&stream(vec![("a", empty())])));
    }

    #[test]
    fn no_byte_that_is_wrong_does_more_than_a_refusal() {
        let good = stream(vec![
            ("i", Arc::new(Int64Array::from(vec![1, 2]))),
            ("t", Arc::new(StringArray::from(vec!["one", "two"]))),
        ]);
        for at in 0..good.len() {
            for bit in [1, 0x80] {
                let mut bad = good.clone();
                bad[at] ^= bit;
                if let Ok(found) = records(bad, 1 << 20) {
                    assert!(found.len() <= MAX_RECORDS);
                }
            }
        }
    }

    #[test]
    fn rows_that_grow_too_large_are_refused() {
        let long = "x".repeat(100_000);
        let values: ArrayRef =
            Arc::new(std::iter::repeat_n(long.as_str(), 1_000).collect::<DictionaryArray<Int32Type>>());
        assert!(matches!(records(stream(vec![("d", values)]), 1 << 20), Err(BodyError::TooLarge { .. })));
    }
}
