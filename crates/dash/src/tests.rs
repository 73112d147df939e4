use headwater_project::config::decode;
use headwater_project::{Diagnostics, Files, Timestamp, tree};
use serde_json::json;

use crate::{
    Dashboard, Error, FilterValue, FilterValues, ParameterValue, ParameterizedQuery, cache_key, parameters_in,
    resolve_preset, tile_query,
};

/// 2026-03-15 12:00 UTC.
const NOW: Timestamp = Timestamp(1_773_576_000_000_000);

fn read(text: &str) -> (Option<Dashboard>, String) {
    let mut files = Files::default();
    let id = files.add("dashboards/d.yml", text);
    let (tree, mut diagnostics) = tree::parse(id, text);
    let dashboard = decode::<Dashboard>(&tree, &mut diagnostics);
    if let Some(dashboard) = &dashboard {
        crate::check(dashboard, &tree, &mut diagnostics);
    }
    let problems = render(&diagnostics, &files);
    (dashboard, problems)
}

fn render(diagnostics: &Diagnostics, files: &Files) -> String {
    diagnostics.found.iter().map(|found| found.render(files)).collect()
}

const DASHBOARD: &str = "\
name: charts
filters:
  - {name: period, kind: date_range, default: last_7_days}
  - {name: states, kind: multi_select, default: [], options_sql: 'select state from t where d >= $period_start'}
  - {name: level, kind: select, options: [free, paid]}
  - {name: price, kind: number_range, default: [1, null]}
