//! What `forward` asks about its lanes, and what it reports.

use serde::{Deserialize, Serialize};

use super::Delivery;
use crate::names::{KindName, MessageId, Mnemonic, UpstreamName};

/// A lane of an upstream: the unit of order (DESIGN §1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// The upstream.
    pub upstream: UpstreamName,
    /// The sender.
    pub sender: Mnemonic,
    /// The kind.
    pub kind: KindName,
}

/// The first waiting message of a lane, with its history upstream.
#[derive(Debug, Clone)]
pub struct LaneHead {
    /// The lane.
    pub lane: Lane,
    /// The message.
    pub message: Delivery,
    /// Attempts begun so far.
    pub attempts: u32,
    /// The identifier of the last attempt, if there was one.
    pub last_id: Option<MessageId>,
    /// Every earlier attempt certainly did not reach the upstream (connection refused). True when there was none.
    pub certainly_not_sent: bool,
    /// Tries in a row with unknown outcome.
    pub unknown_outcomes: u32,
    /// For answers: the upstream's own exchange note lies in `message.exchange_note`; for requests the sender's.
    pub answer_to_upstream: bool,
}

/// What came of one attempt upstream (DESIGN §6).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardOutcome {
    /// Final for this hop.
    Accepted,
    /// The upstream had it already; counts as accepted because an earlier attempt was started.
    AlreadySent,
    /// Nothing was sent; the identifier may be renewed when it gets stale.
    NotSent {
        /// What happened, without payload.
        cause: String,
    },
    /// Unknown whether it arrived; the same identifier must be used.
    Unknown {
        /// What happened, without payload.
        cause: String,
    },
    /// The upstream's queue or quota is full: certainly not accepted.
    SlowDown {
        /// Fault element name.
        fault: String,
    },
    /// The identifier is stale and every earlier attempt certainly failed: go on under a new one.
    Renew,
    /// Final refusal: the sender gets a notice.
    Rejected {
        /// Fault element name, closed set or `other`.
        fault: String,
        /// Code as received, at most 100 characters.
        code: Option<String>,
        /// faultstring, kept in the spool, never in the journal; at most 500 characters.
        #[serde(skip)]
        text: String,
    },
    /// A person must decide.
    Quarantined {
        /// Why, without payload.
        cause: String,
    },
}
