//! From octets to a command: parse once, find the operation, recognise the caller, verify, read (DESIGN §3, §6).
//!
//! Everything here is CPU work without I/O (but for a schema's first compilation) and runs off the async threads. The
//! checks come in the order of DESIGN §6: the envelope with all that is read of it, the certificate, the signatures, the
//! form of the identifier. From the identifier's age on they are the engine's; what is found here about attachments and
//! schema goes there as a verdict.

mod message;
mod said;

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::command::{Acknowledge, Evidence, Incoming, Refusal, Take, TakeFrom};
use engine::names::{MessageId, Mnemonic, NodeId};
use engine::registry::Registry;
use gost::Certificate;
use jiff::{SignedDuration, Timestamp};
use xmldsig::{Cause, Document, Limits, ParseError, SignatureElement, SignatureRefusal};

use super::budget::Exhausted;
use super::metrics::DoorMetrics;
use super::rate::{Limiter, TooMany};
use super::recognition::{self, Recognised, Recognition, check_address, check_validity, names_registered};
use super::room::Room;
use crate::attachments::TakenOut;
use crate::envelope::{Call, EnvelopeError, Operation};
use crate::fault::{Fault, FaultName, SignatureCause};
use crate::mime::{self, Multipart};
use crate::request::{self, AckTarget, Routing, Selector, Sent, Signed};
use crate::schema::Validators;
use crate::version::Version;
use crate::wording;
use said::Said;

/// What arrived.
pub(super) struct Arrival<'a> {
    pub(super) body: &'a [u8],
    pub(super) content_type: &'a str,
    /// The version that the path names, for calls that name none themselves.
    pub(super) path_version: Version,
    pub(super) address: IpAddr,
    /// The present moment by the engine, and by the system's clock. While they differ it is not known which is right, and
    /// what is in time by either is in time.
    pub(super) now: (Timestamp, Timestamp),
}

/// A call of a recognised participant under a valid signature.
pub(super) struct Understood {
    pub(super) version: Version,
    pub(super) operation: Operation,
    pub(super) participant: Mnemonic,
    pub(super) command: Command,
}

impl Understood {
    /// The message that the call sends, or is about.
    pub(super) fn named(&self) -> Option<MessageId> {
        match &self.command {
            Command::Send(incoming) => Some(incoming.message_id),
            Command::Acknowledge(ack) => Some(ack.target),
            Command::Take(_) | Command::Statistics(_) => None,
        }
    }

    /// Octets of what it brings.
    pub(super) fn octets(&self) -> u64 {
        match &self.command {
            Command::Send(incoming) => incoming.parts.iter().map(|part| part.octets.len() as u64).sum(),
            Command::Take(_) | Command::Acknowledge(_) | Command::Statistics(_) => 0,
        }
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
    /// Whether the participant's signature holds: a certificate alone proves nothing.
    pub(super) verified: bool,
    pub(super) message_id: Option<MessageId>,
    /// How long the participant has to wait, if it makes too many calls.
    pub(super) wait: Option<TooMany>,
    pub(super) fault: Fault,
}

impl Refused {
    fn new(version: Version) -> Self {
        Self {
            version,
            operation: None,
            participant: None,
            verified: false,
            message_id: None,
            wait: None,
            fault: Fault::failure(),
        }
    }
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
    pub(super) participants: Limiter<Mnemonic>,
}

impl Intake {
    /// Looks whether a call is worth much room: whether it can be parsed at all, and who may be behind it. Costs a pass
    /// over its octets.
    pub(super) fn weigh(&self, arrival: &Arrival<'_>, registry: &Registry) -> Result<(), Box<Refused>> {
        let weigh = || -> Result<(), Fault> {
            let Arrival { body, content_type, .. } = *arrival;
            let root = match mime::is_multipart(content_type, body) {
                true => Multipart::parse(content_type, body)?.root.octets,
                false => body,
            };
            Document::check(root.trim_ascii_start(), &self.limits)?;
            if names_registered(root, registry, arrival.address) {
                Ok(())
            } else {
                Err(recognition::unknown())
            }
        };
        weigh().map_err(|fault| {
            Box::new(Refused {
                fault,
                ..Refused::new(arrival.path_version)
            })
        })
    }

    /// The refusal of a participant that makes too many calls.
    pub(super) fn too_many(&self, caller: &Mnemonic) -> Fault {
        let most = self.participants.per_second();
        Fault::too_many(format!("Больше {most} вызовов {caller} в секунду. Повторите позже."))
    }

