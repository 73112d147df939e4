//! Where a lake lies, and the object store that reaches it.

mod durable;

use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use url::Url;

use crate::error::{LakeError, Result};

pub(crate) use durable::DurableStore;

/// Keys and endpoint of an object store; what is absent comes from the AWS environment variables.
#[derive(Clone, Default)]
pub struct Credentials {
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub access_key_id: Option<String>,
    pub secret_access_key: Option<String>,
    pub allow_http: bool,
}

impl std::fmt::Debug for Credentials {
    /// Keys are never printed.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Credentials").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Where a lake lies.
#[derive(Clone, Debug)]
pub enum Location {
    Folder(PathBuf),
    Memory,
    S3 { bucket: String, prefix: String },
}

impl Location {
    /// Reads a folder (relative to `base`), `memory://` or `s3://bucket/prefix`.
    pub fn parse(text: &str, base: &FilePath) -> Result<Self> {
        match text.split_once("://") {
            None => Ok(Self::Folder(base.join(text))),
            Some(("file", path)) => Ok(Self::Folder(PathBuf::from(path))),
            Some(("memory", _)) => Ok(Self::Memory),
            Some(("s3", rest)) if !rest.is_empty() => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
            }
            Some(_) => Err(LakeError::BadLocation(text.to_owned())),
        }
    }
}

/// An object store with the place of the lake in it.
#[derive(Clone, Debug)]
pub struct Storage {
    /// The whole store: `/` is the root of the disk or of the bucket.
    pub(crate) root: Arc<dyn ObjectStore>,
    /// The lake alone: `/` is the root of the lake.
    pub(crate) lake: Arc<dyn ObjectStore>,
    /// URL of the lake's root; ends with `/`.
    pub(crate) url: Url,
    /// Folder of the lake within `root`.
    pub(crate) prefix: Path,
}

impl Storage {
    pub fn open(location: &Location, credentials: &Credentials) -> Result<Self> {
        match location {
            Location::Folder(folder) => Self::open_folder(folder),
            Location::Memory => Self::over(Arc::new(InMemory::new()), "memory:///", Path::default()),
            Location::S3 { bucket, prefix } => {
                let store = s3(bucket, credentials)?;
                let prefix = Path::from(prefix.as_str());
                let url = if prefix.as_ref().is_empty() {
                    format!("s3://{bucket}/")
                } else {
                    format!("s3://{bucket}/{prefix}/")
                };
                Self::over(store, &url, prefix)
            }
        }
    }

    fn open_folder(folder: &FilePath) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let folder = folder.canonicalize()?;
        let url =
            Url::from_directory_path(&folder).map_err(|()| LakeError::BadLocation(folder.display().to_string()))?;
        let prefix = Path::from_absolute_path(&folder).map_err(object_store::Error::from)?;
        Self::over(Arc::new(DurableStore::new(LocalFileSystem::new())), url.as_str(), prefix)
    }

    /// A lake over any store, for tests that inject faults.
    pub fn over(root: Arc<dyn ObjectStore>, url: &str, prefix: Path) -> Result<Self> {
        let url = Url::parse(url).map_err(|_| LakeError::BadLocation(url.to_owned()))?;
        let lake: Arc<dyn ObjectStore> = if prefix.as_ref().is_empty() {
            Arc::clone(&root)
        } else {
            Arc::new(PrefixStore::new(Arc::clone(&root), prefix.clone()))
        };
        Ok(Self { root, lake, url, prefix })
    }

    /// Proves that a second creation of the same object is refused, without which two writers could lose each other's
    /// commits.
    pub async fn probe_conditional_put(&self) -> Result<()> {
        let path = Path::from("_headwater/conditional-put-probe");
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.lake.put_opts(&path, "1".into(), create()).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        match self.lake.put_opts(&path, "2".into(), create()).await {
            Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Ok(_) => Err(LakeError::NoConditionalPut),
            Err(error) => Err(error.into()),
        }
    }

    /// The store whose `/` is the place this storage was opened at.
    pub fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.lake)
    }

    /// Writes a whole object, replacing what was there; durable when it returns.
    pub async fn put(&self, path: &str, bytes: bytes::Bytes) -> Result<()> {
        self.lake.put(&Path::from(path), bytes.into()).await?;
        Ok(())
    }
}

fn s3(bucket: &str, credentials: &Credentials) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_allow_http(credentials.allow_http);
    if let Some(endpoint) = &credentials.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &credentials.region {
        builder = builder.with_region(region);
    }
    if let (Some(id), Some(secret)) = (&credentials.access_key_id, &credentials.secret_access_key) {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    }
    Ok(Arc::new(builder.build()?))
}
