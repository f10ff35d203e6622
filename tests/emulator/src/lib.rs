//! The bus emulator: an SMEV 3 bus for tests, the sandbox and the load program, and a client of participants' systems.
//!
//! [`Emulator`] listens, checks and delivers as the real bus does, strictly: registered certificates, signatures, element
//! order, identifiers, timestamps. Tests turn its [`Knobs`] while it runs and read its [`Ledger`] afterwards; federal
//! consumers and providers on the far side of the bus are driven by its methods. [`Participant`] is the near side: a
//! local system that talks to the gateway, or to the emulator itself; `rsmev probe` is built on it.
//!
//! Everything here is written from PROTOCOL alone and shares no envelope code with the gateway: if both were wrong
//! together, nobody would notice.
#![forbid(unsafe_code)]

mod bus;
mod clock;
mod fault;
mod http;
mod identity;
mod ids;
mod message;
mod participant;
mod version;
mod wire;

pub use bus::{
    Accepted, Acknowledged, Config, Delivered, Emulator, FederalError, FederalRequest, FederalResponse, Kind, Knob,
    Knobs, Ledger, Message, Provider, ProviderAnswer, Refused, Registered, Scope, Settings, TimedOut, Times,
    WrongSignature,
};
pub use clock::Clock;
pub use fault::Fault;
pub use http::{Connection, Endpoint, HttpAnswer, TransportError};
pub use identity::{Identity, IdentityError};
pub use ids::{message_id, time_of};
pub use message::{
    AsyncStatus, Attachment, Metadata, Party, Rejection, Reply, RequestData, RequestStatus, ResponseData, Routing,
    Selector,
};
pub use participant::{
    Answer, CallError, DeliveredRequest, DeliveredResponse, Participant, Receipt, SenderProof, SignedCall, Signing,
};
pub use version::{Operation, Version};
