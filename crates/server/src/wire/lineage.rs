//! The graph of everything, laid out.

use serde::Serialize;

/// Coordinates are in grid steps of one node: multiply them by the space a node takes. Left to right along `x`.
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
