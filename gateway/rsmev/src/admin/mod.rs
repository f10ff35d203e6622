//! Administration of the running gateway: HTTP for machines that watch it, a Unix socket for the command line.

pub(crate) mod http;
pub(crate) mod ready;
pub(crate) mod roles;
pub(crate) mod socket;
