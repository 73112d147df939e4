//! Assets: everything a run can make or check, and what each needs. The seam between planes: orchestration sees only this.

pub mod layout;

use std::collections::{BTreeMap, BTreeSet};

/// Name of an asset, unique in a project: `source.<source>.<table>`, `model.<project>.<name>`, `dashboard.<name>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetKey(pub String);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AssetKind {
    Source,
    Seed,
    Model,
    Snapshot,
    Check,
    Dashboard,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asset {
    pub key: AssetKey,
    pub kind: AssetKind,
    pub description: Option<String>,
    pub depends_on: BTreeSet<AssetKey>,
}

/// Assets by key. Edges to keys that are not in the graph are ignored by the walks.
#[derive(Clone, Debug, Default)]
pub struct AssetGraph {
    pub assets: BTreeMap<AssetKey, Asset>,
}

impl AssetGraph {
    pub fn add(&mut self, asset: Asset) {
        self.assets.insert(asset.key.clone(), asset);
    }

    /// Every asset after all it depends on; ties in key order. `Err` holds the keys of the assets that lie on cycles or
    /// behind them.
    pub fn ordered(&self) -> Result<Vec<&Asset>, BTreeSet<AssetKey>> {
        let mut done: BTreeSet<&AssetKey> = BTreeSet::new();
        let mut order = Vec::with_capacity(self.assets.len());
        let mut waiting: Vec<&Asset> = self.assets.values().collect();
        while !waiting.is_empty() {
            let ready = |asset: &&Asset| {
                asset.depends_on.iter().all(|key| done.contains(key) || !self.assets.contains_key(key))
            };
            let (now, later): (Vec<&Asset>, Vec<&Asset>) = waiting.into_iter().partition(ready);
            if now.is_empty() {
                return Err(later.into_iter().map(|asset| asset.key.clone()).collect());
            }
            done.extend(now.iter().map(|asset| &asset.key));
            order.extend(now);
            waiting = later;
        }
        Ok(order)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(edges: &[(&str, &[&str])]) -> AssetGraph {
        let mut graph = AssetGraph::default();
        for (name, needs) in edges {
            graph.add(Asset {
                key: AssetKey((*name).to_owned()),
                kind: AssetKind::Model,
                description: None,
                depends_on: needs.iter().map(|need| AssetKey((*need).to_owned())).collect(),
            });
        }
        graph
    }

    #[test]
    fn assets_come_after_what_they_need() {
        let graph = graph(&[("a", &["c"]), ("b", &["a", "elsewhere"]), ("c", &[])]);
        let order: Vec<_> = graph.ordered().unwrap().iter().map(|asset| asset.key.0.as_str()).collect();
        assert_eq!(order, ["c", "a", "b"]);
    }

    #[test]
    fn a_cycle_is_told() {
        let found = graph(&[("a", &["b"]), ("b", &["a"]), ("c", &[])]).ordered().unwrap_err();
        assert_eq!(found.into_iter().map(|key| key.0).collect::<Vec<_>>(), ["a", "b"]);
    }
}
