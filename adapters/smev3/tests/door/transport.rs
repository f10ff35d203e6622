//! HTTP: paths, methods, descriptions, limits, and the orderly end.

use std::time::Duration;

use smev3::Version;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::calls::{payload, request_data, signed};
use crate::http::{exchange, parse, request};
use crate::region::{NAMESPACE, Region, STRICT};

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_are_those_of_the_contract() {
    let region = Region::new().await;
    let status = async |method: &str, path: &str| exchange(region.address, &request(method, path, None, b"")).await;
    assert_eq!(status("GET", "/").await.status, 404);
    assert_eq!(status("POST", "/smev/v1.4/ws").await.status, 404);
    for path in ["/ws", "/smev/v1.1/ws", "/smev/v1.2/ws", "/smev/v1.3/ws"] {
        let answer = status("PUT", path).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, GET")));
        assert_eq!(status("GET", path).await.status, 405);
        let wsdl = status("GET", &format!("{path}?wsdl")).await;
        assert_eq!(wsdl.status, 200);
        assert!(wsdl.text().contains("http://gw.test:7500/"), "{}", wsdl.text());
        assert_eq!(status("GET", &format!("{path}?xsd=nothing.xsd")).await.status, 404);
    }
    for version in Version::ALL {
        let path = format!("/smev/v{version}/ws?xsd=smev-message-exchange-types-{version}.xsd");
        assert!(status("GET", &path).await.text().contains(version.types()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_the_limit_is_invalid_content_however_it_is_sent() {
    let region = Region::with(|_| {}, |door| door.body_bytes = 10_000, |_| {}).await;
    let large = vec![b' '; 20_000];
    let answer = region.post_as("/smev/v1.3/ws", None, &large).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("InvalidContent") && answer.text().contains(Version::V1_3.faults()));
    let mut chunked =
        b"POST /ws HTTP/1.1\r\nHost: gw\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in large.chunks(4096) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let answer = exchange(region.address, &chunked).await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("InvalidContent"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_room_callers_are_told_to_come_again_and_the_room_comes_back() {
    let region = Region::with(|_| {}, |door| door.in_flight_bytes = 64 * 1024, |_| {}).await;
    // A client that announces much and sends nothing holds the room.
    let greedy = greedy(&region, 60_000).await;
    let data = request_data(&region.id().to_string(), &payload(NAMESPACE, "Request", ""), "");
    let call = signed(&region.consumer, Version::V1_2, "SendRequest", &data, "");
    let answer = region.post(&call).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
    assert_eq!(region.metrics.turned_away(), 1);
    drop(greedy);
    while region.metrics.in_flight_bytes() != 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(region.post(&call).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_alone_is_larger_than_the_room_is_accepted() {
    let region = Region::with(|_| {}, |door| door.in_flight_bytes = 64 * 1024, |_| {}).await;
    let inside = payload(NAMESPACE, "Request", &"<p:a/>".repeat(5_000));
    let data = request_data(&region.id().to_string(), &inside, "");
    let call = signed(&region.consumer, Version::V1_2, "SendRequest", &data, "");
    assert_eq!(region.post(&call).await.status, 200);
    assert_eq!(region.metrics.turned_away(), 0);
}

/// A client that announces a body of so many octets and sends none of it.
async fn greedy(region: &Region, octets: u64) -> TcpStream {
    let mut stream = TcpStream::connect(region.address).await.unwrap();
    let head = format!("POST /ws HTTP/1.1\r\nHost: gw\r\nContent-Length: {octets}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    while region.metrics.in_flight_bytes() < octets {
        tokio::task::yield_now().await;
    }
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_call_does_not_wait_for_bodies_on_their_way() {
    let region = Region::with(|_| {}, |door| door.in_flight_bytes = 64 * 1024, |_| {}).await;
    let _slow = greedy(&region, 20_000).await;
    let inside = payload(NAMESPACE, "Request", &"<p:a/>".repeat(5_000));
    let data = request_data(&region.id().to_string(), &inside, "");
    let call = signed(&region.consumer, Version::V1_2, "SendRequest", &data, "");
    assert_eq!(region.post(&call).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_call_that_names_no_participant_gets_no_room() {
    let region = Region::with(|_| {}, |door| door.in_flight_bytes = 64 * 1024, |_| {}).await;
    let nobody = format!("<a>{}</a>", "<b/>".repeat(5_000));
    let inside = payload(NAMESPACE, "Request", &"<p:a/>".repeat(5_000));
    let data = request_data(&region.id().to_string(), &inside, "");
    let stranger = signed(&region.stranger, Version::V1_2, "SendRequest", &data, "");
    for call in [nobody, stranger] {
        let answer = region.post(&call).await;
        assert_eq!(answer.status, 500);
        assert!(answer.text().contains("нет сертификата ЭП-ОВ"), "{}", answer.text());
    }
    let answer = region.post(&"<".repeat(50_000)).await;
    assert!(answer.text().contains("не читается как XML"), "{}", answer.text());
    assert_eq!(region.metrics.in_flight_bytes(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_is_not_asked_without_room_for_its_tree() {
    let region = Region::with(|_| {}, |door| door.in_flight_bytes = 256 << 10, |_| {}).await;
    let call = |namespace: &str| {
        let inside = payload(namespace, "Request", &"<p:n/>".repeat(250));
        let data = request_data(&region.id().to_string(), &inside, "");
        signed(&region.consumer, Version::V1_2, "SendRequest", &data, "")
    };
    let greedy = greedy(&region, 200_000).await;
    assert_eq!(region.post(&call(NAMESPACE)).await.status, 200);
    assert_eq!(region.post(&call(STRICT)).await.status, 503);
    drop(greedy);
    while region.metrics.in_flight_bytes() != 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(region.post(&call(STRICT)).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_frees_nothing_that_is_still_worked_on() {
    let region = Region::new().await;
    let inside = payload(NAMESPACE, "Request", &"<p:a>x</p:a>".repeat(50_000));
    let data = request_data(&region.id().to_string(), &inside, "");
    let call = signed(&region.consumer, Version::V1_2, "SendRequest", &data, "");
    let mut stream = TcpStream::connect(region.address).await.unwrap();
    stream
        .write_all(&request("POST", "/ws", None, call.as_bytes()))
        .await
        .unwrap();
    while region.metrics.in_flight_bytes() <= 2 * call.len() as u64 && region.metrics.verify_seconds.count() == 0 {
        tokio::task::yield_now().await;
    }
    drop(stream);
    loop {
        let held = region.metrics.in_flight_bytes();
        if region.metrics.verify_seconds.count() > 0 {
            break;
        }
        assert!(held > 0, "its tree is still there");
        tokio::task::yield_now().await;
    }
    while region.metrics.in_flight_bytes() != 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_bodies_are_cut_off() {
    let quick = |door: &mut smev3::door::Settings| {
        door.head_timeout = Duration::from_millis(50);
        door.body_grace = Duration::from_millis(50);
    };
    let region = Region::with(|_| {}, quick, |_| {}).await;
    let mut answer = Vec::new();
    let mut head = TcpStream::connect(region.address).await.unwrap();
    head.write_all(b"POST /ws HT").await.unwrap();
    let _ = head.read_to_end(&mut answer).await;
    let mut body = TcpStream::connect(region.address).await.unwrap();
    body.write_all(b"POST /ws HTTP/1.1\r\nHost: gw\r\nContent-Length: 10\r\n\r\n<")
        .await
        .unwrap();
    answer.clear();
    body.read_to_end(&mut answer).await.unwrap();
    assert_eq!(parse(&answer).status, 408);
    // One that says nothing at all is closed too, and cut off from nothing.
    let mut idle = TcpStream::connect(region.address).await.unwrap();
    assert_eq!(idle.read(&mut [0]).await.unwrap(), 0);
    let counted = [("slow_head", 1), ("slow_body", 1), ("slow_answer", 0)];
    while region.metrics.cut_off() != counted {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_senders_of_large_bodies_do_not_keep_the_room_of_others() {
    let quick = |door: &mut smev3::door::Settings| {
        door.body_bytes = 1 << 20;
        door.in_flight_bytes = 8 << 20;
        door.body_grace = Duration::from_millis(200);
        door.body_rate = 1 << 20;
    };
    let region = Region::with(|_| {}, quick, |_| {}).await;
    let mut slow = Vec::new();
    for _ in 0..8 {
        let mut body = TcpStream::connect(region.address).await.unwrap();
        let head = format!("POST /ws HTTP/1.1\r\nHost: gw\r\nContent-Length: {}\r\n\r\n<", 1 << 20);
        body.write_all(head.as_bytes()).await.unwrap();
        slow.push(body);
    }
    for body in &mut slow {
        let mut answer = Vec::new();
        body.read_to_end(&mut answer).await.unwrap();
        assert_eq!(parse(&answer).status, 408);
    }
    assert_eq!(region.metrics.cut_off()[1], ("slow_body", 8));
    while region.metrics.in_flight_bytes() != 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_beyond_the_limit_wait_for_a_place() {
    let region = Region::with(|_| {}, |door| door.connections = 1, |_| {}).await;
    let first = TcpStream::connect(region.address).await.unwrap();
    while region.metrics.connections() == 0 {
        tokio::task::yield_now().await;
    }
    let address = region.address;
    let waiting = tokio::spawn(async move { exchange(address, &request("GET", "/ws?wsdl", None, b"")).await.status });
    tokio::task::yield_now().await;
    assert_eq!(region.metrics.connections(), 1);
    drop(first);
    assert_eq!(waiting.await.unwrap(), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_at_shutdown_is_finished() {
    let mut region = Region::new().await;
    let data = request_data(&region.id().to_string(), &payload(NAMESPACE, "Request", ""), "");
    let call = signed(&region.consumer, Version::V1_2, "SendRequest", &data, "");
    let octets = request("POST", "/ws", None, call.as_bytes());
    let mut stream = TcpStream::connect(region.address).await.unwrap();
    stream.write_all(&octets[..octets.len() - 10]).await.unwrap();
    while region.metrics.in_flight_bytes() == 0 {
        tokio::task::yield_now().await;
    }
    region.stop.take().unwrap().send(()).unwrap();
    stream.write_all(&octets[octets.len() - 10..]).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    assert_eq!(parse(&answer).status, 200);
    region.served.take().unwrap().await.unwrap();
    assert!(TcpStream::connect(region.address).await.is_err());
}
