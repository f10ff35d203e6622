//! Spool segments: a header, then records `[len][crc32c][message 16][part][flags] octets`, then zeros up to the
//! preallocated end. An end mark closes a segment that is followed by another, so that a record lost from its end
//! cannot pass for a segment that ended earlier.

use std::io;
use std::path::Path;

use crate::disk::{Access, Disk, DiskFile};
use crate::layout::{CIPHER_NONE, FORMAT, is_known, spool_path};
use crate::octets::{array_at, put, read_whole, u16_at, u32_at, u64_at};

/// Length of the segment header.
pub(crate) const HEADER: u64 = 64;
/// Length of a record's header.
pub(crate) const RECORD: usize = 28;
/// Octets of a segment that no record can use: the header and the end mark.
pub(crate) const OVERHEAD: u64 = HEADER + RECORD as u64;

const MAGIC: [u8; 8] = *b"RSMEVSPL";
/// Stands in place of a length at the end of a segment.
const END_MARK: u32 = u32::MAX;

/// A place between two records of the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpoolEnd {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
}

/// The first octets of a segment.
pub(crate) fn header(segment: u64) -> [u8; HEADER as usize] {
    let mut octets = [0; HEADER as usize];
    put(&mut octets, 0, &MAGIC);
    put(&mut octets, 12, &FORMAT.to_le_bytes());
    put(&mut octets, 16, &CIPHER_NONE.to_le_bytes());
    // 20..24 is free, 24..40 the key id: zeros as long as there is no cipher.
    put(&mut octets, 40, &segment.to_le_bytes());
    let crc = crc32c::crc32c(&octets[12..]);
    put(&mut octets, 8, &crc.to_le_bytes());
    octets
}

/// Says what is wrong with the header of an open segment, if anything is.
pub(crate) fn check_header(file: &dyn DiskFile, segment: u64) -> io::Result<Result<(), &'static str>> {
    let mut octets = [0; HEADER as usize];
    if !read_whole(file, &mut octets, 0)? {
        return Ok(Err("the file is shorter than its header"));
    }
    Ok(
        if array_at(&octets, 0) != MAGIC || u32_at(&octets, 8) != crc32c::crc32c(&octets[12..]) {
            Err("the header of the spool segment is damaged")
        } else if u64_at(&octets, 40) != segment {
            Err("the spool segment has another number inside")
        } else if !is_known(u32_at(&octets, 12)) || u32_at(&octets, 16) != CIPHER_NONE {
            Err("the spool segment has a format or cipher that this program does not know")
        } else {
            Ok(())
        },
    )
}

/// What stands before the octets of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) len: u32,
    pub(crate) crc: u32,
    pub(crate) message: [u8; 16],
    pub(crate) part: u16,
    pub(crate) flags: u16,
}

impl RecordHeader {
    pub(crate) fn decode(octets: &[u8]) -> Self {
        Self {
            len: u32_at(octets, 0),
            crc: u32_at(octets, 4),
            message: array_at(octets, 8),
            part: u16_at(octets, 24),
            flags: u16_at(octets, 26),
        }
    }

    fn new(len: u32, message: [u8; 16], part: u16, flags: u16, octets: &[u8]) -> Self {
        let mut header = Self {
            len,
            crc: 0,
            message,
            part,
            flags,
        };
        header.crc = header.crc_over(octets);
        header
    }

    fn encode(&self) -> [u8; RECORD] {
        let mut octets = [0; RECORD];
        put(&mut octets, 0, &self.len.to_le_bytes());
        put(&mut octets, 4, &self.crc.to_le_bytes());
        put(&mut octets, 8, &self.message);
        put(&mut octets, 24, &self.part.to_le_bytes());
        put(&mut octets, 26, &self.flags.to_le_bytes());
        octets
    }

    /// The CRC covers the length, the names and the octets.
    pub(crate) fn crc_over(&self, octets: &[u8]) -> u32 {
        let head = self.encode();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&head[..4]), &head[8..]);
        crc32c::crc32c_append(crc, octets)
    }
}

/// Adds a record to the buffer.
pub(crate) fn write(buffer: &mut Vec<u8>, message: [u8; 16], part: u16, flags: u16, len: u32, octets: &[u8]) {
    buffer.extend_from_slice(&RecordHeader::new(len, message, part, flags, octets).encode());
    buffer.extend_from_slice(octets);
}

/// Adds the mark that closes a segment to the buffer.
pub(crate) fn write_end(buffer: &mut Vec<u8>) {
    buffer.extend_from_slice(&RecordHeader::new(END_MARK, [0; 16], 0, 0, &[]).encode());
}

/// Says what is wrong with the records between two places, if anything is.
pub(crate) fn check(disk: &dyn Disk, dir: &Path, from: SpoolEnd, to: SpoolEnd) -> io::Result<Result<(), String>> {
    let mut octets = Vec::new();
    let mut place = from;
    while place != to {
        if place.segment > to.segment || (place.segment == to.segment && place.offset > to.offset) {
            return Ok(Err(format!(
                "spool segment {} has no record that ends at {}",
                to.segment, to.offset
            )));
        }
        let file = match disk.open(&spool_path(dir, place.segment), Access::Read) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Err(format!("spool segment {} is missing", place.segment)));
            }
            Err(error) => return Err(error),
        };
        if let Err(what) = check_header(&*file, place.segment)? {
            return Ok(Err(what.to_owned()));
        }
        let stop = if place.segment == to.segment {
            Some(to.offset)
        } else {
            None
        };
        match check_segment(&*file, place.offset, stop, &mut octets)? {
            Ok(()) => {}
            Err(offset) => {
                return Ok(Err(format!(
                    "the spool record in segment {} at offset {offset} is not whole",
                    place.segment
                )));
            }
        }
        place = match stop {
            Some(_) => to,
            None => SpoolEnd {
                segment: place.segment + 1,
                offset: HEADER,
            },
        };
    }
    Ok(Ok(()))
}

/// Checks records from `offset` to exactly `stop`, or else to the end mark; the inner error is a bad record's offset.
fn check_segment(
    file: &dyn DiskFile,
    mut offset: u64,
    stop: Option<u64>,
    octets: &mut Vec<u8>,
) -> io::Result<Result<(), u64>> {
    let len = file.len()?;
    while stop.is_none_or(|stop| offset < stop) {
        let mut head = [0; RECORD];
        if !read_whole(file, &mut head, offset)? {
            return Ok(Err(offset));
        }
        let header = RecordHeader::decode(&head);
        if header.len == END_MARK {
            let whole = stop.is_none() && header.crc == header.crc_over(&[]);
            return Ok(if whole { Ok(()) } else { Err(offset) });
        }
        let end = offset + RECORD as u64 + u64::from(header.len);
        if end > stop.unwrap_or(len) {
            return Ok(Err(offset));
        }
        octets.resize(header.len as usize, 0);
        if !read_whole(file, octets, offset + RECORD as u64)? || header.crc != header.crc_over(octets) {
            return Ok(Err(offset));
        }
        offset = end;
    }
    Ok(Ok(()))
}
