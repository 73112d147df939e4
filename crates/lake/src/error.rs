//! What can go wrong in the lake, whose fault it is, and whether trying again helps.

use datafusion::error::DataFusionError;
use deltalake_core::DeltaTableError;
use headwater_project::fault::Injected;
use headwater_project::{Classify, Kind};

pub type Result<T> = std::result::Result<T, LakeError>;

#[derive(Debug, thiserror::Error)]
pub enum LakeError {
    #[error("table {0} does not exist")]
    NoSuchTable(String),
    #[error("version {version} of table {table} does not exist")]
    NoSuchVersion { table: String, version: u64 },
    #[error("the table was changed by another writer")]
    Conflict(#[source] Box<DeltaTableError>),
    #[error("another owner took over pipeline {pipeline}: its epoch is {current}, ours was {ours}")]
    Fenced { pipeline: String, ours: i64, current: i64 },
    #[error("positions of pipeline {pipeline} moved under us")]
    PositionMoved { pipeline: String },
    #[error("another change of table {0} came first")]
    Overtaken(String),
    #[error("table {table} has no row to keep the values of {columns} from")]
    NothingToKeep { table: String, columns: String },
    #[error("column `{column}` has type {data_type}, which a table cannot hold")]
    UnsupportedType { column: String, data_type: String },
    #[error("values of column `{column}` do not fit into {data_type}")]
    Cast {
        column: String,
        data_type: String,
        #[source]
        source: arrow::error::ArrowError,
    },
    #[error("table {table} uses {feature}, which is not supported")]
    UnsupportedFeature { table: String, feature: String },
    #[error("the log of table {table} is damaged")]
    Damaged {
        table: String,
        #[source]
        source: Box<DeltaTableError>,
    },
    #[error("the store accepted two creations of the same object")]
    NoConditionalPut,
    #[error("`{0}` is not a place where a lake can be")]
    BadLocation(String),
    #[error("the lake's storage failed")]
    Store(#[from] object_store::Error),
    #[error("reading or writing a file of the lake failed")]
    Io(#[from] std::io::Error),
    #[error("the table log could not be read or written")]
    Delta(#[source] Box<DeltaTableError>),
    #[error("writing a data file failed")]
    Parquet(#[from] parquet::errors::ParquetError),
    #[error("columns could not be converted")]
    Arrow(#[from] arrow::error::ArrowError),
    #[error("reading a table failed")]
    Query(#[source] Box<DataFusionError>),
    #[error("a fault was injected")]
    Injected(#[from] Injected),
    #[error("{0}")]
    Internal(String),
}

impl From<DeltaTableError> for LakeError {
    fn from(error: DeltaTableError) -> Self {
        match error {
            DeltaTableError::ObjectStore { source } => Self::Store(source),
            other => Self::Delta(Box::new(other)),
        }
    }
}

impl From<DataFusionError> for LakeError {
    fn from(error: DataFusionError) -> Self {
        Self::Query(Box::new(error))
    }
}

impl Classify for LakeError {
    fn kind(&self) -> Kind {
        match self {
            Self::NoSuchTable(_)
            | Self::NoSuchVersion { .. }
            | Self::UnsupportedType { .. }
            | Self::Cast { .. }
            | Self::UnsupportedFeature { .. }
            | Self::NoConditionalPut
            | Self::NothingToKeep { .. }
            | Self::BadLocation(_) => Kind::User,
            Self::Conflict(_) | Self::Fenced { .. } | Self::PositionMoved { .. } => Kind::Conflict,
            Self::Query(error) if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) => {
                Kind::Exhausted
            }
            Self::Internal(_) | Self::Arrow(_) => Kind::Internal,
            _ => Kind::External { retry_after: None },
        }
    }

    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::NoSuchTable(_) => {
                "Run `headwater build` or `headwater ingest` first, or check the name with `headwater ls`."
            }
            Self::UnsupportedType { .. } => {
                "Cast the column to a type such as BIGINT, DOUBLE, DECIMAL, VARCHAR, DATE or TIMESTAMP."
            }
            Self::Cast { .. } => "Cast the column in SQL to a type that holds all its values.",
            Self::UnsupportedFeature { .. } => "Rewrite the table without that feature with the engine that made it.",
            Self::Fenced { .. } => "Another Headwater process runs this project; stop one of them.",
            Self::NothingToKeep { .. } => {
                "The source sends long values only when they change, and the table lacks the row: copy the table again, or set REPLICA IDENTITY FULL."
            }
            Self::NoConditionalPut => {
                "The store ignores conditional writes (`If-None-Match`), so two writers could overwrite each other; use one that honours them."
            }
            Self::BadLocation(_) => "Use a folder, `memory://` or `s3://bucket/prefix`.",
            Self::Damaged { .. } => {
                "Restore the table's `_delta_log` folder from a backup, or remove the table and load it again."
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}
