//! A live process over HTTP: statements of strangers in the query worker, and people who log in.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::invocation::Sandbox;

/// A project served by a process of its own, ended with the test.
struct Served {
    sandbox: Sandbox,
    child: Child,
    address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Served {
    fn new() -> Self {
        Self::with(&[])
    }

    /// With files that come once the project is built.
    fn with(files: &[(&str, &str)]) -> Self {
        let sandbox = Sandbox::new();
        sandbox.run(&["init", "site"]).expect_code(0);
        sandbox.run(&["-C", "site", "ingest"]).expect_code(0);
        sandbox.run(&["-C", "site", "build"]).expect_code(0);
        files.iter().for_each(|(path, text)| sandbox.write(path, text));
        let mut command = sandbox.command(&["-C", "site", "up", "--port", "0"]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening =
            lines.find_map(|line| line.unwrap().split_once("http://").map(|(_, address)| address.to_owned()));
        let address = listening.expect("it says where it listens");
        // Somebody must go on reading what it says.
        std::thread::spawn(move || lines.for_each(drop));
        Self { sandbox, child, address }
    }

    /// Status and body. The server closes the connection after it.
    fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Vec<u8>) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nX-Headwater: 1\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let head = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let status = std::str::from_utf8(&answer[9..12]).unwrap().parse().unwrap();
        (status, answer.split_off(head + 4))
    }

    fn sql(&self, sql: &str) -> (u16, Value) {
        self.json("POST", "/api/sql", sql)
    }

    fn json(&self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let (status, body) = self.send(method, path, "", body);
        (
            status,
            serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&body))),
        )
    }
}

