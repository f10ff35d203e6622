//! The spool's space: segments that nothing needs any more go, and those of which little is needed are copied forward.

use std::sync::Arc;

use jiff::Timestamp;
use journal::RemoveError;
use logbook::log;

use super::{Writer, is_due};
use crate::conditions::{SPOOL, Words};
use crate::event::Event;
use crate::gaps;
use crate::incidents::IncidentKind;
use crate::logged;
use crate::panics::Worker;
use crate::retention;
use crate::state::State;
use crate::work::Command;

impl Writer {
    /// Says in `/ready` which segments cannot be read.
    pub(super) fn watch_spool(&self, now: Timestamp) {
        let conditions = &self.shared.conditions;
        if self.house.stuck.is_empty() {
            conditions.good(SPOOL, now);
        } else {
            let stuck: Vec<_> = self.house.stuck.keys().collect();
            let words = Words::new(
                [
                    format!("spool segments with bodies that cannot be read: {stuck:?}"),
                    format!("не читаются сегменты хранилища с телами сообщений: {stuck:?}"),
                ],
                [
                    "check the disk; restore the segment from a backup: it is tried again every hour",
                    "проверьте диск; восстановите сегмент из резервной копии: попытка повторяется каждый час",
                ],
            );
            conditions.bad(SPOOL, words, now);
        }
    }

    /// Removes spool segments that nothing needs, and has the survivors of one other copied.
    pub(super) fn give_space_back(&mut self, now: Timestamp) -> Result<(), String> {
        let segments = self.store.spool_segments();
        // One that was removed troubles nobody any more.
        let there = |segment: &u64| segments.iter().any(|there| there.segment == *segment);
        self.house.stuck.retain(|segment, _| there(segment));
        self.house.kept.retain(|segment, _| there(segment));
        let state = State::new(&*self.shared.index);
        if gaps::keep_spool(&state).map_err(|error| error.to_string())? {
            return Ok(());
        }
        let lately = |tried: Option<&Timestamp>| tried.is_some_and(|tried| !is_due(*tried, now));
        let stuck = &self.house.stuck;
        let percent = self.shared.settings.copy_forward_below_percent;
        let plan = retention::plan(&state, &segments, percent, &|segment| lately(stuck.get(&segment)));
        let mut plan = plan.map_err(|error| error.to_string())?;
        plan.remove.retain(|segment| !lately(self.house.kept.get(segment)));
        {
            let mut shown = self
                .shared
                .sizes
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            shown.1 = plan.needed;
        }
        if !plan.remove.is_empty() && !self.shared.holds.any() {
            self.remove_segments(&plan.remove, now)?;
        }
        if let (Some(segment), None, false) = (plan.copy, &self.house.copying, self.house.no_space) {
            self.begin_copy(segment);
        }
        Ok(())
    }

    /// Removes spool segments; the journal tells it first, and once.
    fn remove_segments(&mut self, segments: &[u64], now: Timestamp) -> Result<(), String> {
        let untold = segments.iter().filter(|segment| !self.house.kept.contains_key(segment));
        let events: Vec<_> = untold
            .map(|segment| Event::SpoolRemoved { segment: *segment })
            .collect();
        if !events.is_empty() && !self.record(events)? {
            return Ok(());
        }
        for segment in segments {
            match self.store.remove_spool_segment(*segment) {
                Ok(_) | Err(RemoveError::Unknown(_) | RemoveError::Live(_)) => {}
                Err(RemoveError::NoSpace(_)) => {
                    log!(logged::SEGMENT_NO_SPACE, segment, "no space to remove a spool segment");
                }
                Err(kept @ RemoveError::Kept { .. }) => {
                    self.house.kept.insert(*segment, now);
                    self.not_removed(&kept, now);
                }
                Err(RemoveError::Fatal(why)) => return Err(why),
            }
        }
        Ok(())
    }

    /// A file stays that should go: only its room is lost, so that all else goes on.
    pub(crate) fn not_removed(&self, why: &RemoveError, now: Timestamp) {
        let text = format!("{why}; it is tried again every hour");
        self.shared.incidents.tell(IncidentKind::FileNotRemoved, text, now);
    }

    fn begin_copy(&mut self, segment: u64) {
        let shared = Arc::clone(&self.shared);
        let back = self.back.clone();
        let hand_over = move |command| back.upgrade().is_some_and(|back| back.blocking_send(command).is_ok());
        let copy = move || {
            let copied = shared.contain(Worker::CopyForward, "copying a spool segment", || {
                retention::copy_forward(&shared, segment, &hand_over).unwrap_or_else(|error| {
                    log!(logged::SEGMENT_STAYS, %error, segment, "a spool segment cannot be copied forward");
                    false
                })
            });
            let complete = copied.unwrap_or(false);
            hand_over(Command::Copied { segment, complete });
        };
        match std::thread::Builder::new().name("copy-forward".to_owned()).spawn(copy) {
            Ok(thread) => self.house.copying = Some((segment, thread)),
            Err(error) => {
                log!(logged::NO_THREAD, %error, work = "copying a spool segment", "no thread for work in the background");
            }
        }
    }
}
