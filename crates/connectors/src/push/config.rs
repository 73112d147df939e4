//! What a user writes for a source others push to.

use std::collections::BTreeMap;

use headwater_project::config::{ByteSize, DurationText, Secret};
use schemars::JsonSchema;
use serde::Deserialize;

/// Records that are sent to `POST /ingest/<source>` of `headwater up`.
///
/// A request is answered with 2xx once its records are safe on disk. Without `token` and `signature`, those may send who may
/// start runs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushConfig {
    /// Who sends `Authorization: Bearer TOKEN` with this may push.
    pub token: Option<Secret>,
    /// Who signs bodies may push.
    pub signature: Option<SignatureConfig>,
    /// Largest body, unpacked. Rows of CSV and Arrow may grow to four times as much as JSON.
    #[serde(default = "sixteen_mebibytes")]
    pub max_body: ByteSize,
    /// How bodies of delimited rows are read.
    #[serde(default)]
    pub csv: CsvConfig,
    /// How long an `Idempotency-Key` is remembered.
    #[serde(default = "one_day")]
    pub key_window: DurationText,
    /// Bytes of sent records that may wait for the lake before more are refused.
    #[serde(default = "one_gibibyte")]
    pub max_waiting: ByteSize,
}

impl Default for PushConfig {
    fn default() -> Self {
        Self {
            token: None,
            signature: None,
            max_body: sixteen_mebibytes(),
            csv: CsvConfig::default(),
            key_window: one_day(),
            max_waiting: one_gibibyte(),
        }
    }
}

/// How bodies of delimited rows are read, where they do not say it themselves.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CsvConfig {
    /// The character between fields. A comma when left out; `text/csv; delimiter=";"` of a body wins.
    pub delimiter: Option<char>,
    /// The character around fields that hold delimiters or line ends.
    pub quote: char,
    /// Names of the fields of bodies without a header line. Left out, the first line of each body is its header.
    pub columns: Option<Vec<String>>,
    /// What values of a field are; text when left out. A row with another value goes to quarantine.
    pub types: BTreeMap<String, CsvType>,
}

impl Default for CsvConfig {
    fn default() -> Self {
        Self { delimiter: None, quote: '"', columns: None, types: BTreeMap::new() }
    }
}

/// What the values of a field are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CsvType {
    /// As it is written.
    #[default]
    Text,
    /// A whole number.
    Integer,
    /// A number that may have a fraction.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// How bodies are signed: HMAC-SHA256, in hexadecimal.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SignatureConfig {
    /// The shared secret.
    pub secret: Secret,
    /// Header with the signature; a prefix such as `sha256=` is passed over.
    #[serde(default = "usual_header")]
    pub header: String,
    /// Header with the time of the request, in seconds since 1970, which is signed too: `TIME.BODY`. Requests more than five
    /// minutes old are refused.
    pub timestamp_header: Option<String>,
}

fn sixteen_mebibytes() -> ByteSize {
    ByteSize(16 << 20)
}

fn one_gibibyte() -> ByteSize {
    ByteSize(1 << 30)
}

fn one_day() -> DurationText {
    DurationText(std::time::Duration::from_secs(24 * 3600))
}

fn usual_header() -> String {
    String::from("X-Hub-Signature-256")
}
