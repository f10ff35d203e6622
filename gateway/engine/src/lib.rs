//! The heart of the gateway: commands become events, events become state. It knows nothing of networks and wire formats.

pub mod clock;
pub mod command;
pub mod names;
pub mod registry;
