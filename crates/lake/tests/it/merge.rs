use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{Array, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use headwater_lake::maintain::Policy;
use headwater_lake::{KeyedRows, LakeError, PipelineWriter, Unchanged};
use object_store::memory::InMemory;

use crate::world::{World, at, expected, key, name, schema};

fn batch(rows: &[(i64, Option<&str>)]) -> RecordBatch {
    let ids = Int64Array::from_iter_values(rows.iter().map(|row| row.0));
    let words: StringArray = rows.iter().map(|row| row.1).collect();
    RecordBatch::try_new(Arc::new(schema()), vec![Arc::new(ids), Arc::new(words)]).unwrap()
}

fn keys(ids: &[i64]) -> RecordBatch {
    let schema = Arc::new(Schema::new(vec![Field::new("id", DataType::Int64, true)]));
    RecordBatch::try_new(schema, vec![Arc::new(Int64Array::from(ids.to_vec()))]).unwrap()
}

fn changes(rows: &[(i64, Option<&str>)], removed: &[i64]) -> KeyedRows {
    let key: Arc<[String]> = [String::from("id")].into();
    KeyedRows { key, rows: batch(rows), removed: keys(removed), unchanged: Vec::new() }
}

async fn commit(writer: &mut PipelineWriter, n: i64) -> headwater_lake::Result<u64> {
    Ok(writer.commit(&at(n), &serde_json::json!({})).await?.version)
}

/// The table as a map; a key that is there twice fails.
async fn table(world: &World) -> BTreeMap<i64, Option<String>> {
    let mut held = BTreeMap::new();
    for batch in world.batches("select id, cast(word as varchar) as word from t").await {
        let words = arrow::compute::cast(batch.column(1), &DataType::Utf8).unwrap();
        for (index, id) in batch.column(0).as_primitive::<Int64Type>().values().iter().enumerate() {
            let words = words.as_string::<i32>();
            let word = words.is_valid(index).then(|| words.value(index).to_owned());
            assert_eq!(held.insert(*id, word), None, "row {id} is there twice");
        }
    }
    held
}

#[tokio::test]
async fn any_merges_leave_what_a_map_would_hold() {
    let world = World::over(Arc::new(InMemory::new()));
    let mut writer = world.writer().await;
    let mut expected: BTreeMap<i64, Option<String>> = BTreeMap::new();
    let mut random = 7_u64;
    let mut next = move |below: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        i64::try_from((random >> 33) % below).unwrap()
    };
    for round in 0..60 {
        let text = format!("round {round}");
        for _ in 0..=next(3) {
            let mut rows = BTreeMap::new();
            for _ in 0..next(8) {
                rows.insert(next(40), (next(5) > 0).then_some(text.as_str()));
            }
            let removed: Vec<i64> = (0..next(4)).map(|_| next(40)).collect();
            if next(20) == 0 {
                writer.truncate();
                expected.clear();
            }
            removed.iter().for_each(|id| drop(expected.remove(id)));
            expected.extend(rows.iter().map(|(id, word)| (*id, word.map(str::to_owned))));
            let rows: Vec<_> = rows.into_iter().collect();
            writer.merge(&changes(&rows, &removed)).await.unwrap();
        }
        commit(&mut writer, round).await.unwrap();
        assert_eq!(table(&world).await, expected, "after round {round}");
    }
}

#[tokio::test]
async fn a_merge_is_invisible_until_its_commit_and_gone_when_abandoned() {
    let world = World::over(Arc::new(InMemory::new()));
    let mut writer = world.writer().await;
    world.commit(&mut writer, 0).await.unwrap();
    writer.merge(&changes(&[(100, None)], &[1, 2])).await.unwrap();
    assert_eq!(world.ids().await, expected(1));
    writer.abandon();
    commit(&mut writer, 1).await.unwrap();
    assert_eq!(world.ids().await, expected(1));
}

#[tokio::test]
async fn rows_appended_before_a_merge_of_the_same_commit_are_merged_into() {
    let world = World::over(Arc::new(InMemory::new()));
    let mut writer = world.writer().await;
    writer.write(&batch(&[(1, Some("a")), (2, Some("b"))])).await.unwrap();
    writer.merge(&changes(&[(2, Some("c"))], &[1])).await.unwrap();
    writer.write(&batch(&[(3, Some("d"))])).await.unwrap();
    commit(&mut writer, 0).await.unwrap();
    let rows = [(2, Some(String::from("c"))), (3, Some(String::from("d")))];
    assert_eq!(table(&world).await, rows.into_iter().collect());
}

#[tokio::test]
async fn a_cell_that_did_not_change_keeps_its_value_even_under_a_new_key() {
    let world = World::over(Arc::new(InMemory::new()));
    let mut writer = world.writer().await;
    writer.merge(&changes(&[(1, Some("long")), (2, Some("longer"))], &[])).await.unwrap();
    commit(&mut writer, 0).await.unwrap();
    let mut change = changes(&[(1, None), (20, None)], &[2]);
    change.unchanged = vec![
        Unchanged { row: 0, columns: vec![1], before: None, required: true },
        Unchanged { row: 1, columns: vec![1], before: Some(0), required: true },
    ];
    writer.merge(&change).await.unwrap();
    commit(&mut writer, 1).await.unwrap();
    let rows = [(1, Some(String::from("long"))), (20, Some(String::from("longer")))];
    assert_eq!(table(&world).await, rows.into_iter().collect());
    let mut change = changes(&[(7, None)], &[]);
    change.unchanged = vec![Unchanged { row: 0, columns: vec![1], before: None, required: true }];
    assert!(matches!(writer.merge(&change).await, Err(LakeError::NothingToKeep { .. })));
    change.unchanged = vec![Unchanged { row: 0, columns: vec![1], before: None, required: false }];
    writer.merge(&change).await.unwrap();
    commit(&mut writer, 2).await.unwrap();
    assert_eq!(table(&world).await.get(&7), Some(&None));
}

