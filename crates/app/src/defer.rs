//! Deferral: reading what a run does not make where the artifacts of another run say it is.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use headwater_project::Failure;
use headwater_transform::{Deferral, NodeId};

use crate::project::Project;

/// What a run defers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeferTo {
    /// Folder with the manifest.json of another run, our own or dbt's.
    pub state: PathBuf,
    /// The other environment's relation is read even where this one has the node.
    pub favor_state: bool,
}

impl Project {
    /// The relations of the environment that is deferred to; `selected` is what the run makes itself.
    pub(crate) fn deferral(
        &self,
        to: Option<&DeferTo>,
        selected: impl FnOnce() -> BTreeSet<NodeId>,
    ) -> Result<Option<Arc<Deferral>>, Failure> {
        let Some(to) = to else { return Ok(None) };
        let folder = self.root.join(&to.state);
        let state = crate::state_folder::read(&folder)?;
        if !state.has_manifest {
            return Err(crate::state_folder::missing(&folder));
        }
        Ok(Some(Arc::new(Deferral::new(&state, selected(), to.favor_state))))
    }
}
