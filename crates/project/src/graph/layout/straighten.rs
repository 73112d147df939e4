//! Heights: each layer's nodes as near to their neighbours as their order and a distance of one allow.

use super::layers::Layered;
use super::to_f64;

/// Height by node, from 0.
pub(super) fn rows(graph: &Layered, layers: &[Vec<usize>], sweeps: usize) -> Vec<f64> {
    let mut rows = vec![0.0; graph.layer_of.len()];
    let tallest = layers.iter().map(Vec::len).max().unwrap_or_default();
    for layer in layers {
        let top = to_f64(tallest - layer.len()) / 2.0;
        for (at, node) in layer.iter().enumerate() {
            set(&mut rows, *node, top + to_f64(at));
        }
    }
    for sweep in 0..sweeps {
        let mut settle = |layer: &Vec<usize>| {
            let wanted: Vec<f64> = layer.iter().map(|node| wanted(graph, *node, &rows)).collect();
            for (node, row) in layer.iter().zip(spread(&wanted)) {
                set(&mut rows, *node, row);
            }
        };
        if sweep % 2 == 0 {
            layers.iter().for_each(&mut settle);
        } else {
            layers.iter().rev().for_each(&mut settle);
        }
    }
    let top = rows.iter().copied().fold(f64::INFINITY, f64::min);
    rows.iter().map(|row| ((row - top) * 4.0).round() / 4.0).collect::<Vec<_>>()
}

fn set(rows: &mut [f64], node: usize, to: f64) {
    if let Some(row) = rows.get_mut(node) {
        *row = to;
    }
}

fn wanted(graph: &Layered, node: usize, rows: &[f64]) -> f64 {
    let near = graph.before.get(node).into_iter().flatten().chain(graph.after.get(node).into_iter().flatten());
    let (sum, count) =
        near.filter_map(|other| rows.get(*other)).fold((0.0, 0_usize), |(sum, count), row| (sum + row, count + 1));
    if count == 0 { rows.get(node).copied().unwrap_or_default() } else { sum / to_f64(count) }
}

/// The heights nearest to those wanted, by squares, that keep the order and a distance of one: neighbours that want to be
/// too near form a block that stands where its members want to be on average.
fn spread(wanted: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for (at, row) in wanted.iter().enumerate() {
        let mut block = (row - to_f64(at), 1_usize);
        while let Some(above) = blocks.pop_if(|above| mean(*above) > mean(block)) {
            block = (above.0 + block.0, above.1 + block.1);
        }
        blocks.push(block);
    }
    let tops = blocks.iter().flat_map(|block| std::iter::repeat_n(mean(*block), block.1));
    tops.enumerate().map(|(at, top)| top + to_f64(at)).collect()
}

fn mean((sum, count): (f64, usize)) -> f64 {
    sum / to_f64(count)
}
