//! Division, which every dialect does in its own way.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Decimal128Type};
use datafusion::common::{Result, exec_datafusion_err};

use super::arguments::{Arguments, converted, integer_at};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // Whole numbers give a fraction; by zero is an error.
    Function {
        name: "bigquery_divide",
        arity: (2, 2),
        returns: bigquery_type,
        body: |arguments| divided(arguments, ByZero::Error),
    },
    Function {
        name: "safe_divide",
        arity: (2, 2),
        returns: bigquery_type,
        body: |arguments| divided(arguments, ByZero::Null),
    },
    Function {
        name: "snowflake_divide",
        arity: (2, 2),
        returns: snowflake_type,
        body: |arguments| divided(arguments, ByZero::Error),
    },
    Function {
        name: "snowflake_divide_or_zero",
        arity: (2, 2),
        returns: snowflake_type,
        body: |arguments| divided(arguments, ByZero::Zero),
    },
    Function {
        name: "spark_divide",
        arity: (2, 2),
        returns: spark_type,
        body: |arguments| divided(arguments, ByZero::Error),
    },
    Function {
        name: "spark_divide_or_null",
        arity: (2, 2),
        returns: spark_type,
        body: |arguments| divided(arguments, ByZero::Null),
    },
    // The same by a whole number that is written out: its digits are those it is written with.
    Function {
        name: "spark_divide_by_number",
        arity: (2, 2),
        returns: spark_by_number_type,
        body: |arguments| divided(arguments, ByZero::Error),
    },
    // Whole numbers give whole numbers, decimals sixteen places.
    Function {
        name: "postgres_divide",
        arity: (2, 2),
        returns: postgres_type,
        body: |arguments| divided(arguments, ByZero::Error),
    },
    // (sum, count): as PostgreSQL divides, NULL for none.
    Function {
        name: "redshift_average",
        arity: (2, 2),
        returns: postgres_type,
        body: |arguments| divided(arguments, ByZero::Null),
    },
    // By zero is infinite.
    Function {
        name: "duckdb_divide",
        arity: (2, 2),
        returns: returns::float,
        body: |arguments| divided(arguments, ByZero::Infinite),
    },
    // Whole numbers give whole numbers, cut towards zero; by zero is an error, or NULL.
    Function {
        name: "whole_quotient",
        arity: (2, 2),
        returns: returns::integer,
        body: |arguments| quotient(arguments, ByZero::Error),
    },
    Function {
        name: "whole_quotient_or_null",
        arity: (2, 2),
        returns: returns::integer,
        body: |arguments| quotient(arguments, ByZero::Null),
    },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum ByZero {
    Error,
    Null,
    Zero,
    Infinite,
}

/// Digits and decimal places of a number; none for what is not exact.
fn exact(data_type: &DataType) -> Option<(u8, i8)> {
    match data_type {
        DataType::Decimal128(precision, scale) => Some((*precision, *scale)),
        DataType::Int8 | DataType::UInt8 => Some((3, 0)),
        DataType::Int16 | DataType::UInt16 => Some((5, 0)),
        DataType::Int32 | DataType::UInt32 => Some((10, 0)),
        DataType::Int64 | DataType::UInt64 => Some((19, 0)),
        _ => None,
    }
}

fn both(types: &[DataType]) -> Option<((u8, i8), (u8, i8))> {
    Some((exact(types.first()?)?, exact(types.get(1)?)?))
}

fn has_decimal(types: &[DataType]) -> bool {
    types.iter().any(|data_type| matches!(data_type, DataType::Decimal128(..)))
}

/// NUMERIC stays NUMERIC with nine places.
fn bigquery_type(types: &[DataType]) -> Result<DataType> {
    let stays = has_decimal(types) && both(types).is_some();
    Ok(if stays { DataType::Decimal128(38, 9) } else { DataType::Float64 })
}

/// Six places more than the dividend has, up to twelve.
fn snowflake_type(types: &[DataType]) -> Result<DataType> {
    Ok(match both(types) {
        Some(((_, scale), _)) => DataType::Decimal128(38, scale.max((scale + 6).min(12))),
        None => DataType::Float64,
    })
}

fn postgres_type(types: &[DataType]) -> Result<DataType> {
    Ok(match both(types) {
        Some(_) if !has_decimal(types) => DataType::Int64,
        Some(((_, left), (_, right))) => DataType::Decimal128(38, left.max(right).max(16)),
        None => DataType::Float64,
    })
}

