//! Attempts upstream: the table of DESIGN §6.

use crate::command::{ForwardOutcome as Outcome, Notice, NoticeReason, QuarantineDecision, Refusal, TakeFrom};
use crate::message::State as Life;
use crate::names::MessageId;
use crate::testing::{Region, id_at, participant, request};

fn region() -> (Region, MessageId) {
    let mut region = Region::new();
    let id = id_at(region.now, 1);
    region.accept(request(participant("CITY"), id, "pass")).unwrap();
    (region, id)
}

fn cause() -> String {
    "because".to_owned()
}

fn rejected() -> Outcome {
    Outcome::Rejected {
        fault: "InvalidContent".to_owned(),
        code: Some("c:1".to_owned()),
        text: "what is wrong".to_owned(),
    }
}

/// What a message is after its outcomes.
#[derive(Debug, PartialEq, Eq)]
enum After {
    Done,
    Waits { certain: bool, unknown: u32 },
    Quarantine,
}

fn after(outcomes: &[Outcome]) -> After {
    let (mut region, id) = region();
    for outcome in outcomes {
        region.start_forward(1, id).unwrap();
        region.outcome(1, outcome.clone()).unwrap();
    }
    let message = region.message(1).unwrap();
    match message.state {
        Life::Waiting => After::Waits {
            certain: message.attempts.certainly_not_sent(),
            unknown: message.attempts.unknown,
        },
        Life::Quarantined => After::Quarantine,
        Life::Finished { .. } => After::Done,
        Life::Leased { .. } => panic!("an upstream has no leases"),
    }
}

#[test]
fn the_table_of_outcomes() {
    let unknown = || Outcome::Unknown { cause: cause() };
    let not_sent = || Outcome::NotSent { cause: cause() };
    let slow = || Outcome::SlowDown {
        fault: "QuoteLimitExceeded".to_owned(),
    };
    let cases: Vec<(&str, Vec<Outcome>, After)> = vec![
        ("accepted", vec![Outcome::Accepted], After::Done),
        (
            "already sent, first attempt",
            vec![Outcome::AlreadySent],
            After::Quarantine,
        ),
        (
            "already sent after an attempt",
            vec![unknown(), Outcome::AlreadySent],
            After::Done,
        ),
        (
            "not sent",
            vec![not_sent()],
            After::Waits {
                certain: true,
                unknown: 0,
            },
        ),
        (
            "unknown",
            vec![unknown(), unknown()],
            After::Waits {
                certain: false,
                unknown: 2,
            },
        ),
        (
            "unknown stays uncertain",
            vec![unknown(), not_sent()],
            After::Waits {
                certain: false,
                unknown: 0,
            },
        ),
        (
            "19 unknown",
            vec![unknown(); 19],
            After::Waits {
                certain: false,
                unknown: 19,
            },
        ),
        ("20 unknown", vec![unknown(); 20], After::Quarantine),
        (
            "slow down",
            vec![slow()],
            After::Waits {
                certain: true,
                unknown: 0,
            },
        ),
        (
            "renewed",
            vec![not_sent(), Outcome::Renew],
            After::Waits {
                certain: true,
                unknown: 0,
            },
        ),
        (
            "no new id after an unknown outcome",
            vec![unknown(), Outcome::Renew],
            After::Quarantine,
        ),
        ("rejected", vec![rejected()], After::Done),
        (
            "a person",
            vec![Outcome::Quarantined { cause: cause() }],
            After::Quarantine,
        ),
    ];
    for (case, outcomes, expected) in cases {
        assert_eq!(after(&outcomes), expected, "{case}");
    }
}

#[test]
fn an_attempt_without_outcome_counts_as_unknown() {
    let (mut region, id) = region();
    region.start_forward(1, id).unwrap();
    assert!(
        !region.message(1).unwrap().attempts.certainly_not_sent(),
        "a crash now leaves it open"
    );
    region.start_forward(1, id).unwrap();
    region.outcome(1, Outcome::NotSent { cause: cause() }).unwrap();
    assert!(
        !region.message(1).unwrap().attempts.certainly_not_sent(),
        "the first attempt stays open"
    );
}

#[test]
fn only_the_first_of_a_lane_may_start() {
    let (mut region, first) = region();
    let (second, town) = (id_at(region.now, 2), id_at(region.now, 3));
    region.accept(request(participant("CITY"), second, "pass")).unwrap();
    region.accept(request(participant("TOWN"), town, "pass")).unwrap();
    assert_eq!(region.start_forward(2, second), Err(Refusal::TargetNotFound(second)));
    assert!(region.start_forward(3, town).is_ok(), "another sender is another lane");
    region.start_forward(1, first).unwrap();
    region.outcome(1, Outcome::Quarantined { cause: cause() }).unwrap();
    assert!(
        region.start_forward(2, second).is_ok(),
        "what is in quarantine holds nobody up"
    );
}

#[test]
fn a_final_refusal_becomes_a_notice_to_the_sender_under_its_own_identifier() {
    let (mut region, id) = region();
    let renewed = id_at(region.now, 77);
    region.start_forward(1, renewed).unwrap();
    region.outcome(1, rejected()).unwrap();
    let delivery = region.take("CITY", TakeFrom::Responses(None)).unwrap();
    let notice: Notice = serde_json::from_slice(region.body(&delivery)).unwrap();
    assert_eq!(notice.original_message_id, id);
    assert_eq!(notice.errors, ["what is wrong"]);
    let expected = NoticeReason::UpstreamFault {
        fault: "InvalidContent".to_owned(),
        code: Some("c:1".to_owned()),
    };
    assert_eq!(notice.reason, expected);
    let journal = serde_json::to_string(&region.events.iter().map(|(_, _, e)| e).collect::<Vec<_>>()).unwrap();
    assert!(
        !journal.contains("what is wrong"),
        "fault texts never reach the journal"
    );
}

#[test]
fn a_person_retries_at_the_old_place_or_rejects_with_a_notice() {
    let (mut region, id) = region();
    region
        .accept(request(participant("CITY"), id_at(region.now, 2), "pass"))
        .unwrap();
    region.start_forward(1, id).unwrap();
    region.outcome(1, Outcome::Quarantined { cause: cause() }).unwrap();
    region.decide(1, QuarantineDecision::Retry).unwrap();
    assert!(region.start_forward(1, id).is_ok(), "first of its lane again");
    region.outcome(1, Outcome::Quarantined { cause: cause() }).unwrap();
    assert!(
        region
            .decide(
                1,
                QuarantineDecision::Reject {
                    reason: "twice".to_owned()
                }
            )
            .is_ok()
    );
    let delivery = region.take("CITY", TakeFrom::Responses(None)).unwrap();
    let notice: Notice = serde_json::from_slice(region.body(&delivery)).unwrap();
    assert_eq!(
        (notice.reason, notice.details.as_str()),
        (NoticeReason::Operator, "twice")
    );
    assert!(region.decide(1, QuarantineDecision::Retry).is_err(), "it has ended");
}

#[test]
fn what_waits_may_be_rejected_unless_it_may_be_upstream_already() {
    let reject = || QuarantineDecision::Reject {
        reason: "no".to_owned(),
    };
    let (mut region, id) = region();
    region.start_forward(1, id).unwrap();
    assert!(region.decide(1, reject()).is_err());
    region.outcome(1, Outcome::NotSent { cause: cause() }).unwrap();
    assert!(region.decide(1, reject()).is_ok());
}
