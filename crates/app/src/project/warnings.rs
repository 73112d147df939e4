//! Which warnings are errors and which are not told: `--warn-error`, `--warn-error-options`, and `flags:` of dbt_project.yml.

use std::collections::BTreeMap;

use headwater_project::tree::{self, Tree};
use headwater_project::{Failure, Files};
use serde_json::Value;

/// All deprecations together.
const DEPRECATIONS: &str = "Deprecations";

/// Warnings by the names dbt has for them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct WarningRules {
    /// Every warning is an error that is not named otherwise.
    all_errors: bool,
    errors: Vec<String>,
    warnings: Vec<String>,
    silenced: Vec<String>,
}

impl WarningRules {
    /// What `--warn-error` and `--warn-error-options` say; without either, what the project's flags say.
    pub(super) fn read(warn_error: bool, options: Option<&str>, project_file: Option<&Tree>) -> Result<Self, Failure> {
        if let Some(text) = options {
            let mut files = Files::default();
            let file = files.add("--warn-error-options", text);
            let (tree, found) = tree::parse(file, text);
            if found.has_errors() {
                return Err(wrong("it is no YAML mapping"));
            }
            return Self::of(&tree.to_json());
        }
        let flags = project_file.and_then(|file| file.get("flags"));
        let in_project = flags.and_then(|flags| flags.get("warn_error")).and_then(Tree::as_bool).unwrap_or(false);
        if warn_error || in_project {
            return Ok(Self { all_errors: true, ..Self::default() });
        }
        flags
            .and_then(|flags| flags.get("warn_error_options"))
            .map_or_else(|| Ok(Self::default()), |tree| Self::of(&tree.to_json()))
    }

    fn of(options: &Value) -> Result<Self, Failure> {
        let Some(map) = options.as_object() else { return Err(wrong("it is no mapping")) };
        if let Some(key) =
            map.keys().find(|key| !matches!(key.as_str(), "error" | "include" | "warn" | "exclude" | "silence"))
        {
            return Err(wrong(&format!("it has no `{key}`")));
        }
        for (one, other) in [("error", "include"), ("warn", "exclude")] {
            if map.contains_key(one) && map.contains_key(other) {
                return Err(wrong(&format!("it has both `{one}` and `{other}`, which are the same")));
            }
        }
        let given = |names: [&str; 2]| names.into_iter().find_map(|name| map.get(name));
        let list = |value: Option<&Value>| -> Vec<String> {
            let items = value.and_then(Value::as_array).into_iter().flatten();
            items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let errors = given(["error", "include"]);
        let all_errors = matches!(errors.and_then(Value::as_str), Some("all" | "*"));
        if errors.is_some_and(Value::is_string) && !all_errors {
            return Err(wrong("`error` is `all` or a list of names"));
        }
        let rules = Self {
            all_errors,
            errors: list(errors),
            warnings: list(given(["warn", "exclude"])),
            silenced: list(map.get("silence")),
        };
        let of_deprecations = |names: &[String]| names.iter().any(|name| name == DEPRECATIONS);
        let may_except = all_errors || of_deprecations(&rules.errors) || of_deprecations(&rules.silenced);
        if !rules.warnings.is_empty() && !may_except {
            return Err(wrong("`warn` needs `error: all`, or Deprecations under `error` or `silence`"));
        }
        Ok(rules)
    }

    /// Whether a warning is an error. A name counts more than all deprecations, and these more than everything.
    pub(crate) fn is_error(&self, event: &str) -> bool {
        self.verdict(event) == Verdict::Error
    }

    /// Whether a warning is not told.
    pub(crate) fn is_silenced(&self, event: &str) -> bool {
        self.verdict(event) == Verdict::Silence
    }

    fn verdict(&self, event: &str) -> Verdict {
        let named = |name: &str| {
            let has = |names: &[String]| names.iter().any(|known| known == name);
            [(&self.silenced, Verdict::Silence), (&self.warnings, Verdict::Warning), (&self.errors, Verdict::Error)]
                .into_iter()
                .find_map(|(names, verdict)| has(names).then_some(verdict))
        };
        let of_kind = || if is_deprecation(event) { named(DEPRECATIONS) } else { None };
        let otherwise = if self.all_errors { Verdict::Error } else { Verdict::Warning };
        named(event).or_else(of_kind).unwrap_or(otherwise)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Error,
    Warning,
    Silence,
}

/// How often each deprecated form was met, told or not. The summary is a warning like any other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeprecationSummary {
    pub counts: BTreeMap<&'static str, usize>,
    pub is_error: bool,
    pub is_silenced: bool,
}

const SUMMARY: &str = "DeprecationsSummary";

impl WarningRules {
    pub(super) fn summary(&self, events: impl Iterator<Item = &'static str>) -> DeprecationSummary {
        let mut counts = BTreeMap::new();
        for event in events.filter(|event| is_deprecation(event)) {
            *counts.entry(event).or_default() += 1;
        }
        DeprecationSummary { counts, is_error: self.is_error(SUMMARY), is_silenced: self.is_silenced(SUMMARY) }
    }
}

/// Whether a warning of this name is about a form that will be gone.
pub fn is_deprecation(event: &str) -> bool {
    event.ends_with("Deprecation") || event == SUMMARY
}

fn wrong(reason: &str) -> Failure {
    Failure::user("--warn-error-options cannot be read").with_detail(format!("{reason}.")).with_hint(
        "Write it as --warn-error-options '{error: all, warn: [Deprecations], silence: [NoNodeForYamlKey]}'.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(options: &str, event: &str, expected: Result<&str, &str>) {
        let rules = WarningRules::read(false, Some(options), None);
        let found = rules.map(|rules| match (rules.is_error(event), rules.is_silenced(event)) {
            (true, _) => "error",
            (_, true) => "silence",
            _ => "warn",
        });
        let found = found.map_err(|failure| failure.detail.unwrap_or_default());
        assert_eq!(
            found.as_deref().map_err(String::as_str),
            expected.as_ref().map(|text| *text).map_err(|text| *text),
            "{options}"
        );
    }

    #[test]
    fn the_nearest_rule_decides_about_a_warning() {
        let event = "CustomKeyInObjectDeprecation";
        check("{}", event, Ok("warn"));
        check("{error: all}", event, Ok("error"));
        check("{include: '*'}", event, Ok("error"));
        check("{error: [NoNodeForYamlKey]}", event, Ok("warn"));
        check("{error: [Deprecations]}", event, Ok("error"));
        check("{error: [Deprecations], warn: [CustomKeyInObjectDeprecation]}", event, Ok("warn"));
        check("{error: all, silence: [Deprecations]}", event, Ok("silence"));
        check("{error: all, silence: [Deprecations]}", "NoNodeForYamlKey", Ok("error"));
        check("{error: some}", event, Err("`error` is `all` or a list of names."));
        check(
            "{warn: [NoNodeForYamlKey]}",
            event,
            Err("`warn` needs `error: all`, or Deprecations under `error` or `silence`."),
        );
        check("{error: all, include: all}", event, Err("it has both `error` and `include`, which are the same."));
        check("[all]", event, Err("it is no mapping."));
    }
}
