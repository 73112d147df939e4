//! The query of a tile that is given as a table and a measure: one aggregate, by the columns the tile shows, of the rows
//! its filters choose.
//!
//! Columns are quoted names, values of filters stay parameters; only the measure itself is SQL, written by the project.

use headwater_project::config::TextList;

use crate::config::{Dashboard, FilterConfig, FilterKind, TileConfig, TileKind};

/// Column of a measure that has no other name.
const VALUE: &str = "value";
const PREVIOUS: &str = "previous";

/// The dashboard with a query for every tile that is given as a table and a measure.
pub fn with_queries(mut dashboard: Dashboard) -> Dashboard {
    let filters = std::mem::take(&mut dashboard.filters);
    for tile in &mut dashboard.tiles {
        write_query(&filters, tile);
    }
    dashboard.filters = filters;
    dashboard
}

fn write_query(filters: &[FilterConfig], tile: &mut TileConfig) {
    let (Some(table), Some(measure), None) = (&tile.table, &tile.measure, &tile.sql) else { return };
    let Some(table) = reference(table) else { return };
    let measured = Measured { table, measure: measure.clone(), conditions: Condition::all(filters, tile) };
    if tile.detail_sql.is_none() {
        tile.detail_sql = Some(measured.rows());
    }
    if tile.kind == TileKind::Number {
        let is_compared = tile.compare.is_none() && measured.has_period();
        tile.sql = Some(measured.figure(name_of(tile), is_compared));
        if is_compared {
            tile.compare = Some(String::from(PREVIOUS));
            tile.compare_title.get_or_insert_with(|| String::from("in the days before"));
        }
    } else {
        tile.sql = Some(measured.grouped(tile));
    }
    if tile.kind != TileKind::Table && tile.y.0.is_empty() {
        tile.y = TextList(vec![String::from(VALUE)]);
    }
}

fn name_of(tile: &TileConfig) -> &str {
    tile.y.0.first().map_or(VALUE, String::as_str)
}

/// A table's name as a template refers to it: `model` or `source.table`.
pub(crate) fn reference(table: &str) -> Option<String> {
    let is_name =
        |name: &str| !name.is_empty() && name.chars().all(|character| character == '_' || character.is_alphanumeric());
    match table.split_once('.') {
        Some((source, table)) if is_name(source) && is_name(table) => {
            Some(format!("{{{{ source('{source}', '{table}') }}}}"))
        }
        None if is_name(table) => Some(format!("{{{{ ref('{table}') }}}}")),
        _ => None,
    }
}

fn quoted(column: &str) -> String {
    format!("\"{}\"", column.replace('"', "\"\""))
}

struct Measured {
    table: String,
    measure: String,
    conditions: Vec<Condition>,
}

impl Measured {
    fn has_period(&self) -> bool {
        self.conditions.iter().any(|condition| condition.kind == FilterKind::DateRange)
    }

    /// The rows behind the marks.
    fn rows(&self) -> String {
        format!("select * from {}{}", self.table, self.chosen(""))
    }

    fn figure(&self, name: &str, is_compared: bool) -> String {
        let one = |name: &str, part: &str| {
            format!("(select {} from {}{}) as {}", self.measure, self.table, self.chosen(part), quoted(name))
        };
        let previous = if is_compared { format!(", {}", one(PREVIOUS, "previous_")) } else { String::new() };
        format!("select {}{previous}", one(name, ""))
    }

    fn grouped(&self, tile: &TileConfig) -> String {
        let name = quoted(name_of(tile));
        let columns = dimensions(tile).join(", ");
        let (table, measure, chosen) = (&self.table, &self.measure, self.chosen(""));
        if columns.is_empty() {
            return format!("select {measure} as {name} from {table}{chosen}");
        }
        let order = if goes_along_x(tile.kind) { columns.clone() } else { format!("{name} desc, {columns}") };
        format!("select {columns}, {measure} as {name} from {table}{chosen} group by {columns} order by {order}")
    }

    /// The condition of the filters; `part` is put into the names of the ends of date ranges.
    fn chosen(&self, part: &str) -> String {
        let conditions: Vec<String> = self.conditions.iter().map(|condition| condition.sql(part)).collect();
        if conditions.is_empty() { String::new() } else { format!(" where {}", conditions.join(" and ")) }
    }
}

