//! Calls, built and signed but not sent.

use bytes::Bytes;

use super::{CallError, Signing};
use crate::message::{Attachment, RequestData, ResponseData, Selector};
use crate::version::{Operation, ROUTING};
use crate::wire::writer::Writer;
use crate::wire::{mime, time, write};

/// The Id that a participant's client gives to what it signs.
const SIGNED_ID: &str = "SIGNED_BY_CALLER";

/// A call ready to be sent. Everything is open, so that a test can spoil it.
#[derive(Debug, Clone)]
pub struct SignedCall {
    /// What is called.
    pub operation: Operation,
    /// The message sent, or acknowledged; empty for calls that name none.
    pub message_id: String,
    /// `Content-Type`; empty for none.
    pub content_type: String,
    /// `SOAPAction` without quotes.
    pub soap_action: Option<String>,
    /// The body.
    pub body: Bytes,
}

impl SignedCall {
    /// Without SOAPAction, as some clients call.
    #[must_use]
    pub fn without_soap_action(mut self) -> Self {
        self.soap_action = None;
        self
    }

    /// With another content type, such as `application/soap+xml; charset=utf-8`.
    #[must_use]
    pub fn with_content_type(mut self, content_type: &str) -> Self {
        content_type.clone_into(&mut self.content_type);
        self
    }

    /// With a byte order mark before the body.
    #[must_use]
    pub fn with_byte_order_mark(mut self) -> Self {
        self.body = [b"\xEF\xBB\xBF", self.body.as_ref()].concat().into();
        self
    }

