//! What every form of the store does: one function per promise, one line per form.

use std::time::Duration;

use headwater_project::{Classify, Kind, Timestamp};

use crate::{
    BootId, Error, Fingerprint, MemoryStore, NewRun, Publication, PublishedAs, RunEnd, RunId, RunStatus, SqliteStore,
    StateStore, StepChange, StepResult, StepStatus, TestOutcome, TestResult, TestSeverity, TickOutcome, Trigger,
};

pub(super) fn boot(name: &str) -> BootId {
    BootId(name.to_owned())
}

pub(super) fn at(micros: i64) -> Timestamp {
    Timestamp(micros)
}

pub(super) fn new_run(owner: &str) -> NewRun {
    NewRun {
        job: Some(String::from("hourly")),
        command: String::from("build"),
        trigger: Trigger::Manual,
        selection: String::from("+fact_page_views"),
        attempt: 1,
        owner: boot(owner),
    }
}

fn step(node: &str, from: Option<StepStatus>, to: StepStatus, micros: i64) -> StepChange {
    let result = StepResult::default();
    StepChange { node: node.to_owned(), kind: String::from("model"), from, to, at: at(micros), result }
}

fn publication(name: &str, version: i64) -> Publication {
    Publication { name: name.to_owned(), relation: PublishedAs::Table { version } }
}

fn success(publications: Vec<Publication>) -> RunEnd {
    RunEnd::Succeeded { publications, fingerprints: Vec::new() }
}

fn running(store: &dyn StateStore, owner: &str) -> RunId {
    let run = store.create_run(&new_run(owner), at(1)).unwrap();
    store.start_run(run, &boot(owner), at(2)).unwrap();
    run
}

fn conflicts<T: std::fmt::Debug>(result: Result<T, Error>) {
    assert_eq!(result.unwrap_err().kind(), Kind::Conflict);
}

macro_rules! on_every_form {
    ($($promise:ident)+) => {
        mod memory {
            $(#[test] fn $promise() { super::$promise(&super::MemoryStore::default()); })+
        }
        mod sqlite {
            $(#[test] fn $promise() {
                let folder = tempfile::tempdir().unwrap();
                let path = folder.path().join("state.db");
                super::$promise(&super::SqliteStore::open(&path, &super::boot("me"), super::at(0)).unwrap());
            })+
        }
    };
}

on_every_form! {
    a_run_lives_from_queued_to_its_end
    run_ids_are_never_used_twice
    a_zombie_changes_nothing
    an_illegal_change_is_refused
    a_new_life_crashes_what_the_old_one_left_running
    publications_move_with_the_success_and_only_then
    step_changes_apply_all_or_none
    unfinished_steps_are_closed_with_the_run
    the_newest_result_of_each_test_is_known
    a_tick_happens_once
    a_changed_schedule_starts_anew
    an_expired_lease_moves_on_with_a_higher_epoch
    the_first_pinned_value_wins
    pruning_spares_open_published_and_newest_runs
    what_does_not_exist_is_not_found
    what_is_paused_stays_so_until_it_is_resumed
}

fn a_run_lives_from_queued_to_its_end(store: &dyn StateStore) {
    let run = store.create_run(&new_run("me"), at(10)).unwrap();
    assert_eq!(store.runs_in(RunStatus::Queued).unwrap().len(), 1);
    store.start_run(run, &boot("me"), at(20)).unwrap();
    store.finish_run(run, &boot("me"), &RunEnd::Failed { message: String::from("no") }, at(30)).unwrap();
    let stored = store.run(run).unwrap().unwrap();
    assert_eq!((stored.status, stored.message.as_deref()), (RunStatus::Failed, Some("no")));
    assert_eq!((stored.queued_at, stored.started_at, stored.finished_at), (at(10), Some(at(20)), Some(at(30))));
    assert_eq!((stored.job.as_deref(), stored.selection.as_str()), (Some("hourly"), "+fact_page_views"));
    conflicts(store.finish_run(run, &boot("me"), &RunEnd::Cancelled { message: None }, at(40)));

    let second = store.create_run(&new_run("me"), at(50)).unwrap();
    store.cancel_queued_run(second, at(60)).unwrap();
    conflicts(store.start_run(second, &boot("me"), at(70)));
    let newest_first: Vec<RunId> = store.runs(None, 10).unwrap().iter().map(|run| run.id).collect();
    assert_eq!(newest_first, [second, run]);
    assert_eq!(store.runs(Some(second), 10).unwrap().len(), 1);
}

