//! One call, from the octets that came to the octets that go back.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;
use xmldsig::{Document, Element, Limits, SignatureElement};

use super::Settings;
use super::federal::ProviderAnswer;
use super::knobs::{CallFacts, Effect, Knobs, Plan};
use super::ledger::{Delivered, Refused};
use super::letter::{Seal, Signed};
use super::state::{Incoming, State};
use crate::clock::Clock;
use crate::fault::Fault;
use crate::identity::Identity;
use crate::message::{Attachment, Metadata, Reply, ResponseData, Selector};
use crate::version::{Operation, ROUTING, Version};
use crate::wire::mime::{self, Parts};
use crate::wire::read::{self, Malformed, Sequence};
use crate::wire::splice::self_contained;
use crate::wire::writer::{Style, Writer};
use crate::wire::{time, write};

/// The bus without its sockets.
pub(super) struct Bus {
    pub(super) identity: Identity,
    pub(super) settings: Settings,
    pub(super) clock: Clock,
    pub(super) knobs: Knobs,
    pub(super) changed: watch::Sender<u64>,
    stranger: OnceLock<Identity>,
    state: Mutex<State>,
}

/// What the socket is to do.
pub(super) enum Reaction {
    /// Answer.
    Answer {
        status: u16,
        content_type: String,
        body: Bytes,
    },
    /// Begin this answer and close in the middle.
    Half { content_type: String, body: Bytes },
    /// Close.
    Close,
}

/// An answer's SOAP body and the files beside it.
struct Outcome {
    version: Version,
    body: String,
    files: Vec<Attachment>,
}

/// What a call was found to be before anything was carried out.
struct Described {
    version: Version,
    facts: CallFacts,
    id: Option<String>,
}

type Handled<T> = Result<T, Fault>;

