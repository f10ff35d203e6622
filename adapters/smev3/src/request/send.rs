//! SendRequest and SendResponse: the sender's data and, in 1.3, the routing information.

use engine::command::PayloadRoot;
use engine::names::NodeId;
use jiff::Timestamp;
use uuid::Uuid;
use xmldsig::{Cause, Element};

use super::{date_time, missing, namespaces, node_id, optional, optional_value, value};
use crate::fault::{Fault, SignatureCause};
use crate::version::{ROUTING, Version};

/// What SendRequest and SendResponse have in common.
#[derive(Debug, Clone)]
pub struct Sent<'d, 'a> {
    /// `MessageID` as written; its form is checked by who knows the window.
    pub message_id: String,
    /// `ReferenceMessageID`.
    pub reference_id: Option<Uuid>,
    /// `TransactionCode`.
    pub transaction_code: Option<String>,
    /// `NodeID`.
    pub node: Option<NodeId>,
    /// `EOL`: the moment, and the text as written.
    pub end_of_life: Option<(Timestamp, String)>,
    /// The one child of `MessagePrimaryContent`.
    pub payload: Option<Element<'d, 'a>>,
    /// `AttachmentHeaderList`, in order.
    pub attachments: Vec<AttachmentHeader>,
    /// Whether there is a `RefAttachmentHeaderList` with something in it.
    pub file_references: bool,
    /// Whether there is a `TestMessage`.
    pub test: bool,
}

/// `AttachmentHeader`, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentHeader {
    /// `contentId`
    pub content_id: String,
    /// `MimeType`
    pub mime_type: String,
}

/// `SenderProvidedResponseData`.
#[derive(Debug, Clone)]
pub struct SentResponse<'d, 'a> {
    /// What it has in common with a request.
    pub sent: Sent<'d, 'a>,
    /// `To`.
    pub to: String,
    /// Which of the forms it has.
    pub answer: Answer<'d, 'a>,
}

/// The forms of an answer.
#[derive(Debug, Clone, Copy)]
pub enum Answer<'d, 'a> {
    /// `MessagePrimaryContent` with this root.
    Payload(Element<'d, 'a>),
    /// One or more `RequestRejected`.
    Rejected,
    /// `RequestStatus`.
    Status,
    /// `AsyncProcessingStatus`: only a bus sends it.
    Async(Element<'d, 'a>),
}

/// 1.3 `rout:Routing`, its signature not yet verified.
#[derive(Debug, Clone)]
pub struct Routing<'d, 'a> {
    /// `RoutingInformation`: what is signed.
    pub information: Element<'d, 'a>,
    /// The `ds:Signature`, or the fault to tell when signatures are verified.
    pub signature: Result<Element<'d, 'a>, Fault>,
    /// `MessageID` as written.
    pub message_id: String,
    /// DynamicValue, in order.
    pub dynamic: Vec<String>,
    /// IdentifierValue, in order.
    pub identifier: Vec<String>,
}

/// Reads `SenderProvidedRequestData`.
///
/// # Errors
/// InvalidContent.
pub fn request<'d, 'a>(data: Element<'d, 'a>, version: Version) -> Result<Sent<'d, 'a>, Fault> {
    let sent = sent(data, version)?;
    if sent.payload.is_none() {
        return Err(missing("MessagePrimaryContent"));
    }
    Ok(sent)
}

/// Reads `SenderProvidedResponseData`.
///
/// # Errors
/// InvalidContent.
pub fn response<'d, 'a>(data: Element<'d, 'a>, version: Version) -> Result<SentResponse<'d, 'a>, Fault> {
    let (types, _) = namespaces(version);
    let sent = sent(data, version)?;
    let to = optional_value(data, types, "To", 4000)?
        .ok_or_else(|| missing("To"))?
        .into_owned();
    let rejected = data.child(types, "RequestRejected");
    let status = optional(data, types, "RequestStatus")?;
    let notice = optional(data, types, "AsyncProcessingStatus")?;
    let answer = match (sent.payload, rejected, status, notice) {
        (Some(payload), None, None, None) => Answer::Payload(payload),
        (None, Some(_), None, None) => {
            rejections(data, types)?;
            Answer::Rejected
        }
        (None, None, Some(status), None) => {
            business_status(status, types)?;
            Answer::Status
        }
        (None, None, None, Some(notice)) => Answer::Async(notice),
        (None, None, None, None) => return Err(missing("MessagePrimaryContent")),
        _ => return Err(exclusive()),
    };
    Ok(SentResponse { sent, to, answer })
}

/// The fault for an answer in two forms at once.
pub(super) fn exclusive() -> Fault {
    Fault::invalid("MessagePrimaryContent, RequestRejected, RequestStatus исключают друг друга.")
}

