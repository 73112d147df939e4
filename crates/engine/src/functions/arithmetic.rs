//! Arithmetic that notices when a result does not fit.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};

use super::arguments::{Arguments, converted};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // Whole numbers: a result that does not fit is an error.
    Function {
        name: "checked_add",
        arity: (2, 2),
        returns: wider,
        body: |arguments| checked(arguments, Operation::Add),
    },
    Function {
        name: "checked_subtract",
        arity: (2, 2),
        returns: wider,
        body: |arguments| checked(arguments, Operation::Subtract),
    },
    Function {
        name: "checked_multiply",
        arity: (2, 2),
        returns: wider,
        body: |arguments| checked(arguments, Operation::Multiply),
    },
    // Numbers of any kind: a result that does not fit is NULL.
    Function {
        name: "try_add",
        arity: (2, 2),
        returns: tried_type,
        body: |arguments| tried(arguments, Operation::Add),
    },
    Function {
        name: "try_subtract",
        arity: (2, 2),
        returns: tried_type,
        body: |arguments| tried(arguments, Operation::Subtract),
    },
    Function {
        name: "try_multiply",
        arity: (2, 2),
        returns: tried_type,
        body: |arguments| tried(arguments, Operation::Multiply),
    },
    // Halves go to the even neighbour for fractions in binary, away from zero for exact ones.
    Function { name: "round_half_even", arity: (1, 1), returns: rounded_type, body: rounded },
    // (base, number)
    Function { name: "logarithm", arity: (2, 2), returns: returns::float, body: logarithm },
    Function { name: "bit_count", arity: (1, 1), returns: returns::integer, body: bits },
];

#[derive(Clone, Copy)]
enum Operation {
    Add,
    Subtract,
    Multiply,
}

/// The type both have, or 64 bits.
fn wider(types: &[DataType]) -> Result<DataType> {
    match types {
        [one, other] if one == other && one.is_signed_integer() => Ok(one.clone()),
        _ => Ok(DataType::Int64),
    }
}

fn checked(arguments: &Arguments, operation: Operation) -> Result<ArrayRef> {
    let (left, right) = (arguments.cast(0, &arguments.returns)?, arguments.cast(1, &arguments.returns)?);
    let done = match operation {
        Operation::Add => numeric::add(&left, &right),
        Operation::Subtract => numeric::sub(&left, &right),
        Operation::Multiply => numeric::mul(&left, &right),
    };
    done.map_err(|_| exec_datafusion_err!("a whole number leaves the range of {}", arguments.returns))
}

fn scale(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal128(_, scale) => Some(*scale),
        other if other.is_integer() || *other == DataType::Null => Some(0),
        _ => None,
    }
}

fn tried_type(types: &[DataType]) -> Result<DataType> {
    let scales: Option<Vec<i8>> = types.iter().map(scale).collect();
    let is_whole = types.iter().all(|one| one.is_integer() || *one == DataType::Null);
    Ok(match scales {
        _ if is_whole => DataType::Int64,
        Some(scales) => DataType::Decimal128(38, scales.iter().copied().max().unwrap_or(0)),
        None => DataType::Float64,
    })
}

