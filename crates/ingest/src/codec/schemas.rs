//! Schemas that records name by their number: a zero byte and four bytes in front of each, as schema registries have it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arrow::datatypes::{Field, Schema, SchemaRef};

use crate::codec::column::Refusal;
use crate::schema::{DriftPolicy, drift};

/// Writers' schemas by their number, as far as they are known. Whoever reads records sees to it that theirs are.
#[derive(Debug)]
pub struct Schemas<S>(RwLock<HashMap<u32, Result<Arc<S>, Refusal>>>);

impl<S> Default for Schemas<S> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<S> Schemas<S> {
    pub fn knows(&self, id: u32) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains_key(&id)
    }

    /// A schema, or why records that name it cannot be read.
    pub fn learn(&self, id: u32, schema: Result<S, String>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(id, schema.map(Arc::new));
    }

    pub(super) fn get(&self, id: u32) -> Result<Arc<S>, Refusal> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&id).cloned().unwrap_or_else(|| Err(format!("schema {id} is not known")))
    }
}

/// Columns for records of several versions, those of later versions after those of earlier ones.
pub(super) fn columns(versions: impl Iterator<Item = Vec<Field>>) -> SchemaRef {
    versions.fold(Arc::new(Schema::empty()), |all, fields| {
        drift::evolve(&all, &Schema::new(fields), &DriftPolicy::default())
    })
}

/// The number of a record's schema, and the rest.
pub fn framed(record: &[u8]) -> Result<(u32, &[u8]), String> {
    match record.split_first_chunk::<5>() {
        Some(([0, id @ ..], rest)) => Ok((u32::from_be_bytes(*id), rest)),
        _ => Err("record does not begin with the number of a schema".to_owned()),
    }
}
