//! What one sees while it runs: on a terminal one region that changes in place, elsewhere a line now and then.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use super::account::{Figures, Way};
use crate::failure::Failure;
use crate::output::Out;

/// Without a terminal, a line of figures this often.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// Characters of a bar.
const BAR: usize = 24;
/// Lines of the region that changes.
const REGION: usize = 8;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// The picture.
pub(super) struct Screen {
    out: Out,
    begun: Instant,
    length: Duration,
    terminal: bool,
    colours: bool,
    drawn: bool,
    last_line: Option<Instant>,
}

impl Screen {
    /// A picture of a run of this length.
    pub(super) fn start(length: Duration) -> Self {
        let terminal = std::io::stdout().is_terminal();
        let colours = terminal && std::env::var_os("NO_COLOR").is_none();
        Self {
            out: Out::new(),
            begun: Instant::now(),
            length,
            terminal,
            colours,
            drawn: false,
            last_line: None,
        }
    }

    /// Something happens: a line that stays.
    pub(super) fn say(&mut self, text: &str) -> Result<(), Failure> {
        self.erase()?;
        let line = format!("{}  {text}", self.paint(DIM, &clock(self.begun.elapsed())));
        self.out.line(line)?;
        Ok(self.out.flush()?)
    }

    /// The figures of the moment.
    pub(super) fn draw(&mut self, figures: &Figures, waiting: u64, down: Option<Instant>) -> Result<(), Failure> {
        if self.terminal {
            self.erase()?;
            let width = width();
            for line in self.region(figures, waiting, down) {
                self.out.line(cut(&line, width))?;
            }
            self.drawn = true;
        } else {
            if self.last_line.is_some_and(|last| last.elapsed() < LINE_EVERY) {
                return Ok(());
            }
            self.last_line = Some(Instant::now());
            let ways = Way::ALL.map(|way| {
                let figures = &figures.ways[&way];
                format!("{} {}/{}", short_name(way), figures.ended(), figures.sent)
            });
            let bus = if down.is_some() { "down" } else { "up" };
            let line = format!(
                "{}  answered: {}; bus {bus}, {waiting} waiting for it",
                clock(self.begun.elapsed()),
                ways.join(", ")
            );
            self.out.line(line)?;
        }
        Ok(self.out.flush()?)
    }

    /// The region goes; what was said stays.
    pub(super) fn finish(&mut self) -> Result<(), Failure> {
        self.erase()?;
        Ok(self.out.flush()?)
    }

    fn erase(&mut self) -> Result<(), Failure> {
        if std::mem::replace(&mut self.drawn, false) {
            self.out.raw(format!("\u{1b}[{REGION}A\u{1b}[J").as_bytes())?;
        }
        Ok(())
    }

    fn region(&self, figures: &Figures, waiting: u64, down: Option<Instant>) -> [String; REGION] {
        let passed = self.begun.elapsed();
        let progress = ratio(passed.as_secs_f64(), self.length.as_secs_f64());
        let title = format!(
            "{}  {}  {} of {}",
            self.paint(BOLD, "a region in a box"),
            self.paint(DIM, &bar(progress, BAR)),
            clock(passed.min(self.length)),
            clock(self.length)
        );
        let way = |way| self.way(way, figures);
        let bus = match down {
            None => self.paint(GREEN, "● works         "),
            Some(since) => self.paint(RED, &format!("✖ DOWN for {:>3} s", since.elapsed().as_secs())),
        };
        let heap = "▇".repeat(usize::try_from(waiting).unwrap_or(usize::MAX).min(40));
        let heap = if waiting == 0 {
            self.paint(DIM, "nothing waits for it")
        } else {
            self.paint(YELLOW, &format!("{heap} {waiting} wait for it"))
        };
        let sum = |value: fn(&super::account::WayFigures) -> u64| figures.ways.values().map(value).sum::<u64>();
        let rest = format!(
            "  redelivered {}   rejected by the provider {}   wrong calls refused {}   news on the way {}",
            sum(|way| way.redelivered),
            sum(|way| way.rejected),
            figures.refused.values().sum::<u64>(),
            figures.statuses
        );
        let wrong = match figures.surprises.last() {
            None => String::new(),
            Some(last) => self.paint(
                RED,
                &format!("  {} surprises, the last: {last}", figures.surprises.len()),
            ),
        };
        [
            title,
            way(Way::Local),
            way(Way::Up),
            way(Way::Down),
            format!("  federal bus  {bus}  {heap}"),
            rest,
            wrong,
            String::new(),
        ]
    }

    fn way(&self, way: Way, figures: &Figures) -> String {
        let figures = &figures.ways[&way];
        #[expect(clippy::cast_precision_loss, reason = "a bar on a screen")]
        let share = ratio(figures.ended() as f64, figures.sent as f64);
        let colour = if figures.ended() == figures.sent { GREEN } else { YELLOW };
        format!(
            "  {}  {:>4} sent  {}  {:>4} answered",
            long_name(way),
            figures.sent,
            self.paint(colour, &bar(share, BAR)),
            figures.ended()
        )
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\u{1b}[{colour}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }
}

/// The way in a picture.
pub(super) fn long_name(way: Way) -> &'static str {
    match way {
        Way::Local => "MUN001, MUN002 ──▶ GISOGD73         ",
        Way::Up => "MUN001, MUN002 ──▶ bus ──▶ ROSREESTR",
        Way::Down => "EPGU ──▶ bus ──▶ GISOGD73           ",
    }
}

fn short_name(way: Way) -> &'static str {
    match way {
        Way::Local => "local",
        Way::Up => "to the bus",
        Way::Down => "from the bus",
    }
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        (part / whole).clamp(0.0, 1.0)
    } else {
        0.0
    }
}

fn bar(share: f64, width: usize) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a small width"
    )]
    let full = ((share * width as f64).round() as usize).min(width);
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

fn clock(passed: Duration) -> String {
    let seconds = passed.as_secs();
    format!("{:02}:{:02}", seconds / 60, seconds % 60)
}

fn width() -> usize {
    rustix::termios::tcgetwinsize(std::io::stdout())
        .map_or(80, |size| usize::from(size.ws_col))
        .max(40)
}

/// At most so many visible characters; colours are kept whole and switched off at the end.
fn cut(line: &str, width: usize) -> String {
    let mut shown = String::new();
    let (mut visible, mut in_escape) = (0, false);
    for character in line.chars() {
        if character == '\u{1b}' {
            in_escape = true;
        }
        if in_escape {
            shown.push(character);
            in_escape = character != 'm';
            continue;
        }
        if visible == width - 1 {
            // Only escapes may follow; writing to a String cannot fail.
            let _ = write!(shown, "\u{1b}[0m");
            return shown;
        }
        visible += 1;
        shown.push(character);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_never_wraps_and_colours_end() {
        assert_eq!(cut("short", 40), "short");
        assert_eq!(cut("\u{1b}[31mabcdefgh\u{1b}[0m", 5), "\u{1b}[31mabcd\u{1b}[0m");
    }

    #[test]
    fn a_bar_is_as_full_as_its_share() {
        assert_eq!(bar(0.5, 4), "██░░");
        assert_eq!(bar(2.0, 2), "██");
        assert_eq!(bar(ratio(1.0, 0.0), 2), "░░");
    }
}
