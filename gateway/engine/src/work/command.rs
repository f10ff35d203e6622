//! What the writer is asked to do.

use jiff::Timestamp;
use journal::Location;
use tokio::sync::oneshot;

use crate::backup::{BackupMade, BackupMark};
use crate::command::{
    Accepted, AcceptedClock, Acknowledged, Delivery, ForwardOutcome, Halting, IncidentChange, NotedCut,
    QuarantineDecision, Received, Refusal, RefusedCall, RegistryChange, RegistryDiff, ShippedSegment, Take,
};
use crate::decide::receive::Facts;
use crate::error::RegistryError;
use crate::event::{Act, Destruction, Event, Person};
use crate::halts::Halt;
use crate::names::{MessageId, UpstreamName};
use crate::offer::{Offer, OfferedAck, OfferedPull};
use crate::retention::Survivor;
use crate::snapshot::DumpError;

pub(crate) type Reply<T> = oneshot::Sender<Result<T, Refusal>>;

/// What the writer is asked to do.
pub(crate) enum Command {
    Accept(Box<Offer>, Reply<Accepted>),
    Receive(Box<OfferedPull>, Reply<Received>),
    UpstreamAcknowledged(UpstreamName, MessageId, Reply<()>),
    Take(Take, Reply<Option<Delivery>>),
    Acknowledge(Box<OfferedAck>, Reply<Acknowledged>),
    Refused(RefusedCall),
    /// A fact without a decision.
    Tell(Event),
    Incident {
        kind: String,
        text: String,
        reply: Reply<()>,
    },
    ChangeIncident(Box<IncidentChange>, Reply<u64>),
    AcknowledgeCut {
        by: String,
        reason: String,
        reply: Reply<NotedCut>,
    },
    AcceptClock {
        time: Timestamp,
        by: Person,
        reply: Reply<AcceptedClock>,
    },
    Halt {
        what: Halting,
        by: Person,
        reply: Reply<Halt>,
    },
    Shipped(ShippedSegment, Reply<()>),
    Mark(Reply<BackupMark>),
    BackedUp {
        made: BackupMade,
        by: String,
        reply: Reply<()>,
    },
    Resume {
        lost: Timestamp,
        by: String,
        reason: String,
        reply: Reply<u64>,
    },
    Propose(Box<Destruction>, Reply<u64>),
    Approve(u64, Box<Act>, Reply<()>),
    Close {
        id: u64,
        by: Person,
        reason: String,
        reply: Reply<()>,
    },
    Registry {
        change: Box<RegistryChange>,
        by: String,
        reply: oneshot::Sender<Result<RegistryDiff, RegistryError>>,
    },
    ForwardStarted(u64, MessageId, Reply<()>),
    ForwardOutcome(u64, ForwardOutcome, Reply<()>),
    /// A body of a message cannot be read where it lies.
    Unreadable {
        seq: u64,
        place: Location,
        cause: String,
        reply: Option<Reply<bool>>,
    },
    Decide {
        seq: u64,
        decision: QuarantineDecision,
        by: String,
        facts: Option<Box<Facts>>,
        reply: Reply<()>,
    },
    /// Time passed; who asked for it hears when all that it brings is done.
    Tick(Option<oneshot::Sender<()>>),
    Copy(Vec<Survivor>),
    Copied {
        segment: u64,
        complete: bool,
    },
    Snapshot(Result<(journal::Position, journal::Digest), DumpError>),
    Stop(oneshot::Sender<()>),
}

impl Command {
    /// Answers that it cannot be done now.
    pub(crate) fn fail(self, why: &str) {
        fn unavailable<T>(reply: Reply<T>, why: &str) {
            // Whoever has stopped waiting needs no answer.
            let _ = reply.send(Err(Refusal::Unavailable(why.to_owned())));
        }
        match self {
            Self::Accept(_, reply) => unavailable(reply, why),
            Self::Receive(_, reply) => unavailable(reply, why),
            Self::Take(_, reply) => unavailable(reply, why),
            Self::Mark(reply) => unavailable(reply, why),
            Self::Propose(_, reply) | Self::Resume { reply, .. } | Self::ChangeIncident(_, reply) => {
                unavailable(reply, why);
            }
            Self::Acknowledge(_, reply) => unavailable(reply, why),
            Self::Unreadable { reply: Some(reply), .. } => unavailable(reply, why),
            Self::AcknowledgeCut { reply, .. } => unavailable(reply, why),
            Self::AcceptClock { reply, .. } => unavailable(reply, why),
            Self::Halt { reply, .. } => unavailable(reply, why),
            Self::UpstreamAcknowledged(_, _, reply)
            | Self::Incident { reply, .. }
            | Self::Shipped(_, reply)
            | Self::Approve(_, _, reply)
            | Self::BackedUp { reply, .. }
            | Self::Close { reply, .. }
            | Self::ForwardStarted(_, _, reply)
            | Self::ForwardOutcome(_, _, reply)
            | Self::Decide { reply, .. } => unavailable(reply, why),
            Self::Registry { reply, .. } => {
                let _ = reply.send(Err(RegistryError::Unavailable(why.to_owned())));
            }
            Self::Refused(_)
            | Self::Unreadable { reply: None, .. }
            | Self::Tell(_)
            | Self::Tick(_)
            | Self::Copy(_)
            | Self::Copied { .. }
            | Self::Snapshot(_)
            | Self::Stop(_) => {}
        }
    }
}
