//! Functions: the table of the dialect, then what all have in common, then what the engine has under the same name.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentClause,
    FunctionArguments, HavingBoundKind, NullTreatment, OrderByExpr, OrderByOptions, VisitMut, VisitorMut, WindowType,
};
use std::ops::ControlFlow;

use super::build::{arguments, binary, call, function_name, number, text};
use super::template::{Problem, arity, fill};
use super::{Dialect, Known, bigquery, duckdb, postgres, redshift, selects, shared, snowflake, spark};

/// A name and what becomes of its call: a template, or the reason it has none, after `!`. The first row whose template takes
/// as many arguments as there are counts.
pub(super) type Table = &'static [(&'static str, &'static str)];

fn tables(dialect: Dialect) -> [Table; 3] {
    match dialect {
        Dialect::BigQuery => [bigquery::FUNCTIONS, &[], shared::FUNCTIONS],
        Dialect::Postgres => [postgres::FUNCTIONS, &[], shared::FUNCTIONS],
        Dialect::Redshift => [redshift::FUNCTIONS, postgres::FUNCTIONS, shared::FUNCTIONS],
        Dialect::Snowflake => [snowflake::FUNCTIONS, &[], shared::FUNCTIONS],
        Dialect::DuckDb => [duckdb::FUNCTIONS, &[], shared::FUNCTIONS],
        Dialect::Spark => [spark::FUNCTIONS, &[], shared::FUNCTIONS],
    }
}

/// The template for a call of so many arguments: `Err` when the name is known but not so.
fn template(dialect: Dialect, name: &str, count: usize) -> Option<Result<&'static str, Vec<usize>>> {
    for table in tables(dialect) {
        let rows: Vec<&'static str> =
            table.iter().filter(|(known, _)| *known == name).map(|(_, template)| *template).collect();
        if rows.is_empty() {
            continue;
        }
        let fits = |template: &&&'static str| {
            let (most, open) = arity(template);
            template.starts_with('!') || most == count || (open && count >= most)
        };
        let arities = || rows.iter().map(|template| arity(template).0).collect();
        return Some(rows.iter().find(fits).copied().ok_or_else(arities));
    }
    None
}

/// What surrounds the arguments of a call and belongs to the aggregate or window function in its translation.
struct Around {
    filter: Option<Box<Expr>>,
    null_treatment: Option<NullTreatment>,
    over: Option<WindowType>,
    within_group: Vec<OrderByExpr>,
    duplicate_treatment: Option<DuplicateTreatment>,
    clauses: Vec<FunctionArgumentClause>,
}

impl Around {
    fn take(function: &mut Function) -> Self {
        let (duplicate_treatment, clauses) = match &mut function.args {
            FunctionArguments::List(list) => (list.duplicate_treatment.take(), std::mem::take(&mut list.clauses)),
            _ => (None, Vec::new()),
        };
        Self {
            filter: function.filter.take(),
            null_treatment: function.null_treatment.take(),
            over: function.over.take(),
            within_group: std::mem::take(&mut function.within_group),
            duplicate_treatment,
            clauses,
        }
    }

    fn is_empty(&self) -> bool {
        self.filter.is_none()
            && self.null_treatment.is_none()
            && self.over.is_none()
            && self.within_group.is_empty()
            && self.duplicate_treatment.is_none()
            && self.clauses.is_empty()
    }

    fn put(mut self, function: &mut Function) {
        let is_ordered_set =
            matches!(function_name(&function.name).as_str(), "percentile_cont" | "approx_percentile_cont");
        if !is_ordered_set && !self.within_group.is_empty() {
            // The order of other aggregates stands within their parentheses.
            self.clauses.push(FunctionArgumentClause::OrderBy(std::mem::take(&mut self.within_group)));
        } else if is_ordered_set && self.over.is_some() {
            spread_group(function, &mut self.within_group);
        }
        if self.duplicate_treatment == Some(DuplicateTreatment::Distinct) {
            same_order(function, &mut self.clauses);
        }
        function.filter = match (function.filter.take(), self.filter) {
            (Some(own), Some(given)) => Some(Box::new(binary(*own, BinaryOperator::And, *given))),
            (own, given) => own.or(given),
        };
        function.null_treatment = function.null_treatment.or(self.null_treatment);
        function.over = function.over.take().or(self.over);
        if function.within_group.is_empty() {
            function.within_group = self.within_group;
        }
        if let FunctionArguments::List(list) = &mut function.args {
            list.duplicate_treatment = list.duplicate_treatment.or(self.duplicate_treatment);
            list.clauses.extend(self.clauses);
        }
    }
}

