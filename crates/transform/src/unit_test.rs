//! Unit tests: the model's SQL over rows written down, compared with the rows it must give.

use headwater_project::Diagnostic;

use crate::compile::{Compiler, Inlined, cte_name, inject, without_semicolon};
use crate::config::plain_text;
use crate::definitions::JsonMap;
use crate::jinja::adapter::describe;
use crate::jinja::builtin::read_from;
use crate::jinja::render::{Pass, Render, Scope, UnitScope};
use crate::node::{FixtureRows, Given, Node, NodeId, UnitTest};
use crate::warehouse::{ColumnInfo, quoted};

/// What a unit test compiles to.
pub(crate) struct UnitQuery {
    /// One row for each difference: the columns, and how often the row is there too often (or, below zero, too seldom).
    pub differences: String,
}

impl Compiler<'_> {
    pub(crate) fn unit_test(&self, node: &Node, test: &UnitTest) -> Result<UnitQuery, Vec<Diagnostic>> {
        let problem = |message: String| {
            let mut problem = Diagnostic::error(message);
            problem.span = node.span;
            vec![problem]
        };
        let tested = test.tested.as_ref().ok_or_else(|| problem(format!("{} tests no model", node.name)))?;
        let tested = self.node(tested)?;
        let mut unit = UnitScope {
            macros: test.macros.clone(),
            vars: test.vars.clone(),
            env_vars: test.env_vars.clone(),
            ..UnitScope::default()
        };
        let mut fixtures = Vec::new();
        for given in &test.given {
            let (key, name, sql) = self.input(node, tested, given)?;
            unit.inputs.insert(key, name.clone());
            fixtures.push(Inlined { name, sql, volatile: false });
        }
        let scope = Scope { unit: Some(unit), ..Scope::default() };
        let render = Render::scoped(&self.project.definitions, self.subject(tested), self.pass(), scope);
        let sql = self.project.templates.render(tested.id.as_str(), &render);
        let sql = sql.map_err(|error| vec![self.problem(&error, &format!("testing {}", tested.id), tested.span)])?;
        let actual = inject(&self.translated(node, without_semicolon(&sql))?, &fixtures);
        let FixtureRows::Rows(rows) = &test.expect else {
            let FixtureRows::Sql(expected) = &test.expect else { return Err(problem(String::from("no expectation"))) };
            let expected = self.translated(node, expected)?;
            let columns = self.columns_of(node, &expected)?;
            return Ok(UnitQuery { differences: differences(&actual, &expected, &columns) });
        };
        let found = self.columns_of(node, &actual)?;
        let columns = match rows.first() {
            Some(first) => chosen(&found, first).map_err(|name| {
                let known: Vec<&str> = found.iter().map(|column| column.name.as_str()).collect();
                problem(format!("the unit test {} expects a column '{name}', which {} has not", node.name, tested.name))
                    .into_iter()
                    .map(|problem| problem.hint(format!("Its columns are {}.", known.join(", "))))
                    .collect::<Vec<_>>()
            })?,
            None => found,
        };
        Ok(UnitQuery { differences: differences(&actual, &rows_sql(rows, &columns), &columns) })
    }

    /// The key an input is known by, the name it has in the query, and its rows.
    fn input(&self, node: &Node, tested: &Node, given: &Given) -> Result<(String, String, String), Vec<Diagnostic>> {
        let (key, name, input) = if given.input.trim() == "this" {
            (String::from("this"), cte_name(&tested.name), Some(tested.clone()))
        } else {
            let id = self.input_node(node, &given.input)?;
            let input = self.node(&id)?;
            let name = match input.resource_type {
                crate::node::ResourceType::Source => format!("{}__{}", cte_name(&source_name(input)), input.name),
                _ => cte_name(&input.name),
            };
            (id.to_string(), name, Some(input.clone()))
        };
        let sql = match &given.rows {
            FixtureRows::Sql(sql) => self.translated(node, sql)?,
            FixtureRows::Rows(rows) => {
                let columns = match input.as_ref().filter(|input| !input.is_ephemeral()) {
                    Some(input) => self.relation_columns(node, input)?,
                    None => Vec::new(),
                };
                let columns = if columns.is_empty() { untyped(rows) } else { columns };
                rows_sql(rows, &columns)
            }
        };
        Ok((key, name, sql))
    }

    fn relation_columns(&self, node: &Node, input: &Node) -> Result<Vec<ColumnInfo>, Vec<Diagnostic>> {
        let render = Render::new(&self.project.definitions, self.subject(input), self.pass());
        let info = read_from(&render, input).and_then(|name| describe(&render, &name));
        let info = info.map_err(|error| vec![self.problem(&error, &format!("looking up {}", input.id), node.span)])?;
        // Before its first build a table has no columns: the fixture's own are all there is.
        Ok(info.map(|info| info.columns).unwrap_or_default())
    }

    fn input_node(&self, node: &Node, call: &str) -> Result<NodeId, Vec<Diagnostic>> {
        let render = Render::new(&self.project.definitions, self.subject(node), Pass::Parse);
        let what = format!("reading the input `{call}` of {}", node.id);
        self.project.templates.evaluate(call, &render).map_err(|error| vec![self.problem(&error, &what, node.span)])?;
        let collected = render.take();
        let graph = &self.project.graph;
        let root = &self.project.definitions.root_package;
        let resolved = match (collected.refs.first(), collected.sources.first()) {
            (Some(call), _) => graph.resolve_ref(root, &node.package, call).ok(),
            (None, Some(call)) => graph.resolve_source(&node.package, call).ok(),
            (None, None) => None,
        };
        resolved.map(|found| found.id.clone()).ok_or_else(|| {
            let mut problem =
                Diagnostic::error(format!("the input `{call}` of {} is nothing the project has", node.name));
            problem.span = node.span;
            vec![problem.hint("Write ref('model'), source('source', 'table') or this.")]
        })
    }

    fn columns_of(&self, node: &Node, sql: &str) -> Result<Vec<ColumnInfo>, Vec<Diagnostic>> {
        let found = self.warehouse.query_own(&format!("select * from (\n{sql}\n) dbt_internal_unit limit 0"));
        found.map(|table| table.columns).map_err(|error| {
            let mut problem = Diagnostic::error(error.failure.message.clone());
            problem.span = node.span;
            problem.detail.clone_from(&error.failure.detail);
            problem.hint.clone_from(&error.failure.hint);
            vec![problem]
        })
    }
}

