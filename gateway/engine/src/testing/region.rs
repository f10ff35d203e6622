//! A region of two consumers, a provider and an upstream, with its state in memory: decisions without a disk.

use jiff::{SignedDuration, Timestamp};
use journal::Location;

use crate::apply::apply;
use crate::command::{
    Accepted, Acknowledge, Acknowledged, Answer, AnswerTo, Content, Delivery, Evidence, ForwardOutcome, Incoming, Part,
    PayloadRoot, QuarantineDecision, Received, Refusal, RoutingFacts, SchemaVerdict, Take, TakeFrom,
};
use crate::decide::receive::Facts;
use crate::decide::sweep::Sweep;
use crate::decide::{self, Context, Decision, Planned, Random};
use crate::error::IndexError;
use crate::event::{BodyName, Event};
use crate::message::Message;
use crate::names::{MessageId, Mnemonic, Party, UpstreamName};
use crate::offer::{Offer, OfferedPull};
use crate::protection::{Protection, SpoolBody};
use crate::registry::{Registry, RegistryContent};
use crate::settings::Settings;
use crate::state::{MemoryRows, State};

const FEDERAL: &str = "federal";
pub(crate) const NODE: &str = "RSMEV73";

pub(crate) fn start_time() -> Timestamp {
    "2026-03-01T10:00:00Z".parse().unwrap()
}

pub(crate) fn mnemonic(text: &str) -> Mnemonic {
    text.parse().unwrap()
}

pub(crate) fn participant(text: &str) -> Party {
    Party::Participant(mnemonic(text))
}

pub(crate) fn upstream() -> UpstreamName {
    FEDERAL.parse().unwrap()
}

/// The `n`-th identifier of a moment.
pub(crate) fn id_at(at: Timestamp, n: u32) -> MessageId {
    let seconds = u64::try_from(at.as_second()).unwrap();
    let nanos = u32::try_from(at.subsec_nanosecond()).unwrap();
    let mut node = [3; 6];
    node[2..].copy_from_slice(&n.to_be_bytes());
    MessageId::new(uuid::Uuid::new_v1(
        uuid::Timestamp::from_unix_time(seconds, nanos, 0, 14),
        &node,
    ))
    .unwrap()
}

pub(crate) fn evidence() -> Evidence {
    Evidence {
        certificate: gost::CertificateId([7; 32]),
        signed_info: "<ds:SignedInfo/>".to_owned(),
        signature: "c2lnbmF0dXJl".to_owned(),
        attachments: Vec::new(),
    }
}

fn root(kind: &str, local: &str) -> PayloadRoot {
    PayloadRoot {
        namespace: format!("urn:{kind}"),
        local: local.to_owned(),
    }
}

fn incoming(sender: Party, id: MessageId, content: Content) -> Incoming {
    Incoming {
        door: "smev3",
        sender,
        remote_sender: None,
        message_id: id,
        reference_id: None,
        node: None,
        end_of_life: None,
        test: false,
        format: "smev3/1.2".to_owned(),
        parts: vec![Part {
            number: 0,
            octets: id.to_string().into_bytes(),
        }],
        exchange_note: Some(b"transaction".to_vec()),
        attachments: Ok(()),
        file_references: false,
        evidence: evidence(),
        content,
    }
}

/// A request of a kind.
pub(crate) fn request(sender: Party, id: MessageId, kind: &str) -> Incoming {
    let content = Content::Request {
        root: root(kind, "Request"),
        routing: RoutingFacts::default(),
        schema: SchemaVerdict::Valid,
    };
    incoming(sender, id, content)
}

/// An answer with a payload of a kind.
pub(crate) fn answer(sender: Party, id: MessageId, to: AnswerTo, kind: &str) -> Incoming {
    let answer = Answer::Payload(root(kind, "Response"));
    incoming(
        sender,
        id,
        Content::Response {
            to,
            answer,
            schema: SchemaVerdict::Valid,
        },
    )
}

/// What an upstream says about a message of ours.
pub(crate) fn asynchronous(id: MessageId, about: MessageId, rejection: bool) -> Incoming {
    let content = Content::Response {
        to: AnswerTo::Original(about),
        answer: Answer::Async { rejection },
        schema: SchemaVerdict::NotChecked,
    };
    incoming(Party::Upstream(upstream()), id, content)
}

/// `CITY` and `TOWN` may request everything; `LAND` provides `plan` and `both`; the upstream provides `pass` and requests
/// `plan`; `both` goes to the upstream if the dynamic value `north` is given.
pub(crate) fn content() -> RegistryContent {
    serde_json::from_str(include_str!("region.json")).unwrap()
}

