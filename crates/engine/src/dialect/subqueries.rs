//! Subqueries where the engine does not take them: EXISTS as a value counts instead.

use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, GroupByExpr, Query, Select, SelectItem, SetExpr};

use super::build::{binary, call, number};
use super::walk::{Rewrite, Walk};
use super::{Dialect, arrays, pivot};

/// Before a query's expressions are rewritten.
pub(super) fn count_instead(dialect: Dialect, select: &mut Select) {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            expr.walk_own(&mut Exists { dialect });
        }
    }
}

/// Conditions of queries within may say EXISTS.
struct Exists {
    dialect: Dialect,
}

impl Rewrite for Exists {
    fn after(&mut self, expr: &mut Expr) {
        if arrays::over(self.dialect, expr).is_none()
            && let Expr::Exists { subquery, negated } = expr
            && let Some(count) = counted(subquery)
        {
            let op = if *negated { BinaryOperator::Eq } else { BinaryOperator::Gt };
            let count = call("coalesce", vec![Expr::Subquery(count), number(0)]);
            *expr = Expr::Nested(Box::new(binary(count, op, number(0))));
        }
    }
}

/// The query that counts the rows of a query; none where its rows are not those of its FROM.
fn counted(subquery: &Query) -> Option<Box<Query>> {
    let SetExpr::Select(select) = subquery.body.as_ref() else { return None };
    let ungrouped = matches!(&select.group_by, GroupByExpr::Expressions(keys, _) if keys.is_empty());
    let is_plain = ungrouped && select.having.is_none() && select.qualify.is_none() && select.distinct.is_none();
    if !is_plain || subquery.limit_clause.is_some() || subquery.fetch.is_some() {
        return None;
    }
    let mut counting = subquery.clone();
    counting.order_by = None;
    let star = pivot::query("SELECT count(*)")?;
    if let (SetExpr::Select(select), SetExpr::Select(star)) = (counting.body.as_mut(), *star.body) {
        select.projection = star.projection;
    }
    Some(Box::new(counting))
}
