//! The people, places and devices of the simulated world, from the tables embedded in `data/`.
//!
//! A person is four indexes drawn from (seed, ordinal), so that nobody's attributes need to be stored or kept alive.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};

use super::render::json_string;
use crate::error::SimError;
use crate::random::{Alias, Stream};

const CITIES: &str = include_str!("../../data/cities.tsv");
const FIRST_NAMES: &str = include_str!("../../data/first_names.tsv");
const SURNAMES: &str = include_str!("../../data/surnames.tsv");
const USER_AGENTS: &str = include_str!("../../data/user_agents.tsv");

/// What the streams of a user are for; part of the seed of each.
pub const ROLE_PROFILE: u64 = 1;
pub const ROLE_LIFE: u64 = 2;

/// Who a user is, as indexes into the tables of a [`World`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    pub place: u32,
    pub first_name: u32,
    pub surname: u32,
    pub agent: u32,
}

#[derive(Clone, Debug)]
pub struct Place {
    zip: &'static str,
    city: &'static str,
    state_code: &'static str,
    state: &'static str,
    county: &'static str,
    /// `,"zip":...,"city":...,"state":...,"lat":...,"lon":...` as it appears in records.
    pub json: Box<str>,
}

type PlaceColumn = fn(&Place) -> &str;

/// Rows of one embedded table with a weighted draw over them.
#[derive(Debug)]
pub struct Weighted<T> {
    pub rows: Vec<T>,
    pub draw: Alias,
}

#[derive(Debug)]
pub struct World {
    seed: u64,
    pub places: Weighted<Place>,
    /// `"firstName":...,"gender":...`
    pub first_names: Weighted<Box<str>>,
    /// `"lastName":...`
    pub surnames: Weighted<Box<str>>,
    /// `,"userAgent":...`
    pub agents: Weighted<Box<str>>,
}

impl World {
    pub fn new(seed: u64) -> Result<Self, SimError> {
        Ok(Self {
            seed,
            places: places()?,
            first_names: weighted("first_names", FIRST_NAMES, |[name, gender, weight]: [&'static str; 3]| {
                let json = format!("\"firstName\":{},\"gender\":{}", json_string(name), json_string(gender));
                Some((json.into_boxed_str(), weight.parse().ok()?))
            })?,
            surnames: weighted("surnames", SURNAMES, |[name, weight]: [&'static str; 2]| {
                Some((format!("\"lastName\":{}", json_string(name)).into_boxed_str(), weight.parse().ok()?))
            })?,
            agents: weighted("user_agents", USER_AGENTS, |[agent, weight]: [&'static str; 2]| {
                Some((format!(",\"userAgent\":{}", json_string(agent)).into_boxed_str(), weight.parse().ok()?))
            })?,
        })
    }

    pub fn profile(&self, ordinal: u32) -> Profile {
        let mut stream = Stream::of(self.seed, ROLE_PROFILE, u64::from(ordinal));
        Profile {
            place: self.places.draw.draw(&mut stream) as u32,
            first_name: self.first_names.draw.draw(&mut stream) as u32,
            surname: self.surnames.draw.draw(&mut stream) as u32,
            agent: self.agents.draw.draw(&mut stream) as u32,
        }
    }

    pub fn locations(&self) -> Result<RecordBatch, SimError> {
        let columns: [(&str, PlaceColumn); 6] = [
            ("country_code", |_| "US"),
            ("postal_code", |place| place.zip),
            ("city", |place| place.city),
            ("state", |place| place.state),
            ("state_code", |place| place.state_code),
            ("county", |place| place.county),
        ];
        let fields: Vec<Field> = columns.iter().map(|(name, _)| Field::new(*name, DataType::Utf8, false)).collect();
        let arrays = columns
            .iter()
            .map(|(_, value)| Arc::new(StringArray::from_iter_values(self.places.rows.iter().map(value))) as ArrayRef)
            .collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(|source| SimError::ReferenceTable { table: "locations", source })
    }
}

/// A number that changes when any of the tables that shape the records does.
pub fn tables_checksum() -> u32 {
    [CITIES, FIRST_NAMES, SURNAMES, USER_AGENTS]
        .iter()
        .fold(0, |sum, table| crc32c::crc32c_append(sum, table.as_bytes()))
}

fn places() -> Result<Weighted<Place>, SimError> {
    weighted("cities", CITIES, |[zip, city, state_code, state, county, lat, lon, population]: [&'static str; 8]| {
        let (_, _): (f64, f64) = (lat.parse().ok()?, lon.parse().ok()?);
        let json = format!(
            ",\"zip\":{},\"city\":{},\"state\":{},\"lat\":{lat},\"lon\":{lon}",
            json_string(zip),
            json_string(city),
            json_string(state_code),
        );
        let place = Place { zip, city, state_code, state, county, json: json.into_boxed_str() };
        Some((place, population.parse().ok()?))
    })
}

fn weighted<T, const N: usize>(
    table: &'static str,
    text: &'static str,
    row: impl Fn([&'static str; N]) -> Option<(T, f64)>,
) -> Result<Weighted<T>, SimError> {
    let mut rows = Vec::new();
    let mut weights = Vec::new();
    for (line, fields) in lines(text) {
        let malformed = SimError::EmbeddedTable { table, line };
        let Some((value, weight)) = fields.try_into().ok().and_then(&row) else { return Err(malformed) };
        rows.push(value);
        weights.push(weight);
    }
    let draw = Alias::new(&weights).ok_or(SimError::EmbeddedTable { table, line: 1 })?;
    Ok(Weighted { rows, draw })
}

/// Fields of every line after the header, with the line's number.
pub fn lines(text: &'static str) -> impl Iterator<Item = (usize, Vec<&'static str>)> {
    text.lines().enumerate().skip(1).map(|(index, line)| (index + 1, line.split('\t').collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_depends_on_seed_and_ordinal_only() {
        let world = World::new(1).unwrap();
        assert_eq!(world.profile(7), World::new(1).unwrap().profile(7));
        assert!((0..100).any(|ordinal| world.profile(ordinal) != World::new(2).unwrap().profile(ordinal)));
    }

    #[test]
    fn every_fragment_is_json() {
        let world = World::new(1).unwrap();
        let fragments = world
            .places
            .rows
            .iter()
            .map(|place| &place.json[1..])
            .chain(world.first_names.rows.iter().chain(&world.surnames.rows).map(|json| &json[..]));
        for fragment in fragments.chain(world.agents.rows.iter().map(|json| &json[1..])) {
            serde_json::from_str::<serde_json::Value>(&format!("{{{fragment}}}")).unwrap();
        }
    }

    #[test]
    fn people_live_where_the_population_is() {
        let world = World::new(1).unwrap();
        let in_state = |code: &str| {
            (0..20_000u32).filter(|&id| world.places.rows[world.profile(id).place as usize].state_code == code).count()
        };
        assert!(in_state("CA") > 5 * in_state("VT"));
    }

    #[test]
    fn locations_have_one_row_for_each_postal_code() {
        let rows = World::new(1).unwrap().locations().unwrap();
        assert_eq!(rows.num_columns(), 6);
        assert!(rows.num_rows() > 100);
    }
}
