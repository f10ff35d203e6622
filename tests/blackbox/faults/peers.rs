//! Peers that are slow, greedy or silent: what they may take is bounded and counted, and everybody else is served.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use emulator::{Participant, Selector, Version};
use harness::{Kind, Metrics, Region, Upstream};
use jiff::{SignedDuration, Timestamp};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::common::{
    CONSUMER, EGRN, FEDERAL, LATER, OTHER, PROVIDER, SOON, SPRAVKA, World, answered_text, echo, identity, local_region,
    next_request, queue, queues, request, send, system, take_response, upstream_condition, within,
};

/// Idle connections that should be held.
const IDLE: usize = 10_000;
/// Descriptors that this process and the gateway need besides.
const BESIDE: u64 = 1_200;

/// A local exchange from end to end.
async fn exchange(region: &Region, consumer: &str, text: &str) {
    send(&system(region, consumer), request(SPRAVKA, text)).await;
    echo(&system(region, PROVIDER)).await;
    let answer = take_response(&system(region, consumer)).await;
    assert_eq!(answered_text(&answer), text);
}

/// The gateway is well: ready, no panic, nothing logged as an error.
async fn assert_well(region: &Region) {
    assert_eq!(region.ready().await.unwrap().0, 200);
    let log = region.log();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

/// A value of `/proc/<pid>/status` of the gateway in octets.
fn memory(region: &Region, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", region.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// How many idle connections the system lets this process and its children have, up to [`IDLE`].
fn idle_connections() -> usize {
    let hard = getrlimit(Resource::Nofile).maximum;
    let all = Rlimit {
        current: hard,
        maximum: hard,
    };
    setrlimit(Resource::Nofile, all).unwrap();
    let most = hard.map_or(IDLE, |hard| usize::try_from(hard.saturating_sub(BESIDE)).unwrap());
    if most < IDLE {
        eprintln!("LIMITED: the hard limit of open files lets {most} connections be held instead of {IDLE}");
    }
    most.min(IDLE)
}

async fn connect_from(address: Ipv4Addr, door: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(address), 0)).unwrap();
    socket.connect(door).await.unwrap()
}

/// Whether the other side has closed it.
async fn closed(stream: &mut TcpStream) -> bool {
    matches!(
        timeout(Duration::from_millis(1), stream.read(&mut [0])).await,
        Ok(Ok(0) | Err(_))
    )
}

#[tokio::test]
async fn ten_thousand_idle_connections_take_little_and_keep_nobody_out() {
    const EACH: usize = 500;
    let idle = idle_connections();
    let region = local_region()
        .setting("limits", "connections", &(idle + 600).to_string())
        // They stay until the test is over.
        .setting("smev3", "head_timeout", "\"10m\"")
        .start()
        .await
        .unwrap();
    exchange(&region, CONSUMER, "до").await;
    let before = memory(&region, "VmRSS:");
    let mut held = Vec::with_capacity(idle);
    while held.len() < idle {
        let address = Ipv4Addr::new(127, 0, 1, u8::try_from(1 + held.len() / EACH).unwrap());
        held.push(connect_from(address, region.door()).await);
    }
    let open = |metrics: &Metrics| metrics.value("connections", &[]) >= Some(idle as f64);
    region.wait_metrics("they are held", LATER, open).await.unwrap();
    exchange(&region, CONSUMER, "при десяти тысячах").await;
    let each = memory(&region, "VmRSS:").saturating_sub(before) / idle as u64;
    assert!(each < 32 << 10, "{each} octets for each idle connection");

    // One address has its bound, and others are served beside it.
    let refused_before = region.metrics().await.unwrap().count("connections_refused_total", &[]);
    assert_eq!(refused_before, 0);
    let mut greedy = Vec::new();
    for _ in 0..540 {
        greedy.push(connect_from(Ipv4Addr::new(127, 0, 2, 1), region.door()).await);
    }
    let bounded = |metrics: &Metrics| metrics.count("connections_refused_total", &[]) == 28;
    region
        .wait_metrics("further ones are refused", SOON, bounded)
        .await
        .unwrap();
    let mut refused = 0;
    for stream in &mut greedy {
        refused += usize::from(closed(stream).await);
    }
    assert_eq!(refused, 28, "512 are held");
    exchange(&region, OTHER, "рядом с жадным").await;
    assert_well(&region).await;
    drop((held, greedy));
    let gone = |metrics: &Metrics| metrics.value("connections", &[]) < Some(100.0);
    region.wait_metrics("they are gone", LATER, gone).await.unwrap();
}

