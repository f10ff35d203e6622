//! What time alone brings: leases run out, lives end, and what is due is forgotten. Each is an event, so that the index
//! stays a function of the journal.

use jiff::Timestamp;

use crate::apply::family;
use crate::command::NoticeReason;
use crate::error::IndexError;
use crate::event::{Event, Forgotten};
use crate::keys::{self, Key};
use crate::message::{Message, Micros, State as Life};
use crate::names::Party;
use crate::restored;

use super::sweep::{Sweep, age_of};
use super::{Context, Planned, earlier, later, notice};

/// Rows that one tick handles of each sort; when there are more, the next tick follows at once.
const AT_ONCE: usize = 500;

/// Events whose time has come, and whether there are more of them.
pub(crate) fn tick(context: &mut Context<'_, '_>, sweep: &mut Sweep) -> Result<(Vec<Planned>, bool), IndexError> {
    let mut events = Vec::new();
    let mut more = leases(context, &mut events)?;
    more |= ends_of_life(context, &mut events)?;
    more |= times_to_live(context, &mut events)?;
    more |= purges(context, sweep, &mut events)?;
    Ok((events, more))
}

/// A message ends because its time is over; its sender gets a notice.
pub(super) fn expire(context: &mut Context<'_, '_>, seq: u64, message: &Message) -> Vec<Planned> {
    let details = "The message was not delivered before the end of its life";
    let notice = notice::rejection(context, seq, message, NoticeReason::Expired, details, Vec::new());
    std::iter::once(Event::Expired { message: seq }.into())
        .chain(notice)
        .collect()
}

/// Leases that have run out, and those that no present lease can be as long as: they were given while the clock was wrong.
fn leases(context: &Context<'_, '_>, events: &mut Vec<Planned>) -> Result<bool, IndexError> {
    let due = due(context, b'l', context.now)?;
    let longest = Micros::from(later(context.latest, context.settings.redelivery));
    let beyond = keys::lease(longest, u64::MAX);
    let mut seqs = due.seqs;
    for row in context.state.scan(&Key::new(b'l'), beyond.as_slice()).take(AT_ONCE) {
        let (key, _) = row?;
        if keys::moment_of(&key).is_some_and(|until| until > longest) {
            seqs.extend(keys::last_number(&key));
        }
    }
    let more = due.more || seqs.len() >= AT_ONCE;
    let expired = |seq: u64| Planned::from(Event::LeaseExpired { message: seq });
    events.extend(seqs.into_iter().map(expired));
    Ok(more)
}

/// Explicit ends of life. What is handed out, or may be upstream already, waits for its outcome.
fn ends_of_life(context: &mut Context<'_, '_>, events: &mut Vec<Planned>) -> Result<bool, IndexError> {
    let held = restored::hold(context.state)?.is_some();
    let prefix = Key::new(b't');
    let mut ended = Vec::new();
    for row in context.state.scan(&prefix, prefix.as_slice()) {
        let (key, _) = row?;
        if keys::moment_of(&key).is_none_or(|when| when > Micros::from(context.now)) || ended.len() >= AT_ONCE {
            break;
        }
        let Some(seq) = keys::last_number(&key) else { continue };
        if let Some(message) = context.state.message(seq)?
            && may_expire(&message, held)
        {
            ended.push((seq, message));
        }
    }
    let more = ended.len() >= AT_ONCE;
    for (seq, message) in ended {
        let expired = expire(context, seq, &message);
        events.extend(expired);
    }
    Ok(more)
}

