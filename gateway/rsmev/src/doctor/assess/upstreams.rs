//! The upstreams: whether they are reached from here, and whether the clocks agree.

use super::{Level, Lines};
use crate::doctor::facts::Facts;
use crate::doctor::probe::{Outcome, Timing};
use engine::units::show_seconds;

/// Clocks further apart than this are worth a word: the header has whole seconds.
const SMALL: u64 = 5;
/// Further apart than this messages will be refused before long.
const LARGE: u64 = 300;

pub(super) fn assess(facts: &Facts, lines: &mut Lines) {
    for probe in &facts.upstreams {
        let subject = format!("upstream {}", probe.name);
        match &probe.outcome {
            Outcome::Answers(timing) => {
                lines.ok(subject, told(timing));
                clock(&probe.name, timing, lines);
            }
            Outcome::Fails(why) => {
                let text = format!("{}: {why}", probe.url);
                let remedy = "check the network, the firewall and the upstream; what waits is sent when it is back";
                lines.add(Level::Trouble, subject, text, remedy);
            }
        }
    }
    let dated = |outcome: &Outcome| {
        matches!(
            outcome,
            Outcome::Answers(Timing {
                ahead_seconds: Some(_),
                ..
            })
        )
    };
    if !facts.upstreams.iter().any(|probe| dated(&probe.outcome)) {
        let remedy = "see that the machine's clock is set by the network: `timedatectl`";
        lines.add(
            Level::Note,
            "clock",
            "no upstream tells the time to compare with",
            remedy,
        );
    }
}

fn told(timing: &Timing) -> String {
    let tls = timing.tls_ms.map_or_else(String::new, |ms| format!(", TLS {ms}"));
    let all = timing.resolve_ms + timing.connect_ms + timing.tls_ms.unwrap_or(0) + timing.answer_ms;
    format!(
        "answers in {all} ms (name {}, connection {}{tls}, first octet {}) with HTTP status {}",
        timing.resolve_ms, timing.connect_ms, timing.answer_ms, timing.status
    )
}

fn clock(name: &str, timing: &Timing, lines: &mut Lines) {
    let Some(ahead) = timing.ahead_seconds else { return };
    let apart = ahead.unsigned_abs();
    if apart <= SMALL {
        return lines.ok("clock", format!("agrees with that of {name} to {apart} s"));
    }
    let level = if apart <= LARGE { Level::Warning } else { Level::Trouble };
    let how = if ahead > 0 { "ahead of" } else { "behind" };
    let text = format!(
        "this machine's is {} ({apart} s) {how} that of {name}",
        show_seconds(apart)
    );
    lines.add(
        level,
        "clock",
        text,
        "set it right, for example with chrony: messages are refused by their time",
    );
}
