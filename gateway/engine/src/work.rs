//! One batch of commands on its way from decisions to answers.

mod answers;
mod command;
mod done;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use journal::{Batch, CommitError};
use tokio::sync::oneshot;

use crate::apply::apply;
use crate::command::{Accepted, Received, Refusal, RefusedCall, RegistryChange, RegistryDiff};
use crate::decide::sweep::Sweep;
use crate::decide::{self, Context, Decision, Planned, Random};
use crate::error::{IndexError, RegistryError};
use crate::event::{BodyName, Event};
use crate::halts::Halts;
use crate::incidents::IncidentKind;
use crate::names::{Party, Queue};
use crate::offer::{self, Offer};
use crate::protection::SpoolBody;
use crate::refusals::{Limiter, Window};
use crate::registry::Registry;
use crate::registry_change;
use crate::retention::Survivor;
use crate::shared::Shared;
use crate::state::State;

pub(crate) use answers::Answers;
use answers::{Answer, Waiting};
pub(crate) use command::{Command, Reply};
pub(crate) use done::Done;

/// Why a batch came to nothing.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No space: the state is as before, and it may be tried again later.
    NoSpace(String),
    /// The engine cannot go on.
    Fatal(String),
}

impl From<IndexError> for Failure {
    fn from(error: IndexError) -> Self {
        Self::Fatal(error.to_string())
    }
}

impl From<CommitError> for Failure {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::NoSpace { .. } => Self::NoSpace(error.to_string()),
            CommitError::Fatal(_) | CommitError::TooLarge { .. } | CommitError::Event(_) => {
                Self::Fatal(error.to_string())
            }
        }
    }
}

/// What a writer keeps from batch to batch and decisions need.
pub(crate) struct Desk {
    pub(crate) shared: Arc<Shared>,
    pub(crate) refusals: Limiter,
    /// Refusals of calls that only claim to be somebody's, all together.
    pub(crate) unverified: Window,
    /// Incidents that participants cause.
    pub(crate) incidents: Limiter,
    pub(crate) random: Box<dyn Random + Send>,
    /// How far what rules keep has been looked at.
    pub(crate) sweep: Sweep,
    /// Latest time in the journal.
    pub(crate) last_at: Timestamp,
    pub(crate) closed: Option<String>,
}

/// A batch that is being decided.
pub(crate) struct Work<'a> {
    desk: &'a mut Desk,
    batch: Batch<'a>,
    state: State<'a>,
    registry: Arc<Registry>,
    now: Timestamp,
    answers: Vec<Box<dyn Answer>>,
    done: Done,
}

impl<'a> Work<'a> {
    pub(crate) fn new(desk: &'a mut Desk, batch: Batch<'a>, state: State<'a>, registry: Arc<Registry>) -> Self {
        let now = desk.shared.now();
        desk.sweep.at(now);
        Self {
            desk,
            batch,
            state,
            registry,
            now,
            answers: Vec::new(),
            done: Done::default(),
        }
    }

    fn decide<T>(
        &mut self,
        decide: impl FnOnce(&mut Context<'_, 'a>) -> Result<T, IndexError>,
    ) -> Result<T, IndexError> {
        let mut context = Context {
            state: &self.state,
            settings: &self.desk.shared.settings,
            registry: &self.registry,
            now: self.now,
            latest: self.now.max(self.desk.last_at),
            wall: self.desk.shared.clock.wall(),
            next_seq: self.batch.next_seq(),
            closed: self.desk.closed.as_deref(),
            random: &mut *self.desk.random,
        };
        decide(&mut context)
    }

