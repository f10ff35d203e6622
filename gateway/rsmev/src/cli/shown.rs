//! Every command line that the documents show is one that the program takes.

use std::path::Path;

use clap::Parser;
use clap::error::ErrorKind;
use harness::documents::{self, calls_of};

use super::Cli;

/// What stands for a word in capitals; anything else stands for itself.
fn meant(word: &str) -> String {
    const ID: &str = "0c3d5e1a-7a50-11f0-8de9-0242ac120002";
    match word {
        "ID" | "MESSAGE_ID" | "QUARANTINED_ID" => ID.to_owned(),
        "N" | "SEQ" | "PROPOSAL" => "1".to_owned(),
        "TIME" => "2026-11-22T16:40:00Z".to_owned(),
        "DATE" => "2026-01-31".to_owned(),
        "HEX" => "0".repeat(64),
        "QUEUE" => "MUN001/requests".to_owned(),
        "SHELL" => "bash".to_owned(),
        other => other.to_owned(),
    }
}

/// Arguments as they may be typed: brackets around what may be left away go, and dots, which are a text behind an option
/// and more of the same elsewhere. A variable is an identifier behind an option, and options elsewhere.
fn arguments(shown: &[String]) -> Vec<String> {
    let mut arguments: Vec<String> = Vec::new();
    for word in shown {
        let is_value = arguments.last().is_some_and(|before| before.starts_with("--"));
        let word = word.trim_start_matches('[').trim_end_matches(']');
        let word = match (is_value, word.starts_with('$')) {
            (true, true) => "ID",
            (true, false) => word,
            (false, true) => "",
            (false, false) => word.trim_end_matches('…'),
        };
        if !word.is_empty() {
            arguments.push(word.split(':').map(meant).collect::<Vec<_>>().join(":"));
        }
    }
    arguments
}

/// Why the program would not take a command line.
fn refusal(shown: &[String], whole: bool) -> Option<String> {
    let program = std::iter::once("rsmev".to_owned());
    let error = Cli::try_parse_from(program.chain(arguments(shown))).err()?;
    let only_mentioned = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    );
    let asks_for_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    (!asks_for_help && (whole || !only_mentioned)).then(|| error.to_string())
}

#[test]
fn every_command_line_that_the_documents_show_is_taken() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let (mut calls, mut refused) = (0, Vec::new());
    for document in documents::all(&root).unwrap() {
        let mut look = |line: usize, shown: &str, whole: bool| {
            for call in calls_of("rsmev", shown) {
                calls += 1;
                let has_all = !call.iter().any(|word| word.starts_with('$'));
                if let Some(text) = refusal(&call, whole && has_all) {
                    refused.push(format!("{}:{line}: {shown}\n{text}", document.path));
                }
            }
        };
        for block in document.blocks.iter().filter(|block| block.is_shell()) {
            for typed in block.typed() {
                look(block.line, &typed, true);
            }
        }
        for (line, span) in &document.spans {
            look(*line, span, false);
        }
    }
    assert!(
        calls > 100,
        "the documents show some hundred command lines, and {calls} were found"
    );
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

#[test]
fn a_command_line_that_is_not_one_is_refused() {
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(refusal(&words("trace MESSAGE_ID"), true), None);
    assert_eq!(refusal(&words("backup restore DIR [--data-dir DIR]"), true), None);
    assert_eq!(refusal(&words("quarantine reject ID… --reason …"), true), None);
    assert_eq!(refusal(&words("retention approve"), false), None);
    assert!(refusal(&words("retention approve"), true).is_some());
    assert!(refusal(&words("queue list --all"), false).is_some());
    assert!(refusal(&words("queues list"), false).is_some());
}
