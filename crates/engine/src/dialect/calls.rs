//! Calls that templates cannot say.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Value,
};

use super::Dialect;
use super::build::{arguments, binary, call, function_name, literal_integer, literal_text, number};
use super::template::{Problem, fill};

/// Calls that templates cannot say.
pub(super) fn special(dialect: Dialect, name: &str, given: &[Expr]) -> Option<Result<Expr, Problem>> {
    texts(dialect, name, given)
        .or_else(|| times(dialect, name, given))
        .or_else(|| lists(dialect, name, given))
        .or_else(|| documents(dialect, name, given))
}

/// Text, numbers and conditions.
fn texts(dialect: Dialect, name: &str, given: &[Expr]) -> Option<Result<Expr, Problem>> {
    Some(match name {
        // NULL in any of them makes NULL.
        "concat" if dialect == Dialect::Postgres => {
            Ok(call("concat", given.iter().map(|expr| call("postgres_output", vec![expr.clone()])).collect()))
        }
        "concat" if dialect == Dialect::Spark && given.iter().any(is_array) => Ok(call("array_concat", given.to_vec())),
        "concat" if dialect != Dialect::DuckDb && !given.is_empty() => {
            let texts = given.iter().map(|expr| call(super::casts::text_function(dialect), vec![expr.clone()]));
            let joined = texts.reduce(|one, other| binary(one, BinaryOperator::StringConcat, other));
            Ok(Expr::Nested(Box::new(joined?)))
        }
        "nvl" if given.len() > 2 => Ok(call("coalesce", given.to_vec())),
        "regexp_extract" if dialect == Dialect::DuckDb => match given {
            [text, pattern, Expr::Array(names)] => {
                let group = |(index, name): (usize, &Expr)| {
                    let at = number(i64::try_from(index + 1).unwrap_or(1));
                    [name.clone(), call("regex_extract_or_empty", vec![text.clone(), pattern.clone(), at])]
                };
                Ok(call("named_struct", names.elem.iter().enumerate().flat_map(group).collect()))
            }
            _ => return None,
        },
        "num_nulls" | "num_nonnulls" => {
            let counts = |expr: &Expr| {
                let tested = Box::new(super::build::wrapped(expr.clone()));
                let test = if name == "num_nulls" { Expr::IsNull(tested) } else { Expr::IsNotNull(tested) };
                super::build::case(vec![(test, number(1))], Some(number(0)))
            };
            given.iter().map(counts).reduce(|one, other| binary(one, BinaryOperator::Plus, other)).map(Ok)?
        }
        "to_char" if dialect == Dialect::Spark && given.len() == 2 && is_number_pattern(given) => {
            fill(dialect, "number_text($1, concat('FM', $2))", given)
        }
        "to_number" | "to_decimal" | "to_numeric" | "try_to_number" | "try_to_decimal" | "try_to_numeric"
            if given.len() > 1 =>
        {
            numeric(dialect, name, given)
        }
        "to_char" | "to_varchar" if given.len() == 2 && is_number_pattern(given) => {
            Ok(call("number_text", given.to_vec()))
        }
        "to_hex" if matches!(dialect, Dialect::Postgres | Dialect::Redshift) => {
            let [value] = given else { return None };
            let is_short = literal_integer(value).is_some_and(|number| i32::try_from(number).is_ok());
            fill(dialect, if is_short { "hex_of(CAST($1 AS INT))" } else { "hex_of($1)" }, std::slice::from_ref(value))
        }
        "concat_ws" if matches!(dialect, Dialect::Snowflake | Dialect::BigQuery) => {
            Ok(super::operators::unless_null(given, call("concat_ws", given.to_vec())))
        }
        "greatest" | "least" if matches!(dialect, Dialect::BigQuery | Dialect::Snowflake) => {
            Ok(super::operators::unless_null(given, call(name, given.to_vec())))
        }
        "decode" if matches!(dialect, Dialect::Snowflake | Dialect::Redshift | Dialect::Spark) && given.len() > 2 => {
            decode(given)
        }
        "width_bucket" => {
            let [value, low, high, count] = given else { return None };
            let template = "CASE WHEN $1 < $2 THEN 0 WHEN $1 >= $3 THEN $4 + 1 ELSE CAST(floor(CAST($1 - $2 AS DOUBLE) / CAST($3 - $2 AS DOUBLE) * $4) AS BIGINT) + 1 END";
            fill(dialect, template, &[value.clone(), low.clone(), high.clone(), count.clone()])
        }
        _ => return None,
    })
}

