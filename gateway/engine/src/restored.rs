//! A store that was restored from a backup: it does not know what its gateway sent after the backup was made. Nothing goes
//! to an upstream until a person says that it may, and then under the identifier that the lost session would have used,
//! so that the upstream recognises what it has.
//!
//! That identifier is certain as long as it was young when the lost session ended: `forward` renews only identifiers that
//! are a day old ([`RENEWED_AFTER`]). What may have gone under a fresh one is for a person to decide about.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use journal::disk::{Disk, read_file, remove_file};
use serde::{Deserialize, Serialize};

use crate::error::IndexError;
use crate::event::{Event, Person};
use crate::keys::{self, Key};
use crate::message::{Held, Message, Micros, State as Life};
use crate::names::{MessageId, Party};
use crate::state::{State, decode};

/// An identifier that was never sent for certain is renewed at this age.
pub const RENEWED_AFTER: Duration = Duration::from_hours(24);

/// Longest note that is read, in octets.
const NOTE: u64 = 4096;

/// The note that a restoration leaves for the first start (`RESTORED` in the data directory).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoredNote {
    /// Streebog-256 of the backup's manifest, hexadecimal.
    pub manifest: String,
    /// The last record of the backup.
    pub through: u64,
    /// When the backup was made.
    pub made: Timestamp,
    /// When it was restored.
    pub restored: Timestamp,
    /// Who restored it.
    #[serde(default)]
    pub by: Option<Person>,
}

/// The row of a restored store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Restoration {
    /// When the restored gateway first started, and then, when a person let messages go again: what was made before that may have
    /// been sent by the lost session.
    pub(crate) at: Micros,
    /// The last record of the backup.
    pub(crate) through: u64,
    /// When the backup was made: the lost session was alive then.
    pub(crate) made: Micros,
    /// A person has said that messages may go to upstreams again.
    pub(crate) resumed: bool,
    /// The journal itself lacks records: the state was built without those after `through`, up to this one.
    #[serde(default)]
    pub(crate) gap: Option<u64>,
}

/// What stands in the way of upstream messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpstreamHold {
    /// Since when.
    pub since: Timestamp,
    /// The last record of the backup.
    pub through: u64,
    /// When the backup was made.
    pub made: Timestamp,
    /// The journal itself lacks records: the state was built without those after `through`, up to this one. `made` is the
    /// time before them.
    pub gap: Option<u64>,
}

impl RestoredNote {
    /// Where it lies.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("RESTORED")
    }

    /// Reads it, if there is one.
    pub(crate) fn load(disk: &dyn Disk, data_dir: &Path) -> io::Result<Option<Self>> {
        match read_file(disk, &Self::path(data_dir), NOTE)? {
            Some(octets) => serde_json::from_slice(&octets).map(Some).map_err(io::Error::other),
            None => Ok(None),
        }
    }

    /// The journal tells of it from now on.
    pub(crate) fn forget(disk: &dyn Disk, data_dir: &Path) -> io::Result<()> {
        remove_file(disk, &Self::path(data_dir))
    }

    pub(crate) fn event(&self) -> Event {
        Event::Restored {
            manifest: self.manifest.clone(),
            through: self.through,
            made: self.made,
            by: self.by.clone(),
        }
    }
}

/// From now on nothing goes to upstreams: the state lacks what was recorded after `through`, and the session that recorded
/// it was alive at `made`. `lost` is the last record that is missing in the journal itself; none after a restoration.
pub(crate) fn hold_back(
    state: &mut State<'_>,
    at: Micros,
    (through, made): (u64, Micros),
    lost: Option<u64>,
) -> Result<(), IndexError> {
    // A clock that was wrong may have put it into the future, where nobody could go on from.
    let made = made.min(at);
    let earlier: Option<Restoration> = state.get(&keys::restored())?;
    let held = earlier.filter(|earlier| !earlier.resumed);
    let restoration = Restoration {
        at,
        through: held.as_ref().map_or(through, |held| held.through.min(through)),
        made: held.as_ref().map_or(made, |held| held.made.min(made)),
        resumed: false,
        gap: lost.max(held.and_then(|held| held.gap)),
    };
    state.put(keys::restored(), &restoration);
    Ok(())
}

