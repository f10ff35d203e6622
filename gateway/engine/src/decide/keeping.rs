//! Keeping the journal: what was shipped.

use crate::command::{Refusal, ShippedSegment};
use crate::error::IndexError;
use crate::event::Event;
use crate::keys;

use super::{Context, Decision};

/// A segment reached the archive. One that is known to be there already is not told of again.
pub(crate) fn shipped(context: &Context<'_, '_>, segment: ShippedSegment) -> Result<Decision<()>, IndexError> {
    let ShippedSegment { first, last, digest } = segment;
    let through: u64 = context.state.get(&keys::archived())?.unwrap_or(0);
    if last <= through {
        return Ok(Decision::nothing(()));
    }
    if last >= context.next_seq || first > last {
        let why = format!("there is no sealed segment with the records {first} to {last}");
        return Ok(Decision::refuse(Refusal::NotDone(why)));
    }
    let event = Event::Archived { first, last, digest };
    Ok(Decision {
        events: vec![event.into()],
        answer: Ok(()),
    })
}
