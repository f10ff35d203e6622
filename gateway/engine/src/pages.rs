//! Rows in pages: sled keeps about a kilobyte of neighbouring rows under the first one's key.
//!
//! What sled asks for a change, in time and in its log, hardly depends on the size of what is changed, as long as that is
//! small. Most rows are written beside others of the same batch, because keys begin with a family and go on with a
//! time or a sequence number. So a batch that brings sixty messages changes some thirty pages instead of two hundred rows.
//!
//! A page holds rows of one family (first octet of the key), from its own key up to the key of the next page. Splitting
//! keeps that true; a page that has become empty is removed, a small one stays as it is.
//!
//! The octets of its rows are `[shared u8][rest u16][value u32] rest value` for each, in the order of the keys: the key is
//! the first `shared` octets of the page's own key, then `rest`.

mod packed;

use std::cmp::Ordering;
use std::ops::{AddAssign, Bound, Range, SubAssign};

use sled::{Batch, IVec, Tree};

use crate::error::IndexError;
use crate::state::{Overlay, bad_row};

pub(crate) use packed::append;

/// Octets beyond which a page is divided.
const PAGE: usize = 1024;
/// The longest key of a row.
const LONGEST_KEY: usize = 4096;
/// What stands before each row.
const HEAD: usize = 7;

/// The value of a row.
pub(crate) fn get(tree: &Tree, key: &[u8]) -> Result<Option<IVec>, IndexError> {
    let Some((lower, page)) = page_of(tree, key)? else {
        return Ok(None);
    };
    let page = packed::rows(&lower, &page)?;
    let mut rows = Rows::new(&lower, &page);
    while let Some(row) = rows.next()? {
        match row.compare(key) {
            Ordering::Less => {}
            Ordering::Equal => return Ok(Some(page.subslice(rows.at - row.value.len(), row.value.len()))),
            Ordering::Greater => break,
        }
    }
    Ok(None)
}

/// Rows from a key on, in order.
pub(crate) fn from(tree: &Tree, from: &[u8]) -> Result<Scan, IndexError> {
    let first = page_of(tree, from)?.map_or_else(|| IVec::from(from), |(lower, _)| lower);
    Ok(Scan {
        pages: tree.range(first..),
        page: None,
        from: from.to_vec(),
        passed: false,
    })
}

/// By how many octets pages grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Growth {
    /// As they are stored.
    pub(crate) stored: i64,
    /// As they would be if none was packed.
    pub(crate) plain: i64,
}

impl Growth {
    /// What a page occupies.
    fn of(own: &[u8], page: &[u8]) -> Self {
        let octets = |page: usize| i64::try_from(own.len() + page).expect("a page is some kilobytes at most");
        Self {
            stored: octets(page.len()),
            plain: octets(packed::rows_len(page)),
        }
    }
}

impl AddAssign for Growth {
    fn add_assign(&mut self, other: Self) {
        self.stored += other.stored;
        self.plain += other.plain;
    }
}

impl SubAssign for Growth {
    fn sub_assign(&mut self, other: Self) {
        self.stored -= other.stored;
        self.plain -= other.plain;
    }
}

/// Adds to the batch what the changed rows make of their pages. Tells by how many octets they grow.
pub(crate) fn change(tree: &Tree, changes: &Overlay, batch: &mut Batch) -> Result<Growth, IndexError> {
    let changes: Vec<Change<'_>> = changes
        .iter()
        .map(|(key, value)| (key.as_slice(), value.as_deref()))
        .collect();
    let mut rest = changes.as_slice();
    let mut growth = Growth::default();
    let mut buffers = Buffers::default();
    while let Some((first, _)) = rest.first() {
        let page = page_of(tree, first)?;
        let family = rest.partition_point(|(key, _)| key.first() == first.first());
        let end = match family {
            1 => 1,
            _ => match next_page(tree, first)? {
                Some(next) => rest[..family].partition_point(|(key, _)| *key < next.as_ref()),
                None => family,
            },
        };
        let (mine, others) = rest.split_at(end);
        let mut merged = Merged::new(&mut buffers);
        let written = match page {
            Some((own, page)) => {
                growth -= Growth::of(&own, &page);
                let octets = packed::rows(&own, &page)?;
                merged.merge(Rows::new(&own, &octets), mine)?;
                merged.write(Some(&own), batch)
            }
            None => {
                merged.merge(Rows::new(&[], &[]), mine)?;
                merged.write(None, batch)
            }
        };
        growth += written;
        rest = others;
    }
    Ok(growth)
}

