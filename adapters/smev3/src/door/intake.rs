//! From octets to a command: parse once, find the operation, recognise the caller, verify, read (DESIGN §3, §6).
//!
//! Everything here is CPU work without I/O (but for a schema's first compilation) and runs off the async threads. The
//! checks come in the order of DESIGN §6; those from the identifier's age on are the engine's.

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::command::{
    Acknowledge, Answer as AnswerKind, AnswerTo, Content, Evidence, Incoming, Part, PayloadRoot, Refusal, RoutingFacts,
    SchemaVerdict, Take, TakeFrom,
};
use engine::names::{MessageId, Mnemonic, NodeId, Party};
use engine::registry::{Direction, May, Registry};
use jiff::{SignedDuration, Timestamp};
use xmldsig::{Cause, Document, Element, Limits, SignatureElement};

use super::DOOR;
use super::metrics::DoorMetrics;
use super::recognition::{Recognised, Recognition, check_address, check_validity};
use crate::attachments;
use crate::envelope::{Call, EnvelopeError, Operation};
use crate::facts;
use crate::fault::{Fault, FaultName, SignatureCause};
use crate::mime::{self, Multipart};
use crate::request::{self, Answer, Sent, Signed};
use crate::schema::Validators;
use crate::splice;
use crate::stored::{self, DataElement, ExchangeNote, Header, StoredAttachment};
use crate::version::Version;

/// What arrived.
pub(super) struct Arrival<'a> {
    pub(super) body: &'a [u8],
    pub(super) content_type: &'a str,
    /// The version that the path names, for calls that name none themselves.
    pub(super) path_version: Version,
    pub(super) address: IpAddr,
    pub(super) now: Timestamp,
}

/// A call of a recognised participant under a valid signature.
pub(super) struct Understood {
    pub(super) version: Version,
    pub(super) operation: Operation,
    pub(super) participant: Mnemonic,
    pub(super) command: Command,
}

impl Understood {
    /// Who calls, and the message that is named, if the call sends nothing: the engine itself records whom it refuses
    /// when something is sent.
    pub(super) fn polled(&self) -> Option<(Mnemonic, Option<MessageId>)> {
        let named = match &self.command {
            Command::Send(_) => return None,
            Command::Acknowledge(ack) => Some(ack.target),
            Command::Take(_) | Command::Statistics(_) => None,
        };
        Some((self.participant.clone(), named))
    }
}

/// What the engine shall do.
pub(super) enum Command {
    Send(Box<Incoming>),
    Take(Take),
    Acknowledge(Acknowledge),
    Statistics(Option<NodeId>),
}

/// A call that goes no further, with what is known about it.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) version: Version,
    pub(super) operation: Option<Operation>,
    pub(super) participant: Option<Mnemonic>,
    pub(super) message_id: Option<MessageId>,
    pub(super) fault: Fault,
}

/// Fetches a file of the registry by its digest.
pub(super) type Blob<'b> = &'b dyn Fn(&str) -> io::Result<Vec<u8>>;

/// Reads calls.
pub(super) struct Intake {
    pub(super) limits: Limits,
    pub(super) attachments_bytes: u64,
    pub(super) timestamp_window: SignedDuration,
    pub(super) recognition: Recognition,
    pub(super) validators: Validators,
}

impl Intake {
    /// Reads a call.
    pub(super) fn read(
        &self,
        arrival: &Arrival<'_>,
        registry: &Registry,
        blob: Blob<'_>,
        metrics: &DoorMetrics,
    ) -> Result<Understood, Box<Refused>> {
        let mut progress = Refused {
            version: arrival.path_version,
            operation: None,
            participant: None,
            message_id: None,
            fault: Fault::failure(),
        };
        let reading = Reading {
            intake: self,
            arrival,
            registry,
            blob,
            metrics,
        };
        reading.open(&mut progress).map_err(|fault| {
            progress.fault = fault;
            Box::new(progress)
        })
    }
}

/// One call on its way.
struct Reading<'r> {
    intake: &'r Intake,
    arrival: &'r Arrival<'r>,
    registry: &'r Registry,
    blob: Blob<'r>,
    metrics: &'r DoorMetrics,
}

/// What is known when the signature has been verified.
struct Verified<'r> {
    recognised: Recognised<'r>,
    evidence: xmldsig::Evidence,
    certificate_der: Vec<u8>,
}

