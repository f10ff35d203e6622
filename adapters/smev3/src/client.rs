//! The client side of SMEV 3, for upstreams: the federal bus or a neighbour's gateway.
//!
//! A [`Client`] writes calls under the gateway's own mnemonic and signature, sends them, and reads the answers: plain or
//! multipart, results or faults. What the upstream says is believed only under the signature of a pinned certificate.
//! An error tells exactly what is known about the call: certainly not sent, answered with a fault, or unknown
//! ([`ClientError`]); what follows from that is the caller's business.
//!
//! The CPU-heavy parts (canonicalising, signing, verifying) run on tokio's blocking threads; how many at once is
//! bounded by how many calls the caller makes at once.

mod answer;
mod endpoint;
mod error;
pub(crate) mod fuzz_body;
mod once;
mod outgoing;
mod pulled;
mod seal;
mod transport;
mod trust;

use std::sync::Arc;

use engine::clock::Clock;
use engine::command::PayloadRoot;
use engine::names::{MessageId, UpstreamName};
use engine::registry::Registry;
use gost::Certificate;

pub use endpoint::{Endpoint, EndpointError};
pub use error::{BuildError, ClientError, UpstreamFault};
pub use once::{Answered, NoAnswer, NoConnection, post_once};
pub use outgoing::{Dispatch, DispatchContent, Outgoing};
pub use pulled::Pulled;
pub use transport::{Bounds, Reached, Steps};

use crate::envelope::Operation;
use crate::version::Version;
use answer::Answer;
use pulled::Reader;
use seal::Seal;
use transport::{HttpAnswer, HttpCall, Transport, TransportError};
use trust::TrustedSigners;

/// What a client is made of.
pub struct Settings {
    /// The upstream's name in the configuration.
    pub upstream: UpstreamName,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// The version in which the gateway calls.
    pub version: Version,
    /// The certificates under which the upstream signs; no other is accepted.
    pub trusted_signers: Vec<Certificate>,
    /// Bounds of a call in time and size.
    pub bounds: Bounds,
    /// The gateway's key.
    pub signer: Arc<dyn gost::Signer>,
    /// The certificate of the key: by it the upstream knows the gateway's mnemonic.
    pub certificate: Certificate,
    /// Source of the time that polls are stamped with.
    pub clock: Arc<dyn Clock>,
}

/// A client of one upstream; cheap to clone.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    upstream: UpstreamName,
    version: Version,
    transport: Transport,
    trusted: TrustedSigners,
    seal: Seal,
    clock: Arc<dyn Clock>,
}

/// What to pull.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pull {
    /// Requests for kinds that the region provides.
    Requests,
    /// Answers to the region's requests.
    Responses,
    /// Statuses of the region's answers.
    Status,
}

impl Pull {
    /// All of them.
    pub const ALL: [Pull; 3] = [Pull::Requests, Pull::Responses, Pull::Status];

    /// The operation that pulls.
    pub fn operation(self) -> Operation {
        match self {
            Self::Requests => Operation::GetRequest,
            Self::Responses => Operation::GetResponse,
            Self::Status => Operation::GetStatus,
        }
    }
}

/// Whether something answers at an address, how fast, and what its clock says: its description (`?wsdl`) is asked for,
/// on a connection of its own and without a signature.
///
/// # Errors
/// Nothing answered within the bounds; the text says what failed.
pub async fn reach(endpoint: Endpoint, bounds: Bounds) -> Result<Reached, String> {
    Transport::new(endpoint, bounds).look().await
}

impl Client {
    /// A client that has not called yet.
    pub fn new(settings: Settings) -> Self {
        Self(Arc::new(Inner {
            upstream: settings.upstream,
            version: settings.version,
            transport: Transport::new(settings.endpoint, settings.bounds),
            trusted: TrustedSigners::new(&settings.trusted_signers),
            seal: Seal {
                signer: settings.signer,
                certificate: settings.certificate,
            },
            clock: settings.clock,
        }))
    }

    /// The version in which it calls.
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// Replaces the certificates under which the upstream's signatures are accepted, from the next answer on.
    pub fn replace_trusted_signers(&self, certificates: &[Certificate]) {
        self.0.trusted.replace(certificates);
    }

