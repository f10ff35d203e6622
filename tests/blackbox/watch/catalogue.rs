//! The catalogue of metrics: the document is written from it, and a running gateway shows exactly what is in it.

use std::collections::{BTreeMap, BTreeSet};

use emulator::{Fault, Operation, Selector, Version};
use harness::{Metrics, Region};
use serde_json::Value;

use crate::common::{
    CONSUMER, EGRN, FEDERAL, OTHER, PROVIDER, SPRAVKA, World, echo, eventually, identity, local_region, quarantine,
    refused, request, send, send_data, system, take_response,
};
use crate::{catalogue, entry, printed, text};

/// A series: its name and labels.
type Series = (String, BTreeMap<String, String>);

fn series(metrics: &Metrics) -> BTreeSet<Series> {
    metrics
        .series()
        .map(|(name, labels)| (name.to_owned(), labels.clone()))
        .collect()
}

#[test]
fn the_document_is_that_of_the_program() {
    let written = text("docs/metrics.md");
    let by_program = printed(&["reference", "metrics"]);
    assert!(
        written == by_program,
        "docs/metrics.md is not up to date: target/debug/rsmev reference metrics >docs/metrics.md"
    );
}

/// Name, type and help of each family of a scrape.
async fn families(region: &Region) -> BTreeMap<String, (String, String)> {
    let page = region.admin_page("/metrics").await.unwrap();
    let page = String::from_utf8(page.body.to_vec()).unwrap();
    let mut families: BTreeMap<String, (String, String)> = BTreeMap::new();
    for line in page.lines() {
        if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().1 = help.to_owned();
        }
        if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            families.entry(name.to_owned()).or_default().0 = kind.to_owned();
        }
    }
    families
}

/// Every family and series of the scrape is in the catalogue with its type, help and labels; the entries that are missing.
async fn missing(region: &Region) -> Vec<Value> {
    let catalogue = catalogue();
    let families = families(region).await;
    for (name, (kind, help)) in &families {
        let row = catalogue
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        assert_eq!(
            (row["type"].as_str(), row["help"].as_str()),
            (Some(&**kind), Some(&**help)),
            "{name}"
        );
    }
    for (name, labels) in region.metrics().await.unwrap().series() {
        let row = entry(&catalogue, name).unwrap_or_else(|| panic!("{name} is not in the catalogue"));
        let rows = row["labels"].as_array().unwrap();
        let expected: BTreeSet<&str> = rows.iter().map(|label| label["name"].as_str().unwrap()).collect();
        let there: BTreeSet<&str> = labels
            .keys()
            .map(String::as_str)
            .filter(|label| *label != "le")
            .collect();
        assert_eq!(there, expected, "labels of {name}");
        for label in rows {
            let value = &labels[label["name"].as_str().unwrap()];
            if let Some(values) = label["values"].as_array() {
                assert!(values.iter().any(|known| known == value), "{label} of {name}: {value}");
            }
        }
    }
    let absent = catalogue.into_iter().filter(|(name, _)| !families.contains_key(name));
    absent.map(|(_, row)| row).collect()
}

