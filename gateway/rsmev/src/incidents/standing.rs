//! When an incident is opened and when it is closed: opened with the first finding that is raised, closed when nothing of it
//! was found for a while. What comes and goes within that while is one incident.

use std::collections::{BTreeMap, BTreeSet};

use engine::IncidentStatus;
use engine::event::Severity;
use jiff::{SignedDuration, Timestamp};

use super::rules::Finding;

/// What is to be journaled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change<'a> {
    /// An incident begins.
    Open(&'a Finding),
    /// An incident has been over since then.
    Close(&'a IncidentStatus, Timestamp),
}

/// Since when open incidents have not been found any more, by their numbers. A start begins to count anew.
#[derive(Debug)]
pub(crate) struct Standing {
    close_after: SignedDuration,
    gone_since: BTreeMap<u64, Timestamp>,
}

impl Standing {
    pub(crate) fn new(close_after: SignedDuration) -> Self {
        Self {
            close_after,
            gone_since: BTreeMap::new(),
        }
    }

    /// What follows from what was found now; `open` are the open incidents. What is over comes first and makes room, then what
    /// is critical.
    pub(crate) fn changes<'a>(
        &mut self,
        now: Timestamp,
        found: &'a [Finding],
        open: &'a [IncidentStatus],
    ) -> Vec<Change<'a>> {
        let there: BTreeSet<_> = found
            .iter()
            .map(|finding| (finding.rule.as_str(), finding.subject.as_str()))
            .collect();
        let of = |incident: &'a IncidentStatus| (incident.opened.rule.as_str(), incident.opened.subject.as_str());
        let known: BTreeSet<_> = open.iter().map(of).collect();
        let raised = found.iter().filter(|finding| finding.raised);
        let mut begun: Vec<_> = raised
            .filter(|finding| !known.contains(&(finding.rule.as_str(), finding.subject.as_str())))
            .collect();
        begun.sort_by_key(|finding| finding.rule.severity() != Severity::Critical);
        let mut changes = Vec::new();
        let mut gone_since = BTreeMap::new();
        for incident in open {
            if there.contains(&of(incident)) {
                continue;
            }
            let since = self.gone_since.get(&incident.id).copied().unwrap_or(now);
            if now.duration_since(since) >= self.close_after {
                changes.push(Change::Close(incident, since));
            }
            gone_since.insert(incident.id, since);
        }
        self.gone_since = gone_since;
        changes.extend(begun.into_iter().map(Change::Open));
        changes
    }
}

#[cfg(test)]
mod tests {
    use engine::event::{Affected, OpenedIncident};

    use super::*;
    use crate::incidents::rule::Rule;

    fn at(minutes: i64) -> Timestamp {
        Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes)
    }

    fn down(raised: bool) -> Finding {
        Finding {
            rule: Rule::UpstreamDown,
            subject: "federal".to_owned(),
            text: String::new(),
            raised,
            names: Vec::new(),
            others: Vec::new(),
        }
    }

    fn open(id: u64, subject: &str) -> IncidentStatus {
        IncidentStatus {
            id,
            opened_at: at(0),
            opened: OpenedIncident {
                rule: "upstream_down".to_owned(),
                subject: subject.to_owned(),
                severity: Rule::UpstreamDown.severity(),
                text: String::new(),
                affected: Affected::default(),
            },
            closed: None,
            notices: Vec::new(),
        }
    }

    #[test]
    fn what_is_raised_is_opened_once_and_what_lingers_is_not() {
        let mut standing = Standing::new(SignedDuration::from_mins(5));
        let raised = [down(true)];
        assert_eq!(standing.changes(at(0), &[down(false)], &[]), []);
        assert_eq!(standing.changes(at(0), &raised, &[]), [Change::Open(&raised[0])]);
        assert_eq!(standing.changes(at(0), &raised, &[open(1, "federal")]), []);
        let other = [open(1, "other")];
        assert_eq!(standing.changes(at(1), &raised, &other), [Change::Open(&raised[0])]);
    }

    #[test]
    fn what_is_over_comes_first_then_what_is_critical() {
        let mut standing = Standing::new(SignedDuration::ZERO);
        let aged = Finding {
            rule: Rule::QueueOld,
            ..down(true)
        };
        let found = [aged, down(true)];
        let gone = [open(1, "other")];
        let expected = [
            Change::Close(&gone[0], at(0)),
            Change::Open(&found[1]),
            Change::Open(&found[0]),
        ];
        assert_eq!(standing.changes(at(0), &found, &gone), expected);
    }

    #[test]
    fn what_flaps_is_one_incident() {
        let mut standing = Standing::new(SignedDuration::from_mins(5));
        let open = [open(1, "federal")];
        // Down for a minute, up for four, again and again.
        for minute in 0..60 {
            let found = match minute % 5 {
                0 => vec![down(minute % 2 == 0)],
                _ => Vec::new(),
            };
            assert_eq!(standing.changes(at(minute), &found, &open), [], "at {minute}");
        }
        // It was gone at 56 for the first time.
        assert_eq!(standing.changes(at(60), &[], &open), []);
        assert_eq!(standing.changes(at(61), &[], &open), [Change::Close(&open[0], at(56))]);
        assert_eq!(standing.changes(at(62), &[], &[]), []);
        assert_eq!(
            standing.changes(at(63), &[], &open),
            [],
            "another session of it would count anew"
        );
    }

    #[test]
    fn what_nobody_finds_any_more_is_closed_whatever_it_was() {
        let mut standing = Standing::new(SignedDuration::ZERO);
        let open = [open(1, "removed from the configuration")];
        assert_eq!(
            standing.changes(at(0), &[down(false)], &open),
            [Change::Close(&open[0], at(0))]
        );
    }
}
