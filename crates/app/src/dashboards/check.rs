//! Tables that dashboards name and the project does not have.

use headwater_dash::Dashboard;
use headwater_project::config::suggest;
use headwater_project::tree::Tree;
use headwater_project::{Diagnostic, Diagnostics, Span};
use headwater_transform::{ResourceType, TransformProject};

use crate::lineage::{Reference, references};

/// Reports references in the queries of a dashboard that lead nowhere. `tree` is the file it was read from.
pub(crate) fn check_references(
    dashboard: &Dashboard,
    tree: &Tree,
    transform: &TransformProject,
    diagnostics: &mut Diagnostics,
) {
    let filters = tree.get("filters").map(Tree::items).unwrap_or_default();
    for (filter, tree) in dashboard.filters.iter().zip(filters) {
        check_query(filter.options_sql.as_deref(), tree, "options_sql", transform, diagnostics);
    }
    let tiles = tree.get("tiles").map(Tree::items).unwrap_or_default();
    for (tile, tree) in dashboard.tiles.iter().zip(tiles) {
        let key = if tree.get("table").is_some() { "table" } else { "sql" };
        check_query(tile.sql.as_deref(), tree, key, transform, diagnostics);
        if tree.get("detail_sql").is_some() {
            check_query(tile.detail_sql.as_deref(), tree, "detail_sql", transform, diagnostics);
        }
    }
}

fn check_query(sql: Option<&str>, tree: &Tree, key: &str, transform: &TransformProject, diagnostics: &mut Diagnostics) {
    let span = tree.get(key).unwrap_or(tree).span;
    let mut reported = Vec::new();
    for reference in sql.map(references).unwrap_or_default() {
        if reference.find(transform).is_none() && !reported.contains(&reference) {
            diagnostics.push(problem(&reference, transform, span));
            reported.push(reference);
        }
    }
}

fn problem(reference: &Reference, transform: &TransformProject, span: Span) -> Diagnostic {
    let is_source = matches!(reference, Reference::Source(..));
    let (what, name) = match reference {
        Reference::Model(name) => (format!("there is no model or seed `{name}`"), name),
        Reference::Source(source, table) => (format!("source `{source}` has no table `{table}`"), table),
    };
    let known = transform.ordered().filter(|node| match node.resource_type {
        ResourceType::Source => is_source,
        ResourceType::Model | ResourceType::Seed => !is_source,
        _ => false,
    });
    let hint = suggest(name, known.map(|node| node.name.as_str())).map_or_else(
        || String::from("`headwater ls` lists models, seeds and sources."),
        |near| format!("Did you mean `{near}`?"),
    );
    Diagnostic::error(what).hint(hint).at(span)
}