/// Whether a page can hold a row with this key: keys of rows begin with a letter and are some hundred octets long at most.
pub(crate) fn can_hold(key: &[u8]) -> bool {
    is_row(key) && key.len() <= LONGEST_KEY
}

/// For the fuzz target `snapshot_row`: octets as a page are read to an end, and a row that a page can hold is found in it.
pub(crate) fn fuzz_body(key: &[u8], value: &[u8]) {
    let page = IVec::from(value);
    if let Ok(octets) = packed::rows(key, &page) {
        assert_eq!(octets.len(), packed::rows_len(&page));
    }
    let mut rows = Rows::new(key, value);
    while let Ok(Some(row)) = rows.next() {
        assert!(row.value.len() < value.len());
    }
    if can_hold(key) {
        let mut page = Vec::new();
        put(&mut page, key, key, value);
        let (row, len) = parse(key, &page).expect("what was written is a row");
        assert!(row.compare(key) == Ordering::Equal && row.value == value && len == page.len());
    }
}

type Change<'c> = (&'c [u8], Option<&'c [u8]>);

/// The page in which a row with this key lies, if it is there: own key and octets.
fn page_of(tree: &Tree, key: &[u8]) -> Result<Option<(IVec, IVec)>, IndexError> {
    let found = tree.range(..=key).next_back().transpose()?;
    Ok(found.filter(|(lower, _)| lower.first() == key.first()))
}

fn next_page(tree: &Tree, key: &[u8]) -> Result<Option<IVec>, IndexError> {
    let after = (Bound::Excluded(key), Bound::Unbounded);
    Ok(tree
        .range::<&[u8], _>(after)
        .next()
        .transpose()?
        .map(|(lower, _)| lower))
}

/// Rows of a page, one after the other.
struct Rows<'p> {
    lower: &'p [u8],
    page: &'p [u8],
    at: usize,
}

/// A row in its page; the key in two pieces.
struct Row<'p> {
    shared: &'p [u8],
    rest: &'p [u8],
    value: &'p [u8],
}

impl<'p> Rows<'p> {
    fn new(lower: &'p [u8], page: &'p [u8]) -> Self {
        Self { lower, page, at: 0 }
    }

    fn next(&mut self) -> Result<Option<Row<'p>>, IndexError> {
        if self.at == self.page.len() {
            return Ok(None);
        }
        let (row, len) = parse(self.lower, &self.page[self.at..]).ok_or_else(|| bad_row(self.lower))?;
        self.at += len;
        Ok(Some(row))
    }
}

/// The first row and what it occupies.
fn parse<'p>(lower: &'p [u8], octets: &'p [u8]) -> Option<(Row<'p>, usize)> {
    let ([shared, a, b, c, d, e, f], octets) = octets.split_first_chunk()?;
    let shared = lower.get(..usize::from(*shared))?;
    let (rest, octets) = octets.split_at_checked(usize::from(u16::from_le_bytes([*a, *b])))?;
    let value = octets.get(..u32::from_le_bytes([*c, *d, *e, *f]) as usize)?;
    let len = HEAD + rest.len() + value.len();
    Some((Row { shared, rest, value }, len))
}

impl Row<'_> {
    fn compare(&self, key: &[u8]) -> Ordering {
        match key.split_at_checked(self.shared.len()) {
            Some((start, rest)) => self.shared.cmp(start).then_with(|| self.rest.cmp(rest)),
            // The shorter one is smaller where they agree.
            None => self.shared.cmp(key),
        }
    }
}

/// Room that serves one page after the other.
#[derive(Default)]
struct Buffers {
    keys: Vec<u8>,
    page: Vec<u8>,
}

