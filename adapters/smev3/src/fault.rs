//! Faults: what the door says when it refuses, and the names by which the client knows a refusal (PROTOCOL §5).
//!
//! A fault is one element of `F` inside `soap:Fault/detail`. `Description` begins with a number: `SMEV-NNN` where the
//! bus' own number is known, else a stable `RSMEV-NNN` of this gateway. `Code` says where it arose: the stages of the
//! bus (`SPS` signature, `PP` processing, `DAS` delivery and acknowledgement) with a number of ours.
//!
//! | fault | number | code | when |
//! |---|---|---|---|
//! | SignatureVerificationFault | SMEV-100 | SPS:1 … SPS:6 | no signature, wrong target, invalid, no certificate, expired, bad form; `Timestamp` outside the window |
//! | SenderIsNotRegistered | RSMEV-101 | SPS:10 | the certificate is pinned to nobody, the caller's address is not allowed, or an operator has suspended the caller |
//! | AccessDenied | RSMEV-201 | PP:20 | no grant for the kind (SendRequest only) |
//! | InvalidMessageIdFormat | SMEV-300 | PP:30 | not a version 1 UUID in lower case, or another sender's |
//! | MessageIsAlreadySent | SMEV-301 | PP:31 | the same sender's message was accepted before |
//! | StaleMessageId | RSMEV-302 | PP:32 | the UUID's time is outside the window |
//! | BusinessDataTypeIsNotSupported | RSMEV-401 | PP:41 | the payload's root is not registered |
//! | IncorrectResponseContentType | RSMEV-402 | PP:42 | the payload is not an answer to this request |
//! | InvalidContent | SMEV-403 | PP:55 | the envelope is malformed, incomplete or over a limit |
//! | AttachmentContentMiscoordination | RSMEV-404 | PP:44 | headers and contents do not pair; files outside the message on a local route |
//! | AttachmentSizeLimitExceeded | RSMEV-405 | PP:45 | attachments inside the message are too large |
//! | TransactionCodeInvalid | RSMEV-406 | PP:46 | an upstream's refusal only |
//! | QuoteLimitExceeded | RSMEV-407 | PP:47 | an upstream's refusal only |
//! | PersonalAccessDenied | RSMEV-408 | PP:48 | an upstream's refusal only |
//! | TargetMessageIsNotFound | SMEV-501 | DAS:4 | nothing unacknowledged has this identifier |
//! | UnknownMessageType | RSMEV-502 | DAS:2 | the selector's type is not registered, or not the caller's |
//! | RequestIsNotFound | RSMEV-503 | DAS:3 | an upstream's refusal only |
//! | DestinationOverflow | SMEV-600 | PP:15 | the recipient's queue is full |
//! | RecipientIsNotFound | RSMEV-601 | PP:61 | no route; `To` leads nowhere, or no grant to answer |
//! | EndOfLifeReached | RSMEV-602 | PP:62 | `EOL` has passed |
//! | SMEVFailure | RSMEV-900 | PP:90 | the gateway cannot work now; the same message may be sent again |

pub mod meaning;
mod refusal;

use std::fmt;

use xmldsig::Cause;

use crate::version::Version;
use crate::xml;

macro_rules! fault_names {
    ($($name:ident $number:literal $stage:literal,)*) => {
        /// The faults of the protocol; their names are those of the elements in `F`.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum FaultName {
            $(#[doc = concat!("`F:", stringify!($name), "`")] $name,)*
        }

        impl FaultName {
            /// All of them.
            pub const ALL: &[FaultName] = &[$(Self::$name,)*];

            /// The element's local name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// The number that a description begins with.
            pub fn number(self) -> &'static str {
                match self {
                    $(Self::$name => $number,)*
                }
            }

            fn stage(self) -> &'static str {
                match self {
                    $(Self::$name => $stage,)*
                }
            }
        }
    };
}

