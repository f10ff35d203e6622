//! What is wrong, as a pure function of what was observed and the thresholds.
//!
//! A finding is *raised* when it is bad enough to open an incident. Below that, while things are not in order yet, it
//! *lingers*: it opens nothing, but an incident that is open stays open. So what flaps around a threshold is one incident.

use engine::event::OpenedIncident;
use engine::names::Mnemonic;
use engine::units::{show_seconds, show_size};
use jiff::{SignedDuration, Timestamp};

use super::observation::Observation;
use super::rule::Rule;
use crate::settings::Incidents as Thresholds;
use crate::settings::units::count;

/// A rule that found something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) rule: Rule,
    /// What it is about.
    pub(crate) subject: String,
    /// What is so, without payload.
    pub(crate) text: String,
    /// Bad enough to open an incident.
    pub(crate) raised: bool,
    /// Participants that only the observation knows.
    pub(crate) names: Vec<Mnemonic>,
    /// What it is about, if it stands for several findings.
    pub(crate) others: Vec<String>,
}

impl Finding {
    fn new(rule: Rule, subject: impl Into<String>, raised: bool, text: String) -> Self {
        Self {
            rule,
            subject: subject.into(),
            text,
            raised,
            names: Vec::new(),
            others: Vec::new(),
        }
    }
}

/// The subject of what is about the gateway as a whole.
pub(crate) const GATEWAY: &str = "gateway";

/// Everything that is not in order.
pub(crate) fn find(seen: &Observation, thresholds: &Thresholds) -> Vec<Finding> {
    let mut found = Vec::new();
    upstreams(seen, thresholds, &mut found);
    queues(seen, thresholds, &mut found);
    disk(seen, thresholds, &mut found);
    certificates(seen, thresholds, &mut found);
    journal(seen, thresholds, &mut found);
    signatures(seen, thresholds, &mut found);
    if let Some(text) = &seen.clock {
        found.push(Finding::new(Rule::ClockNotBelieved, GATEWAY, true, text.clone()));
    }
    found
}

fn upstreams(seen: &Observation, thresholds: &Thresholds, found: &mut Vec<Finding>) {
    for (name, since) in &seen.upstreams_down {
        let down = waited(seen.now, *since);
        let text = format!("upstream {name} has been out of reach for {}", shown(down));
        let raised = down >= term(thresholds.upstream_down);
        found.push(Finding::new(Rule::UpstreamDown, name.as_str(), raised, text));
    }
    if let Some(since) = seen.held_since {
        let text = format!("nothing has gone to upstreams since {}", moment(since));
        found.push(Finding::new(Rule::UpstreamsHeld, GATEWAY, true, text));
    }
}

fn queues(seen: &Observation, thresholds: &Thresholds, found: &mut Vec<Finding>) {
    for (queue, oldest) in &seen.queues {
        let limit = term(thresholds.queue_age_of(queue));
        let age = waited(seen.now, *oldest);
        if age < limit / 2 {
            continue;
        }
        let text = format!("the oldest message of {queue} has waited for {}", shown(age));
        found.push(Finding::new(Rule::QueueOld, queue.as_str(), age >= limit, text));
    }
    if seen.quarantine > 0 {
        let text = format!("{} in quarantine", count(seen.quarantine, "message"));
        found.push(Finding::new(Rule::QuarantineNotEmpty, GATEWAY, true, text));
    }
}

fn disk(seen: &Observation, thresholds: &Thresholds, found: &mut Vec<Finding>) {
    let (free, reserve) = (seen.disk_free, seen.disk_reserve);
    if reserve == 0 {
        return;
    }
    let percent = |part: u64| u64::try_from(u128::from(reserve) * u128::from(part) / 100).unwrap_or(u64::MAX);
    let text = format!("{} free, {} are reserved", show_size(free), show_size(reserve));
    // A tenth more, so that what is written and removed around the mark is one incident.
    if free < percent(thresholds.disk_near + 10) {
        let near = free < percent(thresholds.disk_near);
        found.push(Finding::new(Rule::DiskNearReserve, GATEWAY, near, text.clone()));
    }
    if free < percent(110) {
        found.push(Finding::new(Rule::DiskBelowReserve, GATEWAY, free < reserve, text));
    }
}

