//! Times have microseconds, as the lake stores them.
//!
//! `TIMESTAMP` without a precision means nanoseconds to the engine, which end in the year 2262: `9999-12-31`, the usual end of
//! what is still valid, would not be a time.

use std::convert::Infallible;
use std::ops::ControlFlow;

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{DataType, Expr, visit_expressions_mut};

const MICROSECONDS: u64 = 6;

/// Gives every `TIMESTAMP` of a statement the precision of microseconds.
pub(crate) fn in_microseconds(statement: &mut Statement) {
    let Statement::Statement(statement) = statement else { return };
    let ControlFlow::Continue(()): ControlFlow<Infallible> = visit_expressions_mut(statement.as_mut(), |expression| {
        match expression {
            Expr::Cast { data_type, .. } => precise(data_type),
            Expr::TypedString(text) => precise(&mut text.data_type),
            _ => {}
        }
        ControlFlow::Continue(())
    });
}

fn precise(data_type: &mut DataType) {
    match data_type {
        DataType::Timestamp(precision @ None, _) => *precision = Some(MICROSECONDS),
        DataType::Datetime(None) => {
            *data_type = DataType::Timestamp(Some(MICROSECONDS), datafusion::sql::sqlparser::ast::TimezoneInfo::None);
        }
        _ => {}
    }
}
