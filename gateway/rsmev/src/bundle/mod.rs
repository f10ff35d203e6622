//! `rsmev support-bundle`: what a helper elsewhere needs to see, in one file, without secrets and without payload.

mod archive;
mod redact;

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use journal::disk::RealDisk;
use journal::read::Filter;
use journal::{ReadError, Record};
use serde_json::{Value, json};

use archive::Archive;
use redact::Secrets;

use crate::cli::SupportBundle;
use crate::credentials;
use crate::data_dir;
use crate::doctor::{self, Facts, assess::assess, system::said};
use crate::failure::Failure;
use crate::output::Out;
use crate::registry_file::stored;
use crate::settings::Settings;
use crate::settings::units::count;
use crate::store;
use engine::units::show_size;

/// Lines of the system's log.
const LOG_LINES: &str = "1000";
/// Octets of a configuration; a longer file is none.
const CONFIGURATION: u64 = 1 << 20;

const README: &str = "\
What this is: how an rsmev-gateway fared at one moment, for whoever helps with it. Made by `rsmev support-bundle`.

doctor.json          what `rsmev doctor` says, with the facts behind it
configuration.toml   the configuration without comments, passwords, tokens, arguments of programs; paths of keys are named
environment.txt      names of the variables that change the configuration, without their values
registry.json        participants, kinds, grants, routes
ready.json           /ready (of a running gateway)
metrics.txt          /metrics (of a running gateway)
journal.jsonl        the last records of the journal without evidence and places of bodies; the journal has no payload
log.txt              the last lines of the service's log, where journalctl is there
missing.txt          what could not be had, and why

Not in it: message bodies, attachments, private keys, passwords. Names of participants and addresses are in it.
";

/// Carries the command out.
pub(crate) fn run(config: &Path, arguments: &SupportBundle, out: &mut Out) -> Result<(), Failure> {
    // Opened first: looking at a stopped gateway's store may change who we are.
    let to = Target::open(&arguments.file)?;
    let mut secrets = Secrets::default();
    secrets.add_environment(
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    );
    let files = collect(config, arguments.records, &mut secrets)?;
    let failed = |error: io::Error| Failure::file(&arguments.file, error);
    let now = Timestamp::now();
    let folder = format!("rsmev-support-{}", now.strftime("%Y%m%dT%H%M%SZ"));
    let mut archive = Archive::new(to, folder, now).map_err(failed)?;
    for (name, text) in &files {
        archive.file(name, &secrets.out_of(text)).map_err(failed)?;
    }
    let mut to = archive.finish().map_err(failed)?;
    to.flush().map_err(failed)?;
    if let Target::File(file) = &to {
        file.sync_all().map_err(failed)?;
        let size = file.metadata().map_err(failed)?.len();
        let files = count(files.len() as u64, "file");
        out.line(format_args!(
            "{}: {files}, {}",
            arguments.file.display(),
            show_size(size)
        ))?;
        out.line("Look at it before you send it (`tar --zstd -tvf`): names of participants and addresses are in it.")?;
    }
    Ok(())
}

/// Where the bundle goes.
enum Target {
    File(File),
    Output(io::Stdout),
}

impl Target {
    fn open(file: &Path) -> Result<Self, Failure> {
        if file == Path::new("-") {
            return match io::stdout().is_terminal() {
                true => Err(Failure::usage(
                    "a bundle is no text for a terminal; name a file, or redirect",
                )),
                false => Ok(Self::Output(io::stdout())),
            };
        }
        let opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        opened.map(Self::File).map_err(|error| Failure::file(file, error))
    }
}

impl Write for Target {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.write(octets),
            Self::Output(output) => output.write(octets),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::File(file) => file.flush(),
            Self::Output(output) => output.flush(),
        }
    }
}

