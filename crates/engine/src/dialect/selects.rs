//! SELECT: names of columns, aliases used by other columns, the order of NULLs.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, Expr, GroupByExpr, GroupByWithModifier, Ident, JoinConstraint, JoinOperator, LimitClause,
    NamedWindowExpr, OrderByExpr, OrderByKind, OrderByOptions, Query, Select, SelectItem, SetExpr, SetOperator,
    TopQuantity, ValueTableMode, VisitMut, VisitorMut, WildcardAdditionalOptions, WindowFrame, WindowFrameBound,
    WindowFrameUnits, WindowSpec,
};

use super::Dialect;
use super::build::function_name;
use super::template::Problem;
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
}

pub(super) fn query(dialect: Dialect, query: &mut Query) {
    minus(&mut query.body);
    if query.limit_clause.is_none()
        && let Some(limit) = first_rows(query)
    {
        query.limit_clause = Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, limit_by: Vec::new() });
    }
    if let Some(by) = &mut query.order_by {
        match &mut by.kind {
            OrderByKind::Expressions(keys) => order(dialect, keys),
            OrderByKind::All(given) => options(dialect, given),
        }
    }
}

/// MINUS is another word for EXCEPT.
fn minus(body: &mut SetExpr) {
    if let SetExpr::SetOperation { left, op, right, .. } = body {
        if *op == SetOperator::Minus {
            *op = SetOperator::Except;
        }
        minus(left);
        minus(right);
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
    joined_columns(select);
    if select.projection.is_empty() && !select.from.is_empty() {
        select.projection.push(SelectItem::Wildcard(WildcardAdditionalOptions::default()));
    }
    // PostgreSQL and BigQuery know no aliases within the columns themselves.
    if !matches!(dialect, Dialect::Postgres | Dialect::BigQuery) {
        spread_aliases(select);
    }
}

/// The columns of FULL JOIN ... USING are those of whichever side has a row.
fn joined_columns(select: &mut Select) {
    let mut known: HashMap<String, Expr> = HashMap::new();
    for from in &select.from {
        let Some(left) = super::relations::name_of(&from.relation) else { continue };
        for join in &from.joins {
            let JoinOperator::FullOuter(JoinConstraint::Using(names)) = &join.join_operator else { continue };
            let Some(right) = super::relations::name_of(&join.relation) else { continue };
            for name in names.iter().filter_map(|name| name.0.last()?.as_ident()) {
                let of = |table: &str| Expr::CompoundIdentifier(vec![Ident::new(table), name.clone()]);
                known.insert(name.value.to_lowercase(), super::build::call("coalesce", vec![of(&left), of(&right)]));
            }
        }
    }
    if known.is_empty() {
        return;
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(name)) = item {
            *item = SelectItem::ExprWithAlias { expr: Expr::Identifier(name.clone()), alias: name.clone() };
        }
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            put(&known, expr);
        }
    }
    for condition in [&mut select.selection, &mut select.having, &mut select.qualify].into_iter().flatten() {
        put(&known, condition);
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        keys.iter_mut().for_each(|key| put(&known, key));
    }
}

/// The name a column without an alias has, where the translation would change it.
fn own_name(dialect: Dialect, expr: &Expr) -> Option<Ident> {
    let is_postgres = matches!(dialect, Dialect::Postgres | Dialect::Redshift);
    match expr {
        Expr::Cast { expr, .. } if is_postgres => last_name(expr),
        Expr::Cast { expr, kind: CastKind::DoubleColon, .. } => last_name(expr),
        Expr::Function(function) if is_postgres => {
            function.name.0.last()?.as_ident().map(|name| Ident::new(name.value.to_lowercase()))
        }
        Expr::JsonAccess { .. } => None,
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last()? {
            datafusion::sql::sqlparser::ast::AccessExpr::Dot(Expr::Identifier(name)) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn last_name(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(name) => Some(name.clone()),
        Expr::CompoundIdentifier(names) => names.last().cloned(),
        Expr::Nested(inner) => last_name(inner),
        _ => None,
    }
}

/// Puts the expression of an alias where a later column, or a condition, uses it. A name that the expression itself has in it is
/// a column, and stays one.
fn spread_aliases(select: &mut Select) {
    let mut known: HashMap<String, Expr> = HashMap::new();
    let plain: Vec<String> = select.projection.iter().filter_map(plain_column).collect();
    for item in &mut select.projection {
        let SelectItem::ExprWithAlias { expr, alias } = item else {
            if let SelectItem::UnnamedExpr(expr) = item {
                put(&known, expr);
            }
            continue;
        };
        put(&known, expr);
        let name = alias.value.to_lowercase();
        let is_column = plain.contains(&name) || uses(expr, &name);
        if !is_column {
            known.insert(name, expr.clone());
        }
    }
    for condition in [&mut select.selection, &mut select.having].into_iter().flatten() {
        put(&known, condition);
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        for key in keys {
            // A key that is an alias alone is understood as it is.
            if !matches!(key, Expr::Identifier(_)) {
                put(&known, key);
            }
        }
    }
}

/// A column taken as it is, by its name.
fn plain_column(item: &SelectItem) -> Option<String> {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return None };
    match item {
        SelectItem::UnnamedExpr(_) => last_name(expr).map(|name| name.value.to_lowercase()),
        _ => None,
    }
}

fn put(known: &HashMap<String, Expr>, expr: &mut Expr) {
    if known.is_empty() {
        return;
    }
    let _: ControlFlow<()> = expr.visit(&mut Aliases { known, inside: 0 });
}

fn uses(expr: &Expr, name: &str) -> bool {
    let mut expr = expr.clone();
    let known = HashMap::from([(name.to_owned(), super::build::null())]);
    let before = expr.to_string();
    put(&known, &mut expr);
    before != expr.to_string()
}

struct Aliases<'a> {
    known: &'a HashMap<String, Expr>,
    inside: usize,
}

