//! Random sequences of actions, cut where something is synced, with any choice of what else survived: what was
//! acknowledged is there octet by octet, nothing else is, the chain verifies, and the store goes on.

use std::path::Path;

use journal::verify::{Range, verify};
use journal::{CommitError, Location, Opened, Options, RemoveError, SnapshotError, Store};
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use serde_json::json;
use testdisk::{Chance, Effort, Loss, Tried};

use crate::basics::{accept, add, at, body, message};
use crate::disk::{MemDisk, OpenStore as _};

#[derive(Debug, Clone)]
enum Action {
    /// A batch of bodies of these lengths.
    Commit(Vec<usize>),
    Relaxed(usize),
    Seal,
    /// One of the closed spool segments is removed.
    Remove(prop::sample::Index),
    Snapshot,
    /// Little is to be done, and so many octets of the live spool segment are needed; or much.
    Rest(Option<u64>),
    /// So many octets are left from now on, or no limit.
    Space(Option<usize>),
    /// The store is closed in order, or dropped, and opened again.
    Reopen {
        orderly: bool,
    },
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        6 => prop::collection::vec(0..2500_usize, 1..5).prop_map(Action::Commit),
        3 => (0..300_usize).prop_map(Action::Relaxed),
        1 => Just(Action::Seal),
        2 => any::<prop::sample::Index>().prop_map(Action::Remove),
        1 => Just(Action::Snapshot),
        2 => prop::option::weighted(0.8, 0..2000_u64).prop_map(Action::Rest),
        1 => prop::option::of(0..9000_usize).prop_map(Action::Space),
        1 => any::<bool>().prop_map(|orderly| Action::Reopen { orderly }),
    ]
}

