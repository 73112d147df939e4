//! Walks over trees that go to their end.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{VisitMut, VisitorMut};

pub(super) trait Walk: VisitMut {
    /// Visits all there is, or what there is until the visitor has what it came for.
    fn walk(&mut self, visitor: &mut impl VisitorMut<Break = ()>) {
        match self.visit(visitor) {
            ControlFlow::Continue(()) | ControlFlow::Break(()) => {}
        }
    }
}

impl<T: VisitMut> Walk for T {}
