//! A local object store whose writes survive a power cut once they are acknowledged.
//!
//! The plain local store leaves data in the page cache; a cut then leaves commits of zero length and the table does not
//! open. Order here: data, then the directory entry that names it, then the answer. Creating a file that must not exist
//! goes through a synced staging file and a hard link, so that the name never points at half a file.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use headwater_project::fault;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Reads under way at a time for each processor: enough that one waits for the disk while others are in memory already.
const READS_PER_PROCESSOR: usize = 4;
/// Objects up to this size are read in the turn that opens them: entries of logs, and all else that is asked for in dozens.
const WHOLE_BYTES: u64 = 1 << 20;

#[derive(Debug)]
pub(crate) struct DurableStore {
    inner: Arc<LocalFileSystem>,
    turns: Semaphore,
}

impl DurableStore {
    pub(crate) fn new(inner: LocalFileSystem) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self { inner: Arc::new(inner), turns: Semaphore::new(processors * READS_PER_PROCESSOR) }
    }

    async fn turn(&self) -> Result<SemaphorePermit<'_>> {
        self.turns.acquire().await.map_err(generic)
    }

    async fn sync(&self, location: &Path) -> Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        blocking(move || {
            File::open(&path)?.sync_all()?;
            sync_parent(&path)
        })
        .await
    }
}

impl fmt::Display for DurableStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Durable({})", self.inner)
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> std::io::Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result.map_err(generic),
        Err(error) => Err(generic(error)),
    }
}

fn generic(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Generic { store: "durable local", source: Box::new(error) }
}

fn sync_parent(path: &FilePath) -> std::io::Result<()> {
    match path.parent() {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}

/// What was found, read.
async fn in_memory(found: GetResult) -> Result<GetResult> {
    let (meta, range, attributes) = (found.meta.clone(), found.range.clone(), found.attributes.clone());
    let bytes = found.bytes().await?;
    let payload = GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed());
    Ok(GetResult { payload, meta, range, attributes })
}

/// Creates missing folders and syncs each parent that gained an entry.
fn create_folders(folder: &FilePath) -> std::io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    if let Some(parent) = folder.parent() {
        create_folders(parent)?;
    }
    match std::fs::create_dir(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
        _ => sync_parent(folder),
    }
}

fn create_new(path: &FilePath, payload: &PutPayload, staging: &FilePath) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        create_folders(parent)?;
    }
    let linked = write_staged(payload, staging).and_then(|()| std::fs::hard_link(staging, path));
    let removed = std::fs::remove_file(staging);
    // What went wrong first says more; a disk without room shall not fill up with tries.
    linked?;
    removed?;
    sync_parent(path)
}

fn write_staged(payload: &PutPayload, staging: &FilePath) -> std::io::Result<()> {
    let mut file = File::create(staging)?;
    for chunk in payload {
        file.write_all(chunk)?;
    }
    file.sync_all()
}

/// A staging name no other writer of this or another process uses; `#` and digits keep it out of every listing.
fn staging_path(path: &FilePath) -> PathBuf {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut name = path.as_os_str().to_owned();
    name.push(format!("#{}{:09}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    PathBuf::from(name)
}

fn fault_before_put(location: &Path) -> Result<()> {
    let name = location.filename().unwrap_or_default();
    let point = if is_commit(location) {
        "dl.commit_before_put"
    } else if name.ends_with(".checkpoint.parquet") {
        "dl.mid_checkpoint"
    } else if name == "_last_checkpoint" {
        "dl.after_checkpoint_before_pointer"
    } else {
        return Ok(());
    };
    fault::point(point).map_err(generic)
}

fn is_commit(location: &Path) -> bool {
    location.as_ref().contains("_delta_log/") && location.extension() == Some("json")
}

#[derive(Debug)]
struct DurableUpload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let result = self.inner.complete().await?;
        let path = self.path.clone();
        blocking(move || {
            File::open(&path)?.sync_all()?;
            sync_parent(&path)
        })
        .await?;
        Ok(result)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

#[async_trait]
impl ObjectStore for DurableStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        fault_before_put(location)?;
        if !matches!(options.mode, PutMode::Create) {
            let parent = self.inner.path_to_filesystem(location)?.parent().map(FilePath::to_path_buf);
            blocking(move || parent.map_or(Ok(()), |parent| create_folders(&parent))).await?;
            let result = self.inner.put_opts(location, payload, options).await?;
            self.sync(location).await?;
            return Ok(result);
        }
        let path = self.inner.path_to_filesystem(location)?;
        let created = {
            let path = path.clone();
            tokio::task::spawn_blocking(move || create_new(&path, &payload, &staging_path(&path)))
                .await
                .map_err(generic)?
        };
        match created {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(Error::AlreadyExists { path: location.to_string(), source: Box::new(error) });
            }
            Err(error) => return Err(generic(error)),
        }
        if is_commit(location) {
            fault::point("dl.commit_put_done_reply_lost").map_err(generic)?;
        }
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        let parent = path.parent().map(FilePath::to_path_buf);
        blocking(move || parent.map_or(Ok(()), |parent| create_folders(&parent))).await?;
        let inner = self.inner.put_multipart_opts(location, options).await?;
        Ok(Box::new(DurableUpload { inner, path }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let _turn = self.turn().await?;
        let is_whole = !options.head;
        let found = self.inner.get_opts(location, options).await?;
        if is_whole && found.range.end - found.range.start <= WHOLE_BYTES { in_memory(found).await } else { Ok(found) }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let _turn = self.turn().await?;
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.sync(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        self.sync(to).await
    }
}
