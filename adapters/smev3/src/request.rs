//! Reading calls: from the element in the body to plain values. Lenient about the envelope, strict about what is signed:
//! what we read stands there exactly once, so that nobody can read it differently.

mod poll;
mod send;
mod structure;
mod time;

use std::borrow::Cow;

use engine::names::NodeId;
use xmldsig::{Cause, ChildError, Element};

use crate::envelope::{Call, Operation};
use crate::fault::{Fault, SignatureCause};
use crate::version::{Version, XMLDSIG};

pub use poll::{AckTarget, Selector, ack, selector, statistics_node, timestamp};
pub(crate) use send::root_of;
pub use send::{Answer, AttachmentHeader, Routing, Sent, SentResponse, request, response, routing};
pub use structure::{request_data, response_data};
pub(crate) use time::MOSCOW;
pub use time::date_time;

/// The element that the operation demands to be signed, and the signature over it, both found by their place.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'d, 'a> {
    /// What must be signed (PROTOCOL §6.1).
    pub target: Element<'d, 'a>,
    /// The `ds:Signature`.
    pub signature: Element<'d, 'a>,
}

/// Finds what a call must have signed.
///
/// # Errors
/// The fault that tells what is missing or there more than once.
pub fn signed<'d, 'a>(call: &Call<'d, 'a>) -> Result<Signed<'d, 'a>, Fault> {
    let (types, basic) = (call.version.types(), call.version.basic());
    let (namespace, local) = match call.operation {
        Operation::SendRequest => (types, "SenderProvidedRequestData"),
        Operation::SendResponse => (types, "SenderProvidedResponseData"),
        Operation::GetRequest | Operation::GetResponse => (basic, "MessageTypeSelector"),
        Operation::Ack => (basic, "AckTargetMessage"),
        Operation::GetStatus | Operation::GetIncomingQueueStatistics => (basic, "Timestamp"),
    };
    let target = call.element.only_child(namespace, local).map_err(|error| match error {
        ChildError::Missing => missing(local),
        ChildError::Duplicate => Fault::signature(
            SignatureCause::Signature(Cause::IncorrectSignatureTarget),
            format!("Элемент {local} должен быть один."),
        ),
    })?;
    let sends = matches!(call.operation, Operation::SendRequest | Operation::SendResponse);
    let absent = || {
        if sends {
            missing("CallerInformationSystemSignature")
        } else {
            Fault::no_signature()
        }
    };
    let wrapper = call
        .element
        .only_child(types, "CallerInformationSystemSignature")
        .map_err(|error| match error {
            ChildError::Missing => absent(),
            ChildError::Duplicate => Fault::signature(
                SignatureCause::Signature(Cause::PoorSOAPEnvelopeFormat),
                "ЭП-ОВ должна быть одна.",
            ),
        })?;
    let signature = wrapped_signature(wrapper)?.ok_or_else(absent)?;
    Ok(Signed { target, signature })
}

/// The `ds:Signature` that is the only child of its wrapper; `None` if the wrapper is empty.
pub(crate) fn wrapped_signature<'d, 'a>(wrapper: Element<'d, 'a>) -> Result<Option<Element<'d, 'a>>, Fault> {
    let mut children = wrapper.children();
    match (children.next(), children.next()) {
        (None, _) => Ok(None),
        (Some(signature), None) if signature.is(XMLDSIG, "Signature") => Ok(Some(signature)),
        _ => Err(Fault::signature(
            SignatureCause::Signature(Cause::PoorSOAPEnvelopeFormat),
            format!("В {} должна быть ровно одна ds:Signature.", wrapper.local_name()),
        )),
    }
}

/// The fault for a missing block, in the words of the bus.
pub(crate) fn missing(local: &str) -> Fault {
    Fault::invalid(format!(
        "Сообщение содержит не все вложенные элементы. Блок {local} отсутствует либо пуст."
    ))
}

/// At most one child of this name.
fn optional<'d, 'a>(parent: Element<'d, 'a>, namespace: &str, local: &str) -> Result<Option<Element<'d, 'a>>, Fault> {
    match parent.only_child(namespace, local) {
        Ok(element) => Ok(Some(element)),
        Err(ChildError::Missing) => Ok(None),
        Err(ChildError::Duplicate) => Err(Fault::invalid(format!(
            "Элемент {local} встречается более одного раза."
        ))),
    }
}

/// The text of an element that may have no elements inside, without white space around it; bounded in characters.
fn value<'d>(element: Element<'d, '_>, limit: usize) -> Result<Cow<'d, str>, Fault> {
    let local = element.local_name();
    if element.has_element_children() {
        return Err(Fault::invalid(format!(
            "В элементе {local} не может быть вложенных элементов."
        )));
    }
    let text = match element.text() {
        Cow::Borrowed(text) => Cow::Borrowed(trim(text)),
        Cow::Owned(text) => Cow::Owned(trim(&text).to_owned()),
    };
    if text.len() > limit && text.chars().count() > limit {
        return Err(Fault::invalid(format!("Значение {local} длиннее {limit} символов.")));
    }
    Ok(text)
}

/// A child's value; absent and empty are the same.
fn optional_value<'d>(
    parent: Element<'d, '_>,
    namespace: &str,
    local: &str,
    limit: usize,
) -> Result<Option<Cow<'d, str>>, Fault> {
    match optional(parent, namespace, local)? {
        Some(element) => Ok(Some(value(element, limit)?).filter(|text| !text.is_empty())),
        None => Ok(None),
    }
}

fn node_id(parent: Element<'_, '_>, namespace: &str) -> Result<Option<NodeId>, Fault> {
    match optional_value(parent, namespace, "NodeID", 50)? {
        Some(text) => text
            .parse()
            .map(Some)
            .map_err(|_| Fault::invalid("Недопустимое значение NodeID.")),
        None => Ok(None),
    }
}

fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t', '\r', '\n'])
}

/// The namespaces of a call's version.
fn namespaces(version: Version) -> (&'static str, &'static str) {
    (version.types(), version.basic())
}
