//! Where files lie: a folder of this machine, or a bucket.
//!
//! Both are asked the same way. What a bucket does by itself has to be done by hand on a disk: a file, and the folders that
//! name it, are synced before anybody is told that it is there.

use std::fs::File;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use headwater_ingest::error::{Error, Result};
use headwater_project::config::StorageCredentials;
use headwater_project::{Failure, Kind};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::buffered::BufWriter;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::io::AsyncWriteExt;
use tokio::runtime::Handle;

use crate::files::connect::google;

/// Bytes of a file that are kept until they are sent on.
const PART: usize = 8 << 20;

/// A folder or a prefix of a bucket; paths are relative to it.
#[derive(Clone)]
pub(super) struct Place {
    store: Arc<dyn ObjectStore>,
    /// The folder, on a disk.
    folder: Option<PathBuf>,
    runtime: Handle,
    /// As it was written, for messages.
    shown: String,
}

/// A file in the making. Nobody sees it before it is finished.
pub(super) struct Upload {
    writer: BufWriter,
    path: Path,
    place: Place,
}

impl Place {
    /// `location` is a folder relative to `base`, or a URL.
    pub(super) fn open(location: &str, base: &FilePath, credentials: Option<&StorageCredentials>) -> Result<Self> {
        let runtime = Handle::try_current().map_err(|_| Error::Internal("files are written outside of a runtime"))?;
        let shown = location.to_owned();
        let Some(folder) = local_folder(location, base) else {
            let store = bucket(location, credentials).map_err(|error| failed(&shown, "open", &error))?;
            return Ok(Self { store, folder: None, runtime, shown });
        };
        let io = |source| Error::io("make folder", &folder, source);
        make_folders(&folder).map_err(io)?;
        let folder = folder.canonicalize().map_err(io)?;
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(|error| failed(&shown, "open", &error))?;
        Ok(Self { store: Arc::new(store), folder: Some(folder), runtime, shown })
    }

    /// As [`Place::open`], without making a folder that is not there.
    pub(super) fn find(
        location: &str,
        base: &FilePath,
        credentials: Option<&StorageCredentials>,
    ) -> Result<Option<Self>> {
        if local_folder(location, base).is_some_and(|folder| !folder.is_dir()) {
            return Ok(None);
        }
        Self::open(location, base, credentials).map(Some)
    }

    fn failed(&self, doing: &str, error: &object_store::Error) -> Error {
        failed(&self.shown, doing, error)
    }

    /// Makes the folders a file of this name lies in; a bucket has none.
    fn make_room(&self, path: &Path) -> Result<()> {
        let file = self.folder.as_ref().map(|folder| folder.join(path.as_ref()));
        let Some(folder) = file.as_deref().and_then(FilePath::parent) else { return Ok(()) };
        make_folders(folder).map_err(|source| Error::io("make folder", folder, source))
    }

    pub(super) fn create(&self, path: &Path) -> Result<Upload> {
        self.make_room(path)?;
        let writer = BufWriter::with_capacity(Arc::clone(&self.store), path.clone(), PART);
        Ok(Upload { writer, path: path.clone(), place: self.clone() })
    }

    /// The whole of a small file; nothing when it is not there.
    pub(super) fn get(&self, path: &Path) -> Result<Option<Bytes>> {
        let read = async { self.store.get(path).await?.bytes().await };
        match self.runtime.block_on(read) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failed("read", &error)),
        }
    }

    /// Puts a small file in the place of what is there, whole.
    pub(super) fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<()> {
        self.make_room(path)?;
        let put = self.store.put(path, bytes.into());
        self.runtime.block_on(put).map_err(|error| self.failed("write", &error))?;
        self.sync(path)
    }

    pub(super) fn exists(&self, path: &Path) -> Result<bool> {
        match self.runtime.block_on(self.store.head(path)) {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.failed("look for", &error)),
        }
    }

    /// Makes a finished file visible under its name, in the place of what is there.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.make_room(to)?;
        self.runtime.block_on(self.store.rename(from, to)).map_err(|error| self.failed("name", &error))?;
        self.sync(to)
    }

    /// Removes a file that may be gone already.
    pub(super) fn delete(&self, path: &Path) -> Result<()> {
        match self.runtime.block_on(self.store.delete(path)) {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed("delete", &error)),
        }
    }

    /// Removes everything below a folder of our own.
    pub(super) fn clear(&self, below: &Path) -> Result<()> {
        if let Some(folder) = self.folder.as_ref().map(|folder| folder.join(below.as_ref())) {
            return match std::fs::remove_dir_all(&folder) {
                Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(Error::io("empty", folder, source)),
                _ => Ok(()),
            };
        }
        let listed = self.store.list(Some(below)).map_ok(|object| object.location).try_collect();
        let found: Vec<Path> = self.runtime.block_on(listed).map_err(|error| self.failed("list", &error))?;
        found.iter().try_for_each(|path| self.delete(path))
    }

    /// A name on a disk is there for good once its folder is synced.
    fn sync(&self, path: &Path) -> Result<()> {
        let Some(folder) = &self.folder else { return Ok(()) };
        let file = folder.join(path.as_ref());
        let synced = File::open(&file).and_then(|file| file.sync_all()).and_then(|()| match file.parent() {
            Some(parent) => File::open(parent)?.sync_all(),
            None => Ok(()),
        });
        synced.map_err(|source| Error::io("sync", file, source))
    }
}