/// Dates and times.
fn times(dialect: Dialect, name: &str, given: &[Expr]) -> Option<Result<Expr, Problem>> {
    Some(match name {
        "date_part" if matches!(dialect, Dialect::Postgres | Dialect::Redshift) => {
            let [field, time] = given else { return None };
            let word = super::parts::word(field)?;
            let read = super::operators::extract(dialect, &word, time.clone());
            let double = datafusion::sql::sqlparser::ast::DataType::Double(
                datafusion::sql::sqlparser::ast::ExactNumberInfo::None,
            );
            match dialect {
                Dialect::Postgres => {
                    read.map(|read| super::build::cast(datafusion::sql::sqlparser::ast::CastKind::Cast, read, double))
                }
                _ => read,
            }
        }
        // A date with hours is a time.
        "dateadd" | "timeadd" | "timestampadd" if dialect == Dialect::Snowflake => {
            let [part, count, time] = given else { return None };
            let is_short = super::parts::span(dialect, part).is_ok_and(|part| {
                matches!(part.as_str(), "hour" | "minute" | "second" | "millisecond" | "microsecond")
            });
            let template =
                if is_short { "date_moved($part1, $2, date_begin($3))" } else { "date_moved($part1, $2, $3)" };
            fill(dialect, template, &[part.clone(), count.clone(), time.clone()])
        }
        // Weeks are counted from the first day of 1970, which was a Thursday.
        "date_diff" | "datediff" if dialect == Dialect::DuckDb => {
            let [part, from, to] = given else { return None };
            let is_week = super::parts::word(part).is_some_and(|word| matches!(word.as_str(), "week" | "weeks" | "w"));
            let args = vec![super::build::text("week(thursday)"), from.clone(), to.clone()];
            return is_week.then(|| Ok(call("date_boundaries", args)));
        }
        "try_strptime" => match given {
            [text, Expr::Array(patterns)] => {
                let tried =
                    |pattern: &Expr| fill(dialect, "try_time_parse($1, $fmt2)", &[text.clone(), pattern.clone()]);
                patterns.elem.iter().map(tried).collect::<Result<Vec<_>, _>>().map(|tried| call("coalesce", tried))
            }
            _ => return None,
        },
        "date_part" | "datepart" if dialect == Dialect::DuckDb => match given {
            [Expr::Array(fields), time] => {
                let read = |field: &Expr| {
                    let value = fill(dialect, "date_read($field1, $2)", &[field.clone(), time.clone()])?;
                    Ok([field.clone(), value])
                };
                let fields: Result<Vec<_>, Problem> = fields.elem.iter().map(read).collect();
                fields.map(|fields| call("named_struct", fields.into_iter().flatten().collect()))
            }
            _ => return None,
        },
        "to_timestamp" | "to_timestamp_ntz" | "to_timestamp_ltz"
            if dialect == Dialect::Snowflake && given.len() == 2 =>
        {
            let [value, places] = given else { return None };
            let places = literal_integer(places)?;
            let unit = 10_i64.checked_pow(u32::try_from(6_i64.checked_sub(places)?).ok()?)?;
            Ok(call("time_from_micros", vec![value.clone(), number(unit)]))
        }
        "time_slice" if given.len() == 4 => {
            let [time, length, part, side] = given else { return None };
            let begin = "date_slice($part3, $2, $1, CAST('1970-01-01' AS TIMESTAMP(6)))";
            let template = match literal_text(side)?.to_lowercase().as_str() {
                "start" => begin.to_owned(),
                "end" => format!("date_moved($part3, $2, {begin})"),
                _ => return None,
            };
            fill(dialect, &template, &[time.clone(), length.clone(), part.clone()])
        }
        "trunc" | "truncate" if matches!(dialect, Dialect::Snowflake | Dialect::Redshift) => truncated(dialect, given)?,
        "trunc" if dialect == Dialect::Spark => {
            let [date, part] = given else { return None };
            let word = super::parts::word(part).unwrap_or_default();
            let known = matches!(word.as_str(), "year" | "yyyy" | "yy" | "quarter" | "month" | "mm" | "mon" | "week");
            let date = call("date_of", vec![date.clone()]);
            match (known, literal_text(part)) {
                (true, _) => fill(dialect, "date_floor($part2, $1)", &[date, part.clone()]),
                // What is no part of a date gives NULL.
                (false, Some(_)) => fill(dialect, "nullif($1, $1)", &[date]),
                (false, None) => return None,
            }
        }
        _ => return None,
    })
}

