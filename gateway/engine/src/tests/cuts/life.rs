//! A life in steps on a disk that records.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use jiff::SignedDuration;
use proptest::prelude::*;
use testdisk::MemDisk;

use super::story::{Promise, Story};
use crate::Engine;
use crate::command::{
    Acknowledge, AnswerTo, ForwardOutcome, Incoming, Part, QuarantineDecision, Received, Refusal, RefusedCall,
    RegistryChange, Take, TakeFrom,
};
use crate::event::Person;
use crate::names::{MessageId, Party};
use crate::testing::{Running, answer, content, evidence, id_at, mnemonic, participant, request, scratch, upstream};
use crate::tests::copy;

const KINDS: [&str; 4] = ["plan", "both", "pass", "lost"];
/// Who takes, and what.
const QUEUES: [(&str, TakeFrom); 4] = [
    ("LAND", TakeFrom::Requests),
    ("CITY", TakeFrom::Responses(None)),
    ("TOWN", TakeFrom::Responses(None)),
    ("LAND", TakeFrom::Status),
];

#[derive(Debug, Clone)]
pub(super) enum Step {
    Accept {
        kind: usize,
        len: usize,
        dies: bool,
    },
    /// So many at once, which may share a batch.
    Together {
        count: usize,
        len: usize,
    },
    Receive {
        kind: usize,
        len: usize,
    },
    AcknowledgeUpstream {
        which: usize,
    },
    Take {
        queue: usize,
    },
    Acknowledge {
        which: usize,
    },
    Answer {
        which: usize,
        len: usize,
    },
    Start,
    Outcome {
        outcome: usize,
    },
    Decide {
        retry: bool,
    },
    Registry {
        certificates: u8,
    },
    Refused,
    Incident,
    Pass {
        minutes: i64,
    },
    /// Two people have journal segments destroyed whose term is over.
    Destroy,
    /// So many octets are left from now on, or no limit.
    Space(Option<usize>),
    Restart,
    /// The index reaches its disk, and is copied.
    Flush,
}

pub(super) fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..KINDS.len(), 0..3000_usize, prop::bool::weighted(0.2))
            .prop_map(|(kind, len, dies)| Step::Accept { kind, len, dies }),
        2 => (2..5_usize, 0..1500_usize).prop_map(|(count, len)| Step::Together { count, len }),
        2 => (0..2_usize, 0..2000_usize).prop_map(|(kind, len)| Step::Receive { kind, len }),
        1 => any::<usize>().prop_map(|which| Step::AcknowledgeUpstream { which }),
        6 => prop_oneof![2 => Just(0), 1 => 0..QUEUES.len()].prop_map(|queue| Step::Take { queue }),
        4 => any::<usize>().prop_map(|which| Step::Acknowledge { which }),
        2 => (any::<usize>(), 0..1500_usize).prop_map(|(which, len)| Step::Answer { which, len }),
        2 => Just(Step::Start),
        3 => (0..6_usize).prop_map(|outcome| Step::Outcome { outcome }),
        1 => any::<bool>().prop_map(|retry| Step::Decide { retry }),
        1 => (0..4_u8).prop_map(|certificates| Step::Registry { certificates }),
        1 => Just(Step::Refused),
        1 => Just(Step::Incident),
        3 => prop_oneof![2 => 1..30_i64, 1 => 600..3000_i64].prop_map(|minutes| Step::Pass { minutes }),
        1 => Just(Step::Destroy),
        1 => prop::option::of(0..30_000_usize).prop_map(Step::Space),
        1 => Just(Step::Restart),
        1 => Just(Step::Flush),
    ];
    prop::collection::vec(step, 1..60)
}

