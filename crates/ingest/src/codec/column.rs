//! Columns under construction. Unlike Arrow's builders they can take back a row: a record that turns out bad half way
//! leaves nothing behind.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, BooleanBufferBuilder, ListArray, PrimitiveArray, StringArray, StructArray,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::kernels::cast_utils::{Parser, string_to_timestamp_nanos};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, FieldRef, Fields, Float64Type, Int32Type, Int64Type, TimeUnit,
    TimestampMicrosecondType,
};

use crate::codec::validity::Validity;
use crate::error::{Error, Result};

/// Why a value does not go into its column; a lower-case fragment.
pub(crate) type Refusal = String;

#[derive(Debug)]
pub(crate) struct Column {
    field: FieldRef,
    /// The name as most JSON has it, quotes included; nothing where it has characters that are escaped.
    label: Vec<u8>,
    values: Values,
    validity: Validity,
}

#[derive(Debug)]
pub(crate) enum Values {
    Boolean(BooleanBufferBuilder),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float64(Vec<f64>),
    Date32(Vec<i32>),
    Timestamp(Vec<i64>),
    Text { ends: Vec<i32>, bytes: Vec<u8> },
    Binary { ends: Vec<i32>, bytes: Vec<u8> },
    Decimal(Vec<i128>),
    Struct(Fieldset),
    List { ends: Vec<i32>, item: Box<Column> },
}

/// The columns of a record or of a nested object, by name.
#[derive(Debug)]
pub(crate) struct Fieldset {
    pub(crate) columns: Vec<Column>,
    by_name: HashMap<String, usize>,
    rows: usize,
}

impl Fieldset {
    pub(crate) fn new(fields: &Fields) -> Result<Self> {
        let columns = fields.iter().map(Column::new).collect::<Result<Vec<_>>>()?;
        let by_name = columns.iter().enumerate().map(|(index, column)| (column.name().to_owned(), index)).collect();
        Ok(Self { columns, by_name, rows: 0 })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Finds a column; records of one producer keep their order of fields, so the expected place is tried first.
    pub(crate) fn find(&self, name: &str, expected: usize) -> Option<usize> {
        let matches = |column: &Column| same(column.field.name(), name);
        if self.columns.get(expected).is_some_and(matches) {
            return Some(expected);
        }
        self.by_name.get(name).copied()
    }

    /// The column that a name would be, were its case another.
    pub(crate) fn find_whatever_case(&self, name: &str) -> Option<&str> {
        let lower = name.to_lowercase();
        self.columns.iter().map(Column::name).find(|column| column.to_lowercase() == lower)
    }

    /// Ends a row: what it did not mention is null.
    pub(crate) fn finish_row(&mut self) -> Result<(), Refusal> {
        self.rows += 1;
        for column in &mut self.columns {
            if column.len() < self.rows {
                column.push_null()?;
            }
        }
        Ok(())
    }

    /// Ends rows that were filled in column by column: columns they did not mention are null.
    pub(crate) fn finish_rows(&mut self, count: usize) -> Result<(), Refusal> {
        self.rows += count;
        for column in &mut self.columns {
            while column.len() < self.rows {
                column.push_null()?;
            }
        }
        Ok(())
    }

    pub(crate) fn truncate(&mut self, rows: usize) {
        self.rows = rows;
        for column in &mut self.columns {
            column.truncate(rows);
        }
    }

    pub(crate) fn take(&mut self) -> Result<Vec<ArrayRef>> {
        self.rows = 0;
        self.columns.iter_mut().map(Column::take).collect()
    }
}

impl Column {
    fn new(field: &FieldRef) -> Result<Self> {
        let values = match field.data_type() {
            DataType::Boolean => Values::Boolean(BooleanBufferBuilder::new(0)),
            DataType::Int32 => Values::Int32(Vec::new()),
            DataType::Int64 => Values::Int64(Vec::new()),
            DataType::Float64 => Values::Float64(Vec::new()),
            DataType::Date32 => Values::Date32(Vec::new()),
            DataType::Timestamp(TimeUnit::Microsecond, _) => Values::Timestamp(Vec::new()),
            DataType::Utf8 => Values::Text { ends: Vec::new(), bytes: Vec::new() },
            DataType::Binary => Values::Binary { ends: Vec::new(), bytes: Vec::new() },
            DataType::Decimal128(_, _) => Values::Decimal(Vec::new()),
            DataType::Struct(fields) => Values::Struct(Fieldset::new(fields)?),
            DataType::List(item) => Values::List { ends: Vec::new(), item: Box::new(Self::new(item)?) },
            other => {
                let reason = format!("column `{}` has type {other}, which no codec can fill", field.name());
                return Err(Error::Schema { reason });
            }
        };
        let is_plain = !field.name().contains(|one: char| matches!(one, '"' | '\\' | '\0'..' '));
        let label = if is_plain { format!("\"{}\"", field.name()).into_bytes() } else { Vec::new() };
        Ok(Self { field: Arc::clone(field), label, values, validity: Validity::default() })
    }

