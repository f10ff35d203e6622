//! A panic of the thread that writes: the gateway says so and ends, so that whoever keeps it running starts a whole one.

use emulator::Participant;

use super::incident;
use super::machine::Strace;
use crate::common::{
    CONSUMER, PROVIDER, SPRAVKA, assert_journal_whole, eventually, local_region, queue, request, send, system,
    take_request,
};

/// More messages than the writer has randomness in store for: it fetches some for each answer's token.
const MESSAGES: usize = 200;

/// The exit code of a gateway that ended because it cannot keep its promises.
const ENDED: i32 = 3;

/// Sends until something is not accepted any more: what was.
async fn send_until_refused(consumer: &Participant) -> Vec<String> {
    let mut accepted = Vec::new();
    for number in 0..MESSAGES {
        let data = consumer.new_request(request(SPRAVKA, &number.to_string()));
        match consumer.send_request(&data).await {
            Ok(receipt) => accepted.push(receipt.message_id),
            Err(_) => return accepted,
        }
    }
    panic!("the writer needs no randomness any more: {MESSAGES} messages were accepted");
}

#[tokio::test]
async fn a_writer_that_panics_ends_the_gateway_and_everything_accepted_is_there_after_the_next_start() {
    let mut region = local_region().start().await.unwrap();
    let consumer = system(&region, CONSUMER);
    let mut accepted = vec![send(&consumer, request(SPRAVKA, "до")).await];
    let Some(strace) = Strace::attach_to_thread(&region, "writer", "getrandom", "EIO").await else {
        return;
    };
    accepted.extend(send_until_refused(&consumer).await);
    let status = eventually("the gateway ends by itself", async || region.ended().unwrap()).await;
    assert_eq!(status.code(), Some(ENDED), "{}", region.log());
    strace.detach().await;
    let log = region.log();
    assert!(log.contains("the thread writer panicked"), "{log}");
    assert!(
        log.contains("the gateway ended because it cannot keep its promises"),
        "{log}"
    );
    assert_journal_whole(&region).await;

    region.forget_process();
    region.start().await.unwrap();
    let text = incident(&region, "unclean_end").await;
    assert!(text.contains("the machine stayed up"), "{text}");
    assert_eq!(queue(&region, "GISOGD73/requests").await, accepted);
    let provider = system(&region, PROVIDER);
    for id in accepted {
        assert_eq!(take_request(&provider).await.data.message_id, id);
    }
}
