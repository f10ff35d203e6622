//! Incidents that last: each is opened once, closed once, and told once through each channel.

use crate::command::{IncidentChange, Refusal};
use crate::episodes::{self, Episode, MOST_OPEN, MOST_WARNINGS};
use crate::error::IndexError;
use crate::event::{Affected, Event, NoticeResult, OpenedIncident, Severity, cut};
use crate::keys;

use super::{Context, Decision};

/// The answer is the incident's number; where nothing is new, nothing is journaled.
pub(crate) fn change(context: &Context<'_, '_>, change: IncidentChange) -> Result<Decision<u64>, IndexError> {
    match change {
        IncidentChange::Open(opened) => open(context, opened),
        IncidentChange::Close { id, text, affected } => close(context, id, &text, affected),
        IncidentChange::Notified { id, notice } => notified(context, id, notice),
    }
}

fn open(context: &Context<'_, '_>, opened: OpenedIncident) -> Result<Decision<u64>, IndexError> {
    let opened = opened.bounded();
    let (mut open, mut warnings) = (0, 0);
    for (
        id,
        Episode {
            opened: earlier,
            closed,
            ..
        },
    ) in episodes::all(context.state)?
    {
        if closed.is_some() {
            continue;
        }
        if (&earlier.rule, &earlier.subject) == (&opened.rule, &opened.subject) {
            return Ok(Decision::nothing(id));
        }
        open += 1;
        warnings += usize::from(earlier.severity == Severity::Warning);
    }
    let full = match opened.severity {
        Severity::Warning if warnings >= MOST_WARNINGS => Some(format!("{MOST_WARNINGS} warnings are open already")),
        _ if open >= MOST_OPEN => Some(format!("{MOST_OPEN} incidents are open already")),
        Severity::Warning | Severity::Critical => None,
    };
    if let Some(why) = full {
        return Ok(Decision::refuse(Refusal::NotDone(why)));
    }
    Ok(Decision::one(Event::IncidentOpened(Box::new(opened)), context.next_seq))
}

fn close(context: &Context<'_, '_>, id: u64, text: &str, affected: Affected) -> Result<Decision<u64>, IndexError> {
    let Some(episode) = context.state.get::<Episode>(&keys::episode(id))? else {
        return Ok(unknown(id));
    };
    if episode.closed.is_some() {
        return Ok(Decision::nothing(id));
    }
    let lasted = context.now.duration_since(episode.at.timestamp()).as_secs().max(0);
    let event = Event::IncidentClosed {
        incident: id,
        text: cut(text, OpenedIncident::TEXT),
        lasted: lasted.unsigned_abs(),
        affected: affected.bounded(),
    };
    Ok(Decision::one(event, id))
}

fn notified(context: &Context<'_, '_>, id: u64, notice: NoticeResult) -> Result<Decision<u64>, IndexError> {
    let Some(episode) = context.state.get::<Episode>(&keys::episode(id))? else {
        return Ok(unknown(id));
    };
    if episode.told(&notice) {
        return Ok(Decision::nothing(id));
    }
    let NoticeResult {
        phase,
        channel,
        delivered,
        tries,
    } = notice;
    let notice = NoticeResult {
        phase,
        channel: cut(&channel, OpenedIncident::WORD),
        delivered,
        tries,
    };
    Ok(Decision::one(Event::IncidentNotified { incident: id, notice }, id))
}

fn unknown(id: u64) -> Decision<u64> {
    Decision::refuse(Refusal::NotDone(format!("there is no incident {id}")))
}
