//! `rsmev registry` and `rsmev route`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use engine::names::{KindName, Party};

use super::OutputArg;
use crate::confirm::YesArg;

#[derive(Debug, Subcommand)]
pub(crate) enum Registry {
    /// Add and replace what the files say; a folder means its *.toml files in the order of their names
    Apply {
        /// Registry files, or folders of them
        #[arg(required = true, value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
        /// Also remove what the files do not name
        #[arg(long)]
        prune: bool,
        #[command(flatten)]
        yes: YesArg,
    },
    /// Show what applying the files would add, change and remove; nothing is changed
    Diff {
        /// Registry files, or folders of them
        #[arg(required = true, value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
        /// As `apply --prune` would do
        #[arg(long)]
        prune: bool,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Look for what is allowed and yet can hardly be meant: routes that are never taken, kinds that nobody may provide,
    /// certificates that end; in the files together with what the gateway has, or without files in that alone
    Lint {
        /// Registry files, or folders of them
        #[arg(value_name = "FILE|DIR")]
        paths: Vec<PathBuf>,
        /// Look at the files alone, as if the gateway had nothing
        #[arg(long, requires = "paths")]
        alone: bool,
        /// End with 1 if anything is found
        #[arg(long)]
        strict: bool,
        #[command(flatten)]
        output: OutputArg,
    },
    /// Write the registry as a file with its certificates and schemas, ready to be applied elsewhere
    Export {
        /// Folder for registry.toml and the files that it names, empty or absent; without it only the text is shown
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Show the registry
    Show(OutputArg),
}

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// Tell what becomes of a request and why, route by route, without sending it; ends with 1 if it is refused
    Explain(RouteExplain),
}

#[derive(Debug, Args)]
pub(crate) struct RouteExplain {
    /// Who sends it: MUN001 or upstream/federal
    #[arg(long, value_name = "PARTY", value_parser = party)]
    pub(crate) from: Party,
    /// The kind; without it the payload's root element tells
    #[arg(long, value_name = "NAME", required_unless_present = "payload")]
    pub(crate) kind: Option<KindName>,
    /// A payload (XML), for the conditions that look into it
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<PathBuf>,
    /// A value of DynamicRouting (1.3); repeatable
    #[arg(long, value_name = "VALUE")]
    pub(crate) dynamic: Vec<String>,
    /// A value of IdentifierRouting (1.3); repeatable
    #[arg(long, value_name = "VALUE")]
    pub(crate) identifier: Vec<String>,
    #[command(flatten)]
    pub(crate) output: OutputArg,
}

fn party(text: &str) -> Result<Party, String> {
    let parsed = match text.strip_prefix("upstream/") {
        Some(name) => name.parse().map(Party::Upstream),
        None => text.parse().map(Party::Participant),
    };
    parsed.map_err(|error: engine::names::NameError| error.to_string())
}
