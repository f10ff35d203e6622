//! Clocks that jump, and starts with a clock that cannot be believed: nothing ends, is forgotten or is accepted twice for
//! it, and a person's word settles it.

use jiff::SignedDuration;

use super::faults::{accept, complaint, deliver, forward, kinds};
use super::rows;
use crate::clock::Clock as _;
use crate::command::{Refusal, Take, TakeFrom};
use crate::event::Person;
use crate::testing::{Running, id_at, mnemonic, participant, request, scratch, upstream};
use crate::{Engine, keys};

const DAY: SignedDuration = SignedDuration::from_hours(24);
const YEARS: SignedDuration = SignedDuration::from_hours(24 * 3650);

fn operator() -> Person {
    Person {
        name: "anna".to_owned(),
        uid: 1001,
    }
}

/// A gateway that believes its clock for a week.
fn running(dir: &std::path::Path) -> Running {
    let mut running = Running::new(dir);
    running.settings.clock_trusted_for = DAY * 7;
    running
}

async fn take(engine: &Engine) -> Option<crate::names::MessageId> {
    let take = Take {
        participant: mnemonic("LAND"),
        from: TakeFrom::Requests,
        selector: None,
    };
    engine.take(take).await.unwrap().map(|delivery| delivery.message_id)
}

fn waiting(engine: &Engine) -> u64 {
    engine.gauges().queues.iter().map(|queue| queue.messages).sum()
}

#[tokio::test]
async fn a_start_with_a_clock_years_ahead_ends_nothing_and_goes_on_by_itself_when_the_clock_is_right() {
    let dir = scratch();
    let running = running(dir.path());
    let engine = running.region().await;
    let delivered = accept(&engine, 1, "plan").await.unwrap();
    deliver(&engine).await;
    let leased = accept(&engine, 2, "plan").await.unwrap();
    assert_eq!(take(&engine).await, Some(leased));
    let waiting_id = id_at(engine.now(), 3);
    let mut mortal = request(participant("CITY"), waiting_id, "plan");
    mortal.end_of_life = Some(engine.now() + DAY);
    engine.accept(mortal).await.unwrap();
    let north = accept(&engine, 4, "pass").await.unwrap();
    engine.shutdown().await;
    let before = rows(dir.path());

    running.time.jump(YEARS);
    let engine = running.start().unwrap();
    engine.tick().await;
    assert!(complaint(&engine, "clock").unwrap().contains("after the last record"));
    assert!(engine.clock_is_unproven() && engine.lanes(&upstream()).is_empty());
    let refused = accept(&engine, 5, "plan").await;
    assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{refused:?}");
    assert_eq!(waiting(&engine), 3);
    engine.shutdown().await;
    let after = rows(dir.path());
    assert_eq!(after, before, "the time that the clock shows brought nothing");

    let engine = running.start().unwrap();
    engine.tick().await;
    assert_eq!(deliver(&engine).await, waiting_id);
    running.time.jump(-YEARS);
    engine.tick().await;
    engine.tick().await;
    assert_eq!(complaint(&engine, "clock"), None);
    for id in [delivered, waiting_id] {
        let again = engine.accept(request(participant("CITY"), id, "plan")).await;
        assert!(matches!(again, Err(Refusal::AlreadySent(_))), "{again:?}");
    }
    accept(&engine, 6, "plan").await.unwrap();
    assert_eq!(forward(&engine).await, north);
    engine.shutdown().await;
    assert_eq!(kinds(&running), ["clock_doubted", "clock_doubted", "clock_recovered"]);
}

