//! How the index's keys are built: a letter, then the parts in an order that makes scans meaningful. Numbers are
//! big-endian; texts, which never hold control characters, end with a zero octet.

use uuid::Uuid;

use crate::message::Micros;
use crate::names::{MessageId, Mnemonic, Queue, UpstreamName};

/// `m seq` → [`Message`](crate::message::Message).
pub(crate) fn message(seq: u64) -> Key {
    Key::new(b'm').number(seq)
}

/// `i uuid-in-time-order` → (seq, sender): identifiers of local senders while they are fresh.
pub(crate) fn identifier(id: MessageId) -> Key {
    Key::new(b'i').octets(&in_time_order(id))
}

/// `u upstream uuid` → [`Pulled`](crate::message::Pulled): identifiers of what was pulled.
pub(crate) fn pulled(upstream: &UpstreamName, id: MessageId) -> Key {
    Key::new(b'u').text(upstream.as_str()).octets(id.uuid().as_bytes())
}

/// `v acknowledged-at upstream uuid` → nothing: when identifiers of upstreams may be forgotten.
pub(crate) fn pulled_due(at: Micros, upstream: &UpstreamName, id: MessageId) -> Key {
    Key::new(b'v')
        .moment(at)
        .text(upstream.as_str())
        .octets(id.uuid().as_bytes())
}

/// `n upstream uuid` → seq: under which identifier a message went north.
pub(crate) fn northbound(upstream: &UpstreamName, id: MessageId) -> Key {
    Key::new(b'n').text(upstream.as_str()).octets(id.uuid().as_bytes())
}

/// `a participant uuid` → seqs: what was handed out and may be acknowledged.
pub(crate) fn handed_out(participant: &str, id: MessageId) -> Key {
    Key::new(b'a').text(participant).octets(id.uuid().as_bytes())
}

/// `r queue lane seq` → acceptance time: what waits.
pub(crate) fn ready(queue: &Queue, lane: &str, seq: u64) -> Key {
    ready_lane(queue, lane).number(seq)
}

/// Everything that waits in a lane.
pub(crate) fn ready_lane(queue: &Queue, lane: &str) -> Key {
    ready_queue(queue).text(lane)
}

/// Everything that waits in a queue.
pub(crate) fn ready_queue(queue: &Queue) -> Key {
    Key::new(b'r').queue(queue)
}

/// `l until seq` → nothing: when leases end.
pub(crate) fn lease(until: Micros, seq: u64) -> Key {
    Key::new(b'l').moment(until).number(seq)
}

/// `c queue` → [`Counters`](crate::message::Counters) of the queue.
pub(crate) fn count_queue(queue: &Queue) -> Key {
    Key::new(b'c').queue(queue)
}

/// `g queue lane` → counters of the lane.
pub(crate) fn count_lane(queue: &Queue, lane: &str) -> Key {
    count_lanes(queue).text(lane)
}

/// Counters of a queue's lanes.
pub(crate) fn count_lanes(queue: &Queue) -> Key {
    Key::new(b'g').queue(queue)
}

/// `h queue sender` → counters of a sender towards an upstream.
pub(crate) fn count_sender(queue: &Queue, sender: &str) -> Key {
    count_senders(queue).text(sender)
}

/// Counters of all senders towards an upstream.
pub(crate) fn count_senders(queue: &Queue) -> Key {
    Key::new(b'h').queue(queue)
}

/// `t when seq` → nothing: explicit ends of life.
pub(crate) fn end_of_life(when: Micros, seq: u64) -> Key {
    Key::new(b't').moment(when).number(seq)
}

/// `q seq` → [`Held`](crate::message::Held): quarantine.
pub(crate) fn quarantine(seq: u64) -> Key {
    Key::new(b'q').number(seq)
}

/// `s segment` → [`Needed`](crate::message::Needed).
pub(crate) fn segment(segment: u64) -> Key {
    Key::new(b's').number(segment)
}

/// `p segment seq` → nothing: messages with a body that was copied into the segment.
pub(crate) fn copied(segment: u64, seq: u64) -> Key {
    copies(segment).number(seq)
}

/// Everything that was copied into a segment.
pub(crate) fn copies(segment: u64) -> Key {
    Key::new(b'p').number(segment)
}

/// `b finished-at seq` → nothing: bodies to be dropped.
pub(crate) fn bodies_due(finished: Micros, seq: u64) -> Key {
    Key::new(b'b').moment(finished).number(seq)
}

/// `d finished-at seq` → nothing: messages to be forgotten.
pub(crate) fn message_due(finished: Micros, seq: u64) -> Key {
    Key::new(b'd').moment(finished).number(seq)
}

