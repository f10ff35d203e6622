//! An operator pauses the way to an upstream.

use emulator::Selector;

use crate::common::{
    CONSUMER, EGRN, FEDERAL, World, assert_journal_whole, emptied, eventually, queues, request, send, system,
    upstream_condition,
};
use crate::{accepted_texts, take_answers, wait_requests};

#[tokio::test]
async fn nothing_is_sent_while_the_way_up_is_paused_and_everything_in_its_order_afterwards() {
    let World { bus, mut region } = World::start().await;
    let consumer = system(&region, CONSUMER);
    send(&consumer, request(EGRN, "A0")).await;
    wait_requests(&bus, 1).await;
    take_answers(&consumer, &Selector::any(), 1).await;
    emptied(&region).await;
    let pause = [
        "queue",
        "pause",
        "upstream/federal",
        "--reason",
        "the bus is being moved",
    ];
    region.command(&pause).await.unwrap().success().unwrap();
    for number in 1..4 {
        send(&consumer, request(EGRN, &format!("A{number}"))).await;
    }
    let (ok, message) = upstream_condition(&region, FEDERAL).await;
    assert!(
        !ok && message.contains("paused") && message.contains("the bus is being moved"),
        "{message}"
    );
    assert_eq!(
        region.ready().await.unwrap().0,
        200,
        "a pause is no reason not to be ready"
    );

    // It survives a restart, and the link works meanwhile.
    region.restart().await.unwrap();
    eventually("the link works", async || {
        let (_, message) = upstream_condition(&region, FEDERAL).await;
        message.starts_with("\"nothing is sent there").then_some(())
    })
    .await;
    assert_eq!(queues(&region).await.get("upstream/federal"), Some(&3));
    assert_eq!(bus.ledger().requests().count(), 1, "nothing was sent");

    region
        .command(&["queue", "resume", "upstream/federal"])
        .await
        .unwrap()
        .success()
        .unwrap();
    wait_requests(&bus, 4).await;
    assert_eq!(accepted_texts(&bus.ledger(), "A"), ["A0", "A1", "A2", "A3"]);
    let consumer = system(&region, CONSUMER);
    take_answers(&consumer, &Selector::any(), 3).await;
    emptied(&region).await;
    assert!(upstream_condition(&region, FEDERAL).await.0);
    assert_journal_whole(&region).await;
}
