//! Which incidents are worth a journal record: each once in a while. An upstream that repeats itself every second must
//! not fill the journal.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// The same incident is recorded again only after this.
const AGAIN_AFTER: Duration = Duration::from_mins(10);
/// Incidents that are remembered.
const REMEMBERED: usize = 256;

/// Remembers what was recorded lately.
#[derive(Debug, Default)]
pub(crate) struct Incidents(BTreeMap<String, Instant>);

impl Incidents {
    /// Whether this incident is to be recorded now.
    pub(crate) fn is_new(&mut self, text: &str, now: Instant) -> bool {
        self.0.retain(|_, at| now.duration_since(*at) < AGAIN_AFTER);
        if self.0.contains_key(text) || self.0.len() >= REMEMBERED {
            return false;
        }
        self.0.insert(text.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_incident_is_recorded_once_in_a_while_and_there_is_a_bound() {
        let (mut incidents, now) = (Incidents::default(), Instant::now());
        assert!(incidents.is_new("a", now) && incidents.is_new("b", now));
        assert!(!incidents.is_new("a", now + AGAIN_AFTER / 2));
        assert!(incidents.is_new("a", now + AGAIN_AFTER));
        let recorded = (0..1000)
            .filter(|n| incidents.is_new(&format!("n{n}"), now + AGAIN_AFTER))
            .count();
        assert_eq!(recorded, REMEMBERED - 1);
    }
}
