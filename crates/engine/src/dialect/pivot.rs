//! PIVOT and UNPIVOT, as what they are short for: aggregates with a filter, and a union.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, ExceptSelectItem, ExcludeSelectItem, Expr, ExprWithAlias, Function, FunctionArguments, GroupByExpr,
    Ident, NullInclusion, ObjectName, ObjectNamePart, PivotValueSource, Query, SelectItem, SetExpr, SetOperator,
    SetQuantifier, Statement, TableAlias, TableFactor, TableWithJoins, VisitorMut, WildcardAdditionalOptions,
};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::parser::Parser;

use super::Dialect;
use super::build::{binary, literal_text, text};
use super::template::Problem;
use super::walk::Walk;

/// A query as it is parsed from a text of ours.
pub(super) fn query(sql: &str) -> Option<Box<Query>> {
    let mut parsed = Parser::parse_sql(&GenericDialect {}, sql).ok()?;
    match parsed.pop()? {
        Statement::Query(query) => Some(query),
        _ => None,
    }
}

fn select_from(table: TableFactor) -> Option<Box<Query>> {
    let mut query = query("SELECT * FROM t")?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from = vec![TableWithJoins { relation: table, joins: Vec::new() }];
    }
    Some(query)
}

pub(super) fn derived(subquery: Box<Query>, alias: Option<TableAlias>) -> TableFactor {
    TableFactor::Derived { lateral: false, subquery, alias, sample: None }
}

fn internal(what: &str) -> Problem {
    (format!("{what} in this form"), String::from("Write it with CASE and GROUP BY, or UNION ALL."))
}

struct Names(Vec<String>);

impl VisitorMut for Names {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.0.push(name.value.clone()),
            Expr::CompoundIdentifier(names) => self.0.extend(names.last().map(|name| name.value.clone())),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn names_in(exprs: &[Expr]) -> Vec<String> {
    let mut names = Names(Vec::new());
    for expr in exprs {
        let mut expr = expr.clone();
        expr.walk(&mut names);
    }
    names.0.sort();
    names.0.dedup();
    names.0
}

/// Whether an expression has names of columns in it.
pub(super) fn has_names(expr: &Expr) -> bool {
    !names_in(std::slice::from_ref(expr)).is_empty()
}

fn all_but(names: &[String]) -> SelectItem {
    let excluded = names.iter().map(|name| ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))]));
    SelectItem::Wildcard(WildcardAdditionalOptions {
        opt_exclude: Some(ExcludeSelectItem::Multiple(excluded.collect())),
        ..WildcardAdditionalOptions::default()
    })
}

/// How a value is called as a column.
fn value_name(value: &ExprWithAlias) -> String {
    match &value.alias {
        Some(alias) => alias.value.clone(),
        None => literal_text(&value.expr).map_or_else(|| value.expr.to_string(), str::to_owned),
    }
}

fn filtered(function: &Function, condition: Expr) -> Expr {
    let mut function = function.clone();
    let condition = match function.filter.take() {
        Some(before) => binary(*before, BinaryOperator::And, condition),
        None => condition,
    };
    function.filter = Some(Box::new(condition));
    Expr::Function(function)
}

/// `table PIVOT (SUM(x) AS s FOR kind IN ('a', 'b'))`: rows are grouped by all columns that are not named.
pub(super) fn pivot(dialect: Dialect, factor: TableFactor) -> Result<TableFactor, Problem> {
    let TableFactor::Pivot { table, aggregate_functions, value_column, value_source, default_on_null, alias } = factor
    else {
        return Ok(factor);
    };
    let PivotValueSource::List(values) = value_source else {
        return Err(internal("PIVOT over values that are not listed"));
    };
    let ([column], None) = (value_column.as_slice(), &default_on_null) else { return Err(internal("PIVOT")) };
    let aggregates: Vec<Expr> = aggregate_functions.iter().map(|function| function.expr.clone()).collect();
    let mut items = vec![all_but(&names_in(&[aggregates, vec![column.clone()]].concat()))];
    for value in &values {
        for aggregate in &aggregate_functions {
            let Expr::Function(function) = &aggregate.expr else { return Err(internal("PIVOT")) };
            if !matches!(function.args, FunctionArguments::List(_)) {
                return Err(internal("PIVOT"));
            }
            let condition = binary(column.clone(), BinaryOperator::Eq, value.expr.clone());
            let name = pivoted_name(dialect, value, aggregate, aggregate_functions.len());
            items.push(SelectItem::ExprWithAlias {
                expr: filtered(function, condition),
                alias: Ident::with_quote('"', name),
            });
        }
    }
    let mut query = select_from(*table).ok_or_else(|| internal("PIVOT"))?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.projection = items;
        select.group_by = GroupByExpr::All(Vec::new());
    }
    Ok(derived(query, alias))
}