/// Columns grouped by, quoted, each once.
fn dimensions(tile: &TileConfig) -> Vec<String> {
    let shown = [&tile.x, &tile.series, &tile.latitude, &tile.longitude].into_iter().flatten();
    let mut columns: Vec<String> = Vec::new();
    for column in shown.chain(&tile.by).map(|column| quoted(column)) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

/// Whether marks stand in the order of `x`; in the others the largest come first.
fn goes_along_x(kind: TileKind) -> bool {
    matches!(kind, TileKind::Line | TileKind::Area | TileKind::Bars | TileKind::HeatMap)
}

/// A filter and the column it chooses from.
struct Condition {
    filter: String,
    kind: FilterKind,
    column: String,
}

impl Condition {
    fn all(filters: &[FilterConfig], tile: &TileConfig) -> Vec<Self> {
        let condition = |filter: &FilterConfig| {
            let column = quoted(tile.filter_columns.get(&filter.name)?);
            Some(Self { filter: filter.name.clone(), kind: filter.kind, column })
        };
        filters.iter().filter_map(condition).collect()
    }

    fn sql(&self, part: &str) -> String {
        let Self { filter, kind, column } = self;
        match kind {
            FilterKind::DateRange => {
                format!("cast({column} as date) between ${filter}_{part}start and ${filter}_{part}end")
            }
            FilterKind::Select | FilterKind::Text => format!("(${filter} = '' or {column} = ${filter})"),
            FilterKind::MultiSelect => format!("(cardinality(${filter}) = 0 or array_has(${filter}, {column}))"),
            FilterKind::NumberRange => {
                let bound =
                    |end: &str, sign: &str| format!("(${filter}_{end} is null or {column} {sign} ${filter}_{end})");
                format!("{} and {}", bound("min", ">="), bound("max", "<="))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use headwater_project::config::decode;
    use headwater_project::{Files, tree};

    use super::*;

    const FILTERS: &str = "\
name: d
filters:
  - {name: period, kind: date_range}
  - {name: states, kind: multi_select, options: []}
  - {name: level, kind: select, options: []}
  - {name: price, kind: number_range}
tiles:
  - ";

    fn tile(text: &str) -> TileConfig {
        let text = format!("{FILTERS}{text}\n");
        let id = Files::default().add("d.yml", text.as_str());
        let (tree, mut diagnostics) = tree::parse(id, &text);
        let dashboard = decode::<Dashboard>(&tree, &mut diagnostics).unwrap();
        crate::check(&dashboard, &tree, &mut diagnostics);
        assert!(diagnostics.found.is_empty(), "{text}: {:?}", diagnostics.found);
        with_queries(dashboard).tiles.remove(0)
    }

    fn check(text: &str, sql: &str) {
        assert_eq!(tile(text).sql.as_deref(), Some(sql), "{text}");
    }

    #[test]
    fn a_measure_is_grouped_by_what_the_tile_shows() {
        check(
            "{name: t, kind: line, x: day, series: genre, y: streams, table: plays, measure: sum(n)}",
            "select \"day\", \"genre\", sum(n) as \"streams\" from {{ ref('plays') }} group by \"day\", \"genre\" \
             order by \"day\", \"genre\"",
        );
        check(
            "{name: t, kind: table, by: [artist, artist, 'a\"b'], table: events.plays, measure: count(*)}",
            "select \"artist\", \"a\"\"b\", count(*) as \"value\" from {{ source('events', 'plays') }} \
             group by \"artist\", \"a\"\"b\" order by \"value\" desc, \"artist\", \"a\"\"b\"",
        );
        check(
            "{name: t, kind: table, table: plays, measure: count(*)}",
            "select count(*) as \"value\" from {{ ref('plays') }}",
        );
    }

    #[test]
    fn filters_choose_by_their_kind_with_bound_values() {
        check(
            "{name: t, kind: donut, x: genre, table: plays, measure: sum(n), filter_columns: {period: at, states: state, \
             level: level, price: price}}",
            "select \"genre\", sum(n) as \"value\" from {{ ref('plays') }} where \
             cast(\"at\" as date) between $period_start and $period_end \
             and (cardinality($states) = 0 or array_has($states, \"state\")) \
             and ($level = '' or \"level\" = $level) \
             and ($price_min is null or \"price\" >= $price_min) and ($price_max is null or \"price\" <= $price_max) \
             group by \"genre\" order by \"value\" desc, \"genre\"",
        );
    }

    #[test]
    fn a_number_with_a_period_stands_beside_the_days_before() {
        let tile = tile("{name: t, kind: number, table: plays, measure: sum(n), filter_columns: {period: day}}");
        assert_eq!(
            tile.sql.as_deref(),
            Some(
                "select (select sum(n) from {{ ref('plays') }} where cast(\"day\" as date) between $period_start and \
                 $period_end) as \"value\", (select sum(n) from {{ ref('plays') }} where cast(\"day\" as date) between \
                 $period_previous_start and $period_previous_end) as \"previous\""
            )
        );
        assert_eq!((tile.compare.as_deref(), tile.y.0), (Some("previous"), vec![String::from("value")]));
        check(
            "{name: t, kind: number, table: plays, measure: sum(n)}",
            "select (select sum(n) from {{ ref('plays') }}) as \"value\"",
        );
    }

    #[test]
    fn the_rows_behind_a_mark_are_those_of_the_table() {
        let tile =
            tile("{name: t, kind: donut, x: genre, table: plays, measure: sum(n), filter_columns: {period: day}}");
        let rows = "select * from {{ ref('plays') }} where cast(\"day\" as date) between $period_start and $period_end";
        assert_eq!(tile.detail_sql.as_deref(), Some(rows));
    }

    #[test]
    fn only_names_refer_to_tables() {
        for (name, is_one) in
            [("a_1", true), ("s.t", true), ("", false), ("a') }}", false), ("a.b.c", false), ("a.", false)]
        {
            assert_eq!(reference(name).is_some(), is_one, "{name}");
        }
    }
}
