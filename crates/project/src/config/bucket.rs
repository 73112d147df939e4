//! Stores of objects among the `connections` of `headwater.yml`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Secret;

/// A store that speaks S3. What is absent comes from the AWS environment variables.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct S3Connection {
    /// Region of the buckets.
    pub region: Option<String>,
    /// Address of a service that is not Amazon's, such as `https://minio.example.com`.
    pub endpoint: Option<String>,
    /// Id of the key; write "${NAME}" and set NAME in the environment.
    pub access_key_id: Option<Secret>,
    /// The key itself.
    pub secret_access_key: Option<Secret>,
    /// Token of a key that is valid for a time.
    pub session_token: Option<Secret>,
    /// Ask without a key, for buckets that everybody may read.
    #[serde(default)]
    pub anonymous: bool,
    /// Allow an endpoint that is not encrypted.
    #[serde(default)]
    pub allow_http: bool,
}

/// Google Cloud Storage. What is absent comes from the environment, as Google's tools have it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GcsConnection {
    /// File with the key of a service account (JSON), relative to the project.
    pub service_account_file: Option<String>,
    /// The key of a service account (JSON) itself.
    pub service_account_key: Option<Secret>,
    /// Address of a service that is not Google's.
    pub endpoint: Option<String>,
    /// Ask without a key, for buckets that everybody may read.
    #[serde(default)]
    pub anonymous: bool,
}

/// Azure Blob Storage. What is absent comes from the environment, as Azure's tools have it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AzureConnection {
    /// Name of the storage account.
    pub account: Option<String>,
    /// Key of the account.
    pub access_key: Option<Secret>,
    /// A shared access signature: the query `sv=...&sig=...`.
    pub sas_token: Option<Secret>,
    /// Tenant, client and secret of an application that may read.
    pub tenant_id: Option<String>,
    /// Id of the application.
    pub client_id: Option<String>,
    /// Secret of the application.
    pub client_secret: Option<Secret>,
    /// Address of a service that is not Azure's.
    pub endpoint: Option<String>,
    /// Ask without a key, for containers that everybody may read.
    #[serde(default)]
    pub anonymous: bool,
    /// Allow an endpoint that is not encrypted.
    #[serde(default)]
    pub allow_http: bool,
}
