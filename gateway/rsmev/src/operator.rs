//! What an operator can ask of a gateway, running or stopped: one request type, one place that carries it out.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use engine::command::{Halting, QuarantineDecision, Quarantined, QueueStatus, QueuedMessage, RegistryChange};
use engine::event::Person;
use engine::names::{MessageId, Mnemonic, Queue};
use engine::registry::RegistryContent;
use engine::{BackupMade, DestructionStatus, Engine, Halts, IncidentStatus, View};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use vault::MasterKey;

use crate::admin::roles::{Right, Role};
use crate::master_key::Rotated;
use crate::registry_file::stored;

/// A request of the command line; one JSON object on the admin socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub(crate) enum Request {
    /// Queues that hold something.
    Queues,
    /// The first messages of one queue.
    Queue {
        /// Which.
        queue: Queue,
        /// At most so many.
        limit: u32,
    },
    /// The whole story of a message.
    Trace {
        /// Which.
        message_id: MessageId,
    },
    /// What waits for a decision.
    Quarantine,
    /// A decision about messages in quarantine: rejected with this reason, or tried again.
    Decide {
        /// Which.
        ids: Vec<MessageId>,
        /// The reason of a rejection.
        reason: Option<String>,
    },
    /// A person takes note of the journal's cut.
    AcknowledgeCut {
        /// The person's words.
        reason: String,
    },
    /// A person says that the clock is right.
    AcceptClock {
        /// The time that it is.
        time: Timestamp,
    },
    /// A backup begins: what it consists of.
    BackupBegin,
    /// It is still being made.
    BackupGoesOn {
        /// Number of the hold on the files.
        hold: u64,
    },
    /// It is complete but for the signature, which is the answer.
    BackupMade {
        /// Number of the hold on the files.
        hold: u64,
        /// What it is.
        made: BackupMade,
    },
    /// It is over, whatever came of it.
    BackupEnd {
        /// Number of the hold on the files.
        hold: u64,
    },
    /// After a restoration messages may go to upstreams again.
    ResumeUpstream {
        /// When the session that was lost ended at the latest.
        lost: Timestamp,
        /// The person's words.
        reason: String,
    },
    /// What was proposed to be destroyed.
    Destructions,
    /// A person proposes to destroy the beginning of the journal.
    ProposeDestruction {
        /// Everything in it is older than this.
        before: Timestamp,
        /// Segments that the archive does not have may go, too.
        unshipped: bool,
        /// The person's words.
        reason: String,
    },
    /// Another person approves it.
    ApproveDestruction {
        /// Number of the proposal.
        id: u64,
    },
    /// A person withdraws or rejects it.
    CloseDestruction {
        /// Number of the proposal.
        id: u64,
        /// The person's words.
        reason: String,
    },
    /// The data keys are wrapped under another master key.
    RotateMasterKey {
        /// File of the new one.
        file: PathBuf,
    },
    /// What stands still.
    Halts,
    /// A participant's calls are to be refused.
    SuspendParticipant {
        /// Which.
        participant: Mnemonic,
        /// The person's words.
        reason: String,
    },
    /// They are to be answered again.
    ResumeParticipant {
        /// Which.
        participant: Mnemonic,
    },
    /// Nothing is to be handed out of a queue.
    PauseQueue {
        /// Which.
        queue: Queue,
        /// The person's words.
        reason: String,
    },
    /// It is to be handed out again.
    ResumeQueue {
        /// Which.
        queue: Queue,
    },
    /// Incidents that are open, and the latest that were closed.
    Incidents,
    /// How the gateway fares; only a running one can tell.
    Health {
        /// With the text of `/metrics`.
        metrics: bool,
    },
    /// What a running gateway is doing: counters, gauges, the foremost queues.
    Overview,
    /// The registry's content.
    Registry,
    /// Sequence number of the journal's last record.
    JournalEnd,
    /// The whole journal was verified beside the running gateway.
    JournalVerified {
        /// What was wrong with it.
        error: Option<String>,
    },
    /// The registry's content with its files.
    RegistryFiles,
    /// A change of the registry.
    RegistryApply {
        /// What the files say.
        content: RegistryContent,
        /// Remove what is not in it.
        prune: bool,
        /// Certificates and schema files by content name.
        blobs: Blobs,
    },
}

