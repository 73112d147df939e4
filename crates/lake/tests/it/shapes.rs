//! Values, partitions and schemas that tables of other systems have stumbled over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimeUnit, TimestampMicrosecondType};
use headwater_lake::maintain::Policy;
use headwater_lake::{KeyedRows, Owner, PipelineWriter, StageOptions};
use object_store::memory::InMemory;

use crate::maintenance::{DAY, now};
use crate::world::{World, at, expected, key, name, schema};

async fn writer_of(world: &World, schema: &Schema) -> headwater_lake::Result<PipelineWriter> {
    let owner = Owner::new(&world.lake);
    PipelineWriter::open(&world.lake, &name(), "p", schema, &[key()], StageOptions::default(), &owner).await
}

#[tokio::test]
async fn partitions_keep_any_text_through_merges_and_clean_up() {
    let long = "x".repeat(200);
    let words: Vec<Option<&str>> = vec![
        Some("plain"),
        Some(" "),
        Some("a b"),
        Some("/"),
        Some("a/b"),
        Some("%"),
        Some("%2F"),
        Some("="),
        Some("k=v"),
        Some("~"),
        Some("é🎵"),
        Some("."),
        Some(".."),
        Some("\\"),
        Some("\""),
        Some("'"),
        Some("?#&+"),
        Some(&long),
        Some("2024-01-01 00:00:00"),
        None,
    ];
    let world = World::in_folder();
    let columns = Schema::new(schema().fields().iter().cloned().collect::<Vec<_>>());
    let with_time = columns.fields().iter().cloned().chain([Arc::new(Field::new(
        headwater_lake::INGESTED_AT,
        DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        true,
    ))]);
    world.lake.create(&name(), &Schema::new(with_time.collect::<Vec<_>>()), &[String::from("word")]).await.unwrap();
    let mut writer = world.writer().await;
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..i64::try_from(words.len()).unwrap()));
    let texts: ArrayRef = Arc::new(StringArray::from(words.clone()));
    writer.write(&RecordBatch::try_new(Arc::new(columns.clone()), vec![ids, texts]).unwrap()).await.unwrap();
    writer.commit(&at(0), &serde_json::Value::Null).await.unwrap();
    assert_eq!(held(&world).await, words.iter().map(|word| word.map(str::to_owned)).collect::<Vec<_>>());

    // Every row is replaced by itself: a file of the same partition goes, and another takes its place.
    let all = world.batches("select id, cast(word as varchar) as word from t order by id").await;
    let all = arrow::compute::concat_batches(&all[0].schema(), &all).unwrap();
    let all = headwater_lake::to_storable(&all, &Arc::new(columns.clone())).unwrap();
    let removed = RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)])));
    let changes = KeyedRows { key: [String::from("id")].into(), rows: all, removed, unchanged: Vec::new() };
    writer.merge(&changes).await.unwrap();
    writer.commit(&at(1), &serde_json::Value::Null).await.unwrap();
    assert_eq!(held(&world).await.len(), words.len());
    let files = world.lake.require(&name()).await.unwrap().files().len();
    assert_eq!(files, words.len(), "one file for each partition");
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.commit(&mut writer, 100).await.unwrap();
    world.clock.0.store(now(&world).await + DAY, Ordering::SeqCst);
    let policy = Policy {
        small_files: usize::MAX,
        checkpoint_every: u64::MAX / 2,
        retention: Duration::ZERO,
        ..Policy::default()
    };
    let done = world.lake.maintain(&name(), policy, &[]).await.unwrap();
    assert_eq!(done.vacuumed.files, words.len(), "the files that were replaced are deleted, whatever their names");
}

/// Words of the first rows, in order of their ids.
async fn held(world: &World) -> Vec<Option<String>> {
    let mut words = Vec::new();
    for batch in world.batches("select cast(word as varchar) as word from t where id < 1000 order by id").await {
        let column = arrow::compute::cast(batch.column(0), &DataType::Utf8).unwrap();
        words.extend(column.as_string::<i32>().iter().map(|word| word.map(str::to_owned)));
    }
    words
}

#[tokio::test]
async fn moments_are_cut_to_microseconds_and_taken_as_utc_whatever_their_age() {
    let nanos = [-62_135_596_800, -1, 0, 1_700_000_000];
    let nanos: Vec<i64> =
        nanos.iter().filter_map(|second: &i64| second.checked_mul(1_000_000_000)).map(|nano| nano + 1_999).collect();
    for zone in [None, Some("UTC"), Some("Europe/Zurich")] {
        let world = World::over(Arc::new(InMemory::new()));
        let moments = TimestampNanosecondArray::from(nanos.clone()).with_timezone_opt(zone);
        let columns = Schema::new(vec![Field::new("at", moments.data_type().clone(), true)]);
        let mut writer = writer_of(&world, &columns).await.unwrap();
        writer.write(&RecordBatch::try_new(Arc::new(columns), vec![Arc::new(moments)]).unwrap()).await.unwrap();
        writer.commit(&at(0), &serde_json::Value::Null).await.unwrap();
        let mut found = Vec::new();
        for batch in world.batches("select at from t").await {
            found.extend(batch.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec());
        }
        found.sort_unstable();
        // Towards 1970, as Arrow converts them.
        let cut: Vec<i64> = nanos.iter().map(|nano| nano / 1_000).collect();
        assert_eq!(found, cut, "{zone:?}");
    }
}

