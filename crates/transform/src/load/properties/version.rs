//! Versions of a model: what each changes of what is said about all.

use headwater_project::tree::Tree;
use headwater_project::{Diagnostic, Diagnostics};

use super::{ColumnProperties, Described, config_of, read_columns, read_tests, text};
use crate::config::{as_list, plain_text};
use crate::definitions::JsonMap;

#[derive(Clone, Debug)]
pub(crate) struct VersionProperties {
    pub version: String,
    /// The file without its ending; `<name>_v<version>` when not given.
    pub defined_in: Option<String>,
    /// The model's properties with this version's changes.
    pub described: Described,
}

pub(super) fn read(tree: &Tree, base: &Described, found: &mut Diagnostics) -> Vec<VersionProperties> {
    let mut versions = Vec::new();
    for item in tree.get("versions").map(Tree::items).unwrap_or_default() {
        let Some(version) = item.get("v").map(|version| plain_text(&version.to_json())) else {
            found.push(Diagnostic::error("a version without `v`").at(item.span).hint("Write `- v: 1`."));
            continue;
        };
        let mut described = base.clone();
        described.versions.clear();
        described.span = item.span;
        let own: JsonMap = config_of(item);
        crate::config::merge(&mut described.config, &own);
        if let Some(serde_json::Value::Object(own)) = item.get("config").map(Tree::to_json) {
            let config = described.written.entry("config").or_insert_with(|| JsonMap::new().into());
            config.as_object_mut().into_iter().for_each(|config| config.extend(own.clone()));
        }
        if item.get("description").is_some() {
            described.description = text(item, "description");
        }
        if item.get("tests").or_else(|| item.get("data_tests")).is_some() {
            described.tests = read_tests(item, found);
        }
        if let Some(columns) = item.get("columns") {
            described.columns = chosen(&base.columns, columns, found);
        }
        let defined_in = item.get("defined_in").and_then(Tree::as_str).map(str::to_owned);
        versions.push(VersionProperties { version, defined_in, described });
    }
    versions
}

/// `include` and `exclude` choose among the model's columns; the others are added, or replace one of the same name.
fn chosen(base: &[ColumnProperties], tree: &Tree, found: &mut Diagnostics) -> Vec<ColumnProperties> {
    let rule = tree.items().iter().find(|item| item.get("include").is_some());
    let names = |key: &str| rule.and_then(|rule| rule.get(key)).map(|names| as_list(&names.to_json()));
    let include = names("include").unwrap_or_default();
    let exclude = names("exclude").unwrap_or_default();
    let all = rule.is_none() || include.iter().any(|name| name == "all" || name == "*");
    let kept = |column: &&ColumnProperties| {
        let name = &column.column.name;
        (all || include.contains(name)) && !exclude.contains(name)
    };
    let mut columns: Vec<ColumnProperties> = base.iter().filter(kept).cloned().collect();
    for own in read_columns(tree, found) {
        columns.retain(|column| column.column.name != own.column.name);
        columns.push(own);
    }
    for (position, column) in columns.iter_mut().enumerate() {
        column.column.position = position;
    }
    columns
}

/// The version `ref` means when it names none: the one said to be the latest, or the greatest.
pub(crate) fn latest<'a>(said: Option<&'a str>, versions: &'a [VersionProperties]) -> Option<&'a str> {
    said.or_else(|| {
        let number = |version: &VersionProperties| version.version.parse::<f64>().ok();
        if versions.iter().all(|version| number(version).is_some()) {
            let by_number = |one: &&VersionProperties, other: &&VersionProperties| {
                number(one).unwrap_or_default().total_cmp(&number(other).unwrap_or_default())
            };
            return versions.iter().max_by(by_number).map(|version| version.version.as_str());
        }
        versions.iter().map(|version| version.version.as_str()).max()
    })
}
