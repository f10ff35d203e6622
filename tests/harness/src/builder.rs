//! What a region consists of, written down as the gateway's two files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use emulator::{Clock, Emulator, Identity, Version};
use tempfile::TempDir;

use crate::error::HarnessError;
use crate::ports::ReservedPort;
use crate::region::{Places, Region};

/// A kind, as the registry file has it (DESIGN §10).
#[derive(Debug, Clone)]
pub struct Kind {
    /// Short name.
    pub name: String,
    /// Namespace of the payload.
    pub namespace: String,
    /// Root of a request.
    pub request: String,
    /// Root of an answer.
    pub response: String,
    /// `any` or `local`.
    pub scope: String,
    /// Text of a schema.
    pub schema: Option<String>,
}

impl Kind {
    /// A kind with the roots `Request` and `Response`, without a schema, that may leave the region.
    pub fn new(name: &str, namespace: &str) -> Kind {
        Kind {
            name: name.to_owned(),
            namespace: namespace.to_owned(),
            request: "Request".to_owned(),
            response: "Response".to_owned(),
            scope: "any".to_owned(),
            schema: None,
        }
    }

    /// The same that never leaves the region.
    #[must_use]
    pub fn local(mut self) -> Kind {
        "local".clone_into(&mut self.scope);
        self
    }

    /// The same with a schema.
    #[must_use]
    pub fn schema(mut self, text: &str) -> Kind {
        self.schema = Some(text.to_owned());
        self
    }
}

/// A grant: who may do what with a kind.
#[derive(Debug, Clone)]
pub struct Grant {
    /// A participant's mnemonic, or the name of an upstream.
    pub to: String,
    /// The kind's name.
    pub kind: String,
    /// `request`, `provide`.
    pub may: Vec<String>,
}

/// A route: where a kind goes.
#[derive(Debug, Clone)]
pub struct Route {
    /// The kind's name.
    pub kind: String,
    /// A condition as TOML, such as `{ path = "//OKTMO", prefix = "73" }`.
    pub when: Option<String>,
    /// A participant's mnemonic, or the name of an upstream.
    pub to: String,
}

/// An upstream, as the configuration has it (DESIGN §9).
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its name.
    pub name: String,
    /// Its endpoint.
    pub url: String,
    /// The version to speak.
    pub version: Version,
    /// The certificates it may sign with, as PEM.
    pub certificates: Vec<String>,
    /// Shortest and longest pause between polls, such as `20ms`, `500ms`.
    pub poll: (String, String),
    /// Lanes at the same time.
    pub parallel: u32,
    /// Further keys of its section, as TOML: `("timeout", "\"1s\"")`.
    pub more: Vec<(String, String)>,
}

impl Upstream {
    /// An emulated bus, polled often so that tests are quick.
    pub fn emulated(name: &str, bus: &Emulator, version: Version) -> Upstream {
        Upstream {
            name: name.to_owned(),
            url: bus.url(version),
            version,
            certificates: vec![bus.certificate().to_pem()],
            poll: ("20ms".to_owned(), "500ms".to_owned()),
            parallel: 16,
            more: Vec::new(),
        }
    }

    /// The same with a further key, as TOML.
    #[must_use]
    pub fn with(mut self, key: &str, value: &str) -> Upstream {
        self.more.push((key.to_owned(), value.to_owned()));
        self
    }
}

/// A region in the making.
#[derive(Debug)]
pub struct RegionBuilder {
    binary: PathBuf,
    gateway: Option<Identity>,
    participants: BTreeMap<String, Identity>,
    kinds: Vec<Kind>,
    grants: Vec<Grant>,
    routes: Vec<Route>,
    upstreams: Vec<Upstream>,
    settings: BTreeMap<String, BTreeMap<String, String>>,
    clock: Option<Clock>,
    dir: Option<PathBuf>,
}

impl RegionBuilder {
    pub(crate) fn new(binary: PathBuf) -> RegionBuilder {
        RegionBuilder {
            binary,
            gateway: None,
            participants: BTreeMap::new(),
            kinds: Vec::new(),
            grants: Vec::new(),
            routes: Vec::new(),
            upstreams: Vec::new(),
            settings: BTreeMap::new(),
            clock: None,
            dir: None,
        }
    }

    /// The gateway's own key and mnemonic; generated as `RSMEV73` otherwise. The key must have been generated here.
    #[must_use]
    pub fn gateway(mut self, identity: Identity) -> Self {
        self.gateway = Some(identity);
        self
    }

    /// A participant with a key of its own. Those that grants and routes name are made by themselves.
    #[must_use]
    pub fn participant(mut self, identity: Identity) -> Self {
        self.participants.insert(identity.mnemonic().to_owned(), identity);
        self
    }

    /// A kind.
    #[must_use]
    pub fn kind(mut self, kind: Kind) -> Self {
        self.kinds.push(kind);
        self
    }

