//! What every command line tool owes: help, exit codes, completions, streams kept apart.

use std::io::Read;
use std::process::Stdio;

use crate::invocation::Sandbox;

const COMMANDS: [&str; 27] = [
    "init",
    "check",
    "schema",
    "generate",
    "ingest",
    "topics",
    "build",
    "run",
    "test",
    "seed",
    "columns",
    "compile",
    "ls",
    "show",
    "query",
    "dashboards",
    "runs",
    "tables",
    "up",
    "demo",
    "export",
    "import",
    "users",
    "doctor",
    "maintain",
    "completions",
    "query-worker",
];

#[test]
fn help_lists_every_command_but_the_hidden_one() {
    insta::assert_snapshot!(Sandbox::new().run(&["--help"]).expect_code(0).transcript());
}

#[test]
fn every_command_explains_itself() {
    let sandbox = Sandbox::new();
    let mut help = String::new();
    for command in COMMANDS {
        let answer = sandbox.run(&[command, "--help"]).expect_code(0);
        assert!(answer.stderr().is_empty(), "help of {command} is data");
        let text = answer.stdout();
        let own = text.split("Global options:").next().unwrap();
        help.push_str(&format!("=== {command}\n{}\n\n", own.trim_end()));
    }
    insta::assert_snapshot!(help);
}

#[test]
fn a_mistyped_command_gets_a_suggestion_and_code_2() {
    let answer = Sandbox::new().run(&["biuld"]).expect_code(2);
    assert!(answer.stdout().is_empty());
    assert!(answer.stderr().contains("'build'"), "{}", answer.stderr());
}

#[track_caller]
fn refused(arguments: &[&str], because: &str) {
    let answer = Sandbox::new().run(arguments).expect_code(2);
    assert!(answer.stderr().contains(because), "{}", answer.stderr());
    assert!(answer.stdout().is_empty());
}

#[test]
fn values_are_checked_before_anything_is_opened() {
    refused(&["build", "--memory", "4 parsecs"], "is not a unit of size");
    refused(&["up", "--for", "soon"], "whole number");
    refused(&["up", "--speed", "-1"], "error");
    refused(&["generate", "--max-events", "10q"], "is not a unit of number");
    refused(&["build", "--quiet", "--verbose"], "cannot be used with");
    refused(&["query", "--format", "xml", "select 1"], "possible values");
}

#[test]
fn without_a_project_every_command_says_how_to_get_one() {
    let sandbox = Sandbox::new();
    for arguments in [&["check"][..], &["build"], &["ls"], &["tables"], &["query", "select 1"], &["up"], &["doctor"]] {
        let answer = sandbox.run(arguments).expect_code(2);
        assert!(answer.stdout().is_empty(), "{arguments:?}");
        assert!(answer.stderr().contains("there is no project in"), "{arguments:?}: {}", answer.stderr());
        assert!(answer.stderr().contains("hint: "), "{arguments:?}: {}", answer.stderr());
    }
    insta::assert_snapshot!(sandbox.run(&["check"]).transcript());
}

#[test]
fn completions_exist_for_every_shell_and_need_no_project() {
    let sandbox = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = sandbox.run(&["completions", shell]).expect_code(0).stdout();
        assert!(script.contains("headwater") && script.contains("dashboards"), "{shell}");
    }
}

#[test]
fn schemas_of_all_kinds_are_json_schemas() {
    let sandbox = Sandbox::new();
    let kinds = sandbox.run(&["schema"]).expect_code(0).stdout();
    assert!(kinds.lines().any(|kind| kind == "source"), "{kinds}");
    for kind in kinds.lines() {
        let schema = sandbox.run(&["schema", kind]).expect_code(0).json();
        assert!(schema.get("$schema").is_some(), "{kind}");
    }
    let unknown = sandbox.run(&["schema", "sauce"]).expect_code(2);
    assert!(unknown.stderr().contains("The kinds are"), "{}", unknown.stderr());
}

#[test]
fn an_unknown_reference_project_is_refused_with_the_known_ones() {
    let answer = Sandbox::new().run(&["demo", "musik"]).expect_code(2);
    assert!(answer.stderr().contains("`music`"), "{}", answer.stderr());
}

#[test]
fn a_reader_that_stops_early_is_no_error() {
    let sandbox = Sandbox::new();
    let mut child = sandbox
        .command(&["completions", "bash"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((child.wait().unwrap().code(), said.as_str()), (Some(0), ""));
}
