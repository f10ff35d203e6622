//! Single octets of sled's files that are not what was written: wherever they are, the gateway heals by itself and nothing
//! is lost.

use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use journal::disk::RealDisk;

use super::faults::accept;
use super::restart::acknowledgement;
use super::{copy, rows};
use crate::command::{Take, TakeFrom};
use crate::names::MessageId;
use crate::testing::{Running, mnemonic, scratch};
use crate::{Engine, rebuild_index};

/// Places in the files.
const PLACES: usize = 48;
/// Starts until everything must be in order: one may find the damage while it works.
const STARTS: usize = 3;

/// The octets of an index that say something, by file and offset.
fn octets(index: &Path) -> Vec<(PathBuf, usize)> {
    let mut files: Vec<_> = std::fs::read_dir(index)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    let written = |path: PathBuf| {
        let octets = std::fs::read(&path).unwrap();
        let places = (0..octets.len()).filter(move |at| octets[*at] != 0);
        places.map(move |at| (path.clone(), at)).collect::<Vec<_>>()
    };
    files.into_iter().flat_map(written).collect()
}

fn flip(path: &Path, at: usize, bit: u32) {
    let mut octets = std::fs::read(path).unwrap();
    octets[at] ^= 1 << bit;
    std::fs::write(path, octets).unwrap();
}

/// Takes and acknowledges what waits; `false` if the engine refuses to go on.
async fn drain(engine: &Engine, delivered: &mut Vec<MessageId>) -> bool {
    loop {
        let take = Take {
            participant: mnemonic("LAND"),
            from: TakeFrom::Requests,
            selector: None,
        };
        let id = match engine.take(take).await {
            Ok(Some(delivery)) => delivery.message_id,
            Ok(None) => return engine.failure().is_none(),
            Err(_) => return false,
        };
        // One whose Ack was lost comes again.
        if delivered.last() != Some(&id) {
            delivered.push(id);
        }
        if engine.acknowledge(acknowledgement(id)).await.is_err() {
            return false;
        }
    }
}

#[tokio::test]
async fn an_octet_of_the_index_that_changed_costs_no_message_wherever_it_is() {
    let dir = scratch();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    let mut expected = Vec::new();
    for number in 0..300 {
        expected.push(accept(&engine, number, "plan").await.unwrap());
    }
    engine.shutdown().await;
    let places = octets(&dir.path().join("index"));
    let mut rebuilt = 0;
    for place in 0..PLACES {
        let damaged = scratch();
        copy(dir.path(), damaged.path());
        let (file, at) = &places[place * places.len() / PLACES];
        let file = file.file_name().unwrap();
        flip(
            &damaged.path().join("index").join(file),
            *at,
            u32::try_from(place % 8).unwrap(),
        );
        let mut delivered = Vec::new();
        let mut whole = false;
        for _ in 0..STARTS {
            let engine = running.start_in(damaged.path()).unwrap();
            rebuilt += usize::from(engine.incidents().contains(&("index_rebuilt", 1)));
            engine.tick().await;
            whole = drain(&engine, &mut delivered).await;
            engine.shutdown().await;
            if whole {
                break;
            }
            // What was handed out is handed out again.
            running.time.pass(SignedDuration::from_mins(16));
        }
        let what = format!("octet {at} of {}", file.display());
        assert!(whole, "{what}");
        assert_eq!(delivered, expected, "{what}");
        let before = rows(damaged.path());
        let mut settings = running.settings.clone();
        damaged.path().clone_into(&mut settings.data_dir);
        rebuild_index(&settings, RealDisk::shared()).unwrap();
        assert_eq!(before, rows(damaged.path()), "{what}");
    }
    assert!(rebuilt > 0, "damage was found");
}

#[tokio::test]
async fn an_index_that_a_reader_finds_damaged_ends_the_engine_and_is_built_anew() {
    let dir = scratch();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    let waiting = accept(&engine, 1, "plan").await.unwrap();
    engine.index().doubt("a page does not verify");
    let why = engine.failed().await;
    assert!(why.contains("a page does not verify"), "{why}");
    // However it ends, the next start does not use it.
    engine.shutdown().await;
    let engine = running.start().unwrap();
    assert!(engine.incidents().contains(&("index_rebuilt", 1)));
    let mut delivered = Vec::new();
    assert!(drain(&engine, &mut delivered).await);
    assert_eq!(delivered, [waiting]);
    engine.shutdown().await;
    let engine = running.start().unwrap();
    assert!(
        engine.incidents().contains(&("index_rebuilt", 0)),
        "the new one is used"
    );
    engine.shutdown().await;
}