    /// A grant.
    #[must_use]
    pub fn grant(mut self, to: &str, kind: &str, may: &[&str]) -> Self {
        let may = may.iter().map(|&right| right.to_owned()).collect();
        self.grants.push(Grant {
            to: to.to_owned(),
            kind: kind.to_owned(),
            may,
        });
        self
    }

    /// A route without a condition.
    #[must_use]
    pub fn route(mut self, kind: &str, to: &str) -> Self {
        self.routes.push(Route {
            kind: kind.to_owned(),
            when: None,
            to: to.to_owned(),
        });
        self
    }

    /// A route with a condition, given as TOML.
    #[must_use]
    pub fn route_when(mut self, kind: &str, when: &str, to: &str) -> Self {
        self.routes.push(Route {
            kind: kind.to_owned(),
            when: Some(when.to_owned()),
            to: to.to_owned(),
        });
        self
    }

    /// Grants and a route for requests of `kind` from `consumers` to `provider`, either of which may be an upstream.
    #[must_use]
    pub fn local_exchange(mut self, kind: &str, consumers: &[&str], provider: &str) -> Self {
        for consumer in consumers {
            self = self.grant(consumer, kind, &["request"]);
        }
        self.grant(provider, kind, &["provide"]).route(kind, provider)
    }

    /// An upstream.
    #[must_use]
    pub fn upstream(mut self, upstream: Upstream) -> Self {
        self.upstreams.push(upstream);
        self
    }

    /// Any setting, as TOML: `setting("smev3", "redelivery", "\"2s\"")`.
    #[must_use]
    pub fn setting(mut self, section: &str, key: &str, value: &str) -> Self {
        self.settings
            .entry(section.to_owned())
            .or_default()
            .insert(key.to_owned(), value.to_owned());
        self
    }

