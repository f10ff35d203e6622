//! The live journal segment: a header, then one frame for each batch, then zeros up to the preallocated end.
//!
//! A frame says how far the segment was durable when it was written (`durable`). That makes the difference between an
//! end torn by a crash and damage: whatever is broken before the `durable` of a later whole frame was once synced, so
//! that no crash explains it.

use std::io;

use crate::disk::DiskFile;
use crate::layout::{CIPHER_NONE, FORMAT, is_known};
use crate::octets::{array_at, put, read_whole, u32_at, u64_at};
use crate::record::Digest;
use crate::spool::SpoolEnd;

/// Length of the segment header.
pub(crate) const HEADER: u64 = 128;
/// Length of a frame's header.
pub(crate) const FRAME: usize = 56;

const SEGMENT_MAGIC: [u8; 8] = *b"RSMEVJRN";
/// No JSON text contains it, because 0xFF is no octet of UTF-8.
const FRAME_MAGIC: [u8; 8] = [0xFF, b'R', b'S', b'M', b'B', b'A', b'T', 0xFE];
const RELAXED: u32 = 1;

/// What the first octets of a live segment say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) first_seq: u64,
    /// Digest of the record before the first.
    pub(crate) prev: Digest,
    /// Where the spool ended when the segment began.
    pub(crate) spool: SpoolEnd,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; HEADER as usize] {
        let mut octets = [0; HEADER as usize];
        put(&mut octets, 0, &SEGMENT_MAGIC);
        put(&mut octets, 12, &FORMAT.to_le_bytes());
        put(&mut octets, 16, &CIPHER_NONE.to_le_bytes());
        // 20..24 is free, 24..40 the key id: zeros as long as there is no cipher.
        put(&mut octets, 40, &self.first_seq.to_le_bytes());
        put(&mut octets, 48, &self.prev);
        put(&mut octets, 80, &self.spool.segment.to_le_bytes());
        put(&mut octets, 88, &self.spool.offset.to_le_bytes());
        let crc = crc32c::crc32c(&octets[12..]);
        put(&mut octets, 8, &crc.to_le_bytes());
        octets
    }

    /// Reads the header of an open segment; the inner error says what is wrong with it.
    pub(crate) fn read(file: &dyn DiskFile) -> io::Result<Result<Self, &'static str>> {
        let mut octets = [0; HEADER as usize];
        if !read_whole(file, &mut octets, 0)? {
            return Ok(Err("the file is shorter than its header"));
        }
        if array_at(&octets, 0) != SEGMENT_MAGIC {
            return Ok(Err("the file does not begin like a journal segment"));
        }
        if u32_at(&octets, 8) != crc32c::crc32c(&octets[12..]) {
            return Ok(Err("the CRC of the segment header is wrong"));
        }
        if !is_known(u32_at(&octets, 12)) || u32_at(&octets, 16) != CIPHER_NONE {
            return Ok(Err(
                "the segment has a format or cipher that this program does not know",
            ));
        }
        Ok(Ok(Self {
            first_seq: u64_at(&octets, 40),
            prev: array_at(&octets, 48),
            spool: SpoolEnd {
                segment: u64_at(&octets, 80),
                offset: u64_at(&octets, 88),
            },
        }))
    }
}

/// What stands before the records of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) payload: u32,
    pub(crate) records: u32,
    /// The batch was not synced by itself.
    pub(crate) relaxed: bool,
    pub(crate) first_seq: u64,
    /// How far the segment was durable when the frame was written.
    pub(crate) durable: u64,
    /// Where the spool ends with this batch.
    pub(crate) spool: SpoolEnd,
}

impl FrameHeader {
    /// Fills in the header at the beginning of a buffer that holds the payload after it.
    pub(crate) fn encode_into(&self, frame: &mut [u8]) {
        put(frame, 0, &FRAME_MAGIC);
        put(frame, 12, &self.payload.to_le_bytes());
        put(frame, 16, &self.records.to_le_bytes());
        put(frame, 20, &if self.relaxed { RELAXED } else { 0 }.to_le_bytes());
        put(frame, 24, &self.first_seq.to_le_bytes());
        put(frame, 32, &self.durable.to_le_bytes());
        put(frame, 40, &self.spool.segment.to_le_bytes());
        put(frame, 48, &self.spool.offset.to_le_bytes());
        let crc = crc32c::crc32c(&frame[12..FRAME + self.payload as usize]);
        put(frame, 8, &crc.to_le_bytes());
    }

