//! Settings of incidents and of who is told, and looking at incidents of a gateway that has none.

use crate::place::{Place, read};

fn with(text: &str) -> Place {
    let place = Place::new();
    let configuration = read(&place.path("gateway.toml"));
    place.write("gateway.toml", &format!("{configuration}\n{text}"));
    place
}

#[test]
fn every_fault_of_the_settings_is_told_with_its_key() {
    let place = with(
        "[incidents]\nlook = \"0s\"\ndisk_near = 50\n[[incidents.queue]]\nqueue = \"A/B/C\"\nage = \"1h\"\n\
         [notify.mail]\nserver = \"mail.example:25\"\nfrom = \"nobody\"\nto = []\ntls = \"ssl\"\nuser = \"u\"\n\
         [[notify.webhook]]\nname = \"a b\"\nurl = \"ftp://x\"\n\
         [[notify.webhook]]\nname = \"x\"\nurl = \"http://x\"\nca = \"ca.crt\"\n\
         [[notify.webhook]]\nname = \"x\"\nurl = \"http://x\"\ntokenfile = \"y\"\n\
         [[notify.webhook]]\nname = \"z\"\nurl = \"https://me:a-secret@x/\"\n",
    );
    let stderr = place.operate(&["incidents"]).fails(1);
    for expected in [
        "incidents.look: must be longer than nothing",
        "incidents.disk_near: must be from 100 to 10000",
        "incidents.queue[1].queue: ",
        "notify.mail.server: \"mail.example:25\" is not a name or an address",
        "notify.mail.from: \"nobody\" is not an address",
        "notify.mail.to: must name at least one address",
        "notify.mail.tls: must be \"starttls\", \"tls\" or \"none\"",
        "notify.webhook[1].name: must have 1 to 40 letters",
        "notify.webhook[1].url: \"ftp://x\" must begin with http://",
        "notify.webhook[2].ca: is of use only where url begins with https://",
        "notify.webhook[3].name: there is a webhook \"x\" already",
        "notify.webhook[3].tokenfile: unknown key; did you mean \"token_file\"?",
        "notify.webhook[4].url: must not name a user or a password",
    ] {
        assert!(stderr.contains(expected), "{expected}: {stderr}");
    }
    assert!(!stderr.contains("a-secret"), "{stderr}");
}

#[test]
fn there_are_at_most_sixteen_webhooks() {
    let webhooks = |number: usize| -> String {
        let webhook = |index| format!("[[notify.webhook]]\nname = \"w{index}\"\nurl = \"http://x\"\n");
        (0..number).map(webhook).collect()
    };
    let stderr = with(&webhooks(16)).operate(&["incidents"]).fails(1);
    assert!(
        stderr.contains("there is no data yet"),
        "the settings are taken: {stderr}"
    );
    let stderr = with(&webhooks(17)).operate(&["incidents"]).fails(1);
    let expected = "notify.webhook[17].name: there may be at most 16 webhooks, not 17";
    assert!(stderr.contains(expected), "{stderr}");
}

#[test]
fn check_looks_at_the_files_of_who_is_told() {
    let place = with(
        "[notify.mail]\nserver = \"127.0.0.1\"\nfrom = \"a@b.example\"\nto = [\"a@b.example\"]\ntls = \"none\"\n\
         user = \"u\"\npassword_file = \"password\"\n\
         [[notify.webhook]]\nname = \"x\"\nurl = \"https://127.0.0.1/\"\nca = \"gateway.key\"\ntoken_file = \"nosuch\"\n",
    );
    place.write("password", "secret\n");
    let done = place.operate(&["check"]);
    assert_eq!(done.code, Some(1));
    for expected in [
        "notify.mail.password_file: password: what is in it goes over the network in the clear",
        "notify.mail.password_file: password: has mode",
        "notify.webhook[1].token_file: nosuch: ",
        "notify.webhook[1].ca: gateway.key: ",
    ] {
        assert!(done.stdout.contains(expected), "{expected}: {}", done.stdout);
    }
    assert!(!done.stdout.contains("secret"), "{}", done.stdout);
}

#[test]
fn a_gateway_without_incidents_says_so_running_and_stopped() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let looks = |place: &Place| {
        assert_eq!(place.operate(&["incidents"]).ok(), "No incident is open.\n");
        assert_eq!(place.operate(&["incidents", "list"]).ok(), "No incident is open.\n");
        let all = place.operate(&["incidents", "list", "--all", "--output", "json"]);
        assert_eq!(all.json(), serde_json::json!([]));
        let stderr = place.operate(&["incidents", "show", "7"]).fails(1);
        assert!(stderr.contains("there is no incident 7"), "{stderr}");
    };
    looks(&place);
    assert_eq!(gateway.stop(), Some(0));
    looks(&place);
}
