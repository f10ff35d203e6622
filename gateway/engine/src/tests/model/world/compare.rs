//! What both have must be the same.

use std::collections::BTreeSet;

use super::World;
use crate::command::{Accepted, Delivery, ForwardOutcome, Lane, MessageType, Notice};
use crate::event::{Decided, Event};
use crate::message::State as Life;
use crate::names::{KindName, Party};
use crate::rebuild_index;
use crate::state::decode;
use crate::testing::{mnemonic, participant, upstream};
use crate::tests::model::reference::{Class, Message, Place, Reference, Who};
use crate::tests::rows;

fn party(who: Who) -> Party {
    match who {
        Who::System(name) => participant(name),
        Who::Upstream => Party::Upstream(upstream()),
        Who::Gateway => Party::Gateway,
    }
}

fn class(class: Class) -> MessageType {
    match class {
        Class::Request => MessageType::Request,
        Class::Answer => MessageType::Response,
        Class::Status => MessageType::Status,
    }
}

pub(super) fn accepted(message: &Message, accepted: &Accepted) {
    assert_eq!(Some(&accepted.recipient), message.to.map(party).as_ref());
    assert_eq!(accepted.kind.as_ref().map(KindName::as_str), message.kind);
    assert_eq!(accepted.message_type, class(message.class));
    assert_eq!(accepted.at, message.accepted_at);
}

pub(super) fn delivered(reference: &Reference, number: usize, delivery: &Delivery) {
    let message = &reference.messages[number];
    assert_eq!(Some(delivery.seq), message.seq, "the oldest that waits");
    assert_eq!(Some(delivery.message_id), message.id);
    assert_eq!(
        (&delivery.sender, &delivery.recipient),
        (&party(message.sender), &party(message.to.unwrap()))
    );
    assert_eq!(delivery.kind.as_ref().map(KindName::as_str), message.kind);
    assert_eq!(delivery.message_type, class(message.class));
    assert_eq!(delivery.original_message_id, message.original);
    assert_eq!(
        (delivery.accepted_at, delivery.delivered_at),
        (message.accepted_at, reference.now)
    );
    assert_eq!(delivery.end_of_life, message.end_of_life);
    assert_eq!(delivery.reply_token.is_some(), message.class == Class::Request);
    assert_eq!(
        delivery.exchange_note.is_some(),
        reference.shows_note(number),
        "{message:?}"
    );
}

pub(super) fn body(message: &Message, delivery: &Delivery, body: &[u8]) {
    if message.sender == Who::Gateway {
        let notice: Notice = serde_json::from_slice(body).unwrap();
        assert_eq!(
            (Some(notice.message_id), Some(notice.original_message_id)),
            (message.id, message.original)
        );
    } else {
        assert_eq!(body, delivery.message_id.to_string().into_bytes());
    }
}

impl World {
    /// Looks at everything that can be seen from outside.
    pub(super) async fn compare(&mut self) {
        self.compare_queues();
        let held = self.engine.quarantine();
        let held: Vec<_> = held
            .iter()
            .map(|held| (Some(held.seq), Some(held.message_id), held.recipient.clone()))
            .collect();
        let quarantined = self
            .reference
            .messages
            .iter()
            .filter(|message| message.place == Place::Quarantined);
        let quarantined: Vec<_> = quarantined
            .map(|message| (message.seq, message.id, message.to.map(party)))
            .collect();
        assert_eq!(held, quarantined);
        self.compare_lanes();
    }

