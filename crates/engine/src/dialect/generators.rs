//! Functions that give rows: in FROM, in LATERAL VIEW, and beside other columns.

use datafusion::sql::sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, Ident, Join, JoinConstraint, JoinOperator, LateralView, Query,
    SelectItem, SetExpr, TableAlias, TableFactor,
};

use super::build::{arguments, call, function_name, named_argument, text};
use super::pivot::{plain_alias, query};
use super::template::Problem;
use super::{Dialect, paths};

/// Columns that are taken apart side by side.
pub(super) struct Columns(pub(super) Vec<(Ident, Expr)>);

impl Columns {
    /// Lists of one NULL where there is none: rows without items stay.
    pub(super) fn outer(self) -> Self {
        Self(self.0.into_iter().map(|(name, list)| (name, call("list_or_one_null", vec![list]))).collect())
    }

    /// `(SELECT unnest(list) AS name, ...)`
    fn query(self) -> Option<Box<Query>> {
        let mut query = query("SELECT 1")?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            let item = |(alias, list)| SelectItem::ExprWithAlias { expr: call("unnest", vec![list]), alias };
            select.projection = self.0.into_iter().map(item).collect();
        }
        Some(query)
    }

    pub(super) fn factor(self, alias: Option<TableAlias>, lateral: bool) -> Result<TableFactor, Problem> {
        let subquery = self.query().ok_or_else(|| problem("an array in FROM", "Take it apart in a subquery."))?;
        let alias = alias.map(|alias| TableAlias { columns: Vec::new(), at: None, ..alias });
        Ok(TableFactor::Derived { lateral, subquery, alias, sample: None })
    }
}

pub(super) fn problem(what: &str, hint: &str) -> Problem {
    (what.to_owned(), hint.to_owned())
}

/// The name a column of a function has: the alias's column, the alias itself, or a default.
pub(super) fn column_name(alias: Option<&TableAlias>, index: usize, default: &str) -> Ident {
    match alias {
        Some(alias) => match alias.columns.get(index) {
            Some(column) => column.name.clone(),
            None if index == 0 && alias.columns.is_empty() && default.is_empty() => alias.name.clone(),
            None if default.is_empty() => alias.name.clone(),
            None => Ident::new(default),
        },
        None => Ident::new(if default.is_empty() { "unnest" } else { default }),
    }
}

/// The arrays of the columns of a function that gives several.
pub(super) fn generated(function: &Function, width: usize) -> Option<Vec<Expr>> {
    let given = arguments(function)?;
    let first = given.first()?.clone();
    Some(match function_name(&function.name).trim_end_matches("_outer") {
        "posexplode" => vec![call("list_offsets", vec![first.clone()]), first],
        // `explode` was made `unnest` by the table of functions.
        "explode" | "unnest" if width == 2 => {
            vec![call("map_keys", vec![first.clone()]), call("map_values", vec![first])]
        }
        "explode" | "unnest" => vec![first],
        "json_tuple" => given
            .iter()
            .skip(1)
            .map(|key| call("make_array", vec![call("json_member_text", vec![first.clone(), key.clone()])]))
            .collect(),
        "stack" => {
            let rows = usize::try_from(super::build::literal_integer(&first)?).ok().filter(|rows| *rows > 0)?;
            let cells = given.get(1..)?;
            let width = cells.len().div_ceil(rows);
            let column = |at: usize| {
                let items = cells.chunks(width).map(|row| row.get(at).cloned().unwrap_or_else(super::build::null));
                call("make_array", items.collect())
            };
            (0..width).map(column).collect()
        }
        "inline" => {
            let fields = fields_of_items(&first)?;
            let item = super::build::column("__item");
            let field = |name: &String| {
                let body = call("get_field", vec![item.clone(), text(name)]);
                call("array_transform", vec![first.clone(), super::arrays::lambda(&[String::from("__item")], body)])
            };
            fields.iter().map(field).collect()
        }
        _ => return None,
    })
}

/// The fields of the structures an array is written of.
pub(super) fn fields_of_items(array: &Expr) -> Option<Vec<String>> {
    match array {
        Expr::Array(array) => field_names(array.elem.first()?),
        Expr::Function(function) if function_name(&function.name) == "make_array" => {
            field_names(arguments(function)?.first()?)
        }
        // A lambda that makes structures.
        Expr::Function(function) if function_name(&function.name) == "array_transform" => {
            match arguments(function)?.get(1)? {
                Expr::Function(lambda) => field_names(arguments(lambda)?.last()?),
                _ => None,
            }
        }
        _ => None,
    }
}

/// The names of the fields of `named_struct('a', 1, ...)`.
pub(super) fn field_names(expr: &Expr) -> Option<Vec<String>> {
    let Expr::Function(function) = expr else { return None };
    if function_name(&function.name) != "named_struct" {
        return None;
    }
    arguments(function)?.iter().step_by(2).map(|name| super::build::literal_text(name).map(str::to_owned)).collect()
}