fault_names! {
    SignatureVerificationFault "SMEV-100" "SPS:1",
    SenderIsNotRegistered "RSMEV-101" "SPS:10",
    AccessDenied "RSMEV-201" "PP:20",
    InvalidMessageIdFormat "SMEV-300" "PP:30",
    MessageIsAlreadySent "SMEV-301" "PP:31",
    StaleMessageId "RSMEV-302" "PP:32",
    BusinessDataTypeIsNotSupported "RSMEV-401" "PP:41",
    IncorrectResponseContentType "RSMEV-402" "PP:42",
    InvalidContent "SMEV-403" "PP:55",
    AttachmentContentMiscoordination "RSMEV-404" "PP:44",
    AttachmentSizeLimitExceeded "RSMEV-405" "PP:45",
    TransactionCodeInvalid "RSMEV-406" "PP:46",
    QuoteLimitExceeded "RSMEV-407" "PP:47",
    PersonalAccessDenied "RSMEV-408" "PP:48",
    TargetMessageIsNotFound "SMEV-501" "DAS:4",
    UnknownMessageType "RSMEV-502" "DAS:2",
    RequestIsNotFound "RSMEV-503" "DAS:3",
    DestinationOverflow "SMEV-600" "PP:15",
    RecipientIsNotFound "RSMEV-601" "PP:61",
    EndOfLifeReached "RSMEV-602" "PP:62",
    SMEVFailure "RSMEV-900" "PP:90",
}

impl FaultName {
    /// `Code`: where a fault arises when a call is answered (`SYNC`) or afterwards (`ASYNC`). At most 50 characters.
    pub(crate) fn code(self, mode: &str) -> String {
        code(mode, self.stage())
    }

    /// The fault whose element has this local name.
    pub fn from_name(local: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|name| name.as_str() == local)
    }
}

impl fmt::Display for FaultName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn code(mode: &str, stage: &str) -> String {
    format!("rsmev:GATEWAY : TR:{mode}:{stage}")
}

/// Why a signature was not accepted: the protocol's enumeration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureCause {
    /// What the signature itself shows.
    Signature(Cause),
    /// The certificate's time has not begun or is over.
    CertificateIsExpired,
}

impl SignatureCause {
    /// The value as it stands in the fault.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Signature(cause) => cause.as_str(),
            Self::CertificateIsExpired => "CertificateIsExpired",
        }
    }

    fn stage(self) -> &'static str {
        match self {
            Self::Signature(Cause::NoSignatureFound) => "SPS:1",
            Self::Signature(Cause::IncorrectSignatureTarget) => "SPS:2",
            Self::Signature(Cause::SignatureIsInvalid) => "SPS:3",
            Self::CertificateIsExpired => "SPS:4",
            Self::Signature(Cause::CertificateIsNotFound) => "SPS:5",
            Self::Signature(Cause::PoorSOAPEnvelopeFormat) => "SPS:6",
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::Signature(Cause::NoSignatureFound) => "signature_missing",
            Self::Signature(Cause::IncorrectSignatureTarget) => "signature_target",
            Self::Signature(Cause::SignatureIsInvalid) => "signature_invalid",
            Self::CertificateIsExpired => "certificate_time",
            Self::Signature(Cause::CertificateIsNotFound) => "certificate_unreadable",
            Self::Signature(Cause::PoorSOAPEnvelopeFormat) => "signature_form",
        }
    }
}

/// What a fault carries beside its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Detail {
    /// Nothing.
    None,
    /// Of SignatureVerificationFault.
    Signature(SignatureCause),
    /// Of InvalidContent: messages without content of the payload.
    Validation(Vec<String>),
    /// Of BusinessDataTypeIsNotSupported.
    Root {
        /// Namespace of the payload's root.
        namespace: String,
        /// Its local name.
        local: String,
    },
    /// Of AttachmentSizeLimitExceeded, in octets.
    Sizes {
        /// What is allowed in one message.
        permitted: u64,
        /// What this one has.
        real: u64,
    },
    /// Of DestinationOverflow: the queue's name.
    Destination(String),
}

