//! Random histories on both forms end in the same answers, refusals included.

use std::time::Duration;

use proptest::prelude::*;

use super::conformance::{at, boot, new_run};
use crate::{
    MemoryStore, Publication, PublishedAs, RunEnd, RunId, RunStatus, SqliteStore, StateStore, StepChange, StepResult,
    StepStatus,
};

#[derive(Clone, Debug)]
enum Call {
    TakeOver(u8),
    Create(u8),
    Start(i64, u8),
    Cancel(i64),
    Succeed(i64, u8, i64),
    Fail(i64, u8),
    Step(i64, u8, u8, usize, usize),
    Launch(i64),
    Skip(i64),
    Take(u8, i64),
    Renew(u8, i64, i64),
    Prune(i64, usize),
}

fn call() -> impl Strategy<Value = Call> {
    let (run, who, small) = (1..6i64, 0..2u8, 0..5i64);
    prop_oneof![
        who.clone().prop_map(Call::TakeOver),
        who.clone().prop_map(Call::Create),
        (run.clone(), who.clone()).prop_map(|(run, who)| Call::Start(run, who)),
        run.clone().prop_map(Call::Cancel),
        (run.clone(), who.clone(), small.clone()).prop_map(|(run, who, version)| Call::Succeed(run, who, version)),
        (run.clone(), who.clone()).prop_map(|(run, who)| Call::Fail(run, who)),
        (run, who.clone(), 0..2u8, 0..10usize, 0..9usize)
            .prop_map(|(run, who, node, from, to)| Call::Step(run, who, node, from, to)),
        small.clone().prop_map(Call::Launch),
        small.clone().prop_map(Call::Skip),
        (who.clone(), small.clone()).prop_map(|(who, now)| Call::Take(who, now)),
        (who, 1..4i64, small).prop_map(|(who, epoch, now)| Call::Renew(who, epoch, now)),
        (0..60i64, 0..3usize).prop_map(|(before, keep)| Call::Prune(before, keep)),
    ]
}

fn owner(number: u8) -> String {
    format!("boot-{number}")
}

/// The answer as text: value or error.
fn apply(store: &dyn StateStore, call: &Call, time: i64) -> String {
    let now = at(time);
    match call.clone() {
        Call::TakeOver(who) => format!("{:?}", store.take_over(&boot(&owner(who)), now)),
        Call::Create(who) => format!("{:?}", store.create_run(&new_run(&owner(who)), now)),
        Call::Start(run, who) => format!("{:?}", store.start_run(RunId(run), &boot(&owner(who)), now)),
        Call::Cancel(run) => format!("{:?}", store.cancel_queued_run(RunId(run), now)),
        Call::Succeed(run, who, version) => {
            let publication = Publication { name: String::from("a"), relation: PublishedAs::Table { version } };
            let end = RunEnd::Succeeded { publications: vec![publication], fingerprints: Vec::new() };
            format!("{:?}", store.finish_run(RunId(run), &boot(&owner(who)), &end, now))
        }
        Call::Fail(run, who) => {
            let end = RunEnd::Failed { message: String::from("no") };
            format!("{:?}", store.finish_run(RunId(run), &boot(&owner(who)), &end, now))
        }
        Call::Step(run, who, node, from, to) => {
            let change = StepChange {
                node: format!("node-{node}"),
                kind: String::from("model"),
                from: StepStatus::ALL.get(from).copied(),
                to: StepStatus::ALL[to],
                at: now,
                result: StepResult { rows: Some(time), ..StepResult::default() },
            };
            format!("{:?}", store.change_steps(RunId(run), &boot(&owner(who)), &[change]))
        }
        Call::Launch(tick) => format!("{:?}", store.launch_tick("s", at(tick), &new_run("boot-0"), now)),
        Call::Skip(tick) => format!("{:?}", store.skip_ticks("s", &[(at(tick), String::from("late"))], now)),
        Call::Take(who, from) => {
            format!("{:?}", store.take_lease("l", &boot(&owner(who)), at(from), Duration::from_micros(2)))
        }
        Call::Renew(who, epoch, from) => {
            let lease = crate::Lease { name: String::from("l"), owner: boot(&owner(who)), epoch, expires_at: at(0) };
            format!("{:?}", store.renew_lease(&lease, at(from), Duration::from_micros(2)))
        }
        Call::Prune(before, keep) => format!("{:?}", store.prune_runs(at(before), keep)),
    }
}

fn everything(store: &dyn StateStore) -> String {
    let runs = store.runs(None, 100).unwrap();
    let steps: Vec<_> = runs.iter().map(|run| store.steps(run.id).unwrap()).collect();
    let queued = store.runs_in(RunStatus::Queued).unwrap();
    let (published, ticks) = (store.published().unwrap(), store.ticks("s", 100).unwrap());
    format!("{runs:?} {steps:?} {queued:?} {published:?} {ticks:?} {:?}", store.schedules().unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_forms_answer_alike(calls in proptest::collection::vec(call(), 1..50)) {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(&folder.path().join("state.db"), &boot("boot-0"), at(0)).unwrap();
        let memory = MemoryStore::default();
        for store in [&sqlite as &dyn StateStore, &memory] {
            store.register_schedule("s", "every 1s", at(0)).unwrap();
        }
        for (time, call) in (1..).zip(&calls) {
            prop_assert_eq!(apply(&sqlite, call, time), apply(&memory, call, time), "{:?}", call);
        }
        prop_assert_eq!(everything(&sqlite), everything(&memory));
    }
}
