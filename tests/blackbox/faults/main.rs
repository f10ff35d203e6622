//! The machine fails the gateway, for real: small disks, disks that err, damaged files, clocks that jump, peers that are
//! slow or hostile. What was accepted stays, nothing is promised that cannot be kept, it is told, and where the fault
//! goes away the gateway goes on by itself.
//!
//! What needs more rights than a test has says SKIPPED; each promise has a twin beside the code that always runs.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod clock;
#[path = "../common/mod.rs"]
mod common;
mod damage;
mod journal_damage;
mod machine;
mod panics;
mod peers;
mod queue;
mod space;
mod storage;

use harness::Region;
use serde_json::Value;

use common::{eventually, journal};

/// Waits until `/ready` says that a condition is fulfilled, or that it is not: its message.
async fn condition(region: &Region, name: &str, ok: bool) -> String {
    let what = format!("the condition {name} is {ok}");
    eventually(&what, async || {
        let (status, ready) = region.ready().await.ok()?;
        let all = ready["conditions"].as_array()?;
        let found = all.iter().find(|condition| condition["name"] == name)?;
        (found["ok"] == ok && (ok || status == 503)).then(|| found["message"].as_str().unwrap_or_default().to_owned())
    })
    .await
}

/// Waits until the journal has an incident of a kind: the text of the last one.
async fn incident(region: &Region, kind: &str) -> String {
    eventually(&format!("an incident {kind}"), async || {
        let told = journal(region, &["--type", "incident"]).await;
        let mut of_kind = told.iter().filter(|event| event["kind"] == kind);
        of_kind
            .next_back()
            .and_then(|event| event["text"].as_str().map(str::to_owned))
    })
    .await
}

/// The kinds of the journaled incidents, in order.
async fn incidents(region: &Region) -> Vec<String> {
    let told = journal(region, &["--type", "incident"]).await;
    let kind = |event: &Value| event["kind"].as_str().unwrap().to_owned();
    told.iter().map(kind).collect()
}
