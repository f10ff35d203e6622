//! `rsmev setup`: asks for what a gateway needs, checks each answer at once, and writes a commented configuration.
//!
//! Nothing is written before all questions are answered, except key files, which are never overwritten.

mod arguments;
mod dialogue;
mod document;
mod own_key;
mod service;
mod upstream;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use engine::names::Mnemonic;
use vault::MasterKey;

pub(crate) use arguments::Arguments;
use dialogue::{Dialogue, Question};
use document::{Document, PLACEHOLDER};

use crate::check;
use crate::cli::Output;
use crate::failure::Failure;
use crate::output::Out;

/// Carries the command out.
pub(crate) fn run(config: &Path, arguments: &Arguments, out: &mut Out) -> Result<(), Failure> {
    let mut document = Document::open(config)?;
    let folder = folder_of(config);
    can_write(folder)?;
    let mut dialogue = Dialogue::new(io::stdin().lock(), out, arguments.yes);
    dialogue.say(format_args!("The configuration will be {}.", config.display()))?;
    node(&mut dialogue, arguments, &mut document)?;
    addresses(&mut dialogue, arguments, &mut document)?;
    let upstream = upstream::settle(&mut dialogue, arguments, &document)?;
    let keys = folder.join("keys");
    let has_certificate = own_key::settle(&mut dialogue, arguments, &mut document, &keys)?;
    master_key(&mut dialogue, &mut document, &keys)?;
    if let Some(upstream) = upstream {
        upstream.write(&mut dialogue, &mut document, &folder.join("upstream"))?;
    }
    let written = if document.write(config)? {
        "written"
    } else {
        "as it was"
    };
    dialogue.say(format_args!("{}: {written}", config.display()))?;
    let service = service::prepare(&mut dialogue, config, &document)?;
    if !has_certificate {
        return Ok(dialogue.say(
            "When the authority has sent the certificate, put it where keys.certificate says, and run `rsmev check`.",
        )?);
    }
    let start = service.is_some() && (arguments.start || dialogue.confirm("Start the service now?", false)?);
    drop(dialogue);
    check::run(config, Output::Table, out)?;
    match service {
        Some(service) if start => service.start(out),
        Some(_) => Ok(out.line("Start it with `systemctl enable --now rsmev.service`.")?),
        None => Ok(out.line(format_args!(
            "Start it with `rsmev --config {} serve`.",
            config.display()
        ))?),
    }
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn can_write(folder: &Path) -> Result<(), Failure> {
    nix::unistd::access(folder, nix::unistd::AccessFlags::W_OK).map_err(|error| {
        Failure::refused(format!(
            "{}: you may not write here ({}); become root, or name a configuration of your own with --config",
            folder.display(),
            error.desc()
        ))
    })
}

/// A folder for secrets, if it is not there.
fn make_folder(folder: &Path, mode: u32) -> Result<(), Failure> {
    match std::fs::DirBuilder::new().mode(mode).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Failure::file(folder, error)),
        _ => Ok(()),
    }
}

/// An absolute path as a configuration has it.
fn absolute(path: &Path) -> Result<String, Failure> {
    let absolute = std::path::absolute(path).map_err(|error| Failure::file(path, error))?;
    match absolute.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::file(path, "is no UTF-8, which a configuration must be")),
    }
}

fn text(answer: &str) -> Result<String, String> {
    match answer {
        "" => Err("an answer is needed".to_owned()),
        answer => Ok(answer.to_owned()),
    }
}

