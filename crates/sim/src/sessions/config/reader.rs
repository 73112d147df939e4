//! Walks the configuration's values and notes every finding on the way.

use headwater_project::{Diagnostic, Timestamp};
use serde_json::{Map, Value};

use super::{FaultShares, Locate, Overrides, SessionsConfig, StartPage, StateName, Transition};
use crate::sessions::dates;

const DEFAULT_START: &str = "15 days ago";
const KEYS: &[&str] = &[
    "seed",
    "alpha",
    "beta",
    "damping",
    "weekend-damping",
    "weekend-damping-offset",
    "weekend-damping-scale",
    "session-gap",
    "churned-state",
    "new-user-auth",
    "new-user-level",
    "levels",
    "auths",
    "show-user-details",
    "new-session",
    "transitions",
    "start-date",
    "end-date",
    "n-users",
    "first-user-id",
    "growth-rate",
    "attrition-rate",
    "tag",
    "songs",
    "faults",
];
/// Keys of the format that have no effect on the events; they pass without a word.
const INERT_KEYS: &[&str] = &["upgrades", "downgrades"];

pub(super) struct Reader<'a> {
    map: &'a Map<String, Value>,
    locate: Locate<'a>,
    pub(super) found: Vec<Diagnostic>,
}

const ANY_SHARE: (f64, f64) = (0.0, 1.0);
const NOT_NEGATIVE: (f64, f64) = (0.0, f64::MAX);

impl<'a> Reader<'a> {
    pub(super) fn new(map: &'a Map<String, Value>, locate: Locate<'a>) -> Self {
        Self { map, locate, found: Vec::new() }
    }

    pub(super) fn config(&mut self, overrides: &Overrides, now: Timestamp) -> SessionsConfig {
        self.report_unknown_keys();
        let config = SessionsConfig {
            seed: overrides.seed.unwrap_or_else(|| self.integer("seed", 1, i64::MIN, i64::MAX) as u64),
            alpha: self.number("alpha", 90.0, (1e-3, f64::MAX)),
            beta: self.number("beta", 604_800.0, (1e-3, f64::MAX)),
            damping: self.number("damping", 0.09375, (0.0, 0.159)),
            weekend_damping: self.number("weekend-damping", 0.5, (0.0, 0.999)),
            weekend_damping_offset: self.number("weekend-damping-offset", 180.0, NOT_NEGATIVE),
            weekend_damping_scale: self.number("weekend-damping-scale", 360.0, NOT_NEGATIVE),
            session_gap: self.number("session-gap", 1_800.0, NOT_NEGATIVE),
            churned_state: self.text("churned-state", "Cancelled"),
            new_user_auth: self.text("new-user-auth", "Guest"),
            new_user_level: self.text("new-user-level", "free"),
            levels: self.weights("levels", "level"),
            auths: self.weights("auths", "auth"),
            show_user_details: self.show_user_details(),
            new_session: self.start_pages(),
            transitions: self.transitions(),
            start: self
                .date("start-date", overrides.start.as_deref(), now)
                .unwrap_or_else(|| dates::parse(DEFAULT_START, now).unwrap_or(now)),
            end: self.date("end-date", overrides.end.as_deref(), now),
            n_users: overrides.n_users.unwrap_or_else(|| self.integer("n-users", 1_000, 0, 1_000_000_000) as u32),
            first_user_id: overrides
                .first_user_id
                .unwrap_or_else(|| self.integer("first-user-id", 1, 0, i64::MAX / 2) as u64),
            growth_rate: self.overridden(overrides.growth_rate, "growth-rate"),
            attrition_rate: self.overridden(overrides.attrition_rate, "attrition-rate"),
            tag: overrides.tag.clone().or_else(|| self.optional_text("tag")),
            songs: overrides.songs.unwrap_or_else(|| self.integer("songs", 10_000, 1, 1_000_000) as u32),
            faults: overrides.faults.unwrap_or_else(|| self.faults()),
        };
        let dated = !self.found.iter().any(|finding| finding.message.contains("is not a date"));
        if dated && config.end.is_some_and(|end| end <= config.start) {
            self.error("/end-date", "`end-date` is not after `start-date`", "Give the stream a time to run.");
        }
        config
    }

    fn error(&mut self, pointer: &str, message: impl Into<String>, hint: impl Into<String>) {
        self.push(pointer, Diagnostic::error(message).hint(hint));
    }

    fn push(&mut self, pointer: &str, finding: Diagnostic) {
        let span = (self.locate)(pointer);
        self.found.push(match span {
            Some(span) => finding.at(span),
            None => finding,
        });
    }

    fn report_unknown_keys(&mut self) {
        let map = self.map;
        for key in map.keys().filter(|key| !KEYS.contains(&key.as_str()) && !INERT_KEYS.contains(&key.as_str())) {
            let finding = Diagnostic::warning(format!("unknown key `{key}` has no effect"))
                .hint(format!("Remove it, or use one of: {}.", KEYS.join(", ")));
            self.push(&format!("/{key}"), finding);
        }
    }

