//! What can be set for one upstream (DESIGN §9, `[[upstream]]`), with the defaults of the design.

use std::sync::Arc;
use std::time::Duration;

use engine::names::UpstreamName;
use gost::Certificate;
use smev3::Version;
use smev3::client::{Bounds, Endpoint};

use crate::backoff::Backoff;
use crate::chance::{Chance, SystemChance};
use crate::pace::Poll;

/// Settings of a link. [`Settings::new`] gives the defaults; every field may be changed.
#[derive(Clone)]
pub struct Settings {
    /// The upstream's name.
    pub name: UpstreamName,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// In which version the gateway calls.
    pub version: Version,
    /// The certificates under which it signs.
    pub trusted_signers: Vec<Certificate>,
    /// `poll`: pauses between polls.
    pub poll: Poll,
    /// `parallel`: lanes that are worked at the same time; at least one is.
    pub parallel: usize,
    /// Waiting after failures, of a lane and of the link.
    pub backoff: Backoff,
    /// Tries in a row with unknown outcome that a message gets before a person must decide.
    pub unknown_tries: u32,
    /// Bounds of one call.
    pub bounds: Bounds,
    /// How long an orderly stop waits for calls under way.
    pub stop_within: Duration,
    /// Source of jitter and of the node in the gateway's own identifiers.
    pub chance: Arc<dyn Chance>,
}

impl Settings {
    /// The defaults of DESIGN §6 and §9.
    pub fn new(name: UpstreamName, endpoint: Endpoint, version: Version, trusted_signers: Vec<Certificate>) -> Self {
        Self {
            name,
            endpoint,
            version,
            trusted_signers,
            poll: Poll::default(),
            parallel: 16,
            backoff: Backoff::default(),
            unknown_tries: 20,
            bounds: Bounds::default(),
            stop_within: Duration::from_secs(20),
            chance: Arc::new(SystemChance),
        }
    }
}
