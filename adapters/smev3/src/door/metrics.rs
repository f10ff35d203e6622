//! What the door counts; the binary turns it into Prometheus series (DESIGN §11). Nothing from the wire is a label.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::budget::Budget;
use super::lately::{Lately, RefusedLately};
use crate::envelope::Operation;
use crate::fault::FaultName;

/// Addresses that are counted one by one; further ones are counted together.
const ADDRESSES: usize = 1024;

/// What the door counts.
#[derive(Debug)]
pub struct DoorMetrics {
    refused: Vec<AtomicU64>,
    requests: Vec<Histogram>,
    /// Seconds from the certificate's look-up to the end of the verification of one signature.
    pub verify_seconds: Histogram,
    unrecognised: Mutex<HashMap<Option<IpAddr>, u64>>,
    turned_away: AtomicU64,
    slow_heads: AtomicU64,
    slow_bodies: AtomicU64,
    slow_answers: AtomicU64,
    limited_participants: AtomicU64,
    limited_addresses: AtomicU64,
    connections_refused: AtomicU64,
    connections: AtomicU64,
    lately: Lately,
    budget: Arc<Budget>,
}

impl DoorMetrics {
    pub(super) fn new(budget: Arc<Budget>) -> Self {
        Self {
            refused: FaultName::ALL.iter().map(|_| AtomicU64::new(0)).collect(),
            requests: Operation::ALL.iter().map(|_| Histogram::new(SECONDS)).collect(),
            verify_seconds: Histogram::new(SECONDS),
            unrecognised: Mutex::default(),
            turned_away: AtomicU64::new(0),
            slow_heads: AtomicU64::new(0),
            slow_bodies: AtomicU64::new(0),
            slow_answers: AtomicU64::new(0),
            limited_participants: AtomicU64::new(0),
            limited_addresses: AtomicU64::new(0),
            connections_refused: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            lately: Lately::default(),
            budget,
        }
    }

    /// Calls refused so far, by fault; every fault is there.
    pub fn refused(&self) -> impl Iterator<Item = (FaultName, u64)> {
        FaultName::ALL
            .iter()
            .zip(&self.refused)
            .map(|(name, count)| (*name, count.load(Ordering::Relaxed)))
    }

    /// Seconds from the first octet of a body to the answer, by operation; every operation is there.
    pub fn request_seconds(&self) -> impl Iterator<Item = (Operation, &Histogram)> {
        Operation::ALL.into_iter().zip(&self.requests)
    }

    /// Octets of bodies and answers held now, the cost of their trees included.
    pub fn in_flight_bytes(&self) -> u64 {
        self.budget.used()
    }

    /// Calls turned away with 503 because there was no room.
    pub fn turned_away(&self) -> u64 {
        self.turned_away.load(Ordering::Relaxed)
    }

    /// Calls cut off because the client was too slow, by what it was slow at.
    pub fn cut_off(&self) -> [(&'static str, u64); 3] {
        [
            ("slow_head", self.slow_heads.load(Ordering::Relaxed)),
            ("slow_body", self.slow_bodies.load(Ordering::Relaxed)),
            ("slow_answer", self.slow_answers.load(Ordering::Relaxed)),
        ]
    }

    /// Calls refused because their participant made too many.
    pub fn limited_participants(&self) -> u64 {
        self.limited_participants.load(Ordering::Relaxed)
    }

    /// Requests refused because too many came from their address.
    pub fn limited_addresses(&self) -> u64 {
        self.limited_addresses.load(Ordering::Relaxed)
    }

    /// Connections closed at once because their address had too many.
    pub fn connections_refused(&self) -> u64 {
        self.connections_refused.load(Ordering::Relaxed)
    }

    /// Connections open now.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }

    /// Refused calls whose sender was not recognised, by address; those of addresses beyond the first thousand are
    /// counted together under `None`.
    pub fn unrecognised(&self) -> Vec<(Option<IpAddr>, u64)> {
        let map = self.unrecognised.lock().unwrap_or_else(PoisonError::into_inner);
        map.iter().map(|(address, count)| (*address, *count)).collect()
    }

    /// The last refusals of recognised participants, newest first.
    pub fn lately(&self) -> Vec<RefusedLately> {
        self.lately.all()
    }

    pub(super) fn remember(&self, refused: RefusedLately) {
        self.lately.put(refused);
    }

    pub(super) fn count_refused(&self, fault: FaultName) {
        if let Some((_, count)) = FaultName::ALL
            .iter()
            .zip(&self.refused)
            .find(|(name, _)| **name == fault)
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn count_unrecognised(&self, address: IpAddr) {
        let mut map = self.unrecognised.lock().unwrap_or_else(PoisonError::into_inner);
        let known = map.len() < ADDRESSES || map.contains_key(&Some(address));
        *map.entry(known.then_some(address)).or_default() += 1;
    }

    pub(super) fn count_slow_head(&self) {
        self.slow_heads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_slow_body(&self) {
        self.slow_bodies.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_slow_answer(&self) {
        self.slow_answers.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_turned_away(&self) {
        self.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_limited_participant(&self) {
        self.limited_participants.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_limited_address(&self) {
        self.limited_addresses.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_connection_refused(&self) {
        self.connections_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn observe_request(&self, operation: Operation, took: Duration) {
        if let Some((_, histogram)) = self.request_seconds().find(|(name, _)| *name == operation) {
            histogram.observe(took);
        }
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn disconnected(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

const SECONDS: &[f64] = &[
    0.000_1, 0.000_2, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0,
];

/// A histogram of durations with fixed upper bounds in seconds.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    buckets: Vec<AtomicU64>,
    nanos: AtomicU64,
}

impl Histogram {
    fn new(bounds: &'static [f64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self {
            bounds,
            buckets,
            nanos: AtomicU64::new(0),
        }
    }

    pub(super) fn observe(&self, took: Duration) {
        let seconds = took.as_secs_f64();
        let bucket = self.bounds.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos
            .fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Upper bounds with the number of observations up to each, cumulative; the last bound is infinite.
    pub fn buckets(&self) -> Vec<(f64, u64)> {
        let bounds = self.bounds.iter().copied().chain([f64::INFINITY]);
        let mut total = 0;
        bounds
            .zip(&self.buckets)
            .map(|(bound, count)| {
                total += count.load(Ordering::Relaxed);
                (bound, total)
            })
            .collect()
    }

    /// Number of observations.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).sum()
    }

    /// Sum of all observations in seconds.
    pub fn sum(&self) -> f64 {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed)).as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_cumulative_and_include_their_bound() {
        let histogram = Histogram::new(&[0.5, 1.0]);
        for millis in [500, 501, 5000] {
            histogram.observe(Duration::from_millis(millis));
        }
        assert_eq!(histogram.buckets(), [(0.5, 1), (1.0, 2), (f64::INFINITY, 3)]);
        assert_eq!((histogram.count(), histogram.sum()), (3, 6.001));
    }

    #[test]
    fn addresses_are_bounded() {
        let metrics = DoorMetrics::new(Budget::new(1));
        for n in 0..2000_u32 {
            metrics.count_unrecognised(IpAddr::from(n.to_be_bytes()));
        }
        let counted = metrics.unrecognised();
        assert!(counted.len() <= ADDRESSES + 1);
        assert_eq!(counted.iter().map(|(_, n)| n).sum::<u64>(), 2000);
    }
}
