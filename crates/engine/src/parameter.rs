//! Values bound to a query, never pasted into its text.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::metadata::ScalarAndMetadata;

/// The value of a `$name` in SQL.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    Null,
    Boolean(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    /// Days since 1970-01-01.
    Date(i32),
    TextList(Vec<String>),
}

impl Parameter {
    fn scalar(&self) -> ScalarValue {
        match self {
            Self::Null => ScalarValue::Null,
            Self::Boolean(value) => ScalarValue::Boolean(Some(*value)),
            Self::Integer(value) => ScalarValue::Int64(Some(*value)),
            Self::Float(value) => ScalarValue::Float64(Some(*value)),
            Self::Text(text) => ScalarValue::Utf8(Some(text.clone())),
            Self::Date(days) => ScalarValue::Date32(Some(*days)),
            Self::TextList(texts) => {
                let values: Vec<ScalarValue> = texts.iter().map(|text| ScalarValue::Utf8(Some(text.clone()))).collect();
                ScalarValue::List(ScalarValue::new_list_nullable(&values, &DataType::Utf8))
            }
        }
    }
}

pub(crate) fn bound(parameters: &[(String, Parameter)]) -> HashMap<String, ScalarAndMetadata> {
    parameters.iter().map(|(name, value)| (name.clone(), ScalarAndMetadata::from(value.scalar()))).collect()
}
