//! How long a test of random sequences goes on.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::chance::Chance;
use crate::recording::{Recording, Replay};
use crate::survivors::Loss;

/// How many sequences are tried, and how closely each is cut.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Sequences.
    pub sequences: u32,
    /// Cuts lie at every operation, not only where something is synced.
    every_operation: bool,
    /// Seeds of survivors at each cut, beside the clean losses.
    seeds: usize,
}

impl Effort {
    /// The long form, if `RSMEV_DISK_SEQUENCES` gives a number of sequences; else the short one.
    ///
    /// # Panics
    /// If the variable is no number.
    #[must_use]
    pub fn or_short(sequences: u32) -> Self {
        match std::env::var("RSMEV_DISK_SEQUENCES") {
            Ok(text) => Self {
                sequences: text.parse().expect("RSMEV_DISK_SEQUENCES is a number of sequences"),
                every_operation: true,
                seeds: 4,
            },
            Err(_) => Self {
                sequences,
                every_operation: false,
                seeds: 1,
            },
        }
    }

    /// Where to cut a recording.
    #[must_use]
    pub fn cuts(self, recording: &Recording) -> Vec<usize> {
        match self.every_operation {
            true => (0..=recording.ops().len()).collect(),
            false => recording.sync_points(),
        }
    }

    /// What to lose at a cut: one of the clean losses in turn, in the long form all of them, and some seeds if anything is
    /// in doubt there.
    #[must_use]
    pub fn losses(self, replay: &Replay<'_>, chance: &mut Chance) -> Vec<Loss> {
        let clean = [Loss::Everything, Loss::Nothing, Loss::Process];
        let mut losses = match self.every_operation {
            true => clean.to_vec(),
            false => vec![clean[chance.below(clean.len())]],
        };
        let seeds = if replay.is_settled() { 0 } else { self.seeds };
        losses.extend((0..seeds).map(|_| Loss::Some(chance.number())));
        losses
    }
}

/// What was tried.
#[derive(Debug, Default)]
pub struct Tried {
    sequences: AtomicU64,
    cuts: AtomicU64,
    images: AtomicU64,
}

impl Tried {
    /// One more sequence.
    pub fn sequence(&self) {
        self.sequences.fetch_add(1, Ordering::Relaxed);
    }

    /// One more place where a sequence was cut.
    pub fn cut(&self) {
        self.cuts.fetch_add(1, Ordering::Relaxed);
    }

    /// One more disk from which something was started.
    pub fn image(&self) {
        self.images.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Tried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [sequences, cuts, images] = [&self.sequences, &self.cuts, &self.images].map(|n| n.load(Ordering::Relaxed));
        write!(f, "{sequences} sequences, {cuts} cuts, {images} disks started from")
    }
}
