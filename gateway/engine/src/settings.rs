//! What can be set (DESIGN §6, §9), with the defaults of the design.

use std::path::PathBuf;
use std::time::Duration;

use jiff::SignedDuration;

use crate::event::Person;
use crate::message::Message;
use crate::names::{KindName, Mnemonic, Party};

/// Settings of the engine. [`Settings::new`] gives the defaults; every field may be changed.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is kept; must exist.
    pub data_dir: PathBuf,
    /// The gateway's own mnemonic: the author of notices.
    pub node: Mnemonic,
    /// `smev3.redelivery`: how long a receiver may keep a message before it is handed out again.
    pub redelivery: SignedDuration,
    /// `smev3.stale_after`: how old a MessageID may be.
    pub stale_after: SignedDuration,
    /// `smev3.future_skew`: how far in the future a MessageID may be.
    pub future_skew: SignedDuration,
    /// `smev3.message_ttl`: time to live of a message without EOL.
    pub message_ttl: SignedDuration,
    /// How long a token stays usable after the final answer, and an upstream's identifier known after our Ack.
    pub grace: SignedDuration,
    /// How long an exchange waits for an answer at all.
    pub exchange_ttl: SignedDuration,
    /// `limits.queue_messages`: messages per participant queue, and per sender towards each upstream.
    pub queue_messages: u64,
    /// `limits.queue_bytes`: octets per participant queue, and per sender towards each upstream.
    pub queue_bytes: u64,
    /// `limits.disk_reserve`: below this many free octets nothing new is accepted; without it
    /// [`disk_reserve`](crate::room::disk_reserve) tells.
    pub disk_reserve: Option<u64>,
    /// `limits.inode_reserve`: the same for inodes; without it [`inode_reserve`](crate::room::inode_reserve) tells.
    pub inode_reserve: Option<u64>,
    /// `retention.bodies`: how long bodies are kept after completion.
    pub retention_bodies: SignedDuration,
    /// `retention.journal`: before this no record may be destroyed.
    pub retention_journal: SignedDuration,
    /// `retention.rule`: other times for some messages; the first rule that fits a message counts.
    pub retention_rules: Vec<RetentionRule>,
    /// A closed spool segment is copied forward when less than this percentage of it is needed.
    pub copy_forward_below_percent: u8,
    /// Octets that sled may cache (a hint to it).
    pub index_cache_bytes: u64,
    /// An index that takes so much more of the disk than a fifth beyond what it would take when freshly written is written
    /// anew in a quiet moment; when it takes several times as much, at any moment.
    pub index_renew_above: u64,
    /// How often a signed checkpoint is written while there are new records.
    pub checkpoint_every: SignedDuration,
    /// Age at which a journal segment is sealed although it is not full; none to wait until it is.
    pub seal_after: Option<SignedDuration>,
    /// `storage.clock_trusted_for`: how far the clock may be after the journal's last record at a start, or jump later,
    /// and be believed without a person.
    pub clock_trusted_for: SignedDuration,
    /// Records after which a snapshot is made.
    pub snapshot_every: u64,
    /// How often expired leases, times to live and purges are looked for (real time).
    pub tick: Duration,
    /// Commands that may wait for the writer; further callers wait in line.
    pub waiting_commands: usize,
    /// Sizes of journal and spool segments.
    pub store: journal::Options,
    /// What a person accepts with this start.
    pub accepted: Acceptance,
}

impl Settings {
    /// The defaults of DESIGN §6 and §9.
    pub fn new(data_dir: PathBuf, node: Mnemonic) -> Self {
        const DAY: SignedDuration = SignedDuration::from_hours(24);
        Self {
            data_dir,
            node,
            redelivery: SignedDuration::from_mins(15),
            stale_after: DAY * 2,
            future_skew: SignedDuration::from_mins(15),
            message_ttl: DAY * 30,
            grace: DAY * 30,
            exchange_ttl: DAY * 365,
            queue_messages: 100_000,
            queue_bytes: 10_000_000_000,
            disk_reserve: None,
            inode_reserve: None,
            retention_bodies: DAY * 30,
            retention_journal: DAY * 1095,
            retention_rules: Vec::new(),
            copy_forward_below_percent: 25,
            index_cache_bytes: 8 << 20,
            index_renew_above: 16 << 20,
            checkpoint_every: SignedDuration::from_mins(10),
            seal_after: None,
            clock_trusted_for: DAY * 7,
            snapshot_every: 1_000_000,
            tick: Duration::from_secs(1),
            waiting_commands: 1024,
            store: journal::Options::default(),
            accepted: Acceptance::default(),
        }
    }
    /// How long the bodies of a message are kept after its end.
    pub(crate) fn bodies_of(&self, message: &Message) -> SignedDuration {
        let rule = self.retention_rules.iter().find(|rule| rule.fits(message));
        rule.map_or(self.retention_bodies, |rule| rule.bodies)
    }
}

/// What a person accepts with a start, because no start would take it upon itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Acceptance {
    /// Damage of the journal, by the records under which it is named.
    pub gaps: Vec<u64>,
    /// Who; without a person nothing is accepted.
    pub by: Option<Person>,
}

/// How long bodies of some messages are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRule {
    /// Messages of this kind; of every kind if none is named.
    pub kind: Option<KindName>,
    /// Messages that this participant sent or receives; of everybody if none is named.
    pub participant: Option<Mnemonic>,
    /// After completion.
    pub bodies: SignedDuration,
}

impl RetentionRule {
    fn fits(&self, message: &Message) -> bool {
        let takes_part = |participant: &Mnemonic| {
            let is = |party: &Party| matches!(party, Party::Participant(one) if one == participant);
            is(&message.sender) || message.recipient.as_ref().is_some_and(is)
        };
        self.kind
            .as_ref()
            .is_none_or(|kind| message.kind.as_ref() == Some(kind))
            && self.participant.as_ref().is_none_or(takes_part)
    }
}
