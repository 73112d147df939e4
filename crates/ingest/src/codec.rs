//! Raw records to Arrow, with the records that do not fit set aside, each with its reason.

pub mod avro;
pub(crate) mod column;
pub mod decoder;
pub mod delimited;
pub mod framing;
pub(crate) mod json;
mod provenance;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use decoder::{Decoded, Decoder};
pub use delimited::Delimiters;
pub use framing::{Framing, Splitter};

/// How the bytes of a record are to be read.
#[derive(Clone, Debug)]
pub enum Codec {
    /// One JSON object per record.
    Json,
    /// One delimited row per record; the batch brings the header.
    Delimited(Delimiters),
    /// Each record is one text value, in the column `line`.
    Text,
    /// Each record is kept as its bytes, in the column `value`.
    Bytes,
    /// Avro after the number of its schema, as schema registries have it.
    Avro(Arc<avro::Schemas>),
}

/// The column that [`Codec::Text`] fills.
pub const TEXT_COLUMN: &str = "line";

/// The column that [`Codec::Bytes`] fills.
pub const BYTES_COLUMN: &str = "value";

/// A record as text, without the byte order mark some tools put in front.
fn as_text(record: &[u8]) -> Result<&str, column::Refusal> {
    if record.starts_with(&[0xFF, 0xFE]) || record.starts_with(&[0xFE, 0xFF]) {
        return Err("record is UTF-16, only UTF-8 is read".to_owned());
    }
    let record = record.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(record);
    std::str::from_utf8(record).map_err(|error| format!("record is not UTF-8 at byte {}", error.valid_up_to() + 1))
}