/// Decisions and their effects, without a disk.
pub(crate) struct Region {
    pub(crate) rows: MemoryRows,
    pub(crate) settings: Settings,
    pub(crate) registry: Registry,
    pub(crate) now: Timestamp,
    pub(crate) closed: Option<&'static str>,
    pub(crate) events: Vec<(u64, Timestamp, Event)>,
    /// Bodies by place, as the spool would keep them.
    pub(crate) spool: Vec<Vec<u8>>,
    latest: Timestamp,
    random: Counting,
    sweep: Sweep,
}

#[derive(Default)]
struct Counting(u32);

impl Random for Counting {
    fn fill(&mut self, octets: &mut [u8]) {
        for octet in octets {
            // The upper bits of such a row of numbers do not come again within a test; the lower ones soon would.
            self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            *octet = self.0.to_be_bytes()[0];
        }
    }
}

impl Region {
    pub(crate) fn new() -> Self {
        Self {
            rows: MemoryRows::default(),
            settings: Settings::new("/nowhere".into(), mnemonic(NODE)),
            registry: Registry::new(content()),
            now: start_time(),
            closed: None,
            events: Vec::new(),
            spool: Vec::new(),
            latest: start_time(),
            random: Counting::default(),
            sweep: Sweep::default(),
        }
    }

    pub(crate) fn pass(&mut self, time: SignedDuration) {
        self.now += time;
    }

    /// Withdraws all permissions of a party.
    pub(crate) fn revoke(&mut self, party: &Party) {
        let mut content = self.registry.content().clone();
        content.grants.retain(|grant| &grant.party != party);
        self.registry = Registry::new(content);
    }

    fn run<T>(
        &mut self,
        decide: impl FnOnce(&mut Context<'_, '_>) -> Result<Decision<T>, IndexError>,
    ) -> Result<T, Refusal> {
        self.latest = self.latest.max(self.now);
        let next_seq = self.events.len() as u64 + 1;
        let mut state = State::new(&self.rows);
        let mut context = Context {
            state: &state,
            settings: &self.settings,
            registry: &self.registry,
            now: self.now,
            latest: self.latest,
            wall: self.now,
            next_seq,
            closed: self.closed,
            random: &mut self.random,
        };
        let decision = decide(&mut context).unwrap();
        for Planned { mut event, bodies, .. } in decision.events {
            let seq = self.events.len() as u64 + 1;
            if let Event::Accepted(accepted) = &mut event {
                let spool = &mut self.spool;
                let mut put = |body: SpoolBody| {
                    let octets = body.octets;
                    let place = Location {
                        segment: 1,
                        offset: u32::try_from(spool.len()).unwrap(),
                        len: u32::try_from(octets.len()).unwrap(),
                    };
                    spool.push(octets);
                    place
                };
                let admission = &mut accepted.admission;
                let open = Protection::default();
                let notice = |octets| (0, open.seal(accepted.sent.id, BodyName::Part(0), octets).unwrap());
                admission.parts = bodies
                    .parts
                    .into_iter()
                    .chain(bodies.notice.map(notice))
                    .map(|(number, body)| (number, put(body)))
                    .collect();
                admission.note = bodies.note.map(&mut put);
                admission.facts = bodies.facts.map(&mut put);
            }
            let line = serde_json::to_string(&event).unwrap();
            let read: Event = serde_json::from_str(&line).unwrap();
            apply(&mut state, seq, self.now, &read).unwrap();
            self.events.push((seq, self.now, event));
        }
        let overlay = state.into_overlay();
        self.rows.apply(overlay);
        decision.answer
    }

    pub(crate) fn accept(&mut self, incoming: Incoming) -> Result<Accepted, Refusal> {
        self.run(|context| decide::accept::accept(context, Offer::new(incoming, &Protection::default()).unwrap()))
    }

    pub(crate) fn receive(&mut self, incoming: Incoming) -> Result<Received, Refusal> {
        self.run(|context| {
            decide::receive::receive(
                context,
                OfferedPull::new(&upstream(), incoming, &Protection::default()).unwrap(),
            )
        })
    }

    pub(crate) fn take(&mut self, who: &str, from: TakeFrom) -> Option<Delivery> {
        self.take_kind(who, from, None).unwrap()
    }

