//! Tests of the simulator as a whole, through its public seam.

mod configuration;
mod protocol;
mod rhythm;
mod statistics;

use headwater_project::{Diagnostic, Timestamp};
use serde_json::{Value, json};

use super::config::{Overrides, SessionsConfig};
use super::simulation::Sessions;
use crate::generator::{Generated, Generator, RecordSink, Stop};

/// 2018-11-30T00:00:00Z.
const NOW: Timestamp = Timestamp(1_543_536_000_000_000);

/// A record with everything a test may compare.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Record {
    topic: usize,
    key: u64,
    at: i64,
    payload: Vec<u8>,
}

impl Record {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap()
    }
}

#[derive(Default)]
struct Collected(Vec<Record>);

impl RecordSink for Collected {
    fn record(&mut self, record: Generated<'_>) {
        let Generated { topic, key, timestamp, payload } = record;
        self.0.push(Record { topic, key, at: timestamp.as_millis(), payload: payload.to_vec() });
    }
}

const END_OF_TIME: Timestamp = Timestamp(i64::MAX);
const LISTEN: usize = 0;
const VIEW: usize = 1;
const STATUS: usize = 2;
const AUTH: usize = 3;
const USER: usize = 4;

fn state(page: &str, auth: &str, level: &str) -> Value {
    let (method, status) = match page {
        "NextSong" | "Login" | "Logout" | "Cancel" => ("PUT", if page == "NextSong" { 200 } else { 307 }),
        _ if page.starts_with("Submit") => ("PUT", 307),
        "Error" => ("GET", 404),
        _ => ("GET", 200),
    };
    json!({"page": page, "auth": auth, "level": level, "method": method, "status": status})
}

fn step(from: (&str, &str, &str), to: (&str, &str, &str), p: f64) -> Value {
    json!({"source": state(from.0, from.1, from.2), "dest": state(to.0, to.1, to.2), "p": p})
}

fn start(page: &str, auth: &str, level: &str, weight: u32) -> Value {
    let mut entry = state(page, auth, level);
    entry["weight"] = json!(weight);
    entry
}

/// A small site of our own with every kind of page, advertising included.
fn site() -> Value {
    let (guest, user, out) = ("Guest", "Logged In", "Logged Out");
    let mut transitions = vec![
        step(("Home", guest, "free"), ("Register", guest, "free"), 0.4),
        step(("Home", guest, "free"), ("Home", guest, "free"), 0.2),
        step(("Register", guest, "free"), ("Submit Registration", user, "free"), 0.6),
        step(("Submit Registration", user, "free"), ("Home", user, "free"), 1.0),
        step(("NextSong", user, "free"), ("PlayAd", user, "free"), 0.1),
        step(("PlayAd", user, "free"), ("NextSong", user, "free"), 0.85),
        step(("PlayAd", user, "free"), ("Upgrade", user, "free"), 0.05),
        step(("NextSong", user, "free"), ("Upgrade", user, "free"), 0.02),
        step(("Upgrade", user, "free"), ("Submit Upgrade", user, "free"), 0.5),
        step(("Upgrade", user, "free"), ("Home", user, "free"), 0.3),
        step(("Submit Upgrade", user, "free"), ("Home", user, "paid"), 1.0),
        step(("NextSong", user, "paid"), ("Downgrade", user, "paid"), 0.01),
        step(("Downgrade", user, "paid"), ("Submit Downgrade", user, "paid"), 0.3),
        step(("Downgrade", user, "paid"), ("NextSong", user, "paid"), 0.6),
        step(("Submit Downgrade", user, "paid"), ("Home", user, "free"), 1.0),
    ];
    let mut starts = vec![start("Home", guest, "free", 10), start("Register", guest, "free", 3)];
    for level in ["free", "paid"] {
        transitions.extend([
            step(("Home", user, level), ("NextSong", user, level), 0.7),
            step(("Home", user, level), ("Settings", user, level), 0.05),
            step(("Home", user, level), ("Error", user, level), 0.01),
            step(("Error", user, level), ("Home", user, level), 0.5),
            step(("Settings", user, level), ("Cancel", user, level), 0.1),
            step(("Settings", user, level), ("Home", user, level), 0.6),
            step(("Cancel", user, level), ("Cancellation Confirmation", "Cancelled", level), 1.0),
            step(("NextSong", user, level), ("NextSong", user, level), 0.7),
            step(("NextSong", user, level), ("Logout", user, level), 0.04),
            step(("Logout", user, level), ("Home", out, level), 1.0),
            step(("Home", out, level), ("Login", out, level), 0.6),
            step(("Login", out, level), ("Home", user, level), 0.9),
            step(("Login", out, level), ("Home", out, level), 0.1),
        ]);
        starts.extend([
            start("Home", user, level, 5),
            start("NextSong", user, level, 10),
            start("Home", out, level, 10),
            start("Login", out, level, 5),
        ]);
    }
    json!({
        "seed": 42,
        "alpha": 90.0,
        "beta": 86_400.0,
        "levels": [{"level": "free", "weight": 10}, {"level": "paid", "weight": 2}],
        "auths": [{"auth": "Guest", "weight": 2}, {"auth": "Logged In", "weight": 10}, {"auth": "Logged Out", "weight": 1}],
        "new-session": starts,
        "transitions": transitions,
        "start-date": "2018-11-01",
        "end-date": "2018-11-08",
        "n-users": 60,
        "songs": 200,
    })
}

/// The site with some keys replaced; `null` removes a key.
fn site_with(changes: &Value) -> Value {
    let mut site = site();
    for (key, value) in changes.as_object().unwrap() {
        if value.is_null() {
            site.as_object_mut().unwrap().shift_remove(key);
        } else {
            site[key] = value.clone();
        }
    }
    site
}

fn read(value: &Value) -> (Option<SessionsConfig>, Vec<Diagnostic>) {
    SessionsConfig::read(value, &Overrides::default(), NOW, &|_| None)
}

fn config(value: &Value) -> SessionsConfig {
    let (config, found) = read(value);
    config.unwrap_or_else(|| panic!("{found:?}"))
}

fn run(value: &Value) -> (Vec<Record>, Sessions) {
    let mut sessions = Sessions::new(&config(value)).unwrap();
    let mut collected = Collected::default();
    let produced = sessions.produce(END_OF_TIME, usize::MAX, &mut collected);
    assert_eq!(produced.stop, Stop::Exhausted);
    assert_eq!(produced.records, collected.0.len());
    (collected.0, sessions)
}

/// The configuration real users of the format have, when this checkout stands beside it.
fn example_config() -> Option<Value> {
    let crate_folder = std::env::var("CARGO_MANIFEST_DIR").unwrap();
    let path = format!("{crate_folder}/../../../shared/data/eventsim/example-config.json");
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            println!("skipped: {path} is not there");
            None
        }
    }
}
