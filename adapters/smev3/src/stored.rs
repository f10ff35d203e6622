//! A message as it lies in the spool: part 0 of a message of this adapter.
//!
//! The sender's octets are kept as received, with what must be known to put them elsewhere. So a message can be delivered
//! with its sender's signature intact, long after the call that brought it is gone.

use serde::{Deserialize, Serialize};

use crate::splice::{self, Declaration};
use crate::version::Version;

/// First octet of everything stored here; a change of the layout changes it.
const LAYOUT: u8 = 1;

/// What cannot be read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stored octets are not a message of this adapter (layout {LAYOUT})")]
pub struct StoredError;

/// Which element the sender's data are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DataElement {
    /// `T:SenderProvidedRequestData`
    Request,
    /// `T:SenderProvidedResponseData`
    Response,
    /// `T:AsyncProcessingStatusData`, as GetStatus gives it
    Status,
}

/// An attachment inside the message: part 1 and following hold the octets in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredAttachment {
    /// `AttachmentHeader/contentId` and `AttachmentContent/Id`.
    pub content_id: String,
    /// `AttachmentHeader/MimeType`.
    pub mime_type: String,
}

/// What is known about the message without parsing it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version in which it was sent.
    pub version: Version,
    /// What the data are.
    pub element: DataElement,
    /// Declarations that the data inherited.
    pub data_scope: Vec<Declaration>,
    /// Declarations that the signature inherited.
    pub signature_scope: Vec<Declaration>,
    /// `MessageID` as text.
    pub message_id: String,
    /// `ReferenceMessageID` as text.
    pub reference_id: Option<String>,
    /// `TransactionCode`.
    pub transaction_code: Option<String>,
    /// `NodeID`.
    pub node_id: Option<String>,
    /// `EOL` as written.
    pub end_of_life: Option<String>,
    /// `To` of an answer; of a request from an upstream nothing: its ReplyTo lies in the [`ExchangeNote`].
    pub to: Option<String>,
    /// `TestMessage`.
    pub test: bool,
    /// Attachments inside the message.
    pub attachments: Vec<StoredAttachment>,
    /// 1.3 `rout:RoutingInformation`, standing by itself.
    pub routing: Option<String>,
    /// `B:FSAttachmentsList` as an upstream gave it, standing by itself.
    pub file_storage: Option<String>,
    /// `Sender/HumanReadableName` as an upstream gave it.
    pub remote_name: Option<String>,
}

impl Header {
    /// What every message has; all else is empty.
    #[must_use]
    pub fn new(version: Version, element: DataElement, message_id: String) -> Self {
        Self {
            version,
            element,
            data_scope: Vec::new(),
            signature_scope: Vec::new(),
            message_id,
            reference_id: None,
            transaction_code: None,
            node_id: None,
            end_of_life: None,
            to: None,
            test: false,
            attachments: Vec::new(),
            routing: None,
            file_storage: None,
            remote_name: None,
        }
    }
}

/// A stored message, borrowed from its octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<'a> {
    /// What is known about it.
    pub header: Header,
    /// The element of the sender's data as received.
    pub data: &'a str,
    /// The sender's `ds:Signature` as received; absent on what a bus says by itself.
    pub signature: Option<&'a str>,
}

impl<'a> Stored<'a> {
    /// Reads what [`encode`] wrote.
    ///
    /// # Errors
    /// [`StoredError`] if the octets are something else.
    pub fn decode(octets: &'a [u8]) -> Result<Self, StoredError> {
        let (&layout, rest) = octets.split_first().ok_or(StoredError)?;
        if layout != LAYOUT {
            return Err(StoredError);
        }
        let (header, rest) = postcard::take_from_bytes::<Header>(rest).map_err(|_| StoredError)?;
        let (data, rest) = postcard::take_from_bytes::<&str>(rest).map_err(|_| StoredError)?;
        let (signature, rest) = postcard::take_from_bytes::<Option<&str>>(rest).map_err(|_| StoredError)?;
        if !rest.is_empty() {
            return Err(StoredError);
        }
        Ok(Self {
            header,
            data,
            signature,
        })
    }

    /// The data as a text that stands by itself.
    pub fn standalone_data(&self) -> String {
        let mut out = String::with_capacity(self.data.len() + 512);
        splice::put(&mut out, self.data, &self.header.data_scope);
        out
    }

