//! `rsmev index rebuild`: throws the index away and builds it anew from the journal. The gateway must be stopped.

use std::os::unix::net::UnixStream;
use std::time::Instant;

use journal::disk::RealDisk;

use crate::cli::Index;
use crate::confirm::YesArg;
use crate::failure::Failure;
use crate::output::Out;
use crate::settings::Settings;
use crate::store;
use engine::Rebuilt;

/// Carries the command out.
pub(crate) fn run(command: &Index, settings: &Settings, out: &mut Out) -> Result<(), Failure> {
    match command {
        Index::Rebuild { yes } => rebuild(settings, *yes, out),
    }
}

fn rebuild(settings: &Settings, yes: YesArg, out: &mut Out) -> Result<(), Failure> {
    if UnixStream::connect(&settings.admin.socket).is_ok() {
        return Err(Failure::refused(
            "the gateway is running; stop it first. It builds its index anew by itself whenever it has to",
        ));
    }
    yes.confirm(|| {
        let dir = settings.node.data_dir.display();
        Ok(format!(
            "throw the index in {dir} away and build it anew from the journal; the gateway cannot start meanwhile"
        ))
    })?;
    store::become_owner(&settings.node.data_dir)?;
    let begun = Instant::now();
    let Rebuilt { last_seq, cuts } = engine::rebuild_index(&settings.engine(), RealDisk::shared())
        .map_err(|error| store::start_failure(settings, &error, &[]))?;
    let seconds = begun.elapsed().as_secs_f64();
    out.line(format_args!(
        "The index was built anew from the journal, up to record {last_seq}, in {seconds:.1} s."
    ))?;
    for cut in cuts {
        let aside = match &cut.aside {
            Some(folder) => format!("what was taken away lies in {folder} under node.data_dir; "),
            None => String::new(),
        };
        out.line(format_args!(
            "The journal was cut or replaced: the index reflected record {}, it ends with record {}; {aside}the next start \
             journals that, and /ready shows it.",
            cut.known.seq, cut.end.seq
        ))?;
    }
    Ok(())
}
