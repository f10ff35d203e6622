//! Keeping the journal: its sealed segments, and what becomes of them.

use std::sync::Arc;

use jiff::Timestamp;
use journal::ReadError;
use journal::segments::{self, SealedSegment};
use journal::verify::{Range, verify};

use super::{ENDED, Engine};
use crate::command::{Refusal, ShippedSegment};
use crate::destruction::{self, DestructionStatus, Proposal};
use crate::event::{Act, DestroyedSegment, Destruction, Person};
use crate::keys;
use crate::work::Command;

impl Engine {
    /// The last record that the archive has; 0 if it has none.
    pub fn archived_through(&self) -> u64 {
        self.read(|state| Ok(state.get(&keys::archived())?.unwrap_or(0)))
    }

    /// The sealed journal segments with records after this one, in order. Reads the disk: not for async threads.
    ///
    /// # Errors
    /// The journal's folder cannot be read, or a segment's head is damaged.
    pub fn sealed_segments(&self, after: u64) -> Result<Vec<SealedSegment>, ReadError> {
        segments::sealed(&*self.shared.disk, &self.shared.journal_dir(), after)
    }

    /// Streebog-256 of a segment's file, hexadecimal. Reads the disk: not for async threads.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn segment_digest(&self, segment: &SealedSegment) -> std::io::Result<String> {
        segments::file_digest(&*self.shared.disk, &segment.path).map(hex::encode)
    }

    /// Journals that the archive has a segment.
    ///
    /// # Errors
    /// `NotDone` if there is no such segment, `Unavailable`.
    pub async fn shipped(&self, segment: ShippedSegment) -> Result<(), Refusal> {
        self.ask(|reply| Command::Shipped(segment, reply)).await
    }

    /// Every destruction that was ever proposed, oldest first.
    pub fn destructions(&self) -> Vec<DestructionStatus> {
        self.read(destruction::statuses)
    }

    /// Proposes to destroy the sealed segments with nothing in them that is not older than `before`. The answer is the
    /// proposal's number.
    ///
    /// # Errors
    /// `NotDone` says why not, `Unavailable`.
    pub async fn propose_destruction(
        &self,
        before: Timestamp,
        unshipped: bool,
        by: Person,
        reason: String,
    ) -> Result<u64, Refusal> {
        let found = self
            .aside(|engine| engine.sealed_segments(0).map_err(|error| error.to_string()))
            .await?;
        let old: Vec<_> = found
            .into_iter()
            .take_while(|segment| segment.latest < before)
            .collect();
        let (Some(first), Some(last)) = (old.first(), old.last()) else {
            return Err(Refusal::NotDone(format!(
                "no sealed segment of the journal is wholly older than {before}"
            )));
        };
        let destruction = Destruction {
            before,
            first: first.first_seq,
            through: last.last_seq,
            segments: old.len() as u64,
            bytes: old.iter().map(|segment| segment.bytes).sum(),
            unshipped,
            by,
            reason,
        };
        self.ask(|reply| Command::Propose(Box::new(destruction), reply)).await
    }

    /// Approves a proposal of somebody else. All that is to be destroyed is read and verified first, which takes its time.
    ///
    /// # Errors
    /// `NotDone` says why not, `Unavailable`.
    pub async fn approve_destruction(&self, id: u64, by: Person) -> Result<Act, Refusal> {
        let proposal: Option<Proposal> = self
            .read_once(|state| state.get(&keys::destruction(id)))
            .map_err(|error| Refusal::Unavailable(error.to_string()))?;
        let Some(proposal) = proposal else {
            return Err(Refusal::NotDone(format!("there is no proposal {id}")));
        };
        // Said before the reading begins, and decided again by the writer.
        if proposal.by.uid == by.uid {
            let why = format!("{} proposed it; somebody else must approve it", proposal.by);
            return Err(Refusal::NotDone(why));
        }
        let destruction = proposal.destruction();
        let act = self.aside(move |engine| engine.draw_up(destruction, by)).await?;
        let drawn_up = act.clone();
        self.ask(|reply| Command::Approve(id, Box::new(act), reply)).await?;
        Ok(drawn_up)
    }

    /// Withdraws a proposal, or rejects that of somebody else.
    ///
    /// # Errors
    /// `NotDone` says why not, `Unavailable`.
    pub async fn close_destruction(&self, id: u64, by: Person, reason: String) -> Result<(), Refusal> {
        self.ask(|reply| Command::Close { id, by, reason, reply }).await
    }

    /// Does what takes long or reads the disk off the async threads.
    pub(super) async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Self) -> Result<T, String> + Send + 'static,
    ) -> Result<T, Refusal> {
        let engine = self.clone();
        let done = tokio::task::spawn_blocking(move || work(&engine)).await;
        done.map_err(|_| Refusal::Unavailable(ENDED.to_owned()))?
            .map_err(Refusal::NotDone)
    }

    /// Reads what is to be destroyed, record by record, and signs what was found.
    fn draw_up(&self, destruction: Destruction, approved_by: Person) -> Result<Act, String> {
        let Destruction {
            first, through, before, ..
        } = destruction;
        let mut found = self.sealed_segments(0).map_err(|error| error.to_string())?;
        found.retain(|segment| segment.last_seq <= through);
        let range = Range {
            from: Some(first),
            to: Some(through),
        };
        let dir = self.shared.journal_dir();
        let report = verify(&self.shared.disk, &dir, range, &mut |record| match record.at < before {
            true => Ok(()),
            false => Err(format!("it is not older than {before}")),
        });
        let report = report.map_err(|error| error.to_string())?;
        let ends = (found.first().map(|segment| segment.first_seq), report.last_seq);
        if ends != (Some(first), through) || found.last().map(|segment| segment.last_digest) != Some(report.last_digest)
        {
            return Err(
                "the journal's beginning is not what it was when this was proposed; propose it anew".to_owned(),
            );
        }
        let destroyed = found.iter().map(|segment| {
            Ok(DestroyedSegment {
                first: segment.first_seq,
                last: segment.last_seq,
                bytes: segment.bytes,
                digest: self
                    .segment_digest(segment)
                    .map_err(|error| format!("{}: {error}", segment.path.display()))?,
                last_digest: hex::encode(segment.last_digest),
            })
        });
        let mut act = Act {
            destroyed: destroyed.collect::<Result<_, String>>()?,
            destruction,
            approved_by,
            certificate: String::new(),
            signature: String::new(),
        };
        (act.certificate, act.signature) = self.sign(&act.text())?;
        Ok(act)
    }

    /// Signs with the gateway's key: the certificate's name and the signature in hexadecimal.
    pub(super) fn sign(&self, text: &[u8]) -> Result<(String, String), String> {
        let (signer, certificate) = &*self.identity;
        let digest = signer.public_key().algorithm().digest().hash(text);
        let signature = signer.sign(digest.as_ref());
        let signature = signature.map_err(|error| format!("the gateway's key: {error}"))?;
        Ok((certificate.id().to_string(), hex::encode(signature.as_ref())))
    }
}

/// The gateway's key and the certificate that names it.
pub(super) type Identity = Arc<(Arc<dyn gost::Signer>, gost::Certificate)>;
