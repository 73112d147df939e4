//! Where tiles stand: a grid of twelve columns, filled in reading order.
//!
//! Each tile goes to the highest place it fits, the leftmost of these; a tab is a grid of its own. The same file gives the
//! same places everywhere.

use crate::config::{Dashboard, TileConfig, TileKind};

/// Columns of the grid.
const COLUMNS: u32 = 12;

/// A place in the grid; columns and rows count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub column: u32,
    pub row: u32,
    pub width: u32,
    pub height: u32,
}

/// One place for each tile, in the order of the file.
pub fn places(dashboard: &Dashboard) -> Vec<Place> {
    let mut tabs: Vec<(Option<&str>, Skyline)> = Vec::new();
    let mut places = Vec::with_capacity(dashboard.tiles.len());
    for tile in &dashboard.tiles {
        let tab = tile.tab.as_deref();
        let known = tabs.iter().position(|(name, _)| *name == tab);
        let at = known.unwrap_or_else(|| {
            tabs.push((tab, Skyline::default()));
            tabs.len() - 1
        });
        let (width, height) = size(tile);
        places.extend(tabs.get_mut(at).map(|(_, skyline)| skyline.put(width, height)));
    }
    places
}

/// First free row of each column.
#[derive(Debug, Default)]
struct Skyline([u32; COLUMNS as usize]);

impl Skyline {
    fn put(&mut self, width: u32, height: u32) -> Place {
        let span = width as usize;
        let tops = self.0.windows(span).map(|columns| columns.iter().copied().max().unwrap_or(0));
        let (column, row) = tops.enumerate().min_by_key(|(column, top)| (*top, *column)).unwrap_or((0, 0));
        for top in self.0.iter_mut().skip(column).take(span) {
            *top = row + height;
        }
        Place { column: u32::try_from(column).unwrap_or(0), row, width, height }
    }
}

fn size(tile: &TileConfig) -> (u32, u32) {
    let (width, height) = usual_size(tile.kind);
    (tile.width.unwrap_or(width).clamp(1, COLUMNS), tile.height.unwrap_or(height).max(1))
}

/// Width and height of a tile whose file names none.
fn usual_size(kind: TileKind) -> (u32, u32) {
    match kind {
        TileKind::Number => (3, 2),
        TileKind::Text => (12, 1),
        TileKind::Donut | TileKind::Pie => (4, 6),
        TileKind::Map | TileKind::PointMap => (8, 8),
        TileKind::Table | TileKind::HorizontalBars => (6, 7),
        _ => (6, 6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(sizes: &[(u32, u32)], expected: &[(u32, u32)]) {
        let mut skyline = Skyline::default();
        let found: Vec<(u32, u32)> = sizes
            .iter()
            .map(|(width, height)| skyline.put(*width, *height))
            .map(|place| (place.column, place.row))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn tiles_fill_rows_in_reading_order_and_gaps_beside_tall_ones() {
        check(&[(3, 2), (3, 2), (3, 2), (3, 2), (12, 6)], &[(0, 0), (3, 0), (6, 0), (9, 0), (0, 2)]);
        check(&[(4, 6), (8, 3), (8, 3), (6, 1)], &[(0, 0), (4, 0), (4, 3), (0, 6)]);
        check(&[(8, 2), (8, 2)], &[(0, 0), (0, 2)]);
    }

    #[test]
    fn no_two_tiles_share_a_cell() {
        let mut skyline = Skyline::default();
        let mut taken = std::collections::BTreeSet::new();
        for number in 0..200_u32 {
            let (width, height) = (number * 7 % 12 + 1, number * 5 % 9 + 1);
            let place = skyline.put(width, height);
            assert!(place.column + place.width <= COLUMNS);
            for column in place.column..place.column + width {
                for row in place.row..place.row + height {
                    assert!(taken.insert((column, row)), "tile {number} covers another");
                }
            }
        }
    }
}
