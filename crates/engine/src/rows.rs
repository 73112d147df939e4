//! Statements that say something about each row by itself, carried out batch by batch as rows come: what is chosen, computed
//! and filtered on the way into a table. No other row is looked at, so nothing has to be waited for.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::error::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};
use datafusion::physical_expr::PhysicalExpr;
use headwater_lake::{TableName, storable_schema, to_storable};
use headwater_project::{Classify, Kind};

use crate::error::{EngineError, Result};
use crate::session::Session;
use crate::trace::TracedColumn;

/// A statement over the rows of one relation, planned for its columns.
#[derive(Debug)]
pub struct RowExpressions {
    /// In the order they are carried out.
    steps: Vec<Step>,
    /// What comes out, in types a lake keeps.
    schema: SchemaRef,
    /// Columns that come out as they went in.
    copies: BTreeSet<String>,
    /// Of each column that comes out, those that go into it.
    origins: Vec<BTreeSet<String>>,
    /// Columns by which rows are chosen.
    conditions: BTreeSet<String>,
}

#[derive(Debug)]
enum Step {
    Keep(Arc<dyn PhysicalExpr>),
    Make(SchemaRef, Vec<Arc<dyn PhysicalExpr>>),
}

/// What became of a batch: each of its rows is in `rows`, left out, or refused.
#[derive(Debug)]
pub struct AppliedRows {
    pub rows: RecordBatch,
    /// Places of rows that a condition left out, ascending.
    pub left_out: Vec<usize>,
    /// Places of rows that an expression has no value for, ascending, with the reason: a lower-case fragment.
    pub refused: Vec<(usize, String)>,
}

impl Session {
    /// Plans a statement that reads `relation`, which has these columns. Refuses one that needs more than a row at a time,
    /// or would say something else tomorrow.
    pub async fn row_expressions(
        &self,
        sql: &str,
        relation: &TableName,
        columns: &SchemaRef,
    ) -> Result<RowExpressions> {
        let mut session = self.clone();
        session.outline(relation.clone(), Arc::clone(columns));
        let traced = session.trace(sql).await?;
        let planned = session.plan(sql, &[]).await?;
        let state = planned.context.state();
        let plan = state.analyzer().execute_and_check(planned.plan, state.config_options(), |_, _| {})?;
        let mut steps = Vec::new();
        collect(&plan, &state, &mut steps)?;
        let copies = traced
            .iter()
            .filter(|column| column.is_copy && column.origins.iter().all(|origin| origin.column == column.name));
        let copies = copies.map(|column| column.name.clone()).collect();
        let names = |column: &TracedColumn| column.origins.iter().map(|origin| origin.column.clone()).collect();
        let origins = traced.iter().map(names).collect();
        let conditions = conditions(&plan, columns);
        Ok(RowExpressions { steps, schema: storable_schema(plan.schema().as_arrow())?, copies, origins, conditions })
    }

    /// The types of columns that are declared by name and SQL type.
    pub async fn declared_columns(&self, columns: &[(String, String)]) -> Result<SchemaRef> {
        let quoted = |name: &str| name.replace('"', "\"\"");
        let each = columns.iter().map(|(name, of)| format!("CAST(NULL AS {of}) AS \"{}\"", quoted(name)));
        let (schema, _) = self.describe(&format!("SELECT {}", each.collect::<Vec<_>>().join(", "))).await?;
        Ok(storable_schema(&schema)?)
    }
}

/// The steps of a plan, from its scan upwards.
fn collect(plan: &LogicalPlan, state: &SessionState, steps: &mut Vec<Step>) -> Result<()> {
    let not_allowed = |what: &str| Err(EngineError::NotAllowed(format!("{what} need more than one row at a time")));
    match plan {
        LogicalPlan::TableScan(_) => Ok(()),
        LogicalPlan::SubqueryAlias(alias) => collect(&alias.input, state, steps),
        LogicalPlan::Filter(filter) => {
            collect(&filter.input, state, steps)?;
            steps.push(Step::Keep(physical(&filter.predicate, &filter.input, state)?));
            Ok(())
        }
        LogicalPlan::Projection(projection) => {
            collect(&projection.input, state, steps)?;
            let made = projection.expr.iter().map(|expr| physical(expr, &projection.input, state));
            steps.push(Step::Make(Arc::clone(projection.schema.inner()), made.collect::<Result<_>>()?));
            Ok(())
        }
        LogicalPlan::Aggregate(_) => not_allowed("aggregates"),
        LogicalPlan::Window(_) => not_allowed("window functions"),
        LogicalPlan::Sort(_) | LogicalPlan::Limit(_) => not_allowed("ORDER BY and LIMIT"),
        LogicalPlan::Join(_) | LogicalPlan::Subquery(_) => not_allowed("joins and subqueries"),
        LogicalPlan::Distinct(_) => not_allowed("DISTINCT"),
        other => {
            let operator = other.display().to_string();
            not_allowed(&format!("statements with {}", operator.split_whitespace().next().unwrap_or_default()))
        }
    }
}

