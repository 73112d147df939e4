//! SELECT: names of columns, aliases used by other columns, the order of NULLs.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, GroupByExpr, GroupByWithModifier, Ident, Interval, LimitClause, ObjectName, OrderByExpr, OrderByKind,
    OrderByOptions, Query, Select, SelectFlavor, SelectItem, SetExpr, SetOperator, SetQuantifier, TableAlias,
    TableAliasColumnDef, TableFactor, TopQuantity, ValueTableMode, VisitorMut, WildcardAdditionalOptions, WindowFrame,
    WindowFrameBound, WindowFrameUnits, WindowSpec,
};

use super::Dialect;
use super::aliases::{joined_columns, own_name, spread_aliases};
use super::build::function_name;
use super::stars::{several, unnamed, wildcard, written_out};
use super::template::Problem;
use super::walk::Walk;
use super::{literals, pivot};

/// Where NULLs are when a query does not say.
pub(super) fn order(dialect: Dialect, keys: &mut [OrderByExpr]) {
    for key in keys {
        options(dialect, &mut key.options);
    }
}

fn options(dialect: Dialect, options: &mut OrderByOptions) {
    let ascending = options.asc.unwrap_or(true);
    let first = match dialect {
        // NULL is less than everything.
        Dialect::BigQuery | Dialect::Spark => ascending,
        // It is more than everything.
        Dialect::Postgres | Dialect::Redshift | Dialect::Snowflake => !ascending,
        Dialect::DuckDb => false,
    };
    options.nulls_first = options.nulls_first.or(Some(first));
}

/// Snowflake's first and last values are those of the partition, not of the rows so far.
pub(super) fn whole_partition(window: &mut WindowSpec) {
    if window.window_frame.is_none() && !window.order_by.is_empty() {
        window.window_frame = Some(WindowFrame {
            units: WindowFrameUnits::Rows,
            start_bound: WindowFrameBound::Preceding(None),
            end_bound: Some(WindowFrameBound::Following(None)),
        });
    }
}

pub(super) fn window(dialect: Dialect, window: &mut WindowSpec) {
    order(dialect, &mut window.order_by);
    if let Some(frame) = &mut window.window_frame {
        bound(&mut frame.start_bound);
        frame.end_bound.as_mut().map(bound).unwrap_or_default();
    }
}

/// The bound of a frame as an interval that is written, which is all the engine takes.
fn bound(bound: &mut WindowFrameBound) {
    let (WindowFrameBound::Preceding(Some(distance)) | WindowFrameBound::Following(Some(distance))) = bound else {
        return;
    };
    let Ok((part, count)) = super::template::interval(distance) else { return };
    let part = super::build::literal_text(&part).map(str::to_owned);
    if let (Some(part), Some(count)) = (part, super::build::literal_integer(&count)) {
        **distance = Expr::Interval(Interval {
            value: Box::new(super::build::text(&format!("{count} {part}"))),
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        });
    }
}

pub(super) fn query(dialect: Dialect, query: &mut Query) -> Result<(), Problem> {
    sets(&mut query.body)?;
    documents(&mut query.body);
    if query.limit_clause.is_none()
        && let Some(limit) = first_rows(query)
    {
        query.limit_clause = Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by: Vec::new() });
    }
    if query.fetch.is_some() {
        return Err((
            String::from("FETCH WITH TIES or PERCENT"),
            String::from("Filter on rank() over the same order, with QUALIFY or in a query around."),
        ));
    }
    if let Some(by) = &mut query.order_by {
        if let OrderByKind::Expressions(keys) = &by.kind
            && let [OrderByExpr { expr: Expr::Identifier(name), options: given, .. }] = keys.as_slice()
            && dialect == Dialect::DuckDb
            && name.quote_style.is_none()
            && name.value.eq_ignore_ascii_case("all")
        {
            by.kind = all_columns(&query.body, *given);
        }
        if let OrderByKind::All(given) = &by.kind {
            by.kind = all_columns(&query.body, *given);
        }
        match &mut by.kind {
            OrderByKind::Expressions(keys) => order(dialect, keys),
            OrderByKind::All(given) => options(dialect, given),
        }
    }
    Ok(())
}

/// ORDER BY ALL: every column in its order.
fn all_columns(body: &SetExpr, options: OrderByOptions) -> OrderByKind {
    let width = match body {
        SetExpr::Select(select) if select.projection.iter().all(|item| !is_star(item)) => select.projection.len(),
        _ => return OrderByKind::All(options),
    };
    let key = |at: usize| OrderByExpr {
        expr: super::build::number(i64::try_from(at).unwrap_or(1)),
        options,
        with_fill: None,
    };
    OrderByKind::Expressions((1..=width).map(key).collect())
}

fn is_star(item: &SelectItem) -> bool {
    matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
}

