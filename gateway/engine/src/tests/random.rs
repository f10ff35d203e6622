//! Random lives with jumps in time, restarts and crashes, against a small model: order per queue and redelivery in place
//! (I5), acceptance at most once (I3), one final state (I2), and the index as a function of the journal (I6).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use journal::disk::RealDisk;
use proptest::prelude::*;

use crate::command::{Acknowledge, AnswerTo, ForwardOutcome, QuarantineDecision, Received, Refusal, Take, TakeFrom};
use crate::event::{Decided, Event};
use crate::names::{MessageId, Party};
use crate::testing::{Running, answer, evidence, id_at, mnemonic, participant, request, scratch, upstream};
use crate::{Engine, rebuild_index};

use super::{copy, rows};

#[derive(Debug, Clone)]
enum Step {
    Accept { kind: usize },
    Again { which: usize },
    Receive { kind: usize },
    ReceiveAgain { which: usize },
    Take,
    Acknowledge { which: usize },
    Answer { which: usize },
    Forward { outcome: usize },
    Decide { retry: bool },
    Pass { minutes: i64 },
    Months,
    Restart,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..3usize).prop_map(|kind| Step::Accept { kind }),
        1 => any::<usize>().prop_map(|which| Step::Again { which }),
        2 => (0..2usize).prop_map(|kind| Step::Receive { kind }),
        1 => any::<usize>().prop_map(|which| Step::ReceiveAgain { which }),
        5 => Just(Step::Take),
        3 => any::<usize>().prop_map(|which| Step::Acknowledge { which }),
        2 => any::<usize>().prop_map(|which| Step::Answer { which }),
        3 => (0..6usize).prop_map(|outcome| Step::Forward { outcome }),
        1 => any::<bool>().prop_map(|retry| Step::Decide { retry }),
        3 => (1..40i64).prop_map(|minutes| Step::Pass { minutes }),
        1 => Just(Step::Months),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
    ];
    proptest::collection::vec(step, 1..70)
}

/// What must be true of `LAND`'s requests.
#[derive(Default)]
struct Model {
    waiting: BTreeMap<u64, MessageId>,
    leased: BTreeMap<u64, (Timestamp, MessageId)>,
    sent: Vec<MessageId>,
    pulled: Vec<(MessageId, &'static str)>,
    tokens: Vec<String>,
    answered: BTreeSet<String>,
}

struct World {
    running: Running,
    engine: Engine,
    dirs: Vec<tempfile::TempDir>,
    dir: PathBuf,
    model: Model,
    numbers: u32,
}

const KINDS: [&str; 3] = ["plan", "both", "pass"];

impl World {
    async fn new() -> Self {
        let dir = scratch();
        let mut running = Running::new(dir.path());
        running.settings.snapshot_every = 25;
        let engine = running.region().await;
        let path = dir.path().to_owned();
        Self {
            running,
            engine,
            dirs: vec![dir],
            dir: path,
            model: Model::default(),
            numbers: 0,
        }
    }

