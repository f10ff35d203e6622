//! What the bus knows, and its rules: the order of checks of PROTOCOL §4, queues, correlation of answers.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::{SignedDuration, Timestamp};

use super::federal::Provider;
use super::knobs::Plan;
use super::ledger::{Accepted, Acknowledged, Ledger, Message};
use super::letter::{Letter, Signed};
use super::queue::{Queue, Queues};
use super::{Kind, Settings};
use crate::fault::Fault;
use crate::identity::{Identity, Trusted};
use crate::ids;
use crate::message::{AsyncStatus, Party, Reply, RequestData, ResponseData, Selector};
use crate::version::{Operation, Version};
use crate::wire::time;

/// A registered participant.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) trusted: Vec<Trusted>,
    pub(super) queues: Queues,
}

/// A request on its way and what an answer to it needs.
#[derive(Debug, Clone)]
pub(super) struct Exchange {
    pub(super) request: RequestData,
    requester: String,
    provider: String,
    reply_to: String,
    kind: usize,
    closed: bool,
}

/// All that changes.
pub(super) struct State {
    pub(super) members: HashMap<String, Member>,
    pub(super) kinds: Vec<Kind>,
    pub(super) providers: HashMap<String, Provider>,
    pub(super) ledger: Ledger,
    /// Names and keys of federal participants, made when they are first heard of.
    pub(super) federal: HashMap<String, Identity>,
    exchanges: HashMap<String, Exchange>,
    reply_to: HashMap<String, String>,
    accepted: std::collections::HashSet<String>,
}

/// A message as it came over the wire, its signature verified.
pub(super) struct Incoming<D> {
    pub(super) version: Version,
    pub(super) sender: String,
    pub(super) data: D,
    pub(super) root: Option<(String, String)>,
    pub(super) signed: Signed,
    pub(super) paired: bool,
    pub(super) digest: String,
}

impl State {
    pub(super) fn new(members: HashMap<String, Member>, kinds: Vec<Kind>) -> State {
        State {
            members,
            kinds,
            providers: HashMap::new(),
            ledger: Ledger::default(),
            federal: HashMap::new(),
            exchanges: HashMap::new(),
            reply_to: HashMap::new(),
            accepted: std::collections::HashSet::new(),
        }
    }

    /// SendRequest: who gets it.
    pub(super) fn accept_request(
        &mut self,
        incoming: Incoming<RequestData>,
        now: Timestamp,
        settings: &Settings,
        plan: &Plan,
    ) -> Result<String, Fault> {
        let data = incoming.data;
        self.check_id(&data.message_id, now, settings, plan)?;
        let root = incoming.root.unwrap_or_default();
        let kind = self.kind_of_request(&root)?;
        if !self.kinds[kind].may_be_requested_by(&incoming.sender) {
            return Err(Fault::new("AccessDenied"));
        }
        let provider = self.kinds[kind].provider.clone();
        let is_federal = self.providers.contains_key(&self.kinds[kind].namespace);
        if !is_federal && !self.members.contains_key(&provider) {
            return Err(Fault::new("RecipientIsNotFound"));
        }
        check_attachments(incoming.paired, &data.attachments, settings)?;
        if let Some(eol) = &data.eol {
            match time::parse(eol) {
                Some(at) if at <= now => return Err(Fault::new("EndOfLifeReached")),
                Some(_) => {}
                None => return Err(Fault::invalid_content(format!("EOL {eol:?} is no dateTime"))),
            }
        }
        let sender = self.party(&incoming.sender);
        let recipient = self.party(&provider);
        let reply_to = self.open_exchange(&data, &incoming.sender, &provider, kind, now);
        if !is_federal {
            let letter = Letter {
                id: data.message_id.clone(),
                kind: root,
                node: None,
                sender,
                recipient,
                sent_at: now,
                message: Message::Request(data.clone()),
                reply_to: Some(reply_to),
                original_message_id: None,
                original_transaction_code: None,
                signed: incoming.signed,
            };
            self.enqueue(&provider, Operation::SendRequest, letter, settings)?;
        }
        self.remember(Accepted {
            at: now,
            operation: Operation::SendRequest,
            version: incoming.version,
            id: data.message_id.clone(),
            sender: incoming.sender,
            recipient: provider.clone(),
            kind: self.kinds[kind].namespace.clone(),
            digest: incoming.digest,
            original_message_id: None,
            message: Message::Request(data),
        });
        Ok(provider)
    }

