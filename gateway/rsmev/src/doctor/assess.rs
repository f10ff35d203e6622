//! What the facts mean: a pure function from facts to lines, each with what is so and what to do.

mod certificates;
mod machine;
mod storage;
#[cfg(test)]
mod tests;
mod upstreams;

use serde::Serialize;

use super::facts::{Facts, Gateway};
use crate::check;
use engine::event::Severity;
use engine::units::show_seconds;

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    /// In order.
    Ok,
    /// Good to know.
    Note,
    /// Somebody should see to it in time.
    Warning,
    /// Somebody must see to it now.
    Trouble,
}

impl Level {
    /// As it is shown.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Trouble => "trouble",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Line {
    /// How it is.
    pub(crate) level: Level,
    /// What was looked at, in a word or two.
    pub(crate) subject: String,
    /// What is so.
    pub(crate) text: String,
    /// What to do; empty while nothing is to be done.
    pub(crate) remedy: String,
}

/// The lines, in the order in which they are shown.
#[derive(Debug, Default)]
struct Lines(Vec<Line>);

impl Lines {
    fn add(&mut self, level: Level, subject: impl Into<String>, text: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Line {
            level,
            subject: subject.into(),
            text: text.into(),
            remedy: remedy.into(),
        });
    }

    fn ok(&mut self, subject: impl Into<String>, text: impl Into<String>) {
        self.add(Level::Ok, subject, text, "");
    }
}

/// Judges the facts.
pub(crate) fn assess(facts: &Facts) -> Vec<Line> {
    let mut lines = Lines::default();
    gateway(facts, &mut lines);
    incidents(facts, &mut lines);
    storage::assess(facts, &mut lines);
    certificates::assess(facts, &mut lines);
    upstreams::assess(facts, &mut lines);
    machine::assess(facts, &mut lines);
    checked(facts, &mut lines);
    lines.0
}

/// The moment of the facts, in seconds.
fn since(facts: &Facts, earlier: jiff::Timestamp) -> u64 {
    u64::try_from(facts.at.as_second() - earlier.as_second()).unwrap_or(0)
}

fn gateway(facts: &Facts, lines: &mut Lines) {
    const SUBJECT: &str = "gateway";
    let health = match &facts.gateway {
        Gateway::Running(health) => health,
        Gateway::Stopped if facts.node.is_none() => {
            let remedy = "mend it: `rsmev check` names every place; or name another one with --config";
            return lines.add(Level::Trouble, SUBJECT, "its configuration cannot be used", remedy);
        }
        Gateway::Stopped => {
            let remedy = "`systemctl start rsmev`; why it ended: `journalctl -u rsmev -n 50`";
            return lines.add(Level::Trouble, SUBJECT, "it is not running", remedy);
        }
        Gateway::Silent(why) => {
            let remedy = "without it only files and the network were looked at";
            return lines.add(
                Level::Trouble,
                SUBJECT,
                format!("it does not tell how it is: {why}"),
                remedy,
            );
        }
    };
    let runs = show_seconds(since(facts, health.started));
    lines.ok(SUBJECT, format!("runs for {runs}, process {}", health.process.pid));
    if let Some(clock) = &health.ready.test_clock {
        let remedy = "for tests only: start it without --test-clock";
        lines.add(
            Level::Warning,
            SUBJECT,
            format!("it goes by the test clock {clock}"),
            remedy,
        );
    }
    let conditions = &health.ready.conditions;
    let bad: Vec<_> = conditions.iter().filter(|condition| !condition.ok).collect();
    if bad.is_empty() {
        lines.ok("ready", format!("all {} conditions are fulfilled", conditions.len()));
    }
    for condition in bad {
        // The upstreams', the archive's and `restored` do not make the gateway unready.
        let beside = condition.name.contains('/') || matches!(condition.name.as_str(), "restored" | "archive");
        let level = if beside { Level::Warning } else { Level::Trouble };
        let lasts = show_seconds(since(facts, condition.since));
        let text = format!("{}, for {lasts}", condition.message);
        lines.add(
            level,
            format!("ready {}", condition.name),
            text,
            condition.remedy.clone(),
        );
    }
}

/// What the rules have opened. The conditions behind it may be shown above, too; here stands since when people were told.
fn incidents(facts: &Facts, lines: &mut Lines) {
    let Some(health) = facts.gateway.health() else { return };
    if health.incidents.is_empty() {
        return lines.ok("incidents", "none is open");
    }
    for incident in &health.incidents {
        let level = match incident.opened.severity {
            Severity::Warning => Level::Warning,
            Severity::Critical => Level::Trouble,
        };
        let lasts = show_seconds(since(facts, incident.opened_at));
        let about = match incident.opened.subject.as_str() {
            "" => incident.opened.rule.clone(),
            subject => format!("{} ({subject})", incident.opened.rule),
        };
        let text = format!("{about}, for {lasts}: {}", incident.opened.text);
        lines.add(
            level,
            "incident",
            text,
            format!("`rsmev incidents show {}`", incident.id),
        );
    }
}

/// What `rsmev check` finds, but for what is told of already.
fn checked(facts: &Facts, lines: &mut Lines) {
    const SUBJECT: &str = "check";
    let told = |finding: &&check::Finding| {
        let own_key = finding.key.starts_with("keys.") && finding.level == check::Level::Error;
        let room = matches!(finding.key.as_str(), "limits.disk_reserve" | "limits.inode_reserve");
        !(finding.term || own_key || room)
    };
    let left: Vec<_> = facts.check.iter().filter(told).collect();
    let mut in_order = 0;
    for finding in left {
        let key = match finding.key.as_str() {
            "" => String::new(),
            key => format!("{key}: "),
        };
        let text = format!("{}: {key}{}", finding.place, finding.text);
        match finding.level {
            check::Level::Ok => in_order += 1,
            check::Level::Note => lines.add(Level::Note, SUBJECT, text, ""),
            check::Level::Warning => lines.add(Level::Warning, SUBJECT, text, ""),
            check::Level::Error if is_forbidden(finding) && facts.gateway.health().is_some() => {
                lines.add(Level::Note, SUBJECT, text, "run this as root to look there, too");
            }
            check::Level::Error => lines.add(Level::Trouble, SUBJECT, text, "see `rsmev check`"),
        }
    }
    lines.ok(
        SUBJECT,
        format!("configuration and registry: {in_order} things in order"),
    );
}

/// Whether whoever asks may not look, which says nothing of what is there.
fn is_forbidden(finding: &check::Finding) -> bool {
    finding.text.contains("ermission denied") || finding.text.contains("os error 13")
}