    /// The gateway and the participants go by this clock (`serve --test-clock`), also over restarts.
    #[must_use]
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Everything is put into this folder, which stays, and not into a temporary one.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.dir = Some(dir.to_owned());
        self
    }

    /// Writes everything down, starts the gateway, waits until it is ready and applies the registry.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn start(self) -> Result<Region, HarnessError> {
        let mut region = self.prepare()?;
        region.start().await?;
        region.apply_registry().await?;
        Ok(region)
    }

    /// Writes everything down and starts nothing.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn prepare(mut self) -> Result<Region, HarnessError> {
        let gateway = match self.gateway.take() {
            Some(identity) => identity,
            None => Identity::generate("RSMEV73")?,
        };
        self.make_participants()?;
        let temporary = TempDir::with_prefix("rsmev-").map_err(HarnessError::io("making a temporary folder"))?;
        let root = self.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
        let door = ReservedPort::new().map_err(HarnessError::io("finding a port"))?;
        let admin = ReservedPort::new().map_err(HarnessError::io("finding a port"))?;
        let places = Places {
            config: root.join("gateway.toml"),
            registry: root.join("registry").join("region.toml"),
            data: root.join("data"),
            log: root.join("gateway.log"),
            socket: root.join("admin.sock"),
            root,
            temporary,
        };
        self.write_keys(&places, &gateway)?;
        write(&places.config, &self.config(&places, &gateway, &door, &admin)?)?;
        write(&places.registry, &self.registry(&places)?)?;
        Ok(Region::new(
            self.binary,
            places,
            gateway,
            self.participants,
            door,
            admin,
            self.clock,
        ))
    }

    /// Whoever is named and is no upstream is a participant.
    fn make_participants(&mut self) -> Result<(), HarnessError> {
        let named = self
            .grants
            .iter()
            .map(|grant| &grant.to)
            .chain(self.routes.iter().map(|route| &route.to));
        let mut missing: Vec<String> = named.filter(|name| !self.is_upstream(name)).cloned().collect();
        missing.retain(|name| !self.participants.contains_key(name));
        missing.dedup();
        for mnemonic in missing {
            if !self.participants.contains_key(&mnemonic) {
                self.participants
                    .insert(mnemonic.clone(), Identity::generate(&mnemonic)?);
            }
        }
        Ok(())
    }

    fn is_upstream(&self, name: &str) -> bool {
        self.upstreams.iter().any(|upstream| upstream.name == name)
    }

    fn write_keys(&self, places: &Places, gateway: &Identity) -> Result<(), HarnessError> {
        let keys = places.root.join("keys");
        fs::create_dir_all(&keys).map_err(HarnessError::io("making the folder of keys"))?;
        let path = keys.join("gateway.key");
        let pem = gateway.private_key_pem().unwrap_or_default();
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path)
            .map_err(HarnessError::io("writing the gateway's key"))?;
        file.write_all(pem.as_bytes())
            .map_err(HarnessError::io("writing the gateway's key"))?;
        write(&keys.join("gateway.crt"), &gateway.certificate().to_pem())
    }

    fn config(
        &self,
        places: &Places,
        gateway: &Identity,
        door: &ReservedPort,
        admin: &ReservedPort,
    ) -> Result<String, HarnessError> {
        let keys = places.root.join("keys");
        let mut sections = self.settings.clone();
        let mut set = |section: &str, key: &str, value: String| {
            sections
                .entry(section.to_owned())
                .or_default()
                .entry(key.to_owned())
                .or_insert(value);
        };
        set("node", "mnemonic", quoted(gateway.mnemonic()));
        set("node", "name", quoted("Регион в тестах"));
        set("node", "data_dir", quoted_path(&places.data));
        set("keys", "provider", quoted("software"));
        set("keys", "private_key", quoted_path(&keys.join("gateway.key")));
        set("keys", "certificate", quoted_path(&keys.join("gateway.crt")));
        set("smev3", "listen", quoted(&door.address().to_string()));
        set("smev3", "public_url", quoted(&format!("http://{}", door.address())));
        set("limits", "disk_reserve", quoted("10 MB"));
        set("admin", "listen", quoted(&admin.address().to_string()));
        set("admin", "socket", quoted_path(&places.socket));

        let mut text = String::new();
        for (section, keys) in sections {
            text.push_str(&format!("[{section}]\n"));
            for (key, value) in keys {
                text.push_str(&format!("{key} = {value}\n"));
            }
            text.push('\n');
        }
        for upstream in &self.upstreams {
            let mut signers = Vec::new();
            for (number, pem) in upstream.certificates.iter().enumerate() {
                let path = places
                    .root
                    .join("upstream")
                    .join(format!("{}-{number}.crt", upstream.name));
                write(&path, pem)?;
                signers.push(quoted_path(&path));
            }
            let (min, max) = &upstream.poll;
            text.push_str(&format!(
                "[[upstream]]\nname = {}\nurl = {}\nversion = {}\ntrusted_signers = [{}]\npoll = {{ min = {}, max = {} }}\nparallel = {}\n",
                quoted(&upstream.name),
                quoted(&upstream.url),
                quoted(upstream.version.number()),
                signers.join(", "),
                quoted(min),
                quoted(max),
                upstream.parallel
            ));
            for (key, value) in &upstream.more {
                text.push_str(&format!("{key} = {value}\n"));
            }
            text.push('\n');
        }
        Ok(text)
    }

    fn registry(&self, places: &Places) -> Result<String, HarnessError> {
        let folder = places.root.join("registry");
        let mut text = String::new();
        for (mnemonic, identity) in &self.participants {
            write(
                &folder.join(format!("{mnemonic}.crt")),
                &identity.certificate().to_pem(),
            )?;
            line(&mut text, format_args!("[[participant]]"));
            line(&mut text, format_args!("mnemonic = {}", quoted(mnemonic)));
            line(&mut text, format_args!("name = {}", quoted(identity.name())));
            line(
                &mut text,
                format_args!("certificates = [{}]\n", quoted(&format!("{mnemonic}.crt"))),
            );
        }
        for kind in &self.kinds {
            line(&mut text, format_args!("[[kind]]"));
            for (key, value) in [
                ("name", &kind.name),
                ("namespace", &kind.namespace),
                ("request", &kind.request),
                ("response", &kind.response),
                ("scope", &kind.scope),
            ] {
                line(&mut text, format_args!("{key} = {}", quoted(value)));
            }
            if let Some(schema) = &kind.schema {
                let file = format!("{}/{}.xsd", kind.name, kind.name);
                write(&folder.join(&file), schema)?;
                line(&mut text, format_args!("schema = {}", quoted(&file)));
            }
            text.push('\n');
        }
        for grant in &self.grants {
            let may: Vec<String> = grant.may.iter().map(|right| quoted(right)).collect();
            line(
                &mut text,
                format_args!("[[grant]]\n{}", self.target("participant", &grant.to)),
            );
            line(
                &mut text,
                format_args!("kind = {}\nmay = [{}]\n", quoted(&grant.kind), may.join(", ")),
            );
        }
        for route in &self.routes {
            line(&mut text, format_args!("[[route]]\nkind = {}", quoted(&route.kind)));
            if let Some(when) = &route.when {
                line(&mut text, format_args!("when = {when}"));
            }
            line(&mut text, format_args!("{}\n", self.target("to", &route.to)));
        }
        Ok(text)
    }

    fn target(&self, key: &str, name: &str) -> String {
        format!(
            "{} = {}",
            if self.is_upstream(name) { "upstream" } else { key },
            quoted(name)
        )
    }
}

fn line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing into a String cannot fail.
    let _ = writeln!(text, "{arguments}");
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn quoted_path(path: &Path) -> String {
    quoted(&path.display().to_string())
}

fn write(path: &Path, text: &str) -> Result<(), HarnessError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(HarnessError::io(format!("making {}", folder.display())))?;
    }
    fs::write(path, text).map_err(HarnessError::io(format!("writing {}", path.display())))
}
