//! Names that stand for an expression: aliases other columns use, columns of a join.

use std::collections::HashMap;

use datafusion::sql::sqlparser::ast::{
    AccessExpr, CastKind, Expr, GroupByExpr, Ident, JoinConstraint, JoinOperator, Select, SelectItem,
};

use super::Dialect;
use super::walk::{Rewrite, Walk};

/// The columns of FULL JOIN ... USING are those of whichever side has a row.
pub(super) fn joined_columns(select: &mut Select) {
    let mut known: HashMap<String, Expr> = HashMap::new();
    for from in &select.from {
        let Some(left) = super::relations::name_of(&from.relation) else { continue };
        for join in &from.joins {
            let JoinOperator::FullOuter(JoinConstraint::Using(names)) = &join.join_operator else { continue };
            let Some(right) = super::relations::name_of(&join.relation) else { continue };
            for name in names.iter().filter_map(|name| name.0.last()?.as_ident()) {
                let of = |table: &str| Expr::CompoundIdentifier(vec![Ident::new(table), name.clone()]);
                known.insert(name.value.to_lowercase(), super::build::call("coalesce", vec![of(&left), of(&right)]));
            }
        }
    }
    if known.is_empty() {
        return;
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(name)) = item {
            *item = SelectItem::ExprWithAlias { expr: Expr::Identifier(name.clone()), alias: name.clone() };
        }
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            put(&known, expr);
        }
    }
    for condition in [&mut select.selection, &mut select.having, &mut select.qualify].into_iter().flatten() {
        put(&known, condition);
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        keys.iter_mut().for_each(|key| put(&known, key));
    }
}

/// Puts the expression of an alias where a later column, or a condition, uses it. A name that the expression itself has in it is
/// a column, and stays one.
pub(super) fn spread_aliases(select: &mut Select) {
    let mut known: HashMap<String, Expr> = HashMap::new();
    let plain: Vec<String> = select.projection.iter().filter_map(plain_column).collect();
    for item in &mut select.projection {
        let SelectItem::ExprWithAlias { expr, alias } = item else {
            if let SelectItem::UnnamedExpr(expr) = item {
                put(&known, expr);
            }
            continue;
        };
        put(&known, expr);
        let name = alias.value.to_lowercase();
        let is_column = plain.contains(&name) || uses(expr, &name);
        if !is_column {
            known.insert(name, expr.clone());
        }
    }
    for condition in [&mut select.selection, &mut select.having].into_iter().flatten() {
        put(&known, condition);
    }
    if let GroupByExpr::Expressions(keys, _) = &mut select.group_by {
        for key in keys {
            // A key that is an alias alone is understood as it is.
            if !matches!(key, Expr::Identifier(_)) {
                put(&known, key);
            }
        }
    }
}

/// A column taken as it is, by its name.
fn plain_column(item: &SelectItem) -> Option<String> {
    let (SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) = item else { return None };
    match item {
        SelectItem::UnnamedExpr(_) => last_name(expr).map(|name| name.value.to_lowercase()),
        _ => None,
    }
}

fn put(known: &HashMap<String, Expr>, expr: &mut Expr) {
    if known.is_empty() {
        return;
    }
    expr.walk_own(&mut Aliases { known });
}

fn uses(expr: &Expr, name: &str) -> bool {
    let mut expr = expr.clone();
    let known = HashMap::from([(name.to_owned(), super::build::null())]);
    let before = expr.to_string();
    put(&known, &mut expr);
    before != expr.to_string()
}

struct Aliases<'a> {
    known: &'a HashMap<String, Expr>,
}

impl Rewrite for Aliases<'_> {
    fn before(&mut self, expr: &mut Expr) {
        // What follows a dot is a field, whatever else has its name.
        if let Expr::CompoundFieldAccess { access_chain, .. } = expr {
            for step in access_chain {
                if let AccessExpr::Dot(field) = step
                    && let Expr::Identifier(name) = field
                {
                    *field = Expr::CompoundIdentifier(vec![name.clone()]);
                }
            }
        }
    }

    fn after(&mut self, expr: &mut Expr) {
        if let Expr::CompoundFieldAccess { access_chain, .. } = expr {
            for step in access_chain {
                if let AccessExpr::Dot(field) = step
                    && let Expr::CompoundIdentifier(names) = field
                    && let [name] = names.as_slice()
                {
                    *field = Expr::Identifier(name.clone());
                }
            }
            return;
        }
        if let Expr::Identifier(name) = expr
            && let Some(found) = self.known.get(&name.value.to_lowercase())
        {
            *expr = Expr::Nested(Box::new(found.clone()));
        }
    }
}

/// The name a column without an alias has, where the translation would change it.
pub(super) fn own_name(dialect: Dialect, expr: &Expr) -> Option<Ident> {
    let is_postgres = matches!(dialect, Dialect::Postgres | Dialect::Redshift);
    match expr {
        Expr::Cast { expr, .. } if is_postgres => last_name(expr),
        Expr::Cast { expr, kind: CastKind::DoubleColon, .. } => last_name(expr),
        Expr::Function(function) if is_postgres => {
            function.name.0.last()?.as_ident().map(|name| Ident::new(name.value.to_lowercase()))
        }
        Expr::JsonAccess { .. } => None,
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last()? {
            datafusion::sql::sqlparser::ast::AccessExpr::Dot(Expr::Identifier(name)) => Some(name.clone()),
            _ => None,
        },
        _ => None,
    }
}

fn last_name(expr: &Expr) -> Option<Ident> {
    match expr {
        Expr::Identifier(name) => Some(name.clone()),
        Expr::CompoundIdentifier(names) => names.last().cloned(),
        Expr::Nested(inner) => last_name(inner),
        _ => None,
    }
}
