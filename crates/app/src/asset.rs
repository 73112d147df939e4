//! One asset in detail.

use std::collections::{BTreeMap, BTreeSet};

use headwater_lake::TableName;
use headwater_project::{Classify, Failure};
use headwater_transform::{Node, NodeId, ResourceType};

use crate::dashboards::{is_relation, relation_name};
use crate::instance::{Instance, parse_table_name};
use crate::lineage::references;
use crate::project::Selection;
use crate::view::{AssetDetail, AssetLink, AssetTest, CommitSummary, TileRows};

/// Versions told of one table.
const COMMITS: usize = 50;
const MAX_SAMPLE: usize = 1_000;

impl Instance {
    /// A node by id, name or relation with the table it stores; or a table no node stores.
    pub async fn asset(&self, name: &str) -> Result<AssetDetail, Failure> {
        let node = self.find_node(name);
        let relation = node.filter(|node| is_relation(node)).map_or_else(|| name.to_owned(), relation_name);
        let stored = node.is_none_or(is_relation);
        let table = if stored { self.table(&relation).await.ok() } else { None };
        if node.is_none() && table.is_none() {
            return Err(self.no_such_asset(name));
        }
        let mut detail = AssetDetail { table, ..AssetDetail::default() };
        if detail.table.as_ref().is_some_and(|table| !table.is_view) {
            detail.commits = self.commits(&relation, COMMITS).await?;
        }
        if let Some(node) = node {
            self.describe_node(node, &mut detail).await?;
        }
        detail.downstream.extend(self.tiles_reading(node, &relation));
        Ok(detail)
    }

    fn find_node(&self, name: &str) -> Option<&Node> {
        let nodes = || self.project().transform.ordered();
        let by_id = nodes().find(|node| node.id.as_str() == name);
        let by_relation = || nodes().find(|node| is_relation(node) && relation_name(node) == name);
        // A source's table often has the name of the model that cleans it: the name alone means the model.
        let by_name = |is_source: bool| {
            nodes().find(|node| node.name == name && (node.resource_type == ResourceType::Source) == is_source)
        };
        by_id.or_else(by_relation).or_else(|| by_name(false)).or_else(|| by_name(true))
    }

    pub(crate) fn require_asset(&self, name: &str) -> Result<&Node, Failure> {
        self.find_node(name).ok_or_else(|| self.no_such_asset(name))
    }

    fn no_such_asset(&self, name: &str) -> Failure {
        let names: Vec<&str> = self.project().transform.ordered().map(|node| node.name.as_str()).collect();
        let hint = headwater_project::config::suggest(name, names)
            .map_or_else(|| String::from("`headwater ls` lists nodes."), |near| format!("Did you mean `{near}`?"));
        Failure::user(format!("there is no asset `{name}`")).with_hint(hint)
    }

    async fn describe_node(&self, node: &Node, detail: &mut AssetDetail) -> Result<(), Failure> {
        let selection = Selection { select: vec![node.name.clone()], ..Selection::default() };
        let summaries = self.project().nodes(&selection)?;
        detail.node = summaries.into_iter().find(|summary| summary.id == node.id.as_str());
        let described = node.columns.values().filter(|column| !column.description.is_empty());
        detail.column_descriptions =
            described.map(|column| (column.name.clone(), column.description.clone())).collect::<BTreeMap<_, _>>();
        detail.tests = self.asset_tests(&BTreeSet::from([node.id.clone()]))?;
        if !node.raw_code.is_empty() {
            detail.raw_sql = Some(node.raw_code.to_string());
        }
        if matches!(node.resource_type, ResourceType::Model | ResourceType::Test) {
            match self.compile_node(node.id.clone()).await {
                Ok(sql) => detail.compiled_sql = Some(sql),
                Err(failure) => detail.compile_failure = Some(failure),
            }
        }
        let transform = &self.project().transform;
        let link = |node: &Node| AssetLink {
            id: node.id.to_string(),
            name: node.name.clone(),
            kind: node.resource_type.as_str().to_owned(),
        };
        detail.upstream = node.depends_on.iter().filter_map(|id| transform.node(id)).map(link).collect();
        let readers = transform.ordered().filter(|reader| reader.depends_on.contains(&node.id));
        detail.downstream = readers.filter(|reader| reader.resource_type != ResourceType::Test).map(link).collect();
        Ok(())
    }

