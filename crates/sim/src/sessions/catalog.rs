//! The music: a catalogue of songs invented from word lists by the seed, with listen counts that fall off like Zipf's law.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{Field, Schema};

use super::render::json_string;
use super::world::lines;
use crate::error::SimError;
use crate::random::{Alias, Stream};

const GENRES: &str = include_str!("../../data/genres.tsv");
const TITLE_WORDS: &str = include_str!("../../data/title_words.tsv");
const ARTIST_WORDS: &str = include_str!("../../data/artist_words.tsv");

const ROLE_SONGS: u64 = 3;
const ROLE_ARTISTS: u64 = 4;
/// Popularity of the song of rank r is 1 / (r + 10)^0.9: the first among 10,000 gets about 1 % of the listens.
const ZIPF_SHIFT: f64 = 10.0;
const ZIPF_EXPONENT: f64 = 0.9;

#[derive(Clone, Debug)]
pub struct Song {
    track_id: String,
    artist: String,
    title: String,
    genre: &'static str,
    /// In hundred-thousandths of a second, as precise as records state it.
    duration: u32,
    /// `"artist":...,"song":...,"duration":...` as it appears in records.
    pub json: Box<str>,
}

impl Song {
    pub fn duration_millis(&self) -> i64 {
        i64::from(self.duration / 100)
    }

    fn duration_text(&self) -> String {
        format!("{}.{:05}", self.duration / 100_000, self.duration % 100_000)
    }
}

#[derive(Debug)]
pub struct Catalog {
    pub songs: Vec<Song>,
    pub draw: Alias,
}

/// Words of one kind list, by kind.
struct Words {
    rows: Vec<(&'static str, &'static str)>,
}

impl Words {
    fn read(table: &'static str, text: &'static str) -> Result<Self, SimError> {
        let mut rows = Vec::new();
        for (line, fields) in lines(text) {
            let [word, kind] = fields.as_slice() else { return Err(SimError::EmbeddedTable { table, line }) };
            rows.push((*word, *kind));
        }
        Ok(Self { rows })
    }

    fn of_kind(&self, kind: &str) -> Vec<&'static str> {
        self.rows.iter().filter(|(_, of)| *of == kind).map(|(word, _)| *word).collect()
    }
}

fn pick(words: &[&'static str], stream: &mut Stream) -> &'static str {
    words.get(stream.below(words.len() as u64) as usize).copied().unwrap_or_default()
}

impl Catalog {
    pub fn new(seed: u64, count: u32) -> Result<Self, SimError> {
        let genres = Genres::read()?;
        let artists = artists(seed, (count / 7).max(1))?;
        let titles = Titles::read()?;
        let mut stream = Stream::of(seed, ROLE_SONGS, 0);
        let mut taken = HashSet::new();
        let mut songs = Vec::with_capacity(count as usize);
        for index in 0..count {
            // Squaring favours the first artists, so that some have long lists and most have a few songs.
            let artist = &artists[((stream.unit().powi(2) * artists.len() as f64) as usize).min(artists.len() - 1)];
            let title = titles.invent(artist, &mut taken, &mut stream);
            songs.push(song(index, artist, title, genres.of(artist, &mut stream), &mut stream));
        }
        let weights: Vec<f64> = (0..count).map(|rank| (f64::from(rank) + ZIPF_SHIFT).powf(-ZIPF_EXPONENT)).collect();
        let draw = Alias::new(&weights).unwrap_or_default();
        Ok(Self { songs, draw })
    }

    pub fn table(&self) -> Result<RecordBatch, SimError> {
        let text = |value: fn(&Song) -> &str| {
            Arc::new(StringArray::from_iter_values(self.songs.iter().map(value))) as ArrayRef
        };
        let durations = self.songs.iter().map(|song| f64::from(song.duration) / 100_000.0);
        let columns = [
            ("track_id", text(|song| &song.track_id)),
            ("artist", text(|song| &song.artist)),
            ("title", text(|song| &song.title)),
            ("duration", Arc::new(Float64Array::from_iter_values(durations)) as ArrayRef),
            ("genre", text(|song| song.genre)),
        ];
        let fields: Vec<Field> =
            columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), false)).collect();
        let arrays = columns.into_iter().map(|(_, column)| column).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)
            .map_err(|source| SimError::ReferenceTable { table: "songs", source })
    }
}

/// A number that changes when any of the word lists does.
pub fn tables_checksum() -> u32 {
    [GENRES, TITLE_WORDS, ARTIST_WORDS].iter().fold(0, |sum, table| crc32c::crc32c_append(sum, table.as_bytes()))
}

fn song(index: u32, artist: &str, title: String, genre: &'static str, stream: &mut Stream) -> Song {
    let seconds = (235.0 * stream.log_normal(0.35)).clamp(45.0, 1_500.0);
    let duration = (seconds * 100_000.0) as u32;
    let track_id = format!("TR{:06X}{:010X}", index, stream.next_u64() >> 24);
    let mut song = Song { track_id, artist: artist.to_owned(), title, genre, duration, json: Box::default() };
    song.json = format!(
        "\"artist\":{},\"song\":{},\"duration\":{}",
        json_string(&song.artist),
        json_string(&song.title),
        song.duration_text()
    )
    .into_boxed_str();
    song
}

struct Genres {
    names: Vec<&'static str>,
    draw: Alias,
}

