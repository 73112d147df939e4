use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::*;
use crate::span::Files;
use crate::tree;

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
struct Pipeline {
    /// What it is called.
    name: String,
    #[serde(default)]
    size: Option<ByteSize>,
    every: Option<DurationText>,
    #[serde(default)]
    mode: Mode,
    target: Option<Target>,
    #[serde(default)]
    labels: BTreeMap<String, i64>,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Mode {
    /// Add only.
    #[default]
    Append,
    /// Replace all.
    Replace,
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Target {
    Folder { path: String },
    Bucket { bucket: String, region: Option<String> },
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
struct Step {
    run: String,
    #[serde(default)]
    retries: u8,
}

fn read(text: &str) -> (Option<Pipeline>, String) {
    let mut files = Files::default();
    let id = files.add("pipeline.yml", text);
    let (mut tree, mut diagnostics) = tree::parse(id, text);
    let variables = |name: &str| (name == "REGION").then(|| String::from("eu"));
    interpolate(&mut tree, &variables, &mut diagnostics);
    let value = decode::<Pipeline>(&tree, &mut diagnostics);
    let rendered = diagnostics.found.iter().map(|one| one.render(&files)).collect::<Vec<_>>().join("");
    (value, rendered)
}

fn check_errors(text: &str, expected: &str) {
    let (value, rendered) = read(text);
    assert_eq!(value, None);
    assert_eq!(rendered.trim(), expected.trim());
}

#[test]
fn a_full_file_is_decoded() {
    let (value, rendered) = read(
        "name: a\nsize: 2 MiB\nevery: 10s\nmode: replace\ntarget: {kind: bucket, bucket: b, region: '${REGION}'}\nlabels: {x: 1}\nsteps: [{run: go}]\n",
    );
    assert_eq!(rendered, "");
    let value = value.unwrap();
    assert_eq!(value.size, Some(ByteSize(2 << 20)));
    assert_eq!(value.target, Some(Target::Bucket { bucket: "b".into(), region: Some("eu".into()) }));
    assert_eq!(value.mode, Mode::Replace);
}

#[test]
fn several_errors_are_reported_at_once_each_at_its_place() {
    check_errors(
        "nam: a\nsteps:\n  - run: 5\n    retrys: 1\n",
        "error: unknown key `nam`\n  --> pipeline.yml:1:1\n  hint: Did you mean `name`?\n\
         error: `steps[0].run` must be text, not a whole number\n  --> pipeline.yml:3:10\n\
         error: unknown key `retrys`\n  --> pipeline.yml:4:5\n  hint: Did you mean `retries`?\n\
         error: `name` is missing\n  --> pipeline.yml:1:1\n  hint: name: What it is called.",
    );
}

#[test]
fn a_wrong_choice_is_told_with_the_choices() {
    check_errors(
        "name: a\nmode: apend\n",
        "error: `mode` cannot be `apend`\n  --> pipeline.yml:2:7\n  Known values: append, replace.\n  hint: Did you mean `append`?",
    );
}

#[test]
fn a_tagged_choice_is_checked_against_the_alternative_that_was_named() {
    check_errors(
        "name: a\ntarget: {kind: bucket, bukket: b}\n",
        "error: unknown key `bukket`\n  --> pipeline.yml:2:24\n  hint: Did you mean `bucket`?\n\
         error: `bucket` is missing in `target`\n  --> pipeline.yml:2:9",
    );
    check_errors(
        "name: a\ntarget: {kind: buckett}\n",
        "error: `target.kind` cannot be `buckett`\n  --> pipeline.yml:2:16\n  Known values: folder, bucket.\n  hint: Did you mean `bucket`?",
    );
}

#[test]
fn what_only_the_type_knows_is_reported_too() {
    let (value, rendered) = read("name: a\nevery: 10 fortnights\n");
    assert_eq!(value, None);
    assert!(rendered.contains("is not a length of time such as"), "{rendered}");
}

#[test]
fn unset_variables_are_errors_unless_they_have_a_default() {
    let (value, rendered) = read("name: ${NOPE:-fallback}\n");
    assert_eq!((value.unwrap().name.as_str(), rendered.as_str()), ("fallback", ""));
    let (_, rendered) = read("name: ${NOPE}\n");
    assert!(rendered.starts_with("error: the environment variable `NOPE` is not set"), "{rendered}");
    let (value, _) = read("name: 'costs $${5}'\n");
    assert_eq!(value.unwrap().name, "costs ${5}");
}

#[test]
fn a_substituted_value_never_changes_the_structure() {
    let mut files = Files::default();
    let id = files.add("p.yml", "name: ${X}\n");
    let (mut tree, mut diagnostics) = tree::parse(id, "name: ${X}\n");
    interpolate(&mut tree, &|_| Some(String::from("a\nmode: replace")), &mut diagnostics);
    let value = decode::<Pipeline>(&tree, &mut diagnostics).unwrap();
    assert_eq!((value.name.as_str(), value.mode), ("a\nmode: replace", Mode::Append));
}
