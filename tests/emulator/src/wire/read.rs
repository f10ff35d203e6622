//! Reading messages, strictly in the order of the schemas (PROTOCOL §3): what stands elsewhere is malformed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use xmldsig::Element;

use super::mime::Parts;
use super::splice;
use crate::fault::Fault;
use crate::message::{
    AsyncStatus, Attachment, Metadata, Party, Rejection, Reply, RequestData, RequestStatus, ResponseData, Routing,
    Selector,
};
use crate::version::{DS, ROUTING, SOAP, Version, XOP, XSI};

/// What is wrong with the structure of a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) String);

type Reading<T> = Result<T, Malformed>;

fn malformed<T>(what: impl Into<String>) -> Reading<T> {
    Err(Malformed(what.into()))
}

/// The children of an element, taken in order.
pub(crate) struct Sequence<'d, 'a> {
    parent: &'a str,
    rest: Vec<Element<'d, 'a>>,
    next: usize,
}

impl<'d, 'a> Sequence<'d, 'a> {
    pub(crate) fn of(element: Element<'d, 'a>) -> Self {
        Sequence {
            parent: element.local_name(),
            rest: element.children().collect(),
            next: 0,
        }
    }

    /// The next child, if it is this one.
    pub(crate) fn take(&mut self, namespace: &str, local: &str) -> Option<Element<'d, 'a>> {
        let next = self
            .rest
            .get(self.next)
            .copied()
            .filter(|element| element.is(namespace, local))?;
        self.next += 1;
        Some(next)
    }

    /// The next child, which must be this one.
    pub(crate) fn need(&mut self, namespace: &str, local: &str) -> Reading<Element<'d, 'a>> {
        match self.take(namespace, local) {
            Some(element) => Ok(element),
            None => malformed(format!("{} must have {local} here, not {}", self.parent, self.found())),
        }
    }

    /// The next child whatever it is.
    pub(crate) fn any(&mut self) -> Option<Element<'d, 'a>> {
        let next = self.rest.get(self.next).copied()?;
        self.next += 1;
        Some(next)
    }

    /// Nothing may be left.
    pub(crate) fn end(self) -> Reading<()> {
        if self.next == self.rest.len() {
            Ok(())
        } else {
            malformed(format!("{} must not have {} here", self.parent, self.found()))
        }
    }

    fn text(&mut self, namespace: &str, local: &str) -> Option<String> {
        self.take(namespace, local).map(text)
    }

    fn need_text(&mut self, namespace: &str, local: &str) -> Reading<String> {
        self.need(namespace, local).map(text)
    }

    fn found(&self) -> String {
        self.rest.get(self.next).map_or_else(
            || "its end".to_owned(),
            |element| format!("{{{}}}{}", element.namespace().unwrap_or(""), element.local_name()),
        )
    }
}

/// The text of an element without the white space around it.
pub(crate) fn text(element: Element<'_, '_>) -> String {
    element.text().trim().to_owned()
}

/// The only child of a SOAP body.
pub(crate) fn body<'d, 'a>(root: Element<'d, 'a>) -> Reading<Element<'d, 'a>> {
    if !root.is(SOAP, "Envelope") {
        return malformed("the document is no SOAP 1.1 envelope");
    }
    let mut envelope = Sequence::of(root);
    let _header = envelope.take(SOAP, "Header");
    let body = envelope.need(SOAP, "Body")?;
    envelope.end()?;
    let mut content = Sequence::of(body);
    match content.any() {
        Some(child) => content.end().map(|()| child),
        None => malformed("the SOAP body is empty"),
    }
}

/// The `ds:Signature` in a wrapper that has nothing else.
pub(crate) fn signature_in<'d, 'a>(wrapper: Element<'d, 'a>) -> Reading<Element<'d, 'a>> {
    let mut content = Sequence::of(wrapper);
    let signature = content.need(DS, "Signature")?;
    content.end()?;
    Ok(signature)
}