    /// Decides a command and takes its events in.
    pub(crate) fn command(&mut self, command: Command) -> Result<(), Failure> {
        self.done.commands += 1;
        match command {
            Command::Accept(offer, reply) => self.accept(*offer, reply),
            Command::Receive(pulled, reply) => {
                let door = pulled.offer.door;
                if let Some(refusal) = self.too_large(&pulled.offer) {
                    return self.settle(Decision::refuse(refusal), reply);
                }
                let decision = self.decide(|context| decide::receive::receive(context, *pulled))?;
                if let Ok(Received::Accepted(accepted)) = &decision.answer {
                    self.done.accepted.push((door, accepted.clone()));
                }
                self.settle(decision, reply)
            }
            Command::UpstreamAcknowledged(upstream, id, reply) => {
                let event = Event::UpstreamAcknowledged { upstream, id };
                self.settle(Decision::one(event, ()), reply)
            }
            Command::Take(take, reply) => {
                let decision = self.decide(|context| decide::deliver::take(context, &take))?;
                if let Ok(Some(_)) = &decision.answer {
                    self.done.delivered.push(take.participant);
                }
                self.settle(decision, reply)
            }
            Command::Acknowledge(ack, reply) => {
                let decision = self.decide(|context| decide::acknowledge::acknowledge(context, *ack))?;
                self.settle(decision, reply)
            }
            Command::Refused(call) => self.refused(call),
            Command::Tell(event) => self.record(event.into()),
            Command::Incident { kind, text, reply } => {
                let event = Event::Incident { kind, text };
                self.settle(Decision::one(event, ()), reply)
            }
            Command::ChangeIncident(change, reply) => {
                let decision = self.decide(|context| decide::incident::change(context, *change))?;
                self.settle(decision, reply)
            }
            Command::AcknowledgeCut { by, reason, reply } => {
                let decision = self.decide(|context| decide::quarantine::journal_cut(context, by, &reason))?;
                self.done.cut_acknowledged |= decision.answer.is_ok();
                self.settle(decision, reply)
            }
            Command::AcceptClock { time, by, reply } => {
                let decision = self.decide(|context| decide::clock::accept(context, time, by))?;
                if let Ok(accepted) = &decision.answer {
                    // From here on the clock is what counts.
                    self.now = accepted.clock;
                    self.done.clock_accepted = true;
                }
                self.settle(decision, reply)
            }
            Command::Halt { what, by, reply } => {
                let decision = self.decide(|context| Ok(decide::halts::change(context, what, by)))?;
                self.settle(decision, reply)
            }
            Command::Shipped(segment, reply) => {
                let decision = self.decide(|context| decide::keeping::shipped(context, segment))?;
                self.settle(decision, reply)
            }
            Command::Mark(reply) => {
                self.done.marks.push(reply);
                Ok(())
            }
            Command::BackedUp { made, by, reply } => {
                let event = Event::BackedUp { made, by };
                self.settle(Decision::one(event, ()), reply)
            }
            Command::Resume {
                lost,
                by,
                reason,
                reply,
            } => {
                let decision = self.decide(|context| decide::restored::resume(context, lost, by, &reason))?;
                self.done.resumed |= decision.answer.is_ok();
                self.settle(decision, reply)
            }
            Command::Propose(destruction, reply) => {
                let decision = self.decide(|context| decide::keeping::propose(context, *destruction))?;
                self.settle(decision, reply)
            }
            Command::Approve(id, act, reply) => {
                let decision = self.decide(|context| decide::keeping::approve(context, id, *act))?;
                self.settle(decision, reply)
            }
            Command::Close { id, by, reason, reply } => {
                let decision = self.decide(|context| decide::keeping::close(context, id, by, &reason))?;
                self.settle(decision, reply)
            }
            Command::Registry { change, by, reply } => self.change_registry(*change, by, reply),
            Command::ForwardStarted(seq, id, reply) => {
                let decision = self.decide(|context| decide::forward::started(context, seq, id))?;
                self.settle(decision, reply)
            }
            Command::ForwardOutcome(seq, outcome, reply) => {
                let decision = self.decide(|context| decide::forward::outcome(context, seq, outcome))?;
                self.settle(decision, reply)
            }
            Command::Unreadable {
                seq,
                place,
                cause,
                reply,
            } => {
                let decision = self.decide(|context| decide::quarantine::unreadable(context, seq, &place, &cause))?;
                if matches!(decision.answer, Ok(true)) {
                    let text = format!("message {seq} cannot be handed over: {cause}");
                    let shared = &self.desk.shared;
                    shared.incidents.tell(IncidentKind::SpoolDamaged, text, self.now);
                }
                match reply {
                    Some(reply) => self.settle(decision, reply),
                    None => decision.events.into_iter().try_for_each(|event| self.record(event)),
                }
            }
            Command::Decide {
                seq,
                decision,
                by,
                facts,
                reply,
            } => {
                let decision =
                    self.decide(|context| decide::quarantine::decide(context, seq, decision, &by, facts.as_deref()))?;
                self.settle(decision, reply)
            }
            Command::Tick(asked) => {
                self.done.ticked_for.extend(asked);
                let mut sweep = std::mem::take(&mut self.desk.sweep);
                let ticked = self.decide(|context| decide::tick::tick(context, &mut sweep));
                self.desk.sweep = sweep;
                let (events, more) = ticked?;
                self.done.more |= more;
                self.done.ticked = true;
                events.into_iter().try_for_each(|event| self.record(event))
            }
            Command::Copy(survivors) => survivors.into_iter().try_for_each(|survivor| self.copy(survivor)),
            Command::Copied { segment, complete } => {
                self.done.copied = Some((segment, complete));
                Ok(())
            }
            Command::Snapshot(made) => {
                if let Ok((position, digest)) = &made {
                    let event = Event::Snapshot {
                        through: position.seq,
                        digest: hex::encode(digest),
                    };
                    self.record(event.into())?;
                }
                self.done.snapshot = Some(made.map(|(position, _)| position.seq));
                Ok(())
            }
            Command::Stop(reply) => {
                self.done.stop = Some(reply);
                Ok(())
            }
        }
    }

