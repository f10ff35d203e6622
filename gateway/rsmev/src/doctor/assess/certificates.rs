//! Key and certificates: whether they fit, and how long they are valid.

use super::{Level, Lines};
use crate::doctor::facts::{Facts, Seen};
use crate::health::{CertificateFact, Of};

const DAY: i64 = 86_400;
/// Days before the end at which a certificate is told of, warned of, and urgent.
const MARKS: [i64; 3] = [60, 30, 7];
/// Certificates of participants that are named one by one.
const NAMED: usize = 10;

pub(super) fn assess(facts: &Facts, lines: &mut Lines) {
    key(facts, lines);
    let now = facts.at.as_second();
    let (participants, others): (Vec<_>, Vec<_>) = facts
        .certificates
        .iter()
        .partition(|certificate| matches!(certificate.of, Of::Participant(_)));
    for certificate in others {
        one(certificate, now, lines);
    }
    let mut participants = participants;
    participants.sort_by_key(|certificate| certificate.not_after);
    let (marked, rest): (Vec<_>, Vec<_>) = participants
        .into_iter()
        .partition(|certificate| level(certificate, now) != Level::Ok);
    for certificate in marked.iter().take(NAMED) {
        one(certificate, now, lines);
    }
    if marked.len() > NAMED {
        let text = format!("{} more are at or near their end", marked.len() - NAMED);
        lines.add(
            Level::Warning,
            "certificates",
            text,
            "`rsmev registry show`; --output json names all",
        );
    }
    if let Some(first) = rest.first() {
        let days = (first.not_after - now) / DAY;
        let text = format!(
            "{} of participants are valid; the first to end is that of {}, in {days} days",
            rest.len(),
            first.of
        );
        lines.ok("certificates", text);
    }
}

fn key(facts: &Facts, lines: &mut Lines) {
    const SUBJECT: &str = "key";
    let runs = facts.gateway.health().is_some();
    match &facts.key {
        Seen::So(()) => lines.ok(SUBJECT, "the gateway's key and certificate belong together"),
        Seen::Nothing => {}
        Seen::NotAllowed(why) if runs => {
            lines.ok(
                SUBJECT,
                format!("the running gateway has it; the file was not looked at: {why}"),
            );
        }
        Seen::NotAllowed(why) => {
            lines.add(
                Level::Note,
                SUBJECT,
                format!("was not looked at: {why}"),
                "run this as root",
            );
        }
        Seen::Wrong(why) if runs => {
            let text = format!("the gateway runs, but could not start again: {why}");
            let remedy = "put the files right before the next restart";
            lines.add(Level::Trouble, SUBJECT, text, remedy);
        }
        Seen::Wrong(why) => {
            lines.add(
                Level::Trouble,
                SUBJECT,
                why.clone(),
                "`rsmev keys new` makes key and certificate",
            );
        }
    }
}

/// How urgent a certificate is. Without its own the gateway cannot work; the others' are for others to replace.
fn level(certificate: &CertificateFact, now: i64) -> Level {
    let own = matches!(certificate.of, Of::Gateway | Of::Door);
    let [told, warned, urgent] = MARKS.map(|days| certificate.not_after - now < days * DAY);
    match (told, warned, urgent || now < certificate.not_before) {
        (_, _, true) if own => Level::Trouble,
        (_, _, true) | (_, true, _) => Level::Warning,
        (true, _, _) => Level::Note,
        _ => Level::Ok,
    }
}

fn one(certificate: &CertificateFact, now: i64, lines: &mut Lines) {
    let CertificateFact { of, subject, .. } = certificate;
    let left = certificate.not_after - now;
    let days = left.abs() / DAY;
    let text = if now < certificate.not_before {
        let days = (certificate.not_before - now) / DAY;
        format!("{subject}: not valid yet, for {days} more days")
    } else if left < 0 {
        format!("{subject}: expired {days} days ago")
    } else {
        format!("{subject}: {days} days left")
    };
    let level = level(certificate, now);
    let remedy = match (level, of) {
        (Level::Ok, _) => "",
        (_, Of::Gateway) => "`rsmev keys csr` orders the next one; put it into keys.certificate and restart",
        (_, Of::Door) => "put the next one into smev3.tls.certificate; it is taken without a restart",
        (_, Of::Upstream) => "add the next one to trusted_signers, then `systemctl reload rsmev`",
        (_, Of::Participant(_)) => "ask for the next one, add it to `certificates`, and `rsmev registry apply`",
    };
    lines.add(level, format!("certificate of {of}"), text, remedy);
}