    /// SendResponse: who gets it.
    pub(super) fn accept_response(
        &mut self,
        incoming: Incoming<ResponseData>,
        now: Timestamp,
        settings: &Settings,
        plan: &Plan,
    ) -> Result<String, Fault> {
        let data = incoming.data;
        self.check_id(&data.message_id, now, settings, plan)?;
        let nobody = || Fault::new("RecipientIsNotFound");
        let request = self.reply_to.get(&data.to).cloned().ok_or_else(nobody)?;
        let exchange = self.exchanges.get(&request).cloned().ok_or_else(nobody)?;
        if exchange.provider != incoming.sender || exchange.closed {
            return Err(nobody());
        }
        let kind = &self.kinds[exchange.kind];
        if let Some(root) = &incoming.root
            && *root != (kind.namespace.clone(), kind.response.clone())
        {
            let registered = self.kinds.iter().any(|kind| kind.has_root(root));
            return Err(if registered {
                Fault::new("IncorrectResponseContentType")
            } else {
                unsupported(root)
            });
        }
        check_attachments(incoming.paired, data.reply.attachments(), settings)?;
        let namespace = kind.namespace.clone();
        let requester = exchange.requester.clone();
        if self.members.contains_key(&requester) {
            let letter = self.response_letter(&exchange, &incoming.sender, data.clone(), incoming.signed, now);
            self.enqueue(&requester, Operation::SendResponse, letter, settings)?;
        }
        if let Some(exchange) = self.exchanges.get_mut(&request) {
            exchange.closed = data.reply.is_final();
        }
        self.remember(Accepted {
            at: now,
            operation: Operation::SendResponse,
            version: incoming.version,
            id: data.message_id.clone(),
            sender: incoming.sender,
            recipient: requester.clone(),
            kind: namespace,
            digest: incoming.digest,
            original_message_id: Some(request),
            message: Message::Response(data),
        });
        Ok(requester)
    }

    /// A request from a federal consumer: into the queue of `to`.
    pub(super) fn deliver_federal(&mut self, from: Identity, to: &str, data: RequestData, kind: usize, now: Timestamp) {
        let reply_to = self.open_exchange(&data, from.mnemonic(), to, kind, now);
        let kind = (self.kinds[kind].namespace.clone(), self.kinds[kind].request.clone());
        let letter = Letter {
            id: data.message_id.clone(),
            kind,
            node: None,
            sender: Party {
                mnemonic: Some(from.mnemonic().to_owned()),
                name: Some(from.name().to_owned()),
            },
            recipient: self.party(to),
            sent_at: now,
            message: Message::Request(data),
            reply_to: Some(reply_to),
            original_message_id: None,
            original_transaction_code: None,
            signed: Signed::by(from),
        };
        if let Some(member) = self.members.get_mut(to) {
            member.queues.requests.push(letter);
        }
    }

    /// The exchange that a request opened.
    pub(super) fn exchange(&self, request: &str) -> Option<&Exchange> {
        self.exchanges.get(request)
    }

    /// An answer from the far side to a request that came from the region.
    pub(super) fn answer(&mut self, exchange: &Exchange, from: &Identity, data: ResponseData, now: Timestamp) {
        let letter = self.response_letter(exchange, from.mnemonic(), data, Signed::by(from.clone()), now);
        if let Some(member) = self.members.get_mut(&exchange.requester) {
            member.queues.responses.push(letter);
        }
    }

    /// Puts any answer into a participant's queue.
    pub(super) fn push_letter(&mut self, to: &str, letter: Letter) {
        if let Some(member) = self.members.get_mut(to) {
            member.queues.responses.push(letter);
        }
    }

    /// The queue that a Get call reads, if the selected kind is the caller's.
    pub(super) fn queue_for(
        &mut self,
        operation: Operation,
        caller: &str,
        selector: &Selector,
    ) -> Result<&mut Queue, Fault> {
        let known = selector.kind.as_ref().is_none_or(|(namespace, local)| {
            self.kinds.iter().any(|kind| {
                kind.namespace == *namespace
                    && match operation {
                        Operation::GetRequest => kind.request == *local && kind.provider == caller,
                        _ => kind.response == *local,
                    }
            })
        });
        if !known {
            return Err(Fault::new("UnknownMessageType"));
        }
        let member = self
            .members
            .get_mut(caller)
            .ok_or_else(|| Fault::new("SenderIsNotRegistered"))?;
        Ok(match operation {
            Operation::GetRequest => &mut member.queues.requests,
            _ => &mut member.queues.responses,
        })
    }

    /// Ack: `false` if the caller holds no such message.
    pub(super) fn acknowledge(&mut self, caller: &str, id: &str, accepted: bool, now: Timestamp) -> bool {
        let Some(member) = self.members.get_mut(caller) else {
            return false;
        };
        let queues = &mut member.queues;
        let found = queues.requests.acknowledge(id) || queues.responses.acknowledge(id);
        if found {
            let by = caller.to_owned();
            self.ledger.acknowledged.push(Arc::new(Acknowledged {
                at: now,
                id: id.to_owned(),
                by,
                accepted,
            }));
        }
        found
    }

    /// A mnemonic and the name that belongs to it.
    pub(super) fn party(&self, mnemonic: &str) -> Party {
        let name = self.members.get(mnemonic).map(|member| member.name.as_str());
        let name = name
            .or_else(|| self.federal.get(mnemonic).map(Identity::name))
            .unwrap_or(mnemonic);
        Party {
            mnemonic: Some(mnemonic.to_owned()),
            name: Some(name.to_owned()),
        }
    }

