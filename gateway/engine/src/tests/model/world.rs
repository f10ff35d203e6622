//! The engine and the reference side by side.

mod compare;
mod incoming;

use std::collections::BTreeMap;

use jiff::SignedDuration;
use testdisk::{Loss, MemDisk};

use super::reference::{
    BODIES, EXCHANGE, FUTURE_SKEW, GRACE, Inbox, Kept, Pulled, QUEUE_MESSAGES, REDELIVERY, Reference, STALE_AFTER,
    Sent, TIME_TO_LIVE, What,
};
use super::step::{Flaw, Id, Step};
use crate::Engine;
use crate::command::{
    Acknowledge, Delivery, ForwardOutcome, Halting, PayloadRoot, QuarantineDecision, Received, Refusal, RegistryChange,
    Take, TakeFrom,
};
use crate::event::Person;
use crate::names::MessageId;
use crate::registry::May;
use crate::testing::{Running, content, evidence, id_at, mnemonic, participant, scratch, upstream};
use crate::tests::copy;

pub(super) struct World {
    running: Running,
    engine: Engine,
    disk: MemDisk,
    dir: tempfile::TempDir,
    reference: Reference,
    numbers: u32,
    /// Every identifier that was ever used.
    ids: Vec<MessageId>,
    pulled: Vec<(MessageId, Pulled)>,
    /// How often each refusal was heard.
    pub(super) refused: BTreeMap<&'static str, u64>,
}

impl World {
    pub(super) async fn new() -> Self {
        let dir = scratch();
        let disk = MemDisk::below(dir.path().parent().unwrap());
        let mut running = Running::new(dir.path());
        running.disk = disk.shared();
        let settings = &mut running.settings;
        settings.redelivery = REDELIVERY;
        settings.stale_after = STALE_AFTER;
        settings.future_skew = FUTURE_SKEW;
        settings.message_ttl = TIME_TO_LIVE;
        settings.retention_bodies = BODIES;
        settings.grace = GRACE;
        settings.exchange_ttl = EXCHANGE;
        settings.queue_messages = QUEUE_MESSAGES as u64;
        settings.snapshot_every = 25;
        let engine = running.region().await;
        let reference = Reference::new(engine.now());
        Self {
            running,
            engine,
            disk,
            dir,
            reference,
            numbers: 0,
            ids: Vec::new(),
            pulled: Vec::new(),
            refused: BTreeMap::new(),
        }
    }

    pub(super) async fn step(&mut self, step: &Step) {
        match step.clone() {
            Step::Request {
                sender,
                kind,
                id,
                node,
                end_of_life,
                north,
                flaw,
            } => {
                let end_of_life = end_of_life.map(|minutes| self.reference.now + SignedDuration::from_mins(minutes));
                let what = What::Request { kind, north };
                self.send(sender, id, node, end_of_life, what, flaw).await;
            }
            Step::Answer {
                provider,
                which,
                says,
                id,
                flaw,
            } => {
                let tokens = self
                    .reference
                    .messages
                    .iter()
                    .filter_map(|message| message.token.clone());
                let mut tokens: Vec<_> = tokens.collect();
                tokens.push("nonsense".to_owned());
                let token = tokens[which % tokens.len()].clone();
                let what = What::Answer { token, says };
                self.send(provider, id, None, None, what, flaw).await;
            }
            Step::PullRequest {
                kind,
                again,
                schema_fits,
            } => {
                let known = again.and_then(|which| pick(&self.pulled, which));
                let (id, pulled) = known.unwrap_or_else(|| (self.fresh(0), Pulled::Request { kind }));
                self.pull(id, pulled, schema_fits).await;
            }
            Step::PullAnswer {
                which,
                says,
                schema_fits,
            } => {
                let sent = self
                    .reference
                    .messages
                    .iter()
                    .flat_map(|message| message.attempts.ids.clone());
                let sent: Vec<_> = sent.collect();
                let id = self.fresh(0);
                let original = pick(&sent, which).unwrap_or(id);
                self.pull(id, Pulled::Answer { original, says }, schema_fits).await;
            }
            Step::PulledAcknowledged { which } => {
                if let Some((id, _)) = pick(&self.pulled, which) {
                    self.reference.pulled_acknowledged(id);
                    self.engine.upstream_acknowledged(&upstream(), id).await.unwrap();
                }
            }
            Step::Take { who, inbox, kind } => self.take(who, inbox, kind).await,
            Step::Acknowledge { who, which, accepted } => self.acknowledge(who, which, accepted).await,
            Step::Start { which } => {
                self.start(which).await;
            }
            Step::Outcome { which, outcome, times } => {
                for _ in 0..times {
                    self.outcome(which, outcome).await;
                }
            }
            Step::Decide { which, retry } => self.decide(which, retry).await,
            Step::Grants { request, provide } => self.grant(request, provide).await,
            Step::Suspend { who, on } => {
                let expected = self.reference.suspend(who, on);
                let (participant, reason) = (mnemonic(who), "because".to_owned());
                let what = match on {
                    true => Halting::Suspend { participant, reason },
                    false => Halting::ResumeParticipant(participant),
                };
                self.halt(what, expected).await;
            }
            Step::Pause { queue, on } => {
                let expected = self.reference.pause(queue, on);
                let (queue, reason) = (queue.parse().unwrap(), "because".to_owned());
                let what = match on {
                    true => Halting::Pause { queue, reason },
                    false => Halting::ResumeQueue(queue),
                };
                self.halt(what, expected).await;
            }
            Step::Pass { minutes } => self.pass(minutes).await,
            Step::Restart => {
                self.engine.shutdown().await;
                self.engine = self.running.start().unwrap();
            }
            Step::Crash { seed, index } => self.crash(seed, index).await,
        }
        self.compare().await;
    }

