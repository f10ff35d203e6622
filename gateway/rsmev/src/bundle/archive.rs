//! The bundle's form: a tar of small texts (POSIX.1-1988 ustar, regular files only), compressed with zstd.

use std::io::{self, Write};

use jiff::Timestamp;

const BLOCK: usize = 512;
/// Compression of texts that are read once.
const LEVEL: i32 = 6;

/// Writes files one after the other.
pub(super) struct Archive<W: Write> {
    to: zstd::Encoder<'static, W>,
    folder: String,
    at: u64,
}

impl<W: Write> Archive<W> {
    /// An archive whose files lie in one folder and have one time.
    pub(super) fn new(to: W, folder: String, at: Timestamp) -> io::Result<Self> {
        Ok(Self {
            to: zstd::Encoder::new(to, LEVEL)?,
            folder,
            at: u64::try_from(at.as_second()).unwrap_or(0),
        })
    }

    /// Adds a file.
    pub(super) fn file(&mut self, name: &str, text: &str) -> io::Result<()> {
        let name = format!("{}/{name}", self.folder);
        self.to.write_all(&header(&name, text.len() as u64, self.at)?)?;
        self.to.write_all(text.as_bytes())?;
        let rest = text.len() % BLOCK;
        if rest > 0 {
            self.to.write_all(&[0; BLOCK][rest..])?;
        }
        Ok(())
    }

    /// Ends it.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.to.write_all(&[0; 2 * BLOCK])?;
        self.to.finish()
    }
}

fn header(name: &str, size: u64, at: u64) -> io::Result<[u8; BLOCK]> {
    let mut header = [0; BLOCK];
    let mut put = |from: usize, width: usize, field: &str| {
        let octets = field.as_bytes();
        match octets.len() <= width {
            true => {
                header[from..from + octets.len()].copy_from_slice(octets);
                Ok(())
            }
            false => Err(io::Error::other(format!("{field:?} does not fit into a tar header"))),
        }
    };
    put(0, 99, name)?;
    put(100, 8, "0000600")?;
    put(108, 8, "0000000")?;
    put(116, 8, "0000000")?;
    put(124, 11, &format!("{size:011o}"))?;
    put(136, 11, &format!("{at:011o}"))?;
    // The sum is taken with spaces in its own place.
    put(148, 8, "        ")?;
    put(156, 1, "0")?;
    put(257, 6, "ustar")?;
    put(263, 2, "00")?;
    let sum: u32 = header.iter().map(|octet| u32::from(*octet)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_has_the_sum_of_its_octets() {
        let header = header("folder/a.txt", 5, 1_700_000_000).unwrap();
        assert_eq!(&header[..13], b"folder/a.txt\0");
        assert_eq!(&header[124..136], b"00000000005\0");
        assert_eq!(&header[257..265], b"ustar\x0000");
        let written = u32::from_str_radix(std::str::from_utf8(&header[148..154]).unwrap(), 8).unwrap();
        let others = header[..148].iter().chain(&header[156..]);
        let sum = others.map(|octet| u32::from(*octet)).sum::<u32>() + 8 * 32;
        assert_eq!(written, sum);
        assert!(super::header(&"a".repeat(100), 1, 1).is_err());
    }

    #[test]
    fn files_are_padded_to_blocks() {
        let mut archive = Archive::new(Vec::new(), "f".to_owned(), Timestamp::UNIX_EPOCH).unwrap();
        archive.file("empty", "").unwrap();
        archive.file("one", "x").unwrap();
        let octets = zstd::decode_all(&archive.finish().unwrap()[..]).unwrap();
        assert_eq!(octets.len(), (1 + 2 + 2) * BLOCK);
        assert_eq!(octets[2 * BLOCK], b'x');
    }
}