    /// A number within bounds; `default` when the key is absent.
    fn number(&mut self, key: &str, default: f64, bounds: (f64, f64)) -> f64 {
        let map = self.map;
        map.get(key).map_or(default, |value| self.number_in(value, &format!("/{key}"), bounds))
    }

    fn number_in(&mut self, value: &Value, pointer: &str, (least, most): (f64, f64)) -> f64 {
        let found = value.as_f64().filter(|number| (least..=most).contains(number));
        found.unwrap_or_else(|| {
            let range =
                if most == f64::MAX { format!("of at least {least}") } else { format!("from {least} to {most}") };
            self.error(
                pointer,
                format!("`{}` is not a number {range}", path(pointer)),
                format!("It is {value}; write a number {range}."),
            );
            least
        })
    }

    fn overridden(&mut self, flag: Option<f64>, key: &str) -> f64 {
        match flag {
            Some(rate) => self.number_in(&Value::from(rate), &format!("/{key}"), NOT_NEGATIVE),
            None => self.number(key, 0.0, NOT_NEGATIVE),
        }
    }

    fn integer(&mut self, key: &str, default: i64, least: i64, most: i64) -> i64 {
        let Some(value) = self.map.get(key) else { return default };
        let whole = value.as_i64().or_else(|| value.as_f64().filter(|number| number.fract() == 0.0).map(|n| n as i64));
        whole.filter(|number| (least..=most).contains(number)).unwrap_or_else(|| {
            let hint = format!("It is {value}; write a whole number from {least} to {most}.");
            self.error(&format!("/{key}"), format!("`{key}` is not a whole number in its range"), hint);
            default
        })
    }

    fn text(&mut self, key: &str, default: &str) -> String {
        self.optional_text(key).unwrap_or_else(|| default.to_owned())
    }