/// MINUS is another word for EXCEPT. The engine's EXCEPT ALL and INTERSECT ALL do not count copies of rows.
fn sets(body: &mut SetExpr) -> Result<(), Problem> {
    let SetExpr::SetOperation { left, op, right, set_quantifier } = body else { return Ok(()) };
    if *op == SetOperator::Minus {
        *op = SetOperator::Except;
    }
    let counts = matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
    if counts && *op != SetOperator::Union {
        return Err((format!("{op} ALL"), format!("Number equal rows with row_number() on both sides, and use {op}.")));
    }
    sets(left)?;
    sets(right)
}

/// Rows of VALUES are of one kind: where one has a document, text in the others is one too.
fn documents(body: &mut SetExpr) {
    let SetExpr::Values(values) = body else { return };
    let width = values.rows.first().map_or(0, |row| row.content.len());
    for column in 0..width {
        let made = values.rows.iter().find_map(|row| match row.content.get(column) {
            Some(Expr::Function(function)) => Some(function_name(&function.name)).filter(|name| makes_document(name)),
            _ => None,
        });
        let Some(made) = made else { continue };
        for row in &mut values.rows {
            if let Some(value @ Expr::Value(_)) = row.content.get_mut(column) {
                *value = super::build::call(&made, vec![value.clone()]);
            }
        }
    }
}

fn makes_document(name: &str) -> bool {
    matches!(name, "json_document" | "json_document_short" | "jsonb_document" | "try_json_document")
}

/// Queries in WITH that read themselves are recursive, whether they say so or not, and have the names of their columns.
pub(super) fn recursive(dialect: Dialect, query: &mut Query) {
    let Some(with) = &mut query.with else { return };
    for cte in &mut with.cte_tables {
        let names: Vec<Ident> = cte.alias.columns.iter().map(|column| column.name.clone()).collect();
        if !names.is_empty() {
            name_columns(&mut cte.query.body, &names);
        }
        let name = cte.alias.name.value.to_lowercase();
        if dialect == Dialect::Snowflake
            && let SetExpr::SetOperation { op: SetOperator::Union, right, .. } = cte.query.body.as_mut()
        {
            let mut reads = Reads { name: &name, found: false };
            right.walk(&mut reads);
            with.recursive |= reads.found;
        }
    }
}

/// Names the columns of each part of a union.
fn name_columns(body: &mut SetExpr, names: &[Ident]) {
    match body {
        SetExpr::Select(select) if select.projection.len() == names.len() => {
            for (item, name) in select.projection.iter_mut().zip(names) {
                if let SelectItem::UnnamedExpr(expr) = item {
                    *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: name.clone() };
                }
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            name_columns(left, names);
            name_columns(right, names);
        }
        SetExpr::Query(query) => name_columns(&mut query.body, names),
        _ => {}
    }
}

struct Reads<'a> {
    name: &'a str,
    found: bool,
}

impl VisitorMut for Reads<'_> {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &mut ObjectName) -> ControlFlow<()> {
        self.found |= relation.0.len() == 1 && function_name(relation) == self.name;
        ControlFlow::Continue(())
    }
}

/// FETCH FIRST and TOP, as the number of rows they take.
fn first_rows(query: &mut Query) -> Option<Expr> {
    if query.fetch.as_ref().is_some_and(|fetch| !fetch.with_ties && !fetch.percent) {
        return query.fetch.take()?.quantity;
    }
    let SetExpr::Select(select) = query.body.as_mut() else { return None };
    if !select.top.as_ref().is_some_and(|top| !top.with_ties && !top.percent) {
        return None;
    }
    match select.top.take()?.quantity? {
        TopQuantity::Constant(count) => Some(super::build::number(i64::try_from(count).ok()?)),
        TopQuantity::Expr(count) => Some(count),
    }
}

/// Before its expressions are rewritten: columns keep the names they have in the dialect, and aliases other columns use are
/// put in their places.
pub(super) fn begin(dialect: Dialect, select: &mut Select) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && let Some(name) = own_name(dialect, expr)
        {
            *item = SelectItem::ExprWithAlias { expr: expr.clone(), alias: name };
        }
    }
    name_joined(select);
    if dialect == Dialect::Spark {
        name_values(select);
        group_ids(select);
    }
    joined_columns(select);
    select.flavor = SelectFlavor::Standard;
    if select.projection.is_empty() && !select.from.is_empty() {
        select.projection.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
    }
    // PostgreSQL and BigQuery know no aliases within the columns themselves.
    if !matches!(dialect, Dialect::Postgres | Dialect::BigQuery) {
        spread_aliases(select);
    }
}

/// Names for queries in a join that have none, so that their columns can be told apart.
fn name_joined(select: &mut Select) {
    let mut count = 0;
    for from in select.from.iter_mut().filter(|from| !from.joins.is_empty()) {
        let factors = std::iter::once(&mut from.relation).chain(from.joins.iter_mut().map(|join| &mut join.relation));
        for factor in factors {
            count += 1;
            if let TableFactor::Derived { alias: alias @ None, .. } = factor {
                *alias = Some(pivot::plain_alias(&format!("__query_{count}")));
            }
        }
    }
}

