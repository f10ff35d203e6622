//! What time alone brings.

use jiff::SignedDuration;

use crate::command::{ForwardOutcome, MessageType, Notice, NoticeReason, TakeFrom};
use crate::message::State as Life;
use crate::names::Party;
use crate::testing::{Region, id_at, participant, request, start_time, upstream};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn region_with(end_of_life: Option<SignedDuration>, kind: &str) -> Region {
    let mut region = Region::new();
    let mut incoming = request(participant("CITY"), id_at(region.now, 1), kind);
    incoming.end_of_life = end_of_life.map(|after| start_time() + after);
    region.accept(incoming).unwrap();
    region
}

fn ended(region: &Region) -> bool {
    region.message(1).is_none_or(|message| message.finished())
}

#[test]
fn lives_end_at_their_eol_or_after_thirty_days() {
    for (end_of_life, after) in [(Some(DAY), DAY), (None, DAY * 30), (Some(DAY * 50), DAY * 50)] {
        let mut region = region_with(end_of_life, "plan");
        region.pass(after - SignedDuration::from_secs(1));
        region.tick();
        assert!(!ended(&region), "{end_of_life:?}");
        region.pass(SignedDuration::from_secs(1));
        region.tick();
        assert!(ended(&region), "{end_of_life:?}");
        let delivery = region.take("CITY", TakeFrom::Responses(None)).unwrap();
        let notice: Notice = serde_json::from_slice(region.body(&delivery)).unwrap();
        assert_eq!(notice.reason, NoticeReason::Expired);
    }
}

#[test]
fn an_expired_message_is_not_handed_out_even_before_the_tick() {
    let mut region = region_with(Some(DAY), "plan");
    let second = id_at(region.now, 2);
    region.accept(request(participant("CITY"), second, "plan")).unwrap();
    region.pass(DAY);
    assert_eq!(region.take("LAND", TakeFrom::Requests).unwrap().message_id, second);
    assert!(ended(&region));
}

#[test]
fn expiry_waits_for_the_lease() {
    let mut region = region_with(Some(SignedDuration::from_mins(5)), "plan");
    region.take("LAND", TakeFrom::Requests).unwrap();
    region.pass(SignedDuration::from_mins(6));
    region.tick();
    assert!(matches!(region.message(1).unwrap().state, Life::Leased { .. }));
    region.pass(SignedDuration::from_mins(10));
    region.tick();
    region.tick();
    assert!(ended(&region));
}

#[test]
fn what_may_be_upstream_already_does_not_expire() {
    let mut region = region_with(Some(DAY), "pass");
    region.start_forward(1, id_at(region.now, 1)).unwrap();
    region.pass(DAY * 40);
    region.tick();
    assert!(!ended(&region), "an attempt is under way");
    region
        .outcome(
            1,
            ForwardOutcome::NotSent {
                cause: "refused".to_owned(),
            },
        )
        .unwrap();
    region.tick();
    assert!(ended(&region));
}

#[test]
fn notices_expire_without_further_notice() {
    let mut region = region_with(Some(DAY), "plan");
    region.pass(DAY);
    region.tick();
    let seq = region.next_seq();
    region.pass(DAY * 30);
    region.tick();
    let kinds = region.events_from(seq);
    assert_eq!(kinds.iter().filter(|kind| *kind == "expired").count(), 1);
    assert!(!kinds.contains(&"accepted".to_owned()));
}

#[test]
fn an_upstreams_request_that_expires_is_answered_north_with_a_notice() {
    let mut region = Region::new();
    region
        .receive(request(Party::Upstream(upstream()), id_at(region.now, 1), "plan"))
        .unwrap();
    region.pass(DAY * 30);
    region.tick();
    let notice = (2..region.next_seq()).find_map(|seq| region.message(seq)).unwrap();
    assert_eq!(notice.recipient, Some(Party::Upstream(upstream())));
    assert_eq!(
        (notice.message_type, notice.lane().as_str()),
        (MessageType::Response, "LAND/plan")
    );
}

#[test]
fn bodies_go_thirty_days_after_the_end_and_the_note_stays_with_the_exchange() {
    let mut region = region_with(None, "plan");
    let delivery = region.take("LAND", TakeFrom::Requests).unwrap();
    region.acknowledge("LAND", delivery.message_id).unwrap();
    region.pass(DAY * 29);
    region.tick();
    assert!(!region.message(1).unwrap().parts.is_empty());
    region.pass(DAY * 2);
    region.tick();
    let message = region.message(1).unwrap();
    assert!(message.parts.is_empty());
    assert!(message.note.is_some(), "the request may still be answered");
}

#[test]
fn nothing_is_left_of_what_nobody_needs() {
    let mut region = region_with(None, "plan");
    let delivery = region.take("LAND", TakeFrom::Requests).unwrap();
    region.acknowledge("LAND", delivery.message_id).unwrap();
    region.pass(DAY * 364);
    region.tick();
    assert!(region.message(1).is_some(), "an unanswered exchange lives for a year");
    region.pass(DAY * 2);
    region.tick();
    let left: Vec<_> = region.rows.0.keys().map(|key| char::from(key[0])).collect();
    assert_eq!(
        left,
        ['s', 'z'],
        "the segment's row stays until the segment goes, and how far identifiers are forgotten"
    );
}

#[test]
fn a_tick_without_anything_due_writes_nothing() {
    let mut region = region_with(Some(DAY), "plan");
    let seq = region.next_seq();
    region.tick();
    assert!(region.events_from(seq).is_empty());
}

#[test]
fn rows_are_a_function_of_the_events() {
    let mut region = region_with(Some(DAY), "plan");
    region.take("LAND", TakeFrom::Requests).unwrap();
    region.pass(DAY * 31);
    region.tick();
    region.tick();
    assert!(region.rows == region.replayed());
}
