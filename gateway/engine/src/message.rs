//! A message as the index keeps it.

use jiff::Timestamp;
use journal::Location;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::command::{Lane, MessageType};
use crate::conditions::Words;
use crate::names::{KindName, MessageId, Mnemonic, NodeId, Party, Queue, UpstreamName};

/// Microseconds since 1970, the engine's grain of time: rows keep it short and sortable, the journal writes it exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Micros(pub(crate) i64);

impl Micros {
    /// The moment as sortable octets; what lies before 1970 counts as 1970.
    pub(crate) fn key(self) -> [u8; 8] {
        u64::try_from(self.0).unwrap_or(0).to_be_bytes()
    }

    pub(crate) fn from_key(key: [u8; 8]) -> Self {
        Self(i64::try_from(u64::from_be_bytes(key)).unwrap_or(i64::MAX))
    }

    /// Never fails: what a row holds was a timestamp once.
    pub(crate) fn timestamp(self) -> Timestamp {
        Timestamp::from_microsecond(self.0).unwrap_or(Timestamp::MAX)
    }
}

impl From<Timestamp> for Micros {
    fn from(at: Timestamp) -> Self {
        Self(at.as_microsecond())
    }
}

/// An accepted message, from acceptance until it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) message_type: MessageType,
    pub(crate) sender: Party,
    pub(crate) remote_sender: Option<String>,
    /// `None` while nobody knows where it should go: it is in quarantine then.
    pub(crate) recipient: Option<Party>,
    pub(crate) kind: Option<KindName>,
    /// Of a request: the sub-queue to which its answers go. Of an answer: the sub-queue in which it waits.
    pub(crate) node: Option<NodeId>,
    /// The participant in whose lane the gateway's own notice travels to an upstream.
    pub(crate) on_behalf: Option<Mnemonic>,
    pub(crate) reference: Option<Uuid>,
    pub(crate) format: String,
    pub(crate) parts: Vec<(u16, Location)>,
    /// The exchange note: outlives the other parts.
    pub(crate) note: Option<Location>,
    /// What routing looked at, kept for a message that nobody could route.
    pub(crate) facts: Option<Location>,
    /// Octets of all parts.
    pub(crate) bytes: u64,
    pub(crate) accepted_at: Micros,
    pub(crate) end_of_life: Option<Micros>,
    pub(crate) test: bool,
    /// Of answers and notices: the request (of a notice about an answer: that answer).
    pub(crate) about: Option<u64>,
    /// The identifier under which the receiver knows what this is about.
    pub(crate) original: Option<MessageId>,
    pub(crate) state: State,
    /// It was handed out at least once.
    pub(crate) handed_out: bool,
    pub(crate) attempts: Attempts,
    /// Of requests: how an answer finds back.
    pub(crate) exchange: Option<Exchange>,
    /// All that is stored of it is sealed.
    pub(crate) sealed: bool,
}

/// Where a message is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum State {
    /// Waits in its queue.
    Waiting,
    /// Handed out; keeps its place in the queue.
    Leased { until: Micros },
    /// A person must decide.
    Quarantined,
    /// In its final state since then; `bodies` tells whether they are still kept.
    Finished { at: Micros, bodies: bool },
}

/// A message's history upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Attempts {
    pub(crate) started: u32,
    pub(crate) last_id: Option<MessageId>,
    /// Every identifier under which it was sent.
    pub(crate) ids: Vec<MessageId>,
    /// Started, and nothing known about the outcome.
    pub(crate) in_flight: bool,
    /// An attempt may have reached the upstream without an answer that says so.
    pub(crate) uncertain: bool,
    /// Unknown outcomes in a row.
    pub(crate) unknown: u32,
}

impl Attempts {
    pub(crate) fn certainly_not_sent(&self) -> bool {
        !self.in_flight && !self.uncertain
    }
}

/// What an answer must show to be the answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exchange {
    /// The random part of the ReplyTo token.
    pub(crate) token: [u8; 16],
    /// When the final answer (or the rejection) was accepted.
    pub(crate) closed: Option<Micros>,
}

impl Message {
    /// The queue of a message with a recipient.
    pub(crate) fn queue(&self) -> Option<Queue> {
        queue(self.recipient.as_ref()?, self.message_type, self.node.as_ref())
    }

    /// The participant whose place a message takes in an upstream's queue.
    pub(crate) fn lane_sender(&self) -> Option<&Mnemonic> {
        match (&self.sender, &self.on_behalf) {
            (_, Some(participant)) | (Party::Participant(participant), None) => Some(participant),
            _ => None,
        }
    }

