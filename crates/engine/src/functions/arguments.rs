//! Arguments of a function, each as a column of the type its body wants.

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use arrow::util::display::FormatOptions;
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};

/// What a function is called with. All columns have `rows` rows.
pub(crate) struct Arguments {
    pub(crate) name: &'static str,
    pub(crate) arrays: Vec<ArrayRef>,
    /// Which arguments are JSON documents.
    pub(crate) json: Vec<bool>,
    pub(crate) rows: usize,
    /// What the function returns here.
    pub(crate) returns: DataType,
}

/// Microseconds of an argument, and whether it is a whole date or an instant.
pub(crate) struct Times {
    pub(crate) micros: TimestampMicrosecondArray,
    pub(crate) is_date: bool,
}

impl Times {
    pub(crate) fn at(&self, row: usize) -> Option<i64> {
        self.micros.is_valid(row).then(|| self.micros.value(row))
    }
}

impl Arguments {
    pub(crate) fn len(&self) -> usize {
        self.arrays.len()
    }

    pub(crate) fn is_json(&self, index: usize) -> bool {
        self.json.get(index) == Some(&true)
    }

    pub(crate) fn array(&self, index: usize) -> Result<&ArrayRef> {
        self.arrays.get(index).ok_or_else(|| exec_datafusion_err!("{} lacks argument {}", self.name, index + 1))
    }

    pub(crate) fn cast(&self, index: usize, to: &DataType) -> Result<ArrayRef> {
        converted(self.array(index)?, to)
    }

    pub(crate) fn text(&self, index: usize) -> Result<StringArray> {
        Ok(self.cast(index, &DataType::Utf8)?.as_string::<i32>().clone())
    }

    /// The text of an argument that may be left out.
    pub(crate) fn optional_text(&self, index: usize) -> Result<Option<StringArray>> {
        if index < self.len() { self.text(index).map(Some) } else { Ok(None) }
    }

    pub(crate) fn integer(&self, index: usize) -> Result<Int64Array> {
        Ok(self.cast(index, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
    }

    /// An integer that may be left out.
    pub(crate) fn optional_integer(&self, index: usize) -> Result<Option<Int64Array>> {
        if index < self.len() { self.integer(index).map(Some) } else { Ok(None) }
    }

    pub(crate) fn float(&self, index: usize) -> Result<Float64Array> {
        Ok(self.cast(index, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
    }

    /// Text as it is, bytes as they are.
    pub(crate) fn bytes(&self, index: usize) -> Result<BinaryArray> {
        let array = self.array(index)?;
        let is_bytes = matches!(
            array.data_type(),
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
        );
        let array = if is_bytes { array.clone() } else { converted(array, &DataType::Utf8)? };
        Ok(converted(&array, &DataType::Binary)?.as_binary::<i32>().clone())
    }

    /// Dates, times and text as microseconds since 1970.
    pub(crate) fn times(&self, index: usize) -> Result<Times> {
        let array = self.array(index)?;
        let is_date = matches!(array.data_type(), DataType::Date32 | DataType::Date64);
        if array.data_type().is_numeric() {
            return Err(exec_datafusion_err!("{} was given a number where a date or a time is expected", self.name));
        }
        if matches!(array.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View) {
            return self.times_of_text(index);
        }
        // A time of day is that of the first day.
        if matches!(array.data_type(), DataType::Time32(_) | DataType::Time64(_)) {
            let micros = converted(&converted(array, &DataType::Time64(TimeUnit::Microsecond))?, &DataType::Int64)?;
            let micros = micros.as_primitive::<Int64Type>();
            return Ok(Times { micros: micros.iter().collect(), is_date: false });
        }
        let zone = match array.data_type() {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        let micros = converted(array, &DataType::Timestamp(TimeUnit::Microsecond, zone))?;
        let micros = micros.as_primitive::<TimestampMicrosecondType>().clone();
        Ok(Times { micros, is_date })
    }

    fn times_of_text(&self, index: usize) -> Result<Times> {
        let texts = self.text(index)?;
        let one = |text: Option<&str>| match text.map(|text| (text, super::times_of_text::instant(text))) {
            None => Ok(None),
            Some((_, Some(at))) => Ok(Some(at)),
            Some((text, None)) => Err(exec_datafusion_err!("`{text}` is no date or time that is understood here")),
        };
        let micros = texts.iter().map(one).collect::<Result<TimestampMicrosecondArray>>()?;
        Ok(Times { micros, is_date: false })
    }

    /// As [`Arguments::times`], with numbers as seconds since 1970.
    pub(crate) fn times_or_seconds(&self, index: usize) -> Result<Times> {
        let array = self.array(index)?;
        if array.data_type().is_integer() {
            let seconds = self.integer(index)?;
            let micros = seconds.iter().map(|seconds| seconds.and_then(|seconds| seconds.checked_mul(1_000_000)));
            return Ok(Times { micros: micros.collect(), is_date: false });
        }
        if array.data_type().is_numeric() {
            let seconds = self.float(index)?;
            let micros = seconds.iter().map(|seconds| seconds.map(|seconds| (seconds * 1e6).round() as i64));
            return Ok(Times { micros: micros.collect(), is_date: false });
        }
        self.times(index)
    }

    /// A column of times as this function returns them: dates, times, or instants.
    pub(crate) fn returned_times(&self, micros: TimestampMicrosecondArray) -> Result<ArrayRef> {
        match &self.returns {
            // A zone is a label: the microseconds are the same.
            DataType::Timestamp(TimeUnit::Microsecond, zone) => {
                Ok(std::sync::Arc::new(micros.with_timezone_opt(zone.clone())))
            }
            other => converted(&(std::sync::Arc::new(micros) as ArrayRef), other),
        }
    }
}

/// A column as another type; what does not fit is an error.
pub(crate) fn converted(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    if array.data_type() == to {
        return Ok(array.clone());
    }
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    cast_with_options(array, to, &options).map_err(DataFusionError::from)
}

/// A column as another type; what does not fit is NULL.
pub(crate) fn converted_or_null(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: true, format_options: FormatOptions::default() };
    cast_with_options(array, to, &options).map_err(DataFusionError::from)
}

/// The value of a text column at a row.
pub(crate) fn text_at(array: &StringArray, row: usize) -> Option<&str> {
    array.is_valid(row).then(|| array.value(row))
}

/// The value of an integer column at a row.
pub(crate) fn integer_at(array: &Int64Array, row: usize) -> Option<i64> {
    array.is_valid(row).then(|| array.value(row))
}
