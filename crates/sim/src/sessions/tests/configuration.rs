//! What is read, what is refused, and what the linter says.

use headwater_project::{FileId, Severity, Span};
use serde_json::{Value, json};

use super::*;
use crate::sessions::lint::lint;

/// Variations of a configuration, each on a feature of the format.
fn fixtures() -> Vec<(&'static str, Value)> {
    vec![
        ("as it is", json!({})),
        ("negative seed", json!({"seed": -7})),
        ("seed as a float", json!({"seed": 3.0})),
        ("alpha", json!({"alpha": 10})),
        ("beta", json!({"beta": 3_600.5})),
        ("no daily rhythm", json!({"damping": 0})),
        ("no weekend", json!({"weekend-damping": 0})),
        ("weekend without ramps", json!({"weekend-damping-offset": 0, "weekend-damping-scale": 0})),
        ("long ramps", json!({"weekend-damping-offset": 2_880, "weekend-damping-scale": 4_320})),
        ("no gap", json!({"session-gap": 0})),
        ("long gap", json!({"session-gap": 86_400})),
        ("churned state renamed", json!({"churned-state": "Gone"})),
        ("newcomers logged in", json!({"new-user-auth": "Logged In", "growth-rate": 50})),
        ("newcomers pay", json!({"new-user-auth": "Logged In", "new-user-level": "paid", "growth-rate": 50})),
        ("growth", json!({"growth-rate": 20.0})),
        ("attrition", json!({"attrition-rate": 20.0})),
        ("growth and attrition", json!({"growth-rate": 30.0, "attrition-rate": 30.0})),
        ("tag", json!({"tag": "campaign \"A\""})),
        ("first user id", json!({"first-user-id": 1_000_000_000_000_i64})),
        ("one user", json!({"n-users": 1, "end-date": "2019-11-01"})),
        ("nobody", json!({"n-users": 0})),
        ("guests shown", json!({"show-user-details": [{"auth": "Guest", "show": true}]})),
        ("nobody shown", json!({"show-user-details": []})),
        ("all guests", json!({"auths": [{"auth": "Guest", "weight": 1}], "levels": [{"level": "free", "weight": 1}]})),
        ("times with an offset", json!({"start-date": "2018-11-01T02:00:00+02:00", "end-date": "2018-11-02 12:00:00"})),
        ("relative times", json!({"start-date": "3 days ago", "end-date": "now"})),
        ("default start", json!({"start-date": null, "end-date": "14 days ago"})),
        ("inert lists", json!({"upgrades": [], "downgrades": []})),
        ("few songs", json!({"songs": 1})),
        ("faults", json!({"faults": {"late": {"share": 0.1, "max-delay": 90_000}, "duplicate": {"share": 0.1}}})),
        ("malformed", json!({"faults": {"malformed": {"share": 0.5}}})),
        (
            "usual values",
            json!({"seed": null, "alpha": null, "session-gap": null, "n-users": null, "end-date": "2018-11-02"}),
        ),
    ]
}

#[test]
fn thirty_configurations_of_the_format_load_and_run() {
    let fixtures = fixtures();
    assert!(fixtures.len() >= 30);
    for (name, changes) in fixtures {
        let (records, sessions) = run(&site_with(&changes));
        assert_eq!(records.is_empty(), name == "nobody", "{name}");
        assert_eq!(sessions.next_time(), None, "{name}");
    }
}

#[test]
fn example_configuration_loads_unchanged_without_a_finding() {
    let Some(example) = example_config() else { return };
    let (config, found) = read(&example);
    assert_eq!(found, []);
    let config = config.unwrap();
    assert_eq!((config.transitions.len(), config.new_session.len()), (198, 25));
    let errors = lint(&config).into_iter().filter(|finding| finding.severity == Severity::Error).count();
    assert_eq!(errors, 0);
}

fn check_refused(changes: &Value, expected: &[&str]) {
    let (config, found) = read(&site_with(changes));
    assert!(config.is_none(), "{changes}");
    let messages: Vec<&str> = found.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(messages, expected);
    assert!(found.iter().all(|finding| finding.hint.is_some()));
}

#[test]
fn every_mistake_is_reported_at_once() {
    check_refused(
        &json!({"alpha": -1, "seed": "one", "levels": null, "transitions": [{"source": {}, "p": 2}], "start-date": "soon"}),
        &[
            "`seed` is not a whole number in its range",
            "`alpha` is not a number of at least 0.001",
            "`levels` is missing",
            "`transitions[0].source` has no `page`",
            "`transitions[0].source` has no `auth`",
            "`transitions[0].source` has no `method`",
            "`transitions[0].source` has no `level`",
            "`transitions[0].source` has no `status`",
            "`transitions[0]` has no `dest`",
            "`transitions[0].p` is not a number from 0 to 1",
            "`start-date` is not a date: soon",
        ],
    );
    check_refused(&json!({"end-date": "2018-10-01"}), &["`end-date` is not after `start-date`"]);
    check_refused(
        &json!({"faults": {"lost": {"share": 1}}}),
        &["`faults.lost.share` is not a fault setting", "`faults.lost` is not a fault setting"],
    );
    check_refused(&json!({"new-session": []}), &["`new-session` is empty"]);
    check_refused(&json!({"tag": 7}), &["`tag` is not a text"]);
}

