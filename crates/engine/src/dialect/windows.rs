//! Named windows, put in the places that name them: the engine pays no heed to a window that is built on another.

use std::collections::HashMap;

use super::walk::{Rewrite, Walk};
use datafusion::sql::sqlparser::ast::{Expr, NamedWindowExpr, Select, SelectItem, WindowSpec, WindowType};

/// Windows may be built on each other this deep.
const DEPTH: usize = 32;

struct Windows {
    known: HashMap<String, NamedWindowExpr>,
}

impl Windows {
    fn named(&self, name: &str, depth: usize) -> Option<WindowSpec> {
        let depth = depth.checked_sub(1)?;
        match self.known.get(&name.to_lowercase())? {
            NamedWindowExpr::NamedWindow(other) => self.named(&other.value, depth),
            NamedWindowExpr::WindowSpec(spec) => self.whole(spec, depth),
        }
    }

    /// A window with what the one it is built on says.
    fn whole(&self, spec: &WindowSpec, depth: usize) -> Option<WindowSpec> {
        let Some(name) = &spec.window_name else { return Some(spec.clone()) };
        let mut base = self.named(&name.value, depth)?;
        base.partition_by.extend(spec.partition_by.iter().cloned());
        base.order_by.extend(spec.order_by.iter().cloned());
        base.window_frame = spec.window_frame.clone().or(base.window_frame);
        Some(base)
    }
}

impl Rewrite for Windows {
    fn before(&mut self, expr: &mut Expr) {
        if let Expr::Function(function) = expr
            && let Some(over) = &function.over
        {
            let meant = match over {
                WindowType::NamedWindow(name) => self.named(&name.value, DEPTH),
                WindowType::WindowSpec(spec) => self.whole(spec, DEPTH),
            };
            if let Some(spec) = meant {
                function.over = Some(WindowType::WindowSpec(spec));
            }
        }
    }
}

/// Before a query's expressions are rewritten.
pub(super) fn put_in_place(select: &mut Select) {
    let named = std::mem::take(&mut select.named_window);
    if named.is_empty() {
        return;
    }
    let known = named.into_iter().map(|definition| (definition.0.value.to_lowercase(), definition.1)).collect();
    let mut windows = Windows { known };
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } = item {
            expr.walk_own(&mut windows);
        }
    }
    if let Some(condition) = &mut select.qualify {
        condition.walk_own(&mut windows);
    }
}
