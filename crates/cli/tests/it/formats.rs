//! `headwater query` in every format.

use crate::invocation::Sandbox;

const ROWS: &str =
    "select * from (values (1, 'a,\"b\"', 9007199254740993), (2, null, 0)) as t (id, name, big) order by id";

fn project() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("headwater.yml", "name: formats\n");
    sandbox
}

#[track_caller]
fn check(arguments: &[&str], expected: &str) {
    let answer = project().run(&[&["query"][..], arguments].concat()).expect_code(0);
    assert_eq!(answer.stdout(), expected);
    assert!(answer.stderr().starts_with("(2 rows in "), "{}", answer.stderr());
}

#[test]
fn text_formats_say_the_same() {
    check(&[ROWS, "--format", "csv"], "id,name,big\n1,\"a,\"\"b\"\"\",9007199254740993\n2,,0\n");
    check(
        &[ROWS, "--format", "ndjson"],
        "{\"id\":1,\"name\":\"a,\\\"b\\\"\",\"big\":\"9007199254740993\"}\n{\"id\":2,\"name\":null,\"big\":0}\n",
    );
    check(
        &[ROWS],
        "id  name                big\n──  ─────  ────────────────\n 1  a,\"b\"  9007199254740993\n 2  NULL                  0\n",
    );
    let records = project().run(&["query", ROWS, "--json"]).expect_code(0).json();
    assert_eq!(records.as_array().unwrap().len(), 2);
}

#[test]
fn binary_formats_begin_with_their_marks() {
    let sandbox = project();
    let parquet = sandbox.run(&["query", ROWS, "--format", "parquet"]).expect_code(0).output.stdout;
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    let arrow = sandbox.run(&["query", ROWS, "--format", "arrow"]).expect_code(0).output.stdout;
    assert!(arrow.starts_with(&[0xff; 4]) && arrow.ends_with(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]));
}

#[test]
fn a_file_appears_whole_or_not_at_all() {
    let sandbox = project();
    let answer = sandbox.run(&["query", ROWS, "--format", "csv", "-o", "rows.csv"]).expect_code(0);
    assert!(answer.stdout().is_empty());
    assert!(sandbox.read("rows.csv").starts_with(b"id,name,big\n"));
    sandbox.run(&["query", "select 1 / (id - 2) from (values (1), (2)) as t (id)", "-o", "bad.csv"]).expect_code(2);
    assert!(!sandbox.path().join("bad.csv").exists() && !sandbox.path().join("bad.csv.partial").exists());
}

#[test]
fn a_statement_comes_from_an_argument_a_file_or_stdin() {
    let sandbox = project();
    sandbox.write("one.sql", "select 1 as one");
    for (arguments, input) in [(&["query", "-f", "one.sql"][..], ""), (&["query"], "select 1 as one")] {
        let answer = sandbox.run_with_input(arguments, input).expect_code(0);
        assert_eq!(answer.stdout(), "one\n───\n  1\n");
    }
    let empty = sandbox.run(&["query"]).expect_code(2);
    assert!(empty.stderr().contains("the statement is empty"), "{}", empty.stderr());
}

#[test]
fn data_cannot_steer_the_terminal() {
    let answer = project().run(&["query", "select chr(27) || '[2J' as text"]).expect_code(0);
    assert!(!answer.stdout().contains('\u{1b}'), "{:?}", answer.stdout());
}

#[test]
fn a_wrong_statement_fails_with_its_cause() {
    let sandbox = project();
    for statement in ["selekt 1", "select * from nowhere", "select nothing"] {
        let answer = sandbox.run(&["query", statement]).expect_code(2);
        assert!(answer.stdout().is_empty(), "{statement}");
        assert!(answer.stderr().starts_with("error: "), "{statement}: {}", answer.stderr());
    }
}
