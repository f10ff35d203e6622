//! Whether a link is fit for use: the circuit breaker (DESIGN §6), as a state machine without I/O.
//!
//! It opens when there is no connection, or when three lanes fail (a queue that is polled counts as one), so that a dead upstream costs one probe now and then
//! and no message's tries. While it is open nothing goes out but the probe, a signed poll; the first probe that succeeds
//! closes it. When the upstream does not recognise our signature, one message proves nothing: a probe decides. Only if
//! the probe fails alike, or two more lanes do, the link stops. A link that was stopped by lanes although its probe is
//! well tries again, carefully: the next such fault stops it at once.

use std::collections::BTreeSet;
use std::time::Duration;

use engine::command::Lane;
use smev3::client::Pull;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::chance::Chance;
use crate::outcome::LinkSign;

/// So many lanes that fail are the link's failure.
const LANES: usize = 3;

/// Who has something to say about the link.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A lane of messages.
    Lane(Lane),
    /// The polls of one queue.
    Pull(Pull),
}

/// What the breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Everything.
    Open,
    /// Polls; messages wait.
    PullOnly,
    /// Nothing but the probe.
    Shut,
}

/// Why the link is not in full use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// No connection, or three lanes failed.
    Down(String),
    /// The upstream does not recognise our signature.
    Stopped(String),
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// The upstream answered as it should.
    Well,
    /// It did not answer, or not understandably.
    Failed(String),
    /// It does not recognise our signature.
    Suspicious(String),
}

/// The state of one link. (The breaker is *closed*, and the gate open, when all is well.)
#[derive(Debug)]
pub struct Breaker {
    backoff: Backoff,
    state: State,
    failing: BTreeSet<Source>,
    suspects: BTreeSet<Source>,
    probe_wanted: bool,
    failures: u32,
}

#[derive(Debug)]
enum State {
    Well,
    /// Shut until a probe, due at this moment, succeeds.
    Shut(Trouble, Instant),
    /// Messages wait until this moment; polls work.
    Held(Trouble, Instant),
    /// After having been held: one more suspicious fault holds again.
    Trial,
}

impl Breaker {
    /// A link of which nothing bad is known.
    pub fn new(backoff: Backoff) -> Self {
        let (failing, suspects) = (BTreeSet::new(), BTreeSet::new());
        Self {
            backoff,
            state: State::Well,
            failing,
            suspects,
            probe_wanted: false,
            failures: 0,
        }
    }

    /// What may pass at this moment.
    pub fn gate(&mut self, now: Instant) -> Gate {
        match &self.state {
            State::Held(_, until) if *until <= now => {
                self.state = State::Trial;
                Gate::Open
            }
            State::Well | State::Trial => Gate::Open,
            State::Held(..) => Gate::PullOnly,
            State::Shut(..) => Gate::Shut,
        }
    }

    /// What is wrong, if anything.
    pub fn trouble(&self) -> Option<&Trouble> {
        match &self.state {
            State::Shut(trouble, _) | State::Held(trouble, _) => Some(trouble),
            State::Well | State::Trial => None,
        }
    }

    /// When the next probe is due; `None` when none is wanted.
    pub fn probe_due(&self, now: Instant) -> Option<Instant> {
        match &self.state {
            State::Shut(_, due) => Some(*due),
            _ if self.probe_wanted => Some(now),
            _ => None,
        }
    }

    /// When the gate opens by itself, if it does.
    pub fn held_until(&self) -> Option<Instant> {
        match &self.state {
            State::Held(_, until) => Some(*until),
            _ => None,
        }
    }

    /// An attempt had this to say about the link; `cause` in words.
    pub fn report(&mut self, source: &Source, sign: LinkSign, cause: &str, now: Instant, chance: &dyn Chance) {
        match sign {
            LinkSign::Works => self.works(),
            LinkSign::Answers => {
                self.failing.remove(source);
            }
            LinkSign::NoConnection => self.no_connection(cause, now, chance),
            LinkSign::LaneFailed => {
                self.failing.insert(source.clone());
                if self.failing.len() >= LANES && !matches!(self.state, State::Shut(..)) {
                    self.shut(
                        Trouble::Down(format!("{LANES} lanes failed, the last: {cause}")),
                        now,
                        chance,
                    );
                }
            }
            LinkSign::Suspicious => {
                self.suspects.insert(source.clone());
                self.probe_wanted = true;
                let on_trial = matches!(self.state, State::Trial);
                if (on_trial || self.suspects.len() >= LANES) && !matches!(self.state, State::Shut(..)) {
                    let trouble = Trouble::Stopped(format!("the upstream refuses our signature on messages: {cause}"));
                    self.state = State::Held(trouble, now + self.backoff.max);
                }
            }
        }
    }

