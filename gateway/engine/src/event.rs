//! Events: what the journal says, and all that the index is made of.
//!
//! An event is written as JSON with its kind in `type`. Events are hashed on the writer's path, so they are lean: what
//! follows from other events is left out. `message` is always the sequence number of the message's accept event.
//!
//! What is known before anything is decided stands first, so that whoever brings it can write and hash it
//! (`Known`); the writer adds the `Rest`.

mod accepted;
mod destruction;
mod forms;
mod halts;
mod incident;

use std::net::IpAddr;

use jiff::Timestamp;
use journal::{Gap, Location};
use serde::{Deserialize, Serialize};

use crate::backup::BackupMade;
use crate::command::{Evidence, ForwardOutcome, RegistryDiff};
use crate::names::{MessageId, Party, UpstreamName};

pub use accepted::{AcceptedMessage, Admission, Placement, Role, SentMessage};
pub use destruction::{Act, DestroyedSegment, Destruction, Person};
pub(crate) use forms::certificate;
use forms::{is_zero, location};
pub use halts::{PausedQueue, ResumedParticipant, ResumedQueue, SuspendedParticipant};
pub(crate) use incident::cut;
pub use incident::{Affected, NoticeResult, OpenedIncident, Phase, Severity};

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The engine began to work.
    Started {
        /// The program's version.
        version: String,
        /// The machine's boot id.
        boot: String,
    },
    /// The engine ended in order.
    Stopped,
    /// A message was accepted, or the gateway wrote a notice.
    Accepted(Box<AcceptedMessage>),
    /// A message was handed to its receiver.
    HandedOut {
        /// Which.
        message: u64,
        /// End of the lease; none if nothing is to be acknowledged and the message has ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// The receiver did not acknowledge in time: the message is back in its place.
    LeaseExpired {
        /// Which.
        message: u64,
    },
    /// The receiver acknowledged.
    Acknowledged {
        /// What it said.
        #[serde(flatten)]
        receipt: Receipt,
        /// Which.
        message: u64,
        /// The lease had run out.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        late: bool,
    },
    /// EOL or the time to live passed.
    Expired {
        /// Which.
        message: u64,
    },
    /// The payload does not fit its kind's schema: the message ends here.
    SchemaRejected {
        /// Which.
        message: u64,
    },
    /// An attempt to send it upstream begins.
    ForwardStarted {
        /// Which.
        message: u64,
        /// Under which identifier.
        id: MessageId,
    },
    /// What came of the attempt.
    ForwardOutcome {
        /// Which.
        message: u64,
        /// What.
        outcome: ForwardOutcome,
    },
    /// A message cannot be handed over, because what the spool holds of it is not what was written: a person must decide.
    Quarantined {
        /// Which.
        message: u64,
        /// What is wrong, and where.
        cause: String,
    },
    /// A person decided about a message.
    Decided {
        /// Which.
        message: u64,
        /// Who.
        by: String,
        /// What.
        decision: Decided,
    },
    /// Our Ack for a pulled message reached the upstream.
    UpstreamAcknowledged {
        /// Which upstream.
        upstream: UpstreamName,
        /// The identifier.
        id: MessageId,
    },
    /// The registry was changed; its content is a file named by its digest.
    Registry {
        /// Streebog-256 of the content's file.
        digest: String,
        /// Who changed it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
        /// What was changed.
        diff: RegistryDiff,
    },
    /// A call under the name of a participant was refused.
    Refused {
        /// Label of the door.
        door: String,
        /// Who, or who it claims to be.
        participant: Party,
        /// Whether the participant's signature was verified; absent in records that do not tell.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verified: Option<bool>,
        /// Where the call came from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
        /// The operation, by the door's name for it.
        operation: String,
        /// The fault that the caller got, by the door's name for it.
        fault: String,
        /// Why, in one word of a closed set (`docs/refusals.md`).
        #[serde(default)]
        reason: String,
        /// The identifier in the call.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<MessageId>,
        /// Refusals that were not written since the last one: of this participant if verified, of all if not.
        #[serde(default, skip_serializing_if = "is_zero")]
        omitted: u64,
    },
    /// Something that a person should know.
    Incident {
        /// A short word.
        kind: String,
        /// What happened, without payload.
        text: String,
    },
    /// A rule found that something is wrong: an incident that lasts. Its number is this record's.
    IncidentOpened(Box<OpenedIncident>),
    /// What an incident is about has been over for a while.
    IncidentClosed {
        /// The record that opened it.
        incident: u64,
        /// In words.
        text: String,
        /// Seconds that it was open.
        lasted: u64,
        /// Whom it still touched.
        affected: Affected,
    },
    /// A notice of an incident was delivered or given up.
    IncidentNotified {
        /// The record that opened it.
        incident: u64,
        /// What became of the notice.
        #[serde(flatten)]
        notice: NoticeResult,
    },
    /// A start found that the journal lacks records which were durable: it was cut off, or replaced. Nothing goes to an
    /// upstream until a person says so.
    JournalCut {
        /// The last durable record that the index knew.
        known: u64,
        /// Its digest, hexadecimal.
        known_digest: String,
        /// Where the journal ended.
        end: u64,
        /// The digest of the record there, hexadecimal.
        end_digest: String,
        /// The folder in the data directory with what the start took away.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aside: Option<String>,
        /// The time of the record where the journal ended; the beginning of time if that is not known.
        #[serde(default)]
        made: Timestamp,
        /// Who accepted the loss, if the start had to be told to go on without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Person>,
    },
    /// A person has taken note of it.
    JournalCutAcknowledged {
        /// The last durable record that was known, as in the cut.
        known: u64,
        /// Where the journal ended, as in the cut.
        end: u64,
        /// Who.
        by: String,
        /// The person's words.
        reason: String,
    },
    /// Records of the journal are missing, and a person accepted that.
    GapAccepted {
        /// Which, and why.
        #[serde(flatten)]
        gap: Box<Gap>,
        /// Who.
        by: Person,
    },
    /// The state was built without these records: nothing goes to an upstream until a person says so.
    GapPassed {
        /// The first one.
        first: u64,
        /// The last one.
        last: u64,
        /// The time of the record before them.
        made: Timestamp,
        /// The folder in the data directory with the damaged files.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        aside: Option<String>,
    },
    /// A person says that the clock is right, whatever the times of the records before. The time of this record is the
    /// clock's.
    ClockAccepted {
        /// The moment by which the gateway went until then, or the latest one in the journal.
        before: Timestamp,
        /// Who.
        by: Person,
    },
    /// Calls of a participant are refused from now on.
    ParticipantSuspended(Box<SuspendedParticipant>),
    /// They are answered again.
    ParticipantResumed(Box<ResumedParticipant>),
    /// Nothing is handed out of a queue from now on.
    QueuePaused(Box<PausedQueue>),
    /// It is handed out again.
    QueueResumed(Box<ResumedQueue>),
    /// Bodies are sealed under a new data key from now on.
    DataKey {
        /// Its id on the keyring.
        id: u32,
        /// The cipher's name.
        cipher: String,
    },
    /// The data keys are wrapped under another master key.
    MasterKey {
        /// Tells the key; shows nothing of it.
        fingerprint: String,
        /// The same of the one before.
        before: String,
        /// Who.
        by: String,
    },
    /// The gateway vouches for the journal up to here.
    Checkpoint {
        /// Sequence number of the record before.
        through: u64,
        /// Digest of that record, hexadecimal.
        digest: String,
        /// Certificate of the key, a file under `registry/`.
        certificate: String,
        /// Signature over [`checkpoint_text`](crate::checkpoint_text), hexadecimal.
        signature: String,
    },
    /// A snapshot of the state right after this position was made.
    Snapshot {
        /// Sequence number of the last record that it reflects.
        through: u64,
        /// Digest of the snapshot file, hexadecimal.
        digest: String,
    },
    /// A body was copied into another spool segment.
    Relocated {
        /// Which message.
        message: u64,
        /// Which of its bodies.
        body: BodyName,
        /// From where.
        #[serde(with = "location")]
        from: Location,
        /// To where.
        #[serde(with = "location")]
        to: Location,
    },
    /// A spool segment was removed because nothing in it is needed.
    SpoolRemoved {
        /// Its number.
        segment: u64,
    },
    /// The archive took a sealed journal segment.
    Archived {
        /// Its first record.
        first: u64,
        /// Its last record.
        last: u64,
        /// Streebog-256 of the file, hexadecimal.
        digest: String,
    },
    /// Somebody proposes to destroy the beginning of the journal.
    DestructionProposed(Box<Destruction>),
    /// Somebody else approved it.
    DestructionApproved {
        /// The record that proposed it.
        proposal: u64,
        /// The act.
        act: Box<Act>,
    },
    /// It was withdrawn or rejected.
    DestructionClosed {
        /// The record that proposed it.
        proposal: u64,
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// All that the act names was removed.
    JournalDestroyed {
        /// The record that proposed it.
        proposal: u64,
        /// The last record that went.
        through: u64,
    },
    /// A backup was made.
    BackedUp {
        /// What it is.
        #[serde(flatten)]
        made: BackupMade,
        /// Who made it.
        by: String,
    },
    /// The store was restored from a backup: nothing goes to an upstream until a person says so.
    Restored {
        /// Streebog-256 of the backup's manifest, hexadecimal.
        manifest: String,
        /// The last record of the backup.
        through: u64,
        /// When the backup was made.
        made: Timestamp,
        /// Who restored it; absent in records of former programs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Person>,
    },
    /// A person said so.
    UpstreamResumed {
        /// When the session that was lost ended at the latest.
        lost: Timestamp,
        /// Who.
        by: String,
        /// The person's words.
        reason: String,
        /// Messages that may have been sent under another identifier: they are in quarantine now.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        doubtful: Vec<u64>,
    },
    /// What is due was forgotten.
    Forgotten {
        /// What.
        what: Forgotten,
        /// All rows of the family up to this key (hexadecimal), in the order of their time.
        through: String,
    },
    /// What is due was forgotten, row by row, because other rows of the family are kept longer.
    ForgottenEach {
        /// What.
        what: Forgotten,
        /// The rows by their keys (hexadecimal).
        keys: Vec<String>,
    },
}

impl Event {
    /// What `type` can be in a record, in the order of the variants.
    pub const TYPES: [&'static str; 44] = [
        "started",
        "stopped",
        "accepted",
        "handed_out",
        "lease_expired",
        "acknowledged",
        "expired",
        "schema_rejected",
        "forward_started",
        "forward_outcome",
        "quarantined",
        "decided",
        "upstream_acknowledged",
        "registry",
        "refused",
        "incident",
        "incident_opened",
        "incident_closed",
        "incident_notified",
        "journal_cut",
        "journal_cut_acknowledged",
        "gap_accepted",
        "gap_passed",
        "clock_accepted",
        "participant_suspended",
        "participant_resumed",
        "queue_paused",
        "queue_resumed",
        "data_key",
        "master_key",
        "checkpoint",
        "snapshot",
        "relocated",
        "spool_removed",
        "archived",
        "destruction_proposed",
        "destruction_approved",
        "destruction_closed",
        "journal_destroyed",
        "backed_up",
        "restored",
        "upstream_resumed",
        "forgotten",
        "forgotten_each",
    ];
}

/// What a receiver says with an Ack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// Whether the gateway's signature verified.
    pub accepted: bool,
    /// Proof of receipt.
    pub evidence: Evidence,
}

