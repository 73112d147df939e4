//! The order of nodes within layers.

use super::layers::Layered;
use super::to_f64;

/// Orders every layer by the barycentre of its neighbours, alternately from the left and from the right, and keeps the
/// order with the fewest crossings.
pub(super) fn fewest_crossings(graph: &Layered, sweeps: usize) -> Vec<Vec<usize>> {
    let mut layers = graph.layers();
    let mut positions = vec![0.0; graph.layer_of.len()];
    layers.iter().for_each(|layer| number(layer, &mut positions));
    let mut best = (crossings(graph, &layers, &positions), layers.clone());
    for sweep in 0..sweeps {
        if best.0 == 0 {
            break;
        }
        let rightwards = sweep % 2 == 0;
        let neighbours = if rightwards { &graph.before } else { &graph.after };
        let mut reorder = |layer: &mut Vec<usize>| {
            sort_by_barycentre(layer, neighbours, &positions);
            number(layer, &mut positions);
        };
        if rightwards {
            layers.iter_mut().for_each(&mut reorder);
        } else {
            layers.iter_mut().rev().for_each(&mut reorder);
        }
        let found = crossings(graph, &layers, &positions);
        if found < best.0 {
            best = (found, layers.clone());
        }
    }
    best.1
}

fn number(layer: &[usize], positions: &mut [f64]) {
    for (at, node) in layer.iter().enumerate() {
        if let Some(position) = positions.get_mut(*node) {
            *position = to_f64(at);
        }
    }
}

/// A node without neighbours stays where it is.
fn sort_by_barycentre(layer: &mut [usize], neighbours: &[Vec<usize>], positions: &[f64]) {
    let own = |node: usize| positions.get(node).copied().unwrap_or_default();
    let barycentre = |node: usize| {
        let near = neighbours.get(node).map(Vec::as_slice).unwrap_or_default();
        let sum: f64 = near.iter().map(|other| own(*other)).sum();
        if near.is_empty() { own(node) } else { sum / to_f64(near.len()) }
    };
    let mut keyed: Vec<(f64, f64, usize)> = layer.iter().map(|node| (barycentre(*node), own(*node), *node)).collect();
    keyed.sort_by(|left, right| left.0.total_cmp(&right.0).then(left.1.total_cmp(&right.1)));
    for (place, (_, _, node)) in layer.iter_mut().zip(keyed) {
        *place = node;
    }
}

/// Pairs of edges that cross, over all layers: inversions of the order of ends, counted with a Fenwick tree.
fn crossings(graph: &Layered, layers: &[Vec<usize>], positions: &[f64]) -> u64 {
    let at = |node: &usize| positions.get(*node).copied().unwrap_or_default();
    let mut total = 0;
    for (layer, next) in layers.iter().zip(layers.iter().skip(1)) {
        let mut tree = vec![0_u64; next.len() + 1];
        let mut seen = 0;
        for node in layer {
            let mut ends: Vec<usize> =
                graph.after.get(*node).into_iter().flatten().map(|end| position_index(at(end))).collect();
            ends.sort_unstable();
            total += ends.iter().map(|end| seen - count_up_to(&tree, *end)).sum::<u64>();
            ends.iter().for_each(|end| add(&mut tree, *end));
            seen += u64::try_from(ends.len()).unwrap_or_default();
        }
    }
    total
}

/// Positions are small whole numbers.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a whole number from 0")]
fn position_index(position: f64) -> usize {
    position as usize
}

fn add(tree: &mut [u64], index: usize) {
    let mut at = index + 1;
    while let Some(count) = tree.get_mut(at) {
        *count += 1;
        at += at & at.wrapping_neg();
    }
}

fn count_up_to(tree: &[u64], index: usize) -> u64 {
    let (mut at, mut total) = (index + 1, 0);
    while at > 0 {
        total += tree.get(at).copied().unwrap_or_default();
        at &= at - 1;
    }
    total
}