    /// Reads a call. If the [room](Room::lacking) lacks something then, it stopped for that, and what it returned is void.
    pub(super) fn read(
        &self,
        arrival: &Arrival<'_>,
        registry: &Registry,
        blob: Blob<'_>,
        metrics: &DoorMetrics,
        room: &Room,
    ) -> Result<Understood, Box<Refused>> {
        let mut progress = Refused::new(arrival.path_version);
        let reading = Reading {
            intake: self,
            arrival,
            registry,
            blob,
            metrics,
            room,
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
    room: &'r Room,
}

/// Who calls, according to the certificate in the signature; nothing is verified yet.
struct Caller<'d, 'a, 'r> {
    signature: SignatureElement<'d, 'a>,
    recognised: Recognised<'r>,
    certificate: Certificate,
}

/// What is known when the signature has been verified.
struct Verified<'r> {
    recognised: Recognised<'r>,
    evidence: xmldsig::Evidence,
}

impl Reading<'_> {
    fn open(&self, progress: &mut Refused) -> Result<Understood, Fault> {
        let Arrival { body, content_type, .. } = *self.arrival;
        if !mime::is_multipart(content_type, body) {
            return self.parse(body, None, progress);
        }
        let multipart = Multipart::parse(content_type, body)?;
        self.parse(multipart.root.octets, Some(&multipart), progress)
    }

    fn parse(
        &self,
        octets: &[u8],
        multipart: Option<&Multipart<'_>>,
        progress: &mut Refused,
    ) -> Result<Understood, Fault> {
        // White space before the first tag is not XML, but clients send it.
        let document = Document::parse(octets.trim_ascii_start(), &self.intake.limits)?;
        let call = Call::find(&document).inspect_err(|error| {
            if let EnvelopeError::Unknown(Some(version)) = error {
                progress.version = *version;
            }
        })?;
        progress.version = call.version;
        progress.operation = Some(call.operation);
        let signed = request::signed(&call)?;
        if let Some(multipart) = multipart
            && let Some(taken) = TakenOut::find(signed.target, multipart)?
        {
            let (octets, limit) = (taken.restored_len(document.source()), self.intake.limits.octets);
            if octets > limit {
                return Err(ParseError::TooLarge { limit }.into());
            }
            // The text, and what it has more in canonical form or in its copy for the spool; its tree is as large as the
            // one before.
            self.take(2 * octets as u64)?;
            let restored = taken.restore(document.source())?;
            // One tree at a time.
            drop(document);
            let document = Document::parse(restored.as_bytes(), &self.intake.limits)?;
            let call = Call::find(&document)?;
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
        let said = Said::read(&call, signed.target);
        // Looked up first all the same, so that a refusal of the envelope is journaled under its caller's name.
        let caller = self.caller(signed, progress);
        let said = said?;
        let verified = self.verify(document, signed, &said, caller?)?;
        progress.verified = true;
        let participant = verified.recognised.participant.mnemonic.clone();
        // Told only to the participant itself, and before more work is done for it.
        if self.registry.halts().suspended(&participant).is_some() {
            return Err(Refusal::Suspended(participant).into());
        }
        let command = match said {
            Said::Request(sent, routing) => {
                let incoming = self.request(call, signed, &verified, (sent, routing), multipart, progress)?;
                Command::Send(Box::new(incoming))
            }
            Said::Response(sent, to, answer) => {
                let incoming = self.response(call, signed, &verified, (sent, to, answer), multipart, progress)?;
                Command::Send(Box::new(incoming))
            }
            Said::Requests(selector) => self.poll(&participant, TakeFrom::Requests, selector)?,
            Said::Responses(mut selector) => {
                self.poll(&participant, TakeFrom::Responses(selector.node.take()), selector)?
            }
            Said::Status(timestamp) => {
                self.check_window(timestamp)?;
                Command::Take(Take {
                    participant: participant.clone(),
                    from: TakeFrom::Status,
                    selector: None,
                })
            }
            Said::Ack(target) => Command::Acknowledge(acknowledge(&target, &verified, progress)?),
            Said::Statistics(timestamp, node) => {
                self.check_window(timestamp)?;
                Command::Statistics(node)
            }
        };
        Ok(Understood {
            version: call.version,
            operation: call.operation,
            participant,
            command,
        })
    }

    /// Looks the certificate of the signature up.
    fn caller<'d, 'a>(&self, signed: Signed<'d, 'a>, progress: &mut Refused) -> Result<Caller<'d, 'a, '_>, Fault> {
        let signature = SignatureElement::parse(signed.signature)?;
        let recognition = &self.intake.recognition;
        let (recognised, certificate) = recognition.recognise(signature.certificate_der(), self.registry)?;
        check_address(recognised.participant, self.arrival.address)?;
        let mnemonic = &recognised.participant.mnemonic;
        progress.participant = Some(mnemonic.clone());
        // Looked at before the dear part of the work. A certificate is public, so that it alone uses nothing up.
        let look = self.intake.participants.look(mnemonic, Instant::now());
        look.map_err(|wait| {
            progress.wait = Some(wait);
            self.intake.too_many(mnemonic)
        })?;
        Ok(Caller {
            signature,
            recognised,
            certificate,
        })
    }

