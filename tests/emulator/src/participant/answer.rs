//! Answers: read, and their signatures checked before anything in them is believed.

use std::sync::Arc;

use gost::Certificate;
use xmldsig::{Document, Element, Limits, SignatureElement};

use super::CallError;
use crate::http::HttpAnswer;
use crate::identity::Trusted;
use crate::message::{AsyncStatus, Metadata, RequestData, ResponseData};
use crate::version::{SOAP, Version};
use crate::wire::mime::Parts;
use crate::wire::read::{self, Malformed, Sequence};

/// The receipt of SendRequest or SendResponse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The message that was accepted.
    pub message_id: String,
    /// Everything that is said about it.
    pub metadata: Metadata,
}

/// A request taken from the queue.
#[derive(Debug, Clone)]
pub struct DeliveredRequest {
    /// What the sender said, with the files.
    pub data: RequestData,
    /// What the bus or gateway says about it.
    pub metadata: Metadata,
    /// Where the answer goes: to be copied into `To`.
    pub reply_to: Option<String>,
    /// The file storage's credentials (`FSAttachmentsList`) as XML.
    pub fs_attachments: Option<String>,
    /// Whether the sender's own signature came along and holds.
    pub sender: SenderProof,
}

/// An answer taken from the queue.
#[derive(Debug, Clone)]
pub struct DeliveredResponse {
    /// What the sender said, with the files.
    pub data: ResponseData,
    /// What the bus or gateway says about it.
    pub metadata: Metadata,
    /// The request that this answers.
    pub original_message_id: Option<String>,
    /// Its transaction code.
    pub original_transaction_code: Option<String>,
    /// The root of its chain.
    pub reference_message_id: Option<String>,
    /// The file storage's credentials (`FSAttachmentsList`) as XML.
    pub fs_attachments: Option<String>,
    /// Whether the sender's own signature came along and holds.
    pub sender: SenderProof,
}

/// What became of the sender's signature on the way.
#[derive(Debug, Clone)]
pub enum SenderProof {
    /// It holds over what was delivered, by this certificate.
    Holds(Certificate),
    /// It came along and does not hold, as after a translation between versions.
    DoesNotHold(String),
    /// None came.
    Absent,
}

impl SenderProof {
    /// The certificate, if the signature holds.
    pub fn certificate(&self) -> Option<&Certificate> {
        match self {
            SenderProof::Holds(certificate) => Some(certificate),
            _ => None,
        }
    }
}

/// An answer, whatever it is.
#[derive(Clone)]
pub struct Answer {
    http: HttpAnswer,
    version: Version,
    trusted: Arc<Vec<Trusted>>,
}

impl Answer {
    pub(super) fn new(http: HttpAnswer, version: Version, trusted: Arc<Vec<Trusted>>) -> Answer {
        Answer { http, version, trusted }
    }

    /// An answer that came over somebody else's connection, to a call in `version`. What the other side signs must be
    /// signed with one of the `trusted` certificates.
    pub fn received(http: HttpAnswer, version: Version, trusted: Vec<Certificate>) -> Answer {
        let trusted = trusted.into_iter().map(Trusted::new).collect();
        Answer::new(http, version, Arc::new(trusted))
    }

    /// The certificate that stands in the other side's signature, which nobody has verified yet; none in an answer
    /// without one, such as that to Ack.
    ///
    /// # Errors
    /// [`CallError`]: a fault, no SOAP, or a signature without a certificate that can be read.
    pub fn signer(&self) -> Result<Option<Certificate>, CallError> {
        self.read(|_, body| {
            let t = self.version.types();
            let places = body
                .children()
                .flat_map(|child| std::iter::once(child).chain(child.children()));
            let Some(wrapper) = places.into_iter().find(|place| place.is(t, "SMEVSignature")) else {
                return Ok(None);
            };
            let bad = |error: &dyn std::fmt::Display| CallError::Signature(error.to_string());
            let signature = SignatureElement::parse(read::signature_in(wrapper)?).map_err(|error| bad(&error))?;
            let certificate = Certificate::from_der(signature.certificate_der()).map_err(|error| bad(&error))?;
            Ok(Some(certificate))
        })
    }

    /// Status, content type and octets as they came.
    pub fn http(&self) -> &HttpAnswer {
        &self.http
    }

