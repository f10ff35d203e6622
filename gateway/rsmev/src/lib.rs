//! `rsmev`: the command line, configuration and wiring of the gateway.
//!
//! Every command is a function from settings to output and an exit code: 0 done, 1 refused or found wrong, 2 wrong
//! usage, 3 for a gateway that ended by itself. Nothing here knows how messages are kept or written; `serve` puts the crates together that do.
#![forbid(unsafe_code)]

mod admin;
mod archive;
mod authorities;
mod backup;
mod build;
mod bundle;
mod check;
mod cli;
mod commands;
mod confirm;
mod credentials;
mod data_dir;
mod descriptors;
mod doctor;
mod document;
mod door;
mod failure;
#[doc(hidden)]
pub mod fuzz_bodies;
mod health;
mod incidents;
mod keys;
mod links;
mod logged;
mod logging;
mod master_key;
mod memory;
mod metrics;
mod notify;
mod operator;
mod output;
mod parts;
mod problem;
mod process;
mod registry_file;
mod renewal;
mod sandbox;
mod screenshot;
mod section;
mod serve;
mod settings;
mod setup;
mod store;
mod supervisor;
mod top;
mod verification;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command, Keys, Reference};
use failure::Failure;
use output::{Out, remark};
use settings::Settings;

/// Does what the command line says, and gives the exit code of the process.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut out = Out::new();
    let done = run(&cli, &mut out).and_then(|()| Ok(out.flush()?));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Output(error)) if output::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(failure) => {
            // What was found before the failure comes first; if it cannot be written there is nobody to tell.
            let _ = out.flush();
            if !matches!(failure, Failure::Said) {
                remark(&failure);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: &Cli, out: &mut Out) -> Result<(), Failure> {
    let settings = || Settings::load(&cli.config);
    match &cli.command {
        Command::Serve(arguments) => serve::run(&settings()?, &cli.config, arguments),
        Command::Setup(arguments) => setup::run(&cli.config, arguments, out),
        Command::Check(arguments) => check::run(&cli.config, arguments.output, out),
        Command::SupportBundle(arguments) => bundle::run(&cli.config, arguments, out),
        Command::Doctor(arguments) => doctor::run(&cli.config, arguments.output, out),
        Command::Sandbox(arguments) => sandbox::run(arguments),
        Command::Keys(Keys::New(arguments)) => keys::new(arguments, out),
        Command::Keys(Keys::Csr(arguments)) => keys::csr(arguments, out),
        Command::Keys(Keys::Show(arguments)) => keys::show(arguments, out),
        Command::Keys(Keys::Master(command)) => master_key::run(command, settings, out),
        Command::Registry(command) => commands::registry::run(command, &settings()?, out),
        Command::Route(command) => commands::route::run(command, &settings()?, out),
        Command::Probe(command) => commands::probe::run(command, &cli.config, out),
        Command::Queue(command) => commands::queue::run(command, &settings()?, out),
        Command::Participant(command) => commands::halts::participant(command, &settings()?, out),
        Command::Top(arguments) => top::run(arguments, &settings()?, out),
        Command::Trace(arguments) => commands::trace::run(arguments, &settings()?, out),
        Command::Quarantine(command) => commands::quarantine::run(command, &settings()?, out),
        Command::Backup(command) => commands::backup::run(command, &cli.config, out),
        Command::Retention(command) => commands::retention::run(command, &settings()?, out),
        Command::Incidents(arguments) => commands::incidents::run(arguments, &settings()?, out),
        Command::Journal(command) => commands::journal::run(command, &cli.config, out),
        Command::Index(command) => commands::index::run(command, &settings()?, out),
        Command::Clock(command) => commands::clock::run(command, &settings()?, out),
        Command::Completions { shell } => commands::reference::completions(*shell, out),
        Command::Reference(Reference::Man { dir }) => commands::reference::man(dir),
        Command::Reference(Reference::Metrics(arguments)) => commands::reference::metrics(arguments.output, out),
        Command::Reference(Reference::Screenshot { top: false }) => screenshot::of_input(out),
        Command::Reference(Reference::Screenshot { top: true }) => top::screenshot(&settings()?, out),
        Command::Reference(Reference::Events(arguments)) => commands::reference::events(arguments.output, out),
        Command::Reference(Reference::Configuration { language, output }) => {
            commands::reference::configuration(*language, output.output, out)
        }
        Command::Reference(Reference::Faults { language }) => commands::reference::faults(*language, out),
    }
}