    pub(crate) fn name(&self) -> &str {
        self.field.name()
    }

    /// How much of a text of JSON is this column's name, if the text begins with it.
    pub(crate) fn labels(&self, text: &[u8]) -> Option<usize> {
        let length = self.label.len();
        let is_same = |head: &[u8]| head.iter().zip(&self.label).all(|(one, other)| one == other);
        (length > 0 && text.get(..length).is_some_and(is_same)).then_some(length)
    }

    pub(crate) fn len(&self) -> usize {
        self.validity.len()
    }

    pub(crate) fn values(&mut self) -> &mut Values {
        &mut self.values
    }

    pub(crate) fn push_null(&mut self) -> Result<(), Refusal> {
        if !self.field.is_nullable() {
            return Err(format!("field `{}` is required", self.field.name()));
        }
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::Int32(values) | Values::Date32(values) => values.push(0),
            Values::Int64(values) | Values::Timestamp(values) => values.push(0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal(values) => values.push(0),
            Values::Text { ends, .. } | Values::Binary { ends, .. } | Values::List { ends, .. } => {
                ends.push(ends.last().copied().unwrap_or(0));
            }
            Values::Struct(fields) => {
                fields.rows += 1;
                for column in &mut fields.columns {
                    column.push_absent();
                }
            }
        }
        self.validity.append(false);
        Ok(())
    }

    /// A place under a null parent: nobody sees whether it is null.
    fn push_absent(&mut self) {
        match &mut self.values {
            Values::Boolean(values) => values.append(false),
            Values::Int32(values) | Values::Date32(values) => values.push(0),
            Values::Int64(values) | Values::Timestamp(values) => values.push(0),
            Values::Float64(values) => values.push(0.0),
            Values::Decimal(values) => values.push(0),
            Values::Text { ends, .. } | Values::Binary { ends, .. } | Values::List { ends, .. } => {
                ends.push(ends.last().copied().unwrap_or(0));
            }
            Values::Struct(fields) => {
                fields.rows += 1;
                fields.columns.iter_mut().for_each(Self::push_absent);
            }
        }
        self.validity.append(!self.field.is_nullable());
    }

    /// Counts the value that was just put into `values`.
    pub(crate) fn mark_present(&mut self) {
        self.validity.append(true);
    }

    /// Counts so many values that were put into `values`, each of them there.
    pub(crate) fn mark_all_present(&mut self, count: usize) {
        self.validity.append_present(count);
    }

    /// Counts a value that was put into `values`, whether it is there or only keeps a place.
    pub(crate) fn mark(&mut self, is_present: bool) {
        self.validity.append(is_present);
    }

    pub(crate) fn is_nullable(&self) -> bool {
        self.field.is_nullable()
    }

    pub(crate) fn push_text(&mut self, text: &str) -> Result<(), Refusal> {
        let Self { field, values, .. } = self;
        match values {
            Values::Text { ends, bytes } => {
                bytes.extend_from_slice(text.as_bytes());
                ends.push(i32::try_from(bytes.len()).map_err(|_| "a batch holds more than 2 GiB of text".to_owned())?);
            }
            Values::Timestamp(out) => out.push(timestamp(text, field)?),
            Values::Date32(out) => {
                out.push(Date32Type::parse(text).ok_or_else(|| refused(field, "text that is no date"))?);
            }
            Values::Decimal(out) => out.push(decimal(text, field)?),
            _ => return Err(refused(field, "text")),
        }
        self.mark_present();
        Ok(())
    }

    pub(crate) fn push_bool(&mut self, value: bool) -> Result<(), Refusal> {
        let Values::Boolean(values) = &mut self.values else { return Err(refused(&self.field, "a boolean")) };
        values.append(value);
        self.mark_present();
        Ok(())
    }

    /// Takes a number as it is written, if the column can hold exactly that value (a float column: the nearest float).
    pub(crate) fn push_number(&mut self, text: &str) -> Result<(), Refusal> {
        let Self { field, values, .. } = self;
        match values {
            Values::Int64(out) => out.push(integer(text).ok_or_else(|| inexact(field, text))?),
            Values::Int32(out) => {
                let value = integer(text).and_then(|value| i32::try_from(value).ok());
                out.push(value.ok_or_else(|| inexact(field, text))?);
            }
            Values::Float64(out) => {
                let value = text.parse::<f64>().ok().filter(|value| value.is_finite());
                out.push(value.ok_or_else(|| refused(field, "a number out of range"))?);
            }
            Values::Decimal(out) => out.push(decimal(text, field)?),
            _ => return Err(refused(field, "a number")),
        }
        self.mark_present();
        Ok(())
    }

