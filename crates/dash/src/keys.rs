//! Which keys a tile of which kind takes, and which of them it needs.

use crate::config::{Stacking, TileConfig, TileKind};

use TileKind::{
    Area, Band, Bars, Combo, Donut, HeatMap, Histogram, HorizontalBars, Line, Map, Number, Pie, PointMap, Scatter,
    Table, Text,
};

/// One key of the chart specification.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// Kinds it means something to.
    pub(crate) kinds: &'static [TileKind],
    /// Kinds that cannot be drawn without it.
    pub(crate) needed_by: &'static [TileKind],
    pub(crate) is_given: fn(&TileConfig) -> bool,
}

const QUERIED: &[TileKind] = &[
    Number,
    Table,
    Line,
    Area,
    Bars,
    HorizontalBars,
    Donut,
    Pie,
    HeatMap,
    Scatter,
    Histogram,
    Combo,
    Band,
    Map,
    PointMap,
];
const NAMED: &[TileKind] =
    &[Line, Area, Bars, HorizontalBars, Donut, Pie, HeatMap, Scatter, Histogram, Combo, Band, Map, PointMap];
const AXES: &[TileKind] = &[Line, Area, Bars, HorizontalBars, Donut, Pie, HeatMap, Scatter, Combo, Map];
const NEEDS_X: &[TileKind] =
    &[Line, Area, Bars, HorizontalBars, Donut, Pie, HeatMap, Scatter, Histogram, Combo, Band, Map];
const FIGURES: &[TileKind] =
    &[Number, Line, Area, Bars, HorizontalBars, Donut, Pie, HeatMap, Scatter, Histogram, Combo, Band, Map, PointMap];
const PARTED: &[TileKind] = &[Line, Area, Bars, HorizontalBars, HeatMap, Scatter, Combo, PointMap];
const MARKED: &[TileKind] =
    &[Table, Line, Area, Bars, HorizontalBars, Donut, Pie, HeatMap, Scatter, Combo, Map, PointMap];

/// Kinds whose query is one aggregate by some columns.
const MEASURED: &[TileKind] = &[Number, Table, Line, Area, Bars, HorizontalBars, Donut, Pie, HeatMap, Map, PointMap];

pub(crate) const KEYS: &[Key] = &[
    // A table with a measure stands for a query.
    Key {
        name: "sql",
        kinds: QUERIED,
        needed_by: QUERIED,
        is_given: |tile| tile.sql.is_some() || (tile.table.is_some() && tile.measure.is_some()),
    },
    Key { name: "table", kinds: MEASURED, needed_by: &[], is_given: |tile| tile.table.is_some() },
    Key { name: "measure", kinds: MEASURED, needed_by: &[], is_given: |tile| tile.measure.is_some() },
    Key { name: "by", kinds: MEASURED, needed_by: &[], is_given: |tile| !tile.by.is_empty() },
    Key { name: "filter_columns", kinds: MEASURED, needed_by: &[], is_given: |tile| !tile.filter_columns.is_empty() },
    Key { name: "text", kinds: &[Text], needed_by: &[Text], is_given: |tile| tile.text.is_some() },
    Key { name: "x", kinds: NAMED, needed_by: NEEDS_X, is_given: |tile| tile.x.is_some() },
    // A measure is a figure without being named.
    Key {
        name: "y",
        kinds: FIGURES,
        needed_by: AXES,
        is_given: |tile| !tile.y.0.is_empty() || (tile.measure.is_some() && AXES.contains(&tile.kind)),
    },
    Key { name: "y_right", kinds: &[Combo], needed_by: &[Combo], is_given: |tile| !tile.y_right.0.is_empty() },
    Key { name: "series", kinds: PARTED, needed_by: &[HeatMap], is_given: |tile| tile.series.is_some() },
    Key { name: "lower", kinds: &[Band], needed_by: &[Band], is_given: |tile| tile.lower.is_some() },
    Key { name: "upper", kinds: &[Band], needed_by: &[Band], is_given: |tile| tile.upper.is_some() },
    Key { name: "latitude", kinds: &[PointMap], needed_by: &[PointMap], is_given: |tile| tile.latitude.is_some() },
    Key { name: "longitude", kinds: &[PointMap], needed_by: &[PointMap], is_given: |tile| tile.longitude.is_some() },
    Key { name: "size", kinds: &[Scatter, PointMap], needed_by: &[], is_given: |tile| tile.size.is_some() },
    Key { name: "regions", kinds: &[Map], needed_by: &[], is_given: |tile| tile.regions.is_some() },
    Key { name: "compare", kinds: &[Number], needed_by: &[], is_given: |tile| tile.compare.is_some() },
    Key { name: "compare_title", kinds: &[Number], needed_by: &[], is_given: |tile| tile.compare_title.is_some() },
    Key { name: "better", kinds: &[Number], needed_by: &[], is_given: |tile| tile.better.is_some() },
    Key { name: "unit", kinds: QUERIED, needed_by: &[], is_given: |tile| tile.unit.is_some() },
    Key { name: "unit_right", kinds: &[Combo], needed_by: &[], is_given: |tile| tile.unit_right.is_some() },
    Key { name: "format", kinds: QUERIED, needed_by: &[], is_given: |tile| tile.format.is_some() },
    Key {
        name: "stacking",
        kinds: &[Area, Bars, HorizontalBars, Combo],
        needed_by: &[],
        is_given: |tile| tile.stacking != Stacking::Grouped,
    },
    Key { name: "columns", kinds: &[Table], needed_by: &[], is_given: |tile| !tile.columns.is_empty() },
    Key { name: "page_size", kinds: &[Table], needed_by: &[], is_given: |tile| tile.page_size.is_some() },
    Key { name: "heat", kinds: &[Table], needed_by: &[], is_given: |tile| !tile.heat.is_empty() },
    Key { name: "totals", kinds: &[Table], needed_by: &[], is_given: |tile| !tile.totals.is_empty() },
    Key { name: "sort", kinds: &[Table], needed_by: &[], is_given: |tile| tile.sort.is_some() },
    Key {
        name: "top",
        kinds: &[Donut, Pie, Bars, HorizontalBars],
        needed_by: &[],
        is_given: |tile| tile.top.is_some(),
    },
    Key { name: "bins", kinds: &[Histogram], needed_by: &[], is_given: |tile| tile.bins.is_some() },
    Key { name: "detail_sql", kinds: QUERIED, needed_by: &[], is_given: |tile| tile.detail_sql.is_some() },
    Key { name: "select", kinds: MARKED, needed_by: &[], is_given: |tile| tile.select.is_some() },
];
