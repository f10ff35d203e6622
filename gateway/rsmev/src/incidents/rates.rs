//! How much a counter rose lately.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

/// How far back is counted.
pub(crate) const WINDOW: SignedDuration = SignedDuration::from_mins(10);

/// Rises of counters by their names. What does not rise takes no more than its last value.
#[derive(Debug, Default)]
pub(crate) struct Rates(BTreeMap<String, Counter>);

#[derive(Debug, Default)]
struct Counter {
    last: u64,
    rises: VecDeque<(Timestamp, u64)>,
}

impl Rates {
    /// By how much a counter, which stands at `total` now, rose within the window. Of one that is new all is a rise.
    pub(crate) fn within(&mut self, name: &str, total: u64, now: Timestamp) -> u64 {
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), Counter::default());
        }
        let Some(counter) = self.0.get_mut(name) else { return 0 };
        let rise = total.saturating_sub(counter.last);
        counter.last = counter.last.max(total);
        if rise > 0 {
            counter.rises.push_back((now, rise));
        }
        // A clock that was set back makes nothing stay for ever.
        counter.rises.retain(|(at, _)| now.duration_since(*at).abs() < WINDOW);
        counter.rises.iter().map(|(_, rise)| rise).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rose_within_the_window_counts_and_no_more() {
        let mut rates = Rates::default();
        let at = |minutes| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        assert_eq!(rates.within("a", 5, at(0)), 5);
        assert_eq!(rates.within("a", 5, at(1)), 5);
        assert_eq!(rates.within("a", 8, at(9)), 8);
        assert_eq!(rates.within("b", 1, at(9)), 1);
        assert_eq!(rates.within("a", 8, at(10)), 3);
        assert_eq!(rates.within("a", 7, at(18)), 3, "a counter never falls");
        assert_eq!(rates.within("a", 8, at(19)), 0);
    }
}
