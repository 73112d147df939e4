//! Time zones: the time a clock on a wall shows, and the instant it shows it at.

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::{ArrayRef, StringBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, TimeUnit};
use chrono::{DateTime, FixedOffset, LocalResult, NaiveDateTime, Offset, TimeDelta, TimeZone};
use chrono_tz::Tz;
use datafusion::common::{Result, exec_datafusion_err};

use super::arguments::{Arguments, text_at};
use super::calendar::{calendar, micros_of};
use super::{Function, returns};

pub(super) const FUNCTIONS: &[Function] = &[
    // AT TIME ZONE: of an instant the time on the wall there, of a time on the wall there the instant.
    Function { name: "at_zone", arity: (2, 2), returns: at_zone_type, body: at_zone },
    // The same; of two instants with one time on the wall the second, which is that of standard time.
    Function { name: "at_zone_standard", arity: (2, 2), returns: at_zone_type, body: at_zone_standard },
    // The time on the wall of a zone; a time without a zone is UTC.
    Function { name: "zone_wall", arity: (2, 2), returns: returns::timestamp, body: wall },
    // The time in UTC of a time on the wall of a zone.
    Function { name: "zone_utc", arity: (2, 2), returns: returns::timestamp, body: utc },
    // The instant of a time; one without a zone is UTC.
    Function { name: "instant_of", arity: (1, 2), returns: returns::instant, body: instant },
    // A time on the wall of a zone as text, with what it is away from UTC.
    Function { name: "zone_text", arity: (2, 2), returns: returns::text, body: zone_text },
];

pub(super) enum Zone {
    Named(Tz),
    Fixed(FixedOffset),
}

impl Zone {
    pub(super) fn parse(name: &str) -> Result<Self> {
        let trimmed = name.trim();
        if let Ok(zone) = Tz::from_str(trimmed) {
            return Ok(Self::Named(zone));
        }
        if trimmed.eq_ignore_ascii_case("z") || trimmed.eq_ignore_ascii_case("utc") {
            return Ok(Self::Named(Tz::UTC));
        }
        if let Ok(offset) = FixedOffset::from_str(trimmed) {
            return Ok(Self::Fixed(offset));
        }
        let known = chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(trimmed));
        known.copied().map(Self::Named).ok_or_else(|| exec_datafusion_err!("`{name}` is no time zone"))
    }

    fn offset(&self, at: NaiveDateTime) -> FixedOffset {
        match self {
            Self::Named(zone) => zone.offset_from_utc_datetime(&at).fix(),
            Self::Fixed(offset) => *offset,
        }
    }

    fn wall(&self, at: i64) -> Option<i64> {
        let seconds = i64::from(self.offset(calendar(at)?).local_minus_utc());
        at.checked_add(seconds * 1_000_000)
    }

    /// Of two instants with one time on the wall the first; of a time that clocks skip, as if they had not been set yet.
    pub(super) fn utc(&self, wall: i64) -> Option<i64> {
        self.instant(wall, LocalResult::earliest)
    }

    /// Of two instants with one time on the wall the second.
    fn utc_standard(&self, wall: i64) -> Option<i64> {
        self.instant(wall, LocalResult::latest)
    }

    fn instant(
        &self,
        wall: i64,
        choose: fn(LocalResult<DateTime<FixedOffset>>) -> Option<DateTime<FixedOffset>>,
    ) -> Option<i64> {
        let local = calendar(wall)?;
        let found = choose(match self {
            Self::Named(zone) => zone.from_local_datetime(&local).map(|at| at.fixed_offset()),
            Self::Fixed(offset) => offset.from_local_datetime(&local),
        });
        match found {
            Some(at) => Some(at.timestamp_micros()),
            None => {
                let before = local.checked_sub_signed(TimeDelta::try_hours(3)?)?;
                let offset = i64::from(self.offset(before).local_minus_utc());
                Some(micros_of(local) - offset * 1_000_000)
            }
        }
    }
}

/// The last zone looked up: nearly always there is one for the whole column.
struct Zones(Option<(String, Zone)>);

impl Zones {
    fn get(&mut self, name: &str) -> Result<&Zone> {
        if self.0.as_ref().is_none_or(|(known, _)| known != name) {
            self.0 = Some((name.to_owned(), Zone::parse(name)?));
        }
        self.0.as_ref().map(|(_, zone)| zone).ok_or_else(|| exec_datafusion_err!("there is no time zone"))
    }
}

fn has_zone(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(_, Some(_)))
}

fn at_zone_type(types: &[DataType]) -> Result<DataType> {
    let zone = if types.first().is_some_and(has_zone) { None } else { Some("UTC".into()) };
    Ok(DataType::Timestamp(TimeUnit::Microsecond, zone))
}

fn shifted(arguments: &Arguments, shift: fn(&Zone, i64) -> Option<i64>) -> Result<ArrayRef> {
    let (times, names) = (arguments.times(0)?, arguments.text(1)?);
    let mut zones = Zones(None);
    let mut shifted = TimestampMicrosecondArray::builder(arguments.rows);
    for row in 0..arguments.rows {
        match (times.at(row), text_at(&names, row)) {
            (Some(at), Some(name)) => shifted.append_option(shift(zones.get(name)?, at)),
            _ => shifted.append_null(),
        }
    }
    arguments.returned_times(shifted.finish())
}

fn at_zone(arguments: &Arguments) -> Result<ArrayRef> {
    if has_zone(arguments.array(0)?.data_type()) {
        shifted(arguments, Zone::wall)
    } else {
        shifted(arguments, Zone::utc)
    }
}

fn at_zone_standard(arguments: &Arguments) -> Result<ArrayRef> {
    if has_zone(arguments.array(0)?.data_type()) {
        shifted(arguments, Zone::wall)
    } else {
        shifted(arguments, Zone::utc_standard)
    }
}

fn wall(arguments: &Arguments) -> Result<ArrayRef> {
    shifted(arguments, Zone::wall)
}

fn utc(arguments: &Arguments) -> Result<ArrayRef> {
    shifted(arguments, Zone::utc)
}

fn instant(arguments: &Arguments) -> Result<ArrayRef> {
    if arguments.len() == 2 && !has_zone(arguments.array(0)?.data_type()) {
        return shifted(arguments, Zone::utc);
    }
    let times = arguments.times_or_seconds(0)?;
    Ok(Arc::new(times.micros.with_timezone("UTC")))
}

fn zone_text(arguments: &Arguments) -> Result<ArrayRef> {
    let (times, names) = (arguments.times(0)?, arguments.text(1)?);
    let mut zones = Zones(None);
    let mut texts = StringBuilder::new();
    for row in 0..arguments.rows {
        let (Some(at), Some(name)) = (times.at(row), text_at(&names, row)) else {
            texts.append_null();
            continue;
        };
        let zone = zones.get(name)?;
        texts.append_option(zone.wall(at).and_then(calendar).zip(calendar(at)).map(|(wall, utc)| {
            let offset = zone.offset(utc).to_string();
            let fraction = wall.format("%6f").to_string();
            let digits = fraction.trim_end_matches('0');
            let point = if digits.is_empty() { "" } else { "." };
            let short = offset.strip_suffix(":00").unwrap_or(&offset);
            format!("{}{point}{digits}{short}", wall.format("%Y-%m-%d %H:%M:%S"))
        }));
    }
    Ok(Arc::new(texts.finish()))
}
