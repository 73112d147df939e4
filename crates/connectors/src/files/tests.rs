use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use headwater_ingest::pipeline::{Ended, Pipeline, PipelineOptions, Rotation};
use headwater_ingest::position::Positions;
use headwater_ingest::record::RecordBuffer;
use headwater_ingest::sink::{Commit, CommitReceipt, KeyedChanges, Rejected, TableSink};
use headwater_ingest::source::{Next, ReadLimits, Source, conformance};
use headwater_project::{Clock, Failure, Timestamp};
use tokio_util::sync::CancellationToken;

use super::*;
use crate::files::pattern::Pattern;

mod formats;
mod packed;
mod stores;

/// Stands at a time long after any file of these tests was written.
#[derive(Debug)]
struct FarClock(AtomicI64);

impl Clock for FarClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.load(Ordering::SeqCst)).unwrap())
    }
}

const FAR: i64 = 10_000_000_000_000;

fn clock() -> Arc<FarClock> {
    Arc::new(FarClock(AtomicI64::new(FAR)))
}

fn config(text: &str) -> FilesConfig {
    serde_json::from_str(text).unwrap()
}

fn source_over(root: &Path, config: FilesConfig, taken: Vec<TakenFile>) -> FilesSource {
    let place = Place::Folder(root.to_owned());
    FilesSource::new("s", place, config, taken, clock()).unwrap().stop_at_end()
}

fn json() -> FilesConfig {
    config(r#"{"path": "."}"#)
}

fn write(root: &Path, path: &str, bytes: &[u8]) -> PathBuf {
    let full = root.join(path);
    fs::create_dir_all(full.parent().unwrap()).unwrap();
    let mut file = fs::File::create(&full).unwrap();
    file.write_all(bytes).unwrap();
    full
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Reads from the committed position to the end; `path:line text` of every record, and what was to be remembered.
fn read(source: &mut FilesSource, committed: Option<i64>) -> (Vec<String>, Vec<String>) {
    let mut positions = Positions::default();
    committed.into_iter().for_each(|position| positions.set("f/s", position));
    source.resume(&positions).unwrap();
    let (mut found, mut info) = (Vec::new(), Vec::new());
    loop {
        match source.next_batch(&ReadLimits { max_bytes: 1 << 20 }, RecordBuffer::default()).unwrap() {
            Next::End => return (found, info),
            Next::Idle => panic!("idle although it is to stop at the end"),
            Next::Rows(_) => panic!("files are read as records"),
            Next::Batch(batch) => {
                let headwater_ingest::sink::Origin::File { path } = &batch.origin else { panic!("not a file") };
                let text = |record: headwater_ingest::Record<'_>| {
                    format!("{path}:{} {}", record.offset, String::from_utf8_lossy(record.payload))
                };
                found.extend(batch.records.iter().map(text));
                info.extend(batch.info);
            }
        }
    }
}

fn taken(info: &[String]) -> Vec<TakenFile> {
    let parse =
        |text: &String| serde_json::from_value(serde_json::from_str::<serde_json::Value>(text).unwrap()["file"].take());
    info.iter().map(|text| parse(text).unwrap()).collect()
}

#[test]
fn files_of_every_kind_are_read_in_order_of_their_paths() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    write(root, "b.json", b"1\n\n2");
    write(root, "a/x.json.gz", &gzip(b"3\r\n4\n"));
    write(root, "c.json.zst", &zstd::encode_all(&b"5\n"[..], 1).unwrap());
    write(root, "empty", b"");
    let (found, info) = read(&mut source_over(root, json(), Vec::new()), None);
    assert_eq!(found, ["a/x.json.gz:1 3", "a/x.json.gz:2 4", "b.json:1 1", "b.json:3 2", "c.json.zst:1 5"]);
    assert_eq!(info.len(), 4);
}

#[test]
fn a_files_source_conforms() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let mut expected = conformance::Expected::new();
    for (path, count) in [("a", 1), ("b", 50), ("d/c", 7)] {
        let lines: Vec<String> = (0..count).map(|line| format!("{{\"{path}\":{line}}}")).collect();
        write(root, path, lines.join("\n").as_bytes());
        expected.insert(path.to_owned(), lines.into_iter().map(String::into_bytes).collect());
    }
    conformance::check(&mut |info| Box::new(source_over(root, json(), taken(info))), &expected).unwrap();
}

