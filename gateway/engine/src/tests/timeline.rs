//! Real stories of an engine as timelines.

use jiff::SignedDuration;

use super::restart::acknowledgement;
use crate::command::{AnswerTo, ForwardOutcome, QuarantineDecision, Take, TakeFrom};
use crate::names::MessageId;
use crate::testing::{Running, answer, id_at, mnemonic, participant, request, upstream};
use crate::{Engine, Timeline, timeline};

/// `+after which type waited-for`, and then what became of each message.
fn shown(told: &Timeline) -> Vec<String> {
    let steps = told.steps.iter().map(|step| {
        let kind = step.entry.event["type"].as_str().unwrap();
        let which = step.which.as_deref().unwrap_or("-");
        let wait = step.wait.map_or_else(String::new, |wait| {
            format!(" after {:?} for {} s", wait.waited_for, wait.waited_ms / 1000)
        });
        format!("+{} {which} {kind}{wait}", step.after_ms / 1000)
    });
    let lives = told.lives.iter().map(|life| {
        let spent: Vec<_> = life
            .spent
            .iter()
            .map(|spent| format!("{:?} {}x{}", spent.on, spent.ms / 1000, spent.times))
            .collect();
        let ended = life.ended.map(|(end, _)| end);
        let waits = life.waits.map(|(cause, _)| cause);
        format!(
            "{} {} -> {}: {ended:?} {waits:?} [{}]",
            life.which,
            life.sender,
            life.recipient,
            spent.join(", ")
        )
    });
    steps.chain(lives).collect()
}

async fn story(engine: &Engine, id: MessageId) -> Vec<String> {
    shown(&timeline(engine.trace(id).unwrap()))
}

async fn pass(running: &Running, engine: &Engine, seconds: i64) {
    running.time.pass(SignedDuration::from_secs(seconds));
    engine.tick().await;
}

fn requests(who: &str) -> Take {
    Take {
        participant: mnemonic(who),
        from: TakeFrom::Requests,
        selector: None,
    }
}

#[tokio::test]
async fn a_request_and_its_response_inside_the_region() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    let id = id_at(engine.now(), 1);
    engine.accept(request(participant("CITY"), id, "plan")).await.unwrap();
    pass(&running, &engine, 30).await;
    engine.take(requests("LAND")).await.unwrap().unwrap();
    pass(&running, &engine, 1200).await;
    pass(&running, &engine, 5).await;
    let delivery = engine.take(requests("LAND")).await.unwrap().unwrap();
    pass(&running, &engine, 2).await;
    engine.acknowledge(acknowledgement(id)).await.unwrap();
    let waiting = story(&engine, id).await;
    assert_eq!(
        waiting.last().unwrap(),
        "request CITY -> LAND: Some(Acknowledged) Some(Answer) [LeaseExpired 1200x1, Receiver 35x2, Acknowledgement 2x1]"
    );
    pass(&running, &engine, 60).await;
    let to = AnswerTo::Token(delivery.reply_token.unwrap());
    let response = id_at(engine.now(), 2);
    engine
        .accept(answer(participant("LAND"), response, to, "plan"))
        .await
        .unwrap();
    let expected = [
        "+0 request accepted",
        "+30 request handed_out after Receiver for 30 s",
        "+1200 request lease_expired after LeaseExpired for 1200 s",
        "+5 request handed_out after Receiver for 5 s",
        "+2 request acknowledged after Acknowledgement for 2 s",
        "+60 response accepted",
        "request CITY -> LAND: Some(Acknowledged) None [LeaseExpired 1200x1, Answer 60x1, Receiver 35x2, Acknowledgement 2x1]",
        "response LAND -> CITY: None Some(Receiver) []",
    ];
    assert_eq!(story(&engine, id).await, expected);
    assert_eq!(
        story(&engine, response).await,
        expected,
        "whichever of them is asked for"
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn a_request_to_an_upstream_that_is_down_for_a_while() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    let id = id_at(engine.now(), 1);
    engine.accept(request(participant("CITY"), id, "pass")).await.unwrap();
    let lane = engine.lanes(&upstream()).remove(0);
    let seq = engine.lane_head(&lane).unwrap().unwrap().message.seq;
    let refused = ForwardOutcome::NotSent {
        cause: "connection refused".to_owned(),
    };
    let unknown = ForwardOutcome::Unknown {
        cause: "no answer".to_owned(),
    };
    for (pause, lasts, outcome) in [
        (1, 0, refused.clone()),
        (10, 0, refused),
        (3600, 60, unknown),
        (30, 1, ForwardOutcome::Accepted),
    ] {
        pass(&running, &engine, pause).await;
        engine.forward_started(seq, id).await.unwrap();
        pass(&running, &engine, lasts).await;
        engine.forward_outcome(seq, outcome).await.unwrap();
    }
    assert_eq!(
        story(&engine, id).await,
        [
            "+0 request accepted",
            "+1 request forward_started after Turn for 1 s",
            "+0 request forward_outcome after Upstream for 0 s",
            "+10 request forward_started after LinkDown for 10 s",
            "+0 request forward_outcome after Upstream for 0 s",
            "+3600 request forward_started after LinkDown for 3600 s",
            "+60 request forward_outcome after Upstream for 60 s",
            "+30 request forward_started after UnknownOutcome for 30 s",
            "+1 request forward_outcome after Upstream for 1 s",
            "request CITY -> upstream/federal: Some(Forwarded) Some(Answer) \
             [LinkDown 3610x2, Upstream 61x4, UnknownOutcome 30x1, Turn 1x1]",
        ]
    );
    engine.shutdown().await;
}

#[tokio::test]
async fn a_message_in_quarantine_waits_for_a_person() {
    let dir = tempfile::tempdir().unwrap();
    let running = Running::new(dir.path());
    let engine = running.region().await;
    let id = id_at(engine.now(), 1);
    engine.accept(request(participant("CITY"), id, "pass")).await.unwrap();
    let lane = engine.lanes(&upstream()).remove(0);
    let seq = engine.lane_head(&lane).unwrap().unwrap().message.seq;
    engine.forward_started(seq, id).await.unwrap();
    let cause = "nobody knows".to_owned();
    engine
        .forward_outcome(seq, ForwardOutcome::Quarantined { cause })
        .await
        .unwrap();
    pass(&running, &engine, 7200).await;
    let reason = "no".to_owned();
    engine
        .decide_quarantine(seq, QuarantineDecision::Reject { reason }, "operator")
        .await
        .unwrap();
    let told = story(&engine, id).await;
    assert_eq!(told[3], "+7200 request decided after Person for 7200 s");
    assert_eq!(told[4], "+0 response accepted", "its sender is told");
    let expected = "request CITY -> upstream/federal: Some(Rejected) None [Person 7200x1, Turn 0x1, Upstream 0x1]";
    assert_eq!(told[5], expected);
    assert_eq!(told[6], "response gateway -> CITY: None Some(Receiver) []");
    engine.shutdown().await;
}
