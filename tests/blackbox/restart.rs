//! Stopping, starting, reading settings again, building the index anew: the gateway goes on where it was.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{
    BINARY, CONSUMER, EGRN, FEDERAL, GATEWAY, OTHER, PROVIDER, SOON, SPRAVKA, World, answer, answer_data,
    answered_text, assert_journal_whole, assert_no_request, assert_no_response, bus, echo, emptied, eventually,
    identity, local_region, next_request, quarantine, queue, refused, request, response, send, send_data, system,
    take_request, take_response, upstream_condition,
};
use emulator::{Clock, Fault, Operation, Reply, Selector, Version};
use harness::{Kind, Region, Upstream};
use serde_json::Value;

/// Everything that an operator can see of what waits.
async fn picture(region: &Region) -> Vec<(String, Value)> {
    let mut picture = Vec::new();
    let listed = region.json(&["queue", "list"]).await.unwrap();
    let mut names: Vec<String> = Vec::new();
    for row in listed.as_array().unwrap() {
        names.push(row["queue"].as_str().unwrap().to_owned());
    }
    picture.push(("queues".to_owned(), listed));
    for name in names {
        let shown = region.json(&["queue", "show", &name]).await.unwrap();
        picture.push((name, shown));
    }
    picture.push((
        "quarantine".to_owned(),
        region.json(&["quarantine", "list"]).await.unwrap(),
    ));
    picture.push(("registry".to_owned(), region.json(&["registry", "show"]).await.unwrap()));
    picture
}

/// A world in the middle of everything, with its bus down.
struct Middle {
    world: World,
    /// Waits for the provider; the first was handed out and is not acknowledged.
    requests: Vec<String>,
    /// Taken, acknowledged and not answered yet.
    open: emulator::DeliveredRequest,
    /// Answered; the answers wait for CONSUMER, in the common queue and in NODE.
    answered: [String; 2],
    /// Wait for the bus.
    north: Vec<String>,
    held: String,
}

async fn middle() -> Middle {
    let world = World::start().await;
    let (consumer, other, provider) = (world.system(CONSUMER), world.system(OTHER), world.system(PROVIDER));
    world
        .bus
        .knobs()
        .fault(Operation::SendRequest, Fault::new("TransactionCodeInvalid"), 1);
    let held = send(&consumer, request(EGRN, "в карантин")).await;
    eventually("the quarantine", async || {
        (quarantine(&world.region).await.len() == 1).then_some(())
    })
    .await;
    world.bus.go_down().await;
    let common = send(&consumer, request(SPRAVKA, "общая")).await;
    let node = consumer
        .new_request(request(SPRAVKA, "узел"))
        .node("NODE")
        .transaction_code("код");
    send_data(&consumer, &node).await;
    for _ in 0..2 {
        echo(&provider).await;
    }
    send(&other, request(SPRAVKA, "без ответа")).await;
    let open = take_request(&provider).await;
    let mut requests = Vec::new();
    for number in 0..3 {
        requests.push(send(&other, request(SPRAVKA, &number.to_string())).await);
    }
    assert_eq!(next_request(&provider).await.data.message_id, requests[0]);
    let mut north = Vec::new();
    for number in 0..4 {
        north.push(send(&consumer, request(EGRN, &format!("север {number}"))).await);
    }
    Middle {
        world,
        requests,
        open,
        answered: [common, node.message_id],
        north,
        held,
    }
}

