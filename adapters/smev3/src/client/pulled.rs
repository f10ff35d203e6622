//! What an upstream holds for the region, from its answer to what the engine accepts.
//!
//! The bus signs the whole of `T:Request`, `T:Response` or `T:AsyncProcessingStatusData`; that signature is verified
//! against the pinned signers before anything inside is believed, and is the evidence of the message. The sender's data
//! and signature, the list of files in a file storage, and the ReplyTo are kept as received.

use engine::command::{
    Answer as Form, AnswerTo, AttachmentFault, Content, Evidence, Incoming, Part, RoutingFacts, SchemaVerdict,
};
use engine::names::{MessageId, Party, UpstreamName};
use engine::registry::Registry;
use gost::DigestAlgorithm;
use xmldsig::{Document, Element, Limits};

use super::answer::Answer;
use super::error::ClientError;
use super::trust::TrustedSigners;
use crate::attachments::{self, TakenOut};
use crate::envelope::Operation;
use crate::facts;
use crate::fault::Fault;
use crate::request::{self, Sent};
use crate::splice;
use crate::stored::{self, DataElement, ExchangeNote, Header, StoredAttachment};
use crate::version::{Version, XMLDSIG};

/// The label of what came from an upstream, in metrics and journal: no door brought it.
const DOOR: &str = "upstream";

/// A message that was pulled from an upstream, verified, ready for the engine.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// For the engine.
    pub incoming: Incoming,
    /// What to acknowledge upstream once it is committed; nothing for GetStatus, where the upstream waits for no Ack.
    pub acknowledge: Option<MessageId>,
}

/// What reading needs to know.
pub(super) struct Reader<'a> {
    pub(super) upstream: &'a UpstreamName,
    pub(super) trusted: &'a TrustedSigners,
    pub(super) registry: &'a Registry,
    /// For a status, which has no identifier of its own.
    pub(super) fresh_id: MessageId,
}

impl Reader<'_> {
    /// The message in an answer to GetRequest, GetResponse or GetStatus; `None` when the queue is empty.
    pub(super) fn read(&self, answer: &Answer<'_>, operation: Operation) -> Result<Option<Pulled>, ClientError> {
        let document = answer.document()?;
        let Some(found) = Found::find(answer, &document, operation)? else {
            return Ok(None);
        };
        // What MTOM took out of the signed element was signed inside it.
        let taken = match &answer.parts {
            Some(parts) => TakenOut::find(found.signed, parts).map_err(unreadable)?,
            None => None,
        };
        let Some(taken) = taken else {
            return self.read_found(answer, &document, &found, operation).map(Some);
        };
        // A part stands in one place, so that the whole is no larger than a third more than the answer, which is bounded.
        let restored = taken.restore(document.source()).map_err(unreadable)?;
        let document = Document::parse(restored.as_bytes(), &Limits::of_size(restored.len()))
            .map_err(|error| ClientError::Protocol(format!("after MTOM was undone: {error}")))?;
        let Some(found) = Found::find(answer, &document, operation)? else {
            return Ok(None);
        };
        self.read_found(answer, &document, &found, operation).map(Some)
    }

    fn read_found(
        &self,
        answer: &Answer<'_>,
        document: &Document<'_>,
        found: &Found<'_, '_>,
        operation: Operation,
    ) -> Result<Pulled, ClientError> {
        let signature = found.message.child(found.version.types(), "SMEVSignature");
        let evidence = self.trusted.verify(document, signature, found.signed)?;
        let source = Source {
            reader: self,
            answer,
            version: found.version,
            message: found.message,
            signed: found.signed,
        };
        match operation {
            Operation::GetRequest => source.request(evidence),
            Operation::GetResponse => source.response(evidence),
            _ => source.status(evidence),
        }
    }
}

/// A message found by its place, nothing in it verified.
struct Found<'d, 'a> {
    version: Version,
    /// `RequestMessage` and its like.
    message: Element<'d, 'a>,
    /// What the bus signs.
    signed: Element<'d, 'a>,
}

impl<'d, 'a> Found<'d, 'a> {
    /// `None` when the queue is empty.
    fn find(
        answer: &Answer<'_>,
        document: &'d Document<'a>,
        operation: Operation,
    ) -> Result<Option<Self>, ClientError> {
        let Some((version, result)) = answer.result(document, operation)? else {
            return Ok(None);
        };
        if !result.has_element_children() {
            return Ok(None);
        }
        let (message, signed) = match operation {
            Operation::GetRequest => ("RequestMessage", "Request"),
            Operation::GetResponse => ("ResponseMessage", "Response"),
            _ => ("SmevAsyncProcessingMessage", "AsyncProcessingStatusData"),
        };
        let only = |parent: Element<'d, 'a>, name| {
            parent
                .only_child(version.types(), name)
                .map_err(|error| protocol(name, error))
        };
        let message = only(result, message)?;
        Ok(Some(Self {
            version,
            message,
            signed: only(message, signed)?,
        }))
    }
}