    fn no_connection(&mut self, cause: &str, now: Instant, chance: &dyn Chance) {
        if !matches!(self.state, State::Shut(..)) {
            self.shut(Trouble::Down(cause.to_owned()), now, chance);
        }
    }

    /// The result of a probe. Any poll that the upstream answers well may be reported as one.
    pub fn probed(&mut self, result: Probe, now: Instant, chance: &dyn Chance) {
        self.probe_wanted = false;
        match result {
            Probe::Well => {
                if matches!(self.state, State::Shut(..)) {
                    self.state = State::Well;
                    self.failing.clear();
                    self.suspects.clear();
                }
                self.failures = 0;
            }
            Probe::Failed(cause) => {
                if matches!(self.state, State::Shut(..)) {
                    self.shut(Trouble::Down(cause), now, chance);
                }
            }
            Probe::Suspicious(cause) => {
                self.shut(
                    Trouble::Stopped(format!("the upstream refuses our signature: {cause}")),
                    now,
                    chance,
                );
            }
        }
    }

    /// A message was accepted: nothing that was held against the link stands.
    fn works(&mut self) {
        self.failing.clear();
        self.suspects.clear();
        self.probe_wanted = false;
        if matches!(self.state, State::Trial) {
            self.state = State::Well;
        }
    }

    fn shut(&mut self, trouble: Trouble, now: Instant, chance: &dyn Chance) {
        self.failures = self.failures.saturating_add(1);
        let wait = self.backoff.wait(self.failures, chance).max(SHORTEST);
        self.state = State::Shut(trouble, now + wait);
    }
}

/// What is wrong, as one line for a person.
impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Down(cause) => write!(f, "down: {cause}"),
            Self::Stopped(cause) => write!(f, "stopped: {cause}"),
        }
    }
}

