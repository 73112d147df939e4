//! Whole rows as values, and stars over what is known: `TO_JSON_STRING(t)`, `s.*`, `OBJECT_CONSTRUCT(*)`, `* RENAME`.
//!
//! The translation does not know the columns of tables. It knows those of queries in FROM that name them.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, GroupByExpr,
    Ident, ObjectName, Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, Subscript, TableFactor,
    VisitorMut,
};

use super::Dialect;
use super::build::{call, function_name, ident, literal_integer, text};
use super::pivot::query;
use super::relations::factors;
use super::walk::Walk;

/// The names of the columns a relation has, where the statement says so.
pub(super) fn columns(factor: &TableFactor) -> Option<Vec<String>> {
    let TableFactor::Derived { subquery, alias, .. } = factor else { return None };
    match alias {
        Some(alias) if !alias.columns.is_empty() => {
            Some(alias.columns.iter().map(|column| column.name.value.to_lowercase()).collect())
        }
        _ => columns_of(&subquery.body),
    }
}

fn columns_of(body: &SetExpr) -> Option<Vec<String>> {
    match body {
        SetExpr::Select(select) => select.projection.iter().map(column_name).collect(),
        SetExpr::Query(query) => columns_of(&query.body),
        SetExpr::SetOperation { left, .. } => columns_of(left),
        SetExpr::Values(values) => {
            let width = values.rows.first()?.content.len();
            Some((1..=width).map(|at| format!("column{at}")).collect())
        }
        _ => None,
    }
}

fn column_name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.to_lowercase()),
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => Some(name.value.to_lowercase()),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => names.last().map(|name| name.value.to_lowercase()),
        _ => None,
    }
}

/// The columns of the one relation of a query.
pub(super) fn only_columns(select: &Select) -> Option<Vec<String>> {
    let mut all = factors(select);
    let columns = columns(all.next()?)?;
    all.next().is_none().then_some(columns)
}

/// A row of columns as a structure.
fn structure(table: &str, columns: &[String]) -> Expr {
    let field = |name: &String| [text(name), Expr::CompoundIdentifier(vec![Ident::new(table), ident(name)])];
    call("named_struct", columns.iter().flat_map(field).collect())
}

/// Rows of relations with known columns, by the name of the relation.
struct Rows(Vec<(String, Expr)>);

impl Rows {
    fn named(&self, name: &Ident) -> Option<&Expr> {
        self.0.iter().find(|(known, _)| name.value.eq_ignore_ascii_case(known)).map(|(_, row)| row)
    }
}

impl VisitorMut for Rows {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        let name = function_name(&function.name);
        let takes_rows = matches!(
            name.as_str(),
            "to_json_string" | "to_json" | "to_jsonb" | "row_to_json" | "array_agg" | "any_value"
        );
        if let FunctionArguments::List(list) = &mut function.args
            && takes_rows
            && let Some(FunctionArg::Unnamed(FunctionArgExpr::Expr(argument))) = list.args.first_mut()
            && let Expr::Identifier(given) = &*argument
            && let Some(row) = self.named(given)
        {
            *argument = row.clone();
        }
        ControlFlow::Continue(())
    }
}

/// Before a query's expressions are rewritten: rows and stars over known columns are written out.
pub(super) fn write_out(dialect: Dialect, select: &mut Select) {
    if dialect == Dialect::BigQuery {
        latest(select);
    }
    let known: Vec<(String, Vec<String>)> =
        factors(select).filter_map(|factor| Some((super::relations::name_of(factor)?, columns(factor)?))).collect();
    // A column of the same name is meant first.
    let is_column = |name: &String| known.iter().any(|(_, columns)| columns.contains(name));
    let rows = known.iter().filter(|(name, _)| !is_column(name));
    let mut rows = Rows(rows.map(|(name, columns)| (name.clone(), structure(name, columns))).collect());
    if !rows.0.is_empty() {
        for item in &mut select.projection {
            if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
                expr.walk(&mut rows);
            }
        }
    }
    objects(select);
    structure_stars(select);
}

/// `OBJECT_CONSTRUCT(*)`: keys are in upper case, as Snowflake's names are.
fn objects(select: &mut Select) {
    let Some(columns) = only_columns(select) else { return };
    for item in &mut select.projection {
        let (SelectItem::UnnamedExpr(Expr::Function(function))
        | SelectItem::ExprWithAlias { expr: Expr::Function(function), .. }) = item
        else {
            continue;
        };
        if let FunctionArguments::List(list) = &mut function.args
            && function_name(&function.name).starts_with("object_construct")
            && matches!(list.args.as_slice(), [FunctionArg::Unnamed(FunctionArgExpr::Wildcard)])
        {
            let pair = |name: &String| [text(&name.to_uppercase()), Expr::Identifier(ident(name))];
            let argument = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
            list.args = columns.iter().flat_map(pair).map(argument).collect();
        }
    }
}

/// `s.*`, where `s` is a structure that a query in FROM makes.
fn structure_stars(select: &mut Select) {
    let mut items = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        let fields = match &item {
            SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                fields_of(select, &function_name(name))
            }
            _ => None,
        };
        let Some((column, fields)) = fields else {
            items.push(item);
            continue;
        };
        items.extend(fields.iter().map(|field| {
            let expr = call("get_field", vec![Expr::Identifier(Ident::new(&column)), text(field)]);
            SelectItem::ExprWithAlias { expr, alias: Ident::new(field.to_lowercase()) }
        }));
    }
    select.projection = items;
}

