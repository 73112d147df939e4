//! The configuration of the session simulator: the JSON format of eventsim, unchanged, and the same keys in YAML.
//!
//! Reading collects every finding instead of stopping at the first. Whether the chain that a readable configuration
//! describes makes sense is the question of [`super::lint`].

use headwater_project::{Diagnostic, Severity, Span, Timestamp};
use serde_json::Value;

mod reader;

use reader::Reader;

/// A state of the Markov chain, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateName {
    pub page: String,
    pub auth: String,
    pub status: i64,
    pub method: String,
    pub level: String,
}

impl std::fmt::Display for StateName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { page, auth, status, method, level } = self;
        write!(formatter, "{page} ({auth}, {level}, {method} {status})")
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct StartPage {
    pub state: StateName,
    pub weight: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    pub source: StateName,
    pub dest: StateName,
    pub p: f64,
}

/// Trouble on request, as shares of the well-formed records.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultShares {
    /// Records delivered after their event time; the event time in them stays.
    pub late: f64,
    /// The longest delay of a late record, in seconds; delays are uniform up to it.
    pub late_max_delay: f64,
    /// Records delivered a second time, the same bytes up to a minute later.
    pub duplicate: f64,
    /// Records accompanied by a mangled copy; the good one is delivered as well.
    pub malformed: f64,
}

/// Everything the simulation depends on. Fields are named as the configuration's keys.
#[derive(Clone, Debug, PartialEq)]
pub struct SessionsConfig {
    pub seed: u64,
    /// Mean seconds between the events of a session.
    pub alpha: f64,
    /// Mean seconds between sessions, on top of `session_gap`.
    pub beta: f64,
    /// Strength of the daily rhythm; 0 is none.
    pub damping: f64,
    /// Share of sessions that do not happen on weekends and US holidays.
    pub weekend_damping: f64,
    /// Minutes by which the ramps of a weekend reach beyond its midnights.
    pub weekend_damping_offset: f64,
    /// Minutes a ramp takes.
    pub weekend_damping_scale: f64,
    /// Least seconds between sessions of a user.
    pub session_gap: f64,
    /// The auth state that ends a user's life.
    pub churned_state: String,
    pub new_user_auth: String,
    pub new_user_level: String,
    pub levels: Vec<(String, f64)>,
    pub auths: Vec<(String, f64)>,
    pub show_user_details: Vec<(String, bool)>,
    pub new_session: Vec<StartPage>,
    pub transitions: Vec<Transition>,
    pub start: Timestamp,
    /// No event happens at this time or later; without it the stream never ends.
    pub end: Option<Timestamp>,
    pub n_users: u32,
    pub first_user_id: u64,
    /// Arrivals in a year, as a share of the users there are.
    pub growth_rate: f64,
    /// Departures in a year, as a share of the users there are.
    pub attrition_rate: f64,
    /// Text carried by every record that shows a user.
    pub tag: Option<String>,
    /// Size of the music catalogue.
    pub songs: u32,
    pub faults: FaultShares,
}

/// Settings of the command line. They win over the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    pub seed: Option<u64>,
    /// A date as in the file, `30 days ago` included.
    pub start: Option<String>,
    pub end: Option<String>,
    pub n_users: Option<u32>,
    pub first_user_id: Option<u64>,
    pub growth_rate: Option<f64>,
    pub attrition_rate: Option<f64>,
    pub tag: Option<String>,
    pub songs: Option<u32>,
    pub faults: Option<FaultShares>,
}

/// Where the value at a JSON pointer stands in the file it came from.
pub type Locate<'a> = &'a dyn Fn(&str) -> Option<Span>;

impl SessionsConfig {
    /// Reads a configuration. `now` is what relative dates count from: pin it once per stream, or the stream changes.
    /// Returns no configuration when any finding is an error.
    pub fn read(
        value: &Value,
        overrides: &Overrides,
        now: Timestamp,
        locate: Locate<'_>,
    ) -> (Option<Self>, Vec<Diagnostic>) {
        let Some(map) = value.as_object() else {
            let finding = Diagnostic::error("the sessions configuration is not an object of keys and values");
            return (None, vec![finding.hint("Write the keys of the eventsim format, such as `transitions`.")]);
        };
        let mut reader = Reader::new(map, locate);
        let config = reader.config(overrides, now);
        let found = reader.found;
        let failed = found.iter().any(|finding| finding.severity == Severity::Error);
        (if failed { None } else { Some(config) }, found)
    }
}
