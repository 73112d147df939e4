//! Everything about a running simulation that changes, and how it is stored.
//!
//! # Snapshot format, version 1
//! All numbers little-endian, no padding.
//!
//! | part | content |
//! | --- | --- |
//! | header | magic `HWSESSN\n` (8 bytes), version u32, fingerprint u64 |
//! | scalars | next_ordinal u32, next_session u64, present u64, arrivals u64, next_arrival f64 bits u64, troubles u64, staged u64 |
//! | counts | 5 topics x (delivered, good, late, duplicates, malformed, waiting, faults_skipped), u64 each |
//! | users | count u32, then 61 bytes each: ordinal u32, alpha f32, beta f32, stream u64, registration i64, song_end i64, leaves_at i64, session u64, item u32, state u16, pair u16, flags u8 (1 fresh, 2 introduced, 4 from_login) |
//! | free | count u32, then slot u32 each |
//! | queue | count u32, then (at i64, slot u32) each, in any order |
//! | delayed | count u32, then 57 bytes each: due i64, sequence u64, duplicate u8, topic u8, and the event: at i64, registration i64, session u64, ordinal u32, item u32, song u32, state u16, revenue u8 |
//! | trailer | CRC-32C u32 of all bytes before it |
//!
//! Invariants: the fingerprint is that of the configuration and the embedded tables, since any other would continue with other
//! records; a slot of the queue is below the number of users; slots occur once, in the queue or in the free list or
//! (a user whose next event is after the end) in neither. Profiles are not stored: seed and ordinal determine them.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::io::{self, Read, Write};

use super::chain::StateId;
use super::render::{Event, TOPIC_COUNT, Topic};
use super::world::Profile;
use crate::error::SimError;
use crate::generator::TopicCounts;
use crate::random::Stream;

const MAGIC: &[u8; 8] = b"HWSESSN\n";
const VERSION: u32 = 1;
/// Memory set aside on the word of a count that is not verified yet.
const TRUSTED_CAPACITY: usize = 1 << 16;

/// Registration of a user who has not registered yet.
pub const UNREGISTERED: i64 = i64::MIN;

/// One user. Kept small: there may be millions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct User {
    pub ordinal: u32,
    /// Mean seconds between events and between sessions of this user.
    pub alpha: f32,
    pub beta: f32,
    pub stream: Stream,
    pub registration: i64,
    /// When the song that plays ends; in the past when none does.
    pub song_end: i64,
    pub leaves_at: i64,
    pub session: u64,
    pub item: u32,
    /// The state of the event that is due next.
    pub state: StateId,
    /// (auth, level) the user is in.
    pub pair: u16,
    /// The event due next is the first of a session.
    pub fresh: bool,
    /// The user's `user_info` was written.
    pub introduced: bool,
    pub from_login: bool,
    pub profile: Profile,
}

/// When a user is due. The order is that of time, then of users, so that ties do not depend on history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub at: i64,
    pub ordinal: u32,
    pub slot: u32,
}

impl Ord for Due {
    /// Reversed: the greatest element of the heap is the earliest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.ordinal).cmp(&(self.at, self.ordinal))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A record that waits for its delivery: late, or the second copy of a duplicate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delayed {
    pub due: i64,
    /// Breaks ties in the order of staging.
    pub sequence: u64,
    pub duplicate: bool,
    pub topic: Topic,
    pub event: Event,
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.sequence).cmp(&(self.due, self.sequence))
    }
}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Clone, Debug)]
pub struct LiveState {
    pub next_ordinal: u32,
    pub next_session: u64,
    /// Users who have neither churned nor left.
    pub present: u64,
    pub arrivals: Stream,
    /// Seconds since 1970 of the next arrival; infinite when nobody will come.
    pub next_arrival: f64,
    pub troubles: Stream,
    /// Number of records ever staged for later.
    pub staged: u64,
    pub counts: [TopicCounts; TOPIC_COUNT],
    pub users: Vec<User>,
    pub free: Vec<u32>,
    pub queue: BinaryHeap<Due>,
    pub delayed: BinaryHeap<Delayed>,
}

