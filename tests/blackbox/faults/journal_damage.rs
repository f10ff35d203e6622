//! A journal that is not what was written: the start is refused and changes nothing, what it names is what `journal verify`
//! names, and the way out goes over no other damage.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use harness::Region;

use super::{condition, incident};
use crate::common::{
    CONSUMER, EGRN, PROVIDER, SPRAVKA, World, assert_journal_whole, eventually, journal, queue, request, send, system,
    take_request,
};

/// The exit code of a start that was refused.
const REFUSED: i32 = 1;

/// A stopped gateway with two sealed segments of its journal and a live one. In the second segment a message for the
/// bus was sent, and another was accepted for a participant.
struct Stopped {
    world: World,
    /// Accepted in the first segment and taken by nobody.
    first: String,
    /// Accepted in the second.
    second: String,
}

async fn stopped() -> Stopped {
    let mut world = World::start_impatient().await;
    let consumer = world.system(CONSUMER);
    world.bus.go_down().await;
    let first = send(&consumer, request(SPRAVKA, "первый")).await;
    send(&consumer, request(EGRN, "на шину")).await;
    seal(&world.region, 1).await;
    let second = send(&consumer, request(SPRAVKA, "второй")).await;
    world.bus.come_back().await.unwrap();
    eventually("the bus has it", async || {
        (world.bus.ledger().requests().count() == 1).then_some(())
    })
    .await;
    // The journal has the outcome before the segment is closed.
    eventually("the gateway knows", async || {
        queue(&world.region, "upstream/federal").await.is_empty().then_some(())
    })
    .await;
    seal(&world.region, 2).await;
    send(&consumer, request(SPRAVKA, "третий")).await;
    assert!(world.region.stop().await.unwrap().success());
    Stopped { world, first, second }
}

/// A backup closes the live segment.
async fn seal(region: &Region, segments: usize) {
    let dir = region.dir().join("backups").display().to_string();
    region
        .command(&["backup", "create", &dir])
        .await
        .unwrap()
        .success()
        .unwrap();
    eventually("a sealed segment", async || {
        (sealed(region.data_dir()).len() == segments).then_some(())
    })
    .await;
}

fn sealed(data: &Path) -> Vec<PathBuf> {
    let mut found: Vec<_> = std::fs::read_dir(data.join("journal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "zst"))
        .collect();
    found.sort();
    found
}

/// Every file below a folder.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).unwrap());
        }
    }
    found
}

/// Journal, spool and snapshots: what a refused start must leave as it is.
fn truth(data: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let folders = ["journal", "spool", "snapshot"].map(|folder| files(&data.join(folder)));
    let mut files: BTreeMap<_, _> = folders.into_iter().flatten().collect();
    // A segment that was made ready and not begun.
    files.retain(|path, _| path.extension().is_none_or(|end| end != "tmp"));
    files
}

/// Copies a folder with what is below it, permissions included.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Harm {
    FlippedSealed,
    TruncatedSealed,
    Missing,
    FlippedLive,
    FlippedTail,
}

impl Harm {
    fn make(self, data: &Path) {
        let second = sealed(data).remove(1);
        let live = files(&data.join("journal"))
            .into_keys()
            .find(|path| path.extension().unwrap() == "journal");
        let live = live.unwrap();
        let change = |path: &Path, change: &dyn Fn(&mut Vec<u8>)| {
            let mut octets = std::fs::read(path).unwrap();
            change(&mut octets);
            std::fs::write(path, octets).unwrap();
        };
        match self {
            Harm::FlippedSealed => {
                change(&second, &|octets| octets[600] ^= 1);
                // A start that does not need the segment does not read it.
                std::fs::remove_dir_all(data.join("index")).unwrap();
            }
            Harm::TruncatedSealed => change(&second, &|octets| octets.truncate(600)),
            Harm::Missing => std::fs::remove_file(second).unwrap(),
            Harm::FlippedLive => change(&live, &|octets| octets[128 + 100] ^= 1),
            Harm::FlippedTail => change(&live, &|octets| {
                let last = octets.iter().rposition(|octet| *octet != 0).unwrap();
                octets[last] ^= 1;
            }),
        }
    }
}

/// Starts; returns what the refusal says. The log has what earlier starts said, too.
async fn refusal(region: &mut Region, arguments: &[&str]) -> String {
    let before = region.log().len();
    region.launch_with(arguments).unwrap();
    let status = eventually("the start is refused", async || region.ended().unwrap()).await;
    region.forget_process();
    assert_eq!(status.code(), Some(REFUSED));
    region.log()[before..].to_owned()
}