/// What a page and changes make together.
struct Merged<'b, 'v> {
    buffers: &'b mut Buffers,
    /// Where each row's key lies in the buffer, and its value.
    rows: Vec<(Range<usize>, &'v [u8])>,
}

impl<'b, 'v> Merged<'b, 'v> {
    fn new(buffers: &'b mut Buffers) -> Self {
        buffers.keys.clear();
        Self {
            buffers,
            rows: Vec::new(),
        }
    }

    fn merge(&mut self, mut page: Rows<'v>, changes: &[Change<'v>]) -> Result<(), IndexError> {
        let mut below = page.next()?;
        for (key, value) in changes {
            while let Some(row) = &below {
                match row.compare(key) {
                    Ordering::Less => self.add(row.shared, row.rest, row.value),
                    Ordering::Equal => {}
                    Ordering::Greater => break,
                }
                below = page.next()?;
            }
            if let Some(value) = value {
                self.add(key, &[], value);
            }
        }
        while let Some(row) = &below {
            self.add(row.shared, row.rest, row.value);
            below = page.next()?;
        }
        Ok(())
    }

    fn add(&mut self, start: &[u8], rest: &[u8], value: &'v [u8]) {
        let keys = &mut self.buffers.keys;
        let at = keys.len();
        keys.extend_from_slice(start);
        keys.extend_from_slice(rest);
        self.rows.push((at..keys.len(), value));
    }

    /// Puts the rows into pages, all of about the same size; the first one keeps the key that it had. Tells what they
    /// occupy.
    fn write(self, own: Option<&[u8]>, batch: &mut Batch) -> Growth {
        let Self {
            buffers: Buffers { keys, page },
            rows,
        } = self;
        let row_size = |(key, value): &(Range<usize>, &[u8])| HEAD + key.len() + value.len();
        let total: usize = rows.iter().map(row_size).sum();
        let wanted = total / total.div_ceil(PAGE).max(1);
        if let (true, Some(own)) = (rows.is_empty(), own) {
            batch.remove(own);
        }
        let mut own = own;
        let mut written = Growth::default();
        let mut rows = rows.iter().peekable();
        while let Some((first, _)) = rows.peek() {
            let own = own.take().unwrap_or(&keys[first.clone()]);
            page.clear();
            page.push(packed::PLAIN);
            let mut filled = 0;
            while let Some(row) = rows.next_if(|row| filled == 0 || filled + row_size(row) / 2 <= wanted) {
                filled += row_size(row);
                put(page, own, &keys[row.0.clone()], row.1);
            }
            written += Growth::of(own, page);
            batch.insert(own, page.as_slice());
        }
        written
    }
}

fn put(page: &mut Vec<u8>, own: &[u8], key: &[u8], value: &[u8]) {
    let shared = own
        .iter()
        .zip(key)
        .take(usize::from(u8::MAX))
        .take_while(|(a, b)| a == b)
        .count();
    let rest = &key[shared..];
    let rest_len = u16::try_from(rest.len()).expect("keys are made of names and numbers, some hundred octets at most");
    let value_len = u32::try_from(value.len()).expect("a row is part of a record, which fits into a journal segment");
    page.push(u8::try_from(shared).expect("at most 255 were taken"));
    page.extend_from_slice(&rest_len.to_le_bytes());
    page.extend_from_slice(&value_len.to_le_bytes());
    page.extend_from_slice(rest);
    page.extend_from_slice(value);
}

/// Rows from a key on.
pub(crate) struct Scan {
    pages: sled::Iter,
    /// The page that is being read, and how far.
    page: Option<(IVec, IVec, usize)>,
    /// Rows before this key are passed over, and with `passed` the row itself. It stays true to what was handed out
    /// when pages are divided meanwhile.
    from: Vec<u8>,
    passed: bool,
}

