//! Lists, structures and maps as JSON text, for destinations without such types.

use arrow::array::{Array, ArrayRef, StringArray, StringBuilder};
use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use arrow::json::writer::{EncoderOptions, make_encoder};

/// Whether values of this type have parts.
pub(crate) fn is_nested(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => is_nested(values),
        other => other.is_nested(),
    }
}

/// Each value as JSON; members that are NULL are written as `null`.
pub(crate) fn as_json(field: &FieldRef, array: &ArrayRef) -> Result<StringArray, ArrowError> {
    let options = EncoderOptions::default().with_explicit_nulls(true);
    let mut encoder = make_encoder(field, array.as_ref(), &options)?;
    let mut texts = StringBuilder::with_capacity(array.len(), array.len() * 32);
    let mut text = Vec::new();
    for row in 0..array.len() {
        if encoder.is_null(row) {
            texts.append_null();
            continue;
        }
        text.clear();
        encoder.encode(row, &mut text);
        texts.append_value(std::str::from_utf8(&text).map_err(|error| ArrowError::JsonError(error.to_string()))?);
    }
    Ok(texts.finish())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListArray, StructArray};
    use arrow::datatypes::{Field, Int64Type};

    use super::*;

    #[test]
    fn parts_become_json_and_null_stays_null() {
        let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]));
        let field: FieldRef = Arc::new(Field::new("l", list.data_type().clone(), true));
        let texts: Vec<Option<String>> =
            as_json(&field, &list).unwrap().iter().map(|text| text.map(str::to_owned)).collect();
        assert_eq!(texts, [Some(String::from("[1,null]")), None, Some(String::from("[]"))]);
        let number: ArrayRef = Arc::new(Int64Array::from(vec![None]));
        let member: FieldRef = Arc::new(Field::new("a", DataType::Int64, true));
        let structure: ArrayRef = Arc::new(StructArray::from(vec![(member, number)]));
        let field: FieldRef = Arc::new(Field::new("s", structure.data_type().clone(), true));
        assert_eq!(as_json(&field, &structure).unwrap().value(0), "{\"a\":null}");
    }
}
