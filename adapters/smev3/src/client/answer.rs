//! Reading an upstream's answer: plain or multipart, a fault or the element that the operation promises.

use hyper::StatusCode;
use xmldsig::{Document, Element, Limits};

use super::error::{ClientError, UpstreamFault};
use super::transport::HttpAnswer;
use crate::envelope::Operation;
use crate::fault::FaultName;
use crate::mime::{self, Multipart};
use crate::version::{SOAP, Version};

/// An answer whose envelope was found.
pub(super) struct Answer<'a> {
    /// The envelope's octets.
    envelope: &'a [u8],
    /// Binary parts beside it.
    pub(super) parts: Option<Multipart<'a>>,
    status: StatusCode,
}

impl<'a> Answer<'a> {
    /// Takes the packaging off.
    pub(super) fn open(answer: &'a HttpAnswer) -> Result<Self, ClientError> {
        let status = answer.status;
        if !mime::is_multipart(&answer.content_type, &answer.body) {
            return Ok(Self {
                envelope: &answer.body,
                parts: None,
                status,
            });
        }
        let multipart =
            Multipart::parse(&answer.content_type, &answer.body).map_err(|error| broken(status, &error.to_string()))?;
        Ok(Self {
            envelope: multipart.root.octets,
            parts: Some(multipart),
            status,
        })
    }

    /// The envelope as a document.
    pub(super) fn document(&self) -> Result<Document<'a>, ClientError> {
        let limits = Limits::of_size(self.envelope.len());
        Document::parse(self.envelope, &limits).map_err(|error| broken(self.status, &error.to_string()))
    }

    /// The element that answers the operation, with the version that it is written in. An empty body answers Ack only
    /// (PROTOCOL §3.5) and gives `None`.
    pub(super) fn result<'d, 'o>(
        &self,
        document: &'d Document<'o>,
        operation: Operation,
    ) -> Result<Option<(Version, Element<'d, 'o>)>, ClientError> {
        let root = document.root();
        let body = root.is(SOAP, "Envelope").then(|| root.only_child(SOAP, "Body"));
        let Some(Ok(body)) = body else {
            return Err(broken(self.status, "there is no SOAP body"));
        };
        let mut children = body.children();
        let element = match (children.next(), children.next()) {
            (Some(element), None) => element,
            (None, _) if operation == Operation::Ack && self.status.is_success() => return Ok(None),
            _ => return Err(broken(self.status, "the SOAP body does not hold one element")),
        };
        if element.is(SOAP, "Fault") {
            return Err(ClientError::Fault(fault(element)));
        }
        let version = element.namespace().and_then(Version::from_types);
        match version {
            Some(version) if self.status.is_success() && element.local_name() == operation.response_element() => {
                Ok(Some((version, element)))
            }
            _ => Err(broken(
                self.status,
                &format!("it is not a {}", operation.response_element()),
            )),
        }
    }
}

/// What is neither an answer nor a fault tells nothing about the message.
fn broken(status: StatusCode, problem: &str) -> ClientError {
    let redirect = if status.is_redirection() {
        " (redirects are not followed)"
    } else {
        ""
    };
    ClientError::Unknown(format!(
        "HTTP {}{redirect}, and the answer is unusable: {problem}",
        status.as_u16()
    ))
}

/// Reads a SOAP 1.1 fault. Texts are bounded: they may end up in front of a person.
fn fault(element: Element<'_, '_>) -> UpstreamFault {
    let short = |text: &str, limit| text.trim().chars().take(limit).collect::<String>();
    let plain = |name| element.children().find(|child| child.local_name() == name);
    let text = plain("faultstring")
        .map(|child| short(&child.text(), 2000))
        .unwrap_or_default();
    let detail = plain("detail").and_then(|detail| detail.children().next());
    let known = detail.filter(|element| {
        element
            .namespace()
            .is_some_and(|name| Version::from_faults(name).is_some())
    });
    let inner = |name: &str, limit| {
        let child = known?.children().find(|child| child.local_name() == name)?;
        Some(short(&child.text(), limit))
    };
    UpstreamFault {
        name: known.and_then(|element| FaultName::from_name(element.local_name())),
        element: detail
            .map(Element::local_name)
            .filter(|name| is_plain(name))
            .map(str::to_owned),
        code: inner("Code", 100),
        description: inner("Description", 2000),
        text,
    }
}

