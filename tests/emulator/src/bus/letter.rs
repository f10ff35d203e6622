//! A message on the bus: what its sender signed, and how it looks to whoever takes it.

use std::collections::HashMap;

use jiff::Timestamp;

use super::knobs::WrongSignature;
use super::ledger::Message;
use crate::identity::Identity;
use crate::message::{Attachment, Metadata, Party, Selector};
use crate::version::{Operation, Version};
use crate::wire::writer::{Style, Writer};
use crate::wire::{time, write};

/// The Id of what the bus signs.
const SIGNED_ID: &str = "SIGNED_BY_SMEV";

/// A message that waits in a queue.
#[derive(Debug)]
pub(super) struct Letter {
    pub(super) id: String,
    pub(super) kind: (String, String),
    pub(super) node: Option<String>,
    pub(super) sender: Party,
    pub(super) recipient: Party,
    pub(super) sent_at: Timestamp,
    pub(super) message: Message,
    /// Requests only.
    pub(super) reply_to: Option<String>,
    /// Answers only.
    pub(super) original_message_id: Option<String>,
    pub(super) original_transaction_code: Option<String>,
    pub(super) signed: Signed,
}

/// What the sender signed, in every version in which it has been needed so far.
#[derive(Debug)]
pub(super) struct Signed {
    /// Who signs what is needed in another version; a participant's own key is not at hand.
    author: Option<Identity>,
    versions: HashMap<Version, (String, String)>,
}

impl Signed {
    /// What came over the wire: the element and the signature, both self-contained.
    pub(super) fn received(version: Version, element: String, signature: String) -> Signed {
        Signed {
            author: None,
            versions: HashMap::from([(version, (element, signature))]),
        }
    }

    /// What a federal participant will sign when it is known in which version.
    pub(super) fn by(author: Identity) -> Signed {
        Signed {
            author: Some(author),
            versions: HashMap::new(),
        }
    }

    /// Element and signature in this version. A participant's message in another version than its own is written
    /// again, with its signature beside it that does not hold any more (as on the real bus).
    fn in_version(&mut self, version: Version, message: &Message) -> Result<(String, String), xmldsig::SignError> {
        if let Some(written) = self.versions.get(&version) {
            return Ok(written.clone());
        }
        let style = Style::bus(version);
        let element = match message {
            Message::Request(data) => write::request_data(style, data, "SENDER_SIGNED"),
            Message::Response(data) => write::response_data(style, data, "SENDER_SIGNED"),
        };
        let signature = match &self.author {
            Some(author) => author.sign(&element)?,
            None => self
                .versions
                .values()
                .next()
                .map(|(_, signature)| signature.clone())
                .unwrap_or_default(),
        };
        self.versions.insert(version, (element.clone(), signature.clone()));
        Ok((element, signature))
    }
}

impl Letter {
    /// Whether a Get call with this selector wants it.
    pub(super) fn matches(&self, selector: &Selector, any_node: bool) -> bool {
        (any_node || self.node == selector.node_id) && selector.kind.as_ref().is_none_or(|kind| *kind == self.kind)
    }

    /// The files that travel beside it.
    pub(super) fn attachments(&self) -> &[Attachment] {
        match &self.message {
            Message::Request(data) => &data.attachments,
            Message::Response(data) => data.reply.attachments(),
        }
    }

