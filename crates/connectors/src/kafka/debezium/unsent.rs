//! Long values that an update left alone: PostgreSQL does not send them again, and Debezium writes a placeholder where they
//! would be.
//!
//! Such a cell keeps the value it had. Where the change before it is in the same batch, that is where the value is; otherwise the
//! table has it, under the key the row had. What neither has, because the topic does not reach back that far, is NULL.
//!
//! A change of a key comes as the row going and coming, at one place in the database's log. The two are found together when they
//! are in one batch, which only a batch that ends between them prevents.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, StructArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::DataType;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use headwater_ingest::error::Result;
use headwater_ingest::sink::Unchanged;

use super::log::source_positions;
use super::{Wrapped, index, keys_of};

/// The cells of rows after that hold no value but its placeholder.
#[derive(Debug, Default)]
pub(super) struct Unsent(BTreeMap<u32, Vec<usize>>);

impl Unsent {
    /// Looks for the placeholder as text, as the bytes of a binary column (in JSON: base64), and as the only item of a list.
    pub(super) fn of(after: Option<&StructArray>, placeholder: &str) -> Self {
        let mut cells: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
        let encoded = BASE64.encode(placeholder);
        let stands = |bytes: &[u8]| bytes == placeholder.as_bytes() || bytes == encoded.as_bytes();
        for (column, values) in after.iter().flat_map(|after| after.columns().iter().enumerate()) {
            for row in placeholders(values, &stands) {
                cells.entry(index(row)).or_default().push(column);
            }
        }
        Self(cells)
    }

    pub(super) fn columns(&self, row: u32) -> &[usize] {
        self.0.get(&row).map_or(&[], Vec::as_slice)
    }

    pub(super) fn has(&self, row: u32, column: usize) -> bool {
        self.columns(row).contains(&column)
    }
}

/// Rows of a column that hold the placeholder.
fn placeholders(values: &ArrayRef, stands: &impl Fn(&[u8]) -> bool) -> Vec<usize> {
    let rows = 0..values.len();
    match values.data_type() {
        DataType::Utf8 => {
            let texts = values.as_string::<i32>();
            rows.filter(|row| texts.is_valid(*row) && stands(texts.value(*row).as_bytes())).collect()
        }
        DataType::Binary => {
            let bytes = values.as_binary::<i32>();
            rows.filter(|row| bytes.is_valid(*row) && stands(bytes.value(*row))).collect()
        }
        DataType::List(_) => {
            let lists = values.as_list::<i32>();
            let items = placeholders(lists.values(), stands);
            let first = |row: usize| usize::try_from(lists.value_offsets().get(row).copied().unwrap_or(-1)).ok();
            let is_alone = |row: &usize| lists.is_valid(*row) && lists.value_length(*row) == 1;
            rows.filter(is_alone).filter(|row| first(*row).is_some_and(|at| items.binary_search(&at).is_ok())).collect()
        }
        _ => Vec::new(),
    }
}

/// Where a cell's value is.
#[derive(Debug, PartialEq, Eq)]
enum Place<'a> {
    /// In this row of the batch.
    Batch(u32),
    /// In the table's row of this key.
    Table(&'a [u8]),
    Nowhere,
}

/// What happened to each key in a batch.
struct History {
    /// By key the rows that wrote or removed it, ascending.
    events: HashMap<Vec<u8>, Vec<(u32, bool)>>,
    /// The key of each row after, and of each row before that goes.
    written: HashMap<u32, Vec<u8>>,
    removed: HashMap<u32, Vec<u8>>,
    /// For rows that come under another key the one that went.
    partners: HashMap<u32, u32>,
}

impl History {
    fn of(unsent: &Unsent, wrapped: &Wrapped<'_>, key: &[String], upserts: &[u32], deletes: &[u32]) -> Result<Self> {
        let mut events: HashMap<Vec<u8>, Vec<(u32, bool)>> = HashMap::new();
        let mut keyed = |image, rows: &[u32], removes| -> Result<HashMap<u32, Vec<u8>>> {
            let keys = keys_of(image, key, rows)?;
            let found: HashMap<u32, Vec<u8>> =
                rows.iter().zip(keys.iter().flatten()).map(|(row, key)| (*row, key.as_ref().to_vec())).collect();
            for (row, key) in &found {
                events.entry(key.clone()).or_default().push((*row, removes));
            }
            Ok(found)
        };
        let written = keyed(wrapped.after, upserts, false)?;
        let removed = keyed(wrapped.before, deletes, true)?;
        events.values_mut().for_each(|of_key| of_key.sort_unstable());
        Ok(Self { events, written, removed, partners: partners(unsent, wrapped)? })
    }

