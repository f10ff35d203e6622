//! What the tests of this crate share: a small region, messages, a clock that they own.

mod disk;
mod region;
mod running;

pub(crate) use disk::TellingDisk;
pub(crate) use region::{
    NODE, Region, answer, asynchronous, content, evidence, id_at, mnemonic, participant, request, start_time, upstream,
};
pub(crate) use running::{Running, TestTime, scratch};
