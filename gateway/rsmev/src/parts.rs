//! The parts of a running gateway that live as long as it does. One that ends by itself, in whatever way, leaves a process
//! that does not do what it is there for: then the gateway ends, and whoever keeps it running starts a whole one.

use std::collections::HashMap;

use tokio::task::{Id, JoinError, JoinSet};

/// The tasks of these parts; they are cut off when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Parts {
    /// Starts a part; to be called within the runtime.
    pub(crate) fn spawn(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        let id = self.tasks.spawn(part).id();
        self.names.insert(id, name);
    }

    /// The next part that ends, and how; pending as long as all live.
    pub(crate) async fn ended(&mut self) -> String {
        match self.next().await {
            Some((name, Ok(()))) => format!("{name} ended by itself"),
            Some((name, Err(error))) => failed(name, &error),
            None => std::future::pending().await,
        }
    }

    /// Waits for the end of one part; others may end before it. An error is one that panicked.
    pub(crate) async fn end_of(&mut self, part: &str) -> Result<(), String> {
        while self.names.values().any(|name| *name == part) {
            match self.next().await {
                Some((name, Err(error))) => return Err(failed(name, &error)),
                Some((_, Ok(()))) => {}
                None => break,
            }
        }
        Ok(())
    }

    async fn next(&mut self) -> Option<(&'static str, Result<(), JoinError>)> {
        let (id, ended) = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => (id, Ok(())),
            Err(error) => (error.id(), Err(error)),
        };
        Some((self.names.remove(&id).unwrap_or("a part"), ended))
    }
}

fn failed(name: &str, error: &JoinError) -> String {
    let how = if error.is_panic() { "panicked" } else { "was cut off" };
    format!("{name} {how}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_part_that_panics_or_ends_by_itself_is_told() {
        let mut parts = Parts::default();
        assert!(timeout(Duration::ZERO, parts.ended()).await.is_err(), "nothing ended");
        parts.spawn("the other", std::future::pending());
        parts.spawn("the door", async { panic!("on purpose") });
        assert_eq!(parts.ended().await, "the door panicked");
        parts.spawn("the socket", async {});
        assert_eq!(parts.ended().await, "the socket ended by itself");
    }

    #[tokio::test]
    async fn one_part_is_waited_for_whatever_becomes_of_the_others() {
        let mut parts = Parts::default();
        let (end, ended) = oneshot::channel::<()>();
        parts.spawn("the other", std::future::pending());
        parts.spawn("the door", async move { drop(ended.await) });
        assert!(timeout(Duration::ZERO, parts.end_of("the door")).await.is_err());
        end.send(()).unwrap();
        assert_eq!(parts.end_of("the door").await, Ok(()));
        assert_eq!(parts.end_of("the door").await, Ok(()), "it has ended already");
        parts.spawn("the door", async { panic!("on purpose") });
        assert_eq!(parts.end_of("the door").await, Err("the door panicked".to_owned()));
    }
}
