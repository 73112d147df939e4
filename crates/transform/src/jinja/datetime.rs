//! Dates and times in templates: `run_started_at` and the part of `modules.datetime` that needs no clock of its own. "Now" is
//! the moment the run started, so that one run has one time.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, Timelike, Utc};
use minijinja::value::Object;
use minijinja::{Error, ErrorKind, State, Value};
use std::fmt;
use std::sync::Arc;

use super::arguments::Arguments;
use super::method::{Methods, MethodsObject};
use super::render::{Pass, Render};
use super::value::{List, invalid};

/// A Python datetime in UTC.
#[derive(Debug)]
struct Moment {
    at: DateTime<Utc>,
    date_only: bool,
}

pub(crate) fn value(micros: i64) -> Value {
    Value::from_object(Moment { at: DateTime::from_timestamp_micros(micros).unwrap_or_default(), date_only: false })
}

fn of(at: NaiveDateTime, date_only: bool) -> Value {
    Value::from_object(Moment { at: at.and_utc(), date_only })
}

impl Moment {
    fn iso(&self) -> String {
        if self.date_only {
            return self.at.format("%Y-%m-%d").to_string();
        }
        let micros = self.at.timestamp_subsec_micros();
        let fraction = if micros == 0 { String::new() } else { format!(".{micros:06}") };
        format!("{}{fraction}+00:00", self.at.format("%Y-%m-%dT%H:%M:%S"))
    }

    /// An unknown directive makes chrono's formatter fail, so the result goes through a fallible writer.
    fn format(&self, pattern: &str) -> Result<Value, Error> {
        use std::fmt::Write as _;
        let mut text = String::new();
        let pattern = pattern.replace("%f", "%6f");
        write!(text, "{}", self.at.format(&pattern))
            .map_err(|_| invalid(format!("strftime cannot read {pattern:?}")))?;
        Ok(Value::from(text))
    }
}

impl Moment {
    /// The same moment with other parts.
    fn replace(&self, arguments: &Arguments) -> Result<Value, Error> {
        let part = |name: &str, own: u32| {
            let given = arguments.named(name).and_then(Value::as_usize);
            given.map_or(own, |given| u32::try_from(given).unwrap_or(u32::MAX))
        };
        let year = arguments.named("year").and_then(Value::as_i64).and_then(|year| i32::try_from(year).ok());
        NaiveDate::from_ymd_opt(
            year.unwrap_or(self.at.year()),
            part("month", self.at.month()),
            part("day", self.at.day()),
        )
        .and_then(|date| {
            let micros = part("microsecond", self.at.timestamp_subsec_micros());
            date.and_hms_micro_opt(
                part("hour", self.at.hour()),
                part("minute", self.at.minute()),
                part("second", self.at.second()),
                micros,
            )
        })
        .map(|at| of(at, self.date_only))
        .ok_or_else(|| invalid("there is no such date"))
    }
}

/// A time moved by seconds; a number is just added to.
pub(crate) fn shift(value: &Value, seconds: f64) -> Result<Value, Error> {
    let Some(moment) = value.downcast_object_ref::<Moment>() else {
        let number = f64::try_from(value.clone()).map_err(|_| invalid("only a time can be moved by a timedelta"))?;
        return Ok(Value::from(number + seconds));
    };
    let moved = chrono::TimeDelta::microseconds((seconds * 1e6).round() as i64);
    let at = moment.at.checked_add_signed(moved).ok_or_else(|| invalid("there is no such date"))?;
    let at = if moment.date_only { at.date_naive().and_hms_opt(0, 0, 0).map_or(at, |at| at.and_utc()) } else { at };
    Ok(Value::from_object(Moment { at, date_only: moment.date_only }))
}

/// A span of time as seconds.
fn timedelta(arguments: &Arguments) -> Value {
    let units = [
        ("days", 86_400.0),
        ("seconds", 1.0),
        ("microseconds", 1e-6),
        ("milliseconds", 1e-3),
        ("minutes", 60.0),
        ("hours", 3_600.0),
        ("weeks", 604_800.0),
    ];
    let given = |(index, (name, seconds)): (usize, &(&str, f64))| {
        let value = arguments.get(index, name).and_then(|value| f64::try_from(value).ok());
        value.unwrap_or(0.0) * seconds
    };
    Value::from(units.iter().enumerate().map(given).sum::<f64>())
}

