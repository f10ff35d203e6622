//! The index in sled: one tree of [`pages`], written by one thread in one atomic batch per engine batch, flushed lazily.
//!
//! It is never the only copy of anything. sled's `flush` does not sync (it calls `sync_file_range`), so a thread of ours
//! flushes and syncs a few times a second; whether that has happened yet matters only for how much is replayed.
//!
//! sled reads a page when it is needed, so that damage of its files may show at any time: as an error, or as a panic. An
//! index that was found damaged is marked, and the next start builds another.

mod renew;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use journal::Position;
use logbook::log;
use serde::{Deserialize, Serialize};
use sled::IVec;

use crate::error::IndexError;
use crate::logged;
use crate::pages::{self, Growth};
use crate::snapshot::Dump;
use crate::state::{Overlay, Rows, decode};
use renew::{Copy, Renewals};

/// Format of keys and values; an index of another format is built anew.
const FORMAT: u32 = 7;
// Keys of rows begin with a letter.
const FORMAT_KEY: &[u8] = b"\0format";
const POSITION_KEY: &[u8] = b"\0position";

/// In the index's folder: why it must not be used. What the machine loses of it by going down is no matter, because then
/// the index is not trusted either.
const DOUBTED: &str = "DOUBTED";

const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// An open index.
#[derive(Debug)]
pub(crate) struct Index {
    /// None once it is closed.
    db: RwLock<Option<sled::Db>>,
    dir: PathBuf,
    /// Octets of the rows in their pages.
    row_bytes: AtomicU64,
    /// The same if no page was packed.
    plain_bytes: AtomicU64,
    dump: Mutex<Option<Dump>>,
    copy: Mutex<Option<Copy>>,
    renewals: Mutex<Renewals>,
    damage: OnceLock<String>,
}

#[derive(Serialize, Deserialize)]
struct StoredPosition {
    seq: u64,
    digest: [u8; 32],
    /// Octets of the rows in their pages.
    row_bytes: u64,
    /// The same if no page was packed.
    plain_bytes: u64,
}

