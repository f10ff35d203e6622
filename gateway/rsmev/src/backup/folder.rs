//! The folder of backups: what lies in it, and files that come into it or leave it for good.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use streebog::{Digest as _, Streebog256};

use super::manifest::{self, Manifest};
use crate::failure::Failure;

/// Octets that are copied at once.
const PIECE: usize = 1 << 20;

/// A folder with backups.
pub(super) struct Folder {
    dir: PathBuf,
}

/// A manifest as it lies in the folder.
pub(super) struct Found {
    pub(super) manifest: Manifest,
    /// Of its octets, hexadecimal.
    pub(super) digest: String,
    pub(super) signature: String,
}

/// Owner and group that what is made is given to, if we are root.
#[derive(Clone, Copy)]
pub(super) struct Owner(Option<(u32, u32)>);

impl Owner {
    /// The owner of a file or folder.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        let root = nix::unistd::geteuid().is_root();
        Ok(Self(root.then(|| (metadata.uid(), metadata.gid()))))
    }

    pub(super) fn give(self, path: &Path) -> io::Result<()> {
        match self.0 {
            Some((user, group)) => std::os::unix::fs::chown(path, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

impl Folder {
    pub(super) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    pub(super) fn path(&self, place: &str) -> PathBuf {
        self.dir.join(place)
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
        let listed = fs::read_dir(&self.dir).map_err(|error| Failure::file(&self.dir, error))?;
        let mut numbers = Vec::new();
        for entry in listed {
            let name = entry.map_err(|error| Failure::file(&self.dir, error))?.file_name();
            let number: Option<u64> = name
                .to_str()
                .and_then(|name| name.strip_prefix(before)?.strip_suffix(after)?.parse().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Reads a backup's manifest; the newest one's if no number is given.
    pub(super) fn manifest(&self, number: Option<u64>) -> Result<Found, Failure> {
        let number = match number {
            Some(number) => number,
            None => self.numbers()?.pop().ok_or_else(|| {
                Failure::refused(format!("{}: there is no backup in this folder", self.dir.display()))
            })?,
        };
        let path = self.path(&manifest_name(number));
        let octets = fs::read(&path).map_err(|error| Failure::file(&path, error))?;
        let manifest = Manifest::parse(&octets).map_err(|error| Failure::file(&path, error))?;
        if manifest.number != number {
            return Err(Failure::file(&path, "it is that of another backup"));
        }
        let signature = self.path(&signature_name(number));
        Ok(Found {
            manifest,
            digest: manifest::digest(&octets),
            signature: fs::read_to_string(&signature).map_err(|error| Failure::file(&signature, error))?,
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

/// Copies the first octets of a file, durably but for the name; returns their digest in hexadecimal. `each` is called now
/// and then.
pub(super) fn copy(
    from: &Path,
    to: &Path,
    extent: Extent,
    owner: Owner,
    each: &mut dyn FnMut() -> Result<(), Failure>,
) -> Result<String, Failure> {
    let (Extent::First(bytes) | Extent::Whole(bytes)) = extent;
    let mut source = File::open(from)
        .map_err(|error| Failure::file(from, error))?
        .take(bytes);
    let mut target = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(to)
        .map_err(|error| Failure::file(to, error))?;
    owner.give(to).map_err(|error| Failure::file(to, error))?;
    let (mut hash, mut piece, mut copied) = (Streebog256::new(), vec![0; PIECE], 0);
    loop {
        match source.read(&mut piece).map_err(|error| Failure::file(from, error))? {
            0 => break,
            read => {
                hash.update(&piece[..read]);
                target
                    .write_all(&piece[..read])
                    .map_err(|error| Failure::file(to, error))?;
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
    target.sync_all().map_err(|error| Failure::file(to, error))?;
    Ok(hex::encode(hash.finalize()))
}

/// Digest and length of a file, the former in hexadecimal.
pub(super) fn digest_of(path: &Path) -> io::Result<(String, u64)> {
    let (mut file, mut hash, mut piece, mut bytes) = (File::open(path)?, Streebog256::new(), vec![0; PIECE], 0);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok((hex::encode(hash.finalize()), bytes)),
            read => {
                hash.update(&piece[..read]);
                bytes += read as u64;
            }
        }
    }
}

/// Puts a small file in its place in one step, durably.
pub(super) fn put(dir: &Path, name: &str, text: &[u8], owner: Owner) -> Result<(), Failure> {
    let (draft, path) = (dir.join(format!("{name}.tmp")), dir.join(name));
    let write = || {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&draft)?;
        owner.give(&draft)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&draft, &path)?;
        sync(dir)
    };
    write().map_err(|error| Failure::file(&path, error))
}

/// Makes a folder with those above it that are below `root`.
pub(super) fn make_folders(root: &Path, folder: &Path, owner: Owner) -> io::Result<()> {
    if folder == root || folder.is_dir() {
        return Ok(());
    }
    if let Some(above) = folder.parent() {
        make_folders(root, above, owner)?;
    }
    DirBuilder::new().mode(0o700).create(folder)?;
    owner.give(folder)?;
    if let Some(above) = folder.parent() {
        sync(above)?;
    }
    Ok(())
}

/// Makes the names in a folder durable.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