/// Reads `rout:Routing` of a 1.3 SendRequest, if there is one.
///
/// # Errors
/// InvalidContent.
pub fn routing<'d, 'a>(call: Element<'d, 'a>) -> Result<Option<Routing<'d, 'a>>, Fault> {
    let Some(routing) = optional(call, ROUTING, "Routing")? else {
        return Ok(None);
    };
    let information = routing
        .only_child(ROUTING, "RoutingInformation")
        .map_err(|_| missing("RoutingInformation"))?;
    let wrapper = routing.only_child(ROUTING, "RoutingSignature");
    let signature = wrapper
        .map_err(|_| no_routing_signature())
        .and_then(|wrapper| super::wrapped_signature(wrapper)?.ok_or_else(no_routing_signature))
        .map_err(|fault| fault.because("routing_signature"));
    let message_id = optional_value(information, ROUTING, "MessageID", 100)?
        .ok_or_else(|| missing("RoutingInformation/MessageID"))?;
    Ok(Some(Routing {
        information,
        signature,
        message_id: message_id.into_owned(),
        dynamic: values(information, "DynamicRouting", "DynamicValue")?,
        identifier: values(information, "IdentifierRouting", "IdentifierValue")?,
    }))
}

fn no_routing_signature() -> Fault {
    let cause = SignatureCause::Signature(Cause::NoSignatureFound);
    Fault::signature(cause, "Блок RoutingSignature отсутствует либо пуст.")
}

/// The root of a payload.
pub(crate) fn root_of(payload: Element<'_, '_>) -> PayloadRoot {
    PayloadRoot {
        namespace: payload.namespace().unwrap_or_default().to_owned(),
        local: payload.local_name().to_owned(),
    }
}

fn sent<'d, 'a>(data: Element<'d, 'a>, version: Version) -> Result<Sent<'d, 'a>, Fault> {
    let (types, basic) = namespaces(version);
    let message_id = optional_value(data, types, "MessageID", 100)?.ok_or_else(|| missing("MessageID"))?;
    let reference_id = match optional_value(data, types, "ReferenceMessageID", 100)? {
        Some(text) => {
            let id = Uuid::try_parse(&text).map_err(|_| Fault::invalid("ReferenceMessageID не является UUID."))?;
            Some(id)
        }
        None => None,
    };
    let end_of_life = match optional_value(data, types, "EOL", 100)? {
        Some(text) => {
            let at = date_time(&text).ok_or_else(|| Fault::invalid("EOL не является значением типа dateTime."))?;
            Some((at, text.into_owned()))
        }
        None => None,
    };
    let transaction_code = optional_value(data, types, "TransactionCode", 1500)?;
    let payload = match optional(data, basic, "MessagePrimaryContent")? {
        Some(content) => Some(primary_content(content, basic)?),
        None => None,
    };
    let references = optional(data, basic, "RefAttachmentHeaderList")?;
    // Both stand for themselves; that there is at most one is checked so that nobody reads another one.
    optional(data, types, "PersonalSignature")?;
    optional(data, types, "BusinessProcessMetadata")?;
    Ok(Sent {
        message_id: message_id.into_owned(),
        reference_id,
        transaction_code: transaction_code.map(std::borrow::Cow::into_owned),
        node: node_id(data, types)?,
        end_of_life,
        payload,
        attachments: headers(data, basic)?,
        file_references: references.is_some_and(xmldsig::Element::has_element_children),
        test: optional(data, types, "TestMessage")?.is_some(),
    })
}

fn primary_content<'d, 'a>(content: Element<'d, 'a>, basic: &str) -> Result<Element<'d, 'a>, Fault> {
    let mut children = content.children();
    match (children.next(), children.next()) {
        (None, _) => Err(missing("MessagePrimaryContent")),
        (Some(_), Some(_)) => Err(Fault::invalid(
            "В MessagePrimaryContent должен быть ровно один элемент.",
        )),
        (Some(payload), None) => match payload.namespace() {
            Some(namespace) if namespace != basic => Ok(payload),
            _ => Err(Fault::invalid(
                "Элемент внутри MessagePrimaryContent должен быть в пространстве имён вида сведений.",
            )),
        },
    }
}

fn headers(data: Element<'_, '_>, basic: &str) -> Result<Vec<AttachmentHeader>, Fault> {
    let Some(list) = optional(data, basic, "AttachmentHeaderList")? else {
        return Ok(Vec::new());
    };
    list.children()
        .filter(|header| header.is(basic, "AttachmentHeader"))
        .map(|header| {
            let field = |local: &str| {
                optional_value(header, basic, local, 1000)?
                    .map(std::borrow::Cow::into_owned)
                    .ok_or_else(|| missing(&format!("AttachmentHeader/{local}")))
            };
            Ok(AttachmentHeader {
                content_id: field("contentId")?,
                mime_type: field("MimeType")?,
            })
        })
        .collect()
}

fn rejections(data: Element<'_, '_>, types: &str) -> Result<(), Fault> {
    for rejection in data.children().filter(|child| child.is(types, "RequestRejected")) {
        let code = optional_value(rejection, types, "RejectionReasonCode", 50)?;
        if !matches!(
            code.as_deref(),
            Some("ACCESS_DENIED" | "NO_DATA" | "UNKNOWN_REQUEST_DESCRIPTION" | "FAILURE")
        ) {
            return Err(Fault::invalid("Недопустимое значение RejectionReasonCode."));
        }
        let text = rejection.only_child(types, "RejectionReasonDescription");
        value(text.map_err(|_| missing("RejectionReasonDescription"))?, 4000)?;
    }
    Ok(())
}

