//! A real Prometheus watches a running gateway: it scrapes it, its rules fire and fall silent, and it answers every query
//! of the dashboard.

use std::fs::File;
use std::process::Stdio;

use emulator::{Clock, Connection, Endpoint};
use harness::ReservedPort;
use jiff::Timestamp;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::common::{
    CONSUMER, EGRN, FEDERAL, LATER, PROVIDER, SPRAVKA, World, echo, request, send, system, take_response, within,
};
use crate::dashboard::queries;
use crate::rules::RULES;
use crate::{text, there_is};

/// A Prometheus of its own; killed when it is dropped.
struct Prometheus {
    folder: TempDir,
    port: ReservedPort,
    _process: Child,
}

impl Prometheus {
    /// Scrapes `target` every second as the job `rsmev`, with the rules as they are but for their patience.
    fn start(target: &str) -> Prometheus {
        let folder = tempfile::tempdir().unwrap();
        let port = ReservedPort::new().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        let patient = text(RULES);
        let impatient = patient
            .lines()
            .map(|line| match line.trim_start().starts_with("for: ") {
                true => "        for: 1s\n".to_owned(),
                false => format!("{line}\n"),
            });
        write("rsmev.rules.yml", &impatient.collect::<String>());
        let configuration = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rsmev.rules.yml]\n\
             scrape_configs: [{{job_name: rsmev, static_configs: [{{targets: ['{target}']}}]}}]\n"
        );
        write("prometheus.yml", &configuration);
        let log = File::create(folder.path().join("log")).unwrap();
        let flag = |name: &str, value: &str| format!("--{name}={value}");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let process = Command::new("prometheus")
            .arg(flag("config.file", &path("prometheus.yml")))
            .arg(flag("storage.tsdb.path", &path("data")))
            .arg(flag("web.listen-address", &port.address().to_string()))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Prometheus {
            folder,
            port,
            _process: process,
        }
    }

    /// What the API answers; nothing while it does not listen yet.
    async fn ask(&self, path: &str) -> Option<Value> {
        let endpoint = Endpoint::parse(&format!("http://{}", self.port.address())).unwrap();
        let mut connection = Connection::open(&endpoint).await.ok()?;
        let answer = connection.get(&format!("/api/v1/{path}")).await.ok()?;
        let answer: Value = serde_json::from_slice(&answer.body).ok()?;
        assert_eq!(answer["status"], "success", "{path}: {answer}");
        Some(answer["data"].clone())
    }

    /// The result of a query.
    async fn query(&self, expression: &str) -> Vec<Value> {
        let answer = self.ask(&format!("query?query={}", encoded(expression))).await;
        answer.map_or_else(Vec::new, |data| data["result"].as_array().unwrap().clone())
    }

    /// Waits for what the API answers to be as wanted.
    async fn wait<T>(&self, what: &str, path: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        within(LATER, what, async || {
            self.ask(path).await.and_then(|data| wanted(&data))
        })
        .await
    }

    /// The alerts of this name that fire.
    async fn firing(&self, name: &str) -> Vec<Value> {
        let alerts = self.ask("alerts").await.unwrap_or_default();
        let all = alerts["alerts"].as_array().cloned().unwrap_or_default();
        all.into_iter()
            .filter(|alert| alert["labels"]["alertname"] == name && alert["state"] == "firing")
            .collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

/// As a part of a URL.
fn encoded(text: &str) -> String {
    text.bytes().map(|octet| format!("%{octet:02X}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_prometheus_scrapes_the_gateway_and_its_alerts_fire_and_fall_silent() {
    if !there_is("prometheus") {
        return;
    }
    let clock = Clock::running(Timestamp::now(), 1.0);
    let archive = |builder: harness::RegionBuilder| builder.setting("archive", "command", "[\"/bin/true\"]");
    let World { bus, mut region } = World::start_with(Some(clock.clone()), archive).await;
    let consumer = system(&region, CONSUMER);
    send(&consumer, request(EGRN, "вверх")).await;
    take_response(&consumer).await;

    let prometheus = Prometheus::start(&region.admin().to_string());
    let target = prometheus
        .wait("the target is up", "targets?state=active", |data| {
            let target = &data["activeTargets"][0];
            (target["health"] == "up").then(|| target.clone())
        })
        .await;
    assert_eq!(target["lastError"], "", "{target}");
    let rules = prometheus
        .wait("every rule was evaluated", "rules", |data| {
            let groups = data["groups"].as_array()?.iter();
            let rules: Vec<Value> = groups
                .flat_map(|group| group["rules"].as_array().unwrap().clone())
                .collect();
            let evaluated = rules.iter().all(|rule| rule["health"] != "unknown");
            (!rules.is_empty() && evaluated).then_some(rules)
        })
        .await;
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
    }
    let alerts = text(RULES).lines().filter(|line| line.contains("- alert: ")).count();
    assert_eq!(rules.len(), alerts);

    // Every query has an answer once there are two scrapes.
    for (panel, expression) in queries() {
        let expression = expression.replace("$__rate_interval", "1m").replace("$instance", ".*");
        let what = format!("an answer to {panel}: {expression}");
        // What shows restarts has nothing to show.
        let may_be_empty = expression.starts_with("changes(");
        within(LATER, &what, async || {
            let result = prometheus.query(&expression).await;
            (may_be_empty || !result.is_empty()).then_some(())
        })
        .await;
    }

    for quiet in ["RsmevDown", "RsmevNotReady", "RsmevUpstreamDown", "RsmevQueueOld"] {
        assert_eq!(prometheus.firing(quiet).await, Vec::<Value>::new());
    }
    let fires = async |name: &str, label: &str, value: &str| {
        within(LATER, &format!("{name} fires"), async || {
            let firing = prometheus.firing(name).await;
            firing.into_iter().find(|alert| alert["labels"][label] == value)
        })
        .await
    };
    let falls_silent = async |name: &str| {
        within(LATER, &format!("{name} falls silent"), async || {
            prometheus.firing(name).await.is_empty().then_some(())
        })
        .await;
    };

    bus.go_down().await;
    let down = fires("RsmevUpstreamDown", "upstream", FEDERAL).await;
    assert!(
        down["annotations"]["summary"].as_str().unwrap().contains(FEDERAL),
        "{down}"
    );
    bus.come_back().await.unwrap();
    falls_silent("RsmevUpstreamDown").await;

    // A request that its provider does not take for five hours, most of which the gateway does not run.
    send(&consumer, request(SPRAVKA, "залежалось")).await;
    region.stop().await.unwrap();
    fires("RsmevDown", "job", "rsmev").await;
    clock.advance(std::time::Duration::from_secs(5 * 3600));
    region.start().await.unwrap();
    let old = fires("RsmevQueueOld", "queue", &format!("{PROVIDER}/requests")).await;
    assert!(
        old["annotations"]["summary_ru"].as_str().unwrap().contains("5h 0m"),
        "{old}"
    );
    echo(&system(&region, PROVIDER)).await;
    for name in ["RsmevQueueOld", "RsmevDown"] {
        falls_silent(name).await;
    }
    let complaints: Vec<String> = prometheus
        .log()
        .lines()
        .filter(|line| line.contains("level=error") || line.contains("level=warn"))
        .map(str::to_owned)
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}
