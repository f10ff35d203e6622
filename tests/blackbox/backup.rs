//! Backups made under load: what they have is there after a restoration to an empty folder, and nothing is accepted twice
//! upstream, whatever the lost gateway sent after the backup.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::{
    CONSUMER, EGRN, LATER, OTHER, PROVIDER, SPRAVKA, World, assert_journal_whole, echo, quarantine, request, send,
    send_data, system, within,
};
use emulator::{Participant, RequestData};
use harness::Region;
use serde_json::Value;

/// Pause between two requests of a client: much is on its way, and yet the end comes soon.
const PACE: Duration = Duration::from_millis(20);

/// Clients that send until they are told to stop, and what they know to be accepted, in order.
struct Load {
    accepted: Arc<Mutex<Vec<(&'static str, RequestData)>>>,
    stop: Arc<AtomicBool>,
    clients: Vec<tokio::task::JoinHandle<()>>,
}

impl Load {
    fn start(region: &Region) -> Self {
        let (accepted, stop) = (Arc::<Mutex<Vec<_>>>::default(), Arc::<AtomicBool>::default());
        let client = |(mnemonic, kind)| {
            let (system, accepted, stop) = (system(region, mnemonic), Arc::clone(&accepted), Arc::clone(&stop));
            tokio::spawn(send_on(system, kind, accepted, stop))
        };
        let clients = [(CONSUMER, EGRN), (OTHER, EGRN), (CONSUMER, SPRAVKA)]
            .map(client)
            .into();
        Self {
            accepted,
            stop,
            clients,
        }
    }

    fn accepted(&self, kind: &str) -> Vec<RequestData> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted
            .iter()
            .filter(|(of, _)| *of == kind)
            .map(|(_, data)| data.clone())
            .collect()
    }

    /// Waits until so many more of a kind are accepted.
    async fn goes_on(&self, kind: &str, more: usize) {
        let begun = self.accepted(kind).len();
        within(LATER, "load", async || {
            (self.accepted(kind).len() >= begun + more).then_some(())
        })
        .await;
    }

    async fn stop(self) -> Vec<RequestData> {
        self.stop.store(true, Ordering::SeqCst);
        for client in self.clients {
            client.await.unwrap();
        }
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.iter().map(|(_, data)| data.clone()).collect()
    }
}

