//! The engine beside a reference that is as plain as it can be: under random commands, jumps in time, restarts and crashes
//! both give the same answers, have the same queues in the same order, and come to the same ends (I2, I3, I5); and the
//! index is a function of the journal (I6).
//!
//! Two systems ask, a third provides, an upstream does both. `RSMEV_MODEL_LIVES` sets how many lives are lived.

mod reference;
mod step;
mod world;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};

use step::steps;
use world::World;

#[test]
fn any_life_is_as_the_reference_says() {
    let lives = match std::env::var("RSMEV_MODEL_LIVES") {
        Ok(text) => text.parse().expect("RSMEV_MODEL_LIVES is a number"),
        Err(_) => 60,
    };
    let config = ProptestConfig {
        cases: lives,
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..ProptestConfig::default()
    };
    let taken = Cell::new(0);
    let refused = RefCell::new(BTreeMap::<_, u64>::new());
    let result = TestRunner::new(config).run(&steps(), |steps| {
        taken.set(taken.get() + steps.len());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut world = World::new().await;
            for step in &steps {
                world.step(step).await;
            }
            for (word, times) in std::mem::take(&mut world.refused) {
                *refused.borrow_mut().entry(word).or_default() += times;
            }
            world.end().await;
        });
        Ok::<_, TestCaseError>(())
    });
    println!(
        "model: {lives} lives, {} steps, refused {:?}",
        taken.get(),
        refused.borrow()
    );
    result.unwrap();
}