    pub(crate) fn asset_tests(&self, nodes: &BTreeSet<NodeId>) -> Result<Vec<AssetTest>, Failure> {
        let results = self.state.latest_tests().map_err(|error| error.failure())?;
        let test = |node: &Node| {
            let result = results.iter().find(|result| result.node == node.id.as_str());
            AssetTest {
                id: node.id.to_string(),
                name: node.name.clone(),
                outcome: result.map(|result| result.outcome.as_str().to_owned()),
                failures: result.map(|result| result.failures),
                message: result.and_then(|result| result.message.clone()),
                at: result.map(|result| result.at),
            }
        };
        Ok(self.tests_of(nodes).map(test).collect())
    }

    fn tiles_reading(&self, node: Option<&Node>, relation: &str) -> Vec<AssetLink> {
        let mut links = Vec::new();
        for dashboard in &self.project().dashboards {
            for tile in &dashboard.tiles {
                let sql = tile.sql.as_deref().unwrap_or_default();
                let by_reference = node.is_some_and(|node| {
                    references(sql).iter().any(|name| name.node_id(self).as_deref() == Some(node.id.as_str()))
                });
                if by_reference || sql.contains(relation) {
                    links.push(AssetLink {
                        id: format!("tile.{}.{}", dashboard.name, tile.name),
                        name: tile.title.clone().unwrap_or_else(|| tile.name.clone()),
                        kind: String::from("tile"),
                    });
                }
            }
        }
        links
    }

    pub(crate) async fn commits(&self, relation: &str, limit: usize) -> Result<Vec<CommitSummary>, Failure> {
        let Some(name) = parse_table_name(relation) else { return Ok(Vec::new()) };
        let notes = self.lake.commits(&name, limit).await.map_err(|error| error.failure())?;
        let summary = |note: headwater_lake::CommitNote| {
            let number = |pointer: &str| note.info.pointer(pointer).and_then(serde_json::Value::as_u64);
            CommitSummary {
                version: note.version,
                at: note.at,
                rows_written: number("/headwater/rows").or_else(|| number("/operationMetrics/num_added_rows")),
                run: note.info.pointer("/headwater/run").and_then(serde_json::Value::as_i64),
                operation: note.info.get("operation").and_then(serde_json::Value::as_str).map(str::to_owned),
            }
        };
        Ok(notes.into_iter().map(summary).collect())
    }

    /// Some rows of a table.
    pub async fn sample(&self, name: &str, limit: usize) -> Result<TileRows, Failure> {
        let node = self.find_node(name).filter(|node| is_relation(node));
        let relation = node.map_or_else(|| name.to_owned(), relation_name);
        let table = parse_table_name(&relation).ok_or_else(|| self.no_such_asset(name))?;
        let limit = limit.min(MAX_SAMPLE);
        self.rows_of(&format!("SELECT * FROM {} LIMIT {limit}", quoted(&table))).await
    }

    /// All rows of a statement of our own.
    pub(crate) async fn rows_of(&self, sql: &str) -> Result<TileRows, Failure> {
        let stream = self.query(sql, Vec::new()).await?;
        let schema = std::sync::Arc::clone(&stream.schema);
        Ok(TileRows { schema, batches: stream.collect().await?, truncated: false })
    }
}

pub(crate) fn quoted(table: &TableName) -> String {
    let quote = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    format!("{}.{}", quote(&table.schema), quote(&table.table))
}