    /// With every `from` in the body replaced, after the signing.
    ///
    /// # Panics
    /// If `from` is not there: the test would not test what it says.
    #[must_use]
    pub fn replace(mut self, from: &str, to: &str) -> Self {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        assert!(text.contains(from), "the call has no {from:?}");
        self.body = text.replace(from, to).into();
        self
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Signing {
    /// SendRequest, signed; files travel as parts of a multipart message.
    ///
    /// # Errors
    /// [`CallError::Sign`].
    pub fn sign_request(&self, data: &RequestData) -> Result<SignedCall, CallError> {
        self.sign_request_as(data, SIGNED_ID, true)
    }

    /// The same under an Id of choice, with files as parts or as base64 text.
    ///
    /// # Errors
    /// [`CallError::Sign`].
    pub fn sign_request_as(&self, data: &RequestData, id: &str, files_as_parts: bool) -> Result<SignedCall, CallError> {
        let signed = write::request_data(self.style(), data, id);
        let routing = data.routing.as_ref();
        let routing = routing.map(|routing| write::routing_information(&data.message_id, routing, "SIGNED_ROUTING"));
        let routing_signature = routing
            .as_deref()
            .map(|routing| self.identity.sign(routing))
            .transpose()?;
        let signature = self.identity.sign(&signed)?;
        let body = self.operation(Operation::SendRequest, |w| {
            w.raw(&signed);
            write::attachment_contents(w, &data.attachments, files_as_parts);
            write::signature_t(w, "CallerInformationSystemSignature", Some(&signature));
            if let (Some(routing), Some(signature)) = (&routing, &routing_signature) {
                w.raw(&format!(
                    "<rout:Routing xmlns:rout=\"{ROUTING}\">{routing}<rout:RoutingSignature>{signature}</rout:RoutingSignature></rout:Routing>"
                ));
            }
        });
        Ok(self.envelope(
            Operation::SendRequest,
            &data.message_id,
            &body,
            parts(&data.attachments, files_as_parts),
        ))
    }

    /// SendResponse, signed; files travel as parts of a multipart message.
    ///
    /// # Errors
    /// [`CallError::Sign`].
    pub fn sign_response(&self, data: &ResponseData) -> Result<SignedCall, CallError> {
        self.sign_response_as(data, SIGNED_ID, true)
    }

    /// The same under an Id of choice, with files as parts or as base64 text.
    ///
    /// # Errors
    /// [`CallError::Sign`].
    pub fn sign_response_as(
        &self,
        data: &ResponseData,
        id: &str,
        files_as_parts: bool,
    ) -> Result<SignedCall, CallError> {
        let signed = write::response_data(self.style(), data, id);
        let signature = self.identity.sign(&signed)?;
        let files = data.reply.attachments();
        let body = self.operation(Operation::SendResponse, |w| {
            w.raw(&signed);
            write::attachment_contents(w, files, files_as_parts);
            write::signature_t(w, "CallerInformationSystemSignature", Some(&signature));
        });
        Ok(self.envelope(
            Operation::SendResponse,
            &data.message_id,
            &body,
            parts(files, files_as_parts),
        ))
    }

    /// GetRequest, signed.
    ///
    /// # Errors
    /// [`CallError::Sign`].
    pub fn sign_get_request(&self, selector: &Selector) -> Result<SignedCall, CallError> {
        self.sign_get(Operation::GetRequest, selector, &time::date_time(self.now()))
    }

    /// GetResponse, signed.
    ///
    /// # Errors
    /// [`CallError::Sign`].
    pub fn sign_get_response(&self, selector: &Selector) -> Result<SignedCall, CallError> {
        self.sign_get(Operation::GetResponse, selector, &time::date_time(self.now()))
    }

    /// GetRequest or GetResponse with a timestamp of choice, signed.
    ///
    /// # Errors
    /// [`CallError::Sign`].
    pub fn sign_get(
        &self,
        operation: Operation,
        selector: &Selector,
        timestamp: &str,
    ) -> Result<SignedCall, CallError> {
        self.simple(
            operation,
            "",
            "",
            &write::selector(self.style(), selector, timestamp, SIGNED_ID),
        )
    }

    /// GetStatus, signed.
    ///
    /// # Errors
    /// [`CallError::Sign`].
    pub fn sign_get_status(&self) -> Result<SignedCall, CallError> {
        let timestamp = write::timestamp(self.style(), &time::date_time(self.now()), SIGNED_ID);
        self.simple(Operation::GetStatus, "", "", &timestamp)
    }

    /// Ack, signed.
    ///
    /// # Errors
    /// [`CallError::Sign`].
    pub fn sign_ack(&self, message_id: &str, accepted: Option<bool>) -> Result<SignedCall, CallError> {
        let target = write::ack_target(self.style(), message_id, accepted, SIGNED_ID);
        self.simple(Operation::Ack, message_id, "", &target)
    }

    /// GetIncomingQueueStatistics, signed. Only 1.1 has it.
    ///
    /// # Errors
    /// [`CallError::Sign`].
    pub fn sign_statistics(&self, node_id: Option<&str>) -> Result<SignedCall, CallError> {
        let mut w = Writer::new(self.style());
        w.t_some("NodeID", node_id);
        let timestamp = write::timestamp(self.style(), &time::date_time(self.now()), SIGNED_ID);
        self.simple(Operation::GetIncomingQueueStatistics, "", &w.finish(), &timestamp)
    }

    fn simple(
        &self,
        operation: Operation,
        message_id: &str,
        before: &str,
        signed: &str,
    ) -> Result<SignedCall, CallError> {
        let signature = self.identity.sign(signed)?;
        let body = self.operation(operation, |w| {
            w.raw(before);
            w.raw(signed);
            write::signature_t(w, "CallerInformationSystemSignature", Some(&signature));
        });
        Ok(self.envelope(operation, message_id, &body, &[]))
    }

    fn operation(&self, operation: Operation, content: impl FnOnce(&mut Writer)) -> String {
        let name = format!("{operation}Request");
        let mut w = Writer::new(self.style());
        w.open_root_t(&name, "");
        content(&mut w);
        w.close_t(&name);
        w.finish()
    }

    fn envelope(&self, operation: Operation, message_id: &str, body: &str, parts: &[Attachment]) -> SignedCall {
        let envelope = Writer::envelope(self.style(), body);
        let (content_type, body) = if parts.is_empty() {
            ("text/xml; charset=UTF-8".to_owned(), Bytes::from(envelope))
        } else {
            mime::write(&envelope, parts)
        };
        SignedCall {
            operation,
            message_id: message_id.to_owned(),
            content_type,
            soap_action: Some(format!("urn:{operation}")),
            body,
        }
    }
}

fn parts(attachments: &[Attachment], as_parts: bool) -> &[Attachment] {
    if as_parts { attachments } else { &[] }
}
