//! What stands in FROM besides tables: arrays taken apart, functions that give rows.
//!
//! All of them become `LATERAL (SELECT unnest(array) AS item, ...) AS alias`, which `lateral.rs` plans.

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select, SelectItem, SetExpr, TableAlias,
    TableFactor, TableFunctionArgs, TableWithJoins,
};

use super::Dialect;
use super::build::{arguments, call, function_name, text};
use super::generators::{Columns, column_name, field_names, lateral_view, ordinals, problem, rows_of};
use super::pivot::{plain_alias, query};
use super::template::Problem;
use super::{paths, pivot};

/// Rewrites FROM and LATERAL VIEW of a query.
pub(super) fn rewrite(dialect: Dialect, select: &mut Select) -> Result<(), Problem> {
    let mut known: Vec<String> = Vec::new();
    for (index, from) in select.from.iter_mut().enumerate() {
        let item = item_of(dialect, &from.relation, &known);
        from.relation = factor(dialect, std::mem::replace(&mut from.relation, nothing()), index > 0, &known)?;
        known.extend(name_of(&from.relation));
        known.extend(item);
        for join in &mut from.joins {
            let is_outer = matches!(join.join_operator, JoinOperator::Left(_) | JoinOperator::LeftOuter(_));
            let item = item_of(dialect, &join.relation, &known);
            // An array that depends on nothing is a table like others.
            let alone = is_alone(&join.relation);
            let takes_apart = is_array(dialect, &join.relation, &known) && !alone;
            join.relation = factor(dialect, std::mem::replace(&mut join.relation, nothing()), !alone, &known)?;
            if takes_apart {
                settle(join, is_outer)?;
            }
            known.extend(name_of(&join.relation));
            known.extend(item);
        }
    }
    select.from.iter_mut().for_each(|from| from.joins.iter_mut().for_each(half_join));
    if select
        .from
        .iter()
        .flat_map(|from| &from.joins)
        .any(|join| matches!(join.join_operator, JoinOperator::AsOf { .. }))
    {
        return Err(problem("ASOF JOIN", "Join on the range, and keep the latest with row_number()."));
    }
    open_structures(select);
    let views = std::mem::take(&mut select.lateral_views);
    if views.is_empty() {
        return Ok(());
    }
    let joins: Vec<Join> = views.into_iter().map(lateral_view).collect::<Result<_, _>>()?;
    match select.from.last_mut() {
        Some(from) => from.joins.extend(joins),
        None => {
            let mut joins = joins.into_iter();
            let relation = joins.next().map_or_else(nothing, |join| join.relation);
            select.from.push(TableWithJoins { relation, joins: joins.collect() });
        }
    }
    Ok(())
}

/// The mark of an item's name, where a relation is an array.
fn item_of(dialect: Dialect, factor: &TableFactor, known: &[String]) -> Option<String> {
    let alias = match factor {
        TableFactor::UNNEST { alias, .. } => alias,
        TableFactor::Table { name, alias, args: None, .. } if implicit(dialect, name, known).is_some() => alias,
        _ => return None,
    };
    alias.as_ref().map(|alias| format!("{ITEM_MARK}{}", alias.name.value.to_lowercase()))
}

/// SEMI and ANTI JOIN look at the left side.
fn half_join(join: &mut Join) {
    join.join_operator = match std::mem::replace(&mut join.join_operator, JoinOperator::CrossApply) {
        JoinOperator::Semi(constraint) => JoinOperator::LeftSemi(constraint),
        JoinOperator::Anti(constraint) => JoinOperator::LeftAnti(constraint),
        other => other,
    };
}

fn nothing() -> TableFactor {
    TableFactor::TableFunction { expr: super::build::null(), alias: None }
}

pub(super) fn name_of(factor: &TableFactor) -> Option<String> {
    match factor {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(alias.name.value.to_lowercase()),
            None => name.0.last().and_then(|part| part.as_ident()).map(|part| part.value.to_lowercase()),
        },
        TableFactor::Derived { alias: Some(alias), .. } => Some(alias.name.value.to_lowercase()),
        _ => None,
    }
}

