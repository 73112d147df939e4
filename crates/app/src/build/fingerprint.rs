//! What a node was made from: enough to tell that making it again would give the same.
//!
//! A fingerprint is the hash of the node's own code (macros and configuration included), the name it is kept under, and the
//! version of every relation it reads. A view stands for its own fingerprint, since it has no version.

use std::collections::BTreeMap;

use headwater_engine::Relation;
use headwater_lake::TableName;
use headwater_project::{Classify, Failure};
use headwater_state::Fingerprint;
use headwater_transform::{Node, NodeId};

use super::Run;
use super::clone::table_name;

pub(super) struct Inputs {
    pub(super) code_hash: String,
    /// JSON object: relation to version, in order of names.
    pub(super) versions: String,
}

impl Inputs {
    pub(super) fn fingerprint(&self, node: &Node, output_version: i64) -> Fingerprint {
        Fingerprint {
            node: node.id.to_string(),
            code_hash: self.code_hash.clone(),
            inputs: self.versions.clone(),
            output_version,
        }
    }
}

/// Stands for the hash of what was not made by building it.
const PARTIAL: &str = "partial";

/// A fingerprint that no build of the node has: what is there now was not made from all of its inputs.
pub(super) fn unlike_any(node: &Node) -> Fingerprint {
    let (code_hash, inputs) = (PARTIAL.to_owned(), String::from("{}"));
    Fingerprint { node: node.id.to_string(), code_hash, inputs, output_version: 0 }
}

fn is_partial(run: &Run, node: &NodeId) -> bool {
    run.fingerprints.get(node.as_str()).is_some_and(|known| known.code_hash == PARTIAL)
}

/// The relation a run reads a node from, and whether another environment made it.
async fn read_from(run: &Run, node: &Node) -> Result<(TableName, bool), Failure> {
    let own = table_name(&node.relation);
    let deferral = run.context.deferral.as_deref();
    let elsewhere = deferral.and_then(|deferral| deferral.elsewhere(&node.id).map(|other| (deferral, other)));
    let Some((deferral, elsewhere)) = elsewhere else { return Ok((own, false)) };
    let is_elsewhere = deferral.is_favored(&node.id)
        || run.session.catalog().relation(&own).await.map_err(|error| error.failure())?.is_none();
    Ok(if is_elsewhere { (table_name(elsewhere), true) } else { (own, false) })
}

pub(super) async fn inputs(run: &Run, node: &Node) -> Result<Inputs, Failure> {
    let transform = &run.instance.project().transform;
    let mut versions = BTreeMap::new();
    // Two targets of a project may share a lake: what was made for one is not what the other has.
    versions.insert(String::from("this"), table_name(&node.relation).to_string());
    let mut waiting: Vec<NodeId> = node.depends_on.iter().cloned().collect();
    let mut seen = std::collections::BTreeSet::new();
    while let Some(id) = waiting.pop() {
        if !seen.insert(id.clone()) {
            continue;
        }
        let Some(upstream) = transform.node(&id) else { continue };
        if upstream.is_ephemeral() {
            versions.insert(id.to_string(), transform.code_hash(&id).unwrap_or_default().to_owned());
            waiting.extend(upstream.depends_on.iter().cloned());
            continue;
        }
        let (name, is_elsewhere) = read_from(run, upstream).await?;
        if let Some(version) = run.session.external_version(&name).await.map_err(|error| error.failure())? {
            versions.insert(name.to_string(), format!("files {version:016x}"));
            continue;
        }
        let relation = run.session.catalog().relation(&name).await.map_err(|error| error.failure())?;
        let version = match relation {
            Some(Relation::Table(table)) => table.table().version().to_string(),
            // What a view of another environment reads, or a clone, is not known here: it is never the same twice.
            Some(Relation::View { .. }) if is_elsewhere || is_partial(run, &id) => {
                format!("view as of run {}", run.id.0)
            }
            Some(Relation::View { sql }) => {
                waiting.extend(upstream.depends_on.iter().cloned());
                format!("view {:08x}", crc32c::crc32c(sql.as_bytes()))
            }
            None => String::from("absent"),
        };
        versions.insert(name.to_string(), version);
    }
    let versions = serde_json::to_string(&versions).map_err(|error| Failure::internal(error.to_string()))?;
    let code_hash = transform.code_hash(&node.id).unwrap_or_default().to_owned();
    Ok(Inputs { code_hash, versions })
}