    fn optional_text(&mut self, key: &str) -> Option<String> {
        let value = self.map.get(key).filter(|value| !value.is_null())?;
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            self.error(
                &format!("/{key}"),
                format!("`{key}` is not a text"),
                format!("It is {value}; put it in quotes."),
            );
        }
        text
    }

    fn date(&mut self, key: &str, flag: Option<&str>, now: Timestamp) -> Option<Timestamp> {
        let text = flag.map(str::to_owned).or_else(|| self.optional_text(key))?;
        let time = dates::parse(&text, now);
        if time.is_none() {
            let hint = "Write 2018-11-01, 2018-11-01T12:00:00Z or a relative time such as `30 days ago`.";
            self.error(&format!("/{key}"), format!("`{key}` is not a date: {text}"), hint);
        }
        time
    }

    /// The entries of a list of objects; a missing or misshapen list is a finding.
    fn entries(&mut self, key: &str, required: bool) -> Vec<(String, &'a Map<String, Value>)> {
        let map = self.map;
        let Some(value) = map.get(key) else {
            if required {
                self.error(
                    "",
                    format!("`{key}` is missing"),
                    format!("Add the list `{key}`; the simulation needs it."),
                );
            }
            return Vec::new();
        };
        let Some(list) = value.as_array() else {
            self.error(&format!("/{key}"), format!("`{key}` is not a list"), "Write a list of objects.");
            return Vec::new();
        };
        if required && list.is_empty() {
            self.error(&format!("/{key}"), format!("`{key}` is empty"), "Add at least one entry.");
        }
        let mut entries = Vec::new();
        for (index, entry) in list.iter().enumerate() {
            let pointer = format!("/{key}/{index}");
            match entry.as_object() {
                Some(object) => entries.push((pointer, object)),
                None => {
                    self.error(&pointer, format!("`{}` is not an object", path(&pointer)), "Write keys and values.");
                }
            }
        }
        entries
    }

    fn field<'v>(&mut self, entry: &'v Map<String, Value>, pointer: &str, key: &str) -> Option<&'v Value> {
        let value = entry.get(key);
        if value.is_none() {
            self.error(pointer, format!("`{}` has no `{key}`", path(pointer)), format!("Add `{key}` to it."));
        }
        value
    }

    fn text_field(&mut self, entry: &Map<String, Value>, pointer: &str, key: &str) -> Option<String> {
        let value = self.field(entry, pointer, key)?;
        let text = value.as_str().map(str::to_owned);
        if text.is_none() {
            let message = format!("`{}.{key}` is not a text", path(pointer));
            self.error(&format!("{pointer}/{key}"), message, format!("It is {value}; put it in quotes."));
        }
        text
    }

    fn number_field(
        &mut self,
        entry: &Map<String, Value>,
        pointer: &str,
        key: &str,
        bounds: (f64, f64),
    ) -> Option<f64> {
        let value = self.field(entry, pointer, key)?;
        Some(self.number_in(value, &format!("{pointer}/{key}"), bounds))
    }

    fn weights(&mut self, key: &str, name: &str) -> Vec<(String, f64)> {
        let mut weights = Vec::new();
        for (pointer, entry) in self.entries(key, true) {
            let name = self.text_field(entry, &pointer, name);
            let weight = self.number_field(entry, &pointer, "weight", NOT_NEGATIVE);
            weights.extend(name.zip(weight));
        }
        weights
    }

    fn show_user_details(&mut self) -> Vec<(String, bool)> {
        if !self.map.contains_key("show-user-details") {
            let usual = [("Guest", false), ("Logged In", true), ("Logged Out", false), ("Cancelled", true)];
            return usual.map(|(auth, show)| (auth.to_owned(), show)).to_vec();
        }
        let mut shows = Vec::new();
        for (pointer, entry) in self.entries("show-user-details", false) {
            let auth = self.text_field(entry, &pointer, "auth");
            let show = self.field(entry, &pointer, "show").map(Value::as_bool);
            if show == Some(None) {
                self.error(&pointer, format!("`{}.show` is not true or false", path(&pointer)), "Write true or false.");
            }
            shows.extend(auth.zip(show.flatten()));
        }
        shows
    }

    fn start_pages(&mut self) -> Vec<StartPage> {
        let mut pages = Vec::new();
        for (pointer, entry) in self.entries("new-session", true) {
            let state = self.state(entry, &pointer);
            let weight = self.number_field(entry, &pointer, "weight", NOT_NEGATIVE);
            pages.extend(state.zip(weight).map(|(state, weight)| StartPage { state, weight }));
        }
        pages
    }

    fn transitions(&mut self) -> Vec<Transition> {
        let mut transitions = Vec::new();
        for (pointer, entry) in self.entries("transitions", true) {
            let source = self.state_field(entry, &pointer, "source");
            let dest = self.state_field(entry, &pointer, "dest");
            let p = self.number_field(entry, &pointer, "p", ANY_SHARE);
            if let (Some(source), Some(dest), Some(p)) = (source, dest, p) {
                transitions.push(Transition { source, dest, p });
            }
        }
        transitions
    }

    fn state_field(&mut self, entry: &Map<String, Value>, pointer: &str, key: &str) -> Option<StateName> {
        let value = self.field(entry, pointer, key)?;
        let pointer = format!("{pointer}/{key}");
        let Some(object) = value.as_object() else {
            self.error(
                &pointer,
                format!("`{}` is not an object", path(&pointer)),
                "Write page, auth, status, method and level.",
            );
            return None;
        };
        self.state(object, &pointer)
    }

    fn state(&mut self, entry: &Map<String, Value>, pointer: &str) -> Option<StateName> {
        let page = self.text_field(entry, pointer, "page");
        let auth = self.text_field(entry, pointer, "auth");
        let method = self.text_field(entry, pointer, "method");
        let level = self.text_field(entry, pointer, "level");
        let status = self.number_field(entry, pointer, "status", (100.0, 599.0)).map(|status| status as i64);
        Some(StateName { page: page?, auth: auth?, status: status?, method: method?, level: level? })
    }

    fn faults(&mut self) -> FaultShares {
        let map = self.map;
        let mut faults = FaultShares { late_max_delay: 3_600.0, ..FaultShares::default() };
        let Some(value) = map.get("faults") else { return faults };
        let Some(kinds) = value.as_object() else {
            self.error(
                "/faults",
                "`faults` is not an object",
                "Write `faults: {late: {share: 0.01, max-delay: 3600}}`.",
            );
            return faults;
        };
        for (kind, setting) in kinds {
            for (key, value) in setting.as_object().into_iter().flatten() {
                let pointer = format!("/faults/{kind}/{key}");
                match (kind.as_str(), key.as_str()) {
                    ("late", "share") => faults.late = self.number_in(value, &pointer, ANY_SHARE),
                    ("late", "max-delay") => faults.late_max_delay = self.number_in(value, &pointer, NOT_NEGATIVE),
                    ("duplicate", "share") => faults.duplicate = self.number_in(value, &pointer, ANY_SHARE),
                    ("malformed", "share") => faults.malformed = self.number_in(value, &pointer, ANY_SHARE),
                    _ => self.unknown_fault(&pointer),
                }
            }
            if !setting.is_object() || !matches!(kind.as_str(), "late" | "duplicate" | "malformed") {
                self.unknown_fault(&format!("/faults/{kind}"));
            }
        }
        faults
    }

    fn unknown_fault(&mut self, pointer: &str) {
        let hint = "Use late (share, max-delay in seconds), duplicate (share) and malformed (share).";
        self.error(pointer, format!("`{}` is not a fault setting", path(pointer)), hint);
    }
}

/// `/transitions/3/p` as people write it: `transitions[3].p`.
fn path(pointer: &str) -> String {
    let mut path = String::new();
    for part in pointer.split('/').skip(1) {
        match part.parse::<usize>() {
            Ok(index) => path.push_str(&format!("[{index}]")),
            Err(_) if path.is_empty() => path.push_str(part),
            Err(_) => path.push_str(&format!(".{part}")),
        }
    }
    path
}
