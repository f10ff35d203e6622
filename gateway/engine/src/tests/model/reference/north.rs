//! What becomes of messages on their way upstream.

use super::{Place, Reference, Refused, Who};
use crate::command::ForwardOutcome;
use crate::names::MessageId;

/// Tries in a row of which nobody knows what came, until a person must look.
pub(crate) const TRIES: u32 = 20;

impl Reference {
    /// The first waiting message of each lane of the upstream, by the lanes' names.
    pub(crate) fn heads(&self) -> Vec<(String, usize)> {
        let mut heads: Vec<(String, usize)> = Vec::new();
        for number in self.queues().remove("upstream/federal").unwrap_or_default() {
            let lane = Self::lane(&self.messages[number]);
            if self.messages[number].place == Place::Waits && heads.iter().all(|(other, _)| *other != lane) {
                heads.push((lane, number));
            }
        }
        heads.sort();
        heads
    }

    /// An attempt begins.
    pub(crate) fn start(&mut self, seq: u64, id: MessageId) -> Result<(), Refused> {
        let waits = |number: &usize| {
            let message = &self.messages[*number];
            message.place == Place::Waits && message.to == Some(Who::Upstream)
        };
        let number = self.find(seq).filter(waits).ok_or("target_not_found")?;
        if self.paused.contains("upstream/federal") {
            return Err("unavailable");
        }
        if self.heads().iter().all(|(_, head)| *head != number) {
            return Err("target_not_found");
        }
        let attempts = &mut self.messages[number].attempts;
        attempts.uncertain |= attempts.open;
        attempts.open = true;
        attempts.started += 1;
        attempts.last_id = Some(id);
        if !attempts.ids.contains(&id) {
            attempts.ids.push(id);
        }
        Ok(())
    }

    /// An attempt has ended.
    pub(crate) fn outcome(&mut self, seq: u64, outcome: &ForwardOutcome) -> Result<(), Refused> {
        let waits = |number: &usize| {
            let message = &self.messages[*number];
            message.place == Place::Waits && message.to == Some(Who::Upstream)
        };
        let number = self.find(seq).filter(waits).ok_or("standing")?;
        let attempts = &mut self.messages[number].attempts;
        let open = std::mem::take(&mut attempts.open);
        match outcome {
            // On a first attempt somebody else must have used the identifier, unless what came of an earlier one, of which only
            // the outcome was told, is not known.
            ForwardOutcome::AlreadySent if attempts.started < 2 && !(attempts.uncertain && open) => self.hold(number),
            ForwardOutcome::Accepted | ForwardOutcome::AlreadySent => self.end(number),
            ForwardOutcome::Unknown { .. } if attempts.unknown + 1 == TRIES => self.hold(number),
            ForwardOutcome::Unknown { .. } => {
                attempts.unknown += 1;
                attempts.uncertain = true;
            }
            // Under another identifier it could be accepted twice.
            ForwardOutcome::Renew if attempts.uncertain => self.hold(number),
            ForwardOutcome::Renew => {
                attempts.unknown = 0;
                attempts.last_id = None;
            }
            ForwardOutcome::NotSent { .. } | ForwardOutcome::SlowDown { .. } => attempts.unknown = 0,
            ForwardOutcome::Rejected { .. } => self.reject(number),
            ForwardOutcome::Quarantined { .. } => self.hold(number),
        }
        Ok(())
    }

    fn hold(&mut self, number: usize) {
        self.messages[number].place = Place::Quarantined;
    }
}
