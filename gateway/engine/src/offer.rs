//! What is brought to the writer, with the beginning of the record that it may become: written and hashed in the
//! caller's task, because the writer, who puts all records in a row, has the least time of all.

use journal::Prefix;

use crate::command::{Acknowledge, AttachmentFault, Content, Incoming, Part};
use crate::event::{Known, Receipt, SentMessage};
use crate::names::{MessageId, Mnemonic, NodeId, Party, UpstreamName};

/// A message that wants to be accepted.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) sent: SentMessage,
    /// The beginning of the accept event's record.
    pub(crate) beginning: Option<Box<Prefix>>,
    /// For metrics.
    pub(crate) door: &'static str,
    pub(crate) node: Option<NodeId>,
    pub(crate) parts: Vec<Part>,
    pub(crate) exchange_note: Option<Vec<u8>>,
    pub(crate) attachments: Result<(), AttachmentFault>,
    pub(crate) file_references: bool,
    pub(crate) content: Content,
}

impl From<Incoming> for Offer {
    fn from(incoming: Incoming) -> Self {
        let Incoming {
            door,
            sender,
            remote_sender,
            message_id,
            reference_id,
            node,
            end_of_life,
            test,
            format,
            parts,
            exchange_note,
            attachments,
            file_references,
            evidence,
            content,
        } = incoming;
        let files = parts.iter().filter(|part| part.number != 0).count();
        let sent = SentMessage {
            id: message_id,
            door: door.to_owned(),
            sender,
            remote_sender,
            reference: reference_id,
            end_of_life,
            test,
            format,
            attachments: u16::try_from(files).unwrap_or(u16::MAX),
            evidence: Some(evidence),
        };
        Self {
            beginning: beginning(Known::Accepted(&sent)),
            sent,
            door,
            node,
            parts,
            exchange_note,
            attachments,
            file_references,
            content,
        }
    }
}

impl Offer {
    /// What was pulled from an upstream is sent by the upstream, whatever it says itself.
    pub(crate) fn pulled(upstream: &UpstreamName, incoming: Incoming) -> Self {
        let sender = Party::Upstream(upstream.clone());
        Incoming { sender, ..incoming }.into()
    }
}

/// An Ack.
#[derive(Debug)]
pub(crate) struct OfferedAck {
    pub(crate) participant: Mnemonic,
    pub(crate) target: MessageId,
    pub(crate) receipt: Receipt,
    /// The beginning of its event's record.
    pub(crate) beginning: Option<Box<Prefix>>,
}

impl From<Acknowledge> for OfferedAck {
    fn from(ack: Acknowledge) -> Self {
        let Acknowledge {
            participant,
            target,
            accepted,
            evidence,
        } = ack;
        let receipt = Receipt { accepted, evidence };
        Self {
            beginning: beginning(Known::Acknowledged(&receipt)),
            participant,
            target,
            receipt,
        }
    }
}

/// None if it cannot be written, and then the writer, who tries the whole event, says why.
pub(crate) fn beginning(known: Known<'_>) -> Option<Box<Prefix>> {
    Prefix::new(&known).ok().map(Box::new)
}