    /// Writes and signs a message for the upstream. CPU-heavy in proportion to its size: not for async threads.
    ///
    /// # Errors
    /// [`BuildError`]: the message cannot be written for this upstream; trying again will not help.
    pub fn prepare(&self, dispatch: &Dispatch<'_>) -> Result<Outgoing, BuildError> {
        outgoing::build(dispatch, self.0.version, &self.0.seal)
    }

    /// Sends a message. `Ok` is the upstream's signed word that it has the message.
    ///
    /// # Errors
    /// [`ClientError`]; after [`ClientError::BadSignature`] and [`ClientError::Protocol`] it is unknown whether the
    /// upstream has the message.
    pub async fn send(&self, outgoing: &Outgoing) -> Result<(), ClientError> {
        let answer = self.call(&outgoing.call).await?;
        let (inner, operation, id) = (self.0.clone(), outgoing.operation, outgoing.id);
        blocking(move || read_receipt(&answer, operation, id, &inner.trusted)).await
    }

    /// Pulls the next message that the upstream holds, of any kind or of one; `None` when there is none. What comes
    /// is verified. `fresh_id` becomes the identifier of a status, which has none.
    ///
    /// # Errors
    /// [`ClientError`]. A message whose signature is bad must be neither accepted nor acknowledged.
    pub async fn pull(
        &self,
        pull: Pull,
        selector: Option<PayloadRoot>,
        registry: Arc<Registry>,
        fresh_id: MessageId,
    ) -> Result<Option<Pulled>, ClientError> {
        let (inner, operation) = (self.0.clone(), pull.operation());
        let call = blocking(move || {
            seal::poll(
                operation,
                selector.as_ref(),
                inner.clock.now(),
                inner.version,
                &inner.seal,
            )
            .map_err(ClientError::from)
        });
        let answer = self.call(&call.await?).await?;
        let inner = self.0.clone();
        let read = move || {
            let reader = Reader {
                upstream: &inner.upstream,
                trusted: &inner.trusted,
                registry: &registry,
                fresh_id,
            };
            reader.read(&Answer::open(&answer)?, operation)
        };
        blocking(read).await
    }

    /// Acknowledges a message that the gateway has made durable.
    ///
    /// # Errors
    /// [`ClientError`]; the upstream will then deliver the message again.
    pub async fn acknowledge(&self, id: MessageId) -> Result<(), ClientError> {
        let inner = self.0.clone();
        let call = blocking(move || seal::ack(id, inner.version, &inner.seal).map_err(ClientError::from)).await?;
        let answer = self.call(&call).await?;
        let answer = Answer::open(&answer)?;
        answer.result(&answer.document()?, Operation::Ack).map(|_| ())
    }

    async fn call(&self, call: &HttpCall) -> Result<HttpAnswer, ClientError> {
        self.0.transport.post(call).await.map_err(|error| match error {
            TransportError::NotSent(cause) => ClientError::NotSent(cause),
            TransportError::Unknown(cause) => ClientError::Unknown(cause),
        })
    }
}

/// The upstream's signed word about the message that was just sent.
fn read_receipt(
    answer: &HttpAnswer,
    operation: Operation,
    id: MessageId,
    trusted: &TrustedSigners,
) -> Result<(), ClientError> {
    let answer = Answer::open(answer)?;
    let document = answer.document()?;
    let (version, result) = answer
        .result(&document, operation)?
        .ok_or_else(|| ClientError::Protocol("the answer is empty".to_owned()))?;
    let metadata = result
        .only_child(version.types(), "MessageMetadata")
        .map_err(|error| ClientError::Unknown(format!("the answer is unusable: MessageMetadata: {error}")))?;
    let signature = result.only_child(version.types(), "SMEVSignature").ok();
    trusted.verify(&document, signature, metadata)?;
    let about = metadata
        .child(version.types(), "MessageId")
        .map(|element| element.text().trim().to_owned());
    match about {
        Some(about) if about != id.to_string() => {
            Err(ClientError::Protocol("the answer is about another message".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Runs CPU-heavy work off the async threads.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ClientError> + Send + 'static,
) -> Result<T, ClientError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
        Err(ClientError::Protocol(
            "reading or writing the message panicked".to_owned(),
        ))
    })
}

#[cfg(test)]
mod tests;
