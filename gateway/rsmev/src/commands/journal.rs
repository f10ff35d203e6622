//! `rsmev journal`: reads the journal's files and takes no lock on them, so that it works beside a running gateway, on a
//! stopped one and on a copy that has left the machine.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::command::NotedCut;
use engine::event::Act;
use engine::{CheckpointVerifier, GapAccepted};
use gost::Certificate;
use journal::disk::{Disk, RealDisk};
use journal::read::Filter;
use journal::verify::{Range, Report};
use journal::{Digest, Gap, ReadError, Record, Session};
use serde::Serialize;
use serde_json::Value;

use crate::cli::{ExpectedDigest, ExportFormat, Journal, JournalExport, JournalVerify, Output};
use crate::data_dir;
use crate::failure::Failure;
use crate::keys;
use crate::operator::Request;
use crate::output::{Out, remark};
use crate::settings::Settings;
use crate::settings::units::count;
use crate::store::{Store, become_owner};

/// Carries the command out. The configuration is only read where the folder is not given.
pub(crate) fn run(command: &Journal, config: &Path, out: &mut Out) -> Result<(), Failure> {
    match command {
        Journal::Verify(arguments) => {
            let folder = folder(arguments.dir.as_deref(), config)?;
            // Read first what only the caller may be able to read: looking at the index may change who we are.
            let given = arguments.certificate.iter().map(|file| keys::read_certificate(file));
            let given = given.collect::<Result<Vec<_>, _>>()?;
            let settings = match arguments.dir {
                Some(_) => None,
                None => Some(Settings::load(config)?),
            };
            verify(arguments, &folder, &given, settings.as_ref(), out)
        }
        Journal::Acknowledge(arguments) => {
            arguments.yes.confirm(|| {
                Ok("note in the journal that its cut is known, so that /ready is in order again and nobody is reminded of it")
            })?;
            let reason = arguments.reason.clone();
            let noted = super::ask(&Settings::load(config)?, Request::AcknowledgeCut { reason })?;
            let noted: NotedCut = serde_json::from_value(noted).map_err(|error| Failure::refused(error.to_string()))?;
            Ok(out.line(format_args!(
                "Noted in the journal: record {} was durable, and a start found that the journal ended with record {}.",
                noted.known, noted.end
            ))?)
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

/// A record that the journal must have, known from elsewhere than its files.
struct Known {
    seq: u64,
    digest: Option<Digest>,
    /// Who knows it.
    by: &'static str,
}

impl Known {
    /// What the running gateway has written, or, when it is stopped, how far its index reflects the journal. If neither
    /// tells this caller, that is said.
    fn find(settings: &Settings) -> Option<Self> {
        let known = match Store::find(settings) {
            Ok(Some(running)) => running.ask(Request::JournalEnd).map(|seq| Self {
                seq,
                digest: None,
                by: "the running gateway has written",
            }),
            Ok(None) => Self::of_index(settings),
            Err(failure) => Err(failure),
        };
        known
            .inspect_err(|failure| {
                remark(format_args!(
                    "the journal's end is compared with nothing else than the mark of the last session: {failure}"
                ));
            })
            .ok()
    }

    fn of_index(settings: &Settings) -> Result<Self, Failure> {
        let dir = &settings.node.data_dir;
        become_owner(dir)?;
        let known = engine::known_position(&settings.engine(), &RealDisk::shared())
            .map_err(|error| Failure::refused(error.to_string()))?;
        let position = known.ok_or_else(|| Failure::refused(format!("{}: there is no index", dir.display())))?;
        Ok(Self {
            seq: position.seq,
            digest: (position.seq > 0).then_some(position.digest),
            by: "the index reflects",
        })
    }

    /// Whether the journal has it: `last_seq` is the journal's last record, `digest` that of the known one.
    fn check(&self, dir: &Path, last_seq: u64, digest: Option<Digest>) -> Result<(), String> {
        let Self { seq, by, .. } = self;
        let journal = dir.display();
        if last_seq < *seq {
            return Err(format!(
                "{journal}: the journal was cut: it ends with record {last_seq}, but {by} record {seq}: the records from \
                 {} on are gone; restore them from a backup",
                last_seq + 1
            ));
        }
        match (self.digest, digest) {
            (Some(known), Some(there)) if known != there => Err(format!(
                "{journal}: the journal was cut or replaced: record {seq} is not the one that {by}"
            )),
            _ => Ok(()),
        }
    }
}

/// What `journal verify` found, for programs.
#[derive(Debug, Serialize)]
struct Verified {
    whole: bool,
    first_seq: u64,
    /// Of the record before the first.
    prev_digest: String,
    last_seq: u64,
    records: u64,
    segments: u64,
    checkpoints: u64,
    checkpoints_through: Option<u64>,
    /// Whose checkpoints they are.
    signers: Vec<String>,
    last_digest: String,
    /// Records that are missing, and who accepted that.
    gaps: Vec<KnownGap>,
    unfinished_batch: Option<String>,
    error: Option<String>,
}

/// A gap that was accepted.
#[derive(Debug, Serialize)]
struct KnownGap {
    first: u64,
    last: u64,
    what: String,
    accepted_by: String,
    accepted_at: jiff::Timestamp,
    /// The record that tells.
    record: u64,
}

/// The gaps of what was verified.
///
/// # Errors
/// One that nobody accepted, for a person.
pub(crate) fn gaps(disk: &Arc<dyn Disk>, dir: &Path, report: &Report) -> Result<Vec<(Gap, GapAccepted)>, String> {
    let known = |gap: &Gap| match engine::gap_accepted(disk, dir, gap) {
        Ok(Some(accepted)) => Ok((gap.clone(), accepted)),
        Ok(None) => Err(gap.unaccepted().to_string()),
        Err(error) => Err(error.to_string()),
    };
    report.gaps.iter().map(known).collect()
}

/// What a person is told of a gap.
pub(crate) fn gap_text((gap, accepted): &(Gap, GapAccepted)) -> String {
    format!(
        "Records {} to {} are missing, which {} accepted on {} (record {}): {}",
        gap.first, gap.last, accepted.by, accepted.at, accepted.seq, gap.what
    )
}

fn verify(
    arguments: &JournalVerify,
    dir: &Path,
    given: &[Certificate],
    settings: Option<&Settings>,
    out: &mut Out,
) -> Result<(), Failure> {
    let known = settings.and_then(Known::find);
    let known = known.as_ref();
    let range = Range {
        from: arguments.from,
        to: arguments.to,
    };
    if let (Some(from), Some(to)) = (range.from, range.to)
        && from > to
    {
        return Err(Failure::usage(format!("--from {from} lies after --to {to}")));
    }
    let data_dir = dir.parent().unwrap_or(dir);
    // Before the journal is read: what is written meanwhile can only come on top of it.
    let session = data_dir::session(data_dir);
    let signers = RefCell::new(BTreeSet::new());
    let certificate = |id: &str| {
        let certificate = match given.iter().find(|certificate| certificate.id().to_string() == id) {
            Some(certificate) => certificate.clone(),
            None if given.is_empty() => kept_certificate(&data_dir.join("registry"), id)?,
            None => {
                return Err(io::Error::other(format!(
                    "{id} is none of those given with --certificate"
                )));
            }
        };
        signers.borrow_mut().insert(format!("{} ({id})", certificate.subject()));
        Ok(certificate)
    };
    let mut checkpoints = CheckpointVerifier::new(&certificate);
    let mut there = None;
    let mut expected = Expected::new(&arguments.expect_digest);
    let verified = journal::verify::verify(&RealDisk::shared(), dir, range, &mut |record| {
        if known.is_some_and(|known| known.seq == record.seq) {
            there = Some(record.digest());
        }
        expected.look_at(record)?;
        checkpoints.check(record)
    });
    let mut known_gaps = Vec::new();
    let (report, error) = match verified {
        Ok(report) => {
            let known = known.map(|known| (known, there));
            let end = end(dir, (session.as_ref(), known), range, &report);
            let begin = match arguments.dir {
                Some(_) => Ok(()),
                None => beginning(range, &report, checkpoints.acts()),
            };
            let complete = gaps(&RealDisk::shared(), dir, &report).and_then(|found| {
                known_gaps = found;
                match known_gaps.first().filter(|_| arguments.no_gaps) {
                    Some(gap) => Err(gap_text(gap)),
                    None => Ok(()),
                }
            });
            let checked = complete.and(end).and(begin);
            let error = checked.and_then(|()| expected.conclude(&report)).err();
            (Some(report), error)
        }
        Err(error) => (None, Some(error.to_string())),
    };
    if let Some(settings) = settings.filter(|_| arguments.asks_for_all()) {
        tell(settings, error.clone());
    }
    let (checked, through) = (checkpoints.checked(), checkpoints.last());
    let signers: Vec<_> = signers.borrow().iter().cloned().collect();
    let torn = report.as_ref().and_then(|report| report.torn_tail.as_ref());
    if arguments.output.output == Output::Json {
        out.json(&Verified {
            whole: error.is_none() && known_gaps.is_empty(),
            first_seq: report.as_ref().map_or(0, |report| report.first_seq),
            prev_digest: hex::encode(report.as_ref().map_or([0; 32], |report| report.prev)),
            last_seq: report.as_ref().map_or(0, |report| report.last_seq),
            records: report.as_ref().map_or(0, |report| report.records),
            segments: report.as_ref().map_or(0, |report| report.segments),
            checkpoints: checked,
            checkpoints_through: through,
            signers,
            last_digest: hex::encode(report.as_ref().map_or([0; 32], |report| report.last_digest)),
            gaps: known_gaps.into_iter().map(KnownGap::from).collect(),
            unfinished_batch: torn.map(ToString::to_string),
            error: error.clone(),
        })?;
        return if error.is_some() { Err(Failure::Said) } else { Ok(()) };
    }
    if let Some(error) = error {
        return Err(Failure::Refused(error));
    }
    let Some(report) = &report else { return Ok(()) };
    if report.records == 0 {
        out.line("The journal has no records.")?;
    } else {
        let (first_seq, prev) = report.beginning();
        if let Some((act, _)) = engine::anchor(checkpoints.acts(), first_seq) {
            out.line(format_args!(
                "What was before record {first_seq} was destroyed by an act of {} and {}",
                act.destruction.by, act.approved_by
            ))?;
        }
        if first_seq > 1 && range.from.is_none() {
            out.line(format_args!(
                "It begins with record {first_seq}; the digest of the record before it is {}",
                hex::encode(prev)
            ))?;
        }
        let whole = match known_gaps.is_empty() {
            true => "whole",
            false => "whole but for what was accepted to be missing",
        };
        for gap in &known_gaps {
            out.line(gap_text(gap))?;
        }
        out.line(format_args!(
            "The journal is {whole}: records {} to {}, {} in {}, {}.",
            report.first_seq,
            report.last_seq,
            report.records,
            count(report.segments, "segment"),
            count(checked, "signed checkpoint")
        ))?;
        for signer in &signers {
            out.line(format_args!("Checkpoints signed by {signer}"))?;
        }
        if let Some(through) = through {
            out.line(format_args!(
                "The last checkpoint vouches for everything up to record {through}"
            ))?;
        }
        out.line(format_args!(
            "Digest of the last record: {}",
            hex::encode(report.last_digest)
        ))?;
    }
    if let Some(torn) = torn {
        out.line(format_args!(
            "An unfinished batch follows (written just now, or cut short by a crash): {torn}"
        ))?;
    }
    Ok(())
}

/// Tells the running gateway, if there is one, what came of the verification of its whole journal.
fn tell(settings: &Settings, error: Option<String>) {
    let told = match Store::find(settings) {
        Ok(Some(running)) => running.ask::<()>(Request::JournalVerified { error }),
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    if let Err(failure) = told {
        remark(format_args!("the gateway was not told of this verification: {failure}"));
    }
}

impl From<(Gap, GapAccepted)> for KnownGap {
    fn from((gap, accepted): (Gap, GapAccepted)) -> Self {
        Self {
            first: gap.first,
            last: gap.last,
            what: gap.what,
            accepted_by: accepted.by.to_string(),
            accepted_at: accepted.at,
            record: accepted.seq,
        }
    }
}

/// Whether the journal begins with its first record, or an act tells of the destruction of what was before.
pub(crate) fn beginning(range: Range, report: &Report, acts: &[(u64, Act)]) -> Result<(), String> {
    let (first_seq, prev) = report.beginning();
    if range.from.is_some() || report.records == 0 || first_seq == 1 {
        return Ok(());
    }
    match engine::anchor(acts, first_seq) {
        Some((_, digest)) if digest == hex::encode(prev) => Ok(()),
        Some(_) => Err(format!(
            "record {first_seq} does not go on from the record that the act of destruction names as the last"
        )),
        None => Err(format!(
            "the journal begins with record {first_seq}, and no act of two people in it tells of the destruction of what was \
             before; restore it from a backup or the archive"
        )),
    }
}

/// Digests that the caller knows from elsewhere.
struct Expected<'a> {
    /// With whether the record was found.
    digests: Vec<(&'a ExpectedDigest, bool)>,
    begun: bool,
}

impl<'a> Expected<'a> {
    fn new(digests: &'a [ExpectedDigest]) -> Self {
        Self {
            digests: digests.iter().map(|expected| (expected, false)).collect(),
            begun: false,
        }
    }

    fn look_at(&mut self, record: &Record) -> Result<(), String> {
        let before = (!self.begun).then(|| (record.seq.saturating_sub(1), record.prev));
        self.begun = true;
        for (expected, found) in &mut self.digests {
            let Some(seq) = expected.seq else { continue };
            let there = match before {
                Some((before, prev)) if before == seq => prev,
                _ if record.seq == seq => record.digest(),
                _ => continue,
            };
            if there != expected.digest {
                return Err(format!("record {seq} does not have the digest that was expected"));
            }
            *found = true;
        }
        Ok(())
    }

    fn conclude(&self, report: &Report) -> Result<(), String> {
        for (expected, found) in &self.digests {
            match expected.seq {
                Some(seq) if !found => return Err(format!("record {seq}, whose digest is known, is not here")),
                None if report.last_digest != expected.digest => {
                    return Err(format!(
                        "the last record here, {}, does not have the digest that was expected",
                        report.last_seq
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// A certificate that lies beside the journal under its own name.
fn kept_certificate(folder: &Path, id: &str) -> io::Result<Certificate> {
    let is_name = id.len() == 64 && id.bytes().all(|octet| octet.is_ascii_hexdigit());
    if !is_name {
        return Err(io::Error::other(format!("{id:?} is no certificate's name")));
    }
    let file = folder.join(id);
    let octets = std::fs::read(&file).map_err(|error| {
        let text = format!("{}: {error}; name it with --certificate FILE", file.display());
        io::Error::new(error.kind(), text)
    })?;
    let certificate = Certificate::from_der(&octets).map_err(io::Error::other)?;
    if certificate.id().to_string() != id {
        return Err(io::Error::other(format!(
            "{}: is not the certificate of that name",
            file.display()
        )));
    }
    Ok(certificate)
}

/// Whether the journal reaches as far as it must, and the range is there.
fn end(
    dir: &Path,
    (session, known): (Option<&Session>, Option<(&Known, Option<Digest>)>),
    range: Range,
    report: &Report,
) -> Result<(), String> {
    let to = range.to.unwrap_or(u64::MAX);
    let session = session.filter(|session| session.last_seq <= to);
    // The empty range after the end says nothing about where that is.
    let reaches = range.from.is_none() || report.records > 0;
    if reaches {
        let torn = report.torn_tail.as_ref().map(|torn| torn as &dyn std::fmt::Display);
        data_dir::check_end(dir.parent().unwrap_or(dir), session, report.last_seq, torn)?;
        if let Some((known, digest)) = known.filter(|(known, _)| known.seq <= to) {
            known.check(dir, report.last_seq, digest)?;
        }
    }
    match (range.from, range.to) {
        (Some(from), _) if report.records == 0 => Err(format!("the journal has no record {from}: it ends before it")),
        (_, Some(to)) if report.last_seq < to => Err(format!(
            "the journal has no record {to}: it ends with record {}",
            report.last_seq
        )),
        _ => Ok(()),
    }
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
