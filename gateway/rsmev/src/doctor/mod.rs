//! `rsmev doctor`: one screen of everything that can go wrong with a gateway, running or stopped, and what to do.
//!
//! Facts are found first ([`gather`]), then judged ([`assess`]): what the judgement says follows from the facts alone.

pub(crate) mod assess;
mod facts;
mod gather;
mod probe;
mod screen;
pub(crate) mod system;

use std::path::Path;

use serde_json::{Value, json};

use assess::{Level, Line};
pub(crate) use facts::{Facts, Gateway};
pub(crate) use gather::gather;

use crate::cli::Output;
use crate::failure::Failure;
use crate::output::Out;

/// Carries the command out; trouble is exit code 1.
pub(crate) fn run(config: &Path, output: Output, out: &mut Out) -> Result<(), Failure> {
    let facts = gather(config, false)?;
    let lines = assess::assess(&facts);
    match output {
        Output::Json => out.json(&report(&facts, &lines))?,
        Output::Table => out.raw(screen::draw(&lines, screen::wants_colour()).as_bytes())?,
    }
    match lines.iter().any(|line| line.level == Level::Trouble) {
        true => Err(Failure::Said),
        false => Ok(()),
    }
}

/// Lines and facts as JSON.
pub(crate) fn report(facts: &Facts, lines: &[Line]) -> Value {
    let of = |level| lines.iter().filter(|line| line.level == level).count();
    json!({
        "at": facts.at,
        "trouble": of(Level::Trouble),
        "warnings": of(Level::Warning),
        "notes": of(Level::Note),
        "lines": lines,
        "facts": facts,
    })
}
