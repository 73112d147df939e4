use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Float64Array, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use headwater_lake::maintain::Policy;
use headwater_lake::{LakeError, Owner, Progress, Storage};
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::faulty::{FaultyStore, Trouble};
use crate::world::{START, World, at, expected, key, name, rows};

#[tokio::test]
async fn data_and_position_are_one_commit() {
    let world = World::over(Arc::new(InMemory::new()));
    let mut writer = world.writer().await;
    for n in 0..3 {
        world.commit(&mut writer, n).await.unwrap();
    }
    assert_eq!(world.ids().await, expected(3));
    assert_eq!(world.writer().await.positions().get(&key()), Some(&2));
}

/// Whatever a commit's answer was, the rows are there exactly once and the position is right.
async fn check_trouble(trouble: Trouble) {
    let store = FaultyStore::new();
    let world = World::over(Arc::clone(&store) as Arc<dyn object_store::ObjectStore>);
    let mut writer = world.writer().await;
    world.commit(&mut writer, 0).await.unwrap();
    store.arm(trouble);
    world.commit(&mut writer, 1).await.unwrap();
    world.commit(&mut writer, 2).await.unwrap();
    assert_eq!(world.ids().await, expected(3), "{trouble:?}");
    assert_eq!(world.writer().await.positions().get(&key()), Some(&2), "{trouble:?}");
}

#[tokio::test]
async fn a_commit_of_unknown_outcome_is_resolved_by_reading_back() {
    check_trouble(Trouble::ReplyLost).await;
    check_trouble(Trouble::SeenAsExisting).await;
    check_trouble(Trouble::Refused).await;
    check_trouble(Trouble::None).await;
}

#[tokio::test]
async fn an_owner_that_was_replaced_can_never_commit_again() {
    let world = World::over(Arc::new(InMemory::new()));
    let mut old = world.writer().await;
    world.commit(&mut old, 0).await.unwrap();
    let mut new = world.writer().await;
    assert!(new.epoch() > old.epoch());
    assert!(matches!(world.commit(&mut old, 1).await, Err(LakeError::Fenced { .. })));
    world.commit(&mut new, 1).await.unwrap();
    assert!(matches!(world.commit(&mut old, 2).await, Err(LakeError::Fenced { .. })));
    assert_eq!(world.ids().await, expected(2));
}

#[tokio::test]
async fn an_owner_that_opens_its_table_again_does_not_take_it_from_the_next() {
    let store = FaultyStore::new();
    let world = World::over(Arc::clone(&store) as Arc<dyn object_store::ObjectStore>);
    let (old, new) = (Owner::new(&world.lake), Owner::new(&world.lake));
    let mut writer = world.writer_of(&old).await.unwrap();
    world.commit(&mut writer, 0).await.unwrap();
    // As after any failure of its own, here one of which the outcome is unknown.
    store.arm(Trouble::ReplyLost);
    let mut writer = world.writer_of(&old).await.unwrap();
    world.commit(&mut writer, 1).await.unwrap();
    let mut successor = world.writer_of(&new).await.unwrap();
    assert!(matches!(world.writer_of(&old).await, Err(LakeError::Fenced { .. })));
    world.commit(&mut successor, 2).await.unwrap();
    assert_eq!(world.ids().await, expected(3));
}

#[tokio::test]
async fn columns_are_added_although_the_answer_was_lost() {
    for trouble in [Trouble::ReplyLost, Trouble::SeenAsExisting, Trouble::Refused] {
        let store = FaultyStore::new();
        let world = World::over(Arc::clone(&store) as Arc<dyn object_store::ObjectStore>);
        let mut writer = world.writer().await;
        world.commit(&mut writer, 0).await.unwrap();
        store.arm(trouble);
        writer.evolve(&Schema::new(vec![Field::new("score", DataType::Float64, true)])).await.unwrap();
        assert!(writer.schema().field_with_name("score").is_ok(), "{trouble:?}");
        world.commit(&mut writer, 1).await.unwrap();
        assert_eq!(world.ids().await, expected(2), "{trouble:?}");
    }
}

