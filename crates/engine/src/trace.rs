//! Where the columns of a statement come from, told from its plan: nothing is run.
//!
//! A statement is planned over *outlines*, relations of which only the columns are known, so that a model can be traced before
//! anything it reads was built. The plan is then walked from its leaves: a scan's columns are their own origin, an expression
//! has the origins of all columns it mentions, everything else passes on what it was given.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::datasource::empty::EmptyTable;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, JoinType, LogicalPlan, RecursiveQuery, TableScan};
use headwater_lake::{TableName, storable_schema};

use crate::error::Result;
use crate::session::Session;

/// A column of a relation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ColumnOrigin {
    pub relation: TableName,
    pub column: String,
}

/// A column of a statement's result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedColumn {
    pub name: String,
    pub data_type: DataType,
    /// Columns of the relations it reads whose values go into it. Conditions of joins and filters decide about rows, not
    /// values, and are not among them.
    pub origins: BTreeSet<ColumnOrigin>,
    /// Whether it is its origins as they are: one, or several below each other.
    pub is_copy: bool,
}

/// The origins of one column on its way up the plan.
#[derive(Clone, Default)]
struct Trail {
    origins: BTreeSet<ColumnOrigin>,
    is_copy: bool,
}

impl Session {
    /// From now on the name stands for a relation of these columns, whatever the lake has.
    pub fn outline(&mut self, name: TableName, columns: SchemaRef) {
        Arc::make_mut(&mut self.outlines).insert(name, columns);
    }

    /// The columns of an outline.
    pub fn outlined(&self, name: &TableName) -> Option<&SchemaRef> {
        self.outlines.get(name)
    }

    /// The columns of a statement's result, with their types and origins. Plans, and runs nothing.
    pub async fn trace(&self, sql: &str) -> Result<Vec<TracedColumn>> {
        let planned = self.plan(sql, &[]).await?;
        let state = planned.context.state();
        let plan = state.analyzer().execute_and_check(planned.plan, state.config_options(), |_, _| {})?;
        let trails = Walk { session: self, recursive: HashSet::new() }.columns(&plan);
        let fields = plan.schema().fields().iter();
        let column = |(field, trail): (&Arc<Field>, Trail)| TracedColumn {
            name: field.name().clone(),
            data_type: field.data_type().clone(),
            is_copy: trail.is_copy && !trail.origins.is_empty(),
            origins: trail.origins,
        };
        Ok(fields.zip(trails).map(column).collect())
    }
}

/// What a table made of these columns has: types are those a lake keeps.
pub fn stored_outline(columns: &[TracedColumn]) -> Result<SchemaRef> {
    Ok(storable_schema(&view_outline(columns))?)
}

/// What a view of these columns has.
pub fn view_outline(columns: &[TracedColumn]) -> SchemaRef {
    let field = |column: &TracedColumn| Field::new(&column.name, column.data_type.clone(), true);
    Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()))
}

pub(crate) fn outlined(columns: &SchemaRef) -> Arc<EmptyTable> {
    Arc::new(EmptyTable::new(Arc::clone(columns)))
}

struct Walk<'a> {
    session: &'a Session,
    /// Names of recursive queries around the current place: a scan of one reads no relation.
    recursive: HashSet<String>,
}

