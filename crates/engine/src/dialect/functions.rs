//! Functions: the table of the dialect, then what all have in common, then what the engine has under the same name.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, DuplicateTreatment, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgOperator,
    FunctionArgumentClause, FunctionArguments, NullTreatment, OrderByExpr, VisitorMut, WindowType,
};
use std::ops::ControlFlow;

use super::build::{arguments, binary, function_name};
use super::template::{Problem, arity, fill};
use super::walk::Walk;
use super::{
    Dialect, Known, aggregates, bigquery, calls, duckdb, literals, postgres, redshift, selects, shared, snowflake,
    sorting, spark,
};

pub(super) use calls::array_of;

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
            *expr = over_window(function.clone());
        }
        ControlFlow::Break(())
    }
}

/// An aggregate with an order of its own is sorted apart over a window, where the engine has no order for it.
fn over_window(function: Function) -> Expr {
    let sorted = function.over.is_some().then(|| sorting::collected(&function)).flatten();
    sorted.unwrap_or(Expr::Function(function))
}

/// `f(a = 1)` is a comparison, although the grammar reads the name of an argument.
pub(super) fn conditions(function: &mut Function) {
    let FunctionArguments::List(list) = &mut function.args else { return };
    for arg in &mut list.args {
        if let FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), operator: FunctionArgOperator::Equals } =
            arg
        {
            let same = Expr::BinaryOp {
                left: Box::new(Expr::Identifier(name.clone())),
                op: BinaryOperator::Eq,
                right: Box::new(value.clone()),
            };
            *arg = FunctionArg::Unnamed(FunctionArgExpr::Expr(same));
        }
    }
}

/// A call as the engine makes it.
pub(super) fn rewrite(dialect: Dialect, mut function: Function, known: &dyn Known) -> Result<Expr, Problem> {
    let name = function_name(&function.name);
    settle(dialect, &mut function, &name)?;
    aggregates::tell_casts_apart(&mut function, known);
    if let Some(result) = aggregates::rewrite(dialect, &name, &function) {
        return result;
    }
    if name == "make_interval" || name == "make_dt_interval" {
        return literals::made_interval(dialect, &name, &function);
    }
    if let Some(structure) = calls::structure(&name, &function) {
        return Ok(structure);
    }
    let given = arguments(&function);
    if let Some(given) = &given
        && let Some(result) = calls::special(dialect, &name, given)
    {
        return around(result?, function, known);
    }
    let count = given.as_ref().map_or(usize::MAX, Vec::len);
    match (template(dialect, &name, count), given) {
        (Some(Ok(template)), given) => match (template.strip_prefix('!'), given) {
            (Some(reason), _) => Err((format!("the function {name}"), reason.trim().to_owned())),
            (None, Some(given)) => around(fill(dialect, template, &given)?, function, known),
            (None, None) => Err((
                format!("the function {name} with * or with names of arguments"),
                String::from("Write its arguments in their order, one by one."),
            )),
        },
        (Some(Err(arities)), Some(_)) => {
            let arities: Vec<String> = arities.iter().map(ToString::to_string).collect();
            Err((
                format!("the function {name} with {count} arguments"),
                format!("It is known with {} here.", arities.join(" or ")),
            ))
        }
        _ if known.is_aggregate(&name) => {
            let around = Around::take(&mut function);
            let mut function = named(function, name);
            around.put(&mut function);
            Ok(over_window(function))
        }
        _ if given_names(&function) => Err((
            format!("names of arguments with {name}"),
            String::from("Write its arguments in their order, one by one."),
        )),
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

/// A decimal literal as it was written.
pub(super) fn plain_number(expr: &mut Expr) {
    if let Expr::Cast { expr: inner, data_type: datafusion::sql::sqlparser::ast::DataType::Decimal(_), .. } = &*expr
        && let Some(digits) = super::build::literal_text(inner)
    {
        *expr = Expr::value(datafusion::sql::sqlparser::ast::Value::Number(digits.to_owned(), false));
    }
}

/// Whether an argument has a name.
fn given_names(function: &Function) -> bool {
    let FunctionArguments::List(list) = &function.args else { return false };
    list.args.iter().any(|arg| !matches!(arg, FunctionArg::Unnamed(_)))
}

/// What the table of a dialect makes of a call.
pub(super) fn call_of(dialect: Dialect, name: &str, given: &[Expr]) -> Result<Expr, Problem> {
    match template(dialect, name, given.len()) {
        Some(Ok(template)) => fill(dialect, template, given),
        _ => Err((format!("the function {name}"), String::from("docs/dialects.md lists what each dialect has."))),
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
    result.walk(&mut put);
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
                    list.clauses.push(limit);
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
