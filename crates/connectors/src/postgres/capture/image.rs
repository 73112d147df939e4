//! The net effect of changes on rows by key: what a table has to be told, however often a row changed in between.

use std::collections::HashMap;

use crate::postgres::pgoutput::Cell;

/// A value as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Unchanged,
    Text(Box<[u8]>),
}

impl From<Cell<'_>> for Value {
    fn from(cell: Cell<'_>) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Unchanged => Self::Unchanged,
            Cell::Text(bytes) => Self::Text(bytes.into()),
        }
    }
}

/// Key values in one piece: for each a mark (0 for NULL), its length and its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key(Box<[u8]>);

impl Key {
    pub(super) fn of(values: &[Value], key: &[usize]) -> Self {
        let mut bytes = Vec::new();
        for index in key {
            match values.get(*index) {
                Some(Value::Text(text)) => {
                    bytes.push(1);
                    bytes.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
                    bytes.extend_from_slice(text);
                }
                _ => bytes.push(0),
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
    pub(super) values: Vec<Value>,
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

    pub(super) fn insert(&mut self, key: Key, values: Vec<Value>) {
        self.put(key, Image { values, before: None });
    }

    /// `old` is the key before; `full` the whole row before, if the server sent it.
    pub(super) fn update(&mut self, old: Key, full: Option<&[Value]>, key: Key, mut values: Vec<Value>) {
        let pending = self.by_key.get(&old).and_then(|index| self.rows.get(*index)?.clone());
        let mut before = None;
        for (index, value) in values.iter_mut().enumerate() {
            if *value != Value::Unchanged {
                continue;
            }
            let known = match (&pending, full) {
                (Some(image), _) => image.values.get(index),
                (None, Some(full)) => full.get(index),
                (None, None) => None,
            };
            *value = known.cloned().unwrap_or(Value::Unchanged);
            if *value == Value::Unchanged {
                // The value is in the table under the key the row had when this piece began.
                let moved = (old != key).then(|| old.clone());
                before = pending
                    .as_ref()
                    .map_or(moved, |image| image.before.clone().or_else(|| (old != key).then(|| old.clone())));
            }
        }
        if old != key {
            self.delete(old);
        }
        self.put(key, Image { values, before });
    }

    pub(super) fn delete(&mut self, key: Key) {
        if let Some(index) = self.by_key.remove(&key)
            && let Some(row) = self.rows.get_mut(index)
        {
            *row = None;
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

    fn text(value: &str) -> Value {
        Value::Text(value.as_bytes().into())
    }

    fn row(id: u8, word: &str) -> Vec<Value> {
        vec![text(&id.to_string()), text(word)]
    }

    fn key(id: u8) -> Key {
        Key::of(&row(id, ""), &[0])
    }

    #[test]
    fn a_key_gives_its_values_back() {
        let values = [text("a"), Value::Null, text("")];
        assert_eq!(Key::of(&values, &[0, 1, 2]).values(), [Some(&b"a"[..]), None, Some(&b""[..])]);
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
    fn applied(table: &BTreeMap<Key, Vec<Value>>, images: &Images) -> BTreeMap<Key, Vec<Value>> {
        let mut after = if images.truncated { BTreeMap::new() } else { table.clone() };
        images.removed().iter().for_each(|key| drop(after.remove(key)));
        for image in images.rows() {
            let key = Key::of(&image.values, &[0]);
            let old = table.get(image.before.as_ref().unwrap_or(&key));
            let filled = image.values.iter().enumerate().map(|(index, value)| match value {
                Value::Unchanged => old.expect("a row to keep from")[index].clone(),
                value => value.clone(),
            });
            after.insert(key, filled.collect());
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
            let mut source: BTreeMap<Key, Vec<Value>> = BTreeMap::new();
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
                            let word = if keeps { Value::Unchanged } else { text("moved") };
                            let kept = if keeps { old[1].clone() } else { text("moved") };
                            source.insert(key(to), vec![text(&to.to_string()), kept]);
                            images.update(key(from), None, key(to), vec![text(&to.to_string()), word]);
                        }
                        Change::Delete(id) => {
                            if source.remove(&key(id)).is_some() {
                                images.delete(key(id));
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
