//! Walks over trees that go to their end.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Query, VisitMut, VisitorMut};

pub(super) trait Walk: VisitMut {
    /// Visits all there is, or what there is until the visitor has what it came for.
    fn walk(&mut self, visitor: &mut impl VisitorMut<Break = ()>) {
        match self.visit(visitor) {
            ControlFlow::Continue(()) | ControlFlow::Break(()) => {}
        }
    }

    /// Visits the expressions of the query this is part of. Queries within have names and orders of their own.
    fn walk_own(&mut self, rewrite: &mut impl Rewrite) {
        self.walk(&mut Own { rewrite, inside: 0 });
    }
}

impl<T: VisitMut> Walk for T {}

/// What is done about an expression, before and after those it is made of.
pub(super) trait Rewrite {
    fn before(&mut self, _: &mut Expr) {}

    fn after(&mut self, _: &mut Expr) {}
}

struct Own<'a, R> {
    rewrite: &'a mut R,
    /// Queries around the current place, counted from where the walk began.
    inside: usize,
}

impl<R: Rewrite> VisitorMut for Own<'_, R> {
    type Break = ();

    fn pre_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.inside += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &mut Query) -> ControlFlow<()> {
        self.inside -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.inside == 0 {
            self.rewrite.before(expr);
        }
        ControlFlow::Continue(())
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if self.inside == 0 {
            self.rewrite.after(expr);
        }
        ControlFlow::Continue(())
    }
}
