//! Data of an older format: a gateway takes it over and goes on where the older one ended. Data of a newer format it leaves
//! alone.
//!
//! `formats/N` holds what a gateway wrote that knew format N as the newest: the keys of the region, and a data directory in
//! the middle of things. [`this_format`] makes it.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod common;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use common::{
    CONSUMER, EGRN, FEDERAL, GATEWAY, PROVIDER, SPRAVKA, World, answered_text, assert_journal_whole, assert_no_request,
    echo, identity, local_region, queues, request, send, system, take_response,
};
use emulator::{Clock, Identity, Version};
use harness::{Kind, RegionBuilder, Upstream};
use jiff::Timestamp;
use serde_json::Value;

/// What stays in no backup and is needed all the same.
const MASTER_KEY: &str = "keys/master.key";
/// The message that waits for the provider.
const WAITING: &str = "waits for the provider";
/// The one that waits for the bus.
const NORTH: &str = "waits for the bus";
/// The answer that waits for the consumer.
const ANSWERED: &str = "answered";

fn formats() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/blackbox/formats")
}

/// The folders of older formats, by their numbers.
fn kept() -> BTreeMap<u32, PathBuf> {
    let entries = std::fs::read_dir(formats()).unwrap();
    let kept = entries.map(|entry| {
        let path = entry.unwrap().path();
        let number = path.file_name().unwrap().to_str().unwrap().parse();
        (number.expect("a folder is named after its format"), path)
    });
    kept.collect()
}

fn header(data: &Path) -> String {
    std::fs::read_to_string(data.join("FORMAT")).unwrap()
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(from, to).unwrap();
}

/// Copies a folder with all that is in it.
fn copy_all(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        match path.is_dir() {
            true => copy_all(&path, &target),
            false => copy(&path, &target),
        }
    }
}

fn kept_identity(folder: &Path, mnemonic: &str) -> Identity {
    let read = |ending: &str| std::fs::read_to_string(folder.join(format!("{mnemonic}.{ending}"))).unwrap();
    Identity::from_pem(mnemonic, &read("key"), &read("crt")).unwrap()
}

/// A region of the kept identities below a new bus, at the time at which the older gateway stopped.
async fn region(folder: &Path) -> World {
    let stopped: Timestamp = std::fs::read_to_string(folder.join("stopped"))
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let clock = Clock::running(stopped, 1.0);
    let gateway = kept_identity(folder, GATEWAY);
    let signer = kept_identity(folder, "SMEV");
    let bus = common::bus_of(signer, &gateway, clock.clone()).await;
    let builder = with_bus(local_region().clock(clock).gateway(gateway), &bus);
    let builder = builder.participant(kept_identity(folder, CONSUMER));
    let region = builder.participant(kept_identity(folder, PROVIDER)).prepare().unwrap();
    copy_all(&folder.join("data"), region.data_dir());
    // A repository keeps no such rights.
    let own = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(region.data_dir().join(MASTER_KEY), own).unwrap();
    // Nothing was in it.
    std::fs::create_dir_all(region.data_dir().join("snapshot")).unwrap();
    World { bus, region }
}