/// Whether a name is one that can be shown to a person as it is.
fn is_plain(name: &str) -> bool {
    name.len() <= 64
        && name
            .bytes()
            .all(|octet| octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-' | b'.'))
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn answer(status: u16, content_type: &str, body: &str) -> HttpAnswer {
        let status = StatusCode::from_u16(status).unwrap();
        HttpAnswer {
            status,
            content_type: content_type.to_owned(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    fn read(answer: &HttpAnswer, operation: Operation) -> Result<Option<Version>, ClientError> {
        let opened = Answer::open(answer)?;
        let document = opened.document()?;
        opened
            .result(&document, operation)
            .map(|result| result.map(|(version, _)| version))
    }

    fn sample(name: &str) -> Option<String> {
        let path = format!(
            "{}/../../../shared/data/public/responses/{name}",
            env!("CARGO_MANIFEST_DIR")
        );
        let text = std::fs::read_to_string(&path).ok();
        if text.is_none() {
            eprintln!("SKIPPED: no {path}");
        }
        text
    }

    #[test]
    fn the_bus_own_empty_answers_are_read_plain_and_multipart() {
        let Some(plain) = sample("GetResponse-empty-1.2.xml") else {
            return;
        };
        let result = read(&answer(200, "text/xml", &plain), Operation::GetResponse);
        assert_eq!(result, Ok(Some(Version::V1_2)));
        let Some(multipart) = sample("GetResponse-empty-1.2.multipart.txt") else {
            return;
        };
        let content_type = r#"multipart/related; type="application/xop+xml"; start="<root.message@cxf.apache.org>""#;
        let result = read(&answer(200, content_type, &multipart), Operation::GetResponse);
        assert_eq!(result, Ok(Some(Version::V1_2)));
    }

    #[test]
    fn the_bus_own_faults_are_read() {
        let cases = [
            (
                "Fault-SignatureVerificationFault-NoSignatureFound-1.1.xml",
                Some(FaultName::SignatureVerificationFault),
            ),
            (
                "Fault-TargetMessageIsNotFound-1.2.xml",
                Some(FaultName::TargetMessageIsNotFound),
            ),
            ("Fault-plain.xml", None),
        ];
        for (name, expected) in cases {
            let Some(text) = sample(name) else { return };
            let Err(ClientError::Fault(fault)) = read(&answer(500, "text/xml", &text), Operation::Ack) else {
                panic!("{name} is a fault")
            };
            assert_eq!(fault.name, expected, "{name}");
            assert_eq!(fault.code.is_some(), expected.is_some(), "{name}");
            assert!(!fault.text.is_empty(), "{name}");
        }
    }

    #[test]
    fn what_is_neither_answer_nor_fault_tells_nothing() {
        let types = Version::V1_2.types();
        let soap = |body: &str| format!(r#"<s:Envelope xmlns:s="{SOAP}"><s:Body>{body}</s:Body></s:Envelope>"#);
        let good = soap(&format!(r#"<t:GetRequestResponse xmlns:t="{types}"/>"#));
        let cases = [
            (503, "text/html", "<html>Service Unavailable".to_owned()),
            (200, "text/html", "<html/>".to_owned()),
            (200, "text/xml", String::new()),
            (200, "text/xml", soap("")),
            (200, "text/xml", soap(r#"<GetRequestResponse xmlns="urn:other"/>"#)),
            (
                200,
                "text/xml",
                soap(&format!(r#"<t:GetResponseResponse xmlns:t="{types}"/>"#)),
            ),
            (302, "text/xml", good.clone()),
            (500, "text/xml", good.clone()),
            (200, "multipart/related; boundary=x", "--x\r\n\r\nno end".to_owned()),
        ];
        for (status, content_type, body) in cases {
            let result = read(&answer(status, content_type, &body), Operation::GetRequest);
            assert!(
                matches!(result, Err(ClientError::Unknown(_))),
                "{status} {body}: {result:?}"
            );
        }
        assert_eq!(
            read(&answer(200, "text/xml", &good), Operation::GetRequest),
            Ok(Some(Version::V1_2))
        );
    }

    #[test]
    fn an_empty_body_is_a_good_answer_to_ack_alone() {
        let empty = format!(r#"<s:Envelope xmlns:s="{SOAP}"><s:Body/></s:Envelope>"#);
        assert_eq!(read(&answer(200, "text/xml", &empty), Operation::Ack), Ok(None));
        assert!(read(&answer(200, "text/xml", &empty), Operation::SendRequest).is_err());
    }

    #[test]
    fn a_fault_of_another_house_has_only_the_name_of_its_element() {
        let text = format!(
            r#"<s:Envelope xmlns:s="{SOAP}"><s:Body><s:Fault><faultcode>s:Server</faultcode><faultstring>no</faultstring><detail><AccessDenied xmlns="urn:other"/></detail></s:Fault></s:Body></s:Envelope>"#
        );
        let result = read(&answer(500, "text/xml", &text), Operation::Ack);
        let expected = UpstreamFault {
            text: "no".to_owned(),
            element: Some("AccessDenied".to_owned()),
            ..UpstreamFault::default()
        };
        assert_eq!(result, Err(ClientError::Fault(expected)));
    }
}
