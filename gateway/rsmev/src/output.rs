//! The one place that writes to standard output: tables for people, JSON for programs.
//!
//! A closed pipe (`rsmev queue list | head -1`) is an ordinary end, not an error.

use std::fmt::{Display, Write as _};
use std::io::{self, Write};

use serde::Serialize;

use crate::logging::is_harmful;

/// Standard output. Errors are remembered by the commands' result, except a closed pipe.
#[derive(Debug)]
pub(crate) struct Out(io::BufWriter<io::Stdout>);

/// The reader of our output has gone; the command is done.
pub(crate) fn is_closed_pipe(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

impl Out {
    /// Standard output, buffered until the end.
    pub(crate) fn new() -> Self {
        Self(io::BufWriter::new(io::stdout()))
    }

    /// A line.
    pub(crate) fn line(&mut self, text: impl Display) -> io::Result<()> {
        writeln!(self.0, "{text}")
    }

    /// Octets as they are.
    pub(crate) fn raw(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.write_all(octets)
    }

    /// A JSON document, indented. Programs read the same; a terminal shows nothing else than what is there.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = serde_json::to_string_pretty(value)?;
        writeln!(self.0, "{}", harmless(&text))
    }

    /// A table.
    pub(crate) fn table(&mut self, table: &Table) -> io::Result<()> {
        write!(self.0, "{table}")
    }

    /// Hands everything to the operating system.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// A text in which nothing takes hold of a terminal, begins another line, or shows in another order than it has: such
/// characters become spaces. Names, reasons and whatever else others wrote may hold them.
pub(crate) fn clean(text: &str) -> String {
    text.replace(is_harmful, " ")
}

/// A JSON document with harmful characters written as escapes. Only between values is there a line's end as it is.
fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            '\n' => text.push('\n'),
            // All of them are in the basic plane. A String takes everything.
            c if is_harmful(c) => {
                let _ = write!(text, "\\u{:04x}", u32::from(c));
            }
            c => text.push(c),
        }
    }
    text
}

/// A line on standard error, for errors and remarks, which may have several lines; it is made harmless like [`clean`].
pub(crate) fn remark(text: impl Display) {
    // Nobody is left to tell if this fails.
    let _ = writeln!(io::stderr(), "{}", lines(&text.to_string()));
}

fn lines(text: &str) -> String {
    text.replace(|c| c != '\n' && is_harmful(c), " ")
}

/// Rows under a header, columns as wide as they need to be.
#[derive(Debug)]
pub(crate) struct Table {
    header: Vec<&'static str>,
    right: Vec<bool>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns; a name that begins with `>` makes its column right-aligned.
    pub(crate) fn new(columns: &[&'static str]) -> Self {
        Self {
            header: columns.iter().map(|name| name.trim_start_matches('>')).collect(),
            right: columns.iter().map(|name| name.starts_with('>')).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row; its cells are made harmless.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| clean(&cell)).collect());
    }

    /// Whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<_> = self.header.iter().map(|name| name.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        widths
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let widths = self.widths();
        let header: Vec<_> = self.header.iter().map(|name| (*name).to_owned()).collect();
        for row in std::iter::once(&header).chain(&self.rows) {
            let mut line = String::new();
            for ((cell, width), right) in row.iter().zip(&widths).zip(&self.right) {
                let pad = " ".repeat(width.saturating_sub(cell.chars().count()));
                if !line.is_empty() {
                    line.push_str("  ");
                }
                if *right {
                    line.push_str(&pad);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&pad);
                }
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_takes_hold_of_no_terminal() {
        let hostile = "suspended already, since noon (x\u{1b}[2J\u{9b}31m\u{202e}\u{61c}y)\r\nMUN001 is resumed";
        assert_eq!(
            clean(hostile),
            "suspended already, since noon (x [2J 31m  y)  MUN001 is resumed"
        );
        assert_eq!(lines("first\nsecond\u{1b}[2J\r"), "first\nsecond [2J ");
    }

    #[test]
    fn json_says_the_same_and_is_harmless() {
        let value = serde_json::json!({ "a\u{9b}": "\u{1b}[2J\u{7f}\u{85}\n\u{202e}\u{61c}\u{2066}план \"\\" });
        let text = harmless(&serde_json::to_string_pretty(&value).unwrap());
        assert!(!text.contains(|c| c != '\n' && is_harmful(c)), "{text}");
        assert!(text.contains("\\u009b") && text.contains("план"), "{text}");
        assert_eq!(text.lines().count(), 3);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn columns_are_aligned_and_control_characters_are_harmless() {
        let mut table = Table::new(&["QUEUE", ">MESSAGES"]);
        table.row(["MUN001/requests".to_owned(), "7".to_owned()]);
        table.row(["a\u{1b}[2J".to_owned(), "1234".to_owned()]);
        assert_eq!(
            table.to_string(),
            "QUEUE            MESSAGES\nMUN001/requests         7\na [2J                1234\n"
        );
    }
}
