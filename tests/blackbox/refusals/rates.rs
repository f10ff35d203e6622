//! Limits on how much a participant may ask for: who meets its own is put off, and the others are served as if it were not there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use emulator::{Participant, Selector, SignedCall, Version};
use tokio::time::MissedTickBehavior;

use crate::common::{CONSUMER, OTHER, SPRAVKA, local_region, request, send};

/// Calls a second that a participant may make, and at once.
const RATE: u64 = 20;
/// Clients of the one who calls without end.
const CLIENTS: usize = 4;
/// Messages of the one who keeps within the rate, one each pause.
const MESSAGES: usize = 40;
const PAUSE: Duration = Duration::from_millis(100);

/// Sends at a quiet pace; every message is accepted. Gives the time of each call, sorted.
async fn quiet(system: &Participant) -> Vec<Duration> {
    let mut pace = tokio::time::interval(PAUSE);
    // However slow the machine is, no two calls are closer than the pause.
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut took = Vec::new();
    for number in 0..MESSAGES {
        pace.tick().await;
        let begun = Instant::now();
        send(system, request(SPRAVKA, &number.to_string())).await;
        took.push(begun.elapsed());
    }
    took.sort();
    took
}

/// Calls until it is told to stop; counts what was answered and what was put off.
async fn endless(system: Participant, call: Arc<SignedCall>, stop: Arc<AtomicBool>, counts: Arc<[AtomicU64; 2]>) {
    while !stop.load(Ordering::SeqCst) {
        let answer = system.call(&call).await.unwrap();
        let put_off = match answer.delivered_response() {
            Ok(_) => false,
            Err(error) => {
                assert_eq!((error.fault_name(), answer.http().status), (Some("SMEVFailure"), 503));
                true
            }
        };
        counts[usize::from(put_off)].fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_calls_without_end_is_put_off_and_the_others_are_served() {
    let region = local_region()
        .setting("limits", "requests_per_second", &RATE.to_string())
        .setting("limits", "requests_burst", "\"1s\"")
        .start()
        .await
        .unwrap();
    let other = region.participant(OTHER, Version::V1_2).unwrap();
    let alone = quiet(&other).await;

    let greedy = region.participant(CONSUMER, Version::V1_2).unwrap();
    let poll = Arc::new(greedy.sign_get_response(&Selector::any()).unwrap());
    let (stop, counts) = (Arc::<AtomicBool>::default(), Arc::<[AtomicU64; 2]>::default());
    let begun = Instant::now();
    let client = |_| {
        tokio::spawn(endless(
            greedy.clone(),
            Arc::clone(&poll),
            Arc::clone(&stop),
            Arc::clone(&counts),
        ))
    };
    let clients: Vec<_> = (0..CLIENTS).map(client).collect();
    let beside = quiet(&other).await;
    stop.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    let lasted = begun.elapsed();

    let [answered, put_off] = [0, 1].map(|place| counts[place].load(Ordering::SeqCst));
    let median = |took: &[Duration]| took[took.len() / 2];
    println!(
        "{CLIENTS} clients at a limit of {RATE}/s, {:.1} s: {answered} calls answered, {put_off} put off ({:.0}/s); \
         {MESSAGES} messages of another participant, all accepted: median {:?} alone, {:?} beside them; slowest {:?} and {:?}",
        lasted.as_secs_f64(),
        put_off as f64 / lasted.as_secs_f64(),
        median(&alone),
        median(&beside),
        alone[MESSAGES - 1],
        beside[MESSAGES - 1],
    );
    assert!(put_off > 0, "the limit was met");
    let most = RATE as f64 * (lasted.as_secs_f64() + 1.0) + 1.0;
    assert!((answered as f64) <= most, "{answered} of at most {most}");
    let metrics = region.metrics().await.unwrap();
    assert_eq!(metrics.count("rate_limited_total", &[("by", "participant")]), put_off);
    assert_eq!(metrics.count("rate_limited_total", &[("by", "address")]), 0);
    assert_eq!(metrics.count("messages_accepted_total", &[]), 2 * MESSAGES as u64);
}
