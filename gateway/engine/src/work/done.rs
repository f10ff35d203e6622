//! What a batch did.

use std::collections::BTreeSet;
use std::sync::Arc;

use journal::Location;
use tokio::sync::oneshot;

use crate::backup::BackupMark;
use crate::command::Accepted;
use crate::names::{Mnemonic, UpstreamName};
use crate::registry::Registry;
use crate::shared::Shared;
use crate::snapshot::DumpError;
use crate::work::Reply;

/// What a batch did, for what follows its commit.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) commands: usize,
    pub(crate) events: u64,
    /// At least one event must be durable before the answers are given.
    pub(super) durable: bool,
    pub(crate) registry: Option<Arc<Registry>>,
    pub(super) upstreams: BTreeSet<UpstreamName>,
    pub(super) accepted: Vec<(&'static str, Accepted)>,
    pub(super) delivered: Vec<Mnemonic>,
    pub(super) moved: Vec<(Location, Location)>,
    /// A person has taken note of the journal's cut.
    pub(super) cut_acknowledged: bool,
    /// A person has said that the clock is right.
    pub(super) clock_accepted: bool,
    /// The tick found more than it handles at once.
    pub(crate) more: bool,
    pub(crate) ticked: bool,
    pub(super) ticked_for: Vec<oneshot::Sender<()>>,
    pub(crate) copied: Option<(u64, bool)>,
    pub(crate) snapshot: Option<Result<u64, DumpError>>,
    /// Backups that wait to be told what they consist of.
    pub(crate) marks: Vec<Reply<BackupMark>>,
    /// Messages may go to upstreams again.
    pub(super) resumed: bool,
    pub(crate) stop: Option<oneshot::Sender<()>>,
}

impl Done {
    /// What stays true although the batch came to nothing.
    pub(super) fn news(self) -> Self {
        let Self {
            ticked,
            ticked_for,
            copied,
            snapshot,
            marks,
            stop,
            ..
        } = self;
        Self {
            ticked,
            ticked_for,
            copied,
            snapshot,
            marks,
            stop,
            ..Self::default()
        }
    }

    /// Takes over what an earlier part of the same batch still has to do.
    pub(crate) fn follow(&mut self, earlier: Done) {
        self.ticked |= earlier.ticked;
        self.ticked_for.extend(earlier.ticked_for);
        self.copied = self.copied.take().or(earlier.copied);
        self.snapshot = self.snapshot.take().or(earlier.snapshot);
        self.marks.extend(earlier.marks);
        self.stop = self.stop.take().or(earlier.stop);
    }

    /// The tick is over.
    pub(crate) fn tell(&mut self) {
        for asked in self.ticked_for.drain(..) {
            // Whoever has stopped waiting needs no answer.
            let _ = asked.send(());
        }
    }

    pub(super) fn publish(&self, shared: &Shared) {
        for (from, to) in &self.moved {
            shared.moved.remember(*from, *to);
        }
        if self.cut_acknowledged {
            shared.conditions.release(shared.now());
        }
        if self.clock_accepted {
            shared.clock.believe();
        }
        if self.resumed {
            shared.resume_upstreams();
        }
        if let Some(registry) = &self.registry {
            shared.publish(Arc::clone(registry));
        }
        for (door, accepted) in &self.accepted {
            shared
                .metrics
                .count_accepted(door, accepted.message_type, accepted.kind.as_ref());
        }
        for participant in &self.delivered {
            shared.metrics.count_delivered(participant);
        }
        for upstream in &self.upstreams {
            shared.work(upstream).notify_one();
        }
    }
}
