//! `rsmev incidents`

use clap::{Args, Subcommand};

use super::OutputArg;

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Incidents {
    #[command(subcommand)]
    pub(crate) command: Option<IncidentsCommand>,
    #[command(flatten)]
    pub(crate) list: IncidentsList,
}

#[derive(Debug, Subcommand)]
pub(crate) enum IncidentsCommand {
    /// Incidents that are open; as without a subcommand
    List(IncidentsList),
    /// One incident: what happened when, whom it touches, who was told
    Show {
        /// Its number
        #[arg(value_name = "ID")]
        id: u64,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Send a test through every configured channel, from this process, and say what failed
    TestNotification,
}

#[derive(Debug, Args)]
pub(crate) struct IncidentsList {
    /// Also those that are over: the latest 500
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}
