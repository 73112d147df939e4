//! Operators: division, JSON, regular expressions, intervals, subscripts.

use datafusion::sql::sqlparser::ast::{
    AccessExpr, BinaryOperator, CastKind, DataType, ExactNumberInfo, Expr, Function, JsonPath, JsonPathElem,
    LambdaFunction, LambdaSyntax, OneOrManyWithParens, Subscript, UnaryOperator, Value,
};

use super::Dialect;
use super::build::{
    arguments, binary, call, case, function_name, literal_integer, literal_text, not, null, number, text,
};
use super::template::Problem;
use super::{casts, comparisons, paths};

/// An operation as the engine does it; `None` when it does it so already.
pub(super) fn operation(
    dialect: Dialect,
    left: &Expr,
    op: &BinaryOperator,
    right: &Expr,
) -> Result<Option<Expr>, Problem> {
    if let (Expr::Tuple(one), Expr::Tuple(other)) = (left, right)
        && let Some(compared) = comparisons::rows(one, op, other)
    {
        return Ok(Some(compared));
    }
    if let Some(compared) = comparisons::intervals(left, op, right) {
        return Ok(Some(compared));
    }
    match op {
        BinaryOperator::Overlaps => {
            Err((String::from("OVERLAPS"), String::from("Compare the ends: begin_1 < end_2 AND begin_2 < end_1.")))
        }
        BinaryOperator::PGNotLikeMatch | BinaryOperator::PGNotILikeMatch | BinaryOperator::Custom(_) => {
            Err((format!("the operator {op}"), String::from("Write it with NOT LIKE, or a function.")))
        }
        _ => Ok(plain_operation(dialect, left, op, right)),
    }
}

fn plain_operation(dialect: Dialect, left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    let both = || vec![left.clone(), right.clone()];
    let matched = |flags: &str| {
        let mut args = both();
        // PostgreSQL's words have letters of all of Unicode.
        let flags = if dialect == Dialect::Postgres { format!("u{flags}") } else { flags.to_owned() };
        if !flags.is_empty() {
            args.push(text(&flags));
        }
        call("regex_contains", args)
    };
    Some(match op {
        // A literal has the digits it is written with.
        BinaryOperator::Divide
            if dialect == Dialect::Spark && literal_integer(right).is_some_and(|number| number != 0) =>
        {
            let digits = literal_integer(right)?.unsigned_abs().to_string().len();
            let size = ExactNumberInfo::PrecisionAndScale(digits as u64, 0);
            let exact = super::build::cast(CastKind::Cast, right.clone(), DataType::Decimal(size));
            call("spark_divide_by_number", vec![left.clone(), exact])
        }
        BinaryOperator::Divide => {
            let name = match dialect {
                Dialect::BigQuery => "bigquery_divide",
                Dialect::Snowflake => "snowflake_divide",
                Dialect::DuckDb => "duckdb_divide",
                Dialect::Spark => "spark_divide",
                Dialect::Postgres | Dialect::Redshift => "postgres_divide",
            };
            call(name, both())
        }
        BinaryOperator::DuckIntegerDivide => call("whole_quotient_or_null", both()),
        BinaryOperator::MyIntegerDivide => call("whole_quotient", both()),
        BinaryOperator::Modulo if dialect == Dialect::Spark => {
            let zero = binary(right.clone(), BinaryOperator::Eq, number(0));
            case(vec![(not(zero), binary(left.clone(), BinaryOperator::Modulo, right.clone()))], None)
        }
        BinaryOperator::Spaceship => Expr::IsNotDistinctFrom(Box::new(left.clone()), Box::new(right.clone())),
        BinaryOperator::PGRegexMatch => matched(""),
        BinaryOperator::PGRegexIMatch => matched("i"),
        BinaryOperator::PGRegexNotMatch => not(matched("")),
        BinaryOperator::PGRegexNotIMatch => not(matched("i")),
        BinaryOperator::Regexp => matched(""),
        BinaryOperator::Arrow => arrow(dialect, left, right, ""),
        BinaryOperator::LongArrow => arrow(dialect, left, right, "_text"),
        BinaryOperator::HashArrow => call("json_at_keys", json_keys(left, right)),
        BinaryOperator::HashLongArrow => call("json_at_keys_text", json_keys(left, right)),
        BinaryOperator::Question => call("json_has_key", both()),
        BinaryOperator::QuestionPipe => call("json_has_any_key", both()),
        BinaryOperator::QuestionAnd => call("json_has_all_keys", both()),
        BinaryOperator::BitwiseXor if dialect == Dialect::DuckDb => call("power", both()),
        BinaryOperator::PGBitwiseXor => binary(left.clone(), BinaryOperator::BitwiseXor, right.clone()),
        BinaryOperator::PGOverlap => call("array_has_any", both()),
        BinaryOperator::PGExp => call("power", both()),
        BinaryOperator::PGStartsWith => call("starts_with", both()),
        BinaryOperator::PGLikeMatch => Expr::Like {
            negated: false,
            any: false,
            expr: Box::new(left.clone()),
            pattern: Box::new(right.clone()),
            escape_char: None,
        },
        BinaryOperator::Multiply => return times_interval(left, right).or_else(|| times_interval(right, left)),
        BinaryOperator::Plus | BinaryOperator::Minus => return with_interval(dialect, left, op, right),
        _ => return None,
    })
}

