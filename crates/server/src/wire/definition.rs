//! From a dashboard's file to what a browser draws.

use headwater_app::{rfc3339, view};
use headwater_project::Failure;

use super::{
    Dashboard, DatePreset, Filter, FilterKind, Grid, NumberFormat, Period, ReadVersion, Rows, Selects, Sort, Stacking,
    Tab, TableColumn, TestCounts, Tile, TileAnswer, TileKind,
};

impl From<view::DashboardPage> for Dashboard {
    fn from(page: view::DashboardPage) -> Self {
        let dashboard = page.dashboard;
        let (choices, presets) = (page.choices, page.presets);
        let filter = |filter: view::FilterConfig| {
            let found = choices.get(&filter.name).cloned();
            self::filter(filter, found, &presets)
        };
        let tab = |tab: view::TabConfig| Tab { title: tab.title.unwrap_or_else(|| tab.name.clone()), name: tab.name };
        Self {
            title: dashboard.title.unwrap_or_else(|| dashboard.name.clone()),
            name: dashboard.name,
            description: dashboard.description,
            tabs: dashboard.tabs.into_iter().map(tab).collect(),
            filters: dashboard.filters.into_iter().map(filter).collect(),
            tiles: page.tiles.into_iter().map(Into::into).collect(),
        }
    }
}

fn filter(
    filter: view::FilterConfig,
    choices: Option<view::FilterChoices>,
    presets: &[(String, String, String)],
) -> Filter {
    let kind = filter.kind.into();
    let preset = |(name, start, end): &(String, String, String)| DatePreset {
        name: name.clone(),
        start: start.clone(),
        end: end.clone(),
    };
    let presets = if kind == FilterKind::DateRange { presets.iter().map(preset).collect() } else { Vec::new() };
    let default = choices.as_ref().map(|choices| choices.default.clone()).unwrap_or_default();
    Filter {
        title: filter.title().to_owned(),
        name: filter.name,
        kind,
        default: if default.is_null() { everything(kind) } else { default },
        presets,
        options_truncated: choices.as_ref().is_some_and(|choices| choices.is_truncated),
        options_error: choices.as_ref().and_then(|choices| choices.failure.as_ref()).map(Into::into),
        options: choices.and_then(|choices| choices.options),
        min: filter.min,
        max: filter.max,
    }
}

/// The value that leaves nothing out.
fn everything(kind: FilterKind) -> serde_json::Value {
    match kind {
        FilterKind::DateRange => serde_json::json!("all"),
        FilterKind::Select | FilterKind::Text => serde_json::json!(""),
        FilterKind::MultiSelect => serde_json::json!([]),
        FilterKind::NumberRange => serde_json::json!([null, null]),
    }
}

impl From<view::PageTile> for Tile {
    fn from(tile: view::PageTile) -> Self {
        let config = tile.config;
        let place = tile.place;
        let has_detail = config.sql.is_some();
        let regions = (config.kind == view::TileKind::Map).then(|| String::from("us_states"));
        let columns = columns(&config);
        let select = config.select.as_ref().and_then(|select| {
            let column = select.column.clone().or_else(|| config.x.clone())?;
            Some(Selects { filter: select.filter.clone(), column })
        });
        Self {
            title: config.title.unwrap_or_else(|| config.name.clone()),
            name: config.name,
            description: config.description,
            kind: config.kind.into(),
            tab: config.tab,
            grid: Grid { column: place.column, row: place.row, width: place.width, height: place.height },
            x: config.x,
            y: config.y.0,
            y_right: config.y_right.0,
            series: config.series,
            lower: config.lower,
            upper: config.upper,
            latitude: config.latitude,
            longitude: config.longitude,
            size: config.size,
            regions,
            compare: config.compare,
            compare_title: config.compare_title,
            rise_is_good: config.better.map(|better| better == view::Direction::Higher),
            unit: config.unit,
            unit_right: config.unit_right,
            format: config.format.map(Into::into),
            stacking: config.stacking.into(),
            other_columns: config.columns.is_empty(),
            columns,
            page_size: config.page_size,
            sort: config.sort.as_deref().map(sort),
            top: config.top,
            bins: config.bins,
            text: config.text,
            filters: tile.filters,
            select,
            tables: tile.tables,
            has_detail,
        }
    }
}

/// The columns listed; without a list, those that are shaded or added up.
fn columns(config: &view::TileConfig) -> Vec<TableColumn> {
    let column = |name: &str| TableColumn {
        column: name.to_owned(),
        title: name.to_owned(),
        unit: None,
        format: None,
        heat: config.heat.iter().any(|heat| heat == name),
        total: config.totals.iter().any(|total| total == name),
    };
    if config.columns.is_empty() {
        let mut names: Vec<&String> = config.heat.iter().chain(&config.totals).collect();
        names.dedup();
        return names.into_iter().map(|name| column(name)).collect();
    }
    let listed = config.columns.iter().map(|listed| TableColumn {
        title: listed.title.clone().unwrap_or_else(|| listed.column.clone()),
        unit: listed.unit.clone(),
        format: listed.format.map(Into::into),
        ..column(&listed.column)
    });
    listed.collect()
}

fn sort(text: &str) -> Sort {
    match text.strip_prefix('-') {
        Some(column) => Sort { column: column.to_owned(), descending: true },
        None => Sort { column: text.to_owned(), descending: false },
    }
}

impl TryFrom<view::AnsweredTile> for TileAnswer {
    type Error = Failure;

    fn try_from(answer: view::AnsweredTile) -> Result<Self, Failure> {
        let version = |read: view::ReadVersion| ReadVersion {
            table: read.table,
            version: read.version.into(),
            at: read.at.map(rfc3339),
        };
        let tests = answer.standing.tests;
        let periods = answer.periods.into_iter().map(|(name, start, end)| (name, Period { start, end }));
        Ok(Self {
            rows: Rows::try_from(&answer.rows)?,
            versions: answer.versions.into_iter().map(version).collect(),
            as_of: answer.as_of.map(rfc3339),
            computed_at: rfc3339(answer.computed_at),
            seconds: answer.seconds,
            cached: answer.is_kept,
            tests: TestCounts {
                passed: tests.passed,
                warned: tests.warned,
                failed: tests.failed,
                unknown: tests.unknown,
            },
            quarantined: answer.standing.quarantined.into(),
            stale: answer.standing.stale,
            periods: periods.collect(),
        })
    }
}

macro_rules! same_words {
    ($($from:path => $to:ident { $($variant:ident)* })*) => {
        $(impl From<$from> for $to {
            fn from(value: $from) -> Self {
                match value {
                    $(<$from>::$variant => Self::$variant,)*
                }
            }
        })*
    };
}

same_words! {
    view::FilterKind => FilterKind { DateRange Select MultiSelect Text NumberRange }
    view::NumberFormat => NumberFormat { Integer Decimal Compact Percent Dollars }
    view::Stacking => Stacking { Grouped Stacked Normalised }
    view::TileKind => TileKind {
        Number Table Line Area Bars HorizontalBars Donut Pie HeatMap Scatter Histogram Combo Band Map PointMap Text
    }
}