impl Index {
    /// Opens or creates an index. sled's recovery may panic on damaged files: that is an error here.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        guarded(dir, move |dir| Self::open_here(dir, cache_bytes))
    }

    /// How far an index reflects the journal; `None` for an empty one and for one of another format. It stays open only if
    /// it is to be used: one that may be damaged must not be closed outside of the thread that has opened it.
    pub(crate) fn find(
        dir: &Path,
        cache_bytes: u64,
        to_use: bool,
    ) -> Result<Option<(Position, Option<Self>)>, IndexError> {
        guarded(dir, move |dir| {
            let index = Self::open_here(dir, cache_bytes)?;
            Ok(index.position()?.map(|position| (position, to_use.then_some(index))))
        })
    }

    fn open_here(dir: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        let mut tries = 0;
        let db = loop {
            let config = sled::Config::new()
                .path(dir)
                .cache_capacity(cache_bytes)
                .flush_every_ms(None);
            match config.open() {
                // A reader of an engine that has just ended may hold it for a moment longer; nobody else can, because
                // the store's lock is ours.
                Err(sled::Error::Io(error)) if tries < LOCK_TRIES && error.to_string().contains("acquire lock") => {
                    tries += 1;
                    std::thread::sleep(LOCK_PAUSE);
                }
                opened => break opened?,
            }
        };
        let index = Self {
            db: RwLock::new(Some(db)),
            dir: dir.to_owned(),
            row_bytes: AtomicU64::new(0),
            plain_bytes: AtomicU64::new(0),
            dump: Mutex::new(None),
            copy: Mutex::new(None),
            renewals: Mutex::default(),
            damage: OnceLock::new(),
        };
        if let Some(stored) = index.stored_position()? {
            index.row_bytes.store(stored.row_bytes, Ordering::Relaxed);
            index.plain_bytes.store(stored.plain_bytes, Ordering::Relaxed);
        }
        Ok(index)
    }

    /// Why the index in a folder must not be used, if an earlier session found that.
    pub(crate) fn doubted(dir: &Path) -> Option<String> {
        std::fs::read_to_string(dir.join(DOUBTED)).ok()
    }

    /// What is read cannot be relied on any more: this session must end, and the next one builds the index anew.
    pub(crate) fn doubt(&self, why: &str) {
        if self.damage.set(why.to_owned()).is_ok() {
            self.mark_doubted(why);
        }
    }

    fn mark_doubted(&self, why: &str) {
        if let Err(error) = std::fs::write(self.dir.join(DOUBTED), why) {
            log!(logged::INDEX_NOT_MARKED, %error, why, "the index is damaged and cannot be marked so: remove its folder");
        }
    }

    /// What was found wrong with the files, if anything.
    pub(crate) fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Does something on which sled may find its files damaged.
    fn watched<T>(&self, work: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
        let done = catch_unwind(AssertUnwindSafe(work));
        let done = done.unwrap_or_else(|_| Err(IndexError::Files(format!("{} is damaged", self.dir.display()))));
        done.inspect_err(|error| {
            if !matches!(error, IndexError::Closed) {
                self.doubt(&error.to_string());
            }
        })
    }

    /// Gives the files free; whoever reads later is refused.
    pub(crate) fn close(&self) {
        *self.db.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn tree(&self) -> Result<sled::Tree, IndexError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        db.as_ref().map(|db| sled::Tree::clone(db)).ok_or(IndexError::Closed)
    }

    /// The open database, to be put into another's place.
    fn into_db(self) -> Option<sled::Db> {
        self.db.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place in the journal that the rows reflect; `None` for an empty index and for one of another format.
    pub(crate) fn position(&self) -> Result<Option<Position>, IndexError> {
        let stored = self.stored_position()?;
        Ok(stored.map(|StoredPosition { seq, digest, .. }| Position { seq, digest }))
    }

    fn stored_position(&self) -> Result<Option<StoredPosition>, IndexError> {
        let tree = self.tree()?;
        let format = tree.get(FORMAT_KEY)?;
        let current = format.map(|value| decode::<u32>(FORMAT_KEY, &value)).transpose()? == Some(FORMAT);
        match tree.get(POSITION_KEY)? {
            Some(value) if current => decode(POSITION_KEY, &value).map(Some),
            _ => Ok(None),
        }
    }

    /// Applies the changes of a batch together with the position that they lead to.
    pub(crate) fn apply(&self, overlay: &Overlay, position: Position) -> Result<(), IndexError> {
        let mut dump = self.dump();
        let mut copy = self.copy();
        // A copy takes the place of what was open before only while nothing is applied.
        let tree = self.tree()?;
        if let Some(dump) = dump.as_mut() {
            self.watched(|| dump.save(&tree, overlay))?;
        }
        let failed = match copy.as_ref().map(|copy| copy.follow(overlay)) {
            Some(Err(error)) => {
                log!(logged::INDEX_RENEWAL_FAILED, %error, "the index is not written anew");
                copy.take()
            }
            _ => None,
        };
        let changed = self.watched(|| self.change(&tree, overlay, Some(position)));
        // A copy that has more than the index must not take its place.
        let failed = if changed.is_err() { copy.take() } else { failed };
        drop((dump, copy));
        // Closing its files takes time, in which others go on.
        drop(failed);
        changed
    }

    /// Changes rows, and the position if there is one.
    fn write(&self, overlay: &Overlay, position: Option<Position>) -> Result<(), IndexError> {
        self.change(&self.tree()?, overlay, position)
    }

    fn change(&self, tree: &sled::Tree, overlay: &Overlay, position: Option<Position>) -> Result<(), IndexError> {
        let mut batch = sled::Batch::default();
        let growth = pages::change(tree, overlay, &mut batch)?;
        self.write_to(tree, batch, growth, position)
    }

    /// Adds rows in order, all of which come after every row that is there, in packed pages; and the position, if there is
    /// one.
    pub(crate) fn append(&self, rows: &[(IVec, IVec)], position: Option<Position>) -> Result<(), IndexError> {
        let mut batch = sled::Batch::default();
        let growth = pages::append(rows, &mut batch)?;
        self.write_to(&self.tree()?, batch, growth, position)
    }

    fn write_to(
        &self,
        tree: &sled::Tree,
        mut batch: sled::Batch,
        growth: Growth,
        position: Option<Position>,
    ) -> Result<(), IndexError> {
        let row_bytes = self.row_bytes().saturating_add_signed(growth.stored);
        let plain_bytes = self.plain_bytes().saturating_add_signed(growth.plain);
        if let Some(Position { seq, digest }) = position {
            let stored = StoredPosition {
                seq,
                digest,
                row_bytes,
                plain_bytes,
            };
            let value = postcard::to_stdvec(&stored).expect("rows are plain data, which postcard can write");
            batch.insert(POSITION_KEY, value);
        }
        tree.apply_batch(batch)?;
        self.row_bytes.store(row_bytes, Ordering::Relaxed);
        self.plain_bytes.store(plain_bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Marks a fresh index as one of this format; the first thing written to it.
    pub(crate) fn mark_format(&self) -> Result<(), IndexError> {
        let value = postcard::to_stdvec(&FORMAT).expect("a number can be written");
        self.tree()?.insert(FORMAT_KEY, value)?;
        Ok(())
    }

    /// Brings what was applied to the disk.
    pub(crate) fn flush(&self) -> Result<(), IndexError> {
        // Held all the while, so that closing waits for it.
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        db.as_ref().ok_or(IndexError::Closed)?.flush()?;
        let sync = || std::fs::File::open(self.dir.join("db"))?.sync_data();
        sync().map_err(|error| IndexError::Files(format!("{}: {error}", self.dir.join("db").display())))
    }

    /// Octets of the files.
    pub(crate) fn disk_bytes(&self) -> Result<u64, IndexError> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        Ok(db.as_ref().ok_or(IndexError::Closed)?.size_on_disk()?)
    }

    /// Octets of the rows in their pages.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.row_bytes.load(Ordering::Relaxed)
    }

    /// Octets of the rows in their pages if none was packed.
    fn plain_bytes(&self) -> u64 {
        self.plain_bytes.load(Ordering::Relaxed)
    }

    /// The dump that is being made, if any; applying waits while this is held.
    pub(crate) fn dump(&self) -> MutexGuard<'_, Option<Dump>> {
        lock(&self.dump)
    }

    /// At most `limit` rows from a key on.
    pub(crate) fn chunk(&self, from: &[u8], limit: usize) -> Result<Vec<(IVec, IVec)>, IndexError> {
        self.watched(|| pages::from(&self.tree()?, from)?.take(limit).collect())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does something with files that may be damaged, on which sled may panic: that is an error here.
fn guarded<T: Send + 'static>(
    dir: &Path,
    work: impl FnOnce(&Path) -> Result<T, IndexError> + Send + 'static,
) -> Result<T, IndexError> {
    let own = dir.to_owned();
    let thread = std::thread::Builder::new()
        .name("index-open".to_owned())
        .spawn(move || work(&own));
    let done = thread.map_err(|error| IndexError::Files(error.to_string()))?.join();
    done.unwrap_or_else(|_| Err(IndexError::Files(format!("{} is damaged", dir.display()))))
}

impl Rows for Index {
    fn get(&self, key: &[u8]) -> Result<Option<IVec>, IndexError> {
        self.watched(|| pages::get(&self.tree()?, key))
    }

    fn from<'a>(&'a self, from: &[u8]) -> Box<dyn Iterator<Item = Result<(IVec, IVec), IndexError>> + 'a> {
        match self.watched(|| pages::from(&self.tree()?, from)) {
            Ok(mut rows) => Box::new(std::iter::from_fn(move || {
                self.watched(|| rows.next().transpose()).transpose()
            })),
            Err(error) => Box::new(std::iter::once(Err(error))),
        }
    }
}
