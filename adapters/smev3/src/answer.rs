//! Building what the gateway answers: the element structures of PROTOCOL §3, signed as §6.1 demands.

mod delivery;
mod metadata;
pub(crate) mod notice;

use std::sync::Arc;

use engine::command::{Accepted, Delivery, MessageType};
use engine::event::BodyName;
use engine::names::{MessageId, Mnemonic, Party};
use engine::registry::Registry;
use jiff::Timestamp;
use xmldsig::{Document, Limits, SignError};

use crate::envelope::{ENVELOPE_HEAD, ENVELOPE_TAIL, Operation};
use crate::mime;
use crate::version::Version;
use crate::xml;

pub use delivery::{Handover, HandoverError, deliver};
use metadata::Metadata;
pub use metadata::PartyName;

/// The Id of what the bus signs.
const SIGNED_BY_SMEV: &str = "SIGNED_BY_SMEV";

/// In whose name answers are signed.
#[derive(Clone)]
pub struct Author {
    /// The gateway's own mnemonic.
    pub mnemonic: Mnemonic,
    /// Its name for people.
    pub name: String,
    /// Its key.
    pub signer: Arc<dyn gost::Signer>,
    /// The key's certificate.
    pub certificate: gost::Certificate,
}

/// An answer before it is put on the wire.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The SOAP envelope.
    pub envelope: String,
    /// What goes beside it by MTOM.
    pub attachments: Vec<mime::Attachment>,
}

impl Answer {
    fn plain(body: &str) -> Self {
        Self {
            envelope: crate::envelope::envelope(body),
            attachments: Vec::new(),
        }
    }

    /// Content-Type and octets: plain XML, or multipart where there are attachments.
    pub fn into_http(self) -> (String, Vec<u8>) {
        if self.attachments.is_empty() {
            return (PLAIN_CONTENT_TYPE.to_owned(), self.envelope.into_bytes());
        }
        mime::write(&self.envelope, &self.attachments)
    }
}

/// The Content-Type of answers without attachments.
pub const PLAIN_CONTENT_TYPE: &str = "text/xml; charset=UTF-8";

/// `SendRequestResponse` or `SendResponseResponse`.
///
/// # Errors
/// [`SignError`]: the gateway's key failed.
pub fn accepted(
    author: &Author,
    registry: &Registry,
    version: Version,
    sender: &Mnemonic,
    id: MessageId,
    accepted: &Accepted,
) -> Result<Answer, SignError> {
    let (operation, status) = match (accepted.message_type, version) {
        (MessageType::Request, _) => (Operation::SendRequest, "requestIsQueued"),
        (_, Version::V1_3) => (Operation::SendResponse, "responseIsQueued"),
        (_, _) => (Operation::SendResponse, "responseIsAcceptedBySmev"),
    };
    let metadata = Metadata {
        message_id: id,
        message_type: if operation == Operation::SendRequest {
            "REQUEST"
        } else {
            "RESPONSE"
        },
        sender: PartyName::of(&Party::Participant(sender.clone()), None, None, author, registry),
        sent_at: accepted.at,
        recipient: PartyName::of(&accepted.recipient, None, None, author, registry),
        delivered_at: None,
        status,
    };
    let target = |id: &str| {
        let mut out = String::with_capacity(700);
        metadata.put(&mut out, version, Some(id));
        out
    };
    signed(author, version, operation, "", target, "", "").map(|envelope| Answer {
        envelope,
        attachments: Vec::new(),
    })
}

/// `AckResponse`, or the childless answer of an empty queue.
pub fn empty(version: Version, operation: Operation) -> Answer {
    Answer::plain(&format!(
        "<ns2:{}{}/>",
        operation.response_element(),
        version.declarations()
    ))
}

/// `GetIncomingQueueStatisticsResponse`.
pub fn statistics(version: Version, queues: &[(String, u64)]) -> Answer {
    let name = Operation::GetIncomingQueueStatistics.response_element();
    let mut body = format!("<ns2:{name}{}>", version.declarations());
    for (queue, waiting) in queues {
        let queue = xml::attribute(xml::shortened(queue, 200)).into_owned();
        body.push_str(&format!(
            r#"<ns2:QueueStatistics queueName="{queue}" pendingMessageNumber="{waiting}"/>"#
        ));
    }
    body.push_str(&format!("</ns2:{name}>"));
    Answer::plain(&body)
}

/// Builds an envelope in which one element is signed by the gateway.
///
/// The body is `before`, the element, `between`, its signature in `SMEVSignature`, `after`. The element is made by
/// `target` for a given Id: where what a sender wrote uses the usual one, another is taken, as Ids must be unique.
fn signed(
    author: &Author,
    version: Version,
    operation: Operation,
    before: &str,
    target: impl Fn(&str) -> String,
    between: &str,
    after: &str,
) -> Result<String, SignError> {
    let mut element = target(SIGNED_BY_SMEV);
    let signature = match sign(author, version, &element) {
        Err(SignError::DuplicateId) => {
            element = target(&format!("{SIGNED_BY_SMEV}_{}", uuid::Uuid::new_v4()));
            sign(author, version, &element)?
        }
        other => other?,
    };
    let name = operation.response_element();
    let mut out = String::with_capacity(element.len() + between.len() + signature.len() + 1024);
    out.push_str(ENVELOPE_HEAD);
    out.push_str("<ns2:");
    out.push_str(name);
    out.push_str(&version.declarations());
    out.push('>');
    out.push_str(before);
    out.push_str(&element);
    out.push_str(between);
    out.push_str("<ns2:SMEVSignature>");
    out.push_str(&signature);
    out.push_str("</ns2:SMEVSignature>");
    out.push_str(after);
    out.push_str("</ns2:");
    out.push_str(name);
    out.push('>');
    out.push_str(ENVELOPE_TAIL);
    Ok(out)
}

/// Signs an element that stands under the usual declarations.
fn sign(author: &Author, version: Version, element: &str) -> Result<String, SignError> {
    let text = format!("<ns2:R{}>{element}</ns2:R>", version.declarations());
    let document = Document::parse(text.as_bytes(), &Limits::of_accepted())?;
    let target = document.root().children().next().ok_or(SignError::NoId)?;
    xmldsig::sign(target, &*author.signer, &author.certificate)
}

/// Octets of memory that a hand-over of a message takes, the tree not counted: everything as it is read from the spool and
/// once more in the answer, and the envelope as it is put together, signed, and put together again.
pub fn room(delivery: &Delivery) -> u64 {
    let parts = delivery.parts.iter().map(|body| {
        let copies = if body.name == BodyName::Part(0) { 6 } else { 2 };
        copies * u64::from(body.place.len)
    });
    let note = delivery.exchange_note.map_or(0, |note| u64::from(note.place.len));
    parts.sum::<u64>() + note
}

/// A moment as the bus writes it: Moscow time with milliseconds.
fn moment(at: Timestamp) -> String {
    let local = crate::request::MOSCOW.to_datetime(at);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}+03:00",
        local.year(),
        local.month(),
        local.day(),
        local.hour(),
        local.minute(),
        local.second(),
        local.millisecond()
    )
}

#[cfg(test)]
mod tests;
