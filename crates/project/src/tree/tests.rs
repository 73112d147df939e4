use serde_json::json;

use super::*;

fn read(text: &str) -> (Tree, Diagnostics) {
    parse(FileId(0), text)
}

fn check(text: &str, expected: serde_json::Value) {
    let (tree, diagnostics) = read(text);
    assert_eq!(diagnostics.found, vec![], "{text}");
    assert_eq!(tree.to_json(), expected, "{text}");
}

fn check_message(text: &str, message: &str) {
    let (_, diagnostics) = read(text);
    let found: Vec<_> = diagnostics.found.iter().map(|one| one.message.as_str()).collect();
    assert_eq!(found, vec![message], "{text}");
}

#[test]
fn scalars_are_read_by_the_core_schema() {
    check(
        "a: 1\nb: 1.5\nc: yes\nd: true\ne: ~\nf: '1'\ng: 0x10\nh: 2018-01-01\ni: 1e3\nj: -7\nk: 1.2.3\n",
        json!({"a":1,"b":1.5,"c":"yes","d":true,"e":null,"f":"1","g":16,"h":"2018-01-01","i":1000.0,"j":-7,"k":"1.2.3"}),
    );
}

#[test]
fn an_empty_file_is_an_empty_mapping() {
    check("", json!({}));
    check("# only a comment\n", json!({}));
}

#[test]
fn anchors_and_merge_keys_are_expanded() {
    check("base: &b {x: 1, y: 2}\nother: {<<: *b, y: 3}\n", json!({"base":{"x":1,"y":2},"other":{"y":3,"x":1}}));
}

#[test]
fn spans_count_bytes_also_after_letters_outside_ascii() {
    let text = "name: José\nsize: 5\n";
    let (tree, _) = read(text);
    let span = tree.get("size").unwrap().span;
    assert_eq!(&text[span.start as usize..span.end as usize], "5");
}

#[test]
fn windows_line_ends_and_a_byte_order_mark_are_accepted() {
    check("\u{feff}a: 1\r\nb: 2\r\n", json!({"a":1,"b":2}));
}

#[test]
fn broken_files_are_diagnosed() {
    check_message("a: [1, 2\n", "the file is not valid YAML");
    check_message("a: 1\na: 2\n", "key `a` appears twice");
    check_message("a: 1\n---\nb: 2\n", "a second YAML document starts here");
}

#[test]
fn an_alias_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..10 {
        let refs = vec![format!("*a{}", level - 1); 10].join(",");
        text.push_str(&format!("a{level}: &a{level} [{refs}]\n"));
    }
    check_message(&text, "the file holds more than 1000000 values once aliases are expanded");
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!("a: {}{}", "[".repeat(100), "]".repeat(100));
    check_message(&text, "values are nested more than 64 deep");
}

#[test]
fn files_of_dbt_have_more_words_for_true_and_false_and_their_later_keys_hold() {
    let text = "a: yes\nb: Off\nc: 'no'\nd: y\na: 2\n";
    let (tree, found) = parse_for_dbt(FileId(0), text);
    assert_eq!(tree.to_json(), serde_json::json!({"a": 2, "b": false, "c": "no", "d": "y"}));
    let told: Vec<_> = found.found.iter().map(|one| (one.severity, one.event)).collect();
    assert_eq!(told, [(crate::diagnostic::Severity::Warning, Some("DuplicateYAMLKeysDeprecation"))]);
}