/// Whether a relation is an array of one before it: joined for each row by itself.
fn is_array(dialect: Dialect, factor: &TableFactor, known: &[String]) -> bool {
    match factor {
        TableFactor::UNNEST { .. } | TableFactor::Function { .. } | TableFactor::TableFunction { .. } => true,
        TableFactor::Table { args: Some(_), .. } => true,
        TableFactor::Table { name, .. } => implicit(dialect, name, known).is_some(),
        _ => false,
    }
}

/// Whether what is taken apart is written out, and so the same for each row.
fn is_alone(factor: &TableFactor) -> bool {
    let TableFactor::UNNEST { array_exprs, .. } = factor else { return false };
    array_exprs.iter().all(|array| matches!(array, Expr::Array(_)) && !super::pivot::has_names(array))
}

/// A join with an array: the condition of an inner one stays, that of an outer one must be true.
fn settle(join: &mut Join, is_outer: bool) -> Result<(), Problem> {
    if let JoinOperator::CrossJoin(_) = join.join_operator {
        return Ok(());
    }
    let always = |constraint: &JoinConstraint| match constraint {
        JoinConstraint::None => true,
        JoinConstraint::On(condition) => condition.to_string().eq_ignore_ascii_case("true"),
        _ => false,
    };
    let constraint = match &join.join_operator {
        JoinOperator::Join(constraint) | JoinOperator::Inner(constraint) => constraint,
        JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => constraint,
        _ => return Err(problem("this kind of join with an array", "Use CROSS JOIN or LEFT JOIN.")),
    };
    let is_always = always(constraint);
    if is_outer && !is_always {
        return Err(problem("LEFT JOIN of an array with a condition", "Filter the array first, in a subquery."));
    }
    if is_outer {
        keep_rows(&mut join.relation);
    }
    if is_always {
        join.join_operator = JoinOperator::CrossJoin(JoinConstraint::None);
    }
    Ok(())
}

/// Makes every `unnest(list)` of a relation keep rows without items.
fn keep_rows(factor: &mut TableFactor) {
    let TableFactor::Derived { subquery, .. } = factor else { return };
    let SetExpr::Select(select) = subquery.body.as_mut() else { return };
    for item in &mut select.projection {
        let SelectItem::ExprWithAlias { expr: Expr::Function(function), .. } = item else { continue };
        let Some([list]) = arguments(function)
            .as_deref()
            .map(|args| <[Expr; 1]>::try_from(args.to_vec()).unwrap_or([super::build::null()]))
        else {
            continue;
        };
        *function = super::build::function("unnest", vec![call("list_or_one_null", vec![list])]);
    }
}

/// `FROM t, t.items AS item`: the array the name leads to.
fn implicit(dialect: Dialect, name: &ObjectName, known: &[String]) -> Option<Expr> {
    if !matches!(dialect, Dialect::BigQuery | Dialect::Redshift) {
        return None;
    }
    let parts: Vec<Ident> = name.0.iter().filter_map(|part| part.as_ident().cloned()).collect();
    let first = parts.first()?.value.to_lowercase();
    (parts.len() > 1 && known.contains(&first)).then_some(Expr::CompoundIdentifier(parts))
}

fn factor(dialect: Dialect, factor: TableFactor, lateral: bool, known: &[String]) -> Result<TableFactor, Problem> {
    match factor {
        TableFactor::UNNEST { alias, array_exprs, with_offset, with_offset_alias, with_ordinality } => unnest(
            dialect,
            alias,
            array_exprs,
            with_offset.then(|| with_offset_alias.unwrap_or_else(|| Ident::new("offset"))),
            with_ordinality,
            lateral,
            known,
        ),
        TableFactor::Pivot { .. } => pivot::pivot(dialect, factor),
        TableFactor::Unpivot { .. } => pivot::unpivot(dialect, factor),
        TableFactor::Table { name, alias, args: Some(TableFunctionArgs { args, .. }), with_ordinality, .. } => {
            rows_of(dialect, &function_name(&name), &args, alias, with_ordinality, lateral)
        }
        TableFactor::Function { name, args, alias, with_ordinality, .. } => {
            rows_of(dialect, &function_name(&name), &args, alias, with_ordinality, lateral)
        }
        TableFactor::TableFunction { expr: Expr::Function(function), alias } => {
            let datafusion::sql::sqlparser::ast::FunctionArguments::List(list) = &function.args else {
                return Err(problem("TABLE of this function", "Use a subquery."));
            };
            rows_of(dialect, &function_name(&function.name), &list.args, alias, false, lateral)
        }
        TableFactor::Table { ref name, ref alias, args: None, .. } => match implicit(dialect, name, known) {
            Some(array) => {
                let array = of_item(dialect, array, known);
                let list = if dialect == Dialect::Redshift { call("variant_items", vec![array]) } else { array };
                let mut columns = Columns(vec![(column_name(alias.as_ref(), 0, ""), list.clone())]);
                if let Some(at) = alias.as_ref().and_then(|alias| alias.at.clone()) {
                    columns.0.push((at, call("list_offsets", vec![list])));
                }
                columns.factor(alias.clone(), lateral)
            }
            None => Ok(factor),
        },
        TableFactor::Derived { lateral: true, ref subquery, ref alias, .. }
            if matches!(subquery.body.as_ref(), SetExpr::Values(_)) =>
        {
            values(subquery, alias.clone()).ok_or_else(|| problem("LATERAL VALUES", "Write UNION ALL of the rows."))
        }
        TableFactor::MatchRecognize { .. } => Err(problem("MATCH_RECOGNIZE", "Use window functions.")),
        other => Ok(other),
    }
}

