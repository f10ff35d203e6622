//! One call, from the octets that came to the octets that go back.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;
use xmldsig::{Document, Element, Limits, SignatureElement};

use super::Settings;
use super::federal::ProviderAnswer;
use super::knobs::{CallFacts, Effect, Knobs, Plan};
use super::ledger::Refused;
use super::letter::Seal;
use super::operations::Call;
use super::state::State;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::identity::Identity;
use crate::message::{Attachment, ResponseData};
use crate::version::{Operation, Version};
use crate::wire::mime::{self, Parts};
use crate::wire::read::{self, Malformed};
use crate::wire::write;
use crate::wire::writer::{Style, Writer};

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
pub(super) struct Outcome {
    pub(super) version: Version,
    pub(super) body: String,
    pub(super) files: Vec<Attachment>,
}

/// What a call was found to be before anything was carried out.
struct Described {
    version: Version,
    facts: CallFacts,
    id: Option<String>,
}

/// What a call brings, or why it is refused.
pub(super) type Handled<T> = Result<T, Fault>;

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
    pub(super) fn let_provider_answer(self: &Arc<Self>, namespace: &str, request: String) {
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

    pub(super) fn mnemonic_of(&self, certificate: &[u8]) -> Option<String> {
        let state = self.state();
        let mut members = state.members.iter();
        let owner = members.find(|(_, member)| member.trusted.iter().any(|t| t.certificate.der() == certificate));
        owner.map(|(mnemonic, _)| mnemonic.clone())
    }

    pub(super) fn seal(&self, plan: &Plan) -> Handled<Seal<'_>> {
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

pub(super) fn internal(error: &dyn std::fmt::Display) -> Fault {
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
