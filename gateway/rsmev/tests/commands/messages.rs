//! What the operators' commands tell about a message, while the gateway runs and after it has stopped.

use std::collections::BTreeMap;
use std::path::PathBuf;

use emulator::{Identity, Participant, Version};

use crate::place::{Gateway, Place, get};

const KIND: &str = "urn://test/gpzu/1.0.0";

fn region(place: &Place) -> Identity {
    let consumer = Identity::generate("MUN001").expect("a key");
    let provider = Identity::generate("GISOGD73").expect("a key");
    place.write("registry/a.crt", &consumer.certificate().to_pem());
    place.write("registry/b.crt", &provider.certificate().to_pem());
    place.write(
        "registry/region.toml",
        &format!(
            "[[participant]]\nmnemonic = \"MUN001\"\nname = \"a\"\ncertificates = [\"a.crt\"]\n\
             [[participant]]\nmnemonic = \"GISOGD73\"\nname = \"b\"\ncertificates = [\"b.crt\"]\n\
             [[kind]]\nname = \"gpzu\"\nnamespace = \"{KIND}\"\nrequest = \"Request\"\nresponse = \"Response\"\n\
             [[grant]]\nparticipant = \"MUN001\"\nkind = \"gpzu\"\nmay = [\"request\"]\n\
             [[grant]]\nparticipant = \"GISOGD73\"\nkind = \"gpzu\"\nmay = [\"provide\"]\n\
             [[route]]\nkind = \"gpzu\"\nto = \"GISOGD73\"\n"
        ),
    );
    consumer
}

fn send(place: &Place, gateway: &Gateway, identity: Identity) -> String {
    let pem = std::fs::read(place.path("gateway.crt")).expect("the gateway's certificate");
    let certificate = gost::Certificate::from_pem_or_der(&pem).expect("a certificate");
    let url = format!("http://{}/ws", gateway.address("door is open"));
    let consumer = Participant::new(identity, Version::V1_2, &url, certificate).expect("a plain address");
    let request = consumer.new_request(format!(
        "<Request xmlns=\"{KIND}\"><SecretWord>kolobok</SecretWord></Request>"
    ));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime
        .block_on(consumer.send_request(&request))
        .expect("the request is accepted");
    request.message_id
}

#[test]
fn a_message_is_seen_in_its_queue_in_its_trace_and_in_the_journal() {
    let place = Place::new();
    let consumer = region(&place);
    let gateway = place.serve(&[]);
    place.operate(&["registry", "apply", "registry"]).ok();
    let id = send(&place, &gateway, consumer);

    let look = || {
        let queues = place.operate(&["queue", "list", "--output", "json"]).json();
        assert_eq!(queues[0]["queue"], "GISOGD73/requests", "{queues}");
        assert_eq!(queues[0]["messages"], 1, "{queues}");
        let table = place.operate(&["queue", "list"]).ok();
        assert!(
            table.starts_with("QUEUE") && table.contains("GISOGD73/requests"),
            "{table}"
        );
        let messages = place
            .operate(&["queue", "show", "GISOGD73/requests", "--output", "json"])
            .json();
        assert_eq!(messages[0]["message_id"], id.as_str(), "{messages}");
        let table = place.operate(&["queue", "show", "GISOGD73/requests"]).ok();
        assert!(
            table.contains(&id) && table.contains("MUN001") && table.contains("gpzu"),
            "{table}"
        );
        let trace = place.operate(&["trace", &id]).ok();
        assert!(trace.contains("accepted") && trace.contains("MUN001"), "{trace}");
        let trace = place.operate(&["trace", &id, "--output", "json"]).json();
        assert_eq!(trace[0]["event"]["type"], "accepted", "{trace}");
        assert_eq!(
            place.operate(&["quarantine", "list"]).ok(),
            "Nothing is in quarantine.\n"
        );
        let stderr = place.operate(&["quarantine", "retry", &id]).fails(1);
        assert!(stderr.contains("is not in quarantine"), "{stderr}");
    };
    look();
    // Beside the running gateway, from the files.
    assert!(
        place
            .operate(&["journal", "verify"])
            .ok()
            .starts_with("The journal is whole")
    );
    assert_eq!(gateway.stop(), Some(0));

    // Stopped: the store is opened under its lock, and says the same.
    look();
    let rebuilt = place.operate(&["index", "rebuild"]).ok();
    assert!(rebuilt.starts_with("The index was built anew"), "{rebuilt}");
    look();

    let exported = place
        .operate(&["journal", "export", "--message", &id, "--type", "accepted"])
        .ok();
    assert_eq!(exported.lines().count(), 1, "{exported}");
    let record: serde_json::Value = serde_json::from_str(&exported).unwrap();
    assert_eq!(record["event"]["id"], id.as_str());
    let csv = place
        .operate(&[
            "journal",
            "export",
            "--format",
            "csv",
            "--participant",
            "MUN001",
            "--type",
            "accepted",
        ])
        .ok();
    assert!(
        csv.starts_with("seq,at,type,prev,event\n") && csv.lines().count() == 2,
        "{csv}"
    );

    // No payload in journal, output or log.
    let everything = place.operate(&["journal", "export"]).ok();
    let log = std::fs::read_to_string(place.path("gateway.log")).unwrap();
    assert!(!everything.contains("kolobok") && !log.contains("kolobok"));
}