    /// Reads it as the answer to SendRequest or SendResponse.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn receipt(&self) -> Result<Receipt, CallError> {
        self.read(|reader, body| {
            let t = self.version.types();
            if !body.is(t, "SendRequestResponse") && !body.is(t, "SendResponseResponse") {
                return Err(reader.unexpected(body));
            }
            let mut parts = Sequence::of(body);
            let element = parts.need(t, "MessageMetadata")?;
            reader.verify(element, &mut parts)?;
            let metadata = read::metadata(self.version, element)?;
            let message_id = metadata
                .message_id
                .clone()
                .ok_or_else(|| malformed("the receipt names no message"))?;
            Ok(Receipt { message_id, metadata })
        })
    }

    /// Reads it as the answer to GetRequest.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn delivered_request(&self) -> Result<Option<DeliveredRequest>, CallError> {
        let (t, b) = (self.version.types(), self.version.basic());
        self.read(|reader, body| {
            let Some(mut message) = reader.message(body, "GetRequestResponse", "RequestMessage")? else {
                return Ok(None);
            };
            let request = message.need(t, "Request")?;
            let contents = reader.contents(&mut message)?;
            reader.verify(request, &mut message)?;

            let mut parts = Sequence::of(request);
            let signed = parts.need(t, "SenderProvidedRequestData")?;
            let mut data = read::request_data(self.version, signed)?;
            pair(&mut data.attachments, contents)?;
            let metadata = read::metadata(self.version, parts.need(t, "MessageMetadata")?)?;
            let fs_attachments = parts.take(b, "FSAttachmentsList").map(|list| list.source().to_owned());
            let reply_to = parts.take(t, "ReplyTo").map(read::text);
            let sender = reader.sender(signed, &mut parts)?;
            parts.end()?;
            Ok(Some(DeliveredRequest {
                data,
                metadata,
                reply_to,
                fs_attachments,
                sender,
            }))
        })
    }

    /// Reads it as the answer to GetResponse.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn delivered_response(&self) -> Result<Option<DeliveredResponse>, CallError> {
        let (t, b) = (self.version.types(), self.version.basic());
        self.read(|reader, body| {
            let Some(mut message) = reader.message(body, "GetResponseResponse", "ResponseMessage")? else {
                return Ok(None);
            };
            let response = message.need(t, "Response")?;
            let contents = reader.contents(&mut message)?;
            reader.verify(response, &mut message)?;

            let mut parts = Sequence::of(response);
            let original_message_id = parts.take(t, "OriginalMessageId").map(read::text);
            let original_transaction_code = parts.take(t, "OriginalTransactionCode").map(read::text);
            let reference_message_id = parts.take(t, "ReferenceMessageID").map(read::text);
            let signed = parts.need(t, "SenderProvidedResponseData")?;
            let mut data = read::response_data(self.version, signed)?;
            if let crate::message::Reply::Content { attachments, .. } = &mut data.reply {
                pair(attachments, contents)?;
            }
            let metadata = read::metadata(self.version, parts.need(t, "MessageMetadata")?)?;
            let fs_attachments = parts.take(b, "FSAttachmentsList").map(|list| list.source().to_owned());
            let sender = reader.sender(signed, &mut parts)?;
            parts.end()?;
            Ok(Some(DeliveredResponse {
                data,
                metadata,
                original_message_id,
                original_transaction_code,
                reference_message_id,
                fs_attachments,
                sender,
            }))
        })
    }

    /// Reads it as the answer to GetStatus.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn status(&self) -> Result<Option<AsyncStatus>, CallError> {
        let t = self.version.types();
        self.read(|reader, body| {
            let message = reader.message(body, "GetStatusResponse", "SmevAsyncProcessingMessage")?;
            let Some(mut message) = message else { return Ok(None) };
            let data = message.need(t, "AsyncProcessingStatusData")?;
            reader.verify(data, &mut message)?;
            let mut parts = Sequence::of(data);
            let status = read::async_status(self.version, parts.need(t, "AsyncProcessingStatus")?)?;
            parts.end()?;
            Ok(Some(status))
        })
    }

    /// Reads it as the answer to Ack: the empty element, or, as some documentation shows, nothing at all.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn acknowledged(&self) -> Result<(), CallError> {
        self.read(|reader, body| {
            if body.is(self.version.types(), "AckResponse") {
                Ok(())
            } else {
                Err(reader.unexpected(body))
            }
        })
    }

    /// Reads it as the answer to GetIncomingQueueStatistics: name and depth of each queue.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn statistics(&self) -> Result<Vec<(String, i64)>, CallError> {
        let t = self.version.types();
        self.read(|reader, body| {
            if !body.is(t, "GetIncomingQueueStatisticsResponse") {
                return Err(reader.unexpected(body));
            }
            let mut queues = Vec::new();
            let mut parts = Sequence::of(body);
            while let Some(queue) = parts.take(t, "QueueStatistics") {
                let depth = queue
                    .attribute("pendingMessageNumber")
                    .and_then(|depth| depth.parse().ok());
                let depth = depth.ok_or_else(|| malformed("a queue has no depth"))?;
                queues.push((queue.attribute("queueName").unwrap_or_default().to_owned(), depth));
            }
            parts.end()?;
            Ok(queues)
        })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&Reader<'_, '_, '_>, Element<'_, '_>) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let no_soap = || CallError::Status {
            status: self.http.status,
            body: String::from_utf8_lossy(&self.http.body).chars().take(200).collect(),
        };
        let mime = Parts::of(&self.http.content_type, self.http.body.clone()).map_err(|_| no_soap())?;
        let limits = Limits {
            octets: 64 << 20,
            ..Limits::default()
        };
        let document = Document::parse(mime.root(), &limits).map_err(|_| no_soap())?;
        if !document.root().is(SOAP, "Envelope") {
            return Err(no_soap());
        }
        let body = read::body(document.root())?;
        if body.is(SOAP, "Fault") {
            return Err(CallError::Fault(Box::new(read::fault(body))));
        }
        read(
            &Reader {
                answer: self,
                document: &document,
                mime: &mime,
            },
            body,
        )
    }
}

