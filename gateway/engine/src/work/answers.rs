//! Answers that wait for the commit.

use tokio::sync::oneshot;

/// Answers of a batch.
pub(crate) struct Answers(pub(super) Vec<Box<dyn Answer>>);

impl Answers {
    pub(crate) fn give(self) {
        self.0.into_iter().for_each(Answer::give);
    }

    pub(crate) fn fail(self, why: &str) {
        self.0.into_iter().for_each(|answer| answer.fail(why));
    }
}

/// An answer that waits for the commit.
pub(super) trait Answer: Send {
    fn give(self: Box<Self>);
    fn fail(self: Box<Self>, why: &str);
}

pub(super) struct Waiting<T, E> {
    pub(super) reply: oneshot::Sender<Result<T, E>>,
    pub(super) result: Result<T, E>,
    pub(super) unavailable: fn(String) -> E,
}

impl<T: Send, E: Send> Answer for Waiting<T, E> {
    fn give(self: Box<Self>) {
        let _ = self.reply.send(self.result);
    }

    fn fail(self: Box<Self>, why: &str) {
        let _ = self.reply.send(Err((self.unavailable)(why.to_owned())));
    }
}
