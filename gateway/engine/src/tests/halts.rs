//! What an operator brings to a halt stands still, loses nothing, and goes on at a person's word alone.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::SignedDuration;
use journal::disk::RealDisk;

use super::restart::{accept, acknowledgement, take};
use super::rows;
use crate::command::{ForwardOutcome, Halting, NoticeReason, Refusal, RegistryChange, Take, TakeFrom};
use crate::event::Person;
use crate::names::{Mnemonic, Queue};
use crate::testing::{Running, content, id_at, mnemonic, participant, request, upstream};
use crate::{Engine, Halt, View, rebuild_index};

fn person() -> Person {
    Person {
        name: "ivanova".to_owned(),
        uid: 1001,
    }
}

fn suspend(name: &str) -> Halting {
    Halting::Suspend {
        participant: mnemonic(name),
        reason: "its key was stolen".to_owned(),
    }
}

fn pause(queue: &str) -> Halting {
    Halting::Pause {
        queue: queue.parse().unwrap(),
        reason: "maintenance".to_owned(),
    }
}

fn resume(queue: &str) -> Halting {
    Halting::ResumeQueue(queue.parse().unwrap())
}

async fn halt(engine: &Engine, what: Halting) -> Halt {
    engine.halt(what, &person()).await.unwrap()
}

async fn why_not(engine: &Engine, what: Halting) -> String {
    match engine.halt(what, &person()).await.unwrap_err() {
        Refusal::NotDone(why) => why,
        other => panic!("{other:?}"),
    }
}

async fn region(dir: &Path) -> (Running, Engine) {
    let running = Running::new(dir);
    let engine = running.region().await;
    (running, engine)
}

async fn apply(engine: &Engine, without: &[&str], prune: bool) {
    let mut content = content();
    let gone = |name: &Mnemonic| without.contains(&name.as_str());
    content.participants.retain(|name, _| !gone(name));
    content
        .grants
        .retain(|grant| !without.iter().any(|name| grant.party == participant(name)));
    content
        .routes
        .retain(|route| !without.iter().any(|name| route.to == participant(name)));
    let change = RegistryChange {
        content,
        prune,
        blobs: BTreeMap::new(),
    };
    engine.apply_registry(change, "operator").await.unwrap();
}

fn land() -> Refusal {
    Refusal::Suspended(mnemonic("LAND"))
}

fn take_requests() -> Take {
    Take {
        participant: mnemonic("LAND"),
        from: TakeFrom::Requests,
        selector: None,
    }
}

#[tokio::test]
async fn a_suspended_participant_is_refused_whatever_it_asks_and_its_messages_wait() {
    let dir = tempfile::tempdir().unwrap();
    let (_, engine) = region(dir.path()).await;
    accept(&engine, 0..2).await;
    let first = take(&engine).await.unwrap();
    let begun = halt(&engine, suspend("LAND")).await;
    assert_eq!((begun.since, &begun.by), (engine.now(), &person()));
    assert_eq!(engine.registry().halts().suspended(&mnemonic("LAND")), Some(&begun));
    let own = request(participant("LAND"), id_at(engine.now(), 70), "plan");
    assert_eq!(engine.accept(own).await, Err(land()));
    assert_eq!(engine.take(take_requests()).await.map(drop), Err(land()));
    let ack = acknowledgement(first.message_id);
    assert_eq!(engine.acknowledge(ack.clone()).await.map(drop), Err(land()));
    // Others go on, and send to it as before.
    accept(&engine, 2..3).await;
    let status = engine
        .queues()
        .into_iter()
        .find(|status| status.queue.to_string() == "LAND/requests");
    let status = status.expect("it holds something");
    assert_eq!((status.messages, status.suspended), (3, Some(begun.clone())));
    assert!(
        why_not(&engine, suspend("LAND"))
            .await
            .contains("is suspended already, since 2026-03-01T10:00:00Z by ivanova")
    );

    let ended = halt(&engine, Halting::ResumeParticipant(mnemonic("LAND"))).await;
    assert_eq!(ended, begun);
    engine.acknowledge(ack).await.unwrap();
    for _ in 0..2 {
        let next = take(&engine).await.unwrap();
        engine.acknowledge(acknowledgement(next.message_id)).await.unwrap();
    }
    assert!(take(&engine).await.is_none());
    let again = why_not(&engine, Halting::ResumeParticipant(mnemonic("LAND"))).await;
    assert_eq!(again, "LAND is not suspended");
    assert!(
        why_not(&engine, suspend("NOBODY"))
            .await
            .contains("no participant NOBODY")
    );
}

