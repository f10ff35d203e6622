//! What the suites share: regions that are quick to set up, messages, and waiting with a deadline instead of hoping.
#![allow(dead_code, reason = "each suite uses its own part of this")]

pub(crate) mod callers;

use std::time::{Duration, Instant};

use emulator::{
    CallError, Clock, Config, DeliveredRequest, DeliveredResponse, Emulator, Fault, Identity, Participant, Provider,
    Reply, RequestData, ResponseData, Selector, SignedCall, Version,
};
use gost::SoftwareKey;
use harness::{Kind, Region, RegionBuilder, Upstream};
use jiff::SignedDuration;
use serde_json::Value;

/// A kind that a participant of the region provides, to the region and to the bus.
pub(crate) const SPRAVKA: &str = "urn://test/spravka/1.0";
/// A kind that is provided on the far side of the bus.
pub(crate) const EGRN: &str = "urn://test/egrn/1.0";
pub(crate) const CONSUMER: &str = "MUN001";
pub(crate) const OTHER: &str = "MUN002";
pub(crate) const PROVIDER: &str = "GISOGD73";
pub(crate) const GATEWAY: &str = "RSMEV73";
pub(crate) const FEDERAL: &str = "federal";

/// Patience with what should happen soon.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// Patience with what may take several back-offs.
pub(crate) const LATER: Duration = Duration::from_secs(90);
/// Pause between two looks at something that has no way to tell.
const LOOK: Duration = Duration::from_millis(20);

/// The gateway's binary.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_rsmev");

/// A region in which PROVIDER answers SPRAVKA for CONSUMER and OTHER.
pub(crate) fn local_region() -> RegionBuilder {
    Region::builder(BINARY)
        .kind(Kind::new("spravka", SPRAVKA))
        .local_exchange("spravka", &[CONSUMER, OTHER], PROVIDER)
}

/// A gateway with a bus above it. CONSUMER and OTHER may ask the federal provider of EGRN; the bus may ask PROVIDER for SPRAVKA.
pub(crate) struct World {
    pub(crate) bus: Emulator,
    pub(crate) region: Region,
}

impl World {
    /// All clocks show the machine's time.
    pub(crate) async fn start() -> World {
        World::start_with(None, |builder| builder).await
    }

    /// The same under a bus that hands a message out again soon when it is not acknowledged.
    pub(crate) async fn start_impatient() -> World {
        World::start_impatient_with(|builder| builder).await
    }

    /// The same; `more` adds to the region.
    pub(crate) async fn start_impatient_with(more: impl FnOnce(RegionBuilder) -> RegionBuilder) -> World {
        let settings = emulator::Settings {
            redelivery: Duration::from_secs(2),
            ..emulator::Settings::default()
        };
        World::build(None, settings, more).await
    }

    /// As [`World::start_impatient`], and the gateway is as impatient: its leases end after `redelivery`.
    pub(crate) async fn start_for_crashes(redelivery: &str) -> World {
        let settings = emulator::Settings {
            redelivery: Duration::from_secs(2),
            ..emulator::Settings::default()
        };
        let redelivery = format!("\"{redelivery}\"");
        World::build(None, settings, |builder| {
            builder.setting("smev3", "redelivery", &redelivery)
        })
        .await
    }

    /// The bus, the gateway and the participants go by `clock` if there is one; `more` adds to the region.
    pub(crate) async fn start_with(clock: Option<Clock>, more: impl FnOnce(RegionBuilder) -> RegionBuilder) -> World {
        World::build(clock, emulator::Settings::default(), more).await
    }

