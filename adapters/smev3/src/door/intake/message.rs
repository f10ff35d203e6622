//! SendRequest and SendResponse under a verified signature: what the engine is asked to accept.

use engine::command::{
    Answer as AnswerKind, AnswerTo, Content, Incoming, Part, PayloadRoot, Refusal, RoutingFacts, SchemaVerdict,
};
use engine::names::{MessageId, Mnemonic, Party};
use engine::registry::{Direction, May};
use xmldsig::{Cause, Document, Element, SignatureElement};

use super::{Reading, Refused, Verified, evidence};
use crate::attachments;
use crate::door::DOOR;
use crate::envelope::Call;
use crate::facts;
use crate::fault::{Fault, FaultName, SignatureCause};
use crate::mime::Multipart;
use crate::request::{self, Answer, Sent, Signed};
use crate::splice;
use crate::stored::{self, DataElement, ExchangeNote, Header, StoredAttachment};
use crate::version::Version;

impl Reading<'_> {
    pub(super) fn request(
        &self,
        document: &Document<'_>,
        call: Call<'_, '_>,
        signed: Signed<'_, '_>,
        verified: &Verified<'_>,
        multipart: Option<&Multipart<'_>>,
        progress: &mut Refused,
    ) -> Result<Incoming, Fault> {
        let sent = request::request(signed.target, call.version)?;
        let id = message_id(&sent.message_id)?;
        progress.message_id = Some(id);
        let payload = sent.payload.ok_or_else(|| request::missing("MessagePrimaryContent"))?;
        let root = request::root_of(payload);
        let routing = match call.version {
            Version::V1_3 => self.routing(document, call, verified, &sent)?,
            Version::V1_1 | Version::V1_2 => None,
        };
        let sender = verified.recognised.participant.mnemonic.clone();
        let known = self.registry.kind_by_root(&root.namespace, &root.local);
        let contents = self.contents(call, &sent, multipart);
        let contents = contents.map_err(|fault| self.more_urgent(&sender, &root, May::Request).unwrap_or(fault))?;
        let mut facts = RoutingFacts::default();
        if let Some((kind, Direction::Request)) = known {
            facts.payload = facts::values(payload, self.registry.payload_paths(&kind.name));
        }
        let mut header = header(call.version, DataElement::Request, signed, &sent, None);
        if let Some(routing) = routing {
            header.routing = Some(splice::standalone(routing.information));
            facts.dynamic = routing.dynamic;
            facts.identifier = routing.identifier;
        }
        let schema = self.schema(&sender, payload, &root, Direction::Request)?;
        let note = ExchangeNote {
            transaction_code: sent.transaction_code.clone(),
            upstream_reply_to: None,
        };
        let content = Content::Request {
            root,
            routing: facts,
            schema,
        };
        Ok(incoming(
            Envelope {
                header,
                signed,
                verified,
                sent,
                contents,
                note,
            },
            id,
            content,
        ))
    }

    pub(super) fn response(
        &self,
        call: Call<'_, '_>,
        signed: Signed<'_, '_>,
        verified: &Verified<'_>,
        multipart: Option<&Multipart<'_>>,
        progress: &mut Refused,
    ) -> Result<Incoming, Fault> {
        let response = request::response(signed.target, call.version)?;
        let sent = response.sent;
        let id = message_id(&sent.message_id)?;
        progress.message_id = Some(id);
        let sender = verified.recognised.participant.mnemonic.clone();
        let (answer, schema) = match response.answer {
            Answer::Payload(payload) => {
                let root = request::root_of(payload);
                let schema = self.schema(&sender, payload, &root, Direction::Response)?;
                (AnswerKind::Payload(root), schema)
            }
            Answer::Rejected => (AnswerKind::Rejected, SchemaVerdict::NotChecked),
            Answer::Status => (AnswerKind::Status, SchemaVerdict::NotChecked),
            Answer::Async(_) => return Err(Fault::invalid("AsyncProcessingStatus отправляет только СМЭВ.")),
        };
        let contents = self.contents(call, &sent, multipart);
        let contents = contents.map_err(|fault| match &answer {
            AnswerKind::Payload(root) => self.more_urgent(&sender, root, May::Provide).unwrap_or(fault),
            _ => fault,
        })?;
        let header = header(
            call.version,
            DataElement::Response,
            signed,
            &sent,
            Some(response.to.clone()),
        );
        let content = Content::Response {
            to: AnswerTo::Token(response.to),
            answer,
            schema,
        };
        let note = ExchangeNote::default();
        Ok(incoming(
            Envelope {
                header,
                signed,
                verified,
                sent,
                contents,
                note,
            },
            id,
            content,
        ))
    }

    /// 1.3 routing: signed under the sender's own certificate, about the same message (PROTOCOL §6.1).
    fn routing<'d, 'a>(
        &self,
        document: &Document<'_>,
        call: Call<'d, 'a>,
        verified: &Verified<'_>,
        sent: &Sent<'_, '_>,
    ) -> Result<Option<request::Routing<'d, 'a>>, Fault> {
        let Some(routing) = request::routing(call.element)? else {
            return Ok(None);
        };
        let refuse = |cause: Cause, text: &str| Err(Fault::signature(SignatureCause::Signature(cause), text));
        if routing.message_id != sent.message_id {
            return refuse(
                Cause::IncorrectSignatureTarget,
                "RoutingInformation относится к другому сообщению.",
            );
        }
        let signature = SignatureElement::parse(routing.signature)?;
        if signature.certificate_der() != verified.certificate_der {
            return refuse(
                Cause::CertificateIsNotFound,
                "RoutingSignature поставлена не сертификатом отправителя.",
            );
        }
        signature.verify(document, routing.information, &verified.recognised.key)?;
        Ok(Some(routing))
    }

    fn contents(
        &self,
        call: Call<'_, '_>,
        sent: &Sent<'_, '_>,
        multipart: Option<&Multipart<'_>>,
    ) -> Result<Vec<Vec<u8>>, Fault> {
        attachments::contents(
            call.element,
            call.version,
            &sent.attachments,
            multipart,
            self.intake.attachments_bytes,
        )
    }

    /// What the caller must hear before it hears of its attachments (DESIGN §6, order of checks).
    fn more_urgent(&self, sender: &Mnemonic, root: &PayloadRoot, may: May) -> Option<Fault> {
        let PayloadRoot { namespace, local } = root.clone();
        let Some((kind, _)) = self.registry.kind_by_root(&namespace, &local) else {
            return Some(Refusal::UnknownKind { namespace, local }.into());
        };
        let party = Party::Participant(sender.clone());
        if self.registry.allows(&party, &kind.name, may) {
            return None;
        }
        Some(match may {
            May::Request => Refusal::AccessDenied {
                party,
                kind: kind.name.clone(),
                direction: Direction::Request,
            }
            .into(),
            // SendResponse declares no AccessDenied (PROTOCOL §5): without a grant the token leads nowhere.
            May::Provide => Refusal::RecipientNotFound("the token leads nowhere".to_owned()).into(),
        })
    }

    fn schema(
        &self,
        sender: &Mnemonic,
        payload: Element<'_, '_>,
        root: &PayloadRoot,
        direction: Direction,
    ) -> Result<SchemaVerdict, Fault> {
        let Some((kind, found)) = self.registry.kind_by_root(&root.namespace, &root.local) else {
            return Ok(SchemaVerdict::NotChecked);
        };
        let may = if direction == Direction::Request {
            May::Request
        } else {
            May::Provide
        };
        // What will be refused anyway is not worth the work.
        if found != direction
            || !self
                .registry
                .allows(&Party::Participant(sender.clone()), &kind.name, may)
        {
            return Ok(SchemaVerdict::NotChecked);
        }
        match self.intake.validators.of(self.registry, kind, self.blob) {
            Ok(None) => Ok(SchemaVerdict::NotChecked),
            Ok(Some(validator)) => Ok(validator.validate(payload)),
            Err(error) => {
                tracing::error!(kind = %kind.name, %error, "the kind's schema cannot be used; its messages are refused");
                Err(Fault::failure())
            }
        }
    }
}