tiles:
  - {name: a, kind: line, x: day, y: [n, m], sql: 'select * from t where day between $period_start and $period_end'}
  - {name: b, kind: number, sql: \"select '$states' as value from t where array_has($states, s) and $level = ''\"}
  - {name: c, kind: table, sql: 'select 1 where p >= $price_min -- $nothing'}
  - {name: d, kind: text, text: Hello}
";

fn query(tile: usize, values: &[(&str, FilterValue)]) -> Result<Option<ParameterizedQuery>, Error> {
    let (dashboard, problems) = read(DASHBOARD);
    assert_eq!(problems, "");
    let dashboard = dashboard.unwrap();
    let values: FilterValues = values.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    tile_query(&dashboard, &dashboard.tiles[tile], &values, NOW)
}

fn date(text: &str) -> ParameterValue {
    ParameterValue::Date(text.parse().unwrap())
}

#[test]
fn a_tile_binds_the_parameters_it_uses_and_depends_on_their_filters_only() {
    let found = query(0, &[]).unwrap().unwrap();
    let bound = |name: &str, value| (name.to_owned(), value);
    assert_eq!(found.parameters, [bound("period_end", date("2026-03-15")), bound("period_start", date("2026-03-09"))]);
    assert_eq!(found.filters.into_iter().collect::<Vec<_>>(), ["period"]);

    let hostile = String::from("'; drop table t; --");
    let chosen = [("states", FilterValue::Texts(vec![hostile.clone()])), ("level", FilterValue::Text(hostile.clone()))];
    let found = query(1, &chosen).unwrap().unwrap();
    assert!(!found.sql_template.contains("drop"));
    let text = ParameterValue::Text(hostile.clone());
    assert_eq!(found.parameters, [bound("level", text), bound("states", ParameterValue::Texts(vec![hostile]))]);

    let found = query(2, &[]).unwrap().unwrap();
    assert_eq!(found.parameters, [bound("price_min", ParameterValue::Number(Some(1.0)))]);
    assert_eq!(query(3, &[]), Ok(None));
}

#[test]
fn values_that_do_not_fit_are_refused() {
    let unknown = query(0, &[("stats", FilterValue::Text(String::new()))]);
    assert_eq!(unknown, Err(Error::UnknownFilter { name: String::from("stats") }));
    assert!(matches!(query(0, &[("period", FilterValue::Texts(Vec::new()))]), Err(Error::WrongValue { .. })));
    let reversed = FilterValue::Period(String::from("2026-02-01..2026-01-01"));
    assert!(matches!(query(0, &[("period", reversed)]), Err(Error::ReversedRange { .. })));
    let (dashboard, _) = read(DASHBOARD);
    let price = &dashboard.unwrap().filters[3];
    assert!(price.value_from_json(&json!([3, 1])).is_err());
    assert!(price.value_from_json(&json!(["1", 2])).is_err());
}

#[test]
fn presets_are_whole_days_in_utc() {
    let check = |preset: &str, expected: (&str, &str)| {
        let range = resolve_preset(preset, NOW).unwrap();
        assert_eq!((range.start.to_string().as_str(), range.end.to_string().as_str()), expected, "{preset}");
    };
    check("today", ("2026-03-15", "2026-03-15"));
    check("yesterday", ("2026-03-14", "2026-03-14"));
    check("last_7_days", ("2026-03-09", "2026-03-15"));
    check("last_30_days", ("2026-02-14", "2026-03-15"));
    check("this_month", ("2026-03-01", "2026-03-15"));
    check("last_month", ("2026-02-01", "2026-02-28"));
    check("all", ("1900-01-01", "2199-12-31"));
    assert!(crate::DATE_PRESETS.iter().all(|preset| resolve_preset(preset, NOW).is_some()));
    assert_eq!(resolve_preset("last_8_days", NOW), None);
}

#[test]
fn parameters_are_found_outside_of_quotes_and_comments_only() {
    let check = |sql: &str, expected: &[&str]| {
        let names: Vec<&str> = parameters_in(sql).into_iter().map(|(_, name)| name).collect();
        assert_eq!(names, expected, "{sql}");
    };
    check("select $a, $b_1 from t where x=$a", &["a", "b_1", "a"]);
    check("'$no' \"$no\" -- $no\n $yes /* $no */ $also", &["yes", "also"]);
    check("'it''s $no' $yes", &["yes"]);
    check("$$ $no $$ $yes $tag$ $no $$ $no $tag$", &["yes"]);
    check("col$no $1 $", &[]);
    check("'ü' $ü $y€", &["y"]);
    check("'open $no", &[]);
    check("/* open $no", &[]);
}

fn check_problem(filters: &str, tiles: &str, expected: &[&str]) {
    let (_, problems) = read(&format!("name: d\nfilters: [{filters}]\ntiles: [{tiles}]\n"));
    for one in expected {
        assert!(problems.contains(one), "`{one}` is not in:\n{problems}");
    }
}

#[test]
fn problems_name_place_cause_and_remedy() {
    let period = "{name: period, kind: date_range, default: last_30_day}";
    check_problem(period, "", &["dashboards/d.yml:2:53", "Did you mean `last_30_days`?"]);
    let period = "{name: period, kind: date_range}";
    let tile = "{name: t, kind: number, sql: 'select $perod_start, $zzz'}";
    check_problem(period, tile, &["no filter binds `$perod_start`", "Did you mean `$period_start`?", "`$zzz`"]);
    let twice = "{name: t, kind: text, text: a}, {name: t, kind: text, text: b}";
    check_problem("", twice, &["two tiles are named `t`", "dashboards/d.yml:3:48"]);
    check_problem("{name: a, kind: text}, {name: a, kind: text}", "", &["`$a` is bound by two filters"]);
    check_problem("{name: s, kind: select}", "", &["needs either `options` or `options_sql`"]);
    check_problem("{name: s, kind: multi_select, options: [a], default: a}", "", &["takes a list of texts"]);
    check_problem("", "{name: t, kind: bars, sql: select 1}", &["needs `x`", "needs `y`"]);
    check_problem("", "{name: T, kind: text, text: a}", &["`T` cannot name a tile"]);
    check_problem("", "{name: t, kind: tart, sql: select 1}", &["cannot be `tart`"]);
    check_problem("", "{name: t, kind: line, sqll: x}", &["Did you mean `sql`?"]);
}

#[test]
fn the_reference_dashboards_are_sound() {
    for name in ["kpi", "charts"] {
        let path =
            format!("{}/../../projects/music/dashboards/{name}.yml", std::env::var("CARGO_MANIFEST_DIR").unwrap());
        let (dashboard, problems) = read(&std::fs::read_to_string(path).unwrap());
        assert_eq!(problems, "");
        let dashboard = dashboard.unwrap();
        for tile in &dashboard.tiles {
            let query = tile_query(&dashboard, tile, &FilterValues::new(), NOW).unwrap().unwrap();
            assert!(query.filters.contains("period"), "{}", tile.name);
        }
    }
}

#[test]
fn the_cache_key_changes_with_everything_the_answer_depends_on_and_nothing_else() {
    let states = |names: &[&str]| {
        let texts = names.iter().map(|name| (*name).to_owned()).collect();
        query(1, &[("states", FilterValue::Texts(texts))]).unwrap().unwrap()
    };
    let tables = [(String::from("t"), 3), (String::from("u"), 1)];
    let reversed = [tables[1].clone(), tables[0].clone()];
    let base = cache_key(&states(&["CA", "NY"]), &tables, "me");
    assert_eq!(base, cache_key(&states(&["NY", "CA"]), &reversed, "me"));
    let others = [
        cache_key(&states(&["CANY"]), &tables, "me"),
        cache_key(&states(&["CA"]), &tables, "me"),
        cache_key(&states(&["CA", "NY"]), &[(String::from("t"), 4), (String::from("u"), 1)], "me"),
        cache_key(&states(&["CA", "NY"]), &tables, "you"),
    ];
    assert!(others.iter().all(|other| *other != base));
}

fn check_tile(tile: &str, problem: &str) {
    let text = format!(
        "name: d\ntabs: [{{name: one}}]\nfilters: [{{name: states, kind: text}}, {{name: price, kind: number_range}}]\n\
         tiles:\n  - {{name: t, tab: one, {tile}}}\n"
    );
    let (_, problems) = read(&text);
    if problem.is_empty() {
        assert_eq!(problems, "", "{tile}");
    } else {
        assert!(problems.contains(problem), "{tile}: {problems}");
    }
}

#[test]
fn each_kind_takes_its_own_keys_and_needs_some_of_them() {
    check_tile("kind: combo, sql: select 1, x: a, y: b, y_right: c, unit_right: dollars", "");
    check_tile("kind: combo, sql: select 1, x: a, y: b", "needs `y_right`");
    check_tile("kind: band, sql: select 1, x: a, lower: l, upper: u", "");
    check_tile("kind: band, sql: select 1, x: a, lower: l", "needs `upper`");
    check_tile("kind: point_map, sql: select 1, latitude: a, longitude: o, size: s", "");
    check_tile("kind: line, sql: select 1, x: a, y: b, bins: 3", "a tile of the kind `line` has no `bins`");
    check_tile("kind: number, sql: select 1, x: a", "has no `x`");
    check_tile("kind: text, text: t, unit: users", "has no `unit`");
    check_tile("kind: bars, sql: select 1, x: a, y: b, stacking: normalised, top: 5", "");
    check_tile("kind: map, sql: select 1, x: a, y: b, regions: moons", "moons");
}

#[test]
fn a_table_and_a_measure_stand_for_a_query() {
    check_tile("kind: bars, x: a, table: t, measure: sum(n), filter_columns: {states: state}", "");
    check_tile("kind: bars, x: a, table: t, measure: sum(n), sql: select 1", "both a query and a table");
    check_tile("kind: bars, x: a, y: n, table: t", "`table` of tile `t` means nothing without `measure`");
    check_tile("kind: bars, x: a, measure: sum(n)", "`measure` of tile `t` means nothing without `table`");
    check_tile("kind: bars, x: a, y: b, sql: select 1, by: [c]", "`by` of tile `t` means nothing without `table`");
    check_tile("kind: bars, x: a, table: \"t'\", measure: sum(n)", "`t'` cannot name a table");
    check_tile("kind: bars, x: a, y: [b, c], table: t, measure: sum(n)", "one measure and several `y`");
    check_tile("kind: bars, x: a, table: t, measure: sum(n), filter_columns: {state: s}", "Did you mean `states`?");
    check_tile("kind: scatter, x: a, y: b, table: t, measure: sum(n)", "a tile of the kind `scatter` has no `table`");
    check_tile("kind: bars, table: t, measure: sum(n)", "needs `x`");
}

#[test]
fn a_period_is_compared_with_as_many_days_before() {
    let sql = "select 1 where d between $p_previous_start and $p_previous_end";
    let (dashboard, problems) = read(&format!(
        "name: d\nfilters: [{{name: p, kind: date_range}}]\ntiles: [{{name: t, kind: table, sql: \"{sql}\"}}]\n"
    ));
    assert_eq!(problems, "");
    let dashboard = dashboard.unwrap();
    let check = |chosen: &str, expected: [&str; 2]| {
        let values = FilterValues::from([(String::from("p"), FilterValue::Period(String::from(chosen)))]);
        let found = tile_query(&dashboard, &dashboard.tiles[0], &values, NOW).unwrap().unwrap();
        let values: Vec<ParameterValue> = found.parameters.into_iter().map(|(_, value)| value).collect();
        assert_eq!(values, [date(expected[1]), date(expected[0])], "{chosen}");
    };
    check("2026-03-01..2026-03-07", ["2026-02-22", "2026-02-28"]);
    check("today", ["2026-03-14", "2026-03-14"]);
    check("all", ["1600-01-01", "1899-12-31"]);
}

#[test]
fn a_click_selects_into_a_filter_that_can_hold_a_value() {
    check_tile("kind: bars, sql: select 1, x: a, y: b, select: {filter: states}", "");
    check_tile("kind: bars, sql: select 1, x: a, y: b, select: {filter: state}", "Did you mean `states`?");
    check_tile("kind: bars, sql: select 1, x: a, y: b, select: {filter: price}", "number range");
    check_tile("kind: table, sql: select 1, select: {filter: states}", "Name the `column`");
}

#[test]
fn tabs_and_shown_columns_are_named_rightly() {
    check_tile("kind: table, sql: select 1, columns: [{column: a}], heat: [b], totals: [a]", "`heat` names `b`");
    let (_, problems) = read("name: d\ntabs: [{name: one}]\ntiles:\n  - {name: t, kind: text, text: t}\n");
    assert!(
        problems.contains("stands on no tab") && problems.contains("no tile stands on the tab `one`"),
        "{problems}"
    );
    let (_, problems) = read("name: d\ntiles:\n  - {name: t, tab: two, kind: text, text: t}\n");
    assert!(problems.contains("there is no tab `two`"), "{problems}");
}

#[test]
fn every_kind_is_drawn_by_some_key_or_none() {
    for kind in crate::TileKind::ALL {
        let needed = crate::keys::KEYS.iter().filter(|key| key.needed_by.contains(&kind));
        assert!(needed.count() > 0, "{}", kind.as_str());
    }
    for key in crate::keys::KEYS {
        assert!(key.needed_by.iter().all(|kind| key.kinds.contains(kind)), "{}", key.name);
    }
}

#[test]
fn a_tile_depends_on_the_filters_its_sql_names() {
    let (dashboard, _) = read(DASHBOARD);
    let dashboard = dashboard.unwrap();
    let filters = |tile: usize| crate::filters_of(&dashboard, &dashboard.tiles[tile]);
    assert_eq!((filters(0), filters(1), filters(3)), (vec!["period"], vec!["states", "level"], vec![]));
}
