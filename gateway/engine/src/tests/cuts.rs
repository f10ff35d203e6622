//! Random lives of the engine, cut where something is synced, with any choice of what else survived the crash and with the
//! index of that moment, an older one, or none: what was promised is there octet by octet (I1), nothing that was never
//! accepted is, the chain verifies with its checkpoints (I7), the index is what the journal says (I6), and the engine goes on.

mod judge;
mod life;
mod story;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use testdisk::{Chance, Effort, Tried};
use tokio::runtime::Runtime;

use judge::goes_on;
use life::{Life, Step, steps};

/// Lives, then dies at each cut.
fn run(steps: &[Step], snapshot_every: u64, effort: Effort, tried: &Tried) {
    let runtime = runtime();
    let story = runtime.block_on(async {
        let mut life = Life::begin(snapshot_every).await;
        for step in steps {
            life.step(step).await;
        }
        life.end().await
    });
    tried.sequence();
    let mut replay = story.recording.replay();
    let mut chance = Chance::new(steps.len() as u64);
    for cut in effort.cuts(&story.recording) {
        tried.cut();
        replay.go_to(cut);
        for loss in effort.losses(&replay, &mut chance) {
            tried.image();
            let image = replay.image(loss);
            let story = &story;
            let chance = &mut chance;
            story
                .recording
                .at_cut(cut, loss, || runtime.block_on(goes_on(story, &image, cut, chance)));
        }
    }
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

#[test]
fn whatever_a_crash_leaves_of_any_life_what_was_promised_is_there() {
    let effort = Effort::or_short(4);
    let tried = Tried::default();
    let config = ProptestConfig {
        cases: effort.sequences,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    };
    let result = TestRunner::new(config).run(&steps(), |steps| {
        run(&steps, 15, effort, &tried);
        Ok::<_, TestCaseError>(())
    });
    println!("engine: {tried}");
    result.unwrap();
}

#[test]
fn a_destruction_of_journal_segments_that_is_cut_leaves_enough() {
    let accept = Step::Accept {
        kind: 0,
        len: 900,
        dies: false,
    };
    let life = [
        accept.clone(),
        Step::Flush,
        Step::Take { queue: 0 },
        Step::Acknowledge { which: 0 },
        Step::Pass { minutes: 3000 },
        Step::Incident,
        Step::Pass { minutes: 3000 },
        Step::Pass { minutes: 3000 },
        Step::Destroy,
        accept.clone(),
        Step::Pass { minutes: 10 },
        Step::Flush,
        Step::Pass { minutes: 10 },
        Step::Restart,
        accept,
    ];
    let tried = Tried::default();
    // No snapshot but the destruction's own.
    run(&life, 1_000_000, Effort::or_short(1), &tried);
    println!("destruction: {tried}");
}
