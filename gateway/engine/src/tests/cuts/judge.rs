//! What must be true of an engine that starts from what a crash left.

use std::io;
use std::path::Path;

use gost::Certificate;
use journal::Record;
use journal::verify::{Range, verify};
use testdisk::{Chance, Loss, MemDisk};

use super::story::{Offered, Promise, Story, ends, read};
use crate::command::{Acknowledge, BodyRef, Notice, RegistryChange, Take, TakeFrom};
use crate::event::BodyName;
use crate::message::{Message, State as Life};
use crate::names::{MessageId, Party};
use crate::state::{MemoryRows, Rows as _, State, decode};
use crate::testing::{Running, content, evidence, id_at, mnemonic, participant, request, scratch};
use crate::tests::copy;
use crate::{CheckpointVerifier, Engine};

/// Starts from what a crash at the cut left, looks at it, works, ends in order or by another crash, starts and looks again.
pub(super) async fn goes_on(story: &Story, disk: &MemDisk, cut: usize, chance: &mut Chance) {
    let index = story.running.settings.data_dir.join("index");
    put_index(&index, story.index_at(cut, chance.below(4)));
    let engine = start(story, disk);
    let records = journal_of(story, disk, cut);
    let (kept, promised) = (same(&story.records, &records), story.promised(cut));
    assert!(kept >= promised, "{kept} of {promised} promised records are there");
    look(story, cut, &engine, &records, None).await;

    let done = work(&engine).await;
    let disk = if chance.is(1, 3) {
        engine.shutdown().await;
        disk.clone()
    } else {
        engine.index().flush().unwrap();
        let copied = scratch();
        copy(&index, copied.path());
        let crashed = disk.after(Loss::Some(chance.number()));
        engine.shutdown().await;
        put_index(&index, chance.is(1, 2).then_some(copied.path()));
        crashed
    };
    let engine = start(story, &disk);
    let again = journal_of(story, &disk, cut);
    assert_eq!(same(&records, &again), records.len(), "what was there is there");
    let promises = again.iter().filter_map(|record| Promise::of(record.seq, &read(record)));
    let promises: Vec<_> = promises.collect();
    for promise in done.promises {
        assert!(promises.contains(&promise), "{promise:?} was given after the crash");
    }
    look(story, cut, &engine, &again, Some(done.accepted)).await;
    engine.shutdown().await;
}

/// The engine starts, and accuses nobody.
fn start(story: &Story, disk: &MemDisk) -> Engine {
    let running = Running {
        disk: disk.shared(),
        ..story.running.clone()
    };
    let engine = running.start().unwrap();
    assert!(!engine.found_cut(), "nothing that was durable is missing");
    engine
}

fn put_index(place: &Path, from: Option<&Path>) {
    if place.exists() {
        std::fs::remove_dir_all(place).unwrap();
    }
    if let Some(from) = from {
        copy(from, place);
    }
}

/// The journal, with what was destroyed of its beginning.
fn journal_of(story: &Story, disk: &MemDisk, cut: usize) -> Vec<Record> {
    let dir = story.running.settings.data_dir.join("journal");
    let records = journal::read::records(disk.shared(), &dir, Default::default()).unwrap();
    let records: Vec<Record> = records.map(|record| record.unwrap()).collect();
    let gone = records.first().map_or(0, |first| first.seq - 1);
    let agreed = story.destroyed.iter().filter(|(begun, _)| *begun <= cut);
    let agreed = agreed.map(|(_, through)| *through).max().unwrap_or(0);
    assert!(gone <= agreed, "nobody agreed to destroy record {gone}");
    let gone = story.records[..gone as usize].to_vec();
    gone.into_iter().chain(records).collect()
}

/// How many records two journals have in common.
fn same(one: &[Record], other: &[Record]) -> usize {
    let pairs = one.iter().zip(other);
    pairs.take_while(|(one, other)| one.digest() == other.digest()).count()
}