impl Bus {
    pub(super) fn new(identity: Identity, settings: Settings, clock: Clock, state: State) -> Bus {
        Bus {
            identity,
            settings,
            clock,
            knobs: Knobs::default(),
            changed: watch::Sender::new(0),
            stranger: OnceLock::new(),
            state: Mutex::new(state),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell_change(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Reacts to a posted body.
    pub(super) async fn call(self: &Arc<Self>, path: &str, content_type: &str, body: Bytes) -> Reaction {
        let path_version = Version::ALL.into_iter().find(|version| path.contains(version.number()));
        let path_version = path_version.unwrap_or(Version::V1_2);
        let parts = Parts::of(content_type, body).map_err(Fault::invalid_content);
        let described = parts.and_then(|parts| Ok((self.describe(&parts)?, parts)));
        let (described, parts) = match described {
            Ok(described) => described,
            Err(fault) => {
                self.refuse(None, None, None, &fault);
                return faulted(path_version, &fault, false);
            }
        };
        let plan = self.knobs.plan(&described.facts);
        if !plan.delay.is_zero() {
            tokio::time::sleep(plan.delay).await;
        }
        match &plan.trouble {
            Some(Effect::Hang) => std::future::pending().await,
            Some(Effect::DropCall) => return Reaction::Close,
            Some(Effect::HttpStatus(status)) => {
                let (content_type, body) = (
                    "text/plain".to_owned(),
                    Bytes::from_static(b"the emulator was told to say this"),
                );
                return Reaction::Answer {
                    status: *status,
                    content_type,
                    body,
                };
            }
            Some(Effect::Fault(fault)) => {
                self.refuse_described(&described, fault);
                return faulted(described.version, fault, plan.multipart);
            }
            _ => {}
        }
        let reaction = match self.carry_out(&parts, &plan) {
            Ok(outcome) => answered(&outcome, &plan),
            Err(fault) => {
                self.refuse_described(&described, &fault);
                faulted(described.version, &fault, plan.multipart)
            }
        };
        match (&plan.trouble, reaction) {
            (Some(Effect::LoseAnswer), _) => Reaction::Close,
            (Some(Effect::HalfAnswer), Reaction::Answer { content_type, body, .. }) => {
                Reaction::Half { content_type, body }
            }
            (Some(Effect::Garbage), _) => Reaction::Answer {
                status: 200,
                content_type: "text/xml; charset=UTF-8".to_owned(),
                body: Bytes::from_static(b"<soap:Envelope not even"),
            },
            (_, reaction) => reaction,
        }
    }

    /// What is called, by whom as the certificate says, and of which kind: enough for the knobs, nothing verified.
    fn describe(&self, parts: &Parts) -> Handled<Described> {
        let limits = self.limits();
        let document =
            Document::parse(parts.root(), &limits).map_err(|error| Fault::invalid_content(error.to_string()))?;
        let body = read::body(document.root())?;
        let (version, operation) = operation(body)?;
        let (t, b) = (version.types(), version.basic());
        let sender = body
            .child(t, "CallerInformationSystemSignature")
            .and_then(|wrapper| wrapper.children().next())
            .and_then(|signature| SignatureElement::parse(signature).ok())
            .and_then(|signature| self.mnemonic_of(signature.certificate_der()));
        let data = body
            .children()
            .find(|child| child.local_name().starts_with("SenderProvided"));
        let payload = data
            .and_then(|data| data.child(b, "MessagePrimaryContent"))
            .and_then(|content| content.children().next());
        let selected = body
            .child(b, "MessageTypeSelector")
            .and_then(|selector| selector.child(b, "NamespaceURI"));
        let kind = payload
            .and_then(|payload| payload.namespace().map(str::to_owned))
            .or_else(|| selected.map(read::text));
        let id = data
            .and_then(|data| data.child(t, "MessageID"))
            .or_else(|| body.child(b, "AckTargetMessage"));
        Ok(Described {
            version,
            facts: CallFacts {
                operation,
                kind,
                sender,
            },
            id: id.map(read::text),
        })
    }

    fn carry_out(self: &Arc<Self>, parts: &Parts, plan: &Plan) -> Handled<Outcome> {
        let limits = self.limits();
        let document =
            Document::parse(parts.root(), &limits).map_err(|error| Fault::invalid_content(error.to_string()))?;
        let body = read::body(document.root())?;
        let (version, operation) = operation(body)?;
        let call = Call {
            bus: self,
            document: &document,
            parts,
            version,
            body,
            plan,
            now: self.clock.now(),
        };
        let outcome = match operation {
            Operation::SendRequest => call.send_request(),
            Operation::SendResponse => call.send_response(),
            Operation::GetRequest | Operation::GetResponse => call.get(operation),
            Operation::GetStatus => call.get_status(),
            Operation::Ack => call.ack(),
            Operation::GetIncomingQueueStatistics => call.statistics(),
        };
        self.tell_change();
        outcome
    }

    /// What the far side does about a request that it got.
    fn let_provider_answer(self: &Arc<Self>, namespace: &str, request: String) {
        let provider = self.state().providers.get(namespace).cloned();
        let Some(provider) = provider else { return };
        let delay = provider.delay;
        let bus = Arc::clone(self);
        let answer = move || {
            let data = bus.state().exchange(&request).map(|exchange| exchange.request.clone());
            for one in data.map(|data| provider.answers(&data)).unwrap_or_default() {
                // The request was accepted a moment ago and exchanges are kept, so that there is nothing to refuse.
                let _ = bus.answer(&request, one);
            }
        };
        if delay.is_zero() {
            answer();
        } else {
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                answer();
            });
        }
    }

    /// Puts an answer from the far side into the requester's queue: its identifier, `None` for an unknown request.
    pub(super) fn answer(&self, request: &str, answer: ProviderAnswer) -> Option<String> {
        let now = self.clock.now();
        let exchange = self.state().exchange(request)?.clone();
        let (author, reply) = match answer {
            ProviderAnswer::Reply(reply) => (self.federal(exchange.provider())?, reply),
            ProviderAnswer::BusRejects(fault) => (self.identity.clone(), exchange.rejection(fault)),
        };
        let data = ResponseData::sent_at(now, exchange.reply_to(), reply);
        let id = data.message_id.clone();
        self.state().answer(&exchange, &author, data, now);
        self.tell_change();
        Some(id)
    }

    /// The identity of somebody on the far side, made when first heard of. `None` only if no key can be made.
    pub(super) fn federal(&self, mnemonic: &str) -> Option<Identity> {
        if let Some(identity) = self.state().federal.get(mnemonic) {
            return Some(identity.clone());
        }
        let identity = Identity::generate(mnemonic).ok()?;
        Some(
            self.state()
                .federal
                .entry(mnemonic.to_owned())
                .or_insert(identity)
                .clone(),
        )
    }

    fn mnemonic_of(&self, certificate: &[u8]) -> Option<String> {
        let state = self.state();
        let mut members = state.members.iter();
        let owner = members.find(|(_, member)| member.trusted.iter().any(|t| t.certificate.der() == certificate));
        owner.map(|(mnemonic, _)| mnemonic.clone())
    }

    fn seal(&self, plan: &Plan) -> Handled<Seal<'_>> {
        let wrong = plan.wrong_signature();
        let stranger = match self.stranger.get() {
            Some(stranger) => stranger,
            None if wrong.is_none() => &self.identity,
            None => {
                let made = Identity::generate("STRANGER").map_err(|error| internal(&error))?;
                self.stranger.get_or_init(|| made)
            }
        };
        Ok(Seal {
            bus: &self.identity,
            stranger,
            wrong,
        })
    }

