//! One call from octets to answer.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use engine::Engine;
use engine::clock::Clock;
use engine::command::{Delivery, Incoming, RefusedCall, Take};
use engine::names::{MessageId, Mnemonic};
use engine::registry::Registry;

use super::DOOR;
use super::intake::{Arrival, Command, Intake, Refused, Understood};
use super::metrics::DoorMetrics;
use super::workers::Workers;
use crate::answer::{self, Answer, Author, Handover, HandoverError};
use crate::envelope::Operation;
use crate::fault::{Fault, FaultName};
use crate::stored::ExchangeNote;
use crate::version::Version;

/// Handles calls; knows nothing of HTTP.
pub(super) struct Exchange {
    pub(super) engine: Engine,
    pub(super) author: Author,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) intake: Intake,
    pub(super) metrics: Arc<DoorMetrics>,
    pub(super) workers: Workers,
    pub(super) translate: bool,
}

/// A body as it came over the network.
pub(super) struct Received {
    pub(super) body: Bytes,
    pub(super) content_type: String,
    pub(super) path_version: Version,
    pub(super) address: IpAddr,
}

/// A refusal in the version in which the caller understands it.
#[derive(Debug)]
pub(super) struct FaultAnswer {
    pub(super) version: Version,
    pub(super) fault: Fault,
}

impl super::Inner {
    /// Handles a call: reads it, has the engine do it, builds the answer.
    pub(super) async fn handle(self: &Arc<Self>, received: Received) -> Result<Answer, FaultAnswer> {
        let begun = Instant::now();
        let path_version = received.path_version;
        let address = received.address;
        let exchange = &self.exchange;
        let registry = exchange.engine.registry();
        let read = {
            let (inner, registry) = (Arc::clone(self), Arc::clone(&registry));
            exchange
                .workers
                .run(move || inner.exchange.read(&received, &registry))
                .await
        };
        let understood = match read {
            Ok(Ok(understood)) => understood,
            Ok(Err(refused)) => return Err(exchange.refuse(*refused, address, begun)),
            Err(_) => {
                exchange.incident("reading a call").await;
                return Err(exchange.count(path_version, Fault::failure()));
            }
        };
        let (version, operation) = (understood.version, understood.operation);
        let (participant, named) = (understood.participant.clone(), understood.named());
        let answered = self.perform(understood, registry).await;
        self.metrics.observe_request(operation, begun.elapsed());
        answered.map_err(|fault| {
            if fault.name != FaultName::SMEVFailure {
                exchange.record(participant, Some(operation), &fault, named);
            }
            exchange.count(version, fault)
        })
    }

    async fn perform(self: &Arc<Self>, call: Understood, registry: Arc<Registry>) -> Result<Answer, Fault> {
        let Understood {
            version,
            operation,
            participant,
            command,
        } = call;
        match command {
            Command::Send(incoming) => self.send(version, participant, *incoming, registry).await,
            Command::Take(take) => self.take(version, operation, take, registry).await,
            Command::Acknowledge(acknowledge) => {
                self.exchange.engine.acknowledge(acknowledge).await?;
                Ok(answer::empty(version, Operation::Ack))
            }
            Command::Statistics(node) => {
                let queues = self.exchange.engine.statistics(&participant, node.as_ref());
                Ok(answer::statistics(version, &queues))
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
        let inner = Arc::clone(self);
        let build = move || {
            answer::accepted(&inner.exchange.author, &registry, version, &sender, id, &accepted)
                .map_err(HandoverError::from)
        };
        self.build("signing an answer", build).await
    }

    async fn take(
        self: &Arc<Self>,
        version: Version,
        operation: Operation,
        take: Take,
        registry: Arc<Registry>,
    ) -> Result<Answer, Fault> {
        let Some(delivery) = self.exchange.engine.take(take).await? else {
            return Ok(answer::empty(version, operation));
        };
        let id = delivery.message_id;
        let (envelope, contents, note) = self.exchange.bodies(&delivery).await.map_err(|error| {
            tracing::error!(message = %id, %error, "a message that was handed out cannot be read from the spool");
            Fault::failure()
        })?;
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
            answer::deliver(&inner.exchange.author, &registry, handover)
        };
        self.build("handing a message over", build).await
    }

    async fn build(
        &self,
        what: &'static str,
        build: impl FnOnce() -> Result<Answer, HandoverError> + Send + 'static,
    ) -> Result<Answer, Fault> {
        match self.exchange.workers.run(build).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                tracing::error!(%error, "{what} failed");
                Err(error.into())
            }
            Err(_) => {
                self.exchange.incident(what).await;
                Err(Fault::failure())
            }
        }
    }
}

impl Exchange {
    fn read(&self, received: &Received, registry: &Registry) -> Result<Understood, Box<Refused>> {
        let arrival = Arrival {
            body: &received.body,
            content_type: &received.content_type,
            path_version: received.path_version,
            address: received.address,
            now: self.clock.now(),
        };
        self.intake
            .read(&arrival, registry, &|digest| self.engine.blob(digest), &self.metrics)
    }

    /// A refusal by the door itself: journaled for recognised participants, counted per address for others.
    fn refuse(&self, refused: Refused, address: IpAddr, begun: Instant) -> FaultAnswer {
        let Refused {
            version,
            operation,
            participant,
            message_id,
            fault,
        } = refused;
        tracing::debug!(%address, fault = %fault.name, operation = operation.map(Operation::as_str), "refused");
        match participant {
            Some(participant) => self.record(participant, operation, &fault, message_id),
            None => self.metrics.count_unrecognised(address),
        }
        if let Some(operation) = operation {
            self.metrics.observe_request(operation, begun.elapsed());
        }
        self.count(version, fault)
    }

    fn record(
        &self,
        participant: Mnemonic,
        operation: Option<Operation>,
        fault: &Fault,
        message_id: Option<MessageId>,
    ) {
        self.engine.record_refusal(RefusedCall {
            door: DOOR,
            participant,
            operation: operation.map_or("unknown", Operation::as_str),
            fault: fault.name.as_str(),
            reason: fault.reason,
            message_id,
        });
    }

    fn count(&self, version: Version, fault: Fault) -> FaultAnswer {
        self.metrics.count_refused(fault.name);
        FaultAnswer { version, fault }
    }

    async fn incident(&self, what: &str) {
        tracing::error!("a worker panicked while {what}");
        self.engine
            .record_incident("panic", format!("a worker of the door panicked while {what}"))
            .await;
    }

    async fn bodies(&self, delivery: &Delivery) -> Result<(Vec<u8>, Vec<Vec<u8>>, ExchangeNote), journal::BodyError> {
        let mut envelope = Vec::new();
        let mut contents = Vec::new();
        for (number, location) in &delivery.parts {
            let octets = self.engine.body(*location).await?;
            match number {
                0 => envelope = octets,
                _ => contents.push(octets),
            }
        }
        let note = match &delivery.exchange_note {
            Some(location) => self.engine.body(*location).await?,
            None => Vec::new(),
        };
        Ok((envelope, contents, ExchangeNote::decode(&note).unwrap_or_default()))
    }
}
