//! What the schema of a dashboard cannot say.

use std::collections::BTreeSet;

use headwater_project::config::suggest;
use headwater_project::tree::Tree;
use headwater_project::{Classify, Diagnostic, Diagnostics, Span};

use crate::config::{Dashboard, FilterConfig, FilterKind, TileConfig};
use crate::keys::KEYS;
use crate::measure::reference;
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
    check_tabs(dashboard, tree, diagnostics);
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

fn check_tabs(dashboard: &Dashboard, tree: &Tree, diagnostics: &mut Diagnostics) {
    let tabs = tree.get("tabs").map(Tree::items).unwrap_or_default();
    let mut seen = BTreeSet::new();
    for (tab, tree) in dashboard.tabs.iter().zip(tabs) {
        check_name("tab", &tab.name, span_of(tree, "name"), diagnostics);
        if !seen.insert(tab.name.as_str()) {
            let problem = Diagnostic::error(format!("two tabs are named `{}`", tab.name));
            diagnostics.push(problem.hint("Rename one of them.").at(span_of(tree, "name")));
        }
        if !dashboard.tiles.iter().any(|tile| tile.tab.as_ref() == Some(&tab.name)) {
            let problem = Diagnostic::warning(format!("no tile stands on the tab `{}`", tab.name));
            diagnostics.push(problem.at(span_of(tree, "name")));
        }
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
    let has_ends = filter.min.is_some() || filter.max.is_some();
    if has_ends && filter.kind != FilterKind::NumberRange {
        let problem = Diagnostic::error(format!("filter `{}` has no `min` and `max`", filter.name));
        diagnostics.push(problem.hint("They are the ends of a number_range.").at(tree.span));
    }
    if let Some(sql) = &filter.options_sql {
        check_parameters(dashboard, sql, span_of(tree, "options_sql"), diagnostics);
    }
}

fn check_tile(dashboard: &Dashboard, tile: &TileConfig, tree: &Tree, diagnostics: &mut Diagnostics) {
    for key in KEYS {
        let is_given = (key.is_given)(tile);
        if key.needed_by.contains(&tile.kind) && !is_given {
            let problem = Diagnostic::error(format!("tile `{}` needs `{}`", tile.name, key.name));
            diagnostics.push(problem.at(span_of(tree, "kind")));
        } else if is_given && !key.kinds.contains(&tile.kind) {
            let kinds: Vec<&str> = key.kinds.iter().map(|kind| kind.as_str()).collect();
            let problem =
                Diagnostic::error(format!("a tile of the kind `{}` has no `{}`", tile.kind.as_str(), key.name));
            let hint = format!("It belongs to the kinds {}.", kinds.join(", "));
            diagnostics.push(problem.hint(hint).at(span_of(tree, key.name)));
        }
    }
    for (key, sql) in [("sql", &tile.sql), ("detail_sql", &tile.detail_sql)] {
        if let Some(sql) = sql {
            check_parameters(dashboard, sql, span_of(tree, key), diagnostics);
        }
    }
    check_measure(dashboard, tile, tree, diagnostics);
    check_tab(dashboard, tile, tree, diagnostics);
    check_select(dashboard, tile, tree, diagnostics);
    check_table(tile, tree, diagnostics);
}

/// A table with a measure stands for a query, and its other keys for parts of it.
fn check_measure(dashboard: &Dashboard, tile: &TileConfig, tree: &Tree, diagnostics: &mut Diagnostics) {
    let is_measured = tile.table.is_some() || tile.measure.is_some();
    if is_measured && tile.sql.is_some() {
        let problem = Diagnostic::error(format!("tile `{}` has both a query and a table to measure", tile.name));
        diagnostics.push(problem.hint("Keep `sql`, or `table` and `measure`.").at(span_of(tree, "sql")));
    }
    for (key, other, is_alone) in [
        ("table", "measure", tile.table.is_some() && tile.measure.is_none()),
        ("measure", "table", tile.measure.is_some() && tile.table.is_none()),
        ("by", "table", !tile.by.is_empty() && !is_measured),
        ("filter_columns", "table", !tile.filter_columns.is_empty() && !is_measured),
    ] {
        if is_alone {
            let problem = Diagnostic::error(format!("`{key}` of tile `{}` means nothing without `{other}`", tile.name));
            diagnostics.push(problem.at(span_of(tree, key)));
        }
    }
    if let Some(table) = tile.table.as_deref().filter(|table| reference(table).is_none()) {
        let problem = Diagnostic::error(format!("`{table}` cannot name a table"));
        let hint = "Write the name of a model or seed, or `source.table`.";
        diagnostics.push(problem.hint(hint).at(span_of(tree, "table")));
    }
    if tile.measure.is_some() && tile.y.0.len() > 1 {
        let problem = Diagnostic::error(format!("tile `{}` has one measure and several `y`", tile.name));
        diagnostics.push(problem.hint("Name one, or write the query as `sql`.").at(span_of(tree, "y")));
    }
    check_filter_columns(dashboard, tile, tree, diagnostics);
}

fn check_filter_columns(dashboard: &Dashboard, tile: &TileConfig, tree: &Tree, diagnostics: &mut Diagnostics) {
    let known: Vec<&str> = dashboard.filters.iter().map(|filter| filter.name.as_str()).collect();
    for name in tile.filter_columns.keys().filter(|name| !known.contains(&name.as_str())) {
        let hint = match suggest(name, known.iter().copied()) {
            Some(near) => format!("Did you mean `{near}`?"),
            None if known.is_empty() => String::from("The dashboard has no filters."),
            None => format!("The filters are {}.", known.join(", ")),
        };
        let span = tree.get("filter_columns").map_or(tree.span, |columns| span_of(columns, name));
        diagnostics.push(Diagnostic::error(format!("there is no filter `{name}`")).hint(hint).at(span));
    }
}

fn check_tab(dashboard: &Dashboard, tile: &TileConfig, tree: &Tree, diagnostics: &mut Diagnostics) {
    let tabs: Vec<&str> = dashboard.tabs.iter().map(|tab| tab.name.as_str()).collect();
    match tile.tab.as_deref() {
        None if tabs.is_empty() => {}
        None => {
            let problem = Diagnostic::error(format!("tile `{}` stands on no tab", tile.name));
            diagnostics.push(problem.hint(format!("The tabs are {}.", tabs.join(", "))).at(span_of(tree, "name")));
        }
        Some(tab) if tabs.contains(&tab) => {}
        Some(tab) => {
            let hint = match suggest(tab, tabs.iter().copied()) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => String::from("List it under `tabs`."),
            };
            diagnostics.push(Diagnostic::error(format!("there is no tab `{tab}`")).hint(hint).at(span_of(tree, "tab")));
        }
    }
}

