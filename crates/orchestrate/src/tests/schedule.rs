use chrono::{DateTime, Utc};
use headwater_project::Timestamp;

use crate::Schedule;

fn instant(text: &str) -> Timestamp {
    Timestamp(text.parse::<DateTime<Utc>>().unwrap().timestamp_micros())
}

/// The ticks after `after` (UTC), in UTC without the seconds.
fn check(cron: &str, zone: &str, after: &str, expected: &[&str]) {
    let schedule = Schedule::cron(cron, zone).unwrap();
    let mut at = instant(after);
    let mut ticks = Vec::new();
    for _ in expected {
        let next = schedule.next_tick(at).unwrap();
        assert!(next > at, "{cron} {zone}: {next:?} is not after {at:?}");
        at = next;
        ticks.push(DateTime::from_timestamp_micros(at.as_micros()).unwrap().format("%m-%d %H:%M").to_string());
    }
    assert_eq!(ticks, expected, "{cron} {zone}");
}

#[test]
fn a_time_in_a_gap_happens_once_at_the_first_valid_instant() {
    // Berlin 2026-03-29: 02:00 -> 03:00 at 01:00 UTC.
    let daily = &["03-28 01:30", "03-29 01:00", "03-30 00:30"];
    check("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00:00Z", daily);
    check("*/15 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", &["03-29 01:00", "03-30 00:00", "03-30 00:15"]);
    let quarters = &["03-29 00:45", "03-29 01:00", "03-29 01:15"];
    check("*/15 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", quarters);
    // New York 2026-03-08: 02:00 -> 03:00 at 07:00 UTC.
    check("30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", &["03-08 07:00", "03-09 06:30"]);
    // Sao Paulo 2018-11-04: midnight does not exist, the day begins at 01:00 = 03:00 UTC.
    check("0 0 * * *", "America/Sao_Paulo", "2018-11-02T12:00:00Z", &["11-03 03:00", "11-04 03:00", "11-05 02:00"]);
    // Lord Howe 2026-10-04: 02:00 -> 02:30 at 15:30 UTC the day before.
    let half_hour = &["10-02 15:45", "10-03 15:30", "10-04 15:15"];
    check("15 2 * * *", "Australia/Lord_Howe", "2026-10-02T12:00:00Z", half_hour);
    // Apia had no 2011-12-30; the 31st began at 10:00 UTC of the 30th.
    let apia = &["12-29 19:00", "12-30 10:00", "12-30 19:00", "12-31 19:00"];
    check("0 9 * * *", "Pacific/Apia", "2011-12-29T12:00:00Z", apia);
    check("0 9 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00Z", &["12-30 10:00", "12-29 19:00"]);
    // Cairo 2024-04-26: 00:00 -> 01:00 at 22:00 UTC the day before.
    check("0 0 * * *", "Africa/Cairo", "2024-04-25T12:00:00Z", &["04-25 22:00", "04-26 21:00"]);
    // London 2026-03-29: 01:00 -> 02:00 at 01:00 UTC.
    check("30 1 * * *", "Europe/London", "2026-03-28T12:00:00Z", &["03-29 01:00", "03-30 00:30"]);
}

#[test]
fn a_rare_time_in_a_fold_happens_at_its_first_occurrence() {
    // Berlin 2026-10-25: 03:00 -> 02:00 at 01:00 UTC.
    check("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", &["10-25 00:30", "10-26 01:30"]);
    check("0 2,14 * * *", "Europe/Berlin", "2026-10-24T14:00:00Z", &["10-25 00:00", "10-25 13:00"]);
    // New York 2026-11-01: 02:00 -> 01:00 at 06:00 UTC.
    check("0 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", &["11-01 05:00", "11-02 06:00"]);
    // Lord Howe 2026-04-05: 02:00 -> 01:30 at 15:00 UTC the day before.
    let half_hour = &["04-04 14:45", "04-05 15:15"];
    check("45 1 * * *", "Australia/Lord_Howe", "2026-04-04T12:00:00Z", half_hour);
    // Havana 2026-11-01: 01:00 -> 00:00 at 05:00 UTC.
    check("0 0 * * *", "America/Havana", "2026-10-31T12:00:00Z", &["11-01 04:00", "11-02 05:00"]);
    check("30 2 * * *", "Europe/Berlin", "2026-10-25T01:10:00Z", &["10-26 01:30"]);
}

#[test]
fn a_frequent_schedule_keeps_its_rhythm_through_a_fold() {
    let hourly = &["10-24 23:00", "10-25 00:00", "10-25 01:00", "10-25 02:00"];
    check("0 * * * *", "Europe/Berlin", "2026-10-24T22:30:00Z", hourly);
    let halves = &["10-25 00:00", "10-25 00:30", "10-25 01:00", "10-25 01:30", "10-25 02:00"];
    check("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", halves);
    let within = &["10-25 00:15", "10-25 00:45", "10-25 01:15", "10-25 01:45", "10-26 01:15"];
    check("15,45 2 * * *", "Europe/Berlin", "2026-10-24T23:00:00Z", within);
    let half_hour_fold = &["04-04 14:30", "04-04 14:45", "04-04 15:00", "04-04 15:15", "04-04 15:30"];
    check("*/15 * * * *", "Australia/Lord_Howe", "2026-04-04T14:15:00Z", half_hour_fold);
}

#[test]
fn plain_zones_are_plain() {
    check("5 * * * *", "UTC", "2026-01-01T00:05:00Z", &["01-01 01:05", "01-01 02:05"]);
    check("0 9 * * 1", "Asia/Kolkata", "2026-01-01T00:00:00Z", &["01-05 03:30", "01-12 03:30"]);
    check("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", &["02-29 00:00"]);
    check("*/20 * * * * *", "UTC", "2026-01-01T00:00:59Z", &["01-01 00:01", "01-01 00:01", "01-01 00:01"]);
}

#[test]
fn a_frequent_schedule_never_stops_nor_goes_back_in_any_zone() {
    for zone in ["Europe/Berlin", "Australia/Lord_Howe", "America/Havana", "Africa/Casablanca", "Asia/Gaza"] {
        let schedule = Schedule::cron("*/30 * * * *", zone).unwrap();
        let mut at = instant("2026-01-01T00:00:00Z");
        for _ in 0..(365 * 48) {
            let next = schedule.next_tick(at).unwrap();
            assert_eq!(next.since(at).as_secs(), 1800, "{zone} after {at:?}");
            at = next;
        }
    }
}

#[test]
fn a_period_counts_from_the_epoch() {
    let schedule = Schedule::every(std::time::Duration::from_secs(30)).unwrap();
    assert_eq!(schedule.next_tick(Timestamp(29_999_999)), Some(Timestamp(30_000_000)));
    assert_eq!(schedule.next_tick(Timestamp(30_000_000)), Some(Timestamp(60_000_000)));
    assert_eq!(schedule.next_tick(Timestamp(-1)), Some(Timestamp(0)));
    assert_eq!(schedule.next_tick(Timestamp(i64::MAX)), None);
}