/// Columns by which a plan chooses rows; all of them where it chooses among what it has computed.
fn conditions(plan: &LogicalPlan, columns: &SchemaRef) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = plan.inputs().into_iter().flat_map(|input| conditions(input, columns)).collect();
    if let LogicalPlan::Filter(filter) = plan {
        match &*filter.input {
            LogicalPlan::TableScan(_) | LogicalPlan::SubqueryAlias(_) => {
                found.extend(filter.predicate.column_refs().into_iter().map(|column| column.name.clone()));
            }
            _ => found.extend(columns.fields().iter().map(|field| field.name().clone())),
        }
    }
    found
}

fn physical(expr: &Expr, input: &LogicalPlan, state: &SessionState) -> Result<Arc<dyn PhysicalExpr>> {
    let mut refused = None;
    expr.apply(|one| {
        refused = refusal(one);
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    match refused {
        Some(reason) => Err(EngineError::NotAllowed(reason)),
        None => Ok(state.create_physical_expr(expr.clone(), input.schema())?),
    }
}

fn refusal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => Some(format!(
            "`{}` gives another result each time, but a row that is read again must turn out the same",
            call.func.name()
        )),
        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) => {
            Some(String::from("subqueries need more than one row at a time"))
        }
        _ => None,
    }
}

impl RowExpressions {
    /// Columns of what comes out, in types a lake keeps.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Whether a column comes out as it went in.
    pub fn passes(&self, column: &str) -> bool {
        self.copies.contains(column)
    }

    /// Places of the columns that come out of this one and no other, so that each of them stays what it was when this one
    /// does. Nothing when rows are chosen by it, or a column is made of it and others.
    pub fn made_of(&self, column: &str) -> Option<Vec<usize>> {
        if self.conditions.contains(column) {
            return None;
        }
        let made = self.origins.iter().enumerate().filter(|(_, origins)| origins.contains(column));
        made.map(|(place, origins)| (origins.len() == 1).then_some(place)).collect()
    }

    /// Carries the statement out. A row for which it fails is told by itself, the others of its batch go on.
    pub fn apply(&self, batch: &RecordBatch) -> Result<AppliedRows> {
        let mut left_out = Vec::new();
        let mut refused = Vec::new();
        let mut made = Vec::new();
        self.part(batch, 0, &mut made, &mut left_out, &mut refused)?;
        let rows = arrow::compute::concat_batches(&self.schema, &made)?;
        Ok(AppliedRows { rows, left_out, refused })
    }

    /// A batch that fails is halved until the failing rows stand alone: it costs as many tries as there are such rows, times
    /// the logarithm of the batch, and nothing while all is well.
    fn part(
        &self,
        batch: &RecordBatch,
        offset: usize,
        made: &mut Vec<RecordBatch>,
        left_out: &mut Vec<usize>,
        refused: &mut Vec<(usize, String)>,
    ) -> Result<()> {
        match self.evaluate(batch) {
            Ok((rows, kept)) => {
                made.push(rows);
                left_out.extend(kept.iter().enumerate().filter(|(_, kept)| !**kept).map(|(place, _)| offset + place));
                Ok(())
            }
            Err(error) if error.kind() != Kind::User && !matches!(error, EngineError::Arrow(_)) => Err(error),
            Err(error) if batch.num_rows() <= 1 => {
                refused.push((offset, reason(&error)));
                Ok(())
            }
            Err(_) => {
                let half = batch.num_rows() / 2;
                self.part(&batch.slice(0, half), offset, made, left_out, refused)?;
                let rest = batch.num_rows() - half;
                self.part(&batch.slice(half, rest), offset + half, made, left_out, refused)
            }
        }
    }

    /// The rows that come out, and for each that went in whether it was kept.
    fn evaluate(&self, batch: &RecordBatch) -> Result<(RecordBatch, Vec<bool>)> {
        let mut rows = batch.clone();
        let mut kept = vec![true; batch.num_rows()];
        for step in &self.steps {
            rows = match step {
                Step::Keep(condition) => {
                    let chosen = condition.evaluate(&rows)?.into_array(rows.num_rows())?;
                    let chosen = chosen.as_boolean_opt().ok_or_else(no_condition)?;
                    note(&mut kept, chosen);
                    filter_record_batch(&rows, chosen)?
                }
                Step::Make(schema, expressions) => {
                    let count = rows.num_rows();
                    let columns = expressions.iter().map(|one| one.evaluate(&rows)?.into_array(count));
                    let columns = columns.collect::<std::result::Result<Vec<_>, DataFusionError>>()?;
                    let options = RecordBatchOptions::new().with_row_count(Some(count));
                    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?
                }
            };
        }
        Ok((to_storable(&rows, &self.schema)?, kept))
    }
}

fn no_condition() -> EngineError {
    EngineError::NotAllowed(String::from("the condition is no condition: it must be true or false"))
}

/// Marks the rows among those still kept that a condition does not choose. One that it says nothing about goes, as in SQL.
fn note(kept: &mut [bool], chosen: &BooleanArray) {
    for (place, row) in kept.iter_mut().filter(|row| **row).enumerate() {
        *row = chosen.is_valid(place) && chosen.value(place);
    }
}

/// What the innermost cause says.
fn reason(error: &EngineError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let text = cause.to_string();
    let text = text.rsplit("error: ").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
