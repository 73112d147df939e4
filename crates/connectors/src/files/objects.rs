//! Objects of a store, and files at addresses of the web.
//!
//! What is read is what was listed: each request says which version it is about, by its tag. A body that breaks off is asked for
//! from where it ended; what does not come whole in the end is no file, and is tried again later.

use std::io::{self, Read};
use std::path::Path as FilePath;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::stream::BoxStream;
use headwater_ingest::error::Result;
use headwater_project::config::{AzureConnection, ConnectionConfig, GcsConnection, S3Connection};
use headwater_project::{Failure, Kind};
use object_store::http::HttpBuilder;
use object_store::path::Path;
use object_store::{ClientOptions, GetOptions, ObjectMeta, ObjectStore, ObjectStoreExt};
use reqwest::header::HeaderMap;
use tokio::runtime::Handle;

use super::connect::{azure, gcs, headers, s3, shown};
use super::content::BROKEN_OFF;
use super::discover::{Found, LeftOut};
use super::pattern::Pattern;

/// How long a store may say nothing.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where objects are.
#[derive(Debug)]
pub struct Store {
    roots: Vec<Root>,
}

#[derive(Debug)]
enum Root {
    Bucket { store: Arc<dyn ObjectStore>, prefix: Path, url: String },
    Address { store: Arc<dyn ObjectStore>, url: String, secret: Option<String> },
}

impl Store {
    /// Whether a path is one of a store.
    pub fn is_meant(path: &str) -> bool {
        path.contains("://")
    }

    /// Connects to nothing yet. `folder` is that of the project.
    pub fn open(paths: &[String], connection: Option<&ConnectionConfig>, folder: &FilePath) -> Result<Self, Failure> {
        let roots = paths.iter().map(|path| Root::open(path, connection, folder)).collect::<Result<_, Failure>>()?;
        Ok(Self { roots })
    }

    /// A part of a store that is open already, for tests.
    #[cfg(test)]
    pub(crate) fn over(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        let url = String::from("memory://");
        Self { roots: vec![Root::Bucket { store, prefix: Path::from(prefix), url }] }
    }

    /// Every object that matches, by path; and what was left out, with the reason.
    pub(crate) fn list(&self, patterns: &[Pattern]) -> Result<(Vec<Found>, Vec<LeftOut>)> {
        let (mut found, mut left_out) = (Vec::new(), Vec::new());
        let runtime = runtime()?;
        for root in &self.roots {
            runtime.block_on(root.list(patterns, &mut found, &mut left_out))?;
        }
        found.sort_by(|one, other| one.path.cmp(&other.path));
        found.dedup_by(|one, other| one.path == other.path);
        Ok((found, left_out))
    }

    /// Begins to read an object. Nothing when it is no longer what was listed.
    pub(crate) fn read(&self, found: &Found) -> io::Result<Option<Box<dyn Read + Send>>> {
        let runtime = runtime().map_err(|error| io::Error::new(BROKEN_OFF, error.to_string()))?;
        let root = self.roots.iter().find(|root| root.holds(found));
        let Some(root) = root else { return Err(io::ErrorKind::NotFound.into()) };
        let (store, location) = root.location(found);
        let options = GetOptions { if_match: found.etag.clone(), ..GetOptions::default() };
        let asked = runtime.block_on(tokio::time::timeout(PATIENCE, store.get_opts(&location, options)));
        let body = match asked {
            Ok(Ok(body)) => body,
            Ok(Err(object_store::Error::Precondition { .. })) => return Ok(None),
            Ok(Err(error)) => return Err(root.io_error(&error)),
            Err(_) => return Err(silence()),
        };
        if found.size != body.meta.size || (found.etag.is_none() && found.modified != modified(&body.meta)) {
            return Ok(None);
        }
        let secret = root.secret();
        let left = body.meta.size;
        Ok(Some(Box::new(Body { runtime, stream: body.into_stream(), chunk: Bytes::new(), left, secret })))
    }
}

fn runtime() -> Result<Handle> {
    let missing = |_| Failure::internal("files of a store are read outside of a runtime").into();
    Handle::try_current().map_err(missing)
}

fn silence() -> io::Error {
    io::Error::new(BROKEN_OFF, format!("the store said nothing for {} s", PATIENCE.as_secs()))
}

