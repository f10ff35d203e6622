//! What must hold for any octets whatever: the bodies of the fuzz targets, which also run as plain tests.
//!
//! Each panics when a promise is broken, and only then.

use std::fmt::Debug;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::apply::apply;
use crate::decide::answer::{parse_token, token_text};
use crate::destruction::Proposal;
use crate::episodes::Episode;
use crate::event::Event;
use crate::halts::Row as HaltRow;
use crate::message::{Counters, Held, JournalCut, Message, Needed, Pulled};
use crate::pages;
use crate::registry::{Registry, RegistryContent};
use crate::restored::Restoration;
use crate::state::{MemoryRows, State, decode};

/// Events that are applied, one from each line.
const EVENTS: usize = 200;

/// A ReplyTo means one token or none, and a token has one text.
///
/// # Panics
/// When it is otherwise.
pub fn reply_to(octets: &[u8]) {
    let Ok(text) = std::str::from_utf8(octets) else { return };
    if let Some((seq, random)) = parse_token(text) {
        assert_eq!(token_text(seq, &random), text.trim());
    }
}

/// The registry as the journal names it is what it is when it is written again, and can be looked things up in.
///
/// # Panics
/// When it is not.
pub fn stored_registry(octets: &[u8]) {
    let Ok(content) = serde_json::from_slice::<RegistryContent>(octets) else {
        return;
    };
    let written = serde_json::to_vec(&content).expect("plain data");
    assert_eq!(
        serde_json::from_slice::<RegistryContent>(&written).ok().as_ref(),
        Some(&content)
    );
    let registry = Registry::new(content);
    let content = registry.content();
    for kind in content.kinds.values() {
        let found = registry.kind_by_root(&kind.namespace, &kind.request);
        assert!(found.is_some_and(|(other, _)| other.request == kind.request || other.response == kind.request));
        let routes = registry.routes(&kind.name).count();
        assert_eq!(
            routes,
            content.routes.iter().filter(|route| route.kind == kind.name).count()
        );
        assert!(registry.payload_paths(&kind.name).count() <= routes);
    }
    for participant in content.participants.values() {
        assert_eq!(registry.participant(&participant.mnemonic), Some(participant));
    }
}

/// Events of a journal that somebody else wrote, one a line, change the rows or are refused; none is more than the engine can
/// bear. What they make is the same each time.
///
/// # Panics
/// When it is not.
pub fn events(octets: &[u8]) {
    let events: Vec<Event> = octets
        .split(|octet| *octet == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .take(EVENTS)
        .collect();
    for event in &events {
        let written = serde_json::to_vec(event).expect("plain data");
        let again: Event = serde_json::from_slice(&written).expect("what we wrote is an event");
        assert_eq!(&again, event);
    }
    let made = rows(&events);
    assert_eq!(made, rows(&events));
}

fn rows(events: &[Event]) -> crate::state::Overlay {
    let none = MemoryRows::default();
    let mut state = State::new(&none);
    for (seq, event) in (1_u32..).zip(events) {
        let at = Timestamp::from_second(1_700_000_000 + i64::from(seq)).expect("it is a time of this century");
        // A row that is not what it must be is an error, which ends a start.
        let _ = apply(&mut state, u64::from(seq), at, event);
    }
    state.into_overlay()
}

/// A row of a snapshot, the key's length in its first two octets: what an index can hold is held, and what can be read is the
/// same when it is written again.
///
/// # Panics
/// When it is not.
pub fn snapshot_row(octets: &[u8]) {
    let Some(([low, high], rest)) = octets.split_first_chunk() else {
        return;
    };
    let Some((key, value)) = rest.split_at_checked(usize::from(u16::from_le_bytes([*low, *high]))) else {
        return;
    };
    pages::fuzz_body(key, value);
    reads::<Message>(key, value);
    reads::<Counters>(key, value);
    reads::<Pulled>(key, value);
    reads::<Held>(key, value);
    reads::<Needed>(key, value);
    reads::<JournalCut>(key, value);
    reads::<Proposal>(key, value);
    reads::<Restoration>(key, value);
    reads::<HaltRow>(key, value);
    reads::<Episode>(key, value);
    reads::<Vec<u64>>(key, value);
    reads::<String>(key, value);
    if let Ok(message) = decode::<Message>(key, value) {
        let _ = (message.queue(), message.lane(), message.accepted_at.timestamp());
    }
}

fn reads<T: Serialize + DeserializeOwned + PartialEq + Debug>(key: &[u8], value: &[u8]) {
    let Ok(row) = decode::<T>(key, value) else { return };
    let written = postcard::to_stdvec(&row).expect("rows are plain data, which postcard can write");
    assert_eq!(decode::<T>(key, &written).ok(), Some(row));
}

#[cfg(test)]
mod tests {
    use super::*;

    // Found by the target `stored_registry`: a kind under another's name was there, and was not found by its root element.
    #[test]
    fn a_kind_under_another_name_is_refused() {
        let seed = include_str!("../../../tests/fuzz/seeds/stored_registry/kind-under-another-name.json");
        let refused = serde_json::from_str::<RegistryContent>(seed).unwrap_err();
        assert!(refused.to_string().contains("another kind stands under a"), "{refused}");
        assert!(serde_json::from_str::<RegistryContent>(&seed.replace("\"b\"", "\"a\"")).is_ok());
    }
}
