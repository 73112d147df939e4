//! Values that must not get into the lake as they are.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringArray, StringBuilder};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use headwater_connectors::keyed_hash::hmac;
use schemars::JsonSchema;
use serde::Deserialize;

/// What stands for a value. NULL stays NULL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mask {
    /// Its HMAC with SHA-256 under `mask_key`, in hexadecimal: equal values stay equal.
    Hash,
    /// Three asterisks.
    Redact,
    /// Asterisks for all but so many of its last characters.
    KeepLast(u8),
}

impl Mask {
    /// The masked column, as text. What is not text is masked as it is written in SQL.
    pub(super) fn apply(self, column: &ArrayRef, key: &[u8]) -> Result<ArrayRef, ArrowError> {
        let texts = arrow::compute::cast(column, &DataType::Utf8)?;
        let texts: &StringArray = texts.as_string();
        let mut masked = StringBuilder::with_capacity(texts.len(), texts.len() * 16);
        for text in texts {
            masked.append_option(text.map(|text| self.masked(text, key)));
        }
        Ok(Arc::new(masked.finish()))
    }

    fn masked(self, text: &str, key: &[u8]) -> String {
        match self {
            Self::Hash => hmac(key, &[text.as_bytes()]).iter().fold(String::with_capacity(64), |mut hash, byte| {
                // Writing to a text cannot fail.
                write!(hash, "{byte:02x}").unwrap_or_default();
                hash
            }),
            Self::Redact => String::from("***"),
            Self::KeepLast(kept) => {
                let length = text.chars().count();
                let hidden = length.saturating_sub(usize::from(kept));
                "*".repeat(hidden).chars().chain(text.chars().skip(hidden)).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_hide_what_they_say() {
        let check = |mask: Mask, text: &str, expected: &str| assert_eq!(mask.masked(text, b"key"), expected);
        check(Mask::Redact, "a@b.ch", "***");
        check(Mask::KeepLast(4), "4111111111111234", "************1234");
        check(Mask::KeepLast(4), "äö", "äö");
        check(Mask::KeepLast(0), "äö", "**");
        // The example of RFC 2104's successors everywhere: key "key".
        check(
            Mask::Hash,
            "The quick brown fox jumps over the lazy dog",
            "f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8",
        );
    }
}
