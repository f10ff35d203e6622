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
/// While there is much to do, files are put up with that are so many times as large as in a quiet moment.
const BUSY: u64 = 4;
/// What a freshly written index takes of the disk for a thousand octets of rows, as long as it was not measured: packed
/// pages take a third of them, and sled nearly twice of that.
const USUAL: Fresh = Fresh(600);
/// What it takes at most, if nothing can be packed.
const MOST: Fresh = Fresh(2000);
/// Octets that sled takes for nothing.
const EMPTY: u64 = 2 << 20;

/// How long copying rests between two chunks at least, so that the writer gets its turn: the lock is not a fair one.
const PAUSE: Duration = Duration::from_millis(1);
/// After a renewal that came to nothing the next one is not tried sooner.
const REST: Duration = Duration::from_secs(600);
/// After a renewal so many times its duration passes before the next one.
const SHARE: u32 = 10;

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

/// What a freshly written index takes of the disk for a thousand octets of rows that are not packed.
#[derive(Debug, Clone, Copy)]
struct Fresh(u64);

impl Fresh {
    fn measured(disk: u64, plain: u64) -> Self {
        match plain {
            0 => USUAL,
            plain => Self((disk.saturating_sub(EMPTY).saturating_mul(1000) / plain).min(MOST.0)),
        }
    }

    /// The disk that so many octets of rows would take.
    fn expected(self, plain: u64) -> u64 {
        plain.saturating_mul(self.0) / 1000
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
    /// Whether the files are so large that they should be written anew: by a fifth larger than a fresh index with these
    /// rows, and some more. sled leaves segments alone of which half is in use, so that a copy takes nearly twice of what
    /// it holds, too. While there is much to do, several times as much is put up with: the writer waits while the copy is
    /// opened in its place.
    pub(crate) fn is_bloated(&self, above: u64, quiet: bool) -> Result<bool, IndexError> {
        let renewals = self.renewals();
        if renewals.rest.is_some_and(|until| Instant::now() < until) {
            return Ok(false);
        }
        let expected = renewals.fresh.unwrap_or(USUAL).expected(self.plain_bytes());
        let limit = above.saturating_add(expected + expected / 5);
        let limit = if quiet { limit } else { limit.saturating_mul(BUSY) };
        Ok(self.disk_bytes()? > limit)
    }

    /// Octets that a renewal may take beside the index.
    pub(crate) fn renewal_bytes(&self) -> u64 {
        EMPTY + MOST.expected(self.plain_bytes())
    }

    /// Writes the index anew; `None` if it was told to give up.
    pub(crate) fn renew(&self, data_dir: &Path, cache_bytes: u64) -> Result<Option<Renewed>, IndexError> {
        let place = Place::new(data_dir);
        let since = Instant::now();
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
        let mut renewals = self.renewals();
        renewals.fresh = Some(Fresh::measured(after, self.plain_bytes()));
        renewals.rest = Some(Instant::now() + since.elapsed() * SHARE);
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
        copy.draft.append(&rows, None)?;
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

    /// Puts the whole copy in the place of the index; nothing is applied meanwhile, and who reads goes on with the old
    /// one. If that fails, the index goes on as it was.
    fn take_place(&self, place: &Place, cache_bytes: u64) -> Result<bool, IndexError> {
        let mut guard = self.copy();
        let Some(Copy { draft, .. }) = guard.take() else {
            return Ok(false);
        };
        let closed = || {
            self.db
                .read()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .is_none()
        };
        if self.damage().is_some() || closed() {
            return Ok(false);
        }
        let position = self
            .position()?
            .ok_or_else(|| IndexError::Files("the index has no position".to_owned()))?;
        draft.write(&Overlay::new(), Some(position))?;
        draft.flush()?;
        drop(draft);
        let fresh = place.swap(cache_bytes)?;
        if let Some(why) = self.damage() {
            // The mark went away with the old folder.
            self.mark_doubted(why);
        }
        let mut db = self.db.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if db.is_none() {
            return Ok(false);
        }
        // Its pages are filled otherwise.
        self.row_bytes.store(fresh.row_bytes(), Ordering::Relaxed);
        self.plain_bytes.store(fresh.plain_bytes(), Ordering::Relaxed);
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
    fn what_a_fresh_index_took_tells_what_another_would() {
        const MB: u64 = 1 << 20;
        let measured = Fresh::measured(62 * MB, 100 * MB);
        assert_eq!(measured.expected(100 * MB), 60 * MB);
        assert_eq!(
            measured.expected(10 * MB),
            6 * MB,
            "the files of a full one, and most rows are gone"
        );
        assert_eq!(measured.expected(0), 0);
        // A nearly empty one says nothing about a full one.
        let empty = Fresh::measured(MB, 1000);
        assert_eq!(empty.expected(100 * MB), 0);
        assert_eq!(Fresh::measured(10 * MB, 1000).expected(MB), 2 * MB);
        assert_eq!(Fresh::measured(MB, 0).expected(1000), USUAL.expected(1000));
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
        let above = index.disk_bytes().unwrap() - index.plain_bytes() * 2 - 1;
        assert!(index.is_bloated(above, true).unwrap());
        assert!(
            !index.is_bloated(above, false).unwrap(),
            "it can wait for a quiet moment"
        );
        let renewed = index.renew(dir.path(), CACHE).unwrap().unwrap();
        assert!(renewed.after * 2 < renewed.before, "{renewed:?}");
        assert!(
            !index.is_bloated(0, true).unwrap(),
            "what was just written is not written again at once"
        );
        index.renewals().rest = None;
        assert!(!index.is_bloated(renewed.after, true).unwrap());
        assert_eq!(rows(&index), [row(7, None)].map(|(key, _)| (key, vec![3])));
        let place = Place::new(dir.path());
        assert!(!place.draft.exists() && !place.old.exists());
    }

    #[test]
    fn a_renewed_index_takes_much_less_of_the_disk_and_is_read_and_changed_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let index = index(dir.path());
        let row = |n: u32, end: &str| {
            let value = format!("CONSUMER{} PROVIDER{} kind-{} {end}", n % 8, n % 8, n % 3);
            ([b"m", n.to_be_bytes().as_slice()].concat(), Some(value.into_bytes()))
        };
        const ROWS: u32 = 60_000;
        for batch in 0..ROWS / 200 {
            let rows = (0..200).map(|n| row(batch * 200 + n, "waits"));
            index.apply(&rows.collect(), at(u64::from(batch) + 1)).unwrap();
        }
        let before = rows(&index);
        let plain = index.row_bytes();
        assert!(index.plain_bytes() * 100 > plain * 99, "none is packed yet");
        let renewed = index.renew(dir.path(), CACHE).unwrap().unwrap();
        assert!(renewed.after * 2 < renewed.before, "{renewed:?}");
        assert!(index.row_bytes() * 2 < plain);
        assert_eq!(rows(&index), before);
        for n in (0..ROWS).step_by(997) {
            index.apply(&[row(n, "ended")].into(), at(u64::from(n) + 1000)).unwrap();
        }
        for n in 0..ROWS {
            let (key, value) = row(n, if n % 997 == 0 { "ended" } else { "waits" });
            assert_eq!(index.get(&key).unwrap().map(|value| value.to_vec()), value);
        }
    }
}
