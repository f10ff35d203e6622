//! One call from octets to answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use engine::command::{Delivery, Incoming, RefusedCall, Take};
use engine::event::BodyName;
use engine::names::{KindName, MessageId, Mnemonic};
use engine::registry::Registry;
use engine::{Engine, Unreadable, Worker};
use logbook::log;

use super::DOOR;
use super::budget::{Exhausted, Held, PATIENCE, overhead};
use super::intake::{Arrival, Command, Intake, Refused, Understood};
use super::lately::RefusedLately;
use super::metrics::DoorMetrics;
use super::rate::TooMany;
use super::room::Room;
use super::workers::{Panicked, Turn, Workers};
use crate::answer::{self, Answer, Author, Handover, HandoverError};
use crate::envelope::Operation;
use crate::fault::{Fault, FaultName};
use crate::logged;
use crate::stored::ExchangeNote;
use crate::version::Version;

/// Messages that one call passes over at most because what is stored of them is damaged.
const DAMAGED: u32 = 16;

/// Handles calls; knows nothing of HTTP.
pub(super) struct Exchange {
    pub(super) engine: Engine,
    pub(super) author: Author,
    pub(super) intake: Intake,
    pub(super) metrics: Arc<DoorMetrics>,
    pub(super) workers: Workers,
    pub(super) translate: bool,
}

/// Whose call was refused.
struct Caller {
    participant: Mnemonic,
    verified: bool,
    address: IpAddr,
}

/// A body as it came over the network.
pub(super) struct Received {
    pub(super) body: Bytes,
    pub(super) content_type: String,
    pub(super) path_version: Version,
    pub(super) address: IpAddr,
}

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// It is refused.
    Fault(FaultAnswer),
    /// There is no room for it now.
    Busy,
    /// Its participant makes too many.
    TooMany(FaultAnswer, TooMany),
}

impl From<Exhausted> for Unanswered {
    fn from(_: Exhausted) -> Self {
        Self::Busy
    }
}

/// A refusal in the version in which the caller understands it.
#[derive(Debug)]
pub(super) struct FaultAnswer {
    pub(super) version: Version,
    pub(super) fault: Fault,
}

impl super::Inner {
    /// Handles a call: reads it, has the engine do it, builds the answer. `held` is what its body holds; what comes back
    /// is held for the answer.
    pub(super) async fn handle(self: &Arc<Self>, received: Received, held: Held) -> Result<(Answer, Held), Unanswered> {
        let begun = Instant::now();
        let address = received.address;
        let exchange = &self.exchange;
        let registry = exchange.engine.registry();
        let (read, mut held) = self.read(received, Room::new(held), &registry).await?;
        let understood = match read {
            Ok(understood) => understood,
            Err(refused) => return Err(exchange.refuse(*refused, address, begun)),
        };
        let participants = &exchange.intake.participants;
        if let Err(wait) = participants.take(&understood.participant, Instant::now()) {
            let fault = exchange.intake.too_many(&understood.participant);
            return Err(exchange.limit(understood.version, fault, wait));
        }
        // The tree is gone, and what goes to the spool is not.
        held.keep(understood.octets());
        let (version, operation) = (understood.version, understood.operation);
        let (participant, named) = (understood.participant.clone(), understood.named());
        let answered = self.perform(understood, registry, held).await;
        self.metrics.observe_request(operation, begun.elapsed());
        answered.map_err(|fault| {
            if fault.name != FaultName::SMEVFailure {
                let caller = Caller {
                    participant,
                    verified: true,
                    address,
                };
                exchange.record(caller, Some(operation), &fault, named);
            }
            Unanswered::Fault(exchange.count(version, fault))
        })
    }

    /// Has a worker read a call, when there is room for its tree; and again, when there is room for what it lacked.
    async fn read(
        self: &Arc<Self>,
        mut received: Received,
        mut room: Room,
        registry: &Arc<Registry>,
    ) -> Result<(Result<Understood, Box<Refused>>, Held), Unanswered> {
        let nodes = self.exchange.intake.limits.nodes as u64;
        let mut lacking = overhead(&received.body, nodes);
        let mut weighed = false;
        loop {
            if room.is_large(lacking) && !weighed {
                let weigh = |exchange: &Exchange, received: &Received, _: &Room, registry: &Registry| {
                    exchange.intake.weigh(&exchange.arrival(received), registry)
                };
                let verdict;
                (received, room, verdict) = self.work(received, room, registry, weigh).await?;
                if let Err(refused) = verdict {
                    return Ok((Err(refused), room.into_held()));
                }
                weighed = true;
            }
            room.make(lacking).await?;
            let read;
            (received, room, read) = self.work(received, room, registry, Exchange::read).await?;
            match room.lacking() {
                Some(octets) => lacking = octets,
                None => return Ok((read, room.into_held())),
            }
        }
    }