    pub(crate) fn take_kind(
        &mut self,
        who: &str,
        from: TakeFrom,
        selector: Option<PayloadRoot>,
    ) -> Result<Option<Delivery>, Refusal> {
        let take = Take {
            participant: mnemonic(who),
            from,
            selector,
        };
        self.run(|context| decide::deliver::take(context, &take))
    }

    pub(crate) fn acknowledge(&mut self, who: &str, target: MessageId) -> Result<Acknowledged, Refusal> {
        self.acknowledge_as(who, target, true)
    }

    pub(crate) fn acknowledge_as(
        &mut self,
        who: &str,
        target: MessageId,
        accepted: bool,
    ) -> Result<Acknowledged, Refusal> {
        let ack = Acknowledge {
            participant: mnemonic(who),
            target,
            accepted,
            evidence: evidence(),
        };
        self.run(|context| decide::acknowledge::acknowledge(context, ack.into()))
    }

    pub(crate) fn start_forward(&mut self, seq: u64, id: MessageId) -> Result<(), Refusal> {
        self.run(|context| decide::forward::started(context, seq, id))
    }

    pub(crate) fn outcome(&mut self, seq: u64, outcome: ForwardOutcome) -> Result<(), Refusal> {
        self.run(|context| decide::forward::outcome(context, seq, outcome))
    }

    pub(crate) fn acknowledged_upstream(&mut self, id: MessageId) {
        let event = Event::UpstreamAcknowledged {
            upstream: upstream(),
            id,
        };
        self.run(|_| {
            Ok(Decision {
                events: vec![event.into()],
                answer: Ok(()),
            })
        })
        .unwrap();
    }

    pub(crate) fn decide(&mut self, seq: u64, decision: QuarantineDecision) -> Result<(), Refusal> {
        let facts = self.message(seq).and_then(|message| message.facts);
        let facts: Option<Facts> = facts.map(|at| serde_json::from_slice(&self.spool[at.offset as usize]).unwrap());
        self.run(|context| decide::quarantine::decide(context, seq, decision, "operator", facts.as_ref()))
    }

    /// The store was restored from a backup of this moment.
    pub(crate) fn restore(&mut self) {
        self.restore_from(start_time());
    }

    /// The store is restored from a backup that says that it was made then.
    pub(crate) fn restore_from(&mut self, made: Timestamp) {
        self.record(Event::Restored {
            manifest: "0".repeat(64),
            through: self.events.len() as u64,
            made,
            by: None,
        });
    }

    /// Nobody decided it: the journal just says so.
    pub(crate) fn record(&mut self, event: Event) {
        self.run(|_| {
            Ok(Decision {
                events: vec![event.into()],
                answer: Ok(()),
            })
        })
        .unwrap();
    }

    pub(crate) fn resume(&mut self, lost: Timestamp) -> Result<u64, Refusal> {
        self.run(|context| decide::restored::resume(context, lost, "operator".to_owned(), "it is down"))
    }

    /// Ticks until there is nothing left to do.
    pub(crate) fn tick(&mut self) {
        let mut more = true;
        while more {
            let mut sweep = std::mem::take(&mut self.sweep);
            sweep.at(self.now);
            self.run(|context| {
                let (events, again) = decide::tick::tick(context, &mut sweep)?;
                more = again;
                Ok(Decision { events, answer: Ok(()) })
            })
            .unwrap();
            self.sweep = sweep;
        }
    }

    pub(crate) fn message(&self, seq: u64) -> Option<Message> {
        State::new(&self.rows).message(seq).unwrap()
    }

    /// The kinds of the events from a sequence number on.
    pub(crate) fn events_from(&self, seq: u64) -> Vec<String> {
        let kind = |event: &Event| {
            serde_json::to_value(event).unwrap()["type"]
                .as_str()
                .unwrap()
                .to_owned()
        };
        self.events
            .iter()
            .filter(|(s, _, _)| *s >= seq)
            .map(|(_, _, event)| kind(event))
            .collect()
    }

    pub(crate) fn next_seq(&self) -> u64 {
        self.events.len() as u64 + 1
    }

    /// A body of a delivery.
    pub(crate) fn body(&self, delivery: &Delivery) -> &[u8] {
        &self.spool[delivery.parts[0].place.offset as usize]
    }

    /// The rows that the events alone give.
    pub(crate) fn replayed(&self) -> MemoryRows {
        let mut rows = MemoryRows::default();
        for (seq, at, event) in &self.events {
            let mut state = State::new(&rows);
            apply(&mut state, *seq, *at, event).unwrap();
            let overlay = state.into_overlay();
            rows.apply(overlay);
        }
        rows
    }
}