/// Arrays, maps and structures.
fn lists(dialect: Dialect, name: &str, given: &[Expr]) -> Option<Result<Expr, Problem>> {
    Some(match name {
        "array_concat" if dialect == Dialect::BigQuery => {
            Ok(super::operators::unless_null(given, call("array_concat", given.to_vec())))
        }
        "array" if dialect == Dialect::Redshift => Ok(array_of(given.to_vec())),
        "list_aggregate" | "list_aggr" | "array_aggregate" | "array_aggr" => list_aggregate(dialect, given)?,
        "transform" | "filter" | "list_transform" | "list_filter" | "list_apply" if matches!(given.get(1), Some(Expr::Function(lambda)) if parts_of(lambda).is_some_and(|(names, _)| names.len() > 1)) => {
            Err((
                format!("the function {name} with a lambda of an item and its place"),
                String::from("Use unnest with a position."),
            ))
        }
        "array_construct" if dialect == Dialect::Snowflake => Ok(array_of(given.to_vec())),
        "aggregate" | "reduce" | "list_reduce" => folded(given),
        "forall" => {
            let [list, Expr::Function(lambda)] = given else { return None };
            let (names, body) = parts_of(lambda)?;
            let [name] = names.as_slice() else { return None };
            let fails = super::arrays::lambda(std::slice::from_ref(name), super::build::not(body));
            Ok(super::build::not(call("array_any_match", vec![list.clone(), fails])))
        }
        "array_sort" if dialect == Dialect::Spark && given.len() == 2 => Err((
            String::from("array_sort with a lambda"),
            String::from("Use sort_array, or sort structures by their first field."),
        )),
        "map_from_entries" => {
            let [Expr::Array(array)] = given else { return None };
            let pairs: Option<Vec<(Expr, Expr)>> = array.elem.iter().map(pair).collect();
            let (keys, values): (Vec<_>, Vec<_>) = pairs?.into_iter().unzip();
            Ok(call("map", vec![call("make_array", keys), call("make_array", values)]))
        }
        "map" if dialect == Dialect::Spark => {
            let (keys, values): (Vec<_>, Vec<_>) =
                given.chunks(2).filter_map(|pair| Some((pair.first()?.clone(), pair.get(1)?.clone()))).unzip();
            Ok(call("map", vec![call("make_array", keys), call("make_array", values)]))
        }
        "named_struct" | "struct" if dialect == Dialect::Spark && name == "struct" => {
            super::literals::structure(dialect, given.to_vec(), &[])
        }
        _ => return None,
    })
}

/// JSON.
fn documents(dialect: Dialect, name: &str, given: &[Expr]) -> Option<Result<Expr, Problem>> {
    Some(match name {
        "get" if dialect == Dialect::Snowflake => {
            let [document, key] = given else { return None };
            literal_text(key)?;
            Ok(call("json_member", vec![document.clone(), key.clone()]))
        }
        "json_extract_path_text"
            if dialect == Dialect::Redshift
                && matches!(given.last(), Some(Expr::Value(last)) if matches!(last.value, Value::Boolean(_))) =>
        {
            let (last, keys) = given.split_last()?;
            let template = "CASE WHEN json_is_valid($1) THEN coalesce(json_at_keys_text($all), '') END";
            let is_lenient = last.to_string().eq_ignore_ascii_case("true");
            fill(dialect, if is_lenient { template } else { "coalesce(json_at_keys_text($all), '')" }, keys)
        }
        "json_extract" | "json_extract_string" | "json_extract_path" | "json_extract_path_text"
            if matches!(given, [_, Expr::Array(_)]) =>
        {
            let [document, Expr::Array(paths)] = given else { return None };
            let template = if name == "json_extract" || name == "json_extract_path" {
                "json_piece($1, $path2)"
            } else {
                "json_piece_text($1, $path2)"
            };
            let piece = |path: &Expr| fill(dialect, template, &[document.clone(), path.clone()]);
            paths.elem.iter().map(piece).collect::<Result<Vec<_>, _>>().map(|pieces| call("make_array", pieces))
        }
        "from_json" | "json_transform" => super::documents::read(dialect, given),
        _ => return None,
    })
}

