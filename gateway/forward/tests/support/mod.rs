//! A scripted bus and a region with one participant, for the link's tests.
#![allow(clippy::unwrap_used, reason = "what fails here is a failed test")]

pub(crate) mod bus;
pub(crate) mod region;