impl Scan {
    fn step(&mut self) -> Result<Option<(IVec, IVec)>, IndexError> {
        loop {
            let Some((lower, page, at)) = &mut self.page else {
                let Some((lower, page)) = self.pages.next().transpose()? else {
                    return Ok(None);
                };
                if is_row(&lower) {
                    let rows = packed::rows(&lower, &page)?;
                    self.page = Some((lower, rows, 0));
                }
                continue;
            };
            let mut rows = Rows { lower, page, at: *at };
            let Some(row) = rows.next()? else {
                self.page = None;
                continue;
            };
            let end = rows.at;
            *at = end;
            let wanted = match row.compare(&self.from) {
                Ordering::Less => false,
                Ordering::Equal => !self.passed,
                Ordering::Greater => true,
            };
            if wanted {
                self.from.clear();
                self.from.extend_from_slice(row.shared);
                self.from.extend_from_slice(row.rest);
                self.passed = true;
                let value = page.subslice(end - row.value.len(), row.value.len());
                return Ok(Some((IVec::from(self.from.as_slice()), value)));
            }
        }
    }
}

impl Iterator for Scan {
    type Item = Result<(IVec, IVec), IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step().transpose()
    }
}

/// Whether a key of the tree belongs to rows, and not to what the index says about itself.
fn is_row(key: &[u8]) -> bool {
    key.first().is_some_and(|family| *family != 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn tree() -> (tempfile::TempDir, sled::Db) {
        let dir = tempfile::tempdir().unwrap();
        let db = sled::Config::new().path(dir.path()).open().unwrap();
        (dir, db)
    }

    fn apply(tree: &Tree, changes: &Overlay) {
        let mut batch = Batch::default();
        let mut grown = occupied(tree);
        grown += change(tree, changes, &mut batch).unwrap();
        tree.apply_batch(batch).unwrap();
        assert_eq!(occupied(tree), grown);
    }

    fn occupied(tree: &Tree) -> Growth {
        let mut occupied = Growth::default();
        for (own, page) in tree.iter().map(Result::unwrap).filter(|(own, _)| is_row(own)) {
            occupied += Growth::of(&own, &page);
        }
        occupied
    }

    /// A tree with the same rows, in packed pages.
    fn repacked(old: &Tree) -> (tempfile::TempDir, sled::Db) {
        let (dir, db) = tree();
        db.insert(b"\0about", b"the index itself").unwrap();
        let rows: Vec<_> = from(old, &[]).unwrap().map(Result::unwrap).collect();
        let mut grown = Growth::default();
        for some in rows.chunks(7) {
            let mut batch = Batch::default();
            grown += append(some, &mut batch).unwrap();
            db.apply_batch(batch).unwrap();
        }
        assert_eq!(occupied(&db), grown);
        (dir, db)
    }

    fn rows(tree: &Tree, start: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let scan = from(tree, start).unwrap();
        scan.map(|row| row.unwrap())
            .map(|(k, v)| (k.to_vec(), v.to_vec()))
            .collect()
    }

    fn key() -> impl Strategy<Value = Vec<u8>> {
        (b'a'..b'd', proptest::collection::vec(0..4_u8, 0..6)).prop_map(|(family, rest)| {
            let mut key = vec![family];
            key.extend(rest);
            key
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn pages_hold_what_a_map_holds(
            batches in proptest::collection::vec(
                proptest::collection::btree_map(key(), proptest::option::weighted(0.7, 0..600_usize), 0..40),
                1..20,
            )
        ) {
            let (mut _dir, mut db) = tree();
            db.insert(b"\0about", b"the index itself").unwrap();
            let mut model = BTreeMap::new();
            for (number, batch) in batches.into_iter().enumerate() {
                if number % 4 == 3 {
                    (_dir, db) = repacked(&db);
                }
                let changes: Overlay =
                    batch.into_iter().map(|(key, len)| (key, len.map(|len| vec![7; len]))).collect();
                apply(&db, &changes);
                for (key, value) in changes {
                    match value {
                        Some(value) => model.insert(key, value),
                        None => model.remove(&key),
                    };
                }
                let all: Vec<_> = model.clone().into_iter().collect();
                prop_assert_eq!(rows(&db, b"a"), all);
            }
            for (key, value) in &model {
                prop_assert_eq!(get(&db, key).unwrap(), Some(IVec::from(value.as_slice())));
                let after: Vec<_> = model.range(key.clone()..).map(|(k, v)| (k.clone(), v.clone())).collect();
                prop_assert_eq!(rows(&db, key), after);
                let mut other = key.clone();
                other.push(9);
                prop_assert_eq!(get(&db, &other).unwrap(), None);
            }
            let none: Overlay = model.into_keys().map(|key| (key, None)).collect();
            apply(&db, &none);
            prop_assert_eq!(db.len(), 1);
        }
    }

    #[test]
    fn neighbours_share_pages_of_about_a_kilobyte() {
        let (_dir, db) = tree();
        for batch in 0..20_u64 {
            let rows = (0..64).map(|n| {
                (
                    [b"m", (batch * 64 + n).to_be_bytes().as_slice()].concat(),
                    Some(vec![1; 120]),
                )
            });
            apply(&db, &rows.collect());
        }
        assert!(db.len() < 20 * 64 / 5, "{} pages", db.len());
        assert!(db.iter().values().all(|page| page.unwrap().len() <= 2 * PAGE));
        assert_eq!(rows(&db, b"m").len(), 20 * 64);
    }

    #[test]
    fn packed_pages_take_much_less_until_they_are_changed() {
        let (_dir, db) = tree();
        let row = |n: u32, value: &str| {
            (
                [b"m", n.to_be_bytes().as_slice()].concat(),
                Some(value.as_bytes().to_vec()),
            )
        };
        let text = "CONSUMER1 PROVIDER1 urn://packed/pages";
        for batch in 0..20 {
            apply(&db, &(0..50).map(|n| row(batch * 50 + n, text)).collect());
        }
        let (_dir, packed) = repacked(&db);
        let all = rows(&db, b"m");
        assert_eq!(rows(&packed, b"m"), all);
        let (before, after) = (occupied(&db), occupied(&packed));
        assert!(after.stored * 2 < before.stored, "{after:?}, {before:?}");
        assert!(after.plain * 10 > before.plain * 9 && after.plain > after.stored);
        apply(&packed, &(0..1000).step_by(2).map(|n| row(n, text)).collect());
        assert_eq!(rows(&packed, b"m"), all);
        assert!(
            occupied(&packed).stored * 10 > before.stored * 9,
            "they are plain again"
        );
    }

    #[test]
    fn a_scan_goes_on_when_its_page_is_divided_meanwhile() {
        let (_dir, db) = tree();
        let row = |n: u8| (vec![b'm', n], Some(vec![n; 200]));
        apply(&db, &(0..4).map(row).collect());
        let mut scan = from(&db, b"m").unwrap();
        assert_eq!(scan.next().unwrap().unwrap().0, [b'm', 0]);
        apply(&db, &(4..40).map(row).collect());
        let rest: Vec<u8> = scan.map(|row| row.unwrap().0[1]).collect();
        assert!(rest.windows(2).all(|pair| pair[0] < pair[1]), "{rest:?}");
        assert!(rest.starts_with(&[1, 2, 3]));
    }

    #[test]
    fn a_damaged_page_is_an_error() {
        let (_dir, db) = tree();
        apply(&db, &[(b"ma".to_vec(), Some(vec![1; 9]))].into());
        let page = db.get(b"ma").unwrap().unwrap();
        for len in 1..page.len() {
            db.insert(b"ma", &page[..len]).unwrap();
            assert!(get(&db, b"ma").is_err());
            assert!(from(&db, b"m").unwrap().next().unwrap().is_err());
        }
    }

    #[test]
    fn a_damaged_packed_page_is_an_error() {
        let (_dir, db) = tree();
        let row = |n: u8| (IVec::from([b'm', n].as_slice()), IVec::from([7; 99].as_slice()));
        let mut batch = Batch::default();
        append(&(0..9).map(row).collect::<Vec<_>>(), &mut batch).unwrap();
        db.apply_batch(batch).unwrap();
        let (own, page) = db.first().unwrap().unwrap();
        assert!(page.len() < 200, "it is packed");
        for len in 0..page.len() {
            db.insert(&own, &page[..len]).unwrap();
            assert!(get(&db, &[b'm', 3]).is_err());
        }
        for at in 0..3 {
            let mut damaged = page.to_vec();
            damaged[at] ^= 0xff;
            db.insert(&own, damaged).unwrap();
            assert!(get(&db, &[b'm', 3]).is_err());
        }
    }
}
