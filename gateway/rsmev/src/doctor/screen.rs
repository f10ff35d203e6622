//! The lines as one screen.

use std::io::IsTerminal as _;

use super::assess::{Level, Line};
use crate::output::clean;
use crate::settings::units::count;

/// Whether standard output is a terminal that may be given colours (NO_COLOR is honoured).
pub(super) fn wants_colour() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    std::io::stdout().is_terminal() && !refused && !dumb
}

/// The screen as text.
pub(super) fn draw(lines: &[Line], colour: bool) -> String {
    let width = lines.iter().map(|line| clean(&line.subject).chars().count()).max();
    let width = width.unwrap_or(0).min(40);
    let mut text = String::new();
    for line in lines {
        let subject = clean(&line.subject);
        let pad = " ".repeat(width.saturating_sub(subject.chars().count()));
        let word = format!("{:7}", line.level.word());
        text += &format!(
            "{}  {subject}{pad}  {}\n",
            paint(line.level, &word, colour),
            clean(&line.text)
        );
        if !line.remedy.is_empty() {
            text += &format!("{}-> {}\n", " ".repeat(7 + 2 + width + 2), clean(&line.remedy));
        }
    }
    text += &summary(lines);
    text
}

fn summary(lines: &[Line]) -> String {
    let of = |level| lines.iter().filter(|line| line.level == level).count() as u64;
    let (troubles, warnings, notes) = (of(Level::Trouble), of(Level::Warning), of(Level::Note));
    let rest = format!("{}, {}", count(warnings, "warning"), count(notes, "note"));
    match troubles {
        0 => format!("No trouble, {rest}.\n"),
        troubles => format!("{}, {rest}.\n", count(troubles, "trouble")),
    }
}

fn paint(level: Level, word: &str, colour: bool) -> String {
    let code = match level {
        Level::Ok => "32",
        Level::Note => "36",
        Level::Warning => "33",
        Level::Trouble => "1;31",
    };
    match colour {
        true => format!("\u{1b}[{code}m{word}\u{1b}[0m"),
        false => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: Level, subject: &str, text: &str, remedy: &str) -> Line {
        Line {
            level,
            subject: subject.to_owned(),
            text: text.to_owned(),
            remedy: remedy.to_owned(),
        }
    }

    #[test]
    fn each_line_has_its_level_and_what_to_do_below() {
        let lines = [
            line(Level::Ok, "disk", "all is well", ""),
            line(Level::Trouble, "backup", "\u{1b}[2Jnone", "make one"),
        ];
        assert_eq!(
            draw(&lines, false),
            "ok       disk    all is well\ntrouble  backup   [2Jnone\n                 -> make one\n1 trouble, 0 warnings, 0 notes.\n"
        );
        let coloured = draw(&lines, true);
        assert!(coloured.starts_with("\u{1b}[32mok     \u{1b}[0m  disk"), "{coloured:?}");
        assert!(coloured.contains("\u{1b}[1;31mtrouble\u{1b}[0m"), "{coloured:?}");
    }
}
