//! `rsmev registry`, with the gateway stopped: the store is opened under its lock.

use crate::place::{Place, read};

const REGION: &str = r#"
[[participant]]
mnemonic = "MUN001"
name = "Администрация \"города\""
oktmo = "73701000"
certificates = ["mun001.crt"]
addresses = ["10.1.0.0/16"]

[[participant]]
mnemonic = "GISOGD73"
name = "ГИСОГД"
certificates = ["gisogd.crt"]

[[kind]]
name = "gpzu"
namespace = "urn://gisogd73/gpzu/1.0.0"
request = "Request"
response = "Response"
scope = "local"
schema = "gpzu/main.xsd"

[[grant]]
participant = "MUN001"
kind = "urn://gisogd73/gpzu/1.0.0"
may = ["request"]

[[grant]]
participant = "GISOGD73"
kind = "gpzu"
may = ["provide"]

[[route]]
kind = "gpzu"
when = { path = "//OKTMO", prefix = "73" }
to = "GISOGD73"
"#;

const MAIN: &str = r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn://gisogd73/gpzu/1.0.0" elementFormDefault="qualified">
  <xs:include schemaLocation="types.xsd"/>
  <xs:element name="Request" type="xs:string"/>
  <xs:element name="Response" type="xs:string"/>
</xs:schema>"#;

const TYPES: &str =
    r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn://gisogd73/gpzu/1.0.0"/>"#;

fn with_region() -> Place {
    let place = Place::new();
    for name in ["mun001", "gisogd"] {
        let (key, certificate) = (format!("registry/{name}.key"), format!("registry/{name}.crt"));
        place.write("registry/.folder", "");
        place
            .command(&[
                "keys",
                "new",
                "--key",
                &key,
                "--subject",
                "CN=x",
                "--certificate",
                &certificate,
            ])
            .ok();
    }
    place.write("registry/gpzu/main.xsd", MAIN);
    place.write("registry/gpzu/types.xsd", TYPES);
    place.write("registry/region.toml", REGION);
    place
}

#[test]
fn applying_twice_changes_nothing_the_second_time() {
    let place = with_region();
    let first = place.operate(&["registry", "apply", "registry"]).ok();
    assert!(first.contains("added    participant MUN001"), "{first}");
    assert!(first.contains("gpzu"), "{first}");
    let second = place.operate(&["registry", "apply", "registry/region.toml"]).ok();
    assert_eq!(second, "Nothing to change: the registry says this already.\n");
    let shown = place.operate(&["registry", "show", "--output", "json"]).json();
    assert_eq!(shown["participants"]["MUN001"]["oktmo"], "73701000");
    assert_eq!(
        shown["grants"].as_array().unwrap().len(),
        2,
        "the namespace was turned into the kind's name: {shown}"
    );
    let table = place.operate(&["registry", "show"]).ok();
    assert!(
        table.contains("//OKTMO begins with \"73\"") && table.contains("10.1.0.0/16"),
        "{table}"
    );
    place.operate(&["check"]).ok();
}

#[test]
fn only_prune_removes() {
    let place = with_region();
    place.operate(&["registry", "apply", "registry"]).ok();
    place.write(
        "one.toml",
        "[[participant]]\nmnemonic = \"MUN001\"\nname = \"Новое имя\"\ncertificates = [\"registry/mun001.crt\"]\n",
    );
    let changed = place.operate(&["registry", "apply", "one.toml"]).ok();
    assert_eq!(changed, "changed  participant MUN001\n");
    let pruned = place.operate(&["registry", "apply", "one.toml", "--prune"]).ok();
    assert!(pruned.contains("removed  participant GISOGD73"), "{pruned}");
    let shown = place.operate(&["registry", "show", "--output", "json"]).json();
    assert_eq!(shown["participants"].as_object().unwrap().len(), 1);
    assert_eq!(shown["kinds"].as_object().unwrap().len(), 0);
}

#[test]
fn an_export_applied_elsewhere_gives_the_same_registry() {
    let place = with_region();
    place.operate(&["registry", "apply", "registry"]).ok();
    place.operate(&["registry", "export", "--dir", "export"]).ok();
    let text = place.operate(&["registry", "export"]).ok();
    assert_eq!(text, read(&place.path("export/registry.toml")));
    let other = Place::new();
    other
        .operate(&["registry", "apply", &place.path("export").to_string_lossy()])
        .ok();
    let show = |place: &Place| place.operate(&["registry", "show", "--output", "json"]).json();
    assert_eq!(show(&place), show(&other));
    let stderr = place.operate(&["registry", "export", "--dir", "export"]).fails(1);
    assert!(stderr.contains("export: is not empty"), "{stderr}");
}

