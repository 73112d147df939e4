//! When things happen: hours of the day, days of the week, the start of the stream.

use serde_json::json;

use super::*;

/// Session starts by hour of the day and by day, for users who come about twice a day.
fn session_starts(changes: &Value) -> Vec<i64> {
    let mut value = site_with(&json!({
        "n-users": 1_500,
        "beta": 43_200,
        "transitions": [step(("Home", "Logged In", "free"), ("Home", "Logged In", "free"), 0.1)],
        "new-session": [start("Home", "Logged In", "free", 1)],
        "auths": [{"auth": "Logged In", "weight": 1}],
        "levels": [{"level": "free", "weight": 1}],
        "weekend-damping": 0,
    }));
    for (key, setting) in changes.as_object().unwrap() {
        value[key] = setting.clone();
    }
    let firsts = run(&value).0.into_iter().filter(|record| record.topic == VIEW);
    firsts
        .filter(|record| String::from_utf8_lossy(&record.payload).contains("\"itemInSession\":0,"))
        .map(|record| record.at)
        .collect()
}

fn histogram(times: &[i64], bin: i64, bins: i64) -> Vec<f64> {
    let mut counts = vec![0.0; bins as usize];
    times.iter().for_each(|time| counts[((time / bin) % bins) as usize] += 1.0);
    counts
}

#[test]
fn afternoons_are_busy_and_nights_are_quiet() {
    let hours = histogram(&session_starts(&json!({})), 3_600_000, 24);
    let ratio = hours[14..16].iter().sum::<f64>() / hours[2..4].iter().sum::<f64>();
    // The density of the warp is 1 / (1 + 0.589 cos): 2.43 at 15:00 against 0.63 at 3:00, a little less over two hours.
    assert!((3.0..4.2).contains(&ratio), "{ratio}: {hours:?}");
    let flat = histogram(&session_starts(&json!({"damping": 0})), 3_600_000, 24);
    let mean = flat.iter().sum::<f64>() / 24.0;
    assert!(flat.iter().all(|hour| (hour / mean - 1.0).abs() < 0.12), "{flat:?}");
}

#[test]
fn weekends_lose_the_share_of_their_damping() {
    // 2018-11-01 is a Thursday; the holiday is left out by ending before the 12th.
    let days = json!({"weekend-damping": 0.5, "start-date": "2018-11-05", "end-date": "2018-11-12"});
    let mut per_day = vec![0.0; 7];
    for at in session_starts(&days) {
        per_day[((at - 1_541_376_000_000) / 86_400_000) as usize] += 1.0;
    }
    let weekday = per_day[0..4].iter().sum::<f64>() / 4.0;
    let sunday = per_day[6] / weekday;
    assert!((0.42..0.6).contains(&sunday), "{sunday}: {per_day:?}");
}

#[test]
fn the_first_day_is_like_any_other() {
    let mut per_day = vec![0.0; 7];
    for at in session_starts(&json!({"damping": 0.09375})) {
        per_day[((at - 1_541_030_400_000) / 86_400_000) as usize] += 1.0;
    }
    let mean = per_day.iter().sum::<f64>() / 7.0;
    assert!(per_day.iter().all(|day| (day / mean - 1.0).abs() < 0.1), "{per_day:?}");
}

#[test]
fn nothing_happens_before_the_start_or_at_the_end() {
    let records = run(&site_with(&json!({"n-users": 500}))).0;
    assert!(records.iter().all(|record| (1_541_030_400_000..1_541_635_200_000).contains(&record.at)));
}

#[test]
fn a_tiny_gap_between_sessions_does_not_hang() {
    let starts = session_starts(&json!({"beta": 1, "session-gap": 0, "n-users": 1, "end-date": "2018-11-02"}));
    assert!(starts.len() > 100);
}
