//! `rsmev check`: everything that can be found wrong without the store's lock, so that it may run beside a gateway.

use std::collections::BTreeMap;
use std::path::Path;

use engine::registry::RegistryContent;
use gost::Certificate;
use jiff::Timestamp;
use journal::disk::RealDisk;
use journal::read::Filter;

use crate::failure::Failure;
use crate::keys;
use crate::operator::Request;
use crate::output::Out;
use crate::registry_file::content_name;
use crate::settings::Settings;
use crate::settings::units::show_seconds;
use crate::store;

/// Carries the command out.
pub(crate) fn run(config: &Path, out: &mut Out) -> Result<(), Failure> {
    let mut findings = Findings::default();
    match Settings::load(config) {
        Ok(settings) => {
            findings.fine(format!("{}: configuration", config.display()));
            findings.check(&settings);
        }
        Err(problems) => problems
            .0
            .iter()
            .for_each(|problem| findings.wrong(problem.to_string())),
    }
    for (level, text) in &findings.found {
        out.line(format_args!("{:8} {text}", level.word()))?;
    }
    let count = |level| findings.found.iter().filter(|(found, _)| *found == level).count();
    let (errors, warnings) = (count(Level::Error), count(Level::Warning));
    if errors > 0 {
        out.line(format_args!("{errors} errors, {warnings} warnings"))?;
        return Err(Failure::Said);
    }
    out.line(format_args!("Everything is in order, {warnings} warnings."))?;
    Ok(())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    Error,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

#[derive(Debug, Default)]
struct Findings {
    found: Vec<(Level, String)>,
}

impl Findings {
    fn fine(&mut self, text: impl Into<String>) {
        self.found.push((Level::Ok, text.into()));
    }

    fn odd(&mut self, text: impl Into<String>) {
        self.found.push((Level::Warning, text.into()));
    }

    fn wrong(&mut self, text: impl Into<String>) {
        self.found.push((Level::Error, text.into()));
    }

    fn check(&mut self, settings: &Settings) {
        self.keys(settings);
        self.upstreams(settings);
        self.door(settings);
        if self.data_dir(&settings.node.data_dir) {
            self.storage(settings);
            match registry(settings) {
                Ok(content) => self.registry(settings, &content),
                Err(text) => self.wrong(text),
            }
        }
    }

    fn keys(&mut self, settings: &Settings) {
        match keys::load(&settings.keys) {
            Ok(identity) => {
                self.fine(format!("{}: private key", settings.keys.private_key.display()));
                self.certificate(
                    &settings.keys.certificate.display().to_string(),
                    &identity.certificate,
                    Level::Error,
                );
            }
            Err(failure) => self.wrong(failure.to_string()),
        }
    }

    /// Reports a certificate's validity; `worst` is what an expired one is.
    fn certificate(&mut self, place: &str, certificate: &Certificate, worst: Level) {
        let now = Timestamp::now().as_second();
        let (left, begun) = (certificate.not_after() - now, now - certificate.not_before());
        let time = |seconds: i64| show_seconds(seconds.unsigned_abs());
        let subject = certificate.subject();
        let found = if left < 0 {
            (
                worst,
                format!("{place}: the certificate of {subject} expired {} ago", time(left)),
            )
        } else if begun < 0 {
            (
                worst,
                format!("{place}: the certificate of {subject} is valid only in {}", time(begun)),
            )
        } else if left < 30 * 86_400 {
            (
                Level::Warning,
                format!("{place}: the certificate of {subject} expires in {}", time(left)),
            )
        } else {
            (
                Level::Ok,
                format!("{place}: certificate of {subject}, valid for {}", time(left)),
            )
        };
        self.found.push(found);
    }

    fn upstreams(&mut self, settings: &Settings) {
        for signer in settings.upstreams.iter().flat_map(|upstream| &upstream.trusted_signers) {
            match keys::read_certificate(signer) {
                Ok(certificate) => self.certificate(&signer.display().to_string(), &certificate, Level::Warning),
                Err(failure) => self.wrong(failure.to_string()),
            }
        }
    }

    fn door(&mut self, settings: &Settings) {
        let listen = settings.smev3.listen;
        match &settings.smev3.tls {
            Some(tls) => {
                for file in [Some(&tls.certificate), Some(&tls.private_key), tls.client_ca.as_ref()].into_iter().flatten() {
                    if let Err(error) = std::fs::read(file) {
                        self.wrong(format!("{}: {error}", file.display()));
                    }
                }
            }
            None if !listen.ip().is_loopback() => self.odd(format!(
                "smev3.listen {listen}: without TLS whoever is on the network can read the messages; set smev3.tls, or keep \
                 the network to itself"
            )),
            None => {}
        }
        if !settings.admin.listen.ip().is_loopback() {
            self.odd(format!(
                "admin.listen {}: figures are shown to the whole network",
                settings.admin.listen
            ));
        }
    }

    fn data_dir(&mut self, dir: &Path) -> bool {
        match std::fs::metadata(dir) {
            Ok(metadata) if metadata.is_dir() => return true,
            Ok(_) => self.wrong(format!("{}: is not a folder", dir.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                self.odd(format!(
                    "{}: there is no data yet; the first start makes the folder",
                    dir.display()
                ));
            }
            Err(error) => self.wrong(format!("{}: {error}", dir.display())),
        }
        false
    }

    /// The headers of format and journal, as far as they can be read without the lock.
    fn storage(&mut self, settings: &Settings) {
        let dir = settings.node.data_dir.join("journal");
        if !dir.is_dir() {
            return;
        }
        let first =
            journal::read::records(RealDisk::shared(), &dir, Filter::default()).map(|mut records| records.next());
        match first {
            Ok(None | Some(Ok(_))) => self.fine(format!("{}: storage header", settings.node.data_dir.display())),
            Ok(Some(Err(error))) | Err(error) => self.wrong(error.to_string()),
        }
    }

    fn registry(&mut self, settings: &Settings, content: &RegistryContent) {
        for participant in content.participants.values() {
            for reference in &participant.certificates {
                let place = format!("registry: participant {}", participant.mnemonic);
                match blob(settings, &reference.0.to_string()) {
                    Ok(der) => match Certificate::from_der(&der) {
                        Ok(certificate) => self.certificate(&place, &certificate, Level::Warning),
                        Err(error) => self.wrong(format!("{place}: {error}")),
                    },
                    Err(text) => self.wrong(format!("{place}: {text}")),
                }
            }
        }
        for kind in content.kinds.values() {
            let Some(schema) = &kind.schema else { continue };
            let read = |(path, hash): (&String, &String)| Ok::<_, String>((path.clone(), blob(settings, hash)?));
            let checked = schema
                .files
                .iter()
                .map(read)
                .collect::<Result<BTreeMap<_, _>, _>>()
                .and_then(|files| {
                    smev3::schema::compile(&schema.main, &files)
                        .map(|_| ())
                        .map_err(|error| error.to_string())
                });
            match checked {
                Ok(()) => self.fine(format!("registry: kind {}: schema {}", kind.name, schema.main)),
                Err(text) => self.wrong(format!("registry: kind {}: {text}", kind.name)),
            }
        }
        let named: std::collections::BTreeSet<_> = {
            let grants = content.grants.iter().map(|grant| &grant.party);
            let parties = grants.chain(content.routes.iter().map(|route| &route.to));
            parties
                .filter_map(|party| match party {
                    engine::names::Party::Upstream(name) => Some(name),
                    _ => None,
                })
                .collect()
        };
        for name in named {
            if !settings.upstreams.iter().any(|upstream| upstream.name == *name) {
                self.wrong(format!(
                    "registry: upstream {name} is not configured; what is routed to it would wait for ever"
                ));
            }
        }
    }
}

/// The registry: what a running gateway says, or the last that the journal of a stopped one names.
fn registry(settings: &Settings) -> Result<RegistryContent, String> {
    if std::os::unix::net::UnixStream::connect(&settings.admin.socket).is_ok() {
        return store::Store::running(settings)
            .ask(Request::Registry)
            .map_err(|failure| failure.to_string());
    }
    let dir = settings.node.data_dir.join("journal");
    if !dir.is_dir() {
        return Ok(RegistryContent::default());
    }
    let filter = Filter {
        contains: Some("\"type\":\"registry\"".to_owned()),
        ..Filter::default()
    };
    let records = journal::read::records(RealDisk::shared(), &dir, filter).map_err(|error| error.to_string())?;
    let mut digest = None;
    for record in records {
        let record = record.map_err(|error| error.to_string())?;
        if let Ok(engine::event::Event::Registry { digest: named, .. }) = serde_json::from_str(record.event.get()) {
            digest = Some(named);
        }
    }
    match digest {
        None => Ok(RegistryContent::default()),
        Some(digest) => serde_json::from_slice(&blob(settings, &digest)?)
            .map_err(|error| format!("{}: {error}", settings.registry_dir().join(digest).display())),
    }
}

/// A content-addressed file of the registry, its content checked against its name.
fn blob(settings: &Settings, name: &str) -> Result<Vec<u8>, String> {
    let file = settings.registry_dir().join(name);
    let octets = std::fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
    if content_name(&octets) == name {
        Ok(octets)
    } else {
        Err(format!("{}: is damaged", file.display()))
    }
}
