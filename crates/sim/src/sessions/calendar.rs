//! The rhythm of the week and the day: when people stay away (weekends, US holidays) and how the day bends time.

use chrono::{Datelike, Days, NaiveDate, Weekday};

pub const DAY_SECONDS: i64 = 86_400;
/// The quietest time of the day, in seconds after midnight UTC.
const QUIET_SECOND: f64 = 10_800.0;
/// How far ahead of its start a calendar knows the holidays. Later days count as plain weekdays.
const YEARS_AHEAD: i32 = 100;

/// Moves seconds towards the afternoon: sessions thin out at 3:00 and crowd at 15:00.
#[derive(Clone, Copy, Debug)]
pub struct DailyWarp {
    amplitude: f64,
}

impl DailyWarp {
    pub fn new(damping: f64) -> Self {
        Self { amplitude: damping * DAY_SECONDS as f64 }
    }

    pub fn apply(self, seconds: f64) -> f64 {
        let second_of_day = seconds.rem_euclid(DAY_SECONDS as f64);
        let angle = std::f64::consts::TAU * (second_of_day - QUIET_SECOND) / DAY_SECONDS as f64;
        seconds + self.amplitude * angle.sin()
    }

    /// The farthest a time can be moved either way.
    pub fn reach(self) -> f64 {
        self.amplitude.abs()
    }
}

/// A stretch of days off, from its first midnight to the one after its last day, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct DaysOff {
    first_midnight: i64,
    last_midnight: i64,
}

/// Share of sessions that do not happen because it is a weekend or a holiday.
#[derive(Clone, Debug)]
pub struct WeekendDamping {
    share: f64,
    offset: f64,
    scale: f64,
    stretches: Vec<DaysOff>,
}

impl WeekendDamping {
    /// `offset` and `scale` in seconds: a ramp of `scale` opens `offset` before the first midnight of a stretch of days off,
    /// and one closes `offset` after the last midnight.
    pub fn new(share: f64, offset: f64, scale: f64, start_seconds: i64) -> Self {
        let stretches = if share > 0.0 { stretches_from(start_seconds) } else { Vec::new() };
        Self { share, offset, scale, stretches }
    }

    pub fn at(&self, seconds: f64) -> f64 {
        let from = self.stretches.partition_point(|stretch| stretch.last_midnight as f64 + self.offset <= seconds);
        let near = self.stretches.get(from..).unwrap_or_default();
        let opened = near.iter().take_while(|stretch| stretch.first_midnight as f64 - self.offset < seconds);
        opened.map(|stretch| self.share * self.height(*stretch, seconds)).fold(0.0, f64::max)
    }

    fn height(&self, stretch: DaysOff, seconds: f64) -> f64 {
        let since_opening = seconds - (stretch.first_midnight as f64 - self.offset);
        let until_closing = stretch.last_midnight as f64 + self.offset - seconds;
        let nearest = since_opening.min(until_closing);
        if self.scale <= 0.0 { 1.0 } else { (nearest / self.scale).clamp(0.0, 1.0) }
    }
}

fn stretches_from(start_seconds: i64) -> Vec<DaysOff> {
    let first_day = start_seconds.div_euclid(DAY_SECONDS) - 31;
    let Some(first) = date_of(first_day) else { return Vec::new() };
    let mut off: Vec<i64> = (first.year()..=first.year() + YEARS_AHEAD).flat_map(holidays).map(day_of).collect();
    off.extend((first_day..first_day + i64::from(YEARS_AHEAD) * 365).filter(|day| is_weekend(*day)));
    off.retain(|day| *day >= first_day);
    off.sort_unstable();
    off.dedup();
    let mut stretches: Vec<DaysOff> = Vec::new();
    for day in off {
        let midnight = day * DAY_SECONDS;
        match stretches.last_mut() {
            Some(last) if last.last_midnight == midnight => last.last_midnight += DAY_SECONDS,
            _ => stretches.push(DaysOff { first_midnight: midnight, last_midnight: midnight + DAY_SECONDS }),
        }
    }
    stretches
}

fn date_of(day: i64) -> Option<NaiveDate> {
    NaiveDate::from_epoch_days(i32::try_from(day).ok()?)
}

fn day_of(date: NaiveDate) -> i64 {
    i64::from(date.to_epoch_days())
}

