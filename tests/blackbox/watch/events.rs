//! The lines of the log: each has a code of the catalogue, and the document is written from that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::common::{CONSUMER, EGRN, PROVIDER, SPRAVKA, World, echo, eventually, request, send, system, take_response};
use crate::{file, printed, text};

#[test]
fn the_document_is_that_of_the_program() {
    let written = text("docs/events.md");
    let by_program = printed(&["reference", "events"]);
    assert!(
        written == by_program,
        "docs/events.md is not up to date: target/debug/rsmev reference events >docs/events.md"
    );
}

/// An entry of the catalogue as programs read it.
fn catalogue() -> Vec<Value> {
    serde_json::from_str(&printed(&["reference", "events", "--output", "json"])).unwrap()
}

#[test]
fn each_code_is_there_once_and_tells_what_it_means() {
    let mut codes = BTreeSet::new();
    for row in catalogue() {
        let code = row["code"].as_str().unwrap();
        assert!(codes.insert(code.to_owned()), "{code} is there twice");
        assert!(
            code.chars().all(|c| c.is_ascii_lowercase() || c == '-'),
            "{code}: small letters and dashes"
        );
        for text in ["meaning", "act", "part"] {
            assert!(!row[text].as_str().unwrap().is_empty(), "{code}: {text}");
        }
    }
}

/// The sources of a crate that can log.
struct Source {
    krate: &'static str,
    path: PathBuf,
    text: String,
}

fn sources() -> Vec<Source> {
    let mut sources = Vec::new();
    for krate in [
        "adapters/smev3",
        "gateway/engine",
        "gateway/forward",
        "gateway/gost",
        "gateway/journal",
        "gateway/rsmev",
        "gateway/vault",
        "gateway/xmldsig",
    ] {
        let mut paths = Vec::new();
        files(&file(krate).join("src"), &mut paths);
        sources.extend(paths.into_iter().map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            // What tests log is not in the catalogue.
            let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
            let text = text[..end].to_owned();
            Source { krate, path, text }
        }));
    }
    sources
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// `NAME = LEVEL "code"` of the entries of each crate: code by crate and name.
fn names(sources: &[Source]) -> BTreeMap<(&'static str, String), String> {
    let mut names = BTreeMap::new();
    for source in sources.iter().filter(|source| source.path.ends_with("logged.rs")) {
        for line in source.text.lines() {
            let Some((name, rest)) = line.trim().split_once(" = ") else {
                continue;
            };
            let Some((level, rest)) = rest.split_once(" \"") else {
                continue;
            };
            if ["INFO", "WARN", "ERROR"].contains(&level) {
                let code = rest.split('"').next().unwrap().to_owned();
                let known = names.insert((source.krate, name.to_owned()), code);
                assert_eq!(known, None, "{name} is there twice");
            }
        }
    }
    names
}

/// The arguments of each `log!(…)` of a source.
fn calls(text: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    for (at, _) in text.match_indices("log!(") {
        let (mut depth, mut quoted, mut escaped) = (0, false, false);
        let mut arguments = vec![String::new()];
        for c in text[at + "log!(".len()..].chars() {
            let last = arguments.last_mut().unwrap();
            match c {
                _ if escaped => escaped = false,
                '\\' if quoted => escaped = true,
                '"' => quoted = !quoted,
                _ if quoted => {}
                '(' | '[' | '{' => depth += 1,
                ')' if depth == 0 => break,
                ')' | ']' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    arguments.push(String::new());
                    continue;
                }
                _ => {}
            }
            last.push(c);
        }
        calls.push(arguments.iter().map(|argument| argument.trim().to_owned()).collect());
    }
    calls
}

/// The name of a field: of `kind`, `%error`, `?event`, `seq = number`.
fn field(argument: &str) -> &str {
    let name = argument.split_once(" = ").map_or(argument, |(name, _)| name);
    name.trim_start_matches(['%', '?'])
}

#[test]
fn nothing_is_logged_without_a_code_and_with_the_fields_of_the_catalogue() {
    let sources = sources();
    let names = names(&sources);
    let catalogue: BTreeMap<String, Vec<String>> = catalogue()
        .into_iter()
        .map(|row| {
            let fields = row["fields"].as_array().unwrap().iter();
            let fields = fields.map(|field| field.as_str().unwrap().to_owned()).collect();
            (row["code"].as_str().unwrap().to_owned(), fields)
        })
        .collect();
    let declared: BTreeSet<&String> = names.values().collect();
    assert_eq!(declared, catalogue.keys().collect(), "declared, and in the catalogue");

    let mut used = BTreeSet::new();
    for source in &sources {
        let place = source.path.display();
        for plain in [
            "info!",
            "warn!",
            "error!",
            "event!",
            "tracing::info",
            "tracing::warn",
            "tracing::error",
        ] {
            assert!(
                !source.text.contains(plain),
                "{place}: {plain} has no code; use logbook::log!"
            );
        }
        for arguments in calls(&source.text) {
            let mut arguments = arguments
                .iter()
                .filter(|argument| !argument.starts_with("target: "))
                .peekable();
            let entry = arguments.next().unwrap();
            let name = entry
                .strip_prefix("logged::")
                .unwrap_or_else(|| panic!("{place}: log!({entry} …) names no entry of `logged`"));
            let code = names
                .get(&(source.krate, name.to_owned()))
                .unwrap_or_else(|| panic!("{place}: there is no entry {name}"));
            let fields: Vec<&str> = arguments
                .clone()
                .take_while(|argument| !argument.starts_with('"'))
                .map(|argument| field(argument))
                .collect();
            assert!(
                arguments.any(|argument| argument.starts_with('"')),
                "{place}: {code} has no text"
            );
            assert_eq!(fields, catalogue[code], "{place}: fields of {code}");
            used.insert(code);
        }
    }
    assert_eq!(used, catalogue.keys().collect(), "used, and in the catalogue");
}

#[tokio::test]
async fn each_message_has_its_lines_and_none_has_its_content() {
    let json = |builder: harness::RegionBuilder| builder.setting("log", "format", "\"json\"");
    let World { bus: _bus, region } = World::start_with(None, json).await;
    let consumer = system(&region, CONSUMER);
    let local = send(&consumer, request(SPRAVKA, "тайное содержание")).await;
    echo(&system(&region, PROVIDER)).await;
    take_response(&consumer).await;
    let north = send(&consumer, request(EGRN, "тайное содержание")).await;

    let known: BTreeSet<String> = catalogue()
        .iter()
        .map(|row| row["code"].as_str().unwrap().to_owned())
        .collect();
    eventually("the lines are there", async || {
        let log = region.log();
        assert!(!log.contains("тайное"), "{log}");
        let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        for line in &lines {
            let code = line["code"].as_str().unwrap_or_else(|| panic!("no code: {line}"));
            assert!(known.contains(code), "{line}");
        }
        let told = |code: &str, id: &str| {
            lines
                .iter()
                .any(|line| line["code"] == code && line["message_id"] == id)
        };
        let (local, north) = (local.to_string(), north.to_string());
        let all = told("message-accepted", &local)
            && told("message-acknowledged", &local)
            && told("message-accepted", &north)
            && told("message-forwarded", &north);
        all.then_some(())
    })
    .await;
}