impl Walk<'_> {
    /// One trail for each column of the plan's schema.
    fn columns(&mut self, plan: &LogicalPlan) -> Vec<Trail> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Projection(projection) => self.expressions(projection.expr.iter(), &projection.input),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate),
            LogicalPlan::Window(window) => {
                let mut trails = self.columns(&window.input);
                trails.extend(self.expressions(window.window_expr.iter(), &window.input));
                trails
            }
            LogicalPlan::Join(join) => self.join(join),
            LogicalPlan::Union(union) => {
                let inputs: Vec<Vec<Trail>> = union.inputs.iter().map(|input| self.columns(input)).collect();
                merged(plan, inputs)
            }
            LogicalPlan::Unnest(unnest) => {
                let input = self.columns(&unnest.input);
                let taken_apart: HashSet<usize> = unnest
                    .exec_columns
                    .iter()
                    .filter_map(|name| unnest.input.schema().maybe_index_of_column(name))
                    .collect();
                let trail = |index: &usize| {
                    let trail = input.get(*index).cloned().unwrap_or_default();
                    Trail { is_copy: trail.is_copy && !taken_apart.contains(index), ..trail }
                };
                unnest.dependency_indices.iter().map(trail).collect()
            }
            LogicalPlan::Distinct(Distinct::On(distinct)) => {
                self.expressions(distinct.select_expr.iter(), &distinct.input)
            }
            LogicalPlan::Values(values) => vec![Trail::default(); values.schema.fields().len()],
            LogicalPlan::RecursiveQuery(query) => self.recursive(query, plan),
            other => self.passed_on(other),
        }
    }

    fn scan(&self, scan: &TableScan) -> Vec<Trail> {
        let fields = scan.projected_schema.fields();
        if self.recursive.contains(scan.table_name.table()) {
            return vec![Trail::default(); fields.len()];
        }
        let relation = self.session.table_name(&scan.table_name);
        let origin = |column: &String| ColumnOrigin { relation: relation.clone(), column: column.clone() };
        fields.iter().map(|field| Trail { origins: BTreeSet::from([origin(field.name())]), is_copy: true }).collect()
    }

    fn aggregate(&mut self, aggregate: &Aggregate) -> Vec<Trail> {
        let keys = grouping_set_to_exprlist(&aggregate.group_expr)
            .unwrap_or_else(|_| aggregate.group_expr.iter().collect::<Vec<_>>());
        let mut trails = self.expressions(keys.into_iter(), &aggregate.input);
        // Grouping sets add a column that says which set a row is of.
        let made = aggregate.schema.fields().len().saturating_sub(trails.len() + aggregate.aggr_expr.len());
        trails.extend(vec![Trail::default(); made]);
        trails.extend(self.expressions(aggregate.aggr_expr.iter(), &aggregate.input));
        trails
    }

    fn join(&mut self, join: &Join) -> Vec<Trail> {
        let mut left = self.columns(&join.left);
        match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti => left,
            JoinType::RightSemi | JoinType::RightAnti => self.columns(&join.right),
            JoinType::LeftMark => {
                left.push(Trail::default());
                left
            }
            JoinType::RightMark => {
                let mut right = self.columns(&join.right);
                right.push(Trail::default());
                right
            }
            _ => {
                left.extend(self.columns(&join.right));
                left
            }
        }
    }

    /// What a recursive query adds to its start is made of the start's columns and of what else it reads.
    fn recursive(&mut self, query: &RecursiveQuery, plan: &LogicalPlan) -> Vec<Trail> {
        let start = self.columns(&query.static_term);
        let is_new = self.recursive.insert(query.name.clone());
        let step = self.columns(&query.recursive_term);
        if is_new {
            self.recursive.remove(&query.name);
        }
        merged(plan, vec![start, step])
    }

    /// Filters, sorts, limits, aliases and the like leave columns as they are. Of an operator that is not known, any column may
    /// come from any.
    fn passed_on(&mut self, plan: &LogicalPlan) -> Vec<Trail> {
        let width = plan.schema().fields().len();
        let inputs: Vec<Vec<Trail>> = plan.inputs().into_iter().map(|input| self.columns(input)).collect();
        match inputs.as_slice() {
            [] => vec![Trail::default(); width],
            [only] if only.len() == width => only.clone(),
            _ => {
                let origins: BTreeSet<ColumnOrigin> =
                    inputs.into_iter().flatten().flat_map(|trail| trail.origins).collect();
                vec![Trail { origins, is_copy: false }; width]
            }
        }
    }

    fn expressions<'e>(&mut self, expressions: impl Iterator<Item = &'e Expr>, input: &LogicalPlan) -> Vec<Trail> {
        let below = self.columns(input);
        expressions.map(|expression| self.expression(expression, input.schema(), &below)).collect()
    }

    fn expression(&mut self, expression: &Expr, schema: &DFSchema, below: &[Trail]) -> Trail {
        let of = |column: &Column| schema.maybe_index_of_column(column).and_then(|index| below.get(index));
        if let Expr::Column(column) = plain(expression) {
            return of(column).cloned().unwrap_or_default();
        }
        let mut origins = BTreeSet::new();
        let visited = expression.apply(|part| {
            match part {
                Expr::Column(column) => origins.extend(of(column).into_iter().flat_map(|trail| trail.origins.clone())),
                Expr::ScalarSubquery(query) => {
                    origins.extend(self.columns(&query.subquery).into_iter().flat_map(|trail| trail.origins));
                }
                Expr::InSubquery(query) => {
                    origins.extend(self.columns(&query.subquery.subquery).into_iter().flat_map(|trail| trail.origins));
                }
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        });
        if let Err(error) = visited {
            tracing::debug!(%error, "an expression was traced in part");
        }
        Trail { origins, is_copy: false }
    }
}

/// An expression without the names given to it.
fn plain(expression: &Expr) -> &Expr {
    match expression {
        Expr::Alias(alias) => plain(&alias.expr),
        other => other,
    }
}

/// Columns of several inputs, one below the other.
fn merged(plan: &LogicalPlan, inputs: Vec<Vec<Trail>>) -> Vec<Trail> {
    let width = plan.schema().fields().len();
    let mut trails = vec![Trail { origins: BTreeSet::new(), is_copy: true }; width];
    for input in inputs {
        for (trail, more) in trails.iter_mut().zip(input) {
            trail.is_copy &= more.is_copy || more.origins.is_empty();
            trail.origins.extend(more.origins);
        }
    }
    trails
}
