//! What the upstream's answer to a message means: the table of DESIGN §6, as a pure function.

use engine::command::ForwardOutcome;
use smev3::client::UpstreamFault;
use smev3::fault::FaultName;

use crate::northbound::History;

/// What came of one attempt.
#[derive(Debug, Clone)]
pub enum Attempt {
    /// The upstream says that it took the message, under a good signature.
    Accepted,
    /// The upstream answered with a fault.
    Fault(UpstreamFault),
    /// Nothing was sent: there was no connection.
    NotSent(String),
    /// It may have arrived: time-out, broken answer, HTTP 5xx without a fault, an answer with a bad signature.
    Unknown(String),
}

/// What follows from an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// For the engine: what becomes of the message.
    pub outcome: ForwardOutcome,
    /// Whether the lane may go on at once.
    pub lane: LaneNext,
    /// What it says about the link.
    pub link: LinkSign,
}

/// How the lane goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaneNext {
    /// With its next message, at once.
    Continue,
    /// After a back-off.
    Wait,
}

/// What an attempt says about the link as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkSign {
    /// The upstream takes messages.
    Works,
    /// The upstream answers; no more can be said.
    Answers,
    /// There is no connection.
    NoConnection,
    /// This lane failed; with others that fail it may be the link.
    LaneFailed,
    /// The upstream does not recognise our signature: it may be the message, it may be us.
    Suspicious,
}

/// Rules on an attempt, given what happened before it. `unknown_tries` tries in a row with unknown outcome, this one
/// included, are the most that a message gets.
pub fn rule(attempt: &Attempt, history: &History, unknown_tries: u32) -> Ruling {
    match attempt {
        Attempt::Accepted => go_on(ForwardOutcome::Accepted, LinkSign::Works),
        Attempt::NotSent(cause) => wait(ForwardOutcome::NotSent { cause: cause.clone() }, LinkSign::NoConnection),
        Attempt::Unknown(cause) => unknown(cause, history, unknown_tries),
        Attempt::Fault(fault) => rule_on_fault(fault, history, unknown_tries),
    }
}

fn rule_on_fault(fault: &UpstreamFault, history: &History, unknown_tries: u32) -> Ruling {
    use FaultName as F;
    let Some(name) = fault.name else {
        return go_on(quarantine(fault.shown()), LinkSign::Answers);
    };
    match name {
        // Who was never sent cannot have arrived: on a first attempt, and after attempts that certainly failed, it tells
        // that somebody else used the identifier. Counting the message as done would lose it.
        F::MessageIsAlreadySent if history.certainly_failed => go_on(quarantine(name.as_str()), LinkSign::Answers),
        F::MessageIsAlreadySent => go_on(ForwardOutcome::AlreadySent, LinkSign::Works),
        F::SMEVFailure => unknown(name.as_str(), history, unknown_tries),
        F::StaleMessageId if history.certainly_failed => wait(ForwardOutcome::Renew, LinkSign::Answers),
        F::DestinationOverflow | F::QuoteLimitExceeded => wait(
            ForwardOutcome::SlowDown {
                fault: name.to_string(),
            },
            LinkSign::Answers,
        ),
        F::InvalidContent
        | F::BusinessDataTypeIsNotSupported
        | F::RecipientIsNotFound
        | F::AccessDenied
        | F::EndOfLifeReached
        | F::AttachmentContentMiscoordination
        | F::AttachmentSizeLimitExceeded => go_on(rejected(name, fault), LinkSign::Answers),
        F::SignatureVerificationFault | F::SenderIsNotRegistered => {
            wait(quarantine(name.as_str()), LinkSign::Suspicious)
        }
        _ => go_on(quarantine(name.as_str()), LinkSign::Answers),
    }
}

/// Whether a fault says that the upstream does not recognise our signature.
pub fn is_suspicious(fault: &UpstreamFault) -> bool {
    matches!(
        fault.name,
        Some(FaultName::SignatureVerificationFault | FaultName::SenderIsNotRegistered)
    )
}