    /// Has a worker look at a call. The call and its room are the worker's as long as it takes: a client that hangs up
    /// frees neither.
    async fn work<T: Send + 'static>(
        self: &Arc<Self>,
        received: Received,
        room: Room,
        registry: &Arc<Registry>,
        work: impl FnOnce(&Exchange, &Received, &Room, &Registry) -> T + Send + 'static,
    ) -> Result<(Received, Room, T), Unanswered> {
        let (inner, registry) = (Arc::clone(self), Arc::clone(registry));
        let path_version = received.path_version;
        let job = move || {
            let done = work(&inner.exchange, &received, &room, &registry);
            (received, room, done)
        };
        match self.exchange.workers.run(job).await {
            Ok(done) => Ok(done),
            Err(_) => {
                self.exchange.panicked(Worker::Door, "reading a call");
                let fault = self.exchange.count(path_version, Fault::failure());
                Err(Unanswered::Fault(fault))
            }
        }
    }

    async fn perform(
        self: &Arc<Self>,
        call: Understood,
        registry: Arc<Registry>,
        held: Held,
    ) -> Result<(Answer, Held), Fault> {
        let Understood {
            version,
            operation,
            participant,
            command,
        } = call;
        match command {
            Command::Send(incoming) => {
                let answer = self.send(version, participant, *incoming, registry).await?;
                Ok((answer, held))
            }
            Command::Take(take) => self.take(version, operation, take, registry, held).await,
            Command::Acknowledge(acknowledge) => {
                let (message_id, accepted) = (acknowledge.target, acknowledge.accepted);
                self.exchange.engine.acknowledge(acknowledge).await?;
                log!(
                    target: logbook::MESSAGES,
                    logged::ACKNOWLEDGED,
                    %message_id,
                    %participant,
                    accepted,
                    "acknowledged"
                );
                Ok((answer::empty(version, Operation::Ack), held))
            }
            Command::Statistics(node) => {
                let queues = self.exchange.engine.statistics(&participant, node.as_ref());
                Ok((answer::statistics(version, &queues), held))
            }
        }
    }

    async fn send(
        self: &Arc<Self>,
        version: Version,
        sender: Mnemonic,
        incoming: Incoming,
        registry: Arc<Registry>,
    ) -> Result<Answer, Fault> {
        let id = incoming.message_id;
        let accepted = self.exchange.engine.accept(incoming).await?;
        log!(
            target: logbook::MESSAGES,
            logged::ACCEPTED,
            message_id = %id,
            participant = %sender,
            recipient = %accepted.recipient,
            kind = accepted.kind.as_ref().map(KindName::as_str),
            message_type = accepted.message_type.as_str(),
            "accepted"
        );
        let inner = Arc::clone(self);
        let build = move || {
            answer::accepted(&inner.exchange.author, &registry, version, &sender, id, &accepted)
                .map_err(HandoverError::from)
        };
        let turn = self.exchange.workers.turn().await;
        self.build("signing an answer", turn, build).await
    }

    async fn take(
        self: &Arc<Self>,
        version: Version,
        operation: Operation,
        take: Take,
        registry: Arc<Registry>,
        mut held: Held,
    ) -> Result<(Answer, Held), Fault> {
        let mut damaged = 0;
        let (delivery, turn, (envelope, contents, note)) = loop {
            let Some(delivery) = self.exchange.engine.take(take.clone()).await? else {
                return Ok((answer::empty(version, operation), held));
            };
            let id = delivery.message_id;
            let until = tokio::time::Instant::now() + PATIENCE;
            held.grow_until(answer::room(&delivery), until)
                .await
                .map_err(|Exhausted| {
                    log!(logged::NO_ROOM, message_id = %id, "there is no room for a message that was handed out: it will be again");
                    Fault::failure()
                })?;
            let turn = self.exchange.workers.turn().await;
            match self.exchange.bodies(&delivery).await {
                Ok(bodies) => break (delivery, turn, bodies),
                // A person has it now, and the next one has its turn.
                Err(Unreadable::Quarantined(_)) if damaged < DAMAGED => damaged += 1,
                Err(error) => {
                    log!(logged::BODY_UNREADABLE, message_id = %id, %error, "a message that was handed out cannot be read from the spool");
                    return Err(Fault::failure());
                }
            }
        };
        // Room or not: no more do so at once than there are workers.
        held.add(overhead(&envelope, u64::MAX));
        let inner = Arc::clone(self);
        let build = move || {
            let translate = inner.exchange.translate;
            let delivery = &delivery;
            let handover = Handover {
                version,
                operation,
                delivery,
                envelope: &envelope,
                contents,
                note,
                translate,
            };
            answer::deliver(&inner.exchange.author, &registry, handover).map(|answer| (answer, held))
        };
        self.build("handing a message over", turn, build).await
    }

    async fn build<T: Send + 'static>(
        &self,
        what: &'static str,
        turn: Result<Turn, Panicked>,
        build: impl FnOnce() -> Result<T, HandoverError> + Send + 'static,
    ) -> Result<T, Fault> {
        let built = match turn {
            Ok(turn) => turn.run(build).await,
            Err(panicked) => Err(panicked),
        };
        match built {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                log!(logged::ANSWER_FAILED, what, %error, "an answer was not made");
                Err(error.into())
            }
            Err(Panicked) => {
                self.exchange.panicked(Worker::Door, what);
                Err(Fault::failure())
            }
        }
    }
}

