//! Pieces of trees.

use datafusion::sql::sqlparser::ast::helpers::attached_token::AttachedToken;
use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CaseWhen, CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, ObjectNamePart, UnaryOperator, Value,
};

pub(super) fn ident(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

pub(super) fn column(name: &str) -> Expr {
    Expr::Identifier(ident(name))
}

pub(super) fn text(value: &str) -> Expr {
    Expr::value(Value::SingleQuotedString(value.to_owned()))
}

pub(super) fn number(value: i64) -> Expr {
    Expr::value(Value::Number(value.to_string(), false))
}

pub(super) fn null() -> Expr {
    Expr::value(Value::Null)
}

pub(super) fn object_name(name: &str) -> ObjectName {
    ObjectName(vec![ObjectNamePart::Identifier(Ident::new(name))])
}

/// A call of a function.
pub(super) fn function(name: &str, args: Vec<Expr>) -> Function {
    let args = args.into_iter().map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg))).collect();
    Function {
        name: object_name(name),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList { duplicate_treatment: None, args, clauses: Vec::new() }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    }
}

pub(super) fn call(name: &str, args: Vec<Expr>) -> Expr {
    Expr::Function(function(name, args))
}

pub(super) fn cast(kind: CastKind, expr: Expr, data_type: DataType) -> Expr {
    // `::` binds tighter than what it may be given here.
    let kind = if kind == CastKind::DoubleColon { CastKind::Cast } else { kind };
    Expr::Cast { kind, expr: Box::new(expr), data_type, array: false, format: None }
}

pub(super) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(wrapped(left)), op, right: Box::new(wrapped(right)) }
}

pub(super) fn not(expr: Expr) -> Expr {
    Expr::UnaryOp { op: UnaryOperator::Not, expr: Box::new(wrapped(expr)) }
}

/// An operand: in parentheses, unless it holds together by itself.
pub(super) fn wrapped(expr: Expr) -> Expr {
    match expr {
        Expr::Identifier(_)
        | Expr::CompoundIdentifier(_)
        | Expr::Function(_)
        | Expr::Value(_)
        | Expr::Nested(_)
        | Expr::Case { .. }
        | Expr::Subquery(_)
        | Expr::Array(_)
        | Expr::Tuple(_)
        | Expr::Cast { kind: CastKind::Cast | CastKind::TryCast, .. } => expr,
        other => Expr::Nested(Box::new(other)),
    }
}

/// `CASE WHEN condition THEN result ... ELSE otherwise END`
pub(super) fn case(conditions: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Expr {
    let conditions = conditions.into_iter().map(|(condition, result)| CaseWhen { condition, result }).collect();
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions,
        else_result: otherwise.map(Box::new),
    }
}

/// The text of a literal, through parentheses.
pub(super) fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Nested(inner) => literal_text(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// The number of a literal.
pub(super) fn literal_integer(expr: &Expr) -> Option<i64> {
    match expr {
        Expr::Nested(inner) => literal_integer(inner),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => literal_integer(expr).map(|value| -value),
        Expr::Value(value) => match &value.value {
            Value::Number(digits, _) => digits.parse().ok(),
            _ => None,
        },
        _ => None,
    }
}

/// The expressions a function is called with; none when it is called with something else, such as `*`.
pub(super) fn arguments(function: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else { return Some(Vec::new()) };
    let argument = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args.iter().map(argument).collect()
}

/// Arguments given as `name => value` or `name := value`, by lower-case name.
pub(super) fn named_argument(args: &[FunctionArg], wanted: &str) -> Option<Expr> {
    args.iter().find_map(|arg| match arg {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(expr), .. }
            if name.value.eq_ignore_ascii_case(wanted) =>
        {
            Some(expr.clone())
        }
        FunctionArg::ExprNamed { name: Expr::Identifier(name), arg: FunctionArgExpr::Expr(expr), .. }
            if name.value.eq_ignore_ascii_case(wanted) =>
        {
            Some(expr.clone())
        }
        _ => None,
    })
}

/// The name of a function in lower case, its parts joined by dots.
pub(super) fn function_name(name: &ObjectName) -> String {
    let parts: Vec<String> =
        name.0.iter().filter_map(|part| part.as_ident()).map(|part| part.value.to_lowercase()).collect();
    parts.join(".")
}
