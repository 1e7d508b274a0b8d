//! Columns, three spaces apart, as kubectl prints them.

use super::color::Color;

const GAP: &str = "   ";

/// Rows under a header.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    show_header: bool,
}

impl Table {
    pub fn new(header: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { header: header.into_iter().map(Into::into).collect(), rows: Vec::new(), show_header: true }
    }

    pub fn without_header(mut self) -> Self {
        self.show_header = false;
        self
    }

    pub fn row(&mut self, cells: impl IntoIterator<Item = impl Into<String>>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The text, with a line feed after each row.
    pub fn render(&self, color: Color) -> String {
        let mut widths = Widths::default();
        let header = self.show_header.then_some(&self.header);
        widths.fit(header.into_iter().chain(&self.rows));
        let mut text = String::new();
        if let Some(header) = header {
            text.push_str(&widths.header(header, color));
        }
        for row in &self.rows {
            text.push_str(&widths.row(row, color));
        }
        text
    }
}

/// The widths of columns, which only grow: a table that is watched stays aligned.
#[derive(Clone, Debug, Default)]
pub(crate) struct Widths(Vec<usize>);

impl Widths {
    pub fn fit<'a>(&mut self, rows: impl IntoIterator<Item = &'a Vec<String>>) {
        for row in rows {
            if self.0.len() < row.len() {
                self.0.resize(row.len(), 0);
            }
            for (width, cell) in self.0.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
    }

    pub fn header(&self, header: &[String], color: Color) -> String {
        self.join(header, |cell| color.header(cell))
    }

    pub fn row(&self, row: &[String], color: Color) -> String {
        self.join(row, |cell| color.state(cell))
    }

    /// The last column is not padded, so that lines have no trailing spaces.
    fn join(&self, cells: &[String], paint: impl Fn(&str) -> String) -> String {
        let mut line = String::new();
        for (index, cell) in cells.iter().enumerate() {
            // A cell is one line, whatever the object says.
            let cell: String = cell.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            line.push_str(&paint(&cell));
            if index + 1 < cells.len() {
                let width = self.0.get(index).copied().unwrap_or_default();
                line.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count())));
                line.push_str(GAP);
            }
        }
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new(["NAME", "STATUS", "AGE"]);
        table.row(["web-5d9c", "Running", "5m"]);
        table.row(["db", "CrashLoopBackOff", "2d5h"]);
        table
    }

    #[test]
    fn columns_are_three_spaces_apart() {
        assert_eq!(
            table().render(Color::new(false)),
            "NAME       STATUS             AGE\n\
             web-5d9c   Running            5m\n\
             db         CrashLoopBackOff   2d5h\n"
        );
        assert_eq!(table().without_header().render(Color::new(false)).lines().count(), 2);
    }

    #[test]
    fn colours_do_not_change_the_widths() {
        let mut text = table().render(Color::new(true));
        assert!(text.contains("\x1b[32mRunning\x1b[0m"));
        for code in ["\x1b[0m", "\x1b[1m", "\x1b[31m", "\x1b[32m"] {
            text = text.replace(code, "");
        }
        assert_eq!(text, table().render(Color::new(false)));
    }

    #[test]
    fn a_cell_cannot_break_out_of_its_line() {
        let mut table = Table::new(["A", "B"]);
        table.row(["x\ny\u{1b}[2J", "z"]);
        assert_eq!(table.without_header().render(Color::new(false)), "x y [2J   z\n");
    }
}
