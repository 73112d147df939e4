//! Words that must not stand in tracked files, and the style of error messages.

use regex::Regex;

use super::source::{before_tests, is_test};
use super::{File, Finding};

/// The check itself and its fixtures spell the words out.
const EXEMPT: &str = "crates/xtask/src/tidy";

struct Banned {
    word: &'static str,
    why: &'static str,
    remedy: &'static str,
    rust_only: bool,
    tests_too: bool,
}

const BANNED: &[Banned] = &[
    Banned { word: "todo!", why: "unfinished code", remedy: "finish it", rust_only: true, tests_too: true },
    Banned {
        word: "#[ignore",
        why: "a test nobody runs",
        remedy: "mend it or delete it",
        rust_only: true,
        tests_too: true,
    },
    Banned {
        word: "serde(flatten)",
        why: "flattening loses the places of unknown keys",
        remedy: "nest the fields",
        rust_only: true,
        tests_too: false,
    },
    Banned {
        word: "serde(untagged)",
        why: "untagged choices give useless errors",
        remedy: "tag the choice by `kind`",
        rust_only: true,
        tests_too: false,
    },
    Banned {
        word: "env!(\"CARGO_MANIFEST_DIR\")",
        why: "the folder of the checkout that built it, which may share its build folder with others",
        remedy: "ask `std::env::var` when the test runs",
        rust_only: true,
        tests_too: true,
    },
    Banned {
        word: "/work/",
        why: "a path of one machine",
        remedy: "use a path relative to the repository",
        rust_only: false,
        tests_too: true,
    },
    Banned {
        word: "../shared",
        why: "a folder outside of the repository",
        remedy: "bring what is needed into the repository",
        rust_only: false,
        tests_too: false,
    },
];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| !file.path.starts_with(EXEMPT)) {
        check_banned(file, &mut findings);
        if file.path.ends_with(".rs") {
            check_messages(file, &mut findings);
        }
    }
    findings
}

fn check_banned(file: &File, findings: &mut Vec<Finding>) {
    let rust = file.path.ends_with(".rs");
    let tests_begin = if is_test(&file.path) { 0 } else { before_tests(&file.text).lines().count() };
    for (index, line) in file.text.lines().enumerate() {
        for banned in BANNED {
            // Only configuration, which has a schema, is read with places.
            let not_configuration = banned.word.starts_with("serde(") && !file.text.contains("JsonSchema");
            let applies =
                !not_configuration && (rust || !banned.rust_only) && (banned.tests_too || index < tests_begin);
            if applies && line.contains(banned.word) {
                let what = format!("`{}`: {}", banned.word, banned.why);
                findings.push(Finding::new(&file.path, index + 1, what, banned.remedy));
            }
        }
    }
}

/// Primary messages are fragments: they begin in lower case, unless with a name, and have no full stop.
fn check_messages(file: &File, findings: &mut Vec<Finding>) {
    let Ok(message) = Regex::new(r#"#\[error\(\s*"((?:[^"\\]|\\.)*)""#) else { return };
    let remedy = "write a lower-case fragment without a full stop";
    for found in message.captures_iter(before_tests(&file.text)) {
        let (Some(whole), Some(text)) = (found.get(0), found.get(1)) else { continue };
        let line = 1 + file.text.get(..whole.start()).unwrap_or_default().matches('\n').count();
        if begins_as_sentence(text.as_str()) {
            findings.push(Finding::new(
                &file.path,
                line,
                format!("message `{}` begins like a sentence", text.as_str()),
                remedy,
            ));
        }
        if text.as_str().ends_with('.') {
            findings.push(Finding::new(
                &file.path,
                line,
                format!("message `{}` ends in a full stop", text.as_str()),
                remedy,
            ));
        }
    }
}

/// `Cannot open` does; `SQLite is`, `S3 refused` and `JSON is` begin with a name.
fn begins_as_sentence(text: &str) -> bool {
    let first = text.split(|character: char| !character.is_alphanumeric()).next().unwrap_or_default();
    let mut characters = first.chars();
    let capital = characters.next().is_some_and(char::is_uppercase);
    const NAMES: &[&str] = &["Kafka", "Arrow", "Delta", "Parquet", "Jinja"];
    capital && !NAMES.contains(&first) && characters.all(|character| character.is_lowercase())
}