    pub(crate) fn push_bytes(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let Values::Binary { ends, bytes } = &mut self.values else { return Err(refused(&self.field, "bytes")) };
        bytes.extend_from_slice(value);
        ends.push(i32::try_from(bytes.len()).map_err(|_| "a batch holds more than 2 GiB of bytes".to_owned())?);
        self.mark_present();
        Ok(())
    }

    /// An integer, also as the count of days or microseconds that dates and times are.
    pub(crate) fn push_integer(&mut self, value: i64) -> Result<(), Refusal> {
        let Self { field, values, .. } = self;
        let too_large = || inexact(field, &value.to_string());
        match values {
            Values::Int64(out) | Values::Timestamp(out) => out.push(value),
            Values::Int32(out) | Values::Date32(out) => out.push(i32::try_from(value).map_err(|_| too_large())?),
            // What a float cannot hold exactly stays out, as in JSON.
            Values::Float64(out) if value.unsigned_abs() <= 1 << 53 => out.push(value as f64),
            Values::Float64(_) => return Err(refused(field, &format!("{value}, which no float holds exactly"))),
            _ => return Err(refused(field, "an integer")),
        }
        self.mark_present();
        Ok(())
    }

    pub(crate) fn push_float(&mut self, value: f64) -> Result<(), Refusal> {
        let Values::Float64(out) = &mut self.values else { return Err(refused(&self.field, "a float")) };
        out.push(value);
        self.mark_present();
        Ok(())
    }

    /// A decimal with as many digits after the point as the column has.
    pub(crate) fn push_decimal(&mut self, unscaled: i128, scale: i8) -> Result<(), Refusal> {
        let Self { field, values, .. } = self;
        match (values, field.data_type()) {
            (Values::Decimal(out), DataType::Decimal128(precision, held)) if *held == scale => {
                if unscaled.unsigned_abs() >= 10_u128.pow(u32::from(*precision).min(38)) {
                    return Err(refused(field, &format!("a decimal of more than {precision} digits")));
                }
                out.push(unscaled);
            }
            _ => return Err(refused(field, &format!("a decimal with {scale} digits after the point"))),
        }
        self.mark_present();
        Ok(())
    }

    pub(crate) fn refuse(&self, found: &str) -> Refusal {
        refused(&self.field, found)
    }

    /// Whether a number with a fraction was refused only because this column holds integers.
    pub(crate) fn holds_integers(&self) -> bool {
        matches!(self.values, Values::Int64(_) | Values::Int32(_))
    }

    /// Whether everything that can be written down goes in.
    pub(crate) fn holds_text(&self) -> bool {
        matches!(self.values, Values::Text { .. })
    }

    fn truncate(&mut self, len: usize) {
        // The value may be there already when its row is not.
        self.validity.truncate(len);
        match &mut self.values {
            Values::Boolean(values) => values.truncate(len),
            Values::Int32(values) | Values::Date32(values) => values.truncate(len),
            Values::Int64(values) | Values::Timestamp(values) => values.truncate(len),
            Values::Float64(values) => values.truncate(len),
            Values::Decimal(values) => values.truncate(len),
            Values::Text { ends, bytes } | Values::Binary { ends, bytes } => {
                ends.truncate(len);
                bytes.truncate(end_of(ends));
            }
            Values::List { ends, item } => {
                ends.truncate(len);
                item.truncate(end_of(ends));
            }
            Values::Struct(fields) => fields.truncate(len),
        }
    }