#[tokio::test]
async fn the_time_of_ingestion_grows_from_commit_to_commit_whatever_the_clock_does() {
    let world = World::over(Arc::new(InMemory::new()));
    let mut writer = world.writer().await;
    for (n, clock) in [(0, START), (1, START - 5_000_000), (2, START - 1), (3, START + 10)] {
        world.clock.0.store(clock, Ordering::SeqCst);
        world.commit(&mut writer, n).await.unwrap();
        if n == 1 {
            writer = world.writer().await;
        }
    }
    let times = world
        .numbers("select cast(arrow_cast(_ingested_at, 'Timestamp(Microsecond, None)') as bigint) from t group by 1 order by min(id)")
        .await;
    assert_eq!(times, [START, START + 1, START + 2, START + 10]);
}

#[tokio::test]
async fn columns_can_be_added_between_two_batches_of_one_commit() {
    let world = World::over(Arc::new(InMemory::new()));
    let mut writer = world.writer().await;
    writer.write(&rows(0)).await.unwrap();
    let wide = Schema::new(vec![Field::new("id", DataType::Int64, true), Field::new("score", DataType::Float64, true)]);
    writer.evolve(&wide).await.unwrap();
    let batch = RecordBatch::try_new(
        Arc::new(wide),
        vec![Arc::new(Int64Array::from(vec![100])), Arc::new(Float64Array::from(vec![0.5]))],
    )
    .unwrap();
    writer.write(&batch).await.unwrap();
    assert_eq!(world.ids().await, Vec::<i64>::new());
    writer.commit(&at(0), &serde_json::Value::Null).await.unwrap();
    assert_eq!(world.numbers("select count(*) from t").await, [11]);
    assert_eq!(world.numbers("select count(*) from t where score is null and word is not null").await, [10]);
    assert_eq!(world.numbers("select count(distinct _ingested_at) from t").await, [1]);
}

#[tokio::test]
async fn what_was_abandoned_is_not_committed() {
    let world = World::in_folder();
    let mut writer = world.writer().await;
    writer.write(&rows(7)).await.unwrap();
    writer.abandon();
    world.commit(&mut writer, 0).await.unwrap();
    assert_eq!(world.ids().await, expected(1));
}

#[tokio::test]
async fn a_store_without_conditional_writes_is_refused() {
    let storage = Storage::over(FaultyStore::new(), "memory:///", Path::default()).unwrap();
    storage.probe_conditional_put().await.unwrap();
}

#[tokio::test]
async fn filters_and_counts_use_the_statistics_of_the_log() {
    let world = World::in_folder();
    let mut writer = world.writer().await;
    for n in 0..5 {
        world.commit(&mut writer, n).await.unwrap();
    }
    assert_eq!(world.numbers("select count(*) from t").await, [50]);
    assert_eq!(world.numbers("select id from t where id between 18 and 21 order by 1").await, [18, 19, 20, 21]);
    assert_eq!(world.numbers("select max(id) from t").await, [49]);
    assert_eq!(world.numbers("select count(*) from t where word = 'word 3'").await, [5]);
}

#[tokio::test]
async fn positions_are_read_by_the_beginning_of_their_keys_from_commits_and_from_a_checkpoint() {
    let world = World::over(Arc::new(InMemory::new()));
    let keys = vec![String::from("k/wide/*"), String::from("alone")];
    let owner = Owner::new(&world.lake);
    let mut writer = world.writer_with(&keys, &owner).await.unwrap();
    let progress = |from: i64, to: i64| (from..to).map(|n| (format!("k/wide/t/{n}"), n)).collect::<Progress>();
    writer.write(&rows(0)).await.unwrap();
    let mut first = progress(0, 50);
    first.insert(String::from("alone"), 7);
    first.insert(String::from("k/other/t/0"), 9);
    writer.commit(&first, &serde_json::Value::Null).await.unwrap();
    let expected = |count: i64| {
        let mut all = progress(0, count);
        all.insert(String::from("alone"), 7);
        all
    };
    assert_eq!(world.writer_with(&keys, &owner).await.unwrap().positions(), &expected(50));
    let policy = Policy { small_files: usize::MAX, checkpoint_every: 1, ..Policy::default() };
    assert!(world.lake.maintain(&name(), policy, &[]).await.unwrap().checkpointed.is_some());
    assert_eq!(world.writer_with(&keys, &owner).await.unwrap().positions(), &expected(50));
    let mut writer = world.writer_with(&keys, &owner).await.unwrap();
    writer.commit(&progress(50, 60), &serde_json::Value::Null).await.unwrap();
    assert_eq!(world.writer_with(&keys, &owner).await.unwrap().positions(), &expected(60));
}
