//! SendRequest and SendResponse under a verified signature: what the engine is asked to accept.

use engine::command::{
    Answer, AnswerTo, AttachmentFault, Content, Incoming, Part, PayloadRoot, RoutingFacts, SchemaVerdict,
};
use engine::names::{MessageId, Mnemonic, Party};
use engine::registry::{Direction, May};
use logbook::log;
use xmldsig::Element;

use super::{Reading, Refused, Verified, evidence};
use crate::attachments;
use crate::door::DOOR;
use crate::door::budget::schema_overhead;
use crate::envelope::Call;
use crate::facts;
use crate::fault::{Fault, FaultName};
use crate::logged;
use crate::mime::Multipart;
use crate::request::{self, Routing, Sent, Signed};
use crate::splice;
use crate::stored::{self, DataElement, ExchangeNote, Header, StoredAttachment};
use crate::version::Version;

impl Reading<'_> {
    pub(super) fn request<'d, 'a>(
        &self,
        call: Call<'d, 'a>,
        signed: Signed<'d, 'a>,
        verified: &Verified<'_>,
        (sent, routing): (Sent<'d, 'a>, Option<Routing<'d, 'a>>),
        multipart: Option<&Multipart<'_>>,
        progress: &mut Refused,
    ) -> Result<Incoming, Fault> {
        let id = message_id(&sent.message_id)?;
        progress.message_id = Some(id);
        let payload = sent.payload.ok_or_else(|| request::missing("MessagePrimaryContent"))?;
        let root = request::root_of(payload);
        let sender = verified.recognised.participant.mnemonic.clone();
        let contents = self.contents(call, &sent, multipart);
        let mut facts = RoutingFacts {
            payload: facts::of_request(payload, &root, self.registry),
            ..RoutingFacts::default()
        };
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

    pub(super) fn response<'d, 'a>(
        &self,
        call: Call<'d, 'a>,
        signed: Signed<'d, 'a>,
        verified: &Verified<'_>,
        (sent, to, answer): (Sent<'d, 'a>, String, Answer),
        multipart: Option<&Multipart<'_>>,
        progress: &mut Refused,
    ) -> Result<Incoming, Fault> {
        let id = message_id(&sent.message_id)?;
        progress.message_id = Some(id);
        let sender = verified.recognised.participant.mnemonic.clone();
        let schema = match (&answer, sent.payload) {
            (Answer::Payload(root), Some(payload)) => self.schema(&sender, payload, root, Direction::Response)?,
            _ => SchemaVerdict::NotChecked,
        };
        let contents = self.contents(call, &sent, multipart);
        let header = header(call.version, DataElement::Response, signed, &sent, Some(to.clone()));
        let content = Content::Response {
            to: AnswerTo::Token(to),
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

    fn contents(
        &self,
        call: Call<'_, '_>,
        sent: &Sent<'_, '_>,
        multipart: Option<&Multipart<'_>>,
    ) -> Result<Vec<Vec<u8>>, AttachmentFault> {
        attachments::contents(
            call.element,
            call.version,
            &sent.attachments,
            multipart,
            self.intake.attachments_bytes,
        )
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
        Ok(match self.intake.validators.of(self.registry, kind, self.blob) {
            Ok(None) => SchemaVerdict::NotChecked,
            Ok(Some(validator)) => {
                self.take(schema_overhead(payload.source().as_bytes()))?;
                validator.validate(payload)
            }
            Err(error) => {
                log!(logged::SCHEMA_UNUSABLE, kind = %kind.name, %error, "the kind's schema cannot be used; its messages are refused");
                SchemaVerdict::Unusable
            }
        })
    }
}

fn message_id(text: &str) -> Result<MessageId, Fault> {
    text.parse().map_err(|_| {
        Fault::new(
            FaultName::InvalidMessageIdFormat,
            "id_format",
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
    contents: Result<Vec<Vec<u8>>, AttachmentFault>,
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
    let (contents, attachments) = match contents {
        Ok(contents) => (contents, Ok(())),
        Err(fault) => (Vec::new(), Err(fault)),
    };
    let octets = stored::encode(&header, signed.target.source(), Some(signed.signature.source()));
    let evidence = evidence(verified, &contents);
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
