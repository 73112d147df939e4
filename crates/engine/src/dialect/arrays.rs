//! Queries over one array, as functions of the array: `(SELECT MAX(x) FROM UNNEST(a) AS x WHERE x > 1)` looks at each row's own
//! array, which is what functions with lambdas do, and no join.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Distinct, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause, FunctionArguments, GroupByExpr,
    Ident, LambdaFunction, LimitClause, OneOrManyWithParens, OrderByExpr, OrderByKind, Query, Select, SelectItem,
    SetExpr, TableFactor, ValueTableMode, VisitorMut,
};

use super::Dialect;
use super::build::{binary, call, function_name, ident, literal_integer, number, text};
use super::walk::{Rewrite, Walk};

/// What a lambda is written as between translation and planning: the engine's own grammar has none. The arguments are the names
/// of the parameters, as text, and the body.
pub(crate) const LAMBDA: &str = "headwater_lambda";

/// The name of an item within a lambda.
const ITEM: &str = "__item";

/// `x -> body`
pub(super) fn lambda(parameters: &[String], body: Expr) -> Expr {
    let mut args: Vec<Expr> = parameters.iter().map(|name| text(name)).collect();
    args.push(body);
    call(LAMBDA, args)
}

/// A lambda of the dialect's own.
pub(super) fn of_lambda(function: &LambdaFunction) -> Expr {
    let name =
        |parameter: &datafusion::sql::sqlparser::ast::LambdaFunctionParameter| parameter.name.value.to_lowercase();
    let names: Vec<String> = match &function.params {
        OneOrManyWithParens::One(one) => vec![name(one)],
        OneOrManyWithParens::Many(many) => many.iter().map(name).collect(),
    };
    let mut body = (*function.body).clone();
    body.walk(&mut Fields(&names));
    lambda(&names, body)
}

/// Fields of a lambda's parameters: `s.v`.
struct Fields<'a>(&'a [String]);

impl VisitorMut for Fields<'_> {
    type Break = ();

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::CompoundIdentifier(names) = &*expr
            && let Some((first, rest)) = names.split_first()
            && self.0.contains(&first.value.to_lowercase())
        {
            let parameter = Expr::Identifier(first.clone());
            *expr = rest.iter().fold(parameter, |at, name| call("get_field", vec![at, text(&name.value)]));
        }
        ControlFlow::Continue(())
    }
}

/// A query over one array and nothing else.
struct OverArray {
    array: Expr,
    /// The fields of its items, where it is written out.
    fields: Option<Vec<String>>,
    alias: Option<String>,
    condition: Option<Expr>,
    item: Expr,
    is_distinct: bool,
    order: Vec<OrderByExpr>,
    limit: Option<i64>,
}

fn over_array(dialect: Dialect, query: &Query) -> Option<OverArray> {
    let SetExpr::Select(select) = query.body.as_ref() else { return None };
    if query.with.is_some() || query.fetch.is_some() || !is_plain(select) {
        return None;
    }
    let [from] = select.from.as_slice() else { return None };
    let TableFactor::UNNEST { alias, array_exprs, with_offset, with_offset_alias, .. } = &from.relation else {
        return None;
    };
    let ([array], true) = (array_exprs.as_slice(), from.joins.is_empty()) else { return None };
    let item = match (select.projection.as_slice(), &select.value_table_mode) {
        ([SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }], None) => item.clone(),
        (
            [SelectItem::UnnamedExpr(item) | SelectItem::ExprWithAlias { expr: item, .. }],
            Some(ValueTableMode::AsValue),
        ) => item.clone(),
        (items, Some(ValueTableMode::AsStruct)) => structure(items)?,
        _ => return None,
    };
    let mut order = match query.order_by.as_ref().map(|order| &order.kind) {
        None => Vec::new(),
        Some(OrderByKind::Expressions(order)) => order.clone(),
        Some(OrderByKind::All(_)) => return None,
    };
    super::selects::order(dialect, &mut order);
    let offset =
        with_offset.then(|| with_offset_alias.as_ref().map_or("offset", |name| name.value.as_str()).to_owned());
    // In the order of the array is how the array is.
    if let ([only], Some(offset)) = (order.as_slice(), &offset)
        && matches!(&only.expr, Expr::Identifier(name) if name.value.eq_ignore_ascii_case(offset))
        && only.options.asc != Some(false)
    {
        order.clear();
    }
    let uses_offset = offset.as_ref().is_some_and(|offset| {
        mentions(&item, offset) || select.selection.as_ref().is_some_and(|condition| mentions(condition, offset))
    });
    let limit = match &query.limit_clause {
        None => None,
        Some(LimitClause::LimitOffset { limit: Some(limit), offset: None, .. }) => Some(literal_integer(limit)?),
        Some(_) => return None,
    };
    (!uses_offset).then(|| OverArray {
        array: array.clone(),
        fields: item_fields(array),
        alias: alias.as_ref().map(|alias| {
            // PostgreSQL and DuckDB name the column behind the relation.
            alias.columns.first().map_or(&alias.name, |column| &column.name).value.to_lowercase()
        }),
        condition: select.selection.clone(),
        item,
        is_distinct: matches!(select.distinct, Some(Distinct::Distinct)),
        order,
        limit,
    })
}

