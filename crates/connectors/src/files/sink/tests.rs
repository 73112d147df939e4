use std::collections::BTreeMap;
use std::fs;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::csv::ReaderBuilder as CsvReader;
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::json::ReaderBuilder as JsonReader;
use headwater_project::Classify;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{FilesSink, FilesTarget};
use crate::sink::{Identity, RowSink, Transfer, conformance};

fn sink(folder: &FilePath, json: &serde_json::Value) -> FilesSink {
    let target: FilesTarget = serde_json::from_value(json.clone()).unwrap();
    let identity = Identity { id: String::from("p/out"), sends: String::from("added from a.b") };
    FilesSink::new(folder.to_path_buf(), target, identity)
}

/// Files that a reader sees.
fn visible(folder: &FilePath) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.map(|entry| entry.unwrap().path()) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true if !name.starts_with('_') => found.extend(visible(&path)),
            true => {}
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn plain(path: &FilePath) -> Vec<u8> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let file = fs::File::open(path).unwrap();
    match path.extension().unwrap().to_str().unwrap() {
        "gz" => flate2::read::GzDecoder::new(file).read_to_end(&mut bytes).unwrap(),
        "zst" => zstd::Decoder::new(file).unwrap().read_to_end(&mut bytes).unwrap(),
        _ => (&file).read_to_end(&mut bytes).unwrap(),
    };
    bytes
}

fn read(path: &FilePath) -> Vec<RecordBatch> {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let schema =
        Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("word", DataType::Utf8, true)]));
    if name.ends_with(".parquet") {
        let reader = ParquetRecordBatchReaderBuilder::try_new(fs::File::open(path).unwrap()).unwrap().build().unwrap();
        return reader.map(Result::unwrap).collect();
    }
    let bytes = plain(path);
    if name.contains(".csv") {
        let reader = CsvReader::new(schema).with_header(true).build(bytes.as_slice()).unwrap();
        return reader.map(Result::unwrap).collect();
    }
    JsonReader::new(schema).build(bytes.as_slice()).unwrap().map(Result::unwrap).collect()
}

/// How often each row is there; each with the word the suite gave it.
fn holds(folder: &FilePath) -> BTreeMap<i64, u64> {
    let mut found = BTreeMap::new();
    for batch in visible(folder).iter().flat_map(|path| read(path)) {
        let ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
        let words = batch.column_by_name("word").unwrap().as_string::<i32>();
        for row in 0..batch.num_rows() {
            let id = ids.value(row);
            assert_eq!(words.is_null(row), id % 3 == 0, "row {id}");
            assert!(words.is_null(row) || words.value(row) == format!("it's \"{id}\", \\ ü\n"), "row {id}");
            *found.entry(id).or_default() += 1;
        }
    }
    found
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_sink_of_files_does_what_every_sink_does() {
    let runtime = runtime();
    let _entered = runtime.enter();
    for format in [
        serde_json::json!({"path": "out"}),
        serde_json::json!({"path": "out", "max_file": 1, "compression": "snappy"}),
        serde_json::json!({"path": "out/deep", "format": "csv"}),
        serde_json::json!({"path": "out", "format": "csv", "compression": "gzip"}),
        serde_json::json!({"path": "out", "format": "json", "compression": "zstd", "max_file": 100}),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut open = || Box::new(sink(folder.path(), &format)) as Box<dyn RowSink>;
        let mut held = || holds(folder.path());
        conformance::check(&mut open, &mut held).unwrap_or_else(|problem| panic!("{format}: {problem}"));
    }
}

fn send(sink: &mut FilesSink, position: i64, is_whole: bool, ids: std::ops::Range<i64>) {
    let after = sink.resume().unwrap();
    sink.begin(&Transfer { schema: conformance::schema(), after, position, is_whole }).unwrap();
    sink.write(&conformance::rows(ids).unwrap()).unwrap();
    sink.commit().unwrap();
}

#[test]
fn a_transfer_that_was_whole_when_the_process_ended_is_finished_by_the_next() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let target = serde_json::json!({"path": "out", "max_file": 1});
    let own = folder.path().join("out/_headwater/p%2Fout");
    send(&mut sink(folder.path(), &target), 1, false, 0..10);
    let before = fs::read(own.join("sent.json")).unwrap();
    send(&mut sink(folder.path(), &target), 2, false, 10..20);
    let all = visible(&folder.path().join("out"));
    // As it was when one of two files had its name, and the position was not moved yet.
    fs::write(own.join("sent.json"), before).unwrap();
    let last = all.last().unwrap().file_name().unwrap().to_string_lossy().into_owned();
    let staged = own.join("staged/0.part");
    fs::create_dir_all(staged.parent().unwrap()).unwrap();
    fs::rename(all.last().unwrap(), &staged).unwrap();
    let next = serde_json::json!({
        "sends": "added from a.b", "position": 2, "is_whole": false,
        "files": [["_headwater/p%2Fout/staged/0.part", last], ["_headwater/p%2Fout/staged/1.part", all[0].file_name().unwrap().to_string_lossy()]],
    });
    fs::write(own.join("next.json"), next.to_string()).unwrap();
    assert_eq!(sink(folder.path(), &target).resume().unwrap(), Some(2));
    assert_eq!(visible(&folder.path().join("out")), all);
    assert_eq!(holds(folder.path()).into_iter().collect::<Vec<_>>(), (0..20).map(|id| (id, 1)).collect::<Vec<_>>());
    assert!(!own.join("next.json").exists() && !own.join("staged").exists());
}

