//! The index written anew while the writer goes on, because sled does not give disk back.
//!
//! A thread copies the rows in the order of their keys into a fresh index, a chunk at a time. What changes meanwhile among
//! the rows that were copied changes in the copy too; the rest is copied as it is by then. So at its end the copy holds
//! what the index holds, and takes its place between two batches. What an interrupted attempt leaves behind is removed by
//! the next one.

use std::ops::Bound;
use std::path::Path;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::error::IndexError;
use crate::recover::Place;
use crate::state::Overlay;

use super::{Index, lock};

/// Rows per chunk: a batch waits at most for the copying of these.
const CHUNK: usize = 500;
/// An index is worth the effort when its files are more than so many times as large as what it holds, and some more.
const BLOATED: u64 = 2;

/// How long copying rests between two chunks at least, so that the writer gets its turn: the lock is not a fair one.
const PAUSE: Duration = Duration::from_millis(1);
/// After a renewal that came to nothing the next one is not tried sooner.
const REST: Duration = Duration::from_secs(600);

/// What is remembered of renewals.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    /// What the last one left behind.
    fresh: Option<Fresh>,
    /// No other one begins before.
    rest: Option<Instant>,
    /// The index is being closed.
    over: bool,
}

/// A freshly written index, in octets.
#[derive(Debug, Clone, Copy)]
struct Fresh {
    disk: u64,
    rows: u64,
}

impl Fresh {
    /// Whether an index has become larger by a fifth than this one would be with as many rows.
    fn is_outgrown(self, disk: u64, rows: u64) -> bool {
        let product = |a: u64, b: u64, times: u128| u128::from(a) * u128::from(b) * times;
        product(disk, self.rows, 5) >= product(self.disk, rows, 6)
    }
}

/// A copy in the making, shared with the thread that applies changes.
#[derive(Debug)]
pub(super) struct Copy {
    draft: Box<Index>,
    /// Everything before this key is copied.
    reached: Vec<u8>,
}

impl Copy {
    /// Changes what was copied already.
    pub(super) fn follow(&self, overlay: &Overlay) -> Result<(), IndexError> {
        let copied = overlay.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(self.reached.as_slice())));
        let copied: Overlay = copied.map(|(key, value)| (key.clone(), value.clone())).collect();
        self.draft.write(&copied, None)
    }
}

/// How far copying has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Copied,
    Whole,
    GivenUp,
}

/// What a renewal came to, in octets of the files.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Renewed {
    pub(crate) before: u64,
    pub(crate) after: u64,
}

impl Index {
    /// Whether the files are larger than what they hold by so much that they should be written anew. sled leaves segments
    /// alone of which half is in use, so that a copy takes nearly twice of what it holds: the next one is made when the
    /// files have grown by a fifth against their rows since. While there is much to do, twice as much is put up with:
    /// everybody waits while the copy is opened in its place, for a second or two if it holds a million messages.
    pub(crate) fn is_bloated(&self, above: u64, quiet: bool) -> Result<bool, IndexError> {
        let renewals = self.renewals();
        if renewals.rest.is_some_and(|until| Instant::now() < until) {
            return Ok(false);
        }
        let (disk, rows) = (self.disk_bytes()?, self.row_bytes());
        let limit = above.saturating_add(rows.saturating_mul(BLOATED));
        let limit = if quiet { limit } else { limit.saturating_mul(2) };
        Ok(disk > limit && renewals.fresh.is_none_or(|fresh| fresh.is_outgrown(disk, rows)))
    }

    /// Octets that a renewal may take beside the index.
    pub(crate) fn renewal_bytes(&self) -> u64 {
        self.row_bytes().saturating_mul(BLOATED + 1)
    }

    /// Writes the index anew; `None` if it was told to give up.
    pub(crate) fn renew(&self, data_dir: &Path, cache_bytes: u64) -> Result<Option<Renewed>, IndexError> {
        let place = Place::new(data_dir);
        // Whatever ends this early.
        self.rest();
        let before = self.disk_bytes()?;
        let copied = place.fresh(cache_bytes).and_then(|draft| match self.begin_copy(draft) {
            true => self.copy_and_swap(&place, cache_bytes),
            false => Ok(false),
        });
        self.give_up_renewal();
        place.remove_draft()?;
        if !copied? {
            return Ok(None);
        }
        place.remove_old()?;
        let after = self.disk_bytes()?;
        *self.renewals() = Renewals {
            fresh: Some(Fresh {
                disk: after,
                rows: self.row_bytes(),
            }),
            ..Renewals::default()
        };
        Ok(Some(Renewed { before, after }))
    }

    /// No renewal is tried for a while.
    pub(crate) fn rest(&self) {
        self.renewals().rest = Some(Instant::now() + REST);
    }

    /// Ends a renewal at its next chunk.
    pub(crate) fn give_up_renewal(&self) {
        let copy = self.copy().take();
        // Closing its files takes time, in which others go on.
        drop(copy);
    }