/// A column that is a structure, and its fields.
fn fields_of(select: &Select, name: &str) -> Option<(String, Vec<String>)> {
    if factors(select).any(|factor| super::relations::name_of(factor).as_deref() == Some(name)) {
        return None;
    }
    factors(select).find_map(|factor| {
        let TableFactor::Derived { subquery, .. } = factor else { return None };
        let SetExpr::Select(inner) = subquery.body.as_ref() else { return None };
        let expr = inner.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if alias.value.eq_ignore_ascii_case(name) => Some(expr),
            _ => None,
        })?;
        Some((name.to_owned(), field_names(expr)?))
    })
}

fn field_names(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::Struct { values, .. } => values
            .iter()
            .map(|value| match value {
                Expr::Named { name, .. } | Expr::Identifier(name) => Some(name.value.clone()),
                _ => None,
            })
            .collect(),
        Expr::Dictionary(fields) => Some(fields.iter().map(|field| field.key.value.clone()).collect()),
        Expr::Function(function) if function_name(&function.name) == "named_struct" => {
            let given = super::build::arguments(function)?;
            given.iter().step_by(2).map(|name| super::build::literal_text(name).map(str::to_owned)).collect()
        }
        _ => None,
    }
}

/// `SELECT r.* FROM (SELECT ARRAY_AGG(t ORDER BY x LIMIT 1)[OFFSET(0)] AS r FROM t GROUP BY k)`, which is the first row of each
/// group, whatever columns it has.
fn latest(select: &mut Select) {
    let Some(found) = latest_of(select) else { return };
    let Some(mut ranked) = query("SELECT 1") else { return };
    let Some(mut outer) = query("SELECT * EXCLUDE (__place) FROM t WHERE __place = 1") else { return };
    let (SetExpr::Select(inner), SetExpr::Select(kept)) = (ranked.body.as_mut(), outer.body.as_mut()) else { return };
    let Some(place) = query("SELECT row_number() OVER (PARTITION BY 1 ORDER BY 1) AS __place") else { return };
    let SetExpr::Select(mut place) = *place.body else { return };
    if let Some(SelectItem::ExprWithAlias { expr: Expr::Function(function), .. }) = place.projection.first_mut()
        && let Some(datafusion::sql::sqlparser::ast::WindowType::WindowSpec(window)) = &mut function.over
    {
        window.partition_by = found.groups;
        window.order_by = found.order;
    }
    let whole = SelectItemQualifiedWildcardKind::ObjectName(ObjectName::from(vec![Ident::new(&found.table)]));
    inner.projection = vec![SelectItem::QualifiedWildcard(whole, Default::default())];
    inner.projection.append(&mut place.projection);
    inner.from = found.select.from;
    inner.selection = found.select.selection;
    if let Some(from) = kept.from.first_mut() {
        from.relation = super::pivot::derived(ranked, Some(super::pivot::plain_alias("ranked")));
    }
    select.from = kept.from.clone();
    select.selection = kept.selection.clone();
    select.projection = kept.projection.clone();
}

struct Latest {
    table: String,
    order: Vec<datafusion::sql::sqlparser::ast::OrderByExpr>,
    groups: Vec<Expr>,
    select: Select,
}

fn latest_of(select: &Select) -> Option<Latest> {
    let ([SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _)], [from], None) =
        (select.projection.as_slice(), select.from.as_slice(), &select.selection)
    else {
        return None;
    };
    let TableFactor::Derived { subquery, .. } = &from.relation else { return None };
    let (SetExpr::Select(inner), true) = (subquery.body.as_ref(), from.joins.is_empty() && plain(subquery)) else {
        return None;
    };
    let [SelectItem::ExprWithAlias { expr, alias }] = inner.projection.as_slice() else { return None };
    let GroupByExpr::Expressions(groups, _) = &inner.group_by else { return None };
    if !alias.value.eq_ignore_ascii_case(&function_name(name)) || inner.having.is_some() {
        return None;
    }
    let function = first_item(expr)?;
    let FunctionArguments::List(list) = &function.args else { return None };
    let [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(table)))] = list.args.as_slice() else {
        return None;
    };
    let order = list.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(keys) => Some(keys.clone()),
        _ => None,
    });
    let is_row = factors(inner)
        .any(|factor| super::relations::name_of(factor).is_some_and(|known| table.value.eq_ignore_ascii_case(&known)));
    is_row.then(|| Latest {
        table: table.value.clone(),
        order: order.unwrap_or_default(),
        groups: groups.clone(),
        select: inner.as_ref().clone(),
    })
}

fn plain(query: &Query) -> bool {
    query.with.is_none() && query.order_by.is_none() && query.limit_clause.is_none()
}

/// The aggregate of `ARRAY_AGG(...)[OFFSET(0)]`.
fn first_item(expr: &Expr) -> Option<&Function> {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else { return None };
    let [AccessExpr::Subscript(Subscript::Index { index: Expr::Function(offset) })] = access_chain.as_slice() else {
        return None;
    };
    let is_first = matches!(function_name(&offset.name).as_str(), "offset" | "safe_offset")
        && super::build::arguments(offset)?.first().and_then(literal_integer) == Some(0);
    match root.as_ref() {
        Expr::Function(function) if is_first && function_name(&function.name) == "array_agg" => Some(function),
        _ => None,
    }
}
