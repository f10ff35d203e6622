//! A folder whose content belongs to others: files in it are opened from the folder down, and no symbolic link is followed on
//! the way. Backups are made and restored by root too, in folders that the gateway's account may change meanwhile.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir};

/// Owner and group that what is made is given to, if we are root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner(Option<(u32, u32)>);

impl Owner {
    fn give(self, file: &File) -> io::Result<()> {
        match self.0 {
            Some((user, group)) => fchown(file, Some(user), Some(group)),
            None => Ok(()),
        }
    }
}

/// An open folder.
#[derive(Debug)]
pub(super) struct Root {
    path: PathBuf,
    dir: File,
}

/// The folder that a place lies in, and its name there.
pub(super) fn parted(place: &str) -> (&str, &str) {
    place.rsplit_once('/').unwrap_or(("", place))
}

/// What lies in a folder.
pub(super) struct Listed {
    pub(super) name: String,
    pub(super) is_folder: bool,
}

impl Root {
    /// Opens a folder that a person named; links on the way to it are followed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let dir = File::open(path)?;
        if !dir.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self {
            path: path.to_owned(),
            dir,
        })
    }

    /// Makes the folder where nothing has the name, and opens what it has made; none if something has it.
    pub(super) fn make(path: &Path, mode: u32) -> io::Result<Option<Self>> {
        let Some(name) = path.file_name() else { return Ok(None) };
        let above = path.parent().filter(|above| !above.as_os_str().is_empty());
        let above = File::open(above.unwrap_or(Path::new(".")))?;
        match rustix::fs::mkdirat(&above, name, Mode::from_raw_mode(mode)) {
            Err(rustix::io::Errno::EXIST) => return Ok(None),
            made => made?,
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&above, name, flags, Mode::empty())?;
        above.sync_all()?;
        Ok(Some(Self {
            path: path.to_owned(),
            dir: File::from(dir),
        }))
    }

    /// A place in the folder, for messages.
    pub(super) fn path(&self, place: &str) -> PathBuf {
        self.path.join(place)
    }

    /// Whose the folder is.
    pub(super) fn owner(&self) -> io::Result<Owner> {
        let metadata = self.dir.metadata()?;
        let root = nix::unistd::geteuid().is_root();
        Ok(Owner(root.then(|| (metadata.uid(), metadata.gid()))))
    }

    /// Gives the folder itself to an owner.
    pub(super) fn give(&self, owner: Owner) -> io::Result<()> {
        owner.give(&self.dir)
    }

    /// Opens a regular file for reading.
    pub(super) fn read(&self, place: &str) -> io::Result<File> {
        // Without waiting for who may write to what is a pipe.
        let file = File::from(self.at(place, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty())?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "is no regular file")),
        }
    }

    /// Reads a small file whole.
    pub(super) fn read_small(&self, place: &str, limit: u64) -> io::Result<Vec<u8>> {
        use io::Read as _;
        let mut octets = Vec::new();
        self.read(place)?.take(limit + 1).read_to_end(&mut octets)?;
        if octets.len() as u64 > limit {
            let text = format!("is larger than {limit} octets");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        Ok(octets)
    }

    /// Makes a new file (mode 0600) and opens it for writing.
    ///
    /// # Errors
    /// `AlreadyExists`, whatever has the name.
    pub(super) fn create(&self, place: &str, owner: Owner) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let file = File::from(self.at(place, flags, Mode::RUSR | Mode::WUSR)?);
        owner.give(&file)?;
        Ok(file)
    }

    /// Opens the file that stands for a lock, or makes it.
    pub(super) fn lock_file(&self, place: &str, owner: Owner) -> io::Result<File> {
        match self.at(place, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(place, owner),
            opened => opened.map(File::from),
        }
    }

    /// Makes a folder (mode 0700), with those above it; those that are there stay as they are, and so does the root itself.
    pub(super) fn make_folders(&self, place: &str, owner: Owner) -> io::Result<()> {
        let mut above = String::new();
        for name in place.split('/').filter(|name| !name.is_empty()) {
            let parent = self.folder(&above)?;
            let made = match rustix::fs::mkdirat(&parent, name, Mode::RWXU) {
                Err(rustix::io::Errno::EXIST) => false,
                made => made.map(|()| true)?,
            };
            if !above.is_empty() {
                above.push('/');
            }
            above.push_str(name);
            let folder = self.folder(&above)?;
            if made {
                owner.give(&folder)?;
                parent.sync_all()?;
            }
        }
        Ok(())
    }

    /// Makes the names in a folder durable; the root itself has no name.
    pub(super) fn sync(&self, place: &str) -> io::Result<()> {
        self.folder(place)?.sync_all()
    }

    /// Renames a file of the root.
    pub(super) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.dir, from, &self.dir, to)?)
    }

    /// Removes a file, whatever it is.
    pub(super) fn remove(&self, place: &str) -> io::Result<()> {
        let (above, name) = parted(place);
        Ok(rustix::fs::unlinkat(self.folder(above)?, name, AtFlags::empty())?)
    }

    /// Removes a folder in which nothing is.
    pub(super) fn remove_folder(&self, place: &str) -> io::Result<()> {
        let (above, name) = parted(place);
        Ok(rustix::fs::unlinkat(self.folder(above)?, name, AtFlags::REMOVEDIR)?)
    }

    /// What lies in a folder, in the order of the names. What has no name of UTF-8 is none of ours and is left out.
    pub(super) fn list(&self, place: &str) -> io::Result<Vec<Listed>> {
        let folder = self.folder(place)?;
        let mut room = Vec::with_capacity(32 << 10);
        let mut entries = RawDir::new(&folder, room.spare_capacity_mut());
        let mut listed = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => {
                    let found = rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
                    FileType::from_raw_mode(found.st_mode)
                }
                known => known,
            };
            listed.push(Listed {
                name: name.to_owned(),
                is_folder: kind == FileType::Directory,
            });
        }
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(listed)
    }

    fn folder(&self, place: &str) -> io::Result<File> {
        let place = if place.is_empty() { "." } else { place };
        Ok(File::from(self.at(
            place,
            OFlags::RDONLY | OFlags::DIRECTORY,
            Mode::empty(),
        )?))
    }

    /// Opens a place, folder by folder. The kernel could do that by itself (`openat2`), but not under a service manager that
    /// forbids the making of set-user-ID files: it cannot look into the arguments of that call.
    fn at(&self, place: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let names: Vec<_> = place.split('/').filter(|name| !matches!(*name, "" | ".")).collect();
        if place.starts_with('/') || names.contains(&"..") {
            let text = format!("{place:?} leads out of the folder");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let (name, above) = names
            .split_last()
            .map_or((".", [].as_slice()), |(name, above)| (*name, above));
        let no_link = OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut folder = None;
        for name in above {
            let from = folder.as_ref().map_or(self.dir.as_fd(), OwnedFd::as_fd);
            let flags = OFlags::PATH | OFlags::DIRECTORY | no_link;
            folder = Some(rustix::fs::openat(from, *name, flags, Mode::empty())?);
        }
        let from = folder.as_ref().map_or(self.dir.as_fd(), OwnedFd::as_fd);
        Ok(rustix::fs::openat(from, name, flags | no_link, mode)?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn no_link_leads_out_of_the_folder() {
        let place = tempfile::tempdir().unwrap();
        let (inside, outside) = (place.path().join("inside"), place.path().join("outside"));
        fs::create_dir(&inside).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "secret").unwrap();
        symlink(&outside, inside.join("folder")).unwrap();
        symlink(outside.join("secret"), inside.join("file")).unwrap();
        symlink(outside.join("new"), inside.join("new")).unwrap();
        let root = Root::open(&inside).unwrap();
        let owner = root.owner().unwrap();
        assert!(root.read("file").is_err() && root.read("folder/secret").is_err());
        assert!(root.create("new", owner).is_err() && root.create("folder/new", owner).is_err());
        assert!(root.lock_file("file", owner).is_err());
        assert!(root.make_folders("folder/below", owner).is_err());
        assert!(root.list("folder").is_err() && root.sync("folder").is_err());
        assert!(root.remove("folder/secret").is_err() && root.read("../outside/secret").is_err());
        let absolute = outside.join("secret");
        assert!(root.read(absolute.to_str().unwrap()).is_err() && root.read("a/../../outside/secret").is_err());
        assert!(root.list("").unwrap().iter().all(|listed| !listed.is_folder));
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    }

    #[test]
    fn what_is_made_is_found_again() {
        let place = tempfile::tempdir().unwrap();
        let root = Root::open(place.path()).unwrap();
        let owner = root.owner().unwrap();
        root.make_folders("a/b", owner).unwrap();
        root.make_folders("a/b", owner).unwrap();
        root.create("a/b/c", owner).unwrap().write_all(b"text").unwrap();
        assert!(root.create("a/b/c", owner).is_err());
        assert_eq!(root.read_small("a/b/c", 4).unwrap(), b"text");
        assert!(root.read_small("a/b/c", 3).is_err() && root.read("a/b").is_err());
        assert!(
            root.list("a")
                .unwrap()
                .iter()
                .all(|listed| listed.is_folder && listed.name == "b")
        );
        assert!(root.remove_folder("a/b").is_err());
        root.remove("a/b/c").unwrap();
        root.remove_folder("a/b").unwrap();
        assert!(root.list("a").unwrap().is_empty());
    }
}
