//! A session that ends at each operation on the disk in turn: what was acknowledged is there at the next start, and still
//! there when the machine crashes after what the next session acknowledges.

use std::path::Path;

use journal::verify::{Range, verify};
use journal::{Location, Opened, Store};
use serde_json::json;

use crate::basics::{accept, at, body, message};
use crate::disk::{MemDisk, OpenStore as _};

/// What was acknowledged: number, length and place of each body.
type Promised = Vec<(u64, usize, Location)>;

/// Rolls both kinds of segments over, seals, removes and writes relaxed batches, until the disk stops.
fn live(store: &mut Store, promised: &mut Promised) -> Option<()> {
    for number in 1..=9_u64 {
        let len = if number % 3 == 0 { 9000 } else { 2000 };
        promised.push((number, len, accept(store, number, len).ok()?));
        let mut batch = store.begin();
        batch.append(at(number), &json!({"refused": "x".repeat(3000)})).unwrap();
        batch.commit_relaxed().ok()?;
        if number % 3 == 0 && number > 3 {
            store.seal().ok()?;
            let oldest = store.spool_segments()[0];
            assert!(!oldest.live);
            promised.retain(|(_, _, location)| location.segment != oldest.segment);
            store.remove_spool_segment(oldest.segment).ok()?;
            store.seal().ok()?;
        }
    }
    Some(())
}

fn check(opened: &Opened, disk: &MemDisk, promised: &Promised) {
    for (number, len, location) in promised {
        let found = opened.bodies.read(location, message(*number), 0).unwrap();
        assert_eq!(found, body(*number, *len));
    }
    let events: Vec<_> = opened.store.events(1).map(|record| record.unwrap()).collect();
    assert_eq!(events.len() as u64, opened.store.last_seq());
    for (number, _, _) in promised {
        let wanted = format!("\"accepted\":{number},");
        assert!(
            events.iter().any(|record| record.event.get().contains(&wanted)),
            "{number}"
        );
    }
    let dir = Path::new("/data/journal");
    verify(&disk.shared(), dir, Range::default(), &mut |_| Ok(())).unwrap();
}

#[test]
fn whatever_operation_a_session_ends_at_nothing_acknowledged_is_lost() {
    let mut stopped = true;
    let mut operations = 0;
    while stopped {
        let disk = MemDisk::default();
        let mut promised = Promised::new();
        let mut store = disk.open_store().unwrap().store;
        disk.stop_after(Some(operations));
        let done = live(&mut store, &mut promised);
        drop(store);
        stopped = disk.has_stopped();
        assert!(stopped || done.is_some());
        let crashed = disk.after_crash();
        check(&crashed.open_store().unwrap(), &crashed, &promised);

        disk.stop_after(None);
        let mut opened = disk.open_store().unwrap();
        check(&opened, &disk, &promised);
        promised.push((100, 5000, accept(&mut opened.store, 100, 5000).unwrap()));
        let crashed = disk.after_crash();
        drop(opened);
        check(&crashed.open_store().unwrap(), &crashed, &promised);
        operations += 1;
    }
    assert!(operations > 60, "only {operations} operations");
}
