//! What can go wrong when SQL runs, whose fault it is, and whether trying again helps.

use datafusion::common::{Column, SchemaError};
use datafusion::error::DataFusionError;
use headwater_lake::LakeError;
use headwater_project::config::suggest;
use headwater_project::{Classify, Kind, Position};

use crate::dialect::{Untranslated, complaint};

pub type Result<T> = std::result::Result<T, EngineError>;

#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("the query could not be planned or run")]
    Query(#[source] Box<DataFusionError>),
    #[error("the SQL cannot be read: {reason}")]
    Syntax { reason: String, position: Option<Position> },
    #[error("there is no column `{column}`")]
    UnknownColumn {
        column: String,
        /// What could have been meant, as it can be written in its place.
        known: Vec<String>,
        position: Option<Position>,
    },
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
    #[error("there are no files at {0}")]
    NoFiles(String),
    #[error("{location} cannot be reached")]
    ExternalStore { location: String, reason: String },
    #[error("the files at {location} have no column `{column}`")]
    ExternalColumn { location: String, column: String, near: Option<String>, known: Vec<String> },
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
        if is_correlated(&error) {
            return Self::Correlated;
        }
        if let DataFusionError::SQL(problem, _) = error.find_root() {
            let (reason, position) = complaint(problem);
            return Self::Syntax { reason, position };
        }
        match unknown_column(&error) {
            Some(unknown) => unknown,
            None => Self::Query(Box::new(error)),
        }
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

    fn position(&self) -> Option<Position> {
        match self {
            Self::UnknownColumn { position, .. } | Self::Syntax { position, .. } => *position,
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Query(error) => query_hint(error),
            Self::UnknownColumn { column, known, .. } => column_hint(column, known),
            Self::Correlated => Some(String::from(
                "Write it as a join: with a GROUP BY for an aggregate, with row_number() for the first rows of each.",
            )),
            Self::NoSuchTable(_, Some(near)) => Some(format!("Did you mean `{near}`?")),
            Self::NoSuchTable(_, None) => Some(String::from(
                "`headwater tables` lists what there is; a model must be built before it can be read.",
            )),
            Self::SchemaChanged { added, removed } => Some(format!(
                "Added: {}. Removed: {}. Run with --full-refresh, or set on_schema_change.",
                listed(added),
                listed(removed)
            )),
            Self::DuplicateKey { example, .. } => {
                Some(format!("For example {example} appears more than once; deduplicate in the model's SQL."))
            }
            Self::NoFiles(_) => Some(String::from(
                "See `external:` of the source, and `locations` in headwater.yml or --map-location for where it is mapped to.",
            )),
            Self::ExternalStore { reason, .. } => Some(format!(
                "{reason}. Folders and s3:// are read; map other places to one of these with `locations` in headwater.yml \
                 or with --map-location."
            )),
            Self::ExternalColumn { near: Some(near), .. } => Some(format!("Did you mean `{near}`?")),
            Self::ExternalColumn { known, .. } | Self::NoSuchColumn { known, .. } => {
                Some(format!("Known columns: {}.", known.join(", ")))
            }
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
        _ => None,
    }
}

fn unknown_column(error: &DataFusionError) -> Option<EngineError> {
    let DataFusionError::SchemaError(inner, _) = error.find_root() else { return None };
    let SchemaError::FieldNotFound { field, valid_fields } = inner.as_ref() else { return None };
    let start = error.diagnostic().and_then(|found| found.span).map(|span| span.start);
    Some(EngineError::UnknownColumn {
        column: field.flat_name(),
        known: choices(valid_fields),
        position: start.and_then(|start| {
            Some(Position { line: u32::try_from(start.line).ok()?, column: u32::try_from(start.column).ok()? })
        }),
    })
}

/// Column names; with their relation where two relations have the name.
fn choices(columns: &[Column]) -> Vec<String> {
    let is_shared = |name: &str| columns.iter().filter(|column| column.name == name).count() > 1;
    let written = |column: &Column| match &column.relation {
        Some(relation) if is_shared(&column.name) => format!("{}.{}", relation.table(), column.name),
        _ => column.name.clone(),
    };
    columns.iter().map(written).collect()
}

fn column_hint(column: &str, known: &[String]) -> Option<String> {
    if known.is_empty() {
        return None;
    }
    let name = column.rsplit('.').next().unwrap_or(column).trim_matches('"');
    let listed = format!("Known columns: {}.", known.join(", "));
    if let Some(cased) = known.iter().find(|other| other.eq_ignore_ascii_case(name) && *other != name) {
        return Some(format!("Did you mean \"{cased}\"? Names with capital letters need the quotes. {listed}"));
    }
    Some(match suggest(name, known.iter().map(String::as_str)) {
        Some(near) => format!("Did you mean `{near}`? {listed}"),
        None => listed,
    })
}