/// Everything in journal and spool, with the marks beside them.
fn kept(place: &Place) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![
        place.path("data/journal"),
        place.path("data/spool"),
        place.path("data/snapshot"),
    ];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).expect("the folder is ours") {
            let path = entry.expect("the folder is ours").path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.insert(path.clone(), std::fs::read(path).expect("the folder is ours"));
            }
        }
    }
    for name in ["data/SESSION", "data/FORMAT"] {
        files.insert(
            place.path(name),
            std::fs::read(place.path(name)).expect("the folder is ours"),
        );
    }
    files
}

#[test]
fn who_only_looks_changes_nothing() {
    let place = Place::new();
    let consumer = region(&place);
    let gateway = place.serve(&[]);
    place.operate(&["registry", "apply", "registry"]).ok();
    let id = send(&place, &gateway, consumer);
    let looks: [&[&str]; 8] = [
        &["queue", "list"],
        &["queue", "show", "GISOGD73/requests"],
        &["quarantine", "list"],
        &["trace", &id],
        &["registry", "show"],
        &["registry", "export"],
        &["journal", "verify"],
        &["journal", "export"],
    ];
    let all = || {
        for look in looks {
            let before = kept(&place);
            let said = place.operate(look).ok();
            if look[0] == "queue" {
                assert!(said.contains("MUN001") || said.contains("GISOGD73/requests"), "{said}");
            }
            assert!(kept(&place) == before, "{look:?} changed something");
        }
    };
    // Killed, so that the index may lack what the journal says.
    drop(gateway);
    all();
    std::fs::remove_dir_all(place.path("data/index")).unwrap();
    all();
    assert!(!place.path("data/index").exists() && !place.path("data/index.view").exists());
    assert_eq!(place.serve(&[]).stop(), Some(0));
    all();
}

#[test]
fn a_message_that_nobody_knows_is_exit_code_1() {
    let place = Place::new();
    let stderr = place
        .operate(&["trace", "c0938f39-9a55-11ea-8ec7-2dd0b486eb66"])
        .fails(1);
    assert!(stderr.contains("the journal knows no message c0938f39"), "{stderr}");
}

#[test]
fn damage_is_named_with_file_and_record() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    assert_eq!(gateway.stop(), Some(0));
    let folder = place.path("data/journal");
    let file = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .min()
        .unwrap();
    let mut octets = std::fs::read(&file).unwrap();
    let at = octets
        .windows(9)
        .position(|window| window == b"\"version\"")
        .expect("the first record tells the version");
    octets[at + 11] ^= 1;
    std::fs::write(&file, octets).unwrap();
    let stderr = place.operate(&["journal", "verify"]).fails(1);
    assert!(stderr.contains(&*file.to_string_lossy()), "{stderr}");
}

