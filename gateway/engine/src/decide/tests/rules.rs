//! Rules give the bodies of some messages another time.

use jiff::SignedDuration;

use crate::command::TakeFrom;
use crate::settings::RetentionRule;
use crate::testing::{Region, id_at, mnemonic, participant, request};

const DAY: SignedDuration = SignedDuration::from_hours(24);

fn rule(kind: Option<&str>, who: Option<&str>, bodies: SignedDuration) -> RetentionRule {
    RetentionRule {
        kind: kind.map(|kind| kind.parse().unwrap()),
        participant: who.map(mnemonic),
        bodies,
    }
}

/// A region with these rules in which LAND has taken and acknowledged a message of each kind, in turn.
fn region(rules: Vec<RetentionRule>, kinds: &[&str]) -> Region {
    let mut region = Region::new();
    region.settings.exchange_ttl = DAY * 60;
    region.settings.retention_rules = rules;
    for (n, kind) in (1..).zip(kinds) {
        let incoming = request(participant("CITY"), id_at(region.now, n), kind);
        region.accept(incoming).unwrap();
    }
    for _ in kinds {
        let taken = region.take("LAND", TakeFrom::Requests).unwrap();
        region.acknowledge("LAND", taken.message_id).unwrap();
    }
    region
}

fn has_bodies(region: &Region, seq: u64) -> bool {
    region.message(seq).is_some_and(|message| !message.parts.is_empty())
}

/// Ticks on every day, and says on which one the bodies were gone, and the message.
fn ends(region: &mut Region, seq: u64, days: u32) -> (Option<u32>, Option<u32>) {
    let (mut bodies, mut message) = (None, None);
    for day in 1..=days {
        region.pass(DAY);
        region.tick();
        if !has_bodies(region, seq) {
            bodies.get_or_insert(day);
        }
        if region.message(seq).is_none() {
            message.get_or_insert(day);
        }
    }
    (bodies, message)
}

#[test]
fn the_first_rule_that_fits_counts() {
    let rules = || {
        vec![
            rule(Some("plan"), Some("LAND"), DAY * 5),
            rule(Some("plan"), None, DAY * 7),
            rule(None, Some("CITY"), DAY * 90),
        ]
    };
    assert_eq!(ends(&mut region(rules(), &["plan"]), 1, 100), (Some(5), Some(60)));
    let mut other = region(rules()[1..].to_vec(), &["plan"]);
    assert_eq!(ends(&mut other, 1, 100), (Some(7), Some(60)));
    // The message stays as long as its bodies, whatever else would let it go.
    let mut longest = region(rules()[2..].to_vec(), &["plan"]);
    assert_eq!(ends(&mut longest, 1, 100), (Some(90), Some(90)));
    let mut none = region(vec![rule(None, Some("ROADS"), DAY)], &["plan"]);
    assert_eq!(ends(&mut none, 1, 100), (Some(30), Some(60)));
}

#[test]
fn what_is_kept_long_does_not_hold_up_what_came_after_it() {
    let mut region = region(vec![rule(Some("plan"), None, DAY * 90)], &["plan", "both"]);
    region.pass(DAY * 40);
    region.tick();
    assert!(has_bodies(&region, 1) && !has_bodies(&region, 2));
    let next = region.next_seq();
    region.tick();
    assert_eq!(region.next_seq(), next, "what is kept writes nothing");
    region.pass(DAY * 60);
    region.tick();
    assert!(!has_bodies(&region, 1));
    assert_eq!(region.rows, region.replayed(), "each step is in the journal");
}

#[test]
fn a_clock_that_is_set_back_hides_nothing() {
    let mut region = region(vec![rule(None, Some("LAND"), SignedDuration::ZERO)], &["plan"]);
    region.settings.retention_rules.push(rule(Some("plan"), None, DAY));
    region.tick();
    assert!(!has_bodies(&region, 1));
    region.pass(-SignedDuration::from_hours(1));
    let incoming = request(participant("CITY"), id_at(region.now, 9), "plan");
    let seq = region.next_seq();
    region.accept(incoming).unwrap();
    let taken = region.take("LAND", TakeFrom::Requests).unwrap();
    region.acknowledge("LAND", taken.message_id).unwrap();
    region.tick();
    assert!(!has_bodies(&region, seq));
    region.pass(SignedDuration::from_hours(2));
    region.tick();
    assert_eq!(region.rows, region.replayed(), "each step is in the journal");
}
