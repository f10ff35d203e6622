//! What is said of a clock that is not believed.

use jiff::{SignedDuration, Timestamp};

use super::Writer;
use crate::conditions::{CLOCK, Words};
use crate::incidents::IncidentKind;
use crate::units::{show_seconds, show_seconds_ru};

/// How far the clock may stand behind the journal before nothing new is accepted.
pub(super) const BEHIND: SignedDuration = SignedDuration::from_mins(5);

/// What a person is told.
struct Trouble {
    kind: IncidentKind,
    words: Words,
}

impl Writer {
    pub(super) fn watch_clock(&mut self, now: Timestamp) {
        let trouble = self.clock_trouble(now);
        let (conditions, incidents) = (&self.shared.conditions, &self.shared.incidents);
        let before = std::mem::replace(&mut self.house.clock, trouble.as_ref().map(|trouble| trouble.kind));
        match trouble {
            Some(Trouble { kind, words }) => {
                let text = words.message.clone();
                conditions.bad(CLOCK, words, now);
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
        let seconds = |time: SignedDuration| time.as_secs().unsigned_abs();
        let show = |time| [show_seconds(seconds(time)), show_seconds_ru(seconds(time))];
        let accept = "rsmev clock accept TIME, with the time that it is";
        let accept_ru = "rsmev clock accept TIME, указав верное время";
        let last = self.desk.last_at;
        let behind = last.duration_since(now);
        if behind > BEHIND {
            clock.doubt(last);
            let [by, by_ru] = show(behind);
            let message = [
                format!("the clock stands {by} behind the last record of the journal"),
                format!("часы отстают от последней записи журнала на {by_ru}"),
            ];
            let remedy = [
                format!(
                    "set the clock right; the gateway goes on by itself then. If it is right, the journal's times are wrong: \
                     {accept}"
                ),
                format!("исправьте часы; шлюз продолжит сам. Если они верны, неверно время в журнале: {accept_ru}"),
            ];
            return Some(Trouble {
                kind: IncidentKind::ClockBehind,
                words: Words::new(message, remedy),
            });
        }
        if let Some(by) = clock.unproven() {
            let [by, by_ru] = show(by);
            let message = [
                format!(
                    "the clock is {by} after the last record of the journal, more than storage.clock_trusted_for: the gateway goes \
                     on from that record by its own count, accepts nothing new and keeps what waits for upstreams"
                ),
                format!(
                    "часы опережают последнюю запись журнала на {by_ru}, больше чем storage.clock_trusted_for: шлюз идёт от этой \
                     записи по собственному счёту, нового не принимает и удерживает то, что ждёт отправки на вышестоящие узлы"
                ),
            ];
            let remedy = [
                format!("if the clock is right: {accept}. If not, set it right; the gateway goes on by itself then"),
                format!("если часы верны: {accept_ru}. Если нет, исправьте их; шлюз продолжит сам"),
            ];
            return Some(Trouble {
                kind: IncidentKind::ClockDoubted,
                words: Words::new(message, remedy),
            });
        }
        let by = clock.jumped()?;
        let (way, way_ru) = match by.is_negative() {
            true => ("back", "назад"),
            false => ("forward", "вперёд"),
        };
        let remedy = match clock.needs_a_person(by) {
            true => [
                format!("set the clock right; if it is right now: {accept}"),
                format!("исправьте часы; если сейчас они верны: {accept_ru}"),
            ],
            false => [
                format!(
                    "set the clock right; if it is right now, it is believed after an hour, or at a restart, or at once: {accept}"
                ),
                format!(
                    "исправьте часы; если сейчас они верны, шлюз поверит им через час, при перезапуске или сразу: {accept_ru}"
                ),
            ],
        };
        let [by, by_ru] = show(by);
        let message = [
            format!("the clock jumped {way} by {by}: the gateway goes on by its own count"),
            format!("часы скачком переведены {way_ru} на {by_ru}: шлюз идёт по собственному счёту"),
        ];
        Some(Trouble {
            kind: IncidentKind::ClockJumped,
            words: Words::new(message, remedy),
        })
    }
}
