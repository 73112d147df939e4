//! Translations, as tables.

use super::{Dialect, Known, rewrite};

/// Every function is known; these are aggregates.
struct All;

impl Known for All {
    fn is_function(&self, name: &str) -> bool {
        name != "no_such_function"
    }

    fn is_aggregate(&self, name: &str) -> bool {
        matches!(name, "array_agg" | "string_agg" | "count" | "sum" | "first_value" | "percentile_cont" | "row_number")
    }

    fn near(&self, _: &str) -> Option<String> {
        None
    }
}

fn check(dialect: Dialect, sql: &str, expected: &str) {
    match rewrite::statements(dialect, sql, &All) {
        Ok(translated) => assert_eq!(translated, expected, "{sql}"),
        Err(found) => panic!("{sql}: {found:?}"),
    }
}

fn refused(dialect: Dialect, sql: &str, place: (u64, u64), what: &str) {
    match rewrite::statements(dialect, sql, &All) {
        Ok(translated) => panic!("{sql} became {translated}"),
        Err(found) => {
            let first = found.first().unwrap();
            assert_eq!((first.line, first.column), place, "{found:?}");
            assert!(first.what.contains(what), "{found:?}");
        }
    }
}

#[test]
fn one_name_with_two_meanings_becomes_two_functions() {
    check(
        Dialect::BigQuery,
        "SELECT date_diff(a, b, WEEK) AS x FROM t",
        "SELECT date_boundaries('week(sunday)', b, a) AS x FROM t",
    );
    check(
        Dialect::DuckDb,
        "SELECT date_diff('week', a, b) AS x FROM t",
        "SELECT date_boundaries('week(thursday)', a, b) AS x FROM t",
    );
    check(Dialect::Spark, "SELECT datediff(MONTH, a, b) AS x FROM t", "SELECT date_elapsed('month', a, b) AS x FROM t");
}

#[test]
fn nulls_stand_where_the_dialect_puts_them() {
    check(Dialect::BigQuery, "SELECT a FROM t ORDER BY a", "SELECT a FROM t ORDER BY a NULLS FIRST");
    check(Dialect::Snowflake, "SELECT a FROM t ORDER BY a DESC", "SELECT a FROM t ORDER BY a DESC NULLS FIRST");
    check(Dialect::DuckDb, "SELECT a FROM t ORDER BY a DESC", "SELECT a FROM t ORDER BY a DESC NULLS LAST");
    check(Dialect::Postgres, "SELECT a FROM t ORDER BY a NULLS FIRST", "SELECT a FROM t ORDER BY a NULLS FIRST");
}