    fn accept(&mut self, offer: Offer, reply: Reply<Accepted>) -> Result<(), Failure> {
        let door = offer.door;
        let sender = offer.sent.sender.clone();
        let mut decision = match self.too_large(&offer) {
            Some(refusal) => Decision::refuse(refusal),
            None => self.decide(|context| decide::accept::accept(context, offer))?,
        };
        match (&decision.answer, sender) {
            (Ok(accepted), _) => self.done.accepted.push((door, accepted.clone())),
            // An incident that repeats itself is limited as refusals are.
            (Err(_), Party::Participant(sender)) if !decision.events.is_empty() => {
                if self.desk.incidents.admit(&sender, self.now).is_none() {
                    decision.events.clear();
                }
            }
            (Err(_), _) => {}
        }
        self.settle(decision, reply)
    }

    /// A body that no segment holds would fail the whole batch.
    fn too_large(&self, offer: &Offer) -> Option<Refusal> {
        /// What a segment spends on its own header and a record's.
        const OVERHEAD: u64 = 4096;
        let segment = self.desk.shared.settings.store.spool_segment_bytes;
        let note = offer.exchange_note.as_ref().map_or(0, |note| note.octets.len());
        let largest = offer
            .parts
            .iter()
            .map(|(_, body)| body.octets.len())
            .max()
            .unwrap_or(0)
            .max(note);
        (largest as u64 + OVERHEAD > segment)
            .then(|| Refusal::Unavailable(format!("a body of {largest} octets is too large")))
    }