/// Jitter may come out as nothing; probing without any pause would be a busy loop.
const SHORTEST: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::fixed::Fraction;

    const FULL: Fraction = Fraction(0.999_999);

    fn lane(kind: &str) -> Source {
        Source::Lane(Lane {
            upstream: "federal".parse().unwrap(),
            sender: "MUN001".parse().unwrap(),
            kind: kind.parse().unwrap(),
        })
    }

    fn fresh() -> (Breaker, Instant) {
        (Breaker::new(Backoff::default()), Instant::now())
    }

    #[test]
    fn one_refused_connection_shuts_the_gate_until_a_probe_succeeds() {
        let (mut breaker, now) = fresh();
        breaker.report(&lane("a"), LinkSign::NoConnection, "refused", now, &FULL);
        assert_eq!(breaker.gate(now), Gate::Shut);
        assert_eq!(breaker.trouble(), Some(&Trouble::Down("refused".to_owned())));
        let due = breaker.probe_due(now).unwrap();
        assert!(due > now && due <= now + Duration::from_secs(1));
        breaker.probed(Probe::Well, due, &FULL);
        assert_eq!(
            (breaker.gate(due), breaker.trouble(), breaker.probe_due(due)),
            (Gate::Open, None, None)
        );
    }

    #[test]
    fn probes_of_a_dead_upstream_back_off_to_five_minutes() {
        let (mut breaker, mut now) = fresh();
        breaker.report(
            &Source::Pull(Pull::Requests),
            LinkSign::NoConnection,
            "refused",
            now,
            &FULL,
        );
        let mut waits = vec![];
        for _ in 0..11 {
            let due = breaker.probe_due(now).unwrap();
            waits.push((due - now).as_secs_f64().round() as u64);
            now = due;
            breaker.probed(Probe::Failed("refused".to_owned()), now, &FULL);
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
    }

    #[test]
    fn many_lanes_that_meet_the_same_refusal_count_once() {
        let (mut breaker, now) = fresh();
        for kind in ["a", "b", "c", "d"] {
            breaker.report(&lane(kind), LinkSign::NoConnection, "refused", now, &FULL);
        }
        assert!(breaker.probe_due(now).unwrap() <= now + Duration::from_secs(1));
    }

    #[test]
    fn failures_in_three_lanes_shut_it_failures_of_one_do_not() {
        let (mut breaker, now) = fresh();
        for _ in 0..10 {
            breaker.report(&lane("a"), LinkSign::LaneFailed, "time-out", now, &FULL);
        }
        breaker.report(&lane("b"), LinkSign::LaneFailed, "time-out", now, &FULL);
        assert_eq!(breaker.gate(now), Gate::Open);
        breaker.report(&lane("c"), LinkSign::LaneFailed, "time-out", now, &FULL);
        assert_eq!(breaker.gate(now), Gate::Shut);
    }

    #[test]
    fn a_lane_that_is_answered_again_no_longer_counts() {
        let (mut breaker, now) = fresh();
        breaker.report(&lane("a"), LinkSign::LaneFailed, "time-out", now, &FULL);
        breaker.report(&lane("b"), LinkSign::LaneFailed, "time-out", now, &FULL);
        breaker.report(&lane("a"), LinkSign::Answers, "", now, &FULL);
        breaker.report(&lane("c"), LinkSign::LaneFailed, "time-out", now, &FULL);
        assert_eq!(breaker.gate(now), Gate::Open);
    }

    #[test]
    fn a_suspicious_fault_asks_for_a_probe_and_a_good_probe_settles_it() {
        let (mut breaker, now) = fresh();
        breaker.report(&lane("a"), LinkSign::Suspicious, "SenderIsNotRegistered", now, &FULL);
        assert_eq!((breaker.gate(now), breaker.probe_due(now)), (Gate::Open, Some(now)));
        breaker.probed(Probe::Well, now, &FULL);
        assert_eq!(
            (breaker.gate(now), breaker.probe_due(now), breaker.trouble()),
            (Gate::Open, None, None)
        );
    }

    #[test]
    fn a_probe_that_fails_alike_stops_the_link_until_one_succeeds() {
        let (mut breaker, now) = fresh();
        breaker.report(&lane("a"), LinkSign::Suspicious, "SenderIsNotRegistered", now, &FULL);
        breaker.probed(Probe::Suspicious("SenderIsNotRegistered".to_owned()), now, &FULL);
        assert_eq!(breaker.gate(now), Gate::Shut);
        assert!(matches!(breaker.trouble(), Some(Trouble::Stopped(_))));
        breaker.probed(Probe::Well, now, &FULL);
        assert_eq!(breaker.gate(now), Gate::Open);
    }

    #[test]
    fn a_probe_that_fails_otherwise_does_not_stop_the_link() {
        let (mut breaker, now) = fresh();
        breaker.report(&lane("a"), LinkSign::Suspicious, "SenderIsNotRegistered", now, &FULL);
        breaker.probed(Probe::Failed("time-out".to_owned()), now, &FULL);
        assert_eq!(breaker.gate(now), Gate::Open);
    }

    #[test]
    fn two_more_suspicious_lanes_hold_messages_but_not_polls_and_a_trial_follows() {
        let (mut breaker, now) = fresh();
        for kind in ["a", "b", "c"] {
            assert_eq!(breaker.gate(now), Gate::Open, "before {kind}");
            breaker.report(
                &lane(kind),
                LinkSign::Suspicious,
                "SignatureVerificationFault",
                now,
                &FULL,
            );
            breaker.probed(Probe::Well, now, &FULL);
        }
        assert_eq!(breaker.gate(now), Gate::PullOnly);
        assert!(matches!(breaker.trouble(), Some(Trouble::Stopped(_))));

        let later = now + Duration::from_mins(5);
        assert_eq!(breaker.gate(later), Gate::Open);
        breaker.report(
            &lane("d"),
            LinkSign::Suspicious,
            "SignatureVerificationFault",
            later,
            &FULL,
        );
        assert_eq!(breaker.gate(later), Gate::PullOnly);

        let much_later = later + Duration::from_mins(5);
        assert_eq!(breaker.gate(much_later), Gate::Open);
        breaker.report(&lane("a"), LinkSign::Works, "", much_later, &FULL);
        breaker.report(
            &lane("a"),
            LinkSign::Suspicious,
            "SignatureVerificationFault",
            much_later,
            &FULL,
        );
        assert_eq!(breaker.gate(much_later), Gate::Open, "the trial ended well");
    }

    #[test]
    fn an_accepted_message_clears_suspicion() {
        let (mut breaker, now) = fresh();
        breaker.report(
            &lane("a"),
            LinkSign::Suspicious,
            "SignatureVerificationFault",
            now,
            &FULL,
        );
        breaker.report(
            &lane("b"),
            LinkSign::Suspicious,
            "SignatureVerificationFault",
            now,
            &FULL,
        );
        breaker.report(&lane("z"), LinkSign::Works, "", now, &FULL);
        breaker.report(
            &lane("c"),
            LinkSign::Suspicious,
            "SignatureVerificationFault",
            now,
            &FULL,
        );
        assert_eq!(breaker.gate(now), Gate::Open);
    }
}