impl Middle {
    /// Everything is there, in its place, once; and everything goes on.
    async fn goes_on(self) {
        let Middle {
            world: World { bus, region },
            requests,
            open,
            answered,
            north,
            held,
        } = self;
        let (consumer, other, provider) = (
            system(&region, CONSUMER),
            system(&region, OTHER),
            system(&region, PROVIDER),
        );
        assert_eq!(queue(&region, "upstream/federal").await, north);
        assert_eq!(queue(&region, "GISOGD73/requests").await, requests);
        let in_quarantine: Vec<String> = quarantine(&region).await.into_iter().map(|(id, _)| id).collect();
        assert_eq!(in_quarantine, std::slice::from_ref(&held));

        // The lease goes on: the second is next, and the first can still be acknowledged.
        assert_eq!(take_request(&provider).await.data.message_id, requests[1]);
        provider.ack(&requests[0]).await.unwrap();
        assert_eq!(take_request(&provider).await.data.message_id, requests[2]);
        assert_no_request(&provider).await;
        // The exchange goes on: its ReplyTo holds.
        answer(&provider, &open, Reply::content(response(SPRAVKA, "после"))).await;
        assert_eq!(answered_text(&take_response(&other).await), "после");
        let again = answer_data(&provider, &open, Reply::content(response(SPRAVKA, "ещё раз")));
        assert_eq!(
            refused(&provider, &provider.sign_response(&again).unwrap())
                .await
                .element,
            "RecipientIsNotFound"
        );
        let taken = take_response(&consumer).await;
        assert_eq!(taken.original_message_id.as_ref(), Some(&answered[0]));
        let taken = consumer
            .get_response(&Selector::any().node("NODE"))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(taken.original_message_id.as_ref(), Some(&answered[1]));
        assert_eq!(taken.original_transaction_code.as_deref(), Some("код"));
        consumer.ack(&taken.data.message_id).await.unwrap();
        assert_no_response(&consumer).await;
        // Identifiers are remembered.
        for id in [&requests[0], &answered[0], &north[0]] {
            let data = consumer.new_request(request(SPRAVKA, "x")).id(id);
            let owner = if *id == requests[0] { &other } else { &consumer };
            let fault = refused(owner, &owner.sign_request(&data).unwrap()).await;
            assert_eq!(fault.element, "MessageIsAlreadySent");
        }
        region
            .command(&["quarantine", "retry", &held])
            .await
            .unwrap()
            .success()
            .unwrap();
        bus.come_back().await.unwrap();
        for _ in 0..=north.len() {
            let original = take_response(&consumer).await.original_message_id.unwrap();
            assert!(original == held || north.contains(&original));
        }
        let ledger = bus.ledger();
        assert_eq!(ledger.requests().count(), north.len() + 1);
        let in_order: Vec<&String> = ledger
            .requests()
            .map(|accepted| &accepted.id)
            .filter(|id| **id != held)
            .collect();
        assert_eq!(in_order, north.iter().collect::<Vec<_>>());
        emptied(&region).await;
        assert_journal_whole(&region).await;
    }
}

#[tokio::test]
async fn sigterm_and_a_start_in_the_middle_of_everything_change_nothing() {
    let mut middle = middle().await;
    let region = &mut middle.world.region;
    let before = picture(region).await;
    let status = region.stop().await.unwrap();
    assert!(status.success(), "an orderly end: {status}");
    assert_journal_whole(region).await;
    region.start().await.unwrap();
    assert_eq!(picture(region).await, before);
    middle.goes_on().await;
}

#[tokio::test]
async fn a_kill_in_the_middle_of_everything_changes_nothing() {
    let mut middle = middle().await;
    let region = &mut middle.world.region;
    let before = picture(region).await;
    region.kill().await.unwrap();
    assert_journal_whole(region).await;
    region.start().await.unwrap();
    assert_eq!(picture(region).await, before);
    middle.goes_on().await;
}

#[tokio::test]
async fn the_index_can_be_built_anew_and_says_the_same() {
    let mut middle = middle().await;
    let id = middle.answered[1].clone();
    let region = &mut middle.world.region;
    let before = picture(region).await;
    let told = region.json(&["trace", &id]).await.unwrap();

    // Beside a running gateway nothing is touched.
    let running = region.command(&["index", "rebuild"]).await.unwrap();
    assert_eq!(running.code, Some(1), "{}{}", running.stdout, running.stderr);
    assert_eq!(picture(region).await, before);

    region.stop().await.unwrap();
    assert_eq!(
        picture(region).await,
        before,
        "the commands show the same of a stopped gateway"
    );
    region.command(&["index", "rebuild"]).await.unwrap().success().unwrap();
    assert_eq!(picture(region).await, before, "the index is a function of the journal");
    assert_eq!(region.json(&["trace", &id]).await.unwrap(), told);
    region.start().await.unwrap();
    assert_eq!(picture(region).await, before);

    // Without an index, or with one that is damaged, the gateway builds it anew by itself.
    region.stop().await.unwrap();
    let index = region.data_dir().join("index");
    assert!(index.is_dir(), "the index lies in {}", index.display());
    std::fs::remove_dir_all(&index).unwrap();
    region.start().await.unwrap();
    assert_eq!(picture(region).await, before);
    region.kill().await.unwrap();
    for file in files(&index) {
        std::fs::write(&file, b"not what was here").unwrap();
    }
    region.start().await.unwrap();
    assert_eq!(picture(region).await, before);
    middle.goes_on().await;
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn sigterm_lets_calls_in_flight_finish_and_what_was_acknowledged_is_there() {
    let mut region = local_region().start().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let (consumer, stop) = (system(&region, CONSUMER), Arc::clone(&stop));
            tokio::spawn(async move {
                let mut accepted = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let data = consumer.new_request(request(SPRAVKA, "в полёте"));
                    match consumer.send_request(&data).await {
                        Ok(receipt) => accepted.push(receipt.message_id),
                        Err(error) => {
                            assert!(error.fault_name().is_none_or(|fault| fault == "SMEVFailure"), "{error}");
                            break;
                        }
                    }
                }
                accepted
            })
        })
        .collect();
    let enough = |metrics: &harness::Metrics| metrics.count("messages_accepted_total", &[]) >= 40;
    region.wait_metrics("accepting", SOON, enough).await.unwrap();
    let begun = Instant::now();
    let status = region.stop().await.unwrap();
    assert!(status.success(), "{status}");
    assert!(begun.elapsed() < SOON, "stopping took {:?}", begun.elapsed());
    stop.store(true, Ordering::Relaxed);
    let mut accepted = Vec::new();
    for sender in senders {
        accepted.extend(sender.await.unwrap());
    }
    region.start().await.unwrap();
    let waiting = queue_of_any_length(&region, "GISOGD73/requests").await;
    for id in &accepted {
        assert_eq!(waiting.iter().filter(|one| *one == id).count(), 1, "{id}");
    }
    assert_journal_whole(&region).await;
}

