//! What messages say, apart from how a version writes it down (PROTOCOL §3).

use jiff::Timestamp;

use crate::fault::Fault;
use crate::ids;

/// A file that travels with a message (PROTOCOL §7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// `contentId` of the header and `Id` of the content.
    pub id: String,
    /// The type, such as `application/zip`.
    pub mime_type: String,
    /// A detached CMS signature over the content.
    pub signature_pkcs7: Option<Vec<u8>>,
    /// The octets of the file.
    pub content: Vec<u8>,
}

impl Attachment {
    /// An unsigned file.
    pub fn new(id: impl Into<String>, mime_type: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Attachment {
            id: id.into(),
            mime_type: mime_type.into(),
            signature_pkcs7: None,
            content: content.into(),
        }
    }
}

/// Routing of a 1.3 request (PROTOCOL §3.9).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routing {
    /// `DynamicValue` in order.
    pub dynamic: Vec<String>,
    /// `IdentifierValue` in order.
    pub identifiers: Vec<String>,
}

/// What a consumer says: the content of `SenderProvidedRequestData`, with the files and the routing beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestData {
    /// `MessageID`.
    pub message_id: String,
    /// `ReferenceMessageID`.
    pub reference_message_id: Option<String>,
    /// `TransactionCode`.
    pub transaction_code: Option<String>,
    /// `NodeID`.
    pub node_id: Option<String>,
    /// `EOL`, as written.
    pub eol: Option<String>,
    /// The payload: one self-contained XML element in a namespace.
    pub content: String,
    /// A personal signature over the payload: the text of `ds:Signature`.
    pub personal_signature: Option<String>,
    /// Files sent with the message.
    pub attachments: Vec<Attachment>,
    /// The `RefAttachmentHeaderList` element as XML, for files in the file storage.
    pub ref_attachments: Option<String>,
    /// What stands in `BusinessProcessMetadata`, as XML.
    pub business_process_metadata: Option<String>,
    /// Whether `TestMessage` is there.
    pub test_message: bool,
    /// 1.3 routing values.
    pub routing: Option<Routing>,
}

impl RequestData {
    /// A request with nothing but a payload, under a fresh identifier of now.
    pub fn new(content: impl Into<String>) -> Self {
        RequestData::sent_at(Timestamp::now(), content)
    }

    /// The same with an identifier whose time is `at`.
    pub fn sent_at(at: Timestamp, content: impl Into<String>) -> Self {
        RequestData {
            message_id: ids::message_id(at),
            reference_message_id: None,
            transaction_code: None,
            node_id: None,
            eol: None,
            content: content.into(),
            personal_signature: None,
            attachments: Vec::new(),
            ref_attachments: None,
            business_process_metadata: None,
            test_message: false,
            routing: None,
        }
    }

    /// Sets the identifier.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.message_id = id.into();
        self
    }

    /// Sets the sub-queue that is to get the answer.
    #[must_use]
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.node_id = Some(node.into());
        self
    }

    /// Sets the transaction code.
    #[must_use]
    pub fn transaction_code(mut self, code: impl Into<String>) -> Self {
        self.transaction_code = Some(code.into());
        self
    }

    /// Sets the moment after which the request is worthless.
    #[must_use]
    pub fn eol(mut self, at: Timestamp) -> Self {
        self.eol = Some(crate::wire::time::date_time(at));
        self
    }

    /// Adds a file.
    #[must_use]
    pub fn attach(mut self, attachment: Attachment) -> Self {
        self.attachments.push(attachment);
        self
    }

    /// Marks the request as a test.
    #[must_use]
    pub fn test(mut self) -> Self {
        self.test_message = true;
        self
    }

    /// Sets 1.3 routing values.
    #[must_use]
    pub fn routing(mut self, routing: Routing) -> Self {
        self.routing = Some(routing);
        self
    }
}

/// What a provider says: the content of `SenderProvidedResponseData`, with the files beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResponseData {
    /// `MessageID`.
    pub message_id: String,
    /// `To`: the `ReplyTo` of the request, verbatim.
    pub to: String,
    /// The answer itself.
    pub reply: Reply,
}

impl ResponseData {
    /// An answer under a fresh identifier of now.
    pub fn new(to: impl Into<String>, reply: Reply) -> Self {
        ResponseData::sent_at(Timestamp::now(), to, reply)
    }

    /// The same with an identifier whose time is `at`.
    pub fn sent_at(at: Timestamp, to: impl Into<String>, reply: Reply) -> Self {
        ResponseData {
            message_id: ids::message_id(at),
            to: to.into(),
            reply,
        }
    }

