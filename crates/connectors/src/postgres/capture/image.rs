//! The net effect of changes on rows by key: what a table has to be told, however often a row changed in between.

use std::collections::HashMap;

use crate::postgres::pgoutput::Cell;

/// A value as the server sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value<'a> {
    Null,
    Unchanged,
    Text(&'a [u8]),
}

impl<'a> From<Cell<'a>> for Value<'a> {
    fn from(cell: Cell<'a>) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Unchanged => Self::Unchanged,
            Cell::Text(bytes) => Self::Text(bytes),
        }
    }
}

/// The values of a row, in two pieces of memory however many there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Where each value begins, and how long it is or which of the two that have none.
    cells: Box<[(u32, u32)]>,
    bytes: Box<[u8]>,
}

/// Lengths that no value has: a message of the server is a gigabyte at most.
const NULL: u32 = u32::MAX;
const UNCHANGED: u32 = u32::MAX - 1;

impl Row {
    pub(super) fn new<'a>(values: impl Iterator<Item = Value<'a>> + Clone) -> Self {
        let (mut count, mut size) = (0, 0);
        for value in values.clone() {
            count += 1;
            size += if let Value::Text(text) = value { text.len() } else { 0 };
        }
        let (mut cells, mut bytes) = (Vec::with_capacity(count), Vec::with_capacity(size));
        for value in values {
            let start = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            cells.push(match value {
                Value::Null => (start, NULL),
                Value::Unchanged => (start, UNCHANGED),
                Value::Text(text) => {
                    bytes.extend_from_slice(text);
                    (start, u32::try_from(text.len()).unwrap_or(NULL))
                }
            });
        }
        Self { cells: cells.into(), bytes: bytes.into() }
    }

    /// NULL beyond the last.
    pub(super) fn get(&self, index: usize) -> Value<'_> {
        match self.cells.get(index) {
            None | Some((_, NULL)) => Value::Null,
            Some((_, UNCHANGED)) => Value::Unchanged,
            Some((start, length)) => {
                let start = *start as usize;
                Value::Text(self.bytes.get(start..start + *length as usize).unwrap_or_default())
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Value<'_>> + Clone {
        (0..self.cells.len()).map(|index| self.get(index))
    }

    pub(super) fn lacks_values(&self) -> bool {
        self.cells.iter().any(|(_, length)| *length == UNCHANGED)
    }

    /// Whether this is that row, as far as its values were sent.
    fn may_be(&self, whole: &Self) -> bool {
        self.iter().zip(whole.iter()).all(|(one, other)| one == other || one == Value::Unchanged)
    }

    /// Bytes of memory, about.
    pub(super) fn size(&self) -> usize {
        self.bytes.len() + self.cells.len() * size_of::<(u32, u32)>()
    }
}

/// Key values in one piece: for each a mark (0 for NULL), its length and its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(Box<[u8]>);

impl Key {
    pub(super) fn of(row: &Row, key: &[usize]) -> Self {
        Self::from_parts(key.iter().map(|index| match row.get(*index) {
            Value::Text(text) => Some(text),
            _ => None,
        }))
    }

    /// The key with these values, nothing for NULL.
    pub(super) fn from_parts<'a>(parts: impl Iterator<Item = Option<&'a [u8]>>) -> Self {
        let mut bytes = Vec::new();
        for part in parts {
            match part {
                Some(text) => {
                    bytes.push(1);
                    bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
                    bytes.extend_from_slice(text);
                }
                None => bytes.push(0),
            }
        }
        Self(bytes.into())
    }

    /// The values again.
    pub(super) fn values(&self) -> Vec<Option<&[u8]>> {
        let (mut values, mut rest) = (Vec::new(), &*self.0);
        while let Some((mark, after)) = rest.split_first() {
            rest = after;
            if *mark == 0 {
                values.push(None);
                continue;
            }
            let Some((length, after)) = rest.split_first_chunk::<4>() else { return values };
            let Some((text, after)) = after.split_at_checked(u32::from_be_bytes(*length) as usize) else {
                return values;
            };
            values.push(Some(text));
            rest = after;
        }
        values
    }
}

/// A row as it is at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Image {
    pub(super) row: Row,
    /// The key the row has in the table, when it is another and values are to be kept from there.
    pub(super) before: Option<Key>,
}

/// Rows changed since the last piece.
#[derive(Debug, Default)]
pub(super) struct Images {
    rows: Vec<Option<Image>>,
    by_key: HashMap<Key, usize>,
    removed: Vec<Key>,
    removed_at: HashMap<Key, usize>,
    pub(super) truncated: bool,
}

