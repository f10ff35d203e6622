//! `top`.

use std::time::Duration;

use clap::Args;

use super::Output;
use crate::settings::units;

#[derive(Debug, Args)]
pub(crate) struct Top {
    /// Time between two readings
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = interval)]
    pub(crate) interval: Duration,
    /// Print one picture as plain text and end: two readings, an interval apart
    #[arg(long)]
    pub(crate) once: bool,
    /// Columns and rows of that picture
    #[arg(long, value_name = "COLUMNSxROWS", default_value = "100x30", value_parser = size, requires = "once")]
    pub(crate) size: (u16, u16),
    /// Form of the output: the view, or one reading as JSON
    #[arg(long, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
}

fn interval(text: &str) -> Result<Duration, String> {
    let interval = units::duration(text)?;
    match (Duration::from_millis(200)..=Duration::from_hours(1)).contains(&interval) {
        true => Ok(interval),
        false => Err(format!("{text}: must be from 200ms to 1h")),
    }
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let parsed = text.split_once('x').and_then(|(columns, rows)| {
        let side = |text: &str| text.parse().ok().filter(|side| (1..=500).contains(side));
        Some((side(columns)?, side(rows)?))
    });
    parsed.ok_or_else(|| format!("{text:?} is not a size such as \"100x30\", at most 500x500"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_intervals_are_bounded() {
        assert_eq!(size("80x24"), Ok((80, 24)));
        for wrong in ["", "80", "0x24", "80x0", "501x24", "80x24x1", "-1x2", "99999x1"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(interval("200ms"), Ok(Duration::from_millis(200)));
        assert!(interval("100ms").is_err() && interval("2h").is_err());
    }
}