/// `SenderProvidedRequestData`, without what stands beside it. Attachments have no content yet.
pub(crate) fn request_data(version: Version, element: Element<'_, '_>) -> Reading<RequestData> {
    let (t, mut parts) = (version.types(), Sequence::of(element));
    let message_id = parts.need_text(t, "MessageID")?;
    let reference_message_id = parts.text(t, "ReferenceMessageID");
    let transaction_code = parts.text(t, "TransactionCode");
    let node_id = parts.text(t, "NodeID").filter(|node| !node.is_empty());
    let eol = parts.text(t, "EOL");
    let content = primary_content(version, &mut parts)?;
    let business_process_metadata = parts
        .take(t, "BusinessProcessMetadata")
        .map(|element| splice::inner(element).to_owned());
    let test_message = parts.take(t, "TestMessage").is_some();
    parts.end()?;
    let (content, personal_signature, attachments, ref_attachments) = content;
    Ok(RequestData {
        message_id,
        reference_message_id,
        transaction_code,
        node_id,
        eol,
        content,
        personal_signature,
        attachments,
        ref_attachments,
        business_process_metadata,
        test_message,
        routing: None,
    })
}

/// `SenderProvidedResponseData`. Attachments have no content yet.
pub(crate) fn response_data(version: Version, element: Element<'_, '_>) -> Reading<ResponseData> {
    let (t, mut parts) = (version.types(), Sequence::of(element));
    let message_id = parts.need_text(t, "MessageID")?;
    let to = parts.need_text(t, "To")?;
    let reply = if let Some(first) = parts.take(t, "RequestRejected") {
        let mut reasons = vec![rejection(t, first)?];
        while let Some(next) = parts.take(t, "RequestRejected") {
            reasons.push(rejection(t, next)?);
        }
        Reply::Rejected(reasons)
    } else if let Some(status) = parts.take(t, "RequestStatus") {
        Reply::Status(request_status(t, status)?)
    } else if let Some(status) = parts.take(t, "AsyncProcessingStatus") {
        Reply::Async(async_status(version, status)?)
    } else {
        let (content, personal_signature, attachments, ref_attachments) = primary_content(version, &mut parts)?;
        Reply::Content {
            content,
            personal_signature,
            attachments,
            ref_attachments,
        }
    };
    parts.end()?;
    Ok(ResponseData { message_id, to, reply })
}

/// `AsyncProcessingStatus`.
pub(crate) fn async_status(version: Version, element: Element<'_, '_>) -> Reading<AsyncStatus> {
    let (t, mut parts) = (version.types(), Sequence::of(element));
    let original_message_id = parts.need_text(t, "OriginalMessageId")?;
    let category = parts.need_text(t, "StatusCategory")?;
    let details = parts.text(t, "StatusDetails");
    if version == Version::V1_3 {
        let _status = parts.take(ROUTING, "RoutingStatus");
    }
    let fault = parts
        .take(t, "SmevFault")
        .map(|element| typed_fault(version, element))
        .transpose()?;
    parts.end()?;
    Ok(AsyncStatus {
        original_message_id,
        category,
        details,
        fault,
    })
}

/// `MessageTypeSelector` and its timestamp. An empty pair means no filter.
pub(crate) fn selector(version: Version, element: Element<'_, '_>) -> Reading<(Selector, String)> {
    let (b, mut parts) = (version.basic(), Sequence::of(element));
    let kind = match parts.text(b, "NamespaceURI") {
        Some(namespace) => {
            let local = parts.need_text(b, "RootElementLocalName")?;
            (!namespace.is_empty()).then_some((namespace, local))
        }
        None => None,
    };
    let timestamp = parts.need_text(b, "Timestamp")?;
    let node_id = parts.text(b, "NodeID").filter(|node| !node.is_empty());
    parts.end()?;
    Ok((Selector { kind, node_id }, timestamp))
}

/// `RoutingInformation`: the values and the message they are for.
pub(crate) fn routing_information(element: Element<'_, '_>) -> Reading<(String, Routing)> {
    let mut parts = Sequence::of(element);
    let message_id = parts.need_text(ROUTING, "MessageID")?;
    let dynamic = parts
        .take(ROUTING, "DynamicRouting")
        .map(|e| values(e, "DynamicValue"))
        .transpose()?;
    let identifiers = parts
        .take(ROUTING, "IdentifierRouting")
        .map(|e| values(e, "IdentifierValue"))
        .transpose()?;
    let _registry = parts.take(ROUTING, "RegistryRouting");
    parts.end()?;
    Ok((
        message_id,
        Routing {
            dynamic: dynamic.unwrap_or_default(),
            identifiers: identifiers.unwrap_or_default(),
        },
    ))
}

