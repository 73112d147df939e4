use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::datatypes::{DataType, Field, Schema};
use futures::TryStreamExt;
use headwater_lake::maintain::{Listed, Policy};
use object_store::{ObjectStore, ObjectStoreExt};

use crate::world::{World, at, expected, key, name, rows};

pub(crate) const DAY: i64 = 24 * 3_600 * 1_000_000;

async fn data_files(world: &World) -> usize {
    let all: Vec<_> = world.store.list(None).try_collect().await.unwrap();
    all.iter().filter(|object| object.location.as_ref().contains("/part-")).count()
}

pub(crate) async fn now(world: &World) -> i64 {
    let all: Vec<_> = world.store.list(None).try_collect().await.unwrap();
    all.iter().map(|object| object.last_modified.timestamp_micros()).max().unwrap()
}

#[tokio::test]
async fn compaction_keeps_rows_and_positions_beside_a_writer() {
    let world = World::in_folder();
    let mut writer = world.writer().await;
    for n in 0..20 {
        world.commit(&mut writer, n).await.unwrap();
    }
    let policy = Policy { small_files: 16, checkpoint_every: u64::MAX / 2, ..Policy::default() };
    let done = world.lake.maintain(&name(), policy, &[]).await.unwrap();
    assert_eq!(done.compacted.map(|compacted| (compacted.files_before, compacted.files_after)), Some((20, 1)));
    // The writer's handle is older than the compaction; its next commit goes on top of it.
    world.commit(&mut writer, 20).await.unwrap();
    assert_eq!(world.ids().await, expected(21));
    assert_eq!(world.lake.require(&name()).await.unwrap().files().len(), 2);
    assert_eq!(world.writer().await.positions().get(&key()), Some(&20));
}

#[tokio::test]
async fn a_checkpoint_is_verified_and_old_log_entries_go_only_behind_an_older_one() {
    let world = World::in_folder();
    let mut writer = world.writer().await;
    let policy = Policy { small_files: usize::MAX, checkpoint_every: 5, ..Policy::default() };
    let mut removed = Vec::new();
    for n in 0..30 {
        world.commit(&mut writer, n).await.unwrap();
        if let Some(done) = world.lake.maintain(&name(), policy, &[]).await.unwrap().checkpointed {
            removed.push(done.log_entries_removed);
        }
    }
    assert_eq!(removed.first(), Some(&0));
    assert!(removed.iter().skip(2).all(|count| *count > 0), "{removed:?}");
    assert_eq!(world.ids().await, expected(30));
    assert_eq!(world.writer().await.positions().get(&key()), Some(&29));
}

#[tokio::test]
async fn a_version_somebody_reads_survives_any_number_of_checkpoints() {
    let world = World::in_folder();
    let mut writer = world.writer().await;
    let policy = Policy { small_files: usize::MAX, checkpoint_every: 5, ..Policy::default() };
    let mut kept = 0;
    for n in 0..30 {
        let version = world.commit(&mut writer, n).await.unwrap();
        kept = if n == 12 { version } else { kept };
        let keep: &[u64] = if n < 12 { &[] } else { &[kept] };
        world.lake.maintain(&name(), policy, keep).await.unwrap();
    }
    assert_eq!(world.lake.load_at(&name(), kept).await.unwrap().rows(), Some(130));
    world.lake.maintain(&name(), Policy { checkpoint_every: 1, ..policy }, &[]).await.unwrap();
    assert!(world.lake.load_at(&name(), kept).await.is_err(), "nothing was cleaned up, so nothing was shown");
}