    fn limits(&self) -> Limits {
        Limits {
            octets: self.settings.body_bytes,
            ..Limits::default()
        }
    }

    fn refuse_described(&self, described: &Described, fault: &Fault) {
        let facts = &described.facts;
        self.refuse(Some(facts.operation), described.id.clone(), facts.sender.clone(), fault);
    }

    fn refuse(&self, operation: Option<Operation>, id: Option<String>, sender: Option<String>, fault: &Fault) {
        let at = self.clock.now();
        let (name, text) = (fault.element.clone(), fault.text.clone());
        self.state().ledger.refused.push(Arc::new(Refused {
            at,
            operation,
            id,
            sender,
            fault: name,
            text,
        }));
        self.tell_change();
    }
}

/// A call being carried out.
struct Call<'c, 'a> {
    bus: &'c Arc<Bus>,
    document: &'c Document<'a>,
    parts: &'c Parts,
    version: Version,
    body: Element<'c, 'a>,
    plan: &'c Plan,
    now: Timestamp,
}

impl<'c, 'a> Call<'c, 'a> {
    fn send_request(&self) -> Handled<Outcome> {
        let (t, mut parts) = (self.version.types(), Sequence::of(self.body));
        let signed = parts.need(t, "SenderProvidedRequestData")?;
        let contents = self.contents(&mut parts)?;
        let wrapper = self.send_signature(&mut parts)?;
        let routing = if self.version == Version::V1_3 {
            parts.take(ROUTING, "Routing")
        } else {
            None
        };
        parts.end()?;
        let sender = self.authenticate(signed, wrapper)?;
        let mut data = read::request_data(self.version, signed)?;
        if let Some(routing) = routing {
            data.routing = Some(self.routing(routing, &sender, &data.message_id)?);
        }
        let paired = read::pair(&mut data.attachments, contents);
        let id = data.message_id.clone();
        let incoming = self.incoming(sender.clone(), data, signed, wrapper, paired)?;
        let namespace = incoming
            .root
            .as_ref()
            .map(|(namespace, _)| namespace.clone())
            .unwrap_or_default();
        let recipient = self
            .bus
            .state()
            .accept_request(incoming, self.now, &self.bus.settings, self.plan)?;
        self.bus.let_provider_answer(&namespace, id.clone());
        self.receipt(Operation::SendRequest, id, &sender, &recipient)
    }

    fn send_response(&self) -> Handled<Outcome> {
        let (t, mut parts) = (self.version.types(), Sequence::of(self.body));
        let signed = parts.need(t, "SenderProvidedResponseData")?;
        let contents = self.contents(&mut parts)?;
        let wrapper = self.send_signature(&mut parts)?;
        parts.end()?;
        let sender = self.authenticate(signed, wrapper)?;
        let mut data = read::response_data(self.version, signed)?;
        let paired = match &mut data.reply {
            Reply::Content { attachments, .. } => read::pair(attachments, contents),
            Reply::Async(_) => {
                return Err(Fault::invalid_content(
                    "AsyncProcessingStatus is for the bus alone to send",
                ));
            }
            _ => contents.is_empty(),
        };
        let id = data.message_id.clone();
        let incoming = self.incoming(sender.clone(), data, signed, wrapper, paired)?;
        let recipient = self
            .bus
            .state()
            .accept_response(incoming, self.now, &self.bus.settings, self.plan)?;
        self.receipt(Operation::SendResponse, id, &sender, &recipient)
    }

    fn get(&self, operation: Operation) -> Handled<Outcome> {
        let mut parts = Sequence::of(self.body);
        let signed = parts.need(self.version.basic(), "MessageTypeSelector")?;
        let wrapper = self.call_signature(&mut parts)?;
        parts.end()?;
        let caller = self.authenticate(signed, wrapper)?;
        let (selector, timestamp) = read::selector(self.version, signed)?;
        self.check_timestamp(&timestamp)?;
        self.hand_out(operation, &caller, &selector)
    }

