//! Bodies at rest are sealed, whatever made them, and open again for those who have the key.

use std::path::Path;

use jiff::SignedDuration;
use journal::BodyError;
use vault::{Cipher, MasterKey};

use crate::command::{Delivery, Take, TakeFrom};
use crate::event::Event;
use crate::testing::{Running, id_at, mnemonic, participant, request};
use crate::{AtRest, Engine, StartError};

const SECRET: &[u8] = "Иванов Иван Иванович, 1970".as_bytes();

async fn accept(engine: &Engine, number: u32) {
    let mut incoming = request(participant("CITY"), id_at(engine.now(), number), "plan");
    incoming.parts[0].octets = SECRET.to_vec();
    incoming.exchange_note = Some(SECRET.to_vec());
    engine.accept(incoming).await.unwrap();
}

async fn take(engine: &Engine, who: &str, from: TakeFrom) -> Option<Delivery> {
    let participant = mnemonic(who);
    let selector = None;
    engine
        .take(Take {
            participant,
            from,
            selector,
        })
        .await
        .unwrap()
}

/// How often these octets lie in the spool.
fn found(data_dir: &Path, octets: &[u8]) -> usize {
    let files = std::fs::read_dir(data_dir.join("spool")).unwrap();
    let read = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
    read.map(|file| file.windows(octets.len()).filter(|window| *window == octets).count())
        .sum()
}

#[tokio::test]
async fn neither_messages_nor_notices_can_be_read_on_the_disk() {
    for cipher in Cipher::ALL {
        let dir = tempfile::tempdir().unwrap();
        let mut running = Running::new(dir.path());
        running.cipher = Some(cipher);
        let engine = running.region().await;
        accept(&engine, 1).await;
        running.time.pass(SignedDuration::from_hours(24 * 31));
        engine.tick().await;
        let notice = take(&engine, "CITY", TakeFrom::Responses(None)).await.unwrap();
        let told = engine.body(notice.parts[0]).await.unwrap();
        assert_eq!(engine.body(notice.exchange_note.unwrap()).await.unwrap(), SECRET);
        assert!(told.starts_with(b"{"), "the notice itself is JSON");
        engine.shutdown().await;
        assert_eq!(found(dir.path(), SECRET), 0, "{cipher}");
        assert_eq!(found(dir.path(), &told), 0, "{cipher}");
    }
}

#[tokio::test]
async fn what_was_sealed_otherwise_or_not_at_all_can_still_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    running.region().await.shutdown().await;
    let ciphers = [Some(Cipher::Aes256Gcm), None, Some(Cipher::KuznyechikMgm), None];
    for (number, cipher) in (1..).zip(ciphers) {
        running.cipher = cipher;
        let engine = running.start().unwrap();
        accept(&engine, number).await;
        engine.shutdown().await;
    }
    // Two of four, each with its note.
    assert_eq!(found(dir.path(), SECRET), 4);
    let engine = running.start().unwrap();
    for _ in ciphers {
        let delivery = take(&engine, "LAND", TakeFrom::Requests).await.unwrap();
        assert_eq!(engine.body(delivery.parts[0]).await.unwrap(), SECRET);
        assert_eq!(engine.body(delivery.exchange_note.unwrap()).await.unwrap(), SECRET);
    }
    engine.shutdown().await;
}

