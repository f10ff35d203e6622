//! Opening a data directory: first its lock and a look at how the last session ended, then the recovery. In between the
//! caller can say what the journal is known to have held.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;

use crate::batch::Pending;
use crate::bodies::Bodies;
use crate::cut;
use crate::disk::{Disk, DiskLock};
use crate::error::OpenError;
use crate::health::Health;
use crate::layout::{FORMAT, Layout, MAX_SEGMENT, MIN_SEGMENT};
use crate::recovery::{Expected, Recovery, recover};
use crate::salvage;
use crate::setup::{Session, check_or_create, io_error, sweep, write_header};
use crate::snapshot::{Position, Snapshots};
use crate::store::{Options, Store};
use crate::writer::Writer;

/// An opened data directory.
#[derive(Debug)]
pub struct Opened {
    /// The one writer.
    pub store: Store,
    /// Readers of bodies.
    pub bodies: Bodies,
    /// What was found.
    pub recovery: Recovery,
}

/// Opens a data directory under an exclusive lock, recovering what the last session left. An empty or missing
/// directory is set up; its parent must exist.
///
/// # Errors
/// See [`OpenError`]: in use, written by a newer program, damaged, or refused by the system.
pub fn open(dir: &Path, options: Options, disk: Arc<dyn Disk>) -> Result<Opened, OpenError> {
    begin(dir, options, disk)?.finish()
}

/// Takes the exclusive lock of a data directory and looks how the last session ended; an empty or missing directory is
/// set up. Journal and spool stay as they are until [`Opening::finish`].
///
/// # Errors
/// As [`open`].
pub fn begin(dir: &Path, options: Options, disk: Arc<dyn Disk>) -> Result<Opening, OpenError> {
    for bytes in [options.journal_segment_bytes, options.spool_segment_bytes] {
        if !(MIN_SEGMENT..=MAX_SEGMENT).contains(&bytes) {
            return Err(OpenError::Options(bytes));
        }
    }
    let layout = Layout::new(dir);
    let io = |error| io_error(dir, error);
    disk.create_dir(dir).map_err(io)?;
    let held = disk.lock(&layout.lock()).map_err(|error| OpenError::lock(dir, error))?;

    let health = Arc::new(Health::default());
    let format = check_or_create(&*disk, &layout, &options, &health)?;
    sweep(&*disk, &layout).map_err(io)?;
    let last = Session::load(&*disk, &layout).map_err(io)?;
    let boot = disk.boot_id().map_err(io)?;
    Ok(Opening {
        disk,
        layout,
        options,
        health,
        format,
        last,
        boot,
        known: None,
        accepted: None,
        held,
    })
}

/// A data directory under its lock, before anything is made of what the last session left.
#[derive(Debug)]
pub struct Opening {
    disk: Arc<dyn Disk>,
    layout: Layout,
    options: Options,
    health: Arc<Health>,
    /// The version in the storage header; none if the directory was set up.
    format: Option<u32>,
    last: Option<Session>,
    boot: String,
    known: Option<(Position, Timestamp)>,
    accepted: Option<(Vec<u64>, Timestamp)>,
    held: Box<dyn DiskLock>,
}

impl Opening {
    /// As [`Recovery::created`].
    #[must_use]
    pub fn created(&self) -> bool {
        self.format.is_none()
    }

    /// As [`Recovery::clean_close`].
    #[must_use]
    pub fn clean_close(&self) -> bool {
        self.last.as_ref().is_some_and(|session| session.clean)
    }

    /// As [`Recovery::same_boot`].
    #[must_use]
    pub fn same_boot(&self) -> bool {
        self.last.as_ref().is_some_and(|session| session.boot == self.boot)
    }

    /// Says up to where the journal is known to have been durable. If it turns out to lack that, it was cut, or replaced:
    /// [`finish`](Self::finish) notes it in [`Recovery::cuts`], and first puts what it takes away into a folder that is
    /// named after `now`.
    #[must_use]
    pub fn expecting(mut self, known: Position, now: Timestamp) -> Self {
        self.known = Some((known, now));
        self
    }

    /// Says which damage of the journal a person accepts, by the record under which it is named ([`Damage::seq`](crate::Damage::seq)). What can
    /// be read is kept, what cannot is put aside into a folder named after the record, and a gap takes its place
    /// ([`Recovery::gaps`]). Damage that nobody named stops [`finish`](Self::finish) as ever; a name without damage means
    /// nothing.
    #[must_use]
    pub fn accepting(mut self, named: Vec<u64>, now: Timestamp) -> Self {
        self.accepted = Some((named, now));
        self
    }

    /// Recovers what the last session left, and begins the next one.
    ///
    /// # Errors
    /// As [`open`].
    pub fn finish(self) -> Result<Opened, OpenError> {
        let (created, clean_close, same_boot) = (self.created(), self.clean_close(), self.same_boot());
        let Self {
            disk,
            layout,
            options,
            health,
            format,
            last,
            boot,
            known,
            accepted,
            held,
        } = self;
        let times = [known.map(|(_, now)| now), accepted.as_ref().map(|(_, now)| *now)];
        let accepted = accepted.unwrap_or_default().0;
        let expected = Expected {
            closed_at: last
                .as_ref()
                .filter(|session| session.clean)
                .map(|session| session.last_seq),
            known: known.map(|(position, _)| position),
            accepted: &accepted,
            now: times.into_iter().flatten().next().unwrap_or_default(),
        };
        // From here on something may be written.
        let raised_from = format.filter(|found| *found != FORMAT);
        if raised_from.is_some() {
            write_header(&*disk, &layout)?;
        }
        let passed_over = salvage::pass_over(&disk, &layout, options.zstd_level, &expected)?;
        let found = recover(&disk, &layout, &options, &health, &expected)?;
        let recovery = Recovery {
            created,
            raised_from,
            last_seq: found.last_seq,
            last_at: found.last_at,
            cut: found.cut.clone(),
            clean_close,
            same_boot,
            cuts: cut::load(&*disk, &layout)?,
            gaps: found.gaps.clone(),
            passed_over,
        };
        // What was made of the journal may be torn if the machine went down. Until it is made anew no later start may
        // take it for something that this boot of the machine wrote.
        let earlier = last.as_ref().map_or("", |session| &session.boot);
        let trusted = clean_close || same_boot || created;
        let gapless = found.gaps.is_empty();
        let session = Session {
            boot: if trusted { boot.clone() } else { earlier.to_owned() },
            clean: false,
            last_seq: found.last_seq,
        };
        session
            .store(&*disk, &layout)
            .map_err(|error| io_error(&layout.session(), error))?;

        let bodies = Bodies::new(Arc::clone(&disk), layout.spool.clone(), options.open_segments);
        let root = layout.root.clone();
        let writer = Writer::new(disk, layout, options, health, found).map_err(|error| io_error(&root, error))?;
        let snapshots = Snapshots::new(
            Arc::clone(&writer.disk),
            writer.layout.snapshot.clone(),
            writer.options.zstd_level,
            Arc::clone(&writer.health),
        );
        let store = Store {
            writer,
            pending: Pending::new(),
            bodies: bodies.clone(),
            snapshots,
            session,
            before: last,
            boot,
            gapless,
            _held: held,
        };
        Ok(Opened {
            store,
            bodies,
            recovery,
        })
    }
}