/// `LATERAL (VALUES ('a', t.a), ('b', t.b)) AS u(name, value)`: an array for each column, taken apart side by side.
fn values(subquery: &Query, alias: Option<TableAlias>) -> Option<TableFactor> {
    let SetExpr::Values(values) = subquery.body.as_ref() else { return None };
    let width = values.rows.first()?.content.len();
    let column = |at: usize| {
        let name = alias.as_ref().and_then(|alias| alias.columns.get(at)).map(|column| column.name.clone());
        let items = values.rows.iter().map(|row| row.content.get(at).cloned()).collect::<Option<Vec<_>>>()?;
        Some((name.unwrap_or_else(|| Ident::new(format!("column{}", at + 1))), call("make_array", items)))
    };
    let columns = Columns((0..width).map(column).collect::<Option<_>>()?);
    columns.factor(alias, true).ok()
}

/// `q.xs`, where `q` is an item of an array before it: the engine finds no fields of what lies outside.
fn of_item(dialect: Dialect, array: Expr, known: &[String]) -> Expr {
    let Expr::CompoundIdentifier(names) = &array else { return array };
    let Some((first, rest)) = names.split_first() else { return array };
    let is_item = known.contains(&format!("{ITEM_MARK}{}", first.value.to_lowercase()));
    if !is_item || rest.is_empty() {
        return array;
    }
    if dialect == Dialect::Redshift {
        let mut path = String::from("$");
        rest.iter().for_each(|name| paths::key(&mut path, &name.value));
        return call("json_piece", vec![Expr::Identifier(first.clone()), text(&path)]);
    }
    let item = Expr::Identifier(first.clone());
    rest.iter().fold(item, |at, name| call("get_field", vec![at, text(&name.value)]))
}

/// Marks names of items among the names of relations.
const ITEM_MARK: &str = "item ";

fn unnest(
    dialect: Dialect,
    alias: Option<TableAlias>,
    arrays: Vec<Expr>,
    offset: Option<Ident>,
    with_ordinality: bool,
    lateral: bool,
    known: &[String],
) -> Result<TableFactor, Problem> {
    let first = arrays.first().cloned().unwrap_or_else(super::build::null);
    let mut columns = Vec::new();
    for (index, array) in arrays.into_iter().enumerate() {
        let default = if alias.is_none()
            || dialect == Dialect::DuckDb && alias.as_ref().is_some_and(|alias| alias.columns.is_empty())
        {
            "unnest"
        } else {
            ""
        };
        let array = of_item(dialect, array, known);
        // Arrays of arrays are taken apart to the ground.
        let array = if dialect == Dialect::Postgres { call("list_flat", vec![array]) } else { array };
        columns.push((column_name(alias.as_ref(), index, default), array));
    }
    if let Some(offset) = offset {
        columns.push((offset, call("list_offsets", vec![first])));
    } else if with_ordinality {
        let at = columns.len();
        columns.push((column_name(alias.as_ref(), at, "ordinality"), ordinals(first)));
    }
    Columns(columns).factor(alias.or_else(|| Some(plain_alias("unnest"))), lateral)
}

