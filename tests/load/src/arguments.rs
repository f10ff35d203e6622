//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

use crate::outage::OutageArguments;
use crate::queue::QueueArguments;

/// Loads a gateway with signed messages and prints throughput, latency, processor time and memory.
#[derive(Debug, Parser)]
#[command(
    name = "rsmev-load",
    version,
    about,
    max_term_width = 110,
    args_conflicts_with_subcommands = true
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    /// Start this gateway, with a generated region in a temporary folder, and measure it
    #[arg(long, value_name = "PATH", conflicts_with_all = ["url", "pid"])]
    pub(crate) binary: Option<PathBuf>,
    /// Measure the gateway whose SMEV 3 endpoint this is; needs --region
    #[arg(long, requires = "region")]
    pub(crate) url: Option<String>,
    /// The process whose processor time and memory are shown, with --url
    #[arg(long, requires = "url")]
    pub(crate) pid: Option<u32>,
    /// The folder that --write-region wrote, and whose registry the gateway at --url has
    #[arg(long, value_name = "DIR")]
    pub(crate) region: Option<PathBuf>,
    /// Only write keys, certificates and registry of the load's participants into this folder
    #[arg(long, value_name = "DIR", conflicts_with_all = ["binary", "url"])]
    pub(crate) write_region: Option<PathBuf>,
    /// What to measure; with --binary and without this all three, one after another
    #[arg(long, value_enum)]
    pub(crate) mode: Option<Mode>,
    /// Connections, each with one call at a time
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) connections: u16,
    /// How long to measure
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) seconds: u32,
    /// Octets of a whole SendRequest
    #[arg(long, default_value_t = 5_000)]
    pub(crate) size: usize,
    /// Messages to sign beforehand; without it as many as the fastest gateway could take in the time
    #[arg(long)]
    pub(crate) messages: Option<usize>,
    /// Threads of this program while it measures
    #[arg(long, default_value_t = 1)]
    pub(crate) threads: usize,
    /// Print JSON, one object for each mode
    #[arg(long)]
    pub(crate) json: bool,
}

/// What else can be measured.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A long queue: start, memory, drain and disk
    Queue(QueueArguments),
    /// An upstream that comes back after hours: what local exchange notices of the drain
    Outage(OutageArguments),
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// SendRequest alone, to a local provider that does not fetch
    Accept,
    /// The whole local exchange: SendRequest, GetRequest, Ack, SendResponse, GetResponse, Ack
    Full,
    /// SendRequest with a route to an emulated bus, which runs in this program and takes processor time too
    Upstream,
}

impl Mode {
    pub(crate) const ALL: [Mode; 3] = [Mode::Accept, Mode::Full, Mode::Upstream];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Accept => "accept",
            Mode::Full => "full",
            Mode::Upstream => "upstream",
        }
    }

    /// Messages in a second that no gateway on two processors exceeds.
    pub(crate) fn at_most_per_second(self) -> usize {
        match self {
            Mode::Accept => 8_000,
            Mode::Full => 1_500,
            Mode::Upstream => 3_000,
        }
    }
}
