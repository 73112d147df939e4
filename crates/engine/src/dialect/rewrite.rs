//! The walk over a statement's tree.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CeilFloorKind, Expr, FunctionArguments, Ident, ObjectName, ObjectNamePart, Query, Select, Spanned,
    Statement, Value, ValueWithSpan, VisitorMut,
};

use super::build::{call, function_name, text};
use super::template::Problem;
use super::walk::Walk as _;
use super::{
    Dialect, Known, Untranslated, arrays, casts, comparisons, functions, literals, operators, parse, rows, selects,
    subqueries, windows,
};

/// Findings of one text are told up to this many.
const MOST_FINDINGS: usize = 50;

/// Statements of a dialect in the engine's own SQL, separated by semicolons.
pub(super) fn statements(dialect: Dialect, sql: &str, known: &dyn Known) -> Result<String, Vec<Untranslated>> {
    let mut statements = parse::statements(dialect, sql)?;
    let mut walk = Walk::new(dialect, known);
    for statement in &mut statements {
        statement.walk(&mut walk);
        if walk.found.is_empty() {
            statement.walk(&mut Leftovers(&mut walk));
        }
        statement.walk(&mut Quotes);
    }
    walk.done()?;
    Ok(statements.iter().map(Statement::to_string).collect::<Vec<_>>().join(";\n"))
}

/// An expression of a dialect in the engine's own SQL.
pub(super) fn expression(dialect: Dialect, sql: &str, known: &dyn Known) -> Result<String, Vec<Untranslated>> {
    let mut expr = parse::expression(dialect, sql)?;
    let mut walk = Walk::new(dialect, known);
    expr.walk(&mut walk);
    expr.walk(&mut Quotes);
    walk.done()?;
    Ok(expr.to_string())
}

struct Walk<'a> {
    dialect: Dialect,
    known: &'a dyn Known,
    found: Vec<Untranslated>,
    /// Names under which FLATTEN is known in the queries around, the innermost last.
    flattened: Vec<Vec<String>>,
    /// Names of items of arrays that are documents, likewise.
    items: Vec<Vec<String>>,
    /// Whether rows are generated in FROM, likewise: they number themselves.
    generated: Vec<bool>,
}

impl<'a> Walk<'a> {
    fn new(dialect: Dialect, known: &'a dyn Known) -> Self {
        Self { dialect, known, found: Vec::new(), flattened: Vec::new(), items: Vec::new(), generated: Vec::new() }
    }

    fn done(self) -> Result<(), Vec<Untranslated>> {
        if self.found.is_empty() { Ok(()) } else { Err(self.found) }
    }

    fn note(&mut self, (what, hint): Problem, at: &impl Spanned) {
        let start = at.span().start;
        let finding = Untranslated { line: start.line, column: start.column, what, hint };
        if self.found.len() < MOST_FINDINGS && !self.found.contains(&finding) {
            self.found.push(finding);
        }
    }