/// `percentile_cont(0.5) WITHIN GROUP (ORDER BY x)` as `percentile_cont(x, 0.5)`, which may have OVER.
fn spread_group(function: &mut Function, keys: &mut Vec<OrderByExpr>) {
    if let ([key], FunctionArguments::List(list)) = (keys.as_slice(), &mut function.args)
        && key.options.asc != Some(false)
    {
        list.args.insert(0, FunctionArg::Unnamed(FunctionArgExpr::Expr(key.expr.clone())));
        keys.clear();
    }
}

/// With DISTINCT the order must be that of the argument: where its text is aggregated, that of its text.
fn same_order(function: &Function, clauses: &mut [FunctionArgumentClause]) {
    let Some(first) = arguments(function).and_then(|args| args.first().cloned()) else { return };
    let Expr::Function(shown) = &first else { return };
    let inner = arguments(shown).and_then(|args| args.first().cloned());
    for clause in clauses {
        if let FunctionArgumentClause::OrderBy(keys) = clause
            && let [key] = keys.as_mut_slice()
            && Some(&key.expr) == inner.as_ref()
        {
            key.expr = first.clone();
        }
    }
}

/// Puts what surrounds a call around the aggregate in its translation.
struct Put<'a> {
    known: &'a dyn Known,
    around: Option<Around>,
}

impl VisitorMut for Put<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        if !self.known.is_aggregate(&function_name(&function.name)) {
            return ControlFlow::Continue(());
        }
        if let Some(around) = self.around.take() {
            around.put(function);
        }
        ControlFlow::Break(())
    }
}

/// A call as the engine makes it.
pub(super) fn rewrite(dialect: Dialect, mut function: Function, known: &dyn Known) -> Result<Expr, Problem> {
    let name = function_name(&function.name);
    settle(dialect, &mut function, &name)?;
    if let Some(result) = limited(&name, &function) {
        return result;
    }
    if let Some(result) = ordered_set(&name, &function) {
        return Ok(result);
    }
    let mut given = arguments(&function);
    if name.contains("percentile") || name.contains("quantile") {
        // How far is a plain number there.
        given.iter_mut().flatten().for_each(plain_number);
    }
    if let Some(given) = &given
        && let Some(result) = special(dialect, &name, given)
    {
        return around(result?, function, known);
    }
    let count = given.as_ref().map_or(usize::MAX, Vec::len);
    match (template(dialect, &name, count), given) {
        (Some(Ok(template)), given) => match template.strip_prefix('!') {
            Some(reason) => Err((format!("the function {name}"), reason.trim().to_owned())),
            None => around(fill(dialect, template, &given.unwrap_or_default())?, function, known),
        },
        (Some(Err(arities)), Some(_)) => {
            let arities: Vec<String> = arities.iter().map(ToString::to_string).collect();
            Err((
                format!("the function {name} with {count} arguments"),
                format!("It is known with {} here.", arities.join(" or ")),
            ))
        }
        _ if known.is_function(&name) || name == super::LAMBDA => Ok(Expr::Function(named(function, name))),
        _ => {
            let near = known.near(&name).map_or_else(
                || {
                    String::from(
                        "docs/dialects.md lists what each dialect has; a macro of the project may stand in for it.",
                    )
                },
                |near| format!("Did you mean `{near}`?"),
            );
            Err((format!("the function {name}"), near))
        }
    }
}