#[test]
fn a_run_that_would_not_end_is_cancelled_and_publishes_nothing() {
    let endless = "{{ config(materialized='table') }}\nselect sum(a.value % 7 * b.value) as n\n\
                   from generate_series(1, 100000000) a, generate_series(1, 100000000) b";
    let served = Served::with(&[("site/models/endless.sql", endless)]);
    let (status, started) = served.json("POST", "/api/runs?wait=false", "{\"select\": [\"endless\"]}");
    assert_eq!(status, 202, "{started}");
    let run = format!("/api/runs/{}", started["run"]);
    let until = |wanted: &dyn Fn(&Value) -> bool| {
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            let (_, found) = served.json("GET", &run, "");
            if wanted(&found["status"]) {
                return found;
            }
            assert!(Instant::now() < give_up, "{found}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until(&|status| status == "running" || status == "queued");
    assert_eq!(served.json("POST", &format!("{run}/cancel"), ""), (200, json!({"cancelled": true})));
    until(&|status| status == "cancelled");
    assert_eq!(served.json("POST", &format!("{run}/cancel"), ""), (200, json!({"cancelled": false})));
    assert_eq!(served.json("POST", "/api/runs/999/cancel", "").0, 404);
    assert_eq!(served.sql("select count(*) as n from main.endless").0, 400);
}

#[test]
fn statements_are_answered_exactly_in_every_format_and_explained() {
    let served = Served::new();
    let (status, answer) =
        served.sql("select 9223372036854775807 as big, cast('1.10' as decimal(9,2)) as exact, 1 as small");
    assert_eq!((status, &answer["rows"]), (200, &json!([["9223372036854775807", "1.10", 1]])), "{answer}");
    let body = "{\"sql\": \"select country from main.daily_visits order by 1 limit 1\", \"id\": \"q-1\"}";
    let (status, csv) = served.send("POST", "/api/sql?format=csv", "Content-Type: application/json\r\n", body);
    assert_eq!((status, csv.as_slice()), (200, b"country\nBR\n".as_slice()));
    let (_, parquet) = served.send("POST", "/api/sql?format=parquet", "", "select * from main.daily_visits");
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    let (_, arrow) = served.send("POST", "/api/sql?format=arrow", "", "select 1");
    assert!(arrow.starts_with(&[0xff; 4]));
    let (status, plan) = served.send("POST", "/api/sql/explain", "", "select count(*) from main.daily_visits");
    let plan: Value = serde_json::from_slice(&plan).unwrap();
    assert_eq!(status, 200);
    assert!(
        plan["logical"].as_str().unwrap().contains("Aggregate") && plan["physical"].as_str().unwrap().contains("Exec"),
        "{plan}"
    );
}

/// Everything below a folder, with sizes.
fn files(folder: &std::path::Path) -> Vec<(String, u64)> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.metadata().unwrap() {
                metadata if metadata.is_dir() => waiting.push(entry.path()),
                metadata => found.push((entry.path().display().to_string(), metadata.len())),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn hostile_statements_end_in_an_error_and_touch_nothing_else() {
    let served = Served::new();
    // What is ingested beside this is the process's own business.
    let lake = served.sandbox.path().join("site/.headwater/lake/tables/main");
    let before = files(&lake);
    let outside = served.sandbox.path().join("stolen.csv");
    let cases = [
        format!("select {}1", "1+".repeat(2_000)),
        format!("select 1 where {}1=0", "1=0 or ".repeat(5_000)),
        vec!["select 1"; 5_000].join(" union all "),
        format!("select {}1{}", "(".repeat(500), ")".repeat(500)),
        "select length(repeat('x', 2000000000))".into(),
        "select count(*) from (select unnest(range(0, 2000000000)))".into(),
        "select * from generate_series(1, 1000000000)".into(),
        format!("copy (select 1) to '{}'", outside.display()),
        "create external table t (a varchar) stored as csv location '/etc/passwd'".into(),
        "select * from '/etc/passwd'".into(),
        format!("create table {} as select 1", "main.stolen"),
        "insert into main.daily_visits select * from main.daily_visits".into(),
        "drop table main.daily_visits".into(),
        "delete from main.daily_visits".into(),
        "explain analyze insert into main.daily_visits select * from main.daily_visits".into(),
        "set datafusion.execution.batch_size = 1".into(),
        "select 1; drop table main.daily_visits".into(),
        "select rpad('x', 2000000000, 'y')".into(),
    ];
    for sql in cases {
        let (status, answer) = served.sql(&sql);
        let shown: String = sql.chars().take(80).collect();
        assert!((400..500).contains(&status), "{shown}: {status} {answer}");
        assert!(answer["error"]["message"].is_string(), "{shown}: {answer}");
    }
    assert!(!outside.exists());
    assert_eq!(files(&lake), before);
    let (status, health) = served.send("GET", "/health", "", "");
    assert_eq!((status, health.as_slice()), (200, b"{\"status\":\"ok\"}".as_slice()));
    assert_eq!(served.sql("select count(*) > 0 as there from main.daily_visits").1["rows"], json!([[true]]));
}

/// Rows without end from a table of one: each level multiplies by itself.
const ENDLESS: &str = "with a as (select * from (values (1),(2),(3),(4),(5),(6),(7),(8),(9),(10)) as v(x)), \
    b as (select l.x from a l cross join a r cross join a s), c as (select l.x from b l cross join b r), \
    d as (select l.x from c l cross join c r) select sum(l.x * r.x % 7) from d l cross join d r";

#[test]
fn a_running_statement_is_ended_from_beside() {
    let served = Served::new();
    let body = json!({"sql": ENDLESS, "id": "endless"}).to_string();
    let answer = std::thread::scope(|scope| {
        let asked = scope.spawn(|| served.send("POST", "/api/sql", "Content-Type: application/json\r\n", &body));
        let deadline = Instant::now() + Duration::from_secs(30);
        while served.send("DELETE", "/api/sql/endless", "", "").1 != b"{\"cancelled\":true}" {
            assert!(Instant::now() < deadline && !asked.is_finished(), "it never ran");
            std::thread::yield_now();
        }
        asked.join().unwrap()
    });
    let error: Value = serde_json::from_slice(&answer.1).unwrap();
    assert_eq!(error["error"]["message"], "the statement was cancelled", "{error}");
    let (_, again) = served.send("DELETE", "/api/sql/endless", "", "");
    assert_eq!(again, b"{\"cancelled\":false}");
}

#[test]
fn somebody_who_was_added_logs_in_and_a_wrong_password_does_not() {
    let served = Served::new();
    let (_, session) = served.send("GET", "/api/session", "", "");
    assert_eq!(serde_json::from_slice::<Value>(&session).unwrap()["login_required"], false);
    served.sandbox.run_with_input(&["-C", "site", "users", "add", "ada", "--role", "viewer"], "short\n").expect_code(2);
    let added = ["-C", "site", "users", "add", "ada", "--role", "viewer"];
    served.sandbox.run_with_input(&added, "correct horse battery\n").expect_code(0);
    assert_eq!(served.send("GET", "/api/home", "", "").0, 401);
    let login = |password: &str| json!({"name": "ada", "password": password}).to_string();
    assert_eq!(served.send("POST", "/api/login", "", &login("wrong")).0, 401);
    assert_eq!(served.send("POST", "/api/login", "", &login("correct horse battery")).0, 200);
    let token = served.sandbox.run(&["-C", "site", "users", "token", "ci", "--role", "editor"]).expect_code(0).stdout();
    let bearer = format!("Authorization: Bearer {}\r\n", token.trim());
    assert_eq!(served.send("GET", "/api/home", &bearer, "").0, 200);
    let listed = served.sandbox.run(&["-C", "site", "--json", "users"]).expect_code(0).json();
    assert_eq!(
        listed,
        json!([{"name": "ada", "kind": "user", "role": "viewer"}, {"name": "ci", "kind": "token", "role": "editor"}])
    );
    served.sandbox.run(&["-C", "site", "users", "remove", "ci"]).expect_code(0);
    assert_eq!(served.send("GET", "/api/home", &bearer, "").0, 401);
}

#[test]
fn nobody_listens_to_the_world_while_nobody_can_log_in() {
    let sandbox = Sandbox::new();
    sandbox.run(&["init", "site"]).expect_code(0);
    let refused =
        sandbox.run(&["-C", "site", "up", "--port", "0", "--listen", "0.0.0.0", "--for", "30s"]).expect_code(2);
    assert!(refused.stderr().contains("headwater users add"), "{}", refused.stderr());
}
