//! The alert rules, as text and as `promtool` sees them.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::process::Command;

use crate::common::local_region;
use crate::{catalogue, entry, file, metrics_in, text, there_is};

pub(crate) const RULES: &str = "packaging/prometheus/rsmev.rules.yml";
/// Beside them; the second one runs over hours and days, in longer steps.
const TESTS: [&str; 2] = ["rsmev.rules.test.yml", "rsmev.rules.days.test.yml"];

fn tests() -> String {
    TESTS.map(|name| text(&format!("packaging/prometheus/{name}"))).concat()
}

/// The value of a key on its line, without quotes.
fn value<'t>(line: &'t str, key: &str) -> Option<&'t str> {
    let value = line
        .trim_start()
        .trim_start_matches("- ")
        .strip_prefix(key)?
        .strip_prefix(": ")?;
    Some(value.trim_matches('\''))
}

/// The rules' names, each with the lines up to the next.
fn rules(text: &str) -> Vec<(String, Vec<String>)> {
    let mut rules: Vec<(String, Vec<String>)> = Vec::new();
    for line in text.lines() {
        if let Some(name) = value(line, "alert") {
            rules.push((name.to_owned(), Vec::new()));
        } else if let Some((_, lines)) = rules.last_mut() {
            lines.push(line.to_owned());
        }
    }
    rules
}

#[test]
fn every_rule_names_metrics_of_the_catalogue_and_speaks_to_people() {
    let (catalogue, alerts) = (catalogue(), text("docs/alerts.md"));
    let anchors: BTreeSet<&str> = alerts.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let rules = rules(&text(RULES));
    for (name, lines) in &rules {
        let get = |key: &str| lines.iter().find_map(|line| value(line, key));
        let expression = get("expr").unwrap_or_else(|| panic!("{name} has no expr"));
        for metric in metrics_in(expression) {
            assert!(
                entry(&catalogue, metric).is_some(),
                "{name}: {metric} is not in the catalogue"
            );
        }
        let severity = get("severity").unwrap_or_default();
        assert!(
            ["critical", "warning", "info"].contains(&severity),
            "{name}: {severity:?}"
        );
        for key in ["summary", "description"] {
            assert!(get(key).is_some_and(|text| text.len() > 10), "{name}: {key}");
            let russian = get(&format!("{key}_ru")).unwrap_or_default();
            assert!(russian.chars().any(|c| ('а'..='я').contains(&c)), "{name}: {key}_ru");
        }
        let runbook = get("runbook_url").unwrap_or_default();
        let anchor = format!("/usr/share/doc/rsmev-gateway/docs/alerts.md#{}", name.to_lowercase());
        assert!(runbook.ends_with(&anchor), "{name}: {runbook}");
        assert!(
            anchors.contains(name.as_str()),
            "docs/alerts.md does not tell of {name}"
        );
    }
    let names: BTreeSet<&str> = rules.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names.len(), rules.len(), "a name stands for one rule");
    assert_eq!(anchors, names, "docs/alerts.md tells of what there is");
}

#[test]
fn every_rule_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() {
    let names: BTreeSet<String> = rules(&text(RULES)).into_iter().map(|(name, _)| name).collect();
    let tests = tests();
    let (mut fires, mut silent) = (BTreeSet::new(), BTreeSet::new());
    let mut tested = "";
    for line in tests.lines() {
        if let Some(name) = value(line, "alertname") {
            tested = name;
        } else if line.trim() == "exp_alerts: []" {
            silent.insert(tested.to_owned());
        } else if line.trim() == "- exp_labels:" {
            fires.insert(tested.to_owned());
        }
    }
    assert_eq!((&fires, &silent), (&names, &names));
}

/// Runs `promtool` beside the rules: whether it is content, and what it says.
fn promtool(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("promtool");
    let output = command.args(arguments).current_dir(folder).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn promtool_accepts_the_rules_and_their_tests_hold() {
    if !there_is("promtool") {
        return;
    }
    let folder = file("packaging/prometheus");
    for arguments in [
        &["check", "rules", "rsmev.rules.yml"][..],
        &["test", "rules", TESTS[0], TESTS[1]],
    ] {
        let (content, said) = promtool(&folder, arguments);
        assert!(content, "{arguments:?}: {said}");
    }
}

#[tokio::test]
async fn promtool_finds_nothing_to_blame_in_a_scrape() {
    if !there_is("promtool") {
        return;
    }
    let region = local_region().start().await.unwrap();
    let page = region.admin_page("/metrics").await.unwrap();
    let scrape = region.dir().join("scrape");
    std::fs::write(&scrape, &page.body).unwrap();
    let output = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(File::open(&scrape).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && said.is_empty(), "{said}");
}

/// A test that cannot fail is none.
#[test]
fn the_tests_of_the_rules_notice_a_rule_that_never_fires_and_one_that_always_does() {
    if !there_is("promtool") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in TESTS {
        std::fs::copy(file("packaging/prometheus").join(name), folder.path().join(name)).unwrap();
    }
    let whole = text(RULES);
    for broken in ["vector(0) > 1", "vector(1)"] {
        let lines = whole.lines().map(|line| match value(line, "expr") {
            Some(_) => format!("        expr: {broken}\n"),
            None => format!("{line}\n"),
        });
        std::fs::write(folder.path().join("rsmev.rules.yml"), lines.collect::<String>()).unwrap();
        let (content, said) = promtool(folder.path(), &["test", "rules", TESTS[0], TESTS[1]]);
        assert!(!content, "{said}");
        for (name, _) in rules(&whole) {
            assert!(said.contains(&format!("alertname: {name},")), "{name} with {broken}");
        }
    }
}
