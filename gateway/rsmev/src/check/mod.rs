//! `rsmev check`: everything that can be found wrong without the store's lock, so that it may run beside a gateway.
//!
//! What one value is wrong in hides nothing that can be said about another: each is looked at by itself, and every
//! finding that stems from a key of the configuration names where that is written.

mod files;
mod network;
mod notify;
mod roles;
mod storage;

use std::path::Path;

use serde::Serialize;

pub(crate) use files::validity;

use crate::cli::Output;
use crate::failure::Failure;
use crate::output::Out;
use crate::settings::Inspection;
use crate::settings::units::count;

/// Carries the command out.
pub(crate) fn run(config: &Path, output: Output, out: &mut Out) -> Result<(), Failure> {
    found(config, Talk::Yes).show(output, out)
}

/// Whether a gateway that runs is asked what it knows best.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Talk {
    /// It is.
    Yes,
    /// It is known not to answer: the files are looked at, as of a stopped one.
    No,
}

/// Everything that `check` finds, for those who show it beside other things.
pub(crate) fn findings(config: &Path, talk: Talk) -> Vec<Finding> {
    found(config, talk).found
}

fn found(config: &Path, talk: Talk) -> Findings {
    let inspection = Inspection::read(config);
    let mut findings = Findings::default();
    if inspection.problems.is_empty() {
        findings.at(Level::Ok, config.display().to_string(), "configuration");
    }
    for problem in &inspection.problems {
        findings.found.push(Finding {
            level: Level::Error,
            place: problem.place.clone(),
            key: problem.key.clone(),
            text: problem.text.clone(),
            term: false,
        });
    }
    files::check(&inspection, &mut findings);
    network::check(&inspection, &mut findings);
    roles::check(&inspection, &mut findings);
    notify::check(&inspection, &mut findings);
    storage::check(&inspection, talk, &mut findings);
    findings
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Ok,
    /// Nothing is wrong, but it should be known.
    Note,
    Warning,
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// Something that was looked at.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Finding {
    /// How it was found.
    pub(crate) level: Level,
    /// `file:line`, an environment variable, or what else is meant.
    pub(crate) place: String,
    /// Empty where no key is meant.
    pub(crate) key: String,
    /// What is so.
    pub(crate) text: String,
    /// It is about how long a certificate is valid.
    #[serde(skip)]
    pub(crate) term: bool,
}

#[derive(Debug, Default)]
struct Findings {
    found: Vec<Finding>,
}

impl Findings {
    /// A finding about a key of the configuration.
    fn key(&mut self, inspection: &Inspection, level: Level, key: &str, text: impl Into<String>) {
        self.found.push(Finding {
            level,
            place: inspection.place(key),
            key: key.to_owned(),
            text: text.into(),
            term: false,
        });
    }

    /// A finding about something else.
    fn at(&mut self, level: Level, place: impl Into<String>, text: impl Into<String>) {
        self.found.push(Finding {
            level,
            place: place.into(),
            key: String::new(),
            text: text.into(),
            term: false,
        });
    }

    /// The last finding is about how long a certificate is valid.
    fn is_a_term(&mut self) {
        if let Some(last) = self.found.last_mut() {
            last.term = true;
        }
    }

    fn count(&self, level: Level) -> u64 {
        self.found.iter().filter(|finding| finding.level == level).count() as u64
    }

    fn show(&self, output: Output, out: &mut Out) -> Result<(), Failure> {
        let (errors, warnings) = (self.count(Level::Error), self.count(Level::Warning));
        if output == Output::Json {
            out.json(&serde_json::json!({ "findings": self.found, "errors": errors, "warnings": warnings }))?;
        } else {
            for Finding {
                level,
                place,
                key,
                text,
                ..
            } in &self.found
            {
                let key = if key.is_empty() {
                    String::new()
                } else {
                    format!("{key}: ")
                };
                out.line(format_args!("{:8} {place}: {key}{text}", level.word()))?;
            }
            let warned = count(warnings, "warning");
            if errors > 0 {
                out.line(format_args!("{}, {warned}", count(errors, "error")))?;
            } else {
                out.line(format_args!("Everything is in order, {warned}."))?;
            }
        }
        if errors > 0 { Err(Failure::Said) } else { Ok(()) }
    }
}