    fn hand_out(&self, operation: Operation, caller: &str, selector: &Selector) -> Handled<Outcome> {
        let any_node = operation == Operation::GetRequest;
        let settings = &self.bus.settings;
        let mut state = self.bus.state();
        let queue = state.queue_for(operation, caller, selector)?;
        let again = queue.has_done(selector, any_node) && self.plan.deliver_again();
        let letter = if again {
            queue.take_again(selector, any_node, self.now)
        } else {
            queue.take(selector, any_node, self.now, settings.redelivery)
        };
        let Some(letter) = letter else {
            return Ok(self.plain(&format!("{operation}Response")));
        };
        let seal = self.bus.seal(self.plan)?;
        let body = letter
            .delivery(self.version, self.now, &seal, !self.plan.inline_files)
            .map_err(|error| internal(&error))?;
        let files = if self.plan.inline_files {
            Vec::new()
        } else {
            letter.attachments().to_vec()
        };
        let id = letter.id.clone();
        state
            .ledger
            .delivered
            .push(Arc::new(self.delivered(operation, id, caller)));
        Ok(Outcome {
            version: self.version,
            body,
            files,
        })
    }

    fn get_status(&self) -> Handled<Outcome> {
        let caller = self.authenticated_timestamp(&mut Sequence::of(self.body))?;
        let mut state = self.bus.state();
        let status = state
            .members
            .get_mut(&caller)
            .and_then(|member| member.queues.statuses.pop_front());
        let Some(status) = status else {
            return Ok(self.plain("GetStatusResponse"));
        };
        let delivered = self.delivered(Operation::GetStatus, status.original_message_id.clone(), &caller);
        state.ledger.delivered.push(Arc::new(delivered));
        let seal = self.bus.seal(self.plan)?;
        let body = seal.status(self.version, &status).map_err(|error| internal(&error))?;
        Ok(Outcome {
            version: self.version,
            body,
            files: Vec::new(),
        })
    }

    fn ack(&self) -> Handled<Outcome> {
        let mut parts = Sequence::of(self.body);
        let target = parts.need(self.version.basic(), "AckTargetMessage")?;
        let wrapper = self.call_signature(&mut parts)?;
        parts.end()?;
        let caller = self.authenticate(target, wrapper)?;
        let accepted = match target.attribute("accepted") {
            None if self.version == Version::V1_1 => {
                return Err(Fault::invalid_content(
                    "AckTargetMessage must say accepted in version 1.1",
                ));
            }
            None | Some("true" | "1") => true,
            Some("false" | "0") => false,
            Some(other) => return Err(Fault::invalid_content(format!("accepted={other:?} is no boolean"))),
        };
        let id = read::text(target);
        if !self.bus.state().acknowledge(&caller, &id, accepted, self.now) {
            let text = format!("Сообщение {id} не найдено среди неподтверждённых.");
            return Err(Fault::new("TargetMessageIsNotFound").text(text));
        }
        Ok(self.plain("AckResponse"))
    }

    fn statistics(&self) -> Handled<Outcome> {
        if self.version != Version::V1_1 {
            return Err(Fault::invalid_content(
                "only version 1.1 has GetIncomingQueueStatistics",
            ));
        }
        let mut parts = Sequence::of(self.body);
        let node = parts
            .take(self.version.types(), "NodeID")
            .map(read::text)
            .filter(|node| !node.is_empty());
        let caller = self.authenticated_timestamp(&mut parts)?;
        let state = self.bus.state();
        let mut w = Writer::new(Style::bus(self.version));
        w.open_root_t("GetIncomingQueueStatisticsResponse", "");
        if let Some(member) = state.members.get(&caller) {
            let queues = [
                ("requests", &member.queues.requests),
                ("responses", &member.queues.responses),
            ];
            for (name, queue) in queues {
                let depth = queue.depth(node.as_deref());
                w.raw(&format!(
                    "<ns2:QueueStatistics queueName=\"{caller}.{name}\" pendingMessageNumber=\"{depth}\"/>"
                ));
            }
        }
        w.close_t("GetIncomingQueueStatisticsResponse");
        Ok(Outcome {
            version: self.version,
            body: w.finish(),
            files: Vec::new(),
        })
    }

    /// `Timestamp` and its signature, the last parts of a call: who calls.
    fn authenticated_timestamp(&self, parts: &mut Sequence<'c, 'a>) -> Handled<String> {
        let signed = parts.need(self.version.basic(), "Timestamp")?;
        let wrapper = self.call_signature(parts)?;
        if parts.any().is_some() {
            return Err(Fault::invalid_content(
                "something follows CallerInformationSystemSignature",
            ));
        }
        let caller = self.authenticate(signed, wrapper)?;
        self.check_timestamp(&read::text(signed))?;
        Ok(caller)
    }

