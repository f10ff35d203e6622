//! The operations of the message exchange (PROTOCOL §3) and the envelope that names one.

use xmldsig::{Document, Element};

use crate::version::{SOAP, Version};

/// An operation; its name is that of the WSDL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// A consumer sends a request.
    SendRequest,
    /// A provider sends an answer.
    SendResponse,
    /// A provider takes the next request.
    GetRequest,
    /// A consumer takes the next answer.
    GetResponse,
    /// A provider takes the next notice about an answer of its own.
    GetStatus,
    /// A receiver acknowledges what it took.
    Ack,
    /// How many messages wait (1.1 and early 1.2).
    GetIncomingQueueStatistics,
}

impl Operation {
    /// All of them.
    pub const ALL: [Operation; 7] = [
        Self::SendRequest,
        Self::SendResponse,
        Self::GetRequest,
        Self::GetResponse,
        Self::GetStatus,
        Self::Ack,
        Self::GetIncomingQueueStatistics,
    ];

    /// The name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SendRequest => "SendRequest",
            Self::SendResponse => "SendResponse",
            Self::GetRequest => "GetRequest",
            Self::GetResponse => "GetResponse",
            Self::GetStatus => "GetStatus",
            Self::Ack => "Ack",
            Self::GetIncomingQueueStatistics => "GetIncomingQueueStatistics",
        }
    }

    /// Local name of the element in `T` that asks for it.
    pub fn request_element(self) -> &'static str {
        match self {
            Self::SendRequest => "SendRequestRequest",
            Self::SendResponse => "SendResponseRequest",
            Self::GetRequest => "GetRequestRequest",
            Self::GetResponse => "GetResponseRequest",
            Self::GetStatus => "GetStatusRequest",
            Self::Ack => "AckRequest",
            Self::GetIncomingQueueStatistics => "GetIncomingQueueStatisticsRequest",
        }
    }

    /// Local name of the element in `T` that answers it.
    pub fn response_element(self) -> &'static str {
        match self {
            Self::SendRequest => "SendRequestResponse",
            Self::SendResponse => "SendResponseResponse",
            Self::GetRequest => "GetRequestResponse",
            Self::GetResponse => "GetResponseResponse",
            Self::GetStatus => "GetStatusResponse",
            Self::Ack => "AckResponse",
            Self::GetIncomingQueueStatistics => "GetIncomingQueueStatisticsResponse",
        }
    }

    /// Whether a version has it.
    pub fn exists_in(self, version: Version) -> bool {
        self != Self::GetIncomingQueueStatistics || version != Version::V1_3
    }
}

/// A call: the first element of the SOAP body, by whose name it is dispatched (PROTOCOL §1).
#[derive(Debug, Clone, Copy)]
pub struct Call<'d, 'a> {
    /// The version, from the element's namespace.
    pub version: Version,
    /// What is asked for.
    pub operation: Operation,
    /// The element itself.
    pub element: Element<'d, 'a>,
}

/// Why an envelope names no operation. The caller is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// The root is not a SOAP 1.1 envelope.
    #[error("the document is not a SOAP 1.1 envelope")]
    NotSoap,
    /// There is not exactly one body with exactly one element.
    #[error("the envelope must have one Body with one element in it")]
    Body,
    /// The element is no operation of a version that we know.
    #[error("the body has no known operation of the versions 1.1, 1.2, 1.3")]
    Unknown(Option<Version>),
}

impl<'d, 'a> Call<'d, 'a> {
    /// Finds the operation. A header may be missing, empty or full: nobody looks at it.
    ///
    /// # Errors
    /// [`EnvelopeError`]: there is none.
    pub fn find(document: &'d Document<'a>) -> Result<Self, EnvelopeError> {
        let element = body(document)?;
        let version = element.namespace().and_then(Version::from_types);
        let operation = Operation::ALL
            .into_iter()
            .find(|operation| operation.request_element() == element.local_name());
        match (version, operation) {
            (Some(version), Some(operation)) if operation.exists_in(version) => Ok(Self {
                version,
                operation,
                element,
            }),
            _ => Err(EnvelopeError::Unknown(version)),
        }
    }
}

/// The one element in the body of a SOAP 1.1 envelope.
///
/// # Errors
/// [`EnvelopeError`]: there is none, or several.
pub fn body<'d, 'a>(document: &'d Document<'a>) -> Result<Element<'d, 'a>, EnvelopeError> {
    let root = document.root();
    if !root.is(SOAP, "Envelope") {
        return Err(EnvelopeError::NotSoap);
    }
    let body = root.only_child(SOAP, "Body").map_err(|_| EnvelopeError::Body)?;
    let mut children = body.children();
    match (children.next(), children.next()) {
        (Some(element), None) => Ok(element),
        _ => Err(EnvelopeError::Body),
    }
}

/// Wraps the content of a body.
pub fn envelope(body: &str) -> String {
    let mut out = String::with_capacity(body.len() + 160);
    out.push_str(ENVELOPE_HEAD);
    out.push_str(body);
    out.push_str(ENVELOPE_TAIL);
    out
}

pub(crate) const ENVELOPE_HEAD: &str =
    r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>"#;
pub(crate) const ENVELOPE_TAIL: &str = "</soap:Body></soap:Envelope>";

#[cfg(test)]
mod tests {
    use super::*;
    use xmldsig::Limits;

    fn find(xml: &str) -> Result<(Version, Operation), EnvelopeError> {
        let document = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
        Call::find(&document).map(|call| (call.version, call.operation))
    }

    #[test]
    fn every_operation_of_every_version_is_found_by_its_name() {
        for version in Version::ALL {
            for operation in Operation::ALL {
                let xml = envelope(&format!(
                    r#"<x:{} xmlns:x="{}"/>"#,
                    operation.request_element(),
                    version.types()
                ));
                let expected = if operation.exists_in(version) {
                    Ok((version, operation))
                } else {
                    Err(EnvelopeError::Unknown(Some(version)))
                };
                assert_eq!(find(&xml), expected);
            }
        }
    }

    #[test]
    fn other_envelopes_are_refused() {
        assert_eq!(find("<a/>"), Err(EnvelopeError::NotSoap));
        assert_eq!(
            find(r#"<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"/>"#),
            Err(EnvelopeError::NotSoap)
        );
        assert_eq!(find(&envelope("")), Err(EnvelopeError::Body));
        assert_eq!(find(&envelope("<a/><b/>")), Err(EnvelopeError::Body));
        assert_eq!(find(&envelope("<a/>")), Err(EnvelopeError::Unknown(None)));
    }
}
