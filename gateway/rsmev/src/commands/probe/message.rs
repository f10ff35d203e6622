//! A message that came: what is told of it as JSON, and what a person reads.

use emulator::{AsyncStatus, Attachment, DeliveredRequest, DeliveredResponse, Fault, Metadata, Reply, SenderProof};
use serde::Serialize;

use super::caller::Signer;
use super::report::Sheet;

/// Namespaces of the envelope: that of SOAP, and the beginning of those of the service.
const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SERVICE: &str = "urn://x-artefacts-smev-gov-ru/services/message-exchange/";

/// A message that came.
#[derive(Debug, Serialize)]
pub(super) struct Message {
    /// `request`, `response` or `notice`.
    pub(super) what: &'static str,
    /// What Ack names; a notice has none.
    pub(super) message_id: Option<String>,
    /// The request that a response or a notice is about.
    original_message_id: Option<String>,
    from: Option<String>,
    from_name: Option<String>,
    sent_at: Option<String>,
    status: Option<String>,
    /// Whether it is marked as a test.
    test: bool,
    reply_to: Option<String>,
    /// What a response or notice says that has no payload.
    said: Option<String>,
    /// The fault that a notice names.
    fault: Option<String>,
    sender: Option<Sender>,
    pub(super) payload: Option<String>,
    pub(super) attachments: Vec<File>,
    /// Whether there are files in a file storage, which are not fetched.
    file_references: bool,
}

/// Whether the sender's own signature came along and holds.
#[derive(Debug, Serialize)]
struct Sender {
    signature: &'static str,
    subject: Option<String>,
    certificate: Option<String>,
    cause: Option<String>,
}

/// An attachment, without its content.
#[derive(Debug, Serialize)]
pub(super) struct File {
    id: String,
    mime_type: String,
    octets: usize,
    /// Whether a detached signature came with it; it is not verified.
    signed: bool,
    /// Its name in the folder where the message was saved.
    pub(super) file: Option<String>,
}

/// A request, and the files that came with it.
pub(super) fn of_request(request: DeliveredRequest) -> (Message, Vec<Attachment>) {
    let data = request.data;
    let mut message = Message::new("request", request.metadata, Some(data.message_id));
    message.test = data.test_message;
    message.reply_to = request.reply_to;
    message.sender = Some(Sender::of(&request.sender));
    message.payload = Some(data.content);
    message.attachments = data.attachments.iter().map(File::of).collect();
    message.file_references = request.fs_attachments.is_some() || data.ref_attachments.is_some();
    (message, data.attachments)
}

/// An answer, and the files that came with it.
pub(super) fn of_response(response: DeliveredResponse) -> (Message, Vec<Attachment>) {
    let mut message = Message::new("response", response.metadata, Some(response.data.message_id));
    message.original_message_id = response.original_message_id;
    message.sender = Some(Sender::of(&response.sender));
    message.file_references = response.fs_attachments.is_some();
    let mut files = Vec::new();
    match response.data.reply {
        Reply::Content {
            content, attachments, ..
        } => {
            message.payload = Some(content);
            files = attachments;
        }
        Reply::Rejected(reasons) => {
            let reasons = reasons
                .iter()
                .map(|reason| format!("{}: {}", reason.code, reason.description));
            message.said = Some(format!("rejected: {}", reasons.collect::<Vec<_>>().join("; ")));
        }
        Reply::Status(status) => {
            message.said = Some(format!(
                "status {}: {}; the answer is still to come",
                status.code, status.description
            ));
        }
        Reply::Async(status) => message.add_notice(&status),
    }
    message.attachments = files.iter().map(File::of).collect();
    (message, files)
}

/// A notice.
pub(super) fn of_notice(status: &AsyncStatus) -> Message {
    let mut message = Message::new("notice", Metadata::default(), None);
    message.add_notice(status);
    message
}

#[cfg(test)]
impl Message {
    /// A request with this payload.
    pub(super) fn polled(id: &str, payload: &str) -> Self {
        Self {
            payload: Some(payload.to_owned()),
            ..Self::new("request", Metadata::default(), Some(id.to_owned()))
        }
    }
}

impl Message {
    fn new(what: &'static str, metadata: Metadata, id: Option<String>) -> Self {
        let (mnemonic, name) = metadata
            .sender
            .map(|sender| (sender.mnemonic, sender.name))
            .unwrap_or_default();
        Self {
            what,
            message_id: metadata.message_id.or(id),
            original_message_id: None,
            from: mnemonic,
            from_name: name,
            sent_at: Some(metadata.sending_timestamp).filter(|at| !at.is_empty()),
            status: metadata.status,
            test: false,
            reply_to: None,
            said: None,
            fault: None,
            sender: None,
            payload: None,
            attachments: Vec::new(),
            file_references: false,
        }
    }

