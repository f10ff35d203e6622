//! What is told of an incident: a mail in Russian and English, and JSON for programs. Nothing of a message's content is in
//! either, because nothing of it is in an incident.

use std::fmt::Write as _;

use engine::IncidentStatus;
use engine::event::{Affected, Phase};
use engine::names::Mnemonic;
use engine::units::show_seconds;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::incidents::rule::Rule;
use crate::settings::Node;

/// Notices that are told at length in one mail; of others only the number.
const AT_LENGTH: usize = 50;

/// A notice: an incident, and what happened to it.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) incident: IncidentStatus,
    pub(crate) phase: Phase,
}

/// Subject and text of a mail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mail {
    pub(crate) subject: String,
    pub(crate) text: String,
    /// The same for the same notice, so that a mail that comes twice can be recognised.
    pub(crate) id: Option<String>,
}

impl Notice {
    /// What it is told apart by.
    pub(super) fn key(&self) -> (u64, Phase) {
        (self.incident.id, self.phase)
    }

    /// When it happened.
    pub(crate) fn at(&self) -> Timestamp {
        match (&self.incident.closed, self.phase) {
            (Some(closed), Phase::Closed) => closed.at,
            _ => self.incident.opened_at,
        }
    }

    fn affected(&self) -> &Affected {
        match (&self.incident.closed, self.phase) {
            (Some(closed), Phase::Closed) => &closed.affected,
            _ => &self.incident.opened.affected,
        }
    }

    fn rule(&self) -> Option<Rule> {
        Rule::find(&self.incident.opened.rule)
    }

    fn title(&self) -> (&str, &str) {
        let word = self.incident.opened.rule.as_str();
        self.rule().map_or((word, word), |rule| (rule.title(), rule.title_ru()))
    }

    fn lasted(&self) -> Option<u64> {
        let closed = self.incident.closed.as_ref().filter(|_| self.phase == Phase::Closed)?;
        let lasted = closed.at.duration_since(self.incident.opened_at).as_secs();
        Some(u64::try_from(lasted).unwrap_or(0))
    }

    fn text(&self) -> &str {
        match (&self.incident.closed, self.phase) {
            (Some(closed), Phase::Closed) => &closed.text,
            _ => &self.incident.opened.text,
        }
    }

    /// The body of a webhook's call (docs/incidents.md).
    pub(crate) fn json(&self, node: &Node) -> Value {
        let opened = &self.incident.opened;
        let (title, title_ru) = self.title();
        let affected = self.affected();
        let mut json = json!({
            "gateway": node.mnemonic.as_str(),
            "gateway_name": node.name,
            "phase": self.phase.as_str(),
            "incident": self.incident.id,
            "rule": opened.rule,
            "subject": opened.subject,
            "severity": opened.severity.as_str(),
            "title": title,
            "title_ru": title_ru,
            "text": self.text(),
            "remedy": self.rule().map_or("", Rule::remedy),
            "remedy_ru": self.rule().map_or("", Rule::remedy_ru),
            "opened_at": self.incident.opened_at,
            "affected": { "count": affected.count, "participants": affected.participants },
        });
        if let (Some(lasted), Some(closed)) = (self.lasted(), &self.incident.closed) {
            json["closed_at"] = json!(closed.at);
            json["lasted_seconds"] = json!(lasted);
        }
        json
    }
}

/// What a webhook gets as a test.
pub(crate) fn test_json(node: &Node, now: Timestamp) -> Value {
    json!({
        "gateway": node.mnemonic.as_str(),
        "gateway_name": node.name,
        "phase": "test",
        "text": "a test of the notifications; nothing happened",
        "text_ru": "проверка уведомлений; ничего не случилось",
        "at": now,
    })
}

