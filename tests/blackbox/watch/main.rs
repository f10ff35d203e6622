//! Watching the gateway: its metrics and the lines of its log are those of the catalogues, and the alert rules and the dashboard that come with it
//! work, in a real Prometheus too.
//!
//! `promtool` and `prometheus` are Debian's (`apt-get install prometheus`). Where they are not installed the tests that
//! need them say SKIPPED and pass, unless `RSMEV_REQUIRE_PROMETHEUS=1` is set: then they fail.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

#[path = "../common/mod.rs"]
mod common;

mod backup;
mod catalogue;
mod dashboard;
mod events;
mod prometheus;
mod rules;
mod top;
mod verification;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A file of the project.
fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

fn text(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a command of the gateway prints.
fn printed(arguments: &[&str]) -> String {
    let output = Command::new(common::BINARY).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The catalogue, by the metrics' names.
fn catalogue() -> BTreeMap<String, Value> {
    let printed = printed(&["reference", "metrics", "--output", "json"]);
    let rows: Vec<Value> = serde_json::from_str(&printed).unwrap();
    rows.into_iter()
        .map(|row| (row["name"].as_str().unwrap().to_owned(), row))
        .collect()
}

/// The names of series that a histogram has.
const PARTS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The entry of the catalogue that a series belongs to.
fn entry<'c>(catalogue: &'c BTreeMap<String, Value>, series: &str) -> Option<&'c Value> {
    let of_histogram = || {
        let base = PARTS.iter().find_map(|part| series.strip_suffix(part))?;
        catalogue.get(base).filter(|row| row["type"] == "histogram")
    };
    match catalogue.get(series) {
        // A histogram's own name is the name of no series.
        Some(row) => Some(row).filter(|row| row["type"] != "histogram"),
        None => of_histogram(),
    }
}

/// The metrics of ours and of the process that an expression names.
fn metrics_in(expression: &str) -> Vec<&str> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    expression
        .split(|c| !word(c))
        .filter(|name| name.starts_with("rsmev_") || name.starts_with("process_"))
        .collect()
}

/// Whether a program of Debian's package `prometheus` is there; says SKIPPED where it is not.
fn there_is(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        assert!(
            std::env::var_os("RSMEV_REQUIRE_PROMETHEUS").is_none_or(|value| value != "1"),
            "RSMEV_REQUIRE_PROMETHEUS=1, but there is no {program} (apt-get install prometheus)"
        );
        eprintln!("SKIPPED: there is no {program} (apt-get install prometheus)");
    }
    there
}
