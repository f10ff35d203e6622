//! `rsmev trace`: the whole story of a message as a timeline: its steps, and what became of it and of its answers.

use engine::{Cause, End, Life, Timeline, TraceEntry};
use jiff::Timestamp;
use journal::disk::RealDisk;
use serde_json::Value;

use super::{milliseconds, or_dash};
use crate::cli::{Output, Trace};
use crate::failure::Failure;
use crate::operator::Request;
use crate::output::{Out, Table, clean};
use crate::settings::Settings;
use crate::store::Store;

/// Carries the command out; a message that the journal does not know is exit code 1.
pub(crate) fn run(command: &Trace, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    let message_id = command.message_id;
    let answer = match Store::find(settings)? {
        Some(running) => running.ask(Request::Trace { message_id })?,
        // The journal's files say it all: nothing is opened, and nothing written.
        None if !settings.node.data_dir.join("journal").is_dir() => Value::Array(Vec::new()),
        None => {
            let traced = engine::trace(RealDisk::shared(), &settings.node.data_dir, message_id);
            serde_json::json!(traced.map_err(|error| Failure::refused(error.to_string()))?)
        }
    };
    let entries: Vec<TraceEntry> =
        serde_json::from_value(answer).map_err(|error| Failure::refused(format!("the gateway's answer: {error}")))?;
    let known = !entries.is_empty();
    let told = engine::timeline(entries);
    match command.output.output {
        Output::Json => out.json(&told.steps)?,
        Output::Table if known => {
            out.table(&steps(&told))?;
            out.line("")?;
            for life in &told.lives {
                for line in life_of(life, &told, Timestamp::now()) {
                    out.line(clean(&line))?;
                }
            }
        }
        Output::Table => {}
    }
    if known {
        Ok(())
    } else {
        Err(Failure::refused(format!(
            "the journal knows no message {}",
            command.message_id
        )))
    }
}

fn steps(told: &Timeline) -> Table {
    let mut table = Table::new(&[">RECORD", "TIME", ">AFTER", "WHICH", "WHAT", "DETAILS"]);
    for (place, step) in told.steps.iter().enumerate() {
        let event = &step.entry.event;
        let what = event.get("type").and_then(Value::as_str).unwrap_or("?");
        let after = match place {
            0 => String::new(),
            _ => format!("+{}", lasting(step.after_ms)),
        };
        table.row([
            step.entry.seq.to_string(),
            milliseconds(step.entry.at),
            after,
            or_dash(step.which.as_deref()),
            what.replace('_', " "),
            details(event),
        ]);
    }
    table
}

/// What became of a message, and what its time was spent on.
fn life_of(life: &Life, told: &Timeline, now: Timestamp) -> Vec<String> {
    let since = |from: Timestamp, to: Timestamp| {
        lasting(u64::try_from(to.as_millisecond() - from.as_millisecond()).unwrap_or(0))
    };
    let end = match life.ended {
        Some((end, at)) => format!("{} {} after it was accepted", word(end), since(life.accepted, at)),
        None => format!("on its way for {}", since(life.accepted, now)),
    };
    let kind = life
        .kind
        .as_deref()
        .map_or_else(String::new, |kind| format!(", {kind}"));
    let mut lines = vec![format!(
        "{} {}: {} to {}{kind}: {end}",
        life.which, life.id, life.sender, life.recipient
    )];
    for spent in &life.spent {
        let times = match spent.times {
            1 => String::new(),
            times => format!(", {times} times"),
        };
        lines.push(format!("  {} {}{times}", lasting(spent.ms), spent_on(spent.on)));
    }
    if let Some((cause, from)) = life.waits {
        let hint = hint(cause, life).map_or_else(String::new, |hint| format!(" -> {hint}"));
        lines.push(format!("  now, for {}: {}{hint}", since(from, now), waits_for(cause)));
    }
    let answers = life
        .about
        .map(|about| (about, told.lives.iter().find(|life| life.seq == about)));
    match answers {
        Some((_, Some(request))) => lines.push(format!(
            "  about {} {}, {} after that was accepted",
            request.which,
            request.id,
            since(request.accepted, life.accepted)
        )),
        Some((about, None)) => lines.push(format!("  about record {about}, which is not in the journal any more")),
        None => {}
    }
    lines
}

