//! A lake in memory or in a folder, with a clock and randomness the tests move.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use datafusion::prelude::SessionContext;
use headwater_lake::{Lake, LakeTable, Owner, PipelineWriter, Progress, STORE_URL, StageOptions, Storage, TableName};
use headwater_project::{Clock, Entropy, Timestamp};
use object_store::ObjectStore;
use object_store::path::Path;

#[derive(Debug)]
pub(crate) struct TestClock(pub(crate) AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

#[derive(Debug, Default)]
struct Counter(AtomicU64);

impl Entropy for Counter {
    fn next_u64(&self) -> u64 {
        self.0.fetch_add(1, Ordering::SeqCst)
    }
}

pub(crate) const START: i64 = 1_700_000_000_000_000;

pub(crate) struct World {
    pub(crate) lake: Lake,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) store: Arc<dyn ObjectStore>,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    pub(crate) fn over(store: Arc<dyn ObjectStore>) -> Self {
        let storage = Storage::over(Arc::clone(&store), "memory:///", Path::default()).unwrap();
        Self::with(storage, store, None)
    }

    pub(crate) fn in_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let location = headwater_lake::Location::Folder(folder.path().to_path_buf());
        let storage = Storage::open(&location, &headwater_lake::Credentials::default()).unwrap();
        let store: Arc<dyn ObjectStore> =
            Arc::new(object_store::local::LocalFileSystem::new_with_prefix(folder.path()).unwrap());
        Self::with(storage, store, Some(folder))
    }

    fn with(storage: Storage, store: Arc<dyn ObjectStore>, folder: Option<tempfile::TempDir>) -> Self {
        let clock = Arc::new(TestClock(AtomicI64::new(START)));
        let lake = Lake::new(storage, Arc::clone(&clock) as Arc<dyn Clock>, Arc::new(Counter::default()));
        Self { lake, clock, store, _folder: folder }
    }

    /// A writer of an owner that comes for the first time.
    pub(crate) async fn writer(&self) -> PipelineWriter {
        self.writer_of(&Owner::new(&self.lake)).await.unwrap()
    }

    pub(crate) async fn writer_of(&self, owner: &Owner) -> headwater_lake::Result<PipelineWriter> {
        self.writer_with(&[key()], owner).await
    }

    /// A writer that reads positions by these keys.
    pub(crate) async fn writer_with(&self, keys: &[String], owner: &Owner) -> headwater_lake::Result<PipelineWriter> {
        let options = StageOptions::default();
        PipelineWriter::open(&self.lake, &name(), "p", &schema(), keys, options, owner).await
    }

    /// Commits ten rows, 10n to 10n+9, at position n.
    pub(crate) async fn commit(&self, writer: &mut PipelineWriter, n: i64) -> headwater_lake::Result<u64> {
        writer.write(&rows(n)).await?;
        Ok(writer.commit(&at(n), &serde_json::json!({ "n": n })).await?.version)
    }

    /// Ids in the table, in order.
    pub(crate) async fn ids(&self) -> Vec<i64> {
        self.numbers("select id from t order by id").await
    }

    pub(crate) async fn numbers(&self, sql: &str) -> Vec<i64> {
        let column = |batch: &RecordBatch| batch.column(0).as_primitive::<Int64Type>().values().to_vec();
        self.batches(sql).await.iter().flat_map(column).collect()
    }

    /// What a query over the table, as `t`, gives.
    pub(crate) async fn batches(&self, sql: &str) -> Vec<RecordBatch> {
        let table = self.lake.require(&name()).await.unwrap();
        let context = SessionContext::new();
        let url = url::Url::parse(STORE_URL).unwrap();
        context.runtime_env().register_object_store(&url, self.lake.object_store());
        context.register_table("t", Arc::new(LakeTable::new(table))).unwrap();
        context.sql(sql).await.unwrap().collect().await.unwrap()
    }
}

pub(crate) fn name() -> TableName {
    TableName::new("events", "clicks")
}

pub(crate) fn key() -> String {
    String::from("k/p/clicks/0")
}

pub(crate) fn at(n: i64) -> Progress {
    [(key(), n)].into_iter().collect()
}

pub(crate) fn schema() -> Schema {
    Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("word", DataType::Utf8, true)])
}

pub(crate) fn rows(n: i64) -> RecordBatch {
    let ids = Int64Array::from_iter_values(n * 10..n * 10 + 10);
    let words = StringArray::from_iter_values((0..ids.len()).map(|index| format!("word {index}")));
    RecordBatch::try_new(Arc::new(schema()), vec![Arc::new(ids), Arc::new(words)]).unwrap()
}

pub(crate) fn expected(batches: i64) -> Vec<i64> {
    (0..batches * 10).collect()
}
