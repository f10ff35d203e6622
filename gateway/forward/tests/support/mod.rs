//! A scripted bus and a region with one participant, for the link's tests.

pub(crate) mod bus;
pub(crate) mod region;
