//! Aligned columns of text.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Columns with a header. A line break in a cell goes on below it, in its column; other control characters are shown escaped,
/// so that no data can steer the terminal.
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
        let header = header.into_iter().map(|(name, align)| (printable(&name), align)).collect();
        Self { header, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        self.rows.push(cells.iter().map(|cell| printable(cell)).collect());
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
        let height = cells.iter().map(|cell| cell.split('\n').count()).max().unwrap_or(1);
        (0..height).map(|line| self.render_part(cells, widths, line)).collect()
    }

    /// The n-th line of each cell.
    fn render_part(&self, cells: &[String], widths: &[usize], part: usize) -> String {
        let mut line = String::new();
        for ((cell, width), (_, align)) in cells.iter().zip(widths).zip(&self.header) {
            let cell = cell.split('\n').nth(part).unwrap_or("");
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

/// Of the longest line.
fn columns_of(text: &str) -> usize {
    text.split('\n').map(|line| line.chars().count()).max().unwrap_or(0)
}

fn printable(text: &str) -> String {
    let escaped = |c: char| c.is_control() && c != '\n';
    if !text.chars().any(escaped) {
        return text.to_owned();
    }
    text.chars().map(|c| if escaped(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(cells: &[&str], expected: &str) {
        let mut table = Table::new(&[("name", Align::Left), ("n", Align::Right)]);
        table.row(&cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>());
        assert_eq!(table.render(), expected);
    }

    #[test]
    fn cells_are_aligned_and_cannot_steer_the_terminal() {
        check(&["one", "1"], "name  n\n────  ─\none   1\n");
        check(&["two\nlines", "10"], "name    n\n─────  ──\ntwo    10\nlines\n");
        check(&["\u{1b}[2J", "1"], "name       n\n─────────  ─\n\\u{1b}[2J  1\n");
    }
}
