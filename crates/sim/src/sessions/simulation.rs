//! Runs the simulation: whoever is due next acts, in the order of (time, user), and the trouble asked for is added on the way.
//!
//! Every user has a stream of random numbers of their own, so what one does never depends on the others. Three things are
//! shared and happen in one order: session numbers, arrivals, and faults.

mod emission;

use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::io::{self, Read, Write};

use headwater_project::{Severity, Timestamp};

use super::calendar::DAY_SECONDS;
use super::catalog::{self, Catalog};
use super::chain::{Chain, Page, StateId};
use super::config::{FaultShares, SessionsConfig};
use super::lint::lint;
use super::render::{Renderer, TOPIC_COUNT, topics};
use super::rhythm::Rhythm;
use super::state::{Due, LiveState, UNREGISTERED, User, read_snapshot, write_snapshot};
use super::world::{self, ROLE_LIFE, World};
use crate::error::SimError;
use crate::generator::{
    Counts, Generated, Generator, Produced, RecordSink, ReferenceTable, Stop, TopicCounts, TopicSpec,
};
use crate::random::Stream;

const ROLE_ARRIVALS: u64 = 5;
const ROLE_TROUBLES: u64 = 6;
const YEAR_SECONDS: f64 = 365.0 * DAY_SECONDS as f64;
/// Spread of the personal factors on alpha and beta.
const SIGMA: f64 = 1.0;
/// People who were users before the start registered at most this long ago.
const OLDEST_REGISTRATION_SECONDS: f64 = 5.0 * YEAR_SECONDS;
const REDIRECT_MILLIS: i64 = 1_000;
/// Users beyond this many at once are turned away; it bounds memory when growth runs for very long.
const USER_LIMIT: u64 = u32::MAX as u64 - 1;

/// The `sessions` generator.
#[derive(Debug)]
pub struct Sessions {
    renderer: Renderer,
    rhythm: Rhythm,
    topics: Vec<TopicSpec>,
    faults: Option<FaultShares>,
    growth_rate: f64,
    attrition_rate: f64,
    end: i64,
    seed: u64,
    fingerprint: u64,
    live: LiveState,
    record: Vec<u8>,
    mangled: Vec<u8>,
}

struct Output<'a> {
    sink: &'a mut dyn RecordSink,
    produced: Produced,
}

impl Output<'_> {
    fn record(&mut self, record: Generated<'_>) {
        self.produced.records += 1;
        self.produced.bytes += record.payload.len() as u64;
        self.sink.record(record);
    }
}

/// The three sources of what happens next. At equal times the order is that of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Deliver,
    Arrive,
    Act,
}

impl Sessions {
    /// Starts a simulation from its beginning. Errors of the linter refuse it.
    pub fn new(config: &SessionsConfig) -> Result<Self, SimError> {
        let mut sessions = Self::without_users(config)?;
        sessions.settle(config);
        Ok(sessions)
    }

    /// Continues from a snapshot of the same configuration.
    pub fn restore(config: &SessionsConfig, input: &mut dyn Read) -> Result<Self, SimError> {
        let mut sessions = Self::without_users(config)?;
        let world = &sessions.renderer.world;
        let live = read_snapshot(input, sessions.fingerprint, |ordinal| world.profile(ordinal))?;
        if live.users.iter().any(|user| sessions.renderer.chain.state(user.state).is_none()) {
            return Err(SimError::SnapshotFormat("a user is in an unknown state"));
        }
        sessions.live = live;
        Ok(sessions)
    }

    /// Users who have neither churned nor left.
    pub fn users(&self) -> u64 {
        self.live.present
    }