pub fn write_snapshot(state: &LiveState, fingerprint: u64, out: &mut dyn Write) -> io::Result<()> {
    let mut out = Summing { inner: io::BufWriter::with_capacity(1 << 16, out), sum: 0 };
    out.put(MAGIC)?;
    out.put(&VERSION.to_le_bytes())?;
    out.put(&fingerprint.to_le_bytes())?;
    out.put(&state.next_ordinal.to_le_bytes())?;
    for number in [
        state.next_session,
        state.present,
        state.arrivals.state,
        state.next_arrival.to_bits(),
        state.troubles.state,
        state.staged,
    ] {
        out.put(&number.to_le_bytes())?;
    }
    for number in state.counts.iter().flat_map(counters) {
        out.put(&number.to_le_bytes())?;
    }
    out.count(state.users.len())?;
    for user in &state.users {
        put_user(&mut out, user)?;
    }
    out.count(state.free.len())?;
    for slot in &state.free {
        out.put(&slot.to_le_bytes())?;
    }
    out.count(state.queue.len())?;
    for due in &state.queue {
        out.put(&due.at.to_le_bytes())?;
        out.put(&due.slot.to_le_bytes())?;
    }
    out.count(state.delayed.len())?;
    for delayed in &state.delayed {
        put_delayed(&mut out, delayed)?;
    }
    let sum = out.sum;
    out.put(&sum.to_le_bytes())?;
    out.inner.flush()
}

fn counters(counts: &TopicCounts) -> [u64; 7] {
    let TopicCounts { delivered, good, late, duplicates, malformed, waiting, faults_skipped } = *counts;
    [delivered, good, late, duplicates, malformed, waiting, faults_skipped]
}

struct Summing<W> {
    inner: W,
    sum: u32,
}

impl<W: Write> Summing<W> {
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.sum = crc32c::crc32c_append(self.sum, bytes);
        self.inner.write_all(bytes)
    }

    fn count(&mut self, count: usize) -> io::Result<()> {
        let count = u32::try_from(count).map_err(|_| io::Error::other("more than 2^32 entries in a snapshot"))?;
        self.put(&count.to_le_bytes())
    }
}

fn put_user<W: Write>(out: &mut Summing<W>, user: &User) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(61);
    bytes.extend_from_slice(&user.ordinal.to_le_bytes());
    bytes.extend_from_slice(&user.alpha.to_le_bytes());
    bytes.extend_from_slice(&user.beta.to_le_bytes());
    bytes.extend_from_slice(&user.stream.state.to_le_bytes());
    for time in [user.registration, user.song_end, user.leaves_at] {
        bytes.extend_from_slice(&time.to_le_bytes());
    }
    bytes.extend_from_slice(&user.session.to_le_bytes());
    bytes.extend_from_slice(&user.item.to_le_bytes());
    bytes.extend_from_slice(&user.state.to_le_bytes());
    bytes.extend_from_slice(&user.pair.to_le_bytes());
    bytes.push(u8::from(user.fresh) | u8::from(user.introduced) << 1 | u8::from(user.from_login) << 2);
    out.put(&bytes)
}

fn put_delayed<W: Write>(out: &mut Summing<W>, delayed: &Delayed) -> io::Result<()> {
    let event = &delayed.event;
    let mut bytes = Vec::with_capacity(57);
    bytes.extend_from_slice(&delayed.due.to_le_bytes());
    bytes.extend_from_slice(&delayed.sequence.to_le_bytes());
    bytes.extend_from_slice(&[u8::from(delayed.duplicate), delayed.topic as u8]);
    bytes.extend_from_slice(&event.at.to_le_bytes());
    bytes.extend_from_slice(&event.registration.to_le_bytes());
    bytes.extend_from_slice(&event.session.to_le_bytes());
    for number in [event.ordinal, event.item, event.song] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes.extend_from_slice(&event.state.to_le_bytes());
    bytes.push(event.revenue);
    out.put(&bytes)
}

