//! The configuration (DESIGN §9): read completely, every error reported with its place before anything is done.

pub(crate) mod catalogue;
mod incidents;
mod inspection;
mod layers;
mod read;
pub(crate) mod units;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::names::{KindName, Mnemonic, UpstreamName};
use vault::Cipher;

use crate::admin::roles::Role;
use crate::document;
use crate::problem::Problems;
use crate::section::{Report, Section};

pub(crate) use incidents::{Incidents, Mail, MailTls, Notify, Webhook};
pub(crate) use inspection::Inspection;
pub(crate) use layers::environment;
pub(crate) use read::is_https;

/// Everything that is configured.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// `[node]`
    pub(crate) node: Node,
    /// `[keys]`
    pub(crate) keys: Keys,
    /// `[storage]`
    pub(crate) storage: Storage,
    /// `[smev3]`
    pub(crate) smev3: Smev3,
    /// `[limits]`
    pub(crate) limits: Limits,
    /// `[retention]`
    pub(crate) retention: Retention,
    /// `[archive]`, if there is one.
    pub(crate) archive: Option<Archive>,
    /// `[admin]`
    pub(crate) admin: Admin,
    /// `[log]`
    pub(crate) log: Log,
    /// `[incidents]`
    pub(crate) incidents: Incidents,
    /// `[notify]`
    pub(crate) notify: Notify,
    /// `[[upstream]]` in file order.
    pub(crate) upstreams: Vec<Upstream>,
}

/// Who this gateway is and where it keeps its data.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Its own mnemonic on upstream links and in notices.
    pub(crate) mnemonic: Mnemonic,
    /// Its human-readable name; the mnemonic if none is given.
    pub(crate) name: String,
    /// Journal, spool, index and registry files.
    pub(crate) data_dir: PathBuf,
}

/// The gateway's own key.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// PEM file, PKCS#8.
    pub(crate) private_key: PathBuf,
    /// PEM file.
    pub(crate) certificate: PathBuf,
}

/// How bodies are protected at rest.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    /// Seals new bodies, if they are to be sealed.
    pub(crate) encryption: Option<Cipher>,
    /// File of the master key, if it is named.
    pub(crate) master_key: Option<PathBuf>,
    /// How far the clock may be after the journal, and be believed without a person.
    pub(crate) clock_trusted_for: Duration,
}

/// The door for local SMEV 3 systems.
#[derive(Debug, Clone)]
pub(crate) struct Smev3 {
    /// Address to listen on.
    pub(crate) listen: SocketAddr,
    /// What the WSDL says, without a slash at its end.
    pub(crate) public_url: String,
    /// Server certificate and client authority, if the door speaks TLS.
    pub(crate) tls: Option<Tls>,
    /// After this a message that was taken and not acknowledged is handed out again.
    pub(crate) redelivery: Duration,
    /// Greatest age of a MessageID.
    pub(crate) stale_after: Duration,
    /// How far a MessageID may lie in the future.
    pub(crate) future_skew: Duration,
    /// Tolerance for the Timestamp of Get* requests, both ways.
    pub(crate) timestamp_window: Duration,
    /// Time to live of a message without EOL.
    pub(crate) message_ttl: Duration,
    /// Whether a message is translated for a caller with another version.
    pub(crate) translate: bool,
    /// How long the head of a request may take, and a connection stay open without one.
    pub(crate) head_timeout: Duration,
    /// Octets a second that a body must come with after ten seconds.
    pub(crate) body_rate: u64,
}

/// TLS of the door.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    /// PEM chain.
    pub(crate) certificate: PathBuf,
    /// PEM key.
    pub(crate) private_key: PathBuf,
    /// PEM certificates that must have issued the client's, if clients must show one.
    pub(crate) client_ca: Option<PathBuf>,
}

/// Bounds of memory and disk.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Largest body of a call in octets.
    pub(crate) body_bytes: u64,
    /// Largest total of a message's attachments in octets.
    pub(crate) attachments_bytes: u64,
    /// Octets of calls in work at once.
    pub(crate) in_flight_bytes: u64,
    /// Connections at once.
    pub(crate) connections: usize,
    /// Those of one address; 0: no bound.
    pub(crate) connections_per_address: usize,
    /// Calls of one participant in a second; 0: no bound.
    pub(crate) requests_per_second: u32,
    /// The same of one address.
    pub(crate) requests_per_second_per_address: u32,
    /// Whoever was quiet for so long may make the calls of that time at once.
    pub(crate) requests_burst: Duration,
    /// Messages in a participant's queue, and of a sender towards an upstream.
    pub(crate) queue_messages: u64,
    /// Octets of the same.
    pub(crate) queue_bytes: u64,
    /// Free space below which nothing new is accepted; 10 % or 1 GB, whichever is less, if it is not set.
    pub(crate) disk_reserve: Option<u64>,
    /// Free inodes below which nothing new is accepted; 10 % or 1000, whichever is less, if it is not set.
    pub(crate) inode_reserve: Option<u64>,
}

/// How long things are kept.
#[derive(Debug, Clone)]
pub(crate) struct Retention {
    /// Bodies after completion.
    pub(crate) bodies: Duration,
    /// Journal records, at least.
    pub(crate) journal: Duration,
    /// `[[retention.rule]]` in file order: bodies of some messages.
    pub(crate) rules: Vec<RetentionRule>,
}

