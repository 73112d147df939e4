//! Raw records to Arrow, with the records that do not fit set aside, each with its reason.

pub mod avro;
pub(crate) mod base64;
mod block;
pub(crate) mod cells;
pub(crate) mod column;
pub mod decoder;
pub mod delimited;
pub mod framing;
mod header;
pub(crate) mod json;
pub mod json_values;
mod number;
pub(crate) mod overflow;
pub mod path_columns;
pub mod pattern;
pub mod protobuf;
mod provenance;
mod scan;
pub mod schemas;
#[cfg(test)]
mod tests;
mod unread;
mod validity;

use std::ops::Range;
use std::sync::Arc;

pub use decoder::{Decoded, Decoder};
pub use delimited::{Delimiters, Dialect};
pub use framing::{Framing, Splitter, Unframed};
pub use json_values::ValueSplitter;
pub use pattern::{GroupType, LinePattern};

/// How the bytes of a record are to be read.
#[derive(Clone, Debug)]
pub enum Codec {
    /// One JSON object per record.
    Json,
    /// One delimited row per record; the batch brings the header.
    Delimited(Delimiters),
    /// The same, with marks of each file's own.
    Detected(Arc<Dialect>),
    /// One line per record, whose parts are the groups of a regular expression.
    Pattern(Arc<LinePattern>),
    /// One row of a spreadsheet per record; the batch brings the header.
    Cells,
    /// Each record is one text value, in the column `line`.
    Text,
    /// Each record is kept as its bytes, in the column `value`.
    Bytes,
    /// Avro after the number of its schema, as schema registries have it.
    Avro(Arc<avro::Schemas>),
    /// Protobuf after the number of its schema and the place of its message there, as schema registries have it.
    Protobuf(Arc<protobuf::Schemas>),
}

impl Codec {
    /// Whether its records are text, all of them.
    pub(crate) fn is_text(&self) -> bool {
        match self {
            Self::Json | Self::Delimited(_) | Self::Detected(_) | Self::Pattern(_) | Self::Text => true,
            Self::Cells | Self::Bytes | Self::Avro(_) | Self::Protobuf(_) => false,
        }
    }
}

/// The column that [`Codec::Text`] fills.
pub const TEXT_COLUMN: &str = "line";

/// The column that [`Codec::Bytes`] fills.
pub const BYTES_COLUMN: &str = "value";

/// A record's bytes, and its text where that is known already.
#[derive(Clone, Copy)]
pub(crate) struct Payload<'a> {
    pub(crate) bytes: &'a [u8],
    text: Option<&'a str>,
}

impl<'a> Payload<'a> {
    /// `all` are the payloads of the record's batch, if together they are text: looking at many at once is cheaper.
    pub(crate) fn new(bytes: &'a [u8], all: Option<&'a str>, range: Range<usize>) -> Self {
        // A record may still begin or end inside of a character.
        Self { bytes, text: all.and_then(|all| all.get(range)) }
    }

    pub(crate) fn text(&self) -> Result<&'a str, column::Refusal> {
        match self.text {
            Some(text) => Ok(text.strip_prefix('\u{feff}').unwrap_or(text)),
            None => as_text(self.bytes),
        }
    }
}

/// A record as text, without the byte order mark some tools put in front.
fn as_text(record: &[u8]) -> Result<&str, column::Refusal> {
    if record.starts_with(&[0xFF, 0xFE]) || record.starts_with(&[0xFE, 0xFF]) {
        return Err("record is UTF-16, only UTF-8 is read".to_owned());
    }
    let record = record.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(record);
    std::str::from_utf8(record).map_err(|error| format!("record is not UTF-8 at byte {}", error.valid_up_to() + 1))
}
