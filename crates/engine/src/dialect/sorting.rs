//! Aggregates with an order of their own.
//!
//! The engine sorts the rows for one such order in a query, not for two, and not over a window. Where that is not enough, values
//! are collected with their keys and sorted when they are together.

use std::collections::HashSet;

use datafusion::sql::sqlparser::ast::{
    DuplicateTreatment, Expr, Function, FunctionArgumentClause, FunctionArguments, OrderByExpr, Select, SelectItem,
};

use super::build::{arguments, call, function, function_name, number, text};
use super::walk::{Rewrite, Walk};

/// The order within the parentheses of an aggregate.
fn keys(function: &Function) -> Option<&[OrderByExpr]> {
    let FunctionArguments::List(list) = &function.args else { return None };
    list.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::OrderBy(keys) if !keys.is_empty() => Some(keys.as_slice()),
        _ => None,
    })
}

fn is_distinct(function: &Function) -> bool {
    matches!(&function.args, FunctionArguments::List(list) if list.duplicate_treatment == Some(DuplicateTreatment::Distinct))
}

/// An aggregate with an order, as a function of what was collected with its keys; `None` for what has none.
pub(super) fn collected(aggregate: &Function) -> Option<Expr> {
    let keys = keys(aggregate)?;
    let given = arguments(aggregate)?;
    let mut fields = vec![text("v"), given.first()?.clone()];
    let mut how = Vec::new();
    for (index, key) in keys.iter().enumerate() {
        fields.extend([text(&format!("k{index}")), key.expr.clone()]);
        let direction = if key.options.asc == Some(false) { "desc" } else { "asc" };
        let nulls = if key.options.nulls_first == Some(true) { "first" } else { "last" };
        how.push(text(&format!("{direction} {nulls}")));
    }
    let mut collect = function("array_agg", vec![call("named_struct", fields)]);
    collect.filter.clone_from(&aggregate.filter);
    collect.over.clone_from(&aggregate.over);
    if let (FunctionArguments::List(list), true) = (&mut collect.args, is_distinct(aggregate)) {
        list.duplicate_treatment = Some(DuplicateTreatment::Distinct);
    }
    let mut args = vec![Expr::Function(collect)];
    args.extend(how);
    let ordered = call("list_ordered", args);
    match function_name(&aggregate.name).as_str() {
        "array_agg" => Some(ordered),
        "string_agg" => {
            Some(call("list_string_agg", vec![ordered, given.get(1).cloned().unwrap_or_else(|| text(","))]))
        }
        "first_value" => Some(call("list_item_or_null", vec![ordered, number(0)])),
        _ => None,
    }
}

/// Sorts apart what the engine cannot sort at once: several orders in one query, and an order of what is distinct.
pub(super) fn apart(select: &mut Select) {
    let mut orders = Orders::default();
    in_aggregates(select, &mut orders);
    in_aggregates(select, &mut Spread { all: orders.found.len() > 1 });
}

fn in_aggregates(select: &mut Select, rewrite: &mut impl Rewrite) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            expr.walk_own(rewrite);
        }
    }
    for condition in [&mut select.having, &mut select.qualify].into_iter().flatten() {
        condition.walk_own(rewrite);
    }
}

fn is_sorted(function: &Function) -> bool {
    matches!(function_name(&function.name).as_str(), "array_agg" | "string_agg") && keys(function).is_some()
}

/// The orders of aggregates, as text. Queries within have their own.
#[derive(Default)]
struct Orders {
    found: HashSet<String>,
}

impl Rewrite for Orders {
    fn before(&mut self, expr: &mut Expr) {
        if let Expr::Function(function) = expr
            && is_sorted(function)
        {
            let shown: Vec<String> = keys(function).unwrap_or_default().iter().map(ToString::to_string).collect();
            self.found.insert(shown.join(","));
        }
    }
}

struct Spread {
    all: bool,
}

impl Rewrite for Spread {
    fn after(&mut self, expr: &mut Expr) {
        if let Expr::Function(function) = expr
            && is_sorted(function)
            && (self.all || is_distinct(function))
            && let Some(sorted) = collected(function)
        {
            *expr = sorted;
        }
    }
}
