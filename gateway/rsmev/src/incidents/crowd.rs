//! What keeps many findings from becoming as many incidents: of each rule so many are open one by one, and whatever goes beyond
//! is one more incident.

use std::collections::{BTreeMap, BTreeSet};

use engine::IncidentStatus;

use super::rule::Rule;
use super::rules::Finding;

/// Incidents of one rule that are open one by one.
pub(super) const ONE_BY_ONE: usize = 50;
/// What the incident is about that stands for all others of its rule. No name of anything has a space.
pub(super) const OTHERS: &str = "other subjects";

/// The findings, with those that find no place any more as one for each rule. What is open keeps its place.
pub(super) fn fold(found: Vec<Finding>, open: &[IncidentStatus]) -> Vec<Finding> {
    let known: BTreeSet<(&str, &str)> = open
        .iter()
        .map(|incident| (incident.opened.rule.as_str(), incident.opened.subject.as_str()))
        .collect();
    let mut places: BTreeMap<Rule, usize> = BTreeMap::new();
    for rule in Rule::ALL {
        let taken = known
            .iter()
            .filter(|(word, subject)| *word == rule.as_str() && *subject != OTHERS);
        places.insert(rule, ONE_BY_ONE.saturating_sub(taken.count()));
    }
    let mut beyond: BTreeMap<Rule, Vec<Finding>> = BTreeMap::new();
    let mut kept = Vec::with_capacity(found.len());
    for finding in found {
        let is_new = finding.raised && !known.contains(&(finding.rule.as_str(), finding.subject.as_str()));
        match places.get_mut(&finding.rule) {
            Some(0) if is_new => beyond.entry(finding.rule).or_default().push(finding),
            Some(places) if is_new => {
                *places -= 1;
                kept.push(finding);
            }
            _ => kept.push(finding),
        }
    }
    kept.extend(beyond.into_iter().map(|(rule, folded)| others(rule, folded)));
    kept
}

fn others(rule: Rule, folded: Vec<Finding>) -> Finding {
    let first = folded.first().map_or("", |finding| finding.text.as_str());
    let text = format!(
        "and {} more besides those that are told of one by one, among them: {first}",
        folded.len()
    );
    let (mut names, mut others) = (Vec::new(), Vec::new());
    for finding in folded {
        names.extend(finding.names);
        others.push(finding.subject);
    }
    Finding {
        rule,
        subject: OTHERS.to_owned(),
        text,
        raised: true,
        names,
        others,
    }
}

#[cfg(test)]
mod tests {
    use engine::event::{Affected, OpenedIncident};
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::incidents::standing::{Change, Standing};

    fn finding(rule: Rule, subject: &str) -> Finding {
        Finding {
            rule,
            subject: subject.to_owned(),
            text: format!("{subject} is not in order"),
            raised: true,
            names: Vec::new(),
            others: Vec::new(),
        }
    }

    fn lapsed(holders: usize) -> Vec<Finding> {
        let holder = |n| finding(Rule::CertificateExpired, &format!("participant/MUN{n:03}"));
        (0..holders).map(holder).collect()
    }

    /// Looks and does at once what follows, as the engine does.
    struct World {
        standing: Standing,
        open: Vec<IncidentStatus>,
        minute: i64,
        next: u64,
    }

    impl World {
        fn new() -> Self {
            Self {
                standing: Standing::new(SignedDuration::from_mins(5)),
                open: Vec::new(),
                minute: 0,
                next: 1,
            }
        }

        /// What was opened, and closed, a minute later.
        fn look(&mut self, found: Vec<Finding>) -> (Vec<String>, usize) {
            self.minute += 1;
            let now = Timestamp::UNIX_EPOCH + SignedDuration::from_mins(self.minute);
            let before = self.open.clone();
            let found = fold(found, &before);
            let (mut opened, mut closed) = (Vec::new(), 0);
            for change in self.standing.changes(now, &found, &before) {
                match change {
                    Change::Open(finding) => {
                        opened.push(finding.subject.clone());
                        self.open.push(IncidentStatus {
                            id: self.next,
                            opened_at: now,
                            opened: OpenedIncident {
                                rule: finding.rule.as_str().to_owned(),
                                subject: finding.subject.clone(),
                                severity: finding.rule.severity(),
                                text: finding.text.clone(),
                                affected: Affected::default(),
                            },
                            closed: None,
                            notices: Vec::new(),
                        });
                        self.next += 1;
                    }
                    Change::Close(incident, _) => {
                        closed += 1;
                        self.open.retain(|open| open.id != incident.id);
                    }
                }
            }
            (opened, closed)
        }
    }

    #[test]
    fn many_findings_of_a_rule_are_few_incidents_and_hide_no_other_rule() {
        let mut world = World::new();
        let (opened, _) = world.look(lapsed(400));
        assert_eq!(opened.len(), ONE_BY_ONE + 1);
        assert_eq!(opened.last().map(String::as_str), Some(OTHERS));
        let text = &world.open[ONE_BY_ONE].opened.text;
        assert!(
            text.starts_with("and 350 more") && text.contains("MUN050 is not in order"),
            "{text}"
        );
        assert_eq!(world.look(lapsed(400)), (Vec::new(), 0), "nothing is tried again");

        let mut with_upstream = lapsed(400);
        with_upstream.push(finding(Rule::UpstreamDown, "federal"));
        assert_eq!(world.look(with_upstream), (vec!["federal".to_owned()], 0));

        // All but 45 have new certificates.
        for _ in 0..5 {
            assert_eq!(world.look(lapsed(45)), (Vec::new(), 0));
        }
        assert_eq!(
            world.look(lapsed(45)),
            (Vec::new(), 7),
            "five holders, the others, the upstream"
        );
        assert!(world.open.iter().all(|open| open.opened.subject != OTHERS));
    }

    #[test]
    fn whoever_has_a_place_keeps_it_and_one_that_is_free_is_taken() {
        let mut world = World::new();
        world.look(lapsed(52));
        let mut reversed = lapsed(52);
        reversed.reverse();
        assert_eq!(world.look(reversed), (Vec::new(), 0), "whatever the order");
        let two_mended = || lapsed(52).split_off(2);
        let opened = |world: &mut World| (0..8).flat_map(|_| world.look(two_mended()).0).collect::<Vec<_>>();
        assert_eq!(opened(&mut world), ["participant/MUN050", "participant/MUN051"]);
        for _ in 0..6 {
            world.look(two_mended());
        }
        assert_eq!(world.open.len(), ONE_BY_ONE, "no others are left");
    }

    #[test]
    fn the_others_of_a_rule_keep_whom_they_touch() {
        let city: engine::names::Mnemonic = "CITY".parse().unwrap();
        let mut found = lapsed(51);
        found[50].names = vec![city.clone()];
        let folded = fold(found, &[]).pop().unwrap();
        assert_eq!(
            (folded.names, folded.others),
            (vec![city], vec!["participant/MUN050".to_owned()])
        );
    }
}
