//! Handing out and acknowledging.

use jiff::SignedDuration;

use crate::command::{PayloadRoot, Refusal, TakeFrom};
use crate::event::Event;
use crate::names::MessageId;
use crate::testing::{Region, id_at, participant, request};

fn region_with(kinds: &[&str]) -> (Region, Vec<MessageId>) {
    let mut region = Region::new();
    let mut ids = Vec::new();
    for (n, kind) in (1..).zip(kinds) {
        ids.push(id_at(region.now, n));
        region
            .accept(request(participant("CITY"), id_at(region.now, n), kind))
            .unwrap();
    }
    (region, ids)
}

fn root(kind: &str) -> PayloadRoot {
    PayloadRoot {
        namespace: format!("urn:{kind}"),
        local: "Request".to_owned(),
    }
}

#[test]
fn messages_come_in_the_order_of_acceptance_over_all_kinds() {
    let (mut region, ids) = region_with(&["plan", "both", "plan", "both"]);
    let taken: Vec<_> = (0..4)
        .map(|_| region.take("LAND", TakeFrom::Requests).unwrap().message_id)
        .collect();
    assert_eq!(taken, ids);
    assert!(region.take("LAND", TakeFrom::Requests).is_none());
}

#[test]
fn a_selector_gets_its_kind_alone() {
    let (mut region, ids) = region_with(&["plan", "both", "plan"]);
    let mut take = || {
        region
            .take_kind("LAND", TakeFrom::Requests, Some(root("both")))
            .unwrap()
    };
    assert_eq!(take().map(|d| d.message_id), Some(ids[1]));
    assert!(take().is_none());
}

#[test]
fn a_selector_must_name_a_kind_that_the_caller_provides() {
    let (mut region, _) = region_with(&["plan"]);
    for kind in ["none", "pass"] {
        let refusal = region
            .take_kind("LAND", TakeFrom::Requests, Some(root(kind)))
            .unwrap_err();
        assert_eq!(refusal.reason(), "unknown_message_type", "{kind}");
    }
}

#[test]
fn a_selector_must_name_the_root_of_its_own_direction() {
    let (mut region, _) = region_with(&["plan"]);
    let answers = crate::command::PayloadRoot {
        local: "Response".to_owned(),
        ..root("plan")
    };
    let refusal = region
        .take_kind("LAND", TakeFrom::Requests, Some(answers.clone()))
        .unwrap_err();
    assert_eq!(refusal.reason(), "unknown_message_type");
    let from = TakeFrom::Responses(None);
    let refusal = region.take_kind("CITY", from.clone(), Some(root("plan"))).unwrap_err();
    assert_eq!(refusal.reason(), "unknown_message_type");
    assert!(region.take_kind("CITY", from, Some(answers)).unwrap().is_none());
}

#[test]
fn what_is_handed_out_is_hidden_until_the_lease_ends_and_keeps_its_place() {
    let (mut region, ids) = region_with(&["plan", "plan"]);
    region.take("LAND", TakeFrom::Requests).unwrap();
    region.pass(SignedDuration::from_mins(15) - SignedDuration::from_secs(1));
    region.tick();
    assert_eq!(
        region.take("LAND", TakeFrom::Requests).unwrap().message_id,
        ids[1],
        "the first is still handed out"
    );
    region.pass(SignedDuration::from_secs(1));
    region.tick();
    assert_eq!(
        region.take("LAND", TakeFrom::Requests).unwrap().message_id,
        ids[0],
        "again, before all that is younger"
    );
}

#[test]
fn an_acknowledgement_ends_a_message_once() {
    let (mut region, ids) = region_with(&["plan"]);
    assert_eq!(
        region.acknowledge("LAND", ids[0]),
        Err(Refusal::TargetNotFound(ids[0])),
        "never handed out"
    );
    region.take("LAND", TakeFrom::Requests).unwrap();
    assert_eq!(
        region.acknowledge("CITY", ids[0]),
        Err(Refusal::TargetNotFound(ids[0])),
        "foreign"
    );
    assert!(!region.acknowledge("LAND", ids[0]).unwrap().late);
    assert_eq!(
        region.acknowledge("LAND", ids[0]),
        Err(Refusal::TargetNotFound(ids[0])),
        "already acknowledged"
    );
    region.pass(SignedDuration::from_hours(1));
    region.tick();
    assert!(region.take("LAND", TakeFrom::Requests).is_none());
}

#[test]
fn a_late_acknowledgement_is_honoured() {
    for ticked in [false, true] {
        let (mut region, ids) = region_with(&["plan"]);
        region.take("LAND", TakeFrom::Requests).unwrap();
        region.pass(SignedDuration::from_mins(20));
        if ticked {
            region.tick();
        }
        assert!(region.acknowledge("LAND", ids[0]).unwrap().late, "ticked: {ticked}");
        region.tick();
        assert!(region.take("LAND", TakeFrom::Requests).is_none());
    }
}

#[test]
fn accepted_false_removes_the_message_and_is_an_incident() {
    let (mut region, ids) = region_with(&["plan"]);
    region.take("LAND", TakeFrom::Requests).unwrap();
    let seq = region.next_seq();
    region.acknowledge_as("LAND", ids[0], false).unwrap();
    assert_eq!(region.events_from(seq), ["acknowledged", "incident"]);
    region.pass(SignedDuration::from_hours(1));
    region.tick();
    assert!(region.take("LAND", TakeFrom::Requests).is_none());
}

#[test]
fn an_empty_poll_writes_nothing() {
    let mut region = Region::new();
    assert!(region.take("LAND", TakeFrom::Requests).is_none());
    assert!(region.events.is_empty());
}

#[test]
fn what_waits_when_a_grant_is_withdrawn_stays() {
    let (mut region, ids) = region_with(&["plan"]);
    let granted = region.registry.content().clone();
    region.revoke(&participant("LAND"));
    assert!(region.take("LAND", TakeFrom::Requests).is_none());
    region.registry = crate::registry::Registry::new(granted);
    assert_eq!(region.take("LAND", TakeFrom::Requests).unwrap().message_id, ids[0]);
}

#[test]
fn what_has_ended_stays_so_whatever_was_decided_without_knowing_of_it() {
    let (mut region, ids) = region_with(&["plan"]);
    region.take("LAND", TakeFrom::Requests).unwrap();
    region.acknowledge("LAND", ids[0]).unwrap();
    let rows = region.rows.clone();
    let message = 1;
    for event in [
        Event::LeaseExpired { message },
        Event::HandedOut {
            message,
            until: Some(region.now),
        },
        Event::Expired { message },
    ] {
        region.record(event);
    }
    assert_eq!(region.rows, rows);
}