/// A verified message in its answer.
struct Source<'r, 'd, 'a> {
    reader: &'r Reader<'r>,
    answer: &'r Answer<'a>,
    version: Version,
    /// `RequestMessage` and its like.
    message: Element<'d, 'a>,
    /// What the bus signed.
    signed: Element<'d, 'a>,
}

impl Source<'_, '_, '_> {
    fn request(&self, evidence: Evidence) -> Result<Pulled, ClientError> {
        let data = self.data("SenderProvidedRequestData")?;
        let sent = request::request(data, self.version).map_err(|fault| refused(&fault))?;
        let payload = sent
            .payload
            .ok_or_else(|| ClientError::Protocol("there is no payload".to_owned()))?;
        let root = request::root_of(payload);
        let routing = RoutingFacts {
            payload: facts::of_request(payload, &root, self.reader.registry),
            ..RoutingFacts::default()
        };
        let note = ExchangeNote {
            transaction_code: sent.transaction_code.clone(),
            upstream_reply_to: self.text("ReplyTo"),
        };
        let content = Content::Request {
            root,
            routing,
            schema: SchemaVerdict::NotChecked,
        };
        self.pulled(
            DataElement::Request,
            data,
            &sent,
            None,
            content,
            note.encode(),
            evidence,
        )
    }

    fn response(&self, evidence: Evidence) -> Result<Pulled, ClientError> {
        let data = self.data("SenderProvidedResponseData")?;
        let response = request::response(data, self.version).map_err(|fault| refused(&fault))?;
        let answer = match response.answer {
            request::Answer::Payload(payload) => Form::Payload(request::root_of(payload)),
            request::Answer::Rejected => Form::Rejected,
            request::Answer::Status => Form::Status,
            request::Answer::Async(status) => self.async_form(status),
        };
        let about = match response.answer {
            request::Answer::Async(status) => status.child(self.version.types(), "OriginalMessageId"),
            _ => None,
        };
        let named = self
            .text("OriginalMessageId")
            .or_else(|| about.map(|element| element.text().trim().to_owned()));
        let content = Content::Response {
            to: answer_to(named),
            answer,
            schema: SchemaVerdict::NotChecked,
        };
        self.pulled(
            DataElement::Response,
            data,
            &response.sent,
            Some(response.to.clone()),
            content,
            None,
            evidence,
        )
    }

    /// A status about an answer of ours. It has neither an identifier nor attachments nor an Ack.
    fn status(&self, evidence: Evidence) -> Result<Pulled, ClientError> {
        let types = self.version.types();
        let status = self.signed.only_child(types, "AsyncProcessingStatus");
        let status = status.map_err(|error| protocol("AsyncProcessingStatus", error))?;
        let original = status
            .child(types, "OriginalMessageId")
            .map(|element| element.text().trim().to_owned());
        let header = self.header(DataElement::Status, self.signed, self.reader.fresh_id.to_string());
        let content = Content::Response {
            to: answer_to(original),
            answer: self.async_form(status),
            schema: SchemaVerdict::NotChecked,
        };
        let incoming = Incoming {
            door: DOOR,
            sender: Party::Upstream(self.reader.upstream.clone()),
            remote_sender: None,
            message_id: self.reader.fresh_id,
            reference_id: None,
            node: None,
            end_of_life: None,
            test: false,
            format: self.version.format().to_owned(),
            parts: vec![Part {
                number: 0,
                octets: stored::encode(&header, self.signed.source(), None),
            }],
            exchange_note: None,
            attachments: Ok(()),
            file_references: false,
            evidence,
            content,
        };
        Ok(Pulled {
            incoming,
            acknowledge: None,
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "two callers in this file; a struct would only repeat the names"
    )]
    fn pulled(
        &self,
        element: DataElement,
        data: Element<'_, '_>,
        sent: &Sent<'_, '_>,
        to: Option<String>,
        content: Content,
        exchange_note: Option<Vec<u8>>,
        mut evidence: Evidence,
    ) -> Result<Pulled, ClientError> {
        let message_id = identifier(&sent.message_id)?;
        let files = self.attachments(sent)?;
        let signature = self.senders_signature();
        let mut header = self.header(element, data, sent.message_id.clone());
        header.signature_scope = signature.map(splice::inherited).unwrap_or_default();
        header.reference_id = sent.reference_id.map(|id| id.to_string());
        header.transaction_code.clone_from(&sent.transaction_code);
        header.end_of_life = sent.end_of_life.as_ref().map(|(_, text)| text.clone());
        header.to = to;
        header.test = sent.test;
        header.attachments = sent.attachments.iter().map(stored_attachment).collect();
        let envelope = stored::encode(&header, data.source(), signature.map(Element::source));

        let digest = |octets: &Vec<u8>| hex::encode(DigestAlgorithm::Streebog256.hash(octets).as_ref());
        evidence.attachments = files.iter().map(digest).collect();
        let numbered = (0_u16..).zip(std::iter::once(envelope).chain(files));
        let incoming = Incoming {
            door: DOOR,
            sender: Party::Upstream(self.reader.upstream.clone()),
            remote_sender: self.metadata("Mnemonic"),
            message_id,
            reference_id: sent.reference_id,
            // The sub-queue is the sender's own business, behind the upstream.
            node: None,
            end_of_life: sent.end_of_life.as_ref().map(|(at, _)| *at),
            test: sent.test,
            format: self.version.format().to_owned(),
            parts: numbered.map(|(number, octets)| Part { number, octets }).collect(),
            exchange_note,
            attachments: Ok(()),
            // Files that come with their access data need no file storage of ours.
            file_references: sent.file_references && header.file_storage.is_none(),
            evidence,
            content,
        };
        Ok(Pulled {
            incoming,
            acknowledge: Some(message_id),
        })
    }

    fn header(&self, element: DataElement, data: Element<'_, '_>, message_id: String) -> Header {
        let storage = self.signed.child(self.version.basic(), "FSAttachmentsList");
        Header {
            data_scope: splice::inherited(data),
            file_storage: storage.map(splice::standalone),
            remote_name: self.metadata("HumanReadableName"),
            ..Header::new(self.version, element, message_id)
        }
    }

    fn data(&self, name: &'static str) -> Result<Element<'_, '_>, ClientError> {
        self.signed
            .only_child(self.version.types(), name)
            .map_err(|error| protocol(name, error))
    }

    /// The text of a child of what the bus signed.
    fn text(&self, name: &str) -> Option<String> {
        let text = self.signed.child(self.version.types(), name)?.text().trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    fn metadata(&self, name: &str) -> Option<String> {
        let types = self.version.types();
        let sender = self.signed.child(types, "MessageMetadata")?.child(types, "Sender")?;
        let text: String = sender.child(types, name)?.text().trim().chars().take(500).collect();
        (!text.is_empty()).then_some(text)
    }

    fn senders_signature(&self) -> Option<Element<'_, '_>> {
        let wrapper = self
            .signed
            .child(self.version.types(), "SenderInformationSystemSignature")?;
        wrapper.child(XMLDSIG, "Signature")
    }

    fn async_form(&self, status: Element<'_, '_>) -> Form {
        let category = status.child(self.version.types(), "StatusCategory").map(Element::text);
        let category = category.as_deref().map(str::trim);
        Form::Async {
            rejection: matches!(category, Some("requestIsRejectedBySmev" | "responseIsRejectedBySmev")),
        }
    }

    fn attachments(&self, sent: &Sent<'_, '_>) -> Result<Vec<Vec<u8>>, ClientError> {
        // The size of the whole answer is bounded already.
        let parts = self.answer.parts.as_ref();
        attachments::contents(self.message, self.version, &sent.attachments, parts, u64::MAX).map_err(unreadable)
    }
}

fn stored_attachment(header: &request::AttachmentHeader) -> StoredAttachment {
    StoredAttachment {
        content_id: header.content_id.clone(),
        mime_type: header.mime_type.clone(),
    }
}

/// An answer that names no request of ours in a form that could be one has an empty token: nobody's.
fn answer_to(original: Option<String>) -> AnswerTo {
    let original = original.and_then(|text| text.parse().ok());
    original.map_or_else(|| AnswerTo::Token(String::new()), AnswerTo::Original)
}

fn identifier(text: &str) -> Result<MessageId, ClientError> {
    text.parse()
        .map_err(|_| ClientError::Protocol("MessageID is not a UUID of version 1 in lower case".to_owned()))
}

fn protocol(what: &str, error: xmldsig::ChildError) -> ClientError {
    ClientError::Protocol(format!("{what}: {error}"))
}

fn unreadable(fault: AttachmentFault) -> ClientError {
    ClientError::Protocol(fault.to_string())
}

fn refused(fault: &Fault) -> ClientError {
    ClientError::Protocol(fault.text.clone())
}