/// The structures of an array that is written out have their fields as columns: `SELECT a FROM UNNEST([STRUCT(1 AS a)])`.
fn open_structures(select: &mut Select) {
    let takes_all = select.projection.iter().any(|item| matches!(item, SelectItem::Wildcard(_)));
    for from in &mut select.from {
        open_structure(&mut from.relation, takes_all);
        from.joins.iter_mut().for_each(|join| open_structure(&mut join.relation, takes_all));
    }
}

fn open_structure(factor: &mut TableFactor, takes_all: bool) {
    let TableFactor::Derived { subquery, alias: Some(alias), .. } = factor else { return };
    let SetExpr::Select(inner) = subquery.body.as_ref() else { return };
    let Some(SelectItem::ExprWithAlias { expr: Expr::Function(function), alias: item }) = inner.projection.first()
    else {
        return;
    };
    let names = match arguments(function).as_deref() {
        Some([Expr::Array(array)]) if function_name(&function.name) == "unnest" => {
            array.elem.first().and_then(field_names)
        }
        _ => None,
    };
    let Some(names) = names else { return };
    let Some(mut outer) = query("SELECT 1") else { return };
    let is_named = alias.name.value != "unnest" && !takes_all;
    let mut columns: Vec<SelectItem> = Vec::new();
    let item_column = Expr::Identifier(item.clone());
    if is_named {
        columns.push(SelectItem::ExprWithAlias { expr: item_column.clone(), alias: item.clone() });
    }
    for name in names {
        let field = call("get_field", vec![item_column.clone(), text(&name)]);
        columns.push(SelectItem::ExprWithAlias { expr: field, alias: Ident::new(name.to_lowercase()) });
    }
    for other in inner.projection.iter().skip(1) {
        if let SelectItem::ExprWithAlias { alias, .. } = other {
            columns.push(SelectItem::ExprWithAlias { expr: Expr::Identifier(alias.clone()), alias: alias.clone() });
        }
    }
    if let SetExpr::Select(select) = outer.body.as_mut() {
        select.projection = columns;
        let relation = pivot::derived(subquery.clone(), Some(plain_alias("items_of_array")));
        select.from = vec![TableWithJoins { relation, joins: Vec::new() }];
    }
    *subquery = outer;
}

/// What stands in FROM.
pub(super) fn factors(select: &Select) -> impl Iterator<Item = &TableFactor> {
    select
        .from
        .iter()
        .flat_map(|from| std::iter::once(&from.relation).chain(from.joins.iter().map(|join| &join.relation)))
}

/// The function a relation is made by, and what it is called.
fn made_by(factor: &TableFactor) -> Option<(String, Option<&TableAlias>)> {
    match factor {
        TableFactor::Function { name, alias, .. } | TableFactor::Table { name, alias, args: Some(_), .. } => {
            Some((function_name(name), alias.as_ref()))
        }
        TableFactor::TableFunction { expr: Expr::Function(function), alias } => {
            Some((function_name(&function.name), alias.as_ref()))
        }
        _ => None,
    }
}

/// Whether a query's rows are those of Snowflake's GENERATOR alone.
pub(super) fn is_generated(select: &Select) -> bool {
    let mut all = factors(select);
    let is_generator = all.next().and_then(made_by).is_some_and(|(name, _)| name == "generator");
    is_generator && all.next().is_none()
}

/// The names under which a query has what FLATTEN takes apart.
pub(super) fn flattened(select: &Select) -> Vec<String> {
    let name = |(function, alias): (String, Option<&TableAlias>)| {
        let alias = alias.map_or_else(|| String::from("flatten"), |alias| alias.name.value.clone());
        (function == "flatten").then_some(alias)
    };
    factors(select).filter_map(made_by).filter_map(name).collect()
}

/// The names of what Redshift takes from an array by its path: `FROM t, t.items AS item`.
pub(super) fn implicit_items(dialect: Dialect, select: &Select) -> Vec<String> {
    if dialect != Dialect::Redshift {
        return Vec::new();
    }
    let (mut known, mut items) = (Vec::new(), Vec::new());
    for factor in factors(select) {
        if let TableFactor::Table { name, alias: Some(alias), args: None, .. } = factor
            && implicit(dialect, name, &known).is_some()
        {
            items.push(alias.name.value.to_lowercase());
        }
        known.extend(name_of(factor));
    }
    items
}
