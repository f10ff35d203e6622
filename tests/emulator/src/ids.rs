//! Message identifiers: UUIDs of version 1, whose time the sender's clock gives (PROTOCOL §4).

use std::sync::OnceLock;

use jiff::Timestamp;
use uuid::{ContextV1, Uuid};

/// A fresh message identifier whose time is `at`; unique within the process whatever `at` is.
pub fn message_id(at: Timestamp) -> String {
    static NODE: OnceLock<([u8; 6], ContextV1)> = OnceLock::new();
    let (node, context) = NODE.get_or_init(|| {
        let random = Uuid::new_v4().into_bytes();
        // The multicast bit says that the node is not a network address (RFC 4122 §4.5).
        let node = [random[0] | 1, random[1], random[2], random[3], random[4], random[5]];
        (node, ContextV1::new(u16::from_be_bytes([random[10], random[11]])))
    });
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    let nanoseconds = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v1(uuid::Timestamp::from_unix(context, seconds, nanoseconds), node).to_string()
}

/// The moment written in a message identifier; `None` if the text is no lower-case UUID of version 1.
pub fn time_of(id: &str) -> Option<Timestamp> {
    if id.len() != 36 || id.bytes().any(|octet| octet.is_ascii_uppercase()) {
        return None;
    }
    let uuid = Uuid::try_parse(id).ok()?;
    if uuid.get_version_num() != 1 || uuid.get_variant() != uuid::Variant::RFC4122 {
        return None;
    }
    let (seconds, nanoseconds) = uuid.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanoseconds).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_tells_its_time_and_is_unique() {
        let at: Timestamp = "2026-03-01T10:00:00Z".parse().unwrap();
        let ids: std::collections::HashSet<String> = (0..10_000).map(|_| message_id(at)).collect();
        assert_eq!(ids.len(), 10_000);
        for id in &ids {
            let apart = time_of(id).unwrap().duration_since(at).abs();
            assert!(apart < jiff::SignedDuration::from_secs(1), "{id} is {apart:?} away");
        }
    }

    #[test]
    fn other_identifiers_have_no_time() {
        assert_eq!(time_of("c0938f39-9a55-41ea-8ec7-2dd0b486eb66"), None, "version 4");
        assert_eq!(time_of("C0938F39-9A55-11EA-8EC7-2DD0B486EB66"), None, "upper case");
        assert_eq!(time_of("c0938f399a5511ea8ec72dd0b486eb66"), None, "no hyphens");
        assert!(time_of("c0938f39-9a55-11ea-8ec7-2dd0b486eb66").is_some());
    }
}
