//! Small projects written as one text, and a warehouse that answers from a script.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use headwater_project::{Diagnostics, Failure, Files, Timestamp};

use crate::{
    Cell, ColumnInfo, Compiled, LoadOptions, NodeId, QueryTable, RelationInfo, RelationKind, RelationName, RunContext,
    Target, TransformProject, Warehouse, WarehouseError, load,
};

pub(super) struct Fixture {
    pub files: Files,
    pub project: TransformProject,
    pub found: Diagnostics,
}

pub(super) fn options() -> LoadOptions {
    LoadOptions {
        target: Target { name: String::from("dev"), schema: String::from("main"), ..Target::default() },
        env: BTreeMap::from([(String::from("REGION"), String::from("north"))]),
        ..LoadOptions::default()
    }
}

/// Files start with a line `=== path`.
pub(super) fn load_text(text: &str) -> Fixture {
    load_with(text, options())
}

pub(super) fn load_with(text: &str, options: LoadOptions) -> Fixture {
    let mut files = Files::default();
    for part in text.split("=== ").skip(1) {
        let (path, content) = part.split_once('\n').expect("a path and a content");
        files.add(path.trim(), content);
    }
    let (project, found) = load(&mut files, Path::new("/no/such/folder/shop"), options);
    Fixture { files, project, found }
}

impl Fixture {
    pub(super) fn messages(&self) -> String {
        self.found.found.iter().map(|diagnostic| diagnostic.render(&self.files)).collect()
    }

    pub(super) fn clean(self) -> Self {
        assert_eq!(self.messages(), "");
        self
    }

    pub(super) fn id(&self, name: &str) -> NodeId {
        let found = self.project.graph.nodes.values().find(|node| node.name == name || node.id.as_str() == name);
        found.map_or_else(|| panic!("no node {name}\n{}", self.messages()), |node| node.id.clone())
    }

    pub(super) fn compile(&self, name: &str) -> Compiled {
        self.compile_in(name, &Arc::new(Scripted::default()), false)
    }

    pub(super) fn compile_in(&self, name: &str, warehouse: &Arc<Scripted>, full_refresh: bool) -> Compiled {
        self.try_compile(name, warehouse, full_refresh).unwrap_or_else(|text| panic!("{text}"))
    }

    pub(super) fn try_compile(
        &self,
        name: &str,
        warehouse: &Arc<Scripted>,
        full_refresh: bool,
    ) -> Result<Compiled, String> {
        let warehouse: Arc<dyn Warehouse> = Arc::clone(warehouse) as Arc<dyn Warehouse>;
        let run = RunContext {
            started_at: Timestamp(1_700_000_000_000_000),
            invocation_id: String::from("an-invocation"),
            full_refresh,
            command: String::from("build"),
            ..RunContext::default()
        };
        let compiled = self.project.compile(&self.id(name), &warehouse, &run);
        compiled.map_err(|found| found.iter().map(|diagnostic| diagnostic.render(&self.files)).collect())
    }
}

/// Answers queries and knows relations by their identifier.
#[derive(Debug, Default)]
pub(super) struct Scripted {
    pub queries: BTreeMap<String, QueryTable>,
    pub relations: BTreeMap<String, RelationInfo>,
    /// Answers every other query.
    pub otherwise: Option<QueryTable>,
}

impl Scripted {
    pub(super) fn with_query(mut self, sql: &str, columns: &[&str], rows: Vec<Vec<Cell>>) -> Self {
        let columns =
            columns.iter().map(|name| ColumnInfo { name: (*name).to_owned(), data_type: String::from("Utf8") });
        self.queries.insert(sql.to_owned(), QueryTable { columns: columns.collect(), rows });
        self
    }

    pub(super) fn with_relation(mut self, name: &str, kind: RelationKind, columns: &[&str]) -> Self {
        let columns =
            columns.iter().map(|name| ColumnInfo { name: (*name).to_owned(), data_type: String::from("Utf8") });
        self.relations.insert(name.to_owned(), RelationInfo { kind, columns: columns.collect() });
        self
    }
}

impl Warehouse for Scripted {
    fn query(&self, sql: &str) -> Result<QueryTable, WarehouseError> {
        let unknown = || Failure::user(format!("no such query: {sql}")).with_hint("Script it.").into();
        self.queries.get(sql.trim()).or(self.otherwise.as_ref()).cloned().ok_or_else(unknown)
    }

    fn relation(&self, relation: &RelationName) -> Result<Option<RelationInfo>, WarehouseError> {
        Ok(self.relations.get(&relation.identifier).cloned())
    }
}
