//! Limits on callers: requests in a second, connections, heads.

use std::time::Duration;

use smev3::Version;
use smev3::door::Rate;
use smev3::fault::FaultName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::calls::{payload, request_data, signed};
use crate::http::{Answer, exchange, request};
use crate::region::{NAMESPACE, Region, System};

/// One call, and no other for a long time.
const ONE: Rate = Rate {
    per_second: 1,
    burst: Duration::ZERO,
};

fn send(region: &Region, sender: &System) -> String {
    let data = request_data(&region.id().to_string(), &payload(NAMESPACE, "Request", ""), "");
    signed(sender, Version::V1_2, "SendRequest", &data, "")
}

/// Whether an answer says to come again, in the words of the protocol.
fn is_put_off(answer: &Answer) -> bool {
    let seconds = answer
        .header("retry-after")
        .and_then(|seconds| seconds.parse::<u64>().ok());
    answer.status == 503 && seconds.is_some_and(|seconds| seconds >= 1) && answer.text().contains("SMEVFailure")
}

/// Three calls at once and one a second: what twenty calls would use up.
fn rarely() -> Rate {
    Rate {
        per_second: 1,
        burst: Duration::from_secs(3),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_participant_at_its_limit_is_put_off_and_others_are_not() {
    let region = Region::with(|_| {}, |door| door.participant_rate = ONE, |_| {}).await;
    let calls = (0..50).map(|_| send(&region, &region.consumer)).collect::<Vec<_>>();
    let mut put_off = 0;
    for call in &calls {
        put_off += u64::from(is_put_off(&region.post(call).await));
    }
    assert!(put_off > 0, "50 calls took less than 50 seconds");
    assert_eq!(region.metrics.limited_participants(), put_off);
    assert_eq!(region.refused(FaultName::SMEVFailure), put_off);
    // The provider has a bucket of its own: it is refused for what it may not do, not for the other's calls.
    let answer = region.post(&send(&region, &region.provider)).await;
    assert!(answer.text().contains("AccessDenied"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_a_false_signature_use_up_nothing() {
    let region = Region::with(|_| {}, |door| door.participant_rate = rarely(), |_| {}).await;
    let call = send(&region, &region.consumer);
    let forged = call.replace("<p:Request", "<p:Request a='b'");
    assert_ne!(forged, call);
    for _ in 0..20 {
        let answer = region.post(&forged).await;
        assert!(answer.text().contains("SignatureIsInvalid"), "{}", answer.text());
    }
    assert_eq!(region.post(&call).await.status, 200);
    assert_eq!(region.metrics.limited_participants(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_at_its_limit_is_put_off_before_anything_is_read() {
    let region = Region::with(|_| {}, |door| door.address_rate = ONE, |_| {}).await;
    let mut put_off = 0;
    for _ in 0..50 {
        let head = "POST /ws HTTP/1.1\r\nHost: gw\r\nConnection: close\r\nContent-Length: 7\r\n\r\n<broken";
        let answer = exchange(region.address, head.as_bytes()).await;
        put_off += u64::from(is_put_off(&answer));
    }
    assert!(put_off > 0, "50 calls took less than 50 seconds");
    assert_eq!(region.metrics.limited_addresses(), put_off);
    assert_eq!(region.refused(FaultName::SMEVFailure), 0, "they were not calls yet");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections_and_further_ones_are_closed() {
    let region = Region::with(|_| {}, |door| door.connections_per_address = 2, |_| {}).await;
    let mut open = Vec::new();
    for _ in 0..2 {
        open.push(TcpStream::connect(region.address).await.unwrap());
    }
    while region.metrics.connections() < 2 {
        tokio::task::yield_now().await;
    }
    let mut third = TcpStream::connect(region.address).await.unwrap();
    let read = third.read(&mut [0; 1]).await;
    assert!(matches!(read, Ok(0) | Err(_)), "closed without a word");
    assert_eq!(
        (region.metrics.connections_refused(), region.metrics.connections()),
        (1, 2)
    );
    drop(open);
    while region.metrics.connections() > 0 {
        tokio::task::yield_now().await;
    }
    let answer = exchange(region.address, &request("GET", "/ws?wsdl", None, b"")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_are_bounded_in_size_and_number() {
    let region = Region::new().await;
    let many = (0..101).map(|n| format!("X-{n}: a\r\n")).collect::<String>();
    let head = format!("GET /ws?wsdl HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n{many}\r\n");
    assert_eq!(exchange(region.address, head.as_bytes()).await.status, 431);
    // What is sent beyond the bound is not read; the system may tell the client of that before it has the answer.
    let mut endless = TcpStream::connect(region.address).await.unwrap();
    endless
        .write_all(b"GET /ws?wsdl HTTP/1.1\r\nHost: gw\r\nX: ")
        .await
        .unwrap();
    let octets = [b'a'; 1024];
    let sent = (0..1024_u64 * 1024).map(|_| octets);
    let mut refused = false;
    for octets in sent {
        refused = endless.write_all(&octets).await.is_err();
        if refused {
            break;
        }
    }
    assert!(refused, "a gigabyte of one header was taken");
    let answer = exchange(region.address, &request("GET", "/ws?wsdl", None, b"")).await;
    assert_eq!(answer.status, 200);
}
