//! Aggregates the engine does not have: they take what `array_agg` collected.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, HavingBoundKind, NullTreatment, OrderByExpr, OrderByOptions,
};

use super::build::{arguments, binary, call, function, function_name, number, text, wrapped};
use super::functions::plain_number;
use super::template::Problem;
use super::{Dialect, Known};

/// What a value collected with the filter and window of an aggregate is.
fn collected(aggregate: &Function, value: &Expr) -> Function {
    let mut collect = function("array_agg", vec![value.clone()]);
    collect.filter.clone_from(&aggregate.filter);
    collect.over.clone_from(&aggregate.over);
    collect
}

/// An aggregate of the engine's that takes another way; `None` for all others.
pub(super) fn rewrite(dialect: Dialect, name: &str, function: &Function) -> Option<Result<Expr, Problem>> {
    if let Some(result) = limited(name, function) {
        return Some(result);
    }
    ordered_set(name, function)
        .or_else(|| percentile(dialect, name, function))
        .or_else(|| counted(name, function))
        .or_else(|| average(dialect, name, function))
        .or_else(|| known_value(dialect, name, function))
        .map(Ok)
}

/// `percentile_cont(0.5) WITHIN GROUP (ORDER BY x)`, `percentile_disc`, `mode`.
fn ordered_set(name: &str, function: &Function) -> Option<Expr> {
    let [key] = function.within_group.as_slice() else { return None };
    let collect = Expr::Function(collected(function, &key.expr));
    let how = match name {
        "mode" => return Some(call("list_mode", vec![collect])),
        "percentile_disc" | "approx_percentile_disc" => "list_percentile",
        "percentile_cont" | "approx_percentile_cont" => "list_interpolated",
        _ => return None,
    };
    let mut fraction = arguments(function)?.first()?.clone();
    plain_numbers(&mut fraction);
    let mut args = vec![collect, fraction];
    if key.options.asc == Some(false) {
        args.push(text("desc"));
    }
    Some(call(how, args))
}

/// `PERCENTILE_CONT(x, 0.5)` and its like, with one fraction or an array of them.
fn percentile(dialect: Dialect, name: &str, function: &Function) -> Option<Expr> {
    let how = match (name, dialect) {
        ("percentile_cont" | "quantile_cont", _) | ("percentile", Dialect::Spark) => "list_interpolated",
        ("percentile_disc" | "quantile" | "quantile_disc" | "percentile_approx", _) => "list_percentile",
        ("approx_percentile", Dialect::Spark) => "list_percentile",
        ("approx_quantiles", Dialect::BigQuery) => "list_quantiles",
        _ => return None,
    };
    let given = arguments(function)?;
    let [value, fraction, ..] = given.as_slice() else { return None };
    let mut fraction = fraction.clone();
    plain_numbers(&mut fraction);
    Some(call(how, vec![Expr::Function(collected(function, value)), fraction]))
}

/// Decimal literals as they were written: how far is a plain number there.
fn plain_numbers(expr: &mut Expr) {
    match expr {
        Expr::Array(array) => array.elem.iter_mut().for_each(plain_number),
        Expr::Function(function) => {
            if let FunctionArguments::List(list) = &mut function.args {
                for arg in &mut list.args {
                    if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg {
                        plain_number(expr);
                    }
                }
            }
        }
        other => plain_number(other),
    }
}

/// Redshift's average of whole numbers is one.
fn average(dialect: Dialect, name: &str, function: &Function) -> Option<Expr> {
    if name != "avg" || dialect != Dialect::Redshift {
        return None;
    }
    let part = |name: &str| {
        let mut part = function.clone();
        part.name = super::build::object_name(name);
        Expr::Function(part)
    };
    Some(call("redshift_average", vec![part("sum"), part("count")]))
}