#[tokio::test]
async fn a_start_without_the_keys_of_what_is_stored_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    let engine = running.region().await;
    accept(&engine, 1).await;
    engine.shutdown().await;

    let (master, aside) = (dir.path().join("master.key"), dir.path().join("aside.key"));
    std::fs::rename(&master, &aside).unwrap();
    assert!(
        matches!(running.start(), Err(StartError::Vault(_))),
        "another master key"
    );
    std::fs::rename(&aside, &master).unwrap();
    running.at_rest = false;
    assert!(matches!(running.start(), Err(StartError::NoMasterKey { used: 1 })));
    running.at_rest = true;
    let keyring = dir.path().join("keys/keyring.json");
    std::fs::rename(&keyring, &aside).unwrap();
    assert!(matches!(running.start(), Err(StartError::LostKeys { used: 1, .. })));
    assert!(!keyring.exists(), "a refused start makes no keys");

    running.accept_lost_keys = true;
    let engine = running.start().unwrap();
    accept(&engine, 2).await;
    let lost = take(&engine, "LAND", TakeFrom::Requests).await.unwrap();
    let error = engine.body(lost.parts[0]).await.unwrap_err();
    assert!(
        matches!(&error, BodyError::Damaged(damage) if damage.what.contains("keyring")),
        "{error}"
    );
    let kept = take(&engine, "LAND", TakeFrom::Requests).await.unwrap();
    assert_eq!(engine.body(kept.parts[0]).await.unwrap(), SECRET);
    engine.shutdown().await;
    running.accept_lost_keys = false;
    running.start().unwrap().shutdown().await;
}

#[tokio::test]
async fn lost_keys_can_be_given_up_whatever_was_lost() {
    for damaged in [false, true] {
        for cipher in [Some(Cipher::Aes256Gcm), None] {
            let dir = tempfile::tempdir().unwrap();
            let mut running = Running::new(dir.path());
            let engine = running.region().await;
            accept(&engine, 1).await;
            engine.shutdown().await;
            if damaged {
                std::fs::write(dir.path().join("keys/keyring.json"), "{").unwrap();
            } else {
                std::fs::remove_file(dir.path().join("master.key")).unwrap();
            }
            running.cipher = cipher;
            assert!(matches!(running.start(), Err(StartError::Vault(_))));
            running.accept_lost_keys = true;
            let engine = running.start().unwrap();
            accept(&engine, 2).await;
            let lost = take(&engine, "LAND", TakeFrom::Requests).await.unwrap();
            assert!(engine.body(lost.parts[0]).await.is_err());
            let kept = take(&engine, "LAND", TakeFrom::Requests).await.unwrap();
            assert_eq!(engine.body(kept.parts[0]).await.unwrap(), SECRET);
            engine.shutdown().await;
            // It was said once.
            running.accept_lost_keys = false;
            running.start().unwrap().shutdown().await;
            let aside = std::fs::read_dir(dir.path().join("keys")).unwrap().count();
            assert_eq!(aside, 2, "the keyring that was, and the one that is");
        }
    }
}

#[tokio::test]
async fn a_refused_start_writes_no_master_key() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    accept(&engine, 1).await;
    engine.shutdown().await;
    std::fs::remove_dir_all(dir.path().join("keys")).unwrap();
    let new = dir.path().join("keys/master.key");
    let mut start = running.starting(dir.path());
    start.at_rest = Some(AtRest {
        master: MasterKey::generate().unwrap(),
        new_at: Some(new.clone()),
        cipher: Some(Cipher::Aes256Gcm),
        accept_lost_keys: false,
    });
    assert!(matches!(Engine::start(start), Err(StartError::LostKeys { .. })));
    assert!(!new.exists());
}

#[tokio::test]
async fn data_keys_change_with_time_and_the_journal_tells_of_each() {
    let dir = tempfile::tempdir().unwrap();
    let mut running = Running::new(dir.path());
    running.settings.tick = std::time::Duration::from_millis(20);
    let engine = running.region().await;
    accept(&engine, 1).await;
    let keys = || {
        let disk = journal::disk::RealDisk::shared();
        let mut told = Vec::new();
        let range = journal::verify::Range::default();
        journal::verify::verify(&disk, &dir.path().join("journal"), range, &mut |record| {
            if let Ok(Event::DataKey { id, .. }) = serde_json::from_str(record.event.get()) {
                told.push(id);
            }
            Ok(())
        })
        .unwrap();
        told
    };
    assert_eq!(keys(), [1]);
    running.time.pass(SignedDuration::from_hours(25));
    super::running::until(&engine, "a new data key", || keys() == [1, 2]).await;
    let delivery = take(&engine, "LAND", TakeFrom::Requests).await.unwrap();
    assert_eq!(engine.body(delivery.parts[0]).await.unwrap(), SECRET);
    engine.shutdown().await;
}
