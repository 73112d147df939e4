//! What the schema of a dashboard cannot say.

use std::collections::BTreeSet;

use headwater_project::config::suggest;
use headwater_project::tree::Tree;
use headwater_project::{Classify, Diagnostic, Diagnostics, Span};

use crate::config::{Dashboard, FilterConfig, FilterKind, TileConfig, TileKind};
use crate::parameters::parameters_in;

/// Reports every problem of a dashboard. `tree` is the file it was decoded from.
pub fn check(dashboard: &Dashboard, tree: &Tree, diagnostics: &mut Diagnostics) {
    check_name("dashboard", &dashboard.name, span_of(tree, "name"), diagnostics);
    let filters = tree.get("filters").map(Tree::items).unwrap_or_default();
    let tiles = tree.get("tiles").map(Tree::items).unwrap_or_default();
    let mut seen = BTreeSet::new();
    for (filter, tree) in dashboard.filters.iter().zip(filters) {
        check_name("filter", &filter.name, span_of(tree, "name"), diagnostics);
        for parameter in filter.parameters() {
            if !seen.insert(parameter.clone()) {
                let problem = Diagnostic::error(format!("parameter `${parameter}` is bound by two filters"));
                diagnostics.push(problem.hint("Give each filter a name of its own.").at(span_of(tree, "name")));
                break;
            }
        }
        check_filter(dashboard, filter, tree, diagnostics);
    }
    let mut seen = BTreeSet::new();
    for (tile, tree) in dashboard.tiles.iter().zip(tiles) {
        check_name("tile", &tile.name, span_of(tree, "name"), diagnostics);
        if !seen.insert(tile.name.as_str()) {
            let problem = Diagnostic::error(format!("two tiles are named `{}`", tile.name));
            diagnostics.push(problem.hint("Rename one of them.").at(span_of(tree, "name")));
        }
        check_tile(dashboard, tile, tree, diagnostics);
    }
}

fn span_of(tree: &Tree, key: &str) -> Span {
    tree.get(key).unwrap_or(tree).span
}

fn check_name(what: &str, name: &str, span: Span, diagnostics: &mut Diagnostics) {
    let starts_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    let legal = |character: char| character == '_' || character.is_ascii_lowercase() || character.is_ascii_digit();
    if !starts_well || !name.chars().all(legal) {
        let problem = Diagnostic::error(format!("`{name}` cannot name a {what}"));
        let hint = "Use lower-case letters, digits and underscores, beginning with a letter.";
        diagnostics.push(problem.hint(hint).at(span));
    }
}

fn check_filter(dashboard: &Dashboard, filter: &FilterConfig, tree: &Tree, diagnostics: &mut Diagnostics) {
    if let Err(error) = filter.default_value() {
        let written = filter.default.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
        let near = suggest(written, crate::DATE_PRESETS.iter().copied());
        let mut problem = Diagnostic::error(error.to_string());
        problem.hint = match near {
            Some(near) if filter.kind == FilterKind::DateRange => Some(format!("Did you mean `{near}`?")),
            _ => error.hint(),
        };
        diagnostics.push(problem.at(span_of(tree, "default")));
    }
    let is_choice = matches!(filter.kind, FilterKind::Select | FilterKind::MultiSelect);
    let has_choices = filter.options.is_some() || filter.options_sql.is_some();
    if is_choice && (filter.options.is_some() == filter.options_sql.is_some()) {
        let problem = Diagnostic::error(format!("filter `{}` needs either `options` or `options_sql`", filter.name));
        diagnostics.push(problem.hint("Write the choices, or the query that finds them.").at(tree.span));
    } else if !is_choice && has_choices {
        let problem = Diagnostic::error(format!("filter `{}` has no choices", filter.name));
        let hint = "Remove `options` and `options_sql`, or use the kind `select`.";
        diagnostics.push(problem.hint(hint).at(tree.span));
    }
    if let Some(sql) = &filter.options_sql {
        check_parameters(dashboard, sql, span_of(tree, "options_sql"), diagnostics);
    }
}

fn check_tile(dashboard: &Dashboard, tile: &TileConfig, tree: &Tree, diagnostics: &mut Diagnostics) {
    let mut require = |key: &str, present: bool| {
        if !present {
            let problem = Diagnostic::error(format!("tile `{}` needs `{key}`", tile.name));
            diagnostics.push(problem.at(span_of(tree, "kind")));
        }
    };
    match tile.kind {
        TileKind::Text => require("text", tile.text.is_some()),
        _ => require("sql", tile.sql.is_some()),
    }
    require("x", tile.x.is_some() || !(tile.kind.needs_axes() || tile.kind == TileKind::Histogram));
    require("y", !tile.y.0.is_empty() || !tile.kind.needs_axes());
    require("series", tile.series.is_some() || tile.kind != TileKind::HeatMap);
    if let Some(sql) = &tile.sql {
        check_parameters(dashboard, sql, span_of(tree, "sql"), diagnostics);
    }
}

fn check_parameters(dashboard: &Dashboard, sql: &str, span: Span, diagnostics: &mut Diagnostics) {
    let known: Vec<String> = dashboard.filters.iter().flat_map(FilterConfig::parameters).collect();
    let mut reported = BTreeSet::new();
    for (_, name) in parameters_in(sql) {
        if known.iter().any(|known| known == name) || !reported.insert(name) {
            continue;
        }
        let hint = match suggest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("Did you mean `${near}`?"),
            None if known.is_empty() => String::from("Add a filter, or remove the parameter."),
            None => format!("The filters bind ${}.", known.join(", $")),
        };
        diagnostics.push(Diagnostic::error(format!("no filter binds `${name}`")).hint(hint).at(span));
    }
}