/// The first rows decide how a column is written, and the last of its file are nothing like them.
#[tokio::test]
async fn numbers_written_as_differences_come_back_however_wild_they_become() {
    let world = World::over(Arc::new(InMemory::new()));
    let wild = [i64::MIN, i64::MAX, -1, 0, i64::MIN, 1, i64::MAX];
    let rest = wild.iter().cycle().take(7_000).enumerate().map(|(row, value)| (row % 11 > 0).then_some(*value));
    let numbers: Vec<Option<i64>> = (0..9_000).map(Some).chain(rest).collect();
    let columns = Schema::new(vec![
        Field::new("place", DataType::Int64, true),
        Field::new("n", DataType::Int64, true),
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), true),
    ]);
    let mut writer = writer_of(&world, &columns).await.unwrap();
    let times = TimestampMicrosecondArray::from(numbers.clone()).with_timezone("UTC");
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..numbers.len() as i64)),
        Arc::new(Int64Array::from(numbers.clone())),
        Arc::new(times),
    ];
    writer.write(&RecordBatch::try_new(Arc::new(columns), arrays).unwrap()).await.unwrap();
    writer.commit(&at(0), &serde_json::Value::Null).await.unwrap();
    let (mut found, mut moments) = (Vec::new(), Vec::new());
    for batch in world.batches("select n, at from t order by place").await {
        found.extend(batch.column(0).as_primitive::<Int64Type>().iter());
        moments.extend(batch.column(1).as_primitive::<TimestampMicrosecondType>().iter());
    }
    assert!(found == numbers && moments == numbers);
}

/// What a table of (id bigint, place {city}) makes of these columns: their names when it took them, or the refusal.
async fn evolved(columns: Vec<Field>) -> Result<Vec<String>, String> {
    let world = World::over(Arc::new(InMemory::new()));
    let place = DataType::Struct(vec![Field::new("city", DataType::Utf8, true)].into());
    let first = Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("place", place, true)]);
    let mut writer = writer_of(&world, &first).await.unwrap();
    writer.evolve(&Schema::new(columns)).await.map_err(|error| error.to_string())?;
    Ok(writer.schema().fields().iter().map(|field| field.name().clone()).collect())
}

#[tokio::test]
async fn columns_are_added_at_the_end_and_never_change_what_they_are() {
    let check = async |columns: Vec<Field>, expected: Result<&[&str], &str>| {
        let shown = format!("{columns:?}");
        match (evolved(columns).await, expected) {
            (Ok(found), Ok(expected)) => {
                assert_eq!(found.iter().filter(|name| !name.starts_with('_')).collect::<Vec<_>>(), expected, "{shown}");
            }
            (Err(found), Err(part)) => assert!(found.contains(part), "{shown}: {found}"),
            (found, expected) => panic!("{shown}: {found:?}, expected {expected:?}"),
        }
    };
    let int = |name: &str| Field::new(name, DataType::Int64, true);
    check(vec![int("n"), int("id")], Ok(&["id", "place", "n"])).await;
    check(vec![int("id")], Ok(&["id", "place"])).await;
    check(vec![Field::new("id", DataType::Int32, true)], Err("Int32")).await;
    check(vec![Field::new("id", DataType::Utf8, true)], Err("column `id` is Utf8 where table events.clicks has Int64"))
        .await;
    check(vec![Field::new("ID", DataType::Int64, true)], Err("only by case from `id` of table")).await;
}

#[tokio::test]
async fn writers_merges_compaction_and_new_columns_go_on_beside_each_other() {
    let world = World::in_folder();
    let mut writer = world.writer().await;
    let (table, policy) = (name(), Policy { small_files: 4, checkpoint_every: 5, ..Policy::default() });
    let mut compacted = 0;
    let mut n = 0;
    let mut last_column = 0;
    while n < 60 {
        let step = async {
            if n / 15 > last_column {
                let column = Field::new(format!("c{}", n / 15), DataType::Int32, true);
                writer.evolve(&Schema::new(vec![column])).await?;
                last_column = n / 15;
            }
            if n % 4 == 3 {
                // Rows of the batch before are replaced by themselves.
                let rows = crate::world::rows(n - 1);
                let removed =
                    RecordBatch::new_empty(Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)])));
                let key: Arc<[String]> = [String::from("id")].into();
                writer.merge(&KeyedRows { key, rows, removed, unchanged: Vec::new() }).await?;
            }
            world.commit(&mut writer, n).await.map(drop)
        };
        // Each step has one round of maintenance beside it: against an append that wins, against a merge it may lose.
        let (step, maintained) = tokio::join!(step, world.lake.maintain(&table, policy, &[]));
        compacted += usize::from(maintained.is_ok_and(|done| done.compacted.is_some()));
        match step {
            Ok(()) => n += 1,
            // Overtaken by a compaction, or of unknown outcome: what the table says counts.
            Err(_) => {
                writer = world.writer().await;
                n = writer.positions().get(&key()).map_or(0, |last| last + 1);
            }
        }
    }
    assert_eq!(world.ids().await, expected(60));
    assert!(compacted > 0, "nothing was compacted meanwhile");
    let columns = world.lake.require(&name()).await.unwrap().schema().fields().len();
    assert_eq!(columns, schema().fields().len() + 1 + 3);
}