/// `COUNT(a, b)`: of rows where neither is NULL.
fn counted(name: &str, function: &Function) -> Option<Expr> {
    let given = arguments(function)?;
    if name != "count" || given.len() < 2 {
        return None;
    }
    let is_distinct = matches!(&function.args, FunctionArguments::List(list) if list.duplicate_treatment == Some(DuplicateTreatment::Distinct));
    let present = given.iter().map(|expr| Expr::IsNotNull(Box::new(wrapped(expr.clone()))));
    let present = present.reduce(|one, other| binary(one, BinaryOperator::And, other))?;
    let value = if is_distinct {
        let field = |(index, expr): (usize, &Expr)| [text(&format!("f{index}")), expr.clone()];
        call("named_struct", given.iter().enumerate().flat_map(field).collect())
    } else {
        number(1)
    };
    let mut count = function.clone();
    if let FunctionArguments::List(list) = &mut count.args {
        let value = super::build::case(vec![(present, value)], None);
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value))];
    }
    Some(Expr::Function(count))
}

/// `last_value(x, true)` over a window: the last that is not NULL.
fn known_value(dialect: Dialect, name: &str, function: &Function) -> Option<Expr> {
    let given = arguments(function)?;
    let [value, Expr::Value(skips)] = given.as_slice() else { return None };
    let skips = skips.value.to_string().eq_ignore_ascii_case("true");
    let name = match name {
        "first" | "first_value" => "first_value",
        "last" | "last_value" => "last_value",
        _ => return None,
    };
    if dialect != Dialect::Spark || !skips || function.over.is_none() {
        return None;
    }
    let mut of = function.clone();
    of.name = super::build::object_name(name);
    of.null_treatment = Some(NullTreatment::IgnoreNulls);
    if let FunctionArguments::List(list) = &mut of.args {
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(value.clone()))];
    }
    Some(Expr::Function(of))
}

/// Casts within an aggregate under a name of their own: the engine calls `sum(x)` and `sum(CAST(x AS t))` the same.
pub(super) fn tell_casts_apart(function: &mut Function, known: &dyn Known) {
    if !known.is_aggregate(&function_name(&function.name)) {
        return;
    }
    let FunctionArguments::List(list) = &mut function.args else { return };
    for arg in &mut list.args {
        if let FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) = arg
            && let Expr::Cast { expr: inner, data_type, .. } = &*expr
            && super::build::literal_text(inner).is_none()
        {
            *expr = call("as_is", vec![expr.clone(), text(&data_type.to_string())]);
        }
    }
}

/// LIMIT and HAVING MAX within the parentheses of an aggregate.
fn limited(name: &str, function: &Function) -> Option<Result<Expr, Problem>> {
    if !matches!(name, "array_agg" | "string_agg" | "listagg" | "any_value") {
        return None;
    }
    let FunctionArguments::List(list) = &function.args else { return None };
    let limit = list.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::Limit(limit) => Some(limit.clone()),
        _ => None,
    });
    let bound = list.clauses.iter().find_map(|clause| match clause {
        FunctionArgumentClause::Having(bound) => Some(bound.clone()),
        _ => None,
    });
    if limit.is_none() && bound.is_none() {
        return None;
    }
    let mut inner = function.clone();
    if let FunctionArguments::List(list) = &mut inner.args {
        list.clauses
            .retain(|clause| !matches!(clause, FunctionArgumentClause::Limit(_) | FunctionArgumentClause::Having(_)));
    }
    if let Some(bound) = bound {
        let given = arguments(&inner)?;
        let mut chosen = super::build::function("first_value", vec![given.first()?.clone()]);
        let asc = Some(matches!(bound.0, HavingBoundKind::Min));
        let key =
            OrderByExpr { expr: bound.1, options: OrderByOptions { asc, nulls_first: Some(false) }, with_fill: None };
        if let FunctionArguments::List(list) = &mut chosen.args {
            list.clauses.push(FunctionArgumentClause::OrderBy(vec![key]));
        }
        chosen.filter = function.filter.clone();
        chosen.over = function.over.clone();
        return Some(Ok(Expr::Function(chosen)));
    }
    if name != "array_agg" {
        let separator = arguments(&inner).and_then(|args| args.get(1).cloned()).unwrap_or_else(|| text(","));
        if let FunctionArguments::List(list) = &mut inner.args {
            list.args.truncate(1);
        }
        inner.name = super::build::object_name("array_agg");
        let pieces = call("array_slice", vec![Expr::Function(inner), number(1), limit?]);
        return Some(Ok(call("list_string_agg", vec![pieces, separator])));
    }
    Some(Ok(call("array_slice", vec![Expr::Function(inner), number(1), limit?])))
}