/// An operation on one value; `None` when the engine has it.
pub(super) fn unary(op: &UnaryOperator, expr: &Expr) -> Option<Expr> {
    match (op, expr) {
        (UnaryOperator::BitwiseNot, _) => Some(binary(number(-1), BinaryOperator::Minus, expr.clone())),
        // Places are counted without a sign, which then cannot be changed.
        (UnaryOperator::Minus, Expr::Function(function))
            if matches!(function_name(&function.name).as_str(), "row_number" | "rank" | "dense_rank" | "ntile") =>
        {
            Some(binary(number(0), BinaryOperator::Minus, expr.clone()))
        }
        (UnaryOperator::Minus, Expr::Function(function)) if function_name(&function.name) == "interval_of" => {
            let (unit, count) = super::template::interval(expr).ok()?;
            Some(call("interval_of", vec![unit, binary(number(0), BinaryOperator::Minus, count)]))
        }
        _ => None,
    }
}

/// SIMILAR TO: of the standard, or a whole regular expression in DuckDB.
pub(super) fn similar(
    dialect: Dialect,
    expr: &Expr,
    pattern: &Expr,
    escape: Option<&Value>,
    negated: bool,
) -> Result<Expr, Problem> {
    let pattern = match escape {
        Some(Value::SingleQuotedString(escape)) if escape != "\\" => escaped(pattern, escape).ok_or_else(|| {
            (String::from("SIMILAR TO with ESCAPE and a computed pattern"), String::from("Escape with a backslash."))
        })?,
        _ => pattern.clone(),
    };
    let name = if dialect == Dialect::DuckDb { "regex_matches" } else { "similar_to" };
    let found = call(name, vec![expr.clone(), pattern]);
    Ok(if negated { not(found) } else { found })
}

/// `FLOOR(x, 2)`: to places after the point.
pub(super) fn to_places(name: &str, expr: &Expr, places: &Value) -> Expr {
    let places = Expr::value(places.clone());
    let unit = call("power", vec![Expr::value(Value::Number(String::from("10"), false)), places.clone()]);
    let scaled = binary(expr.clone(), BinaryOperator::Multiply, unit.clone());
    let rounded = binary(call(name, vec![scaled]), BinaryOperator::Divide, unit);
    call("round", vec![rounded, places])
}

/// `(j -> 'a')`, which the grammar reads as a lambda of a text.
pub(super) fn arrow_of_lambda(dialect: Dialect, lambda: &LambdaFunction) -> Option<Expr> {
    let OneOrManyWithParens::One(parameter) = &lambda.params else { return None };
    let is_arrow = matches!(lambda.syntax, LambdaSyntax::Arrow);
    if dialect != Dialect::DuckDb || !is_arrow {
        return None;
    }
    grafted(dialect, &Expr::Identifier(parameter.name.clone()), &lambda.body)
}

