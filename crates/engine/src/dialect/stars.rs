//! Stars with exceptions and new names, and functions that give several columns.

use datafusion::sql::sqlparser::ast::{Expr, Ident, Select, SelectItem, WildcardAdditionalOptions};

use super::build::function_name;
use super::template::Problem;
use super::{Dialect, pivot};

/// A star with new names, or with a pattern of names, over columns that are known: each for itself.
pub(super) fn written_out(
    select: &Select,
    options: &WildcardAdditionalOptions,
) -> Result<Option<Vec<SelectItem>>, Problem> {
    use datafusion::sql::sqlparser::ast::RenameSelectItem;
    let renamed = match &options.opt_rename {
        Some(RenameSelectItem::Single(one)) => vec![one.clone()],
        Some(RenameSelectItem::Multiple(several)) => several.clone(),
        None => Vec::new(),
    };
    let plain = options.opt_exclude.is_none() && options.opt_except.is_none() && options.opt_replace.is_none();
    if (renamed.is_empty() && options.opt_ilike.is_none()) || !plain {
        return Ok(None);
    }
    let Some(columns) = super::rows::only_columns(select) else { return Ok(None) };
    let is_taken =
        |name: &str| options.opt_ilike.as_ref().is_none_or(|like| is_like(name, &like.pattern.to_lowercase()));
    let item = |name: &String| {
        let expr = Expr::Identifier(super::build::ident(name));
        match renamed.iter().find(|one| one.ident.value.eq_ignore_ascii_case(name)) {
            Some(one) => SelectItem::ExprWithAlias { expr, alias: one.alias.clone() },
            None => SelectItem::UnnamedExpr(expr),
        }
    };
    Ok(Some(columns.iter().filter(|name| is_taken(name)).map(item).collect()))
}

/// Whether a name is as a pattern of LIKE says.
fn is_like(name: &str, pattern: &str) -> bool {
    match pattern.chars().next() {
        None => name.is_empty(),
        Some('%') => {
            let rest = pattern.get(1..).unwrap_or_default();
            (0..=name.len()).filter_map(|at| name.get(at..)).any(|tail| is_like(tail, rest))
        }
        Some(wanted) => {
            let mut letters = name.chars();
            let fits = letters.next().is_some_and(|letter| wanted == '_' || wanted == letter);
            fits && is_like(letters.as_str(), pattern.get(wanted.len_utf8()..).unwrap_or_default())
        }
    }
}

/// EXCEPT in the engine's words; renamed columns come after the others.
pub(super) fn wildcard(options: &mut WildcardAdditionalOptions) -> Result<Vec<SelectItem>, Problem> {
    use datafusion::sql::sqlparser::ast::{ExcludeSelectItem, ObjectName, ObjectNamePart, RenameSelectItem};
    if options.opt_ilike.is_some() {
        return Err((String::from("* ILIKE"), String::from("List the columns that are meant.")));
    }
    if let Some(except) = options.opt_except.take() {
        options.opt_exclude = Some(pivot::excluded(&except));
    }
    let renamed = match options.opt_rename.take() {
        None => return Ok(Vec::new()),
        Some(RenameSelectItem::Single(one)) => vec![one],
        Some(RenameSelectItem::Multiple(several)) => several,
    };
    let mut gone = match options.opt_exclude.take() {
        Some(ExcludeSelectItem::Multiple(names)) => names,
        Some(ExcludeSelectItem::Single(name)) => vec![name],
        None => Vec::new(),
    };
    let mut items = Vec::new();
    for one in renamed {
        gone.push(ObjectName(vec![ObjectNamePart::Identifier(one.ident.clone())]));
        items.push(SelectItem::ExprWithAlias { expr: Expr::Identifier(one.ident), alias: one.alias });
    }
    options.opt_exclude = Some(ExcludeSelectItem::Multiple(gone));
    Ok(items)
}

/// `posexplode(a) AS (pos, item)`
pub(super) fn several(expr: &Expr, aliases: Vec<Ident>) -> Result<Vec<SelectItem>, Problem> {
    let problem = || (format!("several names for `{expr}`"), String::from("Use LATERAL VIEW."));
    let Expr::Function(function) = expr else { return Err(problem()) };
    let columns = super::generators::generated(function, aliases.len()).ok_or_else(problem)?;
    Ok(unnested(columns, aliases))
}

fn unnested(columns: Vec<Expr>, aliases: Vec<Ident>) -> Vec<SelectItem> {
    let item = |(column, alias)| SelectItem::ExprWithAlias { expr: super::build::call("unnest", vec![column]), alias };
    columns.into_iter().zip(aliases).map(item).collect()
}

/// Functions that give several columns and are not told how to call them.
pub(super) fn unnamed(dialect: Dialect, expr: &Expr) -> Option<Vec<SelectItem>> {
    let Expr::Function(function) = expr else { return None };
    if dialect != Dialect::Spark {
        return None;
    }
    let given = super::build::arguments(function)?;
    let names: Vec<String> = match function_name(&function.name).as_str() {
        "posexplode" => vec![String::from("pos"), String::from("col")],
        "json_tuple" => (0..given.len().checked_sub(1)?).map(|at| format!("c{at}")).collect(),
        "inline" => super::generators::fields_of_items(given.first()?)?,
        "unnest" => match given.first()? {
            Expr::Function(map) if function_name(&map.name) == "map" => {
                vec![String::from("key"), String::from("value")]
            }
            _ => return None,
        },
        _ => return None,
    };
    let columns = super::generators::generated(function, names.len())?;
    Some(unnested(columns, names.iter().map(Ident::new).collect()))
}