fn item_fields(array: &Expr) -> Option<Vec<String>> {
    let Expr::Array(array) = array else { return None };
    let Expr::Struct { values, .. } = array.elem.first()? else { return None };
    let name = |value: &Expr| match value {
        Expr::Named { name, .. } | Expr::Identifier(name) => Some(name.value.to_lowercase()),
        _ => None,
    };
    values.iter().map(name).collect()
}

fn is_plain(select: &Select) -> bool {
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers) if keys.is_empty() && modifiers.is_empty());
    ungrouped && select.having.is_none() && select.qualify.is_none() && select.lateral_views.is_empty()
}

fn structure(items: &[SelectItem]) -> Option<Expr> {
    let mut values = Vec::new();
    for item in items {
        values.push(match item {
            SelectItem::UnnamedExpr(expr) => expr.clone(),
            SelectItem::ExprWithAlias { expr, alias } => {
                Expr::Named { expr: Box::new(expr.clone()), name: alias.clone() }
            }
            _ => return None,
        });
    }
    Some(Expr::Struct { values, fields: Vec::new() })
}

pub(super) fn mentions(expr: &Expr, name: &str) -> bool {
    let mut expr = expr.clone();
    let mut found = Mentions { name, found: false };
    expr.walk(&mut found);
    found.found
}

struct Mentions<'a> {
    name: &'a str,
    found: bool,
}

impl VisitorMut for Mentions<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        self.found |= matches!(expr, Expr::Identifier(name) if name.value.eq_ignore_ascii_case(self.name));
        ControlFlow::Continue(())
    }
}

/// A list in the order of its items.
fn sorted(list: Expr, key: &OrderByExpr) -> Expr {
    let direction = if key.options.asc == Some(false) { "DESC" } else { "ASC" };
    let nulls = if key.options.nulls_first == Some(true) { "NULLS FIRST" } else { "NULLS LAST" };
    call("array_sort", vec![list, text(direction), text(nulls)])
}

impl OverArray {
    /// An expression about an item, as the body of a lambda.
    fn body(&self, expr: &Expr) -> Expr {
        let is_scalar = self.alias.as_ref().is_some_and(|alias| {
            mentions(&self.item, alias) || self.condition.as_ref().is_some_and(|condition| mentions(condition, alias))
        });
        let mut body = expr.clone();
        body.walk_own(&mut Items { alias: self.alias.as_deref(), fields: self.fields.as_deref(), is_scalar });
        body
    }

    fn lambda(&self, expr: &Expr) -> Expr {
        lambda(&[String::from(ITEM)], self.body(expr))
    }

    fn kept(&self) -> Expr {
        match &self.condition {
            Some(condition) => call("array_filter", vec![self.array.clone(), self.lambda(condition)]),
            None => self.array.clone(),
        }
    }

    /// The values of an expression, one for each item that is kept.
    fn values(&self, expr: &Expr) -> Expr {
        let is_item = matches!(self.body(expr), Expr::Identifier(name) if name.value == ITEM);
        if is_item { self.kept() } else { call("array_transform", vec![self.kept(), self.lambda(expr)]) }
    }

    fn list(&self) -> Option<Expr> {
        let mut list = self.values(&self.item);
        if self.is_distinct {
            list = call("array_distinct", vec![list]);
        }
        match self.order.as_slice() {
            [] => {}
            [only] if self.body(&only.expr) == self.body(&self.item) || literal_integer(&only.expr) == Some(1) => {
                list = sorted(list, only);
            }
            _ => return None,
        }
        if let Some(limit) = self.limit {
            list = call("array_slice", vec![list, number(1), number(limit)]);
        }
        Some(list)
    }

