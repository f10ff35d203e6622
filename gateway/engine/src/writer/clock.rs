//! What is said of a clock that is not believed.

use jiff::{SignedDuration, Timestamp};

use super::Writer;
use crate::conditions::CLOCK;
use crate::incidents::IncidentKind;
use crate::units::show_seconds;

/// How far the clock may stand behind the journal before nothing new is accepted.
pub(super) const BEHIND: SignedDuration = SignedDuration::from_mins(5);

/// What a person is told.
struct Trouble {
    kind: IncidentKind,
    text: String,
    remedy: String,
}

impl Writer {
    pub(super) fn watch_clock(&mut self, now: Timestamp) {
        let trouble = self.clock_trouble(now);
        let (conditions, incidents) = (&self.shared.conditions, &self.shared.incidents);
        let before = std::mem::replace(&mut self.house.clock, trouble.as_ref().map(|trouble| trouble.kind));
        match trouble {
            Some(Trouble { kind, text, remedy }) => {
                conditions.bad(CLOCK, &text, &remedy, now);
                if before != Some(kind) {
                    incidents.tell(kind, text, now);
                }
            }
            None => {
                conditions.good(CLOCK, now);
                if before.is_some() {
                    let text = format!("the clock is believed again: {now}");
                    incidents.tell(IncidentKind::ClockRecovered, text, now);
                }
            }
        }
    }

    fn clock_trouble(&self, now: Timestamp) -> Option<Trouble> {
        let clock = &self.shared.clock;
        let show = |time: SignedDuration| show_seconds(time.as_secs().unsigned_abs());
        let accept = "rsmev clock accept TIME, with the time that it is";
        let last = self.desk.last_at;
        let behind = last.duration_since(now);
        if behind > BEHIND {
            clock.doubt(last);
            return Some(Trouble {
                kind: IncidentKind::ClockBehind,
                text: format!(
                    "the clock stands {} behind the last record of the journal",
                    show(behind)
                ),
                remedy: format!(
                    "set the clock right; the gateway goes on by itself then. If it is right, the journal's times are wrong: \
                     {accept}"
                ),
            });
        }
        if let Some(by) = clock.unproven() {
            return Some(Trouble {
                kind: IncidentKind::ClockDoubted,
                text: format!(
                    "the clock is {} after the last record of the journal, more than storage.clock_trusted_for: the gateway goes \
                     on from that record by its own count, accepts nothing new and keeps what waits for upstreams",
                    show(by)
                ),
                remedy: format!(
                    "if the clock is right: {accept}. If not, set it right; the gateway goes on by itself then"
                ),
            });
        }
        let by = clock.jumped()?;
        let way = if by.is_negative() { "back" } else { "forward" };
        let remedy = if clock.needs_a_person(by) {
            format!("set the clock right; if it is right now: {accept}")
        } else {
            format!(
                "set the clock right; if it is right now, it is believed after an hour, or at a restart, or at once: {accept}"
            )
        };
        Some(Trouble {
            kind: IncidentKind::ClockJumped,
            text: format!(
                "the clock jumped {way} by {}: the gateway goes on by its own count",
                show(by)
            ),
            remedy,
        })
    }
}
