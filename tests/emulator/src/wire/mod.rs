//! The wire: how a version writes messages down, and how they are read. Written from PROTOCOL alone and shared with
//! nothing of the gateway, so that a mistake there is not repeated here.

pub(crate) mod mime;
pub(crate) mod read;
pub(crate) mod splice;
pub(crate) mod time;
pub(crate) mod write;
pub(crate) mod writer;