#[test]
fn a_file_is_taken_once_however_often_it_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", b"1\n");
    let mut source = source_over(folder.path(), json(), Vec::new());
    assert_eq!(read(&mut source, None).0.len(), 1);
    assert_eq!(read(&mut source, Some(1)).0.len(), 0);
    assert_eq!(read(&mut source, None).0.len(), 1, "what was not committed is read again");
    write(folder.path(), "b", b"2\n");
    assert_eq!(read(&mut source, Some(1)).0, ["b:1 2"]);
}

#[test]
fn a_known_path_alone_keeps_a_file_from_being_taken_again() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a", b"1\n");
    let known = vec![TakenFile { path: "a".to_owned(), fingerprint: None }];
    assert!(read(&mut source_over(folder.path(), json(), known), Some(1)).0.is_empty());
}

#[test]
fn a_changed_file_is_reported_or_appended_and_a_touched_one_is_neither() {
    let check = |policy: &str, change: &[u8], appended: &[&str], reported: bool| {
        let folder = tempfile::tempdir().unwrap();
        let path = write(folder.path(), "a", b"1\n");
        let config = config(&format!(r#"{{"path": ".", "on_change": "{policy}"}}"#));
        let (_, info) = read(&mut source_over(folder.path(), config.clone(), Vec::new()), None);
        write(folder.path(), "a", change);
        let later = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000);
        fs::File::options().append(true).open(&path).unwrap().set_modified(later).unwrap();
        let mut source = source_over(folder.path(), config, taken(&info));
        assert_eq!(read(&mut source, Some(1)).0, appended);
        assert_eq!(source.reports().read().contains_key("a"), reported);
        assert_eq!(read(&mut source, Some(2)).0, Vec::<String>::new());
    };
    check("report", b"1\n", &[], false);
    check("report", b"2\n", &[], true);
    check("append", b"1\n", &[], false);
    check("append", b"1\n2\n", &["a:1 1", "a:2 2"], false);
}

#[test]
fn a_file_still_being_written_is_left_until_it_settles() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "a", b"1\n");
    let modified = fs::metadata(&path).unwrap().modified().unwrap();
    let millis = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    let clock = Arc::new(FarClock(AtomicI64::new(millis + 9_000)));
    let mut source =
        FilesSource::new("s", Place::Folder(folder.path().to_owned()), json(), Vec::new(), clock.clone()).unwrap();
    source = source.stop_at_end();
    assert!(read(&mut source, None).0.is_empty());
    clock.0.store(millis + 11_000, Ordering::SeqCst);
    assert_eq!(read(&mut source, None).0, ["a:1 1"]);
}

#[test]
fn links_and_broken_files_are_reported_and_the_rest_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    write(outside.path(), "secret", b"secret\n");
    let root = folder.path();
    std::os::unix::fs::symlink(outside.path().join("secret"), root.join("link")).unwrap();
    std::os::unix::fs::symlink(outside.path(), root.join("folder")).unwrap();
    write(root, "bad.gz", b"this is no gzip");
    write(root, "good", b"1\n");
    let mut source = source_over(root, json(), Vec::new());
    assert_eq!(read(&mut source, None).0, ["good:1 1"]);
    assert_eq!(source.reports().read().into_keys().collect::<Vec<_>>(), ["bad.gz", "folder", "link"]);
}

#[test]
fn a_file_that_turns_out_broken_half_way_is_read_around_from_the_last_commit() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..200_000).map(|number| format!("{}\n", number * 7919 % 1_000_003)).collect();
    let mut broken = gzip(lines.as_bytes());
    broken.truncate(broken.len() / 2);
    write(folder.path(), "a", b"1\n");
    write(folder.path(), "b.gz", &broken);
    write(folder.path(), "c", b"2\n");
    let mut source = source_over(folder.path(), json(), Vec::new());
    source.resume(&Positions::default()).unwrap();
    let mut next = || source.next_batch(&ReadLimits { max_bytes: 1 << 10 }, RecordBuffer::default());
    let failed = std::iter::repeat_with(&mut next).take(10_000).find_map(Result::err);
    assert!(failed.is_some(), "something of it was handed on, so the pipeline must start again");
    assert_eq!(read(&mut source, None).0, ["a:1 1", "c:1 2"]);
    assert_eq!(source.reports().read().into_keys().collect::<Vec<_>>(), ["b.gz"]);
}

