//! Functions of ours on top of the engine's own: what other warehouses have and the engine has not.
//!
//! A function has one meaning, whatever a project is set to. Where dialects give one name two meanings, there are two functions
//! here, and the translation of a dialect chooses between them.

mod arguments;
mod arithmetic;
mod calendar;
mod collections;
mod dates;
mod division;
mod encodings;
mod hashes;
mod intervals;
mod json;
mod json_documents;
mod json_edits;
mod lists;
mod number_patterns;
mod patterns;
mod pieces;
mod regexes;
mod series;
mod sums;
mod text_formats;
mod texts;
mod times_of_text;
mod value_texts;
mod zones;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    AggregateUDF, Cast, ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility,
};

use arguments::Arguments;

pub(crate) use json_documents::is_json;

const GROUPS: &[&[Function]] = &[
    arithmetic::FUNCTIONS,
    collections::FUNCTIONS,
    dates::FUNCTIONS,
    division::FUNCTIONS,
    encodings::FUNCTIONS,
    hashes::FUNCTIONS,
    intervals::FUNCTIONS,
    json::FUNCTIONS,
    json_documents::FUNCTIONS,
    json_edits::FUNCTIONS,
    lists::FUNCTIONS,
    number_patterns::FUNCTIONS,
    patterns::FUNCTIONS,
    pieces::FUNCTIONS,
    regexes::FUNCTIONS,
    series::FUNCTIONS,
    text_formats::FUNCTIONS,
    texts::FUNCTIONS,
    times_of_text::FUNCTIONS,
    value_texts::FUNCTIONS,
    zones::FUNCTIONS,
];

/// All of them, by name.
pub(crate) fn all() -> impl Iterator<Item = (&'static str, ScalarUDF)> {
    let functions = GROUPS.iter().copied().flatten();
    functions.map(|function| (function.name, ScalarUDF::new_from_impl(Registered::new(*function))))
}

/// Registers all of them.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    for (_, function) in all() {
        state.register_udf(Arc::new(function))?;
    }
    Ok(())
}

/// Registers sums that notice when they do not fit, in place of the engine's own.
pub(crate) fn register_checked_sum(state: &mut SessionState) -> Result<()> {
    state.register_udaf(Arc::new(AggregateUDF::new_from_impl(sums::CheckedSum::new())))?;
    Ok(())
}

/// One function: whole columns in, one column out.
#[derive(Clone, Copy)]
pub(crate) struct Function {
    pub(crate) name: &'static str,
    /// Fewest and most arguments.
    pub(crate) arity: (usize, usize),
    pub(crate) returns: fn(&[DataType]) -> Result<DataType>,
    pub(crate) body: fn(&Arguments) -> Result<ArrayRef>,
}

/// A function as the engine calls it.
struct Registered {
    function: Function,
    signature: Signature,
}

impl Registered {
    fn new(function: Function) -> Self {
        let signature = if function.arity.0 == 0 {
            let kinds = vec![TypeSignature::Nullary, TypeSignature::VariadicAny];
            Signature::one_of(kinds, Volatility::Immutable)
        } else {
            Signature::variadic_any(Volatility::Immutable)
        };
        Self { function, signature }
    }
}

impl std::fmt::Debug for Registered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.function.name)
    }
}

impl PartialEq for Registered {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name
    }
}

impl Eq for Registered {}

impl Hash for Registered {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.function.name.hash(state);
    }
}

impl ScalarUDFImpl for Registered {
    fn name(&self) -> &str {
        self.function.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let Function { name, arity: (fewest, most), returns, .. } = self.function;
        if types.len() < fewest || types.len() > most {
            return plan_err!("{name} takes {fewest} to {most} arguments, not {}", types.len());
        }
        returns(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args.arg_fields.iter().map(|field| field.data_type().clone()).collect();
        // An item of a document is one.
        let is_item = matches!(self.function.name, "list_item" | "list_item_or_null")
            && matches!(types.first(), Some(DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View));
        let name = if is_item { "json_piece" } else { self.function.name };
        Ok(Arc::new(json_documents::marked(name, self.return_type(&types)?).with_name(self.function.name)))
    }

    /// A plain cast, which the engine can look through, where there is no text to read.
    fn simplify(&self, mut args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        if self.function.name == "as_is" && args.len() == 2 {
            return Ok(ExprSimplifyResult::Simplified(args.swap_remove(0)));
        }
        if !times_of_text::is_cast(self.function.name) {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let [only] = args.as_slice() else { return Ok(ExprSimplifyResult::Original(args)) };
        let from = info.get_data_type(only)?;
        let to = (self.function.returns)(std::slice::from_ref(&from))?;
        Ok(match from {
            same if same == to => ExprSimplifyResult::Simplified(only.clone()),
            DataType::Date32 | DataType::Timestamp(..) => {
                ExprSimplifyResult::Simplified(Expr::Cast(Cast::new(Box::new(only.clone()), to)))
            }
            _ => ExprSimplifyResult::Original(args),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_constant = args.args.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
        let rows = if is_constant { 1 } else { args.number_rows };
        let returns = args.return_field.data_type().clone();
        let json = args.arg_fields.iter().map(|field| json_documents::is_json(field)).collect();
        let arrays = args.args.into_iter().map(|argument| argument.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let array = (self.function.body)(&Arguments { name: self.function.name, arrays, json, rows, returns })?;
        if is_constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&array, 0)?));
        }
        Ok(ColumnarValue::Array(array))
    }
}

/// Return types of functions whose result does not depend on what they are given.
pub(crate) mod returns {
    use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
    use datafusion::common::Result;

    pub(crate) fn text(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8)
    }

    /// JSON documents.
    pub(crate) fn documents(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Field::new_list_field(DataType::Utf8, true).into()))
    }

    pub(crate) fn texts(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::List(Field::new_list_field(DataType::Utf8, true).into()))
    }

    pub(crate) fn integer(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    pub(crate) fn float(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    pub(crate) fn boolean(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    pub(crate) fn date(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Date32)
    }

    pub(crate) fn timestamp(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, None))
    }

    /// An instant.
    pub(crate) fn instant(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))
    }

    pub(crate) fn interval(_: &[DataType]) -> Result<DataType> {
        Ok(DataType::Interval(IntervalUnit::MonthDayNano))
    }

    /// As the first argument.
    pub(crate) fn first(types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }
}
