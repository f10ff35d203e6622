//! How a link is set up: the authority that vouches for an https upstream, and how long an answer may take.

use std::path::Path;
use std::time::Duration;

use emulator::{Clock, Operation, Version};
use harness::{Authority, Kind, TlsTunnel, Upstream};

use crate::common::{
    CONSUMER, EGRN, FEDERAL, GATEWAY, answered_text, bus, eventually, identity, local_region, queues, request, send,
    system, take_response, upstream_condition,
};
use crate::wait_forwarded;

fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display())
}

#[tokio::test]
async fn an_https_upstream_is_called_only_under_the_authority_that_is_named() {
    let gateway = identity(GATEWAY);
    let bus = bus(&gateway, Clock::system()).await;
    let (right, wrong) = (Authority::new("right"), Authority::new("wrong"));
    let front = TlsTunnel::in_front_of(bus.addr(), &right.issue("bus")).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, wrong.certificate()).unwrap();

    let mut upstream = Upstream::emulated(FEDERAL, &bus, Version::V1_2).with("ca", &quoted(&ca));
    let plain = format!("http://{}", bus.addr());
    upstream.url = upstream
        .url
        .replacen(&plain, &format!("https://{}", front.address()), 1);
    let mut region = local_region()
        .gateway(gateway)
        .upstream(upstream)
        .kind(Kind::new("egrn", EGRN))
        .local_exchange("egrn", &[CONSUMER], FEDERAL)
        .start()
        .await
        .unwrap();
    let consumer = system(&region, CONSUMER);
    send(&consumer, request(EGRN, "под защитой")).await;
    let said = eventually("the link is down for its certificate", async || {
        let (up, said) = upstream_condition(&region, FEDERAL).await;
        (!up && said.contains("TLS")).then_some(said)
    })
    .await;
    assert!(said.contains("certificate"), "{said}");
    assert_eq!(region.ready().await.unwrap().0, 200);
    assert_eq!(queues(&region).await.get("upstream/federal"), Some(&1));
    assert_eq!(bus.ledger().requests().count(), 0);

    std::fs::write(&ca, right.certificate()).unwrap();
    region.restart().await.unwrap();
    assert_eq!(answered_text(&take_response(&consumer).await), "под защитой");
    assert!(upstream_condition(&region, FEDERAL).await.0);
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_its_time_counts_as_unknown_and_the_message_is_not_doubled() {
    let gateway = identity(GATEWAY);
    let bus = bus(&gateway, Clock::system()).await;
    let region = local_region()
        .gateway(gateway)
        .upstream(Upstream::emulated(FEDERAL, &bus, Version::V1_2).with("timeout", "\"1s\""))
        .kind(Kind::new("egrn", EGRN))
        .local_exchange("egrn", &[CONSUMER], FEDERAL)
        .start()
        .await
        .unwrap();
    let consumer = system(&region, CONSUMER);
    let slow = bus.knobs().slow(Operation::SendRequest, Duration::from_secs(20), 1);
    let id = send(&consumer, request(EGRN, "не дождались")).await;
    assert_eq!(answered_text(&take_response(&consumer).await), "не дождались");
    assert_eq!(slow.worked(), 1);
    wait_forwarded(&region, "retry", 1).await;
    assert_eq!(bus.ledger().times_accepted(&id), 1);
}
