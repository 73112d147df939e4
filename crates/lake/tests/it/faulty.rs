//! A store that fails on request, after or instead of doing its work.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    None = 0,
    /// The next commit is stored, and its answer lost.
    ReplyLost = 1,
    /// The next commit is stored, and reported as "already exists", as after a retry inside the client.
    SeenAsExisting = 2,
    /// The next commit is not stored.
    Refused = 3,
}

#[derive(Debug)]
pub(crate) struct FaultyStore {
    inner: InMemory,
    trouble: AtomicU8,
    pub(crate) commits: Mutex<Vec<String>>,
}

impl FaultyStore {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { inner: InMemory::new(), trouble: AtomicU8::new(0), commits: Mutex::default() })
    }

    /// Arms one failure for the next commit.
    pub(crate) fn arm(&self, trouble: Trouble) {
        self.trouble.store(trouble as u8, Ordering::SeqCst);
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Faulty")
    }
}

fn lost() -> Error {
    Error::Generic { store: "faulty", source: "timeout".into() }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_commit = location.as_ref().contains("_delta_log/") && location.extension() == Some("json");
        if !is_commit {
            return self.inner.put_opts(location, payload, options).await;
        }
        let trouble = self.trouble.swap(0, Ordering::SeqCst);
        if trouble == Trouble::Refused as u8 {
            return Err(lost());
        }
        let result = self.inner.put_opts(location, payload, options).await;
        if result.is_ok() {
            self.commits.lock().unwrap().push(location.to_string());
        }
        match trouble {
            1 if result.is_ok() => Err(lost()),
            2 if result.is_ok() => Err(Error::AlreadyExists { path: location.to_string(), source: "412".into() }),
            _ => result,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
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
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}
