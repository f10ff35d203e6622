//! XML signatures of SMEV 3: a strict parser's view of a document, canonicalisation, the SMEV transform, and signing and
//! verifying in the one closed profile that the bus uses (PROTOCOL §6).
//!
//! The way of a message: [`Document::parse`] once; find the element that the operation demands by its place; read the
//! `ds:Signature` with [`SignatureElement::parse`]; look its certificate up; [`SignatureElement::verify`] with the
//! element and the registered key. The octets as received are what is verified and what is passed on: an [`Element`]
//! knows its [`range`](Element::range) in them.
//!
//! Nothing here knows operations, envelopes or participants, and nothing here trusts a certificate.
#![forbid(unsafe_code)]

mod algorithm;
mod c14n;
mod document;
mod element;
mod escape;
#[doc(hidden)]
pub mod fuzz_bodies;
mod limits;
mod reference;
mod refusal;
mod scan;
mod sign;
mod signature;
mod smev;
mod walk;

pub use algorithm::{Canonicalization, Transform};
pub use c14n::{exclusive_c14n, inclusive_c14n};
pub use document::{Document, IdError, ParseError};
pub use element::{ChildError, Element};
pub use limits::Limits;
pub use refusal::{Cause, SignatureRefusal};
pub use sign::{SignError, sign, sign_fragment};
pub use signature::{Evidence, SignatureElement};
pub use smev::{TransformError, smev_transform, smev_transform_octets};

/// The namespace of XML Signature, of which [`SignatureElement`] is the closed profile.
pub const XMLDSIG_NAMESPACE: &str = "http://www.w3.org/2000/09/xmldsig#";