    fn settle<T: Send + 'static>(&mut self, decision: Decision<T>, reply: Reply<T>) -> Result<(), Failure> {
        let waiting = Waiting {
            reply,
            result: decision.answer,
            unavailable: Refusal::Unavailable,
        };
        self.answers.push(Box::new(waiting));
        decision.events.into_iter().try_for_each(|planned| self.record(planned))
    }

    /// Writes a refusal, if there are not too many.
    fn refused(&mut self, call: RefusedCall) -> Result<(), Failure> {
        let RefusedCall {
            door,
            participant,
            verified,
            address,
            operation,
            fault,
            reason,
            message_id,
        } = call;
        let admitted = if verified {
            self.desk.refusals.admit(&participant, self.now)
        } else {
            self.desk.unverified.admit(self.now)
        };
        let Some(omitted) = admitted else {
            return Ok(());
        };
        let event = Event::Refused {
            door: door.to_owned(),
            participant: Party::Participant(participant),
            verified: Some(verified),
            address: Some(address),
            operation: operation.to_owned(),
            fault: fault.to_owned(),
            reason: reason.to_owned(),
            id: message_id,
            omitted,
        };
        self.record(event.into())
    }

    fn change_registry(
        &mut self,
        change: RegistryChange,
        by: String,
        reply: oneshot::Sender<Result<RegistryDiff, RegistryError>>,
    ) -> Result<(), Failure> {
        let result = self.merge_registry(change);
        let event = match &result {
            Ok((Some((digest, registry)), diff)) => {
                self.registry = Arc::clone(registry);
                self.done.registry = Some(Arc::clone(registry));
                Some(Event::Registry {
                    digest: digest.clone(),
                    by,
                    diff: diff.clone(),
                })
            }
            _ => None,
        };
        let result = result.map(|(_, diff)| diff);
        self.answers.push(Box::new(Waiting {
            reply,
            result,
            unavailable: RegistryError::Unavailable,
        }));
        event.map_or(Ok(()), |event| self.record(event.into()))
    }

    #[expect(clippy::type_complexity, reason = "a result of one private step")]
    fn merge_registry(
        &self,
        change: RegistryChange,
    ) -> Result<(Option<(String, Arc<Registry>)>, RegistryDiff), RegistryError> {
        let before = self.registry.content();
        let after = registry_change::merge(before, change.content, change.prune);
        let mut contradictions = registry_change::contradictions(&after);
        let blobs = &self.desk.shared.blobs;
        let known = registry_change::files(before);
        for file in registry_change::files(&after) {
            if !known.contains(&file) && blobs.get(&file).is_err() {
                contradictions.push(format!("the file {file} is missing"));
            }
        }
        if !contradictions.is_empty() {
            return Err(RegistryError::Contradiction(contradictions));
        }
        let diff = registry_change::diff(before, &after);
        if diff == RegistryDiff::default() {
            return Ok((None, diff));
        }
        let octets = serde_json::to_vec_pretty(&after).expect("the registry is plain data, which JSON can hold");
        let failed = |error| RegistryError::Io {
            path: blobs.path(""),
            error,
        };
        let digest = blobs.put(&octets).map_err(failed)?;
        let registry = Registry::new(after).with_halts(self.registry.halts().clone());
        Ok((Some((digest, Arc::new(registry))), diff))
    }

    /// Copies a body into the live segment, if it is still needed where it was.
    fn copy(&mut self, survivor: Survivor) -> Result<(), Failure> {
        let Survivor {
            seq,
            id,
            body,
            from,
            stored,
        } = survivor;
        let Some(message) = self.state.message(seq)? else {
            return Ok(());
        };
        let place = match body {
            BodyName::Part(number) => message.parts.iter().find(|(n, _)| *n == number).map(|(_, at)| *at),
            BodyName::Note => message.note,
            BodyName::Facts => message.facts,
        };
        if place != Some(from) {
            return Ok(());
        }
        let to = self
            .batch
            .put_body(*id.uuid().as_bytes(), body.number(), stored.flags, &stored.octets)?;
        self.done.moved.push((from, to));
        self.record(
            Event::Relocated {
                message: seq,
                body,
                from,
                to,
            }
            .into(),
        )
    }

    /// Puts the bodies of an event into the batch, then the event, and applies it to the state.
    pub(crate) fn record(&mut self, planned: Planned) -> Result<(), Failure> {
        let Planned {
            mut event,
            beginning,
            bodies,
        } = planned;
        if let Event::Accepted(accepted) = &mut event {
            let id = *accepted.sent.id.uuid().as_bytes();
            let admission = &mut accepted.admission;
            admission.sealed = self.desk.shared.spool.protection.seals();
            let notice = bodies.notice.map(|octets| {
                let sealed = self
                    .desk
                    .shared
                    .spool
                    .protection
                    .seal(accepted.sent.id, BodyName::Part(0), octets);
                sealed.map_err(|error| Failure::Fatal(format!("a notice cannot be sealed: {error}")))
            });
            let batch = &mut self.batch;
            let mut put = |body: SpoolBody, name: BodyName| batch.put_body(id, name.number(), body.flags, &body.octets);
            for (number, body) in bodies
                .parts
                .into_iter()
                .chain(notice.transpose()?.map(|body| (0, body)))
            {
                admission.parts.push((number, put(body, BodyName::Part(number))?));
            }
            let mut put = |body: Option<SpoolBody>, name: BodyName| body.map(|body| put(body, name)).transpose();
            admission.note = put(bodies.note, BodyName::Note)?;
            admission.facts = put(bodies.facts, BodyName::Facts)?;
        }
        self.note_upstream(&event)?;
        let seq = match (beginning, event.parts()) {
            (Some(beginning), Some((known, rest))) => {
                debug_assert_eq!(Some(&beginning), offer::beginning(known).as_ref(), "of this event");
                self.batch.append_to(&beginning, self.now, &rest)?
            }
            _ => self.batch.append(self.now, &event)?,
        };
        apply(&mut self.state, seq, self.now, &event)?;
        self.follow_halts(&event)?;
        self.done.durable |= !matches!(event, Event::Refused { .. });
        self.done.events += 1;
        Ok(())
    }

    /// Shows what stands still now, if the event changed that.
    fn follow_halts(&mut self, event: &Event) -> Result<(), IndexError> {
        match event {
            Event::QueueResumed(resumed) => {
                if let Queue::Upstream(upstream) = &resumed.queue {
                    self.done.upstreams.insert(upstream.clone());
                }
            }
            Event::Registry { .. }
            | Event::ParticipantSuspended(_)
            | Event::ParticipantResumed(_)
            | Event::QueuePaused(_) => {}
            _ => return Ok(()),
        }
        let halts = Halts::of(&self.state)?;
        if halts != *self.registry.halts() {
            let registry = Registry::clone(&self.registry).with_halts(halts);
            self.registry = Arc::new(registry);
            self.done.registry = Some(Arc::clone(&self.registry));
        }
        Ok(())
    }

    /// Remembers for which upstreams something was queued.
    fn note_upstream(&mut self, event: &Event) -> Result<(), IndexError> {
        let recipient = match event {
            Event::Accepted(accepted) => accepted.admission.recipient.clone(),
            Event::Decided { message, .. } => self.state.message(*message)?.and_then(|message| message.recipient),
            _ => None,
        };
        if let Some(Party::Upstream(upstream)) = recipient {
            self.done.upstreams.insert(upstream);
        }
        Ok(())
    }

    /// Makes the batch durable and applies it to the index; then the answers can be given.
    pub(crate) fn commit(self) -> (Answers, Done, Result<(), Failure>) {
        let Self {
            desk,
            batch,
            state,
            done,
            answers,
            now,
            ..
        } = self;
        let answers = Answers(answers);
        if done.events == 0 {
            return (answers, done, Ok(()));
        }
        let started = std::time::Instant::now();
        let committed = match if done.durable {
            batch.commit()
        } else {
            batch.commit_relaxed()
        } {
            Ok(committed) => committed,
            Err(error) => {
                desk.sweep.again();
                return (answers, done.news(), Err(error.into()));
            }
        };
        let shared = &desk.shared;
        shared.last_seq.store(committed.position.seq, Ordering::Relaxed);
        shared.metrics.commit_seconds.observe(started.elapsed().as_secs_f64());
        #[expect(clippy::cast_precision_loss, reason = "a batch has at most some hundred commands")]
        shared.metrics.commit_batch_size.observe(done.commands as f64);
        // What is not durable yet changes no rows, and the index never says that it reflects it: so a journal that ends
        // before the index's position was cut.
        if done.durable
            && let Err(error) = shared.index.apply(&state.into_overlay(), committed.position)
        {
            return (answers, done.news(), Err(error.into()));
        }
        desk.last_at = if done.clock_accepted {
            now
        } else {
            desk.last_at.max(now)
        };
        done.publish(shared);
        (answers, done, Ok(()))
    }

    /// Gives up: nothing of the batch happened, but what it was told stays known.
    pub(crate) fn abandon(self) -> (Answers, Done) {
        self.desk.sweep.again();
        (Answers(self.answers), self.done.news())
    }
}
