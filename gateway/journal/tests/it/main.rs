//! The promises of the store, over a disk that forgets what was not synced and over the real one.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod basics;
mod crash;
mod cut;
mod cuts;
mod disk;
mod faults;
mod gap;
mod model;
mod reading;
mod recovery;
mod rest;
mod snapshots;
