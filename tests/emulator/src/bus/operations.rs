//! The operations, carried out strictly: structure, signature, then the rules of the bus.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use xmldsig::{Document, Element, SignatureElement};

use super::calls::{Bus, Handled, Outcome, internal};
use super::knobs::Plan;
use super::ledger::Delivered;
use super::letter::Signed;
use super::state::Incoming;
use crate::fault::Fault;
use crate::message::{Metadata, Reply, Selector};
use crate::version::{Operation, ROUTING, Version};
use crate::wire::mime::Parts;
use crate::wire::read::{self, Sequence};
use crate::wire::splice::self_contained;
use crate::wire::time;
use crate::wire::writer::{Style, Writer};

/// A call being carried out.
pub(super) struct Call<'c, 'a> {
    pub(super) bus: &'c Arc<Bus>,
    pub(super) document: &'c Document<'a>,
    pub(super) parts: &'c Parts,
    pub(super) version: Version,
    pub(super) body: Element<'c, 'a>,
    pub(super) plan: &'c Plan,
    pub(super) now: Timestamp,
}

impl<'c, 'a> Call<'c, 'a> {
    pub(super) fn send_request(&self) -> Handled<Outcome> {
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

    pub(super) fn send_response(&self) -> Handled<Outcome> {
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

    pub(super) fn get(&self, operation: Operation) -> Handled<Outcome> {
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

    pub(super) fn get_status(&self) -> Handled<Outcome> {
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

    pub(super) fn ack(&self) -> Handled<Outcome> {
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

    pub(super) fn statistics(&self) -> Handled<Outcome> {
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