/// Spark calls the columns of VALUES `col1`, `col2`.
fn name_values(select: &mut Select) {
    for from in &mut select.from {
        let TableFactor::Derived { subquery, alias: alias @ None, .. } = &mut from.relation else { continue };
        let SetExpr::Values(values) = subquery.body.as_ref() else { continue };
        let width = values.rows.first().map_or(0, |row| row.content.len());
        let column = |at: usize| TableAliasColumnDef { name: Ident::new(format!("col{at}")), data_type: None };
        *alias = Some(TableAlias { columns: (1..=width).map(column).collect(), ..pivot::plain_alias("values_") });
    }
}

/// `GROUPING_ID()` is of all keys of GROUP BY.
fn group_ids(select: &mut Select) {
    let GroupByExpr::Expressions(keys, _) = &select.group_by else { return };
    let mut all: Vec<Expr> = Vec::new();
    for key in keys {
        match key {
            Expr::Rollup(sets) | Expr::Cube(sets) | Expr::GroupingSets(sets) => {
                all.extend(sets.iter().flatten().cloned());
            }
            other => all.push(other.clone()),
        }
    }
    let mut seen: Vec<Expr> = Vec::new();
    all.retain(|key| {
        let is_new = !seen.contains(key);
        seen.push(key.clone());
        is_new
    });
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Function(function))
        | SelectItem::ExprWithAlias { expr: Expr::Function(function), .. } = item
            && function_name(&function.name) == "grouping_id"
            && super::build::arguments(function).is_some_and(|given| given.is_empty())
        {
            *function = super::build::function("grouping_id", all.clone());
        }
    }
}

/// After its expressions were rewritten.
pub(super) fn end(dialect: Dialect, select: &mut Select) -> Result<(), Problem> {
    super::relations::rewrite(dialect, select)?;
    let mut items = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(mut options) => {
                if let Some(written) = written_out(select, &options)? {
                    items.extend(written);
                    continue;
                }
                let renamed = wildcard(&mut options)?;
                items.push(SelectItem::Wildcard(options));
                items.extend(renamed);
            }
            SelectItem::QualifiedWildcard(kind, mut options) => {
                let renamed = wildcard(&mut options)?;
                items.push(SelectItem::QualifiedWildcard(kind, options));
                items.extend(renamed);
            }
            SelectItem::ExprWithAliases { expr, aliases } => items.extend(several(&expr, aliases)?),
            SelectItem::UnnamedExpr(ref expr) => match unnamed(dialect, expr) {
                Some(columns) => items.extend(columns),
                None => items.push(item),
            },
            other => items.push(other),
        }
    }
    select.projection = items;
    super::sorting::apart(select);
    if let Some(exclude) = select.exclude.take()
        && let Some(SelectItem::Wildcard(options)) = select.projection.first_mut()
    {
        options.opt_exclude = Some(exclude);
    }
    if select.value_table_mode.take() == Some(ValueTableMode::AsStruct) {
        let values = select.projection.iter().filter_map(|item| match item {
            SelectItem::UnnamedExpr(expr) => Some(expr.clone()),
            SelectItem::ExprWithAlias { expr, alias } => {
                Some(Expr::Named { expr: Box::new(expr.clone()), name: alias.clone() })
            }
            _ => None,
        });
        let structure = literals::structure(dialect, values.collect(), &[])?;
        select.projection = vec![SelectItem::UnnamedExpr(structure)];
    }
    if let GroupByExpr::Expressions(keys, modifiers) = &mut select.group_by {
        let is_all = matches!(keys.as_slice(), [Expr::Identifier(name)] if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("all"));
        if let [Expr::Function(function)] = keys.as_slice()
            && let Some(given) = super::build::arguments(function)
        {
            let sets = given.into_iter().map(|key| vec![key]).collect();
            match function_name(&function.name).as_str() {
                "rollup" => *keys = vec![Expr::Rollup(sets)],
                "cube" => *keys = vec![Expr::Cube(sets)],
                _ => {}
            }
        }
        let each = || keys.iter().map(|key| vec![key.clone()]).collect();
        let rolled = match modifiers.as_slice() {
            [] => None,
            [GroupByWithModifier::Rollup] => Some(Expr::Rollup(each())),
            [GroupByWithModifier::Cube] => Some(Expr::Cube(each())),
            _ => {
                return Err((
                    String::from("this kind of GROUP BY"),
                    String::from("Use ROLLUP, CUBE or GROUPING SETS."),
                ));
            }
        };
        if is_all {
            select.group_by = GroupByExpr::All(Vec::new());
        } else if let Some(rolled) = rolled {
            select.group_by = GroupByExpr::Expressions(vec![rolled], Vec::new());
        }
    }
    // How rows are spread over machines is no matter here.
    select.cluster_by.clear();
    select.distribute_by.clear();
    if !select.sort_by.is_empty() || !select.connect_by.is_empty() {
        return Err((String::from("SORT BY or CONNECT BY"), String::from("Use ORDER BY, or a recursive WITH.")));
    }
    Ok(())
}