/// A refusal as the caller gets it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {text}")]
pub struct Fault {
    /// Which one.
    pub name: FaultName,
    /// Why, in one word of a closed set, for the journal (`docs/refusals.md`).
    pub reason: &'static str,
    /// `faultstring`: what is wrong and what to do, for a person.
    pub text: String,
    /// What the fault's type carries.
    pub detail: Detail,
}

impl Fault {
    /// A fault without details.
    pub fn new(name: FaultName, reason: &'static str, text: impl Into<String>) -> Self {
        Self {
            name,
            reason,
            text: text.into(),
            detail: Detail::None,
        }
    }

    /// The envelope is malformed, incomplete, or over a limit.
    pub fn invalid(text: impl Into<String>) -> Self {
        let text = text.into();
        let detail = Detail::Validation(vec![text.clone()]);
        Self {
            name: FaultName::InvalidContent,
            reason: "envelope",
            text,
            detail,
        }
    }

    /// A signature is not accepted.
    pub fn signature(cause: SignatureCause, text: impl Into<String>) -> Self {
        Self {
            name: FaultName::SignatureVerificationFault,
            reason: cause.reason(),
            text: text.into(),
            detail: Detail::Signature(cause),
        }
    }

    /// The same fault for a nearer reason.
    pub(crate) fn because(self, reason: &'static str) -> Self {
        Self { reason, ..self }
    }

    /// The signature block of a polling call is missing.
    pub(crate) fn no_signature() -> Self {
        Self::signature(SignatureCause::Signature(Cause::NoSignatureFound), "Отсутствует ЭП-ОВ")
    }

    /// The gateway cannot work now.
    pub fn failure() -> Self {
        Self::new(
            FaultName::SMEVFailure,
            "unavailable",
            "Внутренняя ошибка шлюза. Повторите отправку того же сообщения позже.",
        )
    }

    /// The caller makes too many calls: SMEVFailure is the one fault that every operation has and that says to come again.
    pub(crate) fn too_many(text: impl Into<String>) -> Self {
        Self::new(FaultName::SMEVFailure, "too_many", text)
    }

    /// `Code`: where the fault arose. At most 50 characters.
    pub fn code(&self) -> String {
        let stage = match &self.detail {
            Detail::Signature(cause) => cause.stage(),
            _ => self.name.stage(),
        };
        code("SYNC", stage)
    }

    /// `Description`: the number and the text.
    pub fn description(&self) -> String {
        format!("{}:{}", self.name.number(), self.text)
    }