#[test]
fn a_cut_journal_is_found_by_verify_and_check() {
    let place = Place::new();
    assert_eq!(place.serve(&[]).stop(), Some(0));
    place.operate(&["journal", "verify"]).ok();
    assert_eq!(place.serve(&[]).stop(), Some(0));
    let folder = place.path("data/journal");
    let live = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .max()
        .unwrap();
    let whole = std::fs::read(&live).unwrap();
    let last = whole.windows(9).rposition(|window| window == b"\"stopped\"").unwrap();

    // Zeros from within the last batches on: a torn end, and then a clean one.
    let mut torn = whole.clone();
    torn[last..].fill(0);
    std::fs::write(&live, &torn).unwrap();
    let stderr = place.operate(&["journal", "verify"]).fails(1);
    assert!(stderr.contains("were cut off"), "{stderr}");
    let checked = place.operate(&["check"]);
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    assert!(checked.stdout.contains("were cut off"), "{}", checked.stdout);

    std::fs::write(&live, &whole).unwrap();
    place.operate(&["journal", "verify"]).ok();
    place.operate(&["check"]).ok();
    place.write("data/FORMAT", "rsmev storage, format 7\n");
    let checked = place.operate(&["check"]);
    assert_eq!(checked.code, Some(1), "{}", checked.stdout);
    assert!(checked.stdout.contains("newer version"), "{}", checked.stdout);
}

#[test]
fn a_range_is_there_or_it_is_wrong() {
    let place = Place::new();
    assert_eq!(place.serve(&[]).stop(), Some(0));
    let verify = |arguments: &[&str]| place.operate(&[&["journal", "verify"], arguments].concat());
    let found = verify(&["--from", "1", "--to", "2", "--output", "json"]).json();
    assert_eq!(
        (&found["whole"], &found["last_seq"]),
        (&true.into(), &2.into()),
        "{found}"
    );
    verify(&["--from", "2", "--to", "1"]).fails(2);
    verify(&["--from", "1000"]).fails(1);
    verify(&["--to", "1000"]).fails(1);
}

#[test]
fn a_copied_journal_is_verified_with_the_certificate_given() {
    let place = Place::new();
    assert_eq!(place.serve(&[]).stop(), Some(0));
    std::fs::create_dir(place.path("copy")).unwrap();
    for entry in std::fs::read_dir(place.path("data/journal")).unwrap() {
        let file = entry.unwrap();
        std::fs::copy(file.path(), place.path("copy").join(file.file_name())).unwrap();
    }
    let stderr = place.command(&["journal", "verify", "--dir", "copy"]).fails(1);
    assert!(stderr.contains("--certificate FILE"), "{stderr}");
    let stdout = place
        .command(&["journal", "verify", "--dir", "copy", "--certificate", "gateway.crt"])
        .ok();
    assert!(stdout.contains("Checkpoints signed by CN=Region"), "{stdout}");
}

#[test]
fn looking_at_a_stopped_gateway_writes_nothing() {
    let place = Place::new();
    let consumer = region(&place);
    let gateway = place.serve(&[]);
    place.operate(&["registry", "apply", "registry"]).ok();
    let id = send(&place, &gateway, consumer);
    assert_eq!(gateway.stop(), Some(0));
    let last = || place.operate(&["journal", "verify", "--output", "json"]).json()["last_seq"].clone();
    let before = last();
    let trace = place.operate(&["trace", &id.to_uppercase()]).ok();
    assert!(trace.contains("request"), "{trace}");
    assert!(place.operate(&["registry", "show"]).ok().contains("MUN001"));
    place.operate(&["registry", "export", "--dir", "export"]).ok();
    assert_eq!(last(), before);
}

#[test]
fn a_queue_that_nobody_owns_is_exit_code_1() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    for queue in ["MUN404/requests", "upstream/nowhere"] {
        let stderr = place.operate(&["queue", "show", queue]).fails(1);
        assert!(stderr.contains("there is no queue"), "{stderr}");
    }
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn a_journal_that_is_cut_beside_its_running_gateway_is_found() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    place.operate(&["journal", "verify"]).ok();
    region(&place);
    place.operate(&["registry", "apply", "registry"]).ok();
    cut_from_last(&place, b"\"registry\"");
    let stderr = place.operate(&["journal", "verify"]).fails(1);
    assert!(stderr.contains("the running gateway has written"), "{stderr}");
    drop(gateway);
}

#[test]
fn a_cut_that_the_command_itself_finds_is_not_taken_note_of() {
    let place = Place::new();
    let consumer = region(&place);
    let gateway = place.serve(&[]);
    place.operate(&["registry", "apply", "registry"]).ok();
    send(&place, &gateway, consumer);
    assert_eq!(gateway.stop(), Some(0));
    lose_the_mark(&place);
    cut_from_last(&place, b"\"accepted\"");
    let acknowledge = || place.operate(&["journal", "acknowledge", "--reason", "tested"]);
    let stderr = acknowledge().fails(1);
    assert!(
        stderr.contains("found only now") && stderr.contains("are gone"),
        "{stderr}"
    );
    let stdout = acknowledge().ok();
    assert!(stdout.contains("Noted in the journal: record "), "{stdout}");
    acknowledge().fails(1);
}