    /// The key a row had before the change in this row of the batch, and where that change begins.
    fn before(&self, row: u32) -> Option<(u32, &[u8])> {
        let begins = self.partners.get(&row).copied().unwrap_or(row);
        let key = self.removed.get(&begins).or_else(|| self.written.get(&row))?;
        Some((begins, key.as_slice()))
    }

    fn latest_before(&self, key: &[u8], row: u32) -> Option<(u32, bool)> {
        let events = self.events.get(key)?;
        events.partition_point(|(at, _)| *at < row).checked_sub(1).and_then(|at| events.get(at)).copied()
    }

    fn place(&self, unsent: &Unsent, row: u32, column: usize) -> Place<'_> {
        let mut row = row;
        while let Some((begins, key)) = self.before(row) {
            match self.latest_before(key, begins) {
                None => return Place::Table(key),
                Some((_, true)) => return Place::Nowhere,
                Some((earlier, false)) if !unsent.has(earlier, column) => return Place::Batch(earlier),
                Some((earlier, false)) => row = earlier,
            }
        }
        Place::Nowhere
    }
}

/// An insert says all values. One that does not is the coming of a row whose going stands before it, at the same place.
fn partners(unsent: &Unsent, wrapped: &Wrapped<'_>) -> Result<HashMap<u32, u32>> {
    let is = |row: &usize, op: &str| wrapped.operation.is_valid(*row) && wrapped.operation.value(*row) == op;
    let coming: Vec<usize> = unsent.0.keys().map(|row| *row as usize).filter(|row| is(row, "c")).collect();
    if coming.is_empty() {
        return Ok(HashMap::new());
    }
    let places = source_positions(wrapped)?;
    let places = places.as_string::<i32>();
    let partner = |row: usize| {
        let before = (0..row).rev().find(|before| wrapped.operation.is_valid(*before)).filter(|row| is(row, "d"))?;
        let at_one_place = places.is_valid(row) && places.is_valid(before) && places.value(row) == places.value(before);
        at_one_place.then(|| (index(row), index(before)))
    };
    Ok(coming.into_iter().filter_map(partner).collect())
}

/// How the cells of the chosen rows are filled.
#[derive(Debug, Default)]
pub(super) struct Filling {
    /// For each column with such cells the row of the batch that each chosen row has its value from.
    rows: HashMap<usize, Vec<Option<u32>>>,
    /// Cells whose value the table has.
    pub(super) unchanged: Vec<Unchanged>,
}

impl Filling {
    /// `chosen` are the rows that are written, `gone` those whose row before goes, out of all `upserts` and `deletes`.
    pub(super) fn of(
        unsent: &Unsent,
        wrapped: &Wrapped<'_>,
        key: &[String],
        (upserts, deletes): (&[u32], &[u32]),
        (chosen, gone): (&[u32], &[u32]),
    ) -> Result<Self> {
        let mut filling = Self::default();
        if chosen.iter().all(|row| unsent.columns(*row).is_empty()) {
            return Ok(filling);
        }
        let history = History::of(unsent, wrapped, key, upserts, deletes)?;
        for (at, row) in chosen.iter().enumerate() {
            let mut kept: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
            for column in unsent.columns(*row) {
                let rows = filling.rows.entry(*column).or_insert_with(|| chosen.iter().copied().map(Some).collect());
                let place = history.place(unsent, *row, *column);
                if let Some(slot) = rows.get_mut(at) {
                    *slot = if let Place::Batch(earlier) = place { Some(earlier) } else { None };
                }
                if let Place::Table(held) = place {
                    let own = history.written.get(row).is_some_and(|own| own == held);
                    let removed = gone.iter().position(|gone| history.removed.get(gone).is_some_and(|key| key == held));
                    if own || removed.is_some() {
                        kept.entry(removed.filter(|_| !own)).or_default().push(*column);
                    }
                }
            }
            let cells = |(before, columns)| Unchanged { row: at, columns, before, required: false };
            filling.unchanged.extend(kept.into_iter().map(cells));
        }
        Ok(filling)
    }

    /// A column of the chosen rows, each with its value where it is.
    pub(super) fn take(&self, column: usize, values: &ArrayRef, chosen: &UInt32Array) -> Result<ArrayRef> {
        Ok(match self.rows.get(&column) {
            Some(rows) => take(values, &UInt32Array::from(rows.clone()), None)?,
            None => take(values, chosen, None)?,
        })
    }
}
