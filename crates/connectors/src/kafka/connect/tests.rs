//! Configurations and what comes of them are in `tests/connect`: `<name>.json` and `<name>.yml`, which has the source, what
//! headwater.yml needs, and the notes. `HEADWATER_WRITE_EXPECTED=1` writes them anew.

use std::path::{Path, PathBuf};

use super::*;

/// Asked when the test runs: a build folder that several checkouts share may hold the test of another.
fn folder() -> PathBuf {
    Path::new(&std::env::var("CARGO_MANIFEST_DIR").unwrap()).join("tests/connect")
}

fn shown(imported: &Imported) -> String {
    let Imported { name, source, project, notes } = imported;
    let notes: String = notes.iter().map(|Note { key, advice }| format!("# {key}: {advice}\n")).collect();
    format!("# sources/{name}.yml\n{source}---\n# headwater.yml\n{project}---\n{notes}")
}

#[test]
fn configurations_become_sources() {
    let mut cases: Vec<_> = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    cases.sort();
    assert!(cases.len() >= 12);
    for case in cases {
        let json = std::fs::read_to_string(&case).unwrap();
        let found = shown(&import(&json, "bus").unwrap());
        let expected = case.with_extension("yml");
        if std::env::var_os("HEADWATER_WRITE_EXPECTED").is_some() {
            std::fs::write(&expected, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(&expected).unwrap(), "{}", case.display());
        assert!(!found.contains("s3cr3t"), "a secret of {} is shown", case.display());
    }
}

/// Sources that are written must be those that are read.
#[test]
fn paths_that_are_written_are_read() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for line in text.lines().filter_map(|line| line.trim().strip_prefix("path: ")) {
            let raw =
                super::super::raw::RawConfig { path: Some(line.trim_matches('"').to_owned()), ..Default::default() };
            assert!(raw.layout().is_ok(), "{line} of {}", path.display());
        }
    }
}

#[test]
fn what_is_no_configuration_is_told() {
    let cases = [
        ("[]", "the file is no configuration of a connector"),
        ("{\"name\": \"x\", \"config\": 1}", "the file is no configuration of a connector"),
        ("{\"name\": \"x\"}", "the file is no configuration of a connector"),
        (
            r#"{"connector.class": "io.debezium.connector.mysql.MySqlConnector"}"#,
            "connectors of class `io.debezium.connector.mysql.MySqlConnector` are not known",
        ),
    ];
    for (json, expected) in cases {
        assert_eq!(import(json, "bus").unwrap_err().message, expected);
    }
}

#[test]
fn formats_of_times_are_understood() {
    let cases = [
        ("'year'=YYYY/'month'=MM/'day'=dd/'hour'=HH", Some("year=%Y/month=%m/day=%d/hour=%H")),
        ("yyyy-MM-dd--HHmmss", Some("%Y-%m-%d--%H%M%S")),
        ("'it''s 100%'", Some("it's 100%%")),
        ("YYYY/ww", None),
        ("'open", None),
    ];
    for (java, expected) in cases {
        assert_eq!(time_format(java).as_deref(), expected, "{java}");
    }
}