    fn decode(octets: &[u8; FRAME]) -> Self {
        Self {
            payload: u32_at(octets, 12),
            records: u32_at(octets, 16),
            relaxed: u32_at(octets, 20) & RELAXED != 0,
            first_seq: u64_at(octets, 24),
            durable: u64_at(octets, 32),
            spool: SpoolEnd {
                segment: u64_at(octets, 40),
                offset: u64_at(octets, 48),
            },
        }
    }

    /// Octets that the frame takes in the file.
    pub(crate) fn span(&self) -> u64 {
        span(FRAME + self.payload as usize)
    }
}

/// Frames begin at multiples of eight, so that they can be looked for.
pub(crate) fn span(octets: usize) -> u64 {
    (octets as u64).next_multiple_of(8)
}

/// What lies at an offset of a live segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    Frame(FrameHeader),
    /// Zeros where a frame would begin, or the end of the file.
    Nothing,
    /// Not a whole frame; the number of records, if the header can still be believed to say it.
    Broken(&'static str, Option<u32>),
}

/// Reads the frame at `offset`, its records into `payload`.
pub(crate) fn read(file: &dyn DiskFile, offset: u64, len: u64, payload: &mut Vec<u8>) -> io::Result<Found> {
    let mut octets = [0; FRAME];
    if offset + FRAME as u64 > len || !read_whole(file, &mut octets, offset)? {
        return Ok(Found::Nothing);
    }
    if octets[..8] == [0; 8] {
        return Ok(Found::Nothing);
    }
    if octets[..8] != FRAME_MAGIC {
        return Ok(Found::Broken("no batch begins here", None));
    }
    let header = FrameHeader::decode(&octets);
    if u64::from(header.payload) > len - offset - FRAME as u64 {
        return Ok(Found::Broken("the batch reaches beyond the end of the file", None));
    }
    payload.resize(header.payload as usize, 0);
    if !read_whole(file, payload, offset + FRAME as u64)? {
        return Ok(Found::Broken("the batch reaches beyond the end of the file", None));
    }
    if u32_at(&octets, 8) != crc32c::crc32c_append(crc32c::crc32c(&octets[12..]), payload) {
        return Ok(Found::Broken("the CRC of the batch is wrong", Some(header.records)));
    }
    Ok(Found::Frame(header))
}

/// The first place from `place` on where a frame may begin.
pub(crate) fn next_magic(file: &dyn DiskFile, place: u64, len: u64) -> io::Result<Option<u64>> {
    let mut buffer = vec![0; 1 << 18];
    let mut offset = place.next_multiple_of(8);
    while offset < len {
        let want = buffer.len().min(usize::try_from(len - offset).unwrap_or(buffer.len()));
        if !read_whole(file, &mut buffer[..want], offset)? {
            break;
        }
        if let Some(word) = buffer[..want].chunks(8).position(|word| word == FRAME_MAGIC) {
            return Ok(Some(offset + 8 * word as u64));
        }
        offset += want as u64;
    }
    Ok(None)
}

/// What follows a place where no whole frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    /// Zeros to the end of the file: nothing was written there.
    Zeros,
    /// The remains of writes that were never synced.
    Torn,
    /// A whole frame, at this offset, that was written after the place had been synced.
    Later(u64),
}

/// Looks at everything from `place` to the end of the file.
pub(crate) fn rest(file: &dyn DiskFile, place: u64, len: u64) -> io::Result<Rest> {
    let mut buffer = vec![0; 1 << 18];
    let mut payload = Vec::new();
    let mut zeros = true;
    let mut offset = place;
    while offset < len {
        let want = buffer.len().min(usize::try_from(len - offset).unwrap_or(buffer.len()));
        if !read_whole(file, &mut buffer[..want], offset)? {
            break;
        }
        for (index, word) in buffer[..want].chunks(8).enumerate() {
            zeros &= word.iter().all(|octet| *octet == 0);
            let at = offset + 8 * index as u64;
            if at > place
                && word == FRAME_MAGIC
                && let Found::Frame(header) = read(file, at, len, &mut payload)?
                && header.durable > place
            {
                return Ok(Rest::Later(at));
            }
        }
        offset += want as u64;
    }
    Ok(if zeros { Rest::Zeros } else { Rest::Torn })
}