fn word(end: End) -> &'static str {
    match end {
        End::Acknowledged => "acknowledged",
        End::Refused => "acknowledged as not acceptable",
        End::Delivered => "delivered",
        End::Forwarded => "accepted by the upstream",
        End::Expired => "expired",
        End::Rejected => "rejected",
    }
}

fn spent_on(cause: Cause) -> &'static str {
    match cause {
        Cause::Receiver => "until its receiver asked",
        Cause::Acknowledgement => "until the receiver's Ack",
        Cause::LeaseExpired => "handed out in vain: no Ack came in time",
        Cause::Turn => "until its turn towards the upstream",
        Cause::Upstream => "until the upstream answered the call",
        Cause::LinkDown => "while the upstream could not be reached",
        Cause::UnknownOutcome => "after an attempt of unknown outcome",
        Cause::UpstreamFull => "while the upstream's queue was full",
        Cause::Person => "in quarantine",
        Cause::Answer => "until something came about it",
    }
}

fn waits_for(cause: Cause) -> &'static str {
    match cause {
        Cause::Receiver => "waits until its receiver asks",
        Cause::Acknowledgement | Cause::LeaseExpired => "handed out, no Ack yet",
        Cause::Turn => "waits for its turn towards the upstream",
        Cause::Upstream => "is being sent to the upstream",
        Cause::LinkDown => "the upstream cannot be reached",
        Cause::UnknownOutcome => "will be sent again: the outcome of the last attempt is not known",
        Cause::UpstreamFull => "the upstream's queue is full",
        Cause::Person => "in quarantine, until a person decides",
        Cause::Answer => "no final answer yet",
    }
}

/// Where to look next.
fn hint(cause: Cause, life: &Life) -> Option<String> {
    match cause {
        Cause::Turn | Cause::UpstreamFull => Some(format!("`rsmev queue show {}`", life.recipient)),
        Cause::LinkDown | Cause::UnknownOutcome => Some("`rsmev doctor`".to_owned()),
        Cause::Person => Some(format!("`rsmev quarantine retry {0}`, or reject {0}", life.id)),
        Cause::Receiver | Cause::Acknowledgement => Some(format!("ask the operator of {}", life.recipient)),
        _ => None,
    }
}

/// A time as people read it: `0.8 s`, `12 min 30 s`, `3 h 2 min`, `4 d 2 h`.
fn lasting(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}.{} s", ms % 1000 / 100),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// Fields that prove something but tell a reader nothing, or that lead into the spool.
const NOT_FOR_PEOPLE: &[&str] = &[
    "type",
    "message",
    "evidence",
    "parts",
    "token",
    "signature",
    "certificate",
    "note",
    "exchange_note",
    "door",
];
/// What a reader looks for first, in this order; the rest follows by name.
const FIRST: &[&str] = &[
    "id",
    "sender",
    "recipient",
    "kind",
    "outcome",
    "decision",
    "by",
    "until",
];
/// Longest text of one field.
const FIELD: usize = 80;

/// The event's fields in short: `kind=gpzu sender=MUN001`.
fn details(event: &Value) -> String {
    let fields = event.as_object().into_iter().flatten();
    let mut fields: Vec<_> = fields
        .filter(|(name, _)| !NOT_FOR_PEOPLE.contains(&name.as_str()))
        .collect();
    fields.sort_by_key(|(name, _)| FIRST.iter().position(|first| first == name).unwrap_or(FIRST.len()));
    let shown = fields
        .into_iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", short(value)?)));
    shown.collect::<Vec<_>>().join(" ")
}

