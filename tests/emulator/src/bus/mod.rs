//! The bus.

mod calls;
mod federal;
mod knobs;
mod ledger;
mod letter;
mod operations;
mod queue;
mod server;
mod state;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use gost::Certificate;

pub use federal::{FederalError, FederalRequest, FederalResponse, Provider, ProviderAnswer};
pub use knobs::{Knob, Knobs, Scope, Times, WrongSignature};
pub use ledger::{Accepted, Acknowledged, Delivered, Ledger, Message, Refused};

use self::calls::{Bus, root_of};
use self::letter::{Letter, Signed};
use self::server::Server;
use self::state::{Member, State};
use crate::clock::Clock;
use crate::identity::{Identity, Trusted};
use crate::message::AsyncStatus;
use crate::version::Version;

/// What a bus starts with.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The bus's own key and certificate.
    pub identity: Identity,
    /// Who may call.
    pub participants: Vec<Registered>,
    /// What is exchanged.
    pub kinds: Vec<Kind>,
    /// The bus's time.
    pub clock: Clock,
    /// Limits and windows.
    pub settings: Settings,
}

impl Config {
    /// A bus on a free loopback port, with the machine's time and the protocol's limits, that knows nobody yet.
    pub fn new(identity: Identity) -> Config {
        Config {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            identity,
            participants: Vec::new(),
            kinds: Vec::new(),
            clock: Clock::system(),
            settings: Settings::default(),
        }
    }

    /// Registers a participant with one certificate.
    #[must_use]
    pub fn participant(mut self, mnemonic: &str, certificate: &Certificate) -> Config {
        self.participants.push(Registered {
            mnemonic: mnemonic.to_owned(),
            name: mnemonic.to_owned(),
            certificates: vec![certificate.clone()],
        });
        self
    }

    /// Registers a kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Config {
        self.kinds.push(kind);
        self
    }

    /// Sets the clock.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Config {
        self.clock = clock;
        self
    }
}

/// Limits and windows (PROTOCOL §8).
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How old an identifier may be: 48 hours.
    pub stale_after: Duration,
    /// How far in the future an identifier may lie: 15 minutes.
    pub future_skew: Duration,
    /// How far a call's Timestamp may be from the bus's time: 15 minutes. The real bus's window is not known.
    pub timestamp_window: Duration,
    /// After how long a message that was handed out and not acknowledged comes again: 15 minutes.
    pub redelivery: Duration,
    /// Messages in one queue: 1000.
    pub queue_messages: usize,
    /// Files of one message together: 5 MiB.
    pub attachments_bytes: usize,
    /// A whole body: 16 MiB.
    pub body_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            stale_after: Duration::from_secs(48 * 3600),
            future_skew: Duration::from_secs(15 * 60),
            timestamp_window: Duration::from_secs(15 * 60),
            redelivery: Duration::from_secs(15 * 60),
            queue_messages: 1000,
            attachments_bytes: 5 << 20,
            body_bytes: 16 << 20,
        }
    }
}

/// A participant of the bus: one that calls it over the wire.
#[derive(Debug, Clone)]
pub struct Registered {
    /// The mnemonic.
    pub mnemonic: String,
    /// The name for people.
    pub name: String,
    /// The pinned certificates.
    pub certificates: Vec<Certificate>,
}

/// A registered kind of message.
#[derive(Debug, Clone)]
pub struct Kind {
    /// The payload's namespace.
    pub namespace: String,
    /// Local name of a request's root.
    pub request: String,
    /// Local name of an answer's root.
    pub response: String,
    /// Who answers: a registered participant, or somebody on the far side (see [`Emulator::set_provider`]).
    pub provider: String,
    /// Who may request; everybody if `None`.
    pub requesters: Option<Vec<String>>,
}

impl Kind {
    /// A kind that everybody may request.
    pub fn new(namespace: &str, request: &str, response: &str, provider: &str) -> Kind {
        Kind {
            namespace: namespace.to_owned(),
            request: request.to_owned(),
            response: response.to_owned(),
            provider: provider.to_owned(),
            requesters: None,
        }
    }

