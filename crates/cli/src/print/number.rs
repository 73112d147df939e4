//! Numbers for people.

use std::time::Duration;

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1.5 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1024.0;
    let mut chosen = "KiB";
    for unit in UNITS {
        chosen = unit;
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
    }
    format!("{size:.1} {chosen}")
}

/// `0.21s`, `3m 05s`.
pub(crate) fn seconds(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.2}s");
    }
    let whole = Duration::from_secs_f64(seconds.min(1e9)).as_secs();
    format!("{}m {:02}s", whole / 60, whole % 60)
}
