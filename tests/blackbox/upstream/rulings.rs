//! What the bus refuses: for good, for a person to decide, or for a reason that concerns the whole link.

use std::collections::BTreeMap;

use emulator::{Fault, Operation, Reply, Scope, Selector, Times, Version};

use crate::common::{
    CONSUMER, EGRN, FEDERAL, World, answered_text, eventually, journal, next_response_of, quarantine, queue, queues,
    request, send, send_data, system, take_response, upstream_condition,
};
use crate::{accepted_texts, take_answers, wait_forwarded, wait_requests};

#[tokio::test]
async fn a_refusal_of_the_bus_for_good_becomes_a_notice_to_the_sender() {
    let World { bus, region } = World::start().await;
    let faults = [
        "InvalidContent",
        "BusinessDataTypeIsNotSupported",
        "RecipientIsNotFound",
        "AccessDenied",
        "EndOfLifeReached",
        "AttachmentContentMiscoordination",
        "AttachmentSizeLimitExceeded",
    ];
    for (fault, version) in faults.iter().zip(Version::ALL.iter().cycle()) {
        let consumer = region.participant(CONSUMER, *version).unwrap();
        let knob = bus
            .knobs()
            .fault(Operation::SendRequest, Fault::new(fault).text("так решила СМЭВ"), 1);
        let data = consumer.new_request(request(EGRN, fault)).node("NODE");
        send_data(&consumer, &data).await;
        let taken = next_response_of(&consumer, &Selector::any().node("NODE")).await;
        consumer.ack(&taken.data.message_id).await.unwrap();
        let Reply::Async(status) = &taken.data.reply else {
            panic!("{fault}: not a notice: {:?}", taken.data.reply)
        };
        assert_eq!(status.original_message_id, data.message_id);
        assert_eq!(status.category, "requestIsRejectedBySmev");
        let told = format!("{status:?}");
        assert!(
            told.contains(fault) && told.contains("так решила СМЭВ"),
            "{fault}: {told}"
        );
        assert_eq!(knob.worked(), 1);
        assert_eq!(bus.ledger().times_accepted(&data.message_id), 0);
    }
    wait_forwarded(&region, "rejected", faults.len() as u64).await;
    assert!(queues(&region).await.is_empty() && quarantine(&region).await.is_empty());
    // The lane goes on.
    let consumer = system(&region, CONSUMER);
    send(&consumer, request(EGRN, "дальше")).await;
    assert_eq!(answered_text(&take_response(&consumer).await), "дальше");
}

#[tokio::test]
async fn what_nobody_can_rule_on_waits_for_a_person_who_retries_or_rejects_it() {
    let World { bus, region } = World::start().await;
    let consumer = system(&region, CONSUMER);
    let faults = [
        "MessageIsAlreadySent",
        "TransactionCodeInvalid",
        "InvalidMessageIdFormat",
        "PersonalAccessDenied",
    ];
    let mut ids = Vec::new();
    for fault in faults {
        bus.knobs().fault(Operation::SendRequest, Fault::new(fault), 1);
        let id = send(&consumer, request(EGRN, fault)).await;
        eventually("the message is in quarantine", async || {
            quarantine(&region).await.iter().find(|(held, _)| *held == id).cloned()
        })
        .await;
        ids.push(id);
    }
    wait_forwarded(&region, "quarantined", faults.len() as u64).await;
    assert_eq!(
        region.metrics().await.unwrap().count("quarantine_depth", &[]),
        faults.len() as u64
    );
    for (id, cause) in quarantine(&region).await {
        let place = ids.iter().position(|one| *one == id).unwrap();
        assert!(cause.contains(faults[place]), "{cause}");
    }
    assert_eq!(bus.ledger().requests().count(), 0);
    // The lane did not wait for them.
    send(&consumer, request(EGRN, "дальше")).await;
    assert_eq!(answered_text(&take_response(&consumer).await), "дальше");

    region
        .command(&["quarantine", "retry", &ids[1], &ids[2]])
        .await
        .unwrap()
        .success()
        .unwrap();
    let answers: BTreeMap<_, _> = take_answers(&consumer, &Selector::any(), 2).await.into_iter().collect();
    assert_eq!(answers.get(&ids[1]).map(String::as_str), Some(faults[1]));
    assert_eq!(answers.get(&ids[2]).map(String::as_str), Some(faults[2]));

    let reason = "номер перепутан, отправьте заново";
    region
        .command(&["quarantine", "reject", &ids[0], "--reason", reason])
        .await
        .unwrap()
        .success()
        .unwrap();
    let taken = take_response(&consumer).await;
    let Reply::Async(status) = taken.data.reply else {
        panic!("not a notice: {:?}", taken.data.reply)
    };
    assert_eq!(status.original_message_id, ids[0]);
    assert!(
        format!("{status:?}").contains(reason),
        "the sender is told why: {status:?}"
    );

    let left: Vec<String> = quarantine(&region).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(left, std::slice::from_ref(&ids[3]));
    let unknown = region.command(&["quarantine", "retry", &ids[0]]).await.unwrap();
    assert_eq!(unknown.code, Some(1), "what is not there cannot be retried");
    let usage = region.command(&["quarantine", "reject", &ids[3]]).await.unwrap();
    assert_eq!(usage.code, Some(2), "a rejection has a reason");
    let decided = journal(&region, &["--type", "decided"]).await;
    assert_eq!(decided.len(), 3, "{decided:?}");
    assert!(bus.ledger().accepted_more_than_once().is_empty());
}

#[tokio::test]
async fn one_refused_signature_is_the_messages_and_a_refused_probe_stops_the_link() {
    let World { bus, region } = World::start().await;
    let consumer = system(&region, CONSUMER);
    bus.knobs()
        .fault(Operation::SendRequest, Fault::signature("SignatureIsInvalid"), 1);
    let suspicious = send(&consumer, request(EGRN, "подозрительно")).await;
    send(&consumer, request(EGRN, "следом")).await;
    assert_eq!(
        answered_text(&take_response(&consumer).await),
        "следом",
        "the link goes on"
    );
    let held: Vec<String> = quarantine(&region).await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(held, std::slice::from_ref(&suspicious));
    assert!(!journal(&region, &["--type", "incident"]).await.is_empty());

    // The bus has forgotten the gateway altogether.
    let forgotten = bus
        .knobs()
        .fault(Scope::any(), Fault::new("SenderIsNotRegistered"), Times::Always);
    eventually("the link stops", async || {
        let (up, message) = upstream_condition(&region, FEDERAL).await;
        (!up && message.contains("stopped")).then_some(())
    })
    .await;
    let mut waiting = Vec::new();
    for number in 0..5 {
        waiting.push(send(&consumer, request(EGRN, &format!("ждёт {number}"))).await);
    }
    assert_eq!(
        queue(&region, "upstream/federal").await,
        waiting,
        "nothing is wasted on a link that is stopped"
    );
    forgotten.off();
    wait_requests(&bus, 6).await;
    let expected: Vec<String> = (0..5).map(|number| format!("ждёт {number}")).collect();
    assert_eq!(accepted_texts(&bus.ledger(), "ждёт"), expected);
    region
        .command(&["quarantine", "retry", &suspicious])
        .await
        .unwrap()
        .success()
        .unwrap();
    wait_requests(&bus, 7).await;
    assert!(bus.ledger().accepted_more_than_once().is_empty());
}
