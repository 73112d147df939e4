//! `headwater.yml`: what a project is called, where its lake is, and the defaults of the process that runs it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{ByteSize, ConnectionConfig, DurationText, TextList};

/// Name of the project file in the project folder.
pub const PROJECT_FILE: &str = "headwater.yml";

/// `headwater.yml`. Every key but `name` has a default; the file may be absent beside a `dbt_project.yml`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectConfig {
    /// Name of the project: letters, digits and `_`.
    pub name: Option<String>,
    /// What the project is for, shown in the browser.
    pub description: Option<String>,
    /// Where tables are kept.
    #[serde(default)]
    pub lake: LakeConfig,
    /// The systems the project reads from and writes to, by name.
    #[serde(default)]
    pub connections: BTreeMap<String, ConnectionConfig>,
    /// Where topics of generators and pushes are kept.
    #[serde(default)]
    pub log: LogConfig,
    /// Defaults of `headwater build`.
    #[serde(default)]
    pub build: BuildConfig,
    /// The HTTP interface of `headwater up`.
    #[serde(default)]
    pub api: ApiConfig,
    /// What stands for the beginnings of locations of sources that are files: `gs://bucket: ./data`.
    #[serde(default)]
    pub locations: BTreeMap<String, String>,
    /// Memory the process may use for data; half of the machine's when not given.
    pub memory: Option<ByteSize>,
    /// Variables for models, as `vars` in `dbt_project.yml`.
    #[serde(default)]
    pub vars: BTreeMap<String, serde_json::Value>,
}

/// Where tables are kept and how they are looked after.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LakeConfig {
    /// A folder (relative to the project), `memory://`, or `s3://bucket/prefix`. Default: `.headwater/lake`.
    pub location: Option<String>,
    /// Endpoint, region and keys of an object store.
    pub credentials: Option<StorageCredentials>,
    /// Compaction and clean-up.
    #[serde(default)]
    pub maintenance: MaintenanceConfig,
    /// Tables, as `schema.table`, that engines read which know Parquet but not Delta: maintenance keeps a list of their data
    /// files, `_symlink_format_manifest/manifest`.
    #[serde(default)]
    pub symlink_manifests: TextList,
}

/// How to reach an object store that speaks S3. What is not given comes from the usual AWS environment variables.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StorageCredentials {
    /// URL of the service, for stores other than AWS.
    pub endpoint: Option<String>,
    /// Region of the bucket.
    pub region: Option<String>,
    /// Key id; write `${NAME}` and set NAME in the environment.
    pub access_key_id: Option<String>,
    /// Secret key; write `${NAME}` and set NAME in the environment.
    pub secret_access_key: Option<String>,
    /// Allow plain HTTP, for a store on the same machine.
    #[serde(default)]
    pub allow_http: bool,
}

/// Compaction, checkpoints and removal of files no version needs.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MaintenanceConfig {
    /// How often tables are looked at.
    pub every: DurationText,
    /// Files smaller than this are merged.
    pub target_file_size: ByteSize,
    /// How long files of older versions are kept; at least 7 days unless `allow_short_retention` is set.
    pub retention: DurationText,
    /// Accept a retention under 7 days. Readers of older versions may then fail.
    pub allow_short_retention: bool,
}

impl Default for MaintenanceConfig {
    fn default() -> Self {
        const MINUTE: std::time::Duration = std::time::Duration::from_secs(60);
        Self {
            every: DurationText(MINUTE),
            target_file_size: ByteSize(128 << 20),
            retention: DurationText(7 * 24 * 60 * MINUTE),
            allow_short_retention: false,
        }
    }
}

/// Where topics of generators and pushes are kept: in the project folder, unless a connection is named.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// Name of a connection of kind `kafka` that keeps the topics.
    pub connection: Option<String>,
    /// What names of topics begin with there, such as `music.`.
    #[serde(default)]
    pub prefix: String,
    /// Copies of each partition there; as many as the cluster makes by itself when not given.
    pub replication: Option<u16>,
}

/// Defaults of `headwater build`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BuildConfig {
    /// Models built at the same time. Default: the number of processor cores.
    pub threads: Option<u16>,
    /// Schema (namespace) of models without a schema of their own. Default: `main`.
    pub schema: Option<String>,
}

/// The HTTP interface of `headwater up`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ApiConfig {
    /// Port on 127.0.0.1. Default: 7766.
    pub port: Option<u16>,
}
