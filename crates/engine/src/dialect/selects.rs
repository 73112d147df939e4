//! SELECT: names of columns, aliases used by other columns, the order of NULLs.

use std::collections::HashMap;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, Expr, GroupByExpr, Ident, NamedWindowExpr, OrderByExpr, OrderByKind, OrderByOptions, Query, Select,
    SelectItem, ValueTableMode, VisitMut, VisitorMut, WildcardAdditionalOptions, WindowSpec,
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

pub(super) fn window(dialect: Dialect, window: &mut WindowSpec) {
    order(dialect, &mut window.order_by);
}

pub(super) fn query(dialect: Dialect, query: &mut Query) {
    if let Some(by) = &mut query.order_by {
        match &mut by.kind {
            OrderByKind::Expressions(keys) => order(dialect, keys),
            OrderByKind::All(given) => options(dialect, given),
        }
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
    // PostgreSQL and BigQuery know no aliases within the columns themselves.
    if !matches!(dialect, Dialect::Postgres | Dialect::BigQuery) {
        spread_aliases(select);
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
        let is_column = plain.contains(&name) || uses(expr, &name) || matches!(expr, Expr::Value(_));
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
