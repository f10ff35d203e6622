//! Going on towards upstreams after a restoration.

use jiff::Timestamp;

use crate::command::Refusal;
use crate::error::IndexError;
use crate::event::Event;
use crate::restored;
use crate::steady::CORRECTION;

use super::{Context, Decision};

/// Longest reason that is kept, in characters.
const REASON: usize = 500;

/// A person says that messages may go to upstreams again.
pub(crate) fn resume(
    context: &Context<'_, '_>,
    lost: Timestamp,
    by: String,
    reason: &str,
) -> Result<Decision<u64>, IndexError> {
    let refuse = |why: &str| Ok(Decision::refuse(Refusal::NotDone(why.to_owned())));
    let Some(hold) = restored::hold(context.state)? else {
        return refuse("nothing is on hold: the store was not restored, or was told to go on already");
    };
    if context.wall.duration_since(context.now).abs() > CORRECTION {
        return refuse(
            "the clock is not believed: set it right, or say that it is (`rsmev clock accept`), and try again",
        );
    }
    if lost > context.now.max(hold.since) {
        return refuse("the session that was lost cannot have ended in the future");
    }
    if lost < hold.made {
        return refuse("the session that was lost cannot have ended before the backup was made");
    }
    let doubtful = restored::doubtful(context.state, lost)?;
    let count = doubtful.len() as u64;
    let event = Event::UpstreamResumed {
        lost,
        by,
        reason: reason.chars().take(REASON).collect(),
        doubtful,
    };
    Ok(Decision::one(event, count))
}
