use std::collections::{BTreeMap, BTreeSet};

use crate::{Error, Outcome, RunMachine, StepState};

fn machine(edges: &[(&str, &[&str])], parallelism: usize) -> Result<RunMachine, Error> {
    let needs: BTreeMap<String, BTreeSet<String>> = edges
        .iter()
        .map(|(name, needs)| ((*name).to_owned(), needs.iter().map(|need| (*need).to_owned()).collect()))
        .collect();
    RunMachine::new(&needs, parallelism)
}

const DIAMOND: &[(&str, &[&str])] =
    &[("a", &["source outside"]), ("b", &["a"]), ("c", &["a"]), ("d", &["b", "c"]), ("e", &[]), ("f", &["d"])];

#[test]
fn a_step_is_ready_when_all_it_needs_ended_well() {
    let mut machine = machine(DIAMOND, 2).unwrap();
    let mut order = Vec::new();
    while !machine.is_done() {
        let ready = machine.ready();
        assert!(ready.len() <= 2);
        for step in &ready {
            machine.started(step).unwrap();
        }
        assert!(machine.ready().is_empty() || ready.len() < 2);
        for step in ready {
            machine.finished(&step, if step == "b" { Outcome::Warned } else { Outcome::Unchanged }).unwrap();
            order.push(step);
        }
    }
    assert_eq!(order.concat(), "aebcdf");
}

#[test]
fn a_failure_skips_all_behind_it_and_nothing_beside_it() {
    let mut machine = machine(DIAMOND, 9).unwrap();
    for step in ["a", "e"] {
        machine.started(step).unwrap();
        machine.finished(step, Outcome::Succeeded).unwrap();
    }
    machine.started("b").unwrap();
    machine.started("c").unwrap();
    assert_eq!(machine.finished("b", Outcome::Failed).unwrap(), ["d", "f"]);
    assert!(!machine.is_done());
    assert!(machine.finished("c", Outcome::Failed).unwrap().is_empty());
    assert!(machine.is_done());
    assert_eq!(machine.state("f"), Some(&StepState::Skipped { because: String::from("b") }));
    assert_eq!(machine.states().filter(|(_, state)| matches!(state, StepState::Done(_))).count(), 4);
}

#[test]
fn cancelling_leaves_running_steps_to_finish() {
    let mut machine = machine(DIAMOND, 9).unwrap();
    machine.started("a").unwrap();
    assert_eq!(machine.cancel(), ["b", "c", "d", "e", "f"]);
    assert!(!machine.is_done());
    machine.finished("a", Outcome::Succeeded).unwrap();
    assert!(machine.ready().is_empty() && machine.is_done());
}

#[test]
fn illegal_changes_are_refused() {
    let mut machine = machine(DIAMOND, 9).unwrap();
    assert!(matches!(machine.started("b"), Err(Error::IllegalStep { from: "blocked", .. })));
    assert!(matches!(machine.finished("a", Outcome::Succeeded), Err(Error::IllegalStep { from: "waiting", .. })));
    assert!(matches!(machine.started("nobody"), Err(Error::UnknownStep { .. })));
    machine.started("a").unwrap();
    assert!(machine.started("a").is_err());
}

#[test]
fn a_cycle_is_refused_with_its_steps() {
    let error = machine(&[("a", &["b"]), ("b", &["a"]), ("c", &[]), ("d", &["d"])], 1).unwrap_err();
    assert!(matches!(error, Error::Cycle { steps } if steps == ["a", "b", "d"]));
}
