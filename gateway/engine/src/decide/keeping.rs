//! Keeping the journal: what was shipped, and what two people agree to destroy.

use crate::command::{Refusal, ShippedSegment};
use crate::destruction::{self, Proposal, Stage};
use crate::error::IndexError;
use crate::event::{Act, Destruction, Event, Person};
use crate::keys::{self, Key};

use super::{Context, Decision, Stop, earlier, settle};

/// Longest reason that is kept, in characters.
const REASON: usize = 500;

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
    Ok(Decision::one(event, ()))
}

/// Somebody proposes a destruction; the answer is the proposal's number.
pub(crate) fn propose(context: &Context<'_, '_>, mut destruction: Destruction) -> Result<Decision<u64>, IndexError> {
    let decided = (|| {
        for (id, proposal) in destruction::all(context.state)? {
            if matches!(proposal.stage, Stage::Proposed | Stage::Approved { .. }) {
                return Err(refuse(format!("proposal {id} is not settled yet")));
            }
        }
        may_go(context, &destruction)?;
        destruction.reason = destruction.reason.chars().take(REASON).collect();
        let event = Event::DestructionProposed(Box::new(destruction));
        Ok(Decision::one(event, context.next_seq))
    })();
    settle(decided)
}

/// Somebody else approves it, with the act.
pub(crate) fn approve(context: &Context<'_, '_>, id: u64, act: Act) -> Result<Decision<()>, IndexError> {
    let decided = (|| {
        let proposal = open_proposal(context, id)?;
        if proposal.by.uid == act.approved_by.uid {
            let why = format!("{} proposed it; somebody else must approve it", proposal.by);
            return Err(refuse(why));
        }
        if proposal.destruction() != act.destruction {
            return Err(refuse(format!("proposal {id} is not the one that was looked at")));
        }
        may_go(context, &act.destruction)?;
        let event = Event::DestructionApproved {
            proposal: id,
            act: Box::new(act),
        };
        Ok(Decision::one(event, ()))
    })();
    settle(decided)
}

/// The proposer withdraws it, or somebody else rejects it.
pub(crate) fn close(context: &Context<'_, '_>, id: u64, by: Person, reason: &str) -> Result<Decision<()>, IndexError> {
    let decided = (|| {
        open_proposal(context, id)?;
        let event = Event::DestructionClosed {
            proposal: id,
            by,
            reason: reason.chars().take(REASON).collect(),
        };
        Ok(Decision::one(event, ()))
    })();
    settle(decided)
}

/// A proposal that nobody has decided about.
pub(crate) fn open_proposal(context: &Context<'_, '_>, id: u64) -> Result<Proposal, Stop> {
    let Some(proposal) = context.state.get::<Proposal>(&keys::destruction(id))? else {
        return Err(refuse(format!("there is no proposal {id}")));
    };
    let why = match &proposal.stage {
        Stage::Proposed => return Ok(proposal),
        Stage::Approved { by, .. } | Stage::Done { by, .. } => format!("proposal {id} was approved by {by}"),
        Stage::Closed { by, .. } => format!("proposal {id} was closed by {by}"),
    };
    Err(refuse(why))
}

/// Whether records may be destroyed: their term is over, nothing that is still about needs them, the archive has them.
fn may_go(context: &Context<'_, '_>, destruction: &Destruction) -> Result<(), Stop> {
    let Destruction {
        before,
        through,
        unshipped,
        ..
    } = destruction;
    let over = earlier(context.now, context.settings.retention_journal);
    if *before > over {
        return Err(refuse(format!(
            "the term of what is not older than {over} is not over (retention.journal)"
        )));
    }
    if *through >= context.next_seq {
        return Err(refuse(format!("there is no record {through}")));
    }
    let oldest = context.state.first(&Key::new(b'm'))?;
    if let Some(seq) = oldest.and_then(|(key, _)| keys::last_number(&key))
        && seq <= *through
        && let Some(message) = context.state.message(seq)?
    {
        return Err(refuse(format!(
            "message {}, which record {seq} accepted, is still kept: its accept record stays as long as its bodies, or \
             until it has ended",
            message.id
        )));
    }
    let archived: u64 = context.state.get(&keys::archived())?.unwrap_or(0);
    if archived < *through && !unshipped {
        return Err(refuse(format!(
            "the archive has the records up to {archived} only; a proposal must say so (--unshipped) to destroy others"
        )));
    }
    Ok(())
}

fn refuse(why: String) -> Stop {
    Stop::Refuse(Refusal::NotDone(why))
}