impl Images {
    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty() && self.removed.is_empty() && !self.truncated
    }

    pub(super) fn insert(&mut self, key: Key, row: Row) {
        self.put(key, Image { row, before: None });
    }

    /// `old` is the key before; `full` the whole row before, if the server sent it.
    pub(super) fn update(&mut self, old: Key, full: Option<&Row>, key: Key, row: Row) {
        let image = if row.lacks_values() { self.filled(&old, full, &key, &row) } else { Image { row, before: None } };
        if old != key {
            self.delete(old, full);
        }
        self.put(key, image);
    }

    /// A row with the values that were not sent, as far as they are known here.
    fn filled(&self, old: &Key, full: Option<&Row>, key: &Key, row: &Row) -> Image {
        let pending = self.by_key.get(old).and_then(|index| self.rows.get(*index)?.as_ref());
        let known = pending.map(|image| &image.row).or(full);
        let row = Row::new(row.iter().enumerate().map(|(index, value)| match (value, known) {
            (Value::Unchanged, Some(known)) => known.get(index),
            (value, _) => value,
        }));
        // The value is in the table under the key the row had when this piece began.
        let earlier = pending.and_then(|image| image.before.clone());
        let before = row.lacks_values().then(|| earlier.or_else(|| (old != key).then(|| old.clone()))).flatten();
        Image { row, before }
    }

    /// The row of a key goes. Where keys are checked at the end of a transaction, another row may have taken its key before;
    /// that one stays, if the server sent the whole row to tell them apart.
    pub(super) fn delete(&mut self, key: Key, full: Option<&Row>) {
        let place = self.by_key.get(&key).and_then(|index| self.rows.get_mut(*index));
        if let Some(place) = place
            && full.zip(place.as_ref()).is_none_or(|(full, image)| image.row.may_be(full))
        {
            *place = None;
            self.by_key.remove(&key);
        }
        if !self.removed_at.contains_key(&key) {
            self.removed_at.insert(key.clone(), self.removed.len());
            self.removed.push(key);
        }
    }

    /// Nothing of before counts any more.
    pub(super) fn truncate(&mut self) {
        *self = Self { truncated: true, ..Self::default() };
    }

    fn put(&mut self, key: Key, image: Image) {
        match self.by_key.get(&key) {
            Some(index) => {
                if let Some(row) = self.rows.get_mut(*index) {
                    *row = Some(image);
                }
            }
            None => {
                self.by_key.insert(key, self.rows.len());
                self.rows.push(Some(image));
            }
        }
    }

    /// Keys of rows with values that were not sent, each with the columns of those.
    pub(super) fn unsent(&self) -> Vec<(Key, Vec<usize>)> {
        let columns = |image: &Image| {
            let each = image.row.iter().enumerate().filter(|(_, value)| *value == Value::Unchanged);
            each.map(|(column, _)| column).collect::<Vec<_>>()
        };
        let rows = self.by_key.iter().filter_map(|(key, index)| {
            let columns = columns(self.rows.get(*index)?.as_ref()?);
            (!columns.is_empty()).then(|| (key.clone(), columns))
        });
        rows.collect()
    }

    /// Puts values in the place of those that were not sent; NULL where there is none.
    pub(super) fn supply(&mut self, key: &Key, value: impl Fn(usize) -> Option<Box<[u8]>>) {
        let image = self.by_key.get(key).and_then(|index| self.rows.get_mut(*index)).and_then(Option::as_mut);
        let Some(image) = image else { return };
        let missing = image.row.iter().map(|held| held == Value::Unchanged);
        let supplied: Vec<Option<Box<[u8]>>> =
            missing.enumerate().map(|(column, is_missing)| if is_missing { value(column) } else { None }).collect();
        image.row = Row::new(image.row.iter().zip(&supplied).map(|(held, supplied)| match (held, supplied) {
            (Value::Unchanged, Some(text)) => Value::Text(text),
            (Value::Unchanged, None) => Value::Null,
            (held, _) => held,
        }));
        image.before = None;
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Image> {
        self.rows.iter().flatten()
    }

    pub(super) fn removed(&self) -> &[Key] {
        &self.removed
    }

    /// Where a key is among the removed.
    pub(super) fn removed_at(&self, key: &Key) -> Option<usize> {
        self.removed_at.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn row(id: u8, word: &str) -> Row {
        row_of(id, Value::Text(word.as_bytes()))
    }

    fn row_of(id: u8, word: Value<'_>) -> Row {
        Row::new([Value::Text(id.to_string().as_bytes()), word].into_iter())
    }

    fn key(id: u8) -> Key {
        Key::of(&row(id, ""), &[0])
    }

    #[test]
    fn a_row_and_its_key_give_their_values_back() {
        let values = [Value::Text(b"a"), Value::Null, Value::Text(b""), Value::Unchanged];
        let row = Row::new(values.into_iter());
        assert_eq!(row.iter().collect::<Vec<_>>(), values);
        assert_eq!(Key::of(&row, &[0, 1, 2]).values(), [Some(&b"a"[..]), None, Some(&b""[..])]);
    }

    #[test]
    fn values_that_were_not_sent_are_supplied() {
        let mut images = Images::default();
        images.update(key(1), None, key(2), row_of(2, Value::Unchanged));
        images.update(key(3), None, key(3), row_of(3, Value::Unchanged));
        images.insert(key(4), row(4, "sent"));
        let mut unsent = images.unsent();
        unsent.sort();
        assert_eq!(unsent, [(key(2), vec![1]), (key(3), vec![1])]);
        images.supply(&key(2), |_| Some(b"found"[..].into()));
        images.supply(&key(3), |_| None);
        assert_eq!(images.unsent(), []);
        let rows: Vec<_> = images.rows().map(|image| (image.row.get(1), image.before.clone())).collect();
        let text = |word: &'static str| Value::Text(word.as_bytes());
        assert_eq!(rows, [(text("found"), None), (Value::Null, None), (text("sent"), None)]);
    }

    #[test]
    fn rows_that_swap_their_keys_in_one_statement_both_stay() {
        let mut images = Images::default();
        images.update(key(1), Some(&row(1, "one")), key(2), row(2, "one"));
        images.update(key(2), Some(&row(2, "two")), key(1), row(1, "two"));
        let table = BTreeMap::from([(key(1), row(1, "one")), (key(2), row(2, "two"))]);
        let expected = BTreeMap::from([(key(1), row(1, "two")), (key(2), row(2, "one"))]);
        assert_eq!(applied(&table, &images), expected);
    }

    #[derive(Clone, Debug)]
    enum Change {
        Put(u8, String),
        Move { from: u8, to: u8, keeps: bool },
        Delete(u8),
        Truncate,
    }

    fn changes() -> impl Strategy<Value = Vec<Change>> {
        let change = prop_oneof![
            4 => (0..6_u8, "[a-z]").prop_map(|(id, word)| Change::Put(id, word)),
            4 => (0..6_u8, 0..6_u8, any::<bool>()).prop_map(|(from, to, keeps)| Change::Move { from, to, keeps }),
            2 => (0..6_u8).prop_map(Change::Delete),
            1 => Just(Change::Truncate),
        ];
        prop::collection::vec(change, 0..30)
    }

    /// What the table is after a piece, as the merge does it.
    fn applied(table: &BTreeMap<Key, Row>, images: &Images) -> BTreeMap<Key, Row> {
        let mut after = if images.truncated { BTreeMap::new() } else { table.clone() };
        images.removed().iter().for_each(|key| drop(after.remove(key)));
        for image in images.rows() {
            let key = Key::of(&image.row, &[0]);
            let old = table.get(image.before.as_ref().unwrap_or(&key));
            let filled = Row::new(image.row.iter().enumerate().map(|(index, value)| match value {
                Value::Unchanged => old.expect("a row to keep from").get(index),
                value => value,
            }));
            after.insert(key, filled);
        }
        after
    }

    impl PartialOrd for Key {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            Some(self.cmp(other))
        }
    }

    impl Ord for Key {
        fn cmp(&self, other: &Self) -> std::cmp::Ordering {
            self.0.cmp(&other.0)
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever happens to rows, in however many pieces: the table ends as the source does.
        #[test]
        fn the_net_effect_is_that_of_the_changes(all in prop::collection::vec(changes(), 1..4)) {
            let mut source: BTreeMap<Key, Row> = BTreeMap::new();
            let mut table = source.clone();
            for piece in all {
                let mut images = Images::default();
                for change in piece {
                    match change {
                        Change::Put(id, word) => match source.insert(key(id), row(id, &word)) {
                            Some(_) => images.update(key(id), None, key(id), row(id, &word)),
                            None => images.insert(key(id), row(id, &word)),
                        },
                        Change::Move { from, to, keeps } => {
                            if from != to && source.contains_key(&key(to)) {
                                continue;
                            }
                            let Some(old) = source.remove(&key(from)) else { continue };
                            let moved = Value::Text(b"moved");
                            let (word, kept) = if keeps { (Value::Unchanged, old.get(1)) } else { (moved, moved) };
                            source.insert(key(to), row_of(to, kept));
                            images.update(key(from), None, key(to), row_of(to, word));
                        }
                        Change::Delete(id) => {
                            if source.remove(&key(id)).is_some() {
                                images.delete(key(id), None);
                            }
                        }
                        Change::Truncate => {
                            source.clear();
                            images.truncate();
                        }
                    }
                }
                table = applied(&table, &images);
                prop_assert_eq!(&table, &source);
            }
        }
    }
}