/// 1, 2, 3, ... for each item.
pub(super) fn ordinals(list: Expr) -> Expr {
    let size = call("coalesce", vec![call("list_size", vec![list]), super::build::number(0)]);
    call("generate_series", vec![super::build::number(1), size])
}

/// A function in FROM.
pub(super) fn rows_of(
    dialect: Dialect,
    name: &str,
    args: &[FunctionArg],
    alias: Option<TableAlias>,
    with_ordinality: bool,
    lateral: bool,
) -> Result<TableFactor, Problem> {
    let plain: Vec<Expr> = args
        .iter()
        .filter_map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        })
        .collect();
    let at = |index: usize| plain.get(index).cloned();
    let missing = || problem(&format!("{name} without an argument"), "Give it what to take apart.");
    let of = alias.as_ref();
    let named = |default: &str, list: Expr| Columns(vec![(column_name(of, 0, default), list)]);
    let fallback = || alias.clone().or_else(|| Some(plain_alias(name)));
    let mut columns = match name {
        "flatten" => return flatten(args, at(0), alias, lateral),
        "split_to_table" | "strtok_split_to_table" => {
            let list = call("text_split", vec![at(0).ok_or_else(missing)?, at(1).unwrap_or_else(|| text(" "))]);
            Columns(vec![(Ident::new("index"), ordinals(list.clone())), (Ident::new("value"), list)])
        }
        "generator" => {
            let rows = named_argument(args, "rowcount").or_else(|| at(0)).ok_or_else(missing)?;
            Columns(vec![(Ident::new("seq"), call("range", vec![super::build::number(0), rows]))])
        }
        "generate_series" if matches!(dialect, Dialect::Postgres | Dialect::Redshift | Dialect::DuckDb) => {
            let default = if dialect == Dialect::DuckDb { "generate_series" } else { "" };
            named(if of.is_none() { "generate_series" } else { default }, call("list_series", plain))
        }
        "range" => named(if dialect == Dialect::Spark { "id" } else { "range" }, call("range", plain)),
        "explode" | "explode_outer" | "unnest" => {
            let is_spark = dialect == Dialect::Spark && name != "unnest";
            named(if of.is_none() || is_spark { "col" } else { "" }, at(0).ok_or_else(missing)?)
        }
        "posexplode" => {
            let list = at(0).ok_or_else(missing)?;
            Columns(vec![
                (column_name(of, 0, "pos"), call("list_offsets", vec![list.clone()])),
                (column_name(of, 1, "col"), list),
            ])
        }
        "regexp_matches" => {
            let all = plain.get(2).and_then(super::build::literal_text).is_some_and(|flags| flags.contains('g'));
            let mut groups = call("regex_groups_of_all", plain);
            if !all {
                groups = call("array_slice", vec![groups, super::build::number(1), super::build::number(1)]);
            }
            named(if of.is_none() { name } else { "" }, groups)
        }
        "regexp_split_to_table" => named(if of.is_none() { name } else { "" }, call("regex_split", plain)),
        "string_to_table" => named(if of.is_none() { name } else { "" }, call("text_split", plain)),
        other => json_rows(dialect, other, at(0).ok_or_else(missing)?, of)?,
    };
    if with_ordinality {
        let (index, list) = (columns.0.len(), columns.0.first().map(|(_, list)| list.clone()).ok_or_else(missing)?);
        columns.0.push((column_name(of, index, "ordinality"), ordinals(list)));
    }
    if name == "explode_outer" {
        columns = columns.outer();
    }
    columns.factor(fallback(), lateral)
}

/// The rows of a JSON document, by the function that takes it apart.
fn json_rows(dialect: Dialect, name: &str, document: Expr, of: Option<&TableAlias>) -> Result<Columns, Problem> {
    let named = |default: &str, list: Expr| Columns(vec![(column_name(of, 0, default), list)]);
    Ok(match name {
        "jsonb_array_elements" | "json_array_elements" => doubled(of, "value", call("json_elements", vec![document])),
        "jsonb_array_elements_text" | "json_array_elements_text" => {
            doubled(of, "value", call("json_element_texts", vec![document]))
        }
        "jsonb_object_keys" | "json_object_keys" => {
            named(if of.is_none() { name } else { "" }, call("json_keys", vec![document]))
        }
        "json_each" if dialect == Dialect::DuckDb => Columns(vec![
            (Ident::new("key"), call("variant_keys", vec![document.clone()])),
            (Ident::new("value"), call("variant_items", vec![document.clone()])),
            (Ident::new("type"), call("array_transform", vec![call("variant_items", vec![document]), json_type()?])),
        ]),
        "jsonb_each" | "json_each" | "jsonb_each_text" | "json_each_text" => {
            let values = call("json_values", vec![document.clone()]);
            let values =
                if name.ends_with("_text") { call("array_transform", vec![values, item_text()]) } else { values };
            Columns(vec![
                (column_name(of, 0, "key"), call("json_keys", vec![document])),
                (column_name(of, 1, "value"), values),
            ])
        }
        "json_to_recordset" | "jsonb_to_recordset" | "json_to_record" | "jsonb_to_record" => {
            let alias = of.ok_or_else(|| problem(&format!("{name} without columns"), "Write AS t(a INT, b TEXT)."))?;
            let rows = if name.ends_with("set") {
                call("json_elements", vec![document])
            } else {
                call("make_array", vec![document])
            };
            let item = super::build::column("__document");
            let mut columns = Vec::new();
            for column in &alias.columns {
                let data_type =
                    column.data_type.as_ref().ok_or_else(|| problem("a column without a type", "Name its type."))?;
                let read = super::documents::field(dialect, &item, &column.name.value, data_type)?;
                let lambda = super::arrays::lambda(&[String::from("__document")], read);
                columns.push((column.name.clone(), call("array_transform", vec![rows.clone(), lambda])));
            }
            Columns(columns)
        }
        other => {
            return Err(problem(
                &format!("the function {other} in FROM"),
                "Only functions that take arrays or JSON apart stand there.",
            ));
        }
    })
}

