//! catalog.json: what the tables of the project are, in dbt's schema version 1.
//!
//! Layout: `metadata`; `nodes` (models, seeds, snapshots) and `sources` by unique id, each with its place, columns and
//! statistics; `errors`. What is not there yet has no entry.

use std::path::PathBuf;

use headwater_project::Failure;
use headwater_transform::artifact::DBT_VERSION;
use headwater_transform::{Node, ResourceType};
use serde_json::{Map, Value, json};

use crate::instance::Instance;
use crate::project::Selection;
use crate::text_time::rfc3339;
use crate::view::TableSummary;

const SCHEMA: &str = "https://schemas.getdbt.com/dbt/catalog/v1.json";

impl Instance {
    /// Writes manifest.json and catalog.json: what the project says of the selected nodes, and what they are.
    pub async fn generate_docs(&self, selection: &Selection, compile: bool) -> Result<PathBuf, Failure> {
        let folder = self.write_manifest(compile).await?;
        let selected = self.project().select(selection)?;
        let (mut nodes, mut sources) = (Map::new(), Map::new());
        for node in self.project().transform.ordered().filter(|node| selected.contains(&node.id)) {
            let is_source = node.resource_type == ResourceType::Source;
            if !(is_source || node.resource_type.is_referable()) || node.is_ephemeral() {
                continue;
            }
            let name = format!("{}.{}", node.relation.schema, node.relation.identifier);
            let Ok(table) = self.table(&name).await else { continue };
            let section = if is_source { &mut sources } else { &mut nodes };
            section.insert(node.id.to_string(), entry(node, &table));
        }
        let catalog = json!({
            "metadata": {
                "dbt_schema_version": SCHEMA, "dbt_version": DBT_VERSION, "generated_at": rfc3339(self.now()),
                "invocation_id": self.boot.0, "invocation_started_at": rfc3339(self.started_at), "env": {},
            },
            "nodes": nodes, "sources": sources, "errors": null,
        });
        crate::build::write_json(&folder.join("catalog.json"), &catalog)?;
        Ok(folder)
    }
}

fn entry(node: &Node, table: &TableSummary) -> Value {
    let columns = table.columns.iter().zip(1..).map(|(column, index)| {
        let entry = json!({ "type": column.data_type, "index": index, "name": column.name, "comment": null });
        (column.name.clone(), entry)
    });
    json!({
        "metadata": {
            "type": if table.is_view { "VIEW" } else { "BASE TABLE" }, "schema": node.relation.schema,
            "name": node.relation.identifier, "database": node.relation.database, "comment": null, "owner": null,
        },
        "columns": columns.collect::<Map<String, Value>>(),
        "stats": statistics(table),
        "unique_id": node.id.to_string(),
    })
}

/// dbt begins with whether there are any.
fn statistics(table: &TableSummary) -> Value {
    let mut stats = Map::new();
    let mut put = |id: &str, label: &str, value: Value, include: bool, description: &str| {
        let stat = json!({
            "id": id, "label": label, "value": value, "include": include, "description": description,
        });
        stats.insert(id.to_owned(), stat);
    };
    put(
        "has_stats",
        "Has Stats?",
        json!(!table.is_view),
        false,
        "Indicates whether there are statistics for this table",
    );
    if !table.is_view {
        put("row_count", "Rows", json!(table.rows), table.rows.is_some(), "Rows of the published version");
        put("bytes", "Bytes", json!(table.bytes), true, "Size of its files");
    }
    Value::Object(stats)
}