    /// The sender's signature as a text that stands by itself.
    pub fn standalone_signature(&self) -> Option<String> {
        self.signature.map(|signature| {
            let mut out = String::with_capacity(signature.len() + 512);
            splice::put(&mut out, signature, &self.header.signature_scope);
            out
        })
    }
}

/// Writes a message for the spool.
pub fn encode(header: &Header, data: &str, signature: Option<&str>) -> Vec<u8> {
    let mut octets = Vec::with_capacity(1024 + data.len() + signature.map_or(0, str::len));
    octets.push(LAYOUT);
    let octets = postcard::to_extend(header, octets).and_then(|octets| postcard::to_extend(data, octets));
    octets
        .and_then(|octets| postcard::to_extend(&signature, octets))
        .expect("plain data of known length always serialise into a vector")
}

/// What must be kept as long as an exchange lives, however short the body does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeNote {
    /// The request's `TransactionCode`: the answer carries it as `OriginalTransactionCode`.
    pub transaction_code: Option<String>,
    /// The `ReplyTo` that an upstream gave with its request: the answer's `To`, verbatim.
    pub upstream_reply_to: Option<String>,
}

impl ExchangeNote {
    /// The note as octets; `None` if there is nothing to note.
    pub fn encode(&self) -> Option<Vec<u8>> {
        if *self == Self::default() {
            return None;
        }
        Some(postcard::to_extend(self, vec![LAYOUT]).expect("plain data always serialise into a vector"))
    }

    /// Reads what [`encode`](Self::encode) wrote.
    ///
    /// # Errors
    /// [`StoredError`] if the octets are something else.
    pub fn decode(octets: &[u8]) -> Result<Self, StoredError> {
        match octets.split_first() {
            Some((&LAYOUT, rest)) => postcard::from_bytes(rest).map_err(|_| StoredError),
            _ => Err(StoredError),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            version: Version::V1_3,
            element: DataElement::Request,
            data_scope: vec![Declaration {
                prefix: "n".into(),
                namespace: "urn:n".into(),
            }],
            signature_scope: Vec::new(),
            message_id: "db0486d0-3c08-11e5-95e2-d4c9eff07b77".into(),
            reference_id: None,
            transaction_code: Some("код".into()),
            node_id: None,
            end_of_life: None,
            to: None,
            test: true,
            attachments: vec![StoredAttachment {
                content_id: "a".into(),
                mime_type: "b/c".into(),
            }],
            routing: None,
            file_storage: None,
            remote_name: None,
        }
    }

    #[test]
    fn a_message_comes_back_as_it_was() {
        for signature in [None, Some("<ds:Signature/>")] {
            let octets = encode(&header(), "<n:a x='1'/>", signature);
            let stored = Stored::decode(&octets).unwrap();
            assert_eq!(
                (stored.header.clone(), stored.data, stored.signature),
                (header(), "<n:a x='1'/>", signature)
            );
            assert_eq!(stored.standalone_data(), r#"<n:a xmlns:n="urn:n" x='1'/>"#);
        }
    }

    #[test]
    fn a_note_comes_back_and_an_empty_one_is_not_kept() {
        assert_eq!(ExchangeNote::default().encode(), None);
        let note = ExchangeNote {
            transaction_code: Some("t".into()),
            upstream_reply_to: None,
        };
        assert_eq!(ExchangeNote::decode(&note.encode().unwrap()), Ok(note));
    }

    #[test]
    fn other_octets_are_refused() {
        let octets = encode(&header(), "<a/>", None);
        assert_eq!(Stored::decode(&octets[..octets.len() - 1]), Err(StoredError));
        assert_eq!(Stored::decode(&[octets.as_slice(), b"x"].concat()), Err(StoredError));
        assert_eq!(Stored::decode(b"{\"json\":1}"), Err(StoredError));
        assert_eq!(ExchangeNote::decode(b""), Err(StoredError));
    }

    proptest::proptest! {
        #[test]
        fn no_octets_panic_the_reader(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = Stored::decode(&octets);
            let _ = Stored::decode(&[&[LAYOUT], octets.as_slice()].concat());
            let _ = ExchangeNote::decode(&octets);
        }
    }
}