/// Looks at everything.
async fn look(story: &Story, cut: usize, engine: &Engine, records: &[Record], own: Option<MessageId>) {
    let mut rows = MemoryRows::default();
    for record in records {
        let mut state = State::new(&rows);
        crate::recover::apply_record(&mut state, record).unwrap();
        let overlay = state.into_overlay();
        rows.apply(overlay);
    }
    let index = engine.index().from(b"a").map(|row| row.unwrap());
    let index = index.map(|(key, value)| (key.to_vec(), value.to_vec())).collect();
    assert!(rows.0 == index, "the index is what the journal says");
    verified(story, engine, records);

    for (key, value) in rows.0.range(vec![b'm']..vec![b'n']) {
        let message: Message = decode(key, value).unwrap();
        bodies(story, engine, &message, own).await;
    }
    let retention = story.running.settings.retention_bodies;
    for (_, promise) in story.promises.iter().filter(|(at, _)| *at <= cut) {
        let Promise::Accepted(seq, id) = promise else { continue };
        let message = State::new(&rows).message(*seq).unwrap();
        if message.is_none_or(|message| message.id != *id || message.parts.is_empty()) {
            let end = records.iter().find(|record| ends(&read(record)) == Some(*seq));
            let over = end.is_some_and(|end| engine.now().duration_since(end.at) >= retention);
            assert!(over, "{id} is gone before its time");
        }
    }
}

/// The chain and its checkpoints.
fn verified(story: &Story, engine: &Engine, records: &[Record]) {
    let certificate = |id: &str| Certificate::from_der(&engine.blob(id)?).map_err(io::Error::other);
    let mut checkpoints = CheckpointVerifier::new(&certificate);
    let dir = story.running.settings.data_dir.join("journal");
    let disk = engine.disk();
    let report = verify(&disk, &dir, Range::default(), &mut |record| checkpoints.check(record)).unwrap();
    assert_eq!(report.last_seq, records.len() as u64);
}

/// The bodies are those that were offered.
async fn bodies(story: &Story, engine: &Engine, message: &Message, own: Option<MessageId>) {
    let id = message.id;
    let stored = |name, place| BodyRef {
        message: id,
        name,
        place,
        sealed: message.sealed,
    };
    let kept = !matches!(message.state, Life::Finished { bodies: false, .. });
    if message.sender == Party::Gateway {
        if kept {
            let body = engine
                .body(stored(BodyName::Part(0), message.parts[0].1))
                .await
                .unwrap();
            let notice: Notice = serde_json::from_slice(&body).unwrap();
            assert_eq!(notice.message_id, id);
        }
        return;
    }
    let of_this_start: Offered;
    let (parts, note) = match story.offered.get(&id) {
        Some(offered) => offered,
        None => {
            assert_eq!(Some(id), own, "nothing that was never offered is there");
            of_this_start = (vec![(0, id.to_string().into_bytes())], Some(b"transaction".to_vec()));
            &of_this_start
        }
    };
    if kept {
        let mut found = Vec::new();
        for (number, place) in &message.parts {
            found.push((
                *number,
                engine.body(stored(BodyName::Part(*number), *place)).await.unwrap(),
            ));
        }
        assert_eq!(found, *parts, "octet by octet");
    }
    let found = engine
        .body(stored(BodyName::Note, message.note.unwrap()))
        .await
        .unwrap();
    assert_eq!(Some(found), *note, "kept as long as the exchange");
}

/// What was promised after the crash.
struct Done {
    accepted: MessageId,
    promises: Vec<Promise>,
}

/// A message is accepted; another, or the same, is handed out and acknowledged.
async fn work(engine: &Engine) -> Done {
    if engine.registry().content().kinds.is_empty() {
        let change = RegistryChange {
            content: content(),
            prune: true,
            blobs: Default::default(),
        };
        engine.apply_registry(change, "operator").await.unwrap();
    }
    let id = id_at(engine.now(), 1_000_000);
    let accepted = engine.accept(request(participant("CITY"), id, "plan")).await.unwrap();
    let mut promises = vec![Promise::Accepted(accepted.seq, id)];
    let take = Take {
        participant: mnemonic("LAND"),
        from: TakeFrom::Requests,
        selector: None,
    };
    if let Some(delivery) = engine.take(take).await.unwrap() {
        let ack = Acknowledge {
            participant: mnemonic("LAND"),
            target: delivery.message_id,
            accepted: true,
            evidence: evidence(),
        };
        engine.acknowledge(ack).await.unwrap();
        promises.extend([Promise::HandedOut(delivery.seq), Promise::Acknowledged(delivery.seq)]);
    }
    Done { accepted: id, promises }
}