    fn contents(&self, parts: &mut Sequence<'c, 'a>) -> Handled<Vec<(String, Vec<u8>)>> {
        match parts.take(self.version.basic(), "AttachmentContentList") {
            Some(list) => Ok(read::attachment_contents(self.version, list, self.parts)?),
            None => Ok(Vec::new()),
        }
    }

    /// Without its signature a message is incomplete: InvalidContent (PROTOCOL §5).
    fn send_signature(&self, parts: &mut Sequence<'c, 'a>) -> Handled<Element<'c, 'a>> {
        let missing = "Сообщение содержит не все вложенные элементы. \
                       Блок CallerInformationSystemSignature отсутствует либо пуст.";
        let wrapper = parts.take(self.version.types(), "CallerInformationSystemSignature");
        wrapper
            .filter(|wrapper| wrapper.has_element_children())
            .ok_or_else(|| Fault::invalid_content(missing))
    }

    /// A call without its signature: NoSignatureFound (PROTOCOL §5).
    fn call_signature(&self, parts: &mut Sequence<'c, 'a>) -> Handled<Element<'c, 'a>> {
        let wrapper = parts.take(self.version.types(), "CallerInformationSystemSignature");
        wrapper
            .filter(|wrapper| wrapper.has_element_children())
            .ok_or_else(|| Fault::signature("NoSignatureFound").text("Отсутствует ЭП-ОВ"))
    }

    /// Who signed `target`: a registered participant with a certificate that is valid now.
    fn authenticate(&self, target: Element<'_, '_>, wrapper: Element<'_, '_>) -> Handled<String> {
        let refused = |refusal: xmldsig::SignatureRefusal| {
            Fault::signature(refusal.cause().as_str()).text(format!("Подпись ЭП-ОВ неверна: {refusal}"))
        };
        let signature = SignatureElement::parse(read::signature_in(wrapper)?).map_err(refused)?;
        let der = signature.certificate_der();
        let mnemonic = self
            .bus
            .mnemonic_of(der)
            .ok_or_else(|| Fault::new("SenderIsNotRegistered"))?;
        let trusted = self.bus.state().members.get(&mnemonic).and_then(|member| {
            member
                .trusted
                .iter()
                .find(|trusted| trusted.certificate.der() == der)
                .cloned()
        });
        let trusted = trusted.ok_or_else(|| Fault::new("SenderIsNotRegistered"))?;
        let until = trusted.certificate.not_after();
        if self.now.as_second() > until || self.now.as_second() < trusted.certificate.not_before() {
            let until = Timestamp::from_second(until).map(time::date_time).unwrap_or_default();
            let until = until.get(..16).unwrap_or_default().replace('T', " ");
            let text = format!("Срок действия сертификата ЭП-ОВ истёк. Сертификат действителен до {until}");
            return Err(Fault::signature("CertificateIsExpired").text(text));
        }
        signature.verify(self.document, target, &trusted.key).map_err(refused)?;
        Ok(mnemonic)
    }

    /// 1.3 routing, signed by the sender over the same message (PROTOCOL §6.1).
    fn routing(&self, routing: Element<'_, '_>, sender: &str, id: &str) -> Handled<crate::message::Routing> {
        let mut parts = Sequence::of(routing);
        let information = parts.need(ROUTING, "RoutingInformation")?;
        let wrapper = parts.need(ROUTING, "RoutingSignature")?;
        parts.end()?;
        if self.authenticate(information, wrapper)? != sender {
            return Err(Fault::signature("SignatureIsInvalid").text("the routing is signed by somebody else"));
        }
        let (about, values) = read::routing_information(information)?;
        if about != id {
            return Err(Fault::invalid_content(format!("the routing is of message {about}")));
        }
        Ok(values)
    }

    fn check_timestamp(&self, text: &str) -> Handled<()> {
        let at =
            time::parse(text).ok_or_else(|| Fault::invalid_content(format!("Timestamp {text:?} is no dateTime")))?;
        let window = SignedDuration::try_from(self.bus.settings.timestamp_window).unwrap_or(SignedDuration::MAX);
        if self.now.duration_since(at).abs() > window {
            return Err(
                Fault::signature("SignatureIsInvalid").text(format!("Timestamp {text} is too far from the bus's time"))
            );
        }
        Ok(())
    }

