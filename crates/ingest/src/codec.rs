//! Raw records to Arrow, with the records that do not fit set aside, each with its reason.

pub(crate) mod column;
pub mod decoder;
pub mod delimited;
pub mod framing;
pub(crate) mod json;
#[cfg(test)]
mod tests;

pub use decoder::{Decoded, Decoder};
pub use delimited::Delimiters;
pub use framing::{Framing, Splitter};

/// How the bytes of a record are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// One JSON object per record.
    Json,
    /// One delimited row per record; the batch brings the header.
    Delimited(Delimiters),
    /// Each record is one text value, in the column `line`.
    Text,
}

/// The column that [`Codec::Text`] fills.
pub const TEXT_COLUMN: &str = "line";

/// A record as text, without the byte order mark some tools put in front.
fn as_text(record: &[u8]) -> Result<&str, column::Refusal> {
    if record.starts_with(&[0xFF, 0xFE]) || record.starts_with(&[0xFE, 0xFF]) {
        return Err("record is UTF-16, only UTF-8 is read".to_owned());
    }
    let record = record.strip_prefix(&[0xEF, 0xBB, 0xBF]).unwrap_or(record);
    std::str::from_utf8(record).map_err(|error| format!("record is not UTF-8 at byte {}", error.valid_up_to() + 1))
}