fn unknown(cause: &str, history: &History, tries: u32) -> Ruling {
    if history.unknown_outcomes.saturating_add(1) < tries {
        return wait(
            ForwardOutcome::Unknown {
                cause: cause.to_owned(),
            },
            LinkSign::LaneFailed,
        );
    }
    let cause = format!("the outcome of {tries} tries in a row is unknown, the last: {cause}");
    wait(ForwardOutcome::Quarantined { cause }, LinkSign::LaneFailed)
}

fn rejected(name: FaultName, fault: &UpstreamFault) -> ForwardOutcome {
    let short = |text: &str, limit| text.chars().take(limit).collect::<String>();
    ForwardOutcome::Rejected {
        fault: name.to_string(),
        code: fault.code.as_deref().map(|code| short(code, 100)),
        text: short(fault.description.as_deref().unwrap_or(&fault.text), 500),
    }
}

fn quarantine(fault: &str) -> ForwardOutcome {
    ForwardOutcome::Quarantined {
        cause: format!("the upstream answered with the fault {fault}"),
    }
}

fn go_on(outcome: ForwardOutcome, link: LinkSign) -> Ruling {
    Ruling {
        outcome,
        lane: LaneNext::Continue,
        link,
    }
}

fn wait(outcome: ForwardOutcome, link: LinkSign) -> Ruling {
    Ruling {
        outcome,
        lane: LaneNext::Wait,
        link,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use LaneNext::{Continue, Wait};
    use LinkSign::{Answers, LaneFailed, NoConnection, Suspicious, Works};

    const FIRST: History = History {
        attempts: 0,
        last_id: None,
        certainly_failed: true,
        unknown_outcomes: 0,
    };
    /// An earlier attempt may have arrived.
    const AGAIN: History = History {
        attempts: 2,
        last_id: None,
        certainly_failed: false,
        unknown_outcomes: 2,
    };
    /// Earlier attempts found no connection.
    const NEVER_SENT: History = History {
        attempts: 5,
        last_id: None,
        certainly_failed: true,
        unknown_outcomes: 0,
    };
    /// The next unknown outcome is the twentieth.
    const LAST_TRY: History = History {
        attempts: 19,
        last_id: None,
        certainly_failed: false,
        unknown_outcomes: 19,
    };

    fn fault(element: &str) -> Attempt {
        Attempt::Fault(UpstreamFault {
            name: Some(FaultName::from_name(element).unwrap()),
            element: Some(element.to_owned()),
            code: Some("c".repeat(120)),
            description: Some("д".repeat(600)),
            text: "text".to_owned(),
        })
    }

    fn name(outcome: &ForwardOutcome) -> &'static str {
        match outcome {
            ForwardOutcome::Accepted => "accepted",
            ForwardOutcome::AlreadySent => "already sent",
            ForwardOutcome::NotSent { .. } => "not sent",
            ForwardOutcome::Unknown { .. } => "unknown",
            ForwardOutcome::SlowDown { .. } => "slow down",
            ForwardOutcome::Renew => "renew",
            ForwardOutcome::Rejected { .. } => "rejected",
            ForwardOutcome::Quarantined { .. } => "quarantined",
        }
    }

    #[test]
    fn every_answer_is_ruled_on_as_the_table_says() {
        let refused = || Attempt::NotSent("connection refused".to_owned());
        let timeout = || Attempt::Unknown("no answer within 60 s".to_owned());
        let table: Vec<(&str, Attempt, History, &str, LaneNext, LinkSign)> = vec![
            ("accepted", Attempt::Accepted, FIRST, "accepted", Continue, Works),
            (
                "accepted at last",
                Attempt::Accepted,
                LAST_TRY,
                "accepted",
                Continue,
                Works,
            ),
            (
                "sent already, by us",
                fault("MessageIsAlreadySent"),
                AGAIN,
                "already sent",
                Continue,
                Works,
            ),
            (
                "sent already, not by us",
                fault("MessageIsAlreadySent"),
                FIRST,
                "quarantined",
                Continue,
                Answers,
            ),
            (
                "sent already, we never got through",
                fault("MessageIsAlreadySent"),
                NEVER_SENT,
                "quarantined",
                Continue,
                Answers,
            ),
            ("refused", refused(), FIRST, "not sent", Wait, NoConnection),
            (
                "refused for the thousandth time",
                refused(),
                LAST_TRY,
                "not sent",
                Wait,
                NoConnection,
            ),
            ("time-out", timeout(), FIRST, "unknown", Wait, LaneFailed),
            (
                "failure of the bus",
                fault("SMEVFailure"),
                AGAIN,
                "unknown",
                Wait,
                LaneFailed,
            ),
            (
                "the twentieth time-out",
                timeout(),
                LAST_TRY,
                "quarantined",
                Wait,
                LaneFailed,
            ),
            (
                "the twentieth failure",
                fault("SMEVFailure"),
                LAST_TRY,
                "quarantined",
                Wait,
                LaneFailed,
            ),
            (
                "stale, nothing arrived",
                fault("StaleMessageId"),
                FIRST,
                "renew",
                Wait,
                Answers,
            ),
            (
                "stale, nothing was sent",
                fault("StaleMessageId"),
                NEVER_SENT,
                "renew",
                Wait,
                Answers,
            ),
            (
                "stale, may have arrived",
                fault("StaleMessageId"),
                AGAIN,
                "quarantined",
                Continue,
                Answers,
            ),
            (
                "overflow",
                fault("DestinationOverflow"),
                FIRST,
                "slow down",
                Wait,
                Answers,
            ),
            ("quota", fault("QuoteLimitExceeded"), AGAIN, "slow down", Wait, Answers),
            ("content", fault("InvalidContent"), FIRST, "rejected", Continue, Answers),
            (
                "type",
                fault("BusinessDataTypeIsNotSupported"),
                AGAIN,
                "rejected",
                Continue,
                Answers,
            ),
            (
                "recipient",
                fault("RecipientIsNotFound"),
                FIRST,
                "rejected",
                Continue,
                Answers,
            ),
            ("access", fault("AccessDenied"), FIRST, "rejected", Continue, Answers),
            (
                "end of life",
                fault("EndOfLifeReached"),
                FIRST,
                "rejected",
                Continue,
                Answers,
            ),
            (
                "attachments",
                fault("AttachmentContentMiscoordination"),
                FIRST,
                "rejected",
                Continue,
                Answers,
            ),
            (
                "too large",
                fault("AttachmentSizeLimitExceeded"),
                FIRST,
                "rejected",
                Continue,
                Answers,
            ),
            (
                "signature",
                fault("SignatureVerificationFault"),
                FIRST,
                "quarantined",
                Wait,
                Suspicious,
            ),
            (
                "unknown to them",
                fault("SenderIsNotRegistered"),
                AGAIN,
                "quarantined",
                Wait,
                Suspicious,
            ),
            (
                "id format",
                fault("InvalidMessageIdFormat"),
                FIRST,
                "quarantined",
                Continue,
                Answers,
            ),
            (
                "not in the table",
                fault("TransactionCodeInvalid"),
                FIRST,
                "quarantined",
                Continue,
                Answers,
            ),
        ];
        for (case, attempt, history, outcome, lane, link) in table {
            let ruling = rule(&attempt, &history, 20);
            assert_eq!(
                (name(&ruling.outcome), ruling.lane, ruling.link),
                (outcome, lane, link),
                "{case}"
            );
        }
    }

    #[test]
    fn a_fault_outside_the_protocol_is_for_a_person() {
        for (element, shown) in [(Some("LimitReached"), "LimitReached"), (None, "without a name")] {
            let foreign = UpstreamFault {
                element: element.map(str::to_owned),
                text: "out of order".to_owned(),
                ..UpstreamFault::default()
            };
            let ruling = rule(&Attempt::Fault(foreign), &FIRST, 20);
            let cause = format!("the upstream answered with the fault {shown}");
            assert_eq!(ruling.outcome, ForwardOutcome::Quarantined { cause });
        }
    }

    #[test]
    fn a_rejection_carries_the_fault_within_its_limits() {
        let ruling = rule(&fault("AccessDenied"), &FIRST, 20);
        let expected = ForwardOutcome::Rejected {
            fault: "AccessDenied".to_owned(),
            code: Some("c".repeat(100)),
            text: "д".repeat(500),
        };
        assert_eq!(ruling.outcome, expected);
    }
}