    /// An expression whose parts are rewritten already; `None` when it stays.
    fn expr(&self, expr: &mut Expr) -> Result<Option<Expr>, Problem> {
        let dialect = self.dialect;
        Ok(Some(match expr {
            Expr::Function(function)
                if function_name(&function.name) == "array"
                    && matches!(function.args, FunctionArguments::Subquery(_)) =>
            {
                arrays::collected(function).ok_or_else(|| {
                    (String::from("ARRAY of this subquery"), String::from("Use ARRAY_AGG in a subquery."))
                })?
            }
            // They are read with the array they count in, or the date they cut.
            Expr::Function(function)
                if dialect == Dialect::BigQuery
                    && matches!(
                        function_name(&function.name).as_str(),
                        "offset" | "ordinal" | "safe_offset" | "safe_ordinal" | "week"
                    ) =>
            {
                return Ok(None);
            }
            Expr::Function(function)
                if self.generated.last() == Some(&true)
                    && matches!(function_name(&function.name).as_str(), "seq1" | "seq2" | "seq4" | "seq8") =>
            {
                super::build::column("seq")
            }
            // They are rows of FROM, or kinds of groups, and read as such.
            Expr::Function(function) if self.is_rows(&function_name(&function.name)) => return Ok(None),
            Expr::Function(function) => functions::rewrite(dialect, function.clone(), self.known)?,
            Expr::Cast { kind, expr, data_type, format, .. } => {
                let value = self.variant((**expr).clone());
                casts::cast_to(dialect, kind.clone(), value, data_type, format.as_ref())?
            }
            Expr::TypedString(literal) => literals::typed(dialect, literal)?,
            Expr::Interval(interval) => literals::interval(dialect, interval)?,
            Expr::Extract { field, expr, .. } => {
                operators::extract(dialect, &super::parts::extract_word(field), (**expr).clone())?
            }
            Expr::AtTimeZone { timestamp, time_zone } => {
                operators::at_time_zone(dialect, (**timestamp).clone(), (**time_zone).clone())
            }
            Expr::BinaryOp { left, op, right } => return operators::operation(dialect, left, op, right),
            Expr::UnaryOp { op, expr } => return Ok(operators::unary(op, expr)),
            Expr::AnyOp { left, compare_op, right, .. } if !matches!(right.as_ref(), Expr::Subquery(_)) => {
                comparisons::any(dialect, left, compare_op, right)
            }
            Expr::AllOp { left, compare_op, right } if !matches!(right.as_ref(), Expr::Subquery(_)) => {
                comparisons::all(dialect, left, compare_op, right)
            }
            Expr::InList { expr, list, negated } => match expr.as_ref() {
                Expr::Tuple(row) => return Ok(comparisons::row_in(row, list, *negated)),
                _ => return Ok(None),
            },
            Expr::CompoundFieldAccess { root, access_chain } => {
                operators::access(dialect, (**root).clone(), std::mem::take(access_chain))?
            }
            Expr::JsonAccess { value, path } => operators::json_path((**value).clone(), path)?,
            Expr::RLike { .. }
            | Expr::SimilarTo { .. }
            | Expr::Like { .. }
            | Expr::ILike { .. }
            | Expr::InUnnest { .. } => return self.pattern(expr),
            Expr::Struct { values, fields } => literals::structure(dialect, std::mem::take(values), fields)?,
            Expr::Dictionary(fields) => literals::dictionary(dialect, fields),
            Expr::Array(array) if dialect == Dialect::BigQuery => {
                literals::same_fields(&mut array.elem);
                return Ok(None);
            }
            Expr::Array(array) if dialect == Dialect::Snowflake => functions::array_of(std::mem::take(&mut array.elem)),
            Expr::Substring { expr, substring_from: Some(from), substring_for: None, .. }
                if matches!(dialect, Dialect::Postgres | Dialect::Redshift)
                    && super::build::literal_text(from).is_some() =>
            {
                call("regex_extract", vec![(**expr).clone(), (**from).clone(), super::build::number(-1)])
            }
            Expr::Lambda(lambda) => match operators::arrow_of_lambda(dialect, lambda) {
                Some(member) => member,
                None => arrays::of_lambda(lambda),
            },
            Expr::Collate { expr, .. } => (**expr).clone(),
            Expr::Trim { expr, trim_characters: Some(characters), trim_where: None, .. } => {
                let mut args = vec![(**expr).clone()];
                args.append(characters);
                call("btrim", args)
            }
            Expr::Substring { expr, substring_from: Some(from), substring_for, .. }
                if !matches!(dialect, Dialect::Postgres | Dialect::Redshift) =>
            {
                let mut args = vec![(**expr).clone(), (**from).clone()];
                args.extend(substring_for.as_ref().map(|length| (**length).clone()));
                functions::rewrite(dialect, super::build::function("substr", args), self.known)?
            }
            Expr::Ceil { expr, field: CeilFloorKind::Scale(places) } => {
                operators::to_places("ceil", expr, &places.value)
            }
            Expr::Floor { expr, field: CeilFloorKind::Scale(places) } => {
                operators::to_places("floor", expr, &places.value)
            }
            Expr::CompoundIdentifier(names) => {
                names.iter_mut().skip(1).for_each(quote_reserved);
                return Ok(self.piece_of_item(names));
            }
            Expr::Identifier(name) => return Ok(self.word(name)),
            Expr::OuterJoin(_) => return Err((String::from("(+)"), String::from("Write LEFT JOIN."))),
            Expr::Convert { .. } | Expr::MatchAgainst { .. } | Expr::MemberOf(_) | Expr::Prior(_) => {
                return Err((format!("`{expr}`"), String::from("docs/dialects.md lists what each dialect has.")));
            }
            _ => return Ok(None),
        }))
    }