#[test]
fn a_whole_set_takes_the_place_of_the_one_before() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let target = serde_json::json!({"path": "out", "partition_by": "id", "format": "csv"});
    send(&mut sink(folder.path(), &target), 1, true, 0..40);
    assert_eq!(visible(folder.path()).len(), 40);
    send(&mut sink(folder.path(), &target), 2, true, 5..7);
    let names: Vec<String> = visible(folder.path())
        .iter()
        .map(|path| path.strip_prefix(folder.path()).unwrap().display().to_string())
        .collect();
    let expected = ["id=5", "id=6"].map(|part| format!("out/{part}/out-00000000000000000002-00000.csv"));
    assert_eq!(names, expected);
    let one = serde_json::json!({"path": "one.csv", "layout": "file", "format": "csv"});
    let mut file = sink(folder.path(), &one);
    for (position, ids, expected) in [(1, 0..2, 2), (2, 0..0, 0), (3, 7..8, 1)] {
        send(&mut file, position, true, ids);
        let rows: usize = read(&folder.path().join("one.csv")).iter().map(RecordBatch::num_rows).sum();
        assert_eq!(rows, expected);
    }
}

#[test]
fn what_was_damaged_or_meant_for_something_else_is_told() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let folder = tempfile::tempdir().unwrap();
    let target = serde_json::json!({"path": "out"});
    send(&mut sink(folder.path(), &target), 1, false, 0..3);
    let sent = folder.path().join("out/_headwater/p%2Fout/sent.json");
    for (text, expected) in [
        ("{", "cannot be read"),
        (r#"{"sends": "all from c.d", "position": 1, "files": [], "obsolete": []}"#, "sent all from c.d before"),
    ] {
        fs::write(&sent, text).unwrap();
        let failure = sink(folder.path(), &target).resume().unwrap_err().failure();
        assert!(failure.message.contains(expected) && failure.hint.is_some(), "{failure:?}");
    }
}

/// `HEADWATER_TEST_S3` is the address of a service that speaks S3 and has a bucket `lake`; tests/sinks/sinks.py starts one.
#[test]
fn a_sink_in_a_bucket_does_what_every_sink_does() {
    use futures::TryStreamExt;
    use object_store::{ObjectStore, ObjectStoreExt};

    let Ok(endpoint) = std::env::var("HEADWATER_TEST_S3") else {
        println!("skipped: HEADWATER_TEST_S3 names no service");
        return;
    };
    let runtime = runtime();
    let _entered = runtime.enter();
    let credentials = serde_json::json!({
        "endpoint": endpoint, "region": "us-east-1", "access_key_id": "test", "secret_access_key": "test", "allow_http": true,
    });
    let target = serde_json::json!({"path": "s3://lake/conformance/rows", "format": "json", "max_file": 100, "credentials": credentials});
    let given = serde_json::from_value(credentials).unwrap();
    let store = super::place::s3("lake", Some(&given)).build().unwrap();
    let mut open = || Box::new(sink(FilePath::new("/"), &target)) as Box<dyn RowSink>;
    let mut holds = || {
        let mut found = BTreeMap::new();
        let listed = store.list(Some(&"conformance/rows".into())).try_collect::<Vec<_>>();
        for object in runtime.block_on(listed).unwrap() {
            if object.location.as_ref().contains("_headwater") {
                continue;
            }
            let bytes = runtime.block_on(async { store.get(&object.location).await.unwrap().bytes().await.unwrap() });
            for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
                let row: serde_json::Value = serde_json::from_slice(line).unwrap();
                *found.entry(row["id"].as_i64().unwrap()).or_default() += 1;
            }
        }
        found
    };
    conformance::check(&mut open, &mut holds).unwrap();
}
