//! What a running gateway tells of itself in one answer, for `rsmev doctor` and `rsmev support-bundle`; and the facts that
//! can be had of a stopped one, too.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::command::QueueStatus;
use engine::names::Mnemonic;
use engine::{BackupDone, Engine, IncidentStatus, room};
use gost::Certificate;
use jiff::Timestamp;
use journal::disk::{Disk as _, RealDisk};
use serde::{Deserialize, Serialize};

use crate::admin::http::Pages;
use crate::admin::ready::Report;
use crate::build;
use crate::metrics::Sources;
use crate::process::Process;
use crate::settings::Limits;
use crate::verification;

/// Queues that are told one by one at most: the oldest ones. Names of sub-queues come from the wire.
const QUEUES: usize = 20;
/// Open incidents that are told one by one at most.
const INCIDENTS: usize = 20;
/// With more than so many in quarantine nobody looks which is the oldest.
const QUARANTINE: u64 = 10_000;

/// The answer of a running gateway.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Health {
    /// What `/ready` answers.
    pub(crate) ready: Report,
    /// Version of the program that runs.
    pub(crate) version: String,
    /// Its commit.
    pub(crate) commit: String,
    /// Since when it runs.
    pub(crate) started: Timestamp,
    /// What the process has and may have.
    pub(crate) process: Process,
    /// What is stored.
    pub(crate) store: StoreFacts,
    /// Every certificate that is in use.
    pub(crate) certificates: Vec<CertificateFact>,
    /// Incidents that are open, the latest of them.
    pub(crate) incidents: Vec<IncidentStatus>,
    /// `/metrics`, if it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metrics: Option<String>,
}

/// What is stored, and how it fares.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StoreFacts {
    /// The disk of `data_dir`, if it tells.
    pub(crate) room: Option<Room>,
    /// Octets of the spool on disk.
    pub(crate) spool_bytes: u64,
    /// Octets of it that are needed, where that is known.
    pub(crate) spool_needed_bytes: Option<u64>,
    /// Octets of the journal on disk.
    pub(crate) journal_bytes: u64,
    /// Octets of the index on disk.
    pub(crate) index_bytes: u64,
    /// The journal's last record, where that is known.
    pub(crate) last_seq: Option<u64>,
    /// The version that the storage header names.
    pub(crate) format: Option<String>,
    /// Waiting messages.
    pub(crate) queues: Queues,
    /// Messages that a person must decide about.
    pub(crate) quarantine: u64,
    /// Since when the oldest of them waits.
    pub(crate) quarantine_since: Option<Timestamp>,
    /// How the journal was found when it was last verified.
    pub(crate) verification: verification::Status,
    /// The newest backup.
    pub(crate) backup: Option<BackupDone>,
}

/// Room on a file system, and what of it must stay free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Room {
    /// Free octets.
    pub(crate) free_bytes: u64,
    /// Octets of the whole; 0 if it does not tell.
    pub(crate) total_bytes: u64,
    /// With fewer free octets nothing new is accepted.
    pub(crate) reserve_bytes: u64,
    /// Free inodes.
    pub(crate) free_inodes: u64,
    /// Inodes of the whole; 0 if they are not counted.
    pub(crate) total_inodes: u64,
    /// With fewer free inodes nothing new is accepted.
    pub(crate) reserve_inodes: u64,
}

/// Waiting messages.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Queues {
    /// Queues that hold something.
    pub(crate) count: u64,
    /// Messages in all of them.
    pub(crate) messages: u64,
    /// Those that are paused, and those with the oldest messages.
    pub(crate) oldest: Vec<Waiting>,
}

/// A queue.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Waiting {
    /// Its name.
    pub(crate) queue: String,
    /// Messages, handed-out ones included.
    pub(crate) messages: u64,
    /// Handed out and not acknowledged.
    pub(crate) leased: u64,
    /// Octets.
    pub(crate) bytes: u64,
    /// When the oldest waiting message was accepted.
    pub(crate) oldest: Option<Timestamp>,
    /// Since when, by whom and why nothing is handed out of it, if it is paused.
    pub(crate) paused: Option<String>,
    /// The same of its owner, if that is suspended.
    #[serde(default)]
    pub(crate) suspended: Option<Suspended>,
}

/// A participant that an operator has suspended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Suspended {
    /// Which.
    pub(crate) participant: Mnemonic,
    /// Since when, by whom and why.
    pub(crate) halt: String,
}

/// Whose a certificate is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Of {
    /// The gateway's own.
    Gateway,
    /// That of the door's TLS.
    Door,
    /// An upstream signs with it.
    Upstream,
    /// A participant signs with it.
    Participant(Mnemonic),
}

impl fmt::Display for Of {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gateway => f.write_str("the gateway"),
            Self::Door => f.write_str("smev3.tls"),
            Self::Upstream => f.write_str("upstream"),
            Self::Participant(mnemonic) => mnemonic.fmt(f),
        }
    }
}

/// A certificate that is in use; times are seconds since 1970.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct CertificateFact {
    /// Whose.
    pub(crate) of: Of,
    /// Its subject.
    pub(crate) subject: String,
    /// When it begins to be valid.
    pub(crate) not_before: i64,
    /// When it ends.
    pub(crate) not_after: i64,
}

impl CertificateFact {
    /// What a certificate says of itself.
    pub(crate) fn new(of: Of, certificate: &Certificate) -> Self {
        Self {
            of,
            subject: certificate.subject().to_owned(),
            not_before: certificate.not_before(),
            not_after: certificate.not_after(),
        }
    }
}

