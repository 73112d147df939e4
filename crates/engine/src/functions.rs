//! Functions of ours on top of the engine's own: what other warehouses have and the engine has not.
//!
//! A function has one meaning, whatever a project is set to. Where dialects give one name two meanings, there are two functions
//! here, and the translation of a dialect chooses between them.

mod arguments;
mod dates;
mod division;
mod hashes;
mod json;
mod json_documents;
mod lists;
mod patterns;
mod regexes;
mod texts;
mod zones;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::execution::{FunctionRegistry, SessionState};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, TypeSignature, Volatility,
};

use arguments::Arguments;

/// Registers all of them.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    let groups = [
        dates::FUNCTIONS,
        division::FUNCTIONS,
        hashes::FUNCTIONS,
        json::FUNCTIONS,
        json_documents::FUNCTIONS,
        lists::FUNCTIONS,
        patterns::FUNCTIONS,
        regexes::FUNCTIONS,
        texts::FUNCTIONS,
        zones::FUNCTIONS,
    ];
    for function in groups.into_iter().flatten() {
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(Registered::new(*function))))?;
    }
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
        Ok(Arc::new(json_documents::marked(self.function.name, self.return_type(&types)?)))
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
