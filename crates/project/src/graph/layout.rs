//! Places for the nodes of a graph that flows from left to right: the same graph gives the same picture.
//!
//! Sugiyama's method. Each node stands in the layer of its longest way from a start; nodes without ways in then move to
//! just before the first that needs them. An edge over several layers gets a bend in each layer between. Layers are
//! ordered by the barycentre of neighbours, sweep by sweep, and the order with the fewest crossings is kept. At last each
//! layer's nodes move as near to their neighbours as order and a distance of one allow.

mod layers;
mod order;
mod straighten;

use layers::Layered;

/// Sweeps over all layers; further ones change little.
const SWEEPS: usize = 12;

/// A place; one step lies between neighbours in either direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
}

/// A laid out graph.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    /// One place for each node.
    pub nodes: Vec<Point>,
    /// Bends of each edge, from left to right; in the order the edges were given.
    pub bends: Vec<Vec<Point>>,
    pub width: f64,
    pub height: f64,
}

/// Lays out nodes `0..nodes`. Edges to nodes that do not exist, and of a node to itself, have no bends and no influence; of
/// a cycle the edge that closes it, in the order of nodes, is drawn backwards.
pub fn layered(nodes: usize, edges: &[(usize, usize)]) -> Layout {
    let graph = Layered::new(nodes, edges);
    let ordered = order::fewest_crossings(&graph, SWEEPS);
    let rows = straighten::rows(&graph, &ordered, SWEEPS);
    let point = |node: usize| Point {
        x: graph.layer_of.get(node).map_or(0.0, |layer| to_f64(*layer)),
        y: rows.get(node).copied().unwrap_or_default(),
    };
    let mut layout = Layout {
        nodes: (0..nodes).map(point).collect(),
        bends: graph.bends.iter().map(|bends| bends.iter().copied().map(point).collect()).collect(),
        width: to_f64(ordered.len()),
        height: 0.0,
    };
    layout.height = layout.nodes.iter().chain(layout.bends.iter().flatten()).map(|at| at.y + 1.0).fold(0.0, f64::max);
    layout
}

/// Lays out the nodes that are `shown`, as if the others and their edges were not there: those are at 0, 0, without bends.
pub fn layered_part(shown: &[bool], edges: &[(usize, usize)]) -> Layout {
    let mut kept = 0;
    let places: Vec<Option<usize>> = shown
        .iter()
        .map(|is_shown| {
            let place = is_shown.then_some(kept);
            kept += usize::from(*is_shown);
            place
        })
        .collect();
    let place = |node: usize| places.get(node).copied().flatten();
    let ends: Vec<Option<(usize, usize)>> = edges.iter().map(|(from, to)| place(*from).zip(place(*to))).collect();
    let part: Vec<(usize, usize)> = ends.iter().flatten().copied().collect();
    let Layout { nodes, bends, width, height } = layered(kept, &part);
    let mut bends = bends.into_iter();
    Layout {
        nodes: places.iter().map(|at| at.and_then(|at| nodes.get(at).copied()).unwrap_or_default()).collect(),
        bends: ends.iter().map(|end| end.and_then(|_| bends.next()).unwrap_or_default()).collect(),
        width,
        height,
    }
}

fn to_f64(number: usize) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests;