/// The first fields of an event, as far as they are known before it is decided about.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Known<'e> {
    Accepted(&'e SentMessage),
    Acknowledged(&'e Receipt),
}

/// The fields after those of [`Known`].
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(crate) enum Rest<'e> {
    Accepted(&'e Admission),
    Acknowledged {
        message: u64,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        late: bool,
    },
}

impl Event {
    /// The two parts of an event that has them.
    pub(crate) fn parts(&self) -> Option<(Known<'_>, Rest<'_>)> {
        match self {
            Self::Accepted(accepted) => Some((Known::Accepted(&accepted.sent), Rest::Accepted(&accepted.admission))),
            Self::Acknowledged { receipt, message, late } => Some((
                Known::Acknowledged(receipt),
                Rest::Acknowledged {
                    message: *message,
                    late: *late,
                },
            )),
            _ => None,
        }
    }
}

/// A person's decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decided {
    /// Back to its place.
    Retry,
    /// To a place that is known now.
    Place(Box<Placement>),
    /// The end.
    Reject {
        /// The person's words.
        reason: String,
    },
}

/// Which body of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BodyName {
    /// A part.
    Part(u16),
    /// The exchange note.
    Note,
    /// What routing looked at.
    Facts,
}

impl BodyName {
    /// The number under which the spool keeps it; parts keep their own.
    pub(crate) fn number(self) -> u16 {
        match self {
            Self::Part(number) => number,
            Self::Note => u16::MAX,
            Self::Facts => u16::MAX - 1,
        }
    }