fn tried(arguments: &Arguments, operation: Operation) -> Result<ArrayRef> {
    let (left, right) = (arguments.cast(0, &arguments.returns)?, arguments.cast(1, &arguments.returns)?);
    let rows = 0..arguments.rows;
    match &arguments.returns {
        DataType::Int64 => {
            let (left, right) = (left.as_primitive::<Int64Type>(), right.as_primitive::<Int64Type>());
            let of = |row: usize| {
                let (left, right) = both(left, right, row).map(|()| (left.value(row), right.value(row)))?;
                match operation {
                    Operation::Add => left.checked_add(right),
                    Operation::Subtract => left.checked_sub(right),
                    Operation::Multiply => left.checked_mul(right),
                }
            };
            Ok(Arc::new(rows.map(of).collect::<Int64Array>()))
        }
        DataType::Decimal128(precision, scale) => {
            let unit = 10_i128.pow(u32::from(scale.unsigned_abs()));
            let (left, right) = (left.as_primitive::<Decimal128Type>(), right.as_primitive::<Decimal128Type>());
            let of = |row: usize| {
                let (left, right) = both(left, right, row).map(|()| (left.value(row), right.value(row)))?;
                match operation {
                    Operation::Add => left.checked_add(right),
                    Operation::Subtract => left.checked_sub(right),
                    Operation::Multiply => left.checked_mul(right).map(|product| product / unit),
                }
            };
            let numbers: Decimal128Array = rows.map(of).collect();
            Ok(Arc::new(numbers.with_precision_and_scale(*precision, *scale)?))
        }
        _ => {
            let (left, right) = (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
            let of = |row: usize| {
                let (left, right) = both(left, right, row).map(|()| (left.value(row), right.value(row)))?;
                Some(match operation {
                    Operation::Add => left + right,
                    Operation::Subtract => left - right,
                    Operation::Multiply => left * right,
                })
            };
            Ok(Arc::new(rows.map(of).collect::<Float64Array>()))
        }
    }
}

/// Whether both columns have a value in a row.
fn both(left: &dyn Array, right: &dyn Array, row: usize) -> Option<()> {
    (left.is_valid(row) && right.is_valid(row)).then_some(())
}

fn rounded_type(types: &[DataType]) -> Result<DataType> {
    Ok(match types.first() {
        Some(DataType::Decimal128(precision, scale)) if *scale > 0 => {
            DataType::Decimal128(precision.saturating_sub(scale.unsigned_abs()).saturating_add(1).max(1), 0)
        }
        Some(exact @ DataType::Decimal128(..)) => exact.clone(),
        Some(whole) if whole.is_integer() => whole.clone(),
        _ => DataType::Float64,
    })
}

fn rounded(arguments: &Arguments) -> Result<ArrayRef> {
    match (&arguments.returns, arguments.array(0)?.data_type()) {
        (DataType::Decimal128(precision, 0), DataType::Decimal128(_, scale)) if *scale > 0 => {
            let unit = 10_i128.pow(u32::from(scale.unsigned_abs()));
            let numbers = arguments.array(0)?.as_primitive::<Decimal128Type>();
            let round = |number: i128| (number + unit / 2 * number.signum()) / unit;
            let rounded: Decimal128Array = numbers.iter().map(|number| number.map(round)).collect();
            Ok(Arc::new(rounded.with_precision_and_scale(*precision, 0)?))
        }
        (DataType::Float64, _) => {
            let numbers = arguments.float(0)?;
            Ok(Arc::new(numbers.unary::<_, Float64Type>(f64::round_ties_even)))
        }
        _ => Ok(Arc::clone(arguments.array(0)?)),
    }
}

fn logarithm(arguments: &Arguments) -> Result<ArrayRef> {
    let (bases, numbers) = (arguments.float(0)?, arguments.float(1)?);
    let of = |row: usize| {
        both(&bases, &numbers, row)?;
        // The bases people count in are exact by themselves.
        Some(match (bases.value(row), numbers.value(row)) {
            (10.0, number) => number.log10(),
            (2.0, number) => number.log2(),
            (base, number) => number.ln() / base.ln(),
        })
    };
    Ok(Arc::new((0..arguments.rows).map(of).collect::<Float64Array>()))
}

fn bits(arguments: &Arguments) -> Result<ArrayRef> {
    let numbers = converted(arguments.array(0)?, &DataType::Int64)
        .map_err(|_: DataFusionError| exec_datafusion_err!("bits are counted of whole numbers"))?;
    let count = |number: i64| i64::from(number.count_ones());
    Ok(Arc::new(numbers.as_primitive::<Int64Type>().unary::<_, Int64Type>(count)))
}
