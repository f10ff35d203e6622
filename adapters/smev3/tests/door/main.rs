//! The door over real sockets, before a real engine on a real disk.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on must fail there")]
#![allow(clippy::print_stderr, reason = "a test that is skipped says so")]

mod calls;
mod faults;
mod http;
mod limits;
mod messages;
mod order;
mod region;
mod schema;
mod tls;
mod transport;
