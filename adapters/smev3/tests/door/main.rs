//! The door over real sockets, before a real engine on a real disk.

mod calls;
mod faults;
mod http;
mod messages;
mod region;
mod schema;
mod transport;
