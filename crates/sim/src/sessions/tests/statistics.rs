//! What happens how often: the chain's expectations, churn, attrition, growth.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::json;

use super::*;
use crate::random::Stream;
use crate::sessions::chain::Chain;
use crate::sessions::config::StateName;

/// Expected visits to each state in a session that starts at (auth, level), from the configuration alone.
fn expected_visits(config: &SessionsConfig, auth: &str, level: &str) -> HashMap<StateName, f64> {
    let mut names: Vec<&StateName> = config.transitions.iter().flat_map(|rule| [&rule.source, &rule.dest]).collect();
    names.extend(config.new_session.iter().map(|page| &page.state));
    names.sort();
    names.dedup();
    let index = |name: &StateName| names.binary_search(&name).unwrap();
    let rules: Vec<_> =
        config.transitions.iter().map(|rule| (index(&rule.source), index(&rule.dest), rule.p)).collect();
    let starts = config.new_session.iter().filter(|page| page.state.auth == auth && page.state.level == level);
    let total: f64 = starts.clone().map(|page| page.weight).sum();
    let mut here = vec![0.0; names.len()];
    starts.for_each(|page| here[index(&page.state)] += page.weight / total);
    let mut visits = vec![0.0; names.len()];
    for _ in 0..1_000 {
        let mut next = vec![0.0; names.len()];
        visits.iter_mut().zip(&here).for_each(|(visits, mass)| *visits += mass);
        rules.iter().for_each(|(source, dest, p)| next[*dest] += here[*source] * p);
        here = next;
    }
    names.into_iter().cloned().zip(visits).collect()
}

fn expected_pages(visits: &HashMap<StateName, f64>, page: &str) -> f64 {
    visits.iter().filter(|(state, _)| page.is_empty() || state.page == page).map(|(_, mass)| mass).sum()
}

/// Visits per session of the compiled chain; the page "" counts all of them.
fn drawn_pages(config: &SessionsConfig, auth: &str, level: &str, sessions: u32) -> BTreeMap<String, f64> {
    let mut narrowed = config.clone();
    narrowed.auths = vec![(auth.to_owned(), 1.0)];
    narrowed.levels = vec![(level.to_owned(), 1.0)];
    let chain = Chain::new(&narrowed).unwrap();
    let mut stream = Stream::of(1, 99, 0);
    let pair = chain.initial_pair(&mut stream);
    let mut visits = vec![0u32; chain.states.len()];
    for _ in 0..sessions {
        let mut at = chain.start(pair, &mut stream);
        while let Some(state) = at {
            visits[usize::from(state)] += 1;
            at = chain.next(state, &mut stream);
        }
    }
    let mut pages = BTreeMap::new();
    for (state, count) in chain.states.iter().zip(visits) {
        let fragment: Value = serde_json::from_str(&format!("{{{}}}", &state.page_json[1..])).unwrap();
        for page in [fragment["page"].as_str().unwrap(), ""] {
            *pages.entry(page.to_owned()).or_insert(0.0) += f64::from(count) / f64::from(sessions);
        }
    }
    pages
}

/// Tolerances are about four standard errors of 200,000 sessions.
fn check_session(auth: &str, level: &str, expected: &[(&str, f64, f64)]) {
    let Some(example) = example_config() else { return };
    let config = config(&example);
    let visits = expected_visits(&config, auth, level);
    let drawn = drawn_pages(&config, auth, level, 200_000);
    for (page, mean, tolerance) in expected {
        let exact = expected_pages(&visits, page);
        assert!((exact - mean).abs() < 0.0006 * mean.max(0.1), "{page}: the chain gives {exact}");
        let found = drawn[*page];
        assert!((found - mean).abs() < *tolerance, "{auth}/{level} {page}: {found} instead of {mean}");
    }
}

#[test]
fn free_session_of_the_example_has_its_expected_events() {
    check_session(
        "Logged In",
        "free",
        &[("", 2.723, 0.03), ("NextSong", 2.001, 0.03), ("Submit Upgrade", 0.00752, 0.0008), ("Error", 0.0031, 0.0005)],
    );
}

#[test]
fn paid_session_of_the_example_has_its_expected_events() {
    check_session(
        "Logged In",
        "paid",
        &[
            ("", 29.642, 0.35),
            ("NextSong", 26.957, 0.35),
            ("Submit Downgrade", 0.003053, 0.0005),
            ("Cancellation Confirmation", 0.000864, 0.0003),
        ],
    );
}

#[test]
fn guest_session_of_the_example_registers_with_its_probability() {
    check_session("Guest", "free", &[("Submit Registration", 0.342, 0.0045)]);
}

#[test]
fn simulated_sessions_follow_the_chain_advertising_included() {
    let value = site_with(&json!({"n-users": 700, "end-date": "2018-11-15"}));
    let config = config(&value);
    let mut sessions: HashMap<u64, (String, HashMap<String, f64>)> = HashMap::new();
    for record in run(&value).0.iter().filter(|record| record.topic == VIEW && record.at < 1_541_980_800_000) {
        let json = record.json();
        let start = format!("{}/{}", json["auth"].as_str().unwrap(), json["level"].as_str().unwrap());
        let (_, pages) = sessions.entry(json["sessionId"].as_u64().unwrap()).or_insert((start, HashMap::new()));
        *pages.entry(json["page"].as_str().unwrap().to_owned()).or_default() += 1.0;
    }
    let free: Vec<_> =
        sessions.values().filter(|(start, _)| start == "Logged In/free").map(|(_, pages)| pages).collect();
    assert!(free.len() > 2_000, "{}", free.len());
    let visits = expected_visits(&config, "Logged In", "free");
    for (page, tolerance) in [("NextSong", 0.08), ("PlayAd", 0.12), ("Submit Upgrade", 0.25), ("Home", 0.08)] {
        let expected = expected_pages(&visits, page);
        let found = free.iter().filter_map(|pages| pages.get(page)).sum::<f64>() / free.len() as f64;
        assert!((found / expected - 1.0).abs() < tolerance, "{page}: {found} instead of {expected}");
    }
}

