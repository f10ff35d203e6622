//! What the tests of this crate share: a small region, messages, a clock that they own.

mod region;
mod running;

pub(crate) use region::{
    Region, answer, asynchronous, content, evidence, id_at, mnemonic, participant, request, start_time, upstream,
};
pub(crate) use running::{Running, scratch};