fn source_name(node: &Node) -> String {
    match &node.kind {
        crate::node::NodeKind::Source { source, .. } => source.clone(),
        _ => String::new(),
    }
}

/// The columns a row names; the name of one that is not there otherwise.
fn chosen(known: &[ColumnInfo], row: &JsonMap) -> Result<Vec<ColumnInfo>, String> {
    let find = |name: &String| known.iter().find(|column| column.name.eq_ignore_ascii_case(name)).cloned();
    row.keys().map(|name| find(name).ok_or_else(|| name.clone())).collect()
}

/// Columns whose types only the values show.
fn untyped(rows: &[JsonMap]) -> Vec<ColumnInfo> {
    let mut columns: Vec<ColumnInfo> = Vec::new();
    for name in rows.iter().flat_map(|row| row.keys()) {
        if !columns.iter().any(|column| column.name == *name) {
            columns.push(ColumnInfo { name: name.clone(), data_type: String::new() });
        }
    }
    columns
}

fn value_sql(value: Option<&serde_json::Value>, data_type: &str) -> String {
    let bare = match value {
        None | Some(serde_json::Value::Null) => String::from("null"),
        Some(serde_json::Value::String(text)) => format!("'{}'", text.replace('\'', "''")),
        Some(value) if data_type.is_empty() => plain_text(value),
        Some(value) => format!("'{}'", plain_text(value).replace('\'', "''")),
    };
    if data_type.is_empty() { bare } else { format!("cast({bare} as {data_type})") }
}

fn rows_sql(rows: &[JsonMap], columns: &[ColumnInfo]) -> String {
    let find = |row: &JsonMap, name: &str| {
        row.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
    };
    let row_sql = |row: &JsonMap| {
        let value = |column: &ColumnInfo| {
            let value = find(row, &column.name);
            format!("{} as {}", value_sql(value.as_ref(), &column.data_type), quoted(&column.name))
        };
        format!("select {}", columns.iter().map(value).collect::<Vec<_>>().join(", "))
    };
    if rows.is_empty() {
        return format!("{} where false", row_sql(&JsonMap::new()));
    }
    rows.iter().map(row_sql).collect::<Vec<_>>().join("\nunion all\n")
}

fn differences(actual: &str, expected: &str, columns: &[ColumnInfo]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let names = names.join(", ");
    format!(
        "select {names}, sum(__difference) as __difference from (\n\
         select {names}, 1 as __difference from (\n{actual}\n) dbt_internal_actual\n\
         union all\nselect {names}, -1 as __difference from (\n{expected}\n) dbt_internal_expected\n\
         ) dbt_internal_both group by {names} having sum(__difference) <> 0"
    )
}
