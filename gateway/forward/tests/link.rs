//! A link over real sockets, with a real engine: what the rules promise is what the wire shows.

mod support;

use std::sync::Arc;
use std::time::Duration;

use engine::command::TakeFrom;
use forward::Forwarded;
use jiff::SignedDuration;
use support::bus::Reply;
use support::region::{Region, answer, id};
use tokio::sync::Notify;

const NOW: SignedDuration = SignedDuration::ZERO;

fn forwarded(link: &forward::Link, outcome: Forwarded) -> u64 {
    link.metrics().forwarded[outcome as usize].1
}

#[tokio::test]
async fn what_waits_is_sent_in_order_under_the_gateways_signature_and_its_senders_identifier() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    let ids: Vec<_> = (0..5).map(|n| id(SignedDuration::from_secs(5 - n))).collect();
    for id in &ids {
        region.send(*id, "pass").await;
    }
    let link = region.link(region.settings(port));
    region.until_empty().await;
    link.stop().await;

    let calls = region.bus.calls("SendRequest");
    let expected: Vec<String> = ids.iter().map(ToString::to_string).collect();
    assert_eq!(calls.iter().map(|call| call.id.clone()).collect::<Vec<_>>(), expected);
    assert!(
        calls[0].envelope.contains(r#"<p:Request xmlns:p="urn:pass"/>"#),
        "the payload is as it was"
    );
    assert!(
        !calls[0].envelope.contains("NodeID"),
        "the sub-queue is the region's own business"
    );
    assert_eq!(forwarded(&link, Forwarded::Accepted), 5);
    assert!(link.status().up, "{:?}", link.status());
}

#[tokio::test]
async fn a_clock_that_has_jumped_makes_no_identifier_old_and_dates_nothing() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    let (sent, old) = (id(NOW), id(SignedDuration::from_hours(25)));
    region.send(sent, "pass").await;
    region.send(old, "slow").await;
    region.time.jump(SignedDuration::from_hours(30));
    let link = region.link(region.settings(port));
    region.until_empty().await;
    link.stop().await;
    let ids = region.bus.ids("SendRequest");
    assert!(ids.contains(&sent.to_string()), "{ids:?}");
    let fresh = ids.iter().find(|id| **id != sent.to_string()).unwrap();
    let made: engine::names::MessageId = fresh.parse().unwrap();
    let off = made.time().unwrap().duration_since(jiff::Timestamp::now()).abs();
    assert!(
        *fresh != old.to_string() && off < SignedDuration::from_hours(1),
        "{fresh}"
    );
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_identifier() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    region.bus.script([
        Reply::LoseAnswer,
        Reply::Unavailable,
        Reply::Fault("MessageIsAlreadySent"),
    ]);
    let sent = id(NOW);
    region.send(sent, "pass").await;
    let link = region.link(region.settings(port));
    region.until_empty().await;
    link.stop().await;
    assert_eq!(region.bus.ids("SendRequest"), vec![sent.to_string(); 3]);
    assert_eq!(forwarded(&link, Forwarded::AlreadySent), 1);
    assert_eq!(forwarded(&link, Forwarded::Retry), 2);
    assert!(region.engine.quarantine().is_empty());
}

#[tokio::test]
async fn a_receipt_under_a_strange_signature_is_not_believed() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    region
        .bus
        .script([Reply::AcceptUnderAnotherKey, Reply::Fault("MessageIsAlreadySent")]);
    region.send(id(NOW), "pass").await;
    let link = region.link(region.settings(port));
    region.until_empty().await;
    link.stop().await;
    assert_eq!(region.bus.ids("SendRequest").len(), 2);
    assert_eq!(forwarded(&link, Forwarded::Accepted), 0);
}