    /// Comparisons with a pattern, or with the items of an array.
    fn pattern(&self, expr: &mut Expr) -> Result<Option<Expr>, Problem> {
        let dialect = self.dialect;
        Ok(Some(match expr {
            Expr::RLike { negated, expr, pattern, .. } => {
                let how = if dialect == Dialect::Snowflake { "regex_matches" } else { "regex_contains" };
                let found = call(how, vec![(**expr).clone(), (**pattern).clone()]);
                if *negated { super::build::not(found) } else { found }
            }
            Expr::SimilarTo { negated, expr, pattern, escape_char } => {
                operators::similar(dialect, expr, pattern, escape_char.as_ref().map(|escape| &escape.value), *negated)?
            }
            Expr::Like { negated, any: true, expr, pattern, .. } => {
                return Ok(operators::like_any(expr, pattern, *negated, false));
            }
            Expr::ILike { negated, any: true, expr, pattern, .. } => {
                return Ok(operators::like_any(expr, pattern, *negated, true));
            }
            Expr::Like { pattern, escape_char, .. } | Expr::ILike { pattern, escape_char, .. } => {
                if let Some(Value::SingleQuotedString(escape)) = escape_char.as_ref().map(|escape| &escape.value)
                    && escape != "\\"
                    && let Some(escaped) = operators::escaped(pattern, escape)
                {
                    **pattern = escaped;
                    *escape_char = None;
                }
                return Ok(None);
            }
            Expr::InUnnest { expr, array_expr, negated } => {
                let has = comparisons::any(dialect, expr, &BinaryOperator::Eq, array_expr);
                if *negated { super::build::not(has) } else { has }
            }
            _ => return Ok(None),
        }))
    }

    /// Whether a function gives rows in FROM, or groups in GROUP BY.
    fn is_rows(&self, name: &str) -> bool {
        match self.dialect {
            Dialect::Snowflake => matches!(name, "generator" | "split_to_table" | "strtok_split_to_table" | "flatten"),
            Dialect::Spark => {
                matches!(name, "posexplode" | "posexplode_outer" | "inline" | "stack" | "json_tuple" | "window")
            }
            Dialect::Redshift => matches!(name, "rollup" | "cube"),
            _ => false,
        }
    }

    /// What is cast from a document is cast from its text.
    fn variant(&self, expr: Expr) -> Expr {
        let is_variant = matches!(self.dialect, Dialect::Snowflake | Dialect::Redshift)
            && match &expr {
                Expr::Function(function) => matches!(
                    function_name(&function.name).as_str(),
                    "json_piece"
                        | "json_member"
                        | "json_at_keys"
                        | "list_item_or_null"
                        | "json_document"
                        | "try_json_document"
                ),
                Expr::CompoundIdentifier(names) => match names.as_slice() {
                    [table, column] => column.value.eq_ignore_ascii_case("value") && self.is_flattened(&table.value),
                    _ => false,
                },
                Expr::Identifier(name) => {
                    let is_value = name.value.eq_ignore_ascii_case("value")
                        && self.flattened.last().is_some_and(|names| !names.is_empty());
                    is_value || self.items.iter().flatten().any(|known| name.value.eq_ignore_ascii_case(known))
                }
                _ => false,
            };
        if is_variant { call("variant_text", vec![expr]) } else { expr }
    }

    /// `item.a.b`, where the item is a document.
    fn piece_of_item(&self, names: &[Ident]) -> Option<Expr> {
        let (first, rest) = names.split_first()?;
        let is_item = self.items.iter().flatten().any(|known| first.value.eq_ignore_ascii_case(known));
        if !is_item || rest.is_empty() {
            return None;
        }
        let mut path = String::from("$");
        rest.iter().for_each(|name| super::paths::key(&mut path, &name.value));
        Some(call("json_piece", vec![Expr::Identifier(first.clone()), text(&path)]))
    }