    fn fresh(&mut self) -> MessageId {
        self.numbers += 1;
        id_at(self.engine.now(), self.numbers)
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Accept { kind } => {
                let id = self.fresh();
                let accepted = self
                    .engine
                    .accept(request(participant("CITY"), id, KINDS[kind]))
                    .await
                    .unwrap();
                self.model.sent.push(id);
                if accepted.recipient == participant("LAND") {
                    self.model.waiting.insert(accepted.seq, id);
                }
            }
            Step::Again { which } => {
                let Some(id) = pick(&self.model.sent, which).copied() else {
                    return;
                };
                let refusal = self
                    .engine
                    .accept(request(participant("CITY"), id, "plan"))
                    .await
                    .unwrap_err();
                let right = matches!(refusal, Refusal::AlreadySent(_) | Refusal::StaleMessageId { .. });
                assert!(right, "accepted at most once, but {refusal:?}");
            }
            Step::Receive { kind } => {
                let id = self.fresh();
                self.receive(id, KINDS[kind]).await;
                self.model.pulled.push((id, KINDS[kind]));
            }
            Step::ReceiveAgain { which } => {
                let Some((id, kind)) = pick(&self.model.pulled, which).copied() else {
                    return;
                };
                let again = self.engine.receive(&upstream(), pulled(id, kind)).await.unwrap();
                assert_eq!(again, Received::Duplicate);
            }
            Step::Take => self.take().await,
            Step::Acknowledge { which } => {
                let handed_out: Vec<MessageId> = self.model.leased.values().map(|(_, id)| *id).collect();
                let Some(target) = pick(&handed_out, which).copied() else {
                    return;
                };
                let ack = Acknowledge {
                    participant: mnemonic("LAND"),
                    target,
                    accepted: true,
                    evidence: evidence(),
                };
                let seq = self.engine.acknowledge(ack).await.unwrap().seq;
                assert!(self.model.leased.remove(&seq).is_some());
            }
            Step::Answer { which } => {
                let Some(token) = pick(&self.model.tokens, which).cloned() else {
                    return;
                };
                let id = self.fresh();
                let incoming = answer(participant("LAND"), id, AnswerTo::Token(token.clone()), "plan");
                match self.engine.accept(incoming).await {
                    Ok(_) => assert!(self.model.answered.insert(token), "a second final answer"),
                    Err(refusal) => {
                        let expected = ["unknown_token", "already_answered", "not_an_answer"];
                        assert!(expected.contains(&refusal.reason()), "{refusal}");
                    }
                }
            }
            Step::Forward { outcome } => self.forward(outcome).await,
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
                // A retry that finds no place is refused; both are fine.
                let _ = self.engine.decide_quarantine(held.seq, decision, "operator").await;
            }
            Step::Pass { minutes } => {
                self.running.time.pass(SignedDuration::from_mins(minutes));
                self.engine.tick().await;
                let now = self.engine.now();
                let (over, leased): (BTreeMap<_, _>, BTreeMap<_, _>) = std::mem::take(&mut self.model.leased)
                    .into_iter()
                    .partition(|(_, (until, _))| *until <= now);
                self.model.leased = leased;
                self.model
                    .waiting
                    .extend(over.into_iter().map(|(seq, (_, id))| (seq, id)));
            }
            Step::Months => {
                self.running.time.pass(SignedDuration::from_hours(24 * 31));
                // The first ends leases, the second lives.
                self.engine.tick().await;
                self.engine.tick().await;
                self.model.waiting.clear();
                self.model.leased.clear();
            }
            Step::Restart => {
                self.engine.shutdown().await;
                self.engine = self.running.start().unwrap();
            }
            Step::Crash => {
                let dir = scratch();
                copy(&self.dir, dir.path());
                self.engine.shutdown().await;
                self.running.settings.data_dir = dir.path().to_owned();
                self.dir = dir.path().to_owned();
                self.dirs.push(dir);
                self.engine = self.running.start().unwrap();
            }
        }
    }

    async fn receive(&mut self, id: MessageId, kind: &str) {
        match self.engine.receive(&upstream(), pulled(id, kind)).await.unwrap() {
            Received::Accepted(accepted) => {
                self.model.waiting.insert(accepted.seq, id);
            }
            Received::Quarantined { .. } => assert_eq!(kind, "both", "the upstream may not request it"),
            Received::Duplicate => panic!("it is new"),
        }
    }

    async fn take(&mut self) {
        let take = Take {
            participant: mnemonic("LAND"),
            from: TakeFrom::Requests,
            selector: None,
        };
        let taken = self.engine.take(take).await.unwrap();
        let expected = self.model.waiting.pop_first();
        assert_eq!(
            taken.as_ref().map(|d| (d.seq, d.message_id)),
            expected,
            "the oldest that waits"
        );
        if let Some(delivery) = taken {
            let body = self.engine.body(delivery.parts[0].1).await.unwrap();
            assert_eq!(body, delivery.message_id.to_string().into_bytes());
            let until = delivery.delivered_at + self.running.settings.redelivery;
            self.model.leased.insert(delivery.seq, (until, delivery.message_id));
            self.model.tokens.extend(delivery.reply_token);
        }
    }

    async fn forward(&mut self, outcome: usize) {
        let Some(lane) = self.engine.lanes(&upstream()).into_iter().next() else {
            return;
        };
        let head = self.engine.lane_head(&lane).unwrap().unwrap();
        let id = head.last_id.unwrap_or(head.message.message_id);
        self.engine.forward_started(head.message.seq, id).await.unwrap();
        let cause = || "because".to_owned();
        let outcome = match outcome {
            0 => ForwardOutcome::Accepted,
            1 => ForwardOutcome::AlreadySent,
            2 => ForwardOutcome::NotSent { cause: cause() },
            3 => ForwardOutcome::Unknown { cause: cause() },
            4 => ForwardOutcome::Rejected {
                fault: "AccessDenied".to_owned(),
                code: None,
                text: cause(),
            },
            _ => return,
        };
        self.engine.forward_outcome(head.message.seq, outcome).await.unwrap();
    }

    /// Everything that must be true at the end.
    async fn judge(self) {
        self.engine.shutdown().await;
        one_end_each(&self.dir);
        let before = rows(&self.dir);
        rebuild_index(&self.running.settings, RealDisk::shared()).unwrap();
        assert!(before == rows(&self.dir), "from the last snapshot and the journal");
        super::remove_files(&self.dir.join("snapshot"));
        rebuild_index(&self.running.settings, RealDisk::shared()).unwrap();
        assert!(before == rows(&self.dir), "from the journal alone");
    }
}

fn pulled(id: MessageId, kind: &str) -> crate::command::Incoming {
    request(Party::Upstream(upstream()), id, kind)
}

fn pick<T>(from: &[T], which: usize) -> Option<&T> {
    from.get(which.checked_rem(from.len())?)
}

/// No message ends twice, and none is touched after its end.
fn one_end_each(dir: &std::path::Path) {
    let mut accepted = BTreeSet::new();
    let mut ended = BTreeSet::new();
    let records = journal::read::records(RealDisk::shared(), &dir.join("journal"), Default::default()).unwrap();
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
            Event::Acknowledged { message, .. } | Event::Expired { message } | Event::SchemaRejected { message } => {
                (message, true)
            }
            Event::ForwardOutcome { message, outcome } => {
                use ForwardOutcome::{Accepted, AlreadySent, Rejected};
                (message, matches!(outcome, Accepted | AlreadySent | Rejected { .. }))
            }
            Event::Decided { message, decision, .. } => (message, matches!(decision, Decided::Reject { .. })),
            _ => continue,
        };
        assert!(
            accepted.contains(&message),
            "record {} is about a message that was never accepted",
            record.seq
        );
        assert!(
            !ended.contains(&message),
            "record {} touches a message that has ended",
            record.seq
        );
        if end {
            ended.insert(message);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_life_keeps_the_promises(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in steps {
                world.step(step).await;
            }
            world.judge().await;
        });
    }
}
