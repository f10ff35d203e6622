//! `rsmev index rebuild`: throws the index away and builds it anew from the journal. The gateway must be stopped.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use journal::disk::RealDisk;

use crate::cli::Index;
use crate::failure::Failure;
use crate::output::Out;
use crate::settings::Settings;
use crate::store;

/// Carries the command out.
pub(crate) fn run(command: &Index, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    match command {
        Index::Rebuild => rebuild(settings, out),
    }
}

fn rebuild(settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    if UnixStream::connect(&settings.admin.socket).is_ok() {
        return Err(Failure::refused(
            "the gateway is running; stop it first. It builds its index anew by itself whenever it has to",
        ));
    }
    store::become_owner(&settings.node.data_dir)?;
    let begun = Instant::now();
    let last = engine::rebuild_index(&settings.engine(), RealDisk::shared())
        .map_err(|error| store::start_failure(settings, &error))?;
    let seconds = begun.elapsed().as_secs_f64();
    out.line(format_args!(
        "The index was built anew from the journal, up to record {last}, in {seconds:.1} s."
    ))?;
    Ok(())
}
