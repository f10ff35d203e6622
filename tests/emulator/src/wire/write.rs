//! The pieces of messages, each as its version has them (PROTOCOL §3). Pieces that get signed declare their own
//! namespaces, so that they can be signed alone and put anywhere.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::writer::{Style, Writer, escape_into};
use crate::fault::Fault;
use crate::message::{AsyncStatus, Attachment, Metadata, Party, Reply, RequestData, ResponseData, Routing, Selector};
use crate::version::{ROUTING, Version, XOP, XSI};

/// `SenderProvidedRequestData` under the given Id.
pub(crate) fn request_data(style: Style, data: &RequestData, id: &str) -> String {
    let mut w = Writer::new(style);
    w.open_root_t("SenderProvidedRequestData", &id_attribute(id));
    w.t("MessageID", &data.message_id);
    w.t_some("ReferenceMessageID", data.reference_message_id.as_deref());
    w.t_some("TransactionCode", data.transaction_code.as_deref());
    w.t_some("NodeID", data.node_id.as_deref());
    w.t_some("EOL", data.eol.as_deref());
    primary_content(
        &mut w,
        &data.content,
        data.personal_signature.as_deref(),
        &data.attachments,
        data.ref_attachments.as_deref(),
    );
    if let Some(metadata) = &data.business_process_metadata {
        w.open_t("BusinessProcessMetadata");
        w.raw(metadata);
        w.close_t("BusinessProcessMetadata");
    }
    if data.test_message {
        w.t("TestMessage", "");
    }
    w.close_t("SenderProvidedRequestData");
    w.finish()
}

/// `SenderProvidedResponseData` under the given Id.
pub(crate) fn response_data(style: Style, data: &ResponseData, id: &str) -> String {
    let mut w = Writer::new(style);
    w.open_root_t("SenderProvidedResponseData", &id_attribute(id));
    w.t("MessageID", &data.message_id);
    w.t("To", &data.to);
    match &data.reply {
        Reply::Content {
            content,
            personal_signature,
            attachments,
            ref_attachments,
        } => {
            primary_content(
                &mut w,
                content,
                personal_signature.as_deref(),
                attachments,
                ref_attachments.as_deref(),
            );
        }
        Reply::Rejected(reasons) => {
            for reason in reasons {
                w.open_t("RequestRejected");
                w.t("RejectionReasonCode", &reason.code);
                w.t("RejectionReasonDescription", &reason.description);
                w.close_t("RequestRejected");
            }
        }
        Reply::Status(status) => {
            w.open_t("RequestStatus");
            w.t("StatusCode", &status.code.to_string());
            for (key, value) in &status.parameters {
                w.open_t("StatusParameter");
                w.t("Key", key);
                w.t("Value", value);
                w.close_t("StatusParameter");
            }
            w.t("StatusDescription", &status.description);
            w.close_t("RequestStatus");
        }
        Reply::Async(status) => async_status(&mut w, status),
    }
    w.close_t("SenderProvidedResponseData");
    w.finish()
}

/// `AsyncProcessingStatusData` under the given Id, for GetStatus.
pub(crate) fn async_status_data(style: Style, status: &AsyncStatus, id: &str) -> String {
    let mut w = Writer::new(style);
    w.open_root_t("AsyncProcessingStatusData", &id_attribute(id));
    async_status(&mut w, status);
    w.close_t("AsyncProcessingStatusData");
    w.finish()
}

/// `MessageTypeSelector` under the given Id.
pub(crate) fn selector(style: Style, selector: &Selector, timestamp: &str, id: &str) -> String {
    let mut w = Writer::new(style);
    w.open_root_b("MessageTypeSelector", &id_attribute(id));
    if let Some((namespace, local)) = &selector.kind {
        w.b("NamespaceURI", namespace);
        w.b("RootElementLocalName", local);
    }
    w.b("Timestamp", timestamp);
    w.b_some("NodeID", selector.node_id.as_deref());
    w.close_b("MessageTypeSelector");
    w.finish()
}

