//! What is brought to the writer, with the beginning of the record that it may become: sealed, written and hashed in
//! the caller's task, because the writer, who puts all records in a row, has the least time of all.

use journal::Prefix;
use vault::SealError;

use crate::command::{Acknowledge, AttachmentFault, Content, Incoming};
use crate::decide::receive::Facts;
use crate::event::{BodyName, Known, Receipt, SentMessage};
use crate::names::{MessageId, Mnemonic, NodeId, Party, UpstreamName};
use crate::protection::{LARGE, Protection, SpoolBody};

/// A message that wants to be accepted.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) sent: SentMessage,
    /// The beginning of the accept event's record.
    pub(crate) beginning: Option<Box<Prefix>>,
    /// For metrics.
    pub(crate) door: &'static str,
    pub(crate) node: Option<NodeId>,
    /// By their numbers.
    pub(crate) parts: Vec<(u16, SpoolBody)>,
    pub(crate) exchange_note: Option<SpoolBody>,
    pub(crate) attachments: Result<(), AttachmentFault>,
    pub(crate) file_references: bool,
    pub(crate) content: Content,
}

impl Offer {
    /// Seals a message and writes the beginning of its record.
    ///
    /// # Errors
    /// A body cannot be sealed: it is not to be accepted.
    pub(crate) fn new(incoming: Incoming, protection: &Protection) -> Result<Self, SealError> {
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
        let mut sealed = Vec::with_capacity(parts.len());
        for part in parts {
            // One after the other, so that only one of them is there twice.
            let body = BodyName::Part(part.number);
            sealed.push((part.number, protection.seal(message_id, body, part.octets)?));
        }
        let exchange_note = exchange_note
            .map(|note| protection.seal(message_id, BodyName::Note, note))
            .transpose()?;
        let files = sealed.iter().filter(|(number, _)| *number != 0).count();
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
        Ok(Self {
            beginning: beginning(Known::Accepted(&sent)),
            sent,
            door,
            node,
            parts: sealed,
            exchange_note,
            attachments,
            file_references,
            content,
        })
    }
}

/// A message that was pulled from an upstream.
#[derive(Debug)]
pub(crate) struct OfferedPull {
    pub(crate) upstream: UpstreamName,
    pub(crate) offer: Offer,
    /// What placing it looks at.
    pub(crate) facts: Facts,
    /// The same for the spool, in case that it must be placed again.
    pub(crate) stored_facts: SpoolBody,
}

impl OfferedPull {
    /// It is sent by the upstream, whatever it says itself.
    ///
    /// # Errors
    /// As [`Offer::new`].
    pub(crate) fn new(upstream: &UpstreamName, incoming: Incoming, protection: &Protection) -> Result<Self, SealError> {
        let facts = Facts::of(&incoming.content);
        let octets = serde_json::to_vec(&facts).expect("facts are plain data, which JSON can hold");
        let sender = Party::Upstream(upstream.clone());
        Ok(Self {
            stored_facts: protection.seal(incoming.message_id, BodyName::Facts, octets)?,
            facts,
            offer: Offer::new(Incoming { sender, ..incoming }, protection)?,
            upstream: upstream.clone(),
        })
    }
}

/// Whether so much is to be sealed that it must not be done on an async thread.
pub(crate) fn is_large(incoming: &Incoming) -> bool {
    incoming.parts.iter().map(|part| part.octets.len()).sum::<usize>() >= LARGE
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
