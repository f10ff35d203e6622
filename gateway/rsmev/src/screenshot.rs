//! Pictures of a terminal for the documents: a grid of characters as SVG. What is shown is real output: the view of
//! `rsmev top`, or what a command printed, with the colours that it chose.

use std::fmt::Write as _;
use std::io::Read as _;

use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};

use crate::failure::Failure;
use crate::output::Out;

/// Octets of output that become a picture at most.
const INPUT_BYTES: u64 = 1 << 20;
/// Characters in a row at most.
const COLUMNS: usize = 200;
/// Rows at most.
const ROWS: usize = 200;

/// Width and height of a character in pixels.
const CELL: (f32, f32) = (8.0, 17.0);
/// Around the characters, in pixels.
const MARGIN: f32 = 10.0;
const PAPER: &str = "#1b1d23";
const INK: &str = "#d6d8de";

/// `reference screenshot`: standard input, with the colours that a terminal would show, as SVG.
pub(crate) fn of_input(out: &mut Out) -> Result<(), Failure> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(INPUT_BYTES).read_to_string(&mut text);
    read.map_err(|error| Failure::refused(format!("standard input: {error}")))?;
    Ok(out.raw(svg(&printed(&text)).as_bytes())?)
}

/// What a terminal shows after a text was printed; of its codes, those of colours.
fn printed(text: &str) -> Buffer {
    let rows: Vec<Vec<(String, Style)>> = styled(text);
    let columns = rows
        .iter()
        .map(|row| row.iter().map(|(text, _)| text.chars().count()).sum());
    let width = columns.max().unwrap_or(0_usize).clamp(1, COLUMNS);
    let height = rows.len().clamp(1, ROWS);
    let cells = |number: usize| u16::try_from(number).unwrap_or(u16::MAX);
    let mut buffer = Buffer::empty(Rect::new(0, 0, cells(width), cells(height)));
    for (y, row) in rows.iter().take(height).enumerate() {
        let mut x = 0;
        for (text, style) in row {
            let left = width.saturating_sub(usize::from(x));
            (x, _) = buffer.set_stringn(x, cells(y), text, left, *style);
        }
    }
    buffer
}

/// The text by rows, in pieces of one style.
fn styled(text: &str) -> Vec<Vec<(String, Style)>> {
    let mut style = Style::new();
    let mut rows = Vec::new();
    for line in text.lines() {
        let mut row = Vec::new();
        for (number, piece) in line.split("\u{1b}[").enumerate() {
            let shown = match piece.split_once('m').filter(|_| number > 0) {
                Some((codes, shown)) => {
                    style = codes.split(';').fold(style, select);
                    shown
                }
                None => piece,
            };
            if !shown.is_empty() {
                row.push((shown.to_owned(), style));
            }
        }
        rows.push(row);
    }
    rows
}

/// Select Graphic Rendition (ECMA-48, 8.3.117).
fn select(style: Style, code: &str) -> Style {
    let colours = [
        Color::Black,
        Color::Red,
        Color::Green,
        Color::Yellow,
        Color::Blue,
        Color::Magenta,
        Color::Cyan,
        Color::White,
    ];
    match code.parse::<usize>().unwrap_or(0) {
        1 => style.add_modifier(Modifier::BOLD),
        2 => style.add_modifier(Modifier::DIM),
        7 => style.add_modifier(Modifier::REVERSED),
        code @ 30..=37 => style.fg(colours[code - 30]),
        39 => style.fg(Color::Reset),
        code @ 40..=47 => style.bg(colours[code - 40]),
        code @ 90..=97 => style.fg(colours[code - 90]),
        _ => Style::new(),
    }
}

