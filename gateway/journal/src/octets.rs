//! Small tools for octets in files: little-endian fields, whole reads, files as streams.

use std::io::{self, Read, Write};
use std::sync::Arc;

use crate::disk::DiskFile;

pub(crate) fn u16_at(octets: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(octets, at))
}

pub(crate) fn u32_at(octets: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(octets, at))
}

pub(crate) fn u64_at(octets: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(octets, at))
}

/// The `N` octets at a fixed place of a header whose length the caller has made sure of.
pub(crate) fn array_at<const N: usize>(octets: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&octets[at..at + N]);
    array
}

pub(crate) fn put(octets: &mut [u8], at: usize, field: &[u8]) {
    octets[at..at + field.len()].copy_from_slice(field);
}

/// Fills the buffer; `false` if the file ends before.
pub(crate) fn read_whole(file: &dyn DiskFile, buffer: &mut [u8], offset: u64) -> io::Result<bool> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64)? {
            0 => return Ok(false),
            read => done += read,
        }
    }
    Ok(true)
}

/// Whether everything from `offset` to the end of the file is zero.
pub(crate) fn is_zero_from(file: &dyn DiskFile, mut offset: u64) -> io::Result<bool> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read_at(&mut buffer, offset)?;
        if read == 0 {
            return Ok(true);
        }
        if buffer[..read].iter().any(|octet| *octet != 0) {
            return Ok(false);
        }
        offset += read as u64;
    }
}

/// A file read or written from a position onwards.
#[derive(Debug)]
pub(crate) struct Stream {
    file: Arc<dyn DiskFile>,
    position: u64,
}

impl Stream {
    pub(crate) fn new(file: Arc<dyn DiskFile>, position: u64) -> Self {
        Self { file, position }
    }

    pub(crate) fn position(&self) -> u64 {
        self.position
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl Write for Stream {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.file.write_at(octets, self.position)?;
        self.position += octets.len() as u64;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