    /// The body of the answer that delivers it.
    pub(super) fn delivery(
        &mut self,
        version: Version,
        now: Timestamp,
        bus: &Seal<'_>,
        files_as_parts: bool,
    ) -> Result<String, xmldsig::SignError> {
        let (element, signature) = self.signed.in_version(version, &self.message)?;
        let style = Style::bus(version);
        let (answer, message, root, kind_of_message) = match &self.message {
            Message::Request(_) => ("GetRequestResponse", "RequestMessage", "Request", "REQUEST"),
            Message::Response(_) => ("GetResponseResponse", "ResponseMessage", "Response", "RESPONSE"),
        };
        let metadata = Metadata {
            message_id: Some(self.id.clone()),
            message_type: kind_of_message.to_owned(),
            sender: Some(self.sender.clone()),
            sending_timestamp: time::date_time(self.sent_at),
            recipient: Some(self.recipient.clone()),
            delivery_timestamp: Some(time::date_time(now)),
            status: Some(version.delivered_status().to_owned()),
        };
        // Ids are unique in a document, and the sender chose first.
        let id = if element.contains(SIGNED_ID) {
            "SIGNED_BY_SMEV_HERE"
        } else {
            SIGNED_ID
        };

        let mut w = Writer::new(style);
        w.open_root_t(root, &format!("Id=\"{id}\""));
        w.t_some("OriginalMessageId", self.original_message_id.as_deref());
        w.t_some("OriginalTransactionCode", self.original_transaction_code.as_deref());
        w.raw(&element);
        w.raw(&write::metadata(style, &metadata, None));
        w.t_some("ReplyTo", self.reply_to.as_deref());
        write::signature_t(
            &mut w,
            "SenderInformationSystemSignature",
            Some(&signature).filter(|s| !s.is_empty()).map(String::as_str),
        );
        w.close_t(root);
        let signed = w.finish();
        let seal = bus.over(&signed)?;

        let mut w = Writer::new(style);
        w.open_root_t(answer, "");
        w.open_t(message);
        w.raw(&signed);
        write::attachment_contents(&mut w, self.attachments(), files_as_parts);
        write::signature_t(&mut w, "SMEVSignature", seal.as_deref());
        w.close_t(message);
        w.close_t(answer);
        Ok(w.finish())
    }
}

/// The bus's signature, sound or bad as the knobs want it.
pub(super) struct Seal<'b> {
    pub(super) bus: &'b Identity,
    pub(super) stranger: &'b Identity,
    pub(super) wrong: Option<WrongSignature>,
}

impl Seal<'_> {
    /// The text of `ds:Signature` over the fragment.
    pub(super) fn over(&self, fragment: &str) -> Result<Option<String>, xmldsig::SignError> {
        Ok(match self.wrong {
            None => Some(self.bus.sign(fragment)?),
            Some(WrongSignature::OtherKey) => Some(self.stranger.sign(fragment)?),
            Some(WrongSignature::BrokenValue) => Some(spoil(&self.bus.sign(fragment)?, "SignatureValue>")),
            Some(WrongSignature::BrokenDigest) => Some(spoil(&self.bus.sign(fragment)?, "DigestValue>")),
            Some(WrongSignature::Missing) => None,
        })
    }

    /// The body of the answer to SendRequest or SendResponse.
    pub(super) fn receipt(
        &self,
        operation: Operation,
        version: Version,
        metadata: &Metadata,
    ) -> Result<String, xmldsig::SignError> {
        let style = Style::bus(version);
        let name = format!("{operation}Response");
        let signed = write::metadata(style, metadata, Some(SIGNED_ID));
        let seal = self.over(&signed)?;
        let mut w = Writer::new(style);
        w.open_root_t(&name, "");
        w.raw(&signed);
        write::signature_t(&mut w, "SMEVSignature", seal.as_deref());
        w.close_t(&name);
        Ok(w.finish())
    }

    /// The body of the answer to GetStatus.
    pub(super) fn status(
        &self,
        version: Version,
        status: &crate::message::AsyncStatus,
    ) -> Result<String, xmldsig::SignError> {
        let style = Style::bus(version);
        let signed = write::async_status_data(style, status, SIGNED_ID);
        let seal = self.over(&signed)?;
        let mut w = Writer::new(style);
        w.open_root_t("GetStatusResponse", "");
        w.open_t("SmevAsyncProcessingMessage");
        w.raw(&signed);
        write::signature_t(&mut w, "SMEVSignature", seal.as_deref());
        w.close_t("SmevAsyncProcessingMessage");
        w.close_t("GetStatusResponse");
        Ok(w.finish())
    }
}

/// Changes the first character of the base64 text after `tag`.
fn spoil(signature: &str, tag: &str) -> String {
    let Some(at) = signature.find(tag).map(|at| at + tag.len()) else {
        return String::new();
    };
    let other = if signature[at..].starts_with('A') { "B" } else { "A" };
    format!("{}{other}{}", &signature[..at], &signature[at + 1..])
}