#[tokio::test]
async fn a_running_gateway_shows_what_is_in_the_catalogue_and_nothing_else() {
    let whole = |builder: harness::RegionBuilder| {
        let webhook = "[{ name = \"duty\", url = \"http://127.0.0.1:9/\" }]";
        let builder = builder.setting("notify", "webhook", webhook);
        builder.setting("archive", "command", "[\"/bin/true\"]")
    };
    let World { bus: _bus, region } = World::start_with(None, whole).await;
    assert_eq!(
        missing(&region).await,
        Vec::<Value>::new(),
        "all is there from the start"
    );

    let bare = local_region().start().await.unwrap();
    let missing = missing(&bare).await;
    let mut reasons: Vec<&str> = missing.iter().map(|row| row["appears"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    reasons.dedup();
    let expected = [
        "with `[archive]`",
        "with `[notify.mail]` or `[[notify.webhook]]`",
        "with an `[[upstream]]`",
    ];
    assert_eq!(reasons, expected, "{missing:?}");
}

/// An alert about a certificate must end when the certificate is no longer used.
#[tokio::test]
async fn a_signer_that_was_replaced_goes_out_of_the_metrics() {
    let World { bus: _bus, region } = World::start().await;
    let subjects = async || {
        let metrics = region.metrics().await.unwrap();
        let subjects = metrics.label_values("certificate_expires_seconds", "subject");
        subjects.into_iter().map(str::to_owned).collect::<BTreeSet<_>>()
    };
    let before = subjects().await;
    let next = identity("NEXT");
    let file = region.dir().join(format!("upstream/{FEDERAL}-0.crt"));
    std::fs::write(&file, next.certificate().to_pem()).unwrap();
    region.reload().unwrap();
    let gone = eventually("the next signer is watched", async || {
        let now = subjects().await;
        let watched = now.contains(next.certificate().subject());
        watched.then(|| before.difference(&now).cloned().collect::<Vec<_>>())
    })
    .await;
    assert_eq!(gone.len(), 1, "{gone:?}");
}

/// How many values each label can have in [`World`], as the catalogue's bounds say: three participants, two kinds, one
/// upstream with one signer.
fn bound(label: &Value) -> usize {
    match label["bound"].as_str().unwrap() {
        "kinds in the registry + 1 (`other`)" => 3,
        "participants in the registry" => 3,
        "3 × participants in the registry + upstreams" => 10,
        "upstreams in the configuration" => 1,
        "1 with `[notify.mail]` + `[[notify.webhook]]`" => 0,
        "1 + certificates of participants in the registry + `trusted_signers` + 1 with `[smev3.tls]`" => 5,
        number => number
            .parse()
            .unwrap_or_else(|_| panic!("no bound is known for {label}")),
    }
}

#[tokio::test]
async fn nothing_that_comes_from_outside_becomes_a_series() {
    let World { bus, region } = World::start().await;
    let before = series(&region.metrics().await.unwrap());

    let consumer = system(&region, CONSUMER);
    // An ordinary exchange, to a node and up to the bus.
    for node in ["NODE-1", "NODE-2", "NODE-3"] {
        send_data(&consumer, &consumer.new_request(request(SPRAVKA, "a")).node(node)).await;
        echo(&system(&region, PROVIDER)).await;
    }
    send(&consumer, request(EGRN, "b")).await;
    take_response(&consumer).await;
    // Callers, kinds, versions and selectors that nobody knows.
    for number in 0..5 {
        for version in Version::ALL {
            let stranger = region.system(identity(&format!("STRANGER{number}")), version).unwrap();
            let call = stranger.sign_get_request(&Selector::any()).unwrap();
            refused(&stranger, &call).await;
        }
        let kind = format!("urn://unknown/{number}");
        let call = consumer
            .sign_request(&consumer.new_request(request(&kind, "c")))
            .unwrap();
        refused(&consumer, &call).await;
        let odd = consumer.new_request(request(SPRAVKA, "d")).node("a\"b\\\n{}");
        refused(&consumer, &consumer.sign_request(&odd).unwrap()).await;
        let selector = Selector::kind(kind, "Request").node(format!("NODE-{number}"));
        // Whatever the answer is.
        let _ = system(&region, OTHER).get_request(&selector).await;
    }
    // A bus that answers with faults that no schema has.
    for fault in ["NeverHeardOf", "OneMore"] {
        let knob = bus.knobs().fault(Operation::SendRequest, Fault::new(fault), 1);
        let waiting = quarantine(&region).await.len();
        send(&consumer, request(EGRN, "d")).await;
        eventually("the message is in quarantine", async || {
            (knob.worked() > 0 && quarantine(&region).await.len() > waiting).then_some(())
        })
        .await;
    }

    let metrics = region.metrics().await.unwrap();
    assert!(metrics.count("messages_refused_total", &[]) >= 20);
    assert!(metrics.count("messages_forwarded_total", &[("upstream", FEDERAL)]) >= 3);
    let after = series(&metrics);
    assert_eq!(
        after.symmetric_difference(&before).collect::<Vec<_>>(),
        Vec::<&Series>::new(),
        "series come only with the registry and the configuration"
    );
    let catalogue = catalogue();
    for row in catalogue.values() {
        for label in row["labels"].as_array().unwrap() {
            let name = label["name"].as_str().unwrap();
            let of_row = after
                .iter()
                .filter(|(series, _)| entry(&catalogue, series) == Some(row));
            let values: BTreeSet<&String> = of_row.filter_map(|(_, labels)| labels.get(name)).collect();
            assert!(values.len() <= bound(label), "{name} of {}: {values:?}", row["name"]);
        }
    }
}
