//! How many calls one caller may make.
//!
//! Each caller has a bucket of its own, so that whoever is at the limit slows nobody else. A bucket is one point in time:
//! the moment at which it will be full again. A call moves that moment on by its share; it is refused if the moment would
//! then lie further ahead than the burst. Nothing has to be refilled, and a bucket whose moment is past can be forgotten.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Calls that one caller may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In a second, in the long run; 0: as many as it likes.
    pub per_second: u32,
    /// Whoever was quiet for so long may make the calls of that time at once; at least one.
    pub burst: Duration,
}

impl Rate {
    /// No bound.
    pub const UNLIMITED: Self = Self {
        per_second: 0,
        burst: Duration::ZERO,
    };
}

/// How long a caller that is refused has to wait until its next call is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany(pub(super) Duration);

impl TooMany {
    /// The same as `Retry-After` has it: whole seconds, at least one.
    pub(super) fn seconds(self) -> u64 {
        self.0.as_secs() + u64::from(self.0.subsec_nanos() > 0 || self.0.is_zero())
    }
}

/// The buckets of all callers.
#[derive(Debug)]
pub(super) struct Limiter<K> {
    rate: Rate,
    most: usize,
    buckets: Mutex<Generations<K>>,
}

/// The callers seen last, and those before them: when the former are as many as is allowed, the latter are forgotten.
#[derive(Debug)]
struct Generations<K> {
    young: HashMap<K, Instant>,
    old: HashMap<K, Instant>,
}

impl<K: Eq + Hash + Clone> Limiter<K> {
    /// Knows the last `most` callers at least, and twice as many at most. One that is forgotten begins with a full bucket.
    pub(super) fn new(rate: Rate, most: usize) -> Self {
        let buckets = Generations {
            young: HashMap::new(),
            old: HashMap::new(),
        };
        Self {
            rate,
            most,
            buckets: Mutex::new(buckets),
        }
    }

    /// The bound.
    pub(super) fn per_second(&self) -> u32 {
        self.rate.per_second
    }

    /// Counts a call.
    pub(super) fn take(&self, caller: &K, now: Instant) -> Result<(), TooMany> {
        self.decide(caller, now, true)
    }

    /// Whether a call would be taken; counts nothing.
    pub(super) fn look(&self, caller: &K, now: Instant) -> Result<(), TooMany> {
        self.decide(caller, now, false)
    }

    fn decide(&self, caller: &K, now: Instant, count: bool) -> Result<(), TooMany> {
        if self.rate.per_second == 0 {
            return Ok(());
        }
        let share = Duration::from_secs(1) / self.rate.per_second;
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = buckets.full_at(caller).map_or(now, |full| full.max(now));
        let taken = full + share;
        let ahead = taken.duration_since(now);
        let bound = self.rate.burst.max(share);
        if ahead > bound {
            return Err(TooMany(ahead - bound));
        }
        if count {
            buckets.put(caller.clone(), taken, self.most);
        }
        Ok(())
    }
}

impl<K: Eq + Hash> Generations<K> {
    fn full_at(&self, caller: &K) -> Option<Instant> {
        self.young.get(caller).or_else(|| self.old.get(caller)).copied()
    }

    fn put(&mut self, caller: K, full: Instant, most: usize) {
        if self.young.len() >= most && !self.young.contains_key(&caller) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(caller, full);
    }
}

/// What counts as one address: with IPv6 the network of 64 bits, all of which one machine may use as it likes.
pub(super) fn one_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 10,
        burst: Duration::from_secs(1),
    };

    fn after(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_is_taken_then_one_call_in_its_share_of_a_second() {
        let (limiter, start) = (Limiter::new(RATE, 10), Instant::now());
        for _ in 0..10 {
            assert_eq!(limiter.look(&"a", start), Ok(()));
            assert_eq!(limiter.take(&"a", start), Ok(()));
        }
        let refused = Err(TooMany(Duration::from_millis(100)));
        assert_eq!(
            (limiter.take(&"a", start), limiter.look(&"a", start)),
            (refused, refused)
        );
        assert_eq!(
            limiter.take(&"a", after(start, 99)),
            Err(TooMany(Duration::from_millis(1)))
        );
        assert_eq!(limiter.take(&"a", after(start, 100)), Ok(()));
        assert!(limiter.take(&"a", after(start, 100)).is_err());
        // Long silence earns no more than the burst.
        let later = after(start, 3_600_000);
        let taken = (0..100).filter(|_| limiter.take(&"a", later).is_ok()).count();
        assert_eq!(taken, 10);
    }

    #[test]
    fn one_caller_at_its_limit_takes_nothing_from_another() {
        let (limiter, start) = (Limiter::new(RATE, 10), Instant::now());
        while limiter.take(&"greedy", start).is_ok() {}
        let taken = (0..100).filter(|_| limiter.take(&"modest", start).is_ok()).count();
        assert_eq!(taken, 10);
    }

    #[test]
    fn refused_calls_do_not_prolong_the_wait() {
        let (limiter, start) = (Limiter::new(RATE, 10), Instant::now());
        while limiter.take(&"a", start).is_ok() {}
        for _ in 0..1000 {
            assert!(limiter.take(&"a", after(start, 50)).is_err());
        }
        assert_eq!(limiter.take(&"a", after(start, 100)), Ok(()));
    }

    #[test]
    fn however_many_callers_come_a_bounded_number_is_remembered() {
        let (limiter, start) = (Limiter::new(RATE, 100), Instant::now());
        for caller in 0..10_000 {
            limiter.take(&caller, start).unwrap();
            let buckets = limiter.buckets.lock().unwrap();
            assert!(buckets.young.len() + buckets.old.len() <= 200);
        }
        // Who came among the last hundred is still known.
        let known = (0..20).filter(|_| limiter.take(&9_950, start).is_ok()).count();
        assert_eq!(known, 9);
    }

    #[test]
    fn no_rate_is_no_bound_and_every_rate_lets_one_call_through() {
        let now = Instant::now();
        let unlimited = Limiter::new(Rate::UNLIMITED, 1);
        assert!((0..100_000).all(|_| unlimited.take(&1, now).is_ok()));
        let least = Rate {
            per_second: 1,
            burst: Duration::ZERO,
        };
        let limiter = Limiter::new(least, 1);
        assert_eq!(limiter.take(&1, now), Ok(()));
        assert_eq!(limiter.take(&1, now).map_err(TooMany::seconds), Err(1));
        assert_eq!(TooMany(Duration::from_millis(1001)).seconds(), 2);
    }

    #[test]
    fn the_addresses_of_one_network_of_ipv6_are_one() {
        let one = |text: &str| one_address(text.parse().unwrap());
        assert_eq!(one("2001:db8::1"), one("2001:db8::ffff:0:0:2"));
        assert_ne!(one("2001:db8::1"), one("2001:db8:0:1::1"));
        assert_eq!(one("::ffff:10.0.0.1"), one("10.0.0.1"));
        assert_ne!(one("10.0.0.1"), one("10.0.0.2"));
    }
}