#[tokio::test]
async fn while_the_upstream_is_down_everything_waits_and_then_arrives_once() {
    let region = Region::new().await;
    let (port, listening) = region.bus.listen(0).await;
    drop(listening);
    let link = region.link(region.settings(port));
    let ids: Vec<_> = (0..3).map(|n| id(SignedDuration::from_secs(3 - n))).collect();
    for id in &ids {
        region.send(*id, "pass").await;
    }
    region.until(|_| link.status().message.starts_with("down")).await;
    assert!(!link.metrics().up && link.metrics().lag_seconds >= 0.0);

    let (_, _listening) = region.bus.listen(port).await;
    region.until_empty().await;
    region.until(|_| link.status().up).await;
    link.stop().await;
    assert_eq!(
        region.bus.ids("SendRequest"),
        ids.iter().map(ToString::to_string).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_lane_whose_answer_does_not_come_does_not_hold_up_the_others() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    let go_on = Arc::new(Notify::new());
    region.bus.script_kind("slow", [Reply::Hold(go_on.clone())]);
    let held = id(SignedDuration::from_secs(9));
    region.send(held, "slow").await;
    let link = region.link(region.settings(port));
    region.bus.until(|bus| !bus.ids("SendRequest").is_empty()).await;
    let others: Vec<_> = (0..3).map(|n| id(SignedDuration::from_secs(3 - n))).collect();
    for id in &others {
        region.send(*id, "pass").await;
    }
    region.until(|_| forwarded(&link, Forwarded::Accepted) == 3).await;
    assert_eq!(
        region.bus.ids("SendRequest").len(),
        4,
        "the held one is still under way"
    );

    go_on.notify_one();
    region.until_empty().await;
    link.stop().await;
    assert_eq!(forwarded(&link, Forwarded::Accepted), 4);
}

#[tokio::test]
async fn an_old_message_goes_under_a_fresh_identifier_and_its_answer_comes_home_under_the_old_one() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    let old = id(SignedDuration::from_hours(30));
    region.send(old, "pass").await;
    let link = region.link(region.settings(port));
    region.until_empty().await;
    let northbound = region.bus.ids("SendRequest").remove(0);
    assert_ne!(northbound, old.to_string());

    let answered = id(NOW);
    region.bus.hold_response(answered, &northbound);
    region
        .bus
        .until(|bus| bus.ids("Ack").contains(&answered.to_string()))
        .await;
    link.stop().await;
    let delivery = region
        .take("CITY", TakeFrom::Responses(None))
        .await
        .expect("the answer is there");
    assert_eq!(
        (delivery.message_id, delivery.original_message_id),
        (answered, Some(old))
    );
    assert_eq!(delivery.remote_sender.as_deref(), Some("FNS001"));
    assert_eq!(link.metrics().received, 1);
}

#[tokio::test]
async fn what_is_delivered_twice_is_accepted_once_and_acknowledged_twice() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    let request = id(NOW);
    region.bus.hold_request(request, "reply");
    region.bus.hold_request(request, "reply");
    let link = region.link(region.settings(port));
    region.bus.until(|bus| bus.ids("Ack").len() == 2).await;
    link.stop().await;
    assert_eq!(link.metrics().received, 1);
    assert!(region.take("LAND", TakeFrom::Requests).await.is_some());
    assert!(region.take("LAND", TakeFrom::Requests).await.is_none());
}

#[tokio::test]
async fn an_answer_goes_north_with_the_upstreams_reply_to_verbatim() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    region.bus.hold_request(id(NOW), "eyJtaWQiOiI=&amp;+/");
    let link = region.link(region.settings(port));
    region.bus.until(|bus| bus.ids("Ack").len() == 1).await;
    let delivery = region
        .take("LAND", TakeFrom::Requests)
        .await
        .expect("the request is there");
    let own = id(NOW);
    region
        .engine
        .accept(answer(own, delivery.reply_token.as_deref().unwrap()))
        .await
        .unwrap();
    region
        .bus
        .until(|bus| bus.ids("SendResponse") == [own.to_string()])
        .await;
    region.until_empty().await;
    link.stop().await;
    let envelope = &region.bus.calls("SendResponse")[0].envelope;
    assert!(envelope.contains(":To>eyJtaWQiOiI=&amp;+/</"), "{envelope}");
}

#[tokio::test]
async fn what_a_stranger_signed_is_neither_accepted_nor_acknowledged_until_he_is_trusted() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    region.bus.sign_as_another();
    region.bus.hold_request(id(NOW), "reply");
    let link = region.link(region.settings(port));
    region.bus.until(|bus| bus.ids("GetRequest").len() >= 3).await;
    assert!(region.bus.ids("Ack").is_empty());
    assert!(region.take("LAND", TakeFrom::Requests).await.is_none());

    link.replace_trusted_signers(std::slice::from_ref(&region.bus.other_certificate));
    let trusted = id(NOW);
    region.bus.hold_request(trusted, "reply");
    region.bus.until(|bus| bus.ids("Ack") == [trusted.to_string()]).await;
    link.stop().await;
}

#[tokio::test]
async fn a_refused_signature_puts_the_message_aside_and_a_good_probe_keeps_the_link_up() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    region
        .bus
        .script_kind("bad", [Reply::Fault("SignatureVerificationFault")]);
    let link = region.link(region.settings(port));
    let bad = region.send(id(NOW), "bad").await;
    region.until(|region| !region.engine.quarantine().is_empty()).await;
    region.send(id(NOW), "pass").await;
    region.until_empty().await;
    link.stop().await;
    assert_eq!(region.engine.quarantine()[0].seq, bad.seq);
    assert_eq!(forwarded(&link, Forwarded::Accepted), 1);
    assert!(link.status().up, "{:?}", link.status());
}