/// The grid as SVG.
pub(crate) fn svg(buffer: &Buffer) -> String {
    let (columns, rows) = (f32::from(buffer.area.width), f32::from(buffer.area.height));
    let (width, height) = (columns * CELL.0 + 2.0 * MARGIN, rows * CELL.1 + 2.0 * MARGIN);
    let mut svg = String::new();
    // A String takes everything, here and below.
    let _ = writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"DejaVu Sans Mono, Liberation Mono, Consolas, monospace\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"6\" fill=\"{PAPER}\"/>"
    );
    let row_width = usize::from(buffer.area.width).max(1);
    for (number, row) in buffer.content.chunks(row_width).enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a terminal has few rows")]
        let y = MARGIN + number as f32 * CELL.1;
        for (x, cells) in runs(row) {
            run(&mut svg, x, y, cells);
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Pieces of a row that look alike, with the column where each begins.
fn runs(row: &[Cell]) -> impl Iterator<Item = (usize, &[Cell])> {
    let alike = |a: &Cell, b: &Cell| (a.fg, a.bg, a.modifier) == (b.fg, b.bg, b.modifier);
    let mut x = 0;
    row.chunk_by(alike).map(move |cells| {
        x += cells.len();
        (x - cells.len(), cells)
    })
}

fn run(svg: &mut String, column: usize, y: f32, cells: &[Cell]) {
    let Some(first) = cells.first() else { return };
    let (mut ink, mut paper) = (colour(first.fg, INK), colour(first.bg, PAPER));
    if first.modifier.contains(Modifier::REVERSED) {
        (ink, paper) = (paper, ink);
    }
    #[expect(clippy::cast_precision_loss, reason = "a terminal has few columns")]
    let (x, width) = (MARGIN + column as f32 * CELL.0, cells.len() as f32 * CELL.0);
    if paper != PAPER {
        let _ = writeln!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{}\" fill=\"{paper}\"/>",
            CELL.1
        );
    }
    let text: String = cells.iter().map(Cell::symbol).collect();
    let shown = text.trim_end();
    if shown.trim_start().is_empty() {
        return;
    }
    let blank = shown.chars().count() - shown.trim_start().chars().count();
    let shown = shown.trim_start();
    #[expect(clippy::cast_precision_loss, reason = "a terminal has few columns")]
    let (x, length) = (x + blank as f32 * CELL.0, shown.chars().count() as f32 * CELL.0);
    let bold = if first.modifier.contains(Modifier::BOLD) {
        " font-weight=\"bold\""
    } else {
        ""
    };
    let dim = if first.modifier.contains(Modifier::DIM) {
        " opacity=\"0.6\""
    } else {
        ""
    };
    let _ = writeln!(
        svg,
        "<text x=\"{x}\" y=\"{}\" fill=\"{ink}\" textLength=\"{length}\" xml:space=\"preserve\"{bold}{dim}>{}</text>",
        y + CELL.1 - 4.0,
        escaped(shown)
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn colour(colour: Color, otherwise: &'static str) -> &'static str {
    match colour {
        Color::Black => "#000000",
        Color::Red => "#f0616d",
        Color::Green => "#7fc97f",
        Color::Yellow => "#e5c07b",
        Color::Blue => "#61afef",
        Color::Magenta => "#c678dd",
        Color::Cyan => "#56b6c2",
        Color::White => "#ffffff",
        _ => otherwise,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_colours_of_a_text_are_those_of_its_picture() {
        let buffer = printed("plain \u{1b}[1;31mbad\u{1b}[0m <&>\n\u{1b}[32mgood");
        assert_eq!((buffer.area.width, buffer.area.height), (13, 2));
        let cell = |x, y| &buffer[(x, y)];
        assert_eq!((cell(0, 0).symbol(), cell(0, 0).fg), ("p", Color::Reset));
        assert_eq!((cell(6, 0).symbol(), cell(6, 0).fg), ("b", Color::Red));
        assert!(cell(6, 0).modifier.contains(Modifier::BOLD));
        assert_eq!((cell(0, 1).symbol(), cell(0, 1).fg), ("g", Color::Green));
        let svg = svg(&buffer);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let texts: Vec<_> = document
            .descendants()
            .filter(|node| node.has_tag_name("text") || node.tag_name().name() == "text")
            .filter_map(|node| node.text().filter(|text| !text.trim().is_empty()))
            .collect();
        assert_eq!(texts, ["plain", "bad", "<&>", "good"]);
        assert!(svg.contains("fill=\"#f0616d\""), "{svg}");
    }

    #[test]
    fn a_reversed_row_has_a_background() {
        let svg = svg(&printed("\u{1b}[7mhead\u{1b}[0m"));
        assert!(svg.contains(&format!("height=\"17\" fill=\"{INK}\"")), "{svg}");
        assert!(svg.contains(&format!("fill=\"{PAPER}\" textLength=\"32\"")), "{svg}");
    }
}