#[test]
fn the_root_cannot_be_left() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "in/a", b"1");
    write(folder.path(), "b", b"2");
    let root = folder.path().join("in");
    assert!(discover::open(&root, "a").is_ok());
    for path in ["../b", "/etc/passwd", "a/../../b", "missing"] {
        assert!(discover::open(&root, path).is_err(), "{path}");
    }
}

#[test]
fn patterns_choose_files() {
    let check = |pattern: &str, path: &str, expected: bool| {
        assert_eq!(Pattern::new(pattern).unwrap().matches(path), expected, "{pattern} {path}");
    };
    check("*.json", "a.json", true);
    check("*.json", "d/a.json", false);
    check("**/*.json", "a.json", true);
    check("**/*.json", "d/e/a.json", true);
    check("d/**", "d/e/a", true);
    check("a?.{csv,tsv}", "ab.tsv", true);
    check("a?.{csv,tsv}", "ab.json", false);
    check("a+(b)", "a+(b)", true);
    check("*", "line\nend", true);
    assert!(Pattern::new("{a").is_err());
}

#[test]
fn configuration_errors_are_found_together() {
    let messages = |text: &str| config(text).check().into_iter().map(|finding| finding.message).collect::<Vec<_>>();
    let bad = messages(r#"{"path": ".", "include": ["{a"], "delimiter": "\"", "columns": ["a"]}"#);
    assert_eq!(bad.len(), 3, "{bad:?}");
    assert_eq!(messages(r#"{"path": ["a", "b"]}"#), ["`path` is not one place"]);
    assert_eq!(messages(r#"{"path": "ftp://a"}"#), ["unknown kind of place `ftp://`"]);
    assert_eq!(messages(r#"{"path": ["https://a/b", "https://a/c"]}"#), Vec::<String>::new());
    assert_eq!(messages(r#"{"path": ".", "sheet": "a", "header_row": 0}"#).len(), 3);
    assert_eq!(messages(r#"{"path": ".", "format": "pattern"}"#), ["invalid `pattern`"]);
    assert_eq!(
        messages(r#"{"path": ".", "format": "pattern", "pattern": "(?P<a>x)", "types": {"b": "text"}}"#).len(),
        1
    );
    assert!(config(r#"{"path": ".", "format": "csv", "columns": ["a"]}"#).check().is_empty());
    assert!(serde_json::from_str::<FilesConfig>(r#"{"path": ".", "typo": 1}"#).is_err());
}

#[derive(Default)]
struct Collected {
    batches: Vec<RecordBatch>,
    rejected: Vec<Rejected>,
    positions: Positions,
}

#[derive(Clone, Default)]
struct CollectingTable {
    shared: Arc<Mutex<Collected>>,
    schema: Option<SchemaRef>,
    staged: Vec<RecordBatch>,
    staged_rejected: Vec<Rejected>,
}

#[async_trait]
impl TableSink for CollectingTable {
    async fn open(&mut self) -> Result<Positions, Failure> {
        Ok(self.shared.lock().unwrap().positions.clone())
    }

    fn schema(&self) -> Option<SchemaRef> {
        self.schema.clone()
    }

    async fn evolve(&mut self, schema: SchemaRef) -> Result<(), Failure> {
        self.schema = Some(schema);
        Ok(())
    }

    async fn write(&mut self, rows: RecordBatch) -> Result<(), Failure> {
        self.staged.push(rows);
        Ok(())
    }

    fn records(&self) -> Option<SchemaRef> {
        None
    }

    async fn remember(&mut self, _records: SchemaRef) -> Result<(), Failure> {
        Err(Failure::internal("not asked for"))
    }

    async fn truncate(&mut self) -> Result<(), Failure> {
        Err(Failure::internal("not asked for"))
    }

    fn mark(&self) -> i64 {
        0
    }

    async fn retire(&mut self, _mark: i64) -> Result<(), Failure> {
        Err(Failure::internal("not asked for"))
    }

    async fn merge(&mut self, changes: KeyedChanges) -> Result<(), Failure> {
        assert_eq!((&*changes.key, changes.rows.num_rows()), (&["_source_file".to_owned()][..], 0));
        let gone = strings(&changes.removed, "_source_file");
        let mut shared = self.shared.lock().unwrap();
        for batch in shared.batches.iter_mut().chain(&mut self.staged) {
            let stays: arrow::array::BooleanArray =
                strings(batch, "_source_file").iter().map(|path| Some(!gone.contains(path))).collect();
            *batch = arrow::compute::filter_record_batch(batch, &stays).unwrap();
        }
        Ok(())
    }

    async fn reject(&mut self, records: Vec<Rejected>) -> Result<(), Failure> {
        self.staged_rejected.extend(records);
        Ok(())
    }

    async fn commit(&mut self, commit: Commit) -> Result<CommitReceipt, Failure> {
        let mut shared = self.shared.lock().unwrap();
        shared.batches.append(&mut self.staged);
        shared.rejected.append(&mut self.staged_rejected);
        shared.positions.advance(&commit.positions);
        Ok(CommitReceipt { version: 1 })
    }

    async fn abandon(&mut self) {
        self.staged.clear();
        self.staged_rejected.clear();
    }
}

fn ingest(source: FilesSource) -> Collected {
    ingest_into(source, &CollectingTable::default())
}

fn ingest_into(source: FilesSource, table: &CollectingTable) -> Collected {
    let rotation = Rotation { rows: 2_000, ..Rotation::default() };
    let options = PipelineOptions { rotation, batch_bytes: 100_000, ..PipelineOptions::default() };
    let mut pipeline = Pipeline::new("s", Box::new(source), Box::new(table.clone()), clock(), options);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    assert_eq!(runtime.block_on(pipeline.run(&CancellationToken::new())).unwrap(), Ended::SourceEnded);
    drop(pipeline);
    std::mem::take(&mut *table.shared.lock().unwrap())
}

#[test]
fn bad_rows_name_their_file_and_line() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "a.csv", b"id,name\n1,\"x\ny\"\n2\n3,z\n\"4,open\n5,w\n");
    let collected = ingest(source_over(folder.path(), config(r#"{"path": ".", "format": "csv"}"#), Vec::new()));
    let names: Vec<String> = collected.batches.iter().flat_map(|batch| strings(batch, "name")).collect();
    assert_eq!(names, ["x\ny", "z", "w"]);
    let mut rejected: Vec<(i64, &str)> =
        collected.rejected.iter().map(|rejected| (rejected.offset, rejected.reason.as_str())).collect();
    rejected.sort_unstable();
    assert_eq!(rejected, [(4, "row has 1 fields, the header 2"), (6, "quote is never closed")]);
}

fn strings(batch: &RecordBatch, column: &str) -> Vec<String> {
    batch.column_by_name(column).unwrap().as_string::<i32>().iter().flatten().map(str::to_owned).collect()
}

#[test]
fn the_calibration_set_of_the_music_project_lands_whole() {
    let root = Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("../../../shared/data/eventsim/log");
    if !root.is_dir() {
        println!("skipped: {} is not here", root.display());
        return;
    }
    let collected = ingest(source_over(&root, json(), Vec::new()));
    assert_eq!(collected.rejected, []);
    let mut pages: BTreeMap<String, usize> = BTreeMap::new();
    for page in collected.batches.iter().flat_map(|batch| strings(batch, "page")) {
        *pages.entry(page).or_default() += 1;
    }
    let expected = [
        ("NextSong", 6820),
        ("Home", 806),
        ("Login", 92),
        ("Logout", 90),
        ("Downgrade", 60),
        ("Settings", 56),
        ("Help", 47),
        ("About", 36),
        ("Upgrade", 21),
        ("Save Settings", 10),
        ("Error", 9),
        ("Submit Upgrade", 8),
        ("Submit Downgrade", 1),
    ];
    assert_eq!(pages, expected.into_iter().map(|(page, count)| (page.to_owned(), count)).collect());
    assert_eq!(pages.values().sum::<usize>(), 8_056);
    assert_eq!(collected.positions.get("f/s"), Some(30));
}