/// What holds upstream messages, if anything does.
pub(crate) fn hold(state: &State<'_>) -> Result<Option<UpstreamHold>, IndexError> {
    let restoration: Option<Restoration> = state.get(&keys::restored())?;
    Ok(restoration
        .filter(|restoration| !restoration.resumed)
        .map(|restoration| UpstreamHold {
            since: restoration.at.timestamp(),
            through: restoration.through,
            made: restoration.made.timestamp(),
            gap: restoration.gap,
        }))
}

/// Of all that is on its way to an upstream, the messages which the lost session, that ended at `lost` at the latest, may
/// have sent under an identifier that is not known.
pub(crate) fn doubtful(state: &State<'_>, lost: Timestamp) -> Result<Vec<u64>, IndexError> {
    let mut found = Vec::new();
    for seq in outgoing(state)? {
        let Some(message) = state.message(seq)? else { continue };
        let attempts = &message.attempts;
        let id = match attempts.last_id {
            // It is bound to this one for good. One in flight is not: the lost session may have heard that it failed.
            Some(_) if attempts.uncertain => continue,
            Some(id) => Some(id),
            None if attempts.started == 0 => Some(message.id),
            None => None,
        };
        let young = |id: MessageId| {
            id.time().is_some_and(|time| {
                Duration::try_from(lost.duration_since(time)).map_or(true, |age| age < RENEWED_AFTER)
            })
        };
        if message.state == Life::Waiting && !id.is_some_and(young) {
            found.push(seq);
        }
    }
    Ok(found)
}

/// A person lets messages go to upstreams again. What waits may be there already; what is doubtful goes to quarantine.
pub(crate) fn resume(state: &mut State<'_>, at: Micros, doubtful: &[u64]) -> Result<(), IndexError> {
    let doubtful: BTreeSet<u64> = doubtful.iter().copied().collect();
    for seq in outgoing(state)? {
        let Some(mut message) = state.message(seq)? else {
            continue;
        };
        bind(state, seq, &mut message);
        if doubtful.contains(&seq) {
            let cause = "it may have been sent under another identifier by the session that was lost; ask the upstream";
            let held = Held {
                since: at,
                cause: cause.to_owned(),
            };
            crate::apply::quarantine(state, seq, &mut message, &held)?;
        }
        state.set_message(seq, &message);
    }
    if let Some(mut restoration) = state.get::<Restoration>(&keys::restored())? {
        restoration.resumed = true;
        // While the clock was not believed, the gateway may have gone by a time before that of the lost session's last messages.
        restoration.at = restoration.at.max(at);
        state.put(keys::restored(), &restoration);
    }
    Ok(())
}

/// A message that was just accepted on its way to an upstream: made before the restoration, it may have been accepted and
/// sent by the lost session.
pub(crate) fn accepted(state: &mut State<'_>, seq: u64, message: &mut Message) -> Result<(), IndexError> {
    if !matches!(message.recipient, Some(Party::Upstream(_))) || message.sender == Party::Gateway {
        return Ok(());
    }
    if let Some(restoration) = state.get::<Restoration>(&keys::restored())?
        && message
            .id
            .time()
            .is_some_and(|time| Micros::from(time) <= restoration.at)
    {
        bind(state, seq, message);
    }
    Ok(())
}

/// From now on it goes under one identifier alone, and an upstream that knows that one has it. What the upstream says about
/// it finds back, too.
fn bind(state: &mut State<'_>, seq: u64, message: &mut Message) {
    let attempts = &mut message.attempts;
    let id = *attempts.last_id.get_or_insert(message.id);
    attempts.uncertain = true;
    if !attempts.ids.contains(&id) {
        attempts.ids.push(id);
    }
    if let Some(Party::Upstream(upstream)) = &message.recipient {
        state.put(keys::northbound(upstream, id), &seq);
    }
}

/// All messages on their way to an upstream, in quarantine or not.
fn outgoing(state: &State<'_>) -> Result<Vec<u64>, IndexError> {
    let prefix = Key::new(b'm');
    let mut found = Vec::new();
    for row in state.scan(&prefix, prefix.as_slice()) {
        let (key, value) = row?;
        let message: Message = decode(&key, &value)?;
        if matches!(message.recipient, Some(Party::Upstream(_))) && !message.finished() {
            found.extend(keys::last_number(&key));
        }
    }
    Ok(found)
}