/// How long bodies of some messages are kept.
#[derive(Debug, Clone)]
pub(crate) struct RetentionRule {
    /// Messages of this kind alone.
    pub(crate) kind: Option<KindName>,
    /// Messages alone that this participant sent or receives.
    pub(crate) participant: Option<Mnemonic>,
    /// After completion.
    pub(crate) bodies: Duration,
}

/// Where sealed journal segments go.
#[derive(Debug, Clone)]
pub(crate) struct Archive {
    /// The program that takes a segment.
    pub(crate) program: String,
    /// Its arguments, with places for what is to be told about the segment.
    pub(crate) arguments: Vec<String>,
    /// How long one run may take.
    pub(crate) timeout: Duration,
    /// Age at which a segment is sealed although it is not full.
    pub(crate) seal_after: Duration,
    /// How long shipping may fail before it is an incident.
    pub(crate) alarm_after: Duration,
}

/// Administration.
#[derive(Debug, Clone)]
pub(crate) struct Admin {
    /// HTTP: /metrics /live /ready.
    pub(crate) listen: SocketAddr,
    /// Unix socket of the command line.
    pub(crate) socket: PathBuf,
    /// Who may do what there.
    pub(crate) roles: RoleGroups,
}

/// The Unix groups whose members have a role at the admin socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RoleGroups {
    /// Whether the configuration says anything about them; otherwise these are the defaults.
    pub(crate) are_set: bool,
    /// Of [`Role::Operator`].
    pub(crate) operator: String,
    /// Of [`Role::Registrar`].
    pub(crate) registrar: String,
    /// Of [`Role::Auditor`].
    pub(crate) auditor: String,
}

impl RoleGroups {
    /// The group of a role.
    pub(crate) fn of(&self, role: Role) -> &str {
        match role {
            Role::Operator => &self.operator,
            Role::Registrar => &self.registrar,
            Role::Auditor => &self.auditor,
        }
    }
}

/// Logging.
#[derive(Debug, Clone)]
pub(crate) struct Log {
    /// How lines are written.
    pub(crate) format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `info,engine=debug`.
    pub(crate) level: String,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// Fields for journald where standard error goes there, text elsewhere.
    Auto,
    /// A line of text for people.
    Text,
    /// A JSON object a line.
    Json,
    /// Fields for journald.
    Journald,
}

/// A link to the federal bus or a neighbour's gateway.
#[derive(Debug, Clone)]
pub(crate) struct Upstream {
    /// Its name in queues, grants and routes.
    pub(crate) name: UpstreamName,
    /// Endpoint of its message exchange service.
    pub(crate) url: String,
    /// Version that is spoken with it.
    pub(crate) version: smev3::version::Version,
    /// PEM file with the authorities that its TLS certificate must come from; those of the machine otherwise.
    pub(crate) ca: Option<PathBuf>,
    /// PEM files with the certificates that may sign its answers.
    pub(crate) trusted_signers: Vec<PathBuf>,
    /// How long one call may take, from its first octet to the last of the answer.
    pub(crate) timeout: Duration,
    /// Shortest and longest pause between polls.
    pub(crate) poll: (Duration, Duration),
    /// Lanes that send at the same time.
    pub(crate) parallel: usize,
}

impl Settings {
    /// Reads a configuration file with the process's environment over it.
    pub(crate) fn load(file: &Path) -> Result<Self, Problems> {
        let text = text_of(file)?;
        Self::parse(&file.display().to_string(), &text, &environment())
    }

    /// Reads a configuration from its text. Relative paths mean the working directory.
    pub(crate) fn parse(file: &str, text: &str, environment: &BTreeMap<String, String>) -> Result<Self, Problems> {
        let written = document::parse(file, text)?;
        let effective = layers::merge(file, text, &written, environment)?;
        let report = Report::about(file);
        let settings = read::settings(&Section::root(&effective, &report));
        report.conclude(settings)
    }

    /// What the engine is started with.
    pub(crate) fn engine(&self) -> engine::Settings {
        // Durations are bounded to a hundred years when they are read.
        let signed = |duration: Duration| jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX);
        let mut settings = engine::Settings::new(self.node.data_dir.clone(), self.node.mnemonic.clone());
        settings.redelivery = signed(self.smev3.redelivery);
        settings.stale_after = signed(self.smev3.stale_after);
        settings.future_skew = signed(self.smev3.future_skew);
        settings.message_ttl = signed(self.smev3.message_ttl);
        settings.queue_messages = self.limits.queue_messages;
        settings.queue_bytes = self.limits.queue_bytes;
        settings.disk_reserve = self.limits.disk_reserve;
        settings.inode_reserve = self.limits.inode_reserve;
        settings.retention_bodies = signed(self.retention.bodies);
        settings.retention_journal = signed(self.retention.journal);
        let rules = self.retention.rules.iter();
        settings.retention_rules = rules
            .map(|rule| engine::RetentionRule {
                kind: rule.kind.clone(),
                participant: rule.participant.clone(),
                bodies: signed(rule.bodies),
            })
            .collect();
        settings.clock_trusted_for = signed(self.storage.clock_trusted_for);
        settings.seal_after = self.archive.as_ref().map(|archive| signed(archive.seal_after));
        settings
    }
}

fn text_of(file: &Path) -> Result<String, Problems> {
    std::fs::read_to_string(file).map_err(|error| {
        let hint = if error.kind() == std::io::ErrorKind::NotFound {
            "; name the configuration with --config FILE"
        } else {
            ""
        };
        Problems::one(file.display().to_string(), "", format!("cannot be read: {error}{hint}"))
    })
}