    fn without_users(config: &SessionsConfig) -> Result<Self, SimError> {
        let findings = lint(config);
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            let errors = findings.into_iter().filter(|finding| finding.severity == Severity::Error);
            return Err(SimError::Config(errors.collect()));
        }
        let chain = Chain::new(config).ok_or_else(|| {
            let finding = headwater_project::Diagnostic::error("the chain has more than 65,000 states");
            SimError::Config(vec![finding.hint("Merge states that behave alike.")])
        })?;
        let world = World::new(config.seed)?;
        let catalog = Catalog::new(config.seed, config.songs)?;
        let faults = config.faults;
        let troubled = faults.late > 0.0 || faults.duplicate > 0.0 || faults.malformed > 0.0;
        Ok(Self {
            renderer: Renderer::new(chain, world, catalog, config.first_user_id, config.tag.as_deref()),
            rhythm: Rhythm::new(config),
            topics: topics(config.tag.is_some()),
            faults: troubled.then_some(faults),
            growth_rate: config.growth_rate,
            attrition_rate: config.attrition_rate,
            end: config.end.map_or(i64::MAX, |end| end.as_millis()),
            seed: config.seed,
            fingerprint: fingerprint(config),
            live: LiveState {
                next_ordinal: 0,
                next_session: 1,
                present: 0,
                arrivals: Stream::of(config.seed, ROLE_ARRIVALS, 0),
                next_arrival: f64::INFINITY,
                troubles: Stream::of(config.seed, ROLE_TROUBLES, 0),
                staged: 0,
                counts: [TopicCounts::default(); TOPIC_COUNT],
                users: Vec::new(),
                free: Vec::new(),
                queue: BinaryHeap::new(),
                delayed: BinaryHeap::new(),
            },
            record: Vec::with_capacity(1_024),
            mangled: Vec::with_capacity(1_024),
        })
    }

    /// Brings in the users there are at the start.
    fn settle(&mut self, config: &SessionsConfig) {
        let start = config.start.as_millis();
        self.live.users.reserve_exact(config.n_users as usize);
        self.live.queue.reserve_exact(config.n_users as usize);
        for _ in 0..config.n_users {
            let mut user = self.born(start);
            user.pair = self.renderer.chain.initial_pair(&mut user.stream);
            let since = user.stream.exponential(YEAR_SECONDS).min(OLDEST_REGISTRATION_SECONDS);
            let seconds = start as f64 / 1_000.0;
            let first = self.rhythm.ongoing_session(seconds, f64::from(user.beta), &mut user.stream);
            self.enter(user, millis(first).max(start), start - millis(since));
        }
        self.await_arrival(start as f64 / 1_000.0);
    }

    fn born(&mut self, at: i64) -> User {
        let ordinal = self.live.next_ordinal;
        self.live.next_ordinal += 1;
        let mut stream = Stream::of(self.seed, ROLE_LIFE, u64::from(ordinal));
        let alpha = self.rhythm.alpha * stream.log_normal(SIGMA);
        let beta = self.rhythm.beta * stream.log_normal(SIGMA);
        let lifetime = if self.attrition_rate > 0.0 {
            stream.exponential(YEAR_SECONDS / self.attrition_rate)
        } else {
            f64::INFINITY
        };
        User {
            ordinal,
            alpha: alpha as f32,
            beta: beta as f32,
            stream,
            registration: UNREGISTERED,
            song_end: i64::MIN,
            leaves_at: at.saturating_add(millis(lifetime)),
            session: 0,
            item: 0,
            state: 0,
            pair: self.renderer.chain.newcomer_pair(),
            fresh: true,
            introduced: false,
            from_login: false,
            profile: self.renderer.world.profile(ordinal),
        }
    }

    /// Adds a user whose first session begins at `at`. Someone who starts as a guest registers later, in the simulation.
    fn enter(&mut self, mut user: User, at: i64, registered: i64) {
        // Nobody with this auth and level has a page to start from: such a user never shows up.
        let Some(state) = self.renderer.chain.start(user.pair, &mut user.stream) else { return };
        user.state = state;
        if self.renderer.chain.state(state).is_some_and(|state| !state.guest) {
            user.registration = registered;
        }
        self.live.present += 1;
        let slot = self.live.free.pop().unwrap_or(self.live.users.len() as u32);
        match self.live.users.get_mut(slot as usize) {
            Some(vacant) => *vacant = user,
            None => self.live.users.push(user),
        }
        let due = at.min(user.leaves_at);
        if due < self.end {
            self.live.queue.push(Due { at: due, ordinal: user.ordinal, slot });
        }
    }

    /// Draws the next arrival. The rate follows the number of users as it is now.
    fn await_arrival(&mut self, from: f64) {
        let rate = self.live.present as f64 * self.growth_rate;
        let room = u64::from(self.live.next_ordinal) < USER_LIMIT;
        self.live.next_arrival =
            if rate > 0.0 && room { from + self.live.arrivals.exponential(YEAR_SECONDS / rate) } else { f64::INFINITY };
        if self.live.next_arrival >= self.end as f64 / 1_000.0 {
            self.live.next_arrival = f64::INFINITY;
        }
    }

    fn arrive(&mut self) {
        let arrival = self.live.next_arrival;
        let user = self.born(millis(arrival));
        // Newcomers follow the hours of the day too. Adding the reach keeps the first visit from preceding the arrival.
        let first = self.rhythm.warp.apply(arrival + self.rhythm.warp.reach());
        self.enter(user, millis(first).max(millis(arrival)), millis(arrival));
        self.await_arrival(arrival);
    }

    fn next_step(&self) -> Option<(i64, Step)> {
        let delivery = self.live.delayed.peek().map(|delayed| (delayed.due, Step::Deliver));
        let arrival = self.live.next_arrival.is_finite().then(|| (millis(self.live.next_arrival), Step::Arrive));
        let action = self.live.queue.peek().map(|due| (due.at, Step::Act));
        [delivery, arrival, action].into_iter().flatten().min()
    }

    /// The user who is due acts, and is queued for the next time or gone.
    fn act(&mut self, output: &mut Output<'_>) {
        let Some(&due) = self.live.queue.peek() else { return };
        let Some(&(mut user)) = self.live.users.get(due.slot as usize) else { return };
        let next = if due.at >= user.leaves_at {
            None
        } else {
            self.emit_event(due.at, &mut user, output);
            self.plan(due.at, &mut user).map(|next| next.min(user.leaves_at))
        };
        if let Some(kept) = self.live.users.get_mut(due.slot as usize) {
            *kept = user;
        }
        if next.is_none() {
            self.live.present -= 1;
            self.live.free.push(due.slot);
        }
        let Some(mut top) = self.live.queue.peek_mut() else { return };
        match next.filter(|next| *next < self.end) {
            Some(next) => top.at = next,
            None => drop(PeekMut::pop(top)),
        }
    }

    /// Decides what the user does after the event at `now`, and when; `None` when there is no next time.
    fn plan(&self, now: i64, user: &mut User) -> Option<i64> {
        let chain = &self.renderer.chain;
        let here = chain.state(user.state)?;
        user.from_login = here.page == Page::Login;
        user.pair = here.pair;
        if let Some(next) = chain.next(user.state, &mut user.stream) {
            user.fresh = false;
            user.item = user.item.saturating_add(1);
            user.state = next;
            return Some(self.next_event_time(now, next, user));
        }
        if here.churned {
            return None;
        }
        let seconds = now as f64 / 1_000.0;
        let at = self.rhythm.next_session(seconds, f64::from(user.beta), &mut user.stream);
        user.state = chain.start(user.pair, &mut user.stream)?;
        user.fresh = true;
        user.from_login = false;
        Some(millis(at).max(now + 1))
    }

    fn next_event_time(&self, now: i64, next: StateId, user: &mut User) -> i64 {
        let Some(state) = self.renderer.chain.state(next) else { return now };
        if state.redirect {
            return now + REDIRECT_MILLIS;
        }
        if state.page == Page::Song && user.song_end > now {
            return user.song_end;
        }
        now.saturating_add(millis(user.stream.exponential(f64::from(user.alpha))).max(1))
    }
}