#[test]
fn an_advertisement_does_not_end_the_session() {
    let records = run(&site_with(&json!({"n-users": 300}))).0;
    let mut after = HashMap::new();
    let (mut advertisements, mut continued) = (0, 0);
    for record in records.iter().filter(|record| record.topic == VIEW) {
        let json = record.json();
        let session = json["sessionId"].as_u64().unwrap();
        continued += u32::from(after.insert(session, json["page"] == "PlayAd") == Some(true));
        advertisements += u32::from(json["page"] == "PlayAd");
    }
    let share = f64::from(continued) / f64::from(advertisements);
    assert!(advertisements > 200 && (share - 0.9).abs() < 0.05, "{share} of {advertisements}");
}

#[test]
fn songs_follow_each_other_at_their_end_and_redirects_take_a_second() {
    let records = run(&site_with(&json!({"n-users": 100}))).0;
    let mut last: HashMap<u64, (Value, i64)> = HashMap::new();
    let mut ends: HashMap<u64, i64> = HashMap::new();
    let (mut chained, mut redirects) = (0, 0);
    for record in &records {
        let json = record.json();
        if record.topic == VIEW {
            let session = json["sessionId"].as_u64().unwrap();
            if let Some((_, before)) = last.get(&session) {
                let end = ends.get(&session).copied().unwrap_or(i64::MIN);
                if json["page"] == "NextSong" && end > *before {
                    assert_eq!(record.at, end);
                    chained += 1;
                }
                if json["status"] == 307 {
                    assert_eq!(record.at, before + 1_000);
                    redirects += 1;
                }
            }
            last.insert(session, (json, record.at));
        } else if record.topic == LISTEN {
            let millis = (json["duration"].as_f64().unwrap() * 1_000.0 + 1e-6) as i64;
            ends.insert(json["sessionId"].as_u64().unwrap(), record.at + millis);
        }
    }
    assert!(chained > 300 && redirects > 50, "{chained} {redirects}");
}

#[test]
fn cancelling_is_the_last_thing_a_user_does() {
    let records = run(&site_with(&json!({"n-users": 150, "end-date": "2018-11-20"}))).0;
    let mut gone = HashSet::new();
    for record in records.iter().filter(|record| record.topic == VIEW) {
        assert!(!gone.contains(&record.key));
        if record.json()["auth"] == "Cancelled" {
            gone.insert(record.key);
        }
    }
    assert!(gone.len() > 3);
}

#[test]
fn everybody_may_churn_and_the_stream_ends() {
    let cancelled = json!({
        "auths": [{"auth": "Logged In", "weight": 1}],
        "levels": [{"level": "free", "weight": 1}],
        "new-session": [start("Cancel", "Logged In", "free", 1)],
        "end-date": null,
        "growth-rate": 0.1,
    });
    let (records, sessions) = run(&site_with(&cancelled));
    assert_eq!(sessions.users(), 0);
    assert!(records.iter().filter(|record| record.topic == VIEW).count() >= 120);
    assert_eq!(sessions.next_time(), None);
}

fn users_after_a_year(changes: &Value) -> f64 {
    // Sessions without a way out of the site, so that nobody cancels.
    let mut value = site_with(&json!({
        "n-users": 1_000,
        "beta": 2_592_000,
        "start-date": "2017-11-01",
        "end-date": "2018-11-01",
        "new-session": [start("About", "Logged In", "free", 1), start("About", "Logged In", "paid", 1), start("About", "Guest", "free", 1)],
        "transitions": [step(("About", "Logged In", "free"), ("About", "Logged In", "free"), 0.1)],
        "auths": [{"auth": "Logged In", "weight": 1}],
    }));
    for (key, setting) in changes.as_object().unwrap() {
        value[key] = setting.clone();
    }
    run(&value).1.users() as f64
}

#[test]
fn growth_and_attrition_change_the_number_of_users_at_their_rates() {
    let check = |changes: Value, expected: f64| {
        let users = users_after_a_year(&changes);
        assert!((users / expected - 1.0).abs() < 0.12, "{users} instead of {expected}");
    };
    check(json!({}), 1_000.0);
    check(json!({"growth-rate": 1.0}), 1_000.0 * std::f64::consts::E);
    check(json!({"attrition-rate": 1.0}), 1_000.0 / std::f64::consts::E);
    check(json!({"growth-rate": 0.5, "attrition-rate": 0.5}), 1_000.0);
}

#[test]
fn newcomers_start_as_free_guests() {
    let (records, _) = run(&site_with(&json!({"growth-rate": 100.0, "n-users": 50, "first-user-id": 10})));
    let mut first: HashMap<u64, Value> = HashMap::new();
    for record in records.iter().filter(|record| record.topic == VIEW && record.key >= 60) {
        first.entry(record.key).or_insert_with(|| record.json());
    }
    assert!(first.len() > 50, "{}", first.len());
    assert!(first.values().all(|json| json["auth"] == "Guest" && json["level"] == "free"));
}