#[tokio::test]
async fn a_gateway_that_was_off_for_long_believes_its_clock_when_a_person_says_so() {
    let dir = scratch();
    let running = running(dir.path());
    let engine = running.region().await;
    let mut mortal = request(participant("CITY"), id_at(engine.now(), 1), "plan");
    mortal.end_of_life = Some(engine.now() + DAY);
    engine.accept(mortal).await.unwrap();
    accept(&engine, 2, "pass").await.unwrap();
    engine.shutdown().await;
    running.time.pass(DAY * 10);
    let engine = running.start().unwrap();
    engine.tick().await;
    let present = running.time.now();
    let wrong = engine.accept_clock(present - DAY, &operator()).await;
    assert!(matches!(wrong, Err(Refusal::NotDone(_))), "{wrong:?}");
    assert!(complaint(&engine, "clock").is_some());
    let accepted = engine.accept_clock(present, &operator()).await.unwrap();
    assert_eq!((accepted.clock, accepted.before), (present, present - DAY * 10));
    assert_eq!(engine.now(), present);
    engine.tick().await;
    assert_eq!(complaint(&engine, "clock"), None);
    assert_eq!(take(&engine).await, None, "its life is over");
    forward(&engine).await;
    accept(&engine, 3, "plan").await.unwrap();
    let again = engine.accept_clock(present, &operator()).await;
    assert!(matches!(again, Err(Refusal::NotDone(_))), "{again:?}");
    engine.shutdown().await;
    assert_eq!(kinds(&running), ["clock_doubted", "clock_recovered"]);
    let engine = running.start().unwrap();
    engine.tick().await;
    assert_eq!(complaint(&engine, "clock"), None);
    engine.shutdown().await;
}

#[tokio::test]
async fn a_journal_with_times_in_the_future_is_left_behind_by_a_persons_word_and_nothing_is_accepted_twice() {
    let dir = scratch();
    let mut running = running(dir.path());
    let engine = running.region().await;
    let first = accept(&engine, 1, "plan").await.unwrap();
    assert_eq!(deliver(&engine).await, first);
    engine.shutdown().await;
    // A gateway that believed a wrong clock.
    running.settings.clock_trusted_for = SignedDuration::MAX;
    running.time.jump(YEARS);
    let engine = running.start().unwrap();
    engine.tick().await;
    let leased = accept(&engine, 2, "plan").await.unwrap();
    assert_eq!(take(&engine).await, Some(leased));
    engine.shutdown().await;
    assert!(rows(dir.path()).contains_key(keys::identifiers_forgotten().as_slice()));

    running.settings.clock_trusted_for = DAY * 7;
    running.time.jump(-YEARS);
    running.time.pass(SignedDuration::from_mins(1));
    let engine = running.start().unwrap();
    engine.tick().await;
    assert!(complaint(&engine, "clock").unwrap().contains("behind"));
    let refused = accept(&engine, 3, "plan").await;
    assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{refused:?}");
    assert_eq!(take(&engine).await, None, "it is leased for years");
    let present = running.time.now();
    let accepted = engine.accept_clock(present, &operator()).await.unwrap();
    assert_eq!(accepted.clock, present);
    engine.tick().await;
    assert_eq!(complaint(&engine, "clock"), None);
    assert_eq!(deliver(&engine).await, leased, "no lease is as long as that");
    let again = engine.accept(request(participant("CITY"), first, "plan")).await;
    assert!(matches!(again, Err(Refusal::StaleMessageId { .. })), "{again:?}");
    let again = engine.accept(request(participant("CITY"), leased, "plan")).await;
    assert!(again.is_err(), "{again:?}");
    let fresh = accept(&engine, 4, "plan").await.unwrap();
    engine.shutdown().await;

    // It holds over a start, with the index and without it.
    for rebuilt in [false, true] {
        if rebuilt {
            std::fs::remove_dir_all(dir.path().join("index")).unwrap();
        }
        let engine = running.start().unwrap();
        engine.tick().await;
        assert_eq!(complaint(&engine, "clock"), None, "{rebuilt}");
        let again = engine.accept(request(participant("CITY"), first, "plan")).await;
        assert!(matches!(again, Err(Refusal::StaleMessageId { .. })), "{again:?}");
        let again = engine.accept(request(participant("CITY"), fresh, "plan")).await;
        assert!(matches!(again, Err(Refusal::AlreadySent(_))), "{again:?}");
        engine.shutdown().await;
    }
}

#[tokio::test]
async fn a_clock_that_goes_too_far_while_the_gateway_runs_is_believed_by_a_persons_word_alone() {
    let dir = scratch();
    let running = running(dir.path());
    let engine = running.region().await;
    let north = accept(&engine, 1, "pass").await.unwrap();
    running.time.jump(DAY * 8);
    for _ in 0..3 {
        engine.tick().await;
        running.time.pass(SignedDuration::from_hours(1));
    }
    assert!(complaint(&engine, "clock").unwrap().contains("jumped forward"));
    // The count goes on, and so does everything else.
    assert_eq!(forward(&engine).await, north);
    accept(&engine, 2, "plan").await.unwrap();
    engine.accept_clock(running.time.now(), &operator()).await.unwrap();
    engine.tick().await;
    assert_eq!(complaint(&engine, "clock"), None);
    assert_eq!(engine.now(), running.time.now());
    engine.shutdown().await;
}

