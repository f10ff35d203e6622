//! The gateway's own signature on what it says to an upstream, and the small signed calls: Get* and Ack.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use engine::command::PayloadRoot;
use engine::names::MessageId;
use jiff::Timestamp;

use super::error::BuildError;
use super::outgoing::{signature_wrapper, wrap};
use super::transport::HttpCall;
use crate::envelope::Operation;
use crate::version::Version;
use crate::xml;

/// Content-Type of a call without attachments.
pub(super) const PLAIN: &str = "text/xml; charset=UTF-8";

/// The key and its certificate.
#[derive(Clone)]
pub(super) struct Seal {
    pub(super) signer: Arc<dyn gost::Signer>,
    pub(super) certificate: gost::Certificate,
}

impl Seal {
    /// The `ds:Signature` over a fragment's root, which has an `Id`.
    pub(super) fn sign(&self, fragment: &str) -> Result<String, BuildError> {
        xmldsig::sign_fragment(fragment, self.signer.as_ref(), &self.certificate)
            .map_err(|error| BuildError::Sign(error.to_string()))
    }
}

/// SOAPAction of an operation, without quotes.
pub(super) fn action(operation: Operation) -> &'static str {
    match operation {
        Operation::SendRequest => "urn:SendRequest",
        Operation::SendResponse => "urn:SendResponse",
        Operation::GetRequest => "urn:GetRequest",
        Operation::GetResponse => "urn:GetResponse",
        Operation::GetStatus => "urn:GetStatus",
        Operation::Ack => "urn:Ack",
        Operation::GetIncomingQueueStatistics => "urn:GetIncomingQueueStatistics",
    }
}

/// A call without attachments.
pub(super) fn plain(operation: Operation, body: String) -> HttpCall {
    HttpCall {
        action: action(operation),
        content_type: PLAIN.to_owned(),
        body: Bytes::from(body),
    }
}

/// GetRequest or GetResponse, GetStatus: what is signed is the selector, or for GetStatus the time alone.
pub(super) fn poll(
    operation: Operation,
    selector: Option<&PayloadRoot>,
    now: Timestamp,
    version: Version,
    seal: &Seal,
) -> Result<HttpCall, BuildError> {
    let time = now.strftime("%Y-%m-%dT%H:%M:%S%.3fZ");
    let declarations = version.declarations();
    let mut signed = String::new();
    if operation == Operation::GetStatus {
        let _ = write!(
            signed,
            r#"<Timestamp{declarations} Id="SIGNED_BY_CALLER">{time}</Timestamp>"#
        );
    } else {
        let _ = write!(signed, r#"<MessageTypeSelector{declarations} Id="SIGNED_BY_CALLER">"#);
        if let Some(root) = selector {
            xml::element(&mut signed, "NamespaceURI", &root.namespace);
            xml::element(&mut signed, "RootElementLocalName", &root.local);
        }
        let _ = write!(signed, "<Timestamp>{time}</Timestamp></MessageTypeSelector>");
    }
    let signature = seal.sign(&signed)?;
    Ok(plain(
        operation,
        wrap(operation, version, &[&signed, &signature_wrapper(&signature)]),
    ))
}

/// Ack of a message that was received well.
pub(super) fn ack(id: MessageId, version: Version, seal: &Seal) -> Result<HttpCall, BuildError> {
    let declarations = version.declarations();
    let signed =
        format!(r#"<AckTargetMessage{declarations} Id="SIGNED_BY_CALLER" accepted="true">{id}</AckTargetMessage>"#);
    let signature = seal.sign(&signed)?;
    Ok(plain(
        Operation::Ack,
        wrap(Operation::Ack, version, &[&signed, &signature_wrapper(&signature)]),
    ))
}
