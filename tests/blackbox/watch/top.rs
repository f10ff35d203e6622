//! `rsmev top` on a running gateway, with and without a terminal.
//!
//! The terminal is a real one: `script` (util-linux, on every Debian) makes it.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::common::{self, CONSUMER, PROVIDER, SPRAVKA, World, echo, eventually, refused, request, send, system};

#[tokio::test]
async fn one_picture_shows_what_the_gateway_is_doing() {
    let World { bus: _bus, region } = World::start().await;
    let consumer = system(&region, CONSUMER);
    send(&consumer, request(SPRAVKA, "a")).await;
    send(&consumer, request(SPRAVKA, "b")).await;
    echo(&system(&region, PROVIDER)).await;
    let call = consumer
        .sign_request(&consumer.new_request(request("urn://unknown", "c")))
        .unwrap();
    refused(&consumer, &call).await;

    let reading = region.command(&["top", "--output", "json"]).await.unwrap();
    let reading: Value = serde_json::from_str(&reading.stdout).unwrap();
    assert_eq!(reading["ready"], true, "{reading}");
    assert_eq!(
        reading["counters"]["accepted"], 3,
        "two requests and an answer: {reading}"
    );
    assert_eq!(reading["counters"]["refused"], 1, "{reading}");
    assert_eq!(reading["refusals"][0]["participant"], CONSUMER, "{reading}");
    assert_eq!(reading["upstreams"].as_array().unwrap().len(), 1, "{reading}");

    let picture = region
        .command(&["top", "--once", "--interval", "200ms", "--size", "100x30"])
        .await
        .unwrap();
    let picture = picture.stdout;
    for expected in [
        "since start accepted 3",
        "GISOGD73/requests",
        "UPSTREAM",
        CONSUMER,
        "q quit",
    ] {
        assert!(picture.contains(expected), "{expected}: {picture}");
    }
    assert_eq!(picture.lines().count(), 30);
    assert!(
        picture.chars().all(|c| c == '\n' || !c.is_control()),
        "no codes of a terminal"
    );

    let refused = region.command(&["top"]).await.unwrap();
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("--once"), "{}", refused.stderr);
}

/// A command in a terminal of its own, between two descriptions of the terminal's settings.
struct Terminal {
    child: Child,
    shown: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    fn start(command: &str) -> Self {
        let line = format!("stty rows 24 cols 80; stty -g; {command}; echo code=$?; stty -g");
        let mut child = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", "xterm-256color")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let mut output = child.stdout.take().unwrap();
        let page = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut octets = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut octets) {
                page.lock().unwrap().extend_from_slice(&octets[..length]);
            }
        });
        Self { child, shown }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    async fn shows(&self, text: &str) {
        eventually(text, async || self.text().contains(text).then_some(())).await;
    }

    fn press(&mut self, keys: &str) {
        self.child.stdin.as_mut().unwrap().write_all(keys.as_bytes()).unwrap();
    }

    /// After its end: what it showed, and whether the terminal is as it was.
    async fn ended(mut self) -> (String, bool) {
        eventually("the command ends", async || self.child.try_wait().unwrap()).await;
        eventually("its end was shown", async || {
            self.text()
                .split_once("code=")
                .filter(|(_, rest)| rest.lines().count() >= 2)
                .map(drop)
        })
        .await;
        let text = self.text();
        let settings: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| line.matches(':').count() > 20)
            .collect();
        let before = settings.first().copied();
        // What follows the alternate screen stands on the line of its last code.
        let same = settings.len() == 2 && before.is_some_and(|before| settings[1].ends_with(before));
        (text, same)
    }
}

#[tokio::test]
async fn a_terminal_is_taken_and_given_back() {
    let region = common::local_region().start().await.unwrap();
    let config = region.config_file().display();
    let command = format!("{} --config {config} top --interval 200ms", common::BINARY);

    let mut terminal = Terminal::start(&command);
    terminal.shows("nothing waits").await;
    assert!(terminal.text().contains("\u{1b}[?1049h"), "the alternate screen");
    terminal.press("?");
    // One word: of what is the same as before nothing is sent.
    terminal.shows("Ctrl-C").await;
    terminal.press("q");
    let (text, same) = terminal.ended().await;
    assert!(text.contains("code=0"), "{text:?}");
    assert!(
        text.contains("\u{1b}[?1049l"),
        "the screen from before is back: {text:?}"
    );
    assert!(same, "the terminal's settings are as before: {text:?}");

    // A signal is as good as a key.
    let mut terminal = Terminal::start(&format!("echo pid=$$; exec {command}"));
    terminal.shows("nothing waits").await;
    let text = terminal.text();
    let pid = text
        .split("pid=")
        .nth(1)
        .and_then(|rest| rest.split_whitespace().next())
        .unwrap();
    let killed = Command::new("kill").args(["-TERM", pid]).status().unwrap();
    assert!(killed.success());
    eventually("the command ends", async || terminal.child.try_wait().unwrap()).await;
    terminal.shows("\u{1b}[?1049l").await;
}