#[tokio::test]
async fn a_clock_that_jumps_and_comes_back_ends_no_life_and_no_lease_and_forgets_no_identifier() {
    let hours = SignedDuration::from_hours;
    for jump in [hours(24 * 40), -hours(5)] {
        let dir = scratch();
        let running = Running::new(dir.path());
        let engine = running.region().await;
        let waiting = accept(&engine, 1, "plan").await.unwrap();
        let north = accept(&engine, 2, "pass").await.unwrap();
        running.time.jump(jump);
        engine.tick().await;
        assert!(complaint(&engine, "clock").unwrap().contains("jumped"));
        assert_eq!(
            engine.gauges().queues.iter().map(|queue| queue.messages).sum::<u64>(),
            2
        );
        let again = engine.accept(request(participant("CITY"), waiting, "plan")).await;
        assert!(matches!(again, Err(Refusal::AlreadySent(_))), "{again:?}");
        // Intake goes on, by the count and by the clock of the senders.
        let during = accept(&engine, 3, "plan").await.unwrap();
        if jump.is_positive() {
            let ahead = id_at(running.time.now(), 4);
            engine
                .accept(request(participant("CITY"), ahead, "pass"))
                .await
                .unwrap();
        }
        running.time.pass(SignedDuration::from_mins(2));
        running.time.jump(-jump);
        engine.tick().await;
        assert_eq!(complaint(&engine, "clock"), None);
        assert_eq!(deliver(&engine).await, waiting);
        assert_eq!(deliver(&engine).await, during);
        assert_eq!(forward(&engine).await, north);
        let again = engine.accept(request(participant("CITY"), waiting, "plan")).await;
        assert!(matches!(again, Err(Refusal::AlreadySent(_))), "{again:?}");
        engine.shutdown().await;
        assert_eq!(kinds(&running), ["clock_jumped", "clock_recovered"]);
    }
}

#[tokio::test]
async fn a_start_before_the_last_journal_time_keeps_what_is_known_and_accepts_nothing_until_the_clock_is_right() {
    let dir = scratch();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    let waiting = accept(&engine, 1, "plan").await.unwrap();
    engine.shutdown().await;
    running.time.jump(-SignedDuration::from_hours(60));
    let engine = running.start().unwrap();
    engine.tick().await;
    let refused = accept(&engine, 2, "plan").await;
    assert!(matches!(refused, Err(Refusal::Unavailable(_))), "{refused:?}");
    assert!(complaint(&engine, "clock").unwrap().contains("behind"));
    assert_eq!(deliver(&engine).await, waiting, "what is there goes its way");
    running.time.jump(SignedDuration::from_hours(60));
    running.time.pass(SignedDuration::from_hours(1));
    engine.tick().await;
    engine.tick().await;
    assert_eq!(complaint(&engine, "clock"), None);
    let again = engine.accept(request(participant("CITY"), waiting, "plan")).await;
    assert!(matches!(again, Err(Refusal::AlreadySent(_))), "{again:?}");
    accept(&engine, 3, "plan").await.unwrap();
    engine.shutdown().await;
    assert_eq!(kinds(&running)[0], "clock_behind");
}

#[tokio::test]
async fn a_gateway_without_traffic_writes_a_record_a_day_by_which_its_clock_is_known() {
    let dir = scratch();
    let running = running(dir.path());
    let engine = running.region().await;
    running.time.pass(SignedDuration::from_mins(11));
    engine.tick().await;
    let quiet = engine.gauges().journal_last_seq;
    for day in 0..10 {
        running.time.pass(DAY - SignedDuration::from_mins(1));
        engine.tick().await;
        assert_eq!(engine.gauges().journal_last_seq, quiet + day);
        running.time.pass(SignedDuration::from_mins(1));
        engine.tick().await;
        assert_eq!(engine.gauges().journal_last_seq, quiet + day + 1);
    }
    engine.shutdown().await;
}