fn certificates(seen: &Observation, thresholds: &Thresholds, found: &mut Vec<Finding>) {
    for (holder, end) in &seen.certificates {
        let left = end - seen.now.as_second();
        let time = show_seconds(left.unsigned_abs());
        let text = match left < 0 {
            true => format!("the last certificate of {holder} expired {time} ago"),
            false => format!("the last certificate of {holder} expires in {time}"),
        };
        // The worst alone: one certificate is one incident.
        let rule = match left {
            ..0 => Rule::CertificateExpired,
            _ if left < term(thresholds.certificate_critical).as_secs() => Rule::CertificateExpiresSoon,
            _ if left < term(thresholds.certificate_warning).as_secs() => Rule::CertificateExpires,
            _ => continue,
        };
        found.push(Finding::new(rule, holder.as_str(), true, text));
    }
}

/// The rule that goes on with what an incident was about, because it has become worse or better meanwhile.
pub(super) fn successor(incident: &OpenedIncident, found: &[Finding]) -> Option<Rule> {
    let is_rung = |rule| {
        matches!(
            rule,
            Rule::CertificateExpires | Rule::CertificateExpiresSoon | Rule::CertificateExpired
        )
    };
    let before = Rule::find(&incident.rule).filter(|rule| is_rung(*rule))?;
    let about = |finding: &&Finding| finding.subject == incident.subject || finding.others.contains(&incident.subject);
    let mut others = found
        .iter()
        .filter(|finding| is_rung(finding.rule) && finding.rule != before);
    others.find(about).map(|finding| finding.rule)
}

fn journal(seen: &Observation, thresholds: &Thresholds, found: &mut Vec<Finding>) {
    if let Some(wrong) = &seen.verification_failed {
        let text = format!("the last verification found: {wrong}");
        found.push(Finding::new(Rule::JournalVerificationFailed, GATEWAY, true, text));
    }
    // One that was never verified is as old as the session.
    let whole = seen.verified_whole.unwrap_or(seen.running_since);
    let age = waited(seen.now, whole);
    if age >= term(thresholds.verification_age) {
        let text = format!("the journal was last found whole {} ago", shown(age));
        found.push(Finding::new(Rule::JournalVerificationOld, GATEWAY, true, text));
    }
    if let Some(made) = seen.backed_up {
        let age = waited(seen.now, made);
        if age >= term(thresholds.backup_age) {
            let text = format!("the last backup was made {} ago", shown(age));
            found.push(Finding::new(Rule::BackupOld, GATEWAY, true, text));
        }
    }
    if let Some((since, alarm_after)) = seen.archive_failing {
        let failing = waited(seen.now, since);
        let text = format!("journal segments have not been shipped for {}", shown(failing));
        let raised = failing >= term(alarm_after);
        found.push(Finding::new(Rule::ArchiveFailing, GATEWAY, raised, text));
    }
}

fn signatures(seen: &Observation, thresholds: &Thresholds, found: &mut Vec<Finding>) {
    let limit = thresholds.signature_failures;
    if limit == 0 {
        return;
    }
    for failures in &seen.signature_failures {
        if failures.count < limit.div_ceil(2) {
            continue;
        }
        let text = format!(
            "{} of {} within {} had a signature that does not verify",
            count(failures.count, "call"),
            failures.subject,
            shown(super::rates::WINDOW)
        );
        let raised = failures.count >= limit;
        let finding = Finding::new(Rule::SignatureFailures, failures.subject.as_str(), raised, text);
        found.push(Finding {
            names: failures.names.clone(),
            ..finding
        });
    }
}

/// How long something has been so; nothing before its beginning.
fn waited(now: Timestamp, since: Timestamp) -> SignedDuration {
    now.duration_since(since).max(SignedDuration::ZERO)
}

/// Durations of settings are bounded to a hundred years.
pub(super) fn term(setting: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(setting).unwrap_or(SignedDuration::MAX)
}

