//! A year of schedules from a seed: runs that fail, processes that die at any point, clocks that jump. The state store's
//! in-memory form keeps the record, as in the product.

use std::collections::BTreeMap;
use std::time::Duration;

use headwater_project::Timestamp;
use headwater_state::{BootId, MemoryStore, NewRun, RunEnd, RunId, RunStatus, StateStore, TickOutcome, Trigger};
use rand_core::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::{Action, Command, Event, FinishedRun, Job, JobView, MISSED_CAP, MissedTicks, Schedule, View, decide};

const MINUTE: i64 = 60_000_000;

struct World {
    store: MemoryStore,
    jobs: Vec<Job>,
    random: Xoshiro256PlusPlus,
    now: Timestamp,
    boot: u64,
    /// Runs going, and when they end.
    going: BTreeMap<RunId, Timestamp>,
    /// Ticks that share a record, by schedule.
    shared: BTreeMap<String, u64>,
}

fn job(name: &str, schedule: Schedule, missed: MissedTicks, retry_count: u32) -> Job {
    Job {
        name: name.to_owned(),
        description: None,
        select: Vec::new(),
        exclude: Vec::new(),
        command: Command::Build,
        schedule: Some(schedule),
        missed,
        retry_count,
        retry_delay: Duration::from_secs(90),
    }
}

fn jobs() -> Vec<Job> {
    vec![
        job("nightly", Schedule::cron("30 2 * * *", "Europe/Berlin").unwrap(), MissedTicks::RunAll, 2),
        job("hourly", Schedule::cron("5 * * * *", "Australia/Lord_Howe").unwrap(), MissedTicks::RunLast, 0),
        job("often", Schedule::every(Duration::from_secs(1800)).unwrap(), MissedTicks::Skip, 1),
    ]
}

impl World {
    fn new(seed: u64) -> Self {
        let start = Timestamp(1_767_225_600_000_000);
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let (going, shared) = (BTreeMap::new(), BTreeMap::new());
        Self { store: MemoryStore::default(), jobs: jobs(), random, now: start, boot: 0, going, shared }
    }

    fn chance(&mut self, one_in: u64) -> bool {
        self.random.next_u64().is_multiple_of(one_in)
    }

    fn owner(&self) -> BootId {
        BootId(format!("boot-{}", self.boot))
    }

    fn new_run(&self, job: &str, trigger: Trigger, attempt: u32) -> NewRun {
        let (command, selection) = (String::from("build"), String::new());
        NewRun { job: Some(job.to_owned()), command, trigger, selection, attempt, owner: self.owner() }
    }

    fn view(&self) -> View {
        let mut view = View::default();
        for schedule in self.store.schedules().unwrap() {
            let job = JobView {
                definition: schedule.definition,
                since: schedule.since,
                last_tick: schedule.last_tick,
                ..JobView::default()
            };
            view.jobs.insert(schedule.name, job);
        }
        for run in self.store.runs(None, 12).unwrap() {
            let Some(job) = run.job.as_ref().and_then(|job| view.jobs.get_mut(job)) else { continue };
            match (run.status, run.finished_at) {
                (RunStatus::Queued, _) => job.queued.insert(0, run.id),
                (RunStatus::Running, _) => assert_eq!(job.running.replace(run.id), None, "two runs of one job"),
                (status, Some(at)) => {
                    let finished = FinishedRun { run: run.id, status, attempt: run.attempt, at };
                    job.last_finished.get_or_insert(finished);
                }
                _ => {}
            }
        }
        view
    }

    fn start(&mut self, run: RunId) {
        if self.chance(200) {
            return self.crash();
        }
        self.store.start_run(run, &self.owner(), self.now).unwrap();
        let length = Duration::from_secs(1 + self.random.next_u64() % 900);
        self.going.insert(run, self.now.saturating_add(length));
    }

    /// The process dies; what was going is lost, what was recorded stays.
    fn crash(&mut self) {
        self.boot += 1;
        self.going.clear();
        let outage = Duration::from_secs(self.random.next_u64() % 100_000);
        self.now = self.now.saturating_add(outage);
        self.store.take_over(&self.owner(), self.now).unwrap();
    }

    /// Applies actions until the process dies or nothing is left; returns how long to wait.
    fn apply(&mut self, actions: Vec<Action>) -> Timestamp {
        let life = self.boot;
        let mut wait = Timestamp(self.now.as_micros() + 24 * 60 * MINUTE);
        for action in actions {
            if self.boot != life {
                return self.now;
            }
            match action {
                Action::Register { job, definition, since } => {
                    self.store.register_schedule(&job, &definition, since).unwrap();
                }
                Action::Launch { job, logical_time } => {
                    assert!(logical_time <= self.now);
                    let run = self.new_run(&job, Trigger::Schedule, 1);
                    let run = self.store.launch_tick(&job, logical_time, &run, self.now).unwrap();
                    self.start(run);
                }
                Action::Retry { job, of, attempt } => {
                    assert!(self.store.run(of).unwrap().unwrap().status.is_final());
                    let run = self.store.create_run(&self.new_run(&job, Trigger::Retry, attempt), self.now).unwrap();
                    self.start(run);
                }
                Action::Start { run, .. } => self.start(run),
                Action::RecordSkipped { job, logical_time, count, reason } => {
                    self.store.skip_ticks(&job, &[(logical_time, reason)], self.now).unwrap();
                    *self.shared.entry(job).or_default() += count - 1;
                }
                Action::WaitUntil(at) => {
                    assert!(at > self.now, "waiting for the past");
                    wait = at;
                }
                Action::LaunchRequested { .. } | Action::Refuse { .. } => panic!("nobody asked: {action:?}"),
            }
        }
        self.going.values().copied().min().map_or(wait, |end| wait.min(end)).max(self.now)
    }