/// `MessageMetadata`.
pub(crate) fn metadata(version: Version, element: Element<'_, '_>) -> Reading<Metadata> {
    let (t, mut parts) = (version.types(), Sequence::of(element));
    let message_id = parts.text(t, "MessageId");
    let message_type = parts.need_text(t, "MessageType")?;
    let sender = parts.take(t, "Sender").map(|e| party(t, e)).transpose()?;
    let sending_timestamp = parts.need_text(t, "SendingTimestamp")?;
    if version == Version::V1_1 {
        let _broker = parts.take(t, "MessageBroker");
        let _destination = parts.need(t, "DestinationName")?;
    }
    let recipient = parts.take(t, "Recipient").map(|e| party(t, e)).transpose()?;
    if version == Version::V1_1 {
        let _supplement = parts.need(t, "SupplementaryData")?;
    }
    let delivery_timestamp = parts.text(t, "DeliveryTimestamp");
    let status = parts.text(t, "Status");
    parts.end()?;
    Ok(Metadata {
        message_id,
        message_type,
        sender,
        sending_timestamp,
        recipient,
        delivery_timestamp,
        status,
    })
}

/// `AttachmentContentList`: Id and octets of each, inline or from the parts of a multipart message.
pub(crate) fn attachment_contents(
    version: Version,
    list: Element<'_, '_>,
    mime: &Parts,
) -> Reading<Vec<(String, Vec<u8>)>> {
    let b = version.basic();
    let mut contents = Vec::new();
    let mut items = Sequence::of(list);
    while let Some(item) = items.take(b, "AttachmentContent") {
        let mut parts = Sequence::of(item);
        let id = parts.need_text(b, "Id")?;
        let content = parts.need(b, "Content")?;
        parts.end()?;
        let octets = match content.child(XOP, "Include") {
            Some(include) => {
                let href = include.attribute("href").unwrap_or_default();
                match mime.content(href) {
                    Some(octets) => octets.to_vec(),
                    None => return malformed(format!("no part of the message is {href:?}")),
                }
            }
            None => base64_text(content)?,
        };
        contents.push((id, octets));
    }
    items.end()?;
    Ok(contents)
}

/// Gives the attachments their contents, paired by Id. `false` if they do not pair.
pub(crate) fn pair(attachments: &mut [Attachment], contents: Vec<(String, Vec<u8>)>) -> bool {
    if attachments.len() != contents.len() {
        return false;
    }
    let mut left: std::collections::HashMap<String, Vec<u8>> = contents.into_iter().collect();
    attachments
        .iter_mut()
        .all(|attachment| match left.remove(&attachment.id) {
            Some(octets) => {
                attachment.content = octets;
                true
            }
            None => false,
        })
}

/// A `soap:Fault`, of any version.
pub(crate) fn fault(element: Element<'_, '_>) -> Fault {
    let named = |name: &str| element.children().find(|child| child.local_name() == name);
    let text_of = |name: &str| named(name).map(text).unwrap_or_default();
    let mut fault = Fault {
        element: String::new(),
        text: text_of("faultstring"),
        code: None,
        description: None,
        fields: Vec::new(),
    };
    if let Some(detail) = named("detail").and_then(|detail| detail.children().next()) {
        fault.element = detail.local_name().to_owned();
        read_fields(detail, &mut fault);
    }
    fault
}

/// A fault inside a notice: its name is in `xsi:type`.
fn typed_fault(version: Version, element: Element<'_, '_>) -> Reading<Fault> {
    let name = element.attribute_ns(XSI, "type").unwrap_or("SmevFault");
    let (prefix, local) = name
        .split_once(':')
        .map_or((None, name), |(prefix, local)| (Some(prefix), local));
    let namespace = element
        .namespaces_in_scope()
        .find(|(declared, _)| *declared == prefix)
        .map(|(_, uri)| uri);
    if local != "SmevFault" && namespace != Some(version.faults()) {
        return malformed(format!("xsi:type={name:?} is not in the namespace of faults"));
    }
    let mut fault = Fault {
        element: local.to_owned(),
        text: String::new(),
        code: None,
        description: None,
        fields: Vec::new(),
    };
    read_fields(element, &mut fault);
    Ok(fault)
}

