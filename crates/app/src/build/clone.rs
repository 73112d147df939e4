//! `clone`: this environment's names for what another environment has made.
//!
//! A clone is a view of the other relation. It costs nothing, is as current as what it stands for, and clean-up of the other
//! table never has to know of it, which it would if a second table shared its files. The first build of the node replaces it.

use headwater_engine::Relation;
use headwater_lake::TableName;
use headwater_project::{Classify, Failure};
use headwater_state::Fingerprint;
use headwater_transform::{Node, RelationName};

use super::Run;
use super::fingerprint;
use super::step::Done;
use crate::view::StepOutcome;

impl Run {
    /// Nothing is done where the other environment has no such relation, or this one has it already.
    pub(super) async fn clone_of(&self, node: &Node) -> (Done, Option<Fingerprint>) {
        match self.cloned(node).await {
            Ok(done) => {
                let fingerprint = done.relation.is_some().then(|| fingerprint::unlike_any(node));
                (done, fingerprint)
            }
            Err(failure) => (Done::failed(StepOutcome::Error, failure), None),
        }
    }

    async fn cloned(&self, node: &Node) -> Result<Done, Failure> {
        let elsewhere = self.context.deferral.as_ref().and_then(|deferral| deferral.elsewhere(&node.id));
        let Some(elsewhere) = elsewhere else {
            return Ok(self.left(&format!("No relation found in state manifest for {}", node.id)));
        };
        let name = table_name(&node.relation);
        let known = self.session.catalog().relation(&name).await.map_err(|error| error.failure())?;
        if known.is_some() && !self.request.full_refresh {
            return Ok(self.left(&format!("Relation {} already exists", node.relation)));
        }
        if table_name(elsewhere) == name {
            return Ok(self.left(&format!("Relation {} is the one of the state manifest", node.relation)));
        }
        let sql = format!("select * from {elsewhere}");
        self.session.describe(&sql).await.map_err(|error| error.failure())?;
        Ok(self.built(name, Relation::View { sql }, None))
    }

    fn left(&self, message: &str) -> Done {
        self.observer.message(message);
        Done::new(StepOutcome::Success)
    }
}

/// A database is a name only: schema and identifier are all a table of the lake has.
pub(super) fn table_name(relation: &RelationName) -> TableName {
    TableName::new(relation.schema.clone(), relation.identifier.clone())
}