/// Aggregates of an order that the engine has not: they take what was collected in it.
fn ordered_set(name: &str, function: &Function) -> Option<Expr> {
    let [key] = function.within_group.as_slice() else { return None };
    let mut collect = super::build::function("array_agg", vec![key.expr.clone()]);
    collect.filter.clone_from(&function.filter);
    collect.over.clone_from(&function.over);
    match name {
        "mode" => Some(call("list_mode", vec![Expr::Function(collect)])),
        "percentile_disc" => {
            let mut fraction = arguments(function)?.first()?.clone();
            plain_number(&mut fraction);
            if let FunctionArguments::List(list) = &mut collect.args {
                list.clauses.push(FunctionArgumentClause::OrderBy(vec![key.clone()]));
            }
            let is_not_null = Expr::IsNotNull(Box::new(super::build::wrapped(key.expr.clone())));
            collect.filter = Some(Box::new(match collect.filter.take() {
                Some(before) => binary(*before, BinaryOperator::And, is_not_null),
                None => is_not_null,
            }));
            Some(call("list_percentile", vec![Expr::Function(collect), fraction]))
        }
        _ => None,
    }
}

/// A decimal literal as it was written.
fn plain_number(expr: &mut Expr) {
    if let Expr::Cast { expr: inner, data_type: datafusion::sql::sqlparser::ast::DataType::Decimal(_), .. } = &*expr
        && let Some(digits) = super::build::literal_text(inner)
    {
        *expr = Expr::value(datafusion::sql::sqlparser::ast::Value::Number(digits.to_owned(), false));
    }
}

/// Functions without a qualifier, in lower case: quoted names would not be found.
fn named(mut function: Function, name: String) -> Function {
    function.name = super::build::object_name(&name);
    function
}

fn around(mut result: Expr, mut function: Function, known: &dyn Known) -> Result<Expr, Problem> {
    let around = Around::take(&mut function);
    if around.is_empty() {
        return Ok(result);
    }
    let mut put = Put { known, around: Some(around) };
    let _: ControlFlow<()> = result.visit(&mut put);
    match put.around {
        None => Ok(result),
        Some(_) => Err((
            format!("DISTINCT, ORDER BY, FILTER or OVER with {}", function_name(&function.name)),
            String::from("They go with aggregates and window functions."),
        )),
    }
}

/// What stands within and around the arguments, in the engine's words.
fn settle(dialect: Dialect, function: &mut Function, name: &str) -> Result<(), Problem> {
    selects::order(dialect, &mut function.within_group);
    if let Some(WindowType::WindowSpec(window)) = &mut function.over {
        selects::window(dialect, window);
        if dialect == Dialect::Snowflake && matches!(name, "first_value" | "last_value" | "nth_value") {
            selects::whole_partition(window);
        }
    }
    let mut skips_nulls = false;
    if let FunctionArguments::List(list) = &mut function.args {
        for clause in std::mem::take(&mut list.clauses) {
            match clause {
                FunctionArgumentClause::IgnoreOrRespectNulls(treatment) => {
                    skips_nulls |= treatment == NullTreatment::IgnoreNulls;
                    function.null_treatment = Some(treatment);
                }
                FunctionArgumentClause::OrderBy(mut keys) => {
                    selects::order(dialect, &mut keys);
                    list.clauses.push(FunctionArgumentClause::OrderBy(keys));
                }
                FunctionArgumentClause::Separator(value) => {
                    list.args.push(FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Value(value))));
                }
                // Handled with the function.
                limit @ (FunctionArgumentClause::Limit(_) | FunctionArgumentClause::Having(_)) => {
                    list.clauses.push(limit)
                }
                // Text never is too long here.
                FunctionArgumentClause::OnOverflow(_) => {}
                other => return Err((format!("`{other}` in {name}"), String::from("Leave it out."))),
            }
        }
    }
    skips_nulls |= function.null_treatment == Some(NullTreatment::IgnoreNulls);
    // For a collecting aggregate, NULLs are left out by a filter.
    if name == "array_agg"
        && function.null_treatment.take().is_some()
        && skips_nulls
        && let Some(first) = arguments(function).and_then(|args| args.first().cloned())
    {
        let condition = Expr::IsNotNull(Box::new(super::build::wrapped(first)));
        function.filter = Some(Box::new(match function.filter.take() {
            Some(before) => binary(*before, BinaryOperator::And, condition),
            None => condition,
        }));
    }
    Ok(())
}