async fn send_on(
    system: Participant,
    kind: &'static str,
    accepted: Arc<Mutex<Vec<(&'static str, RequestData)>>>,
    stop: Arc<AtomicBool>,
) {
    for number in 0.. {
        if stop.load(Ordering::SeqCst) {
            return;
        }
        let data = system.new_request(request(kind, &format!("{} {number}", system.identity().mnemonic())));
        send_data(&system, &data).await;
        accepted
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((kind, data));
        tokio::time::sleep(PACE).await;
    }
}

/// Everything in a queue.
async fn all_in(region: &Region, queue: &str) -> BTreeSet<String> {
    let rows = region
        .json(&["queue", "show", queue, "--limit", "100000"])
        .await
        .unwrap();
    let id = |row: &Value| row["message_id"].as_str().unwrap().to_owned();
    rows.as_array().unwrap().iter().map(id).collect()
}

fn ids(data: &[RequestData]) -> BTreeSet<String> {
    data.iter().map(|data| data.message_id.clone()).collect()
}

fn manifest(backups: &Path, number: u64) -> Value {
    let text = std::fs::read_to_string(backups.join(format!("manifest-{number:08}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Files that a backup was the first to need.
fn new_files(manifest: &Value) -> Vec<&str> {
    let set = format!("set-{:08}/", manifest["number"].as_u64().unwrap());
    let files = manifest["files"].as_array().unwrap().iter();
    files
        .filter(|file| file["stored"].as_str().unwrap().starts_with(&set))
        .map(|file| file["path"].as_str().unwrap())
        .collect()
}

async fn held(region: &Region) -> bool {
    region.metrics().await.unwrap().count("upstream_held", &[]) == 1
}

/// The master key is in no backup: whoever restores one has kept it elsewhere.
fn bring_master_key(from: &Path, to: &Path) {
    let key = Path::new("keys/master.key");
    std::fs::copy(from.join(key), to.join(key)).unwrap();
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_restored_and_nothing_is_sent_twice() {
    let World { bus, mut region } = World::start_impatient().await;
    let backups = region.dir().join("backups");
    let folder = text(&backups);
    let load = Load::start(&region);
    load.goes_on(EGRN, 5).await;
    bus.go_down().await;
    load.goes_on(EGRN, 10).await;

    // Made while everything goes on.
    let local_before = ids(&load.accepted(SPRAVKA));
    let said = region
        .command(&["backup", "create", &folder])
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(said.stdout.contains("Backup 1"), "{}", said.stdout);
    load.goes_on(EGRN, 10).await;
    bus.come_back().await.unwrap();
    region
        .command(&["backup", "create", &folder])
        .await
        .unwrap()
        .success()
        .unwrap();
    let second = manifest(&backups, 2);
    let new = new_files(&second);
    let sealed = |path: &&str| path.ends_with(".jsonl.zst");
    assert!(
        new.iter().filter(|path| sealed(path)).count() <= 2,
        "only new segments are copied: {new:?}"
    );
    assert!(new.len() < second["files"].as_array().unwrap().len());
    for number in ["1", "2"] {
        let verified = region
            .command(&["backup", "verify", &folder, "--number", number])
            .await
            .unwrap();
        assert!(verified.success().unwrap().stdout.contains("is whole"));
    }

    // What the lost gateway sent after the backup, and took from its senders.
    let sent = load.stop().await;
    within(LATER, "an empty queue", async || {
        all_in(&region, "upstream/federal").await.is_empty().then_some(())
    })
    .await;
    region.kill().await.unwrap();
    std::fs::rename(region.data_dir(), region.dir().join("lost")).unwrap();

    std::fs::create_dir(region.data_dir()).unwrap();
    let restored = region
        .command(&["backup", "restore", &folder, "--number", "1"])
        .await
        .unwrap();
    assert!(restored.success().unwrap().stdout.contains("resume-upstream"));
    bring_master_key(&region.dir().join("lost"), region.data_dir());
    assert_journal_whole(&region).await;
    region.start().await.unwrap();
    let waiting = all_in(&region, "GISOGD73/requests").await;
    assert!(
        local_before.is_subset(&waiting),
        "nothing that the backup has is missing"
    );
    let upstream = all_in(&region, "upstream/federal").await;
    assert!(upstream.len() >= 10, "{}", upstream.len());
    assert!(held(&region).await);
    // The journal names who did each of it.
    for (kind, place) in [("restored", "/by/name"), ("registry", "/by")] {
        let events = common::journal(&region, &["--type", kind]).await;
        let by = events
            .last()
            .and_then(|event| event.pointer(place))
            .and_then(Value::as_str);
        assert!(by.is_some_and(|name| !name.is_empty()), "{kind}: {events:?}");
    }
    let (status, ready) = region.ready().await.unwrap();
    assert!(
        status == 200 && ready.to_string().contains("resume-upstream"),
        "{ready}"
    );

    // Its senders do not know that it was lost, or do and send again: both are right.
    let consumer = system(&region, CONSUMER);
    let fresh = send(&consumer, request(EGRN, "после восстановления")).await;
    let again = sent.iter().rfind(|data| {
        data.content.contains(EGRN) && data.content.contains(CONSUMER) && !upstream.contains(&data.message_id)
    });
    send_data(&consumer, again.unwrap()).await;
    assert!(
        all_in(&region, "upstream/federal").await.is_superset(&upstream),
        "all of it waits"
    );
    assert!(bus.ledger().accepted(&fresh).is_none());

    let resumed = region
        .command(&["backup", "resume-upstream", "--reason", "the old machine is off"])
        .await
        .unwrap();
    resumed.success().unwrap();
    within(LATER, "an empty queue", async || {
        all_in(&region, "upstream/federal").await.is_empty().then_some(())
    })
    .await;
    assert!(!held(&region).await, "not held any more");
    assert!(quarantine(&region).await.is_empty());
    let ledger = bus.ledger();
    assert_eq!(ledger.accepted_more_than_once(), []);
    assert_eq!(ledger.times_accepted(&fresh), 1);
    let asked: usize = upstream.iter().map(|id| ledger.times_already_sent(id)).sum();
    assert!(asked > 0, "the upstream was asked, and had it");
    assert!(ledger.times_already_sent(&again.unwrap().message_id) > 0);

    // And everything goes on: exchange, backups, restarts.
    echo(&system(&region, PROVIDER)).await;
    region
        .command(&["backup", "create", &folder])
        .await
        .unwrap()
        .success()
        .unwrap();
    region.restart().await.unwrap();
    assert!(!held(&region).await, "not held any more");
    assert_journal_whole(&region).await;
}

/// A stopped gateway with some messages, and a backup of it.
async fn backed_up() -> (World, PathBuf) {
    let mut world = World::start().await;
    let consumer = world.system(CONSUMER);
    for number in 0..3 {
        send(&consumer, request(SPRAVKA, &number.to_string())).await;
    }
    world.region.stop().await.unwrap();
    let folder = world.region.dir().join("backups");
    let created = world
        .region
        .command(&["backup", "create", &text(&folder)])
        .await
        .unwrap();
    created.success().unwrap();
    (world, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_stopped_gateway_becomes_a_store_elsewhere() {
    let (mut world, folder) = backed_up().await;
    let region = &mut world.region;
    let files: Vec<_> = manifest(&folder, 1)["files"].as_array().unwrap().clone();
    let has = |part: &str| files.iter().any(|file| file["path"].as_str().unwrap().contains(part));
    assert!(has("journal/") && has("spool/") && has("registry/") && has("FORMAT") && has("keys/keyring.json"));
    assert!(!has("index") && !has(".key") && !has("LOCK") && !has("SESSION"));

    let certificate = region.dir().join("gateway-alone.crt");
    std::fs::write(&certificate, region.gateway().certificate().to_pem()).unwrap();
    let verify = ["backup", "verify", &text(&folder), "--certificate", &text(&certificate)];
    region.command(&verify).await.unwrap().success().unwrap();

    let occupied = region.command(&["backup", "restore", &text(&folder)]).await.unwrap();
    assert_eq!(occupied.code, Some(1));
    assert!(occupied.stderr.contains("is not empty"), "{}", occupied.stderr);
    let elsewhere = region.dir().join("elsewhere");
    let restore = ["backup", "restore", &text(&folder), "--data-dir", &text(&elsewhere)];
    if nix::unistd::geteuid().is_root() {
        let refused = region.command(&restore).await.unwrap();
        assert!(
            refused.code == Some(1) && refused.stderr.contains("install -d"),
            "{}",
            refused.stderr
        );
    }
    std::fs::create_dir(&elsewhere).unwrap();
    region.command(&restore).await.unwrap().success().unwrap();
    let verified = region
        .command(&["journal", "verify", "--dir", &text(&elsewhere)])
        .await
        .unwrap();
    verified.success().unwrap();

    bring_master_key(region.data_dir(), &elsewhere);
    std::fs::remove_dir_all(region.data_dir()).unwrap();
    std::fs::rename(&elsewhere, region.data_dir()).unwrap();
    // Before it ever ran a person may say so, too.
    let resume = ["backup", "resume-upstream", "--reason", "there is no old machine"];
    region.command(&resume).await.unwrap().success().unwrap();
    region.start().await.unwrap();
    assert!(!held(region).await);
    assert_eq!(all_in(region, "GISOGD73/requests").await.len(), 3);
    echo(&world.system(PROVIDER)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_is_found_and_the_one_before_stays_valid() {
    let (world, folder) = backed_up().await;
    let region = &world.region;
    let verify = async || region.command(&["backup", "verify", &text(&folder)]).await.unwrap();
    let refused = async |expected: &str| {
        let found = verify().await;
        assert_eq!(found.code, Some(1), "{}", found.stdout);
        assert!(found.stderr.contains(expected), "{expected}: {}", found.stderr);
        let target = region.dir().join("target");
        std::fs::create_dir(&target).unwrap();
        let restore = ["backup", "restore", &text(&folder), "--data-dir", &text(&target)];
        let restored = region.command(&restore).await.unwrap();
        assert_eq!(restored.code, Some(1), "{}", restored.stdout);
        assert!(!target.join("FORMAT").exists(), "what is not whole is no store");
        std::fs::remove_dir_all(target).unwrap();
    };
    let listed = manifest(&folder, 1);
    let files = listed["files"].as_array().unwrap();
    for part in ["journal/", "spool/", "registry/"] {
        let file = files
            .iter()
            .find(|file| file["path"].as_str().unwrap().contains(part))
            .unwrap();
        let path = folder.join(file["stored"].as_str().unwrap());
        let good = std::fs::read(&path).unwrap();
        let mut bad = good.clone();
        bad[good.len() / 2] ^= 1;
        std::fs::write(&path, bad).unwrap();
        refused("is not what was backed up").await;
        std::fs::write(&path, good).unwrap();
    }
    let path = folder.join("manifest-00000001.json");
    let good = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, good.replace("\"through\": ", "\"through\": 1")).unwrap();
    refused("does not verify").await;
    std::fs::write(&path, &good).unwrap();

    // What an interrupted backup leaves is no backup.
    std::fs::create_dir_all(folder.join("set-00000002/journal")).unwrap();
    std::fs::write(folder.join("set-00000002/journal/half"), "half").unwrap();
    std::fs::write(folder.join("manifest-00000002.json.tmp"), "{").unwrap();
    verify().await.success().unwrap();
    let created = region
        .command(&["backup", "create", &text(&folder), "--keep", "1"])
        .await
        .unwrap();
    created.success().unwrap();
    assert!(!folder.join("set-00000002/journal/half").exists());
    assert!(!path.exists(), "one is kept");
    verify().await.success().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_still_as_it_was_backed_up_is_taken_from_the_backup_before() {
    let (world, folder) = backed_up().await;
    let region = &world.region;
    let first = manifest(&folder, 1);
    let sealed = first["files"].as_array().unwrap().iter();
    let sealed = sealed
        .map(|file| file["stored"].as_str().unwrap())
        .find(|path| path.ends_with(".jsonl.zst"));
    let path = folder.join(sealed.unwrap());
    let mut octets = std::fs::read(&path).unwrap();
    octets[100] ^= 1;
    std::fs::write(&path, octets).unwrap();
    let create = ["backup", "create", &text(&folder), "--keep", "9"];
    let created = region.command(&create).await.unwrap().success().unwrap();
    assert!(created.stderr.contains("is copied again"), "{}", created.stderr);
    let verify = ["backup", "verify", &text(&folder)];
    region.command(&verify).await.unwrap().success().unwrap();

    // Nothing that another gateway's manifest names is taken up.
    let (_theirs, elsewhere) = backed_up().await;
    let create = ["backup", "create", &text(&elsewhere)];
    let created = region.command(&create).await.unwrap().success().unwrap();
    assert!(
        created.stderr.contains("backup 1 is not taken up"),
        "{}",
        created.stderr
    );
    let set = format!("set-{:08}/", 2);
    let files = manifest(&elsewhere, 2)["files"].as_array().unwrap().clone();
    assert!(
        files
            .iter()
            .all(|file| file["stored"].as_str().unwrap().starts_with(&set))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manifest_that_cannot_be_read_costs_no_files() {
    let (world, folder) = backed_up().await;
    let region = &world.region;
    let path = folder.join("manifest-00000001.json");
    let good = std::fs::read(&path).unwrap();
    let create = ["backup", "create", &text(&folder), "--keep", "1"];
    for bad in [&good[..good.len() / 2], b"{}"] {
        std::fs::write(&path, bad).unwrap();
        let refused = region.command(&create).await.unwrap();
        assert_eq!(refused.code, Some(1), "{}", refused.stdout);
        assert!(
            refused.stderr.contains("nobody knows which files backup 1 needs"),
            "{}",
            refused.stderr
        );
    }
    std::fs::write(&path, &good).unwrap();
    let verify = ["backup", "verify", &text(&folder)];
    region.command(&verify).await.unwrap().success().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_in_the_folders_are_not_followed() {
    let (world, folder) = backed_up().await;
    let region = &world.region;
    let victim = region.dir().join("victim");
    std::fs::create_dir(&victim).unwrap();
    std::os::unix::fs::symlink(&victim, folder.join("set-00000002")).unwrap();
    let create = ["backup", "create", &text(&folder)];
    let refused = region.command(&create).await.unwrap();
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    std::fs::remove_file(folder.join("set-00000002")).unwrap();

    let (registry, aside) = (region.data_dir().join("registry"), region.dir().join("aside"));
    std::fs::rename(&registry, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &registry).unwrap();
    let refused = region.command(&create).await.unwrap();
    assert_eq!(refused.code, Some(1), "{}", refused.stdout);
    std::fs::remove_file(&registry).unwrap();
    std::fs::rename(&aside, &registry).unwrap();
    region.command(&create).await.unwrap().success().unwrap();
    assert_eq!(std::fs::read_dir(&victim).unwrap().count(), 0);
}
