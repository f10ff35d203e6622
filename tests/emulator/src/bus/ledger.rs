//! What the bus did, for tests to compare with what should have happened.

use std::sync::Arc;

use jiff::Timestamp;

use crate::message::{RequestData, ResponseData};
use crate::version::{Operation, Version};

/// Everything that the bus accepted, delivered, saw acknowledged and refused, in order. A snapshot: it does not change.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    pub(super) accepted: Vec<Arc<Accepted>>,
    pub(super) delivered: Vec<Arc<Delivered>>,
    pub(super) acknowledged: Vec<Arc<Acknowledged>>,
    pub(super) refused: Vec<Arc<Refused>>,
}

/// One acceptance of a message. A message accepted twice stands here twice.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// By the bus's clock.
    pub at: Timestamp,
    /// SendRequest or SendResponse.
    pub operation: Operation,
    /// The version it came in.
    pub version: Version,
    /// `MessageID`.
    pub id: String,
    /// The mnemonic of the signer.
    pub sender: String,
    /// The mnemonic of the one it goes to.
    pub recipient: String,
    /// Namespace of the kind.
    pub kind: String,
    /// Streebog-256 of the payload as it stood in the message, in hex; of the answer's text where there is no payload.
    pub digest: String,
    /// The request that an answer belongs to.
    pub original_message_id: Option<String>,
    /// The message itself.
    pub message: Message,
}

/// What was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A request.
    Request(RequestData),
    /// An answer.
    Response(ResponseData),
}

impl Message {
    /// The payload, if it has one.
    pub fn payload(&self) -> Option<&str> {
        match self {
            Message::Request(data) => Some(&data.content),
            Message::Response(data) => data.reply.payload(),
        }
    }

    /// The request, if it is one.
    pub fn request(&self) -> Option<&RequestData> {
        match self {
            Message::Request(data) => Some(data),
            Message::Response(_) => None,
        }
    }

    /// The answer, if it is one.
    pub fn response(&self) -> Option<&ResponseData> {
        match self {
            Message::Response(data) => Some(data),
            Message::Request(_) => None,
        }
    }
}

/// One delivery of a message.
#[derive(Debug, Clone)]
pub struct Delivered {
    /// By the bus's clock.
    pub at: Timestamp,
    /// GetRequest, GetResponse or GetStatus.
    pub operation: Operation,
    /// `MessageID`; for GetStatus the message that the notice is about.
    pub id: String,
    /// Who took it.
    pub to: String,
    /// The version it was delivered in.
    pub version: Version,
}

/// One acknowledgement that the bus honoured.
#[derive(Debug, Clone)]
pub struct Acknowledged {
    /// By the bus's clock.
    pub at: Timestamp,
    /// `MessageID`.
    pub id: String,
    /// Who acknowledged it.
    pub by: String,
    /// What was said of it.
    pub accepted: bool,
}

/// One call that the bus refused, knobs' faults included.
#[derive(Debug, Clone)]
pub struct Refused {
    /// By the bus's clock.
    pub at: Timestamp,
    /// What was called, if that could be told.
    pub operation: Option<Operation>,
    /// `MessageID`, if it could be told.
    pub id: Option<String>,
    /// The mnemonic of the signer, if it is registered. Its signature may be what was refused.
    pub sender: Option<String>,
    /// The fault's element.
    pub fault: String,
    /// Its text.
    pub text: String,
}

impl Ledger {
    /// Every acceptance.
    pub fn all_accepted(&self) -> &[Arc<Accepted>] {
        &self.accepted
    }

    /// Every delivery.
    pub fn all_delivered(&self) -> &[Arc<Delivered>] {
        &self.delivered
    }

    /// Every acknowledgement.
    pub fn all_acknowledged(&self) -> &[Arc<Acknowledged>] {
        &self.acknowledged
    }

    /// Every refusal.
    pub fn all_refused(&self) -> &[Arc<Refused>] {
        &self.refused
    }

    /// The first acceptance of this message.
    pub fn accepted(&self, id: &str) -> Option<&Arc<Accepted>> {
        self.accepted.iter().find(|accepted| accepted.id == id)
    }

    /// How often this message was accepted.
    pub fn times_accepted(&self, id: &str) -> usize {
        self.accepted.iter().filter(|accepted| accepted.id == id).count()
    }

    /// How often this message was offered and refused as one that was sent already.
    pub fn times_already_sent(&self, id: &str) -> usize {
        self.refused
            .iter()
            .filter(|one| one.fault == "MessageIsAlreadySent" && one.id.as_deref() == Some(id))
            .count()
    }

    /// Accepted requests, in order.
    pub fn requests(&self) -> impl Iterator<Item = &Arc<Accepted>> {
        self.accepted
            .iter()
            .filter(|accepted| accepted.operation == Operation::SendRequest)
    }

    /// Accepted answers, in order.
    pub fn responses(&self) -> impl Iterator<Item = &Arc<Accepted>> {
        self.accepted
            .iter()
            .filter(|accepted| accepted.operation == Operation::SendResponse)
    }

    /// Accepted answers to this request, statuses included, in order.
    pub fn responses_to(&self, request: &str) -> Vec<&Arc<Accepted>> {
        self.responses()
            .filter(|accepted| accepted.original_message_id.as_deref() == Some(request))
            .collect()
    }

    /// Accepted messages whose payload has this text somewhere: the same business content under whatever identifier.
    pub fn accepted_with(&self, text: &str) -> Vec<&Arc<Accepted>> {
        self.accepted
            .iter()
            .filter(|accepted| accepted.message.payload().is_some_and(|payload| payload.contains(text)))
            .collect()
    }

    /// Payloads that were accepted more than once, under one identifier or several: digest and times. Empty if the
    /// other side keeps its promise, and payloads were all different.
    pub fn accepted_more_than_once(&self) -> Vec<(String, usize)> {
        let mut times: std::collections::BTreeMap<(&str, &str), usize> = std::collections::BTreeMap::new();
        for accepted in &self.accepted {
            *times
                .entry((&accepted.digest, accepted.original_message_id.as_deref().unwrap_or("")))
                .or_default() += 1;
        }
        times
            .into_iter()
            .filter(|(_, count)| *count > 1)
            .map(|((digest, _), count)| (digest.to_owned(), count))
            .collect()
    }

    /// How often this message was delivered.
    pub fn times_delivered(&self, id: &str) -> usize {
        self.delivered.iter().filter(|delivered| delivered.id == id).count()
    }

    /// The first acknowledgement of this message.
    pub fn acknowledged(&self, id: &str) -> Option<&Arc<Acknowledged>> {
        self.acknowledged.iter().find(|acknowledged| acknowledged.id == id)
    }

    /// How often this message was acknowledged.
    pub fn times_acknowledged(&self, id: &str) -> usize {
        self.acknowledged
            .iter()
            .filter(|acknowledged| acknowledged.id == id)
            .count()
    }

    /// Refusals with this fault.
    pub fn refused_with(&self, fault: &str) -> Vec<&Arc<Refused>> {
        self.refused.iter().filter(|refused| refused.fault == fault).collect()
    }
}