    /// The same for these requesters only.
    #[must_use]
    pub fn only_for(mut self, requesters: &[&str]) -> Kind {
        self.requesters = Some(requesters.iter().map(|&mnemonic| mnemonic.to_owned()).collect());
        self
    }

    fn may_be_requested_by(&self, mnemonic: &str) -> bool {
        self.requesters
            .as_ref()
            .is_none_or(|requesters| requesters.iter().any(|one| one == mnemonic))
    }

    fn has_root(&self, (namespace, local): &(String, String)) -> bool {
        self.namespace == *namespace && (self.request == *local || self.response == *local)
    }
}

/// What a test waited for did not happen.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it did not happen within {0:?}")]
pub struct TimedOut(pub Duration);

/// A running bus. Clones are the same bus; it stops when the last one is dropped.
#[derive(Clone)]
pub struct Emulator {
    bus: Arc<Bus>,
    server: Arc<tokio::sync::Mutex<Server>>,
    address: SocketAddr,
}

impl Emulator {
    /// Starts a bus.
    ///
    /// # Errors
    /// If the address cannot be listened on.
    pub async fn start(config: Config) -> io::Result<Emulator> {
        let members = config
            .participants
            .into_iter()
            .map(|registered| (registered.mnemonic.clone(), member(registered)));
        let state = State::new(members.collect(), config.kinds);
        let bus = Arc::new(Bus::new(config.identity, config.settings, config.clock, state));
        let (server, address) = Server::start(Arc::clone(&bus), config.listen)?;
        Ok(Emulator {
            bus,
            server: Arc::new(tokio::sync::Mutex::new(server)),
            address,
        })
    }

    /// Where it listens, also while it is down.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint of a version. Every endpoint takes every version.
    pub fn url(&self, version: Version) -> String {
        format!("http://{}{}", self.address, version.path())
    }

    /// The certificate with which the bus signs.
    pub fn certificate(&self) -> &Certificate {
        self.bus.identity.certificate()
    }

    /// The bus's clock.
    pub fn clock(&self) -> &Clock {
        &self.bus.clock
    }

    /// What can go wrong.
    pub fn knobs(&self) -> &Knobs {
        &self.bus.knobs
    }

    /// What happened so far.
    pub fn ledger(&self) -> Ledger {
        self.bus.state().ledger.clone()
    }