pub(super) struct Life {
    engine: Engine,
    disk: MemDisk,
    dir: tempfile::TempDir,
    numbers: u32,
    tokens: Vec<String>,
    handed_out: Vec<(&'static str, MessageId)>,
    pulled: Vec<MessageId>,
    /// The disk may be full.
    limited: bool,
    story: Story,
}

impl Life {
    /// The snapshots are so many records apart.
    pub(super) async fn begin(snapshot_every: u64) -> Self {
        let dir = scratch();
        let disk = MemDisk::below(dir.path().parent().unwrap());
        let mut running = Running::new(dir.path());
        running.disk = disk.shared();
        let settings = &mut running.settings;
        // A commit of what one tick ends must fit into a journal segment.
        settings.store.journal_segment_bytes = 16 << 10;
        settings.store.spool_segment_bytes = 8 << 10;
        settings.copy_forward_below_percent = 60;
        settings.snapshot_every = snapshot_every;
        settings.retention_bodies = SignedDuration::from_hours(24);
        settings.grace = SignedDuration::from_hours(36);
        settings.exchange_ttl = SignedDuration::from_hours(48);
        settings.retention_journal = SignedDuration::from_hours(48);
        settings.seal_after = Some(SignedDuration::from_hours(6));
        settings.message_ttl = SignedDuration::from_hours(300);
        let engine = running.region().await;
        let story = Story {
            running,
            recording: disk.recording(),
            records: Vec::new(),
            offered: BTreeMap::new(),
            promises: vec![(disk.position(), Promise::Registry)],
            indexes: Vec::new(),
            destroyed: Vec::new(),
            _dirs: Vec::new(),
        };
        Self {
            engine,
            disk,
            dir,
            numbers: 0,
            tokens: Vec::new(),
            handed_out: Vec::new(),
            pulled: Vec::new(),
            limited: false,
            story,
        }
    }

    /// Ends the life; what is left is its story.
    pub(super) async fn end(mut self) -> Story {
        self.disk.set_space(None);
        self.engine.shutdown().await;
        self.keep_records();
        self.story.recording = self.disk.recording();
        self.story._dirs.push(self.dir);
        self.story
    }

    /// Takes the journal into the story, before any of it is destroyed.
    fn keep_records(&mut self) {
        let journal = self.dir.path().join("journal");
        let records = journal::read::records(self.disk.shared(), &journal, Default::default()).unwrap();
        let kept = self.story.records.len() as u64;
        let new = records.map(|record| record.unwrap()).filter(|record| record.seq > kept);
        self.story.records.extend(new);
    }