fn run_ids_are_never_used_twice(store: &dyn StateStore) {
    store.skip_run_ids(RunId(40)).unwrap();
    let run = running(store, "me");
    assert_eq!(run, RunId(41));
    store.finish_run(run, &boot("me"), &success(Vec::new()), at(3)).unwrap();
    store.skip_run_ids(RunId(5)).unwrap();
    assert_eq!(store.prune_runs(at(100), 0).unwrap(), 1);
    assert_eq!(store.create_run(&new_run("me"), at(4)).unwrap(), RunId(42));
}

fn a_zombie_changes_nothing(store: &dyn StateStore) {
    let run = running(store, "me");
    let other = boot("other");
    conflicts(store.finish_run(run, &other, &success(vec![publication("a", 1)]), at(3)));
    conflicts(store.change_steps(run, &other, &[step("a", None, StepStatus::Pending, 3)]));
    conflicts(store.record_tests(run, &other, &[]));
    conflicts(store.start_run(run, &other, at(3)));
    assert!(store.published().unwrap().is_empty());
    assert_eq!(store.run(run).unwrap().unwrap().status, RunStatus::Running);
}

fn an_illegal_change_is_refused(store: &dyn StateStore) {
    let run = running(store, "me");
    for from in [None].into_iter().chain(StepStatus::ALL.iter().copied().map(Some)) {
        for to in StepStatus::ALL.iter().copied() {
            if from.map_or(to.may_begin(), |from| from.may_become(to)) {
                continue;
            }
            let refused = store.change_steps(run, &boot("me"), &[step("a", from, to, 3)]).unwrap_err();
            assert!(matches!(refused, Error::IllegalTransition { .. }), "{from:?} -> {to:?}: {refused}");
        }
    }
    assert!(store.steps(run).unwrap().is_empty());
}

fn a_new_life_crashes_what_the_old_one_left_running(store: &dyn StateStore) {
    let left = running(store, "old");
    let changes = [step("a", None, StepStatus::Running, 3), step("b", None, StepStatus::Pending, 3)];
    store.change_steps(left, &boot("old"), &changes).unwrap();
    let queued = store.create_run(&new_run("old"), at(4)).unwrap();
    assert_eq!(store.take_over(&boot("new"), at(5)).unwrap(), [left]);
    assert_eq!(store.run(left).unwrap().unwrap().status, RunStatus::Crashed);
    let statuses: Vec<StepStatus> = store.steps(left).unwrap().iter().map(|step| step.status).collect();
    assert_eq!(statuses, [StepStatus::Crashed, StepStatus::Cancelled]);
    conflicts(store.finish_run(left, &boot("old"), &success(vec![publication("a", 1)]), at(6)));
    store.start_run(queued, &boot("new"), at(7)).unwrap();
    assert_eq!(store.run(queued).unwrap().unwrap().owner, boot("new"));
    assert!(store.take_over(&boot("new"), at(8)).unwrap().is_empty());
}