    async fn build(
        clock: Option<Clock>,
        settings: emulator::Settings,
        more: impl FnOnce(RegionBuilder) -> RegionBuilder,
    ) -> World {
        let gateway = identity(GATEWAY);
        let bus = bus_with(&gateway, clock.clone().unwrap_or_default(), settings).await;
        let mut builder = local_region()
            .gateway(gateway)
            .upstream(Upstream::emulated(FEDERAL, &bus, Version::V1_2))
            .kind(Kind::new("egrn", EGRN))
            .local_exchange("egrn", &[CONSUMER, OTHER], FEDERAL)
            .grant(FEDERAL, "spravka", &["request"]);
        if let Some(clock) = clock {
            builder = builder.clock(clock);
        }
        let region = more(builder).start().await.expect("the region starts");
        World { bus, region }
    }

    /// A participant that speaks 1.2.
    pub(crate) fn system(&self, mnemonic: &str) -> Participant {
        system(&self.region, mnemonic)
    }
}

/// A bus that knows the gateway, with a federal provider of EGRN that echoes the text of each request.
pub(crate) async fn bus(gateway: &Identity, clock: Clock) -> Emulator {
    bus_with(gateway, clock, emulator::Settings::default()).await
}

async fn bus_with(gateway: &Identity, clock: Clock, settings: emulator::Settings) -> Emulator {
    start_bus(identity("SMEV"), gateway, clock, settings).await
}

/// As [`bus`], with a key that was there before.
pub(crate) async fn bus_of(signer: Identity, gateway: &Identity, clock: Clock) -> Emulator {
    start_bus(signer, gateway, clock, emulator::Settings::default()).await
}

async fn start_bus(signer: Identity, gateway: &Identity, clock: Clock, settings: emulator::Settings) -> Emulator {
    let mut config = Config::new(signer)
        .participant(gateway.mnemonic(), gateway.certificate())
        .kind(emulator::Kind::new(EGRN, "Request", "Response", "FEDERAL"))
        .kind(emulator::Kind::new(SPRAVKA, "Request", "Response", gateway.mnemonic()))
        .clock(clock);
    config.settings = settings;
    let bus = Emulator::start(config).await.expect("the bus starts");
    bus.set_provider(
        EGRN,
        Provider::new(|asked| Reply::content(response(EGRN, &text_of(&asked.content)))),
    );
    bus
}

/// A key with a certificate.
pub(crate) fn identity(mnemonic: &str) -> Identity {
    Identity::generate(mnemonic).expect("a key is generated")
}

/// A participant of a region that speaks 1.2.
pub(crate) fn system(region: &Region, mnemonic: &str) -> Participant {
    region
        .participant(mnemonic, Version::V1_2)
        .expect("the region has this participant")
}

/// The payload of a request.
pub(crate) fn request(namespace: &str, text: &str) -> String {
    format!("<k:Request xmlns:k=\"{namespace}\"><k:Text kind=\"a\">{text}</k:Text></k:Request>")
}

/// The payload of an answer.
pub(crate) fn response(namespace: &str, text: &str) -> String {
    format!("<k:Response xmlns:k=\"{namespace}\"><k:Text>{text}</k:Text></k:Response>")
}

/// What stands in `Text` of a payload made here.
pub(crate) fn text_of(payload: &str) -> String {
    let inside = payload.split_once("Text").and_then(|(_, rest)| rest.split_once('>'));
    let text = inside.and_then(|(_, rest)| rest.split_once('<')).map(|(text, _)| text);
    text.expect("a payload of these tests has a Text").to_owned()
}

/// `ds:Signature` over a fragment whose root has an Id, by a generated key.
pub(crate) fn sign(identity: &Identity, fragment: &str) -> String {
    let pem = identity.private_key_pem().expect("the key was generated here");
    let key = SoftwareKey::from_pem(pem).expect("a generated key can be read");
    xmldsig::sign_fragment(fragment, &key, identity.certificate()).expect("the fragment can be signed")
}

/// Looks until there is something to see.
///
/// # Panics
/// After [`SOON`].
pub(crate) async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    within(SOON, what, look).await
}

