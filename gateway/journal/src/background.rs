//! Work that the writer does not wait for, or not alone: threads that live as long as the store.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::{Builder, JoinHandle};

use crate::disk::{Disk, DiskFile, create_anew};
use crate::error::CommitError;
use crate::health::Health;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that does one job after the other; dropping it waits for those that it was given.
#[derive(Debug)]
pub(crate) struct Worker {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    pub(crate) fn start(name: &str) -> io::Result<Self> {
        let (jobs, inbox) = channel::<Job>();
        let thread = Builder::new().name(name.to_owned()).spawn(move || {
            while let Ok(job) = inbox.recv() {
                // One that panics closes its answer, which its caller takes for a failure; the next one is done all the same.
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
        })?;
        Ok(Self {
            jobs: Some(jobs),
            thread: Some(thread),
        })
    }

    /// Has the job done; the receiver is closed without an answer if the thread has died.
    pub(crate) fn run<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (answer, receiver) = channel();
        if let Some(jobs) = &self.jobs {
            // Both sends fail only when the other side is gone, and then nobody waits.
            let _ = jobs.send(Box::new(move || {
                let _ = answer.send(job());
            }));
        }
        receiver
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A file made ready under a temporary name: preallocated, its header written, synced.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) file: Arc<dyn DiskFile>,
    pub(crate) path: PathBuf,
    /// Octets reserved for it.
    pub(crate) len: u64,
}

/// Makes a segment ready so that only a rename is missing; leaves nothing behind when there is no space.
pub(crate) fn prepare(
    disk: &dyn Disk,
    health: &Health,
    path: &Path,
    header: &[u8],
    len: u64,
) -> Result<Prepared, CommitError> {
    health.check()?;
    let written = (|| {
        let file = create_anew(disk, path)?;
        file.preallocate(len)?;
        file.write_at(header, 0)?;
        Ok(file)
    })();
    let file = match written {
        Ok(file) => file,
        Err(error) => {
            let error = health.sort(path, "preparing", error);
            // What cannot be removed is removed when the store is opened again.
            let _ = disk.remove(path);
            return Err(error);
        }
    };
    file.sync_data().map_err(|error| health.fail(path, "syncing", error))?;
    Ok(Prepared {
        file,
        path: path.to_owned(),
        len,
    })
}

/// The next segment of a kind, made ahead of its need.
#[derive(Debug, Default)]
pub(crate) struct Ahead(Option<Receiver<Result<Prepared, CommitError>>>);

impl Ahead {
    pub(crate) fn is_asked_for(&self) -> bool {
        self.0.is_some()
    }

    pub(crate) fn ask(&mut self, answer: Receiver<Result<Prepared, CommitError>>) {
        self.0 = Some(answer);
    }

    /// Waits for what was asked for; none if nothing was, or if space was lacking at that time.
    pub(crate) fn take(&mut self) -> Option<Prepared> {
        self.0.take()?.recv().ok()?.ok()
    }
}

/// The lock's content whatever became of a thread that held it: all contents here are whole at any moment.
pub(crate) fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
