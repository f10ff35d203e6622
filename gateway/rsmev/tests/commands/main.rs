//! The command line as an operator meets it: the real executable, its output and its exit codes.
#![forbid(unsafe_code)]

mod archive;
mod bundle;
mod configuration;
mod confirm;
mod doctor;
mod halts;
mod incidents;
mod keys;
mod master_key;
mod messages;
mod place;
mod registry;
mod retention;
mod roles;
mod serving;
mod setup;
