//! Incidents that last, for the rules of the binary: opened, closed, told.

use super::Engine;
use crate::command::{IncidentChange, Refusal};
use crate::episodes::{self, IncidentStatus};
use crate::event::{Affected, NoticeResult, OpenedIncident};
use crate::inspect;
use crate::names::{Mnemonic, UpstreamName};
use crate::work::Command;

impl Engine {
    /// Opens an incident, and tells its number: that of the open one if there is one of this rule and subject already.
    ///
    /// # Errors
    /// `NotDone` if a thousand are open, for a warning if five hundred of them are; `Unavailable`.
    pub async fn open_incident(&self, opened: OpenedIncident) -> Result<u64, Refusal> {
        self.ask(|reply| Command::ChangeIncident(Box::new(IncidentChange::Open(opened)), reply))
            .await
    }

    /// Closes an incident; one that is closed stays as it is.
    ///
    /// # Errors
    /// `NotDone` if there is none of this number, `Unavailable`.
    pub async fn close_incident(&self, id: u64, text: String, affected: Affected) -> Result<(), Refusal> {
        let change = Box::new(IncidentChange::Close { id, text, affected });
        self.ask(|reply| Command::ChangeIncident(change, reply)).await.map(drop)
    }

    /// Journals that a notice of an incident was delivered or given up.
    ///
    /// # Errors
    /// `NotDone` if there is no incident of this number, `Unavailable`.
    pub async fn incident_notified(&self, id: u64, notice: NoticeResult) -> Result<(), Refusal> {
        let change = Box::new(IncidentChange::Notified { id, notice });
        self.ask(|reply| Command::ChangeIncident(change, reply)).await.map(drop)
    }

    /// Incidents that are open, and the latest that were closed, oldest first.
    pub fn opened_incidents(&self) -> Vec<IncidentStatus> {
        self.read(episodes::statuses)
    }

    /// Participants with a message on its way to an upstream.
    pub fn senders_to(&self, upstream: &UpstreamName) -> Vec<Mnemonic> {
        self.read(|state| inspect::senders_to(state, upstream))
    }
}
