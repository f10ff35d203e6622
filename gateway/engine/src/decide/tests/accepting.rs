//! What a participant may send, and what it hears otherwise.

use jiff::{SignedDuration, Timestamp};

use crate::command::{
    AttachmentFault, Content, Incoming, Notice, NoticeReason, Refusal, RoutingFacts, SchemaVerdict, TakeFrom,
};
use crate::names::{MessageId, Party};
use crate::testing::{Region, id_at, participant, request, start_time, upstream};

fn fresh(n: u32) -> MessageId {
    id_at(start_time(), n)
}

/// A request of `CITY` for `plan`, changed.
fn city(change: impl FnOnce(&mut Incoming)) -> Incoming {
    let mut incoming = request(participant("CITY"), fresh(1), "plan");
    change(&mut incoming);
    incoming
}

fn shifted(by: SignedDuration) -> MessageId {
    id_at(start_time() + by, 1)
}

#[test]
fn every_refusal_has_its_reason() {
    let minutes = SignedDuration::from_mins;
    let cases: Vec<(&str, Incoming, &str)> = vec![
        (
            "older than 48 hours",
            city(|i| i.message_id = shifted(-minutes(48 * 60 + 1))),
            "stale_id",
        ),
        (
            "more than 15 minutes ahead",
            city(|i| i.message_id = shifted(minutes(16))),
            "stale_id",
        ),
        (
            "no such kind",
            request(participant("CITY"), fresh(1), "none"),
            "unknown_kind",
        ),
        ("the root of an answer", city(|i| rename(i, "Response")), "unknown_kind"),
        (
            "no grant to request",
            request(participant("TOWN"), fresh(1), "plan"),
            "sender_without_grant",
        ),
        ("no route", request(participant("CITY"), fresh(1), "lost"), "no_route"),
        (
            "a local kind on a route out",
            request(participant("CITY"), fresh(1), "home"),
            "local_kind",
        ),
        (
            "files outside the message, local route",
            city(|i| i.file_references = true),
            "file_references",
        ),
        (
            "end of life is now",
            city(|i| i.end_of_life = Some(start_time())),
            "end_of_life",
        ),
    ];
    for (case, incoming, expected) in cases {
        let mut region = Region::new();
        assert_eq!(region.accept(incoming).unwrap_err().reason(), expected, "{case}");
        assert!(region.rows.0.is_empty(), "{case}: a refusal changes nothing");
    }
}

#[test]
fn the_edges_of_freshness_are_inside() {
    let minutes = SignedDuration::from_mins;
    for id in [shifted(-minutes(48 * 60)), shifted(minutes(15))] {
        assert!(Region::new().accept(city(|i| i.message_id = id)).is_ok());
    }
}

#[test]
fn freshness_is_measured_with_the_later_of_clock_and_journal() {
    let mut region = Region::new();
    region.pass(SignedDuration::from_hours(72));
    let late = id_at(region.now, 9);
    region.accept(city(|i| i.message_id = late)).unwrap();
    region.now = start_time();
    let refusal = region.accept(city(|_| {})).unwrap_err();
    assert_eq!(refusal.reason(), "stale_id", "the journal was 72 hours later already");
}

#[test]
fn an_identifier_is_accepted_once() {
    let mut region = Region::new();
    region.accept(city(|_| {})).unwrap();
    assert_eq!(region.accept(city(|_| {})), Err(Refusal::AlreadySent(fresh(1))));

    let foreign = request(participant("TOWN"), fresh(1), "pass");
    let seq = region.next_seq();
    assert_eq!(
        region.accept(foreign),
        Err(Refusal::ForeignId(fresh(1))),
        "never AlreadySent to another sender"
    );
    assert_eq!(region.events_from(seq), ["incident"]);
}

#[test]
fn only_acceptance_is_remembered() {
    let mut region = Region::new();
    region
        .accept(request(participant("CITY"), fresh(1), "lost"))
        .unwrap_err();
    assert!(
        region.accept(city(|_| {})).is_ok(),
        "the identifier of a refused message may be used again"
    );
}

#[test]
fn a_message_that_was_rejected_later_was_sent_all_the_same() {
    let mut region = Region::new();
    let invalid = city(|i| schema(i, SchemaVerdict::Invalid(vec!["no".to_owned()])));
    region.accept(invalid).unwrap();
    assert_eq!(region.accept(city(|_| {})), Err(Refusal::AlreadySent(fresh(1))));
}

#[test]
fn checks_come_in_the_order_of_the_design() {
    // Everything is wrong; each step repairs the first thing that is checked.
    let mut region = Region::new();
    region.accept(request(participant("TOWN"), fresh(2), "pass")).unwrap();
    region.accept(request(participant("CITY"), fresh(3), "plan")).unwrap();
    region.settings.queue_messages = 1;
    let mut incoming = request(participant("TOWN"), shifted(-SignedDuration::from_hours(50)), "none");
    incoming.end_of_life = Some(Timestamp::MIN);
    incoming.file_references = true;
    incoming.attachments = Err(AttachmentFault::Mismatch);
    schema(&mut incoming, SchemaVerdict::Unusable);
    let mut expect = |incoming: &Incoming, reason: &str| {
        assert_eq!(region.accept(incoming.clone()).unwrap_err().reason(), reason);
    };
    expect(&incoming, "stale_id");
    incoming.message_id = fresh(2);
    expect(&incoming, "already_sent");
    incoming.message_id = fresh(1);
    expect(&incoming, "unknown_kind");
    incoming.content = request(participant("TOWN"), fresh(1), "lost").content;
    expect(&incoming, "sender_without_grant");
    incoming.sender = participant("CITY");
    expect(&incoming, "no_route");
    incoming.content = request(participant("CITY"), fresh(1), "plan").content;
    schema(&mut incoming, SchemaVerdict::Unusable);
    expect(&incoming, "attachments_mismatch");
    incoming.attachments = Ok(());
    expect(&incoming, "file_references");
    incoming.file_references = false;
    expect(&incoming, "end_of_life");
    incoming.end_of_life = None;
    expect(&incoming, "queue_messages");
    region.settings.queue_messages = 2;
    let refusal = region.accept(incoming.clone()).unwrap_err();
    assert_eq!(
        refusal.reason(),
        "unavailable",
        "what the sender can repair comes first"
    );
    schema(&mut incoming, SchemaVerdict::Valid);
    assert!(region.accept(incoming).is_ok());
}