    /// Ends a renewal, and lets no other one begin.
    pub(crate) fn end_renewals(&self) {
        self.renewals().over = true;
        self.give_up_renewal();
    }

    fn renewals(&self) -> MutexGuard<'_, Renewals> {
        lock(&self.renewals)
    }

    /// The copy that is being made, if any; applying waits while this is held.
    pub(super) fn copy(&self) -> MutexGuard<'_, Option<Copy>> {
        lock(&self.copy)
    }

    /// `false` if the index is being closed.
    fn begin_copy(&self, draft: Index) -> bool {
        let mut copy = self.copy();
        if self.renewals().over {
            return false;
        }
        *copy = Some(Copy {
            draft: Box::new(draft),
            reached: Vec::new(),
        });
        true
    }

    /// `false` if it was given up.
    fn copy_and_swap(&self, place: &Place, cache_bytes: u64) -> Result<bool, IndexError> {
        loop {
            let since = Instant::now();
            match self.copy_some(CHUNK)? {
                Step::Copied => std::thread::sleep(since.elapsed().max(PAUSE)),
                Step::Whole => break,
                Step::GivenUp => return Ok(false),
            }
        }
        Ok(self.settle_draft()? && self.take_place(place, cache_bytes)?)
    }

    /// Copies the next rows.
    fn copy_some(&self, limit: usize) -> Result<Step, IndexError> {
        let mut guard = self.copy();
        let Some(copy) = guard.as_mut() else {
            return Ok(Step::GivenUp);
        };
        let rows = self.chunk(&copy.reached, limit)?;
        let Some((last, _)) = rows.last() else {
            // Whatever comes from now on is written to both.
            copy.reached = vec![0xff; 64];
            return Ok(Step::Whole);
        };
        let reached = [last.as_ref(), &[0]].concat();
        let rows = rows.iter().map(|(key, value)| (key.to_vec(), Some(value.to_vec())));
        copy.draft.write(&rows.collect(), None)?;
        copy.reached = reached;
        Ok(Step::Copied)
    }

    /// Brings most of the copy to the disk before anybody has to wait for it.
    fn settle_draft(&self) -> Result<bool, IndexError> {
        let Some(tree) = self.copy().as_ref().map(|copy| copy.draft.tree()) else {
            return Ok(false);
        };
        tree?.flush()?;
        Ok(true)
    }

    /// Puts the whole copy in the place of the index; nothing is applied, and nobody reads, meanwhile. If that fails, the
    /// index goes on as it was.
    fn take_place(&self, place: &Place, cache_bytes: u64) -> Result<bool, IndexError> {
        let mut guard = self.copy();
        let Some(Copy { draft, .. }) = guard.take() else {
            return Ok(false);
        };
        let position = self
            .position()?
            .ok_or_else(|| IndexError::Files("the index has no position".to_owned()))?;
        draft.write(&Overlay::new(), Some(position))?;
        draft.flush()?;
        drop(draft);
        let mut db = self.db.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if db.is_none() {
            return Ok(false);
        }
        let fresh = place.swap(cache_bytes)?;
        // Its pages are filled otherwise.
        self.row_bytes.store(fresh.row_bytes(), Ordering::Relaxed);
        let old = std::mem::replace(&mut *db, fresh.into_db());
        drop(db);
        drop(guard);
        drop(old);
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use journal::Position;
    use proptest::prelude::*;

    use super::*;
    use crate::state::{Row, Rows as _};

    const CACHE: u64 = 1 << 20;

    fn at(seq: u64) -> Position {
        Position { seq, digest: [7; 32] }
    }

    fn index(data_dir: &Path) -> Index {
        Place::new(data_dir).fresh(CACHE).unwrap();
        Place::new(data_dir).swap(CACHE).unwrap()
    }

    fn rows(index: &Index) -> Vec<Row> {
        let rows = index.from(&[]).map(Result::unwrap);
        rows.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
    }

    fn changes() -> impl Strategy<Value = Overlay> {
        let key = (b'a'..b'e', 0..20_u8).prop_map(|(family, n)| vec![family, n]);
        let value = proptest::option::weighted(0.7, proptest::collection::vec(any::<u8>(), 0..300));
        proptest::collection::btree_map(key, value, 0..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn a_renewed_index_is_what_the_old_one_would_be_whatever_changes_meanwhile(
            before in changes(),
            meanwhile in proptest::collection::vec(changes(), 0..20),
            limit in 1..5_usize,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let place = Place::new(dir.path());
            let index = index(dir.path());
            index.apply(&before, at(1)).unwrap();
            prop_assert!(index.begin_copy(place.fresh(CACHE).unwrap()));
            let (mut seq, mut left) = (1, meanwhile.into_iter());
            let mut apply = || {
                if let Some(overlay) = left.next() {
                    seq += 1;
                    index.apply(&overlay, at(seq)).unwrap();
                }
                seq
            };
            while index.copy_some(limit).unwrap() == Step::Copied {
                apply();
            }
            let last = apply();
            let expected = rows(&index);
            prop_assert!(index.settle_draft().unwrap() && index.take_place(&place, CACHE).unwrap());
            prop_assert_eq!(&rows(&index), &expected);
            prop_assert_eq!(index.position().unwrap(), Some(at(last)));
            let octets = index.row_bytes();
            index.close();
            let again = Index::open(&place.current, CACHE).unwrap();
            prop_assert_eq!(rows(&again), expected);
            prop_assert_eq!(again.row_bytes(), octets);
        }
    }

    #[test]
    fn a_renewal_that_was_given_up_leaves_the_index_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        let index = index(dir.path());
        index.apply(&[(b"ma".to_vec(), Some(vec![1]))].into(), at(1)).unwrap();
        let before = rows(&index);
        assert!(index.begin_copy(place.fresh(CACHE).unwrap()));
        assert_eq!(index.copy_some(1).unwrap(), Step::Copied);
        index.give_up_renewal();
        assert_eq!(index.copy_some(1).unwrap(), Step::GivenUp);
        assert!(!index.settle_draft().unwrap() && !index.take_place(&place, CACHE).unwrap());
        index.apply(&[(b"mb".to_vec(), Some(vec![2]))].into(), at(2)).unwrap();
        assert_eq!((before.len(), rows(&index).len()), (1, 2));
        place.remove_old().unwrap();
        assert!(!place.draft.exists());
    }

    #[test]
    fn an_index_that_is_being_closed_is_not_written_anew() {
        let dir = tempfile::tempdir().unwrap();
        let index = index(dir.path());
        index.apply(&[(b"ma".to_vec(), Some(vec![1]))].into(), at(1)).unwrap();
        index.end_renewals();
        assert!(index.renew(dir.path(), CACHE).unwrap().is_none());
        assert!(!Place::new(dir.path()).draft.exists());
        // What came to nothing is not tried again at once.
        assert!(!index.is_bloated(0, true).unwrap());
    }

    #[test]
    fn a_copy_that_cannot_take_the_place_leaves_the_index_there() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path());
        let index = index(dir.path());
        index.apply(&[(b"ma".to_vec(), Some(vec![1]))].into(), at(1)).unwrap();
        // There is no draft to be put in its place.
        assert!(place.swap(CACHE).is_err());
        assert!(place.current.exists() && !place.old.exists());
        index.close();
        assert_eq!(rows(&Index::open(&place.current, CACHE).unwrap()).len(), 1);
    }

    #[test]
    fn an_index_that_was_fresh_when_it_was_full_is_bloated_when_it_is_empty() {
        let full = Fresh { disk: 650, rows: 350 };
        assert!(!full.is_outgrown(650, 350) && !full.is_outgrown(700, 370));
        assert!(full.is_outgrown(800, 350));
        assert!(
            full.is_outgrown(650, 20),
            "the files are as large as before, the rows are gone"
        );
        assert!(full.is_outgrown(650, 0));
    }

    #[test]
    fn an_index_that_lost_most_of_its_rows_gives_its_disk_back() {
        let dir = tempfile::tempdir().unwrap();
        let index = index(dir.path());
        let row = |n: u32, value: Option<Vec<u8>>| ([b"m", n.to_be_bytes().as_slice()].concat(), value);
        for batch in 0..60 {
            let rows = (0..200).map(|n| row(batch * 200 + n, Some(vec![1; 500])));
            index.apply(&rows.collect(), at(u64::from(batch) + 1)).unwrap();
        }
        index.flush().unwrap();
        assert!(
            !index.is_bloated(16 << 20, true).unwrap(),
            "it holds what it is large of"
        );
        for batch in 0..60 {
            let rows = (0..200).map(|n| row(batch * 200 + n, None));
            index.apply(&rows.collect(), at(u64::from(batch) + 100)).unwrap();
        }
        index.apply(&[row(7, Some(vec![3]))].into(), at(200)).unwrap();
        index.flush().unwrap();
        let above = index.disk_bytes().unwrap() - index.row_bytes() * BLOATED - 1;
        assert!(index.is_bloated(above, true).unwrap());
        assert!(
            !index.is_bloated(above, false).unwrap(),
            "it can wait for a quiet moment"
        );
        let renewed = index.renew(dir.path(), CACHE).unwrap().unwrap();
        assert!(renewed.after * 2 < renewed.before, "{renewed:?}");
        assert!(
            !index.is_bloated(0, true).unwrap(),
            "what was just written is not written again"
        );
        assert_eq!(rows(&index), [row(7, None)].map(|(key, _)| (key, vec![3])));
        let place = Place::new(dir.path());
        assert!(!place.draft.exists() && !place.old.exists());
    }
}