fn shown(time: SignedDuration) -> String {
    show_seconds(time.as_secs().unsigned_abs())
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::incidents::observation::Failures;
    use crate::settings::Settings;

    fn thresholds() -> Thresholds {
        let text = "[node]\nmnemonic = \"A\"\ndata_dir = \"/x\"\n[keys]\nprivate_key = \"k\"\ncertificate = \"c\"\n\
                    [[incidents.queue]]\nqueue = \"SLOW/requests\"\nage = \"8h\"\n";
        Settings::parse("f", text, &std::collections::BTreeMap::new())
            .unwrap()
            .incidents
    }

    fn now() -> Timestamp {
        "2026-11-22T12:00:00Z".parse().unwrap()
    }

    fn ago(minutes: i64) -> Timestamp {
        now() - SignedDuration::from_mins(minutes)
    }

    /// Everything in order.
    fn quiet() -> Observation {
        Observation {
            now: now(),
            running_since: ago(10),
            upstreams_down: Vec::new(),
            held_since: None,
            queues: vec![("MUN001/requests".to_owned(), ago(5))],
            quarantine: 0,
            disk_free: 50 << 30,
            disk_reserve: 1 << 30,
            certificates: vec![("gateway".to_owned(), now().as_second() + 90 * 86_400)],
            verification_failed: None,
            verified_whole: Some(ago(60)),
            backed_up: Some(ago(60)),
            archive_failing: None,
            signature_failures: Vec::new(),
            clock: None,
        }
    }

    /// Rules with their subjects, those that only linger in brackets.
    fn found(change: impl FnOnce(&mut Observation)) -> Vec<String> {
        let mut seen = quiet();
        change(&mut seen);
        let shown = |finding: Finding| match finding.raised {
            true => format!("{} {}", finding.rule.as_str(), finding.subject),
            false => format!("({} {})", finding.rule.as_str(), finding.subject),
        };
        find(&seen, &thresholds()).into_iter().map(shown).collect()
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn what_is_in_order_is_not_found() {
        assert_eq!(found(|_| {}), NOTHING);
    }

    #[test]
    fn an_upstream_that_is_down_for_long() {
        let down = |minutes| found(|seen| seen.upstreams_down = vec![("federal".to_owned(), ago(minutes))]);
        assert_eq!(down(0), ["(upstream_down federal)"]);
        assert_eq!(down(4), ["(upstream_down federal)"]);
        assert_eq!(down(5), ["upstream_down federal"]);
        // A clock that was set back makes nothing older.
        assert_eq!(down(-30), ["(upstream_down federal)"]);
    }

    #[test]
    fn upstreams_on_hold() {
        assert_eq!(found(|seen| seen.held_since = Some(ago(0))), ["upstreams_held gateway"]);
    }

    #[test]
    fn a_queue_with_an_old_message_by_its_own_limit() {
        let old = |queue: &str, minutes| found(|seen| seen.queues = vec![(queue.to_owned(), ago(minutes))]);
        assert_eq!(old("MUN001/requests", 29), NOTHING);
        assert_eq!(old("MUN001/requests", 59), ["(queue_old MUN001/requests)"]);
        assert_eq!(old("MUN001/requests", 60), ["queue_old MUN001/requests"]);
        assert_eq!(old("SLOW/requests", 239), NOTHING);
        assert_eq!(old("SLOW/requests", 479), ["(queue_old SLOW/requests)"]);
        assert_eq!(old("SLOW/requests", 480), ["queue_old SLOW/requests"]);
    }

    #[test]
    fn something_in_quarantine() {
        assert_eq!(found(|seen| seen.quarantine = 1), ["quarantine_not_empty gateway"]);
    }

    #[test]
    fn a_disk_near_and_below_its_reserve() {
        let free = |percent: u64| found(|seen| seen.disk_free = (1 << 30) / 100 * percent);
        assert_eq!(free(161), NOTHING);
        assert_eq!(free(155), ["(disk_near_reserve gateway)"]);
        assert_eq!(free(149), ["disk_near_reserve gateway"]);
        let low = ["disk_near_reserve gateway", "(disk_below_reserve gateway)"];
        assert_eq!(free(105), low);
        let full = ["disk_near_reserve gateway", "disk_below_reserve gateway"];
        assert_eq!(free(99), full);
        let none = |seen: &mut Observation| (seen.disk_free, seen.disk_reserve) = (0, 0);
        assert_eq!(found(none), NOTHING, "no reserve, no mark");
    }

    #[test]
    fn a_certificate_at_30_and_7_days_and_after_its_end() {
        let left = |days: i64| {
            let end = now().as_second() + days * 86_400 - 1;
            found(|seen| seen.certificates = vec![("participant/MUN001".to_owned(), end)])
        };
        assert_eq!(left(31), NOTHING);
        assert_eq!(left(30), ["certificate_expires participant/MUN001"]);
        assert_eq!(left(8), ["certificate_expires participant/MUN001"]);
        assert_eq!(left(7), ["certificate_expires_soon participant/MUN001"]);
        assert_eq!(left(1), ["certificate_expires_soon participant/MUN001"]);
        assert_eq!(left(0), ["certificate_expired participant/MUN001"]);
    }

    #[test]
    fn a_certificate_that_comes_nearer_to_its_end_goes_on_under_another_rule() {
        let incident = |rule: Rule, subject: &str| OpenedIncident {
            rule: rule.as_str().to_owned(),
            subject: subject.to_owned(),
            severity: rule.severity(),
            text: String::new(),
            affected: engine::event::Affected::default(),
        };
        let soon = |subject: &str| Finding::new(Rule::CertificateExpiresSoon, subject, true, String::new());
        let among_others = Finding {
            others: vec!["gateway".to_owned()],
            ..soon("others")
        };
        let earlier = incident(Rule::CertificateExpires, "gateway");
        for found in [soon("gateway"), among_others] {
            assert_eq!(successor(&earlier, &[found]), Some(Rule::CertificateExpiresSoon));
        }
        assert_eq!(successor(&earlier, &[soon("smev3.tls")]), None);
        assert_eq!(
            successor(&incident(Rule::CertificateExpiresSoon, "gateway"), &[soon("gateway")]),
            None
        );
        assert_eq!(
            successor(&incident(Rule::BackupOld, "gateway"), &[soon("gateway")]),
            None
        );
    }

    #[test]
    fn a_journal_that_is_damaged_or_was_not_verified() {
        let failed = |seen: &mut Observation| seen.verification_failed = Some("record 7".to_owned());
        assert_eq!(found(failed), ["journal_verification_failed gateway"]);
        let verified = |days: i64| found(|seen| seen.verified_whole = Some(ago(days * 1440)));
        assert_eq!(verified(2), NOTHING);
        assert_eq!(verified(3), ["journal_verification_old gateway"]);
        let never = |days: i64| {
            found(|seen| {
                seen.verified_whole = None;
                seen.running_since = ago(days * 1440);
            })
        };
        assert_eq!(never(2), NOTHING);
        assert_eq!(never(3), ["journal_verification_old gateway"]);
    }

    #[test]
    fn a_backup_that_is_old_where_one_was_ever_made() {
        let made = |at: Option<Timestamp>| found(|seen| seen.backed_up = at);
        assert_eq!(made(None), NOTHING);
        assert_eq!(made(Some(ago(47 * 60))), NOTHING);
        assert_eq!(made(Some(ago(48 * 60))), ["backup_old gateway"]);
    }

    #[test]
    fn an_archive_that_fails_for_as_long_as_it_is_set() {
        let hour = std::time::Duration::from_secs(3600);
        let failing = |minutes| found(|seen| seen.archive_failing = Some((ago(minutes), hour)));
        assert_eq!(failing(59), ["(archive_failing gateway)"]);
        assert_eq!(failing(60), ["archive_failing gateway"]);
    }

    #[test]
    fn signature_failures_above_a_rate() {
        let failing = |count| {
            let failures = Failures {
                subject: "participant/MUN001".to_owned(),
                count,
                names: Vec::new(),
            };
            found(|seen| seen.signature_failures = vec![failures])
        };
        assert_eq!(failing(9), NOTHING);
        assert_eq!(failing(19), ["(signature_failures participant/MUN001)"]);
        assert_eq!(failing(20), ["signature_failures participant/MUN001"]);
    }

    #[test]
    fn a_clock_that_is_not_believed() {
        let doubted = |seen: &mut Observation| seen.clock = Some("it jumped".to_owned());
        assert_eq!(found(doubted), ["clock_not_believed gateway"]);
    }

    #[test]
    fn every_rule_has_a_word_of_its_own_and_can_be_found_by_it() {
        for rule in Rule::ALL {
            assert_eq!(Rule::find(rule.as_str()), Some(rule));
            for text in [rule.title(), rule.title_ru(), rule.remedy(), rule.remedy_ru()] {
                assert!(!text.is_empty());
            }
        }
        assert_eq!(Rule::find("nosuch"), None);
    }
}
