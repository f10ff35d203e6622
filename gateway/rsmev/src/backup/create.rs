//! `rsmev backup create`: of a running gateway, or of a stopped one's store.
//!
//! The engine closes the live journal segment and says what makes that moment up; while the files are copied it removes
//! none of them. Nearly all are closed for good: those that the backup before has, with the same length and time of change,
//! are not copied again.

use std::fs::{File, Metadata, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use engine::units::show_size;
use engine::{BackupMade, BackupMark};
use gost::Certificate;

use super::folder::{Extent, Folder, Found, copy, digest_of, manifest_name, put, set_name, signature_name};
use super::manifest::{self, Entry, Manifest, check_signature};
use super::root::{Owner, Root, parted};
use super::{NOT_IN_IT, prune, summary};
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
/// Held by the backup that is being made.
const LOCK: &str = "LOCK";
const KEYRING: &str = "keys/keyring.json";

/// Carries the command out.
pub(crate) fn run(settings: &Settings, dir: &Path, keep: usize, out: &mut Out) -> Result<(), Failure> {
    let data_dir = &settings.node.data_dir;
    let data = Root::open(data_dir).map_err(|error| Failure::file(data_dir, error))?;
    let folder = make(dir, &data)?;
    let store = Store::open(settings)?;
    let done = locked(&folder).and_then(|_lock| {
        let mark: BackupMark = store.ask(Request::BackupBegin)?;
        let job = Job {
            store: &store,
            owner: folder.root.owner().map_err(|error| Failure::file(dir, error))?,
            folder: &folder,
            data: &data,
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
fn make(dir: &Path, data: &Root) -> Result<Folder, Failure> {
    let failed = |error| Failure::file(dir, error);
    match Root::make(dir, 0o700).map_err(failed)? {
        Some(root) => {
            data.owner().and_then(|owner| root.give(owner)).map_err(failed)?;
            Ok(Folder { root })
        }
        None => Folder::open(dir),
    }
}

/// One backup at a time.
fn locked(folder: &Folder) -> Result<File, Failure> {
    let path = folder.path(LOCK);
    let owner = folder.root.owner();
    let file = owner.and_then(|owner| folder.root.lock_file(LOCK, owner));
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
    /// Opened already, because a busy gateway puts another in its place: a segment that is sealed, a snapshot that makes room
    /// for a younger one.
    file: Option<File>,
}

impl Wanted {
    /// All of a file that stays.
    fn whole(path: String) -> Self {
        Self {
            path,
            first: None,
            file: None,
        }
    }
}

struct Job<'a> {
    store: &'a Store,
    folder: &'a Folder,
    data: &'a Root,
    owner: Owner,
    mark: &'a BackupMark,
}

impl Job<'_> {
    /// Makes the backup; returns its manifest and how many octets were copied.
    fn run(&self, keep: usize) -> Result<(Manifest, u64), Failure> {
        prune::clear_away(self.folder)?;
        let previous = match self.folder.numbers()?.last() {
            Some(number) => self.reusable(self.folder.manifest(Some(*number))?),
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
        for wanted in self.wanted()? {
            let mut each = || self.go_on(&mut renewed);
            let (entry, new) = self.bring(wanted, previous.as_ref(), number, &mut each)?;
            copied += new;
            files.push(entry);
        }
        self.sync_set(number)?;
        let before = previous.map(|found| found.digest);
        let manifest = Manifest::new(number, self.mark, before, files);
        self.publish(&manifest)?;
        prune::prune(self.folder, keep)?;
        Ok((manifest, copied))
    }

    /// The backup before, if this gateway has signed it: what another one names is not taken for what was backed up.
    fn reusable(&self, found: Found) -> Option<Found> {
        let ours = hex::decode(&self.mark.certificate).map_err(|error| error.to_string());
        let ours = ours.and_then(|der| Certificate::from_der(&der).map_err(|error| error.to_string()));
        let checked = ours
            .and_then(|ours| found.manifest.signer(&[ours]))
            .and_then(|signer| check_signature(&found.digest, &found.signature, &signer));
        match checked {
            Ok(()) => Some(found),
            Err(why) => {
                let number = found.manifest.number;
                remark(format_args!(
                    "backup {number} is not taken up, everything is copied: {why}"
                ));
                None
            }
        }
    }

    /// Tells the engine now and then that the files are still needed.
    fn go_on(&self, renewed: &mut Instant) -> Result<(), Failure> {
        if renewed.elapsed() < RENEW {
            return Ok(());
        }
        *renewed = Instant::now();
        self.go_on_now()
    }

    fn go_on_now(&self) -> Result<(), Failure> {
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
        let whole = Wanted::whole;
        // What is replaced soonest is opened first.
        let mut wanted: Vec<_> = self.snapshot()?.into_iter().collect();
        wanted.extend(self.journal()?);
        let spool = self.numbered("spool", ".spool")?;
        let closed = spool
            .into_iter()
            .filter(|(number, _)| *number < self.mark.spool_segment);
        wanted.extend(closed.map(|(_, name)| whole(format!("spool/{name}"))));
        wanted.push(Wanted {
            path: format!("spool/{:020}.spool", self.mark.spool_segment),
            first: Some(self.mark.spool_bytes),
            file: None,
        });
        wanted.push(whole("FORMAT".to_owned()));
        let is_content = |name: &String| name.len() == 64 && name.bytes().all(|octet| octet.is_ascii_hexdigit());
        let registry = self.names("registry")?;
        wanted.extend(
            registry
                .into_iter()
                .filter(is_content)
                .map(|name| whole(format!("registry/{name}"))),
        );
        // Data keys of the bodies, wrapped by the master key.
        match self.data.read(KEYRING) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Failure::file(&self.data.path(KEYRING), error)),
            Ok(_) => wanted.push(whole(KEYRING.to_owned())),
        }
        wanted.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(wanted)
    }

    /// The journal to the moment; a segment that is being sealed is waited for.
    fn journal(&self) -> Result<Vec<Wanted>, Failure> {
        let name = format!("journal/{:020}.journal", self.mark.live_first);
        let live = self.opened(&name, Some(self.mark.live_bytes));
        let live = live.map_err(|error| Failure::file(&self.data.path(&name), error))?;
        let begun = Instant::now();
        loop {
            let before_live = |(first, _): &(u64, String)| *first < self.mark.live_first;
            let raw = self.numbered("journal", ".journal")?.into_iter().filter(before_live);
            let sealed = self.numbered("journal", ".jsonl.zst")?.into_iter().filter(before_live);
            let (raw, sealed): (Vec<_>, Vec<_>) = (raw.collect(), sealed.collect());
            if (raw.is_empty() || begun.elapsed() > SEALING)
                && let Some(mut wanted) = self.segments(&raw, sealed)?
            {
                wanted.push(live);
                return Ok(wanted);
            }
            std::thread::sleep(SEALING_LOOK);
        }
    }

    /// These closed segments; none if one of them has been sealed since they were listed.
    fn segments(&self, raw: &[(u64, String)], sealed: Vec<(u64, String)>) -> Result<Option<Vec<Wanted>>, Failure> {
        let alone = |(first, _): &(u64, String)| raw.iter().all(|(other, _)| other != first);
        let sealed = sealed.into_iter().filter(alone);
        let mut wanted: Vec<_> = sealed
            .map(|(_, name)| Wanted::whole(format!("journal/{name}")))
            .collect();
        for (_, name) in raw {
            let path = format!("journal/{name}");
            match self.opened(&path, None) {
                Ok(opened) => wanted.push(opened),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(Failure::file(&self.data.path(&path), error)),
            }
        }
        Ok(Some(wanted))
    }

    /// A file that may be replaced before its turn comes.
    fn opened(&self, path: &str, first: Option<u64>) -> io::Result<Wanted> {
        let file = Some(self.data.read(path)?);
        let path = path.to_owned();
        Ok(Wanted { path, first, file })
    }

    /// The newest snapshot that is not of a later moment.
    fn snapshot(&self) -> Result<Option<Wanted>, Failure> {
        loop {
            let snapshots = self.numbered("snapshot", ".snapshot")?;
            let newest = snapshots.into_iter().rfind(|(seq, _)| *seq <= self.mark.through);
            let Some((_, name)) = newest else { return Ok(None) };
            let path = format!("snapshot/{name}");
            match self.opened(&path, None) {
                Ok(opened) => return Ok(Some(opened)),
                // It has just made room for younger ones.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Failure::file(&self.data.path(&path), error)),
            }
        }
    }

    fn names(&self, folder: &str) -> Result<Vec<String>, Failure> {
        let listed = self.data.list(folder);
        let listed = listed.map_err(|error| Failure::file(&self.data.path(folder), error))?;
        Ok(listed.into_iter().map(|entry| entry.name).collect())
    }

    /// Files that are named by a number, in its order. One with another name would be missing in the backup, such as a
    /// segment that was put back from an archive under the name that it has there.
    fn numbered(&self, folder: &str, ending: &str) -> Result<Vec<(u64, String)>, Failure> {
        let mut found = Vec::new();
        for name in self.names(folder)? {
            let Some(number) = name.strip_suffix(ending) else {
                continue;
            };
            match number.parse() {
                Ok(number) => found.push((number, name)),
                Err(_) => {
                    let path = self.data.path(&format!("{folder}/{name}"));
                    let text = format!("is not named by a number alone; its name must be FIRST{ending}");
                    return Err(Failure::file(&path, text));
                }
            }
        }
        Ok(found)
    }

    /// Brings a file into the backup; tells how many octets were copied.
    fn bring(
        &self,
        wanted: Wanted,
        previous: Option<&Found>,
        number: u64,
        each: &mut dyn FnMut() -> Result<(), Failure>,
    ) -> Result<(Entry, u64), Failure> {
        let Wanted { path, first, file } = wanted;
        let from = self.data.path(&path);
        let source = file.map_or_else(|| self.data.read(&path), Ok);
        let source = source.map_err(|error| Failure::file(&from, error))?;
        let metadata = source.metadata().map_err(|error| Failure::file(&from, error))?;
        let modified = first.is_none().then(|| changed(&metadata));
        let bytes = first.unwrap_or(metadata.len());
        let known = previous.and_then(|found| {
            let entry = found.manifest.files.iter().find(|file| file.path == path)?;
            (modified.is_some() && entry.modified == modified && entry.bytes == bytes).then_some(entry)
        });
        if let Some(entry) = known {
            // What has become of it meanwhile only its octets tell.
            match digest_of(&self.folder.root, &entry.stored, each) {
                Ok((digest, length)) if digest == entry.digest && length == bytes => return Ok((entry.clone(), 0)),
                Ok(_) => remark(format_args!(
                    "{} is not what was backed up as {path}; it is copied again",
                    self.folder.path(&entry.stored).display()
                )),
                Err(failure) => {
                    self.go_on_now()?;
                    remark(format_args!("{path} is copied again: {failure}"));
                }
            }
        }
        let stored = format!("{}/{path}", set_name(number));
        let made = self.folder.root.make_folders(parted(&stored).0, self.owner);
        made.map_err(|error| Failure::file(&self.folder.path(&stored), error))?;
        let extent = match first {
            Some(first) => Extent::First(first),
            None => Extent::Whole(bytes),
        };
        let place = (&self.folder.root, stored.as_str());
        let digest = copy(source, &from, place, extent, self.owner, each)?;
        let entry = Entry {
            path,
            stored,
            bytes,
            digest,
            modified,
        };
        Ok((entry, bytes))
    }

    /// Makes the names of the new files durable.
    fn sync_set(&self, number: u64) -> Result<(), Failure> {
        let set = set_name(number);
        let root = &self.folder.root;
        let failed = |error| Failure::file(&self.folder.path(&set), error);
        for entry in root.list(&set).map_err(failed)? {
            if entry.is_folder {
                root.sync(&format!("{set}/{}", entry.name)).map_err(failed)?;
            }
        }
        root.sync(&set).map_err(failed)?;
        root.sync("").map_err(failed)
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
        let signature: String = self.store.ask(Request::BackupMade {
            hold: self.mark.hold,
            made,
        })?;
        let (number, root) = (manifest.number, &self.folder.root);
        let signature = format!("{signature}\n");
        put(root, &signature_name(number), signature.as_bytes(), self.owner)?;
        put(root, &manifest_name(number), &text, self.owner)
    }
}

/// Time of the last change in nanoseconds since 1970.
fn changed(metadata: &Metadata) -> i64 {
    metadata
        .mtime()
        .saturating_mul(1_000_000_000)
        .saturating_add(metadata.mtime_nsec())
}
