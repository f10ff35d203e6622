//! SMEV 3 on the wire: envelopes, faults and attachments in versions 1.1, 1.2 and 1.3; the door through which local
//! systems reach the gateway, and the client through which the gateway reaches an upstream.
//!
//! Octets as received are what is verified, stored and delivered: nothing between a sender's signature and its
//! verification is ever written anew (PROTOCOL §6.4).
#![forbid(unsafe_code)]

pub mod answer;
pub mod attachments;
pub mod client;
pub mod door;
pub mod envelope;
pub mod facts;
pub mod fault;
#[doc(hidden)]
pub mod fuzz_bodies;
pub mod logged;
pub mod mime;
pub mod request;
pub mod schema;
pub mod splice;
mod status;
pub mod stored;
pub mod translate;
pub mod version;
mod wording;
pub mod wsdl;
mod xml;

pub use version::Version;