/// What DuckDB calls the type of an item.
fn json_type() -> Result<Expr, Problem> {
    let item = super::build::column("__item");
    let kind = super::functions::call_of(Dialect::DuckDb, "json_type", &[item])?;
    Ok(super::arrays::lambda(&[String::from("__item")], kind))
}

fn item_text() -> Expr {
    let item = super::build::column("__item");
    super::arrays::lambda(&[String::from("__item")], call("json_piece_text", vec![item]))
}

/// One column under the function's own name for it and under the alias, as PostgreSQL lets one say either.
fn doubled(alias: Option<&TableAlias>, default: &str, list: Expr) -> Columns {
    match alias {
        Some(alias) if alias.columns.is_empty() && !alias.name.value.eq_ignore_ascii_case(default) => {
            Columns(vec![(Ident::new(default), list.clone()), (alias.name.clone(), list)])
        }
        _ => Columns(vec![(column_name(alias, 0, default), list)]),
    }
}

/// Snowflake's FLATTEN.
fn flatten(
    args: &[FunctionArg],
    first: Option<Expr>,
    alias: Option<TableAlias>,
    lateral: bool,
) -> Result<TableFactor, Problem> {
    let input = named_argument(args, "input").or(first);
    let mut input = input.ok_or_else(|| problem("FLATTEN without an input", "Write FLATTEN(input => column)."))?;
    if named_argument(args, "recursive").is_some_and(|flag| flag.to_string().eq_ignore_ascii_case("true")) {
        return Err(problem("FLATTEN that is recursive", "Flatten one level after the other."));
    }
    if let Some(path) = named_argument(args, "path") {
        let path = super::build::literal_text(&path).map(|path| paths::canonical(Dialect::Snowflake, path));
        let path = path.ok_or_else(|| problem("FLATTEN with a computed path", "Write the path as text."))??;
        input = call("json_piece", vec![input, text(&path)]);
    }
    let is_outer = named_argument(args, "outer").is_some_and(|flag| flag.to_string().eq_ignore_ascii_case("true"));
    let columns = Columns(vec![
        (Ident::new("key"), call("variant_keys", vec![input.clone()])),
        (Ident::new("index"), call("list_offsets", vec![input.clone()])),
        (Ident::new("value"), call("variant_items", vec![input])),
    ]);
    let columns = if is_outer { columns.outer() } else { columns };
    columns.factor(alias.or_else(|| Some(plain_alias("flatten"))), lateral)
}

/// Spark's LATERAL VIEW.
pub(super) fn lateral_view(view: LateralView) -> Result<Join, Problem> {
    let Expr::Function(function) = &view.lateral_view else {
        return Err(problem("LATERAL VIEW of what is no function", "Use explode."));
    };
    let name = function_name(&function.name);
    let alias =
        |index: usize, default: &str| view.lateral_col_alias.get(index).cloned().unwrap_or_else(|| Ident::new(default));
    let width = view.lateral_col_alias.len();
    let defaults: &[&str] = match (name.trim_end_matches("_outer"), width) {
        ("explode" | "unnest", 2) => &["key", "value"],
        ("explode" | "unnest", _) => &["col"],
        ("posexplode", _) => &["pos", "col"],
        _ => &[],
    };
    let columns = generated(function, width).ok_or_else(|| {
        problem(&format!("LATERAL VIEW {name}"), "Use explode, posexplode, inline, stack or json_tuple.")
    })?;
    let named = |(index, column): (usize, Expr)| match defaults.get(index) {
        Some(default) => (alias(index, default), column),
        None => (alias(index, &format!("c{index}")), column),
    };
    let columns = Columns(columns.into_iter().enumerate().map(named).collect());
    let columns = if view.outer || name.ends_with("_outer") { columns.outer() } else { columns };
    let name = view.lateral_view_name.0.last().and_then(|part| part.as_ident()).cloned();
    let alias = name.map_or_else(|| plain_alias("lateral_view"), |name| TableAlias { name, ..plain_alias("") });
    Ok(Join {
        relation: columns.factor(Some(alias), true)?,
        global: false,
        join_operator: JoinOperator::CrossJoin(JoinConstraint::None),
    })
}
