//! Arrays taken apart beside the rows they belong to.
//!
//! The engine's planner reads `FROM t, LATERAL (SELECT unnest(t.items) AS item)` as a join with a subquery that refers to its
//! left side, and has no way to run it. Such a subquery is a chain of projections, unnesting and filters over one row: the same
//! chain over the left side, with the left side's columns passed along, is what is meant.

use std::ops::ControlFlow;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchemaRef, RecursionUnnestOption, Result, TableReference};
use datafusion::logical_expr::{
    EmptyRelation, Expr, Filter, Join, JoinType, LogicalPlan, LogicalPlanBuilder, Operator, Projection, Subquery,
    SubqueryAlias, Unnest, and, binary_expr,
};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    Expr as SqlExpr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, LambdaFunction, LambdaFunctionParameter,
    LambdaSyntax, OneOrManyWithParens, Value, visit_expressions_mut,
};

use crate::dialect::LAMBDA;

/// Plans joins with subqueries that only take arrays of their left side apart. A statement that has none pays for a look at its
/// text.
pub(crate) fn beside_their_rows(sql: &str, plan: LogicalPlan) -> Result<LogicalPlan> {
    if !mentions(sql, "lateral") && !mentions(sql, "unnest") {
        return Ok(plan);
    }
    plan.transform_up_with_subqueries(|plan| match plan {
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => match rebuilt(&join)? {
            Some(plan) => Ok(Transformed::yes(plan)),
            None => Ok(Transformed::no(LogicalPlan::Join(join))),
        },
        other => Ok(Transformed::no(other)),
    })
    .data()
}

/// Whether a text has a word in it, in whatever case.
fn mentions(sql: &str, word: &str) -> bool {
    sql.as_bytes().windows(word.len()).any(|piece| piece.eq_ignore_ascii_case(word.as_bytes()))
}

fn rebuilt(join: &Join) -> Result<Option<LogicalPlan>> {
    let Some((subquery, alias)) = lateral(&join.right) else { return Ok(None) };
    let left = join.left.as_ref();
    let Some(plan) = over(&subquery.subquery, left)? else { return Ok(None) };
    let width = left.schema().fields().len();
    let mut columns = passed(left.schema());
    for (index, field) in subquery.subquery.schema().fields().iter().enumerate() {
        let qualifier = alias.clone().or_else(|| subquery.subquery.schema().qualified_field(index).0.cloned());
        columns.push(column_at(plan.schema(), width + index).alias_qualified(qualifier, field.name()));
    }
    let mut plan = LogicalPlanBuilder::from(plan).project(columns)?;
    let keys = join.on.iter().map(|(one, other)| binary_expr(one.clone(), Operator::Eq, other.clone()));
    if let Some(condition) = keys.chain(join.filter.clone()).reduce(and) {
        plan = plan.filter(condition)?;
    }
    plan.build().map(Some)
}

/// The subquery of a lateral join, and what it is called.
fn lateral(right: &LogicalPlan) -> Option<(&Subquery, Option<TableReference>)> {
    match right {
        LogicalPlan::Subquery(subquery) => Some((subquery, None)),
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => match input.as_ref() {
            LogicalPlan::Subquery(subquery) => Some((subquery, Some(alias.clone()))),
            _ => None,
        },
        _ => None,
    }
}

/// Every column, as it is.
fn passed(schema: &DFSchemaRef) -> Vec<Expr> {
    (0..schema.fields().len()).map(|index| column_at(schema, index)).collect()
}

fn column_at(schema: &DFSchemaRef, index: usize) -> Expr {
    let (qualifier, field) = schema.qualified_field(index);
    Expr::Column(Column::new(qualifier.cloned(), field.name()))
}

