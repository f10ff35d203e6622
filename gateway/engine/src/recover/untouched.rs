//! A store between its opening and its first record. A start that is refused there must leave no trace that the next one
//! takes for a crash.

use std::ops::Deref;
use std::sync::Arc;

use journal::Opened;
use logbook::log;

use crate::error::StartError;
use crate::index::Index;
use crate::logged;

const HELD: &str = "the store is held until it is given away";

/// A store in which nothing was written yet. Dropped so, it leaves the mark of the session before as it was.
pub(crate) struct Untouched {
    opened: Option<Opened>,
    /// What was made of the journal, if it is there already.
    index: Option<Arc<Index>>,
}

impl Untouched {
    pub(super) fn new(opened: Opened) -> Self {
        Self {
            opened: Some(opened),
            index: None,
        }
    }

    /// The index is whole.
    pub(super) fn settle(&mut self, index: &Arc<Index>) -> Result<(), StartError> {
        self.index = Some(Arc::clone(index));
        let opened = self.opened.as_mut().expect(HELD);
        opened.store.settle().map_err(StartError::Commit)
    }

    /// The session begins.
    pub(crate) fn begun(mut self) -> Opened {
        self.opened.take().expect(HELD)
    }

    fn withdraw(&mut self) -> Result<(), String> {
        let Some(opened) = self.opened.take() else {
            return Ok(());
        };
        // The mark may say that what the machine wrote is on the disk.
        if let Some(index) = self.index.take() {
            index.flush().map_err(|error| error.to_string())?;
        }
        opened.store.withdraw().map_err(|error| error.to_string())
    }
}

impl Deref for Untouched {
    type Target = Opened;

    fn deref(&self) -> &Opened {
        self.opened.as_ref().expect(HELD)
    }
}

impl Drop for Untouched {
    fn drop(&mut self) {
        if let Err(error) = self.withdraw() {
            log!(
                logged::SESSION_LEFT_OPEN,
                error,
                "the next start will find a session that did not end in order"
            );
        }
    }
}