#[tokio::test]
async fn a_paused_queue_gives_nothing_and_takes_everything_else() {
    let dir = tempfile::tempdir().unwrap();
    let (running, engine) = region(dir.path()).await;
    accept(&engine, 0..3).await;
    let first = take(&engine).await.unwrap();
    let second = take(&engine).await.unwrap();
    halt(&engine, pause("LAND/requests")).await;
    assert!(take(&engine).await.is_none(), "as if it were empty");
    engine.acknowledge(acknowledgement(first.message_id)).await.unwrap();
    accept(&engine, 3..4).await;
    running.time.pass(SignedDuration::from_mins(20));
    engine.tick().await;
    assert!(take(&engine).await.is_none(), "what came back waits too");
    assert!(
        why_not(&engine, pause("LAND/requests"))
            .await
            .contains("is paused already")
    );
    assert!(
        why_not(&engine, resume("LAND/responses"))
            .await
            .contains("is not paused")
    );
    assert!(
        why_not(&engine, pause("NOBODY/requests"))
            .await
            .contains("no participant NOBODY")
    );
    halt(&engine, resume("LAND/requests")).await;
    let next = take(&engine).await.unwrap();
    assert_eq!(next.message_id, second.message_id, "in its old place");

    // One that is empty is shown while it is paused.
    halt(&engine, pause("TOWN/responses/N 1")).await;
    let shown = |engine: &Engine| -> Vec<(String, u64, bool)> {
        let row =
            |status: crate::command::QueueStatus| (status.queue.to_string(), status.messages, status.paused.is_some());
        engine.queues().into_iter().map(row).collect()
    };
    let waits = ("LAND/requests".to_owned(), 3, false);
    assert_eq!(
        shown(&engine),
        [waits.clone(), ("TOWN/responses/N 1".to_owned(), 0, true)]
    );
    halt(&engine, resume("TOWN/responses/N 1")).await;
    assert_eq!(shown(&engine), [waits]);
}

#[tokio::test]
async fn messages_of_a_paused_queue_still_expire_by_their_own_terms() {
    let dir = tempfile::tempdir().unwrap();
    let (running, engine) = region(dir.path()).await;
    halt(&engine, pause("LAND/requests")).await;
    halt(&engine, suspend("LAND")).await;
    accept(&engine, 0..1).await;
    running.time.pass(SignedDuration::from_hours(24 * 31));
    engine.tick().await;
    let queues: Vec<_> = engine
        .queues()
        .iter()
        .map(|status| (status.queue.to_string(), status.messages))
        .collect();
    assert_eq!(
        queues,
        [("CITY/responses".to_owned(), 1), ("LAND/requests".to_owned(), 0)]
    );
    let notice = engine
        .take(Take {
            participant: mnemonic("CITY"),
            from: TakeFrom::Responses(None),
            selector: None,
        })
        .await
        .unwrap()
        .unwrap();
    let body = engine.body(notice.parts[0]).await.unwrap();
    let notice: crate::command::Notice = serde_json::from_slice(&body).unwrap();
    assert_eq!(notice.reason, NoticeReason::Expired);
}

#[tokio::test]
async fn a_paused_upstream_gets_nothing_until_it_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let (_, engine) = region(dir.path()).await;
    let id = id_at(engine.now(), 1);
    engine.accept(request(participant("CITY"), id, "pass")).await.unwrap();
    let work = engine.upstream_work(&upstream());
    work.notified().await;
    let lane = engine.lanes(&upstream()).remove(0);
    let head = engine.lane_head(&lane).unwrap().unwrap();
    engine.forward_started(head.message.seq, id).await.unwrap();
    halt(&engine, pause("upstream/federal")).await;
    assert!(engine.lanes(&upstream()).is_empty());
    assert!(engine.lane_head(&lane).unwrap().is_none());
    // What came of the attempt that was under way is recorded; another one does not begin.
    let cause = "no answer".to_owned();
    engine
        .forward_outcome(head.message.seq, ForwardOutcome::Unknown { cause })
        .await
        .unwrap();
    match engine.forward_started(head.message.seq, id).await {
        Err(Refusal::Unavailable(why)) => assert!(why.contains("upstream/federal is paused"), "{why}"),
        other => panic!("{other:?}"),
    }
    let later = request(participant("TOWN"), id_at(engine.now(), 2), "pass");
    engine.accept(later).await.unwrap();
    work.notified().await;
    assert!(engine.lanes(&upstream()).is_empty());
    halt(&engine, resume("upstream/federal")).await;
    work.notified().await;
    assert_eq!(engine.lanes(&upstream()).len(), 2);
    engine.forward_started(head.message.seq, id).await.unwrap();
}

