//! What can go wrong when SQL runs, whose fault it is, and whether trying again helps.

use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use headwater_lake::LakeError;
use headwater_project::{Classify, Kind};

use crate::dialect::Untranslated;

pub type Result<T> = std::result::Result<T, EngineError>;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the query could not be planned or run")]
    Query(#[source] Box<DataFusionError>),
    #[error("a subquery refers to the row around it in a way that cannot be run")]
    Correlated,
    #[error("table `{0}` does not exist")]
    NoSuchTable(String, Option<String>),
    #[error("{0}")]
    NotAllowed(String),
    #[error("{}", untranslated(.0, .1))]
    Untranslated(&'static str, Vec<Untranslated>),
    #[error("views nest more than {0} deep, or contain each other")]
    ViewDepth(usize),
    #[error("the model's columns changed")]
    SchemaChanged { added: Vec<String>, removed: Vec<String> },
    #[error("the unique key {key} is not unique in the new rows of {table}")]
    DuplicateKey { table: String, key: String, example: String },
    #[error("column `{column}` is not in the model's result")]
    NoSuchColumn { column: String, known: Vec<String> },
    #[error("the seed file could not be read")]
    Csv(#[source] arrow::error::ArrowError),
    #[error("{what} is not a type")]
    UnknownType { what: String },
    #[error(transparent)]
    Lake(Box<LakeError>),
    #[error("columns could not be converted")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("{0}")]
    Internal(String),
}

impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        if is_correlated(&error) { Self::Correlated } else { Self::Query(Box::new(error)) }
    }
}

/// Whether the engine was left with a subquery it found no join for.
fn is_correlated(error: &DataFusionError) -> bool {
    let DataFusionError::NotImplemented(message) = error.find_root() else { return false };
    let is_left = message.starts_with("Physical plan does not support logical expression");
    is_left
        && ["OuterReferenceColumn", "ScalarSubquery", "Exists", "InSubquery"].iter().any(|kind| message.contains(kind))
}

impl From<LakeError> for EngineError {
    fn from(error: LakeError) -> Self {
        Self::Lake(Box::new(error))
    }
}

impl Classify for EngineError {
    fn kind(&self) -> Kind {
        match self {
            Self::Query(error) => match error.find_root() {
                DataFusionError::ResourcesExhausted(_) => Kind::Exhausted,
                DataFusionError::ObjectStore(_) | DataFusionError::IoError(_) => Kind::External { retry_after: None },
                DataFusionError::Internal(_) => Kind::Internal,
                _ => Kind::User,
            },
            Self::Lake(error) => error.kind(),
            Self::Arrow(_) | Self::Internal(_) => Kind::Internal,
            _ => Kind::User,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Query(error) => query_hint(error),
            Self::Correlated => Some(String::from(
                "Write it as a join: with a GROUP BY for an aggregate, with row_number() for the first rows of each.",
            )),
            Self::NoSuchTable(_, Some(near)) => Some(format!("Did you mean `{near}`?")),
            Self::NoSuchTable(_, None) => {
                Some(String::from("`headwater ls` lists the models; a model must be built before it can be read."))
            }
            Self::SchemaChanged { added, removed } => Some(format!(
                "Added: {}. Removed: {}. Run with --full-refresh, or set on_schema_change.",
                listed(added),
                listed(removed)
            )),
            Self::DuplicateKey { example, .. } => {
                Some(format!("For example {example} appears more than once; deduplicate in the model's SQL."))
            }
            Self::NoSuchColumn { known, .. } => Some(format!("Known columns: {}.", known.join(", "))),
            Self::Lake(error) => error.hint(),
            Self::Untranslated(_, found) => found.first().map(|first| first.hint.clone()),
            _ => None,
        }
    }
}

fn untranslated(dialect: &str, found: &[Untranslated]) -> String {
    let shown: Vec<String> = found
        .iter()
        .map(|one| match one.line {
            0 => one.what.clone(),
            line => format!("{} at line {line}, column {}", one.what, one.column),
        })
        .collect();
    format!("this is {dialect}'s and cannot be translated: {}", shown.join("; "))
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { String::from("none") } else { names.join(", ") }
}

fn query_hint(error: &DataFusionError) -> Option<String> {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => {
            Some(String::from("Give more memory with --memory, or make the query read less."))
        }
        DataFusionError::SchemaError(inner, _) => match inner.as_ref() {
            SchemaError::FieldNotFound { valid_fields, .. } if !valid_fields.is_empty() => {
                let names: Vec<String> = valid_fields.iter().map(|column| column.name.clone()).collect();
                Some(format!("Known columns: {}. Names with capital letters need double quotes.", names.join(", ")))
            }
            _ => None,
        },
        _ => None,
    }
}