    fn incoming<D>(
        &self,
        sender: String,
        data: D,
        signed: Element<'_, '_>,
        wrapper: Element<'_, '_>,
        paired: bool,
    ) -> Handled<Incoming<D>> {
        let content = signed.child(self.version.basic(), "MessagePrimaryContent");
        let payload = content.and_then(|content| content.children().next());
        let root = payload.map(|p| (p.namespace().unwrap_or_default().to_owned(), p.local_name().to_owned()));
        let said = xmldsig::exclusive_c14n(payload.unwrap_or(signed), &[]);
        let digest = gost::DigestAlgorithm::Streebog256.hash(said.as_bytes());
        let digest = digest.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
        let signature = self_contained(read::signature_in(wrapper)?);
        let signed = Signed::received(self.version, self_contained(signed), signature);
        Ok(Incoming {
            version: self.version,
            sender,
            data,
            root,
            signed,
            paired,
            digest,
        })
    }

    fn receipt(&self, operation: Operation, id: String, sender: &str, recipient: &str) -> Handled<Outcome> {
        let (kind, status) = match operation {
            Operation::SendResponse if self.version == Version::V1_3 => ("RESPONSE", "responseIsQueued"),
            Operation::SendResponse => ("RESPONSE", "requestIsQueued"),
            _ => ("REQUEST", "requestIsQueued"),
        };
        let (sender, recipient) = {
            let state = self.bus.state();
            (state.party(sender), state.party(recipient))
        };
        let metadata = Metadata {
            message_id: Some(id),
            message_type: kind.to_owned(),
            sender: Some(sender),
            sending_timestamp: time::date_time(self.now),
            recipient: Some(recipient),
            delivery_timestamp: None,
            status: Some(status.to_owned()),
        };
        let seal = self.bus.seal(self.plan)?;
        let body = seal
            .receipt(operation, self.version, &metadata)
            .map_err(|error| internal(&error))?;
        Ok(Outcome {
            version: self.version,
            body,
            files: Vec::new(),
        })
    }

    fn delivered(&self, operation: Operation, id: String, to: &str) -> Delivered {
        Delivered {
            at: self.now,
            operation,
            id,
            to: to.to_owned(),
            version: self.version,
        }
    }

    /// An answer that is one empty element.
    fn plain(&self, name: &str) -> Outcome {
        let mut w = Writer::new(Style::bus(self.version));
        w.open_root_t(name, "");
        w.close_t(name);
        Outcome {
            version: self.version,
            body: w.finish(),
            files: Vec::new(),
        }
    }
}

impl From<Malformed> for Fault {
    fn from(cause: Malformed) -> Fault {
        Fault::invalid_content(cause.0)
    }
}

fn operation(body: Element<'_, '_>) -> Handled<(Version, Operation)> {
    let version = body.namespace().and_then(Version::from_types);
    let operation = Operation::from_call(body.local_name());
    version
        .zip(operation)
        .ok_or_else(|| Fault::invalid_content(format!("{:?} is no operation of the service", body.local_name())))
}

fn answered(outcome: &Outcome, plan: &Plan) -> Reaction {
    let envelope = Writer::envelope(Style::bus(outcome.version), &outcome.body);
    let (content_type, body) = if plan.multipart || !outcome.files.is_empty() {
        mime::write(&envelope, &outcome.files)
    } else {
        ("text/xml; charset=UTF-8".to_owned(), Bytes::from(envelope))
    };
    Reaction::Answer {
        status: 200,
        content_type,
        body,
    }
}

fn faulted(version: Version, fault: &Fault, multipart: bool) -> Reaction {
    let envelope = write::fault(Style::bus(version), fault);
    let (content_type, body) = if multipart {
        mime::write(&envelope, &[])
    } else {
        ("text/xml; charset=UTF-8".to_owned(), Bytes::from(envelope))
    };
    Reaction::Answer {
        status: 500,
        content_type,
        body,
    }
}

fn internal(error: &dyn std::fmt::Display) -> Fault {
    Fault::new("SMEVFailure").text(error.to_string())
}

/// The payload's root, for federal messages that never were on a wire.
pub(super) fn root_of(content: &str) -> Result<(String, String), String> {
    let document = Document::parse(content.as_bytes(), &Limits::default()).map_err(|error| error.to_string())?;
    let root = document.root();
    match root.namespace() {
        Some(namespace) => Ok((namespace.to_owned(), root.local_name().to_owned())),
        None => Err("the root is in no namespace".to_owned()),
    }
}