#[tokio::test]
async fn heads_and_bodies_that_trickle_are_cut_off_and_counted_while_others_are_served() {
    const HEADS: usize = 200;
    const BODIES: usize = 100;
    let region = local_region()
        .setting("smev3", "head_timeout", "\"2s\"")
        .start()
        .await
        .unwrap();
    let door = region.door();
    let mut slow = JoinSet::new();
    for number in 0..HEADS + BODIES {
        slow.spawn(async move {
            let mut stream = TcpStream::connect(door).await.unwrap();
            let head: &[u8] = match number {
                0..HEADS => b"POST /ws HTTP/1.1\r\nX-Slow: ",
                _ => b"POST /ws HTTP/1.1\r\nHost: gw\r\nContent-Length: 5000\r\n\r\n",
            };
            stream.write_all(head).await.unwrap();
            // One octet after the other, until the gateway has had enough.
            let (mut reader, mut writer) = stream.into_split();
            let mut answer = Vec::new();
            let mut reading = std::pin::pin!(reader.read_to_end(&mut answer));
            loop {
                match timeout(Duration::from_millis(100), &mut reading).await {
                    Ok(_) => break,
                    // It may have been closed just now.
                    Err(_) => drop(writer.write_all(b"x").await),
                }
            }
            (number, String::from_utf8_lossy(&answer).into_owned())
        });
    }
    for number in 0..10 {
        exchange(&region, CONSUMER, &format!("рядом с медленными {number}")).await;
    }
    while let Some(done) = slow.join_next().await {
        let (number, answer) = done.unwrap();
        match number {
            0..HEADS => assert_eq!(answer, "", "a head that never came has no answer"),
            _ => assert!(answer.starts_with("HTTP/1.1 408 ") || answer.is_empty(), "{answer}"),
        }
    }
    let counted = |metrics: &Metrics| {
        let cut_off = |reason| metrics.count("calls_cut_off_total", &[("reason", reason)]);
        (cut_off("slow_head"), cut_off("slow_body")) == (HEADS as u64, BODIES as u64)
    };
    region.wait_metrics("each is counted", SOON, counted).await.unwrap();
    let released = |metrics: &Metrics| metrics.value("in_flight_bytes", &[]) == Some(0.0);
    region.wait_metrics("nothing is held", SOON, released).await.unwrap();
    assert_well(&region).await;
}

/// A participant that asks without a pause on 16 connections, as long as this is held.
fn poll_in_a_tight_loop(region: &Region, who: &str) -> JoinSet<()> {
    let mut polling = JoinSet::new();
    for _ in 0..16 {
        let greedy = system(region, who);
        let call = greedy.sign_get_response(&Selector::any()).unwrap();
        polling.spawn(async move {
            loop {
                let answer = greedy.call(&call).await.unwrap();
                assert!([200, 503].contains(&answer.http().status), "{}", answer.http().status);
            }
        });
    }
    polling
}

#[tokio::test]
async fn a_participant_that_polls_in_a_tight_loop_does_not_stop_others() {
    let region = local_region().start().await.unwrap();
    let mut polling = poll_in_a_tight_loop(&region, OTHER);
    let polled = |metrics: &Metrics| metrics.count("request_seconds_count", &[("operation", "GetResponse")]) > 200;
    region.wait_metrics("the loop is counted", LATER, polled).await.unwrap();
    for number in 0..20 {
        exchange(&region, CONSUMER, &format!("рядом с жадным {number}")).await;
    }
    assert!(polling.try_join_next().is_none(), "the loop goes on");
    polling.shutdown().await;
    assert_well(&region).await;
}

#[tokio::test]
async fn a_participant_that_polls_in_a_tight_loop_is_put_off_and_others_are_not() {
    let region = local_region()
        .setting("limits", "requests_per_second", "50")
        .setting("limits", "requests_burst", "\"1s\"")
        .start()
        .await
        .unwrap();
    let mut polling = poll_in_a_tight_loop(&region, OTHER);
    let put_off = |metrics: &Metrics| metrics.count("rate_limited_total", &[("by", "participant")]) > 100;
    region.wait_metrics("the loop is put off", SOON, put_off).await.unwrap();
    // Slower than their own bound, and never put off: `exchange` takes no refusal.
    for number in 0..5 {
        exchange(&region, CONSUMER, &format!("рядом с жадным {number}")).await;
    }
    assert!(polling.try_join_next().is_none(), "the loop goes on");
    polling.shutdown().await;
    assert_well(&region).await;
}

/// When each message was handed out, by its number, as the journal says.
async fn handed_out(region: &Region) -> BTreeMap<u64, Vec<Timestamp>> {
    let arguments = ["journal", "export", "--type", "handed_out"];
    let output = region.command(&arguments).await.unwrap().success().unwrap();
    let mut times = BTreeMap::<u64, Vec<Timestamp>>::new();
    for line in output.stdout.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let message = record["event"]["message"].as_u64().unwrap();
        times
            .entry(message)
            .or_default()
            .push(record["at"].as_str().unwrap().parse().unwrap());
    }
    times
}