impl Genres {
    fn read() -> Result<Self, SimError> {
        let mut names = Vec::new();
        let mut weights = Vec::new();
        for (line, fields) in lines(GENRES) {
            let malformed = SimError::EmbeddedTable { table: "genres", line };
            let [name, weight] = fields.as_slice() else { return Err(malformed) };
            let Ok(weight) = weight.parse() else { return Err(malformed) };
            names.push(*name);
            weights.push(weight);
        }
        let draw = Alias::new(&weights).ok_or(SimError::EmbeddedTable { table: "genres", line: 1 })?;
        Ok(Self { names, draw })
    }

    /// An artist has a home genre and strays from it now and then.
    fn of(&self, artist: &str, stream: &mut Stream) -> &'static str {
        let mut home = Stream::of(0, ROLE_ARTISTS, u64::from(crc32c::crc32c(artist.as_bytes())));
        let index = if stream.chance(0.1) { self.draw.draw(stream) } else { self.draw.draw(&mut home) };
        self.names.get(index).copied().unwrap_or_default()
    }
}

fn artists(seed: u64, count: u32) -> Result<Vec<String>, SimError> {
    let words = Words::read("artist_words", ARTIST_WORDS)?;
    let [first, last, noun, adjective] = ["first", "last", "noun", "adjective"].map(|kind| words.of_kind(kind));
    let mut stream = Stream::of(seed, ROLE_ARTISTS, 0);
    let mut taken = HashSet::new();
    let mut names = Vec::with_capacity(count as usize);
    for number in 0..count {
        let mut word = |words: &[&'static str]| pick(words, &mut stream);
        let (given, family, thing, quality) = (word(&first), word(&last), word(&noun), word(&adjective));
        let name = match stream.below(12) {
            0..=4 => format!("{given} {family}"),
            5 | 6 => format!("The {quality} {thing}s"),
            7 => format!("{quality} {thing}"),
            8 => format!("{given} \"{thing}\" {family}"),
            9 => format!("{given} {family} & The {thing}s"),
            10 => format!("{family}, {given} and the {quality} {thing}"),
            _ => format!("{given}'s {thing}"),
        };
        names.push(if taken.insert(folded(&name)) { name } else { format!("{name} {}", number + 2) });
    }
    Ok(names)
}

struct Titles {
    adjectives: Vec<&'static str>,
    nouns: Vec<&'static str>,
    verbs: Vec<&'static str>,
    places: Vec<&'static str>,
}

impl Titles {
    fn read() -> Result<Self, SimError> {
        let words = Words::read("title_words", TITLE_WORDS)?;
        let [adjectives, nouns, verbs, places] = ["adjective", "noun", "verb", "place"].map(|kind| words.of_kind(kind));
        Ok(Self { adjectives, nouns, verbs, places })
    }

    /// A title the artist does not have yet, also when quotation marks and case are disregarded: models clean titles, and
    /// (artist, title) must still name one song afterwards.
    fn invent(&self, artist: &str, taken: &mut HashSet<String>, stream: &mut Stream) -> String {
        let base = self.compose(stream);
        let mut title = base.clone();
        let mut part = 2;
        while !taken.insert(format!("{}\n{}", folded(artist), folded(&title))) {
            title = format!("{base}, Pt. {part}");
            part += 1;
        }
        title
    }

    fn compose(&self, stream: &mut Stream) -> String {
        let adjective = pick(&self.adjectives, stream);
        let noun = pick(&self.nouns, stream);
        let other = pick(&self.nouns, stream);
        let verb = pick(&self.verbs, stream);
        let place = pick(&self.places, stream);
        match stream.below(12) {
            0..=2 => format!("{adjective} {noun}"),
            3 => format!("{verb} the {noun}"),
            4 => format!("{noun} in {place}"),
            5 => format!("Don't {verb} My {noun}"),
            6 => format!("{verb} Me ({adjective} {noun})"),
            7 => format!("{noun}, {other} & {place}"),
            8 => format!("\"{adjective}\" {noun}"),
            9 => format!("{place} {noun}"),
            10 => format!("The {noun} of {other}"),
            _ => format!("{adjective} {place} (Live)"),
        }
    }
}

fn folded(name: &str) -> String {
    name.chars().filter(|letter| !matches!(letter, '"' | '\'')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artist_and_title_name_one_song_even_without_quotes() {
        let catalog = Catalog::new(1, 10_000).unwrap();
        let names: HashSet<String> =
            catalog.songs.iter().map(|song| format!("{}\n{}", folded(&song.artist), folded(&song.title))).collect();
        let tracks: HashSet<&str> = catalog.songs.iter().map(|song| song.track_id.as_str()).collect();
        assert_eq!((names.len(), tracks.len()), (10_000, 10_000));
    }

    #[test]
    fn names_are_as_awkward_as_real_ones() {
        let catalog = Catalog::new(1, 10_000).unwrap();
        for awkward in ["\"", "'", ",", "&"] {
            assert!(catalog.songs.iter().any(|song| song.artist.contains(awkward) || song.title.contains(awkward)));
        }
        assert!(catalog.songs.iter().any(|song| !song.artist.is_ascii()));
    }

    #[test]
    fn listens_fall_off_by_rank() {
        let catalog = Catalog::new(1, 1_000).unwrap();
        let mut stream = Stream::of(5, 0, 0);
        let mut listens = vec![0u32; 1_000];
        (0..100_000).for_each(|_| listens[catalog.draw.draw(&mut stream)] += 1);
        let first: u32 = listens[..100].iter().sum();
        let last: u32 = listens[900..].iter().sum();
        assert!(first > 3 * last, "{first} {last}");
    }

    #[test]
    fn table_has_the_columns_of_a_song() {
        let table = Catalog::new(1, 50).unwrap().table().unwrap();
        let schema = table.schema();
        let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["track_id", "artist", "title", "duration", "genre"]);
        assert_eq!(table.num_rows(), 50);
    }
}
