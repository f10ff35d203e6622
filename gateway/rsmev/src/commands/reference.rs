//! What is derived from the program itself: manual pages, completion scripts, the documents of metrics, log and settings, the
//! table of the faults.

use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use smev3::fault::meaning::{Meaning, Words};

use crate::cli::{Cli, Output};
use crate::failure::Failure;
use crate::logging::catalogue;
use crate::metrics;
use crate::output::Out;
use crate::settings;
use crate::settings::catalogue::Language;

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

/// `reference metrics`: the catalogue of `/metrics` as Markdown or JSON.
pub(crate) fn metrics(output: Output, out: &mut Out) -> Result<(), Failure> {
    let rows = metrics::rows();
    match output {
        Output::Table => Ok(out.raw(metrics::markdown(&rows).as_bytes())?),
        Output::Json => Ok(out.json(&rows)?),
    }
}

/// `reference events`: the lines of the log as Markdown or JSON.
pub(crate) fn events(output: Output, out: &mut Out) -> Result<(), Failure> {
    let rows = catalogue::rows();
    match output {
        Output::Table => Ok(out.raw(catalogue::markdown(&rows).as_bytes())?),
        Output::Json => Ok(out.json(&rows)?),
    }
}

/// `reference configuration`: the catalogue of settings as Markdown or JSON.
pub(crate) fn configuration(language: Language, output: Output, out: &mut Out) -> Result<(), Failure> {
    let sections = settings::catalogue::rows(language);
    match output {
        Output::Table => Ok(out.raw(settings::catalogue::markdown(&sections, language).as_bytes())?),
        Output::Json => Ok(out.json(&sections)?),
    }
}

/// `reference faults`: what each fault means, as Markdown.
pub(crate) fn faults(language: Language, out: &mut Out) -> Result<(), Failure> {
    let ru = language == Language::Ru;
    let header = match ru {
        false => "| fault | what it means | who acts | what to do | send again? |",
        true => "| ошибка | что значит | кто действует | что делать | отправлять снова? |",
    };
    out.line(header)?;
    out.line("|---|---|---|---|---|")?;
    for row in Meaning::all() {
        let text = |words: Words| if ru { words.ru } else { words.en };
        let who: Vec<_> = row.who.iter().map(|who| if ru { who.ru() } else { who.en() }).collect();
        out.line(format_args!(
            "| {} | {} | {} | {} | {} |",
            row.title(),
            text(row.means),
            who.join(", "),
            text(row.remedy),
            text(row.again.words())
        ))?;
    }
    Ok(())
}