fn spark_type(types: &[DataType]) -> Result<DataType> {
    let Some(((left, left_scale), (right, right_scale))) = both(types).filter(|_| has_decimal(types)) else {
        return Ok(DataType::Float64);
    };
    let scale = (i32::from(left_scale) + i32::from(right) + 1).max(6);
    let precision = i32::from(left) - i32::from(left_scale) + i32::from(right_scale) + scale;
    // What does not fit loses places, but not below six.
    let scale = if precision > 38 { (scale - (precision - 38)).max(scale.min(6)) } else { scale };
    Ok(DataType::Decimal128(u8::try_from(precision.clamp(1, 38)).unwrap_or(38), i8::try_from(scale).unwrap_or(6)))
}

fn spark_by_number_type(types: &[DataType]) -> Result<DataType> {
    let is_decimal = matches!(types.first(), Some(DataType::Decimal128(..)));
    if is_decimal { spark_type(types) } else { Ok(DataType::Float64) }
}

fn by_zero() -> datafusion::error::DataFusionError {
    exec_datafusion_err!("division by zero")
}

fn divided(arguments: &Arguments, zero: ByZero) -> Result<ArrayRef> {
    match arguments.returns.clone() {
        DataType::Int64 => quotient(arguments, zero),
        DataType::Decimal128(precision, scale) => decimals(arguments, zero, precision, scale),
        _ => floats(arguments, zero),
    }
}

fn floats(arguments: &Arguments, zero: ByZero) -> Result<ArrayRef> {
    let (left, right) = (arguments.float(0)?, arguments.float(1)?);
    let mut results = Float64Array::builder(arguments.rows);
    for row in 0..arguments.rows {
        if left.is_null(row) || right.is_null(row) {
            results.append_null();
            continue;
        }
        let (dividend, divisor) = (left.value(row), right.value(row));
        match zero {
            _ if divisor != 0.0 => results.append_value(dividend / divisor),
            ByZero::Infinite => results.append_value(dividend / divisor),
            ByZero::Null => results.append_null(),
            ByZero::Zero => results.append_value(0.0),
            ByZero::Error => return Err(by_zero()),
        }
    }
    Ok(Arc::new(results.finish()))
}

fn decimals(arguments: &Arguments, zero: ByZero, precision: u8, scale: i8) -> Result<ArrayRef> {
    let decimal = |index: usize| -> Result<(Decimal128Array, i8)> {
        let array = arguments.array(index)?;
        let (_, scale) = exact(array.data_type()).unwrap_or((38, 0));
        let array = converted(array, &DataType::Decimal128(38, scale))?;
        Ok((array.as_primitive::<Decimal128Type>().clone(), scale))
    };
    let ((left, left_scale), (right, right_scale)) = (decimal(0)?, decimal(1)?);
    let shift = i32::from(scale) - i32::from(left_scale) + i32::from(right_scale);
    let factor = u32::try_from(shift).ok().and_then(|shift| 10_i128.checked_pow(shift));
    let factor = factor.ok_or_else(|| exec_datafusion_err!("a division needs more than 38 digits"))?;
    let mut results = Decimal128Array::builder(arguments.rows).with_data_type(DataType::Decimal128(precision, scale));
    for row in 0..arguments.rows {
        if left.is_null(row) || right.is_null(row) {
            results.append_null();
            continue;
        }
        let (dividend, divisor) = (left.value(row), right.value(row));
        match zero {
            _ if divisor != 0 => {
                let widened = dividend.checked_mul(factor);
                let widened = widened.ok_or_else(|| exec_datafusion_err!("a division needs more than 38 digits"))?;
                let half = divisor.abs() / 2 * widened.signum();
                results.append_value((widened + half) / divisor);
            }
            ByZero::Zero => results.append_value(0),
            ByZero::Null | ByZero::Infinite => results.append_null(),
            ByZero::Error => return Err(by_zero()),
        }
    }
    Ok(Arc::new(results.finish()))
}

fn quotient(arguments: &Arguments, zero: ByZero) -> Result<ArrayRef> {
    let (left, right) = (arguments.integer(0)?, arguments.integer(1)?);
    let mut results = Int64Array::builder(arguments.rows);
    for row in 0..arguments.rows {
        match (integer_at(&left, row), integer_at(&right, row)) {
            (Some(_), Some(0)) if zero == ByZero::Error => return Err(by_zero()),
            (Some(dividend), Some(divisor)) => results.append_option(dividend.checked_div(divisor)),
            _ => results.append_null(),
        }
    }
    Ok(Arc::new(results.finish()))
}