/// Reads a snapshot back. `profile` derives what is not stored.
pub fn read_snapshot(
    input: &mut dyn Read,
    fingerprint: u64,
    profile: impl Fn(u32) -> Profile,
) -> Result<LiveState, SimError> {
    let mut input = Reading { inner: io::BufReader::with_capacity(1 << 16, input), sum: 0 };
    if &input.take::<8>()? != MAGIC {
        return Err(SimError::SnapshotFormat("it does not begin like one"));
    }
    if input.u32()? != VERSION {
        return Err(SimError::SnapshotFormat("its version is unknown"));
    }
    if input.u64()? != fingerprint {
        return Err(SimError::SnapshotMismatch);
    }
    let mut state = LiveState {
        next_ordinal: input.u32()?,
        next_session: input.u64()?,
        present: input.u64()?,
        arrivals: Stream { state: input.u64()? },
        next_arrival: f64::from_bits(input.u64()?),
        troubles: Stream { state: input.u64()? },
        staged: input.u64()?,
        counts: [TopicCounts::default(); TOPIC_COUNT],
        users: Vec::new(),
        free: Vec::new(),
        queue: BinaryHeap::new(),
        delayed: BinaryHeap::new(),
    };
    for counts in &mut state.counts {
        *counts = input.counts()?;
    }
    state.users = input.list(|input| input.user(&profile))?;
    state.free = input.list(Reading::u32)?;
    let users = &state.users;
    state.queue = input.list(|input| input.due(users))?.into();
    state.delayed = input.list(Reading::delayed)?.into();
    let sum = input.sum;
    if input.u32()? != sum {
        return Err(SimError::SnapshotFormat("its checksum does not match"));
    }
    if state.free.iter().any(|slot| *slot as usize >= state.users.len()) {
        return Err(SimError::SnapshotFormat("it frees a user it does not have"));
    }
    Ok(state)
}

struct Reading<R> {
    inner: R,
    sum: u32,
}