fn business_status(status: Element<'_, '_>, types: &str) -> Result<(), Fault> {
    let code = optional_value(status, types, "StatusCode", 20)?;
    if code.as_deref().and_then(|code| code.parse::<i32>().ok()).is_none() {
        return Err(Fault::invalid("StatusCode не является значением типа int."));
    }
    let text = status
        .only_child(types, "StatusDescription")
        .map_err(|_| missing("StatusDescription"))?;
    value(text, 4000).map(|_| ())
}

fn values(information: Element<'_, '_>, list: &str, item: &str) -> Result<Vec<String>, Fault> {
    let Some(list) = optional(information, ROUTING, list)? else {
        return Ok(Vec::new());
    };
    let values: Vec<String> = list
        .children()
        .filter(|child| child.is(ROUTING, item))
        .map(|child| value(child, 500).map(std::borrow::Cow::into_owned))
        .collect::<Result<_, _>>()?;
    if values.is_empty() || values.len() > 1000 {
        return Err(Fault::invalid(format!("Значений {item} должно быть от 1 до 1000.")));
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultName;
    use xmldsig::{Document, Limits};

    const ID: &str = "<t:MessageID>db0486d0-3c08-11e5-95e2-d4c9eff07b77</t:MessageID>";

    fn data(inside: &str) -> String {
        let version = Version::V1_2;
        format!(
            r#"<t:D xmlns:t="{}" xmlns="{}">{inside}</t:D>"#,
            version.types(),
            version.basic()
        )
    }

    fn refusal<T>(result: Result<T, Fault>) -> (FaultName, String) {
        match result {
            Err(fault) => (fault.name, fault.text),
            Ok(_) => panic!("accepted"),
        }
    }

    macro_rules! read {
        ($how:ident, $inside:expr) => {
            $how(
                Document::parse(data($inside).as_bytes(), &Limits::default())
                    .unwrap()
                    .root(),
                Version::V1_2,
            )
            .map(|sent| format!("{sent:?}").len())
        };
    }

    #[test]
    fn what_we_read_stands_there_once() {
        let payload = r#"<MessagePrimaryContent><p xmlns="urn:p"/></MessagePrimaryContent>"#;
        assert!(read!(request, &format!("{ID}{payload}")).is_ok());
        for twice in [
            format!("{ID}{ID}{payload}"),
            format!("{ID}{payload}{payload}"),
            format!("{ID}{payload}<t:NodeID>a</t:NodeID><t:NodeID/>"),
            format!("{ID}{payload}<t:TestMessage/><t:TestMessage/>"),
            format!("{ID}{payload}<t:PersonalSignature/><t:PersonalSignature/>"),
        ] {
            let (name, text) = refusal(read!(request, &twice));
            assert_eq!(name, FaultName::InvalidContent);
            assert!(text.contains("более одного раза"), "{text}");
        }
    }

    #[test]
    fn a_payload_is_one_element_of_a_foreign_namespace() {
        for bad in [
            "<MessagePrimaryContent/>",
            "<MessagePrimaryContent>text</MessagePrimaryContent>",
            "<MessagePrimaryContent><a/></MessagePrimaryContent>",
            r#"<MessagePrimaryContent><a xmlns=""/></MessagePrimaryContent>"#,
            r#"<MessagePrimaryContent><a xmlns="urn:p"/><a xmlns="urn:p"/></MessagePrimaryContent>"#,
            "",
        ] {
            assert_eq!(
                refusal(read!(request, &format!("{ID}{bad}"))).0,
                FaultName::InvalidContent,
                "{bad}"
            );
        }
    }

    #[test]
    fn an_answer_has_exactly_one_form() {
        let payload = r#"<MessagePrimaryContent><p xmlns="urn:p"/></MessagePrimaryContent>"#;
        let rejected = "<t:RequestRejected><t:RejectionReasonCode>NO_DATA</t:RejectionReasonCode>\
                        <t:RejectionReasonDescription>нет</t:RejectionReasonDescription></t:RequestRejected>";
        let status = "<t:RequestStatus><t:StatusCode>7</t:StatusCode>\
                      <t:StatusDescription>в работе</t:StatusDescription></t:RequestStatus>";
        let to = "<t:To> token </t:To>";
        for good in [
            payload.to_owned(),
            rejected.to_owned(),
            format!("{rejected}{rejected}"),
            status.to_owned(),
        ] {
            assert!(read!(response, &format!("{ID}{to}{good}")).is_ok(), "{good}");
            assert_eq!(
                refusal(read!(response, &format!("{ID}{good}"))).0,
                FaultName::InvalidContent
            );
        }
        for bad in [
            String::new(),
            format!("{payload}{status}"),
            format!("{rejected}{status}"),
            rejected.replace("NO_DATA", "NEVER"),
            status.replace('7', "seven"),
        ] {
            assert_eq!(
                refusal(read!(response, &format!("{ID}{to}{bad}"))).0,
                FaultName::InvalidContent,
                "{bad}"
            );
        }
    }
}