#[test]
fn every_error_of_a_registry_file_names_file_line_and_key() {
    let place = with_region();
    place.write(
        "registry/region.toml",
        r#"[[participant]]
mnemonic = "MUN 001"
name = "x"
certificates = ["mun001.crt"]

[[participant]]
mnemonic = "MUN002"
name = "x"
oktmo = "seven"
certificates = ["absent.crt"]
adresses = ["10.0.0.0/8"]

[[kind]]
name = "gpzu"
namespace = "urn://gisogd73/gpzu/1.0.0"
request = "Request"
response = "Response"
schema = "gpzu/main.xsd"

[[grant]]
participant = "MUN009"
kind = "gpsu"
may = ["reqest"]

[[route]]
kind = "gpzu"
when = { path = "OKTMO", prefix = "73" }
"#,
    );
    place.write(
        "registry/gpzu/types.xsd",
        &MAIN.replace("types.xsd", "../../secret.xsd"),
    );
    let stderr = place.operate(&["registry", "apply", "registry"]).fails(1);
    for expected in [
        "region.toml:2: participant[1].mnemonic: ",
        "region.toml:9: participant[2].oktmo: ",
        "region.toml:10: participant[2].certificates: absent.crt: cannot be read",
        "region.toml:11: participant[2].adresses: unknown key; did you mean \"addresses\"?",
        "region.toml:18: kind[1].schema: types.xsd: schemaLocation \"../../secret.xsd\" leads out of the schema's folder",
        "region.toml:23: grant[1].may: ",
        "region.toml:25: route[1].to: is missing",
        "region.toml:27: route[1].when.path: ",
    ] {
        assert!(stderr.contains(expected), "{expected}\n{stderr}");
    }
    let shown = place.operate(&["registry", "show", "--output", "json"]).json();
    assert_eq!(
        shown["participants"].as_object().unwrap().len(),
        0,
        "nothing was applied"
    );
}

#[test]
fn what_is_named_must_exist_in_the_files_or_in_the_gateway() {
    let place = with_region();
    let grant = "[[grant]]\nparticipant = \"MUN001\"\nkind = \"gpzu\"\nmay = [\"request\", \"provide\"]\n";
    place.write("grant.toml", grant);
    let stderr = place.operate(&["registry", "apply", "grant.toml"]).fails(1);
    assert!(
        stderr.contains("grant.toml:1: grant[1].kind: there is no kind \"gpzu\""),
        "{stderr}"
    );
    assert!(
        stderr.contains("grant.toml:1: grant[1].participant: there is no participant \"MUN001\""),
        "{stderr}"
    );
    place.operate(&["registry", "apply", "registry"]).ok();
    let changed = place.operate(&["registry", "apply", "grant.toml"]).ok();
    assert!(changed.starts_with("changed  grant"), "{changed}");
}

#[test]
fn a_schema_with_a_dtd_is_refused() {
    let place = with_region();
    place.write("registry/gpzu/types.xsd", &format!("<!DOCTYPE xs:schema []>{TYPES}"));
    let stderr = place.operate(&["registry", "apply", "registry"]).fails(1);
    assert!(stderr.contains("kind[1].schema: types.xsd: "), "{stderr}");
}

#[test]
fn without_data_there_is_nothing_to_open() {
    let place = Place::new();
    std::fs::remove_dir(place.path("data")).unwrap();
    let stderr = place.operate(&["registry", "show"]).fails(1);
    assert!(stderr.contains("there is no data yet"), "{stderr}");
    assert!(!place.path("data").exists(), "a command that reads makes no folder");
}

#[test]
fn an_upstream_that_is_not_configured_is_told_when_it_is_named() {
    let place = with_region();
    place.write(
        "grant.toml",
        "[[grant]]\nupstream = \"federal\"\nkind = \"gpzu\"\nmay = [\"request\"]\n",
    );
    let done = place.operate(&["registry", "apply", "registry", "grant.toml"]);
    assert!(
        done.stderr.contains("upstream federal is not configured"),
        "{}",
        done.stderr
    );
    done.ok();
}

#[test]
fn a_reference_to_nothing_names_what_may_have_been_meant() {
    let place = with_region();
    place.write(
        "more.toml",
        "[[grant]]\nparticipant = \"MUN002\"\nkind = \"gpsu\"\nmay = [\"request\"]\n",
    );
    place.operate(&["registry", "apply", "registry"]).ok();
    let stderr = place.operate(&["registry", "apply", "more.toml"]).fails(1);
    assert!(
        stderr.contains("there is no kind \"gpsu\"; did you mean \"gpzu\"?"),
        "{stderr}"
    );
    assert!(
        stderr.contains("there is no participant \"MUN002\"; did you mean \"MUN001\"?"),
        "{stderr}"
    );
}

