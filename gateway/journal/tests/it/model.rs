//! Random sequences of actions against what must come out of them: after a crash of the machine everything committed is
//! there octet by octet, nothing else is, and the chain verifies.

use std::path::Path;

use journal::verify::{Range, verify};
use journal::{CommitError, Location, Opened};
use proptest::prelude::*;
use serde_json::json;

use crate::basics::{accepted, add, at, body, message};
use crate::disk::{MemDisk, OpenStore as _};

#[derive(Debug, Clone)]
enum Action {
    /// A batch of bodies of these lengths.
    Commit(Vec<usize>),
    Relaxed(usize),
    Seal,
    /// The machine crashes, or only the process.
    Crash {
        machine: bool,
    },
    Close,
    /// So many octets are left from now on, or no limit.
    Space(Option<usize>),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => prop::collection::vec(0..6000_usize, 1..6).prop_map(Action::Commit),
        2 => (0..300_usize).prop_map(Action::Relaxed),
        1 => Just(Action::Seal),
        1 => any::<bool>().prop_map(|machine| Action::Crash { machine }),
        1 => Just(Action::Close),
        1 => prop::option::of(0..40_000_usize).prop_map(Action::Space),
    ]
}

/// What must be there. Relaxed records have no body; they are durable only with a commit after them.
#[derive(Default)]
struct Model {
    durable: Vec<Entry>,
    relaxed: Vec<Entry>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    number: u64,
    body: Option<(Location, usize)>,
}

fn check(opened: &Opened, disk: &MemDisk, model: &mut Model) {
    let mut found = Vec::new();
    for record in opened.store.events(1) {
        let event: serde_json::Value = serde_json::from_str(record.unwrap().event.get()).unwrap();
        let number = event["accepted"].as_u64().unwrap();
        let location: Option<Location> = serde_json::from_value(event["body"].clone()).unwrap();
        if let Some(location) = location {
            let octets = opened.bodies.read(&location, message(number), 0).unwrap();
            assert_eq!(octets, body(number, location.len as usize));
        }
        found.push(Entry {
            number,
            body: location.map(|location| (location, location.len as usize)),
        });
    }
    let durable = model.durable.len();
    assert_eq!(found[..durable], model.durable[..], "what was committed is there");
    let rest = found.len() - durable;
    assert_eq!(
        found[durable..],
        model.relaxed[..rest],
        "and of the relaxed ones a beginning, nothing else"
    );
    model.durable = found;
    model.relaxed.clear();
    let report = verify(
        &disk.shared(),
        Path::new("/data/journal"),
        Range::default(),
        &mut |_| Ok(()),
    )
    .unwrap();
    assert_eq!(
        (report.records, report.last_digest),
        (model.durable.len() as u64, opened.store.last_digest())
    );
}

fn run(actions: Vec<Action>) {
    let mut disk = MemDisk::default();
    let mut opened = disk.open_store().unwrap();
    let mut model = Model::default();
    let mut number = 0;
    for action in actions {
        match action {
            Action::Commit(lengths) => {
                let mut batch = opened.store.begin();
                let mut entries = Vec::new();
                for len in lengths {
                    number += 1;
                    entries.push(Entry {
                        number,
                        body: Some((add(&mut batch, number, len), len)),
                    });
                }
                match batch.commit() {
                    Ok(_) => {
                        model.durable.append(&mut model.relaxed);
                        model.durable.append(&mut entries);
                    }
                    Err(CommitError::NoSpace { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            Action::Relaxed(len) => {
                number += 1;
                let mut batch = opened.store.begin();
                batch
                    .append(at(number), &json!({"accepted": number, "text": "x".repeat(len)}))
                    .unwrap();
                match batch.commit_relaxed() {
                    Ok(_) => model.relaxed.push(Entry { number, body: None }),
                    Err(CommitError::NoSpace { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            Action::Seal => match opened.store.seal() {
                Ok(()) | Err(CommitError::NoSpace { .. }) => {}
                Err(other) => panic!("{other}"),
            },
            Action::Crash { machine } => {
                let next = if machine { disk.after_crash() } else { disk.after_kill() };
                drop(opened);
                disk = next;
                opened = disk.open_store().unwrap();
                assert_eq!(opened.recovery.same_boot, !machine);
                opened.store.settle().unwrap();
                assert_eq!(opened.recovery.cut, None, "whole writes are never torn here");
                check(&opened, &disk, &mut model);
            }
            Action::Close => {
                disk.set_space(None);
                opened.store.close().unwrap();
                model.durable.append(&mut model.relaxed);
                opened = disk.open_store().unwrap();
                assert!(opened.recovery.clean_close);
                check(&opened, &disk, &mut model);
            }
            Action::Space(left) => disk.set_space(left.map(|left| disk.used() + left)),
        }
    }
    drop(opened);
    let disk = disk.after_crash();
    let opened = disk.open_store().unwrap();
    check(&opened, &disk, &mut model);
    assert!(accepted_numbers_rise(&opened));
}

fn accepted_numbers_rise(opened: &Opened) -> bool {
    opened
        .store
        .events(1)
        .map(|record| record.unwrap().seq)
        .eq(1..=opened.store.last_seq())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_committed_survives_whatever_happens(actions in prop::collection::vec(action(), 1..60)) {
        run(actions);
    }

    #[test]
    fn a_last_batch_that_lost_any_sectors_is_there_whole_or_not_at_all(
        lengths in prop::collection::vec(0..4000_usize, 1..5),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        of_spool in any::<bool>(),
    ) {
        let disk = MemDisk::default();
        let mut store = disk.open_store().unwrap().store;
        let mut batch = store.begin();
        let first = add(&mut batch, 1, 900);
        batch.commit().unwrap();
        let before = disk.after_kill();
        let mut batch = store.begin();
        let expected: Vec<_> = lengths.iter().enumerate().map(|(index, len)| {
            (index as u64 + 2, add(&mut batch, index as u64 + 2, *len))
        }).collect();
        batch.commit().unwrap();
        let disk = disk.after_kill();
        drop(store);

        // Sectors of 512 octets that never reached the platter hold what they held before.
        let path = disk.paths(if of_spool { ".spool" } else { ".journal" }).remove(0);
        let (mut now, then) = (disk.read(&path), before.read(&path));
        let sectors = now.len() / 512;
        for index in lost {
            let sector = index.index(sectors) * 512;
            now[sector..sector + 512].copy_from_slice(&then[sector..sector + 512]);
        }
        disk.write(&path, now);

        let opened = disk.open_store().unwrap();
        let found = accepted(&opened.store).unwrap();
        prop_assert_eq!(found[0], (1, first));
        if found.len() > 1 {
            prop_assert_eq!(&found[1..], &expected[..]);
            for (number, location) in &expected {
                prop_assert_eq!(
                    opened.bodies.read(location, message(*number), 0).unwrap(),
                    body(*number, location.len as usize)
                );
            }
        }
    }
}
