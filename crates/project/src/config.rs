//! Configuration: from a spanned tree to typed structs, with every problem reported at its place.
//!
//! A file kind is one Rust struct with `serde::Deserialize` and `schemars::JsonSchema`. The JSON Schema derived from it
//! is at once what `headwater schema` prints, what editors complete from, and what [`decode`] checks a file against, so
//! the three can never disagree. Doc comments on the fields are the reference manual.

mod bucket;
mod connection;
mod duration;
mod interpolate;
mod project_file;
mod size;
mod text_list;
mod validate;

use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::tree::Tree;

pub use bucket::{AzureConnection, GcsConnection, S3Connection};
pub use connection::{
    ConnectionConfig, HttpAuth, HttpConnection, KafkaConnection, KafkaSasl, PostgresConnection, RegistryConnection,
    SaslMechanism, Secret, TlsMode,
};
pub use duration::DurationText;
pub use interpolate::{Variables, interpolate};
pub use project_file::{
    ApiConfig, BuildConfig, LakeConfig, LogConfig, MaintenanceConfig, PROJECT_FILE, ProjectConfig, StorageCredentials,
};
pub use size::ByteSize;
pub use text_list::TextList;
pub use validate::suggest;

/// The JSON Schema of a file kind.
pub fn schema<T: JsonSchema>() -> serde_json::Value {
    schemars::generate::SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value()
}

/// Checks `tree` against the schema of `T` and converts it. `None` when an error was reported.
pub fn decode<T: JsonSchema + DeserializeOwned>(tree: &Tree, diagnostics: &mut Diagnostics) -> Option<T> {
    let schema = schema::<T>();
    let before = diagnostics.found.len();
    validate::validate(tree, &schema, diagnostics);
    if diagnostics.found.len() > before {
        return None;
    }
    match serde_json::from_value(tree.to_json()) {
        Ok(value) => Some(value),
        // What a schema cannot say (a malformed duration, two settings that exclude each other) surfaces here.
        Err(error) => {
            diagnostics.push(Diagnostic::error(error.to_string()).at(tree.span));
            None
        }
    }
}

#[cfg(test)]
mod tests;