async fn queue_of_any_length(region: &Region, name: &str) -> Vec<String> {
    let shown = region
        .json(&["queue", "show", name, "--limit", "100000"])
        .await
        .unwrap();
    shown
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["message_id"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn sighup_reads_the_trusted_signers_again() {
    let gateway = identity(GATEWAY);
    let bus = bus(&gateway, Clock::system()).await;
    let mut upstream = Upstream::emulated(FEDERAL, &bus, Version::V1_2);
    upstream.certificates = vec![identity("SOMEBODY").certificate().to_pem()];
    let region = local_region()
        .gateway(gateway)
        .upstream(upstream)
        .kind(Kind::new("egrn", EGRN))
        .local_exchange("egrn", &[CONSUMER], FEDERAL)
        .start()
        .await
        .unwrap();
    let consumer = system(&region, CONSUMER);
    send(&consumer, request(EGRN, "1")).await;
    bus.wait_for(SOON, |ledger| (ledger.times_delivered_at_all() > 0).then_some(()))
        .await
        .unwrap();
    assert_no_response(&consumer).await;

    let signers = region.dir().join("upstream").join("federal-0.crt");
    std::fs::write(&signers, "no certificate").unwrap();
    region.reload().unwrap();
    eventually("the mistake is told", async || {
        region.log().contains("nothing was read again").then_some(())
    })
    .await;
    std::fs::write(&signers, bus.certificate().to_pem()).unwrap();
    let config = std::fs::read_to_string(region.config_file()).unwrap();
    std::fs::write(region.config_file(), format!("{config}\n[log]\nlevel = \"debug\"\n")).unwrap();
    region.reload().unwrap();
    // The answer was handed out under a signature that was not believed; the next one is, at once.
    let id = send(&consumer, request(EGRN, "2")).await;
    let taken = take_response(&consumer).await;
    assert_eq!(taken.original_message_id, Some(id));
    assert!(region.log().contains("DEBUG"), "the level of the log was read again");
    assert_eq!(bus.ledger().requests().count(), 2);
    assert!(upstream_condition(&region, FEDERAL).await.0);
}

/// How many deliveries there were.
trait Deliveries {
    fn times_delivered_at_all(&self) -> usize;
}

impl Deliveries for emulator::Ledger {
    fn times_delivered_at_all(&self) -> usize {
        self.all_delivered().len()
    }
}

#[tokio::test]
async fn a_second_gateway_on_the_same_data_is_refused() {
    let region = local_region().start().await.unwrap();
    let config = std::fs::read_to_string(region.config_file()).unwrap();
    // Nothing is the same but the data.
    let second: Vec<String> = config
        .lines()
        .map(|line| match line.split_once(" = ") {
            Some(("listen" | "public_url", value)) if value.contains("http") => {
                "public_url = \"http://127.0.0.1\"".to_owned()
            }
            Some(("listen", _)) => "listen = \"127.0.0.1:0\"".to_owned(),
            Some(("socket", _)) => format!("socket = \"{}\"", region.dir().join("second.sock").display()),
            _ => line.to_owned(),
        })
        .collect();
    let file = region.dir().join("second.toml");
    std::fs::write(&file, second.join("\n")).unwrap();
    let output = tokio::process::Command::new(BINARY)
        .args(["serve", "--config", &file.display().to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(SOON, output)
        .await
        .expect("it ends by itself")
        .unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&region.data_dir().display().to_string()),
        "it says what is in use: {said}"
    );
    assert!(!said.contains("panicked"), "{said}");
    send(&system(&region, CONSUMER), request(SPRAVKA, "первый работает")).await;
    echo(&system(&region, PROVIDER)).await;
}

#[tokio::test]
async fn the_story_of_a_message_is_told_running_and_stopped() {
    let mut region = local_region().start().await.unwrap();
    let (consumer, provider) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let id = send(&consumer, request(SPRAVKA, "история")).await;
    let asked = take_request(&provider).await;
    answer(&provider, &asked, Reply::status(1, "принято")).await;
    let last = answer(&provider, &asked, Reply::content(response(SPRAVKA, "история"))).await;
    for _ in 0..2 {
        take_response(&consumer).await;
    }
    let told = region.json(&["trace", &id]).await.unwrap();
    let types: Vec<&str> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["event"]["type"].as_str().unwrap())
        .collect();
    let expected = [
        "accepted",
        "handed_out",
        "acknowledged",
        "accepted",
        "accepted",
        "handed_out",
        "acknowledged",
        "handed_out",
        "acknowledged",
    ];
    assert_eq!(types, expected);
    let evidence = &told[0]["event"]["evidence"];
    let digest = &evidence["signed_info"]["digest"];
    for proof in [&evidence["certificate"], &evidence["signature"], digest] {
        assert!(
            proof.as_str().is_some_and(|text| !text.is_empty()),
            "authorship is proven: {evidence}"
        );
    }
    assert!(!told.to_string().contains("история"), "the journal holds no payload");
    assert_eq!(
        region.json(&["trace", &last]).await.unwrap(),
        told,
        "an answer leads to the whole story"
    );
    let table = region.command(&["trace", &id]).await.unwrap().success().unwrap();
    assert!(table.stdout.contains("handed out"), "{}", table.stdout);

    let unknown = consumer.new_request("x").message_id;
    assert_eq!(region.command(&["trace", &unknown]).await.unwrap().code, Some(1));
    assert_eq!(region.command(&["trace", "no-identifier"]).await.unwrap().code, Some(2));
    region.stop().await.unwrap();
    assert_eq!(region.json(&["trace", &id]).await.unwrap(), told);
    let csv = region
        .command(&["journal", "export", "--format", "csv", "--message", &id])
        .await
        .unwrap()
        .success()
        .unwrap();
    assert!(csv.stdout.lines().count() > 1);
}

#[tokio::test]
async fn a_damaged_journal_is_found_and_never_repaired_in_silence() {
    let mut region = local_region().start().await.unwrap();
    let consumer = system(&region, CONSUMER);
    let mut ids = Vec::new();
    for number in 0..20 {
        ids.push(send(&consumer, request(SPRAVKA, &number.to_string())).await);
    }
    region.stop().await.unwrap();
    assert_journal_whole(&region).await;
    let damaged = files(&region.data_dir().join("journal")).into_iter().find_map(|file| {
        let octets = std::fs::read(&file).unwrap();
        let id = ids[10].as_bytes();
        let at = octets.windows(id.len()).position(|window| window == id)?;
        Some((file, octets, at))
    });
    let (file, whole, at) = damaged.expect("the journal names the message");
    let mut octets = whole.clone();
    octets[at] = if octets[at] == b'0' { b'1' } else { b'0' };
    std::fs::write(&file, &octets).unwrap();
    let verified = region.command(&["journal", "verify"]).await.unwrap();
    assert_eq!(verified.code, Some(1), "{}", verified.stdout);
    let name = file.file_name().unwrap().to_string_lossy().into_owned();
    assert!(
        verified.stderr.contains(&name),
        "it names the place: {}",
        verified.stderr
    );

    // A start that has to read this part of the journal is refused, and names the place too.
    std::fs::remove_dir_all(region.data_dir().join("index")).unwrap();
    let started = region.start().await.unwrap_err().to_string();
    assert!(started.contains(&name), "{started}");
    assert_eq!(std::fs::read(&file).unwrap(), octets, "nothing was repaired");
    std::fs::write(&file, &whole).unwrap();
    region.start().await.unwrap();
    assert_eq!(queue(&region, "GISOGD73/requests").await, ids);
}

#[tokio::test]
async fn wrong_settings_are_all_told_before_anything_starts() {
    let region = local_region().prepare().unwrap();
    let config = std::fs::read_to_string(region.config_file()).unwrap();
    let wrong = config.replace(
        "[limits]\n",
        "[limits]\nbody_byte = \"1 MiB\"\nqueue_messages = \"много\"\n",
    );
    std::fs::write(region.config_file(), wrong).unwrap();
    for command in [["check"].as_slice(), &["serve"]] {
        let output = tokio::time::timeout(Duration::from_secs(20), region.command(command))
            .await
            .unwrap()
            .unwrap();
        let said = format!("{}{}", output.stdout, output.stderr);
        assert_eq!(output.code, Some(1), "{command:?}: {said}");
        assert!(
            said.contains("body_byte") && said.contains("body_bytes"),
            "the nearest known key: {said}"
        );
        assert!(said.contains("queue_messages"), "every mistake: {said}");
        assert!(said.contains("gateway.toml:"), "with its line: {said}");
    }
}
