//! Which layer each node stands in, and bends for edges that pass layers.

use std::collections::BTreeSet;

/// A graph whose every edge goes from one layer to the next: long edges are chains of bends, which are nodes from
/// `nodes` on.
#[derive(Debug)]
pub(super) struct Layered {
    /// By node, bends included.
    pub(super) layer_of: Vec<usize>,
    /// Neighbours in the layer before and after, by node.
    pub(super) before: Vec<Vec<usize>>,
    pub(super) after: Vec<Vec<usize>>,
    /// Bends by edge, from left to right.
    pub(super) bends: Vec<Vec<usize>>,
}

impl Layered {
    pub(super) fn new(nodes: usize, edges: &[(usize, usize)]) -> Self {
        let layer_of = layers(nodes, edges);
        let mut graph =
            Self { layer_of, before: vec![Vec::new(); nodes], after: vec![Vec::new(); nodes], bends: Vec::new() };
        for (from, to) in edges {
            let bends = graph.connect(*from, *to);
            graph.bends.push(bends);
        }
        graph
    }

    fn connect(&mut self, from: usize, to: usize) -> Vec<usize> {
        let (Some(start), Some(end)) = (self.layer_of.get(from).copied(), self.layer_of.get(to).copied()) else {
            return Vec::new();
        };
        // An edge that closes a cycle runs backwards; its line is found the other way round.
        let (left, right, first, last) = if start <= end { (from, to, start, end) } else { (to, from, end, start) };
        let mut bends = Vec::new();
        let mut at = left;
        for layer in first + 1..last {
            let bend = self.layer_of.len();
            self.layer_of.push(layer);
            self.before.push(Vec::new());
            self.after.push(Vec::new());
            self.join(at, bend);
            bends.push(bend);
            at = bend;
        }
        if first < last {
            self.join(at, right);
        }
        bends
    }

    fn join(&mut self, left: usize, right: usize) {
        if let Some(after) = self.after.get_mut(left) {
            after.push(right);
        }
        if let Some(before) = self.before.get_mut(right) {
            before.push(left);
        }
    }

    /// Nodes and bends of each layer, in order of their numbers.
    pub(super) fn layers(&self) -> Vec<Vec<usize>> {
        let count = self.layer_of.iter().max().map_or(0, |last| last + 1);
        let mut layers = vec![Vec::new(); count];
        for (node, layer) in self.layer_of.iter().enumerate() {
            if let Some(nodes) = layers.get_mut(*layer) {
                nodes.push(node);
            }
        }
        layers
    }
}

fn layers(nodes: usize, edges: &[(usize, usize)]) -> Vec<usize> {
    let known: BTreeSet<(usize, usize)> =
        edges.iter().copied().filter(|(from, to)| *from < nodes && *to < nodes && from != to).collect();
    let mut ways_in = vec![0_usize; nodes];
    let mut targets = vec![Vec::new(); nodes];
    for (from, to) in &known {
        if let (Some(count), Some(targets)) = (ways_in.get_mut(*to), targets.get_mut(*from)) {
            *count += 1;
            targets.push(*to);
        }
    }
    let starts: Vec<bool> = ways_in.iter().map(|count| *count == 0).collect();
    let (order, mut layers) = longest_ways(&mut ways_in, &targets);
    for node in order.iter().rev().filter(|node| starts.get(**node) == Some(&true)) {
        let next = targets.get(*node).into_iter().flatten().filter_map(|target| layers.get(*target)).min().copied();
        if let (Some(next), Some(layer)) = (next, layers.get_mut(*node)) {
            *layer = next.saturating_sub(1);
        }
    }
    layers
}

/// Nodes with all ways in done come first; when only cycles are left, the smallest number breaks one.
fn longest_ways(ways_in: &mut [usize], targets: &[Vec<usize>]) -> (Vec<usize>, Vec<usize>) {
    let mut layers = vec![0_usize; ways_in.len()];
    let mut ready: BTreeSet<usize> =
        ways_in.iter().enumerate().filter(|(_, count)| **count == 0).map(|(node, _)| node).collect();
    let mut waiting: BTreeSet<usize> = (0..ways_in.len()).collect();
    let mut order = Vec::with_capacity(ways_in.len());
    while let Some(node) = ready.pop_first().or_else(|| waiting.first().copied()) {
        waiting.remove(&node);
        ready.remove(&node);
        order.push(node);
        let next = layers.get(node).map_or(1, |layer| layer + 1);
        for target in targets.get(node).into_iter().flatten().filter(|target| waiting.contains(target)) {
            if let (Some(layer), Some(count)) = (layers.get_mut(*target), ways_in.get_mut(*target)) {
                *layer = next.max(*layer);
                *count = count.saturating_sub(1);
                if *count == 0 {
                    ready.insert(*target);
                }
            }
        }
    }
    (order, layers)
}