/// The record that a refusal names.
fn named(text: &str) -> u64 {
    let after = text.split("record ").nth(1).unwrap();
    after
        .split(|octet: char| !octet.is_ascii_digit())
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

#[tokio::test]
async fn damage_of_the_journal_stops_the_start_and_only_its_own_name_goes_over_it() {
    let Stopped {
        mut world,
        first,
        second,
    } = stopped().await;
    let region = &mut world.region;
    let data = region.data_dir().to_owned();
    let kept = region.dir().join("kept");
    copy(&data, &kept);
    for harm in [
        Harm::FlippedSealed,
        Harm::TruncatedSealed,
        Harm::Missing,
        Harm::FlippedLive,
        Harm::FlippedTail,
    ] {
        std::fs::remove_dir_all(&data).unwrap();
        copy(&kept, &data);
        harm.make(&data);
        let before = truth(&data);
        let said = refusal(region, &[]).await;
        assert!(
            said.contains(".jsonl.zst") || said.contains(".journal"),
            "{harm:?}: {said}"
        );
        assert!(said.contains("is damaged at offset"), "{harm:?}: {said}");
        let record = named(&said);
        assert!(said.contains(&format!("--accept-gap {record}")), "{harm:?}: {said}");
        let verified = region.command(&["journal", "verify"]).await.unwrap();
        assert_eq!(verified.code, Some(1), "{harm:?}");
        if harm != Harm::FlippedTail {
            assert_eq!(named(&verified.stderr), record, "{harm:?}: {}", verified.stderr);
        }
        // Another name, as one that was left in a unit file, goes over nothing.
        let other = (record + 1).to_string();
        refusal(region, &["--accept-gap", &other]).await;
        assert!(truth(&data) == before, "{harm:?}: a refused start changed something");

        region.launch_with(&["--accept-gap", &record.to_string()]).unwrap();
        let told = match harm {
            Harm::FlippedTail => "journal_cut",
            _ => "gap_accepted",
        };
        let events = eventually("it is told", async || {
            let (status, _) = region.ready().await.ok()?;
            let events = journal(region, &["--type", told]).await;
            (status != 0 && !events.is_empty()).then_some(events)
        })
        .await;
        assert_eq!(events.len(), 1, "{harm:?}");
        let waiting = queue(region, "GISOGD73/requests").await;
        assert_eq!(waiting[0], first, "{harm:?}");
        // The index knows what the segment said, unless it had to be built without it.
        assert_eq!(waiting.contains(&second), harm != Harm::FlippedSealed, "{harm:?}");
        assert!(events[0]["by"]["uid"].is_u64(), "{events:?}");
        if told == "journal_cut" {
            let message = condition(region, "restored", false).await;
            assert!(message.contains("nothing goes there"), "{message}");
        } else {
            assert!(events[0]["what"].is_string(), "{events:?}");
            assert!(incident(region, "journal_gap").await.contains("of the journal"));
            let verified = region.command(&["journal", "verify"]).await.unwrap();
            verified.success().unwrap();
            let strict = region.command(&["journal", "verify", "--no-gaps"]).await.unwrap();
            assert_eq!(strict.code, Some(1), "{}", strict.stdout);
            assert!(strict.stderr.contains("are missing, which"), "{}", strict.stderr);
        }
        assert_eq!(take_request(&system(region, PROVIDER)).await.data.message_id, first);
        assert!(region.stop().await.unwrap().success());
        // It is told once and for all.
        region.launch().unwrap();
        eventually("it started", async || region.ready().await.ok()).await;
        assert_eq!(journal(region, &["--type", told]).await.len(), 1, "{harm:?}");
        assert!(region.stop().await.unwrap().success());
    }
}

#[tokio::test]
async fn a_journal_that_begins_with_a_gap_verifies() {
    let Stopped { mut world, first, .. } = stopped().await;
    let region = &mut world.region;
    let beginning = sealed(region.data_dir()).remove(0);
    let kept = std::fs::read(&beginning).unwrap();
    let mut octets = kept.clone();
    octets[400] ^= 1;
    std::fs::write(&beginning, octets).unwrap();
    let verified = region.command(&["journal", "verify"]).await.unwrap();
    let record = named(&verified.stderr).to_string();
    // The index reflects what is lost, so that the start does not read it.
    std::fs::remove_dir_all(region.data_dir().join("index")).unwrap();
    assert_eq!(named(&refusal(region, &[]).await).to_string(), record);
    region.launch_with(&["--accept-gap", &record]).unwrap();
    eventually("it started", async || region.ready().await.ok()).await;
    let gap = &journal(region, &["--type", "gap_accepted"]).await[0];
    assert_eq!(gap["first"], 1, "{gap}");
    let verified = region.command(&["journal", "verify"]).await.unwrap().success().unwrap();
    assert!(verified.stdout.contains("Records 1 to "), "{}", verified.stdout);
    assert!(region.stop().await.unwrap().success());

    // It stands in the place of the file, and the file in its.
    std::fs::write(&beginning, kept).unwrap();
    region.launch().unwrap();
    eventually("it started", async || region.ready().await.ok()).await;
    assert!(queue(region, "GISOGD73/requests").await.contains(&first));
    let strict = region.command(&["journal", "verify", "--no-gaps"]).await.unwrap();
    strict.success().unwrap();
}

#[tokio::test]
async fn what_the_bus_has_is_not_sent_twice_after_its_record_is_lost() {
    let Stopped { mut world, .. } = stopped().await;
    let data = world.region.data_dir().to_owned();
    Harm::FlippedSealed.make(&data);
    let record = named(&refusal(&mut world.region, &[]).await).to_string();
    world.region.launch_with(&["--accept-gap", &record]).unwrap();
    let region = &world.region;
    let message = condition(region, "journal", false).await;
    assert!(message.contains("of the journal are missing"), "{message}");
    assert_eq!(queue(region, "upstream/federal").await.len(), 1, "held");
    region
        .command(&["backup", "resume-upstream", "--reason", "tested"])
        .await
        .unwrap()
        .success()
        .unwrap();
    region
        .command(&["journal", "acknowledge", "--reason", "tested"])
        .await
        .unwrap()
        .success()
        .unwrap();
    condition(region, "journal", true).await;
    eventually("the bus was asked", async || {
        queue(region, "upstream/federal").await.is_empty().then_some(())
    })
    .await;
    assert_eq!(world.bus.ledger().requests().count(), 1, "once");
    let provider = world.system(PROVIDER);
    for _ in 0..2 {
        take_request(&provider).await;
    }
    assert_journal_whole(region).await;
}
