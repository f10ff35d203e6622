//! `rsmev participant`, and the parts of `rsmev queue` that bring one to a halt.

use clap::{Args, Subcommand};
use engine::names::{Mnemonic, Queue};

use super::{OutputArg, reason};
use crate::confirm::YesArg;

#[derive(Debug, Subcommand)]
pub(crate) enum ParticipantCommand {
    /// Refuse a participant's calls until it is resumed; what is sent to it waits
    Suspend {
        /// Which
        #[arg(value_name = "MNEMONIC")]
        participant: Mnemonic,
        /// Why, for the journal and for who looks; the participant is not told
        #[arg(long, value_name = "TEXT", value_parser = reason)]
        reason: String,
        #[command(flatten)]
        yes: YesArg,
    },
    /// Answer its calls again
    Resume {
        /// Which
        #[arg(value_name = "MNEMONIC")]
        participant: Mnemonic,
        #[command(flatten)]
        yes: YesArg,
    },
    /// All participants, and which of them are suspended
    List(OutputArg),
}

#[derive(Debug, Args)]
pub(crate) struct QueuePause {
    /// MUN001/requests, MUN001/responses, MUN001/responses/NODE, MUN001/status or upstream/federal; this queue alone
    pub(crate) queue: Queue,
    /// Why, for the journal and for who looks
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) yes: YesArg,
}

#[derive(Debug, Args)]
pub(crate) struct QueueResume {
    /// Which
    pub(crate) queue: Queue,
    #[command(flatten)]
    pub(crate) yes: YesArg,
}