/// A document put in front of the key that an expression begins with.
fn grafted(dialect: Dialect, document: &Expr, expr: &Expr) -> Option<Expr> {
    match expr {
        Expr::Value(_) => Some(json_arrow(dialect, document, expr, "")),
        Expr::Function(function) if function_name(&function.name).starts_with("json_") => {
            let mut args = arguments(function)?;
            let first = args.first_mut()?;
            *first = grafted(dialect, document, first)?;
            Some(call(&function_name(&function.name), args))
        }
        _ => None,
    }
}

/// `j ->> 's' = 'x'`, which the grammar reads as `j ->> ('s' = 'x')`: the arrow binds tighter.
fn arrow(dialect: Dialect, left: &Expr, right: &Expr, ending: &str) -> Expr {
    let mut right = right.clone();
    let (Expr::BinaryOp { left: inner, .. }
    | Expr::IsNull(inner)
    | Expr::IsNotNull(inner)
    | Expr::InList { expr: inner, .. }
    | Expr::Like { expr: inner, .. }
    | Expr::ILike { expr: inner, .. }
    | Expr::Between { expr: inner, .. }) = &mut right
    else {
        return json_arrow(dialect, left, &right, ending);
    };
    **inner = arrow(dialect, left, inner, ending);
    right
}

/// A key or an index; DuckDB takes paths too.
fn json_arrow(dialect: Dialect, left: &Expr, right: &Expr, ending: &str) -> Expr {
    if dialect == Dialect::DuckDb
        && let Some(path) = literal_text(right)
        && let Ok(path) = paths::canonical(dialect, path)
    {
        return call(&format!("json_piece{ending}"), vec![left.clone(), text(&path)]);
    }
    call(&format!("json_member{ending}"), vec![left.clone(), right.clone()])
}

/// The document and the keys of `#>`: an array of them, or text that looks like one.
fn json_keys(left: &Expr, right: &Expr) -> Vec<Expr> {
    let mut args = vec![left.clone()];
    match right {
        Expr::Array(array) => args.extend(array.elem.iter().cloned()),
        other => args.push(other.clone()),
    }
    args
}

/// Whether an expression is an interval that was rewritten.
pub(super) fn is_interval(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_interval(inner),
        Expr::Function(function) => {
            matches!(function_name(&function.name).as_str(), "interval_of" | "interval_between")
        }
        Expr::BinaryOp { left, op: BinaryOperator::Plus | BinaryOperator::Minus, right } => {
            is_interval(left) && is_interval(right)
        }
        Expr::BinaryOp { left, op: BinaryOperator::Multiply, right } => is_interval(left) || is_interval(right),
        Expr::Cast { data_type, .. } => matches!(data_type, DataType::Interval { .. }),
        _ => false,
    }
}

/// `INTERVAL '1 day' * n` is an interval of n days.
fn times_interval(interval: &Expr, factor: &Expr) -> Option<Expr> {
    let (unit, count) = super::template::interval(interval).ok()?;
    let count = if literal_integer(&count) == Some(1) {
        factor.clone()
    } else {
        binary(count, BinaryOperator::Multiply, factor.clone())
    };
    Some(call("interval_of", vec![unit, count]))
}

/// A date and an interval give a time in most dialects, and a date with the engine.
fn with_interval(dialect: Dialect, left: &Expr, op: &BinaryOperator, right: &Expr) -> Option<Expr> {
    if matches!(dialect, Dialect::Spark | Dialect::Snowflake) {
        return None;
    }
    let begin = |expr: &Expr| call("date_begin", vec![expr.clone()]);
    match (is_interval(left), is_interval(right)) {
        (false, true) if !is_begin(left) => Some(binary(begin(left), op.clone(), right.clone())),
        (true, false) if *op == BinaryOperator::Plus && !is_begin(right) => {
            Some(binary(begin(right), op.clone(), left.clone()))
        }
        _ => None,
    }
}

fn is_begin(expr: &Expr) -> bool {
    matches!(expr, Expr::Function(function) if function_name(&function.name) == "date_begin")
}

