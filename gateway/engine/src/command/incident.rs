//! What the rules of the binary tell of incidents that last.

use crate::event::{Affected, NoticeResult, OpenedIncident};

/// A change of an incident.
#[derive(Debug, Clone)]
pub(crate) enum IncidentChange {
    /// It begins.
    Open(OpenedIncident),
    /// It is over.
    Close {
        /// Which.
        id: u64,
        /// In words.
        text: String,
        /// Whom it still touches.
        affected: Affected,
    },
    /// A notice of it was delivered or given up.
    Notified {
        /// Which.
        id: u64,
        /// What.
        notice: NoticeResult,
    },
}
