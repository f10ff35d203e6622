//! Going on towards an upstream after a restoration: nothing is sent twice.

use jiff::SignedDuration;

use crate::command::{ForwardOutcome, QuarantineDecision, Refusal, Standing};
use crate::message::State as Life;
use crate::testing::{Region, id_at, participant, request, start_time};

const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A region in which a message waits for the upstream, restored after some hours.
fn restored_after(hours: i64) -> Region {
    let mut region = Region::new();
    region
        .accept(request(participant("CITY"), id_at(region.now, 1), "pass"))
        .unwrap();
    region.pass(HOUR * i32::try_from(hours).unwrap());
    region.restore();
    region
}

fn is_held(region: &Region, seq: u64) -> bool {
    region.message(seq).unwrap().state == Life::Quarantined
}

#[test]
fn nothing_is_sent_before_a_person_says_so() {
    let mut region = restored_after(1);
    let id = id_at(region.now, 1);
    assert!(matches!(region.start_forward(1, id), Err(Refusal::Unavailable(_))));
    assert_eq!(region.resume(region.now), Ok(0));
    region.start_forward(1, id).unwrap();
    assert!(matches!(region.resume(region.now), Err(Refusal::NotDone(_))));
    assert_eq!(region.rows, region.replayed());
}

#[test]
fn what_the_upstream_has_already_is_done() {
    let mut region = restored_after(1);
    let id = region.message(1).unwrap().id;
    region.resume(region.now).unwrap();
    let attempts = region.message(1).unwrap().attempts;
    assert_eq!((attempts.last_id, attempts.certainly_not_sent()), (Some(id), false));
    region.start_forward(1, id).unwrap();
    region.outcome(1, ForwardOutcome::AlreadySent).unwrap();
    assert!(region.message(1).unwrap().finished());
}

#[test]
fn what_may_have_gone_under_another_identifier_waits_for_a_person() {
    let mut region = restored_after(25);
    assert_eq!(region.resume(region.now), Ok(1));
    assert!(is_held(&region, 1));
    // Whoever knows that the lost session ended earlier knows that it cannot have been renewed.
    let mut region = restored_after(25);
    assert_eq!(region.resume(region.now - HOUR * 2), Ok(0));
    assert!(!is_held(&region, 1));
    assert_eq!(region.rows, region.replayed());
}

#[test]
fn an_identifier_that_was_bound_before_stays_the_only_one_at_any_age() {
    let mut region = Region::new();
    let id = id_at(region.now, 1);
    region.accept(request(participant("CITY"), id, "pass")).unwrap();
    region.start_forward(1, id).unwrap();
    let cause = "time-out".to_owned();
    region.outcome(1, ForwardOutcome::Unknown { cause }).unwrap();
    region.pass(HOUR * 100);
    region.restore();
    assert_eq!(region.resume(region.now), Ok(0));
    assert_eq!(region.message(1).unwrap().attempts.last_id, Some(id));
}

#[test]
fn an_attempt_in_flight_may_have_failed_since_and_been_renewed() {
    for (hours, doubtful) in [(1, 0), (25, 1)] {
        let mut region = Region::new();
        let id = id_at(region.now, 1);
        region.accept(request(participant("CITY"), id, "pass")).unwrap();
        region.start_forward(1, id).unwrap();
        region.pass(HOUR * hours);
        region.restore();
        assert_eq!(region.resume(region.now), Ok(doubtful), "after {hours} hours");
        assert_eq!(is_held(&region, 1), doubtful == 1);
    }
}

#[test]
fn while_it_is_held_nothing_that_may_be_upstream_ends() {
    let mut region = restored_after(24 * 100);
    region.tick();
    assert_eq!(region.message(1).unwrap().state, Life::Waiting);
    let reason = "too late".to_owned();
    let rejected = region.decide(1, QuarantineDecision::Reject { reason });
    assert!(
        matches!(
            rejected,
            Err(Refusal::Standing {
                standing: Standing::MaybeSent,
                ..
            })
        ),
        "{rejected:?}"
    );
    region.resume(region.now).unwrap();
    assert!(is_held(&region, 1));
}

#[test]
fn the_lost_session_was_alive_when_its_backup_was_made() {
    let mut region = restored_after(25);
    let refused = region.resume(start_time() - HOUR);
    assert!(matches!(refused, Err(Refusal::NotDone(_))), "{refused:?}");
    assert_eq!(region.resume(start_time()), Ok(0));
}

#[test]
fn one_whose_identifier_was_given_up_waits_for_a_person() {
    let mut region = Region::new();
    let id = id_at(region.now, 1);
    region.accept(request(participant("CITY"), id, "pass")).unwrap();
    region.start_forward(1, id).unwrap();
    region.outcome(1, ForwardOutcome::Renew).unwrap();
    region.restore();
    assert_eq!(region.resume(region.now), Ok(1));
    assert!(is_held(&region, 1));
}

#[test]
fn what_comes_again_from_its_sender_may_be_upstream_already() {
    let mut region = Region::new();
    let before = id_at(region.now, 1);
    region.pass(HOUR);
    region.restore();
    region.resume(region.now).unwrap();
    region.pass(HOUR);
    let seq = region.next_seq();
    region.accept(request(participant("CITY"), before, "pass")).unwrap();
    region
        .accept(request(participant("CITY"), id_at(region.now, 2), "pass"))
        .unwrap();
    assert!(!region.message(seq).unwrap().attempts.certainly_not_sent());
    assert!(region.message(seq + 1).unwrap().attempts.certainly_not_sent());
    assert_eq!(region.rows, region.replayed());
}

#[test]
fn what_the_lost_session_had_by_a_clock_that_was_not_believed_at_first_may_be_upstream_too() {
    let mut region = Region::new();
    region.restore();
    // Only now the clock is believed, and days have passed by it.
    region.pass(HOUR * 24 * 9);
    let lost = id_at(region.now - HOUR * 5, 1);
    region.resume(region.now - HOUR * 4).unwrap();
    let seq = region.next_seq();
    region.accept(request(participant("CITY"), lost, "pass")).unwrap();
    assert!(!region.message(seq).unwrap().attempts.certainly_not_sent());
    assert_eq!(region.rows, region.replayed());
}

#[test]
fn a_backup_by_a_clock_that_was_ahead_holds_nobody_for_ever() {
    let mut region = Region::new();
    region.restore_from(region.now + HOUR * 24 * 365);
    assert_eq!(region.resume(region.now), Ok(0));
}
