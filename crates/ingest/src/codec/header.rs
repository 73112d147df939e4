//! The names of fields that records do not say themselves, and where their values go.

use crate::codec::column::{Column, Fieldset};

/// The header of a batch beside the columns of its table, looked up once for all of its rows.
pub(crate) struct Header<'a> {
    names: &'a [String],
    places: Vec<Option<usize>>,
}

impl<'a> Header<'a> {
    pub(crate) fn new(names: &'a [String], columns: &Fieldset) -> Self {
        Self { names, places: names.iter().map(|name| columns.find(name, 0)).collect() }
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// The number of a field's column, if it has one.
    pub(crate) fn place(&self, index: usize) -> Option<usize> {
        self.places.get(index).copied().flatten()
    }

    /// The name of a field and its column, if it has one.
    pub(crate) fn field<'c>(&self, index: usize, columns: &'c mut Fieldset) -> (&'a str, Option<&'c mut Column>) {
        let name = self.names.get(index).map_or("", String::as_str);
        (name, self.place(index).and_then(|place| columns.columns.get_mut(place)))
    }
}
