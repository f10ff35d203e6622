//! Forgetting what is due. The event names the last key that goes, and everything of the family up to it goes with it; or
//! it names each.

use crate::error::IndexError;
use crate::event::Forgotten;
use crate::keys::{self, Key};
use crate::message::State as Life;
use crate::names::Party;
use crate::state::{State, bad_row};

use super::{change, life};

/// The letter of the rows that are due in the order of time.
pub(crate) fn family(what: Forgotten) -> u8 {
    match what {
        Forgotten::Bodies => b'b',
        Forgotten::Messages => b'd',
        Forgotten::Unanswered => b'o',
        Forgotten::Identifiers => b'i',
        Forgotten::UpstreamIdentifiers => b'v',
    }
}

pub(super) fn forget(state: &mut State<'_>, what: Forgotten, through: &str) -> Result<(), IndexError> {
    let through = key_of(through)?;
    let prefix = Key::new(family(what));
    let due: Result<Vec<Vec<u8>>, IndexError> = state
        .scan(&prefix, prefix.as_slice())
        .map(|row| row.map(|(key, _)| key))
        .take_while(|key| key.as_ref().map_or(true, |key| *key <= through))
        .collect();
    for key in due? {
        forget_one(state, what, &key)?;
        state.remove(Key::from_slice(&key));
    }
    if what == Forgotten::Identifiers {
        let last: Option<Vec<u8>> = state.get(&keys::identifiers_forgotten())?;
        state.put(
            keys::identifiers_forgotten(),
            &last.map_or(through.clone(), |last| last.max(through)),
        );
    }
    Ok(())
}

pub(super) fn forget_each(state: &mut State<'_>, what: Forgotten, keys: &[String]) -> Result<(), IndexError> {
    for key in keys {
        let key = key_of(key)?;
        if key.first() != Some(&family(what)) {
            return Err(bad_row(&key));
        }
        forget_one(state, what, &key)?;
        state.remove(Key::from_slice(&key));
    }
    Ok(())
}

fn key_of(hexadecimal: &str) -> Result<Vec<u8>, IndexError> {
    hex::decode(hexadecimal).map_err(|_| IndexError::Row {
        key: hexadecimal.to_owned(),
    })
}

fn forget_one(state: &mut State<'_>, what: Forgotten, key: &[u8]) -> Result<(), IndexError> {
    let seq = || keys::last_number(key).ok_or_else(|| bad_row(key));
    match what {
        Forgotten::Bodies => change(state, seq()?, |state, seq, message| {
            for (_, place) in std::mem::take(&mut message.parts) {
                release(state, seq, &place)?;
            }
            if let Some(place) = message.facts.take() {
                release(state, seq, &place)?;
            }
            if let Life::Finished { bodies, .. } = &mut message.state {
                *bodies = false;
            }
            Ok(())
        }),
        Forgotten::Messages | Forgotten::Unanswered => forget_message(state, seq()?),
        Forgotten::Identifiers => Ok(()),
        Forgotten::UpstreamIdentifiers => {
            // The due row `v moment upstream uuid` ends like the row `u upstream uuid`.
            let tail = key.get(9..).ok_or_else(|| bad_row(key))?;
            let mut pulled = vec![b'u'];
            pulled.extend_from_slice(tail);
            state.remove(Key::from_slice(&pulled));
            Ok(())
        }
    }
}

fn forget_message(state: &mut State<'_>, seq: u64) -> Result<(), IndexError> {
    let Some(message) = state.message(seq)? else {
        return Ok(());
    };
    for place in message
        .parts
        .iter()
        .map(|(_, at)| at)
        .chain(&message.note)
        .chain(&message.facts)
    {
        release(state, seq, place)?;
    }
    if let Life::Finished { at, .. } = message.state {
        state.remove(keys::bodies_due(at, seq));
    }
    if let Some(Party::Upstream(upstream)) = &message.recipient {
        for id in &message.attempts.ids {
            state.remove(keys::northbound(upstream, *id));
        }
    }
    state.remove(keys::message(seq));
    Ok(())
}

fn release(state: &mut State<'_>, seq: u64, place: &journal::Location) -> Result<(), IndexError> {
    life::need(state, seq, place, false)
}