/// What is mailed as a test.
pub(crate) fn test_mail(node: &Node) -> Mail {
    Mail {
        subject: format!("{}: проверка уведомлений / test of notifications", node.mnemonic),
        text: format!(
            "Шлюз {mnemonic} ({name}): проверка уведомлений, ничего не случилось.\n\nGateway {mnemonic} ({name}): a test of the \
             notifications, nothing happened.\n",
            mnemonic = node.mnemonic,
            name = node.name
        ),
        id: None,
    }
}

/// A mail about one notice, or about many at once.
pub(crate) fn mail(node: &Node, notices: &[Notice]) -> Mail {
    let head = format!("Шлюз / gateway {} ({})\n", node.mnemonic, node.name);
    let told: Vec<String> = notices.iter().take(AT_LENGTH).map(paragraph).collect();
    let mut text = format!("{head}\n{}", told.join("\n---\n\n"));
    if let Some(more) = notices.len().checked_sub(AT_LENGTH).filter(|more| *more > 0) {
        let _ = write!(
            text,
            "\n---\n\nи ещё {more}: rsmev incidents --all\nand {more} more: rsmev incidents --all\n"
        );
    }
    let [only] = notices else {
        let count = |phase| notices.iter().filter(|notice| notice.phase == phase).count();
        let (opened, closed) = (count(Phase::Opened), count(Phase::Closed));
        let subject = format!(
            "{}: инциденты: открыто {opened}, закрыто {closed} / incidents: {opened} opened, {closed} closed",
            node.mnemonic
        );
        return Mail {
            subject,
            text,
            id: None,
        };
    };
    let (title, title_ru) = only.title();
    let (phase, phase_ru) = words(only.phase);
    let Notice { incident, phase: of } = only;
    Mail {
        subject: format!(
            "{}: инцидент {} {phase_ru}: {title_ru} ({}) / incident {phase}: {title}",
            node.mnemonic, incident.id, incident.opened.subject
        ),
        text,
        id: Some(format!("<incident-{}-{}@{}>", incident.id, of.as_str(), node.mnemonic)),
    }
}

fn words(phase: Phase) -> (&'static str, &'static str) {
    match phase {
        Phase::Opened => ("opened", "открыт"),
        Phase::Closed => ("closed", "закрыт"),
    }
}

fn paragraph(notice: &Notice) -> String {
    let incident = &notice.incident;
    let opened = &incident.opened;
    let (title, title_ru) = notice.title();
    let (phase, phase_ru) = words(notice.phase);
    let at = moment(notice.at());
    let (since, subject) = (moment(incident.opened_at), &opened.subject);
    let affected = notice.affected();
    let names: Vec<&str> = affected.participants.iter().map(Mnemonic::as_str).collect();
    let mut named = if names.is_empty() {
        "-".to_owned()
    } else {
        names.join(", ")
    };
    if affected.count > affected.participants.len() as u64 {
        named.push_str(" …");
    }
    let (lasted, lasted_ru) = notice.lasted().map_or_else(Default::default, |seconds| {
        let lasted = show_seconds(seconds);
        (format!("Lasted: {lasted}\n"), format!("Длился: {lasted}\n"))
    });
    let (remedy, remedy_ru) = match (notice.phase, notice.rule()) {
        (Phase::Opened, Some(rule)) => (
            format!("What to do: {}\n", rule.remedy()),
            format!("Что делать: {}\n", rule.remedy_ru()),
        ),
        _ => Default::default(),
    };
    let (id, severity, count, text) = (incident.id, opened.severity.as_str(), affected.count, notice.text());
    format!(
        "Инцидент {id} {phase_ru} {at}: {title_ru}\n\
         Предмет: {subject}\n\
         Важность: {severity}\n\
         Открыт: {since}\n\
         {lasted_ru}\
         Подробности: {text}\n\
         Затронуто участников: {count} ({named})\n\
         {remedy_ru}\
         \n\
         Incident {id} {phase} {at}: {title}\n\
         About: {subject}\n\
         Severity: {severity}\n\
         Opened: {since}\n\
         {lasted}\
         Details: {text}\n\
         Participants affected: {count} ({named})\n\
         {remedy}"
    )
}

fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use engine::ClosedIncident;
    use engine::event::{OpenedIncident, Severity};
    use jiff::SignedDuration;

    use super::*;

    pub(in crate::notify) fn node() -> Node {
        Node {
            mnemonic: "RSMEV73".parse().unwrap(),
            name: "Регион".to_owned(),
            data_dir: "/x".into(),
        }
    }

    pub(in crate::notify) fn notice(id: u64, phase: Phase) -> Notice {
        let opened_at: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let affected = Affected::of(["MUN001".parse().unwrap(), "MUN002".parse().unwrap()]);
        Notice {
            incident: IncidentStatus {
                id,
                opened_at,
                opened: OpenedIncident {
                    rule: "upstream_down".to_owned(),
                    subject: "federal".to_owned(),
                    severity: Severity::Critical,
                    text: "upstream federal has been out of reach for 5 min".to_owned(),
                    affected,
                },
                closed: (phase == Phase::Closed).then(|| ClosedIncident {
                    at: opened_at + SignedDuration::from_mins(61),
                    text: "not found any more".to_owned(),
                    affected: Affected::default(),
                }),
                notices: Vec::new(),
            },
            phase,
        }
    }

    #[test]
    fn one_notice_is_a_mail_of_its_own_in_two_languages() {
        let opened = mail(&node(), &[notice(7, Phase::Opened)]);
        assert_eq!(
            opened.subject,
            "RSMEV73: инцидент 7 открыт: Вышестоящий узел недоступен (federal) / incident opened: An upstream is out of reach"
        );
        assert_eq!(opened.id.as_deref(), Some("<incident-7-opened@RSMEV73>"));
        for told in [
            "Затронуто участников: 2 (MUN001, MUN002)",
            "Participants affected: 2 (MUN001, MUN002)",
            "Открыт: 2026-11-22 12:00:00 UTC",
            "Что делать: Сообщения ждут",
            "Details: upstream federal has been out of reach for 5 min",
        ] {
            assert!(opened.text.contains(told), "{told}: {}", opened.text);
        }
        assert!(!opened.text.contains("Lasted"), "{}", opened.text);
        let closed = mail(&node(), &[notice(7, Phase::Closed)]);
        assert!(closed.subject.contains("инцидент 7 закрыт"), "{}", closed.subject);
        assert!(closed.text.contains("Lasted: "), "{}", closed.text);
        assert!(closed.text.contains("Participants affected: 0 (-)"), "{}", closed.text);
    }

    #[test]
    fn a_storm_is_one_mail_of_a_bounded_length() {
        let mut storm: Vec<_> = (0..120).map(|id| notice(id, Phase::Opened)).collect();
        storm.push(notice(0, Phase::Closed));
        let digest = mail(&node(), &storm);
        assert_eq!(
            digest.subject,
            "RSMEV73: инциденты: открыто 120, закрыто 1 / incidents: 120 opened, 1 closed"
        );
        assert_eq!(digest.text.matches("Incident ").count(), AT_LENGTH);
        assert!(
            digest.text.ends_with("and 71 more: rsmev incidents --all\n"),
            "{}",
            digest.text
        );
        assert_eq!(digest.id, None);
    }

    #[test]
    fn programs_are_told_the_same() {
        let json = notice(7, Phase::Closed).json(&node());
        assert_eq!(json["incident"], 7);
        assert_eq!(json["phase"], "closed");
        assert_eq!(json["lasted_seconds"], 61 * 60);
        assert_eq!(json["affected"], json!({ "count": 0, "participants": [] }));
        let json = notice(7, Phase::Opened).json(&node());
        assert_eq!(json["affected"]["participants"], json!(["MUN001", "MUN002"]));
        assert_eq!(json["opened_at"], "2026-11-22T12:00:00Z");
        assert!(json.get("closed_at").is_none());
    }
}