/// `Timestamp` under the given Id, for GetStatus and the statistics.
pub(crate) fn timestamp(style: Style, timestamp: &str, id: &str) -> String {
    let mut w = Writer::new(style);
    w.open_root_b("Timestamp", &id_attribute(id));
    w.raw(timestamp);
    w.close_b("Timestamp");
    w.finish()
}

/// `AckTargetMessage` under the given Id; `accepted` is left out when nothing is said.
pub(crate) fn ack_target(style: Style, message_id: &str, accepted: Option<bool>, id: &str) -> String {
    let mut attributes = id_attribute(id);
    if let Some(accepted) = accepted {
        attributes.push_str(&format!(" accepted=\"{accepted}\""));
    }
    let mut w = Writer::new(style);
    w.open_root_b("AckTargetMessage", &attributes);
    w.raw(message_id);
    w.close_b("AckTargetMessage");
    w.finish()
}

/// `RoutingInformation` under the given Id (1.3).
pub(crate) fn routing_information(message_id: &str, routing: &Routing, id: &str) -> String {
    let mut text = format!(
        "<rout:RoutingInformation xmlns:rout=\"{ROUTING}\" {}><rout:MessageID>{message_id}</rout:MessageID>",
        id_attribute(id)
    );
    for (list, value, values) in [
        ("DynamicRouting", "DynamicValue", &routing.dynamic),
        ("IdentifierRouting", "IdentifierValue", &routing.identifiers),
    ] {
        if values.is_empty() {
            continue;
        }
        text.push_str(&format!("<rout:{list}>"));
        for one in values {
            text.push_str(&format!("<rout:{value}>"));
            escape_into(one, &mut text);
            text.push_str(&format!("</rout:{value}>"));
        }
        text.push_str(&format!("</rout:{list}>"));
    }
    text.push_str("</rout:RoutingInformation>");
    text
}

/// `MessageMetadata`, with an Id where it is signed by itself.
pub(crate) fn metadata(style: Style, metadata: &Metadata, id: Option<&str>) -> String {
    let mut w = Writer::new(style);
    w.open_root_t("MessageMetadata", &id.map(id_attribute).unwrap_or_default());
    w.t_some("MessageId", metadata.message_id.as_deref());
    w.t("MessageType", &metadata.message_type);
    party(&mut w, "Sender", metadata.sender.as_ref());
    w.t("SendingTimestamp", &metadata.sending_timestamp);
    if style.version == Version::V1_1 {
        w.t("DestinationName", "unknown");
    }
    party(&mut w, "Recipient", metadata.recipient.as_ref());
    if style.version == Version::V1_1 {
        w.open_t("SupplementaryData");
        w.t("DetectedContentTypeName", "not detected");
        w.t("InteractionType", "NotDetected");
        w.close_t("SupplementaryData");
    }
    w.t_some("DeliveryTimestamp", metadata.delivery_timestamp.as_deref());
    w.t_some("Status", metadata.status.as_deref());
    w.close_t("MessageMetadata");
    w.finish()
}

/// A wrapper of namespace T with the signature in it; nothing without a signature.
pub(crate) fn signature_t(w: &mut Writer, local: &str, signature: Option<&str>) {
    if let Some(signature) = signature {
        w.open_t(local);
        w.raw(signature);
        w.close_t(local);
    }
}

/// `AttachmentContentList`: the contents stand in it as base64, or as references to the parts of a multipart message.
pub(crate) fn attachment_contents(w: &mut Writer, attachments: &[Attachment], by_reference: bool) {
    if attachments.is_empty() {
        return;
    }
    w.open_b("AttachmentContentList");
    for (number, attachment) in attachments.iter().enumerate() {
        w.open_b("AttachmentContent");
        w.b("Id", &attachment.id);
        w.open_b("Content");
        if by_reference {
            w.raw(&format!(
                "<xop:Include xmlns:xop=\"{XOP}\" href=\"cid:{}\"/>",
                content_id(number)
            ));
        } else {
            w.raw(&BASE64.encode(&attachment.content));
        }
        w.close_b("Content");
        w.close_b("AttachmentContent");
    }
    w.close_b("AttachmentContentList");
}