impl Object for Moment {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        Some(match key.as_str()? {
            "year" => Value::from(self.at.year()),
            "month" => Value::from(self.at.month()),
            "day" => Value::from(self.at.day()),
            "hour" => Value::from(self.at.hour()),
            "minute" => Value::from(self.at.minute()),
            "second" => Value::from(self.at.second()),
            "microsecond" => Value::from(self.at.timestamp_subsec_micros()),
            _ => return None,
        })
    }

    fn is_true(self: &Arc<Self>) -> bool {
        true
    }

    fn call_method(self: &Arc<Self>, _: &mut State<'_, '_>, method: &str, args: &[Value]) -> Result<Value, Error> {
        let arguments = Arguments::new(args)?;
        match method {
            "strftime" => self.format(&arguments.text(0, "format")?),
            "isoformat" => Ok(Value::from(self.iso())),
            "date" => Ok(Value::from_object(Self { at: self.at, date_only: true })),
            "replace" => self.replace(&arguments),
            "astimezone" => Ok(Value::from_object(Self { at: self.at, date_only: self.date_only })),
            "timestamp" => Ok(Value::from(self.at.timestamp_micros() as f64 / 1e6)),
            "weekday" => Ok(Value::from(self.at.weekday().num_days_from_monday())),
            "isoweekday" => Ok(Value::from(self.at.weekday().number_from_monday())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn render(self: &Arc<Self>, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.iso().replace('T', " "))
    }
}

/// `modules`.
pub(crate) fn modules(render: &Arc<Render>) -> Value {
    Value::from_object(MethodsObject(Modules { render: Arc::clone(render) }))
}

#[derive(Debug)]
struct Modules {
    render: Arc<Render>,
}

impl Methods for Modules {
    fn call(&self, _: &mut State<'_, '_>, method: &str, _: &Arguments) -> Result<Value, Error> {
        Err(invalid(format!("modules has no function {method}")))
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        Some(match name {
            "datetime" => Value::from_object(MethodsObject(Datetime { render: Arc::clone(&self.render) })),
            "re" => Value::from_object(MethodsObject(Regular)),
            "itertools" => Value::from_object(MethodsObject(super::itertools::Itertools)),
            "pytz" => Value::from_object(MethodsObject(Timezones)),
            _ => return None,
        })
    }
}

/// `modules.pytz`, of which there is UTC alone.
#[derive(Debug)]
struct Timezones;

impl Methods for Timezones {
    fn call(&self, _: &mut State<'_, '_>, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        match method {
            "timezone" => {
                let name = arguments.text(0, "zone")?;
                match name.as_str() {
                    "UTC" | "utc" | "Etc/UTC" => Ok(Value::from("UTC")),
                    _ => Err(invalid(format!("templates know no time zone but UTC, not '{name}'"))),
                }
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        matches!(name, "utc" | "UTC").then(|| Value::from("UTC"))
    }
}

/// Both the module `datetime` and its class of the same name.
#[derive(Debug)]
struct Datetime {
    render: Arc<Render>,
}

impl Methods for Datetime {
    fn call(&self, _: &mut State<'_, '_>, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        match method {
            "now" | "utcnow" | "today" => {
                self.render.collect(|collected| collected.volatile = true);
                Ok(value(match &self.render.pass {
                    Pass::Compile { run, .. } => run.started_at.as_micros(),
                    Pass::Parse => 0,
                }))
            }
            "strptime" => parse(&arguments.text(0, "date_string")?, &arguments.text(1, "format")?),
            "fromisoformat" => {
                let text = arguments.text(0, "date_string")?;
                parse(&text, "%Y-%m-%d").or_else(|_| parse(&text.replace('T', " "), "%Y-%m-%d %H:%M:%S%.f"))
            }
            "datetime" | "date" => construct(arguments, method == "date"),
            "timedelta" => Ok(timedelta(arguments)),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }

    fn attribute(&self, name: &str) -> Option<Value> {
        matches!(name, "datetime" | "date")
            .then(|| Value::from_object(MethodsObject(Self { render: Arc::clone(&self.render) })))
    }
}

fn parse(text: &str, pattern: &str) -> Result<Value, Error> {
    if let Ok(at) = NaiveDateTime::parse_from_str(text, pattern) {
        return Ok(of(at, false));
    }
    let date = NaiveDate::parse_from_str(text, pattern).ok().and_then(|date| date.and_hms_opt(0, 0, 0));
    date.map(|at| of(at, false)).ok_or_else(|| invalid(format!("{text:?} is not a date of the form {pattern:?}")))
}

fn construct(arguments: &Arguments, date_only: bool) -> Result<Value, Error> {
    let mut parts = [0_u32; 6];
    for (index, name) in ["year", "month", "day", "hour", "minute", "second"].iter().enumerate() {
        let found = arguments.get(index, name).and_then(|value| value.as_usize());
        if let (Some(part), Some(found)) = (parts.get_mut(index), found) {
            *part = u32::try_from(found).unwrap_or(u32::MAX);
        }
    }
    let [year, month, day, hour, minute, second] = parts;
    NaiveDate::from_ymd_opt(i32::try_from(year).unwrap_or(i32::MAX), month, day)
        .and_then(|date| date.and_hms_opt(hour, minute, second))
        .map(|at| of(at, date_only))
        .ok_or_else(|| invalid("there is no such date"))
}

/// Longest pattern and text regular expressions are tried on.
const MAX_COMPILED: usize = 1 << 20;

/// `modules.re`, without look-around and back-references.
#[derive(Debug)]
struct Regular;

impl Methods for Regular {
    fn call(&self, _: &mut State<'_, '_>, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        let pattern = arguments.text(0, "pattern")?;
        let anchored = match method {
            "match" => format!("^(?:{pattern})"),
            "fullmatch" => format!("^(?:{pattern})$"),
            _ => pattern,
        };
        let compiled = regex::RegexBuilder::new(&anchored).size_limit(MAX_COMPILED).build();
        let compiled =
            compiled.map_err(|error| invalid("this regular expression cannot be used").with_source(error))?;
        match method {
            "match" | "fullmatch" | "search" => Ok(found(&compiled, &arguments.text(1, "string")?)),
            "sub" => {
                let replacement = arguments.text(1, "repl")?.replace('$', "$$");
                let replacement = numbered_groups(&replacement);
                let text = arguments.text(2, "string")?;
                Ok(Value::from(compiled.replace_all(&text, replacement.as_str()).into_owned()))
            }
            "findall" => {
                let text = arguments.text(1, "string")?;
                Ok(List::of(compiled.find_iter(&text).map(|found| Value::from(found.as_str())).collect()))
            }
            "split" => {
                let text = arguments.text(1, "string")?;
                Ok(List::of(compiled.split(&text).map(Value::from).collect()))
            }
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}

/// Python writes `\1` where the regex crate writes `${1}`.
fn numbered_groups(replacement: &str) -> String {
    let mut changed = String::with_capacity(replacement.len());
    let mut characters = replacement.chars().peekable();
    while let Some(character) = characters.next() {
        match characters.peek() {
            Some(&digit) if character == '\\' && digit.is_ascii_digit() => {
                changed.push_str(&format!("${{{digit}}}"));
                characters.next();
            }
            _ => changed.push(character),
        }
    }
    changed
}

#[derive(Debug)]
struct Match {
    groups: Vec<Value>,
}

fn found(pattern: &regex::Regex, text: &str) -> Value {
    let Some(captures) = pattern.captures(text) else { return Value::from(()) };
    let group = |group: Option<regex::Match<'_>>| group.map_or(Value::from(()), |group| Value::from(group.as_str()));
    Value::from_object(MethodsObject(Match { groups: captures.iter().map(group).collect() }))
}

impl Methods for Match {
    fn call(&self, _: &mut State<'_, '_>, method: &str, arguments: &Arguments) -> Result<Value, Error> {
        match method {
            "group" => {
                let at = arguments.get(0, "group").and_then(|value| value.as_usize()).unwrap_or(0);
                self.groups.get(at).cloned().ok_or_else(|| invalid("no such group"))
            }
            "groups" => Ok(List::of(self.groups.iter().skip(1).cloned().collect())),
            _ => Err(Error::from(ErrorKind::UnknownMethod)),
        }
    }
}