    fn count(list: Expr) -> Expr {
        call("coalesce", vec![call("list_size", vec![list]), number(0)])
    }

    /// The aggregate over the items, where the query is one.
    fn aggregate(&self) -> Option<Option<Expr>> {
        let Expr::Function(function) = &self.item else { return Some(None) };
        let name = function_name(&function.name);
        let FunctionArguments::List(list) = &function.args else { return Some(None) };
        let is_distinct =
            list.duplicate_treatment == Some(datafusion::sql::sqlparser::ast::DuplicateTreatment::Distinct);
        let first = list.args.first().and_then(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr),
            _ => None,
        });
        let second = list.args.get(1).and_then(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        });
        let values = |expr: &Expr| {
            let values = self.values(expr);
            if is_distinct { call("array_distinct", vec![values]) } else { values }
        };
        let filtered = |expr: &Expr| call("array_filter", vec![self.kept(), self.lambda(expr)]);
        let compact = |expr: &Expr| call("array_compact", vec![values(expr)]);
        // An order of its own: of the values themselves it is how they are sorted.
        let orders: Vec<&OrderByExpr> = list
            .clauses
            .iter()
            .flat_map(|clause| match clause {
                FunctionArgumentClause::OrderBy(keys) => keys.iter().collect(),
                _ => Vec::new(),
            })
            .collect();
        let is_item = |expr: &Expr| matches!(self.body(expr), Expr::Identifier(name) if name.value == ITEM);
        let sorted_values = |expr: &Expr| match orders.as_slice() {
            [] => Some(values(expr)),
            [key] if key.expr == *expr => Some(sorted(values(expr), key)),
            // In the order of the items, whatever is made of them.
            [key] if is_item(&key.expr) && !is_distinct => {
                Some(call("array_transform", vec![sorted(self.kept(), key), self.lambda(expr)]))
            }
            _ => None,
        };
        let is_limited = list.clauses.iter().any(|clause| !matches!(clause, FunctionArgumentClause::OrderBy(_)));
        if is_limited {
            return None;
        }
        let positive = |count: Expr| binary(count, datafusion::sql::sqlparser::ast::BinaryOperator::Gt, number(0));
        Some(Some(match (name.as_str(), first) {
            ("count", None) => Self::count(self.kept()),
            ("count", Some(expr)) => Self::count(compact(expr)),
            ("max", Some(expr)) => call("array_max", vec![values(expr)]),
            ("min", Some(expr)) => call("array_min", vec![values(expr)]),
            ("sum", Some(expr)) => call("array_sum", vec![compact(expr)]),
            ("avg", Some(expr)) => call("array_avg", vec![compact(expr)]),
            ("countif", Some(expr)) => Self::count(filtered(expr)),
            ("logical_or", Some(expr)) => positive(Self::count(filtered(expr))),
            ("any_value", Some(expr)) => call("list_item_or_null", vec![values(expr), number(0)]),
            ("array_agg", Some(expr)) => sorted_values(expr)?,
            ("string_agg", Some(expr)) => {
                let separator = second.unwrap_or_else(|| text(","));
                call("list_string_agg", vec![sorted_values(expr)?, separator])
            }
            (
                "logical_and"
                | "stddev"
                | "stddev_pop"
                | "stddev_samp"
                | "variance"
                | "var_pop"
                | "var_samp"
                | "corr"
                | "covar_pop"
                | "covar_samp"
                | "bit_and"
                | "bit_or"
                | "bit_xor"
                | "approx_count_distinct"
                | "approx_quantiles"
                | "approx_top_count"
                | "array_concat_agg"
                | "percentile_cont"
                | "percentile_disc"
                | "median"
                | "mode"
                | "bool_and"
                | "bool_or"
                | "every"
                | "first"
                | "last"
                | "arg_max"
                | "arg_min"
                | "max_by"
                | "min_by"
                | "list"
                | "count_if"
                | "json_agg"
                | "jsonb_agg"
                | "group_concat"
                | "listagg",
                _,
            ) => return None,
            _ => return Some(None),
        }))
    }
}

/// Puts the item for its alias and fields.
struct Items<'a> {
    alias: Option<&'a str>,
    fields: Option<&'a [String]>,
    /// The alias stands for the item itself: other names belong to the query around.
    is_scalar: bool,
}