/// Names of columns as the dialects make them of value and aggregate.
fn pivoted_name(dialect: Dialect, value: &ExprWithAlias, aggregate: &ExprWithAlias, count: usize) -> String {
    let name = value_name(value);
    let named = aggregate.alias.as_ref().map(|alias| alias.value.clone());
    match dialect {
        // Text in quotes stays in quotes within the name; an alias list replaces it, which our grammar gives as the value's alias.
        Dialect::Snowflake if value.alias.is_none() && literal_text(&value.expr).is_some() => format!("'{name}'"),
        Dialect::BigQuery => match named {
            Some(named) => format!("{named}_{name}"),
            None => name,
        },
        _ if count > 1 => format!("{name}_{}", named.unwrap_or_else(|| aggregate.expr.to_string().to_lowercase())),
        Dialect::DuckDb => named.map_or_else(|| name.clone(), |named| format!("{name}_{named}")),
        _ => name,
    }
}

/// `table UNPIVOT (value FOR name IN (a, b))`: one row for each column, in a union.
pub(super) fn unpivot(dialect: Dialect, factor: TableFactor) -> Result<TableFactor, Problem> {
    let TableFactor::Unpivot { table, value, name, columns, null_inclusion, alias } = factor else { return Ok(factor) };
    let Expr::Identifier(value) = &value else { return Err(internal("UNPIVOT of several columns at once")) };
    let exprs: Vec<Expr> = columns.iter().map(|column| column.expr.clone()).collect();
    if !exprs.iter().all(|expr| matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))) {
        return Err(internal("UNPIVOT of several columns at once"));
    }
    let keeps_nulls = null_inclusion == Some(NullInclusion::IncludeNulls);
    let mut union: Option<SetExpr> = None;
    for column in &columns {
        let shown = match &column.alias {
            Some(alias) => alias.value.clone(),
            None => unpivoted_name(dialect, &column.expr),
        };
        let mut query = select_from((*table).clone()).ok_or_else(|| internal("UNPIVOT"))?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            select.projection = vec![
                all_but(&names_in(&exprs)),
                SelectItem::ExprWithAlias { expr: text(&shown), alias: name.clone() },
                SelectItem::ExprWithAlias { expr: column.expr.clone(), alias: value.clone() },
            ];
            if !keeps_nulls {
                select.selection = Some(Expr::IsNotNull(Box::new(column.expr.clone())));
            }
        }
        let body = *query.body;
        union = Some(match union {
            None => body,
            Some(before) => SetExpr::SetOperation {
                left: Box::new(before),
                op: SetOperator::Union,
                set_quantifier: SetQuantifier::All,
                right: Box::new(body),
            },
        });
    }
    let mut whole = query("SELECT 1").ok_or_else(|| internal("UNPIVOT"))?;
    *whole.body = union.ok_or_else(|| internal("UNPIVOT of no columns"))?;
    Ok(derived(whole, alias.or_else(|| Some(plain_alias("unpivoted")))))
}

fn unpivoted_name(dialect: Dialect, column: &Expr) -> String {
    let name = names_in(std::slice::from_ref(column)).into_iter().next().unwrap_or_default();
    if dialect == Dialect::Snowflake { name.to_uppercase() } else { name }
}

pub(super) fn plain_alias(name: &str) -> TableAlias {
    TableAlias { explicit: true, name: Ident::new(name), columns: Vec::new(), at: None }
}

/// `SELECT * EXCEPT (a, b)` in the words of the engine.
pub(super) fn excluded(except: &ExceptSelectItem) -> ExcludeSelectItem {
    let names = std::iter::once(&except.first_element).chain(&except.additional_elements);
    ExcludeSelectItem::Multiple(names.map(|name| ObjectName(vec![ObjectNamePart::Identifier(name.clone())])).collect())
}
