//! The things a project is made of: models, seeds, sources, tests, analyses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use headwater_project::{FileId, Span};

use crate::config::NodeConfig;
use crate::warehouse::RelationName;

/// dbt's unique id: `model.<package>.<name>`, `source.<package>.<source>.<table>`, `test.<package>.<name>.<hash>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub Arc<str>);

impl NodeId {
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(Arc::from(text.as_ref()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for NodeId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ResourceType {
    Model,
    Seed,
    Source,
    Test,
    Analysis,
    Snapshot,
    UnitTest,
    Exposure,
}

impl ResourceType {
    /// dbt's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Seed => "seed",
            Self::Source => "source",
            Self::Test => "test",
            Self::Analysis => "analysis",
            Self::Snapshot => "snapshot",
            Self::UnitTest => "unit_test",
            Self::Exposure => "exposure",
        }
    }

    /// Whether `ref` can mean it.
    pub fn is_referable(self) -> bool {
        matches!(self, Self::Model | Self::Seed | Self::Snapshot)
    }
}

/// A call of `ref`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefCall {
    pub package: Option<String>,
    pub name: String,
    pub version: Option<String>,
}

/// A call of `source`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SourceCall {
    pub source: String,
    pub table: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    pub name: String,
    pub description: String,
    /// Calls of `doc` in the description as written.
    pub doc_calls: Vec<String>,
    pub data_type: Option<String>,
    /// As written, each with its `type`.
    pub constraints: Vec<serde_json::Value>,
    /// Place in the properties file, from 0.
    pub position: usize,
    pub tags: Vec<String>,
    pub meta: serde_json::Map<String, serde_json::Value>,
    /// Whether the name is quoted in tests, where that is said.
    pub quote: Option<bool>,
}

/// What the files say of a node that nothing but artifacts and comparisons with earlier ones need.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Path inside the folder of its kind, as dbt gives it: `staging/orders.sql`.
    pub path: String,
    /// The properties file that describes it, relative to the project folder.
    pub properties_file: Option<PathBuf>,
    /// Its entry in that file, without columns, tests, tables and versions.
    pub properties: serde_json::Map<String, serde_json::Value>,
    /// Its configuration before templates in it are rendered and defaults are added, later layers above earlier ones.
    pub config: serde_json::Map<String, serde_json::Value>,
    /// The template as dbt shows it, where that is not the one that is rendered here.
    pub code: Option<Arc<str>>,
    /// SHA-256 of the file, where that is not the checksum of the node.
    pub checksum: Option<String>,
}

/// What a node is besides a node.
#[derive(Clone, Debug, PartialEq)]
pub enum NodeKind {
    Model,
    Analysis,
    /// The CSV file, relative to the project folder.
    Seed {
        file: PathBuf,
    },
    Source {
        source: String,
        loader: Option<String>,
    },
    Test(TestKind),
    /// The query is in the node's template.
    Snapshot,
    UnitTest(Box<UnitTest>),
    Exposure,
}

/// A model run on rows written down, and the rows it must give.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UnitTest {
    pub model: String,
    pub version: Option<String>,
    pub given: Vec<Given>,
    pub expect: FixtureRows,
    pub macros: serde_json::Map<String, serde_json::Value>,
    pub vars: serde_json::Map<String, serde_json::Value>,
    pub env_vars: serde_json::Map<String, serde_json::Value>,
    pub tested: Option<NodeId>,
}

/// What stands for one input of the tested model.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// `ref('a')`, `source('a', 'b')` or `this`.
    pub input: String,
    pub rows: FixtureRows,
}

#[derive(Clone, Debug, PartialEq)]
pub enum FixtureRows {
    /// Values by column; text stands for a value of any type.
    Rows(Vec<serde_json::Map<String, serde_json::Value>>),
    Sql(String),
}

impl Default for FixtureRows {
    fn default() -> Self {
        Self::Rows(Vec::new())
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum TestKind {
    Singular,
    Generic {
        /// `not_null`, or with its package: `dbt_utils.accepted_range`.
        name: String,
        namespace: Option<String>,
        /// The arguments as written, `column_name` included.
        arguments: serde_json::Map<String, serde_json::Value>,
        column: Option<String>,
        attached: NodeId,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub id: NodeId,
    pub name: String,
    /// Of a model that has versions.
    pub version: Option<String>,
    /// Whether `ref` without a version means this one.
    pub is_latest: bool,
    /// A version after the latest.
    pub is_prerelease: bool,
    pub resource_type: ResourceType,
    pub package: String,
    /// Relative to the project folder.
    pub path: PathBuf,
    /// Where it is defined; none for a seed, whose file is not read as text.
    pub file: Option<FileId>,
    pub span: Option<Span>,
    /// Package, folders, name: what `path.to.model` selects by.
    pub fqn: Vec<String>,
    pub kind: NodeKind,
    pub config: NodeConfig,
    pub description: String,
    pub columns: BTreeMap<String, Column>,
    /// Constraints of the whole model, as written.
    pub constraints: Vec<serde_json::Value>,
    /// The template; empty for seeds and sources.
    pub raw_code: Arc<str>,
    pub refs: Vec<RefCall>,
    pub sources: Vec<SourceCall>,
    /// What must be there before this node can be built.
    pub depends_on: BTreeSet<NodeId>,
    /// Unique ids of the macros it called while it was parsed.
    pub macros: BTreeSet<String>,
    pub relation: RelationName,
    /// SHA-256 of the code or, for a seed, of its file without blanks around it.
    pub checksum: String,
    pub written: Written,
}

impl Node {
    pub fn is_ephemeral(&self) -> bool {
        self.resource_type == ResourceType::Model && self.config.materialized() == "ephemeral"
    }

    /// Its columns in the order they are written in the properties file.
    pub fn columns_in_order(&self) -> Vec<&Column> {
        let mut columns: Vec<&Column> = self.columns.values().collect();
        columns.sort_by_key(|column| column.position);
        columns
    }

    pub fn tags(&self) -> Vec<String> {
        self.config.tags()
    }
}