impl Upload {
    pub(super) fn put(&mut self, bytes: Vec<u8>) -> Result<()> {
        let put = self.writer.put(bytes.into());
        self.place.runtime.block_on(put).map_err(|error| self.place.failed("write", &error))
    }

    /// Gives the file up.
    pub(super) fn abort(mut self) {
        // What cannot be taken back now goes when the sink is opened again.
        drop(self.place.runtime.block_on(self.writer.abort()));
    }

    /// Ends the file; it is whole and durable.
    pub(super) fn finish(mut self) -> Result<()> {
        self.place
            .runtime
            .block_on(self.writer.shutdown())
            .map_err(|source| Error::io("finish", self.path.to_string(), source))?;
        self.place.sync(&self.path)
    }
}

/// The folder of this machine that a location names, unless it is a bucket.
fn local_folder(location: &str, base: &FilePath) -> Option<PathBuf> {
    match location.split_once("://") {
        None => Some(base.join(location)),
        Some(("file", path)) => Some(PathBuf::from(path)),
        Some(_) => None,
    }
}

/// Creates missing folders and syncs each parent that gained an entry.
fn make_folders(folder: &FilePath) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        make_folders(parent)?;
    }
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    folder.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn bucket(location: &str, credentials: Option<&StorageCredentials>) -> object_store::Result<Arc<dyn ObjectStore>> {
    let (scheme, rest) = location.split_once("://").unwrap_or(("", location));
    let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let store: Arc<dyn ObjectStore> = match scheme {
        "gs" => Arc::new(google(GoogleCloudStorageBuilder::from_env().with_bucket_name(name))?),
        "az" => Arc::new(MicrosoftAzureBuilder::from_env().with_container_name(name).build()?),
        _ => Arc::new(s3(name, credentials).build()?),
    };
    let prefix = Path::parse(prefix.trim_matches('/'))?;
    Ok(if prefix.as_ref().is_empty() { store } else { Arc::new(PrefixStore::new(store, prefix)) })
}

pub(super) fn s3(bucket: &str, credentials: Option<&StorageCredentials>) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    let Some(given) = credentials else { return builder };
    builder = builder.with_allow_http(given.allow_http);
    if let Some(endpoint) = &given.endpoint {
        builder = builder.with_endpoint(endpoint);
    }
    if let Some(region) = &given.region {
        builder = builder.with_region(region);
    }
    if let (Some(id), Some(secret)) = (&given.access_key_id, &given.secret_access_key) {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret);
    }
    builder
}

fn failed(shown: &str, doing: &str, error: &object_store::Error) -> Error {
    use object_store::Error as Store;
    let message = format!("cannot {doing} files in {shown}");
    let failure = match error {
        Store::PermissionDenied { .. } | Store::Unauthenticated { .. } => {
            Failure::user(message).with_hint("Give the process the right to read, write, list and delete there.")
        }
        Store::InvalidPath { .. } | Store::NotSupported { .. } | Store::UnknownConfigurationKey { .. } => {
            Failure::user(message).with_hint("Check `path` of the sink.")
        }
        _ => Failure::new(Kind::External { retry_after: None }, message),
    };
    failure.with_detail(error.to_string()).into()
}