impl Reading<'_> {
    fn open(&self, progress: &mut Refused) -> Result<Understood, Fault> {
        let Arrival { body, content_type, .. } = *self.arrival;
        if !mime::is_multipart(content_type, body) {
            return self.parse(body, None, progress);
        }
        let multipart = Multipart::parse(content_type, body).map_err(|error| Fault::invalid(error.to_string()))?;
        let root = match multipart.root.base64 {
            true => Cow::Owned(
                multipart
                    .root
                    .content()
                    .map_err(|error| Fault::invalid(error.to_string()))?,
            ),
            false => Cow::Borrowed(multipart.root.octets),
        };
        self.parse(&root, Some(&multipart), progress)
    }

    fn parse(
        &self,
        octets: &[u8],
        multipart: Option<&Multipart<'_>>,
        progress: &mut Refused,
    ) -> Result<Understood, Fault> {
        // White space before the first tag is not XML, but clients send it.
        let document = Document::parse(octets.trim_ascii_start(), &self.intake.limits)
            .map_err(|error| Fault::invalid(format!("Сообщение не читается как XML: {error}")))?;
        let call = Call::find(&document).map_err(|error| {
            if let EnvelopeError::Unknown(Some(version)) = error {
                progress.version = version;
            }
            Fault::invalid(format!("Сообщение не является вызовом СМЭВ 3: {error}"))
        })?;
        progress.version = call.version;
        progress.operation = Some(call.operation);
        let signed = request::signed(&call)?;
        if let Some(multipart) = multipart
            && let Some(restored) = attachments::restore_signed(document.source(), signed.target, multipart)?
        {
            let document = Document::parse(restored.as_bytes(), &self.intake.limits)
                .map_err(|error| Fault::invalid(format!("Сообщение не читается как XML: {error}")))?;
            let call = Call::find(&document).map_err(|error| Fault::invalid(error.to_string()))?;
            let signed = request::signed(&call)?;
            return self.understand(&document, call, signed, Some(multipart), progress);
        }
        self.understand(&document, call, signed, multipart, progress)
    }

    fn understand(
        &self,
        document: &Document<'_>,
        call: Call<'_, '_>,
        signed: Signed<'_, '_>,
        multipart: Option<&Multipart<'_>>,
        progress: &mut Refused,
    ) -> Result<Understood, Fault> {
        let begun = Instant::now();
        let verified = self.verify(document, signed, progress)?;
        self.metrics.verify_seconds.observe(begun.elapsed());
        let participant = verified.recognised.participant.mnemonic.clone();
        let version = call.version;
        let command = match call.operation {
            Operation::SendRequest => Command::Send(Box::new(
                self.request(document, call, signed, &verified, multipart, progress)?,
            )),
            Operation::SendResponse => {
                Command::Send(Box::new(self.response(call, signed, &verified, multipart, progress)?))
            }
            Operation::GetRequest | Operation::GetResponse => {
                let selector = request::selector(signed.target, version)?;
                self.check_window(selector.timestamp)?;
                let from = match call.operation {
                    Operation::GetRequest => TakeFrom::Requests,
                    _ => TakeFrom::Responses(selector.node),
                };
                Command::Take(Take {
                    participant: participant.clone(),
                    from,
                    selector: selector.root,
                })
            }
            Operation::GetStatus => {
                self.check_window(request::timestamp(signed.target)?)?;
                Command::Take(Take {
                    participant: participant.clone(),
                    from: TakeFrom::Status,
                    selector: None,
                })
            }
            Operation::Ack => Command::Acknowledge(acknowledge(signed.target, &verified, progress)?),
            Operation::GetIncomingQueueStatistics => {
                self.check_window(request::timestamp(signed.target)?)?;
                Command::Statistics(request::statistics_node(call.element, version)?)
            }
        };
        Ok(Understood {
            version,
            operation: call.operation,
            participant,
            command,
        })
    }

    fn verify(
        &self,
        document: &Document<'_>,
        signed: Signed<'_, '_>,
        progress: &mut Refused,
    ) -> Result<Verified<'_>, Fault> {
        let signature = SignatureElement::parse(signed.signature)?;
        let (recognised, certificate) = self
            .intake
            .recognition
            .recognise(signature.certificate_der(), self.registry)?;
        progress.participant = Some(recognised.participant.mnemonic.clone());
        check_address(recognised.participant, self.arrival.address)?;
        check_validity(&certificate, self.arrival.now)?;
        let evidence = signature.verify(document, signed.target, &recognised.key)?;
        Ok(Verified {
            recognised,
            evidence,
            certificate_der: signature.certificate_der().to_vec(),
        })
    }

    fn request(
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

    fn response(
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
        let direction = if may == May::Request {
            Direction::Request
        } else {
            Direction::Response
        };
        Some(
            Refusal::AccessDenied {
                party,
                kind: kind.name.clone(),
                direction,
            }
            .into(),
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
        match self.intake.validators.of(kind, self.blob) {
            Ok(None) => Ok(SchemaVerdict::NotChecked),
            Ok(Some(validator)) => Ok(validator.validate(payload)),
            Err(error) => {
                tracing::error!(kind = %kind.name, %error, "the kind's schema cannot be used; its messages are refused");
                Err(Fault::failure())
            }
        }
    }

    /// Polls that are too old or too new: a captured call must not be of use for ever.
    fn check_window(&self, timestamp: Timestamp) -> Result<(), Fault> {
        let apart = self.arrival.now.duration_since(timestamp).abs();
        if apart <= self.intake.timestamp_window {
            return Ok(());
        }
        let cause = SignatureCause::Signature(Cause::SignatureIsInvalid);
        Err(Fault::signature(
            cause,
            format!("Timestamp {timestamp} вне допустимого срока: проверьте часы."),
        ))
    }
}

fn acknowledge(target: Element<'_, '_>, verified: &Verified<'_>, progress: &mut Refused) -> Result<Acknowledge, Fault> {
    let ack = request::ack(target)?;
    // An identifier of another form was never handed out.
    let Ok(id) = ack.id.parse::<MessageId>() else {
        let id: String = ack.id.chars().take(36).collect();
        let text = format!("Сообщение {id} не найдено среди неподтверждённых.");
        return Err(Fault::new(FaultName::TargetMessageIsNotFound, text));
    };
    progress.message_id = Some(id);
    Ok(Acknowledge {
        participant: verified.recognised.participant.mnemonic.clone(),
        target: id,
        accepted: ack.accepted,
        evidence: evidence(verified, &[]),
    })
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

fn evidence(verified: &Verified<'_>, contents: &[Vec<u8>]) -> Evidence {
    let hash = |octets: &Vec<u8>| hex::encode(gost::DigestAlgorithm::Streebog256.hash(octets).as_ref());
    Evidence {
        certificate: verified.recognised.certificate,
        signed_info: verified.evidence.canonical_signed_info.clone(),
        signature: STANDARD.encode(&verified.evidence.signature_value),
        attachments: contents.iter().map(hash).collect(),
    }
}

/// The window of a setting as the clock's arithmetic wants it.
pub(super) fn window(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