impl Items<'_> {
    fn field(names: &[Ident]) -> Expr {
        let item = Expr::Identifier(ident(ITEM));
        names.iter().fold(item, |at, name| call("get_field", vec![at, text(&name.value)]))
    }

    fn is_field(&self, name: &Ident) -> bool {
        self.fields.is_none_or(|fields| fields.contains(&name.value.to_lowercase()))
    }

    fn is_alias(&self, name: &Ident) -> bool {
        self.alias.is_some_and(|alias| name.value.eq_ignore_ascii_case(alias))
    }
}

impl Rewrite for Items<'_> {
    fn after(&mut self, expr: &mut Expr) {
        let replaced = match &*expr {
            Expr::Identifier(name) if name.value == ITEM => None,
            Expr::Identifier(name) if self.is_alias(name) => Some(Expr::Identifier(ident(ITEM))),
            Expr::Identifier(name) if !self.is_scalar && self.is_field(name) => {
                Some(Self::field(std::slice::from_ref(name)))
            }
            Expr::CompoundIdentifier(names) => match names.split_first() {
                Some((first, rest)) if self.is_alias(first) => Some(Self::field(rest)),
                Some(_) if self.alias.is_none() => Some(Self::field(names)),
                _ => None,
            },
            _ => None,
        };
        if let Some(replaced) = replaced {
            *expr = replaced;
        }
    }
}

/// The expression a query over one array is; `None` when it is another kind of expression, or cannot be said so.
pub(super) fn over(dialect: Dialect, expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Subquery(query) => {
            let over = over_array(dialect, query)?;
            match over.aggregate()? {
                Some(aggregate) => Some(aggregate),
                None => Some(call("list_item_or_null", vec![over.list()?, number(0)])),
            }
        }
        Expr::Function(function) if function_name(&function.name) == "array" => {
            let FunctionArguments::Subquery(query) = &function.args else { return None };
            let list = over_array(dialect, query)?.list()?;
            Some(list)
        }
        Expr::Exists { subquery, negated } => {
            let over = over_array(dialect, subquery)?;
            let count = OverArray::count(over.kept());
            let op = if *negated {
                datafusion::sql::sqlparser::ast::BinaryOperator::Eq
            } else {
                datafusion::sql::sqlparser::ast::BinaryOperator::Gt
            };
            Some(binary(count, op, number(0)))
        }
        Expr::InSubquery { expr, subquery, negated } => {
            let item = super::build::column("__compared");
            let same = binary((**expr).clone(), datafusion::sql::sqlparser::ast::BinaryOperator::Eq, item);
            let is_same = lambda(&[String::from("__compared")], same);
            let has = call("array_any_match", vec![over_array(dialect, subquery)?.list()?, is_same]);
            Some(if *negated { super::build::not(has) } else { has })
        }
        _ => None,
    }
}

/// `ARRAY(SELECT ...)` over anything: a scalar query that collects.
pub(super) fn collected(function: &Function) -> Option<Expr> {
    let FunctionArguments::Subquery(query) = &function.args else { return None };
    let mut inner = (**query).clone();
    let SetExpr::Select(select) = inner.body.as_mut() else { return None };
    let item = match (select.projection.as_slice(), &select.value_table_mode) {
        ([SelectItem::UnnamedExpr(item)], None) => item.clone(),
        ([SelectItem::ExprWithAlias { expr, .. }], None) => expr.clone(),
        (items, Some(ValueTableMode::AsStruct)) => structure(items)?,
        _ => return None,
    };
    let mut collect = super::build::function("array_agg", vec![item]);
    if let (FunctionArguments::List(list), Some(order)) = (&mut collect.args, inner.order_by.take())
        && let OrderByKind::Expressions(order) = order.kind
    {
        list.clauses.push(datafusion::sql::sqlparser::ast::FunctionArgumentClause::OrderBy(order));
    }
    if matches!(select.distinct.take(), Some(Distinct::Distinct))
        && let FunctionArguments::List(list) = &mut collect.args
    {
        list.duplicate_treatment = Some(datafusion::sql::sqlparser::ast::DuplicateTreatment::Distinct);
    }
    select.value_table_mode = None;
    select.projection = vec![SelectItem::UnnamedExpr(Expr::Function(collect))];
    (inner.limit_clause.is_none()).then(|| call("list_or_empty", vec![Expr::Subquery(Box::new(inner))]))
}
