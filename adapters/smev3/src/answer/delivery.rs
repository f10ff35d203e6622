//! Handing a message over: the sender's octets inside the gateway's envelope (PROTOCOL §3.3, §3.4, §6.4).

use engine::command::{Delivery, Notice};
use engine::registry::Registry;
use xmldsig::{Document, Element, Limits, ParseError, SignError};

use super::{Answer, Author, Metadata, PartyName, notice, signed};
use crate::envelope::Operation;
use crate::mime;
use crate::stored::{DataElement, ExchangeNote, Stored, StoredError};
use crate::translate::Translation;
use crate::version::{Version, XOP};
use crate::xml;

/// Everything that a hand-over needs, read from the spool.
#[derive(Debug)]
pub struct Handover<'h> {
    /// The version of the call.
    pub version: Version,
    /// GetRequest, GetResponse or GetStatus.
    pub operation: Operation,
    /// The message.
    pub delivery: &'h Delivery,
    /// Its part 0.
    pub envelope: &'h [u8],
    /// Its attachments in order.
    pub contents: Vec<Vec<u8>>,
    /// What was noted about the exchange.
    pub note: ExchangeNote,
    /// Whether a message of another version may be written anew.
    pub translate: bool,
}

/// Why a message cannot be handed over. It stays in its queue; an operator must look.
#[derive(Debug, thiserror::Error)]
pub enum HandoverError {
    /// It was sent in another version and the settings forbid to translate.
    #[error("the message is in version {0} and is not translated")]
    OtherVersion(Version),
    /// The format's tag is not one of this adapter.
    #[error("the message has the unknown format {0}")]
    Format(String),
    /// Part 0 cannot be read.
    #[error(transparent)]
    Stored(#[from] StoredError),
    /// A notice cannot be read.
    #[error("a notice cannot be read: {0}")]
    Notice(#[from] serde_json::Error),
    /// The stored element cannot be parsed.
    #[error("the stored element cannot be read: {0}")]
    Parse(#[from] ParseError),
    /// Attachments are missing in the spool.
    #[error("the message has {expected} attachments and {found} contents")]
    Contents {
        /// Headers.
        expected: usize,
        /// Contents.
        found: usize,
    },
    /// The gateway's key failed.
    #[error(transparent)]
    Sign(#[from] SignError),
}

/// Builds the answer with the message in it.
///
/// # Errors
/// [`HandoverError`].
pub fn deliver(author: &Author, registry: &Registry, handover: Handover<'_>) -> Result<Answer, HandoverError> {
    if handover.delivery.format == engine::command::NOTICE_FORMAT {
        return deliver_notice(author, registry, &handover, &serde_json::from_slice(handover.envelope)?);
    }
    let from = Version::from_format(&handover.delivery.format)
        .ok_or_else(|| HandoverError::Format(handover.delivery.format.clone()))?;
    if from != handover.version && !handover.translate {
        return Err(HandoverError::OtherVersion(from));
    }
    let stored = Stored::decode(handover.envelope)?;
    if stored.header.attachments.len() != handover.contents.len() {
        let (expected, found) = (stored.header.attachments.len(), handover.contents.len());
        return Err(HandoverError::Contents { expected, found });
    }
    if handover.operation == Operation::GetStatus || stored.header.element == DataElement::Status {
        return deliver_status(author, registry, &handover, &stored, from);
    }
    deliver_message(author, registry, handover, &stored, from)
}

fn deliver_message(
    author: &Author,
    registry: &Registry,
    handover: Handover<'_>,
    stored: &Stored<'_>,
    from: Version,
) -> Result<Answer, HandoverError> {
    let version = handover.version;
    let data = data_in(&handover, stored, from)?;
    let signature = stored.standalone_signature().map(|signature| {
        format!("<ns2:SenderInformationSystemSignature>{signature}</ns2:SenderInformationSystemSignature>")
    });
    let files = match &stored.header.file_storage {
        Some(list) => Some(rewritten(
            list,
            Translation {
                from,
                to: version,
                original_id: None,
            },
        )?),
        None => None,
    };
    let remote_name = stored.header.remote_name.as_deref();
    let metadata = metadata(author, registry, &handover, remote_name);
    let is_request = handover.operation == Operation::GetRequest;
    let target = |id: &str| {
        let mut out = String::with_capacity(data.len() + 6 * 1024);
        out.push_str(if is_request { "<ns2:Request" } else { "<ns2:Response" });
        out.push_str(&format!(" Id=\"{id}\">"));
        if !is_request {
            put_original(&mut out, handover.delivery, &handover.note);
        }
        out.push_str(&data);
        metadata.put(&mut out, version, None);
        out.push_str(files.as_deref().unwrap_or_default());
        if is_request {
            xml::element(
                &mut out,
                "ns2:ReplyTo",
                handover.delivery.reply_token.as_deref().unwrap_or_default(),
            );
        }
        out.push_str(signature.as_deref().unwrap_or_default());
        out.push_str(if is_request {
            "</ns2:Request>"
        } else {
            "</ns2:Response>"
        });
        out
    };
    let (before, after) = if is_request {
        ("<ns2:RequestMessage>", "</ns2:RequestMessage>")
    } else {
        ("<ns2:ResponseMessage>", "</ns2:ResponseMessage>")
    };
    let list = content_list(stored);
    let envelope = signed(author, version, handover.operation, before, target, &list, after)?;
    let attachments = stored.header.attachments.iter().zip(handover.contents);
    let attachments = attachments.map(|(attachment, octets)| mime::Attachment {
        content_id: mime::content_id(&attachment.content_id),
        content_type: attachment.mime_type.clone(),
        octets,
    });
    Ok(Answer {
        attachments: attachments.collect(),
        envelope,
    })
}

/// The data for the caller: as received where nothing has to change.
fn data_in(handover: &Handover<'_>, stored: &Stored<'_>, from: Version) -> Result<String, HandoverError> {
    let original = handover.delivery.original_message_id.map(|id| id.to_string());
    let standalone = stored.standalone_data();
    let translation = Translation {
        from,
        to: handover.version,
        original_id: original.as_deref(),
    };
    // Only a notice of a bus names the request inside the data; under another name the caller would not know it.
    let renamed =
        original.as_deref().is_some_and(|id| !standalone.contains(id)) && standalone.contains("AsyncProcessingStatus");
    if from == handover.version && !(renamed && has_status(&standalone, from)?) {
        return Ok(standalone);
    }
    rewritten(&standalone, translation)
}

fn has_status(data: &str, version: Version) -> Result<bool, HandoverError> {
    let document = parse(data)?;
    Ok(document
        .root()
        .child(version.types(), "AsyncProcessingStatus")
        .is_some())
}

fn rewritten(text: &str, translation: Translation<'_>) -> Result<String, HandoverError> {
    if translation.from == translation.to && translation.original_id.is_none() {
        return Ok(text.to_owned());
    }
    let document = parse(text)?;
    let mut out = String::with_capacity(text.len() + 256);
    translation.put(&mut out, document.root());
    Ok(out)
}

/// What an upstream's bus said about a message: its own words, in the caller's version, about the caller's identifier.
fn deliver_status(
    author: &Author,
    registry: &Registry,
    handover: &Handover<'_>,
    stored: &Stored<'_>,
    from: Version,
) -> Result<Answer, HandoverError> {
    let data = stored.standalone_data();
    let document = parse(&data)?;
    let types = from.types();
    let status: Element<'_, '_> = document
        .root()
        .child(types, "AsyncProcessingStatus")
        .ok_or(HandoverError::Stored(StoredError))?;
    let original = handover.delivery.original_message_id.map(|id| id.to_string());
    let mut inside = String::with_capacity(data.len() + 256);
    Translation {
        from,
        to: handover.version,
        original_id: original.as_deref(),
    }
    .put(&mut inside, status);
    wrap_status(author, registry, handover, &inside, stored.header.to.as_deref())
}

fn deliver_notice(
    author: &Author,
    registry: &Registry,
    handover: &Handover<'_>,
    notice: &Notice,
) -> Result<Answer, HandoverError> {
    let mut inside = String::with_capacity(2048);
    notice::put(&mut inside, notice, handover.version);
    wrap_status(author, registry, handover, &inside, None)
}

fn wrap_status(
    author: &Author,
    registry: &Registry,
    handover: &Handover<'_>,
    inside: &str,
    to: Option<&str>,
) -> Result<Answer, HandoverError> {
    let version = handover.version;
    let envelope = if handover.operation == Operation::GetStatus {
        let target =
            |id: &str| format!(r#"<ns2:AsyncProcessingStatusData Id="{id}">{inside}</ns2:AsyncProcessingStatusData>"#);
        let (before, after) = ("<ns2:SmevAsyncProcessingMessage>", "</ns2:SmevAsyncProcessingMessage>");
        signed(author, version, handover.operation, before, target, "", after)?
    } else {
        let metadata = metadata(author, registry, handover, None);
        let original = handover
            .delivery
            .original_message_id
            .map(|id| id.to_string())
            .unwrap_or_default();
        let to = handover.delivery.reply_token.as_deref().or(to).unwrap_or(&original);
        let target = |id: &str| {
            let mut out = format!(r#"<ns2:Response Id="{id}">"#);
            put_original(&mut out, handover.delivery, &handover.note);
            out.push_str(r#"<ns2:SenderProvidedResponseData Id="SIGNED_ASYNC_BY_SMEV">"#);
            xml::element(&mut out, "ns2:MessageID", &metadata.message_id.to_string());
            xml::element(&mut out, "ns2:To", to);
            out.push_str(inside);
            out.push_str("</ns2:SenderProvidedResponseData>");
            metadata.put(&mut out, version, None);
            out.push_str("</ns2:Response>");
            out
        };
        let (before, after) = ("<ns2:ResponseMessage>", "</ns2:ResponseMessage>");
        signed(author, version, handover.operation, before, target, "", after)?
    };
    Ok(Answer {
        envelope,
        attachments: Vec::new(),
    })
}

fn put_original(out: &mut String, delivery: &Delivery, note: &ExchangeNote) {
    if let Some(id) = delivery.original_message_id {
        xml::element(out, "ns2:OriginalMessageId", &id.to_string());
    }
    if let Some(code) = &note.transaction_code {
        xml::element(out, "ns2:OriginalTransactionCode", code);
    }
    if let Some(id) = delivery.reference_id {
        xml::element(out, "ns2:ReferenceMessageID", &id.to_string());
    }
}

fn content_list(stored: &Stored<'_>) -> String {
    if stored.header.attachments.is_empty() {
        return String::new();
    }
    let mut out = String::from("<AttachmentContentList>");
    for attachment in &stored.header.attachments {
        let href = format!("cid:{}", mime::content_id(&attachment.content_id));
        out.push_str("<AttachmentContent>");
        xml::element(&mut out, "Id", &attachment.content_id);
        out.push_str(&format!(
            r#"<Content><xop:Include xmlns:xop="{XOP}" href="{href}"/></Content></AttachmentContent>"#
        ));
    }
    out.push_str("</AttachmentContentList>");
    out
}

fn metadata(author: &Author, registry: &Registry, handover: &Handover<'_>, remote_name: Option<&str>) -> Metadata {
    let delivery = handover.delivery;
    let remote = delivery.remote_sender.as_deref();
    Metadata {
        message_id: delivery.message_id,
        message_type: if handover.operation == Operation::GetRequest {
            "REQUEST"
        } else {
            "RESPONSE"
        },
        sender: PartyName::of(&delivery.sender, remote, remote_name, author, registry),
        sent_at: delivery.accepted_at,
        recipient: PartyName::of(&delivery.recipient, None, None, author, registry),
        delivered_at: Some(delivery.delivered_at),
        status: "messageIsDelivered",
    }
}

fn parse(text: &str) -> Result<Document<'_>, ParseError> {
    Document::parse(text.as_bytes(), &Limits::of_accepted())
}
