//! SIGKILL at random moments under load, while the bus loses answers and delivers twice: every message that was
//! acknowledged to its sender is delivered and answered, once per acknowledgement of its receiver; none is missing, none is
//! accepted twice upstream, each lane keeps its order there, and the journal is whole each time.
//!
//! The clients keep books of what they were told, the bus keeps a ledger of its own, and in the end all three tell the
//! same: books, ledger and journal. `RSMEV_CRASH_ROUNDS` sets the number of kills (20), `RSMEV_CRASH_SEED` repeats a run's
//! moments.

mod books;
mod clients;
#[path = "../common/mod.rs"]
mod common;
mod trouble;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use common::{
    CONSUMER, EGRN, LATER, OTHER, PROVIDER, SPRAVKA, World, assert_journal_whole, quarantine, queues, system, within,
};
use harness::Region;
use testdisk::Chance;

use books::Books;
use clients::{AGAIN, collect_on, provide_on, send_on};
use trouble::Trouble;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_or_doubled_when_the_gateway_is_killed() {
    let rounds = setting("RSMEV_CRASH_ROUNDS").unwrap_or(20);
    let seed = setting("RSMEV_CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()) ^ (now_nanos() << 8));
    println!("RSMEV_CRASH_ROUNDS={rounds} RSMEV_CRASH_SEED={seed}");
    let mut chance = Chance::new(seed);

    // Whoever was killed between handing out and hearing of it gets the message again soon.
    let World { bus, mut region } = World::start_for_crashes("2s").await;
    let books = Arc::new(Books::default());
    let mut clients = Vec::new();
    for (mnemonic, kind) in [(CONSUMER, SPRAVKA), (CONSUMER, EGRN), (OTHER, SPRAVKA), (OTHER, EGRN)] {
        clients.push(tokio::spawn(send_on(
            system(&region, mnemonic),
            kind,
            Arc::clone(&books),
        )));
    }
    for mnemonic in [CONSUMER, OTHER, CONSUMER] {
        clients.push(tokio::spawn(collect_on(system(&region, mnemonic), Arc::clone(&books))));
    }
    for _ in 0..2 {
        clients.push(tokio::spawn(provide_on(system(&region, PROVIDER), Arc::clone(&books))));
    }

    let mut trouble = Trouble::new(&bus);
    let mut kills = 0;
    for round in 1..=rounds {
        let accepted = books.lock().accepted.len();
        trouble.turn(&mut chance);
        trouble.ask(&books);
        if chance.is(3, 4) {
            // Under load: something must have happened since the last kill.
            within(LATER, "the load goes on", async || {
                (books.lock().accepted.len() > accepted).then_some(())
            })
            .await;
        }
        tokio::time::sleep(Duration::from_millis(chance.number() % 700)).await;
        kill(&mut region, &mut kills).await;
        if chance.is(1, 4) {
            // Killed again while it starts.
            region.launch().unwrap();
            tokio::time::sleep(Duration::from_millis(chance.number() % 150)).await;
            kill(&mut region, &mut kills).await;
        }
        region
            .start()
            .await
            .unwrap_or_else(|error| panic!("round {round}, seed {seed}: {error}"));
    }
    let troubles = trouble.end();

    books.enough.store(true, Ordering::SeqCst);
    let settled = async || {
        let ledger = bus.ledger();
        let books = books.lock();
        let finished = books.sending == 0 && books.accepted.len() == books.answered.len();
        let told = books.asked.keys().all(|id| !ledger.responses_to(id).is_empty());
        (finished && told).then_some(())
    };
    let begun = Instant::now();
    while settled().await.is_none() {
        assert!(
            begun.elapsed() < LATER,
            "seed {seed}, unanswered: {:?}",
            books.lock().unanswered()
        );
        tokio::time::sleep(AGAIN).await;
    }
    within(LATER, "empty queues", async || {
        queues(&region).await.is_empty().then_some(())
    })
    .await;
    books.over.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }

    assert!(quarantine(&region).await.is_empty());
    region.stop().await.unwrap();
    assert_journal_whole(&region).await;
    let told = books.check(
        &bus.ledger(),
        &common::journal(&region, &["--type", "accepted"]).await,
        seed,
    );
    assert!(told.requests as u64 > rounds, "there was load");
    println!("{kills} kills, {troubles} troubles with the bus, {told}");
}

/// Kills the gateway; what it leaves is whole.
async fn kill(region: &mut Region, kills: &mut u64) {
    region.kill().await.expect("the gateway runs until it is killed");
    assert_journal_whole(region).await;
    *kills += 1;
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn now_nanos() -> u64 {
    u64::from(jiff::Timestamp::now().subsec_nanosecond().unsigned_abs())
}