/// `value[...]` and `value.field` after something that is no name.
pub(super) fn access(dialect: Dialect, root: Expr, chain: Vec<AccessExpr>) -> Result<Expr, Problem> {
    let mut at = root;
    for step in chain {
        // Fields of a column are one name with it, as long as nothing stands between.
        if let (AccessExpr::Dot(Expr::Identifier(name)), Expr::Identifier(_) | Expr::CompoundIdentifier(_)) =
            (&step, &at)
        {
            at = match at {
                Expr::Identifier(column) => Expr::CompoundIdentifier(vec![column, name.clone()]),
                Expr::CompoundIdentifier(mut names) => {
                    names.push(name.clone());
                    Expr::CompoundIdentifier(names)
                }
                other => other,
            };
            continue;
        }
        at = match step {
            AccessExpr::Dot(Expr::Identifier(name)) if dialect == Dialect::Redshift => {
                call("json_member", vec![at, text(&name.value)])
            }
            AccessExpr::Dot(Expr::Identifier(name)) => call("get_field", vec![at, text(&name.value)]),
            AccessExpr::Dot(other) => {
                return Err((format!("`.{other}`"), String::from("Only the name of a field may follow a dot here.")));
            }
            AccessExpr::Subscript(Subscript::Index { index }) => item(dialect, at, index),
            AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride })
                if dialect == Dialect::DuckDb =>
            {
                let from = lower_bound.unwrap_or_else(|| number(1));
                let mut args = vec![at, from, upper_bound.unwrap_or_else(|| number(-1))];
                args.extend(stride);
                call("piece_slice", args)
            }
            AccessExpr::Subscript(Subscript::Slice { lower_bound, upper_bound, stride: None }) => {
                let from = lower_bound.unwrap_or_else(|| number(1));
                let to = upper_bound.unwrap_or_else(|| call("list_size", vec![at.clone()]));
                call("array_slice", vec![at, from, to])
            }
            AccessExpr::Subscript(slice @ Subscript::Slice { .. }) => {
                return Err((format!("the slice [{slice}]"), String::from("Slices have two bounds here.")));
            }
        };
    }
    Ok(at)
}

/// One item of an array, by the dialect's way of counting.
fn item(dialect: Dialect, array: Expr, index: Expr) -> Expr {
    let (how, index) = match &index {
        Expr::Function(function) => match (function_name(&function.name).as_str(), one(function)) {
            (name @ ("offset" | "ordinal" | "safe_offset" | "safe_ordinal"), Some(inner)) => (name.to_owned(), inner),
            _ => (String::new(), index),
        },
        _ => (String::new(), index),
    };
    let minus_one = |index: Expr| match literal_integer(&index) {
        Some(index) => number(index - 1),
        None => binary(index, BinaryOperator::Minus, number(1)),
    };
    match (how.as_str(), dialect) {
        ("offset", _) => call("list_item", vec![array, index]),
        ("ordinal", _) => call("list_item", vec![array, minus_one(index)]),
        ("", Dialect::BigQuery) if literal_text(&index).is_some() => call("json_member", vec![array, index]),
        ("safe_offset", _) => call("list_item_or_null", vec![array, index]),
        ("safe_ordinal", _) => call("list_item_or_null", vec![array, minus_one(index)]),
        (_, Dialect::BigQuery) => call("list_item", vec![array, index]),
        _ if literal_text(&index).is_some() && dialect != Dialect::Snowflake => call("get_field", vec![array, index]),
        _ if literal_text(&index).is_some() => call("json_member", vec![array, index]),
        (_, Dialect::Postgres) => call("array_element", vec![array, index]),
        (_, Dialect::DuckDb) => call("piece", vec![array, index]),
        _ => call("list_item_or_null", vec![array, index]),
    }
}

fn one(function: &Function) -> Option<Expr> {
    match arguments(function)?.as_slice() {
        [only] => Some(only.clone()),
        _ => None,
    }
}

/// Snowflake's `document:a.b[0]`.
pub(super) fn json_path(value: Expr, path: &JsonPath) -> Result<Expr, Problem> {
    let mut at = value;
    let mut constant = String::from("$");
    let flush = |at: Expr, constant: &mut String| {
        if constant == "$" {
            return at;
        }
        let path = std::mem::replace(constant, String::from("$"));
        call("json_piece", vec![at, text(&path)])
    };
    for element in &path.path {
        match element {
            JsonPathElem::Dot { key, .. } => paths::key(&mut constant, key),
            JsonPathElem::Bracket { key } | JsonPathElem::ColonBracket { key } => {
                match (literal_integer(key), literal_text(key)) {
                    (Some(index), _) => paths::index(&mut constant, index),
                    (None, Some(name)) => paths::key(&mut constant, name),
                    (None, None) => {
                        let document = flush(at, &mut constant);
                        at = call("json_member", vec![document, key.clone()]);
                    }
                }
            }
        }
    }
    Ok(flush(at, &mut constant))
}