    /// The finished array; the column is empty again and expects about as much.
    fn take(&mut self) -> Result<ArrayRef> {
        let rows = self.len();
        let nulls = self.validity.finish();
        let data_type = self.field.data_type().clone();
        Ok(match &mut self.values {
            Values::Boolean(values) => Arc::new(BooleanArray::new(values.finish(), nulls)),
            Values::Int32(values) => Arc::new(PrimitiveArray::<Int32Type>::try_new(renew(values).into(), nulls)?),
            Values::Int64(values) => Arc::new(PrimitiveArray::<Int64Type>::try_new(renew(values).into(), nulls)?),
            Values::Float64(values) => Arc::new(PrimitiveArray::<Float64Type>::try_new(renew(values).into(), nulls)?),
            Values::Date32(values) => Arc::new(PrimitiveArray::<Date32Type>::try_new(renew(values).into(), nulls)?),
            Values::Timestamp(values) => {
                let array = PrimitiveArray::<TimestampMicrosecondType>::try_new(renew(values).into(), nulls)?;
                Arc::new(array.with_data_type(data_type))
            }
            Values::Text { ends, bytes } => {
                let values = Buffer::from_vec(renew(bytes));
                Arc::new(StringArray::try_new(offsets(ends), values, nulls)?)
            }
            Values::Binary { ends, bytes } => {
                let values = Buffer::from_vec(renew(bytes));
                Arc::new(BinaryArray::try_new(offsets(ends), values, nulls)?)
            }
            Values::Decimal(values) => {
                let array = PrimitiveArray::<Decimal128Type>::try_new(renew(values).into(), nulls)?;
                Arc::new(array.with_data_type(data_type))
            }
            Values::List { ends, item } => {
                let array = item.take()?;
                Arc::new(ListArray::try_new(Arc::clone(&item.field), offsets(ends), array, nulls)?)
            }
            Values::Struct(fields) => {
                let DataType::Struct(definition) = data_type else {
                    return Err(Error::Internal("a struct column is not one"));
                };
                Arc::new(StructArray::try_new_with_length(definition, fields.take()?, nulls, rows)?)
            }
        })
    }
}

/// Whether two names are the same. They are short: a call to compare them costs more than their bytes.
fn same(one: &str, other: &str) -> bool {
    one.len() == other.len() && one.bytes().zip(other.bytes()).all(|(one, other)| one == other)
}

fn end_of(ends: &[i32]) -> usize {
    ends.last().and_then(|end| usize::try_from(*end).ok()).unwrap_or(0)
}

/// Takes the values and leaves room for as many.
fn renew<T>(values: &mut Vec<T>) -> Vec<T> {
    let next = Vec::with_capacity(values.len());
    std::mem::replace(values, next)
}

fn offsets(ends: &mut Vec<i32>) -> OffsetBuffer<i32> {
    let mut all = Vec::with_capacity(ends.len() + 1);
    all.push(0);
    all.append(ends);
    // Ends only grow, from zero, and stop short of the largest: checked as they were pushed.
    OffsetBuffer::new(ScalarBuffer::from(all))
}

fn kind_of(field: &FieldRef) -> &'static str {
    match field.data_type() {
        DataType::Boolean => "booleans",
        DataType::Int32 | DataType::Int64 => "integers",
        DataType::Float64 => "numbers",
        DataType::Decimal128(..) => "decimals",
        DataType::Binary => "bytes",
        DataType::Date32 => "dates",
        DataType::Timestamp(..) => "timestamps",
        DataType::Struct(_) => "objects",
        DataType::List(_) => "arrays",
        _ => "text",
    }
}

fn refused(field: &FieldRef, found: &str) -> Refusal {
    format!("field `{}` holds {}, found {found}", field.name(), kind_of(field))
}

fn inexact(field: &FieldRef, text: &str) -> Refusal {
    let shown: String = text.chars().take(40).collect();
    refused(field, &format!("{shown}, which is no integer in range"))
}

/// An integer exactly, also when it is written with a point or an exponent.
pub(crate) fn integer(text: &str) -> Option<i64> {
    if let Ok(value) = text.parse::<i64>() {
        return Some(value);
    }
    // Above 2^53 a float no longer tells neighbouring integers apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let value = text.parse::<f64>().ok()?;
    let exact = value.fract() == 0.0 && value.abs() <= EXACT && !text.bytes().all(|byte| byte.is_ascii_digit());
    #[expect(clippy::cast_possible_truncation, reason = "whole and within 2^53")]
    exact.then_some(value as i64)
}

/// A number exactly, also when it is written with an exponent; none that would have to be rounded.
fn decimal(text: &str, field: &FieldRef) -> Result<i128, Refusal> {
    let DataType::Decimal128(precision, scale) = field.data_type() else { return Err(refused(field, "a decimal")) };
    let shown: String = text.chars().take(40).collect();
    unscaled(text, i32::from(*scale))
        .filter(|value| value.unsigned_abs() < 10_u128.pow(u32::from(*precision).min(38)))
        .ok_or_else(|| refused(field, &format!("{shown}, which is no decimal({precision}, {scale})")))
}

/// The digits of a number with so many of them after the point, if it has no more.
fn unscaled(text: &str, scale: i32) -> Option<i128> {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or((1, mantissa), |rest| (-1, rest));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let dropped = i32::try_from(digits.len() - significant.len()).ok()?;
    let after_point = i32::try_from(fraction.len()).ok()?.checked_sub(exponent)?.checked_sub(dropped)?;
    let power = u32::try_from(scale.checked_sub(after_point)?).ok()?;
    significant.parse::<i128>().ok()?.checked_mul(10_i128.checked_pow(power)?)?.checked_mul(sign)
}

/// A time without a zone is taken as UTC.
fn timestamp(text: &str, field: &FieldRef) -> Result<i64, Refusal> {
    let nanos = string_to_timestamp_nanos(text).map_err(|_| refused(field, "text that is no timestamp"))?;
    Ok(nanos.div_euclid(1_000))
}