/// Looks until there is something to see, for so long at most.
///
/// # Panics
/// When the time is over.
pub(crate) async fn within<T>(patience: Duration, what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let since = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(since.elapsed() < patience, "{what}: not within {patience:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Sends a request that is accepted: its identifier.
pub(crate) async fn send(system: &Participant, payload: impl Into<String>) -> String {
    send_data(system, &system.new_request(payload)).await
}

/// Sends a request that is accepted: its identifier.
pub(crate) async fn send_data(system: &Participant, data: &RequestData) -> String {
    let receipt = system.send_request(data).await.expect("the request is accepted");
    assert_eq!(receipt.message_id, data.message_id);
    receipt.message_id
}

/// The next request, when there is one. It is not acknowledged.
pub(crate) async fn next_request(system: &Participant) -> DeliveredRequest {
    let what = format!("a request for {}", system.identity().mnemonic());
    eventually(&what, async || {
        system
            .get_request(&Selector::any())
            .await
            .expect("GetRequest is answered")
    })
    .await
}

/// The next answer in the common queue, when there is one. It is not acknowledged.
pub(crate) async fn next_response(system: &Participant) -> DeliveredResponse {
    next_response_of(system, &Selector::any()).await
}

/// The next answer that the selector admits, when there is one. It is not acknowledged.
pub(crate) async fn next_response_of(system: &Participant, selector: &Selector) -> DeliveredResponse {
    let what = format!("an answer for {}", system.identity().mnemonic());
    within(LATER, &what, async || {
        system.get_response(selector).await.expect("GetResponse is answered")
    })
    .await
}

/// The next request, acknowledged.
pub(crate) async fn take_request(system: &Participant) -> DeliveredRequest {
    let taken = next_request(system).await;
    system.ack(&taken.data.message_id).await.expect("the Ack is honoured");
    taken
}

/// The next answer in the common queue, acknowledged.
pub(crate) async fn take_response(system: &Participant) -> DeliveredResponse {
    let taken = next_response(system).await;
    system.ack(&taken.data.message_id).await.expect("the Ack is honoured");
    taken
}

/// An answer to a request that was taken, which is accepted: its identifier.
pub(crate) async fn answer(system: &Participant, asked: &DeliveredRequest, reply: Reply) -> String {
    let data = answer_data(system, asked, reply);
    let receipt = system.send_response(&data).await.expect("the answer is accepted");
    assert_eq!(receipt.message_id, data.message_id);
    receipt.message_id
}

/// An answer that is not sent yet.
pub(crate) fn answer_data(system: &Participant, asked: &DeliveredRequest, reply: Reply) -> ResponseData {
    let to = asked.reply_to.clone().expect("a request has a ReplyTo");
    ResponseData::sent_at(system.now(), to, reply)
}

/// Takes the next request, acknowledges it and answers with its own text: its identifier.
pub(crate) async fn echo(system: &Participant) -> String {
    let asked = take_request(system).await;
    let reply = Reply::content(response(SPRAVKA, &text_of(&asked.data.content)));
    answer(system, &asked, reply).await;
    asked.data.message_id
}

/// No request waits, or none that is not handed out.
pub(crate) async fn assert_no_request(system: &Participant) {
    let got = system
        .get_request(&Selector::any())
        .await
        .expect("GetRequest is answered");
    assert!(
        got.is_none(),
        "unexpected request {:?}",
        got.map(|got| got.data.message_id)
    );
}

/// No answer waits in the common queue, or none that is not handed out.
pub(crate) async fn assert_no_response(system: &Participant) {
    let got = system
        .get_response(&Selector::any())
        .await
        .expect("GetResponse is answered");
    assert!(got.is_none(), "unexpected answer {:?}", got.map(|got| got.data.reply));
}

/// The text of the payload of an answer.
pub(crate) fn answered_text(taken: &DeliveredResponse) -> String {
    match taken.data.reply.payload() {
        Some(payload) => text_of(payload),
        None => panic!("the answer has no payload: {:?}", taken.data.reply),
    }
}

/// A call that is refused with status 500: its fault.
pub(crate) async fn refused(system: &Participant, call: &SignedCall) -> Fault {
    let answer = system.call(call).await.expect("the gateway answers");
    assert_eq!(answer.http().status, 500, "a fault comes with status 500");
    match answer.receipt() {
        Err(CallError::Fault(fault)) => *fault,
        other => panic!("no fault but {other:?}"),
    }
}

/// The events of the journal with these filters (`--type`, `--participant`, `--message` …), in order.
pub(crate) async fn journal(region: &Region, filters: &[&str]) -> Vec<Value> {
    let mut arguments = vec!["journal", "export"];
    arguments.extend(filters);
    let output = region.command(&arguments).await.expect("the command runs");
    let output = output.success().expect("the journal is exported");
    let lines = output.stdout.lines();
    lines
        .map(|line| serde_json::from_str::<Value>(line).expect("a record is JSON")["event"].clone())
        .collect()
}

/// The journal is whole, says `journal verify`.
pub(crate) async fn assert_journal_whole(region: &Region) {
    let verified = region.command(&["journal", "verify"]).await.expect("the command runs");
    assert_eq!(
        verified.code,
        Some(0),
        "journal verify: {}{}",
        verified.stdout,
        verified.stderr
    );
}

/// The queues by name, with the number of messages in each, as `queue list` tells.
pub(crate) async fn queues(region: &Region) -> std::collections::BTreeMap<String, u64> {
    let listed = region.json(&["queue", "list"]).await.expect("the queues are listed");
    let rows = listed.as_array().expect("queue list gives a list").iter();
    let row = |row: &Value| {
        let name = row["queue"].as_str().expect("a queue has a name").to_owned();
        (name, row["messages"].as_u64().expect("a queue has a depth"))
    };
    rows.map(row).filter(|(_, depth)| *depth > 0).collect()
}

/// Waits until nothing waits in any queue: a message leaves the queue of an upstream a moment after its bus counts it.
pub(crate) async fn emptied(region: &Region) {
    eventually("every queue is empty", async || {
        queues(region).await.is_empty().then_some(())
    })
    .await;
}

/// The identifiers that wait in a queue, in their order, as `queue show` tells.
pub(crate) async fn queue(region: &Region, name: &str) -> Vec<String> {
    let shown = region.json(&["queue", "show", name]).await.expect("the queue is shown");
    let rows = shown.as_array().expect("queue show gives a list").iter();
    rows.map(|row| {
        row["message_id"]
            .as_str()
            .expect("a message has an identifier")
            .to_owned()
    })
    .collect()
}

/// What is in quarantine: identifier and cause.
pub(crate) async fn quarantine(region: &Region) -> Vec<(String, String)> {
    let listed = region
        .json(&["quarantine", "list"])
        .await
        .expect("the quarantine is listed");
    let rows = listed.as_array().expect("quarantine list gives a list").iter();
    let text = |row: &Value, field: &str| row[field].as_str().expect("a text").to_owned();
    rows.map(|row| (text(row, "message_id"), text(row, "cause"))).collect()
}

/// The condition of an upstream in `/ready`: whether it is up, and what is said.
pub(crate) async fn upstream_condition(region: &Region, name: &str) -> (bool, String) {
    let (_, ready) = region.ready().await.expect("/ready answers");
    let conditions = ready["conditions"].as_array().expect("/ready has conditions");
    let wanted = format!("upstream/{name}");
    let found = conditions.iter().find(|condition| condition["name"] == wanted.as_str());
    let found = found.expect("every upstream is a condition");
    (
        found["ok"].as_bool().expect("ok is a truth"),
        found["message"].to_string(),
    )
}

pub(crate) fn hours(count: i64) -> SignedDuration {
    SignedDuration::from_hours(count)
}

pub(crate) fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}