impl VisitorMut for Aliases<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.inside += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.inside -= 1;
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.inside == 0
            && let Expr::Identifier(name) = expr
            && let Some(found) = self.known.get(&name.value.to_lowercase())
        {
            *expr = Expr::Nested(Box::new(found.clone()));
        }
        ControlFlow::Continue(())
    }
}

/// After its expressions were rewritten.
pub(super) fn end(dialect: Dialect, select: &mut Select) -> Result<(), Problem> {
    super::relations::rewrite(dialect, select)?;
    let mut items = Vec::with_capacity(select.projection.len());
    for item in std::mem::take(&mut select.projection) {
        match item {
            SelectItem::Wildcard(mut options) => {
                let renamed = wildcard(&mut options);
                items.push(SelectItem::Wildcard(options));
                items.extend(renamed);
            }
            SelectItem::QualifiedWildcard(kind, mut options) => {
                let renamed = wildcard(&mut options);
                items.push(SelectItem::QualifiedWildcard(kind, options));
                items.extend(renamed);
            }
            SelectItem::ExprWithAliases { expr, aliases } => items.extend(several(&expr, aliases)?),
            other => items.push(other),
        }
    }
    select.projection = items;
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
    for window in &mut select.named_window {
        if let NamedWindowExpr::WindowSpec(spec) = &mut window.1 {
            self::window(dialect, spec);
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

/// EXCEPT in the engine's words; renamed columns come after the others.
fn wildcard(options: &mut WildcardAdditionalOptions) -> Vec<SelectItem> {
    use datafusion::sql::sqlparser::ast::{ExcludeSelectItem, ObjectName, ObjectNamePart, RenameSelectItem};
    if let Some(except) = options.opt_except.take() {
        options.opt_exclude = Some(pivot::excluded(&except));
    }
    let renamed = match options.opt_rename.take() {
        None => return Vec::new(),
        Some(RenameSelectItem::Single(one)) => vec![one],
        Some(RenameSelectItem::Multiple(several)) => several,
    };
    let mut gone = match options.opt_exclude.take() {
        Some(ExcludeSelectItem::Multiple(names)) => names,
        Some(ExcludeSelectItem::Single(name)) => vec![name],
        None => Vec::new(),
    };
    let mut items = Vec::new();
    for one in renamed {
        gone.push(ObjectName(vec![ObjectNamePart::Identifier(one.ident.clone())]));
        items.push(SelectItem::ExprWithAlias { expr: Expr::Identifier(one.ident), alias: one.alias });
    }
    options.opt_exclude = Some(ExcludeSelectItem::Multiple(gone));
    items
}

/// `posexplode(a) AS (pos, item)`
fn several(expr: &Expr, aliases: Vec<Ident>) -> Result<Vec<SelectItem>, Problem> {
    use super::build::{arguments, call};
    let problem = || (format!("several names for `{expr}`"), String::from("Use LATERAL VIEW."));
    let Expr::Function(function) = expr else { return Err(problem()) };
    let list = arguments(function).and_then(|args| args.first().cloned()).ok_or_else(problem)?;
    let columns = match function_name(&function.name).as_str() {
        "posexplode" => [call("list_offsets", vec![list.clone()]), list],
        "explode" | "unnest" => [call("map_keys", vec![list.clone()]), call("map_values", vec![list])],
        _ => return Err(problem()),
    };
    let item = |(column, alias)| SelectItem::ExprWithAlias { expr: call("unnest", vec![column]), alias };
    Ok(columns.into_iter().zip(aliases).map(item).collect())
}