#[test]
fn unknown_key_is_a_warning_with_its_place() {
    let span = Span { file: FileId(0), start: 3, end: 9 };
    let value = site_with(&json!({"alhpa": 3}));
    let locate = |pointer: &str| (pointer == "/alhpa").then_some(span);
    let (config, found) = SessionsConfig::read(&value, &Overrides::default(), NOW, &locate);
    assert!(config.is_some());
    let found: Vec<_> =
        found.iter().map(|finding| (finding.severity, finding.message.as_str(), finding.span)).collect();
    assert_eq!(found, [(Severity::Warning, "unknown key `alhpa` has no effect", Some(span))]);
}

#[test]
fn flags_win_over_the_file() {
    let overrides = Overrides {
        seed: Some(9),
        start: Some("2 days ago".into()),
        end: Some("now".into()),
        n_users: Some(3),
        tag: Some("x".into()),
        growth_rate: Some(0.5),
        ..Overrides::default()
    };
    let (config, _) = SessionsConfig::read(&site(), &overrides, NOW, &|_| None);
    let config = config.unwrap();
    assert_eq!((config.seed, config.n_users, config.tag.as_deref(), config.growth_rate), (9, 3, Some("x"), 0.5));
    assert_eq!((config.start.as_millis(), config.end), (NOW.as_millis() - 2 * 86_400_000, Some(NOW)));
}

fn check_lint(change: impl Fn(&mut Value), expected: &[(Severity, &str)]) {
    let mut site = site();
    change(&mut site);
    let found = lint(&config(&site));
    let found: Vec<(Severity, &str)> =
        found.iter().map(|finding| (finding.severity, finding.message.as_str())).collect();
    assert_eq!(found, expected);
}

#[test]
fn linter_is_content_with_a_sound_site() {
    check_lint(|_| {}, &[]);
}

#[test]
fn linter_finds_sums_above_one() {
    let add = |site: &mut Value| {
        let rule = step(("Home", "Logged In", "free"), ("Upgrade", "Logged In", "free"), 0.5);
        site["transitions"].as_array_mut().unwrap().push(rule);
    };
    let message = "transitions from Home (Logged In, free, GET 200) sum to 1.260000, more than 1";
    check_lint(add, &[(Severity::Error, message)]);
    let mut site = site();
    add(&mut site);
    assert!(Sessions::new(&config(&site)).is_err());
}

#[test]
fn linter_finds_states_nobody_reaches_and_dead_ends() {
    check_lint(
        |site| {
            let rules = site["transitions"].as_array_mut().unwrap();
            rules.push(step(("Island", "Logged In", "free"), ("Home", "Logged In", "free"), 0.5));
            rules.push(step(("Home", "Logged In", "paid"), ("About", "Logged In", "paid"), 0.1));
        },
        &[
            (Severity::Warning, "no session can reach Island (Logged In, free, GET 200)"),
            (Severity::Warning, "About (Logged In, paid, GET 200) is a dead end"),
        ],
    );
}

#[test]
fn linter_finds_repeated_transitions() {
    check_lint(
        |site| {
            let rule = step(("Home", "Guest", "free"), ("Home", "Guest", "free"), 0.1);
            site["transitions"].as_array_mut().unwrap().push(rule);
        },
        &[(
            Severity::Warning,
            "the transition from Home (Guest, free, GET 200) to Home (Guest, free, GET 200) is listed more than once",
        )],
    );
}

#[test]
fn linter_finds_levels_without_a_start_page() {
    let drop_paid = |site: &mut Value| {
        site["new-session"]
            .as_array_mut()
            .unwrap()
            .retain(|page| page["level"] == "free" || page["auth"] == "Logged Out");
    };
    check_lint(drop_paid, &[(Severity::Warning, "`new-session` has no page for Logged In, paid")]);
    let mut site =
        site_with(&json!({"auths": [{"auth": "Guest", "weight": 1}], "levels": [{"level": "paid", "weight": 1}]}));
    site["new-user-level"] = json!("paid");
    let found = lint(&config(&site));
    let message = "`new-session` has no page for anybody at the start";
    assert!(found.iter().any(|finding| finding.severity == Severity::Error && finding.message == message), "{found:?}");
}

#[test]
fn linter_finds_zero_weights_and_unknown_names() {
    let zero = (Severity::Error, "every weight in `levels` is zero");
    let found = |change: Value| lint(&config(&site_with(&change)));
    let levels = found(json!({"levels": [{"level": "free", "weight": 0}, {"level": "paid", "weight": 0}]}));
    assert!(levels.iter().any(|finding| (finding.severity, finding.message.as_str()) == zero), "{levels:?}");
    let spelling = found(json!({"new-user-level": "fre"}));
    assert!(spelling.iter().any(|finding| finding.message == "level fre is not in `levels`"), "{spelling:?}");
    let churned = found(json!({"churned-state": "Canceled"}));
    let message = "no session can reach the churned state Canceled";
    assert!(churned.iter().any(|finding| finding.message == message), "{churned:?}");
    let starts = found(json!({"new-session": [start("Home", "Logged In", "free", 0)]}));
    let message = "every weight in `new-session` for Logged In, free is zero";
    assert!(starts.iter().any(|finding| finding.message == message), "{starts:?}");
}
