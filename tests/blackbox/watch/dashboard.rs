//! The Grafana dashboard, as JSON; a real Prometheus answers its queries in [`crate::prometheus`].

use serde_json::Value;

use crate::{catalogue, entry, metrics_in, text};

const DASHBOARD: &str = "packaging/grafana/rsmev.json";

/// The queries of the dashboard, each with its panel's title.
pub(crate) fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let with_targets = panels.filter(|panel| panel["type"] != "row");
    let mut queries: Vec<(String, String)> = with_targets
        .flat_map(|panel| {
            let title = panel["title"].as_str().unwrap();
            let targets = panel["targets"].as_array().unwrap().iter();
            targets.map(|target| (title.to_owned(), target["expr"].as_str().unwrap().to_owned()))
        })
        .collect();
    for annotation in dashboard["annotations"]["list"].as_array().unwrap() {
        queries.push((
            annotation["name"].as_str().unwrap().to_owned(),
            annotation["expr"].as_str().unwrap().to_owned(),
        ));
    }
    queries
}

fn dashboard() -> Value {
    serde_json::from_str(&text(DASHBOARD)).unwrap()
}

#[test]
fn every_query_names_metrics_of_the_catalogue_and_every_metric_of_the_contract_is_shown() {
    let catalogue = catalogue();
    let mut shown = Vec::new();
    for (title, expression) in queries() {
        for metric in metrics_in(&expression) {
            let row = entry(&catalogue, metric).unwrap_or_else(|| panic!("{title}: {metric} is not in the catalogue"));
            shown.push(row["name"].clone());
        }
    }
    let contract = catalogue.values().filter(|row| row["contract"] == true);
    let unseen: Vec<_> = contract
        .map(|row| &row["name"])
        .filter(|name| !shown.contains(name))
        .collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

#[test]
fn the_dashboard_takes_its_datasource_and_its_gateways_from_variables() {
    let dashboard = dashboard();
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variable = |name: &str| variables.iter().find(|variable| variable["name"] == name).unwrap();
    assert_eq!(variable("datasource")["type"], "datasource");
    assert_eq!(variable("datasource")["query"], "prometheus");
    let asked = variable("instance")["query"]["query"].as_str().unwrap();
    assert_eq!(asked, "label_values(rsmev_ready, instance)");

    let panels = dashboard["panels"].as_array().unwrap();
    let rows: Vec<&str> = panels
        .iter()
        .filter(|panel| panel["type"] == "row")
        .map(|panel| panel["title"].as_str().unwrap())
        .collect();
    assert_eq!(
        rows,
        [
            "Overview",
            "Exchange",
            "Upstreams",
            "Queues",
            "Storage",
            "Faults",
            "Certificates"
        ]
    );
    let mut ids: Vec<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), panels.len(), "each panel has its number");
    for panel in panels.iter().filter(|panel| panel["type"] != "row") {
        for of in std::iter::once(panel).chain(panel["targets"].as_array().unwrap()) {
            assert_eq!(of["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
        }
    }
}
