//! The region that is loaded: pairs of a consumer and a provider, each with a kind of its own, and one kind upstream.

use std::fs;
use std::path::Path;

use emulator::{Clock, Config, Emulator, Identity, Participant, Settings, Version};
use harness::{Kind, Region, RegionBuilder, Upstream};

use crate::LoadError;
use crate::arguments::{Arguments, Mode};
use crate::server::Server;

/// Pairs of participants.
pub(crate) const PAIRS: usize = 4;
/// The version that is spoken.
pub(crate) const VERSION: Version = Version::V1_2;
/// The kind that goes upstream.
const FEDERAL: &str = "urn://rsmev-load/federal";

/// Something to load: its address, the systems that talk to it, and the process.
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) pairs: Vec<Pair>,
    pub(crate) server: Option<Server>,
    pub(crate) bus: Option<Emulator>,
    /// Ends with this.
    _region: Option<Region>,
}

/// A consumer, a provider and what they exchange.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) consumer: Participant,
    pub(crate) provider: Participant,
    pub(crate) namespace: String,
}

impl Target {
    /// Starts the binary with a fresh region.
    pub(crate) async fn start(binary: &Path, mode: Mode) -> Result<Target, LoadError> {
        let (builder, identities, bus) =
            prepare(binary, (mode == Mode::Upstream).then(Clock::system).as_ref(), PAIRS).await?;
        let region = builder.start().await?;
        let url = region.url(VERSION);
        let pairs = pairs(&identities, &url, mode == Mode::Upstream)?;
        let server = region.pid().map(Server::new);
        Ok(Target {
            url,
            pairs,
            server,
            bus,
            _region: Some(region),
        })
    }

    /// Takes a gateway that runs.
    pub(crate) fn running(url: &str, arguments: &Arguments, mode: Mode) -> Result<Target, LoadError> {
        if mode == Mode::Upstream {
            return Err(LoadError::Refused(
                "mode upstream needs --binary: the bus must know the gateway".to_owned(),
            ));
        }
        let folder = arguments
            .region
            .as_deref()
            .ok_or_else(|| LoadError::Refused("--region is missing".to_owned()))?;
        let read = |name: String| {
            fs::read_to_string(folder.join("keys").join(&name))
                .map_err(|error| LoadError::Refused(format!("{name}: {error}")))
        };
        let mut identities = Vec::new();
        for mnemonic in (0..PAIRS).flat_map(|number| [consumer(number), provider(number)]) {
            let (key, certificate) = (read(format!("{mnemonic}.key"))?, read(format!("{mnemonic}.crt"))?);
            identities.push(Identity::from_pem(&mnemonic, &key, &certificate)?);
        }
        let pairs = pairs(&identities, url, false)?;
        Ok(Target {
            url: url.to_owned(),
            pairs,
            server: arguments.pid.map(Server::new),
            bus: None,
            _region: None,
        })
    }
}

/// A region with so many pairs around this binary, and the bus above it if there is a clock for one.
pub(crate) async fn prepare(
    binary: &Path,
    bus_clock: Option<&Clock>,
    pairs: usize,
) -> Result<(RegionBuilder, Vec<Identity>, Option<Emulator>), LoadError> {
    let gateway = Identity::generate("RSMEV73")?;
    let identities = generate(pairs)?;
    let mut builder = with_participants(Region::builder(binary).gateway(gateway.clone()), &identities);
    let Some(clock) = bus_clock else {
        return Ok((builder, identities, None));
    };
    let bus = start_bus(&gateway, clock.clone()).await?;
    builder = builder
        .kind(Kind::new("federal", FEDERAL))
        .upstream(Upstream::emulated("federal", &bus, VERSION));
    let consumers: Vec<String> = (0..pairs).map(consumer).collect();
    let consumers: Vec<&str> = consumers.iter().map(String::as_str).collect();
    builder = builder.local_exchange("federal", &consumers, "federal");
    Ok((builder, identities, Some(bus)))
}

/// Writes what a gateway needs to know, and the keys that its load needs.
pub(crate) fn write(folder: &Path) -> Result<(), LoadError> {
    let identities = generate(PAIRS)?;
    let builder = with_participants(Region::builder("rsmev").dir(folder), &identities);
    let region = builder.prepare()?;
    for identity in &identities {
        let keys = [
            ("key", identity.private_key_pem().unwrap_or_default().to_owned()),
            ("crt", identity.certificate().to_pem()),
        ];
        for (suffix, text) in keys {
            let path = folder.join("keys").join(format!("{}.{suffix}", identity.mnemonic()));
            fs::write(&path, text).map_err(|error| LoadError::Refused(format!("{}: {error}", path.display())))?;
        }
    }
    crate::say(&format!(
        "apply it with: rsmev registry apply {}",
        region.registry_file().display()
    ));
    Ok(())
}

fn generate(pairs: usize) -> Result<Vec<Identity>, LoadError> {
    let mnemonics = (0..pairs).flat_map(|number| [consumer(number), provider(number)]);
    Ok(mnemonics
        .map(|mnemonic| Identity::generate(&mnemonic))
        .collect::<Result<_, _>>()?)
}

fn with_participants(mut builder: RegionBuilder, identities: &[Identity]) -> RegionBuilder {
    for identity in identities {
        builder = builder.participant(identity.clone());
    }
    for number in 0..identities.len() / 2 {
        let kind = format!("load-{number}");
        builder = builder.kind(Kind::new(&kind, &namespace(number))).local_exchange(
            &kind,
            &[&consumer(number)],
            &provider(number),
        );
    }
    builder
        .setting("limits", "queue_messages", "100000000")
        .setting("limits", "queue_bytes", "\"1000 GB\"")
        .setting("log", "level", "\"warn\"")
}

async fn start_bus(gateway: &Identity, clock: Clock) -> Result<Emulator, LoadError> {
    let mut config = Config::new(Identity::generate("SMEV")?)
        .clock(clock)
        .participant(gateway.mnemonic(), gateway.certificate())
        .kind(emulator::Kind::new(FEDERAL, "Request", "Response", "FEDERAL"));
    config.settings = Settings {
        queue_messages: usize::MAX,
        ..Settings::default()
    };
    let bus = Emulator::start(config)
        .await
        .map_err(|error| LoadError::Refused(error.to_string()))?;
    bus.set_provider(FEDERAL, emulator::Provider::silent());
    Ok(bus)
}

/// The systems of a region, which talk to this address: with a kind for each pair, or with the one that goes upstream.
pub(crate) fn pairs(identities: &[Identity], url: &str, upstream: bool) -> Result<Vec<Pair>, LoadError> {
    let system = |identity: &Identity| {
        // Answers are not verified while they are counted, so any certificate will do.
        Participant::new(identity.clone(), VERSION, url, identity.certificate().clone())
    };
    let mut pairs = Vec::new();
    for (number, two) in identities.chunks_exact(2).enumerate() {
        let namespace = if upstream {
            FEDERAL.to_owned()
        } else {
            namespace(number)
        };
        pairs.push(Pair {
            consumer: system(&two[0])?,
            provider: system(&two[1])?,
            namespace,
        });
    }
    Ok(pairs)
}

fn consumer(number: usize) -> String {
    format!("CONSUMER{number}")
}

fn provider(number: usize) -> String {
    format!("PROVIDER{number}")
}

fn namespace(number: usize) -> String {
    format!("urn://rsmev-load/{number}")
}