#[test]
fn a_provider_without_grant_gets_no_requests() {
    let mut region = Region::new();
    region.revoke(&participant("LAND"));
    let refusal = region.accept(city(|_| {})).unwrap_err();
    assert!(matches!(refusal, Refusal::AccessDenied { party, .. } if party == participant("LAND")));
}

#[test]
fn the_first_route_whose_condition_holds_is_taken() {
    let dynamic = |values: &[&str]| {
        let mut incoming = request(participant("CITY"), fresh(1), "both");
        let Content::Request { routing, .. } = &mut incoming.content else {
            panic!("a request")
        };
        *routing = RoutingFacts {
            dynamic: values.iter().map(|v| (*v).to_owned()).collect(),
            ..RoutingFacts::default()
        };
        Region::new().accept(incoming).unwrap().recipient
    };
    assert_eq!(dynamic(&["south", "north"]), Party::Upstream(upstream()));
    assert_eq!(dynamic(&["south"]), participant("LAND"));
    assert_eq!(dynamic(&[]), participant("LAND"));
}

#[test]
fn a_queue_has_a_quota_in_messages_and_octets() {
    let mut region = Region::new();
    region.settings.queue_messages = 2;
    for n in 1..=2 {
        region.accept(request(participant("CITY"), fresh(n), "plan")).unwrap();
    }
    let full = region
        .accept(request(participant("CITY"), fresh(3), "plan"))
        .unwrap_err();
    assert!(matches!(full, Refusal::Overflow { queue, .. } if queue.to_string() == "LAND/requests"));

    region.settings.queue_messages = 100;
    region.settings.queue_bytes = 3 * 36 - 1;
    assert_eq!(
        region
            .accept(request(participant("CITY"), fresh(3), "plan"))
            .unwrap_err()
            .reason(),
        "queue_bytes"
    );
    region.settings.queue_bytes += 1;
    assert!(region.accept(request(participant("CITY"), fresh(3), "plan")).is_ok());
}

#[test]
fn towards_an_upstream_each_sender_has_a_quota_of_its_own() {
    let mut region = Region::new();
    region.settings.queue_messages = 1;
    region.accept(request(participant("CITY"), fresh(1), "pass")).unwrap();
    assert_eq!(
        region
            .accept(request(participant("CITY"), fresh(2), "pass"))
            .unwrap_err()
            .reason(),
        "queue_messages"
    );
    assert!(region.accept(request(participant("TOWN"), fresh(3), "pass")).is_ok());
}

#[test]
fn nothing_is_accepted_while_nothing_can_be_promised() {
    let mut region = Region::new();
    region.closed = Some("the disk is full");
    let refusal = region.accept(city(|_| {})).unwrap_err();
    assert_eq!(refusal, Refusal::Unavailable("the disk is full".to_owned()));
}

#[test]
fn what_does_not_fit_its_schema_is_accepted_and_ends_with_a_notice_to_the_sender() {
    let mut region = Region::new();
    let errors: Vec<String> = vec!["line 3: not a number".to_owned()];
    let mut invalid = city(|i| schema(i, SchemaVerdict::Invalid(errors.clone())));
    invalid.node = Some("N1".parse().unwrap());
    region.accept(invalid).unwrap();
    assert_eq!(region.events_from(1), ["accepted", "schema_rejected", "accepted"]);
    assert!(
        region.take("LAND", TakeFrom::Requests).is_none(),
        "it never reaches its receiver"
    );

    assert!(
        region.take("CITY", TakeFrom::Responses(None)).is_none(),
        "the sub-queue of the request gets it"
    );
    let delivery = region
        .take("CITY", TakeFrom::Responses(Some("N1".parse().unwrap())))
        .unwrap();
    let notice: Notice = serde_json::from_slice(region.body(&delivery)).unwrap();
    assert_eq!(delivery.format, crate::command::NOTICE_FORMAT);
    assert_eq!(delivery.original_message_id, Some(fresh(1)));
    assert_eq!(
        (notice.reason, notice.original_message_id),
        (NoticeReason::InvalidContent, fresh(1))
    );
    assert_eq!(notice.errors, errors);
    assert!(region.acknowledge("CITY", notice.message_id).is_ok());
}

fn rename(incoming: &mut Incoming, local: &str) {
    if let Content::Request { root, .. } = &mut incoming.content {
        local.clone_into(&mut root.local);
    }
}

fn schema(incoming: &mut Incoming, verdict: SchemaVerdict) {
    match &mut incoming.content {
        Content::Request { schema, .. } | Content::Response { schema, .. } => *schema = verdict,
    }
}