    /// Waits until `look` finds something in the ledger. The bus stands still while it looks.
    ///
    /// # Errors
    /// [`TimedOut`], in real time.
    pub async fn wait_for<T>(
        &self,
        within: Duration,
        mut look: impl FnMut(&Ledger) -> Option<T>,
    ) -> Result<T, TimedOut> {
        let mut changed = self.bus.changed.subscribe();
        let found = async {
            loop {
                changed.mark_unchanged();
                if let Some(found) = look(&self.bus.state().ledger) {
                    return found;
                }
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::time::timeout(within, found).await.map_err(|_| TimedOut(within))
    }

    /// Closes every connection; new ones are refused. The port stays taken.
    pub async fn go_down(&self) {
        self.server.lock().await.go_down().await;
    }

    /// Listens again after [`Emulator::go_down`], with everything that it knew.
    ///
    /// # Errors
    /// If the port cannot be listened on.
    pub async fn come_back(&self) -> io::Result<()> {
        self.server.lock().await.come_back(Arc::clone(&self.bus))
    }

    /// Closes everything.
    pub async fn stop(&self) {
        self.server.lock().await.stop().await;
    }

    /// Registers a participant, or replaces its certificates; its queues stay.
    pub fn register(&self, registered: Registered) {
        let mut state = self.bus.state();
        let new = member(registered.clone());
        match state.members.get_mut(&registered.mnemonic) {
            Some(known) => {
                known.name = new.name;
                known.trusted = new.trusted;
            }
            None => {
                state.members.insert(registered.mnemonic, new);
            }
        }
    }

    /// Registers a kind, or replaces the one with the same roots.
    pub fn register_kind(&self, kind: Kind) {
        let mut state = self.bus.state();
        match state
            .kinds
            .iter_mut()
            .find(|known| known.namespace == kind.namespace && known.request == kind.request)
        {
            Some(known) => *known = kind,
            None => state.kinds.push(kind),
        }
    }

    /// From now on a provider on the far side answers requests of this namespace.
    pub fn set_provider(&self, namespace: &str, provider: Provider) {
        self.bus.state().providers.insert(namespace.to_owned(), provider);
    }

    /// A federal consumer sends a request into the region: its identifier. It waits in the queue of the kind's provider.
    ///
    /// # Errors
    /// [`FederalError`].
    pub fn push_request(&self, request: FederalRequest) -> Result<String, FederalError> {
        let root = root_of(&request.data.content).map_err(FederalError::Payload)?;
        let from = self.federal(&request.from)?;
        let mut state = self.bus.state();
        let kind = state
            .kinds
            .iter()
            .position(|kind| kind.namespace == root.0 && kind.request == root.1);
        let kind = kind.ok_or(FederalError::UnknownKind(root.0, root.1))?;
        let to = request.to.unwrap_or_else(|| state.kinds[kind].provider.clone());
        if !state.members.contains_key(&to) {
            return Err(FederalError::UnknownRecipient(to));
        }
        let id = request.data.message_id.clone();
        state.deliver_federal(from, &to, request.data, kind, self.bus.clock.now());
        drop(state);
        self.bus.tell_change();
        Ok(id)
    }

    /// The far side answers a request that came from the region, now: the answer's identifier.
    ///
    /// # Errors
    /// [`FederalError::UnknownRequest`].
    pub fn answer(&self, request: &str, answer: impl Into<ProviderAnswer>) -> Result<String, FederalError> {
        self.bus
            .answer(request, answer.into())
            .ok_or_else(|| FederalError::UnknownRequest(request.to_owned()))
    }

    /// A federal provider sends any answer, also one to a request that never was: its identifier.
    ///
    /// # Errors
    /// [`FederalError`].
    pub fn push_response(&self, response: FederalResponse) -> Result<String, FederalError> {
        let kind = match response.data.reply.payload() {
            Some(payload) => root_of(payload).map_err(FederalError::Payload)?,
            None => (String::new(), String::new()),
        };
        let from = self.federal(&response.from)?;
        let id = response.data.message_id.clone();
        let mut state = self.bus.state();
        if !state.members.contains_key(&response.to) {
            return Err(FederalError::UnknownRecipient(response.to));
        }
        let letter = Letter {
            id: id.clone(),
            kind,
            node: response.node_id,
            sender: state.party(&response.from),
            recipient: state.party(&response.to),
            sent_at: self.bus.clock.now(),
            message: Message::Response(response.data),
            reply_to: None,
            original_message_id: response.original_message_id,
            original_transaction_code: response.original_transaction_code,
            signed: Signed::by(from),
        };
        state.push_letter(&response.to, letter);
        drop(state);
        self.bus.tell_change();
        Ok(id)
    }

    /// A notice that `to` will get by GetStatus.
    ///
    /// # Errors
    /// [`FederalError::UnknownRecipient`].
    pub fn push_status(&self, to: &str, status: AsyncStatus) -> Result<(), FederalError> {
        let mut state = self.bus.state();
        let member = state
            .members
            .get_mut(to)
            .ok_or_else(|| FederalError::UnknownRecipient(to.to_owned()))?;
        member.queues.statuses.push_back(status);
        drop(state);
        self.bus.tell_change();
        Ok(())
    }

    /// How many messages wait for a participant on the bus, handed out or not: requests and answers.
    pub fn waiting(&self, mnemonic: &str) -> (usize, usize) {
        let state = self.bus.state();
        let queues = state.members.get(mnemonic).map(|member| &member.queues);
        queues.map_or((0, 0), |queues| (queues.requests.len(), queues.responses.len()))
    }

    fn federal(&self, mnemonic: &str) -> Result<Identity, FederalError> {
        self.bus
            .federal(mnemonic)
            .ok_or_else(|| FederalError::UnknownRecipient(mnemonic.to_owned()))
    }
}

impl std::fmt::Debug for Emulator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Emulator")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn member(registered: Registered) -> Member {
    let trusted = registered.certificates.into_iter().map(Trusted::new).collect();
    Member {
        name: registered.name,
        trusted,
        queues: queue::Queues::default(),
    }
}
