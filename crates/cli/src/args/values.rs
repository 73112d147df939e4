//! Sizes, durations and counts as people write them.

use std::time::Duration;

/// `1073741824`, `512MiB`, `4GiB`, `4GB`, `4g`.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text)?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kib" => 1 << 10,
        "m" | "mib" => 1 << 20,
        "g" | "gib" => 1 << 30,
        "t" | "tib" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        _ => return Err(format!("`{unit}` is not a unit of size: use KiB, MiB or GiB")),
    };
    number
        .checked_mul(factor)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "it must be more than nothing and fit 64 bits".into())
}

/// `gs://bucket/orders=./data/orders`: the beginning of a location and what stands for it.
pub(super) fn location(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((from, to)) if !from.is_empty() && !to.is_empty() => Ok((from.to_owned(), to.to_owned())),
        _ => Err("it is FROM=TO, such as gs://bucket=./data".into()),
    }
}

/// `10000000`, `500k`, `10M`.
pub(super) fn count(text: &str) -> Result<u64, String> {
    let (number, unit) = split(&text.replace('_', ""))?;
    let factor: u64 = match unit.to_ascii_lowercase().as_str() {
        "" => 1,
        "k" => 1_000,
        "m" => 1_000_000,
        "g" | "b" => 1_000_000_000,
        _ => return Err(format!("`{unit}` is not a unit of number: use k or M")),
    };
    number.checked_mul(factor).ok_or_else(|| "it is too large".into())
}

/// `30s`, `500ms`, `5m`, `1h30m`; a number alone is seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let mut total = Duration::ZERO;
    let mut rest = text.trim().to_owned();
    while !rest.is_empty() {
        let (number, after) = split(&rest)?;
        let end = after.find(|character: char| character.is_ascii_digit()).unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(end).unwrap_or((after.as_str(), ""));
        let part = match unit.trim() {
            "ms" => Duration::from_millis(number),
            "" | "s" => Duration::from_secs(number),
            "m" | "min" => Duration::from_secs(number.saturating_mul(60)),
            "h" => Duration::from_secs(number.saturating_mul(3_600)),
            "d" => Duration::from_secs(number.saturating_mul(86_400)),
            other => return Err(format!("`{other}` is not a unit of time: use ms, s, m, h or d")),
        };
        total = total.saturating_add(part);
        rest = next.to_owned();
    }
    if total.is_zero() { Err("it must be more than nothing, e.g. 30s".into()) } else { Ok(total) }
}

/// `1`, `2.5`, `60x`.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    let number =
        text.trim().trim_end_matches('x').parse::<f64>().map_err(|_| "it must be a number, e.g. 60".to_owned())?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("it must be more than nothing".into()) }
}

/// A whole number and what follows it.
fn split(text: &str) -> Result<(u64, String), String> {
    let text = text.trim();
    let end = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at_checked(end).unwrap_or((text, ""));
    let number = digits.parse::<u64>().map_err(|_| "it must start with a whole number".to_owned())?;
    Ok((number, unit.trim().to_owned()))
}