fn with_bus(builder: RegionBuilder, bus: &emulator::Emulator) -> RegionBuilder {
    builder
        .upstream(Upstream::emulated(FEDERAL, bus, Version::V1_2))
        .kind(Kind::new("egrn", EGRN))
        .local_exchange("egrn", &[CONSUMER], FEDERAL)
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_each_older_format_is_raised_and_everything_goes_on() {
    for (number, folder) in kept() {
        let mut world = region(&folder).await;
        let before = header(world.region.data_dir());
        assert_eq!(before, format!("rsmev storage, format {number}\n"));

        // Whoever only looks changes nothing.
        let waiting = queues(&world.region).await;
        assert_eq!(waiting.values().sum::<u64>(), 3, "format {number}: {waiting:?}");
        assert_eq!(header(world.region.data_dir()), before);

        world.region.start().await.unwrap();
        assert_ne!(header(world.region.data_dir()), before, "it is raised");
        let (log, from) = (world.region.log(), format!(" from={number}"));
        let told = |line: &str| line.contains("store-migrated") && line.contains(&from);
        assert!(log.lines().any(told), "{log}");
        let (consumer, provider) = (world.system(CONSUMER), world.system(PROVIDER));
        assert_eq!(answered_text(&take_response(&consumer).await), ANSWERED);
        echo(&provider).await;
        let mut answers =
            [take_response(&consumer).await, take_response(&consumer).await].map(|got| answered_text(&got));
        answers.sort();
        assert_eq!(answers, [NORTH, WAITING]);
        assert_no_request(&provider).await;
        send(&consumer, request(SPRAVKA, "of now")).await;
        echo(&provider).await;
        assert_eq!(answered_text(&take_response(&consumer).await), "of now");
        // What the older program did not know stands on its data, too.
        let suspend = ["participant", "suspend", PROVIDER, "--reason", "after the upgrade"];
        world.region.command(&suspend).await.unwrap().success().unwrap();
        world.region.restart().await.unwrap();
        assert!(queues(&world.region).await.is_empty());
        let listed = world.region.json(&["participant", "list"]).await.unwrap();
        let suspended = listed
            .as_array()
            .unwrap()
            .iter()
            .find(|row| !row["suspended"].is_null());
        assert_eq!(suspended.unwrap()["mnemonic"], PROVIDER);
        world.region.stop().await.unwrap();
        assert_journal_whole(&world.region).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_a_newer_format_are_refused_and_left_as_they_are() {
    let mut region = local_region().start().await.unwrap();
    send(&system(&region, CONSUMER), request(SPRAVKA, WAITING)).await;
    region.stop().await.unwrap();
    let known: u32 = header(region.data_dir())
        .trim_end()
        .rsplit(' ')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let file = region.data_dir().join("FORMAT");
    let newer = format!("rsmev storage, format {}\n", known + 1);
    std::fs::write(&file, &newer).unwrap();
    let pictured = picture(region.data_dir());

    region.launch().unwrap();
    let ended = common::eventually("the start is refused", async || region.ended().unwrap()).await;
    assert_eq!(ended.code(), Some(1));
    region.forget_process();
    assert!(region.log().contains("install a newer version"), "{}", region.log());
    for command in [["check"].as_slice(), &["queue", "list"], &["index", "rebuild"]] {
        let refused = region.command(command).await.unwrap();
        assert_eq!(refused.code, Some(1), "{command:?}");
        let told = format!("{}{}", refused.stdout, refused.stderr);
        assert!(told.contains("install a newer version"), "{command:?}: {told}");
    }
    assert_eq!(picture(region.data_dir()), pictured);

    std::fs::write(&file, format!("rsmev storage, format {known}\n")).unwrap();
    region.start().await.unwrap();
    echo(&system(&region, PROVIDER)).await;
}

/// Length and time of change of every file but the lock's, which says who has had it.
fn picture(data: &Path) -> BTreeMap<PathBuf, (u64, std::time::SystemTime)> {
    let mut picture = BTreeMap::new();
    let mut folders = vec![data.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let (path, metadata) = entry.map(|entry| (entry.path(), entry.metadata().unwrap())).unwrap();
            match metadata.is_dir() {
                true => folders.push(path),
                false => drop(picture.insert(path, (metadata.len(), metadata.modified().unwrap()))),
            }
        }
    }
    picture.remove(&data.join("LOCK"));
    picture
}

/// Writes `formats/N` for the format that this program writes: before the number is raised,
/// `cargo test -p rsmev --test upgrade -- --ignored this_format`.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes into the source tree"]
async fn this_format() {
    let (gateway, signer) = (identity(GATEWAY), identity("SMEV"));
    let bus = common::bus_of(signer.clone(), &gateway, Clock::default()).await;
    bus.go_down().await;
    let builder = with_bus(local_region().gateway(gateway.clone()), &bus);
    let mut region = builder.start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    send(&consumer, request(SPRAVKA, ANSWERED)).await;
    echo(&provider).await;
    send(&consumer, request(SPRAVKA, WAITING)).await;
    send(&consumer, request(EGRN, NORTH)).await;
    // A backup holds the used part of each file alone.
    let backups = region.dir().join("backups");
    let create = ["backup", "create", backups.to_str().unwrap()];
    region.command(&create).await.unwrap().success().unwrap();
    let stopped = Timestamp::now();
    region.stop().await.unwrap();

    let number = header(region.data_dir())
        .trim_end()
        .rsplit(' ')
        .next()
        .unwrap()
        .to_owned();
    let folder = formats().join(number);
    let manifest = std::fs::read(backups.join("manifest-00000001.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    for file in manifest["files"].as_array().unwrap() {
        let (path, stored) = (file["path"].as_str().unwrap(), file["stored"].as_str().unwrap());
        copy(&backups.join(stored), &folder.join("data").join(path));
    }
    copy(
        &region.data_dir().join(MASTER_KEY),
        &folder.join("data").join(MASTER_KEY),
    );
    std::fs::write(folder.join("stopped"), format!("{stopped}\n")).unwrap();
    let participants = [CONSUMER, PROVIDER].map(|mnemonic| region.identity(mnemonic).unwrap().clone());
    for identity in [gateway, signer].iter().chain(&participants) {
        let file = |ending: &str| folder.join(format!("{}.{ending}", identity.mnemonic()));
        std::fs::write(file("key"), identity.private_key_pem().unwrap()).unwrap();
        std::fs::write(file("crt"), identity.certificate().to_pem()).unwrap();
    }
}