    fn verify<'c>(
        &self,
        document: &Document<'_>,
        signed: Signed<'_, '_>,
        said: &Said<'_, '_>,
        caller: Caller<'_, '_, 'c>,
    ) -> Result<Verified<'c>, Fault> {
        let Caller {
            signature,
            recognised,
            certificate,
        } = caller;
        let (now, wall) = self.arrival.now;
        check_validity(&certificate, now).or_else(|fault| check_validity(&certificate, wall).map_err(|_| fault))?;
        let begun = Instant::now();
        let evidence = signature.verify(document, signed.target, &recognised.key)?;
        if let Said::Request(sent, Some(routing)) = said {
            verify_routing(document, sent, routing, &signature, &recognised)?;
        }
        self.metrics.verify_seconds.observe(begun.elapsed());
        Ok(Verified { recognised, evidence })
    }

    /// Takes room, or stops.
    fn take(&self, octets: u64) -> Result<(), Fault> {
        self.room.take(octets).map_err(|Exhausted| Fault::failure())
    }

    fn poll(&self, participant: &Mnemonic, from: TakeFrom, selector: Selector) -> Result<Command, Fault> {
        self.check_window(selector.timestamp)?;
        Ok(Command::Take(Take {
            participant: participant.clone(),
            from,
            selector: selector.root,
        }))
    }

    /// Polls that are too old or too new: a captured call must not be of use for ever.
    fn check_window(&self, timestamp: Timestamp) -> Result<(), Fault> {
        let (now, wall) = self.arrival.now;
        let near = |moment: Timestamp| moment.duration_since(timestamp).abs() <= self.intake.timestamp_window;
        if near(now) || near(wall) {
            return Ok(());
        }
        let cause = SignatureCause::Signature(Cause::SignatureIsInvalid);
        let text = format!("Timestamp {timestamp} вне допустимого срока: проверьте часы.");
        Err(Fault::signature(cause, text).because("timestamp"))
    }
}

/// 1.3 routing: signed under the sender's own certificate, about the same message (PROTOCOL §6.1).
fn verify_routing(
    document: &Document<'_>,
    sent: &Sent<'_, '_>,
    routing: &Routing<'_, '_>,
    senders: &SignatureElement<'_, '_>,
    sender: &Recognised<'_>,
) -> Result<(), Fault> {
    let refuse = |cause: Cause, text: &str| {
        let fault = Fault::signature(SignatureCause::Signature(cause), text);
        Err(fault.because("routing_signature"))
    };
    let named = |refusal: SignatureRefusal| {
        let text = format!("RoutingSignature: {}", wording::signature(&refusal));
        let fault = Fault::signature(SignatureCause::Signature(refusal.cause()), text);
        fault.because("routing_signature")
    };
    let signature = SignatureElement::parse(routing.signature.clone()?).map_err(named)?;
    if routing.message_id != sent.message_id {
        return refuse(
            Cause::IncorrectSignatureTarget,
            "RoutingInformation относится к другому сообщению.",
        );
    }
    if signature.certificate_der() != senders.certificate_der() {
        return refuse(
            Cause::CertificateIsNotFound,
            "RoutingSignature поставлена не сертификатом отправителя.",
        );
    }
    signature
        .verify(document, routing.information, &sender.key)
        .map_err(named)?;
    Ok(())
}

fn acknowledge(ack: &AckTarget, verified: &Verified<'_>, progress: &mut Refused) -> Result<Acknowledge, Fault> {
    // An identifier of another form was never handed out.
    let Ok(id) = ack.id.parse::<MessageId>() else {
        let id: String = ack.id.chars().take(36).collect();
        let text = format!("Сообщение {id} не найдено среди неподтверждённых.");
        return Err(Fault::new(FaultName::TargetMessageIsNotFound, "target_not_found", text));
    };
    progress.message_id = Some(id);
    Ok(Acknowledge {
        participant: verified.recognised.participant.mnemonic.clone(),
        target: id,
        accepted: ack.accepted,
        evidence: evidence(verified, &[]),
    })
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

#[cfg(test)]
mod tests;
