//! Sizes, names and documentation of Rust files.

use super::{File, Finding};

const FILE_SOFT: usize = 400;
const FILE_HARD: usize = 900;
const FUNCTION_SOFT: usize = 70;
const FUNCTION_HARD: usize = 120;
/// Most functions over the soft limit, in per cent.
const LONG_FUNCTIONS_PERCENT: usize = 3;

/// Files that are tables or one long list of independent cases, with the reason.
const TABLE_LIKE: &[(&str, &str)] = &[];

const FORBIDDEN_MODULES: &[&str] = &["utils", "util", "common", "helpers", "helper", "manager", "types", "misc"];

pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let (mut functions, mut long) = (0, 0);
    for file in files.iter().filter(|file| file.path.ends_with(".rs")) {
        check_name(file, &mut findings);
        check_crate_docs(file, &mut findings);
        if is_test(&file.path) {
            continue;
        }
        check_size(file, &mut findings);
        for function in functions_of(&file.text) {
            functions += 1;
            long += usize::from(function.lines > FUNCTION_SOFT);
            if function.lines > FUNCTION_HARD {
                let what = format!("function of {} lines, at most {FUNCTION_HARD} allowed", function.lines);
                findings.push(Finding::new(&file.path, function.line, what, "split off its pure parts"));
            }
        }
    }
    if long * 100 > functions * LONG_FUNCTIONS_PERCENT {
        let what = format!("{long} of {functions} functions are longer than {FUNCTION_SOFT} lines");
        findings.push(Finding::new("crates", 1, what, "shorten some: at most 3 % may be"));
    }
    findings
}

pub(super) fn is_test(path: &str) -> bool {
    path.split('/').any(|part| matches!(part, "tests" | "tests.rs" | "benches"))
}

fn check_name(file: &File, findings: &mut Vec<Finding>) {
    let mut parts = file.path.rsplit('/');
    let name = parts.next().unwrap_or_default();
    if name == "mod.rs" {
        let remedy = "rename it after its folder and put it beside";
        findings.push(Finding::new(&file.path, 1, "module root `mod.rs`", remedy));
    }
    let modules = std::iter::once(name.trim_end_matches(".rs")).chain(parts);
    for module in modules.filter(|module| FORBIDDEN_MODULES.contains(module)) {
        let what = format!("module `{module}` says nothing about what is in it");
        findings.push(Finding::new(&file.path, 1, what, "name it after its one purpose"));
    }
}

fn check_crate_docs(file: &File, findings: &mut Vec<Finding>) {
    let is_root = file.path.ends_with("src/lib.rs") || file.path.ends_with("src/main.rs");
    if is_root && !file.text.starts_with("//! ") {
        let remedy = "say in `//!` what it is for and what it must not know";
        findings.push(Finding::new(&file.path, 1, "crate without documentation", remedy));
    }
}

fn check_size(file: &File, findings: &mut Vec<Finding>) {
    if TABLE_LIKE.iter().any(|(path, _)| *path == file.path) {
        return;
    }
    let lines = before_tests(&file.text).lines().count();
    let what = |limit: usize| format!("{lines} lines before the tests, the limit is {limit}");
    if lines > FILE_HARD {
        findings.push(Finding::new(&file.path, 1, what(FILE_HARD), "split it by purpose"));
    } else if lines > FILE_SOFT {
        let finding = Finding::new(&file.path, 1, what(FILE_SOFT), "consider splitting it by purpose");
        findings.push(Finding { warning: true, ..finding });
    }
}

/// The text up to an inline test module, which by custom stands last.
pub(super) fn before_tests(text: &str) -> &str {
    text.find("#[cfg(test)]\nmod tests {").and_then(|at| text.get(..at)).unwrap_or(text)
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Function {
    pub line: usize,
    pub lines: usize,
}

/// Functions by layout: rustfmt puts the closing brace at the indentation of the line that begins with `fn`.
pub(super) fn functions_of(text: &str) -> Vec<Function> {
    let lines: Vec<&str> = before_tests(text).lines().collect();
    let mut functions = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if !begins_function(line.trim_start()) {
            continue;
        }
        let indentation = line.len() - line.trim_start().len();
        let rest = lines.get(index..).unwrap_or_default();
        let end = rest.iter().position(|line| ends_function(line, indentation)).unwrap_or(0);
        functions.push(Function { line: index + 1, lines: end + 1 });
    }
    functions
}

fn begins_function(line: &str) -> bool {
    let words = line.split_whitespace().take_while(|word| !word.contains("fn("));
    let mut before = words.take_while(|word| *word != "fn");
    let qualifies =
        |word: &str| word.starts_with("pub") || matches!(word, "const" | "async" | "crate)" | "super)" | "extern");
    before.all(qualifies) && line.split_whitespace().any(|word| word == "fn")
}

/// A closing brace at the same depth, a one-line body, or a declaration without one.
fn ends_function(line: &str, indentation: usize) -> bool {
    let trimmed = line.trim_start();
    if line.len() - trimmed.len() != indentation {
        return false;
    }
    trimmed == "}"
        || (begins_function(trimmed) && (trimmed.ends_with('}') || trimmed.ends_with(';')))
        || trimmed.starts_with(')') && trimmed.ends_with(';')
}
