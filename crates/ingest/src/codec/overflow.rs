//! What a record holds that has no column of its own, kept as the text of one JSON object.

use crate::codec::delimited::json_text;

/// Fields of the current record. A nested one goes by its path: `{"place.zip": "8001", "items.0.size": 2}`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overflow {
    /// The object so far, without its closing brace; empty when there is no field.
    text: String,
    /// Names of the objects and lists one is in, each with its dot.
    path: String,
    /// Where in `path` each begins.
    begins: Vec<usize>,
}

impl Overflow {
    pub(crate) fn enter(&mut self, name: &str) {
        self.begins.push(self.path.len());
        self.path.push_str(name);
        self.path.push('.');
    }

    pub(crate) fn leave(&mut self) {
        self.path.truncate(self.begins.pop().unwrap_or(0));
    }

    /// Adds a field; `value` is JSON.
    pub(crate) fn keep(&mut self, name: &str, value: &str) {
        self.text.push(if self.text.is_empty() { '{' } else { ',' });
        self.text.push_str(&json_text(&format!("{}{name}", self.path)));
        self.text.push(':');
        self.text.push_str(value);
    }

    /// The object, if there was anything, leaving nothing behind for the next record.
    pub(crate) fn take(&mut self) -> Option<String> {
        self.path.clear();
        self.begins.clear();
        let mut text = std::mem::take(&mut self.text);
        if text.is_empty() {
            return None;
        }
        text.push('}');
        Some(text)
    }
}