    fn add_notice(&mut self, status: &AsyncStatus) {
        let about = Some(status.original_message_id.clone());
        self.original_message_id = self.original_message_id.take().or(about);
        let details = status.details.as_deref().unwrap_or("no details");
        self.said = Some(format!("{}: {details}", status.category));
        self.fault = status.fault.as_ref().map(Fault::to_string);
    }

    /// What a person reads of it.
    pub(super) fn sheet(&self, signer: Option<&Signer>, saved: Option<&str>) -> Sheet {
        let id = self.message_id.as_deref().unwrap_or_default();
        let mut sheet = Sheet::new(format!("{}  {id}", self.what.to_uppercase()));
        let name = self.from_name.as_deref().map(|name| format!(" ({name})"));
        let from = self.from.as_deref().or(name.as_ref().map(|_| "-"));
        sheet.some("from", from.map(|from| format!("{from}{}", name.unwrap_or_default())));
        sheet.some("sent", self.sent_at.as_deref());
        sheet.some("about", self.original_message_id.as_deref());
        if self.test {
            sheet.line("test", "it is marked as a test (TestMessage)");
        }
        sheet.some("says", self.said.as_deref());
        sheet.some("fault", self.fault.as_deref());
        sheet.signer(signer);
        if let Some(sender) = &self.sender {
            sheet.line("sender", sender.words());
        }
        sheet.some("reply to", self.reply_to.as_deref());
        sheet.some("payload", self.payload.as_deref().map(without_envelope));
        for file in &self.attachments {
            let signed = if file.signed {
                ", with a signature that is not verified"
            } else {
                ""
            };
            sheet.line(
                "attachment",
                format!("{}, {}, {} octets{signed}", file.id, file.mime_type, file.octets),
            );
        }
        if self.file_references {
            sheet.line(
                "files",
                "there are files in the file storage, which the probe does not fetch",
            );
        }
        sheet.some("saved in", saved);
        match self.message_id {
            Some(_) => sheet.line("next", format!("rsmev probe ack --message {id} … (or it comes again)")),
            None => sheet.line("next", "nothing: a notice needs no Ack"),
        }
        if self.what == "request" && saved.is_some() {
            sheet.line(
                "",
                format!("rsmev probe send --to-response {id} --saved DIR --payload FILE … answers it"),
            );
        } else if self.what == "request" {
            sheet.line("", "rsmev probe send --reply-to TEXT --payload FILE … answers it");
        }
        sheet
    }
}

/// The payload without what its root element has inherited from the envelope, which would hide it from a person. Saved it is
/// whole: its declarations may be used anywhere in it.
fn without_envelope(payload: &str) -> String {
    let Ok(document) = roxmltree::Document::parse(payload) else {
        return payload.to_owned();
    };
    let end = payload.find('>').unwrap_or(payload.len());
    let (tag, rest) = payload.split_at(end);
    let mut tag = tag.to_owned();
    for declared in document.root_element().namespaces() {
        let inherited = declared.uri() == SOAP || declared.uri().starts_with(SERVICE);
        if let Some(prefix) = declared.name().filter(|_| inherited) {
            tag = tag.replace(&format!(" xmlns:{prefix}=\"{}\"", declared.uri()), "");
        }
    }
    format!("{tag}{rest}")
}

impl Sender {
    fn of(proof: &SenderProof) -> Self {
        let certificate = proof.certificate();
        let (signature, cause) = match proof {
            SenderProof::Holds(_) => ("holds", None),
            SenderProof::DoesNotHold(cause) => ("does not hold", Some(cause.clone())),
            SenderProof::Absent => ("absent", None),
        };
        Self {
            signature,
            subject: certificate.map(|certificate| certificate.subject().to_owned()),
            certificate: certificate.map(|certificate| certificate.id().to_string()),
            cause,
        }
    }

    fn words(&self) -> String {
        match (&self.subject, &self.cause) {
            (Some(subject), _) => format!("{subject}: the sender's own signature came along and holds"),
            (None, Some(cause)) => format!(
                "the sender's own signature does not hold here ({cause}), as after a translation between versions; the \
                 gateway or bus verified it and signs for it"
            ),
            (None, None) => "the sender's own signature did not come along".to_owned(),
        }
    }
}

impl File {
    fn of(attachment: &Attachment) -> Self {
        Self {
            id: attachment.id.clone(),
            mime_type: attachment.mime_type.clone(),
            octets: attachment.content.len(),
            signed: attachment.signature_pkcs7.is_some(),
            file: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_sees_the_payload_and_not_the_envelopes_declarations() {
        let inherited = format!("xmlns:s=\"{SOAP}\" xmlns:t=\"{SERVICE}types/1.2\"");
        let payload = format!("<p:A {inherited} xmlns:p=\"urn:p\"><p:B/></p:A>");
        assert_eq!(without_envelope(&payload), "<p:A xmlns:p=\"urn:p\"><p:B/></p:A>");
        assert_eq!(without_envelope("no XML"), "no XML");
    }
}