/// `DECODE(x, 1, 'a', 2, 'b', 'c')`, where NULL is equal to NULL.
fn decode(given: &[Expr]) -> Result<Expr, Problem> {
    let Some((value, rest)) = given.split_first() else { return Err((String::from("decode"), String::new())) };
    let mut conditions = Vec::new();
    let pairs = rest.chunks_exact(2);
    let otherwise = pairs.remainder().first().cloned();
    for pair in pairs {
        if let [wanted, result] = pair {
            let same = Expr::IsNotDistinctFrom(
                Box::new(super::build::wrapped(value.clone())),
                Box::new(super::build::wrapped(wanted.clone())),
            );
            conditions.push((same, result.clone()));
        }
    }
    Ok(super::build::case(conditions, otherwise))
}

/// Whether an expression is an array that is written out, or made by a function.
fn is_array(expr: &Expr) -> bool {
    match expr {
        Expr::Array(_) => true,
        Expr::Function(function) => matches!(
            function_name(&function.name).as_str(),
            "make_array"
                | "array_agg"
                | "list_or_empty"
                | "array_concat"
                | "array_filter"
                | "array_transform"
                | "list_series"
        ),
        _ => false,
    }
}

/// `STRUCT_PACK(a := 1)`, and `STRUCT_INSERT` into a structure that is written out.
pub(super) fn structure(name: &str, function: &Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &function.args else { return None };
    let field = |arg: &FunctionArg| match arg {
        FunctionArg::Named { name, arg: FunctionArgExpr::Expr(value), .. } => {
            Some([super::build::text(&name.value), value.clone()])
        }
        _ => None,
    };
    match name {
        "struct_pack" => {
            let fields: Option<Vec<_>> = list.args.iter().map(field).collect();
            Some(call("named_struct", fields?.into_iter().flatten().collect()))
        }
        "struct_insert" => {
            let (FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(before))), more) =
                list.args.split_first()?
            else {
                return None;
            };
            let mut fields = arguments(before).filter(|_| function_name(&before.name) == "named_struct")?;
            let more: Option<Vec<_>> = more.iter().map(field).collect();
            fields.extend(more?.into_iter().flatten());
            Some(call("named_struct", fields))
        }
        _ => None,
    }
}

/// `LIST_AGGREGATE(list, 'sum')`
fn list_aggregate(dialect: Dialect, given: &[Expr]) -> Option<Result<Expr, Problem>> {
    let template = match literal_text(given.get(1)?)?.to_lowercase().as_str() {
        "sum" => "array_sum($1)",
        "avg" | "mean" => "array_avg($1)",
        "min" => "array_min($1)",
        "max" => "array_max($1)",
        "count" => "list_size(array_compact($1))",
        "median" => "list_interpolated($1, 0.5)",
        "first" => "list_item_or_null($1, 0)",
        "string_agg" => "list_string_agg($1, $2)",
        _ => return None,
    };
    let mut args = vec![given.first()?.clone()];
    args.extend(given.get(2).cloned());
    Some(fill(dialect, template, &args))
}

/// An array of Snowflake's, which may hold anything: a document where its literals are of several kinds.
pub(super) fn array_of(items: Vec<Expr>) -> Expr {
    let is_document = |item: &Expr| {
        matches!(item, Expr::Function(function) if matches!(
            function_name(&function.name).as_str(),
            "json_of" | "json_object_of" | "json_object_without_nulls" | "json_array_of" | "json_document" | "json_piece"
        ))
    };
    if items.iter().any(is_document) {
        return call("json_array_of", items);
    }
    let is_text = items.iter().any(|item| literal_text(item).is_some());
    let is_number = items.iter().any(|item| literal_integer(item).is_some());
    call(if is_text && is_number { "json_array_of" } else { "make_array" }, items)
}

/// The names and the body of a lambda that was rewritten.
fn parts_of(function: &Function) -> Option<(Vec<String>, Expr)> {
    if function_name(&function.name) != super::LAMBDA {
        return None;
    }
    let mut args = arguments(function)?;
    let body = args.pop()?;
    let names: Option<Vec<String>> = args.iter().map(|name| literal_text(name).map(str::to_owned)).collect();
    Some((names?, body))
}

fn is_name(expr: &Expr, name: &str) -> bool {
    match expr {
        Expr::Nested(inner) => is_name(inner, name),
        Expr::Identifier(ident) => ident.value.eq_ignore_ascii_case(name),
        _ => false,
    }
}