#[test]
fn a_diff_tells_what_applying_would_do_and_does_nothing() {
    let place = with_region();
    let first = place.operate(&["registry", "diff", "registry"]).ok();
    assert!(first.contains("added    participant MUN001"), "{first}");
    place.operate(&["registry", "apply", "registry"]).ok();
    place.write("registry/region.toml", &REGION.replace("73701000", "73702000"));
    let changed = place.operate(&["registry", "diff", "registry"]).ok();
    assert_eq!(
        changed,
        "changed  participant MUN001\n\nparticipant MUN001\n  oktmo: \"73701000\" -> \"73702000\"\n"
    );
    let preview = place
        .operate(&["registry", "diff", "registry", "--output", "json"])
        .json();
    assert_eq!(preview["changed"][0], "participant MUN001");
    assert_eq!(preview["fields"]["participant MUN001"][0]["after"], "73702000");
    place.write("registry/empty.toml", "");
    let pruned = place
        .operate(&["registry", "diff", "registry/empty.toml", "--prune"])
        .ok();
    assert!(pruned.contains("removed  kind gpzu"), "{pruned}");
    let shown = place.operate(&["registry", "show", "--output", "json"]).json();
    assert_eq!(shown["participants"]["MUN001"]["oktmo"], "73701000");
}

#[test]
fn a_lint_says_what_can_hardly_be_meant() {
    let place = with_region();
    let alone = place.operate(&["registry", "lint", "registry", "--alone"]).ok();
    assert_eq!(
        alone,
        "kind gpzu: every route has a condition: a request for which none holds is refused\n"
    );
    place.operate(&["registry", "lint", "registry", "--strict"]).fails(1);
    place.operate(&["registry", "apply", "registry"]).ok();
    assert_eq!(place.operate(&["registry", "lint"]).ok(), alone);
    place.write("always.toml", "[[route]]\nkind = \"gpzu\"\nto = \"GISOGD73\"\n");
    let together = place.operate(&["registry", "lint", "always.toml", "--strict"]).ok();
    assert!(together.contains("Nothing strikes"), "{together}");
    place.write("out.toml", "[[route]]\nkind = \"gpzu\"\nupstream = \"federal\"\n");
    let found = place
        .operate(&["registry", "lint", "out.toml", "--output", "json"])
        .json();
    let about: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| &finding["about"])
        .collect();
    assert_eq!(about, ["route gpzu", "upstream federal"], "{found}");
}

#[test]
fn a_route_is_explained_without_sending_anything() {
    let place = with_region();
    place.operate(&["registry", "apply", "registry"]).ok();
    let payload = |oktmo: &str| {
        format!("<Request xmlns=\"urn://gisogd73/gpzu/1.0.0\"><Place><OKTMO>{oktmo}</OKTMO></Place></Request>")
    };
    place.write("here.xml", &payload("73701000"));
    place.write("there.xml", &payload("77000000"));
    let explain = |more: &[&str]| place.operate(&[&["route", "explain"], more].concat());
    let here = explain(&["--from", "MUN001", "--payload", "here.xml"]).ok();
    assert_eq!(
        here,
        "A request of kind gpzu ({urn://gisogd73/gpzu/1.0.0}Request) from MUN001:\n  \
         grant    MUN001 may send requests of it\n  \
         route 1  when \"//OKTMO prefix 73\": there is \"73701000\", so to GISOGD73\n\
         It goes to GISOGD73.\n"
    );
    let there = explain(&["--from", "MUN001", "--payload", "there.xml", "--output", "json"]);
    let there = there.json_of_refusal();
    assert_eq!(there["routes"][0]["values"][0], "77000000");
    assert_eq!(there["refusal"], "no recipient: no route for kind gpzu");
    let stranger = explain(&["--from", "GISOGD73", "--kind", "gpzu", "--output", "json"]).json_of_refusal();
    assert_eq!(stranger["granted"], false);
    let remedy = stranger["remedy"].as_str().unwrap();
    assert!(
        remedy.contains("[[grant]]") && remedy.contains("GISOGD73") && remedy.contains("request"),
        "{remedy}"
    );
    let stderr = explain(&["--from", "MUN001", "--kind", "gpsu"]).fails(1);
    assert!(stderr.contains("did you mean \"gpzu\"?"), "{stderr}");
    explain(&["--from", "MUN001"]).fails(2);
}
