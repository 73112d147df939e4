//! The graph of everything, laid out.

use headwater_app::view;
use serde::Serialize;

/// Coordinates are in grid steps of one node: multiply them by the space a node takes. Left to right along `x`. What
/// `?hide=test,tile` and `?focus=ID&only=true` leave out of the picture is at 0, 0.
#[derive(Debug, Serialize)]
pub struct Lineage {
    pub nodes: Vec<LineageNode>,
    pub edges: Vec<LineageEdge>,
    /// Largest `x` and `y` plus one.
    pub width: f64,
    pub height: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineageKind {
    Source,
    Seed,
    Model,
    Test,
    Dashboard,
    Tile,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineageStatus {
    /// Built or ingesting, and its tests pass.
    Ok,
    /// A test of it warns, or its source retries.
    Warning,
    /// Its last step, test or pipeline failed, or something above it did.
    Failed,
    Running,
    /// Nothing is known of it yet.
    Unknown,
}

#[derive(Debug, Serialize)]
pub struct LineageNode {
    /// `source.p.s.t`, `model.p.m`, `seed.p.s`, `test.p.t`, `dashboard.d`, `tile.d.t`.
    pub id: String,
    pub name: String,
    pub kind: LineageKind,
    pub status: LineageStatus,
    /// What the status says in words, when there is something to say.
    pub message: Option<String>,
    /// `schema.table` when it stores or reads as one: the name of its asset page.
    pub relation: Option<String>,
    /// `table`, `view`, `incremental`, ... for models.
    pub materialized: Option<String>,
    /// Of a tile or dashboard.
    pub dashboard: Option<String>,
    pub x: f64,
    pub y: f64,
}

#[derive(Debug, Serialize)]
pub struct LineageEdge {
    pub from: String,
    pub to: String,
    /// Points between the two nodes a line should pass, from left to right.
    pub via: Vec<LineagePoint>,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LineagePoint {
    pub x: f64,
    pub y: f64,
}

impl From<view::Health> for LineageStatus {
    fn from(health: view::Health) -> Self {
        match health {
            view::Health::Unknown => Self::Unknown,
            view::Health::Ok => Self::Ok,
            view::Health::Running => Self::Running,
            view::Health::Warning => Self::Warning,
            view::Health::Failed => Self::Failed,
        }
    }
}

impl From<view::LineageNode> for LineageNode {
    fn from(node: view::LineageNode) -> Self {
        let kind = match node.kind {
            "source" => LineageKind::Source,
            "seed" => LineageKind::Seed,
            "test" => LineageKind::Test,
            "tile" => LineageKind::Tile,
            "dashboard" => LineageKind::Dashboard,
            _ => LineageKind::Model,
        };
        Self {
            id: node.id,
            name: node.name,
            kind,
            status: node.health.into(),
            message: node.message,
            relation: node.relation,
            materialized: node.materialized,
            dashboard: node.dashboard,
            x: node.x,
            y: node.y,
        }
    }
}

impl From<view::LineageGraph> for Lineage {
    fn from(graph: view::LineageGraph) -> Self {
        let edge = |(from, to, bends): view::LineageEdge| LineageEdge {
            from,
            to,
            via: bends.into_iter().map(|(x, y)| LineagePoint { x, y }).collect(),
        };
        Self {
            nodes: graph.nodes.into_iter().map(Into::into).collect(),
            edges: graph.edges.into_iter().map(edge).collect(),
            width: graph.width,
            height: graph.height,
        }
    }
}
