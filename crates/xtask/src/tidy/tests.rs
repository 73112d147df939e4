use serde_json::{Value, json};

use super::{File, dependencies, source, words};

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), text: text.to_owned() }
}

fn check(findings: &[super::Finding], expected: &[&str]) {
    let shown: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(shown.len(), expected.len(), "{shown:#?}");
    for (shown, expected) in shown.iter().zip(expected) {
        assert!(shown.contains(expected), "`{expected}` is not in `{shown}`");
    }
}

fn source_check(path: &str, text: &str, expected: &[&str]) {
    check(&source::check(&[file(path, text)]), expected);
}

#[test]
fn sizes_are_counted_before_the_tests() {
    let lines = |count: usize| "const A: u8 = 1;\n".repeat(count);
    source_check("crates/a/src/b.rs", &lines(400), &[]);
    source_check("crates/a/src/b.rs", &lines(401), &["warning: 401 lines"]);
    source_check("crates/a/src/b.rs", &lines(901), &["b.rs:1: 901 lines"]);
    source_check("crates/a/src/tests/b.rs", &lines(901), &[]);
    source_check("crates/a/src/b.rs", &format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", lines(10), lines(900)), &[]);
}

#[test]
fn long_functions_are_found() {
    let body = "        let a = 1;\n".repeat(119);
    let text = format!(
        "impl A {{\n    pub fn short(&self) -> u8 {{ 1 }}\n    pub(crate) async fn long(\n        a: u8,\n    ) {{\n{body}    }}\n}}\n"
    );
    source_check("crates/a/src/b.rs", &text, &["b.rs:3: function of 123 lines", "1 of 2 functions"]);
    let short = "trait A {\n    fn a();\n    fn b(\n        x: u8,\n    );\n}\nfn main() {\n    f();\n}\n";
    let lengths: Vec<usize> = source::functions_of(short).iter().map(|function| function.lines).collect();
    assert_eq!(lengths, [1, 3, 3]);
}

#[test]
fn names_and_crate_documentation_are_checked() {
    source_check("crates/a/src/x/mod.rs", "", &["module root `mod.rs`"]);
    source_check("crates/a/src/utils.rs", "", &["module `utils`"]);
    source_check("crates/a/src/helpers/x.rs", "", &["module `helpers`"]);
    source_check("crates/a/src/lib.rs", "pub mod x;\n", &["crate without documentation"]);
    source_check("crates/a/src/lib.rs", "//! For x.\n", &[]);
}

fn words_check(path: &str, text: &str, expected: &[&str]) {
    check(&words::check(&[file(path, text)]), expected);
}

#[test]
fn banned_words_are_found_where_they_apply() {
    words_check("crates/a/src/b.rs", "fn a() {\n    todo!()\n}\n", &["b.rs:2: `todo!`"]);
    words_check("crates/a/src/tests.rs", "#[ignore]\n", &["`#[ignore`"]);
    words_check("crates/a/src/tests.rs", "env!(\"CARGO_MANIFEST_DIR\")\n", &["`env!("]);
    words_check(
        "crates/a/src/b.rs",
        "use schemars::JsonSchema;\n#[serde(flatten)]\n#[serde(untagged)]\n",
        &["flatten", "untagged"],
    );
    words_check("crates/a/src/b.rs", "#[derive(Serialize)]\n#[serde(flatten)]\n", &[]);
    words_check("README.md", "see /work/x\nor ../shared/y\ntodo!\n", &["README.md:1:", "README.md:2:"]);
    words_check("crates/a/tests/it/main.rs", "let path = \"../shared/data\";\n", &[]);
}

#[test]
fn messages_are_lower_case_fragments() {
    let error = |message: &str| format!("#[derive(Debug)]\nenum E {{\n    #[error(\"{message}\")]\n    A,\n}}\n");
    words_check("crates/a/src/b.rs", &error("cannot open {path}"), &[]);
    words_check("crates/a/src/b.rs", &error("SQLite is too old"), &[]);
    words_check("crates/a/src/b.rs", &error("`{0}` is not \\\"x\\\""), &[]);
    words_check("crates/a/src/b.rs", &error("Cannot open {path}"), &["b.rs:3: message `Cannot open {path}` begins"]);
    words_check("crates/a/src/b.rs", &error("cannot open."), &["ends in a full stop"]);
}

#[test]
fn versions_and_features_belong_to_the_workspace() {
    let manifest = "[package]\nversion = \"1\"\n\n[dependencies]\na.workspace = true\nb = \"1\" # why\n\n\
                    [dev-dependencies]\nc = { workspace = true, features = [\"x\"] }\n";
    let findings = dependencies::check_manifests(&[file("crates/a/Cargo.toml", manifest)]);
    check(&findings, &["Cargo.toml:6: dependency `b = \"1\"`", "Cargo.toml:9:"]);
}

/// Metadata of packages with what they need; `dev:` marks a development dependency.
fn metadata(packages: &[(&str, &[&str])], test_binaries: usize) -> Value {
    let target = json!({"kind": ["lib"], "test": true});
    let targets = |name: &str| if name == "headwater-lake" { vec![target.clone(); test_binaries] } else { Vec::new() };
    let package = |name: &str| json!({"id": name, "name": name, "targets": targets(name)});
    let dependency = |name: &str| match name.strip_prefix("dev:") {
        Some(name) => json!({"pkg": name, "dep_kinds": [{"kind": "dev"}]}),
        None => json!({"pkg": name, "dep_kinds": [{"kind": null}]}),
    };
    let node = |(name, needs): &(&str, &[&str])| json!({"id": name, "deps": needs.iter().map(|need| dependency(need)).collect::<Vec<_>>()});
    json!({
        "packages": packages.iter().map(|(name, _)| package(name)).collect::<Vec<_>>(),
        "resolve": {"nodes": packages.iter().map(node).collect::<Vec<_>>()},
    })
}

fn graph_check(packages: &[(&str, &[&str])], expected: &[&str]) {
    check(&dependencies::check_graph(&metadata(packages, 6)).unwrap(), expected);
}

#[test]
fn forbidden_arrows_are_found_however_far() {
    let lake: (&str, &[&str]) = ("headwater-lake", &["headwater-project", "deltalake-core"]);
    let base: &[(&str, &[&str])] = &[("headwater-project", &[]), ("deltalake-core", &[]), ("axum", &[])];
    let with = |more: &[(&'static str, &'static [&'static str])]| [base, &[lake], more].concat();
    graph_check(&with(&[("headwater-transform", &["headwater-project", "dev:deltalake-core"])]), &[]);
    let direct = with(&[("headwater-transform", &["headwater-lake"])]);
    let way = "headwater-transform -> headwater-lake -> deltalake-core";
    graph_check(&direct, &["`transform` must not depend on `lake`", way]);
    let hidden = with(&[("headwater-dash", &["middle"]), ("middle", &["deltalake-core"])]);
    graph_check(&hidden, &["headwater-dash -> middle -> deltalake-core"]);
    graph_check(&with(&[("headwater-app", &["axum"])]), &["only `server` knows `axum`"]);
    graph_check(&with(&[("headwater-new", &[])]), &["crate `new` is unknown"]);
}

#[test]
fn heavy_test_binaries_are_counted() {
    let packages: &[(&str, &[&str])] = &[("headwater-lake", &[])];
    let findings = dependencies::check_graph(&metadata(packages, 7)).unwrap();
    check(&findings, &["7 test binaries link the engine"]);
}
