//! Runs that wait or are under way, so that one can be cancelled by its number.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use headwater_state::RunId;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Debug, Default)]
pub(crate) struct Cancels(Arc<Mutex<BTreeMap<i64, CancellationToken>>>);

/// A run's token, known by the run's number until it is dropped.
#[derive(Debug)]
pub(crate) struct Cancel {
    token: CancellationToken,
    run: RunId,
    all: Cancels,
}

impl Cancels {
    fn all(&self) -> MutexGuard<'_, BTreeMap<i64, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn begin(&self, run: RunId, parent: &CancellationToken) -> Cancel {
        let token = parent.child_token();
        self.all().insert(run.0, token.clone());
        Cancel { token, run, all: self.clone() }
    }

    /// Whether there was such a run.
    pub(crate) fn cancel(&self, run: i64) -> bool {
        let token = self.all().get(&run).cloned();
        token.inspect(CancellationToken::cancel).is_some()
    }
}

impl Deref for Cancel {
    type Target = CancellationToken;

    fn deref(&self) -> &CancellationToken {
        &self.token
    }
}

impl Drop for Cancel {
    fn drop(&mut self) {
        self.all.all().remove(&self.run.0);
    }
}