    fn end_runs(&mut self) {
        let ended: Vec<RunId> = self.going.iter().filter(|(_, end)| **end <= self.now).map(|(run, _)| *run).collect();
        for run in ended {
            let end = if self.chance(5) {
                RunEnd::Failed { message: String::from("no") }
            } else {
                RunEnd::Succeeded { publications: Vec::new(), fingerprints: Vec::new() }
            };
            self.store.finish_run(run, &self.owner(), &end, self.now).unwrap();
            self.going.remove(&run);
        }
    }

    fn step(&mut self) {
        self.end_runs();
        let actions = decide(&self.jobs, &self.view(), self.now, &Event::Wake);
        let next = self.apply(actions);
        if self.chance(2_000) {
            self.crash();
        } else if self.chance(2_000) {
            self.now = Timestamp(self.now.as_micros() - 120 * MINUTE);
        } else {
            self.now = next;
        }
    }
}

fn check_days(seed: u64, days: u64) {
    let mut world = World::new(seed);
    let start = world.now;
    while world.now.since(start).as_secs() < days * 86_400 {
        world.step();
    }
    for job in &world.jobs {
        let schedule = job.schedule.as_ref().unwrap();
        let mut ticks = world.store.ticks(&job.name, usize::MAX).unwrap();
        ticks.reverse();
        let last = ticks.last().unwrap().logical_time;
        let mut due = 0;
        let mut at = start;
        while let Some(next) = schedule.next_tick(at).filter(|next| *next <= last) {
            due += 1;
            at = next;
        }
        let shared = world.shared.get(&job.name).copied().unwrap_or(0);
        assert_eq!(ticks.len() as u64 + shared, due, "seed {seed}, {}: recorded and due", job.name);
        assert!(ticks.iter().all(|tick| schedule.next_tick(Timestamp(tick.logical_time.as_micros() - 1))
            == Some(tick.logical_time)));
        let launched = ticks.iter().filter(|tick| matches!(tick.outcome, TickOutcome::Run(_))).count();
        assert!(launched * 3 > ticks.len(), "seed {seed}, {}: {launched} of {} ran", job.name, ticks.len());
        if job.missed == MissedTicks::RunAll {
            assert_eq!(launched, ticks.len(), "seed {seed}: run_all skips nothing below the cap");
        }
    }
}

#[test]
fn in_a_year_of_crashes_and_clock_jumps_every_tick_is_accounted_for_once() {
    check_days(0, 365);
    for seed in 1..8 {
        check_days(seed, 30);
    }
}

#[test]
fn a_long_outage_launches_no_more_than_the_cap() {
    let mut job = job("j", Schedule::every(Duration::from_secs(60)).unwrap(), MissedTicks::RunAll, 0);
    let definition = job.schedule.as_ref().unwrap().definition();
    let view = JobView { definition, ..JobView::default() };
    let view = View { jobs: BTreeMap::from([(String::from("j"), view)]) };
    let decided = |job: &Job| decide(std::slice::from_ref(job), &view, Timestamp(1000 * MINUTE), &Event::Wake);
    let actions = decided(&job);
    assert!(matches!(actions.first(), Some(Action::RecordSkipped { count: 900, logical_time, .. })
        if *logical_time == Timestamp(900 * MINUTE)));
    let launch = |minute: i64| Action::Launch { job: String::from("j"), logical_time: Timestamp(minute * MINUTE) };
    assert_eq!(actions.get(1..), Some(&[launch(901)][..]));
    job.missed = MissedTicks::RunLast;
    assert_eq!(decided(&job).last(), Some(&launch(1000)));
    assert_eq!(decided(&job).len(), 1 + MISSED_CAP);
}

#[test]
fn a_request_runs_at_once_or_is_refused() {
    let job = job("j", Schedule::every(Duration::from_secs(60)).unwrap(), MissedTicks::Skip, 0);
    let definition = job.schedule.as_ref().unwrap().definition();
    let mut view = View::default();
    view.jobs.insert(String::from("j"), JobView { definition, ..JobView::default() });
    let request = |name: &str, view: &View| {
        let event = Event::Requested { job: name.to_owned() };
        decide(std::slice::from_ref(&job), view, Timestamp(1), &event)
    };
    assert_eq!(request("j", &view), [Action::LaunchRequested { job: String::from("j") }]);
    assert!(matches!(request("k", &view).first(), Some(Action::Refuse { .. })));
    view.jobs.get_mut("j").unwrap().queued.push(RunId(7));
    let start = Action::Start { job: String::from("j"), run: RunId(7) };
    assert!(matches!(request("j", &view).as_slice(), [first, Action::Refuse { .. }] if *first == start));
}