fn check_select(dashboard: &Dashboard, tile: &TileConfig, tree: &Tree, diagnostics: &mut Diagnostics) {
    let Some(select) = &tile.select else { return };
    let span = tree.get("select").map_or(tree.span, |tree| span_of(tree, "filter"));
    match dashboard.filters.iter().find(|filter| filter.name == select.filter) {
        None => {
            let names: Vec<&str> = dashboard.filters.iter().map(|filter| filter.name.as_str()).collect();
            let hint = match suggest(&select.filter, names.iter().copied()) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("The filters are {}.", names.join(", ")),
            };
            diagnostics.push(Diagnostic::error(format!("there is no filter `{}`", select.filter)).hint(hint).at(span));
        }
        Some(filter) if filter.kind == FilterKind::NumberRange => {
            let problem = Diagnostic::error(format!("a click cannot choose the number range `{}`", filter.name));
            diagnostics.push(problem.hint("Select into a select, multi_select, text or date_range.").at(span));
        }
        Some(_) if select.column.is_none() && tile.x.is_none() => {
            let problem = Diagnostic::error(format!("tile `{}` does not say what a click chooses", tile.name));
            diagnostics.push(problem.hint("Name the `column`, as the tile has no `x`.").at(span));
        }
        Some(_) => {}
    }
}

/// With `columns`, the other keys of a table may only name what is shown.
fn check_table(tile: &TileConfig, tree: &Tree, diagnostics: &mut Diagnostics) {
    let shown: Vec<&str> = tile.columns.iter().map(|column| column.column.as_str()).collect();
    if shown.is_empty() {
        return;
    }
    for (key, names) in [("heat", &tile.heat), ("totals", &tile.totals)] {
        for name in names.iter().filter(|name| !shown.contains(&name.as_str())) {
            let problem = Diagnostic::error(format!("`{key}` names `{name}`, which is none of the columns shown"));
            let hint = suggest(name, shown.iter().copied())
                .map_or_else(|| format!("Shown are {}.", shown.join(", ")), |near| format!("Did you mean `{near}`?"));
            diagnostics.push(problem.hint(hint).at(span_of(tree, key)));
        }
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
