//! What the outside asks of the engine, and what it answers: plain data, no wire formats.

mod delivery;
mod forward;
mod halting;
mod incident;
mod incoming;
mod keeping;
mod operator;
mod refusal;

pub use delivery::{Acknowledge, Acknowledged, BodyRef, Delivery, NOTICE_FORMAT, Notice, NoticeReason, Take, TakeFrom};
pub use forward::{ForwardOutcome, Lane, LaneHead};
pub use halting::Halting;
pub(crate) use incident::IncidentChange;
pub use incoming::{
    Accepted, Answer, AnswerTo, AttachmentFault, Content, Evidence, Incoming, MessageType, Part, PayloadRoot, Received,
    RoutingFacts, SchemaVerdict,
};
pub use keeping::ShippedSegment;
pub use operator::{
    AcceptedClock, NotedCut, QuarantineDecision, Quarantined, QueueStatus, QueuedMessage, RegistryChange, RegistryDiff,
};
pub use refusal::{NoRecipient, QueueLimit, Refusal, RefusedCall, Standing};
