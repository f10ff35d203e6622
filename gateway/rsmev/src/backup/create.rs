//! `rsmev backup create`: of a running gateway, or of a stopped one's store.
//!
//! The engine closes the live journal segment and says what makes that moment up; while the files are copied it removes
//! none of them. Nearly all are closed for good: those that the backup before has, with the same length and time of change,
//! are not copied again.

use std::fs::{self, DirBuilder, File, Metadata, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engine::units::show_size;
use engine::{BackupMade, BackupMark};

use super::folder::{
    Extent, Folder, Found, Owner, copy, make_folders, manifest_name, put, set_name, signature_name, sync,
};
use super::manifest::{self, Entry, Manifest};
use super::{NOT_IN_IT, summary};
use crate::failure::Failure;
use crate::operator::Request;
use crate::output::{Out, remark};
use crate::settings::Settings;
use crate::store::Store;

/// How often the engine hears that the backup goes on.
const RENEW: Duration = Duration::from_mins(1);
/// How long a segment that was closed just now may take to be sealed; after that it is taken as it is.
const SEALING: Duration = Duration::from_mins(1);
const SEALING_LOOK: Duration = Duration::from_millis(50);

/// Carries the command out.
pub(crate) fn run(settings: &Settings, dir: &Path, keep: usize, out: &mut Out) -> Result<(), Failure> {
    let data_dir = &settings.node.data_dir;
    make(dir, data_dir)?;
    let store = Store::open(settings)?;
    let done = locked(dir).and_then(|_lock| {
        let mark: BackupMark = store.ask(Request::BackupBegin)?;
        let job = Job {
            store: &store,
            folder: Folder::new(dir),
            dir,
            data_dir,
            owner: Owner::of(dir).map_err(|error| Failure::file(dir, error))?,
            mark: &mark,
        };
        let made = job.run(keep);
        // If it cannot be told, the hold ends by itself.
        let _ = store.ask::<serde_json::Value>(Request::BackupEnd { hold: mark.hold });
        made
    });
    store.close();
    let (manifest, copied) = done?;
    out.line(format_args!("{}; {} were new.", summary(&manifest), show_size(copied)))?;
    Ok(out.line(NOT_IN_IT)?)
}

/// The folder; a new one belongs to the data's owner.
fn make(dir: &Path, data_dir: &Path) -> Result<(), Failure> {
    if dir.is_dir() {
        return Ok(());
    }
    let made = DirBuilder::new()
        .mode(0o700)
        .create(dir)
        .and_then(|()| Owner::of(data_dir))
        .and_then(|owner| owner.give(dir));
    made.map_err(|error| Failure::file(dir, error))
}

/// One backup at a time.
fn locked(dir: &Path) -> Result<File, Failure> {
    let path = dir.join("LOCK");
    let file = File::options().create(true).append(true).open(&path);
    let file = file.map_err(|error| Failure::file(&path, error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Failure::file(&path, "another backup is being made in this folder")),
        Err(TryLockError::Error(error)) => Err(Failure::file(&path, error)),
    }
}

/// A file that belongs to the backup.
struct Wanted {
    /// Its place in the data directory.
    path: String,
    /// So many octets of it, if it is still being written.
    first: Option<u64>,
}

struct Job<'a> {
    store: &'a Store,
    folder: Folder,
    dir: &'a Path,
    data_dir: &'a Path,
    owner: Owner,
    mark: &'a BackupMark,
}

