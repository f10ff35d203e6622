//! What the tests of this crate share: a small region, messages, a clock that they own.

mod region;
mod running;

pub(crate) use region::{
    FEDERAL, NODE, Region, answer, asynchronous, evidence, id_at, kind, mnemonic, participant, request, start_time, upstream,
};
pub(crate) use running::{Running, TestTime};
