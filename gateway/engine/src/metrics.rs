//! Counters that the binary turns into Prometheus series (DESIGN §11). Nothing from the wire becomes a label.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::command::{MessageType, QueueStatus, RefusedCall};
use crate::names::{KindName, Mnemonic};

/// Labels of `messages_accepted_total`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AcceptedSeries {
    /// Label of the door, or of the upstream link.
    pub door: &'static str,
    /// `request`, `response` or `status`.
    pub message_type: &'static str,
    /// The registered kind, if known.
    pub kind: Option<KindName>,
}

/// Refused calls of one sort.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RefusedSeries {
    /// Who called, or who the caller claimed to be.
    pub participant: Mnemonic,
    /// Whether the participant's signature was verified.
    pub verified: bool,
    /// Name of the fault from the door's closed set.
    pub fault: &'static str,
}

/// What the engine counts.
#[derive(Debug)]
pub struct EngineMetrics {
    /// Seconds that writing and syncing a batch took.
    pub commit_seconds: Histogram,
    /// Commands in a batch.
    pub commit_batch_size: Histogram,
    accepted: Mutex<BTreeMap<AcceptedSeries, u64>>,
    delivered: Mutex<BTreeMap<Mnemonic, u64>>,
    refused: Mutex<BTreeMap<RefusedSeries, u64>>,
}

/// What is measured at the moment of asking.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Every queue that holds something.
    pub queues: Vec<QueueStatus>,
    /// Messages that are handed out.
    pub leases: u64,
    /// Messages in quarantine.
    pub quarantine: u64,
    /// Octets that the spool occupies.
    pub spool_bytes: u64,
    /// Of these octets that are still needed.
    pub spool_needed_bytes: u64,
    /// Octets of the index's files.
    pub index_bytes: u64,
    /// Octets of the rows in it.
    pub index_row_bytes: u64,
    /// Octets that the journal occupies.
    pub journal_bytes: u64,
    /// Sequence number of the last record.
    pub journal_last_seq: u64,
    /// The journal was found cut, and nobody has taken note of it.
    pub journal_cut: bool,
    /// Free octets on the disk.
    pub disk_free_bytes: u64,
    /// Free inodes on the disk; 0 if it does not count them.
    pub disk_free_inodes: u64,
    /// Octets that stay free: with less, nothing new is accepted.
    pub disk_reserve_bytes: u64,
}

impl Default for EngineMetrics {
    fn default() -> Self {
        Self {
            commit_seconds: Histogram::new(&[
                0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0,
            ]),
            commit_batch_size: Histogram::new(&[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0]),
            accepted: Mutex::default(),
            delivered: Mutex::default(),
            refused: Mutex::default(),
        }
    }
}

impl EngineMetrics {
    /// Messages accepted so far, by door, type and kind.
    pub fn accepted(&self) -> Vec<(AcceptedSeries, u64)> {
        let map = self.accepted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        map.iter().map(|(series, n)| (series.clone(), *n)).collect()
    }

    /// Messages handed to participants so far, redeliveries included.
    pub fn delivered(&self) -> Vec<(Mnemonic, u64)> {
        let map = self.delivered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        map.iter().map(|(participant, n)| (participant.clone(), *n)).collect()
    }

    /// Refused calls under the names of participants so far, whether journaled or not.
    pub fn refused(&self) -> Vec<(RefusedSeries, u64)> {
        let map = self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        map.iter().map(|(series, n)| (series.clone(), *n)).collect()
    }

    pub(crate) fn count_refused(&self, call: &RefusedCall) {
        let series = RefusedSeries {
            participant: call.participant.clone(),
            verified: call.verified,
            fault: call.fault,
        };
        let mut map = self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *map.entry(series).or_default() += 1;
    }

    pub(crate) fn count_accepted(&self, door: &'static str, message_type: MessageType, kind: Option<&KindName>) {
        let series = AcceptedSeries {
            door,
            message_type: message_type.as_str(),
            kind: kind.cloned(),
        };
        let mut map = self.accepted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *map.entry(series).or_default() += 1;
    }

    pub(crate) fn count_delivered(&self, participant: &Mnemonic) {
        let mut map = self.delivered.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match map.get_mut(participant) {
            Some(n) => *n += 1,
            None => {
                map.insert(participant.clone(), 1);
            }
        }
    }
}

/// A histogram with fixed upper bounds, for any number of writers and readers.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    buckets: Vec<AtomicU64>,
    micros: AtomicU64,
}

impl Histogram {
    pub(crate) fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self {
            bounds,
            buckets,
            micros: AtomicU64::new(0),
        }
    }

    pub(crate) fn observe(&self, value: f64) {
        let bucket = self
            .bounds
            .iter()
            .position(|bound| value <= *bound)
            .unwrap_or(self.bounds.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        let micros = Duration::try_from_secs_f64(value).map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX));
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// Upper bounds with the number of observations at or below each (cumulative, as Prometheus wants them).
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let mut sum = 0;
        let counted = self.bounds.iter().zip(&self.buckets);
        counted
            .map(|(bound, count)| {
                sum += count.load(Ordering::Relaxed);
                (*bound, sum)
            })
            .collect()
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).sum()
    }

    /// Sum of the observed values, exact to a millionth per observation.
    pub fn sum(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a sum shown to people")]
        let micros = self.micros.load(Ordering::Relaxed) as f64;
        micros / 1e6
    }
}