fn short(value: &Value) -> Option<String> {
    let text = match value {
        Value::Null => return None,
        Value::String(text) => text.clone(),
        // A party or an outcome: {"participant":"MUN001"}.
        Value::Object(fields) if fields.len() == 1 => {
            let (name, inner) = fields.iter().next()?;
            match inner {
                Value::String(text) if name == "participant" => text.clone(),
                Value::String(text) => format!("{name}/{text}"),
                Value::Object(inner) => {
                    let values: Vec<_> = inner.values().filter_map(short).collect();
                    format!("{name}: {}", values.join(", "))
                }
                other => format!("{name}: {other}"),
            }
        }
        other => other.to_string(),
    };
    let mut chars = text.chars();
    let mut short: String = chars.by_ref().take(FIELD).collect();
    if chars.next().is_some() {
        short.push('…');
    }
    let bare = !short.contains(' ') || short.starts_with('"');
    Some(if bare {
        short
    } else {
        format!("\"{}\"", short.replace('"', "'"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_story_is_readable() {
        let entry = |seq: u64, at: &str, event: Value| TraceEntry {
            seq,
            at: at.parse().unwrap(),
            event,
        };
        let accepted = |sort: &str, from: &str, to: &str| {
            serde_json::json!({"type": "accepted", "message_type": sort, "id": format!("id-of-{sort}"), "kind": "gpzu",
                "sender": {"participant": from}, "recipient": {"participant": to}})
        };
        let mut response = accepted("response", "LAND", "CITY");
        response["about"] = 5.into();
        response["closes"] = true.into();
        let until = serde_json::json!({"type": "handed_out", "message": 5, "until": "2026-03-01T13:17:00Z"});
        let acknowledged = serde_json::json!({"type": "acknowledged", "message": 5, "accepted": true});
        let told = engine::timeline(vec![
            entry(5, "2026-03-01T10:00:00Z", accepted("request", "CITY", "LAND")),
            entry(8, "2026-03-01T13:02:00Z", until),
            entry(9, "2026-03-01T13:02:00.8Z", acknowledged),
            entry(12, "2026-03-01T13:03:30Z", response),
        ]);
        let table = steps(&told).to_string();
        let table: Vec<_> = table.lines().collect();
        assert_eq!(
            table,
            [
                "RECORD  TIME                            AFTER  WHICH     WHAT          DETAILS",
                "     5  2026-03-01T10:00:00.000Z               request   accepted      id=id-of-request sender=CITY \
                 recipient=LAND kind=gpzu message_type=request",
                "     8  2026-03-01T13:02:00.000Z   +3 h 2 min  request   handed out    until=2026-03-01T13:17:00Z",
                "     9  2026-03-01T13:02:00.800Z       +0.8 s  request   acknowledged  accepted=true",
                "    12  2026-03-01T13:03:30.000Z  +1 min 29 s  response  accepted      id=id-of-response sender=LAND \
                 recipient=CITY kind=gpzu about=5 closes=true message_type=response",
            ]
        );
        let now = "2026-03-01T13:05:30Z".parse().unwrap();
        let lives: Vec<_> = told.lives.iter().flat_map(|life| life_of(life, &told, now)).collect();
        assert_eq!(
            lives,
            [
                "request id-of-request: CITY to LAND, gpzu: acknowledged 3 h 2 min after it was accepted",
                "  3 h 2 min until its receiver asked",
                "  1 min 29 s until something came about it",
                "  0.8 s until the receiver's Ack",
                "response id-of-response: LAND to CITY, gpzu: on its way for 2 min 0 s",
                "  now, for 2 min 0 s: waits until its receiver asks -> ask the operator of CITY",
                "  about request id-of-request, 3 h 3 min after that was accepted",
            ]
        );
    }

    #[test]
    fn times_are_short() {
        let shown = [800, 59_999, 750_000, 10_920_000, 352_800_000].map(lasting);
        assert_eq!(shown, ["0.8 s", "59.9 s", "12 min 30 s", "3 h 2 min", "4 d 2 h"]);
    }

    #[test]
    fn details_are_for_people() {
        let event = serde_json::json!({
            "type": "accepted", "sender": {"participant": "MUN001"}, "recipient": {"upstream": "federal"},
            "kind": "gpzu", "node": null, "outcome": {"not_sent": {"cause": "no way"}}, "evidence": {"digest": "00"}, "bytes": 17, "cause": "a b"
        });
        assert_eq!(
            details(&event),
            "sender=MUN001 recipient=upstream/federal kind=gpzu outcome=\"not_sent: 'no way'\" bytes=17 cause=\"a b\""
        );
    }
}