impl Exchange {
    fn read(&self, received: &Received, room: &Room, registry: &Registry) -> Result<Understood, Box<Refused>> {
        let blob = |digest: &str| self.engine.blob(digest);
        self.intake
            .read(&self.arrival(received), registry, &blob, &self.metrics, room)
    }

    fn arrival<'r>(&self, received: &'r Received) -> Arrival<'r> {
        Arrival {
            body: &received.body,
            content_type: &received.content_type,
            path_version: received.path_version,
            address: received.address,
            now: (self.engine.now(), self.engine.wall()),
        }
    }

    /// A refusal by the door itself: journaled under the name of a participant, counted per address without one. One that
    /// only says to come later is counted and no more.
    fn refuse(&self, refused: Refused, address: IpAddr, begun: Instant) -> Unanswered {
        let Refused {
            version,
            operation,
            participant,
            verified,
            message_id,
            wait,
            fault,
        } = refused;
        tracing::debug!(%address, fault = %fault.name, operation = operation.map(Operation::as_str), "refused");
        if let Some(wait) = wait {
            return self.limit(version, fault, wait);
        }
        match participant {
            Some(participant) => {
                if verified {
                    // Refused calls count too; this one is refused already.
                    let _ = self.intake.participants.take(&participant, Instant::now());
                }
                let caller = Caller {
                    participant,
                    verified,
                    address,
                };
                self.record(caller, operation, &fault, message_id);
            }
            None => self.metrics.count_unrecognised(address),
        }
        if let Some(operation) = operation {
            self.metrics.observe_request(operation, begun.elapsed());
        }
        Unanswered::Fault(self.count(version, fault))
    }

    /// A call beyond its participant's rate.
    fn limit(&self, version: Version, fault: Fault, wait: TooMany) -> Unanswered {
        self.metrics.count_limited_participant();
        Unanswered::TooMany(self.count(version, fault), wait)
    }

    fn record(&self, caller: Caller, operation: Option<Operation>, fault: &Fault, message_id: Option<MessageId>) {
        let operation = operation.map_or("unknown", Operation::as_str);
        self.metrics.remember(RefusedLately {
            at: self.engine.now(),
            participant: caller.participant.clone(),
            operation,
            fault: fault.name.as_str(),
            reason: fault.reason,
        });
        self.engine.record_refusal(RefusedCall {
            door: DOOR,
            participant: caller.participant,
            verified: caller.verified,
            address: caller.address,
            operation,
            fault: fault.name.as_str(),
            reason: fault.reason,
            message_id,
        });
    }

    fn count(&self, version: Version, fault: Fault) -> FaultAnswer {
        self.metrics.count_refused(fault.name);
        FaultAnswer { version, fault }
    }

    pub(super) fn panicked(&self, worker: Worker, what: &str) {
        self.engine.worker_panicked(worker, what);
    }

    async fn bodies(&self, delivery: &Delivery) -> Result<(Vec<u8>, Vec<Vec<u8>>, ExchangeNote), Unreadable> {
        let mut envelope = Vec::new();
        let mut contents = Vec::new();
        for body in &delivery.parts {
            let octets = self.engine.body_of(delivery.seq, *body).await?;
            match body.name {
                BodyName::Part(0) => envelope = octets,
                _ => contents.push(octets),
            }
        }
        let note = match &delivery.exchange_note {
            Some(note) => self.engine.body_of(delivery.seq, *note).await?,
            None => Vec::new(),
        };
        Ok((envelope, contents, ExchangeNote::decode(&note).unwrap_or_default()))
    }
}
