//! The rows of incidents that last. An incident's number is the sequence number of the record that opened it. Open ones are
//! all kept, so that a start goes on with them and opens none a second time; of closed ones the latest, with what became of
//! their notices, so that a start finds what is still to be told; among them those go first of which everything was told.
//! Older ones stand in the journal alone.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::error::IndexError;
use crate::event::{Affected, NoticeResult, OpenedIncident, Phase};
use crate::keys::{self, Key};
use crate::message::Micros;
use crate::state::{State, decode};

/// Closed incidents that are kept.
const CLOSED_KEPT: usize = 500;
/// Incidents that are open at once.
pub(crate) const MOST_OPEN: usize = 1000;
/// Warnings among them: the rest is for what is critical.
pub(crate) const MOST_WARNINGS: usize = 500;
/// Notices that are remembered of one incident: two for each of so many channels.
const NOTICES: usize = 64;

/// The row of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Episode {
    pub(crate) at: Micros,
    pub(crate) opened: OpenedIncident,
    pub(crate) closed: Option<Closing>,
    notices: Vec<(Micros, NoticeResult)>,
}

/// How an incident ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Closing {
    at: Micros,
    text: String,
    affected: Affected,
}

/// An incident as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentStatus {
    /// Its number: the record that opened it.
    pub id: u64,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// What was found.
    #[serde(flatten)]
    pub opened: OpenedIncident,
    /// How it ended; none while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed: Option<ClosedIncident>,
    /// What became of the notices, in the order of time.
    pub notices: Vec<NoticeStatus>,
}

/// The end of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosedIncident {
    /// When it was closed.
    pub at: Timestamp,
    /// In words.
    pub text: String,
    /// Whom it still touched then.
    pub affected: Affected,
}

/// What became of a notice, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoticeStatus {
    /// When that was known.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub notice: NoticeResult,
}

impl IncidentStatus {
    /// Whether nothing is to be told any more of a phase through a channel.
    #[must_use]
    pub fn is_told(&self, phase: Phase, channel: &str) -> bool {
        let mut notices = self.notices.iter().map(|told| &told.notice);
        notices.any(|notice| notice.phase == phase && notice.channel == channel)
    }
}

impl Episode {
    fn status(self, id: u64) -> IncidentStatus {
        IncidentStatus {
            id,
            opened_at: self.at.timestamp(),
            opened: self.opened,
            closed: self.closed.map(|closing| ClosedIncident {
                at: closing.at.timestamp(),
                text: closing.text,
                affected: closing.affected,
            }),
            notices: self
                .notices
                .into_iter()
                .map(|(at, notice)| NoticeStatus {
                    at: at.timestamp(),
                    notice,
                })
                .collect(),
        }
    }

    /// Whether a phase was told through a channel.
    pub(crate) fn told(&self, notice: &NoticeResult) -> bool {
        let same = |known: &NoticeResult| known.phase == notice.phase && known.channel == notice.channel;
        self.notices.iter().any(|(_, known)| same(known))
    }
}

/// All that are kept, oldest first.
pub(crate) fn all(state: &State<'_>) -> Result<Vec<(u64, Episode)>, IndexError> {
    let prefix = Key::new(keys::EPISODE);
    let mut found = Vec::new();
    for row in state.scan(&prefix, prefix.as_slice()) {
        let (key, value) = row?;
        found.extend(keys::last_number(&key).zip(Some(decode(&key, &value)?)));
    }
    Ok(found)
}

/// The same for operators.
pub(crate) fn statuses(state: &State<'_>) -> Result<Vec<IncidentStatus>, IndexError> {
    let status = |(id, episode): (u64, Episode)| episode.status(id);
    Ok(all(state)?.into_iter().map(status).collect())
}

/// Closed incidents in the order in which they make room: first those whose end was told through each channel that anything was
/// told through, and of equal ones what was closed first. Which channels there are is not known here.
fn oldest_first(mut rows: Vec<(u64, Episode)>) -> Vec<u64> {
    let told = |(_, episode): &(u64, Episode)| -> Vec<(Phase, String)> {
        let notices = episode.notices.iter();
        notices.map(|(_, told)| (told.phase, told.channel.clone())).collect()
    };
    let channels: BTreeSet<String> = rows.iter().flat_map(told).map(|(_, channel)| channel).collect();
    rows.retain(|(_, episode)| episode.closed.is_some());
    rows.sort_by_cached_key(|row| {
        let told = told(row);
        let untold = |channel: &String| {
            let said = |phase| told.iter().any(|told| told.0 == phase && told.1 == *channel);
            !(said(Phase::Opened) && said(Phase::Closed))
        };
        let closed = row.1.closed.as_ref().map(|closing| closing.at);
        (channels.iter().any(untold), closed, row.0)
    });
    rows.into_iter().map(|(id, _)| id).collect()
}

/// An incident begins; closed ones make room.
pub(crate) fn opened(state: &mut State<'_>, id: u64, at: Micros, opened: &OpenedIncident) -> Result<(), IndexError> {
    let closed = oldest_first(all(state)?);
    let beyond = closed.len().saturating_sub(CLOSED_KEPT - 1);
    for id in &closed[..beyond] {
        state.remove(keys::episode(*id));
    }
    let episode = Episode {
        at,
        opened: opened.clone(),
        closed: None,
        notices: Vec::new(),
    };
    state.put(keys::episode(id), &episode);
    Ok(())
}

/// An incident ends; one that is not there, or ended before, needs no change.
pub(crate) fn closed(
    state: &mut State<'_>,
    id: u64,
    at: Micros,
    text: &str,
    affected: &Affected,
) -> Result<(), IndexError> {
    let Some(mut episode) = state.get::<Episode>(&keys::episode(id))? else {
        return Ok(());
    };
    episode.closed.get_or_insert_with(|| Closing {
        at,
        text: text.to_owned(),
        affected: affected.clone(),
    });
    state.put(keys::episode(id), &episode);
    Ok(())
}

/// A notice reached its channel, or was given up.
pub(crate) fn notified(state: &mut State<'_>, id: u64, at: Micros, notice: &NoticeResult) -> Result<(), IndexError> {
    let Some(mut episode) = state.get::<Episode>(&keys::episode(id))? else {
        return Ok(());
    };
    if !episode.told(notice) && episode.notices.len() < NOTICES {
        episode.notices.push((at, notice.clone()));
        state.put(keys::episode(id), &episode);
    }
    Ok(())
}
