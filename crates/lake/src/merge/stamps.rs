//! Rows by the moment of the commit that brought them.

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::TimestampMicrosecondType;

use crate::error::{LakeError, Result};
use crate::file::DataFile;
use crate::pipeline::INGESTED_AT;
use crate::schema::utc_micros;
use crate::stats;

/// Rows by their [`INGESTED_AT`]. One without it is older than any mark.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stamped {
    UpTo(i64),
    At(i64),
}

/// How many rows of a file are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    None,
    Some,
    All,
}

impl Share {
    pub(super) fn of(meant: usize, rows: usize) -> Self {
        match meant {
            0 => Self::None,
            _ if meant == rows => Self::All,
            _ => Self::Some,
        }
    }
}

impl Stamped {
    fn means(self, stamp: Option<i64>) -> bool {
        match self {
            Self::UpTo(mark) => stamp.is_none_or(|stamp| stamp <= mark),
            Self::At(moment) => stamp == Some(moment),
        }
    }

    /// As far as the bounds in the log tell, whatever the clock said when the file was written.
    pub(super) fn share_by_bounds(self, file: &DataFile) -> Option<Share> {
        let (least, greatest) = stats::moments(file, INGESTED_AT)?;
        let (none, all) = match self {
            Self::UpTo(mark) => (least > mark, greatest <= mark),
            Self::At(moment) => (moment < least || greatest < moment, least == moment && greatest == moment),
        };
        none.then_some(Share::None).or(all.then_some(Share::All))
    }

    /// Which rows of a batch are meant.
    pub(super) fn rows(self, batch: &RecordBatch) -> Result<BooleanArray> {
        let stamps = batch.column_by_name(INGESTED_AT).map(|column| cast(column, &utc_micros())).transpose()?;
        let stamps = stamps.as_ref().and_then(|stamps| stamps.as_primitive_opt::<TimestampMicrosecondType>());
        let stamps = stamps.ok_or_else(|| LakeError::Internal(format!("a data file without {INGESTED_AT}")))?;
        Ok(stamps.iter().map(|stamp| Some(self.means(stamp))).collect())
    }
}
