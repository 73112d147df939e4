//! What can go wrong in the lake, whose fault it is, and whether trying again helps.

use datafusion::error::DataFusionError;
use deltalake_core::DeltaTableError;
use deltalake_core::kernel::transaction::TransactionError;
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
    #[error("column `{column}` is {data_type} where table {table} has {known}")]
    TypeChanged { table: String, column: String, data_type: String, known: String },
    #[error("column `{column}` differs only by case from `{known}` of table {table}")]
    CaseDiffers { table: String, column: String, known: String },
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
            | Self::TypeChanged { .. }
            | Self::CaseDiffers { .. }
            | Self::Cast { .. }
            | Self::UnsupportedFeature { .. }
            | Self::NoConditionalPut
            | Self::NothingToKeep { .. }
            | Self::BadLocation(_) => Kind::User,
            Self::Delta(error) if asks_for_more(error) => Kind::User,
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
            Self::TypeChanged { .. } => {
                "A table's column keeps its type. In a model cast the column, or give it another name; of a source read the column as it was (`as_text`), leave it out (`exclude`), or rename it there."
            }
            Self::CaseDiffers { .. } => {
                "Names of a table's columns are told apart without case: write the column as the table does, rename it, or leave it out."
            }
            Self::Cast { .. } => "Cast the column in SQL to a type that holds all its values.",
            Self::Delta(error) if asks_for_more(error) => {
                "Write it with the engine that made it, or rewrite the table without that feature."
            }
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
            _ => return store_hint(self),
        };
        Some(text.to_owned())
    }
}

/// Whether a table asks its writers for what is not known here: trying again finds it as it is.
fn asks_for_more(error: &DeltaTableError) -> bool {
    use TransactionError::{DeltaTableAppendOnly, TableFeaturesRequired, UnsupportedTableFeatures};
    let DeltaTableError::Transaction { source } = error else { return false };
    matches!(source, DeltaTableAppendOnly | TableFeaturesRequired(_) | UnsupportedTableFeatures(_))
}

/// What to do about keys and clocks: stores tell them apart by a code in the answer, however deep that is.
fn store_hint(error: &LakeError) -> Option<String> {
    let first: &(dyn std::error::Error + 'static) = error;
    let told: Vec<String> =
        std::iter::successors(Some(first), |error| error.source()).map(ToString::to_string).collect();
    let says = |code: &&str| told.iter().any(|text| text.contains(code));
    let hint = if ["ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch"].iter().any(says) {
        "The store no longer takes the keys: renew them and start again. What was not committed is taken then."
    } else if says(&"RequestTimeTooSkewed") {
        "The store does not believe this machine's clock: set it, and work goes on by itself."
    } else if says(&"AccessDenied") {
        "The keys may not do this: give them the right to read, write, list and delete below the lake's location."
    } else {
        return None;
    };
    Some(hint.to_owned())
}