fn modified(meta: &ObjectMeta) -> i64 {
    meta.last_modified.timestamp_millis()
}

impl Root {
    fn open(path: &str, connection: Option<&ConnectionConfig>, folder: &FilePath) -> Result<Self, Failure> {
        let (scheme, rest) = path.split_once("://").unwrap_or(("", path));
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let invalid = |error: &dyn std::fmt::Display| {
            Failure::user(format!("`{}` cannot be read", shown(path))).with_detail(format!("{error}."))
        };
        let store: Arc<dyn ObjectStore> = match (scheme, connection) {
            ("s3", None) => s3(bucket, &S3Connection::default()).map_err(|error| invalid(&error))?,
            ("s3", Some(ConnectionConfig::S3(config))) => s3(bucket, config).map_err(|error| invalid(&error))?,
            ("gs", None) => gcs(bucket, &GcsConnection::default(), folder).map_err(|error| invalid(&error))?,
            ("gs", Some(ConnectionConfig::Gcs(config))) => {
                gcs(bucket, config, folder).map_err(|error| invalid(&error))?
            }
            ("az", None) => azure(bucket, &AzureConnection::default()).map_err(|error| invalid(&error))?,
            ("az", Some(ConnectionConfig::Azure(config))) => azure(bucket, config).map_err(|error| invalid(&error))?,
            ("http" | "https", None) => return Self::address(path, HeaderMap::new()),
            ("http" | "https", Some(ConnectionConfig::Http(config))) => {
                return Self::address(path, headers(path, config)?);
            }
            (_, Some(other)) => {
                let failure =
                    Failure::user(format!("`{}` is read by no connection of kind {}", shown(path), other.kind()));
                return Err(failure.with_hint("Name a connection of kind s3, gcs, azure or http, as `path` begins."));
            }
            (_, None) => return Err(invalid(&"The kind of place is not known")),
        };
        let prefix = Path::parse(prefix.trim_matches('/')).map_err(|error| invalid(&error))?;
        Ok(Self::Bucket { store, prefix, url: path.trim_end_matches('/').to_owned() })
    }

    fn address(path: &str, headers: HeaderMap) -> Result<Self, Failure> {
        let options = ClientOptions::new()
            .with_default_headers(headers)
            .with_allow_http(path.starts_with("http://"))
            .with_timeout_disabled();
        let store = HttpBuilder::new().with_url(path).with_client_options(options).build();
        let store = store.map_err(|error| {
            Failure::user(format!("`{}` is no address", shown(path))).with_detail(format!("{error}."))
        })?;
        let secret = path.split_once('?').map(|(_, query)| query.to_owned());
        Ok(Self::Address { store: Arc::new(store), url: shown(path), secret })
    }

    fn holds(&self, found: &Found) -> bool {
        match self {
            Self::Bucket { .. } => true,
            Self::Address { url, .. } => *url == found.path,
        }
    }

    fn location(&self, found: &Found) -> (&Arc<dyn ObjectStore>, Path) {
        match self {
            Self::Bucket { store, prefix, .. } => {
                let parts = [prefix.as_ref(), found.path.as_str()].into_iter().filter(|part| !part.is_empty());
                let whole = parts.collect::<Vec<_>>().join("/");
                // As it was listed, without encoding it once more.
                (store, Path::parse(&whole).unwrap_or_else(|_| Path::from(whole)))
            }
            Self::Address { store, .. } => (store, Path::default()),
        }
    }

    fn secret(&self) -> Option<String> {
        match self {
            Self::Bucket { .. } => None,
            Self::Address { secret, .. } => secret.clone(),
        }
    }

    async fn list(&self, patterns: &[Pattern], found: &mut Vec<Found>, left_out: &mut Vec<LeftOut>) -> Result<()> {
        match self {
            Self::Bucket { store, prefix, .. } => {
                let mut listed = store.list(Some(prefix).filter(|prefix| !prefix.as_ref().is_empty()));
                while let Some(meta) = self.patiently(listed.next()).await? {
                    let meta = meta.map_err(|error| self.failure(&error))?;
                    let inside = meta.location.as_ref().strip_prefix(prefix.as_ref()).unwrap_or_default();
                    let path = inside.trim_start_matches('/').to_owned();
                    if patterns.iter().any(|pattern| pattern.matches(&path)) {
                        found.push(Found { path, size: meta.size, modified: modified(&meta), etag: meta.e_tag });
                    }
                }
            }
            Self::Address { store, url, .. } => match self.patiently(store.head(&Path::default())).await? {
                Ok(meta) => {
                    let path = url.clone();
                    found.push(Found { path, size: meta.size, modified: modified(&meta), etag: meta.e_tag });
                }
                Err(object_store::Error::NotFound { .. }) => left_out.push((url.clone(), "there is nothing there")),
                Err(error) => return Err(self.failure(&error).into()),
            },
        }
        Ok(())
    }