/// The files by their names.
fn collect(config: &Path, records: u32, secrets: &mut Secrets) -> Result<Vec<(&'static str, String)>, Failure> {
    let mut files = vec![("README.txt", README.to_owned())];
    let mut missing: Vec<String> = Vec::new();
    // First what may need root's rights.
    let readable = configuration(config, secrets).map(|text| files.push(("configuration.toml", text)));
    match &readable {
        Ok(()) => match log() {
            Some(text) => files.push(("log.txt", text)),
            None => missing.push("log.txt: journalctl is not there, or does not answer".to_owned()),
        },
        Err(why) => missing.extend([
            format!("configuration.toml: {why}"),
            "log.txt: without the configuration it is not known which secrets to look for in it".to_owned(),
        ]),
    }
    files.push(("environment.txt", environment()));
    let settings = Settings::load(config).ok();
    for file in settings.iter().flat_map(key_files) {
        if let Ok(text) = std::fs::read_to_string(credentials::place(&file)) {
            secrets.add_lines(&text);
        }
    }
    let mut facts = doctor::gather(config, true)?;
    match running(&mut facts) {
        Some((ready, metrics)) => files.extend([("ready.json", ready), ("metrics.txt", metrics)]),
        None => missing.push("ready.json, metrics.txt: the gateway is not running, or does not tell".to_owned()),
    }
    let lines = assess(&facts);
    files.push(("doctor.json", pretty(&doctor::report(&facts, &lines))));
    if let Some(settings) = &settings {
        // One that did not say how it is would not tell this either, and for longer.
        let silent = matches!(facts.gateway, doctor::Gateway::Silent(_));
        let socket = (!silent).then_some(settings.admin.socket.as_path());
        match stored::registry(&settings.node.data_dir, socket) {
            Ok(Some(content)) => files.push(("registry.json", pretty(&json!(content)))),
            Ok(None) => missing.push("registry.json: its record is archived; start the gateway".to_owned()),
            Err(why) => missing.push(format!("registry.json: {why}")),
        }
        match journal(settings, &facts, records) {
            Ok(text) => files.push(("journal.jsonl", text)),
            Err(why) => missing.push(format!("journal.jsonl: {why}")),
        }
    }
    if !missing.is_empty() {
        files.push(("missing.txt", missing.join("\n") + "\n"));
    }
    Ok(files)
}

/// Files with keys, passwords and tokens that the configuration names.
fn key_files(settings: &Settings) -> Vec<PathBuf> {
    let tls = settings.smev3.tls.as_ref().map(|tls| tls.private_key.clone());
    let master = settings.storage.master_key.clone();
    let mail = settings.notify.mail.as_ref().and_then(|mail| mail.login.as_ref());
    let mail = mail.map(|(_, password)| password.clone());
    let own = [Some(settings.keys.private_key.clone()), tls, master, mail];
    let tokens = settings
        .notify
        .webhooks
        .iter()
        .filter_map(|webhook| webhook.token_file.clone());
    own.into_iter().flatten().chain(tokens).collect()
}

fn configuration(config: &Path, secrets: &mut Secrets) -> Result<String, String> {
    let size = std::fs::metadata(config).map_err(|error| error.to_string())?.len();
    if size > CONFIGURATION {
        return Err(format!("{} is too long", show_size(size)));
    }
    let text = std::fs::read_to_string(config).map_err(|error| error.to_string())?;
    redact::configuration(&text, secrets).ok_or_else(|| "is not TOML, so that its secrets cannot be told".to_owned())
}

fn environment() -> String {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("RSMEV")).collect();
    names.sort_unstable();
    names.iter().map(|name| format!("{name}\n")).collect()
}

fn log() -> Option<String> {
    let runtime = store::runtime().ok()?;
    let arguments = [
        "--unit=rsmev.service",
        "--no-pager",
        "--output=short-iso",
        "--lines",
        LOG_LINES,
    ];
    runtime.block_on(said("journalctl", &arguments))
}

/// `/ready` and `/metrics`, taken out of the facts.
fn running(facts: &mut Facts) -> Option<(String, String)> {
    let doctor::Gateway::Running(health) = &mut facts.gateway else {
        return None;
    };
    let metrics = health.metrics.take().unwrap_or_default();
    Some((pretty(&json!(health.ready)), metrics))
}

/// The last records of the journal.
fn journal(settings: &Settings, facts: &Facts, records: u32) -> Result<String, String> {
    let dir = &settings.node.data_dir;
    let known = facts.gateway.health().and_then(|health| health.store.last_seq);
    let last = known.or_else(|| data_dir::session(dir).map(|session| session.last_seq));
    let from = last.map(|last| last.saturating_sub(u64::from(records)).saturating_add(1));
    let read = |from_seq| {
        let filter = Filter {
            from_seq,
            ..Filter::default()
        };
        journal::read::records(RealDisk::shared(), &dir.join("journal"), filter)
    };
    let found = match read(from) {
        // It begins later.
        Err(ReadError::Archived { .. }) => read(None),
        found => found,
    };
    let most = usize::try_from(records).unwrap_or(usize::MAX);
    let mut kept = VecDeque::new();
    for record in found.map_err(|error| error.to_string())? {
        kept.push_back(line(&record.map_err(|error| error.to_string())?)?);
        if kept.len() > most {
            kept.pop_front();
        }
    }
    Ok(kept.into_iter().collect())
}

fn line(record: &Record) -> Result<String, String> {
    let mut event: Value =
        serde_json::from_str(record.event.get()).map_err(|error| format!("record {}: {error}", record.seq))?;
    redact::record(&mut event);
    Ok(format!(
        "{}\n",
        json!({ "seq": record.seq, "at": record.at, "event": event })
    ))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