#[test]
fn a_rebuilt_index_tells_of_a_cut_and_a_missing_one_is_not_passed_over_in_silence() {
    let place = Place::new();
    let consumer = region(&place);
    let gateway = place.serve(&[]);
    place.operate(&["registry", "apply", "registry"]).ok();
    send(&place, &gateway, consumer);
    assert_eq!(gateway.stop(), Some(0));
    lose_the_mark(&place);
    cut_from_last(&place, b"\"accepted\"");
    let stdout = place.operate(&["index", "rebuild"]).ok();
    assert!(stdout.contains("was cut or replaced"), "{stdout}");
    place.operate(&["journal", "verify"]).fails(1);
    let acknowledge = || place.operate(&["journal", "acknowledge", "--reason", "tested"]);
    acknowledge().fails(1);
    acknowledge().ok();
    std::fs::remove_dir_all(place.path("data/index")).unwrap();
    let verified = place.operate(&["journal", "verify"]);
    assert!(verified.stderr.contains("there is no index"), "{}", verified.stderr);
    verified.ok();
}

#[test]
fn a_journal_that_was_cut_while_the_gateway_was_down_is_found_and_taken_note_of() {
    let place = Place::new();
    let consumer = region(&place);
    let gateway = place.serve(&[]);
    place.operate(&["registry", "apply", "registry"]).ok();
    send(&place, &gateway, consumer);
    assert_eq!(gateway.stop(), Some(0));
    lose_the_mark(&place);
    place.operate(&["journal", "verify"]).ok();
    cut_from_last(&place, b"\"accepted\"");

    let stderr = place.operate(&["journal", "verify"]).fails(1);
    assert!(
        stderr.contains("was cut") && stderr.contains("the index reflects"),
        "{stderr}"
    );
    let gateway = place.serve(&[]);
    assert!(gateway.log().contains("the journal lacks records that were durable"));
    let ready = || get(&gateway.address("administration"), "/ready");
    let (status, body) = ready();
    assert!(
        status.contains("503") && body.contains("journal acknowledge"),
        "{status} {body}"
    );
    let metrics = get(&gateway.address("administration"), "/metrics").1;
    assert!(metrics.contains("rsmev_journal_cut 1"), "{metrics}");
    place.operate(&["journal", "acknowledge", "--reason", "tested"]).ok();
    assert!(ready().0.contains("200"));
    place.operate(&["journal", "acknowledge", "--reason", "again"]).fails(1);
    assert_eq!(gateway.stop(), Some(0));
    let noted = place
        .operate(&["journal", "export", "--type", "journal_cut_acknowledged"])
        .ok();
    assert!(
        noted.contains("\"reason\":\"tested\"") && noted.contains("\"by\":"),
        "{noted}"
    );
    let changed = place.operate(&["journal", "export", "--type", "registry"]).ok();
    assert!(changed.contains("\"by\":"), "who changed the registry: {changed}");
}

/// Cuts the live journal segment off in the middle of the last record that has this text.
/// As if the gateway had been killed: the mark of its session says nothing about the end.
fn lose_the_mark(place: &Place) {
    let mark = place.path("data/SESSION");
    let mut session: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&mark).expect("the mark is there")).expect("the mark is JSON");
    session["clean"] = false.into();
    session["last_seq"] = 0.into();
    std::fs::write(&mark, session.to_string()).expect("the folder is ours");
}

fn cut_from_last(place: &Place, text: &[u8]) {
    let live = std::fs::read_dir(place.path("data/journal"))
        .expect("the folder is ours")
        .map(|entry| entry.expect("the folder is ours").path())
        .max()
        .expect("the folder is ours");
    let mut octets = std::fs::read(&live).expect("the folder is ours");
    let last = octets
        .windows(text.len())
        .rposition(|window| window == text)
        .expect("the folder is ours");
    octets[last..].fill(0);
    std::fs::write(&live, &octets).expect("the folder is ours");
}