fn publications_move_with_the_success_and_only_then(store: &dyn StateStore) {
    let fingerprint = |version| Fingerprint {
        node: String::from("model.a"),
        code_hash: String::from("h"),
        inputs: String::from(r#"{"raw":7}"#),
        output_version: version,
    };
    let end = |version| RunEnd::Succeeded {
        publications: vec![publication("a", version), publication("b", version)],
        fingerprints: vec![fingerprint(version)],
    };
    let first = running(store, "me");
    store.finish_run(first, &boot("me"), &end(3), at(10)).unwrap();
    let failed = running(store, "me");
    store.finish_run(failed, &boot("me"), &RunEnd::Failed { message: String::from("test") }, at(11)).unwrap();
    let published = store.published().unwrap();
    assert_eq!(
        published.iter().map(|row| (row.name.as_str(), row.relation.clone(), row.run)).collect::<Vec<_>>(),
        ["a", "b"].map(|name| (name, PublishedAs::Table { version: 3 }, first))
    );
    let second = running(store, "me");
    store.finish_run(second, &boot("me"), &end(4), at(12)).unwrap();
    assert!(
        store
            .published()
            .unwrap()
            .iter()
            .all(|row| row.relation == PublishedAs::Table { version: 4 } && row.run == second && row.at == at(12))
    );
    assert_eq!(store.fingerprints().unwrap(), [fingerprint(4)]);
    store.forget_fingerprints(&[String::from("model.a"), String::from("model.unknown")]).unwrap();
    assert!(store.fingerprints().unwrap().is_empty());
}

fn step_changes_apply_all_or_none(store: &dyn StateStore) {
    let run = running(store, "me");
    let me = boot("me");
    let begin = [step("b", None, StepStatus::Pending, 3), step("a", None, StepStatus::Unchanged, 3)];
    store.change_steps(run, &me, &begin).unwrap();
    let wrong = [
        step("b", Some(StepStatus::Pending), StepStatus::Running, 4),
        step("a", Some(StepStatus::Pending), StepStatus::Running, 4),
    ];
    conflicts(store.change_steps(run, &me, &wrong));
    conflicts(store.change_steps(run, &me, &[step("a", None, StepStatus::Pending, 4)]));
    assert_eq!(store.steps(run).unwrap().first().map(|step| step.status), Some(StepStatus::Pending));

    let mut done = step("b", Some(StepStatus::Running), StepStatus::Warn, 6);
    done.result = StepResult { rows: Some(12), table_version: Some(2), ..StepResult::default() };
    let mut start = step("b", Some(StepStatus::Pending), StepStatus::Running, 5);
    start.result.compiled_path = Some(String::from("compiled/b.sql"));
    store.change_steps(run, &me, &[start, done]).unwrap();
    let steps = store.steps(run).unwrap();
    let first = steps.first().unwrap();
    assert_eq!((first.node.as_str(), first.ordinal, first.status), ("b", 0, StepStatus::Warn));
    assert_eq!((first.started_at, first.finished_at), (Some(at(5)), Some(at(6))));
    assert_eq!((first.result.rows, first.result.compiled_path.as_deref()), (Some(12), Some("compiled/b.sql")));
}

fn unfinished_steps_are_closed_with_the_run(store: &dyn StateStore) {
    let run = running(store, "me");
    let changes = [step("a", None, StepStatus::Running, 3), step("b", None, StepStatus::Skipped, 3)];
    store.change_steps(run, &boot("me"), &changes).unwrap();
    store.finish_run(run, &boot("me"), &RunEnd::Cancelled { message: None }, at(9)).unwrap();
    let steps = store.steps(run).unwrap();
    let closed: Vec<_> = steps.iter().map(|step| (step.status, step.finished_at)).collect();
    assert_eq!(closed, [(StepStatus::Cancelled, Some(at(9))), (StepStatus::Skipped, Some(at(3)))]);
}

fn the_newest_result_of_each_test_is_known(store: &dyn StateStore) {
    let result = |node: &str, failures, micros| TestResult {
        node: node.to_owned(),
        tested: Some(String::from("model.a")),
        outcome: if failures == 0 { TestOutcome::Pass } else { TestOutcome::Warn },
        severity: TestSeverity::Warn,
        failures,
        message: None,
        at: at(micros),
    };
    let first = running(store, "me");
    store.record_tests(first, &boot("me"), &[result("t1", 9, 3), result("t2", 0, 3)]).unwrap();
    store.record_tests(first, &boot("me"), &[result("t1", 5, 4)]).unwrap();
    let second = running(store, "me");
    store.record_tests(second, &boot("me"), &[result("t2", 2, 5)]).unwrap();
    assert_eq!(store.test_results(first).unwrap(), [result("t1", 5, 4), result("t2", 0, 3)]);
    assert_eq!(store.latest_tests().unwrap(), [result("t1", 5, 4), result("t2", 2, 5)]);
}

fn a_tick_happens_once(store: &dyn StateStore) {
    let registered = store.register_schedule("hourly", "0 * * * *", at(100)).unwrap();
    assert_eq!((registered.since, registered.last_tick), (at(100), None));
    let run = store.launch_tick("hourly", at(200), &new_run("me"), at(205)).unwrap();
    conflicts(store.launch_tick("hourly", at(200), &new_run("me"), at(206)));
    assert_eq!(store.runs(None, 10).unwrap().len(), 1, "the refused tick left no run");
    let missed = [(at(300), String::from("missed")), (at(200), String::from("missed"))];
    conflicts(store.skip_ticks("hourly", &missed, at(400)));
    store.skip_ticks("hourly", &missed[..1], at(400)).unwrap();
    let ticks = store.ticks("hourly", 10).unwrap();
    let outcomes: Vec<_> = ticks.iter().map(|tick| (tick.logical_time, tick.outcome.clone())).collect();
    let skipped = TickOutcome::Skipped(String::from("missed"));
    assert_eq!(outcomes, [(at(300), skipped), (at(200), TickOutcome::Run(run))]);
    assert_eq!(store.schedules().unwrap().first().and_then(|schedule| schedule.last_tick), Some(at(300)));
}

fn a_changed_schedule_starts_anew(store: &dyn StateStore) {
    store.register_schedule("s", "every 30s", at(100)).unwrap();
    assert_eq!(store.register_schedule("s", "every 30s", at(200)).unwrap().since, at(100));
    assert_eq!(store.register_schedule("s", "every 60s", at(300)).unwrap().since, at(300));
}

fn an_expired_lease_moves_on_with_a_higher_epoch(store: &dyn StateStore) {
    let second = Duration::from_secs(1);
    let first = store.take_lease("lake", &boot("a"), at(0), second).unwrap().unwrap();
    assert_eq!((first.epoch, first.expires_at), (1, at(1_000_000)));
    assert_eq!(store.take_lease("lake", &boot("b"), at(999_999), second).unwrap(), None);
    let renewed = store.renew_lease(&first, at(500_000), second).unwrap();
    assert_eq!(renewed.expires_at, at(1_500_000));
    conflicts(store.renew_lease(&first, at(1_500_000), second));
    let taken = store.take_lease("lake", &boot("b"), at(1_500_000), second).unwrap().unwrap();
    assert_eq!(taken.epoch, 2);
    conflicts(store.renew_lease(&renewed, at(1_600_000), second));
    conflicts(store.release_lease(&renewed));
    store.release_lease(&taken).unwrap();
    assert_eq!(store.take_lease("lake", &boot("a"), at(1_600_000), second).unwrap().unwrap().epoch, 3);
    assert_eq!(store.take_lease("lake", &boot("a"), at(1_600_001), second).unwrap().unwrap().epoch, 4);
}

fn the_first_pinned_value_wins(store: &dyn StateStore) {
    assert_eq!(store.pin("generator.music.start", "2026-01-01").unwrap(), "2026-01-01");
    assert_eq!(store.pin("generator.music.start", "2027-01-01").unwrap(), "2026-01-01");
    store.pin("generator%other", "x").unwrap();
    assert_eq!(store.pinned("generator.music.start").unwrap().as_deref(), Some("2026-01-01"));
    assert_eq!(store.unpin("generator.").unwrap(), 1);
    assert_eq!(store.pinned("generator.music.start").unwrap(), None);
}

fn pruning_spares_open_published_and_newest_runs(store: &dyn StateStore) {
    let published = running(store, "me");
    store.finish_run(published, &boot("me"), &success(vec![publication("a", 1)]), at(5)).unwrap();
    let old = running(store, "me");
    store.change_steps(old, &boot("me"), &[step("a", None, StepStatus::Running, 3)]).unwrap();
    store.finish_run(old, &boot("me"), &success(Vec::new()), at(6)).unwrap();
    let open = running(store, "me");
    let newest = running(store, "me");
    store.finish_run(newest, &boot("me"), &success(Vec::new()), at(7)).unwrap();
    assert_eq!(store.prune_runs(at(6), 1).unwrap(), 0);
    assert_eq!(store.prune_runs(at(100), 1).unwrap(), 1);
    let kept: Vec<RunId> = store.runs(None, 10).unwrap().iter().map(|run| run.id).collect();
    assert_eq!(kept, [newest, open, published]);
    assert!(store.steps(old).unwrap().is_empty());
}

fn what_does_not_exist_is_not_found(store: &dyn StateStore) {
    let not_found = |error: Error| assert!(matches!(error, Error::NotFound { .. }), "{error}");
    let me = boot("me");
    not_found(store.start_run(RunId(9), &me, at(1)).unwrap_err());
    not_found(store.finish_run(RunId(9), &me, &success(Vec::new()), at(1)).unwrap_err());
    not_found(store.launch_tick("nobody", at(1), &new_run("me"), at(1)).unwrap_err());
    not_found(store.skip_ticks("nobody", &[], at(1)).unwrap_err());
    let run = running(store, "me");
    let change = step("a", Some(StepStatus::Pending), StepStatus::Running, 3);
    not_found(store.change_steps(run, &me, &[change]).unwrap_err());
    assert_eq!(store.run(RunId(9)).unwrap(), None);
}

fn what_is_paused_stays_so_until_it_is_resumed(store: &dyn StateStore) {
    store.pause("shop", at(10)).unwrap();
    store.pause("events.views", at(20)).unwrap();
    store.pause("shop", at(30)).unwrap();
    let paused: Vec<_> = store.paused().unwrap().into_iter().map(|one| (one.name, one.at)).collect();
    assert_eq!(paused, [("events.views".to_owned(), at(20)), ("shop".to_owned(), at(10))]);
    assert!(store.resume("shop").unwrap());
    assert!(!store.resume("shop").unwrap());
    assert_eq!(store.paused().unwrap().len(), 1);
}