#[tokio::test]
async fn files_without_any_of_the_keys_are_left_alone() {
    let world = World::over(Arc::new(InMemory::new()));
    let mut writer = world.writer().await;
    for n in 0..3 {
        world.commit(&mut writer, n).await.unwrap();
    }
    let before = world.lake.require(&name()).await.unwrap();
    writer.merge(&changes(&[(15, Some("new")), (500, Some("new"))], &[])).await.unwrap();
    commit(&mut writer, 3).await.unwrap();
    let after = world.lake.require(&name()).await.unwrap();
    let kept = before.files().iter().filter(|file| after.files().contains(file)).count();
    assert_eq!((before.files().len(), kept), (3, 2));
    assert_eq!(world.ids().await.len(), 31);
}

#[tokio::test]
async fn a_merge_planned_before_a_compaction_is_refused_and_done_again() {
    let world = World::in_folder();
    let mut writer = world.writer().await;
    for n in 0..20 {
        world.commit(&mut writer, n).await.unwrap();
    }
    writer.merge(&changes(&[], &[5])).await.unwrap();
    let policy = Policy { small_files: 16, checkpoint_every: u64::MAX / 2, ..Policy::default() };
    let done = world.lake.maintain(&name(), policy, &[]).await.unwrap();
    assert!(done.compacted.is_some());
    let refused = commit(&mut writer, 20).await;
    assert!(matches!(refused, Err(LakeError::Overtaken(_))), "{refused:?}");
    let mut writer = world.writer().await;
    assert_eq!(writer.positions().get(&key()), Some(&19));
    writer.merge(&changes(&[], &[5])).await.unwrap();
    commit(&mut writer, 20).await.unwrap();
    assert_eq!(world.ids().await.len(), 199);
}

#[tokio::test]
async fn rows_that_nothing_wrote_since_a_mark_are_retired() {
    let world = World::over(Arc::new(InMemory::new()));
    let mut writer = world.writer().await;
    writer.write(&batch(&[(1, Some("old")), (2, Some("old")), (3, Some("old"))])).await.unwrap();
    commit(&mut writer, 1).await.unwrap();
    writer.write(&batch(&[(4, Some("old"))])).await.unwrap();
    commit(&mut writer, 2).await.unwrap();
    let mark = writer.mark();
    writer.merge(&changes(&[(2, Some("new"))], &[])).await.unwrap();
    commit(&mut writer, 3).await.unwrap();
    writer.merge(&changes(&[(5, Some("new"))], &[])).await.unwrap();
    writer.retire(mark).await.unwrap();
    assert_eq!(table(&world).await.len(), 4, "nothing is seen of it before the commit");
    commit(&mut writer, 4).await.unwrap();
    let expected = BTreeMap::from([(2, Some(String::from("new"))), (5, Some(String::from("new")))]);
    assert_eq!(table(&world).await, expected);
    writer.retire(mark).await.unwrap();
    commit(&mut writer, 5).await.unwrap();
    assert_eq!(table(&world).await, expected, "once more changes nothing");
}

#[tokio::test]
async fn the_rows_of_one_commit_are_taken_back_whatever_file_they_are_in_and_whatever_the_clock_did() {
    let world = World::over(Arc::new(InMemory::new()));
    let mut writer = world.writer().await;
    let mut stamps = Vec::new();
    for n in 0..4 {
        // Each commit an hour before the one before it, by the clock.
        world.clock.0.fetch_sub(3_600_000_000, Ordering::SeqCst);
        world.commit(&mut writer, n).await.unwrap();
        stamps.push(writer.mark());
    }
    // These rows come into one file; those of the next commit stay in one of their own.
    let policy = Policy { small_files: 3, checkpoint_every: u64::MAX / 2, ..Policy::default() };
    let done = world.lake.maintain(&name(), policy, &[]).await.unwrap();
    assert!(done.compacted.is_some());
    world.commit(&mut writer, 4).await.unwrap();
    stamps.push(writer.mark());
    let mut writer = world.writer().await;
    for (n, left) in [(4, vec![0, 1, 2, 3]), (1, vec![0, 2, 3])] {
        writer.take_back(stamps[n]).await.unwrap();
        commit(&mut writer, 10 - i64::try_from(n).unwrap()).await.unwrap();
        let expected: Vec<i64> = left.iter().flat_map(|n| n * 10..n * 10 + 10).collect();
        assert_eq!(world.ids().await, expected);
    }
    writer.take_back(stamps[1]).await.unwrap();
    commit(&mut writer, 11).await.unwrap();
    assert_eq!(world.ids().await.len(), 30, "once more changes nothing");
    assert_eq!(writer.mark(), stamps[4], "later commits have later stamps all the same");
}