struct Reader<'r, 'd, 'm> {
    answer: &'r Answer,
    document: &'r Document<'d>,
    mime: &'m Parts,
}

impl Reader<'_, '_, '_> {
    /// The message inside an answer to a Get call; nothing if the queue is empty.
    fn message<'d, 'a>(
        &self,
        body: Element<'d, 'a>,
        answer: &str,
        message: &str,
    ) -> Result<Option<Sequence<'d, 'a>>, CallError> {
        let t = self.answer.version.types();
        if !body.is(t, answer) {
            return Err(self.unexpected(body));
        }
        let mut parts = Sequence::of(body);
        let message = parts.take(t, message).map(Sequence::of);
        parts.end()?;
        Ok(message)
    }

    fn contents(&self, message: &mut Sequence<'_, '_>) -> Result<Vec<(String, Vec<u8>)>, CallError> {
        let version = self.answer.version;
        match message.take(version.basic(), "AttachmentContentList") {
            Some(list) => Ok(read::attachment_contents(version, list, self.mime)?),
            None => Ok(Vec::new()),
        }
    }

    /// What comes next must be the signature of a trusted key over `target`, and the last thing.
    fn verify(&self, target: Element<'_, '_>, parts: &mut Sequence<'_, '_>) -> Result<(), CallError> {
        let wrapper = parts
            .take(self.answer.version.types(), "SMEVSignature")
            .ok_or_else(|| CallError::Signature("SMEVSignature is missing".to_owned()))?;
        if parts.any().is_some() {
            return Err(malformed("something follows SMEVSignature"));
        }
        let bad = |error: &dyn std::fmt::Display| CallError::Signature(error.to_string());
        let signature = SignatureElement::parse(read::signature_in(wrapper)?).map_err(|error| bad(&error))?;
        let trusted = self
            .answer
            .trusted
            .iter()
            .find(|trusted| trusted.certificate.der() == signature.certificate_der())
            .ok_or_else(|| bad(&"signed with a certificate that is not trusted"))?;
        signature
            .verify(self.document, target, &trusted.key)
            .map_err(|error| bad(&error))?;
        Ok(())
    }

    fn sender(&self, target: Element<'_, '_>, parts: &mut Sequence<'_, '_>) -> Result<SenderProof, CallError> {
        let Some(wrapper) = parts.take(self.answer.version.types(), "SenderInformationSystemSignature") else {
            return Ok(SenderProof::Absent);
        };
        let signature = read::signature_in(wrapper)?;
        let checked = SignatureElement::parse(signature)
            .map_err(|error| error.to_string())
            .and_then(|signature| {
                let certificate =
                    Certificate::from_der(signature.certificate_der()).map_err(|error| error.to_string())?;
                let key = certificate.public_key().prepare();
                signature
                    .verify(self.document, target, &key)
                    .map_err(|error| error.to_string())?;
                Ok(certificate)
            });
        Ok(match checked {
            Ok(certificate) => SenderProof::Holds(certificate),
            Err(cause) => SenderProof::DoesNotHold(cause),
        })
    }

    fn unexpected(&self, body: Element<'_, '_>) -> CallError {
        malformed(format!(
            "{{{}}}{} is no answer of this operation in version {}",
            body.namespace().unwrap_or(""),
            body.local_name(),
            self.answer.version
        ))
    }
}

impl From<Malformed> for CallError {
    fn from(cause: Malformed) -> Self {
        CallError::Malformed(cause.0)
    }
}

fn malformed(what: impl Into<String>) -> CallError {
    CallError::Malformed(what.into())
}

fn pair(attachments: &mut [crate::message::Attachment], contents: Vec<(String, Vec<u8>)>) -> Result<(), CallError> {
    if read::pair(attachments, contents) {
        Ok(())
    } else {
        Err(malformed("headers and contents of files do not pair"))
    }
}