    fn compare_queues(&mut self) {
        let queues = self.reference.queues();
        let shown = self.engine.queues();
        let names: Vec<_> = shown.iter().map(|status| status.queue.to_string()).collect();
        let paused: BTreeSet<_> = self.reference.paused.iter().map(ToString::to_string).collect();
        let expected: BTreeSet<_> = queues.keys().chain(&paused).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>(), expected);
        for status in shown {
            let name = status.queue.to_string();
            assert_eq!(status.paused.is_some(), paused.contains(&name));
            let owner = status.queue.owner().map_or("", |owner| owner.as_str());
            assert_eq!(status.suspended.is_some(), self.reference.suspended.contains(owner));
            let expected = queues.get(&name).map_or(&[][..], Vec::as_slice);
            let listed = self.engine.queue(&status.queue, 1000);
            assert_eq!(
                (status.messages as usize, listed.len()),
                (expected.len(), expected.len()),
                "{}",
                status.queue
            );
            let mut leased = 0;
            let mut oldest = None;
            for (number, shown) in expected.iter().zip(&listed) {
                let message = &mut self.reference.messages[*number];
                if message.seq.is_none() {
                    (message.seq, message.id) = (Some(shown.seq), Some(shown.message_id));
                }
                assert_eq!(
                    (message.seq, message.id),
                    (Some(shown.seq), Some(shown.message_id)),
                    "{}",
                    status.queue
                );
                assert_eq!(shown.sender, party(message.sender));
                let until = match message.place {
                    Place::HandedOut { until } => Some(until),
                    _ => None,
                };
                assert_eq!(shown.leased_until, until);
                leased += u64::from(until.is_some());
                if until.is_none() {
                    oldest = oldest.into_iter().chain([message.accepted_at]).min();
                }
            }
            assert_eq!(status.leased, leased);
            assert!(status.oldest >= oldest && status.oldest.is_some() == oldest.is_some());
        }
        for who in ["CITY", "TOWN", "LAND"] {
            for (queue, waiting) in self.engine.statistics(&mnemonic(who), None) {
                let there = queues.get(&queue).map_or(&[][..], Vec::as_slice);
                let waits = there
                    .iter()
                    .filter(|number| self.reference.messages[**number].place == Place::Waits);
                assert_eq!(waiting, waits.count() as u64, "{queue}");
            }
        }
    }

    fn compare_lanes(&self) {
        let mut heads = self.reference.heads();
        if self.reference.paused.contains("upstream/federal") {
            heads.clear();
        }
        let lanes = self.engine.lanes(&upstream());
        let name = |lane: &Lane| format!("{}/{}", lane.sender, lane.kind);
        assert_eq!(
            lanes.iter().map(name).collect::<Vec<_>>(),
            heads.iter().map(|(lane, _)| lane.clone()).collect::<Vec<_>>()
        );
        for (lane, (_, number)) in lanes.iter().zip(&heads) {
            let head = self.engine.lane_head(lane).unwrap().unwrap();
            let message = &self.reference.messages[*number];
            let attempts = &message.attempts;
            assert_eq!(Some(head.message.seq), message.seq);
            assert_eq!((head.attempts, head.last_id), (attempts.started, attempts.last_id));
            assert_eq!(head.certainly_not_sent, attempts.surely_not_sent());
            assert_eq!(head.unknown_outcomes, attempts.unknown);
            let about = message.about.map(|about| &self.reference.messages[about]);
            let to_upstream = about.is_some_and(|about| about.sender == Who::Upstream && !about.forgotten);
            assert_eq!(head.answer_to_upstream, to_upstream);
        }
    }

    /// The end: both have come to the same, and the index to what the journal says.
    pub(in crate::tests::model) async fn end(self) {
        self.engine.shutdown().await;
        let before = rows(self.dir.path());
        for message in &self.reference.messages {
            let row = before.get(&crate::keys::message(message.seq.unwrap()).into_vec());
            assert_eq!(row.is_none(), message.forgotten, "{message:?}");
            let Some(row) = row else { continue };
            let kept: crate::message::Message = decode(b"m", row).unwrap();
            let same = match (kept.state, message.place) {
                (Life::Waiting, Place::Waits) | (Life::Quarantined, Place::Quarantined) => true,
                (Life::Leased { until }, Place::HandedOut { until: expected }) => until.timestamp() == expected,
                (Life::Finished { at, bodies }, Place::Ended) => {
                    Some(at.timestamp()) == message.ended && bodies == message.bodies
                }
                _ => false,
            };
            assert!(same, "{:?} instead of {message:?}", kept.state);
            let closed = kept.exchange.map(|exchange| exchange.closed.is_some());
            assert_eq!(closed, message.has_exchange.then_some(message.closed));
        }
        self.one_end_each();
        for snapshots in [true, false] {
            if !snapshots {
                for path in self.disk.paths(".snapshot") {
                    self.disk.delete(&path);
                }
            }
            rebuild_index(&self.running.settings, self.disk.shared()).unwrap();
            assert!(before == rows(self.dir.path()), "snapshots: {snapshots}");
        }
    }

    /// No message ends twice, and none is touched after its end.
    fn one_end_each(&self) {
        let mut accepted = BTreeSet::new();
        let mut ended = BTreeSet::new();
        let journal = self.dir.path().join("journal");
        let records = journal::read::records(self.disk.shared(), &journal, Default::default()).unwrap();
        for record in records {
            let record = record.unwrap();
            let event: Event = serde_json::from_str(record.event.get()).unwrap();
            let (message, end) = match event {
                Event::Accepted(_) => {
                    accepted.insert(record.seq);
                    continue;
                }
                Event::HandedOut { message, until } => (message, until.is_none()),
                Event::LeaseExpired { message } | Event::ForwardStarted { message, .. } => (message, false),
                Event::Acknowledged { message, .. }
                | Event::Expired { message }
                | Event::SchemaRejected { message } => (message, true),
                Event::ForwardOutcome { message, outcome } => {
                    use ForwardOutcome::{Accepted, AlreadySent, Rejected};
                    (message, matches!(outcome, Accepted | AlreadySent | Rejected { .. }))
                }
                Event::Decided { message, decision, .. } => (message, matches!(decision, Decided::Reject { .. })),
                _ => continue,
            };
            assert!(accepted.contains(&message), "record {} is about nothing", record.seq);
            assert!(
                !ended.contains(&message),
                "record {} touches what has ended",
                record.seq
            );
            if end {
                ended.insert(message);
            }
        }
    }
}