fn read_fields(element: Element<'_, '_>, fault: &mut Fault) {
    for child in element.children() {
        match child.local_name() {
            "Code" => fault.code = Some(text(child)),
            "Description" => fault.description = Some(text(child)),
            name => fault.fields.push((name.to_owned(), text(child))),
        }
    }
}

type Content = (String, Option<String>, Vec<Attachment>, Option<String>);

fn primary_content(version: Version, parts: &mut Sequence<'_, '_>) -> Reading<Content> {
    let (t, b) = (version.types(), version.basic());
    let mut content = Sequence::of(parts.need(b, "MessagePrimaryContent")?);
    let payload = match content.any() {
        Some(payload) if payload.namespace().is_some_and(|namespace| namespace != b) => payload,
        _ => return malformed("MessagePrimaryContent must have one element of another namespace"),
    };
    content.end()?;
    let personal_signature = match parts.take(t, "PersonalSignature") {
        Some(wrapper) => Some(splice::self_contained(signature_in(wrapper)?)),
        None => None,
    };
    let mut attachments = Vec::new();
    if let Some(list) = parts.take(b, "AttachmentHeaderList") {
        let mut headers = Sequence::of(list);
        while let Some(header) = headers.take(b, "AttachmentHeader") {
            attachments.push(attachment_header(version, header)?);
        }
        headers.end()?;
    }
    let ref_attachments = parts.take(b, "RefAttachmentHeaderList").map(splice::self_contained);
    Ok((
        splice::self_contained(payload),
        personal_signature,
        attachments,
        ref_attachments,
    ))
}

fn attachment_header(version: Version, header: Element<'_, '_>) -> Reading<Attachment> {
    let (b, mut parts) = (version.basic(), Sequence::of(header));
    let id = parts.need_text(b, "contentId")?;
    if version == Version::V1_3 {
        let _namespace = parts.take(b, "NamespaceUri");
    }
    let mime_type = parts.need_text(b, "MimeType")?;
    let signature_pkcs7 = parts.take(b, "SignaturePKCS7").map(base64_text).transpose()?;
    if version == Version::V1_3 {
        let _archive = parts.take(b, "Archive");
    }
    parts.end()?;
    Ok(Attachment {
        id,
        mime_type,
        signature_pkcs7,
        content: Vec::new(),
    })
}

fn base64_text(element: Element<'_, '_>) -> Reading<Vec<u8>> {
    let mut text = element.text().into_owned();
    text.retain(|c| !c.is_ascii_whitespace());
    BASE64
        .decode(&text)
        .map_err(|error| Malformed(format!("{} is no base64: {error}", element.local_name())))
}

fn rejection(t: &str, element: Element<'_, '_>) -> Reading<Rejection> {
    let mut parts = Sequence::of(element);
    let code = parts.need_text(t, "RejectionReasonCode")?;
    let description = parts.need_text(t, "RejectionReasonDescription")?;
    parts.end()?;
    Ok(Rejection { code, description })
}

fn request_status(t: &str, element: Element<'_, '_>) -> Reading<RequestStatus> {
    let mut parts = Sequence::of(element);
    let code = parts.need_text(t, "StatusCode")?;
    let code = code
        .parse()
        .map_err(|_| Malformed(format!("StatusCode {code:?} is no number")))?;
    let mut parameters = Vec::new();
    while let Some(parameter) = parts.take(t, "StatusParameter") {
        let mut pair = Sequence::of(parameter);
        parameters.push((pair.need_text(t, "Key")?, pair.need_text(t, "Value")?));
        pair.end()?;
    }
    let description = parts.need_text(t, "StatusDescription")?;
    parts.end()?;
    Ok(RequestStatus {
        code,
        parameters,
        description,
    })
}

fn values(list: Element<'_, '_>, local: &str) -> Reading<Vec<String>> {
    let mut parts = Sequence::of(list);
    let mut values = Vec::new();
    while let Some(value) = parts.text(ROUTING, local) {
        values.push(value);
    }
    parts.end()?;
    Ok(values)
}

fn party(t: &str, element: Element<'_, '_>) -> Reading<Party> {
    let mut parts = Sequence::of(element);
    let party = Party {
        mnemonic: parts.text(t, "Mnemonic"),
        name: parts.text(t, "HumanReadableName"),
    };
    parts.end()?;
    Ok(party)
}
