//! Words for spans and fields of time.

use datafusion::sql::sqlparser::ast::{DateTimeField, Expr};

use super::Dialect;
use super::build::{arguments, function_name, literal_text};
use super::template::Problem;

/// Spans under all their names.
const SPANS: &[(&str, &[&str])] = &[
    ("millennium", &["millennium", "millenium", "millennia", "mil", "mils"]),
    ("century", &["century", "centuries", "c", "cent", "cents"]),
    ("decade", &["decade", "decades", "dec", "decs"]),
    ("year", &["year", "years", "y", "yy", "yyy", "yyyy", "yr", "yrs"]),
    ("isoyear", &["isoyear", "year_iso", "yearofweekiso"]),
    ("quarter", &["quarter", "quarters", "q", "qtr", "qtrs"]),
    ("month", &["month", "months", "mm", "mon", "mons"]),
    (
        "week",
        &[
            "week",
            "weeks",
            "w",
            "wk",
            "weekofyear",
            "woy",
            "wy",
            "weekiso",
            "week_iso",
            "isoweek",
            "weekofyeariso",
            "weekofyear_iso",
        ],
    ),
    ("day", &["day", "days", "d", "dd", "dayofmonth"]),
    ("hour", &["hour", "hours", "h", "hh", "hr", "hrs"]),
    ("minute", &["minute", "minutes", "m", "mi", "min", "mins"]),
    ("second", &["second", "seconds", "s", "sec", "secs"]),
    (
        "millisecond",
        &["millisecond", "milliseconds", "ms", "msec", "msecs", "msecond", "mseconds", "millisec", "millisecs"],
    ),
    (
        "microsecond",
        &["microsecond", "microseconds", "us", "usec", "usecs", "usecond", "useconds", "microsec", "microsecs"],
    ),
];

/// Fields under all their names, but for those that are spans too.
const FIELDS: &[(&str, &[&str])] = &[
    ("dayofyear", &["dayofyear", "doy", "yearday", "day_of_year", "dy"]),
    ("isodow", &["isodow", "dayofweekiso", "weekday_iso", "dow_iso", "dayofweek_iso", "dw_iso"]),
    ("isoweek", &["isoweek", "weekiso", "week_iso", "weekofyeariso"]),
    ("isoyear", &["isoyear", "yearofweekiso", "yearofweek"]),
    ("yearweek", &["yearweek"]),
    ("epoch_second", &["epoch_second", "epoch_seconds"]),
    ("epoch_millisecond", &["epoch_millisecond", "epoch_milliseconds"]),
    ("epoch_microsecond", &["epoch_microsecond", "epoch_microseconds"]),
    ("nanosecond", &["nanosecond", "nanoseconds", "ns"]),
    ("julian", &["julian"]),
];

fn find(table: &[(&'static str, &[&str])], word: &str) -> Option<&'static str> {
    table.iter().find(|(_, names)| names.contains(&word)).map(|(name, _)| *name)
}

/// The word an argument is, in lower case: `DAY`, `'day'`, `WEEK(MONDAY)`.
pub(super) fn word(argument: &Expr) -> Option<String> {
    match argument {
        Expr::Nested(inner) => word(inner),
        Expr::Identifier(ident) => Some(ident.value.to_lowercase()),
        Expr::Function(function) => {
            let inner = arguments(function)?;
            let inner: Option<Vec<String>> = inner.iter().map(word).collect();
            let inner = inner?;
            let name = function_name(&function.name);
            Some(if inner.is_empty() { name } else { format!("{name}({})", inner.join(",")) })
        }
        other => literal_text(other).map(str::to_lowercase),
    }
}

fn unknown(argument: &Expr) -> Problem {
    (
        format!("the part `{argument}` of a date or time"),
        String::from("Write year, quarter, month, week, day, hour, minute or second."),
    )
}

/// The span an argument names, as our functions of dates call it.
pub(super) fn span(dialect: Dialect, argument: &Expr) -> Result<String, Problem> {
    let given = word(argument).ok_or_else(|| unknown(argument))?;
    span_of(dialect, given.trim()).ok_or_else(|| unknown(argument))
}

pub(super) fn span_of(dialect: Dialect, word: &str) -> Option<String> {
    if word.starts_with("week(") {
        return Some(word.to_owned());
    }
    let found = find(SPANS, word)?;
    // Weeks begin on Sunday in BigQuery alone.
    let is_sunday = dialect == Dialect::BigQuery && word == "week";
    Some(if is_sunday { String::from("week(sunday)") } else { found.to_owned() })
}

/// The field an argument names, as `date_read` calls it.
pub(super) fn field(dialect: Dialect, argument: &Expr) -> Result<String, Problem> {
    let given = word(argument).ok_or_else(|| unknown(argument))?;
    field_of(dialect, given.trim()).ok_or_else(|| unknown(argument))
}

pub(super) fn field_of(dialect: Dialect, word: &str) -> Option<String> {
    let is_postgres = matches!(dialect, Dialect::Postgres | Dialect::Redshift | Dialect::DuckDb);
    let found = match word {
        "week(sunday)" | "week(monday)" => word,
        "week" if dialect == Dialect::BigQuery => "week(sunday)",
        "week" | "weeks" | "w" | "wk" | "weekofyear" | "woy" | "wy" => "isoweek",
        "dayofweek" | "dow" | "dw" | "weekday" | "day_of_week" | "dayofweek_sunday" => match dialect {
            Dialect::BigQuery => "dayofweek",
            Dialect::Spark if word == "weekday" => "weekday",
            Dialect::Spark if word.starts_with("day") => "dayofweek",
            Dialect::Spark => "dayofweek",
            _ => "dow",
        },
        "ms" | "millisecond" | "milliseconds" | "msec" if is_postgres => "milliseconds",
        "us" | "microsecond" | "microseconds" | "usec" if is_postgres => "microseconds",
        other => find(FIELDS, other).or_else(|| find(SPANS, other))?,
    };
    Some(found.to_owned())
}

/// The word of a field in the grammar of EXTRACT.
pub(super) fn extract_word(field: &DateTimeField) -> String {
    match field {
        DateTimeField::Week(Some(day)) => format!("week({})", day.value.to_lowercase()),
        other => other.to_string().trim_matches('\'').to_lowercase(),
    }
}