    pub(super) async fn step(&mut self, step: &Step) {
        match step {
            Step::Accept { kind, len, dies } => {
                let mut incoming = self.offer(participant("CITY"), KINDS[*kind], *len);
                if *dies {
                    incoming.end_of_life = Some(self.engine.now() + SignedDuration::from_hours(5));
                }
                self.accept(vec![incoming]).await;
            }
            Step::Together { count, len } => {
                let offers = (0..*count).map(|n| self.offer(participant("CITY"), KINDS[n % 3], len / (n + 1)));
                let offers = offers.collect();
                self.accept(offers).await;
            }
            Step::Receive { kind, len } => {
                let incoming = self.offer(Party::Upstream(upstream()), KINDS[*kind], *len);
                let id = incoming.message_id;
                match self.done(self.engine.receive(&upstream(), incoming).await) {
                    Some(Received::Accepted(accepted)) => self.promise(Promise::Accepted(accepted.seq, id)),
                    Some(Received::Quarantined { seq, .. }) => self.promise(Promise::Accepted(seq, id)),
                    Some(Received::Duplicate) => panic!("it is new"),
                    None => return,
                }
                self.pulled.push(id);
            }
            Step::AcknowledgeUpstream { which } => {
                if let Some(id) = pick(&self.pulled, *which)
                    && self
                        .done(self.engine.upstream_acknowledged(&upstream(), id).await)
                        .is_some()
                {
                    self.promise(Promise::AcknowledgedUpstream(id));
                }
            }
            Step::Take { queue } => self.take(*queue).await,
            Step::Acknowledge { which } => {
                let Some((who, target)) = pick(&self.handed_out, *which) else {
                    return;
                };
                let ack = Acknowledge {
                    participant: mnemonic(who),
                    target,
                    accepted: true,
                    evidence: evidence(),
                };
                if let Ok(acknowledged) = self.engine.acknowledge(ack).await {
                    self.promise(Promise::Acknowledged(acknowledged.seq));
                }
            }
            Step::Answer { which, len } => {
                let Some(token) = pick(&self.tokens, *which) else {
                    return;
                };
                let mut incoming = self.offer(participant("LAND"), "plan", *len);
                incoming.content =
                    answer(participant("LAND"), incoming.message_id, AnswerTo::Token(token), "plan").content;
                self.accept(vec![incoming]).await;
            }
            Step::Start => {
                self.start().await;
            }
            Step::Outcome { outcome } => self.outcome(*outcome).await,
            Step::Decide { retry } => {
                let Some(held) = self.engine.quarantine().first().cloned() else {
                    return;
                };
                let decision = match retry {
                    true => QuarantineDecision::Retry,
                    false => QuarantineDecision::Reject {
                        reason: "no".to_owned(),
                    },
                };
                if self
                    .engine
                    .decide_quarantine(held.seq, decision, "operator")
                    .await
                    .is_ok()
                {
                    self.promise(Promise::Decided(held.seq));
                }
            }
            Step::Registry { certificates } => self.registry(*certificates).await,
            Step::Refused => self.engine.record_refusal(RefusedCall {
                door: "smev3",
                participant: mnemonic("CITY"),
                verified: true,
                address: IpAddr::V4(Ipv4Addr::LOCALHOST),
                operation: "SendRequest",
                fault: "AccessDenied",
                reason: "sender_without_grant",
                message_id: None,
            }),
            Step::Incident => {
                self.engine.record_incident("test", "a test".to_owned()).await;
                if !self.limited {
                    self.promise(Promise::Incident);
                }
            }
            Step::Pass { minutes } => {
                self.story.running.time.pass(SignedDuration::from_mins(*minutes));
                self.engine.tick().await;
                self.engine.tick().await;
            }
            Step::Destroy => self.destroy().await,
            Step::Space(left) => {
                self.disk.set_space(left.map(|left| self.disk.used() + left));
                self.limited = left.is_some();
                self.engine.tick().await;
            }
            Step::Restart => {
                self.disk.set_space(None);
                self.limited = false;
                self.engine.shutdown().await;
                self.engine = self.story.running.start().unwrap();
            }
            Step::Flush => {
                let copied = scratch();
                self.engine.index().flush().unwrap();
                let at = self.disk.position();
                copy(&self.dir.path().join("index"), copied.path());
                self.story.indexes.push((at, copied.path().to_owned()));
                self.story._dirs.push(copied);
            }
        }
    }

    /// What was answered, unless there was no space for it.
    fn done<T>(&self, answered: Result<T, Refusal>) -> Option<T> {
        match answered {
            Ok(done) => Some(done),
            Err(Refusal::Unavailable(_)) if self.limited => None,
            Err(other) => panic!("{other}"),
        }
    }

    async fn destroy(&mut self) {
        self.keep_records();
        let person = |name: &str, uid| Person {
            name: name.to_owned(),
            uid,
        };
        let before = self.engine.now() - SignedDuration::from_hours(48);
        let begun = self.disk.position();
        let reason = "term is over".to_owned();
        let proposed = self
            .engine
            .propose_destruction(before, true, person("ivanova", 1), reason)
            .await;
        let Ok(proposal) = proposed else { return };
        if let Ok(act) = self.engine.approve_destruction(proposal, person("petrov", 2)).await {
            self.story.destroyed.push((begun, act.destruction.through));
        }
    }

    fn promise(&mut self, promise: Promise) {
        self.story.promises.push((self.disk.position(), promise));
    }

