//! A person's word that the clock is right.

use jiff::{SignedDuration, Timestamp};

use crate::command::{AcceptedClock, Refusal};
use crate::error::IndexError;
use crate::event::{Event, Person};
use crate::message::Micros;
use crate::steady::CORRECTION;

use super::{Context, Decision};

/// How far the clock may be from the time that the person names.
const AGREED: SignedDuration = SignedDuration::from_mins(10);

/// Takes the clock for right, if it says what the person says and was not believed so far. The times of earlier records
/// do not count any more; what was forgotten by them stays forgotten.
pub(crate) fn accept(
    context: &Context<'_, '_>,
    time: Timestamp,
    by: Person,
) -> Result<Decision<AcceptedClock>, IndexError> {
    let refuse = |why: String| Ok(Decision::refuse(Refusal::NotDone(why)));
    let clock = Micros::from(context.wall).timestamp();
    if clock.duration_since(time).abs() > AGREED {
        return refuse(format!(
            "the machine's clock says {clock}: set it right first, or look at the time that was given, {time}"
        ));
    }
    let before = context.latest;
    let apart = clock
        .duration_since(context.now)
        .abs()
        .max(before.duration_since(clock));
    if apart <= CORRECTION {
        return refuse(format!("the clock is believed already: it says {clock}"));
    }
    Ok(Decision::one(
        Event::ClockAccepted { before, by },
        AcceptedClock { clock, before },
    ))
}