/// Files by content name, base64 in JSON.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>", into = "BTreeMap<String, String>")]
pub(crate) struct Blobs(pub(crate) BTreeMap<String, Vec<u8>>);

impl From<Blobs> for BTreeMap<String, String> {
    fn from(blobs: Blobs) -> Self {
        blobs
            .0
            .into_iter()
            .map(|(name, octets)| (name, BASE64_STANDARD.encode(octets)))
            .collect()
    }
}

impl TryFrom<BTreeMap<String, String>> for Blobs {
    type Error = base64::DecodeError;

    fn try_from(texts: BTreeMap<String, String>) -> Result<Self, base64::DecodeError> {
        texts
            .into_iter()
            .map(|(name, text)| Ok((name, BASE64_STANDARD.decode(text)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

/// The registry with its files, as `registry_files` answers.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct RegistryFiles {
    /// The content.
    pub(crate) content: RegistryContent,
    /// The files that it names.
    pub(crate) blobs: Blobs,
}

/// What became of one message of a `decide` request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Decided {
    /// Which.
    pub(crate) message_id: MessageId,
    /// Why nothing was done; absent when it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl Request {
    /// Whether it needs to be known who asks, which the kernel tells at the socket of a running gateway alone.
    pub(crate) fn needs_a_person(&self) -> bool {
        matches!(
            self,
            Self::ProposeDestruction { .. } | Self::ApproveDestruction { .. } | Self::CloseDestruction { .. }
        )
    }

    /// How long its answer may take.
    pub(crate) fn patience(&self) -> Duration {
        match self {
            // Years of records are read and verified.
            Self::ApproveDestruction { .. } => Duration::from_hours(12),
            // Whoever asks for that wants to know whether it answers at all.
            Self::Health { .. } => Duration::from_secs(15),
            _ => Duration::from_secs(120),
        }
    }

    /// What somebody at the socket needs for it.
    pub(crate) fn right(&self) -> Right {
        match self {
            Self::Queues
            | Self::Queue { .. }
            | Self::Trace { .. }
            | Self::Quarantine
            | Self::Destructions
            | Self::Halts
            | Self::Incidents
            | Self::Overview
            | Self::Registry
            | Self::RegistryFiles
            | Self::JournalEnd
            | Self::Health { .. } => Right::Look,
            // The two people of a destruction are operators: an auditor changes nothing.
            Self::ProposeDestruction { .. }
            | Self::ApproveDestruction { .. }
            | Self::CloseDestruction { .. }
            | Self::Decide { .. }
            | Self::AcknowledgeCut { .. }
            | Self::AcceptClock { .. }
            | Self::BackupBegin
            | Self::BackupGoesOn { .. }
            | Self::BackupMade { .. }
            | Self::BackupEnd { .. }
            | Self::ResumeUpstream { .. }
            | Self::RotateMasterKey { .. }
            | Self::SuspendParticipant { .. }
            | Self::ResumeParticipant { .. }
            | Self::PauseQueue { .. }
            | Self::ResumeQueue { .. }
            | Self::JournalVerified { .. } => Right::Of(Role::Operator),
            Self::RegistryApply { .. } => Right::Of(Role::Registrar),
        }
    }

    /// Whether it can be answered without changing anything.
    pub(crate) fn only_looks(&self) -> bool {
        match self {
            Self::Queues
            | Self::Queue { .. }
            | Self::Quarantine
            | Self::Destructions
            | Self::Halts
            | Self::Incidents
            | Self::Registry
            | Self::RegistryFiles => true,
            Self::Trace { .. }
            | Self::BackupBegin
            | Self::BackupGoesOn { .. }
            | Self::BackupMade { .. }
            | Self::BackupEnd { .. }
            | Self::ResumeUpstream { .. }
            | Self::ProposeDestruction { .. }
            | Self::ApproveDestruction { .. }
            | Self::CloseDestruction { .. }
            | Self::Decide { .. }
            | Self::AcknowledgeCut { .. }
            | Self::AcceptClock { .. }
            | Self::RotateMasterKey { .. }
            | Self::SuspendParticipant { .. }
            | Self::ResumeParticipant { .. }
            | Self::PauseQueue { .. }
            | Self::ResumeQueue { .. }
            | Self::Overview
            | Self::JournalEnd
            | Self::Health { .. }
            | Self::JournalVerified { .. }
            | Self::RegistryApply { .. } => false,
        }
    }
}

/// What can be looked at in a running gateway and in the store of a stopped one.
pub(crate) trait Look {
    fn queues(&self) -> Result<Vec<QueueStatus>, String>;
    fn queue(&self, queue: &Queue, limit: usize) -> Result<Vec<QueuedMessage>, String>;
    fn quarantine(&self) -> Result<Vec<Quarantined>, String>;
    fn destructions(&self) -> Result<Vec<DestructionStatus>, String>;
    fn halts(&self) -> Halts;
    fn incidents(&self) -> Result<Vec<IncidentStatus>, String>;
    fn registry(&self) -> RegistryContent;
    fn blob(&self, hash: &str) -> io::Result<Vec<u8>>;
}

impl Look for Engine {
    fn queues(&self) -> Result<Vec<QueueStatus>, String> {
        Ok(self.queues())
    }

    fn queue(&self, queue: &Queue, limit: usize) -> Result<Vec<QueuedMessage>, String> {
        Ok(self.queue(queue, limit))
    }

    fn quarantine(&self) -> Result<Vec<Quarantined>, String> {
        Ok(self.quarantine())
    }

    fn destructions(&self) -> Result<Vec<DestructionStatus>, String> {
        Ok(self.destructions())
    }

    fn halts(&self) -> Halts {
        self.registry().halts().clone()
    }

    fn incidents(&self) -> Result<Vec<IncidentStatus>, String> {
        Ok(self.opened_incidents())
    }

    fn registry(&self) -> RegistryContent {
        self.registry().content().clone()
    }

    fn blob(&self, hash: &str) -> io::Result<Vec<u8>> {
        self.blob(hash)
    }
}

impl Look for View {
    fn halts(&self) -> Halts {
        self.registry().halts().clone()
    }

    fn queues(&self) -> Result<Vec<QueueStatus>, String> {
        self.queues().map_err(text)
    }

    fn queue(&self, queue: &Queue, limit: usize) -> Result<Vec<QueuedMessage>, String> {
        self.queue(queue, limit).map_err(text)
    }

    fn quarantine(&self) -> Result<Vec<Quarantined>, String> {
        self.quarantine().map_err(text)
    }

    fn destructions(&self) -> Result<Vec<DestructionStatus>, String> {
        self.destructions().map_err(text)
    }

    fn incidents(&self) -> Result<Vec<IncidentStatus>, String> {
        self.opened_incidents().map_err(text)
    }

    fn registry(&self) -> RegistryContent {
        self.registry().content().clone()
    }

    fn blob(&self, hash: &str) -> io::Result<Vec<u8>> {
        self.blob(hash)
    }
}

/// Answers what [only looks](Request::only_looks). The error is a text for a person.
pub(crate) fn look(at: &impl Look, request: &Request) -> Result<Value, String> {
    match request {
        Request::Queues => at.queues().and_then(to_json),
        Request::Queue { queue, limit } => {
            let limit = usize::try_from(*limit).unwrap_or(usize::MAX);
            at.queue(queue, limit).and_then(|messages| {
                // A participant that was removed may have left messages behind.
                if messages.is_empty() {
                    known(queue, &at.registry())?;
                }
                to_json(messages)
            })
        }
        Request::Quarantine => at.quarantine().and_then(to_json),
        Request::Destructions => at.destructions().and_then(to_json),
        Request::Halts => to_json(at.halts()),
        Request::Incidents => at.incidents().and_then(to_json),
        Request::Registry => to_json(at.registry()),
        Request::RegistryFiles => {
            let content = at.registry();
            let read = |hash: &str| at.blob(hash).map_err(|error| format!("registry file {hash}: {error}"));
            stored::blobs(&content, read).and_then(|blobs| {
                let blobs = Blobs(blobs);
                to_json(RegistryFiles { content, blobs })
            })
        }
        Request::Trace { .. }
        | Request::BackupBegin
        | Request::BackupGoesOn { .. }
        | Request::BackupMade { .. }
        | Request::BackupEnd { .. }
        | Request::ResumeUpstream { .. }
        | Request::ProposeDestruction { .. }
        | Request::ApproveDestruction { .. }
        | Request::CloseDestruction { .. }
        | Request::Decide { .. }
        | Request::AcknowledgeCut { .. }
        | Request::AcceptClock { .. }
        | Request::RotateMasterKey { .. }
        | Request::SuspendParticipant { .. }
        | Request::ResumeParticipant { .. }
        | Request::PauseQueue { .. }
        | Request::ResumeQueue { .. }
        | Request::Overview
        | Request::JournalEnd
        | Request::Health { .. }
        | Request::JournalVerified { .. }
        | Request::RegistryApply { .. } => Err("this needs more than a look at the store".to_owned()),
    }
}

/// Carries a request out; the person is who asks, for the journal. The error is a text for a person.
pub(crate) async fn carry_out(engine: &Engine, request: Request, person: &Person) -> Result<Value, String> {
    let by = person.name.as_str();
    match request {
        Request::Queues
        | Request::Queue { .. }
        | Request::Quarantine
        | Request::Destructions
        | Request::Halts
        | Request::Incidents
        | Request::Registry
        | Request::RegistryFiles => look(engine, &request),
        Request::SuspendParticipant { participant, reason } => {
            halt(engine, Halting::Suspend { participant, reason }, person).await
        }
        Request::ResumeParticipant { participant } => {
            halt(engine, Halting::ResumeParticipant(participant), person).await
        }
        Request::PauseQueue { queue, reason } => halt(engine, Halting::Pause { queue, reason }, person).await,
        Request::ResumeQueue { queue } => halt(engine, Halting::ResumeQueue(queue), person).await,
        Request::BackupBegin => to_json(engine.begin_backup().await.map_err(text)?),
        Request::BackupGoesOn { hold } => to_json(engine.go_on_with_backup(hold)),
        Request::BackupMade { hold, made } => to_json(engine.vouch_for_backup(hold, made, by).await.map_err(text)?),
        Request::BackupEnd { hold } => {
            engine.end_backup(hold);
            to_json(())
        }
        Request::ResumeUpstream { lost, reason } => {
            to_json(engine.resume_upstream(lost, person, reason).await.map_err(text)?)
        }
        Request::ProposeDestruction {
            before,
            unshipped,
            reason,
        } => {
            let proposed = engine
                .propose_destruction(before, unshipped, person.clone(), reason)
                .await;
            let id = proposed.map_err(text)?;
            let proposed = engine.destructions().into_iter().find(|proposed| proposed.id == id);
            to_json(proposed.ok_or("the proposal was settled meanwhile")?)
        }
        Request::ApproveDestruction { id } => {
            to_json(engine.approve_destruction(id, person.clone()).await.map_err(text)?)
        }
        Request::CloseDestruction { id, reason } => to_json(
            engine
                .close_destruction(id, person.clone(), reason)
                .await
                .map_err(text)?,
        ),
        Request::Trace { message_id } => {
            let engine = engine.clone();
            let traced = tokio::task::spawn_blocking(move || engine.trace(message_id))
                .await
                .map_err(text)?;
            to_json(traced.map_err(text)?)
        }
        Request::Decide { ids, reason } => to_json(decide(engine, &ids, reason.as_deref(), by).await),
        Request::AcknowledgeCut { reason } => to_json(engine.acknowledge_journal_cut(by, &reason).await.map_err(text)?),
        Request::AcceptClock { time } => to_json(engine.accept_clock(time, person).await.map_err(text)?),
        Request::RotateMasterKey { file } => {
            let master = MasterKey::read(&file).map_err(text)?;
            let now = master.fingerprint();
            let before = engine.rotate_master_key(master, by).await?;
            to_json(Rotated { before, now })
        }
        Request::JournalEnd => to_json(engine.gauges().journal_last_seq),
        Request::Health { .. } => Err("only a running gateway can tell how it fares".to_owned()),
        Request::Overview => Err("only a running gateway has something to show".to_owned()),
        Request::JournalVerified { .. } => Err("only a running gateway keeps what a verification found".to_owned()),
        Request::RegistryApply { content, prune, blobs } => {
            let change = RegistryChange {
                content,
                prune,
                blobs: blobs.0,
            };
            let change = tokio::task::spawn_blocking(move || check_schemas(&change).map(|()| change)).await;
            let change = change.map_err(text)??;
            to_json(engine.apply_registry(change, by).await.map_err(text)?)
        }
    }
}

async fn halt(engine: &Engine, what: Halting, person: &Person) -> Result<Value, String> {
    to_json(engine.halt(what, person).await.map_err(text)?)
}

/// Whoever asks: what does not compile, has a DTD or leads out of its folder never reaches the doors.
fn check_schemas(change: &RegistryChange) -> Result<(), String> {
    for kind in change.content.kinds.values() {
        let Some(schema) = &kind.schema else { continue };
        let file = |(path, hash): (&String, &String)| {
            let octets = change
                .blobs
                .get(hash)
                .ok_or_else(|| format!("kind {}: {path} is missing", kind.name))?;
            Ok((path.clone(), octets.clone()))
        };
        let files = schema
            .files
            .iter()
            .map(file)
            .collect::<Result<BTreeMap<_, _>, String>>()?;
        smev3::schema::compile(&schema.main, &files).map_err(|error| format!("kind {}: {error}", kind.name))?;
    }
    Ok(())
}

async fn decide(engine: &Engine, ids: &[MessageId], reason: Option<&str>, by: &str) -> Vec<Decided> {
    let waiting = engine.quarantine();
    let mut decided = Vec::with_capacity(ids.len());
    for id in ids {
        let decision = match reason {
            Some(reason) => QuarantineDecision::Reject {
                reason: reason.to_owned(),
            },
            None => QuarantineDecision::Retry,
        };
        let error = match waiting.iter().find(|message| message.message_id == *id) {
            Some(message) => engine
                .decide_quarantine(message.seq, decision, by)
                .await
                .err()
                .map(text),
            None => Some("is not in quarantine".to_owned()),
        };
        decided.push(Decided { message_id: *id, error });
    }
    decided
}

/// Whether a queue's owner is registered; which upstreams there are stands in the configuration.
fn known(queue: &Queue, registry: &RegistryContent) -> Result<(), String> {
    let (Queue::Requests(owner) | Queue::Responses(owner, _) | Queue::Status(owner)) = queue else {
        return Ok(());
    };
    if registry.participants.contains_key(owner) {
        Ok(())
    } else {
        Err(format!(
            "there is no queue {queue}: no participant {owner} is registered"
        ))
    }
}

fn to_json(value: impl Serialize) -> Result<Value, String> {
    Ok(json!(value))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