    /// A message with so many octets of its own, an attachment and a note.
    fn offer(&mut self, sender: Party, kind: &str, len: usize) -> Incoming {
        self.numbers += 1;
        let id = id_at(self.engine.now(), self.numbers);
        let mut incoming = request(sender, id, kind);
        let own = id.to_string().into_bytes();
        incoming.parts = vec![
            Part {
                number: 0,
                octets: own.iter().copied().cycle().take(len).collect(),
            },
            Part {
                number: 1,
                octets: own.iter().rev().copied().cycle().take(len / 7).collect(),
            },
        ];
        incoming.exchange_note = Some(format!("note of {id}").into_bytes());
        let parts = incoming.parts.iter().map(|part| (part.number, part.octets.clone()));
        let offered = (parts.collect(), incoming.exchange_note.clone());
        self.story.offered.insert(id, offered);
        incoming
    }

    async fn accept(&mut self, offers: Vec<Incoming>) {
        let mut asked = Vec::new();
        for incoming in offers {
            let (engine, id) = (self.engine.clone(), incoming.message_id);
            asked.push((id, tokio::spawn(async move { engine.accept(incoming).await })));
        }
        for (id, asked) in asked {
            if let Ok(accepted) = asked.await.unwrap() {
                self.promise(Promise::Accepted(accepted.seq, id));
            }
        }
    }

    async fn take(&mut self, queue: usize) {
        let (who, from) = &QUEUES[queue];
        let take = Take {
            participant: mnemonic(who),
            from: from.clone(),
            selector: None,
        };
        if let Some(delivery) = self.done(self.engine.take(take).await).flatten() {
            self.promise(Promise::HandedOut(delivery.seq));
            self.handed_out.push((who, delivery.message_id));
            self.tokens.extend(delivery.reply_token);
        }
    }

    /// Begins an attempt upstream.
    async fn start(&mut self) -> Option<u64> {
        let lane = self.engine.lanes(&upstream()).into_iter().next()?;
        let head = self.engine.lane_head(&lane).unwrap()?;
        let seq = head.message.seq;
        let id = head.last_id.unwrap_or(head.message.message_id);
        self.done(self.engine.forward_started(seq, id).await)?;
        self.promise(Promise::Started(seq, id));
        Some(seq)
    }

    /// Makes an attempt upstream.
    async fn outcome(&mut self, outcome: usize) {
        let Some(seq) = self.start().await else { return };
        let cause = || "because".to_owned();
        let outcome = match outcome {
            0 => ForwardOutcome::Accepted,
            1 => ForwardOutcome::AlreadySent,
            2 => ForwardOutcome::NotSent { cause: cause() },
            3 => ForwardOutcome::Unknown { cause: cause() },
            4 => ForwardOutcome::Renew,
            _ => ForwardOutcome::Rejected {
                fault: "AccessDenied".to_owned(),
                code: None,
                text: cause(),
            },
        };
        if self.done(self.engine.forward_outcome(seq, outcome).await).is_some() {
            self.promise(Promise::Outcome(seq));
        }
    }

    /// A registry in which a participant has another certificate, whose file comes with it.
    async fn registry(&mut self, certificate: u8) {
        let file = vec![certificate; 700];
        let name = crate::blobs::digest(&file);
        let mut content = content();
        let city = content.participants.get_mut(&mnemonic("CITY")).unwrap();
        city.certificates = vec![serde_json::from_value(name.clone().into()).unwrap()];
        let change = RegistryChange {
            content,
            prune: true,
            blobs: BTreeMap::from([(name, file)]),
        };
        match self.engine.apply_registry(change, "operator").await {
            Ok(diff) if diff == Default::default() => {}
            Ok(_) => self.promise(Promise::Registry),
            Err(error) => assert!(self.limited, "{error}"),
        }
    }
}

fn pick<T: Clone>(from: &[T], which: usize) -> Option<T> {
    from.get(which.checked_rem(from.len())?).cloned()
}