    /// The SOAP envelope with this fault.
    pub fn envelope(&self, version: Version) -> String {
        let name = self.name.as_str();
        let mut out = String::with_capacity(1024 + 4 * self.text.len());
        out.push_str(
            r#"<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault>"#,
        );
        xml::element(&mut out, "faultcode", "soap:Server");
        xml::element(&mut out, "faultstring", &self.text);
        out.push_str("<detail><ns3:");
        out.push_str(name);
        out.push_str(&version.declarations());
        if matches!(self.detail, Detail::None) {
            // The schema's type of these faults is empty: the bus substitutes the one with a code (PROTOCOL §5).
            out.push_str(r#" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="SmevFault""#);
        }
        out.push('>');
        xml::element(&mut out, "Code", xml::shortened(&self.code(), version.fault_code_len()));
        xml::element(&mut out, "Description", &self.description());
        match &self.detail {
            Detail::None => {}
            Detail::Signature(cause) => xml::element(&mut out, "ns3:SignatureVerificationFault", cause.as_str()),
            Detail::Validation(errors) => {
                for error in errors {
                    out.push_str(r#"<ns3:ValidationError errorPosition="-1">"#);
                    out.push_str(&xml::text(error));
                    out.push_str("</ns3:ValidationError>");
                }
            }
            Detail::Root { namespace, local } => {
                xml::element(&mut out, "ns3:RootElementLocalName", local);
                xml::element(&mut out, "ns3:RootElementNamespaceURI", namespace);
            }
            Detail::Sizes { permitted, real } => {
                xml::element(&mut out, "ns3:PermittedTotalAttachmentSize", &permitted.to_string());
                xml::element(&mut out, "ns3:RealTotalAttachmentSize", &real.to_string());
            }
            Detail::Destination(queue) => {
                xml::element(&mut out, "ns3:MessageBrokerAddress", "unknown");
                xml::element(&mut out, "ns3:DestinationName", queue);
            }
        }
        out.push_str("</ns3:");
        out.push_str(name);
        out.push_str("></detail></soap:Fault></soap:Body></soap:Envelope>");
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmldsig::{Document, Limits};

    fn all() -> Vec<Fault> {
        let mut faults: Vec<Fault> = FaultName::ALL
            .iter()
            .map(|&name| Fault::new(name, "test", "текст <&>"))
            .collect();
        for fault in &mut faults {
            fault.detail = match fault.name {
                FaultName::SignatureVerificationFault => Detail::Signature(SignatureCause::CertificateIsExpired),
                FaultName::InvalidContent => Detail::Validation(vec!["a<b".into()]),
                FaultName::BusinessDataTypeIsNotSupported => Detail::Root {
                    namespace: "urn:x".into(),
                    local: "R".into(),
                },
                FaultName::AttachmentSizeLimitExceeded => Detail::Sizes { permitted: 1, real: 2 },
                FaultName::DestinationOverflow => Detail::Destination("MUN001/requests".into()),
                _ => Detail::None,
            };
        }
        faults
    }

    #[test]
    fn every_fault_is_a_well_formed_envelope_with_its_own_element() {
        for version in Version::ALL {
            for fault in all() {
                let xml = fault.envelope(version);
                let document = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
                let body = document.root().children().next().unwrap();
                let soap = body.children().next().unwrap();
                let parts: Vec<_> = soap.children().collect();
                assert_eq!(
                    (parts[0].text().as_ref(), parts[1].text().as_ref()),
                    ("soap:Server", "текст <&>")
                );
                let element = parts[2].children().next().unwrap();
                assert!(element.is(version.faults(), fault.name.as_str()));
                let code = element.only_child(version.basic(), "Code").unwrap().text().into_owned();
                assert!(code.chars().count() <= 50, "{code}");
                let description = element
                    .only_child(version.basic(), "Description")
                    .unwrap()
                    .text()
                    .into_owned();
                assert_eq!(description, format!("{}:текст <&>", fault.name.number()));
            }
        }
    }

    #[test]
    fn names_and_codes_are_distinct() {
        let mut codes: Vec<String> = all().iter().map(Fault::code).collect();
        codes.sort();
        codes.dedup();
        assert_eq!(codes.len(), FaultName::ALL.len());
        for &name in FaultName::ALL {
            assert_eq!(FaultName::from_name(name.as_str()), Some(name));
        }
        assert_eq!(FaultName::from_name("QuotaLimitExceeded"), None);
    }

    #[test]
    fn the_shape_is_that_of_the_real_bus() {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../../shared/data/public/responses/Fault-SignatureVerificationFault-NoSignatureFound-1.1.xml"
        );
        let Ok(real) = std::fs::read_to_string(path) else {
            eprintln!("SKIPPED: no {path}");
            return;
        };
        fn shape(element: xmldsig::Element<'_, '_>, out: &mut Vec<String>) {
            out.push(format!(
                "{{{}}}{}",
                element.namespace().unwrap_or_default(),
                element.local_name()
            ));
            element.children().for_each(|child| shape(child, out));
        }
        let shape_of = |xml: &str| {
            let mut out = Vec::new();
            shape(
                Document::parse(xml.as_bytes(), &Limits::default()).unwrap().root(),
                &mut out,
            );
            out
        };
        assert_eq!(
            shape_of(&Fault::no_signature().envelope(Version::V1_1)),
            shape_of(&real)
        );
    }
}