    fn is_flattened(&self, name: &str) -> bool {
        self.flattened.iter().flatten().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Functions that are called without parentheses.
    fn word(&self, name: &Ident) -> Option<Expr> {
        if name.quote_style.is_some() {
            return None;
        }
        match (name.value.to_lowercase().as_str(), self.dialect) {
            ("sysdate", Dialect::Redshift) => Some(call("zone_wall", vec![call("now", Vec::new()), text("UTC")])),
            _ => None,
        }
    }
}

impl VisitorMut for Walk<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.flattened.push(super::relations::flattened(select));
        self.generated.push(super::relations::is_generated(select));
        self.items.push(super::relations::implicit_items(self.dialect, select));
        rows::write_out(self.dialect, select);
        windows::put_in_place(select);
        subqueries::count_instead(self.dialect, select);
        selects::begin(self.dialect, select);
        ControlFlow::Continue(())
    }

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.flattened.pop();
        self.items.pop();
        self.generated.pop();
        let at = select.select_token.clone();
        if let Err(problem) = selects::end(self.dialect, select) {
            let start = at.0.span.start;
            self.found.push(Untranslated { line: start.line, column: start.column, what: problem.0, hint: problem.1 });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        selects::recursive(self.dialect, query);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &mut Query) -> ControlFlow<()> {
        if let Err((what, hint)) = selects::query(self.dialect, query) {
            let start = query.span().start;
            self.found.push(Untranslated { line: start.line, column: start.column, what, hint });
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_relation(&mut self, name: &mut ObjectName) -> ControlFlow<()> {
        split_path(name);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = expr {
            functions::conditions(function);
        }
        if let Some(replaced) = arrays::over(self.dialect, expr).or_else(|| comparisons::like_all(expr)) {
            *expr = replaced;
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Value(value) = expr {
            literals::plain(&mut value.value);
            let place = Expr::Value(value.clone());
            match literals::exact(self.dialect, &value.value) {
                Ok(Some(exact)) => *expr = exact,
                Ok(None) => {}
                Err(problem) => self.note(problem, &place),
            }
            return ControlFlow::Continue(());
        }
        let place = expr.clone();
        match self.expr(expr) {
            Ok(Some(rewritten)) => *expr = rewritten,
            Ok(None) => {}
            Err(problem) => self.note(problem, &place),
        }
        ControlFlow::Continue(())
    }
}

/// Words that the engine reads as calls, even behind a dot.
fn quote_reserved(name: &mut Ident) {
    let word = name.value.to_lowercase();
    let is_reserved =
        matches!(word.as_str(), "user" | "current_user" | "session_user" | "current_date" | "current_time");
    if name.quote_style.is_none() && is_reserved {
        *name = super::build::ident(&word);
    }
}

/// `project.dataset.table` in one pair of quotes is a name of three parts.
fn split_path(name: &mut ObjectName) {
    let split = |part: ObjectNamePart| match part {
        ObjectNamePart::Identifier(ident) if ident.quote_style == Some('`') && ident.value.contains('.') => ident
            .value
            .split('.')
            .map(|piece| ObjectNamePart::Identifier(Ident::with_quote('`', piece)))
            .collect::<Vec<_>>(),
        other => vec![other],
    };
    name.0 = std::mem::take(&mut name.0).into_iter().flat_map(split).collect();
}

/// Whether a pattern looks around, which no pattern can here.
fn has_looks(pattern: &str) -> bool {
    ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| pattern.contains(look))
}

/// Finds calls that no rule took and the engine does not know.
struct Leftovers<'w, 'a>(&'w mut Walk<'a>);

impl VisitorMut for Leftovers<'_, '_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if let Expr::Function(function) = &*expr {
            let name = function_name(&function.name);
            if name.starts_with("regex_")
                && let Some(pattern) = super::build::arguments(function).and_then(|args| args.get(1).cloned())
                && let Some(pattern) = super::build::literal_text(&pattern)
                && has_looks(pattern)
            {
                let hint = String::from("Capture what is around it in a group, and take the group.");
                self.0.note((format!("looking around in the pattern `{pattern}`"), hint), &function.name);
            }
            if name != super::LAMBDA && !self.0.known.is_function(&name) {
                let hint = String::from("docs/dialects.md lists what each dialect has.");
                self.0.note((format!("the function {name} here"), hint), &function.name);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Doubles quotes in text: how the tree is written down does not do it for each.
struct Quotes;

impl VisitorMut for Quotes {
    type Break = ();

    fn post_visit_value(&mut self, value: &mut ValueWithSpan) -> ControlFlow<()> {
        if let Value::SingleQuotedString(text) = &mut value.value
            && text.contains('\'')
        {
            *text = text.replace('\'', "''");
        }
        ControlFlow::Continue(())
    }
}
