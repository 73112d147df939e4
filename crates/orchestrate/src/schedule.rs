//! When a job is due.
//!
//! A cron expression speaks of wall-clock time in its zone. Where the zone's clock is set:
//!
//! - **forward**: a time that does not exist happens at the first instant that does; several such times happen once;
//! - **back**: a time that exists twice happens at its first occurrence only, unless the schedule is hourly or more
//!   frequent, which then keeps its rhythm and happens at both.
//!
//! `croner` enumerates wall-clock times here, as if the zone never changed; the mapping to instants is ours, because its
//! own search does not move strictly forward where a clock is set back and passes over gaps longer than two hours.

use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, MappedLocalTime, NaiveDateTime, Offset, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use croner::Cron;
use headwater_project::Timestamp;

use crate::error::Error;

#[derive(Clone, Debug)]
pub enum Schedule {
    Cron(Box<CronSchedule>),
    /// Whole multiples of the period since 1970, so that the times do not depend on when the process started.
    Every(Duration),
}

#[derive(Clone, Debug)]
pub struct CronSchedule {
    text: String,
    cron: Cron,
    zone: Tz,
    /// Hourly or more frequent.
    frequent: bool,
}

impl Schedule {
    pub fn cron(text: &str, zone: &str) -> Result<Self, Error> {
        let cron = Cron::from_str(text).map_err(|source| Error::Cron { text: text.to_owned(), source })?;
        let zone = Tz::from_str(zone).map_err(|_| Error::TimeZone { name: zone.to_owned() })?;
        let frequent = is_frequent(&cron);
        let schedule = CronSchedule { text: text.to_owned(), cron, zone, frequent };
        match schedule.next_wall_time(NaiveDateTime::default(), true) {
            Some(_) => Ok(Self::Cron(Box::new(schedule))),
            None => Err(Error::NeverFires { text: text.to_owned() }),
        }
    }

    pub fn every(period: Duration) -> Result<Self, Error> {
        let whole = period.subsec_nanos() == 0 && period.as_secs() >= 1 && i64::try_from(period.as_micros()).is_ok();
        if whole { Ok(Self::Every(period)) } else { Err(Error::Period(period)) }
    }

    /// The schedule as one line of text; two schedules with the same text are due at the same times.
    pub fn definition(&self) -> String {
        match self {
            Self::Cron(cron) => format!("cron {} {}", cron.text, cron.zone.name()),
            Self::Every(period) => format!("every {}s", period.as_secs()),
        }
    }

    /// The first time due strictly after `after`. None when there is none before the end of time.
    pub fn next_tick(&self, after: Timestamp) -> Option<Timestamp> {
        match self {
            Self::Cron(cron) => cron.next_tick(after),
            Self::Every(period) => {
                let period = i64::try_from(period.as_micros()).ok()?;
                after.as_micros().div_euclid(period).checked_add(1)?.checked_mul(period).map(Timestamp)
            }
        }
    }
}

/// Several times within an hour, or every hour of the day.
fn is_frequent(cron: &Cron) -> bool {
    let matching = |range: std::ops::Range<u32>, matches: &dyn Fn(u32) -> bool| range.filter(|at| matches(*at)).count();
    let minutes = matching(0..60, &|minute| cron.pattern.minute_match(minute).unwrap_or(false));
    let seconds = matching(0..60, &|second| cron.pattern.second_match(second).unwrap_or(false));
    let hours = matching(0..24, &|hour| cron.pattern.hour_match(hour).unwrap_or(false));
    minutes > 1 || seconds > 1 || hours == 24
}

impl CronSchedule {
    fn next_tick(&self, after: Timestamp) -> Option<Timestamp> {
        // Ticks are whole seconds: one is after `after` exactly when it is after the second `after` lies in.
        let after = DateTime::from_timestamp(after.as_micros().div_euclid(1_000_000), 0)?;
        let wall = self.wall_time(after);
        let first = self.next_first_occurrence(wall, after);
        let tick = if self.frequent { self.with_second_pass(wall, after, first) } else { first };
        tick.map(|tick| Timestamp(tick.timestamp_micros()))
    }

    fn wall_time(&self, instant: DateTime<Utc>) -> NaiveDateTime {
        instant.with_timezone(&self.zone).naive_local()
    }

    fn next_wall_time(&self, from: NaiveDateTime, inclusive: bool) -> Option<NaiveDateTime> {
        self.cron.find_next_occurrence(&from.and_utc(), inclusive).ok().map(|found| found.naive_utc())
    }

    /// First occurrences grow with the wall time, so the first one after `after` is the answer. Only in the second pass
    /// of a repeated hour are there any to step over.
    fn next_first_occurrence(&self, wall: NaiveDateTime, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let mut wall = wall;
        loop {
            wall = self.next_wall_time(wall, false)?;
            let instant = match self.zone.from_local_datetime(&wall) {
                MappedLocalTime::Single(instant) | MappedLocalTime::Ambiguous(instant, _) => instant.to_utc(),
                MappedLocalTime::None => self.end_of_gap(wall)?,
            };
            if instant > after {
                return Some(instant);
            }
        }
    }

    /// In or before the second pass of a repeated hour, the earlier of `first` and the next time of that pass.
    fn with_second_pass(
        &self,
        wall: NaiveDateTime,
        after: DateTime<Utc>,
        first: Option<DateTime<Utc>>,
    ) -> Option<DateTime<Utc>> {
        let MappedLocalTime::Ambiguous(_, again) = self.zone.from_local_datetime(&wall) else {
            return first;
        };
        let again = again.to_utc();
        let second = if again <= after {
            self.next_wall_time(wall, false)
        } else {
            let set_back = self.change_between(after, again);
            if first.is_some_and(|first| first < set_back) {
                return first;
            }
            self.next_wall_time(self.wall_time(set_back), true)
        };
        let second = second.and_then(|wall| match self.zone.from_local_datetime(&wall) {
            MappedLocalTime::Ambiguous(_, second) => Some(second.to_utc()),
            _ => None,
        });
        first.into_iter().chain(second).min()
    }

    /// The first instant whose wall time is not before `wall`, which does not exist.
    fn end_of_gap(&self, wall: NaiveDateTime) -> Option<DateTime<Utc>> {
        // No zone is more than 26 hours from the wall time read as UTC.
        let margin = TimeDelta::hours(26);
        let start = wall.and_utc().checked_sub_signed(margin)?;
        let end = wall.and_utc().checked_add_signed(margin)?;
        Some(first_instant(start, end, |instant| self.wall_time(instant) >= wall))
    }

    /// When the clock is set between two instants of different offset.
    fn change_between(&self, start: DateTime<Utc>, end: DateTime<Utc>) -> DateTime<Utc> {
        let offset = |instant: DateTime<Utc>| instant.with_timezone(&self.zone).offset().fix();
        let before = offset(start);
        first_instant(start, end, |instant| offset(instant) != before)
    }
}

/// The first second in `(start, end]` where `holds`; it does at `end` and goes on holding once it does.
fn first_instant(start: DateTime<Utc>, end: DateTime<Utc>, holds: impl Fn(DateTime<Utc>) -> bool) -> DateTime<Utc> {
    let (mut start, mut end) = (start, end);
    while (end - start).num_seconds() > 1 {
        let middle = start + TimeDelta::seconds((end - start).num_seconds() / 2);
        if holds(middle) {
            end = middle;
        } else {
            start = middle;
        }
    }
    end
}
