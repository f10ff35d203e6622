//! What is derived from the program itself: manual pages and completion scripts.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::output::Out;

/// `completions`
pub(crate) fn completions(shell: Shell, out: &mut Out) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "rsmev", &mut script);
    Ok(out.raw(&script)?)
}

/// `reference man`: `rsmev.1` and a page of each subcommand, such as `rsmev-journal-verify.1`.
pub(crate) fn man(dir: &Path) -> Result<(), Failure> {
    clap_mangen::generate_to(Cli::command(), dir).map_err(|error| Failure::file(dir, error))
}
