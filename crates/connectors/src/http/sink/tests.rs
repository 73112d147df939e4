use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use headwater_project::Classify;

use super::HttpSink;
use crate::sink::{Identity, RowSink, Transfer, conformance, still_surroundings};

/// Requests as they came: key and body.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

/// A service that takes everything, or answers each request with this status.
fn service(status: u16) -> (String, Seen) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let seen = Seen::default();
    let noted = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut length, mut key) = (0, String::new());
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let Some((name, value)) = line.trim().split_once(": ") else {
                    if line.trim().is_empty() { break } else { continue }
                };
                match name.to_lowercase().as_str() {
                    "content-length" => length = value.parse().unwrap(),
                    "idempotency-key" => key = value.to_owned(),
                    _ => {}
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            noted.lock().unwrap().push((key, String::from_utf8(body).unwrap()));
            write!(stream, "HTTP/1.1 {status} x\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").unwrap();
        }
    });
    (address, seen)
}

fn sink(address: &str, folder: &std::path::Path, target: &str) -> HttpSink {
    let connection = serde_json::from_value(serde_json::json!({"url": address})).unwrap();
    let identity = Identity { id: String::from("p/s"), sends: String::from("added from a.b") };
    let path = folder.join("s.progress");
    HttpSink::new(connection, serde_json::from_str(target).unwrap(), identity, &path, still_surroundings())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

#[test]
fn a_sink_of_a_service_does_what_every_sink_does() {
    let runtime = runtime();
    let _entered = runtime.enter();
    for target in [
        r#"{"connection": "c", "batch": 7}"#,
        r#"{"connection": "c", "body": "lines", "max_body": 200}"#,
        r#"{"connection": "c", "body": "object", "method": "put"}"#,
    ] {
        let (address, seen) = service(200);
        let folder = tempfile::tempdir().unwrap();
        let mut open = || Box::new(sink(&address, folder.path(), target)) as Box<dyn RowSink>;
        let mut holds = || {
            let mut found = BTreeMap::new();
            for (_, body) in &*seen.lock().unwrap() {
                let rows: Vec<serde_json::Value> = match serde_json::from_str(body) {
                    Ok(serde_json::Value::Array(rows)) => rows,
                    Ok(one) => vec![one],
                    Err(_) => body.lines().map(|line| serde_json::from_str(line).unwrap()).collect(),
                };
                for row in rows {
                    *found.entry(row["id"].as_i64().unwrap()).or_default() += 1;
                }
            }
            found
        };
        conformance::check(&mut open, &mut holds).unwrap();
    }
}

fn send(sink: &mut HttpSink, ids: std::ops::Range<i64>, pieces: usize) -> headwater_ingest::Result<()> {
    let after = sink.resume()?;
    sink.begin(&Transfer { schema: conformance::schema(), after, position: 5, is_whole: false })?;
    let rows = conformance::rows(ids).unwrap();
    for start in (0..rows.num_rows()).step_by(pieces) {
        sink.write(&rows.slice(start, pieces.min(rows.num_rows() - start)))?;
    }
    sink.commit()
}

#[test]
fn a_lost_note_repeats_the_same_requests_and_other_rows_have_other_keys() {
    let runtime = runtime();
    let _entered = runtime.enter();
    let (address, seen) = service(200);
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let target = r#"{"connection": "c", "batch": 4}"#;
    send(&mut sink(&address, one.path(), target), 0..10, 3).unwrap();
    let first = std::mem::take(&mut *seen.lock().unwrap());
    assert_eq!(first.len(), 3);
    send(&mut sink(&address, other.path(), target), 0..10, 5).unwrap();
    assert_eq!(*seen.lock().unwrap(), first, "however rows come, requests are cut the same way");
    seen.lock().unwrap().clear();
    std::fs::remove_file(other.path().join("s.progress")).unwrap();
    send(&mut sink(&address, other.path(), target), 1..11, 5).unwrap();
    assert!(seen.lock().unwrap().iter().all(|(key, _)| !first.iter().any(|(before, _)| before == key)));
}

#[test]
fn a_refusal_stops_and_says_why() {
    let runtime = runtime();
    let _entered = runtime.enter();
    for (status, expected) in [(403, "auth"), (413, "max_body"), (302, "leads to"), (422, "does not take")] {
        let (address, seen) = service(status);
        let folder = tempfile::tempdir().unwrap();
        let failure =
            send(&mut sink(&address, folder.path(), r#"{"connection": "c"}"#), 0..3, 3).unwrap_err().failure();
        assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains(expected)), "{status}: {failure:?}");
        assert_eq!(seen.lock().unwrap().len(), 1, "a refusal is not tried again");
    }
}