/// 1970-01-01 was a Thursday.
fn is_weekend(day: i64) -> bool {
    matches!((day + 4).rem_euclid(7), 0 | 6)
}

/// The federal holidays of the United States. One with a fixed date that falls on a weekend is also observed on the
/// nearest weekday.
fn holidays(year: i32) -> Vec<NaiveDate> {
    let fixed = [(1, 1), (6, 19), (7, 4), (11, 11), (12, 25)]
        .into_iter()
        .filter(|(month, _)| *month != 6 || year >= 2021)
        .filter_map(|(month, day)| NaiveDate::from_ymd_opt(year, month, day))
        .flat_map(|date| [Some(date), observed(date)])
        .flatten();
    let floating = [
        NaiveDate::from_weekday_of_month_opt(year, 1, Weekday::Mon, 3),
        NaiveDate::from_weekday_of_month_opt(year, 2, Weekday::Mon, 3),
        last_monday_of_may(year),
        NaiveDate::from_weekday_of_month_opt(year, 9, Weekday::Mon, 1),
        NaiveDate::from_weekday_of_month_opt(year, 10, Weekday::Mon, 2),
        NaiveDate::from_weekday_of_month_opt(year, 11, Weekday::Thu, 4),
    ];
    fixed.chain(floating.into_iter().flatten()).collect()
}

fn observed(date: NaiveDate) -> Option<NaiveDate> {
    match date.weekday() {
        Weekday::Sat => date.checked_sub_days(Days::new(1)),
        Weekday::Sun => date.checked_add_days(Days::new(1)),
        _ => None,
    }
}

fn last_monday_of_may(year: i32) -> Option<NaiveDate> {
    let last = NaiveDate::from_ymd_opt(year, 5, 31)?;
    last.checked_sub_days(Days::new(u64::from(last.weekday().num_days_from_monday())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> f64 {
        chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").unwrap().and_utc().timestamp() as f64
    }

    fn check(time: &str, expected: f64) {
        let damping = WeekendDamping::new(0.5, 180.0 * 60.0, 360.0 * 60.0, seconds("2018-11-01 00:00") as i64);
        let found = damping.at(seconds(time));
        assert!((found - expected).abs() < 1e-9, "{time}: {found} instead of {expected}");
    }

    #[test]
    fn weekday_is_not_damped() {
        check("2018-11-07 12:00", 0.0);
    }

    #[test]
    fn weekend_is_damped_between_its_ramps() {
        check("2018-11-09 21:00", 0.0);
        check("2018-11-10 00:00", 0.25);
        check("2018-11-10 03:00", 0.5);
        check("2018-11-11 12:00", 0.5);
    }

    #[test]
    fn monday_holiday_extends_the_weekend() {
        // Veterans Day 2018 was a Sunday, observed on Monday the 12th.
        check("2018-11-12 12:00", 0.5);
        check("2018-11-12 21:00", 0.5);
        check("2018-11-13 00:00", 0.25);
        check("2018-11-13 03:00", 0.0);
    }

    #[test]
    fn thanksgiving_is_a_day_off_of_its_own() {
        check("2018-11-22 12:00", 0.5);
        check("2018-11-23 12:00", 0.0);
    }

    #[test]
    fn federal_holidays_of_2026() {
        let mut found: Vec<String> = holidays(2026).iter().map(|date| date.format("%m-%d").to_string()).collect();
        found.sort();
        let expected = [
            "01-01", "01-19", "02-16", "05-25", "06-19", "07-03", "07-04", "09-07", "10-12", "11-11", "11-26", "12-25",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn warp_keeps_the_order_of_times_and_thins_the_night() {
        let warp = DailyWarp::new(0.09375);
        let warped: Vec<f64> = (0..2 * DAY_SECONDS).map(|second| warp.apply(second as f64)).collect();
        assert!(warped.windows(2).all(|pair| pair[0] < pair[1]));
        let hour_of = |time: &f64| (time.rem_euclid(DAY_SECONDS as f64) / 3600.0) as usize;
        let mut hours = [0; 24];
        warped.iter().for_each(|time| hours[hour_of(time)] += 1);
        assert!(hours[15] > 3 * hours[3], "{hours:?}");
    }
}