#[tokio::test]
async fn a_probe_that_is_refused_alike_stops_the_link_until_the_upstream_knows_us_again() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    let mut settings = region.settings(port);
    // Far apart, so that only the probe asks.
    settings.poll.min = Duration::from_secs(600);
    settings.poll.max = Duration::from_secs(600);
    let link = region.link(settings);
    region.bus.until(|bus| !bus.ids("GetResponse").is_empty()).await;
    region.bus.script_polls([
        Reply::Fault("SenderIsNotRegistered"),
        Reply::Fault("SenderIsNotRegistered"),
    ]);
    region.bus.script_kind("bad", [Reply::Fault("SenderIsNotRegistered")]);
    region.send(id(NOW), "bad").await;
    region.until(|_| link.status().message.starts_with("stopped")).await;
    region.until(|_| link.status().up).await;
    region.send(id(NOW), "pass").await;
    region.until_empty().await;
    link.stop().await;
    assert_eq!(
        region.bus.ids("GetResponse").len(),
        4,
        "one poll, two probes that failed, one that did not"
    );
}

#[tokio::test]
async fn a_lane_whose_recipient_is_full_waits_while_others_go_on() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    let mut settings = region.settings(port);
    settings.backoff.min = Duration::from_secs(600);
    settings.backoff.max = Duration::from_secs(600);
    region
        .bus
        .script_kind("slow", vec![Reply::Fault("DestinationOverflow"); 100]);
    let link = region.link(settings);
    let slow = id(NOW);
    region.send(slow, "slow").await;
    region
        .bus
        .until(|bus| bus.ids("SendRequest") == [slow.to_string()])
        .await;
    for _ in 0..3 {
        region.send(id(NOW), "pass").await;
    }
    region.bus.until(|bus| bus.ids("SendRequest").len() == 4).await;
    link.stop().await;
    assert_eq!(forwarded(&link, Forwarded::SlowDown), 1);
    assert_eq!(region.engine.lanes(&support::region::upstream()).len(), 1);
}

#[tokio::test]
async fn a_message_that_the_upstream_refuses_comes_back_as_a_notice() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    region.bus.script([Reply::Fault("AccessDenied")]);
    let link = region.link(region.settings(port));
    let refused = id(NOW);
    region.send(refused, "pass").await;
    region.until_empty().await;
    link.stop().await;
    let notice = region
        .take("CITY", TakeFrom::Responses(None))
        .await
        .expect("there is a notice");
    assert_eq!(
        (notice.format.as_str(), notice.original_message_id),
        ("notice", Some(refused))
    );
    assert_eq!(forwarded(&link, Forwarded::Rejected), 1);
}

#[tokio::test]
async fn stopping_finishes_the_call_under_way_and_begins_no_other() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    let go_on = Arc::new(Notify::new());
    region.bus.script([Reply::Hold(go_on.clone())]);
    let (first, second) = (id(SignedDuration::from_secs(1)), id(NOW));
    region.send(first, "pass").await;
    region.send(second, "pass").await;
    let link = region.link(region.settings(port));
    region.bus.until(|bus| bus.ids("SendRequest").len() == 1).await;
    let (_, ()) = tokio::join!(link.stop(), async { go_on.notify_one() });
    assert_eq!(region.bus.ids("SendRequest"), [first.to_string()]);
    assert_eq!(forwarded(&link, Forwarded::Accepted), 1);

    let link = region.link(region.settings(port));
    region.until_empty().await;
    link.stop().await;
    assert_eq!(region.bus.ids("SendRequest"), [first.to_string(), second.to_string()]);
}

#[tokio::test]
async fn a_call_that_was_cut_off_is_repeated_under_its_identifier() {
    let region = Region::new().await;
    let (port, _listening) = region.bus.listen(0).await;
    region.bus.script([
        Reply::Hold(Arc::new(Notify::new())),
        Reply::Fault("MessageIsAlreadySent"),
    ]);
    let sent = id(NOW);
    region.send(sent, "pass").await;
    let mut settings = region.settings(port);
    settings.stop_within = Duration::from_millis(50);
    let link = region.link(settings);
    region.bus.until(|bus| bus.ids("SendRequest").len() == 1).await;
    link.stop().await;

    let link = region.link(region.settings(port));
    region.until_empty().await;
    link.stop().await;
    assert_eq!(region.bus.ids("SendRequest"), vec![sent.to_string(); 2]);
    assert_eq!(forwarded(&link, Forwarded::AlreadySent), 1);
}

#[tokio::test]
async fn an_upstream_that_is_down_does_not_hold_up_another() {
    let region = Region::new().await;
    let (dead, listening) = region.bus.listen(0).await;
    drop(listening);
    let (port, _listening) = region.bus.listen(0).await;
    let federal = region.link(region.settings(dead));
    let mut settings = region.settings(port);
    settings.name = "neighbour".parse().unwrap();
    let neighbour = region.link(settings);
    let (far, near) = (id(NOW), id(NOW));
    region.send(far, "pass").await;
    region.send(near, "near").await;
    region
        .bus
        .until(|bus| bus.ids("SendRequest") == [near.to_string()])
        .await;
    region
        .until(|_| neighbour.status().up && federal.status().message.starts_with("down"))
        .await;
    federal.stop().await;
    neighbour.stop().await;
    assert_eq!(region.engine.lanes(&support::region::upstream()).len(), 1);
}