/// What stands still in each of these tests.
async fn still(engine: &Engine) {
    halt(engine, suspend("LAND")).await;
    halt(engine, pause("CITY/responses")).await;
    halt(engine, pause("upstream/federal")).await;
    halt(engine, suspend("TOWN")).await;
    halt(engine, Halting::ResumeParticipant(mnemonic("TOWN"))).await;
}

#[track_caller]
fn stands_still(halts: &crate::Halts) {
    let queues: Vec<_> = halts.queues.keys().map(Queue::to_string).collect();
    assert_eq!(queues, ["CITY/responses", "upstream/federal"]);
    let names: Vec<_> = halts.participants.keys().map(Mnemonic::as_str).collect();
    assert_eq!(names, ["LAND"]);
    assert_eq!(halts.participants[&mnemonic("LAND")].reason, "its key was stolen");
}

#[tokio::test]
async fn what_stands_still_does_so_after_restarts_and_rebuilding_from_journal_and_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let (mut running, engine) = region(dir.path()).await;
    still(&engine).await;
    engine.shutdown().await;
    let before = rows(dir.path());
    let view = View::open(&running.settings, RealDisk::shared()).unwrap().unwrap();
    stands_still(view.registry().halts());
    assert!(view.queues().unwrap().iter().all(|status| status.paused.is_some()));
    drop(view);
    rebuild_index(&running.settings, RealDisk::shared()).unwrap();
    assert!(before == rows(dir.path()), "from the journal");

    // A snapshot has them, too.
    running.settings.snapshot_every = 1;
    let engine = running.start().unwrap();
    stands_still(engine.registry().halts());
    let snapshots = || std::fs::read_dir(dir.path().join("snapshot")).map_or(0, Iterator::count);
    super::running::until(&engine, "a snapshot", || snapshots() > 0).await;
    engine.shutdown().await;
    let before = rows(dir.path());
    let rebuilt = rebuild_index(&running.settings, RealDisk::shared()).unwrap();
    assert!(rebuilt.last_seq > 0 && before == rows(dir.path()), "from the snapshot");
    let engine = running.start().unwrap();
    stands_still(engine.registry().halts());
    assert_eq!(engine.take(take_requests()).await.map(drop), Err(land()));
}

#[tokio::test]
async fn the_registry_lets_nothing_go_on_and_removal_takes_the_marks_along() {
    let dir = tempfile::tempdir().unwrap();
    let (running, engine) = region(dir.path()).await;
    still(&engine).await;
    apply(&engine, &["TOWN"], true).await;
    stands_still(engine.registry().halts());
    apply(&engine, &[], false).await;
    stands_still(engine.registry().halts());
    let mut renamed = content();
    renamed.participants.get_mut(&mnemonic("LAND")).unwrap().name = "another name".to_owned();
    let change = RegistryChange {
        content: renamed,
        prune: true,
        blobs: BTreeMap::new(),
    };
    engine.apply_registry(change, "operator").await.unwrap();
    stands_still(engine.registry().halts());

    apply(&engine, &["LAND", "CITY"], true).await;
    apply(&engine, &[], true).await;
    let left = |engine: &Engine| -> Vec<String> {
        let registry = engine.registry();
        let halts = registry.halts();
        let queues = halts.queues.keys().map(Queue::to_string);
        halts
            .participants
            .keys()
            .map(Mnemonic::to_string)
            .chain(queues)
            .collect()
    };
    assert_eq!(left(&engine), ["upstream/federal"], "they begin anew");
    engine.shutdown().await;
    let before = rows(dir.path());
    rebuild_index(&running.settings, RealDisk::shared()).unwrap();
    assert!(before == rows(dir.path()));
    assert_eq!(left(&running.start().unwrap()), ["upstream/federal"]);
}