    fn check_id(&self, id: &str, now: Timestamp, settings: &Settings, plan: &Plan) -> Result<(), Fault> {
        let at = ids::time_of(id).ok_or_else(|| Fault::new("InvalidMessageIdFormat"))?;
        let age = now.duration_since(at);
        let signed = |duration| SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX);
        if age > signed(settings.stale_after) || age < -signed(settings.future_skew) {
            return Err(Fault::new("StaleMessageId"));
        }
        if self.accepted.contains(id) && !plan.accept_duplicate() {
            return Err(Fault::new("MessageIsAlreadySent"));
        }
        Ok(())
    }

    fn kind_of_request(&self, root: &(String, String)) -> Result<usize, Fault> {
        self.kinds
            .iter()
            .position(|kind| kind.namespace == root.0 && kind.request == root.1)
            .ok_or_else(|| unsupported(root))
    }

    fn open_exchange(&mut self, data: &RequestData, from: &str, provider: &str, kind: usize, now: Timestamp) -> String {
        let namespace = &self.kinds[kind];
        let selector = namespace.namespace.trim_start_matches("urn://").replace('/', "_");
        let reply_to = BASE64.encode(
            serde_json::json!({
                "sid": 80_080,
                "mid": data.message_id,
                "tcd": data.transaction_code,
                "eol": 0,
                "slc": format!("{selector}_{}", namespace.request),
                "mnm": from,
                "crt": time::date_time(now),
            })
            .to_string(),
        );
        let exchange = Exchange {
            request: data.clone(),
            requester: from.to_owned(),
            provider: provider.to_owned(),
            reply_to: reply_to.clone(),
            kind,
            closed: false,
        };
        self.exchanges.insert(data.message_id.clone(), exchange);
        self.reply_to.insert(reply_to.clone(), data.message_id.clone());
        reply_to
    }

    fn response_letter(
        &self,
        exchange: &Exchange,
        from: &str,
        data: ResponseData,
        signed: Signed,
        now: Timestamp,
    ) -> Letter {
        let kind = &self.kinds[exchange.kind];
        Letter {
            id: data.message_id.clone(),
            kind: (kind.namespace.clone(), kind.response.clone()),
            node: exchange.request.node_id.clone(),
            sender: self.party(from),
            recipient: self.party(&exchange.requester),
            sent_at: now,
            message: Message::Response(data),
            reply_to: None,
            original_message_id: Some(exchange.request.message_id.clone()),
            original_transaction_code: exchange.request.transaction_code.clone(),
            signed,
        }
    }

    fn enqueue(&mut self, to: &str, operation: Operation, letter: Letter, settings: &Settings) -> Result<(), Fault> {
        let member = self
            .members
            .get_mut(to)
            .ok_or_else(|| Fault::new("RecipientIsNotFound"))?;
        let (queue, name) = match operation {
            Operation::SendRequest => (&mut member.queues.requests, "REQUEST"),
            _ => (&mut member.queues.responses, "RESPONSE"),
        };
        if queue.len() >= settings.queue_messages {
            return Err(Fault::overflow(&format!("delivery.{to}._{name}_")));
        }
        queue.push(letter);
        Ok(())
    }

    fn remember(&mut self, accepted: Accepted) {
        self.accepted.insert(accepted.id.clone());
        self.ledger.accepted.push(Arc::new(accepted));
    }
}

impl Exchange {
    /// Who answers.
    pub(super) fn provider(&self) -> &str {
        &self.provider
    }

    /// Where answers go.
    pub(super) fn reply_to(&self) -> &str {
        &self.reply_to
    }

    /// The bus's notice that the request is rejected, as the answer to it.
    pub(super) fn rejection(&self, fault: Fault) -> Reply {
        let text = fault.text.clone();
        Reply::Async(AsyncStatus {
            original_message_id: self.request.message_id.clone(),
            category: "requestIsRejectedBySmev".to_owned(),
            details: Some(text),
            fault: Some(fault),
        })
    }
}

fn unsupported(root: &(String, String)) -> Fault {
    Fault::new("BusinessDataTypeIsNotSupported")
        .field("RootElementLocalName", root.1.clone())
        .field("RootElementNamespaceURI", root.0.clone())
}

fn check_attachments(
    paired: bool,
    attachments: &[crate::message::Attachment],
    settings: &Settings,
) -> Result<(), Fault> {
    if !paired {
        return Err(Fault::new("AttachmentContentMiscoordination"));
    }
    let total: usize = attachments.iter().map(|attachment| attachment.content.len()).sum();
    if total > settings.attachments_bytes {
        return Err(Fault::new("AttachmentSizeLimitExceeded")
            .field("PermittedTotalAttachmentSize", settings.attachments_bytes.to_string())
            .field("RealTotalAttachmentSize", total.to_string()));
    }
    Ok(())
}