/// Calls that templates cannot say.
fn special(dialect: Dialect, name: &str, given: &[Expr]) -> Option<Result<Expr, Problem>> {
    Some(match name {
        // NULL in any of them makes NULL.
        "concat" if !matches!(dialect, Dialect::Postgres | Dialect::DuckDb) && !given.is_empty() => {
            let texts = given.iter().map(|expr| call(super::casts::text_function(dialect), vec![expr.clone()]));
            let joined = texts.reduce(|one, other| binary(one, BinaryOperator::StringConcat, other));
            Ok(Expr::Nested(Box::new(joined?)))
        }
        "date_part" if matches!(dialect, Dialect::Postgres | Dialect::Redshift) => {
            let [field, time] = given else { return None };
            let word = super::parts::word(field)?;
            let read = super::operators::extract(dialect, &word, time.clone());
            let double = datafusion::sql::sqlparser::ast::DataType::Double(
                datafusion::sql::sqlparser::ast::ExactNumberInfo::None,
            );
            match dialect {
                Dialect::Postgres => {
                    read.map(|read| super::build::cast(datafusion::sql::sqlparser::ast::CastKind::Cast, read, double))
                }
                _ => read,
            }
        }
        "concat_ws" if matches!(dialect, Dialect::Snowflake | Dialect::BigQuery) => {
            Ok(super::operators::unless_null(given, call("concat_ws", given.to_vec())))
        }
        "greatest" | "least" if matches!(dialect, Dialect::BigQuery | Dialect::Snowflake) => {
            Ok(super::operators::unless_null(given, call(name, given.to_vec())))
        }
        "decode" if matches!(dialect, Dialect::Snowflake | Dialect::Redshift | Dialect::Spark) && given.len() > 2 => {
            decode(given)
        }
        "map" if dialect == Dialect::Spark => {
            let (keys, values): (Vec<_>, Vec<_>) =
                given.chunks(2).filter_map(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone()))).unzip();
            Ok(call("map", vec![call("make_array", keys), call("make_array", values)]))
        }
        "named_struct" | "struct" if dialect == Dialect::Spark && name == "struct" => {
            super::literals::structure(dialect, given.to_vec(), &[])
        }
        "width_bucket" => {
            let [value, low, high, count] = given else { return None };
            let template = "CASE WHEN $1 < $2 THEN 0 WHEN $1 >= $3 THEN $4 + 1 ELSE CAST(floor(CAST($1 - $2 AS DOUBLE) / CAST($3 - $2 AS DOUBLE) * $4) AS BIGINT) + 1 END";
            fill(dialect, template, &[value.clone(), low.clone(), high.clone(), count.clone()])
        }
        _ => return None,
    })
}

/// `DECODE(x, 1, 'a', 2, 'b', 'c')`, where NULL is equal to NULL.
fn decode(given: &[Expr]) -> Result<Expr, Problem> {
    let Some((value, rest)) = given.split_first() else { return Err((String::from("decode"), String::new())) };
    let mut conditions = Vec::new();
    let pairs = rest.chunks_exact(2);
    let otherwise = pairs.remainder().first().cloned();
    for pair in pairs {
        if let [wanted, result] = pair {
            let same = Expr::IsNotDistinctFrom(
                Box::new(super::build::wrapped(value.clone())),
                Box::new(super::build::wrapped(wanted.clone())),
            );
            conditions.push((same, result.clone()));
        }
    }
    Ok(super::build::case(conditions, otherwise))
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
        return Some(Ok(call("list_text", vec![pieces, separator])));
    }
    Some(Ok(call("array_slice", vec![Expr::Function(inner), number(1), limit?])))
}