/// `aggregate(list, 0, (sum, x) -> sum + f(x))`: the sum of what the lambda adds.
fn folded(given: &[Expr]) -> Result<Expr, Problem> {
    let problem = || {
        (
            String::from("a fold of an array"),
            String::from("Sums are known: (acc, x) -> acc + x. Use array_max, array_min, or unnest and aggregate."),
        )
    };
    let (list, start, lambda) = match given {
        [list, Expr::Function(lambda)] => (list, None, lambda),
        [list, start, Expr::Function(lambda)] => (list, Some(start), lambda),
        _ => return Err(problem()),
    };
    let (names, body) = parts_of(lambda).ok_or_else(problem)?;
    let [sum, item] = names.as_slice() else { return Err(problem()) };
    let added = match &body {
        Expr::BinaryOp { left, op: BinaryOperator::Plus, right } if is_name(left, sum) => right.as_ref(),
        Expr::BinaryOp { left, op: BinaryOperator::Plus, right } if is_name(right, sum) => left.as_ref(),
        _ => return Err(problem()),
    };
    if super::arrays::mentions(added, sum) {
        return Err(problem());
    }
    let values = if is_name(added, item) {
        list.clone()
    } else {
        call("array_transform", vec![list.clone(), super::arrays::lambda(std::slice::from_ref(item), added.clone())])
    };
    let total = call("list_total", vec![values]);
    Ok(match start {
        Some(start) => Expr::Nested(Box::new(binary(start.clone(), BinaryOperator::Plus, total))),
        None => total,
    })
}

/// Whether a value is written by a pattern of digits.
fn is_number_pattern(given: &[Expr]) -> bool {
    let pattern = given.get(1).and_then(literal_text);
    pattern.is_some_and(|pattern| {
        pattern.contains(['9', '0']) && pattern.chars().all(|letter| "90.,GDSL$FMfm ".contains(letter))
    })
}

/// `to_number('1,234.50', '9,999.99', 10, 2)`: pattern, digits and places may be left out.
fn numeric(dialect: Dialect, name: &str, given: &[Expr]) -> Result<Expr, Problem> {
    let tries = name.starts_with("try_");
    let (value, pattern, sizes) = match given {
        [value, pattern, sizes @ ..] if literal_text(pattern).is_some() => (value, Some(pattern), sizes),
        [value, sizes @ ..] => (value, None, sizes),
        [] => return Err((format!("the function {name}"), String::from("Give it what to read."))),
    };
    let places = pattern.and_then(literal_text).and_then(|pattern| pattern.split_once(['.', 'D', 'd']));
    let places = places.map_or(0, |(_, fraction)| fraction.chars().filter(|digit| matches!(digit, '9' | '0')).count());
    let scale = match (sizes.get(1).and_then(literal_integer), dialect) {
        (Some(scale), _) => scale,
        (None, Dialect::Snowflake) => 0,
        _ => i64::try_from(places).unwrap_or(0),
    };
    let decimal = format!("DECIMAL(38, {})", scale.clamp(0, 37));
    let template = match (pattern, tries) {
        (Some(_), false) => format!("number_of_text($1, $2, CAST(NULL AS {decimal}))"),
        (Some(_), true) => format!("try_number_of_text($1, $2, CAST(NULL AS {decimal}))"),
        (None, false) => format!("CAST($1 AS {decimal})"),
        (None, true) => format!("TRY_CAST($1 AS {decimal})"),
    };
    let mut args = vec![value.clone()];
    args.extend(pattern.cloned());
    fill(dialect, &template, &args)
}

/// TRUNC of a date to a part, of a time to its date, of a number to places.
fn truncated(dialect: Dialect, given: &[Expr]) -> Option<Result<Expr, Problem>> {
    match given {
        [value, part]
            if super::parts::word(part).is_some_and(|word| literal_integer(part).is_none() && !word.is_empty()) =>
        {
            super::parts::span(dialect, part).ok()?;
            Some(fill(dialect, "date_floor($part2, $1)", &[value.clone(), part.clone()]))
        }
        [value] => Some(Ok(call("truncated", vec![value.clone()]))),
        [value, places] => Some(Ok(call("trunc", vec![value.clone(), places.clone()]))),
        _ => None,
    }
}

/// A key and a value: `('a', 5)`, `struct('a', 5)`
fn pair(entry: &Expr) -> Option<(Expr, Expr)> {
    match entry {
        Expr::Tuple(fields) => match fields.as_slice() {
            [key, value] => Some((key.clone(), value.clone())),
            _ => None,
        },
        Expr::Function(function) if function_name(&function.name) == "named_struct" => {
            match arguments(function)?.as_slice() {
                [_, key, _, value] => Some((key.clone(), value.clone())),
                _ => None,
            }
        }
        _ => None,
    }
}
