//! Destroying journal segments that two people agreed to destroy: the rows that tell how far it is, and the writer's
//! part, which removes the files.
//!
//! What is left must be enough for a start without an index. So a snapshot that reflects the act itself is made and read
//! back before the first file goes. Files go from the oldest on, each durably before the next: whatever happens on the
//! way, the journal is whole from some segment of the act on. The next start goes on where this one stopped.

use jiff::Timestamp;
use journal::RemoveError;
use logbook::log;
use serde::{Deserialize, Serialize};

use crate::error::IndexError;
use crate::event::{Act, Destruction, Event, Person};
use crate::keys::{self, Key};
use crate::logged;
use crate::message::Micros;
use crate::state::{State, decode};
use crate::writer::{Writer, is_due};

/// Segments removed in one step; others wait meanwhile.
const AT_ONCE: usize = 32;

/// A proposal and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proposal {
    pub(crate) at: Micros,
    before: Micros,
    pub(crate) first: u64,
    pub(crate) through: u64,
    segments: u64,
    bytes: u64,
    unshipped: bool,
    pub(crate) by: Person,
    reason: String,
    pub(crate) stage: Stage,
}

/// How far a destruction is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Somebody else must approve it.
    Proposed,
    /// It is being carried out.
    Approved {
        /// Who approved it.
        by: Person,
        /// The record with the act.
        act: u64,
    },
    /// It was withdrawn by its proposer, or rejected by somebody else.
    Closed {
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// It was carried out.
    Done {
        /// Who approved it.
        by: Person,
        /// The record with the act.
        act: u64,
    },
}

impl Proposal {
    pub(crate) fn new(at: Micros, destruction: &Destruction) -> Self {
        let Destruction {
            before,
            first,
            through,
            segments,
            bytes,
            unshipped,
            by,
            reason,
        } = destruction.clone();
        Self {
            at,
            before: Micros::from(before),
            first,
            through,
            segments,
            bytes,
            unshipped,
            by,
            reason,
            stage: Stage::Proposed,
        }
    }

    pub(crate) fn destruction(&self) -> Destruction {
        Destruction {
            before: self.before.timestamp(),
            first: self.first,
            through: self.through,
            segments: self.segments,
            bytes: self.bytes,
            unshipped: self.unshipped,
            by: self.by.clone(),
            reason: self.reason.clone(),
        }
    }
}

/// A destruction as operators see it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DestructionStatus {
    /// Number of the proposal: the record that made it.
    pub id: u64,
    /// When it was proposed.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub destruction: Destruction,
    /// How far it is.
    pub stage: Stage,
}

/// All proposals, oldest first.
pub(crate) fn all(state: &State<'_>) -> Result<Vec<(u64, Proposal)>, IndexError> {
    let prefix = Key::new(keys::DESTRUCTION);
    let mut found = Vec::new();
    for row in state.scan(&prefix, prefix.as_slice()) {
        let (key, value) = row?;
        found.extend(keys::last_number(&key).zip(Some(decode(&key, &value)?)));
    }
    Ok(found)
}

/// The same for operators.
pub(crate) fn statuses(state: &State<'_>) -> Result<Vec<DestructionStatus>, IndexError> {
    let status = |(id, proposal): (u64, Proposal)| DestructionStatus {
        id,
        at: proposal.at.timestamp(),
        destruction: proposal.destruction(),
        stage: proposal.stage,
    };
    Ok(all(state)?.into_iter().map(status).collect())
}

/// Changes a proposal's stage; one that is not there needs no change.
pub(crate) fn change_stage(state: &mut State<'_>, id: u64, stage: Stage) -> Result<(), IndexError> {
    if let Some(mut proposal) = state.get::<Proposal>(&keys::destruction(id))? {
        proposal.stage = stage;
        state.put(keys::destruction(id), &proposal);
    }
    Ok(())
}

/// The destruction is over.
pub(crate) fn done(state: &mut State<'_>, id: u64) -> Result<(), IndexError> {
    match state
        .get::<Proposal>(&keys::destruction(id))?
        .map(|proposal| proposal.stage)
    {
        Some(Stage::Approved { by, act }) => change_stage(state, id, Stage::Done { by, act }),
        _ => Ok(()),
    }
}

/// The digest, in hexadecimal, of the record before `first`, as an act tells it.
pub fn anchor(acts: &[(u64, Act)], first: u64) -> Option<(&Act, &str)> {
    acts.iter().rev().find_map(|(_, act)| {
        let last = act
            .destroyed
            .iter()
            .find(|segment| segment.last.checked_add(1) == Some(first))?;
        Some((act, last.last_digest.as_str()))
    })
}

/// Whether something is proposed to be destroyed, or being destroyed.
pub(crate) fn is_open(state: &State<'_>) -> Result<bool, IndexError> {
    let open = |proposal: &Proposal| matches!(proposal.stage, Stage::Proposed | Stage::Approved { .. });
    Ok(all(state)?.iter().any(|(_, proposal)| open(proposal)))
}

impl Writer {
    /// Goes on with what was approved. `Err` is the end.
    pub(crate) fn destroy(&mut self) -> Result<(), String> {
        let state = State::new(&*self.shared.index);
        let approved = all(&state)
            .map_err(|error| error.to_string())?
            .into_iter()
            .find_map(|(id, proposal)| {
                let Stage::Approved { act, .. } = proposal.stage else {
                    return None;
                };
                Some((id, proposal, act))
            });
        let Some((id, proposal, act)) = approved else {
            return Ok(());
        };
        let now = self.shared.now();
        let tried = self.house.undestroyed;
        if self.shared.holds.any() || tried.is_some_and(|tried| !is_due(tried, now)) {
            return Ok(());
        }
        if self.house.proven_snapshot < act {
            self.begin_snapshot();
            return Ok(());
        }
        for _ in 0..AT_ONCE {
            match self.store.remove_oldest_segment(proposal.through) {
                Ok(Some(_)) => self.house.undestroyed = None,
                Ok(None) => return self.destroyed(id, &proposal),
                Err(kept @ RemoveError::Kept { .. }) => {
                    self.house.undestroyed = Some(now);
                    self.not_removed(&kept, now);
                    return Ok(());
                }
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(())
    }

    fn destroyed(&mut self, id: u64, proposal: &Proposal) -> Result<(), String> {
        let event = Event::JournalDestroyed {
            proposal: id,
            through: proposal.through,
        };
        if self.record(vec![event])? {
            log!(
                logged::DESTROYED,
                first = proposal.first,
                through = proposal.through,
                "journal segments were destroyed by an act of two people"
            );
        }
        Ok(())
    }
}