/// The default time to live: the oldest of a lane are looked at, the rest is younger.
fn times_to_live(context: &mut Context<'_, '_>, events: &mut Vec<Planned>) -> Result<bool, IndexError> {
    let held = restored::hold(context.state)?.is_some();
    let oldest = Micros::from(earlier(context.now, context.settings.message_ttl));
    let mut ended = Vec::new();
    for head in context.state.lane_heads(&Key::new(b'r'))? {
        if head.accepted_at > oldest || ended.len() >= AT_ONCE {
            continue;
        }
        let Ok(queue) = head.queue.parse() else { continue };
        let lane = keys::ready_lane(&queue, &head.lane);
        for row in context.state.scan(&lane, lane.as_slice()) {
            let (key, value) = row?;
            let accepted_at: Micros = crate::state::decode(&key, &value)?;
            if accepted_at > oldest || ended.len() >= AT_ONCE {
                break;
            }
            let Some(seq) = keys::last_number(&key) else { continue };
            if let Some(message) = context.state.message(seq)?
                && message.end_of_life.is_none()
                && may_expire(&message, held)
            {
                ended.push((seq, message));
            }
        }
    }
    let more = ended.len() >= AT_ONCE;
    for (seq, message) in ended {
        let expired = expire(context, seq, &message);
        events.extend(expired);
    }
    Ok(more)
}

/// Whether a message is certainly nowhere but here; `held` if a lost session may have sent what goes upstream.
fn may_expire(message: &Message, held: bool) -> bool {
    let elsewhere = held && matches!(message.recipient, Some(Party::Upstream(_)));
    message.state == Life::Waiting && message.attempts.certainly_not_sent() && !elsewhere
}

fn purges(context: &Context<'_, '_>, sweep: &mut Sweep, events: &mut Vec<Planned>) -> Result<bool, IndexError> {
    let settings = context.settings;
    let mut more = false;
    for what in [Forgotten::Bodies, Forgotten::Messages, Forgotten::Unanswered] {
        if settings.retention_rules.is_empty() {
            let age = age_of(settings, what, settings.retention_bodies);
            more |= all_due(context, what, age, events)?;
        } else {
            let (event, again) = sweep.due(context, what)?;
            events.extend(event);
            more |= again;
        }
    }
    more |= all_due(context, Forgotten::UpstreamIdentifiers, settings.grace, events)?;
    more |= identifiers(context, events)?;
    Ok(more)
}

/// Forgets what is older than an age that all rows of a family have.
fn all_due(
    context: &Context<'_, '_>,
    what: Forgotten,
    age: jiff::SignedDuration,
    events: &mut Vec<Planned>,
) -> Result<bool, IndexError> {
    let due = due(context, family(what), earlier(context.now, age))?;
    events.extend(due.through.map(|key| forgotten(what, &key)));
    Ok(due.more)
}

/// Identifiers that cannot come again, because they would be refused as stale.
fn identifiers(context: &Context<'_, '_>, events: &mut Vec<Planned>) -> Result<bool, IndexError> {
    let bound = keys::identifier_at(earlier(context.latest, context.settings.stale_after));
    let prefix = Key::new(b'i');
    let rows = context.state.scan(&prefix, prefix.as_slice());
    let mut last = None;
    let mut n = 0;
    for row in rows.take(AT_ONCE) {
        let (key, _) = row?;
        if key.as_slice() >= bound.as_slice() {
            break;
        }
        n += 1;
        last = Some(key);
    }
    events.extend(last.map(|key| forgotten(Forgotten::Identifiers, &key)));
    Ok(n >= AT_ONCE)
}

fn forgotten(what: Forgotten, key: &[u8]) -> Planned {
    Event::Forgotten {
        what,
        through: hex::encode(key),
    }
    .into()
}

struct Due {
    seqs: Vec<u64>,
    through: Option<Vec<u8>>,
    more: bool,
}

/// Rows of a family whose moment is not after `now`.
fn due(context: &Context<'_, '_>, family: u8, now: Timestamp) -> Result<Due, IndexError> {
    let prefix = Key::new(family);
    let now = Micros::from(now);
    let mut due = Due {
        seqs: Vec::new(),
        through: None,
        more: false,
    };
    for row in context.state.scan(&prefix, prefix.as_slice()) {
        let (key, _) = row?;
        if keys::moment_of(&key).is_none_or(|when| when > now) {
            break;
        }
        if due.seqs.len() >= AT_ONCE {
            due.more = true;
            break;
        }
        due.seqs.extend(keys::last_number(&key));
        due.through = Some(key);
    }
    Ok(due)
}