/// `o finished-at seq` → nothing: delivered requests without a final answer.
pub(crate) fn unanswered(finished: Micros, seq: u64) -> Key {
    Key::new(b'o').moment(finished).number(seq)
}

/// Letter of the rows of destructions.
pub(crate) const DESTRUCTION: u8 = b'y';

/// `y seq` → [`Proposal`](crate::destruction::Proposal): what was proposed to be destroyed.
pub(crate) fn destruction(seq: u64) -> Key {
    Key::new(DESTRUCTION).number(seq)
}

/// Letter of the rows of halts.
pub(crate) const HALT: u8 = b'x';
/// What follows it for a participant.
pub(crate) const PARTICIPANT: &str = "participant";
/// The same for a queue.
pub(crate) const QUEUE: &str = "queue";

/// `x participant mnemonic` → since when, by whom and why the participant is suspended.
pub(crate) fn suspended(participant: &Mnemonic) -> Key {
    Key::new(HALT).text(PARTICIPANT).text(participant.as_str())
}

/// `x queue name` → the same of a queue that is paused.
pub(crate) fn paused(queue: &Queue) -> Key {
    Key::new(HALT).text(QUEUE).queue(queue)
}

/// Letter of the rows of incidents that last.
pub(crate) const EPISODE: u8 = b'e';

/// `e seq` → [`Episode`](crate::episodes::Episode): an incident by the record that opened it.
pub(crate) fn episode(seq: u64) -> Key {
    Key::new(EPISODE).number(seq)
}

/// `z registry` → digest of the registry's content.
pub(crate) fn registry() -> Key {
    Key::new(b'z').text("registry")
}

/// `z archived` → seq: the last record that the archive has.
pub(crate) fn archived() -> Key {
    Key::new(b'z').text("archived")
}

/// `z restored` → [`Restoration`](crate::restored::Restoration).
pub(crate) fn restored() -> Key {
    Key::new(b'z').text("restored")
}

/// `z backed_up` → [`LastBackup`](crate::backup::LastBackup): the newest backup. Absent before the first one, and in a store
/// whose backups were all made by a program that did not keep this.
pub(crate) fn backed_up() -> Key {
    Key::new(b'z').text("backed_up")
}

/// `z journal_cut` → [`JournalCut`](crate::message::JournalCut), until a person takes note of it.
pub(crate) fn journal_cut() -> Key {
    Key::new(b'z').text("journal_cut")
}

/// `z gap first` → [`Told`](crate::gaps::Told): a gap of the journal that a record tells of.
pub(crate) fn gap(first: u64) -> Key {
    Key::new(b'z').text("gap").number(first)
}

/// `z gaps_passed` → list of [`Passed`](crate::gaps::Passed): ranges of records that the state was built without.
pub(crate) fn gaps_passed() -> Key {
    Key::new(b'z').text("gaps_passed")
}

/// `z clock_accepted` → seq: the record with which a person said that the clock is right.
pub(crate) fn clock_accepted() -> Key {
    Key::new(b'z').text("clock_accepted")
}

/// `z identifiers_forgotten` → the last key of the rows `i` that was forgotten.
pub(crate) fn identifiers_forgotten() -> Key {
    Key::new(b'z').text("identifiers_forgotten")
}

/// `z data_key` → id of the newest data key.
pub(crate) fn data_key() -> Key {
    Key::new(b'z').text("data_key")
}

/// A key under construction, or the beginning that a family of keys shares.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    pub(crate) fn new(family: u8) -> Self {
        let mut key = Vec::with_capacity(48);
        key.push(family);
        Self(key)
    }

    pub(crate) fn from_slice(key: &[u8]) -> Self {
        Self(key.to_vec())
    }

    fn octets(mut self, octets: &[u8]) -> Self {
        self.0.extend_from_slice(octets);
        self
    }

    fn number(self, number: u64) -> Self {
        self.octets(&number.to_be_bytes())
    }

    pub(crate) fn moment(self, at: Micros) -> Self {
        self.octets(&at.key())
    }

    fn text(self, text: &str) -> Self {
        self.octets(text.as_bytes()).octets(&[0])
    }

    /// The contract's name of the queue, as its text form says it.
    fn queue(self, queue: &Queue) -> Self {
        let (owner, kind, node) = match queue {
            Queue::Requests(owner) => (owner.as_str(), "/requests", None),
            Queue::Responses(owner, node) => (owner.as_str(), "/responses", node.as_ref()),
            Queue::Status(owner) => (owner.as_str(), "/status", None),
            Queue::Upstream(name) => ("upstream/", name.as_str(), None),
        };
        let key = self.octets(owner.as_bytes()).octets(kind.as_bytes());
        match node {
            Some(node) => key.octets(b"/").text(node.as_str()),
            None => key.octets(&[0]),
        }
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        self.0
    }
}

