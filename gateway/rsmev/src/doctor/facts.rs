//! All that the doctor knows of a gateway, as plain data.

use jiff::Timestamp;
use serde::Serialize;

use super::probe::Probe;
use super::system::{System, Unit};
use crate::check;
use crate::health::{CertificateFact, Health, StoreFacts};

/// What was found at one moment.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Facts {
    /// When, by this machine's clock.
    pub(crate) at: Timestamp,
    /// Program and machine.
    pub(crate) system: System,
    /// The configuration, if it can be read.
    pub(crate) node: Option<Node>,
    /// Whether it runs.
    pub(crate) gateway: Gateway,
    /// What is stored; or why that was not looked at.
    pub(crate) store: Seen<StoreFacts>,
    /// Key and certificate in the configured files: whether they belong together.
    pub(crate) key: Seen<()>,
    /// Every certificate that is in use.
    pub(crate) certificates: Vec<CertificateFact>,
    /// Every upstream, as it was reached from this command.
    pub(crate) upstreams: Vec<Probe>,
    /// The service and its timers, where systemd runs.
    pub(crate) units: Vec<Unit>,
    /// What `rsmev check` finds.
    pub(crate) check: Vec<check::Finding>,
}

/// Of which gateway all this is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Node {
    /// Its mnemonic.
    pub(crate) mnemonic: String,
    /// Its data directory.
    pub(crate) data_dir: String,
}

/// Something that was looked at, or could not be.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Seen<T> {
    /// It is so.
    So(T),
    /// Nothing is there yet.
    Nothing,
    /// Whoever asks may not look.
    NotAllowed(String),
    /// It is wrong, and how.
    Wrong(String),
}

impl<T> Seen<T> {
    /// What was seen.
    pub(crate) fn as_ref(&self) -> Option<&T> {
        match self {
            Self::So(seen) => Some(seen),
            _ => None,
        }
    }
}

/// Whether the gateway runs.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Gateway {
    /// It runs, and this is what it says.
    Running(Box<Health>),
    /// Nobody answers on its admin socket.
    Stopped,
    /// Somebody is there and does not tell, and why.
    Silent(String),
}

impl Gateway {
    /// What it says.
    pub(crate) fn health(&self) -> Option<&Health> {
        match self {
            Self::Running(health) => Some(health),
            _ => None,
        }
    }
}
