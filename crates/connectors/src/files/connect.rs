//! Stores as their connections describe them; what is absent comes from the environment.

use std::path::Path as FilePath;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use headwater_project::Failure;
use headwater_project::config::{AzureConnection, GcsConnection, HttpAuth, HttpConnection, S3Connection, Secret};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorage, GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::{ClientConfigKey, ObjectStore};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};

/// A body is read as slowly as its rows are written, so its request has no bound of its own.
const REQUEST_BOUND: &str = "7 days";

/// An address without its query and without a user, for eyes and for tables.
pub(super) fn shown(path: &str) -> String {
    let path = path.split_once('?').map_or(path, |(path, _)| path);
    match path.split_once("://") {
        Some((scheme, rest)) => {
            let (host, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
            format!("{scheme}://{host}{rest}")
        }
        None => path.to_owned(),
    }
}

fn given(secret: Option<&Secret>) -> Option<&str> {
    secret.map(Secret::reveal)
}

pub(super) fn s3(bucket: &str, config: &S3Connection) -> object_store::Result<Arc<dyn ObjectStore>> {
    use AmazonS3ConfigKey as Key;
    let settings = [
        (Key::Region, config.region.as_deref()),
        (Key::Endpoint, config.endpoint.as_deref()),
        (Key::AccessKeyId, given(config.access_key_id.as_ref())),
        (Key::SecretAccessKey, given(config.secret_access_key.as_ref())),
        (Key::Token, given(config.session_token.as_ref())),
        (Key::SkipSignature, config.anonymous.then_some("true")),
        (Key::Client(ClientConfigKey::AllowHttp), config.allow_http.then_some("true")),
        (Key::Client(ClientConfigKey::Timeout), Some(REQUEST_BOUND)),
    ];
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    for (key, value) in settings {
        if let Some(value) = value {
            builder = builder.with_config(key, value);
        }
    }
    Ok(Arc::new(builder.build()?))
}

pub(super) fn gcs(
    bucket: &str,
    config: &GcsConnection,
    folder: &FilePath,
) -> object_store::Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(bucket)
        .with_config(GoogleConfigKey::Client(ClientConfigKey::Timeout), REQUEST_BOUND);
    if let Some(file) = &config.service_account_file {
        builder = builder.with_service_account_path(folder.join(file).to_string_lossy());
    }
    if let Some(key) = &config.service_account_key {
        builder = builder.with_service_account_key(key.reveal());
    }
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_base_url(endpoint).with_config(
            GoogleConfigKey::Client(ClientConfigKey::AllowHttp),
            endpoint.starts_with("http://").to_string(),
        );
    }
    if config.anonymous {
        builder = builder.with_skip_signature(true);
    }
    Ok(Arc::new(google(builder)?))
}

/// Opens a bucket of Google's. What the client says of a key that does not read may quote it: only what cannot is passed on.
pub(super) fn google(builder: GoogleCloudStorageBuilder) -> object_store::Result<GoogleCloudStorage> {
    const WITHOUT_KEY: [&str; 3] = ["Unable to open", "Missing bucket name", "may be provided"];
    builder.build().map_err(|error| {
        let said = error.to_string();
        // Somebody may also have put a key where the path of its file belongs.
        if WITHOUT_KEY.iter().any(|words| said.contains(words)) && !said.contains("private_key") {
            return error;
        }
        let source =
            "the settings of the client do not read; a key is the JSON of a key file, as Google gave it".into();
        object_store::Error::Generic { store: "GCS", source }
    })
}

pub(super) fn azure(container: &str, config: &AzureConnection) -> object_store::Result<Arc<dyn ObjectStore>> {
    use AzureConfigKey as Key;
    let settings = [
        (Key::AccountName, config.account.as_deref()),
        (Key::AccessKey, given(config.access_key.as_ref())),
        (Key::SasKey, given(config.sas_token.as_ref())),
        (Key::AuthorityId, config.tenant_id.as_deref()),
        (Key::ClientId, config.client_id.as_deref()),
        (Key::ClientSecret, given(config.client_secret.as_ref())),
        (Key::Endpoint, config.endpoint.as_deref()),
        (Key::SkipSignature, config.anonymous.then_some("true")),
        (Key::Client(ClientConfigKey::AllowHttp), config.allow_http.then_some("true")),
        (Key::Client(ClientConfigKey::Timeout), Some(REQUEST_BOUND)),
    ];
    let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(container);
    for (key, value) in settings {
        if let Some(value) = value {
            builder = builder.with_config(key, value);
        }
    }
    Ok(Arc::new(builder.build()?))
}

/// The headers of a connection, for addresses on its server alone.
pub(super) fn headers(path: &str, connection: &HttpConnection) -> Result<HeaderMap, Failure> {
    let origin = |address: &str| reqwest::Url::parse(address).map(|url| url.origin()).ok();
    if origin(path).is_none() || origin(path) != origin(&connection.url) {
        let failure = Failure::user(format!("`{}` is not on the server of its connection", shown(path)));
        return Err(failure.with_hint(format!("The connection leads to {}.", connection.url)));
    }
    let mut all: Vec<(String, String)> =
        connection.headers.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned())).collect();
    match &connection.auth {
        None => {}
        Some(HttpAuth::Basic { user, password }) => {
            let both = STANDARD.encode(format!("{user}:{}", password.reveal()));
            all.push((AUTHORIZATION.to_string(), format!("Basic {both}")));
        }
        Some(HttpAuth::Bearer { token }) => all.push((AUTHORIZATION.to_string(), format!("Bearer {}", token.reveal()))),
        Some(HttpAuth::ApiKey { key, header, query: None }) => {
            let header = header.clone().unwrap_or_else(|| String::from("X-API-Key"));
            all.push((header, key.reveal().to_owned()));
        }
        Some(HttpAuth::ApiKey { .. } | HttpAuth::ClientCredentials { .. }) => {
            let failure = Failure::user("files are not read with this kind of `auth`");
            return Err(failure.with_hint("Use basic, bearer, or an api_key in a header."));
        }
    }
    let mut headers = HeaderMap::new();
    for (name, value) in all {
        let invalid = |_| Failure::user(format!("`{name}` is no header that can be sent"));
        let value = HeaderValue::from_str(&value).map_err(|error| invalid(error.to_string()))?;
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|error| invalid(error.to_string()))?, value);
    }
    Ok(headers)
}
