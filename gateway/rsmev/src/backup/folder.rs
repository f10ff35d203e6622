//! The folder of backups: what lies in it, and files that come into it or leave it for good.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use streebog::{Digest as _, Streebog256};

use super::manifest::{self, Manifest};
use super::root::{Owner, Root};
use crate::failure::Failure;

/// Octets that are copied at once.
const PIECE: usize = 1 << 20;
/// Bound of a manifest in octets: a file takes some three hundred.
const MANIFEST: u64 = 256 << 20;
/// Bound of a signature in octets.
const SIGNATURE: u64 = 4096;

/// A folder with backups.
pub(super) struct Folder {
    pub(super) root: Root,
}

/// A manifest as it lies in the folder.
pub(super) struct Found {
    pub(super) manifest: Manifest,
    /// Of its octets, hexadecimal.
    pub(super) digest: String,
    pub(super) signature: String,
}

impl Folder {
    pub(super) fn open(dir: &Path) -> Result<Self, Failure> {
        let root = Root::open(dir).map_err(|error| Failure::file(dir, error))?;
        Ok(Self { root })
    }

    /// A place in the folder, for messages and for reading what was checked.
    pub(super) fn path(&self, place: &str) -> PathBuf {
        self.root.path(place)
    }

    /// Numbers of the backups that have a manifest, in order.
    pub(super) fn numbers(&self) -> Result<Vec<u64>, Failure> {
        self.numbered("manifest-", ".json")
    }

    /// Numbers of the sets of files, in order.
    pub(super) fn sets(&self) -> Result<Vec<u64>, Failure> {
        self.numbered("set-", "")
    }

    fn numbered(&self, before: &str, after: &str) -> Result<Vec<u64>, Failure> {
        let listed = self
            .root
            .list("")
            .map_err(|error| Failure::file(&self.path(""), error))?;
        let number = |name: &str| name.strip_prefix(before)?.strip_suffix(after)?.parse().ok();
        let mut numbers: Vec<u64> = listed.iter().filter_map(|entry| number(&entry.name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads a backup's manifest; the newest one's if no number is given.
    pub(super) fn manifest(&self, number: Option<u64>) -> Result<Found, Failure> {
        let number = match number {
            Some(number) => number,
            None => self.numbers()?.pop().ok_or_else(|| {
                Failure::refused(format!(
                    "{}: there is no backup in this folder",
                    self.path("").display()
                ))
            })?,
        };
        let name = manifest_name(number);
        let path = self.path(&name);
        let octets = self
            .root
            .read_small(&name, MANIFEST)
            .map_err(|error| Failure::file(&path, error))?;
        let manifest = Manifest::parse(&octets).map_err(|error| Failure::file(&path, error))?;
        if manifest.number != number {
            return Err(Failure::file(&path, "it is that of another backup"));
        }
        let name = signature_name(number);
        let signature = self.root.read_small(&name, SIGNATURE);
        let signature = signature.and_then(|octets| String::from_utf8(octets).map_err(io::Error::other));
        Ok(Found {
            manifest,
            digest: manifest::digest(&octets),
            signature: signature.map_err(|error| Failure::file(&self.path(&name), error))?,
        })
    }
}

pub(super) fn manifest_name(number: u64) -> String {
    format!("manifest-{number:08}.json")
}

pub(super) fn signature_name(number: u64) -> String {
    format!("manifest-{number:08}.sig")
}

pub(super) fn set_name(number: u64) -> String {
    format!("set-{number:08}")
}

/// How much of a file is copied, in octets.
#[derive(Debug, Clone, Copy)]
pub(super) enum Extent {
    /// Its beginning: it grows.
    First(u64),
    /// All of it.
    Whole(u64),
}

/// Copies the first octets of an open file to a place, durably but for the name; returns their digest in hexadecimal. `from`
/// names the file for messages; `each` is called now and then.
pub(super) fn copy(
    source: File,
    from: &Path,
    (root, place): (&Root, &str),
    extent: Extent,
    owner: Owner,
    each: &mut dyn FnMut() -> Result<(), Failure>,
) -> Result<String, Failure> {
    let (Extent::First(bytes) | Extent::Whole(bytes)) = extent;
    let to = root.path(place);
    let mut source = source.take(bytes);
    let mut target = root.create(place, owner).map_err(|error| Failure::file(&to, error))?;
    let (mut hash, mut piece, mut copied) = (Streebog256::new(), vec![0; PIECE], 0);
    loop {
        match source.read(&mut piece).map_err(|error| Failure::file(from, error))? {
            0 => break,
            read => {
                hash.update(&piece[..read]);
                target
                    .write_all(&piece[..read])
                    .map_err(|error| Failure::file(&to, error))?;
                copied += read as u64;
            }
        }
        each()?;
    }
    let mut source = source.into_inner();
    let more = source.read(&mut piece).map_err(|error| Failure::file(from, error))?;
    if more > 0 && matches!(extent, Extent::Whole(_)) {
        return Err(Failure::file(
            from,
            format!("it was replaced by a longer one than {bytes} octets meanwhile"),
        ));
    }
    if copied != bytes {
        return Err(Failure::file(from, format!("it ends after {copied} of {bytes} octets")));
    }
    target.sync_all().map_err(|error| Failure::file(&to, error))?;
    Ok(hex::encode(hash.finalize()))
}

/// Digest and length of what lies at a place, the former in hexadecimal; `each` is called now and then.
pub(super) fn digest_of(
    root: &Root,
    place: &str,
    each: &mut dyn FnMut() -> Result<(), Failure>,
) -> Result<(String, u64), Failure> {
    let failed = |error| Failure::file(&root.path(place), error);
    let mut file = root.read(place).map_err(failed)?;
    let (mut hash, mut piece, mut bytes) = (Streebog256::new(), vec![0; PIECE], 0);
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok((hex::encode(hash.finalize()), bytes)),
            read => {
                hash.update(&piece[..read]);
                bytes += read as u64;
            }
        }
        each()?;
    }
}

/// Puts a small file in its place in one step, durably.
pub(super) fn put(root: &Root, name: &str, text: &[u8], owner: Owner) -> Result<(), Failure> {
    let draft = format!("{name}.tmp");
    let write = || {
        match root.remove(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = root.create(&draft, owner)?;
        file.write_all(text)?;
        file.sync_all()?;
        root.rename(&draft, name)?;
        root.sync("")
    };
    write().map_err(|error| Failure::file(&root.path(name), error))
}