    /// Highest number that a part may have.
    pub(crate) const LAST_PART: u16 = u16::MAX - 2;
}

/// What is forgotten when its time has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Forgotten {
    /// Bodies of messages that ended.
    Bodies,
    /// Messages that ended, with their exchanges.
    Messages,
    /// Delivered requests that nobody ever answered.
    Unanswered,
    /// Identifiers of local senders that are not fresh any more.
    Identifiers,
    /// Identifiers of upstreams.
    UpstreamIdentifiers,
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;

    use super::*;
    use crate::testing::evidence;

    fn read<T: DeserializeOwned>(text: &str) -> T {
        serde_json::from_str(text).unwrap()
    }

    /// Both parts of the event, in one object.
    fn joined(event: &Event) -> String {
        let (known, rest) = event.parts().unwrap();
        let known = serde_json::to_string(&known).unwrap();
        let rest = serde_json::to_string(&rest).unwrap();
        format!(
            "{},{}",
            known.strip_suffix('}').unwrap(),
            rest.strip_prefix('{').unwrap()
        )
    }

    #[test]
    fn the_parts_of_an_event_make_the_event() {
        let evidence = serde_json::to_string(&evidence()).unwrap();
        let id = "0f2b6c1e-5d7a-11f0-9a3c-0242ac120002";
        let sent = format!(
            r#"{{"type":"accepted","id":"{id}","door":"smev3","sender":{{"participant":"CITY"}},"remote_sender":"A","reference":"{id}","end_of_life":"2026-05-04T03:02:01Z","test":true,"format":"smev3/1.2","attachments":2,"evidence":{evidence}"#
        );
        let role = format!(
            r#""message_type":"response","kind":"plan","node":"N 1","about":7,"original":"{id}","closes":true"#
        );
        let bodies = r#""parts":[[0,1,64,10],[1,1,102,4]],"note":[1,134,3],"facts":[2,64,9]"#;
        let token = "0102030405060708090a0b0c0d0e0f10";
        for text in [
            format!(
                r#"{sent},"recipient":"gateway",{role},"on_behalf":"LAND",{bodies},"token":"{token}","quarantine":"why"}}"#
            ),
            format!(
                r#"{{"type":"accepted","id":"{id}","sender":{{"upstream":"federal"}},"format":"notice","message_type":"status","parts":[]}}"#
            ),
            format!(r#"{{"type":"acknowledged","accepted":true,"evidence":{evidence},"message":9,"late":true}}"#),
            format!(r#"{{"type":"acknowledged","accepted":false,"evidence":{evidence},"message":9}}"#),
        ] {
            let event: Event = read(&text);
            assert_eq!(serde_json::to_string(&event).unwrap(), text);
            assert_eq!(joined(&event), text);
        }
        let decided = format!(
            r#"{{"type":"decided","message":9,"by":"root","decision":{{"place":{{"recipient":{{"participant":"LAND"}},{role}}}}}}}"#
        );
        assert_eq!(serde_json::to_string(&read::<Event>(&decided)).unwrap(), decided);
    }

    #[test]
    fn only_what_is_known_before_the_decision_is_in_parts() {
        assert!(Event::Stopped.parts().is_none());
        assert!(Event::Expired { message: 1 }.parts().is_none());
    }

    #[test]
    fn the_list_of_types_is_that_of_the_variants() {
        let error = serde_json::from_str::<Event>(r#"{"type":"nosuch"}"#)
            .unwrap_err()
            .to_string();
        let quoted: Vec<&str> = error.split('`').skip(1).step_by(2).collect();
        assert_eq!(quoted[0], "nosuch");
        assert_eq!(quoted[1..], Event::TYPES, "{error}");
    }
}