    async fn patiently<T>(&self, answer: impl Future<Output = T>) -> Result<T> {
        let waited = tokio::time::timeout(PATIENCE, answer).await;
        waited.map_err(|_| self.trouble(Kind::External { retry_after: None }, &silence()).into())
    }

    fn failure(&self, error: &object_store::Error) -> Failure {
        use object_store::Error::{InvalidPath, NotFound, PermissionDenied, Unauthenticated};
        match (error, refusal(error)) {
            (PermissionDenied { .. } | Unauthenticated { .. }, _) | (_, Some(401 | 403)) => {
                self.trouble(Kind::User, error).with_hint("Check the keys of the connection, and what they may read.")
            }
            (NotFound { .. }, _) | (_, Some(404)) => self.trouble(Kind::User, error).with_hint("Check `path`."),
            // The client gives nothing of a page that has such a name.
            (InvalidPath { .. }, _) => self.trouble(Kind::User, error).with_hint(
                "Rename the object, or name a `path` that it does not lie in: what lies beside it cannot be listed.",
            ),
            _ => self.trouble(Kind::External { retry_after: None }, error),
        }
    }

    fn trouble(&self, kind: Kind, error: &dyn std::error::Error) -> Failure {
        let (Self::Bucket { url, .. } | Self::Address { url, .. }) = self;
        let failure = Failure::new(kind, format!("cannot list `{url}`"));
        failure.with_detail(format!("{}.", without(self.secret().as_deref(), error)))
    }

    fn io_error(&self, error: &object_store::Error) -> io::Error {
        use object_store::Error::{NotFound, PermissionDenied, Unauthenticated};
        let kind = match error {
            NotFound { .. } => io::ErrorKind::NotFound,
            PermissionDenied { .. } | Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
            _ => BROKEN_OFF,
        };
        io::Error::new(kind, without(self.secret().as_deref(), error))
    }
}

/// The status with which a server refused. Of requests for objects the client says it by the kind of its error, of listings by
/// its words alone.
fn refusal(error: &object_store::Error) -> Option<u16> {
    let mut next: Option<&dyn std::error::Error> = Some(error);
    while let Some(error) = next {
        let said = error.to_string();
        if let Some(status) = said.strip_prefix("Server returned non-2xx status code: ") {
            return status.get(..3)?.parse().ok();
        }
        next = error.source();
    }
    None
}

/// An error's text without the query of an address, which may be a key.
fn without(secret: Option<&str>, error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    match secret.filter(|secret| !secret.is_empty()) {
        Some(secret) => text.replace(secret, "..."),
        None => text,
    }
}

/// The content of an object as it comes.
struct Body {
    runtime: Handle,
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    chunk: Bytes,
    /// Bytes that are still to come.
    left: u64,
    secret: Option<String>,
}

impl Body {
    fn next_chunk(&mut self) -> io::Result<Option<Bytes>> {
        let next = self.runtime.block_on(tokio::time::timeout(PATIENCE, self.stream.next()));
        match next {
            Err(_) => Err(silence()),
            Ok(None) if self.left > 0 => {
                Err(io::Error::new(BROKEN_OFF, format!("it ended {} bytes before its end", self.left)))
            }
            Ok(None) => Ok(None),
            Ok(Some(Err(error))) => Err(io::Error::new(BROKEN_OFF, without(self.secret.as_deref(), &error))),
            Ok(Some(Ok(chunk))) => {
                let too_much = || io::Error::new(BROKEN_OFF, "more came than there was");
                self.left = self.left.checked_sub(chunk.len() as u64).ok_or_else(too_much)?;
                Ok(Some(chunk))
            }
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.next_chunk()? {
                Some(chunk) => self.chunk = chunk,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.copy_to_slice(buffer.get_mut(..length).unwrap_or_default());
        Ok(length)
    }
}
