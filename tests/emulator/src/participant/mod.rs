//! A participant's system as a client: builds, signs and sends every operation in every version, reads the answers, and
//! trusts nothing that the other side has not signed.
//!
//! Written from PROTOCOL alone. The pieces can be used one by one: [`Participant::sign_request`] and its sisters make a
//! [`SignedCall`] that a test may spoil before [`Participant::call`] sends it and [`Answer`] reads what came back. Who has
//! a way of its own to the other side needs only [`Signing`], which makes the calls, and [`Answer::received`].

mod answer;
mod call;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use gost::Certificate;
use jiff::Timestamp;

pub use answer::{Answer, DeliveredRequest, DeliveredResponse, Receipt, SenderProof};
pub use call::SignedCall;

use crate::clock::Clock;
use crate::fault::Fault;
use crate::http::{Endpoint, Pool, TransportError};
use crate::identity::{CALL_TIMEOUT, Identity, Trusted};
use crate::message::{AsyncStatus, RequestData, ResponseData, Selector};
use crate::version::Version;
use crate::wire::writer::Style;

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer, or none that is whole.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The other side refused.
    #[error("refused: {0}")]
    Fault(Box<Fault>),
    /// An answer that is no SOAP envelope, with the status it came with.
    #[error("HTTP status {status} without a SOAP answer: {body}")]
    Status {
        /// The status code.
        status: u16,
        /// The beginning of the body.
        body: String,
    },
    /// The answer is not what the operation has to answer.
    #[error("the answer is malformed: {0}")]
    Malformed(String),
    /// The gateway's or bus's signature on the answer does not hold.
    #[error("the answer's signature is bad: {0}")]
    Signature(String),
    /// The own key failed.
    #[error("the call cannot be signed: {0}")]
    Sign(#[from] xmldsig::SignError),
}

impl CallError {
    /// The fault, if the other side refused.
    pub fn fault(&self) -> Option<&Fault> {
        match self {
            CallError::Fault(fault) => Some(fault),
            _ => None,
        }
    }

    /// The name of the fault's element, if the other side refused.
    pub fn fault_name(&self) -> Option<&str> {
        self.fault().map(|fault| fault.element.as_str())
    }
}

/// Who signs calls, in which version and by which clock: the part of a system that needs no connection.
#[derive(Clone)]
pub struct Signing {
    identity: Identity,
    version: Version,
    clock: Clock,
}

impl Signing {
    /// Calls of this identity in this version, by the machine's clock.
    pub fn new(identity: Identity, version: Version) -> Signing {
        Signing {
            identity,
            version,
            clock: Clock::system(),
        }
    }

    /// Who it is.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// What it speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Its time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn style(&self) -> Style {
        Style::participant(self.version)
    }
}

/// A participant's system: it signs as its [`Signing`] does. Clones share the connections.
#[derive(Clone)]
pub struct Participant {
    signing: Signing,
    trusted: Arc<Vec<Trusted>>,
    pool: Arc<Pool>,
}

impl Deref for Participant {
    type Target = Signing;

    fn deref(&self) -> &Signing {
        &self.signing
    }
}

impl Participant {
    /// A system that speaks `version` at `url` and accepts only answers signed with `gateway`'s key.
    ///
    /// # Errors
    /// If `url` is no plain HTTP address.
    pub fn new(identity: Identity, version: Version, url: &str, gateway: Certificate) -> Result<Self, TransportError> {
        Ok(Participant {
            signing: Signing::new(identity, version),
            trusted: Arc::new(vec![Trusted::new(gateway)]),
            pool: Arc::new(Pool::new(Endpoint::parse(url)?, CALL_TIMEOUT)),
        })
    }

    /// The same with another clock: its time stands in identifiers and timestamps.
    #[must_use]
    pub fn with_clock(mut self, clock: Clock) -> Self {
        self.signing.clock = clock;
        self
    }

    /// The same speaking another version, at the same address: versions are told apart by namespace.
    #[must_use]
    pub fn with_version(mut self, version: Version) -> Self {
        self.signing.version = version;
        self
    }

    /// The same giving up on an answer after `timeout`, over connections of its own.
    ///
    /// # Errors
    /// If `url` is no plain HTTP address.
    pub fn with_timeout(mut self, url: &str, timeout: Duration) -> Result<Self, TransportError> {
        self.pool = Arc::new(Pool::new(Endpoint::parse(url)?, timeout));
        Ok(self)
    }

    /// A request with nothing but a payload, under a fresh identifier of this system's clock.
    pub fn new_request(&self, content: impl Into<String>) -> RequestData {
        RequestData::sent_at(self.now(), content)
    }

    /// SendRequest.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn send_request(&self, data: &RequestData) -> Result<Receipt, CallError> {
        self.call(&self.sign_request(data)?).await?.receipt()
    }

    /// SendResponse.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn send_response(&self, data: &ResponseData) -> Result<Receipt, CallError> {
        self.call(&self.sign_response(data)?).await?.receipt()
    }

    /// GetRequest: the next waiting request, or nothing.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get_request(&self, selector: &Selector) -> Result<Option<DeliveredRequest>, CallError> {
        self.call(&self.sign_get_request(selector)?).await?.delivered_request()
    }

    /// GetResponse: the next waiting answer, or nothing.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get_response(&self, selector: &Selector) -> Result<Option<DeliveredResponse>, CallError> {
        self.call(&self.sign_get_response(selector)?)
            .await?
            .delivered_response()
    }

    /// GetStatus: the next notice about an answer that this system sent, or nothing.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn get_status(&self) -> Result<Option<AsyncStatus>, CallError> {
        self.call(&self.sign_get_status()?).await?.status()
    }

    /// Ack of a delivered message, accepted.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn ack(&self, message_id: &str) -> Result<(), CallError> {
        self.call(&self.sign_ack(message_id, Some(true))?).await?.acknowledged()
    }

    /// Ack of a delivered message, with `accepted` as given or left out.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn ack_with(&self, message_id: &str, accepted: Option<bool>) -> Result<(), CallError> {
        self.call(&self.sign_ack(message_id, accepted)?).await?.acknowledged()
    }

    /// GetIncomingQueueStatistics (1.1): name and depth of each queue.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn queue_statistics(&self, node_id: Option<&str>) -> Result<Vec<(String, i64)>, CallError> {
        self.call(&self.sign_statistics(node_id)?).await?.statistics()
    }

    /// Sends a call, whatever is in it.
    ///
    /// # Errors
    /// [`TransportError`] only: faults are an answer.
    pub async fn call(&self, call: &SignedCall) -> Result<Answer, TransportError> {
        let answer = self
            .pool
            .post(&call.content_type, call.soap_action.as_deref(), call.body.clone())
            .await?;
        Ok(Answer::new(answer, self.version, Arc::clone(&self.trusted)))
    }
}

impl std::fmt::Debug for Signing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signing")
            .field("identity", &self.identity)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Participant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Participant")
            .field("signing", &self.signing)
            .finish_non_exhaustive()
    }
}
