use headwater_lake::maintain::Policy;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::world::{World, expected, key, name};

fn log(file: &str) -> Path {
    Path::from(format!("tables/events/clicks/_delta_log/{file}"))
}

async fn with_checkpoint() -> World {
    let world = World::in_folder();
    let mut writer = world.writer().await;
    for n in 0..6 {
        world.commit(&mut writer, n).await.unwrap();
    }
    let policy = Policy { checkpoint_every: 4, small_files: usize::MAX, ..Policy::default() };
    let done = world.lake.maintain(&name(), policy, &[]).await.unwrap();
    assert!(done.checkpointed.is_some(), "{done:?}");
    world
}

async fn checkpoint_file(world: &World) -> Path {
    let listed = world.store.list_with_delimiter(Some(&log(""))).await.unwrap();
    let is_checkpoint = |path: &Path| path.as_ref().ends_with(".checkpoint.parquet");
    listed.objects.into_iter().map(|object| object.location).find(is_checkpoint).unwrap()
}

/// After any of these the table opens whole, and the writer goes on.
async fn check_damage(damage: &str) {
    let world = with_checkpoint().await;
    let checkpoint = checkpoint_file(&world).await;
    let bytes = world.store.get(&checkpoint).await.unwrap().bytes().await.unwrap();
    match damage {
        "checkpoint empty" => drop(world.store.put(&checkpoint, "".into()).await.unwrap()),
        "checkpoint cut" => drop(world.store.put(&checkpoint, bytes.slice(..bytes.len() / 2).into()).await.unwrap()),
        "checkpoint garbage" => drop(world.store.put(&checkpoint, "garbage".into()).await.unwrap()),
        "checkpoint deleted" => world.store.delete(&checkpoint).await.unwrap(),
        "pointer empty" => drop(world.store.put(&log("_last_checkpoint"), "".into()).await.unwrap()),
        "pointer garbage" => drop(world.store.put(&log("_last_checkpoint"), "{]".into()).await.unwrap()),
        "pointer deleted" => world.store.delete(&log("_last_checkpoint")).await.unwrap(),
        other => panic!("unknown damage {other}"),
    }
    assert_eq!(world.ids().await, expected(6), "{damage}");
    let mut writer = world.writer().await;
    assert_eq!(writer.positions().get(&key()), Some(&5), "{damage}");
    world.commit(&mut writer, 6).await.unwrap();
    assert_eq!(world.ids().await, expected(7), "{damage}");
}

#[tokio::test]
async fn a_damaged_checkpoint_is_set_aside_and_the_table_opens_from_its_log() {
    for damage in [
        "checkpoint empty",
        "checkpoint cut",
        "checkpoint garbage",
        "checkpoint deleted",
        "pointer empty",
        "pointer garbage",
        "pointer deleted",
    ] {
        check_damage(damage).await;
    }
}

#[tokio::test]
async fn a_newest_commit_that_was_never_finished_is_set_aside() {
    for content in ["", "{\"commitInfo\":{\"timest", "\u{0}\u{0}\u{0}\u{0}"] {
        let world = World::in_folder();
        let mut writer = world.writer().await;
        for n in 0..3 {
            world.commit(&mut writer, n).await.unwrap();
        }
        let version = world.lake.require(&name()).await.unwrap().version();
        world.store.put(&log(&format!("{version:020}.json")), content.into()).await.unwrap();
        let mut writer = world.writer().await;
        assert_eq!(writer.positions().get(&key()), Some(&1), "{content:?}");
        world.commit(&mut writer, 2).await.unwrap();
        assert_eq!(world.ids().await, expected(3), "{content:?}");
        assert_eq!(world.lake.quarantined(&name()).await.unwrap().len(), 1);
    }
}