/// The last eight octets as a number: the seq with which most keys end.
pub(crate) fn last_number(key: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*key.last_chunk()?))
}

/// Whether the row is there only because of a message with a later seq than this. Of rows without a seq in the key that is
/// not known, and the answer is no.
pub(crate) fn came_after(key: &[u8], seq: u64) -> bool {
    matches!(
        key.first(),
        Some(b'm' | b'r' | b'l' | b't' | b'q' | b'p' | b'b' | b'd' | b'o')
    ) && last_number(key).is_some_and(|own| own > seq)
}

/// The moment after the family's letter.
pub(crate) fn moment_of(key: &[u8]) -> Option<Micros> {
    Some(Micros::from_key(*key.get(1..)?.first_chunk()?))
}

/// The texts between the family's letter and the tail of `tail` octets.
pub(crate) fn texts(key: &[u8], tail: usize) -> Option<Vec<&str>> {
    let inner = key.get(1..key.len().checked_sub(tail)?)?.strip_suffix(&[0])?;
    inner
        .split(|octet| *octet == 0)
        .map(|text| std::str::from_utf8(text).ok())
        .collect()
}

/// A version 1 UUID with its most significant time first, so that keys come in the order of their time.
fn in_time_order(id: MessageId) -> [u8; 16] {
    let uuid = id.uuid();
    let octets = uuid.as_bytes();
    let mut ordered = *octets;
    ordered[0..2].copy_from_slice(&octets[6..8]);
    ordered[2..4].copy_from_slice(&octets[4..6]);
    ordered[4..8].copy_from_slice(&octets[0..4]);
    ordered
}

/// First key that can belong to an identifier of this moment.
pub(crate) fn identifier_at(at: jiff::Timestamp) -> Key {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
    let uuid = Uuid::new_v1(uuid::Timestamp::from_unix_time(seconds, nanos, 0, 14), &[0; 6]);
    match MessageId::new(uuid) {
        Some(id) => identifier(id),
        None => Key::new(b'i'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_sort_by_their_time() {
        let early: MessageId = "ffffffff-ffff-11e0-8000-000000000000".parse().unwrap();
        let late: MessageId = "00000000-0000-11e1-8000-000000000000".parse().unwrap();
        assert!(early.time() < late.time());
        assert!(identifier(early) < identifier(late));
        assert!(identifier_at(late.time().unwrap()) <= identifier(late));
        assert!(identifier_at(late.time().unwrap()) > identifier(early));
    }

    #[test]
    fn rows_of_later_messages_are_known_by_their_keys() {
        let queue: Queue = "MUN001/requests".parse().unwrap();
        let id: MessageId = "ffffffff-ffff-11e0-8000-000000000000".parse().unwrap();
        let at = Micros(5);
        for key in [
            message(7),
            ready(&queue, "gpzu", 7),
            lease(at, 7),
            end_of_life(at, 7),
            quarantine(7),
            copied(9, 7),
            bodies_due(at, 7),
            message_due(at, 7),
            unanswered(at, 7),
        ] {
            assert!(
                came_after(key.as_slice(), 6) && !came_after(key.as_slice(), 7),
                "{key:?}"
            );
        }
        for key in [
            identifier(id),
            handed_out("MUN001", id),
            segment(7),
            count_queue(&queue),
            registry(),
        ] {
            assert!(!came_after(key.as_slice(), 0), "{key:?}");
        }
    }

    #[test]
    fn keys_name_queues_as_everybody_does() {
        for name in [
            "MUN001/requests",
            "MUN001/responses",
            "MUN001/responses/N 1",
            "MUN001/status",
            "upstream/federal",
        ] {
            let key = ready_queue(&name.parse().unwrap());
            assert_eq!(texts(key.as_slice(), 0).unwrap(), [name]);
        }
    }

    #[test]
    fn a_lane_with_a_longer_name_is_not_within_the_shorter_one() {
        let queue: Queue = "MUN001/requests".parse().unwrap();
        let longer = ready(&queue, "gpzu2", 1);
        assert!(!longer.as_slice().starts_with(ready_lane(&queue, "gpzu").as_slice()));
        assert_eq!(texts(longer.as_slice(), 8).unwrap(), ["MUN001/requests", "gpzu2"]);
    }
}
