//! Pages as they lie in sled: rows as they are, or packed.
//!
//! Most of what an index holds was written long ago and is hardly ever looked at again: messages that have ended. So a copy
//! of an index has packed pages, each with the rows of several plain ones, compressed. A packed page that is changed
//! becomes plain pages.
//!
//! A page begins with [`PLAIN`], and its rows follow; or with [`PACKED`], and the number of octets of its rows (u16)
//! follows, then the rows compressed.

use std::sync::{Mutex, PoisonError};

use sled::{Batch, IVec};
use zstd::bulk::{Compressor, Decompressor};

use crate::error::IndexError;
use crate::state::bad_row;

use super::{Growth, HEAD, put};

/// First octet of a page whose rows follow as they are.
pub(super) const PLAIN: u8 = 0;
/// First octet of a page whose rows follow compressed.
const PACKED: u8 = 1;
/// Octets of rows that are packed into a page, about.
const PACKED_PAGE: usize = 4096;
const LEVEL: i32 = 3;

/// Kept from one page to the next, because making one takes longer than its work.
static DECOMPRESSOR: Mutex<Option<Decompressor<'static>>> = Mutex::new(None);

/// The rows of a page.
pub(super) fn rows(own: &[u8], page: &IVec) -> Result<IVec, IndexError> {
    let rows = match page.split_first() {
        Some((&PLAIN, rows)) => Some(page.subslice(1, rows.len())),
        Some((&PACKED, packed)) => unpack(packed).map(IVec::from),
        _ => None,
    };
    // An empty page is removed.
    rows.filter(|rows| !rows.is_empty()).ok_or_else(|| bad_row(own))
}

/// Octets that the rows of a page take when they are not packed; 0 of a damaged page.
pub(super) fn rows_len(page: &[u8]) -> usize {
    match page {
        [PLAIN, rows @ ..] => rows.len(),
        [PACKED, a, b, ..] => usize::from(u16::from_le_bytes([*a, *b])),
        _ => 0,
    }
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let (len, packed) = packed.split_first_chunk()?;
    let len = usize::from(u16::from_le_bytes(*len));
    let mut kept = DECOMPRESSOR.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.is_none() {
        *kept = Decompressor::new().ok();
    }
    let rows = kept.as_mut()?.decompress(packed, len).ok()?;
    (rows.len() == len).then_some(rows)
}

/// Adds packed pages to the batch, with rows in order, all of which come after every row that the tree has. Tells by how
/// many octets that makes it grow.
pub(crate) fn append(rows: &[(IVec, IVec)], batch: &mut Batch) -> Result<Growth, IndexError> {
    let mut compressor = Compressor::new(LEVEL).map_err(|error| IndexError::Files(error.to_string()))?;
    let mut growth = Growth::default();
    let mut page = Vec::with_capacity(2 * PACKED_PAGE);
    let mut rows = rows.iter().peekable();
    while let Some((own, _)) = rows.peek() {
        page.clear();
        page.push(PLAIN);
        let fits = |filled: usize, key: &[u8], value: &[u8]| {
            let len = filled + HEAD + key.len() + value.len();
            filled == 1 || (len <= PACKED_PAGE && key.first() == own.first())
        };
        while let Some((key, value)) = rows.next_if(|(key, value)| fits(page.len(), key, value)) {
            put(&mut page, own, key, value);
        }
        let packed = pack(&mut compressor, &page[1..]);
        let page = packed.as_deref().unwrap_or(&page);
        growth += Growth::of(own, page);
        batch.insert(own, page);
    }
    Ok(growth)
}

/// A packed page, if that is worth it.
fn pack(compressor: &mut Compressor<'_>, rows: &[u8]) -> Option<Vec<u8>> {
    let len = u16::try_from(rows.len()).ok()?;
    let packed = compressor.compress(rows).ok()?;
    let mut page = vec![PACKED];
    page.extend_from_slice(&len.to_le_bytes());
    page.extend_from_slice(&packed);
    (page.len() <= rows.len()).then_some(page)
}