fn node<R: io::BufRead>(
    dialogue: &mut Dialogue<'_, R>,
    arguments: &Arguments,
    document: &mut Document,
) -> Result<(), Failure> {
    let before = document
        .text("node", "mnemonic")
        .filter(|mnemonic| *mnemonic != PLACEHOLDER);
    let mnemonic = dialogue.settle(
        Question {
            text: "Mnemonic of the gateway, as it is registered with the bus",
            option: "--mnemonic",
            given: arguments.mnemonic.clone(),
            default: before.and_then(|mnemonic| mnemonic.parse().ok()),
        },
        |answer| answer.parse::<Mnemonic>().map_err(|error| error.to_string()),
        |_| Ok(None),
    )?;
    document.set("node", "mnemonic", mnemonic.to_string());
    let name = dialogue.settle(
        Question {
            text: "Its name, shown to people",
            option: "--name",
            given: arguments.name.clone(),
            default: document
                .text("node", "name")
                .map(str::to_owned)
                .or(Some(mnemonic.to_string())),
        },
        text,
        |_| Ok(None),
    )?;
    document.set("node", "name", name);
    let data_dir = dialogue.settle(
        Question {
            text: "Folder for journal and message bodies",
            option: "--data-dir",
            given: arguments.data_dir.as_ref().map(|dir| dir.display().to_string()),
            default: document.text("node", "data_dir").map(str::to_owned),
        },
        text,
        |dir| {
            let parent = folder_of(Path::new(dir));
            match parent.is_dir() {
                true => Ok(None),
                false => Err(format!("there is no folder {}", parent.display())),
            }
        },
    )?;
    document.set("node", "data_dir", absolute(Path::new(&data_dir))?);
    Ok(())
}

fn addresses<R: io::BufRead>(
    dialogue: &mut Dialogue<'_, R>,
    arguments: &Arguments,
    document: &mut Document,
) -> Result<(), Failure> {
    if let Some(socket) = &arguments.socket {
        document.set("admin", "socket", absolute(socket)?);
    }
    let socket = document.text("admin", "socket").map(PathBuf::from);
    let runs = socket.is_some_and(|socket| UnixStream::connect(socket).is_ok());
    let mut listen = |document: &mut Document, section: &str, text, option, given| -> Result<SocketAddr, Failure> {
        let default = document
            .text(section, "listen")
            .and_then(|address| address.parse().ok());
        let address = dialogue.settle(
            Question {
                text,
                option,
                given,
                default,
            },
            |answer| {
                answer
                    .parse::<SocketAddr>()
                    .map_err(|_| format!("{answer:?} is no address such as 0.0.0.0:7500"))
            },
            |address| is_free(*address, runs),
        )?;
        document.set(section, "listen", address.to_string());
        Ok(address)
    };
    let text = "Address for the region's systems";
    let door = listen(document, "smev3", text, "--listen", arguments.listen)?;
    let text = "Address for Prometheus, /live and /ready";
    listen(document, "admin", text, "--admin-listen", arguments.admin_listen)?;
    let shown = document.text("smev3", "public_url").map(str::to_owned);
    let url = dialogue.settle(
        Question {
            text: "URL that the systems use, without a path",
            option: "--public-url",
            given: arguments.public_url.clone(),
            default: shown.or(Some(format!("http://{}", reached_at(door)))),
        },
        text_of_url,
        |_| Ok(None),
    )?;
    document.set("smev3", "public_url", url);
    Ok(())
}

/// Where clients reach an address that means all of the machine's: by its name.
fn reached_at(door: SocketAddr) -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    match name {
        Some(name) if door.ip().is_unspecified() => format!("{name}:{}", door.port()),
        _ => door.to_string(),
    }
}

fn text_of_url(answer: &str) -> Result<String, String> {
    match answer.starts_with("http://") || answer.starts_with("https://") {
        true => Ok(answer.to_owned()),
        false => Err("must begin with http:// or https://".to_owned()),
    }
}

/// Whether the gateway will be able to listen; a gateway that runs holds its addresses itself.
fn is_free(address: SocketAddr, runs: bool) -> Result<Option<String>, String> {
    match TcpListener::bind(address) {
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && runs => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err("another program listens there".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A new installation protects its bodies with a key that does not lie beside them.
fn master_key<R: io::BufRead>(
    dialogue: &mut Dialogue<'_, R>,
    document: &mut Document,
    keys: &Path,
) -> Result<(), Failure> {
    let data_dir = document.text("node", "data_dir").map(PathBuf::from).unwrap_or_default();
    if document.text("storage", "master_key").is_some() || engine::keys_dir(&data_dir).exists() {
        return Ok(());
    }
    let file = keys.join("master.key");
    if !file.exists() {
        let made = MasterKey::generate().and_then(|key| key.write(&file));
        made.map_err(|error| Failure::refused(error.to_string()))?;
        dialogue.say(format_args!(
            "{}: a new master key of the stored bodies; keep a copy elsewhere, without it they cannot be read",
            file.display()
        ))?;
    }
    document.set("storage", "master_key", absolute(&file)?);
    Ok(())
}
