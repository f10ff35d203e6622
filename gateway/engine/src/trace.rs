//! The whole story of a message, read from the journal; works beside a running engine and on a stopped one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use journal::disk::Disk;
use journal::read::{Filter, records};
use journal::{ReadError, Record};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::names::MessageId;

/// Messages that one story follows at most: a message with its answers and notices.
const FOLLOWED: usize = 64;

/// One step in the life of a message.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TraceEntry {
    /// Journal sequence number.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The event as it stands in the journal.
    pub event: Value,
}

/// Everything the journal in `data_dir` says about a message, its redeliveries, its answers and notices, in order.
///
/// # Errors
/// The journal cannot be read.
#[expect(
    clippy::needless_pass_by_value,
    reason = "a handle, which callers have no other use for"
)]
pub fn trace(disk: Arc<dyn Disk>, data_dir: &Path, id: MessageId) -> Result<Vec<TraceEntry>, ReadError> {
    let dir = data_dir.join("journal");
    let mut story: BTreeMap<u64, TraceEntry> = BTreeMap::new();
    let mut follow: BTreeSet<u64> = BTreeSet::new();
    // Wherever the identifier stands: acceptance, answers to it, attempts upstream, refusals.
    let named = Filter {
        contains: Some(id.to_string()),
        ..Filter::default()
    };
    for record in records(Arc::clone(&disk), &dir, named)? {
        let Some(entry) = entry(&record?) else { continue };
        follow.extend(subject(&entry));
        follow.extend(entry.event.get("about").and_then(Value::as_u64));
        story.insert(entry.seq, entry);
    }
    let mut followed = BTreeSet::new();
    while let Some(seq) = follow.pop_first() {
        if followed.len() >= FOLLOWED || !followed.insert(seq) {
            continue;
        }
        for field in ["message", "about"] {
            let text = format!("\"{field}\":{seq}");
            let filter = Filter {
                from_seq: Some(seq),
                contains: Some(text),
                ..Filter::default()
            };
            for record in records(Arc::clone(&disk), &dir, filter)? {
                let Some(entry) = entry(&record?) else { continue };
                if entry.event.get(field).and_then(Value::as_u64) == Some(seq) {
                    follow.extend(subject(&entry).filter(|seq| !followed.contains(seq)));
                    story.insert(entry.seq, entry);
                }
            }
        }
        let own = Filter {
            from_seq: Some(seq),
            to_seq: Some(seq),
            ..Filter::default()
        };
        for record in records(Arc::clone(&disk), &dir, own)? {
            story.extend(entry(&record?).map(|entry| (entry.seq, entry)));
        }
    }
    Ok(story.into_values().collect())
}

fn entry(record: &Record) -> Option<TraceEntry> {
    let event = serde_json::from_str(record.event.get()).ok()?;
    Some(TraceEntry {
        seq: record.seq,
        at: record.at,
        event,
    })
}

/// The message that an entry is about: of an accept event itself.
fn subject(entry: &TraceEntry) -> Option<u64> {
    match entry.event.get("type").and_then(Value::as_str)? {
        "accepted" => Some(entry.seq),
        _ => entry.event.get("message").and_then(Value::as_u64),
    }
}
