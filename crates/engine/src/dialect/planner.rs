//! What of a dialect only types can tell: whether a column is a document, whether a sum leaves its 64 bits.
//!
//! The translation knows a statement's words, not the types of its columns. The engine's planner asks here with both at hand.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use datafusion::common::Column;
use datafusion::common::{DFSchema, Result, TableReference};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, ScalarUDF, cast, lit};
use datafusion::sql::sqlparser::ast::BinaryOperator;

use super::{Dialect, paths};
use crate::functions;

/// Plans expressions of projects that are written for a warehouse.
#[derive(Debug)]
pub(crate) struct TypedPlanner {
    dialect: Dialect,
    functions: HashMap<&'static str, Arc<ScalarUDF>>,
}

impl TypedPlanner {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self { dialect, functions: functions::all().map(|function| (function.0, Arc::new(function.1))).collect() }
    }

    fn call(&self, name: &str, args: Vec<Expr>) -> Option<Expr> {
        self.functions.get(name).map(|function| function.call(args))
    }

    /// An operation on whole numbers, which the engine would let wrap around.
    fn checked(&self, expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
        let name = match expr.op {
            BinaryOperator::Plus => "checked_add",
            BinaryOperator::Minus => "checked_subtract",
            BinaryOperator::Multiply => "checked_multiply",
            _ => return None,
        };
        let is_whole = |side: &Expr| side.get_type(schema).is_ok_and(|data_type| data_type.is_integer());
        if !is_whole(&expr.left) || !is_whole(&expr.right) {
            return None;
        }
        self.call(name, vec![expr.left.clone(), expr.right.clone()])
    }

    /// PostgreSQL's operators on documents.
    fn on_documents(&self, expr: &RawBinaryExpr, schema: &DFSchema) -> Option<Expr> {
        let name = match expr.op {
            BinaryOperator::StringConcat => "json_merge",
            BinaryOperator::Minus => "json_without",
            BinaryOperator::HashMinus => "json_without_path",
            BinaryOperator::AtArrow => "json_contains",
            BinaryOperator::ArrowAt => "json_contains",
            BinaryOperator::Eq | BinaryOperator::NotEq => "json_equal",
            _ => return None,
        };
        let is_json = |side: &Expr| side.to_field(schema).is_ok_and(|(_, field)| functions::is_json(&field));
        let (left, right) = (is_json(&expr.left), is_json(&expr.right));
        let applies = match expr.op {
            BinaryOperator::Minus | BinaryOperator::HashMinus => left,
            _ => left || right,
        };
        if !applies {
            return None;
        }
        let (left, right) = (expr.left.clone(), expr.right.clone());
        let args = if expr.op == BinaryOperator::ArrowAt { vec![right, left] } else { vec![left, right] };
        let found = self.call(name, args)?;
        Some(if expr.op == BinaryOperator::NotEq { Expr::Not(Box::new(found)) } else { found })
    }
}

/// A decimal beside a fraction in binary becomes one, as in the warehouses; the engine would make the fraction a decimal.
fn in_binary(mut expr: RawBinaryExpr, schema: &DFSchema) -> RawBinaryExpr {
    let kind = |side: &Expr| side.get_type(schema).ok();
    let is_decimal = |side: &Expr| matches!(kind(side), Some(DataType::Decimal128(..)));
    let is_binary = |side: &Expr| matches!(kind(side), Some(DataType::Float32 | DataType::Float64));
    if is_binary(&expr.left) && is_decimal(&expr.right) {
        expr.right = cast(expr.right, DataType::Float64);
    } else if is_decimal(&expr.left) && is_binary(&expr.right) {
        expr.left = cast(expr.left, DataType::Float64);
    }
    expr
}

impl ExprPlanner for TypedPlanner {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let expr = in_binary(expr, schema);
        let documents = if self.dialect == Dialect::Postgres { self.on_documents(&expr, schema) } else { None };
        Ok(match documents.or_else(|| self.checked(&expr, schema)) {
            Some(planned) => PlannerResult::Planned(planned),
            None => PlannerResult::Original(expr),
        })
    }

    /// `column.a.b`, where the column is a document.
    fn plan_compound_identifier(
        &self,
        field: &Field,
        qualifier: Option<&TableReference>,
        nested_names: &[String],
    ) -> Result<PlannerResult<Vec<Expr>>> {
        let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let column = Expr::Column(Column::from((qualifier, field)));
        if !is_text {
            return Ok(PlannerResult::Original(vec![column]));
        }
        let mut path = String::from("$");
        nested_names.iter().for_each(|name| paths::key(&mut path, name));
        Ok(match self.call("json_piece", vec![column.clone(), lit(path)]) {
            Some(piece) => PlannerResult::Planned(piece),
            None => PlannerResult::Original(vec![column]),
        })
    }
}
