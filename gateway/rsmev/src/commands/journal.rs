//! `rsmev journal`: reads the journal's files and takes no lock, so that it works beside a running gateway, on a stopped
//! one and on a copy that has left the machine.

use std::io;
use std::path::{Path, PathBuf};

use engine::CheckpointVerifier;
use gost::Certificate;
use journal::ReadError;
use journal::disk::RealDisk;
use journal::read::Filter;
use journal::verify::Range;
use serde_json::Value;

use crate::cli::{ExportFormat, Journal, JournalExport};
use crate::failure::Failure;
use crate::output::Out;
use crate::settings::Settings;

/// Carries the command out. The configuration is only read where the folder is not given.
pub(crate) fn run(command: &Journal, config: &Path, out: &mut Out) -> Result<(), Failure> {
    match command {
        Journal::Verify { from, to, dir } => {
            verify(&folder(dir.as_deref(), config)?, Range { from: *from, to: *to }, out)
        }
        Journal::Export(arguments) => export(arguments, &folder(arguments.dir.as_deref(), config)?, out),
    }
}

/// The folder with the segments: named by the caller (a data directory will do), or the configured one.
fn folder(dir: Option<&Path>, config: &Path) -> Result<PathBuf, Failure> {
    let dir = match dir {
        Some(dir) => dir.to_owned(),
        None => Settings::load(config)?.node.data_dir,
    };
    let within = dir.join("journal");
    let folder = if within.is_dir() { within } else { dir };
    if folder.is_dir() {
        Ok(folder)
    } else {
        Err(Failure::refused(format!(
            "{}: there is no such folder",
            folder.display()
        )))
    }
}

fn verify(dir: &Path, range: Range, out: &mut Out) -> Result<(), Failure> {
    let beside = dir.parent().unwrap_or(dir).join("registry");
    let certificate = |id: &str| {
        let file = beside.join(id);
        let octets = std::fs::read(&file)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", file.display())))?;
        Certificate::from_der(&octets).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    };
    let mut checkpoints = CheckpointVerifier::new(&certificate);
    let verified = journal::verify::verify(&RealDisk::shared(), dir, range, &mut |record| checkpoints.check(record));
    let report = verified.map_err(|error| wrong(&error))?;
    if report.records == 0 {
        out.line("The journal has no records in this range.")?;
        return Ok(());
    }
    out.line(format_args!(
        "The journal is whole: records {} to {}, {} in {} segments, {} signed checkpoints.",
        report.first_seq,
        report.last_seq,
        report.records,
        report.segments,
        checkpoints.checked()
    ))?;
    out.line(format_args!(
        "Digest of the last record: {}",
        hex::encode(report.last_digest)
    ))?;
    if let Some(torn) = report.torn_tail {
        out.line(format_args!(
            "An unfinished batch follows (written just now, or cut short by a crash): {torn}"
        ))?;
    }
    Ok(())
}

fn wrong(error: &ReadError) -> Failure {
    Failure::refused(error.to_string())
}

fn export(arguments: &JournalExport, dir: &Path, out: &mut Out) -> Result<(), Failure> {
    let contains = match (&arguments.message, &arguments.participant) {
        (Some(message), _) => Some(message.to_string()),
        (None, Some(participant)) => Some(format!("\"{participant}\"")),
        (None, None) => None,
    };
    let filter = Filter {
        from_seq: arguments.from,
        to_seq: arguments.to,
        from: arguments.since,
        to: arguments.until,
        contains,
    };
    let records = journal::read::records(RealDisk::shared(), dir, filter).map_err(|error| wrong(&error))?;
    if arguments.format == ExportFormat::Csv {
        out.line("seq,at,type,prev,event")?;
    }
    for record in records {
        let record = record.map_err(|error| wrong(&error))?;
        if arguments.until.is_some_and(|until| record.at >= until) {
            continue;
        }
        let event: Value = serde_json::from_str(record.event.get())
            .map_err(|error| Failure::refused(format!("record {}: {error}", record.seq)))?;
        let kind = event.get("type").and_then(Value::as_str).unwrap_or_default();
        if !wanted(arguments, kind, &event) {
            continue;
        }
        match arguments.format {
            ExportFormat::Json => {
                out.raw(record.octets())?;
                out.raw(b"\n")?;
            }
            ExportFormat::Csv => {
                let prev = hex::encode(record.prev);
                out.line(format_args!(
                    "{},{},{},{prev},{}",
                    record.seq,
                    record.at,
                    csv(kind),
                    csv(record.event.get())
                ))?;
            }
        }
    }
    Ok(())
}

fn wanted(arguments: &JournalExport, kind: &str, event: &Value) -> bool {
    let of_type = arguments.types.is_empty() || arguments.types.iter().any(|wanted| wanted == kind);
    let of_participant = arguments
        .participant
        .as_ref()
        .is_none_or(|participant| names(event, participant.as_str()));
    of_type && of_participant
}

/// Whether a text is a value anywhere in an event.
fn names(value: &Value, text: &str) -> bool {
    match value {
        Value::String(value) => value == text,
        Value::Array(items) => items.iter().any(|item| names(item, text)),
        Value::Object(fields) => fields.values().any(|field| names(field, text)),
        _ => false,
    }
}

/// A CSV field (RFC 4180). What a spreadsheet would take for a formula is defused.
fn csv(text: &str) -> String {
    let text = if text.starts_with(['=', '+', '-', '@']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn csv_fields_are_quoted_and_are_no_formulas() {
        assert_eq!(csv("plain"), "plain");
        assert_eq!(csv("a,\"b\""), "\"a,\"\"b\"\"\"");
        assert_eq!(csv("=1+1"), "'=1+1");
    }

    #[test]
    fn a_participant_is_found_wherever_it_stands_but_not_inside_another_word() {
        let event = serde_json::json!({"a": [{"sender": {"participant": "MUN001"}}], "text": "MUN002 was here"});
        assert!(names(&event, "MUN001"));
        assert!(!names(&event, "MUN002"));
    }
}
