//! Participants and queues that are brought to a halt, as operators do and see it, with the gateway running and stopped.

use crate::place::{Gateway, Place, get};

fn with_region() -> Place {
    let place = Place::new();
    for name in ["a", "b"] {
        let (key, certificate) = (format!("registry/{name}.key"), format!("registry/{name}.crt"));
        place.write("registry/.folder", "");
        let arguments = [
            "keys",
            "new",
            "--key",
            &key,
            "--subject",
            "CN=A",
            "--certificate",
            &certificate,
        ];
        place.command(&arguments).ok();
    }
    place.write(
        "registry/region.toml",
        "[[participant]]\nmnemonic = \"MUN001\"\nname = \"a\"\ncertificates = [\"a.crt\"]\n\
         [[participant]]\nmnemonic = \"GISOGD73\"\nname = \"b\"\ncertificates = [\"b.crt\"]\n\
         [[kind]]\nname = \"gpzu\"\nnamespace = \"urn:gpzu\"\nrequest = \"Request\"\nresponse = \"Response\"\n\
         [[grant]]\nparticipant = \"MUN001\"\nkind = \"gpzu\"\nmay = [\"request\"]\n\
         [[grant]]\nparticipant = \"GISOGD73\"\nkind = \"gpzu\"\nmay = [\"provide\"]\n\
         [[route]]\nkind = \"gpzu\"\nto = \"GISOGD73\"\n",
    );
    place.operate(&["registry", "apply", "registry"]).ok();
    place
}

/// The region's life so far: what is suspended or paused, by name.
fn stands(place: &Place) -> Vec<String> {
    let participants = place.operate(&["participant", "list", "--output", "json"]).json();
    let queues = place.operate(&["queue", "list", "--output", "json"]).json();
    let suspended = participants.as_array().expect("a list").iter();
    let suspended = suspended
        .filter(|row| !row["suspended"].is_null())
        .map(|row| &row["mnemonic"]);
    let paused = queues.as_array().expect("a list").iter();
    let paused = paused.filter(|row| !row["paused"].is_null()).map(|row| &row["queue"]);
    suspended
        .chain(paused)
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect()
}

fn metric(gateway: &Gateway, series: &str) -> Option<f64> {
    let (_, page) = get(&gateway.address("administration"), "/metrics");
    let value = page.lines().find_map(|line| line.strip_prefix(series))?;
    value.trim().parse().ok()
}

#[test]
fn what_is_suspended_and_paused_is_seen_everywhere_until_it_is_resumed() {
    let place = with_region();
    // A stopped gateway takes it, too.
    let refused = place.operate(&["participant", "suspend", "GISOGD73", "--reason", "its key was\tstolen"]);
    refused.fails(2);
    let reason = ["--reason", "its key was stolen"];
    let suspend = |name: &str| place.operate(&[&["participant", "suspend", name][..], &reason].concat());
    assert!(suspend("GISOGD73").ok().contains("GISOGD73 is suspended"));
    let gateway = place.serve(&[]);
    place
        .operate(&["queue", "pause", "GISOGD73/requests", "--reason", "night"])
        .ok();
    let both = ["GISOGD73", "GISOGD73/requests"];
    assert_eq!(stands(&place), both);

    let listed = place.operate(&["participant", "list"]).ok();
    let line = listed
        .lines()
        .find(|line| line.starts_with("GISOGD73"))
        .expect("it is listed");
    assert!(
        line.contains(" by ") && line.ends_with(": its key was stolen"),
        "{listed}"
    );
    let other = listed
        .lines()
        .find(|line| line.starts_with("MUN001"))
        .expect("it is listed");
    assert!(other.ends_with(" -"), "{listed}");
    let queues = place.operate(&["queue", "list"]).ok();
    assert!(
        queues.contains("paused since") && queues.contains("owner suspended since"),
        "{queues}"
    );
    assert!(place.operate(&["registry", "show"]).ok().contains("its key was stolen"));
    let explained = place
        .operate(&["route", "explain", "--from", "MUN001", "--kind", "gpzu"])
        .ok();
    assert!(
        explained.contains("It goes to GISOGD73.\nIt waits there: GISOGD73 is suspended since"),
        "{explained}"
    );
    assert!(
        explained.contains("It waits there: GISOGD73/requests is paused since"),
        "{explained}"
    );
    for (series, value) in [
        ("rsmev_participant_suspended{participant=\"GISOGD73\"}", 1.0),
        ("rsmev_participant_suspended{participant=\"MUN001\"}", 0.0),
        ("rsmev_queue_paused{queue=\"GISOGD73/requests\"}", 1.0),
        ("rsmev_queue_paused{queue=\"GISOGD73/responses\"}", 0.0),
    ] {
        assert_eq!(metric(&gateway, series), Some(value), "{series}");
    }
    let again = suspend("GISOGD73").fails(1);
    assert!(again.contains("is suspended already, since"), "{again}");
    assert!(
        suspend("MUN002")
            .fails(1)
            .contains("no participant MUN002 is registered")
    );
    let nowhere = place
        .operate(&["queue", "pause", "upstream/federal", "--reason", "x"])
        .fails(1);
    assert!(nowhere.contains("no upstream federal is configured"), "{nowhere}");
    place.operate(&["registry", "apply", "registry", "--prune"]).ok();
    assert_eq!(gateway.stop(), Some(0));

    assert_eq!(stands(&place), both, "looked at with the gateway stopped");
    assert!(place.operate(&["registry", "show"]).ok().contains("its key was stolen"));
    place.operate(&["index", "rebuild"]).ok();
    let gateway = place.serve(&[]);
    assert_eq!(stands(&place), both);
    let resumed = place.operate(&["participant", "resume", "GISOGD73"]).ok();
    assert!(
        resumed.starts_with("GISOGD73 is resumed; it was suspended since"),
        "{resumed}"
    );
    place.operate(&["queue", "resume", "GISOGD73/requests"]).ok();
    assert!(stands(&place).is_empty());
    assert_eq!(
        metric(&gateway, "rsmev_participant_suspended{participant=\"GISOGD73\"}"),
        Some(0.0)
    );
    let not = place.operate(&["queue", "resume", "GISOGD73/requests"]).fails(1);
    assert!(not.contains("is not paused"), "{not}");

    // A sender that is suspended is refused whatever the routes say.
    suspend("MUN001").ok();
    let refused = place.operate(&["route", "explain", "--from", "MUN001", "--kind", "gpzu"]);
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stdout.contains("It is refused: MUN001 is suspended."),
        "{}",
        refused.stdout
    );
    let journal = place
        .operate(&["journal", "export", "--type", "participant_suspended"])
        .ok();
    let records: Vec<serde_json::Value> = journal
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(records.len(), 2, "{journal}");
    assert!(journal.contains("\"by\":{\"name\":"), "{journal}");

    // With the participant its mark is gone.
    place.write(
        "registry/region.toml",
        "[[participant]]\nmnemonic = \"GISOGD73\"\nname = \"b\"\ncertificates = [\"b.crt\"]\n",
    );
    place.operate(&["registry", "apply", "registry", "--prune"]).ok();
    assert!(stands(&place).is_empty());
    assert_eq!(gateway.stop(), Some(0));
}