    /// An answer as the reference has it: a refusal in one word.
    fn heard<T>(&mut self, answered: Result<T, Refusal>) -> Result<(), &'static str> {
        let word = answered.map(drop).map_err(|refusal| refusal.reason());
        if let Err(word) = word {
            *self.refused.entry(word).or_default() += 1;
        }
        word
    }

    fn fresh(&mut self, minutes: i64) -> MessageId {
        self.numbers += 1;
        id_at(self.engine.now() + SignedDuration::from_mins(minutes), self.numbers)
    }

    async fn send(
        &mut self,
        sender: &'static str,
        id: Id,
        node: Option<&'static str>,
        end_of_life: Option<jiff::Timestamp>,
        what: What,
        flaw: Flaw,
    ) {
        let id = match id {
            Id::Fresh => self.fresh(0),
            Id::Known(which) => match pick(&self.ids, which) {
                Some(known) => known,
                None => self.fresh(0),
            },
            Id::At(minutes) => self.fresh(minutes),
        };
        self.ids.push(id);
        let sent = Sent {
            sender,
            id,
            node,
            end_of_life,
            what,
            attachments_wrong: flaw == Flaw::Attachments,
            files: flaw == Flaw::Files,
            schema_fits: flaw != Flaw::Schema,
        };
        let answered = self.engine.accept(incoming::sent(&sent)).await;
        match (self.reference.send(&sent), answered) {
            (Ok(number), Ok(accepted)) => {
                let message = &mut self.reference.messages[number];
                message.seq = Some(accepted.seq);
                compare::accepted(message, &accepted);
            }
            (expected, answered) => assert_eq!(self.heard(answered), expected.map(drop), "{sent:?}"),
        }
    }

    async fn pull(&mut self, id: MessageId, pulled: Pulled, schema_fits: bool) {
        let answered = self
            .engine
            .receive(&upstream(), incoming::pulled(id, pulled, schema_fits))
            .await;
        let expected = self.reference.pull(id, pulled, schema_fits);
        match (expected, answered) {
            (Ok(Kept::Placed(number)), Ok(Received::Accepted(accepted))) => {
                let message = &mut self.reference.messages[number];
                message.seq = Some(accepted.seq);
                compare::accepted(message, &accepted);
            }
            (Ok(Kept::Quarantined(number)), Ok(Received::Quarantined { seq, .. })) => {
                self.reference.messages[number].seq = Some(seq);
            }
            (Ok(Kept::Duplicate), Ok(Received::Duplicate)) => {}
            (expected, answered) => {
                assert!(
                    expected.is_err() && answered.is_err(),
                    "{pulled:?}: {expected:?}, but {answered:?}"
                );
                assert_eq!(self.heard(answered), expected.map(drop));
            }
        }
        self.pulled.push((id, pulled));
        self.ids.push(id);
    }

    async fn take(&mut self, who: &'static str, inbox: usize, kind: Option<&'static str>) {
        let (inbox, from) = match inbox {
            0 => (Inbox::Requests, TakeFrom::Requests),
            1 => (Inbox::Answers(None), TakeFrom::Responses(None)),
            2 => (
                Inbox::Answers(Some("N1")),
                TakeFrom::Responses(Some("N1".parse().unwrap())),
            ),
            3 => (
                Inbox::Answers(Some("N2")),
                TakeFrom::Responses(Some("N2".parse().unwrap())),
            ),
            _ => (Inbox::Status, TakeFrom::Status),
        };
        let local = if inbox == Inbox::Requests {
            "Request"
        } else {
            "Response"
        };
        let take = Take {
            participant: mnemonic(who),
            from,
            selector: kind.map(|kind| PayloadRoot {
                namespace: format!("urn:{kind}"),
                local: local.to_owned(),
            }),
        };
        let answered = self.engine.take(take).await;
        match (self.reference.take(who, inbox, kind), answered) {
            (Ok(Some(number)), Ok(Some(delivery))) => self.delivered(number, &delivery).await,
            (Ok(expected), Ok(answered)) => {
                assert_eq!(
                    expected,
                    answered.map(|_| usize::MAX),
                    "a message for one of both, {who} {inbox:?}"
                );
            }
            (expected, answered) => assert_eq!(self.heard(answered), expected.map(drop), "{who} {inbox:?} {kind:?}"),
        }
    }

    async fn acknowledge(&mut self, who: &'static str, which: usize, accepted: bool) {
        let ids = self
            .reference
            .messages
            .iter()
            .rev()
            .filter_map(|message| message.id)
            .take(12);
        let mut ids: Vec<_> = ids.collect();
        ids.push(self.fresh(0));
        let target = ids[which % ids.len()];
        let ack = Acknowledge {
            participant: mnemonic(who),
            target,
            accepted,
            evidence: evidence(),
        };
        match (
            self.reference.acknowledge(who, target),
            self.engine.acknowledge(ack).await,
        ) {
            (Ok((number, late)), Ok(acknowledged)) => {
                assert_eq!(self.reference.messages[number].seq, Some(acknowledged.seq));
                assert_eq!(late, acknowledged.late);
            }
            (expected, answered) => assert_eq!(self.heard(answered), expected.map(drop), "{who} {target}"),
        }
    }

    /// A message that is at the head of its lane, or not.
    fn northbound(&self, which: usize) -> Option<u64> {
        let heads = self.reference.heads();
        let mut seqs: Vec<_> = heads
            .iter()
            .map(|(_, number)| self.reference.messages[*number].seq)
            .collect();
        if which.is_multiple_of(7) {
            seqs = self.reference.messages.iter().map(|message| message.seq).collect();
        }
        pick(&seqs, which / 7).flatten()
    }

    /// Begins an attempt upstream.
    async fn start(&mut self, which: usize) -> Option<u64> {
        let seq = self.northbound(which)?;
        let last = self
            .reference
            .find(seq)
            .and_then(|number| self.reference.messages[number].attempts.last_id);
        let own = self
            .reference
            .find(seq)
            .and_then(|number| self.reference.messages[number].id);
        let id = match last.or(own) {
            Some(id) if !which.is_multiple_of(5) => id,
            _ => self.fresh(0),
        };
        let expected = self.reference.start(seq, id);
        let answered = self.engine.forward_started(seq, id).await;
        assert_eq!(self.heard(answered), expected, "{seq}");
        Some(seq)
    }

    /// Makes an attempt upstream, or reports of one that nobody made.
    async fn outcome(&mut self, which: usize, outcome: usize) {
        let begun = match which % 6 {
            0 => self.northbound(which / 6),
            _ => self.start(which / 6).await,
        };
        let Some(seq) = begun else { return };
        let cause = || "because".to_owned();
        let outcome = match outcome {
            0 => ForwardOutcome::Accepted,
            1 => ForwardOutcome::AlreadySent,
            2 => ForwardOutcome::NotSent { cause: cause() },
            3 => ForwardOutcome::Unknown { cause: cause() },
            4 => ForwardOutcome::SlowDown { fault: cause() },
            5 => ForwardOutcome::Renew,
            6 => ForwardOutcome::Quarantined { cause: cause() },
            _ => ForwardOutcome::Rejected {
                fault: "AccessDenied".to_owned(),
                code: None,
                text: cause(),
            },
        };
        let expected = self.reference.outcome(seq, &outcome);
        let answered = self.engine.forward_outcome(seq, outcome).await;
        assert_eq!(self.heard(answered), expected, "{seq}");
    }

    async fn decide(&mut self, which: usize, retry: bool) {
        let held = self.engine.quarantine();
        let seqs: Vec<u64> = match which % 4 {
            0 => self
                .reference
                .messages
                .iter()
                .filter_map(|message| message.seq)
                .collect(),
            _ => held.iter().map(|held| held.seq).collect(),
        };
        let seq = pick(&seqs, which / 4).unwrap_or(1_000_000);
        let decision = match retry {
            true => QuarantineDecision::Retry,
            false => QuarantineDecision::Reject {
                reason: "no".to_owned(),
            },
        };
        let expected = self.reference.decide(seq, retry);
        let answered = self.engine.decide_quarantine(seq, decision, "operator").await;
        assert_eq!(self.heard(answered), expected, "{seq} {retry}");
    }

    async fn grant(&mut self, request: bool, provide: bool) {
        let mut content = content();
        for (who, what, granted) in [("CITY", May::Request, request), ("LAND", May::Provide, provide)] {
            let of = |grant: &crate::registry::Grant| {
                grant.party == participant(who) && grant.kind.as_str() == "plan" && grant.may == [what]
            };
            if !granted {
                content.grants.retain(|grant| !of(grant));
            }
        }
        let change = RegistryChange {
            content,
            prune: true,
            blobs: BTreeMap::new(),
        };
        self.engine.apply_registry(change, "operator").await.unwrap();
        (self.reference.may_not_request, self.reference.may_not_provide) = (!request, !provide);
    }

    async fn halt(&mut self, what: Halting, expected: Result<(), &'static str>) {
        let by = Person {
            name: "operator".to_owned(),
            uid: 1,
        };
        let answered = self.engine.halt(what.clone(), &by).await;
        assert_eq!(self.heard(answered), expected, "{what:?}");
    }

    /// Time goes on or back. The record of it keeps the latest moment in the journal.
    async fn pass(&mut self, minutes: i64) {
        self.running.time.pass(SignedDuration::from_mins(minutes));
        self.reference.now = self.engine.now();
        self.reference.latest = self.reference.latest.max(self.reference.now);
        for _ in 0..2 {
            self.engine.tick().await;
            self.reference.tick();
            self.compare().await;
        }
        self.engine.record_incident("test", "time went on".to_owned()).await;
    }

    /// The machine or the process ends, whatever was not synced.
    async fn crash(&mut self, seed: u64, index: bool) {
        let place = self.dir.path().join("index");
        let copied = scratch();
        if index {
            self.engine.index().flush().unwrap();
            copy(&place, copied.path());
        }
        let loss = match seed % 4 {
            0 => Loss::Process,
            1 => Loss::Everything,
            _ => Loss::Some(seed),
        };
        let crashed = self.disk.after(loss);
        self.engine.shutdown().await;
        std::fs::remove_dir_all(&place).unwrap();
        if index {
            copy(copied.path(), &place);
        }
        self.disk = crashed;
        self.running.disk = self.disk.shared();
        self.engine = self.running.start().unwrap();
    }

    async fn delivered(&mut self, number: usize, delivery: &Delivery) {
        compare::delivered(&self.reference, number, delivery);
        let body = self.engine.body(delivery.parts[0]).await.unwrap();
        compare::body(&self.reference.messages[number], delivery, &body);
        if let Some(note) = delivery.exchange_note {
            assert_eq!(self.engine.body(note).await.unwrap(), b"transaction");
        }
        let message = &mut self.reference.messages[number];
        assert!(
            message.token.is_none() || message.token == delivery.reply_token,
            "the token stays"
        );
        message.token.clone_from(&delivery.reply_token);
    }
}

fn pick<T: Clone>(from: &[T], which: usize) -> Option<T> {
    from.get(which.checked_rem(from.len())?).cloned()
}