impl Job<'_> {
    /// Makes the backup; returns its manifest and how many octets were copied.
    fn run(&self, keep: usize) -> Result<(Manifest, u64), Failure> {
        self.clear_away()?;
        let previous = match self.folder.numbers()?.last() {
            Some(number) => match self.folder.manifest(Some(*number)) {
                Ok(found) => Some(found),
                Err(failure) => {
                    remark(format_args!(
                        "the backup before is of no use, everything is copied: {failure}"
                    ));
                    None
                }
            },
            None => None,
        };
        let newest = self
            .folder
            .numbers()?
            .last()
            .copied()
            .max(self.folder.sets()?.last().copied());
        let number = newest.unwrap_or(0) + 1;
        let mut copied = 0;
        let mut renewed = Instant::now();
        let mut files = Vec::new();
        let mut wanted = self.wanted()?;
        // What a busy gateway replaces goes first: the live journal segment is sealed, snapshots make room for younger ones.
        wanted.sort_by_key(|wanted| wanted.first.is_none() && !wanted.path.starts_with("snapshot/"));
        for wanted in wanted {
            let mut each = || self.go_on(&mut renewed);
            let (entry, new) = self.bring(&wanted, previous.as_ref(), number, &mut each)?;
            copied += new;
            files.push(entry);
        }
        files.sort_by(|one, other| one.path.cmp(&other.path));
        self.sync_set(number)?;
        let before = previous.map(|found| found.digest);
        let manifest = Manifest::new(number, self.mark, before, files);
        self.publish(&manifest)?;
        self.prune(keep)?;
        Ok((manifest, copied))
    }

    /// Tells the engine now and then that the files are still needed.
    fn go_on(&self, renewed: &mut Instant) -> Result<(), Failure> {
        if renewed.elapsed() < RENEW {
            return Ok(());
        }
        *renewed = Instant::now();
        let hold = self.mark.hold;
        match self.store.ask(Request::BackupGoesOn { hold })? {
            true => Ok(()),
            false => Err(Failure::refused(
                "the gateway was started anew while the backup was being made; make it again",
            )),
        }
    }

    /// Everything that makes the moment up.
    fn wanted(&self) -> Result<Vec<Wanted>, Failure> {
        let whole = |path: String| Wanted { path, first: None };
        let mut wanted = vec![whole("FORMAT".to_owned())];
        wanted.extend(self.journal()?.into_iter().map(whole));
        wanted.push(Wanted {
            path: format!("journal/{:020}.journal", self.mark.live_first),
            first: Some(self.mark.live_bytes),
        });
        let spool = self.numbered("spool", ".spool")?;
        let closed = spool
            .into_iter()
            .filter(|(number, _)| *number < self.mark.spool_segment);
        wanted.extend(closed.map(|(_, name)| whole(format!("spool/{name}"))));
        wanted.push(Wanted {
            path: format!("spool/{:020}.spool", self.mark.spool_segment),
            first: Some(self.mark.spool_bytes),
        });
        let snapshots = self.numbered("snapshot", ".snapshot")?;
        let newest = snapshots.into_iter().rfind(|(seq, _)| *seq <= self.mark.through);
        wanted.extend(newest.map(|(_, name)| whole(format!("snapshot/{name}"))));
        let is_content = |name: &String| name.len() == 64 && name.bytes().all(|octet| octet.is_ascii_hexdigit());
        let registry = self.names("registry")?;
        wanted.extend(
            registry
                .into_iter()
                .filter(is_content)
                .map(|name| whole(format!("registry/{name}"))),
        );
        // Data keys of the bodies, wrapped by the master key.
        if self.data_dir.join("keys/keyring.json").is_file() {
            wanted.push(whole("keys/keyring.json".to_owned()));
        }
        wanted.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(wanted)
    }

    /// The journal's closed segments; one that is being sealed is waited for.
    fn journal(&self) -> Result<Vec<String>, Failure> {
        let begun = Instant::now();
        loop {
            let before_live = |(first, _): &(u64, String)| *first < self.mark.live_first;
            let raw: Vec<_> = self
                .numbered("journal", ".journal")?
                .into_iter()
                .filter(before_live)
                .collect();
            let sealed = self.numbered("journal", ".jsonl.zst")?.into_iter().filter(before_live);
            let is_raw = |first: u64| raw.iter().any(|(other, _)| *other == first);
            if raw.is_empty() || begun.elapsed() > SEALING {
                let sealed: Vec<_> = sealed.filter(|(first, _)| !is_raw(*first)).collect();
                let names = sealed.into_iter().chain(raw).map(|(_, name)| format!("journal/{name}"));
                return Ok(names.collect());
            }
            std::thread::sleep(SEALING_LOOK);
        }
    }

    fn names(&self, folder: &str) -> Result<Vec<String>, Failure> {
        let path = self.data_dir.join(folder);
        let listed = fs::read_dir(&path).map_err(|error| Failure::file(&path, error))?;
        let mut names = Vec::new();
        for entry in listed {
            let name = entry.map_err(|error| Failure::file(&path, error))?.file_name();
            names.extend(name.into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Files that are named by a number, in its order.
    fn numbered(&self, folder: &str, ending: &str) -> Result<Vec<(u64, String)>, Failure> {
        let number = |name: String| Some((name.strip_suffix(ending)?.parse().ok()?, name));
        Ok(self.names(folder)?.into_iter().filter_map(number).collect())
    }

    /// Brings a file into the backup; tells how many octets were copied.
    fn bring(
        &self,
        wanted: &Wanted,
        previous: Option<&Found>,
        number: u64,
        each: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<(Entry, u64), Failure> {
        let from = self.data_dir.join(&wanted.path);
        let metadata = fs::metadata(&from).map_err(|error| Failure::file(&from, error))?;
        let modified = wanted.first.is_none().then(|| changed(&metadata));
        let bytes = wanted.first.unwrap_or(metadata.len());
        let known = previous.and_then(|found| {
            let entry = found.manifest.files.iter().find(|file| file.path == wanted.path)?;
            let same = modified.is_some() && entry.modified == modified && entry.bytes == bytes;
            let there = fs::metadata(self.folder.path(&entry.stored)).is_ok_and(|there| there.len() == bytes);
            (same && there).then(|| entry.clone())
        });
        if let Some(entry) = known {
            return Ok((entry, 0));
        }
        let stored = format!("{}/{}", set_name(number), wanted.path);
        let to = self.folder.path(&stored);
        let above = to.parent().unwrap_or(self.dir);
        make_folders(self.dir, above, self.owner).map_err(|error| Failure::file(above, error))?;
        let extent = match wanted.first {
            Some(first) => Extent::First(first),
            None => Extent::Whole(bytes),
        };
        let digest = copy(&from, &to, extent, self.owner, each)?;
        let entry = Entry {
            path: wanted.path.clone(),
            stored,
            bytes,
            digest,
            modified,
        };
        Ok((entry, bytes))
    }

    /// Makes the names of the new files durable.
    fn sync_set(&self, number: u64) -> Result<(), Failure> {
        let set = self.folder.path(&set_name(number));
        let mut folders = vec![self.dir.to_owned(), set.clone()];
        for entry in fs::read_dir(&set).map_err(|error| Failure::file(&set, error))? {
            let path = entry.map_err(|error| Failure::file(&set, error))?.path();
            folders.extend(path.is_dir().then_some(path));
        }
        for folder in folders {
            sync(&folder).map_err(|error| Failure::file(&folder, error))?;
        }
        Ok(())
    }

    /// Has the manifest signed and puts it in its place: from here on this is the newest backup.
    fn publish(&self, manifest: &Manifest) -> Result<(), Failure> {
        let mut text = serde_json::to_vec_pretty(manifest).map_err(|error| Failure::refused(error.to_string()))?;
        text.push(b'\n');
        let made = BackupMade {
            through: manifest.through,
            manifest: manifest::digest(&text),
            files: manifest.files.len() as u64,
            bytes: manifest.files.iter().map(|file| file.bytes).sum(),
        };
        let signature: String = self.store.ask(Request::BackupMade { made })?;
        let number = manifest.number;
        put(
            self.dir,
            &signature_name(number),
            format!("{signature}\n").as_bytes(),
            self.owner,
        )?;
        put(self.dir, &manifest_name(number), &text, self.owner)
    }

    /// Removes what an interrupted backup left.
    fn clear_away(&self) -> Result<(), Failure> {
        let numbers = self.folder.numbers()?;
        let used = self.used(&numbers)?;
        for number in self.folder.sets()? {
            if !numbers.contains(&number)
                && !used
                    .iter()
                    .any(|path| path.starts_with(self.folder.path(&set_name(number))))
            {
                let set = self.folder.path(&set_name(number));
                fs::remove_dir_all(&set).map_err(|error| Failure::file(&set, error))?;
            }
        }
        Ok(())
    }

    /// Removes older backups, and the files that only they need.
    fn prune(&self, keep: usize) -> Result<(), Failure> {
        let mut numbers = self.folder.numbers()?;
        let kept = numbers.split_off(numbers.len().saturating_sub(keep.max(1)));
        let used = self.used(&kept)?;
        for number in numbers {
            for name in [manifest_name(number), signature_name(number)] {
                let path = self.folder.path(&name);
                fs::remove_file(&path).map_err(|error| Failure::file(&path, error))?;
            }
        }
        sync(self.dir).map_err(|error| Failure::file(self.dir, error))?;
        for number in self.folder.sets()? {
            let set = self.folder.path(&set_name(number));
            remove_unused(&set, &used).map_err(|error| Failure::file(&set, error))?;
        }
        Ok(())
    }

    /// Where the files of these backups lie. A manifest that cannot be read names none.
    fn used(&self, numbers: &[u64]) -> Result<std::collections::BTreeSet<PathBuf>, Failure> {
        let mut used = std::collections::BTreeSet::new();
        for number in numbers {
            if let Ok(found) = self.folder.manifest(Some(*number)) {
                used.extend(found.manifest.files.iter().map(|file| self.folder.path(&file.stored)));
            }
        }
        Ok(used)
    }
}

/// Time of the last change in nanoseconds since 1970.
fn changed(metadata: &Metadata) -> i64 {
    metadata
        .mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(metadata.mtime_nsec())
}

/// Removes the files of a folder that are not used, and the folder itself if nothing is left.
fn remove_unused(folder: &Path, used: &std::collections::BTreeSet<PathBuf>) -> std::io::Result<()> {
    let mut empty = true;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            remove_unused(&path, used)?;
            empty &= !path.exists();
        } else if used.contains(&path) {
            empty = false;
        } else {
            fs::remove_file(&path)?;
        }
    }
    if empty { fs::remove_dir(folder) } else { Ok(()) }
}
