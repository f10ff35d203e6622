//! Backups of a running engine, and going on after one was restored.

use std::sync::atomic::Ordering;

use jiff::Timestamp;

use super::Engine;
use crate::backup::{self, BackupDone, BackupMade, BackupMark, manifest_text};
use crate::blobs::is_digest;
use crate::command::Refusal;
use crate::event::Person;
use crate::restored::{self, UpstreamHold};
use crate::work::Command;

impl Engine {
    /// Closes the live journal segment and says what a backup of this moment consists of. The files stay where they are
    /// until the backup ends, or is not heard of for ten minutes.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn begin_backup(&self) -> Result<BackupMark, Refusal> {
        let mut mark = self.ask(Command::Mark).await?;
        mark.certificate = hex::encode(self.identity.1.der());
        Ok(mark)
    }

    /// The backup is still being made; false if its files may be gone.
    pub fn go_on_with_backup(&self, hold: u64) -> bool {
        self.shared.holds.renew(hold)
    }

    /// The backup is over, whatever came of it.
    pub fn end_backup(&self, hold: u64) {
        self.shared.holds.end(hold);
    }

    /// Journals a backup that is complete but for the signature of its manifest, which is returned in hexadecimal. Signed is
    /// the digest of a manifest, and only for a backup that was begun here and has its hold still.
    ///
    /// # Errors
    /// `NotDone` if there is no such backup, if this is no digest, or if the key cannot sign; `Unavailable`.
    pub async fn vouch_for_backup(&self, hold: u64, made: BackupMade, by: &str) -> Result<String, Refusal> {
        if !is_digest(&made.manifest) {
            return Err(Refusal::NotDone("that is not the digest of a manifest".to_owned()));
        }
        if self.shared.holds.through(hold) != Some(made.through) {
            let why = format!("no backup that ends with record {} is being made", made.through);
            return Err(Refusal::NotDone(why));
        }
        let text = manifest_text(&made.manifest);
        let (_, signature) = self.aside(move |engine| engine.sign(&text)).await?;
        let by = by.to_owned();
        self.ask(|reply| Command::BackedUp { made, by, reply }).await?;
        Ok(signature)
    }

    /// The newest backup, if one was ever made.
    pub fn last_backup(&self) -> Option<BackupDone> {
        self.read(backup::last)
    }

    /// What keeps messages from going to upstreams, if anything does.
    pub fn upstream_hold(&self) -> Option<UpstreamHold> {
        let held = self.is_held();
        let hold = held.then(|| self.read(restored::hold)).flatten();
        // Before the journal tells of it the note alone does.
        hold.or_else(|| {
            held.then(|| UpstreamHold {
                since: self.now(),
                through: 0,
                made: self.now(),
                gap: None,
            })
        })
    }

    /// Whether messages are kept from going to upstreams.
    pub fn is_held(&self) -> bool {
        self.shared.upstream_held.load(Ordering::Acquire)
    }

    /// Lets messages go to upstreams again after a restoration. The session that was lost ended at `lost` at the latest.
    /// The answer is the number of messages that went to quarantine, because they may have been sent under another
    /// identifier.
    ///
    /// # Errors
    /// `NotDone` if nothing is on hold, `Unavailable`.
    pub async fn resume_upstream(&self, lost: Timestamp, by: &Person, reason: String) -> Result<u64, Refusal> {
        let by = by.name.clone();
        self.ask(|reply| Command::Resume {
            lost,
            by,
            reason,
            reply,
        })
        .await
    }
}
