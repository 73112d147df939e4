//! Objects of a store, here one in memory; faults of the network are for the scripts under `tests/files`.

use headwater_project::config::{ConnectionConfig, GcsConnection, HttpConnection, S3Connection};
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Runtime;

use super::*;

fn put(runtime: &Runtime, store: &Arc<dyn ObjectStore>, path: &str, bytes: &[u8]) {
    runtime.block_on(store.put(&ObjectPath::from(path), bytes.to_vec().into())).unwrap();
}

fn source(store: &Arc<dyn ObjectStore>, settings: FilesConfig, taken: Vec<TakenFile>) -> FilesSource {
    let place = Place::Store(Store::over(Arc::clone(store), "in/box"));
    FilesSource::new("s", place, settings, taken, clock()).unwrap().stop_at_end()
}

fn begin() -> (Runtime, Arc<dyn ObjectStore>) {
    (
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
        Arc::new(InMemory::new()),
    )
}

#[test]
fn objects_conform() {
    let (runtime, store) = begin();
    let _guard = runtime.enter();
    for (path, bytes) in [("in/box/a", "1\n2\n"), ("in/box/b=1/c", "3\n"), ("in/boxes/d", "4\n"), ("other", "5\n")] {
        put(&runtime, &store, path, bytes.as_bytes());
    }
    let lines = |lines: &[&str]| lines.iter().map(|line| line.as_bytes().to_vec()).collect::<Vec<_>>();
    let expected =
        conformance::Expected::from([("a".to_owned(), lines(&["1", "2"])), ("b=1/c".to_owned(), lines(&["3"]))]);
    conformance::check(&mut |info| Box::new(source(&store, json(), taken(info))), &expected).unwrap();
}

#[test]
fn an_object_is_known_by_its_tag() {
    let check = |policy: &str, second: &[u8], expected: &[&str], reported: bool| {
        let (runtime, store) = begin();
        let _guard = runtime.enter();
        put(&runtime, &store, "in/box/a.json.gz", &gzip(b"1\n"));
        let settings = config(&format!(r#"{{"path": "s3://x", "include": ["*.gz"], "on_change": "{policy}"}}"#));
        let (found, info) = read(&mut source(&store, settings.clone(), Vec::new()), None);
        assert_eq!(found, ["a.json.gz:1 1"]);
        let mut again = source(&store, settings.clone(), taken(&info));
        assert!(read(&mut again, Some(1)).0.is_empty());
        put(&runtime, &store, "in/box/a.json.gz", &gzip(second));
        let mut again = source(&store, settings, taken(&info));
        assert_eq!(read(&mut again, Some(1)).0, expected);
        assert_eq!(again.reports().read().contains_key("a.json.gz"), reported);
    };
    check("report", b"2\n", &[], true);
    check("append", b"2\n", &["a.json.gz:1 2"], false);
}

#[test]
fn an_object_that_changed_since_it_was_listed_waits_for_the_next_look() {
    let (runtime, store) = begin();
    let _guard = runtime.enter();
    put(&runtime, &store, "in/box/a", b"1\n");
    let place = Store::over(Arc::clone(&store), "in/box");
    let (found, _) = place.list(&[Pattern::new("**").unwrap()]).unwrap();
    assert!(place.read(&found[0]).unwrap().is_some());
    put(&runtime, &store, "in/box/a", b"2\n");
    assert!(place.read(&found[0]).unwrap().is_none());
}

#[test]
fn places_need_connections_of_their_kind() {
    let check = |path: &str, connection: Option<ConnectionConfig>, expected: Option<&str>| {
        let opened = Store::open(&[path.to_owned()], connection.as_ref(), Path::new("."));
        assert_eq!(opened.err().map(|failure| failure.message).as_deref(), expected, "{path}");
    };
    let s3 = || Some(ConnectionConfig::S3(S3Connection { region: Some("r".to_owned()), ..Default::default() }));
    let http = || {
        let text = r#"{"url": "https://files.example.com/api", "auth": {"type": "bearer", "token": "t"}}"#;
        Some(ConnectionConfig::Http(serde_json::from_str::<HttpConnection>(text).unwrap()))
    };
    check("s3://bucket/prefix", s3(), None);
    check("https://files.example.com/a.csv?key=1", None, None);
    check("https://files.example.com/a.csv", http(), None);
    check("s3://bucket", http(), Some("`s3://bucket` is read by no connection of kind http"));
    check("gs://bucket", s3(), Some("`gs://bucket` is read by no connection of kind s3"));
    check(
        "https://elsewhere.example.com/a.csv?key=1",
        http(),
        Some("`https://elsewhere.example.com/a.csv` is not on the server of its connection"),
    );
}

#[test]
fn what_is_said_of_a_key_that_does_not_read_does_not_quote_it() {
    let one_line = "-----BEGIN PRIVATE KEY----- canary -----END PRIVATE KEY-----";
    let account = serde_json::json!({"client_email": "a", "private_key_id": "1", "private_key": one_line});
    for key in [String::from("canary"), String::from("\"canary\""), account.to_string()] {
        let connection: GcsConnection =
            serde_json::from_value(serde_json::json!({"service_account_key": key})).unwrap();
        let opened = Store::open(&[String::from("gs://b")], Some(&ConnectionConfig::Gcs(connection)), Path::new("."));
        let said = format!("{:?}", opened.err().unwrap());
        assert!(said.contains("cannot be read"), "{said}");
        // Some say what they cannot read as the numbers of its bytes.
        assert!(!said.contains("canary") && !said.contains("99, 97, 110"), "{said}");
    }
}