impl Generator for Sessions {
    fn topics(&self) -> &[TopicSpec] {
        &self.topics
    }

    fn reference_tables(&self) -> Result<Vec<ReferenceTable>, SimError> {
        Ok(vec![
            ReferenceTable { name: "songs", rows: self.renderer.catalog.table()? },
            ReferenceTable { name: "locations", rows: self.renderer.world.locations()? },
        ])
    }

    fn next_time(&self) -> Option<Timestamp> {
        self.next_step().map(|(at, _)| Timestamp::from_millis(at))
    }

    fn produce(&mut self, until: Timestamp, max_records: usize, sink: &mut dyn RecordSink) -> Produced {
        let mut output = Output { sink, produced: Produced { records: 0, bytes: 0, stop: Stop::Limit } };
        loop {
            let Some((at, step)) = self.next_step() else {
                output.produced.stop = Stop::Exhausted;
                break;
            };
            if Timestamp::from_millis(at) >= until {
                output.produced.stop = Stop::Time;
                break;
            }
            if output.produced.records >= max_records {
                break;
            }
            match step {
                Step::Deliver => self.deliver(&mut output),
                Step::Arrive => self.arrive(),
                Step::Act => self.act(&mut output),
            }
        }
        output.produced
    }

    fn snapshot(&self, out: &mut dyn Write) -> io::Result<()> {
        write_snapshot(&self.live, self.fingerprint, out)
    }

    fn counts(&self) -> Counts {
        Counts { topics: self.live.counts.to_vec() }
    }
}

/// Nearest millisecond; saturates.
fn millis(seconds: f64) -> i64 {
    (seconds * 1_000.0).round() as i64
}

/// Changes when anything does that records depend on.
fn fingerprint(config: &SessionsConfig) -> u64 {
    let tables = crc32c::crc32c_append(world::tables_checksum(), &catalog::tables_checksum().to_le_bytes());
    u64::from(crc32c::crc32c(format!("{config:?}").as_bytes())) << 32 | u64::from(tables)
}
