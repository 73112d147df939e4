//! The records of an event, and the trouble asked for: what comes late, twice or damaged.

use headwater_project::Timestamp;

use super::{Output, Sessions};
use crate::generator::Generated;
use crate::sessions::chain::Page;
use crate::sessions::config::FaultShares;
use crate::sessions::faults::mangle;
use crate::sessions::render::{Event, Renderer, Topic};
use crate::sessions::state::{Delayed, UNREGISTERED, User};
use crate::sessions::world::Profile;

/// A duplicate follows its original within a minute.
const DUPLICATE_MAX_DELAY_MILLIS: u64 = 60_000;
/// Bound of the records that wait for a late delivery: about 150 MB.
const WAITING_LIMIT: usize = 2_000_000;

impl Sessions {
    /// Writes the records of the event that is due.
    pub(super) fn emit_event(&mut self, now: i64, user: &mut User, output: &mut Output<'_>) {
        let Some(state) = self.renderer.chain.state(user.state) else { return };
        let (page, guest) = (state.page, state.guest);
        if user.fresh {
            user.session = self.live.next_session;
            self.live.next_session += 1;
            user.item = 0;
            user.song_end = i64::MIN;
        }
        if !guest && user.registration == UNREGISTERED {
            user.registration = now;
        }
        let mut event = Event {
            at: now,
            // A configuration may show users in the guest state; the first visit stands for their registration.
            registration: if user.registration == UNREGISTERED { now } else { user.registration },
            session: user.session,
            ordinal: user.ordinal,
            item: user.item,
            song: 0,
            state: user.state,
            revenue: 0,
        };
        match page {
            Page::Song => {
                event.song = self.renderer.catalog.draw.draw(&mut user.stream) as u32;
                let length =
                    self.renderer.catalog.songs.get(event.song as usize).map_or(0, |song| song.duration_millis());
                user.song_end = now + length;
            }
            Page::Advertisement => event.revenue = 5 + user.stream.below(6) as u8,
            Page::LevelChange | Page::Login | Page::Other => {}
        }
        if !guest && !user.introduced {
            user.introduced = true;
            self.emit(Topic::UserInfo, &event, &user.profile, output);
        }
        self.emit(Topic::PageViewEvents, &event, &user.profile, output);
        if page == Page::Song {
            self.emit(Topic::ListenEvents, &event, &user.profile, output);
        }
        if page == Page::LevelChange {
            self.emit(Topic::StatusChangeEvents, &event, &user.profile, output);
        }
        if user.from_login {
            self.emit(Topic::AuthEvents, &event, &user.profile, output);
        }
    }

    fn emit(&mut self, topic: Topic, event: &Event, profile: &Profile, output: &mut Output<'_>) {
        self.renderer.write(topic, event, profile, &mut self.record);
        let delivered_at = match self.faults {
            None => event.at,
            Some(faults) => self.trouble(faults, topic, event, output),
        };
        if delivered_at == event.at {
            let counts = &mut self.live.counts[topic.index()];
            counts.delivered += 1;
            counts.good += 1;
            output.record(generated(&self.renderer, topic, event, &self.record));
        }
    }

    /// Draws the faults of one record and stages what comes later. Returns when the record itself is delivered.
    fn trouble(&mut self, faults: FaultShares, topic: Topic, event: &Event, output: &mut Output<'_>) -> i64 {
        let troubles = &mut self.live.troubles;
        let late = troubles.chance(faults.late);
        let duplicate = troubles.chance(faults.duplicate);
        let malformed = troubles.chance(faults.malformed);
        let mut delivered_at = event.at;
        if late {
            let delay = 1 + self.live.troubles.below(((faults.late_max_delay * 1_000.0) as u64).max(1)) as i64;
            if self.stage(event.at.saturating_add(delay), false, topic, event) {
                delivered_at = event.at.saturating_add(delay);
            }
        }
        if duplicate {
            let delay = 1 + self.live.troubles.below(DUPLICATE_MAX_DELAY_MILLIS) as i64;
            self.stage(delivered_at.saturating_add(delay), true, topic, event);
        }
        if malformed {
            mangle(&self.record, &mut self.live.troubles, &mut self.mangled);
            let counts = &mut self.live.counts[topic.index()];
            counts.delivered += 1;
            counts.malformed += 1;
            output.record(generated(&self.renderer, topic, event, &self.mangled));
        }
        delivered_at
    }

    fn stage(&mut self, due: i64, duplicate: bool, topic: Topic, event: &Event) -> bool {
        let room = self.live.delayed.len() < WAITING_LIMIT;
        let counts = &mut self.live.counts[topic.index()];
        if room {
            counts.waiting += 1;
            let sequence = self.live.staged;
            self.live.staged += 1;
            self.live.delayed.push(Delayed { due, sequence, duplicate, topic, event: *event });
        } else {
            counts.faults_skipped += 1;
        }
        room
    }

    pub(super) fn deliver(&mut self, output: &mut Output<'_>) {
        let Some(delayed) = self.live.delayed.pop() else { return };
        let counts = &mut self.live.counts[delayed.topic.index()];
        counts.waiting -= 1;
        counts.delivered += 1;
        if delayed.duplicate {
            counts.duplicates += 1;
        } else {
            counts.good += 1;
            counts.late += 1;
        }
        let profile = self.renderer.world.profile(delayed.event.ordinal);
        self.renderer.write(delayed.topic, &delayed.event, &profile, &mut self.record);
        output.record(generated(&self.renderer, delayed.topic, &delayed.event, &self.record));
    }
}

fn generated<'a>(renderer: &Renderer, topic: Topic, event: &Event, payload: &'a [u8]) -> Generated<'a> {
    Generated {
        topic: topic.index(),
        key: renderer.user_id(event.ordinal),
        timestamp: Timestamp::from_millis(event.at),
        payload,
    }
}
