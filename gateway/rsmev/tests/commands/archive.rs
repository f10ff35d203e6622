//! Sealed journal segments leave the machine, and can be verified without it.

use crate::place::{Place, get};

/// A place whose segments are sealed every second and given to a script that does as the file `answer` says.
fn place() -> Place {
    let place = Place::new();
    std::fs::create_dir(place.path("shipped")).expect("the folder is ours");
    let shipped = place.path("shipped").display().to_string();
    let script = format!(
        "test -e {shipped}/../broken && {{ echo no connection >&2; exit 1; }}\ncp \"$RSMEV_SEGMENT_PATH\" \"{shipped}/$1\"\necho \"$RSMEV_SEGMENT_FIRST $RSMEV_SEGMENT_LAST $RSMEV_SEGMENT_DIGEST\" >> {shipped}/../list\n"
    );
    place.write("ship.sh", &script);
    let configuration = crate::place::read(&place.path("gateway.toml"));
    let hook = place.path("ship.sh").display().to_string();
    place.write(
        "gateway.toml",
        &format!(
            "{configuration}\n[archive]\ncommand = [\"/bin/sh\", \"{hook}\", \"{{name}}\"]\nseal_after = \"1s\"\nalarm_after = \"1s\"\n"
        ),
    );
    place
}

fn segments(place: &Place) -> Vec<String> {
    let listed = std::fs::read_dir(place.path("shipped")).expect("the folder is ours");
    let mut names: Vec<_> = listed
        .map(|entry| {
            entry
                .expect("the folder is ours")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

fn verify(place: &Place, more: &[&str]) -> crate::place::Done {
    let mut arguments = vec!["journal", "verify", "--dir", "shipped", "--certificate", "gateway.crt"];
    arguments.extend(more);
    // Without a configuration: the folder is all there is.
    place.command(&arguments)
}

/// A session that ships one segment more.
fn ship_one_more(place: &Place) {
    let mut gateway = place.serve(&[]);
    gateway.wait_for("the archive has a segment");
    assert_eq!(gateway.stop(), Some(0));
}

#[test]
fn what_was_shipped_verifies_elsewhere_and_a_gap_is_named() {
    let place = place();
    for _ in 0..3 {
        ship_one_more(&place);
    }
    let names = segments(&place);
    assert!(names.len() >= 3, "{names:?}");
    let list = crate::place::read(&place.path("list"));
    for name in &names {
        let tag = name
            .strip_suffix(".jsonl.zst")
            .and_then(|name| name.split_once('-'))
            .unwrap()
            .1;
        assert!(
            tag.len() == 16 && list.contains(&format!(" {tag}")),
            "{name} is named after its digest"
        );
    }
    let whole = verify(&place, &["--output", "json"]).json();
    assert_eq!(
        (whole["whole"].as_bool(), whole["first_seq"].as_u64()),
        (Some(true), Some(1))
    );
    let digest = whole["last_digest"].as_str().unwrap();
    verify(&place, &["--expect-digest", digest]).ok();
    let wrong = verify(&place, &["--expect-digest", &"0".repeat(64)]).fails(1);
    assert!(wrong.contains("does not have the digest"), "{wrong}");

    let shipped = place.path("shipped");
    std::fs::rename(shipped.join(&names[1]), place.path("aside")).unwrap();
    let gap = verify(&place, &[]).fails(1);
    assert!(gap.contains("are missing before this segment"), "{gap}");

    std::fs::rename(place.path("aside"), shipped.join(&names[1])).unwrap();
    std::fs::remove_file(shipped.join(&names[0])).unwrap();
    let said = verify(&place, &[]).ok();
    assert!(said.contains("It begins with record"), "{said}");
    let known = verify(&place, &["--output", "json"]).json();
    let before = known["first_seq"].as_u64().unwrap() - 1;
    let anchor = format!("{before}:{}", known["prev_digest"].as_str().unwrap());
    verify(&place, &["--expect-digest", &anchor]).ok();
    let missing = verify(&place, &["--expect-digest", &format!("1:{digest}")]).fails(1);
    assert!(missing.contains("is not here"), "{missing}");
}

#[test]
fn a_failing_archive_is_tried_again_told_of_and_survives_a_restart() {
    let place = place();
    place.write("broken", "");
    let mut gateway = place.serve(&[]);
    let log = gateway.wait_for("have not been shipped since");
    assert!(log.contains("no connection"), "{log}");
    let address = gateway.address("administration");
    let (_, metrics) = get(&address, "/metrics");
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    assert!(value("rsmev_archive_waiting_segments ") >= 1.0, "{metrics}");
    assert!(value("rsmev_archive_failures_total ") >= 2.0, "{metrics}");
    let (status, ready) = get(&address, "/ready");
    assert!(
        status.contains("200") && ready.contains("wait to be shipped"),
        "{status} {ready}"
    );
    assert_eq!(gateway.stop(), Some(0));

    std::fs::remove_file(place.path("broken")).unwrap();
    ship_one_more(&place);
    ship_one_more(&place);
    verify(&place, &[]).ok();
    let list = crate::place::read(&place.path("list"));
    // A run that a stop has cut short is made again.
    let mut shipped: Vec<&str> = list.lines().collect();
    shipped.dedup();
    let mut next = 1;
    for line in &shipped {
        let numbers: Vec<&str> = line.split(' ').collect();
        assert_eq!(numbers[0].parse(), Ok(next), "each, in order: {list}");
        next = numbers[1].parse::<u64>().unwrap() + 1;
        assert_eq!(numbers[2].len(), 64);
    }
    let incidents = place.operate(&["journal", "export", "--type", "incident"]).ok();
    assert!(incidents.contains("\"kind\":\"archive\""), "{incidents}");
    let events = place.operate(&["journal", "export", "--type", "archived"]).ok();
    let told = events.lines().count();
    assert!(
        told == shipped.len() || told + 1 == shipped.len(),
        "at most the last was cut short: {events}"
    );
}

#[test]
fn two_histories_in_one_folder_are_told() {
    let place = place();
    ship_one_more(&place);
    let shipped = place.path("shipped");
    let name = segments(&place).remove(0);
    let other = format!("{}-{}.jsonl.zst", name.split_once('-').unwrap().0, "f".repeat(16));
    std::fs::copy(shipped.join(&name), shipped.join(&other)).unwrap();
    let found = verify(&place, &[]).fails(1);
    assert!(found.contains("two histories"), "{found}");
}
