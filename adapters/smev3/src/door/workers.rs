//! The bounded pool for CPU-heavy work: tokio's blocking threads, never more at once than there are cores for.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The pool.
#[derive(Debug, Clone)]
pub(super) struct Workers(Arc<Semaphore>);

/// The work panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Panicked;

impl Workers {
    pub(super) fn new(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once.max(1))))
    }

    /// Runs the work when its turn comes. Who waits is bounded by the memory that callers hold.
    ///
    /// Work that has begun is finished even if nobody waits for it any more: what it takes from the budget must be its own.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        self.turn().await?.run(work).await
    }

    /// Waits for a turn, so that what the work needs is fetched only then.
    pub(super) async fn turn(&self) -> Result<Turn, Panicked> {
        let permit = Arc::clone(&self.0).acquire_owned().await;
        permit.map(Turn).map_err(|_| Panicked)
    }
}

/// A place in the pool.
#[derive(Debug)]
pub(super) struct Turn(OwnedSemaphorePermit);

impl Turn {
    /// Runs the work.
    pub(super) async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Panicked> {
        let Self(permit) = self;
        let job = tokio::task::spawn_blocking(move || {
            let result = work();
            drop(permit);
            result
        });
        job.await.map_err(|_| Panicked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_reported_and_leaves_room_for_others() {
        let workers = Workers::new(1);
        assert_eq!(workers.run(|| panic!("bad input")).await, Err::<(), _>(Panicked));
        assert_eq!(workers.run(|| 7).await, Ok(7));
    }
}