impl Room {
    /// Looks at the file system of a folder.
    pub(crate) fn of(dir: &Path, limits: &Limits) -> io::Result<Self> {
        let space = RealDisk.space(dir)?;
        Ok(Self {
            free_bytes: space.free_bytes,
            total_bytes: space.total_bytes,
            reserve_bytes: room::disk_reserve(limits.disk_reserve, &space),
            free_inodes: space.free_files,
            total_inodes: space.total_files,
            reserve_inodes: room::inode_reserve(limits.inode_reserve, &space),
        })
    }
}

impl Queues {
    /// Of all queues that hold something.
    pub(crate) fn of(mut all: Vec<QueueStatus>) -> Self {
        let (count, messages) = (all.len() as u64, all.iter().map(|queue| queue.messages).sum());
        all.sort_by_key(|queue| (queue.paused.is_none(), queue.oldest.unwrap_or(Timestamp::MAX)));
        all.truncate(QUEUES);
        let suspended = |status: &QueueStatus| {
            Some(Suspended {
                participant: status.queue.owner()?.clone(),
                halt: status.suspended.as_ref()?.to_string(),
            })
        };
        let oldest = all.into_iter().map(|status| Waiting {
            suspended: suspended(&status),
            queue: status.queue.to_string(),
            messages: status.messages,
            leased: status.leased,
            bytes: status.bytes,
            oldest: status.oldest,
            paused: status.paused.map(|paused| paused.to_string()),
        });
        Self {
            count,
            messages,
            oldest: oldest.collect(),
        }
    }
}

/// The version that the storage header in a data directory names (`rsmev storage, format 5`).
pub(crate) fn format_of(data_dir: &Path) -> Option<String> {
    let text = std::fs::read_to_string(data_dir.join("FORMAT")).ok()?;
    let version = text.split_whitespace().last()?;
    Some(version.chars().take(20).collect())
}

fn open_incidents(engine: &Engine) -> Vec<IncidentStatus> {
    let mut open = engine.opened_incidents();
    open.retain(|incident| incident.closed.is_none());
    open.sort_by_key(|incident| std::cmp::Reverse(incident.id));
    open.truncate(INCIDENTS);
    open
}

/// Every certificate that a running gateway uses.
pub(crate) fn certificates(sources: &Sources) -> Vec<CertificateFact> {
    let mut found = vec![CertificateFact::new(Of::Gateway, &sources.certificate)];
    let signers = sources.links.trusted();
    found.extend(signers.iter().map(|signer| CertificateFact::new(Of::Upstream, signer)));
    for (mnemonic, participant) in &sources.engine.registry().content().participants {
        for reference in &participant.certificates {
            let read = sources.engine.blob(&reference.0.to_string()).ok();
            if let Some(certificate) = read.and_then(|der| Certificate::from_der(&der).ok()) {
                found.push(CertificateFact::new(Of::Participant(mnemonic.clone()), &certificate));
            }
        }
    }
    found.extend(sources.tls.as_ref().map(|tls| {
        let certificate = tls.certificate();
        CertificateFact {
            of: Of::Door,
            subject: certificate.subject,
            not_before: certificate.not_before,
            not_after: certificate.not_after,
        }
    }));
    found
}

/// What a running gateway is asked through.
#[derive(Clone)]
pub(crate) struct Vitals {
    pages: Arc<Pages>,
    /// What everything that it shows comes from.
    pub(crate) sources: Arc<Sources>,
    data_dir: Arc<PathBuf>,
    limits: Arc<Limits>,
    started: Timestamp,
}

impl Vitals {
    /// Of a gateway that begins to run.
    pub(crate) fn new(pages: Arc<Pages>, sources: Arc<Sources>, data_dir: &Path, limits: &Limits) -> Self {
        Self {
            pages,
            sources,
            data_dir: Arc::new(data_dir.to_owned()),
            limits: Arc::new(limits.clone()),
            started: Timestamp::now(),
        }
    }

    /// How it fares now. Reads files: not for async threads.
    ///
    /// # Errors
    /// The metrics cannot be written, in words.
    pub(crate) fn health(&self, with_metrics: bool) -> Result<Health, String> {
        let metrics = with_metrics
            .then(|| self.pages.metrics.text())
            .transpose()
            .map_err(|error| format!("metrics: {error}"))?;
        Ok(Health {
            ready: self.pages.readiness.report(),
            version: build::VERSION.to_owned(),
            commit: build::COMMIT.to_owned(),
            started: self.started,
            process: Process::of_self(),
            store: self.store(),
            certificates: certificates(&self.sources),
            incidents: open_incidents(&self.sources.engine),
            metrics: metrics.map(|text| String::from_utf8_lossy(&text).into_owned()),
        })
    }

    fn store(&self) -> StoreFacts {
        let engine = &self.sources.engine;
        let gauges = engine.gauges();
        let few = (1..=QUARANTINE).contains(&gauges.quarantine);
        let held = if few { engine.quarantine() } else { Vec::new() };
        StoreFacts {
            room: Room::of(&self.data_dir, &self.limits).ok(),
            spool_bytes: gauges.spool_bytes,
            spool_needed_bytes: Some(gauges.spool_needed_bytes),
            journal_bytes: gauges.journal_bytes,
            index_bytes: gauges.index_bytes,
            last_seq: Some(gauges.journal_last_seq),
            format: format_of(&self.data_dir),
            queues: Queues::of(gauges.queues),
            quarantine: gauges.quarantine,
            quarantine_since: held.iter().map(|message| message.since).min(),
            verification: self.sources.verification.status(),
            backup: engine.last_backup(),
        }
    }
}