impl<R: Read> Reading<R> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], SimError> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(SimError::SnapshotRead)?;
        self.sum = crc32c::crc32c_append(self.sum, &bytes);
        Ok(bytes)
    }

    fn u8(&mut self) -> Result<u8, SimError> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn u16(&mut self) -> Result<u16, SimError> {
        self.take().map(u16::from_le_bytes)
    }

    fn u32(&mut self) -> Result<u32, SimError> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, SimError> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Result<i64, SimError> {
        self.take().map(i64::from_le_bytes)
    }

    fn f32(&mut self) -> Result<f32, SimError> {
        self.take().map(f32::from_le_bytes)
    }

    fn list<T>(&mut self, mut entry: impl FnMut(&mut Self) -> Result<T, SimError>) -> Result<Vec<T>, SimError> {
        let count = self.u32()? as usize;
        let mut list = Vec::with_capacity(count.min(TRUSTED_CAPACITY));
        for _ in 0..count {
            list.push(entry(self)?);
        }
        Ok(list)
    }

    fn counts(&mut self) -> Result<TopicCounts, SimError> {
        Ok(TopicCounts {
            delivered: self.u64()?,
            good: self.u64()?,
            late: self.u64()?,
            duplicates: self.u64()?,
            malformed: self.u64()?,
            waiting: self.u64()?,
            faults_skipped: self.u64()?,
        })
    }

    fn user(&mut self, profile: &impl Fn(u32) -> Profile) -> Result<User, SimError> {
        let ordinal = self.u32()?;
        let mut user = User {
            ordinal,
            alpha: self.f32()?,
            beta: self.f32()?,
            stream: Stream { state: self.u64()? },
            registration: self.i64()?,
            song_end: self.i64()?,
            leaves_at: self.i64()?,
            session: self.u64()?,
            item: self.u32()?,
            state: self.u16()?,
            pair: self.u16()?,
            fresh: false,
            introduced: false,
            from_login: false,
            profile: profile(ordinal),
        };
        let flags = self.u8()?;
        (user.fresh, user.introduced, user.from_login) = (flags & 1 != 0, flags & 2 != 0, flags & 4 != 0);
        Ok(user)
    }

    fn due(&mut self, users: &[User]) -> Result<Due, SimError> {
        let (at, slot) = (self.i64()?, self.u32()?);
        let user = users.get(slot as usize).ok_or(SimError::SnapshotFormat("it waits for a user it does not have"))?;
        Ok(Due { at, ordinal: user.ordinal, slot })
    }

    fn delayed(&mut self) -> Result<Delayed, SimError> {
        let (due, sequence, duplicate) = (self.i64()?, self.u64()?, self.u8()? != 0);
        let topic = Topic::ALL.get(usize::from(self.u8()?)).copied();
        let event = Event {
            at: self.i64()?,
            registration: self.i64()?,
            session: self.u64()?,
            ordinal: self.u32()?,
            item: self.u32()?,
            song: self.u32()?,
            state: self.u16()?,
            revenue: self.u8()?,
        };
        let topic = topic.ok_or(SimError::SnapshotFormat("it holds a record of an unknown topic"))?;
        Ok(Delayed { due, sequence, duplicate, topic, event })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(ordinal: u32) -> Profile {
        Profile { place: ordinal, first_name: 1, surname: 2, agent: 3 }
    }

    fn sample() -> LiveState {
        let user = User {
            ordinal: 7,
            alpha: 90.5,
            beta: 604_800.0,
            stream: Stream { state: 0x0123_4567_89ab_cdef },
            registration: UNREGISTERED,
            song_end: 1_541_116_800_123,
            leaves_at: i64::MAX,
            session: 42,
            item: 3,
            state: 5,
            pair: 2,
            fresh: true,
            introduced: false,
            from_login: true,
            profile: profile(7),
        };
        let event = Event {
            at: 1_541_116_800_000,
            registration: 1_500_000_000_000,
            session: 41,
            ordinal: 6,
            item: 2,
            song: 99,
            state: 4,
            revenue: 7,
        };
        let mut counts = [TopicCounts::default(); TOPIC_COUNT];
        counts[1] = TopicCounts {
            delivered: 12,
            good: 10,
            late: 3,
            duplicates: 1,
            malformed: 1,
            waiting: 1,
            faults_skipped: 0,
        };
        LiveState {
            next_ordinal: 8,
            next_session: 43,
            present: 1,
            arrivals: Stream { state: 11 },
            next_arrival: f64::INFINITY,
            troubles: Stream { state: 12 },
            staged: 5,
            counts,
            users: vec![User { ordinal: 6, profile: profile(6), ..user }, user],
            free: vec![0],
            queue: vec![Due { at: 1_541_116_900_000, ordinal: 7, slot: 1 }].into(),
            delayed: vec![Delayed {
                due: 1_541_116_860_000,
                sequence: 4,
                duplicate: true,
                topic: Topic::PageViewEvents,
                event,
            }]
            .into(),
        }
    }

    fn written(state: &LiveState) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_snapshot(state, 0xfeed, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn version_1_stays_readable_byte_for_byte() {
        let golden = include_bytes!("../../tests-data/sessions-snapshot-v1.bin");
        assert_eq!(written(&sample()), golden);
        let state = read_snapshot(&mut golden.as_slice(), 0xfeed, profile).unwrap();
        assert_eq!(state.users, sample().users);
        assert_eq!(state.counts, sample().counts);
        assert_eq!(state.queue.into_vec(), sample().queue.into_vec());
        assert_eq!(state.delayed.into_vec(), sample().delayed.into_vec());
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let good = written(&sample());
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(read_snapshot(&mut bad.as_slice(), 0xfeed, profile).is_err(), "byte {at}");
        }
        for length in 0..good.len() {
            assert!(read_snapshot(&mut &good[..length], 0xfeed, profile).is_err(), "length {length}");
        }
    }

    #[test]
    fn snapshot_of_another_configuration_is_refused() {
        let refused = read_snapshot(&mut written(&sample()).as_slice(), 0xbeef, profile);
        assert!(matches!(refused, Err(SimError::SnapshotMismatch)));
    }
}
