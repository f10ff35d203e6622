//! From octets to a command: parse once, find the operation, recognise the caller, verify, read (DESIGN §3, §6).
//!
//! Everything here is CPU work without I/O (but for a schema's first compilation) and runs off the async threads. The
//! checks come in the order of DESIGN §6; those from the identifier's age on are the engine's.

mod message;

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use engine::command::{Acknowledge, Evidence, Incoming, Take, TakeFrom};
use engine::names::{MessageId, Mnemonic, NodeId};
use engine::registry::Registry;
use jiff::{SignedDuration, Timestamp};
use xmldsig::{Cause, Document, Element, Limits, SignatureElement};

use super::metrics::DoorMetrics;
use super::recognition::{Recognised, Recognition, check_address, check_validity};
use crate::attachments;
use crate::envelope::{Call, EnvelopeError, Operation};
use crate::fault::{Fault, FaultName, SignatureCause};
use crate::mime::{self, Multipart};
use crate::request::{self, Signed};
use crate::schema::Validators;
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