#[tokio::test]
async fn a_receiver_that_never_acknowledges_gets_its_messages_again_in_order_and_no_sooner() {
    const SECOND: &str = "urn://test/vypiska/1.0";
    const PATIENT: &str = "ARCHIVE73";
    let region = local_region()
        .kind(Kind::new("vypiska", SECOND))
        .local_exchange("vypiska", &[CONSUMER], PATIENT)
        .setting("smev3", "redelivery", "\"2s\"")
        .start()
        .await
        .unwrap();
    let (consumer, forgetful) = (system(&region, CONSUMER), system(&region, PROVIDER));
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(send(&consumer, request(SPRAVKA, &number.to_string())).await);
    }
    let take = async |system: &Participant| next_request(system).await.data.message_id;
    for round in 0..3 {
        let mut got: Vec<String> = Vec::new();
        while got.len() < ids.len() {
            let id = take(&forgetful).await;
            // On a slow machine the first may come again before the last came at all.
            if !got.contains(&id) {
                got.push(id);
            }
        }
        assert_eq!(got, ids, "round {round}: a message keeps its place");
        // Another's queue knows nothing of it.
        let other = send(&consumer, request(SECOND, "рядом")).await;
        let patient = system(&region, PATIENT);
        assert_eq!(take(&patient).await, other);
        patient.ack(&other).await.unwrap();
    }
    assert_eq!(queue(&region, "GISOGD73/requests").await, ids, "all are there, once");
    let times = handed_out(&region).await;
    assert_eq!(times.values().filter(|times| times.len() >= 3).count(), ids.len());
    for two in times.values().flat_map(|times| times.windows(2)) {
        let pause = two[1].duration_since(two[0]);
        assert!(pause >= SignedDuration::from_secs(2), "handed out again after {pause}");
    }
    let metrics = region.metrics().await.unwrap();
    assert!(metrics.count("messages_delivered_total", &[("participant", PROVIDER)]) >= 15);
    assert!(metrics.value("leases", &[]) <= Some(5.0));
    for id in &ids {
        forgetful.ack(id).await.unwrap();
    }
    assert!(queues(&region).await.is_empty());
    assert_well(&region).await;
}

#[tokio::test]
async fn an_upstream_that_accepts_and_never_answers_is_left_alone_and_others_are_not() {
    const SILENT_KIND: &str = "urn://test/silent/1.0";
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&connections);
    let silent = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            held.push(stream);
        }
    });
    let never = identity("NEVER");
    let world = World::start_with(None, |builder| {
        let upstream = Upstream {
            name: "silent".to_owned(),
            url: format!("http://{address}/ws"),
            version: Version::V1_2,
            certificates: vec![never.certificate().to_pem()],
            poll: ("20ms".to_owned(), "500ms".to_owned()),
            parallel: 4,
            more: vec![("timeout".to_owned(), "\"1s\"".to_owned())],
        };
        builder
            .upstream(upstream)
            .kind(Kind::new("silent", SILENT_KIND))
            .local_exchange("silent", &[CONSUMER, OTHER], "silent")
    })
    .await;
    let World { region, bus } = &world;
    let (consumer, other) = (system(region, CONSUMER), system(region, OTHER));
    let mut waiting = Vec::new();
    for number in 0..6 {
        let from = [&consumer, &other][number % 2];
        waiting.push(send(from, request(SILENT_KIND, &number.to_string())).await);
    }
    let trouble = within(LATER, "the silence is noticed", async || {
        let (up, message) = upstream_condition(region, "silent").await;
        (!up && message.contains("answer")).then_some(message)
    })
    .await;
    let retried = |metrics: &Metrics| {
        let of = |outcome| {
            metrics.count(
                "messages_forwarded_total",
                &[("upstream", "silent"), ("outcome", outcome)],
            )
        };
        of("retry") > 0 && of("accepted") == 0
    };
    region.wait_metrics("tries are counted", LATER, retried).await.unwrap();
    // Inside the region and through the other upstream everything goes on.
    for number in 0..5 {
        exchange(region, CONSUMER, &format!("рядом с молчащим {number}")).await;
        send(&other, request(EGRN, &format!("федеральный {number}"))).await;
        let answer = take_response(&other).await;
        assert_eq!(answered_text(&answer), format!("федеральный {number}"));
    }
    assert!(upstream_condition(region, FEDERAL).await.0);
    assert_eq!(bus.ledger().requests().count(), 5);
    let metrics = region.metrics().await.unwrap();
    assert_eq!(
        metrics.value("upstream_up", &[("upstream", "silent")]),
        Some(0.0),
        "{trouble}"
    );
    assert_eq!(metrics.value("upstream_up", &[("upstream", FEDERAL)]), Some(1.0));
    waiting.sort_unstable();
    let mut still = queue(region, "upstream/silent").await;
    still.sort_unstable();
    assert_eq!(still, waiting, "nothing is lost, nothing is quarantined");
    // Each try has a time of a second, and at most four lanes, two polls and a probe are under way.
    let tried = connections.load(std::sync::atomic::Ordering::Relaxed);
    assert!(tried < 200, "{tried} connections");
    assert_well(region).await;
    silent.abort();
}
