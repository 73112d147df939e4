//! Aligned columns of text.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Columns with a header. Cells are one line each: control characters are shown escaped, so that no data can steer the
/// terminal.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(header: &[(&str, Align)]) -> Self {
        Self::with_header(header.iter().map(|(name, align)| ((*name).to_owned(), *align)).collect())
    }

    pub(crate) fn with_header(header: Vec<(String, Align)>) -> Self {
        let header = header.into_iter().map(|(name, align)| (one_line(&name), align)).collect();
        Self { header, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        self.rows.push(cells.iter().map(|cell| one_line(cell)).collect());
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn first_cell(&self) -> Option<&str> {
        self.rows.first()?.first().map(String::as_str)
    }

    pub(crate) fn render(&self) -> String {
        let widths = self.widths();
        let mut text = self.render_header(&widths);
        text.push_str(&self.render_rows(&widths));
        text
    }

    pub(crate) fn widths(&self) -> Vec<usize> {
        let width = |index: usize, (name, _): &(String, Align)| {
            let cells = self.rows.iter().filter_map(|row| row.get(index)).map(|cell| columns_of(cell));
            cells.chain([columns_of(name)]).max().unwrap_or(0)
        };
        self.header.iter().enumerate().map(|(index, column)| width(index, column)).collect()
    }

    pub(crate) fn render_header(&self, widths: &[usize]) -> String {
        let names: Vec<String> = self.header.iter().map(|(name, _)| name.clone()).collect();
        let rule: Vec<String> = widths.iter().map(|width| "─".repeat(*width)).collect();
        format!("{}{}", self.render_line(&names, widths), self.render_line(&rule, widths))
    }

    pub(crate) fn render_rows(&self, widths: &[usize]) -> String {
        self.rows.iter().map(|row| self.render_line(row, widths)).collect()
    }

    /// Forgets the rows; the header stays.
    pub(crate) fn clear(&mut self) {
        self.rows.clear();
    }

    fn render_line(&self, cells: &[String], widths: &[usize]) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(&self.header) {
            let padding = " ".repeat(width.saturating_sub(columns_of(cell)));
            match align {
                Align::Left => line.push_str(&format!("{cell}{padding}  ")),
                Align::Right => line.push_str(&format!("{padding}{cell}  ")),
            }
        }
        line.truncate(line.trim_end().len());
        line.push('\n');
        line
    }
}

fn columns_of(text: &str) -> usize {
    text.chars().count()
}

fn one_line(text: &str) -> String {
    if !text.chars().any(char::is_control) {
        return text.to_owned();
    }
    text.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}
