use super::*;

fn check_layers(nodes: usize, edges: &[(usize, usize)], expected: &[f64]) {
    let layout = layered(nodes, edges);
    assert_eq!(layout.nodes.iter().map(|at| at.x).collect::<Vec<_>>(), expected, "{edges:?}");
    assert_eq!(layout.bends.len(), edges.len());
}

#[test]
fn a_node_stands_right_of_everything_it_needs() {
    check_layers(0, &[], &[]);
    check_layers(1, &[], &[0.0]);
    check_layers(4, &[(0, 1), (1, 2), (0, 2), (2, 3)], &[0.0, 1.0, 2.0, 3.0]);
}

#[test]
fn a_start_stands_just_before_the_first_that_needs_it() {
    check_layers(4, &[(0, 1), (1, 2), (3, 2)], &[0.0, 1.0, 2.0, 1.0]);
}

#[test]
fn cycles_and_edges_to_nowhere_are_laid_out_all_the_same() {
    check_layers(3, &[(0, 1), (1, 2), (2, 0)], &[0.0, 1.0, 2.0]);
    check_layers(2, &[(0, 0), (0, 7), (0, 1)], &[0.0, 1.0]);
}

#[test]
fn a_long_edge_bends_in_each_layer_it_passes() {
    let layout = layered(4, &[(0, 1), (1, 2), (2, 3), (0, 3)]);
    assert_eq!(layout.bends[3].iter().map(|bend| bend.x).collect::<Vec<_>>(), [1.0, 2.0]);
    assert!(layout.bends[..3].iter().all(Vec::is_empty));
}

#[test]
fn crossings_that_can_be_avoided_are() {
    // 0 and 1 feed 3 and 2: only the swapped order has no crossing.
    let layout = layered(4, &[(0, 3), (1, 2)]);
    assert_eq!((layout.nodes[0].y < layout.nodes[1].y), (layout.nodes[3].y < layout.nodes[2].y));
}

/// Layers of 20 nodes, each needing three of the layer before and one of an earlier layer.
fn large(nodes: usize) -> Vec<(usize, usize)> {
    let mut edges = Vec::new();
    for node in 20..nodes {
        let base = (node / 20 - 1) * 20;
        edges.extend((0..3).map(|step| (base + (node * 7 + step * 5) % 20, node)));
        edges.push(((node * 13) % base.max(1), node));
    }
    edges
}

#[test]
fn no_two_nodes_of_a_layer_come_nearer_than_one_step() {
    let layout = layered(200, &large(200));
    let mut places: Vec<Point> = layout.nodes.iter().chain(layout.bends.iter().flatten()).copied().collect();
    places.sort_by(|left, right| left.x.total_cmp(&right.x).then(left.y.total_cmp(&right.y)));
    for pair in places.windows(2) {
        assert!(pair[0].x < pair[1].x || pair[1].y - pair[0].y >= 0.75, "{pair:?}");
    }
    assert!(places.iter().all(|at| at.y >= 0.0 && at.y < layout.height && at.x < layout.width));
}

#[test]
fn the_same_graph_gives_the_same_picture() {
    let edges = large(300);
    assert_eq!(layered(300, &edges), layered(300, &edges));
}

/// Eight layers, each node needing two of the layer before and one of an earlier layer.
fn wide(nodes: usize) -> Vec<(usize, usize)> {
    let (mut edges, each) = (Vec::new(), nodes / 8);
    for node in each..nodes {
        let layer = node / each;
        for (step, from) in [layer - 1, layer - 1, node % layer].into_iter().enumerate() {
            edges.push((from * each + (node * 31 + step * 17) % each, node));
        }
    }
    edges
}

#[test]
fn a_graph_of_two_thousand_nodes_is_laid_out() {
    let layout = layered(2_000, &wide(2_000));
    assert_eq!((layout.nodes.len(), layout.width), (2_000, 8.0));
    assert!(layout.nodes.iter().all(|at| at.x.is_finite() && at.y.is_finite()));
}

#[test]
fn what_is_left_out_takes_no_room() {
    // 0 -> 1 -> 3, with 2 and 4 hanging off: only 0, 1 and 3 are shown.
    let edges = [(0, 1), (1, 2), (1, 3), (0, 3), (2, 4)];
    let part = layered_part(&[true, true, false, true, false], &edges);
    let whole = layered(3, &[(0, 1), (1, 2), (0, 2)]);
    let at = |node: usize| whole.nodes[node];
    assert_eq!(part.nodes, [at(0), at(1), Point::default(), at(2), Point::default()]);
    assert_eq!(part.bends, [whole.bends[0].clone(), vec![], whole.bends[1].clone(), whole.bends[2].clone(), vec![]]);
    assert_eq!((part.width, part.height), (whole.width, whole.height));
    assert_eq!(layered_part(&[false], &[]).nodes, [Point::default()]);
}
