//! Forms that will be gone: told by the names dbt has for them, with their places.

use super::fixtures::load_text;

/// What is told about a project, as `event path:line:column`.
fn check(project: &str, expected: &[&str]) {
    let fixture = load_text(project);
    let told: Vec<String> = fixture
        .found
        .found
        .iter()
        .map(|one| {
            let place = one.span.map(|span| fixture.files.locate(span)).unwrap_or_default();
            format!("{} {place}", one.event.unwrap_or(one.message.as_str()))
        })
        .collect();
    assert_eq!(told, expected, "{project}");
}

#[test]
fn keys_beside_config_belong_into_it() {
    check(
        "=== models/m.sql\nselect 1 as id\n=== models/p.yml\nmodels:\n- name: m\n  meta: {a: 1}\n  materialized: table\n  columns:\n  - {name: id, tags: [x], config: {meta: {b: 1}}}\n",
        &[
            "PropertyMovedToConfigDeprecation models/p.yml:3:3",
            "PropertyMovedToConfigDeprecation models/p.yml:4:3",
            "PropertyMovedToConfigDeprecation models/p.yml:6:16",
        ],
    );
    check(
        "=== models/p.yml\nsources:\n- name: s\n  freshness: {warn_after: {count: 1, period: day}}\n  overrides: other\n  tables:\n  - {name: t, loaded_at_field: at}\n",
        &[
            "PropertyMovedToConfigDeprecation models/p.yml:3:3",
            "SourceOverrideDeprecation models/p.yml:4:3",
            "PropertyMovedToConfigDeprecation models/p.yml:6:15",
        ],
    );
}

#[test]
fn keys_of_ones_own_are_told() {
    check(
        "=== models/m.sql\n{{ config(materialised_by='me', partition_by='id', dist='even') }} select 1 as id\n=== models/p.yml\nmine: 1\nmodels:\n- name: m\n  my_owner: me\n  config: {my_level: 2}\n",
        &[
            "CustomTopLevelKeyDeprecation models/p.yml:1:1",
            "CustomKeyInObjectDeprecation models/p.yml:4:3",
            "CustomKeyInConfigDeprecation models/p.yml:5:12",
            "CustomKeyInConfigDeprecation models/m.sql:1:11",
        ],
    );
}

#[test]
fn tests_have_their_arguments_under_arguments() {
    let project = "=== models/m.sql\nselect 1 as id\n=== models/p.yml\nmodels:\n- name: m\n  columns:\n  - name: id\n    tests:\n    - accepted_values: {values: [1], quote: false, severity: warn}\n    - accepted_values: {arguments: {values: [2]}, config: {severity: warn}}\n";
    let place = "models/p.yml:6:25";
    let severity = "PropertyMovedToConfigDeprecation models/p.yml:6:52";
    check(project, &[&format!("MissingArgumentsPropertyInGenericTestDeprecation {place}"), severity]);
    let turned_off = "=== dbt_project.yml\nname: shop\nflags: {require_generic_test_arguments_property: false}\n";
    check(&format!("{turned_off}{project}"), &[severity]);
}

#[test]
fn keys_of_the_project_file_are_told() {
    check(
        "=== dbt_project.yml\nname: shop\ntarget-path: out\nlog-path: logs\nsource-paths: [models]\nclean-targets: [dbt_modules]\nmodels:\n  shop:\n    materialized: view\n    deep: {+tags: [x], enabled: true}\n",
        &[
            "ConfigTargetPathDeprecation dbt_project.yml:2:1",
            "ConfigSourcePathDeprecation dbt_project.yml:4:1",
            "PackageInstallPathDeprecation dbt_project.yml:5:1",
            "MissingPlusPrefixDeprecation dbt_project.yml:8:5",
            "MissingPlusPrefixDeprecation dbt_project.yml:9:24",
        ],
    );
}

#[test]
fn of_two_equal_keys_the_later_one_holds() {
    let project = "=== models/m.sql\nselect 1 as id\n=== models/p.yml\nmodels:\n- name: m\n  description: first\n  description: second\n";
    check(project, &["DuplicateYAMLKeysDeprecation models/p.yml:4:3"]);
    let fixture = load_text(project);
    let described = fixture.project.node(&fixture.id("m")).map(|node| node.description.clone());
    assert_eq!(described.as_deref(), Some("second"));
}

#[test]
fn exposures_have_plain_names() {
    check(
        "=== models/p.yml\nexposures:\n- {name: The board, type: dashboard, owner: {name: me}}\n",
        &["ExposureNameDeprecation models/p.yml:2:10"],
    );
}
