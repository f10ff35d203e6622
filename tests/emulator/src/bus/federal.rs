//! The far side of the bus: federal consumers and providers, which tests drive.

use std::sync::Arc;
use std::time::Duration;

use crate::fault::Fault;
use crate::message::{Reply, RequestData, ResponseData};

/// A request that a federal consumer sends into the region.
#[derive(Debug, Clone)]
pub struct FederalRequest {
    pub(super) from: String,
    pub(super) to: Option<String>,
    pub(super) data: RequestData,
}

impl FederalRequest {
    /// A request by the federal consumer `from` with a payload of a registered kind; it goes to the kind's provider.
    pub fn new(from: impl Into<String>, data: RequestData) -> Self {
        FederalRequest {
            from: from.into(),
            to: None,
            data,
        }
    }

    /// The same to another participant than the kind's provider.
    #[must_use]
    pub fn to(mut self, mnemonic: impl Into<String>) -> Self {
        self.to = Some(mnemonic.into());
        self
    }
}

/// An answer that a federal provider sends into the region, with or without a request that it belongs to.
#[derive(Debug, Clone)]
pub struct FederalResponse {
    /// The federal provider.
    pub from: String,
    /// The participant whose queue gets it.
    pub to: String,
    /// The participant's sub-queue.
    pub node_id: Option<String>,
    /// `OriginalMessageId`.
    pub original_message_id: Option<String>,
    /// `OriginalTransactionCode`.
    pub original_transaction_code: Option<String>,
    /// The answer.
    pub data: ResponseData,
}

/// Why a federal message cannot be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FederalError {
    /// The payload is not one XML element in a namespace.
    #[error("the payload is no XML element in a namespace: {0}")]
    Payload(String),
    /// No registered kind has this root.
    #[error("no kind has the root {{{0}}}{1}")]
    UnknownKind(String, String),
    /// The recipient is not registered.
    #[error("{0} is not registered on the bus")]
    UnknownRecipient(String),
    /// There is no unanswered request with this identifier.
    #[error("no request {0} waits for an answer")]
    UnknownRequest(String),
}

/// What comes back for a request on the far side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProviderAnswer {
    /// The provider answers.
    Reply(Reply),
    /// The bus rejects the request asynchronously, for this reason (PROTOCOL §4, async pipeline).
    BusRejects(Fault),
}

impl From<Reply> for ProviderAnswer {
    fn from(reply: Reply) -> Self {
        ProviderAnswer::Reply(reply)
    }
}

type Behaviour = dyn Fn(&RequestData) -> Vec<ProviderAnswer> + Send + Sync;

/// How a federal provider answers the requests of a kind.
#[derive(Clone)]
pub struct Provider {
    behaviour: Arc<Behaviour>,
    pub(super) delay: Duration,
}

impl Provider {
    /// Answers each request with one reply.
    pub fn new(answer: impl Fn(&RequestData) -> Reply + Send + Sync + 'static) -> Self {
        Provider::with(move |request| vec![answer(request).into()])
    }

    /// Answers each request with whatever it likes, in order.
    pub fn with(answers: impl Fn(&RequestData) -> Vec<ProviderAnswer> + Send + Sync + 'static) -> Self {
        Provider {
            behaviour: Arc::new(answers),
            delay: Duration::ZERO,
        }
    }

    /// Never answers by itself; `Emulator::answer` may, later.
    pub fn silent() -> Self {
        Provider::with(|_| Vec::new())
    }

    /// The bus rejects every request asynchronously.
    pub fn rejected_by_bus(fault: Fault) -> Self {
        Provider::with(move |_| vec![ProviderAnswer::BusRejects(fault.clone())])
    }

    /// The same with a RequestStatus before the answers.
    #[must_use]
    pub fn status_first(self, code: i32, description: impl Into<String>) -> Self {
        let (behaviour, description) = (self.behaviour, description.into());
        let answers = move |request: &RequestData| {
            let mut answers = vec![Reply::status(code, description.clone()).into()];
            answers.extend(behaviour(request));
            answers
        };
        Provider {
            behaviour: Arc::new(answers),
            delay: self.delay,
        }
    }

    /// The same, so much later (in real time).
    #[must_use]
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub(super) fn answers(&self, request: &RequestData) -> Vec<ProviderAnswer> {
        (self.behaviour)(request)
    }
}

impl std::fmt::Debug for Provider {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Provider")
            .field("delay", &self.delay)
            .finish_non_exhaustive()
    }
}