    /// Sets the identifier.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.message_id = id.into();
        self
    }
}

/// The four forms of an answer (PROTOCOL §3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// (a) a payload
    Content {
        /// The payload: one self-contained XML element in a namespace.
        content: String,
        /// A personal signature over the payload: the text of `ds:Signature`.
        personal_signature: Option<String>,
        /// Files sent with the answer.
        attachments: Vec<Attachment>,
        /// The `RefAttachmentHeaderList` element as XML.
        ref_attachments: Option<String>,
    },
    /// (b) the request is rejected, for at least one reason
    Rejected(Vec<Rejection>),
    /// (c) news about the request; the answer is still to come
    Status(RequestStatus),
    /// (d) the bus's own notice about what it did with a message
    Async(AsyncStatus),
}

impl Reply {
    /// An answer that is only a payload.
    pub fn content(content: impl Into<String>) -> Self {
        Reply::Content {
            content: content.into(),
            personal_signature: None,
            attachments: Vec::new(),
            ref_attachments: None,
        }
    }

    /// A payload with files.
    pub fn with_files(content: impl Into<String>, attachments: Vec<Attachment>) -> Self {
        Reply::Content {
            content: content.into(),
            personal_signature: None,
            attachments,
            ref_attachments: None,
        }
    }

    /// A rejection for one reason.
    pub fn rejected(code: impl Into<String>, description: impl Into<String>) -> Self {
        Reply::Rejected(vec![Rejection {
            code: code.into(),
            description: description.into(),
        }])
    }

    /// A status without parameters.
    pub fn status(code: i32, description: impl Into<String>) -> Self {
        Reply::Status(RequestStatus {
            code,
            parameters: Vec::new(),
            description: description.into(),
        })
    }

    /// The files of the answer.
    pub fn attachments(&self) -> &[Attachment] {
        match self {
            Reply::Content { attachments, .. } => attachments,
            _ => &[],
        }
    }

    /// The payload, if this is the form that has one.
    pub fn payload(&self) -> Option<&str> {
        match self {
            Reply::Content { content, .. } => Some(content),
            _ => None,
        }
    }

    /// Whether nothing may follow this answer.
    pub fn is_final(&self) -> bool {
        matches!(self, Reply::Content { .. } | Reply::Rejected(_))
    }
}

/// One reason why a request is rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// `ACCESS_DENIED`, `NO_DATA`, `UNKNOWN_REQUEST_DESCRIPTION` or `FAILURE`.
    pub code: String,
    /// For people.
    pub description: String,
}

/// A provider's news about a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestStatus {
    /// The provider's own code.
    pub code: i32,
    /// `StatusParameter`: key and value.
    pub parameters: Vec<(String, String)>,
    /// For people.
    pub description: String,
}

/// The bus's notice about its asynchronous processing of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AsyncStatus {
    /// The message it is about.
    pub original_message_id: String,
    /// `StatusCategory`, such as `requestIsRejectedBySmev`.
    pub category: String,
    /// `StatusDetails`, for people.
    pub details: Option<String>,
    /// The cause, as a fault.
    pub fault: Option<Fault>,
}

/// What the bus says of a message: `MessageMetadata` (PROTOCOL §3.7).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Metadata {
    /// `MessageId`.
    pub message_id: Option<String>,
    /// `REQUEST`, `RESPONSE` …
    pub message_type: String,
    /// Who sent it.
    pub sender: Option<Party>,
    /// `SendingTimestamp`, as written.
    pub sending_timestamp: String,
    /// To whom.
    pub recipient: Option<Party>,
    /// `DeliveryTimestamp`, as written.
    pub delivery_timestamp: Option<String>,
    /// `Status`.
    pub status: Option<String>,
}

/// A sender or recipient in the metadata.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Party {
    /// For machines; 1.3 may leave it out.
    pub mnemonic: Option<String>,
    /// For people; 1.2 leaves it out.
    pub name: Option<String>,
}

/// A filter on the queue that a call reads (PROTOCOL §3.3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    /// Namespace and local name of the payload's root.
    pub kind: Option<(String, String)>,
    /// The sub-queue.
    pub node_id: Option<String>,
}

impl Selector {
    /// Any message of the common queue.
    pub fn any() -> Self {
        Selector::default()
    }

    /// Messages whose payload has this root.
    pub fn kind(namespace: impl Into<String>, local: impl Into<String>) -> Self {
        Selector {
            kind: Some((namespace.into(), local.into())),
            node_id: None,
        }
    }

    /// The same, in a sub-queue.
    #[must_use]
    pub fn node(mut self, node: impl Into<String>) -> Self {
        self.node_id = Some(node.into());
        self
    }
}
