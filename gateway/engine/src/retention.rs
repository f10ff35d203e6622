//! Giving spool space back (DESIGN §4): a segment in which nothing is needed is removed; what survives in a mostly dead
//! one is copied forward first.
//!
//! The copies are read by a helper thread and written by the writer, which checks that each is still needed. The
//! relocation event is synced before the segment is removed; a reader who knows the old place looks once more.

use std::sync::Arc;

use journal::{BodyError, Location, SpoolSegment};
use logbook::log;

use crate::error::IndexError;
use crate::event::BodyName;
use crate::keys;
use crate::logged;
use crate::message::Message;
use crate::names::MessageId;
use crate::protection::SpoolBody;
use crate::shared::Shared;
use crate::state::{Rows, State, decode};
use crate::work::Command;

/// Octets that are handed to the writer at once.
const AT_ONCE: usize = 1 << 20;

/// A body that is still needed.
#[derive(Debug)]
pub(crate) struct Survivor {
    pub(crate) seq: u64,
    pub(crate) id: MessageId,
    pub(crate) body: BodyName,
    pub(crate) from: Location,
    /// As it lies there, sealed or not.
    pub(crate) stored: SpoolBody,
}

/// What to do with closed segments.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Nothing in them is needed.
    pub(crate) remove: Vec<u64>,
    /// The emptiest one that is worth copying.
    pub(crate) copy: Option<u64>,
    /// Octets needed in all segments.
    pub(crate) needed: u64,
}

/// Looks at every segment's need.
pub(crate) fn plan(
    state: &State<'_>,
    segments: &[SpoolSegment],
    below_percent: u8,
    leave: &dyn Fn(u64) -> bool,
) -> Result<Plan, IndexError> {
    let mut plan = Plan::default();
    let mut emptiest = u64::MAX;
    for segment in segments {
        let needed = state.needed(segment.segment)?.map_or(0, |row| row.octets);
        plan.needed += needed;
        if segment.live {
            continue;
        }
        if needed == 0 {
            plan.remove.push(segment.segment);
        } else if needed < emptiest
            && needed.saturating_mul(100) < segment.bytes.saturating_mul(u64::from(below_percent))
            && !leave(segment.segment)
        {
            emptiest = needed;
            plan.copy = Some(segment.segment);
        }
    }
    Ok(plan)
}

/// Reads what is needed in a segment and hands it to the writer; runs on a thread of its own. `false` if a body could
/// not be read: the segment must stay.
pub(crate) fn copy_forward(
    shared: &Arc<Shared>,
    segment: u64,
    hand_over: &dyn Fn(Command) -> bool,
) -> Result<bool, IndexError> {
    let mut complete = true;
    let mut waiting = Vec::new();
    let mut octets = 0;
    for seq in messages(shared, segment)? {
        let Some(message) = State::new(&*shared.index).message(seq)? else {
            continue;
        };
        for (body, from) in bodies(&message).into_iter().filter(|(_, at)| at.segment == segment) {
            match shared
                .spool
                .bodies
                .read_flagged(&from, *message.id.uuid().as_bytes(), body.number())
            {
                Ok(read) => {
                    octets += read.octets.len();
                    waiting.push(Survivor {
                        seq,
                        id: message.id,
                        body,
                        from,
                        stored: SpoolBody {
                            flags: read.flags,
                            octets: read.octets,
                        },
                    });
                }
                // It was moved or dropped meanwhile.
                Err(BodyError::Gone(_)) => {}
                Err(error) => {
                    log!(logged::BODY_STAYS, segment, seq, %error, "a body cannot be copied forward; its segment stays");
                    let unreadable = Command::Unreadable {
                        seq,
                        place: from,
                        cause: error.to_string(),
                        reply: None,
                    };
                    if matches!(error, BodyError::Damaged(_)) && !hand_over(unreadable) {
                        return Ok(false);
                    }
                    complete = false;
                }
            }
            if octets >= AT_ONCE {
                octets = 0;
                if !hand_over(Command::Copy(std::mem::take(&mut waiting))) {
                    return Ok(false);
                }
            }
        }
    }
    Ok((waiting.is_empty() || hand_over(Command::Copy(waiting))) && complete)
}

/// Messages that may have bodies in a segment: those accepted while it was written, and those copied into it.
fn messages(shared: &Shared, segment: u64) -> Result<Vec<u64>, IndexError> {
    let state = State::new(&*shared.index);
    let Some(needed) = state.needed(segment)? else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    if needed.first <= needed.last {
        let last = keys::message(needed.last);
        for row in shared.index.from(keys::message(needed.first).as_slice()) {
            let (key, value) = row?;
            if key.as_ref() > last.as_slice() {
                break;
            }
            let message: Message = decode(&key, &value)?;
            if bodies(&message).iter().any(|(_, at)| at.segment == segment) {
                found.extend(keys::last_number(&key));
            }
        }
    }
    let copies = keys::copies(segment);
    for row in state.scan(&copies, copies.as_slice()) {
        found.extend(keys::last_number(&row?.0));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn bodies(message: &Message) -> Vec<(BodyName, Location)> {
    let parts = message.parts.iter().map(|(number, at)| (BodyName::Part(*number), *at));
    let note = message.note.map(|at| (BodyName::Note, at));
    let facts = message.facts.map(|at| (BodyName::Facts, at));
    parts.chain(note).chain(facts).collect()
}