/// The smallest segments, so that everything rolls over often.
fn tiny() -> Options {
    Options {
        journal_segment_bytes: 4 << 10,
        spool_segment_bytes: 4 << 10,
        ..Options::default()
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    number: u64,
    body: Option<Location>,
    /// Where the recording stood when it was promised; relaxed records are never.
    promised: Option<usize>,
}

/// What was done, in the order of the journal.
#[derive(Default)]
struct Done {
    entries: Vec<Entry>,
    /// Spool segments, and where the recording stood when their removal began.
    removed: Vec<(u64, usize)>,
    numbers: u64,
}

impl Done {
    fn act(&mut self, disk: &MemDisk, opened: &mut Option<Opened>, action: &Action) {
        let store = &mut opened.as_mut().unwrap().store;
        match action {
            Action::Commit(lengths) => {
                let mut batch = store.begin();
                let mut new = Vec::new();
                for len in lengths {
                    self.numbers += 1;
                    new.push((self.numbers, add(&mut batch, self.numbers, *len)));
                }
                if has_space(batch.commit()) {
                    let promised = Some(disk.position());
                    self.entries.extend(new.into_iter().map(|(number, body)| Entry {
                        number,
                        body: Some(body),
                        promised,
                    }));
                }
            }
            Action::Relaxed(len) => {
                self.numbers += 1;
                let mut batch = store.begin();
                let event = json!({"accepted": self.numbers, "text": "x".repeat(*len)});
                batch.append(at(self.numbers), &event).unwrap();
                if has_space(batch.commit_relaxed()) {
                    self.entries.push(Entry {
                        number: self.numbers,
                        body: None,
                        promised: None,
                    });
                }
            }
            Action::Seal => {
                has_space(store.seal());
            }
            Action::Remove(which) => {
                let segments = store.spool_segments();
                let closed: Vec<_> = segments.iter().filter(|segment| !segment.live).collect();
                if !closed.is_empty() {
                    let segment = which.get(&closed).segment;
                    self.removed.push((segment, disk.position()));
                    match store.remove_spool_segment(segment) {
                        Ok(_) | Err(RemoveError::NoSpace(_)) => {}
                        Err(other) => panic!("{other}"),
                    }
                }
            }
            Action::Snapshot => {
                store.sync().unwrap();
                let snapshot = || {
                    let mut writer = store.snapshots().create(store.position())?;
                    writer.put(b"key", &store.last_digest())?;
                    writer.finish()
                };
                match snapshot() {
                    Ok(_) | Err(SnapshotError::NoSpace { .. }) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            Action::Rest(Some(needed)) => {
                has_space(store.rest(*needed));
            }
            Action::Rest(None) => store.wake(),
            Action::Space(left) => disk.set_space(left.map(|left| disk.used() + left)),
            Action::Reopen { orderly } => {
                disk.set_space(None);
                let Opened { store, .. } = opened.take().unwrap();
                match orderly {
                    true => store.close().unwrap(),
                    false => drop(store),
                }
                *opened = Some(disk.open_with(tiny()).unwrap());
            }
        }
    }

    /// How many entries must be there after a crash at the cut.
    fn promised(&self, cut: usize) -> usize {
        let durable = |entry: &Entry| entry.promised.is_some_and(|at| at <= cut);
        self.entries.iter().rposition(durable).map_or(0, |last| last + 1)
    }

    /// Looks at what a crash at the cut left.
    fn check(&self, opened: &Opened, disk: &MemDisk, cut: usize) -> usize {
        let mut found = 0;
        for record in opened.store.events(1) {
            let event: serde_json::Value = serde_json::from_str(record.unwrap().event.get()).unwrap();
            let expected = &self.entries[found];
            assert_eq!(event["accepted"], expected.number, "nothing else is there");
            let location: Option<Location> = serde_json::from_value(event["body"].clone()).unwrap();
            assert_eq!(location, expected.body);
            let removal = |at: &Location| {
                self.removed
                    .iter()
                    .any(|(segment, begun)| *segment == at.segment && *begun <= cut)
            };
            if let Some(location) = location.filter(|at| !removal(at)) {
                let octets = opened.bodies.read(&location, message(expected.number), 0).unwrap();
                assert_eq!(octets, body(expected.number, location.len as usize));
            }
            found += 1;
        }
        assert!(
            found >= self.promised(cut),
            "{found} of {} promised are there",
            self.promised(cut)
        );
        verified(&opened.store, disk);
        if let Some(mut snapshot) = opened.store.snapshot(u64::MAX).unwrap() {
            let digest = snapshot.position().digest;
            assert_eq!(snapshot.next().unwrap().unwrap().1, digest);
        }
        found
    }
}

/// Whether something was done, or refused for lack of space, which changes nothing.
fn has_space<T>(done: Result<T, CommitError>) -> bool {
    match done {
        Ok(_) => true,
        Err(CommitError::NoSpace { .. }) => false,
        Err(other) => panic!("{other}"),
    }
}

fn verified(store: &Store, disk: &MemDisk) {
    let report = verify(
        &disk.shared(),
        Path::new("/data/journal"),
        Range::default(),
        &mut |_| Ok(()),
    )
    .unwrap();
    assert_eq!(
        (report.last_seq, report.last_digest),
        (store.last_seq(), store.last_digest())
    );
}

fn run(actions: &[Action], effort: Effort, tried: &Tried) {
    let disk = MemDisk::default();
    let mut opened = Some(disk.open_with(tiny()).unwrap());
    let mut done = Done::default();
    for action in actions {
        done.act(&disk, &mut opened, action);
    }
    drop(opened);
    tried.sequence();
    let recording = disk.recording();
    let mut replay = recording.replay();
    let mut chance = Chance::new(actions.len() as u64);
    for cut in effort.cuts(&recording) {
        tried.cut();
        replay.go_to(cut);
        for loss in effort.losses(&replay, &mut chance) {
            tried.image();
            recording.at_cut(cut, loss, || goes_on(&done, &replay.image(loss), cut, &mut chance));
        }
    }
}

/// A start after the crash, some work, and a crash of that.
fn goes_on(done: &Done, disk: &MemDisk, cut: usize, chance: &mut Chance) {
    let mut opened = disk.open_with(tiny()).unwrap();
    let found = done.check(&opened, disk, cut);
    let again = Done {
        entries: done.entries[..found].to_vec(),
        removed: done.removed.clone(),
        numbers: 0,
    };
    let location = accept(&mut opened.store, 1_000_000, 1500).unwrap();
    let promised = Entry {
        number: 1_000_000,
        body: Some(location),
        promised: Some(cut),
    };
    let mut batch = opened.store.begin();
    batch.append(at(1), &json!({"accepted": 1_000_001})).unwrap();
    batch.commit_relaxed().unwrap();
    let relaxed = Entry {
        number: 1_000_001,
        body: None,
        promised: None,
    };
    let crashed = disk.after(Loss::Some(chance.number()));
    drop(opened);
    let again = Done {
        entries: again.entries.into_iter().chain([promised, relaxed]).collect(),
        ..again
    };
    again.check(&crashed.open_with(tiny()).unwrap(), &crashed, cut);
}

#[test]
fn whatever_a_crash_leaves_of_any_sequence_what_was_promised_is_there() {
    let effort = Effort::or_short(24);
    let tried = Tried::default();
    let config = ProptestConfig {
        cases: effort.sequences,
        failure_persistence: None,
        max_shrink_iters: 500,
        ..ProptestConfig::default()
    };
    let sequences = prop::collection::vec(action(), 1..25);
    let result = TestRunner::new(config).run(&sequences, |actions| {
        run(&actions, effort, &tried);
        Ok::<_, TestCaseError>(())
    });
    println!("journal: {tried}");
    result.unwrap();
}
