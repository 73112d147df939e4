use super::*;

fn check(source: &str, expected: &str) {
    assert_eq!(item::declarations(source).unwrap().concat(), expected);
}

fn check_refused(source: &str, reason: &str) {
    let error = format!("{:#}", item::declarations(source).unwrap_err());
    assert!(error.contains(reason), "{error}");
}

#[test]
fn fields_keep_their_json_names_and_comments() {
    check(
        "/// A thing.\n#[derive(Serialize)] pub struct Thing<'a> {\n/// Its kind.\npub r#type: &'a str, pub n: Option<Integer>, \
         #[serde(rename = \"where\")] pub conditions: Vec<Option<f64>>, pub by: BTreeMap<String, Vec<Value>> }",
        "/** A thing. */\nexport interface Thing {\n  /** Its kind. */\n  type: string;\n  n: Integer | null;\n  \
         where: (number | null)[];\n  by: Record<string, Json[]>;\n}\n",
    );
}

#[test]
fn what_a_request_may_leave_out_is_optional() {
    check(
        "#[derive(Deserialize)] #[serde(deny_unknown_fields)] pub struct A { pub a: String, pub b: Option<String> }",
        "export interface A {\n  a: string;\n  b?: string | null;\n}\n",
    );
    check(
        "#[derive(Deserialize)] #[serde(default)] pub struct A { pub a: bool }",
        "export interface A {\n  a?: boolean;\n}\n",
    );
}

#[test]
fn flattened_fields_are_inherited() {
    check(
        "#[derive(Serialize)] pub struct A { #[serde(flatten)] pub run: Run, pub a: u32 }",
        "export interface A extends Run {\n  a: number;\n}\n",
    );
}

#[test]
fn enums_are_unions() {
    check(
        "#[derive(Serialize)] #[serde(rename_all = \"snake_case\")] pub enum E { One, HeatMap }",
        "export type E =\n  | \"one\"\n  | \"heat_map\";\n",
    );
    check(
        "#[derive(Serialize)] #[serde(tag = \"event\", rename_all = \"snake_case\")] pub enum E { End, Run(Run), Table { at: String } }",
        "export type E =\n  | { event: \"end\" }\n  | ({ event: \"run\" } & Run)\n  | {\n    event: \"table\";\n    at: string;\n  };\n",
    );
}

#[test]
fn what_is_private_or_never_crosses_is_left_out() {
    check("#[derive(Serialize)] struct A { a: u64 } #[derive(Debug)] pub struct B { pub a: u64 }", "");
}

#[test]
fn what_loses_digits_or_is_not_known_is_refused() {
    check_refused("#[derive(Serialize)] pub struct A { pub a: u64 }", "loses digits");
    check_refused("#[derive(Serialize)] pub struct A { #[serde(skip)] pub a: u32 }", "`skip`");
    check_refused("#[derive(Serialize)] pub struct A(pub u32);", "named fields");
    check_refused("#[derive(Serialize)] pub enum A { B }", "snake_case");
}

#[test]
fn the_written_types_are_those_of_the_source() {
    let root = crate::root();
    let written = std::fs::read_to_string(root.join(TARGET)).unwrap();
    assert!(written == generate(&root).unwrap(), "run `cargo xtask types`: {TARGET} is stale");
}
