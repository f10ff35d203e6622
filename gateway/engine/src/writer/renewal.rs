//! What waits for a quiet moment: the index written anew beside the writer, and space that is reserved for nothing given
//! back.

use std::sync::Arc;

use logbook::log;

use crate::gaps;
use crate::logged;
use crate::panics::Worker;
use crate::room;
use crate::shared::Shared;
use crate::state::State;
use crate::work::Failure;

use super::Writer;

/// Records between two ticks up to which a moment is quiet.
const QUIET: u64 = 100;
/// Quiet moments in a row after which it is believed that there is little to do.
const CALM: u32 = 10;

impl Writer {
    /// Whether little happened since the last tick.
    pub(super) fn is_quiet(&mut self) -> bool {
        let last = self.store.last_seq();
        let quiet = last - std::mem::replace(&mut self.house.seen_seq, last) <= QUIET;
        self.house.calm = if quiet { self.house.calm.saturating_add(1) } else { 0 };
        quiet
    }

    /// Gives back what the store has reserved, as long as there is little to do.
    pub(super) fn rest_store(&mut self) -> Result<(), String> {
        if self.house.calm < CALM {
            self.store.wake();
            return Ok(());
        }
        if self.house.no_space {
            return Ok(());
        }
        let state = State::new(&*self.shared.index);
        let live = self.store.mark().spool_segment;
        let needed = if gaps::keep_spool(&state).map_err(|error| error.to_string())? {
            u64::MAX
        } else {
            let row = state.needed(live).map_err(|error| error.to_string())?;
            row.map_or(0, |row| row.octets)
        };
        match self.store.rest(needed).map_err(Failure::from) {
            // Nobody is promised anything: whether there is enough for that, the disk's watch tells.
            Ok(()) | Err(Failure::NoSpace(_)) => Ok(()),
            Err(Failure::Fatal(why)) => Err(why),
        }
    }

    /// Has the index written anew when it takes much more of the disk than it could, and there is room for two of it.
    pub(super) fn renew_index(&mut self, quiet: bool) {
        let Shared { index, settings, .. } = &*self.shared;
        if self.house.no_space {
            return index.give_up_renewal();
        }
        if self.house.renewing.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.house.renewing = None;
        match index.is_bloated(settings.index_renew_above, quiet) {
            Ok(true) if self.has_room_for_renewal() => {}
            Ok(_) => return,
            Err(error) => {
                log!(logged::INDEX_SIZE_UNKNOWN, %error, "nobody knows how much of the disk the index takes");
                return index.rest();
            }
        }
        let shared = Arc::clone(&self.shared);
        let renew = move || shared.renew_index();
        match std::thread::Builder::new()
            .name("index-renewal".to_owned())
            .spawn(renew)
        {
            Ok(thread) => self.house.renewing = Some(thread),
            Err(error) => {
                log!(logged::NO_THREAD, %error, work = "writing the index anew", "no thread for work in the background");
            }
        }
    }

    fn has_room_for_renewal(&self) -> bool {
        let Shared { index, settings, .. } = &*self.shared;
        self.store.sizes().space.is_none_or(|mut space| {
            space.free_bytes = space.free_bytes.saturating_sub(index.renewal_bytes());
            room::lacking(&space, settings, 0, true).is_none()
        })
    }
}

impl Shared {
    fn renew_index(&self) {
        let Self { index, settings, .. } = self;
        let renew = || index.renew(&settings.data_dir, settings.index_cache_bytes);
        match self.contain(Worker::Index, "writing the index anew", renew) {
            Some(Ok(Some(renewed))) => {
                log!(
                    logged::INDEX_RENEWED,
                    before = renewed.before,
                    after = renewed.after,
                    "the index was written anew"
                );
            }
            Some(Ok(None)) => log!(logged::INDEX_RENEWAL_GIVEN_UP, "writing the index anew was given up"),
            Some(Err(error)) => {
                log!(logged::INDEX_RENEWAL_FAILED, %error, "the index could not be written anew; it goes on as it is");
            }
            // Nobody copies any more.
            None => index.give_up_renewal(),
        }
    }
}