/// `x LIKE ANY (a, b)` as a chain of comparisons.
pub(super) fn like_any(expr: &Expr, pattern: &Expr, negated: bool, ignores_case: bool) -> Option<Expr> {
    let patterns = match pattern {
        Expr::Tuple(patterns) => patterns.clone(),
        Expr::Nested(one) => match one.as_ref() {
            Expr::Array(array) => array.elem.clone(),
            other => vec![other.clone()],
        },
        Expr::Array(array) => array.elem.clone(),
        _ => return None,
    };
    let like = |pattern: Expr| {
        let (expr, pattern) = (Box::new(expr.clone()), Box::new(pattern));
        if ignores_case {
            Expr::ILike { negated: false, any: false, expr, pattern, escape_char: None }
        } else {
            Expr::Like { negated: false, any: false, expr, pattern, escape_char: None }
        }
    };
    let any = patterns.into_iter().map(like).reduce(|one, other| binary(one, BinaryOperator::Or, other))?;
    let any = Expr::Nested(Box::new(any));
    Some(if negated { not(any) } else { any })
}

/// The pattern of LIKE with an escape character of its own, with the backslash that is the engine's.
pub(super) fn escaped(pattern: &Expr, escape: &str) -> Option<Expr> {
    let (pattern, escape) = (literal_text(pattern)?, escape.chars().next()?);
    let mut out = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        match character {
            character if character == escape => {
                out.push('\\');
                out.extend(characters.next());
            }
            '\\' => out.push_str("\\\\"),
            other => out.push(other),
        }
    }
    Some(text(&out))
}

/// AT TIME ZONE.
pub(super) fn at_time_zone(dialect: Dialect, time: Expr, zone: Expr) -> Expr {
    match dialect {
        Dialect::Postgres | Dialect::Redshift => call("at_zone_standard", vec![time, zone]),
        // EXTRACT(... FROM ts AT TIME ZONE z) is all there is.
        Dialect::BigQuery => call("zone_wall", vec![time, zone]),
        _ => call("at_zone", vec![time, zone]),
    }
}

/// EXTRACT.
pub(super) fn extract(dialect: Dialect, word: &str, expr: Expr) -> Result<Expr, Problem> {
    match word {
        "date" => {
            return Ok(call("date_of", vec![expr]));
        }
        "datetime" => {
            return casts::cast_to(dialect, CastKind::Cast, expr, &casts::timestamp(), None);
        }
        "epoch" if is_interval_like(&expr) => return Ok(call("interval_seconds", vec![expr])),
        "epoch" if dialect == Dialect::Redshift => return Ok(call("date_read", vec![text("epoch_second"), expr])),
        "epoch" => return Ok(call("date_epoch", vec![expr])),
        "second" | "seconds" if matches!(dialect, Dialect::Postgres | Dialect::Spark) => {
            // With the fraction.
            let micros = call("date_read", vec![text("microseconds"), expr]);
            return Ok(binary(
                micros,
                BinaryOperator::Divide,
                Expr::value(Value::Number(String::from("1000000.0"), false)),
            ));
        }
        _ => {}
    }
    let field = super::parts::field(dialect, &text(word))?;
    Ok(call("date_read", vec![text(&field), expr]))
}

/// An interval, or the difference of two times that is one.
fn is_interval_like(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_interval_like(inner),
        Expr::BinaryOp { left, op: BinaryOperator::Minus, right } => !is_interval(left) && !is_interval(right),
        other => is_interval(other),
    }
}

/// NULL where one of several expressions is, the call otherwise.
pub(super) fn unless_null(args: &[Expr], result: Expr) -> Expr {
    let is_null = args.iter().map(|arg| Expr::IsNull(Box::new(super::build::wrapped(arg.clone()))));
    match is_null.reduce(|one, other| binary(one, BinaryOperator::Or, other)) {
        Some(condition) => case(vec![(condition, null())], Some(result)),
        None => result,
    }
}