    /// The lane within the queue, as the keys write it: the kind, and towards an upstream `SENDER/KIND`.
    pub(crate) fn lane(&self) -> String {
        let kind = self.kind.as_ref().map_or("", KindName::as_str);
        match (&self.recipient, self.lane_sender()) {
            (Some(Party::Upstream(_)), Some(sender)) => format!("{sender}/{kind}"),
            _ => kind.to_owned(),
        }
    }

    pub(crate) fn finished(&self) -> bool {
        matches!(self.state, State::Finished { .. })
    }
}

/// Where messages of a type wait for their receiver.
pub(crate) fn queue(recipient: &Party, message_type: MessageType, node: Option<&NodeId>) -> Option<Queue> {
    Some(match (recipient, message_type) {
        (Party::Participant(owner), MessageType::Request) => Queue::Requests(owner.clone()),
        (Party::Participant(owner), MessageType::Response) => Queue::Responses(owner.clone(), node.cloned()),
        (Party::Participant(owner), MessageType::Status) => Queue::Status(owner.clone()),
        (Party::Upstream(name), _) => Queue::Upstream(name.clone()),
        (Party::Gateway, _) => return None,
    })
}

/// The lane that a key's text names.
pub(crate) fn parse_lane(upstream: &UpstreamName, text: &str) -> Option<Lane> {
    let (sender, kind) = text.split_once('/')?;
    Some(Lane {
        upstream: upstream.clone(),
        sender: sender.parse().ok()?,
        kind: kind.parse().ok()?,
    })
}

/// Messages of a queue, a lane or a sender, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counters {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
    pub(crate) leased: u64,
}

/// What an upstream's identifier is known for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pulled {
    pub(crate) seq: u64,
    pub(crate) acknowledged: Option<Micros>,
}

/// Why a message is in quarantine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) since: Micros,
    pub(crate) cause: String,
}

/// What is needed of a spool segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Needed {
    pub(crate) octets: u64,
    /// Messages whose bodies were put here when they were accepted: from …
    pub(crate) first: u64,
    /// … to.
    pub(crate) last: u64,
}

/// Records of the journal that were durable and are not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct JournalCut {
    pub(crate) at: Micros,
    /// The last one that was known.
    pub(crate) known: u64,
    /// Where the journal ended.
    pub(crate) end: u64,
    /// The folder in the data directory with what the start took away.
    pub(crate) aside: Option<String>,
    /// They are missing in the middle, and the state was built without them.
    #[serde(default)]
    pub(crate) gap: bool,
}

impl JournalCut {
    /// For `/ready`.
    pub(crate) fn words(&self) -> Words {
        Words::new(self.messages(), self.remedies())
    }

    fn messages(&self) -> [String; 2] {
        let Self { at, known, end, .. } = self;
        let at = at.timestamp().strftime("%Y-%m-%dT%H:%M:%SZ");
        let first = end + 1;
        if self.gap {
            return [
                format!(
                    "records {first} to {known} of the journal are missing, and the start at {at} had to build its state without \
                     them: messages that were accepted then are lost, and others are where they were before"
                ),
                format!(
                    "в журнале нет записей с {first} по {known}, и запуск {at} построил состояние без них: принятые тогда \
                     сообщения потеряны, остальные стоят там, где были прежде"
                ),
            ];
        }
        if known > end {
            [
                format!(
                    "the start at {at} found that records {first} to {known} of the journal, which were durable, are gone"
                ),
                format!(
                    "при запуске {at} обнаружено, что записей журнала с {first} по {known}, уже сохранённых, больше нет"
                ),
            ]
        } else {
            [
                format!("the start at {at} found that record {known} of the journal is not the one that was durable"),
                format!("при запуске {at} обнаружено, что запись журнала {known} — не та, что была сохранена"),
            ]
        }
    }

    fn remedies(&self) -> [String; 2] {
        let (aside, aside_ru) = match &self.aside {
            Some(folder) => (
                format!("in {folder} under data_dir, where that start put what it took away, "),
                format!("в {folder} внутри data_dir, куда тот запуск убрал изъятое, "),
            ),
            None => (String::new(), String::new()),
        };
        if self.gap {
            let places = "in backups and in the archive";
            return [
                format!(
                    "look for the records {aside}{places}, and for bodies in the spool, of which nothing is removed meanwhile; \
                     apply the registry again; then `rsmev journal acknowledge`"
                ),
                format!(
                    "ищите записи {aside_ru}в резервных копиях и в архиве, а тела — в хранилище тел, из которого пока ничего не \
                     удаляется; примените реестр ещё раз; затем `rsmev journal acknowledge`"
                ),
            ];
        }
        [
            format!(
                "look for the records {aside}in backups and in shipped checkpoints; then `rsmev journal acknowledge`"
            ),
            format!(
                "ищите записи {aside_ru}в резервных копиях и вывезенных контрольных точках; затем `rsmev journal acknowledge`"
            ),
        ]
    }
}