fn message_id(text: &str) -> Result<MessageId, Fault> {
    text.parse().map_err(|_| {
        Fault::new(
            FaultName::InvalidMessageIdFormat,
            "MessageID должен быть UUID в нижнем регистре, созданным по варианту 1 RFC-4122.",
        )
    })
}

fn header(
    version: Version,
    element: DataElement,
    signed: Signed<'_, '_>,
    sent: &Sent<'_, '_>,
    to: Option<String>,
) -> Header {
    let attachments = sent.attachments.iter().map(|header| StoredAttachment {
        content_id: header.content_id.clone(),
        mime_type: header.mime_type.clone(),
    });
    Header {
        version,
        element,
        data_scope: splice::inherited(signed.target),
        signature_scope: splice::inherited(signed.signature),
        message_id: sent.message_id.clone(),
        reference_id: sent.reference_id.map(|id| id.to_string()),
        transaction_code: sent.transaction_code.clone(),
        node_id: sent.node.as_ref().map(|node| node.as_str().to_owned()),
        end_of_life: sent.end_of_life.as_ref().map(|(_, text)| text.clone()),
        to,
        test: sent.test,
        attachments: attachments.collect(),
        routing: None,
        file_storage: None,
        remote_name: None,
    }
}

/// A verified message, read.
struct Envelope<'e, 'd, 'a> {
    header: Header,
    signed: Signed<'d, 'a>,
    verified: &'e Verified<'e>,
    sent: Sent<'d, 'a>,
    contents: Vec<Vec<u8>>,
    note: ExchangeNote,
}

fn incoming(envelope: Envelope<'_, '_, '_>, message_id: MessageId, content: Content) -> Incoming {
    let Envelope {
        header,
        signed,
        verified,
        sent,
        contents,
        note,
    } = envelope;
    let octets = stored::encode(&header, signed.target.source(), Some(signed.signature.source()));
    let evidence = evidence(verified, &contents);
    let attachments = u16::try_from(contents.len()).unwrap_or(u16::MAX);
    let parts = std::iter::once(octets)
        .chain(contents)
        .zip(0..)
        .map(|(octets, number)| Part { number, octets });
    Incoming {
        door: DOOR,
        sender: Party::Participant(verified.recognised.participant.mnemonic.clone()),
        remote_sender: None,
        message_id,
        reference_id: sent.reference_id,
        node: sent.node,
        end_of_life: sent.end_of_life.map(|(at, _)| at),
        test: sent.test,
        format: header.version.format().to_owned(),
        parts: parts.collect(),
        exchange_note: note.encode(),
        attachments,
        file_references: sent.file_references,
        evidence,
        content,
    }
}
