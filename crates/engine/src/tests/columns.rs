//! Reads of sessions that keep columns.

use datafusion::object_store::ObjectStoreExt;

use super::*;

const BY_DAY: &str =
    "select day, count(*) as rows, sum(amount) as amount, min(day) as text from t group by day order by day";

/// A table of one small file a day.
async fn days(engine: &Engine) -> Vec<String> {
    let way = Write::Replace { partition_by: columns(&["day"]) };
    write(engine, THREE_ROWS, &target(way)).await.unwrap();
    let table = engine.lake().load(&TableName::new("main", "t")).await.unwrap().unwrap();
    table.files().iter().map(|file| format!("tables/main/t/{}", file.path)).collect()
}

#[tokio::test]
async fn columns_kept_once_are_read_again_without_their_files() {
    let engine = engine();
    let files = days(&engine).await;
    let keeping = newest(&engine).keeping_columns();
    let expected = read(&newest(&engine), BY_DAY).await;
    assert_eq!(read(&keeping, BY_DAY).await, expected);
    for file in &files {
        engine.lake().object_store().delete(&file.as_str().into()).await.unwrap();
    }
    assert_eq!(read(&keeping, BY_DAY).await, expected);
    // A column not asked for before is not there, and neither is its file.
    assert!(read_with(&keeping, "select sum(id) as ids from t", &[]).await.is_err());
}

#[tokio::test]
async fn columns_read_at_different_times_belong_to_the_same_file() {
    let engine = engine();
    let rows = "select n as id, concat('d', cast(floor(sqrt(n)) as varchar)) as day, n * 10 as amount \
                from (select value as n from generate_series(1, 400)) as numbers";
    write(&engine, rows, &target(Write::Replace { partition_by: columns(&["day"]) })).await.unwrap();
    let keeping = newest(&engine).keeping_columns();
    for sql in [
        "select day, count(*) as rows, sum(amount) as amount from t group by day order by day",
        "select day, count(*) as rows, sum(amount - id * 10) as nothing, sum(id) as ids from t group by day order by day",
        "select id, amount, day from t where day in ('d7', 'd19') order by id",
    ] {
        assert_eq!(read(&keeping, sql).await, read(&newest(&engine), sql).await);
    }
}

#[tokio::test]
async fn kept_columns_follow_changes_of_the_table_and_its_columns() {
    let engine = engine();
    days(&engine).await;
    read(&newest(&engine).keeping_columns(), BY_DAY).await;
    let more = "select * from (values (4, 'c', 40, 'new')) as v(id, day, amount, note)";
    write(&engine, more, &Target { on_schema_change: OnSchemaChange::Append, ..target(Write::Append) }).await.unwrap();
    let session = newest(&engine).keeping_columns();
    for _ in 0..2 {
        assert_eq!(read(&session, BY_DAY).await.len(), 3);
        let rows = read(&session, "select id, note from t order by id").await;
        assert_eq!(rows, ["1 null", "2 null", "3 null", "4 new"]);
    }
}

#[tokio::test]
async fn reads_too_large_for_the_cache_open_their_files() {
    let roomless = engine();
    let without = Engine::new(roomless.lake().clone(), &EngineOptions { column_cache_bytes: 1, ..options() }).unwrap();
    let files = days(&roomless).await;
    let session = newest(&without).keeping_columns();
    assert_eq!(read(&session, BY_DAY).await, read(&newest(&roomless), BY_DAY).await);
    for file in &files {
        without.lake().object_store().delete(&file.as_str().into()).await.unwrap();
    }
    assert!(read_with(&session, BY_DAY, &[]).await.is_err());
}