/// The `Content-ID` of the n-th attachment's part.
pub(crate) fn content_id(number: usize) -> String {
    format!("attachment-{number}@emulator")
}

/// The envelope of a fault.
pub(crate) fn fault(style: Style, fault: &Fault) -> String {
    let mut text = String::new();
    escape_into(&fault.text, &mut text);
    let mut detail = String::new();
    if !fault.element.is_empty() {
        let mut w = Writer::new(style);
        let xsi = if fault.has_own_type() {
            String::new()
        } else {
            format!("xmlns:xsi=\"{XSI}\" xsi:type=\"SmevFault\"")
        };
        w.open_root_f(&fault.element, &xsi);
        fault_fields(&mut w, fault);
        w.close_f(&fault.element);
        detail = format!("<detail>{}</detail>", w.finish());
    }
    Writer::envelope(
        style,
        &format!(
            "<soap:Fault xmlns:soap=\"{}\"><faultcode>soap:Server</faultcode><faultstring>{text}</faultstring>{detail}</soap:Fault>",
            crate::version::SOAP
        ),
    )
}

fn async_status(w: &mut Writer, status: &AsyncStatus) {
    w.open_t("AsyncProcessingStatus");
    w.t("OriginalMessageId", &status.original_message_id);
    w.t("StatusCategory", &status.category);
    w.t_some("StatusDetails", status.details.as_deref());
    if let Some(fault) = &status.fault {
        // A QName in content: the prefix must be declared where a canonicaliser does not look for it (PROTOCOL §4).
        let prefix = w.style().faults_prefix();
        w.open_root_t(
            "SmevFault",
            &format!("xmlns:xsi=\"{XSI}\" xsi:type=\"{prefix}:{}\"", fault.element),
        );
        fault_fields(w, fault);
        w.close_t("SmevFault");
    }
    w.close_t("AsyncProcessingStatus");
}

fn fault_fields(w: &mut Writer, fault: &Fault) {
    w.b_some("Code", fault.code.as_deref());
    w.b_some("Description", fault.description.as_deref());
    for (name, text) in &fault.fields {
        w.f(
            name,
            if name == "ValidationError" {
                " errorPosition=\"-1\""
            } else {
                ""
            },
            text,
        );
    }
}

fn primary_content(
    w: &mut Writer,
    content: &str,
    personal_signature: Option<&str>,
    attachments: &[Attachment],
    ref_attachments: Option<&str>,
) {
    w.open_b("MessagePrimaryContent");
    w.raw(content);
    w.close_b("MessagePrimaryContent");
    signature_t(w, "PersonalSignature", personal_signature);
    if !attachments.is_empty() {
        w.open_b("AttachmentHeaderList");
        for attachment in attachments {
            w.open_b("AttachmentHeader");
            w.b("contentId", &attachment.id);
            w.b("MimeType", &attachment.mime_type);
            w.b_some(
                "SignaturePKCS7",
                attachment
                    .signature_pkcs7
                    .as_ref()
                    .map(|cms| BASE64.encode(cms))
                    .as_deref(),
            );
            w.close_b("AttachmentHeader");
        }
        w.close_b("AttachmentHeaderList");
    }
    if let Some(list) = ref_attachments {
        w.raw(list);
    }
}

fn party(w: &mut Writer, local: &str, party: Option<&Party>) {
    let Some(party) = party else { return };
    w.open_t(local);
    w.t_some("Mnemonic", party.mnemonic.as_deref());
    if w.version() != Version::V1_2 {
        let name = party.name.as_deref().or(party.mnemonic.as_deref());
        w.t_some("HumanReadableName", name);
    }
    w.close_t(local);
}

fn id_attribute(id: &str) -> String {
    let mut text = String::from("Id=\"");
    escape_into(id, &mut text);
    text.push('"');
    text
}