/// A chain over one row as the same chain over `left`: its columns are those of `left`, then its own in their order. `None`
/// when it is not such a chain.
fn over(plan: &LogicalPlan, left: &LogicalPlan) -> Result<Option<LogicalPlan>> {
    let width = left.schema().fields().len();
    let input = match plan {
        LogicalPlan::EmptyRelation(EmptyRelation { produce_one_row: true, .. }) => return Ok(Some(left.clone())),
        LogicalPlan::Projection(Projection { input, .. })
        | LogicalPlan::Unnest(Unnest { input, .. })
        | LogicalPlan::Filter(Filter { input, .. })
        | LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => input,
        _ => return Ok(None),
    };
    let Some(below) = over(input, left)? else { return Ok(None) };
    let moved = |expr: &Expr| moved(expr, input.schema(), below.schema(), left.schema());
    Ok(Some(match plan {
        LogicalPlan::Projection(Projection { expr, .. }) => {
            let mut columns = passed(left.schema());
            for (index, expr) in expr.iter().enumerate() {
                columns.push(moved(expr)?.unalias().alias(format!("__lateral_{index}")));
            }
            LogicalPlanBuilder::from(below).project(columns)?.build()?
        }
        LogicalPlan::Filter(Filter { predicate, .. }) => {
            LogicalPlanBuilder::from(below.clone()).filter(moved(predicate)?)?.build()?
        }
        LogicalPlan::Unnest(unnest) => {
            let place = |column: &Column| -> Result<Column> {
                let index = input.schema().index_of_column(column)?;
                let (qualifier, field) = below.schema().qualified_field(width + index);
                Ok(Column::new(qualifier.cloned(), field.name()))
            };
            let columns = unnest.exec_columns.iter().map(place).collect::<Result<Vec<_>>>()?;
            let mut options = unnest.options.clone();
            options.recursions.clear();
            for (index, recursion) in unnest.options.recursions.iter().enumerate() {
                options.recursions.push(RecursionUnnestOption {
                    input_column: place(&recursion.input_column)?,
                    output_column: Column::from_name(format!("__lateral_item_{index}")),
                    depth: recursion.depth,
                });
            }
            LogicalPlanBuilder::from(below).unnest_columns_with_options(columns, options)?.build()?
        }
        _ => below,
    }))
}

/// An expression of the chain over the new input: references to the left side are plain columns now.
fn moved(expr: &Expr, before: &DFSchemaRef, after: &DFSchemaRef, left: &DFSchemaRef) -> Result<Expr> {
    let width = left.fields().len();
    let replaced = expr.clone().transform_up(|expr| match expr {
        Expr::OuterReferenceColumn(_, column) if left.has_column(&column) => Ok(Transformed::yes(Expr::Column(column))),
        Expr::Column(column) => {
            let index = before.index_of_column(&column)?;
            Ok(Transformed::yes(column_at(after, width + index)))
        }
        other => Ok(Transformed::no(other)),
    });
    replaced.data()
}

/// Lambdas, which the engine's grammar has no words for, as the planner knows them.
pub(crate) fn with_lambdas(statement: &mut Statement) {
    let Statement::Statement(statement) = statement else { return };
    let visited: ControlFlow<()> = visit_expressions_mut(statement.as_mut(), |expr| {
        if let SqlExpr::Function(function) = expr
            && function.name.0.first().and_then(|part| part.as_ident()).is_some_and(|name| name.value == LAMBDA)
            && let FunctionArguments::List(list) = &function.args
            && let Some(lambda) = lambda(&list.args)
        {
            *expr = SqlExpr::Lambda(lambda);
        }
        ControlFlow::Continue(())
    });
    // The walk goes to its end.
    debug_assert!(visited.is_continue(), "every expression is seen");
}

fn lambda(args: &[FunctionArg]) -> Option<LambdaFunction> {
    let expr = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    let (body, names) = args.split_last()?;
    let parameter = |arg: &FunctionArg| match expr(arg)? {
        SqlExpr::Value(value) => match value.value {
            Value::SingleQuotedString(name) => {
                Some(LambdaFunctionParameter { name: Ident::with_quote('"', name), data_type: None })
            }
            _ => None,
        },
        _ => None,
    };
    Some(LambdaFunction {
        params: OneOrManyWithParens::Many(names.iter().map(parameter).collect::<Option<_>>()?),
        body: Box::new(expr(body)?),
        syntax: LambdaSyntax::Arrow,
    })
}