#[test]
fn text_stays_what_it_is_in_other_quotes() {
    check(Dialect::BigQuery, r#"SELECT "it's" AS a, r'\d' AS b"#, r"SELECT 'it''s' AS a, '\d' AS b");
    check(Dialect::Spark, r#"SELECT "a" AS x"#, "SELECT 'a' AS x");
    check(Dialect::Postgres, r"SELECT 'a\''b' AS x", r"SELECT 'a\''b' AS x");
}

#[test]
fn escapes_are_those_of_the_dialect() {
    check(Dialect::BigQuery, r"SELECT '\x41\u00e9\n' AS a", "SELECT 'A\u{e9}\n' AS a");
    check(Dialect::Snowflake, r"SELECT 'a\%\d' AS a", r"SELECT 'a\%d' AS a");
    check(Dialect::Postgres, r"SELECT E'a\tb' AS a, 'c\t' AS b", "SELECT 'a\tb' AS a, 'c\\t' AS b");
    check(Dialect::DuckDb, r"SELECT E'a\tb' AS a", "SELECT 'a\tb' AS a");
    check(Dialect::Spark, r"SELECT r'\d' AS a, 'x' 'y' AS b", r"SELECT '\d' AS a, 'xy' AS b");
}

#[test]
fn numbers_are_read_with_all_that_touches_them() {
    check(Dialect::BigQuery, "SELECT 0xFF AS a", "SELECT 255 AS a");
    check(Dialect::DuckDb, "SELECT 1_000 AS a, 2 ** 3 AS b", "SELECT 1000 AS a, power(2, 3) AS b");
    check(Dialect::Spark, "SELECT 2D AS a, 7 DIV 2 AS b", "SELECT CAST(2 AS DOUBLE) AS a, whole_quotient(7, 2) AS b");
}

#[test]
fn comparisons_give_null_where_they_do_in_the_dialect() {
    check(Dialect::Postgres, "SELECT a = ANY (ARRAY[1, 2]) AS x FROM t", "SELECT a IN (1, 2) AS x FROM t");
    check(Dialect::Postgres, "SELECT (a, b) = (1, 2) AS x FROM t", "SELECT (a = 1) AND (b = 2) AS x FROM t");
    check(
        Dialect::Postgres,
        "SELECT x LIKE ALL (ARRAY['a%', '%b']) AS y FROM t",
        "SELECT ((x LIKE 'a%') AND (x LIKE '%b')) AS y FROM t",
    );
}

#[test]
fn what_the_engine_would_do_otherwise_in_silence_is_refused() {
    refused(Dialect::Spark, "SELECT 1 AS a EXCEPT ALL SELECT 1", (1, 1), "EXCEPT ALL");
    refused(Dialect::Snowflake, "SELECT * ILIKE 'a%' FROM t", (1, 1), "ILIKE");
    refused(Dialect::DuckDb, "SELECT 123456789012345678901234567890123456789 AS a", (1, 8), "the number");
    refused(Dialect::Postgres, "SELECT a FROM t ORDER BY a FETCH FIRST 2 ROWS WITH TIES", (1, 1), "FETCH");
}

#[test]
fn named_windows_stand_where_they_are_named() {
    check(
        Dialect::BigQuery,
        "SELECT sum(v) OVER w AS s FROM t WINDOW p AS (PARTITION BY k), w AS (p ORDER BY i)",
        "SELECT sum(v) OVER (PARTITION BY k ORDER BY i NULLS FIRST) AS s FROM t",
    );
}

#[test]
fn the_first_row_of_each_group_is_found_without_knowing_its_columns() {
    check(
        Dialect::BigQuery,
        "SELECT r.* FROM (SELECT array_agg(o ORDER BY at DESC LIMIT 1)[OFFSET(0)] AS r FROM orders AS o GROUP BY id)",
        "SELECT * EXCLUDE (__place) FROM (SELECT o.*, row_number() OVER (PARTITION BY id ORDER BY at DESC NULLS LAST) AS __place \
         FROM orders AS o) AS ranked WHERE __place = 1",
    );
}

#[test]
fn a_document_is_read_as_its_schema_says() {
    check(
        Dialect::Spark,
        "SELECT from_json(d, 'array<int>') AS a FROM t",
        "SELECT array_transform(json_elements(d), headwater_lambda('__document', TRY_CAST(json_scalar(\"__document\") AS INT))) \
         AS a FROM t",
    );
}

#[test]
fn aggregates_keep_what_surrounds_them() {
    check(
        Dialect::Snowflake,
        "SELECT array_agg(a) WITHIN GROUP (ORDER BY b) AS x FROM t",
        "SELECT list_or_empty(array_agg(a ORDER BY b NULLS LAST) FILTER (WHERE a IS NOT NULL)) AS x FROM t",
    );
    check(
        Dialect::BigQuery,
        "SELECT countif(a > 1) OVER (PARTITION BY b) AS x FROM t",
        "SELECT count(CASE WHEN (a > 1) THEN 1 END) OVER (PARTITION BY b) AS x FROM t",
    );
}

#[test]
fn arrays_in_from_are_taken_apart_beside_their_rows() {
    check(
        Dialect::BigQuery,
        "SELECT x FROM t, UNNEST(t.a) AS x WITH OFFSET AS o",
        "SELECT x FROM t, LATERAL (SELECT unnest(t.a) AS x, unnest(list_offsets(t.a)) AS o) AS x",
    );
    check(
        Dialect::Spark,
        "SELECT x FROM t LATERAL VIEW explode(a) u AS x",
        "SELECT x FROM t CROSS JOIN LATERAL (SELECT unnest(a) AS x) AS u",
    );
}

#[test]
fn a_query_over_an_array_of_the_row_is_a_function_of_it() {
    check(
        Dialect::BigQuery,
        "SELECT (SELECT MAX(x) FROM UNNEST(a) AS x WHERE x > 1) AS m FROM t",
        "SELECT array_max(array_filter(a, headwater_lambda('__item', \"__item\" > 1))) AS m FROM t",
    );
}

#[test]
fn what_has_no_translation_is_told_with_its_place() {
    refused(Dialect::Postgres, "SELECT 1,\n  no_such_function(2) AS x", (2, 3), "no_such_function");
    refused(Dialect::Snowflake, "SELECT hash(1) AS x", (1, 8), "the function hash");
    refused(Dialect::BigQuery, "SELECT FROM WHERE", (1, 13), "the text");
}
