//! The load program: how many signed messages a gateway accepts, exchanges and forwards, how fast, and at what cost.
//!
//! `rsmev-load --binary target/release/rsmev` starts the gateway with a generated region and measures all three modes;
//! `--url` measures a gateway that runs already, with the region that `--write-region` wrote before.
#![forbid(unsafe_code)]

mod arguments;
mod flow;
mod measure;
mod outage;
mod prepared;
mod queue;
mod region;
mod report;
mod server;
mod workers;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;

use arguments::{Arguments, Command};

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            say(&format!("rsmev-load: {problem}"));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), LoadError> {
    // The server has the processors; this program makes do with what it is told.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(arguments.threads)
        .enable_all()
        .build()
        .map_err(|error| LoadError::Refused(error.to_string()))?;
    runtime.block_on(async {
        match &arguments.command {
            Some(Command::Queue(queue)) => queue::run(queue).await,
            Some(Command::Outage(outage)) => outage::run(outage).await,
            None => measure::all(arguments).await,
        }
    })
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// The gateway could not be started or asked.
    #[error(transparent)]
    Gateway(#[from] harness::HarnessError),
    /// A key could not be made or read.
    #[error(transparent)]
    Identity(#[from] emulator::IdentityError),
    /// A call could not be prepared.
    #[error(transparent)]
    Call(#[from] emulator::CallError),
    /// The gateway could not be reached.
    #[error(transparent)]
    Transport(#[from] emulator::TransportError),
    /// Something that was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
}

/// News for whoever watches; results go to standard output.
pub(crate) fn say(text: &str) {
    // Nobody is left to be told if this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// A result.
pub(crate) fn print(text: &str) {
    // Nobody is left to be told if this fails.
    let _ = writeln!(std::io::stdout(), "{text}");
}
