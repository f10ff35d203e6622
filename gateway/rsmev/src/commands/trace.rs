//! `rsmev trace`: the whole story of a message.

use jiff::Timestamp;
use journal::disk::RealDisk;
use serde::Deserialize;
use serde_json::Value;

use super::{milliseconds, present};
use crate::cli::Trace;
use crate::failure::Failure;
use crate::operator::Request;
use crate::output::{Out, Table};
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
    let known = answer.as_array().is_some_and(|entries| !entries.is_empty());
    if known || command.output.output == crate::cli::Output::Json {
        present(answer, command.output.output, out, show)?;
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

#[derive(Deserialize)]
struct Entry {
    seq: u64,
    at: Timestamp,
    event: Value,
}

fn show(entries: Vec<Entry>, out: &mut Out) -> Result<(), Failure> {
    let mut table = Table::new(&[">RECORD", "TIME", "WHICH", "WHAT", "DETAILS"]);
    let mut seen = Vec::new();
    for entry in entries {
        let what = entry
            .event
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or("?")
            .replace('_', " ");
        let which = which(&entry, &mut seen);
        table.row([
            entry.seq.to_string(),
            milliseconds(entry.at),
            which,
            what,
            details(&entry.event),
        ]);
    }
    Ok(out.table(&table)?)
}

/// Which message of the story an entry is about: the message itself, its answers, notices of status; several of a sort
/// are numbered in the order of their acceptance. `seen` remembers them by the sequence number of that.
fn which(entry: &Entry, seen: &mut Vec<(u64, String)>) -> String {
    let field = |name| entry.event.get(name).and_then(Value::as_u64);
    if entry.event.get("type").and_then(Value::as_str) != Some("accepted") {
        let about = field("message").or_else(|| field("about"));
        let known = seen.iter().find(|(seq, _)| Some(*seq) == about);
        return known.map_or_else(|| "-".to_owned(), |(_, name)| name.clone());
    }
    let sort = entry
        .event
        .get("message_type")
        .and_then(Value::as_str)
        .unwrap_or("message")
        .to_owned();
    let earlier = seen.iter().filter(|(_, name)| name.starts_with(&sort)).count();
    let name = if earlier == 0 {
        sort
    } else {
        format!("{sort} {}", earlier + 1)
    };
    seen.push((entry.seq, name.clone()));
    name
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
    fn every_entry_says_which_message_it_is_about() {
        let mut seen = Vec::new();
        let mut shown = |seq, event: Value| {
            let at = Timestamp::UNIX_EPOCH;
            which(&Entry { seq, at, event }, &mut seen)
        };
        let accepted = |sort: &str| serde_json::json!({"type": "accepted", "message_type": sort});
        assert_eq!(shown(1, accepted("request")), "request");
        assert_eq!(shown(2, accepted("response")), "response");
        assert_eq!(shown(3, accepted("response")), "response 2");
        assert_eq!(
            shown(4, serde_json::json!({"type": "handed_out", "message": 2})),
            "response"
        );
        assert_eq!(shown(5, serde_json::json!({"type": "acknowledged", "message": 9})), "-");
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