#[tokio::test]
async fn files_are_deleted_only_when_no_version_needs_them_and_the_horizon_has_passed() {
    let world = World::in_folder();
    let mut writer = world.writer().await;
    for n in 0..20 {
        world.commit(&mut writer, n).await.unwrap();
    }
    let before = world.lake.require(&name()).await.unwrap().version();
    let policy = Policy {
        small_files: 16,
        checkpoint_every: u64::MAX / 2,
        retention: Duration::from_secs(7 * 24 * 3_600),
        ..Policy::default()
    };
    world.clock.0.store(now(&world).await, Ordering::SeqCst);
    world.lake.maintain(&name(), policy, &[]).await.unwrap();
    assert_eq!(data_files(&world).await, 21);
    // Our clock jumps ahead by a month: the store's own times say that nothing is old.
    world.clock.0.fetch_add(30 * DAY, Ordering::SeqCst);
    assert_eq!(world.lake.maintain(&name(), policy, &[]).await.unwrap().vacuumed.files, 0);
    // Somebody still reads the version before the compaction.
    let no_retention = Policy { retention: Duration::ZERO, ..policy };
    world.clock.0.store(now(&world).await + DAY, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(20)).await;
    world.commit(&mut writer, 20).await.unwrap();
    assert_eq!(world.lake.maintain(&name(), no_retention, &[before]).await.unwrap().vacuumed.files, 0);
    assert_eq!(world.lake.maintain(&name(), no_retention, &[]).await.unwrap().vacuumed.files, 20);
    assert_eq!(world.ids().await, expected(21));
}

#[tokio::test]
async fn files_about_to_be_committed_stay_however_short_a_time_old_versions_do() {
    let world = World::in_folder();
    let mut writer = world.writer().await;
    world.commit(&mut writer, 0).await.unwrap();
    writer.write(&rows(1)).await.unwrap();
    // A new column closes the file of the rows before it; the commit comes later.
    writer.evolve(&Schema::new(vec![Field::new("score", DataType::Float64, true)])).await.unwrap();
    assert_eq!(data_files(&world).await, 2);
    tokio::time::sleep(Duration::from_millis(20)).await;
    // Something newer, so that the file is old by the store's own times.
    world.store.put(&"t/later".into(), "later".into()).await.unwrap();
    world.clock.0.store(now(&world).await + DAY, Ordering::SeqCst);
    let no_retention = Policy { retention: Duration::ZERO, ..Policy::default() };
    assert_eq!(world.lake.maintain(&name(), no_retention, &[]).await.unwrap().vacuumed.files, 0);
    writer.commit(&at(1), &serde_json::Value::Null).await.unwrap();
    assert_eq!(world.ids().await, expected(2));
}

/// What the lists of the table say, by their place in it, without the part of the address that differs from world to world.
async fn manifests(world: &World) -> Vec<String> {
    let all: Vec<_> = world.store.list(None).try_collect().await.unwrap();
    let mut lines = Vec::new();
    for object in all.into_iter().filter(|object| object.location.filename() == Some("manifest")) {
        let text = world.store.get(&object.location).await.unwrap().bytes().await.unwrap();
        lines.extend(std::str::from_utf8(&text).unwrap().lines().map(str::to_owned));
    }
    lines.sort();
    lines
}

#[tokio::test]
async fn a_list_of_data_files_is_that_of_its_version() {
    let world = World::in_folder();
    let mut writer = world.writer().await;
    let policy = Policy { small_files: usize::MAX, manifests: Some(Listed::Latest), ..Policy::default() };
    for n in 0..3 {
        world.commit(&mut writer, n).await.unwrap();
        assert_eq!(world.lake.maintain(&name(), policy, &[]).await.unwrap().manifests, 1);
        let table = world.lake.require(&name()).await.unwrap();
        let found = manifests(&world).await;
        let mut wanted: Vec<&str> = table.files().iter().map(|file| file.path.as_str()).collect();
        wanted.sort_unstable();
        let names: Vec<&str> = found.iter().filter_map(|line| line.rsplit('/').next()).collect();
        assert_eq!(names, wanted);
        assert!(found.iter().all(|line| line.contains("://") && line.contains("/tables/")), "{found:?}");
    }
    assert_eq!(world.lake.maintain(&name(), policy, &[]).await.unwrap().manifests, 0, "nothing changed");
    let first = Policy { manifests: Some(Listed::Version(2)), ..policy };
    let listed = world.lake.load_at(&name(), 2).await.unwrap().files().len();
    world.lake.maintain(&name(), first, &[]).await.unwrap();
    assert_eq!(manifests(&world).await.len(), listed);
}
