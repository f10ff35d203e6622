//! The region: keys, configuration, registry, the gateway as a child process, the emulated bus, and who takes part.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use emulator::{Config, Emulator, Identity, Kind, Operation, Participant, Provider, Reply, Version};
use engine::names::Queue;
use serde::Deserialize;

use crate::failure::Failure;
use crate::operator::Request;
use crate::store::Store;

/// The gateway's own mnemonic.
pub(super) const GATEWAY: &str = "RSMEV73";
/// The two consumers of the region.
pub(super) const CONSUMERS: [(&str, &str); 2] = [
    ("MUN001", "Администрация г. Ульяновска"),
    ("MUN002", "Администрация г. Димитровграда"),
];
/// The region's provider.
pub(super) const PROVIDER: (&str, &str) = ("GISOGD73", "ГИСОГД Ульяновской области");
/// The federal provider.
const FEDERAL_PROVIDER: &str = "ROSREESTR";
/// The federal consumer.
pub(super) const FEDERAL_CONSUMER: &str = "EPGU";
/// What the region's provider answers: plans of plots of land.
pub(super) const LOCAL_KIND: &str = "urn://gisogd73/gpzu/1.0.0";
/// What the federal provider answers: extracts from the register of real estate.
pub(super) const FEDERAL_KIND: &str = "urn://rosreestr/extract/1.0.0";

/// How long the gateway may take to become ready.
const START: Duration = Duration::from_secs(30);
/// How long it may take to stop.
const STOP: Duration = Duration::from_secs(30);

/// Everything that runs.
pub(super) struct World {
    /// The emulated federal bus.
    pub(super) bus: Emulator,
    /// The two consumers.
    pub(super) consumers: Vec<Participant>,
    /// The provider.
    pub(super) provider: Participant,
    folder: PathBuf,
    settings: crate::settings::Settings,
    gateway: Mutex<std::process::Child>,
}

impl World {
    /// Builds it in an empty folder and waits until the gateway is ready.
    pub(super) async fn build(folder: &Path) -> Result<Self, Failure> {
        let identity =
            |mnemonic: &str| Identity::generate(mnemonic).map_err(|error| Failure::refused(error.to_string()));
        let gateway = identity(GATEWAY)?;
        let bus = start_bus(&gateway).await?;
        let [door, admin] = free_ports()?;
        let files = Files { folder };
        files.write("keys/gateway.key", gateway.private_key_pem().unwrap_or_default())?;
        files.write("keys/gateway.crt", &gateway.certificate().to_pem())?;
        files.write("federal.crt", &bus.certificate().to_pem())?;
        let text = configuration(folder, door, admin, &bus.url(Version::V1_2));
        files.write("gateway.toml", &text)?;
        let url = format!("http://{door}/ws");
        let member = |mnemonic: &str, name: &str, version| {
            let identity = identity(mnemonic)?.named(name);
            files.write(&format!("registry/{mnemonic}.crt"), &identity.certificate().to_pem())?;
            Participant::new(identity, version, &url, gateway.certificate().clone())
                .map_err(|error| Failure::refused(error.to_string()))
        };
        let consumers = CONSUMERS.iter().zip([Version::V1_2, Version::V1_1]);
        let consumers = consumers
            .map(|((mnemonic, name), version)| member(mnemonic, name, version))
            .collect::<Result<Vec<_>, _>>()?;
        let provider = member(PROVIDER.0, PROVIDER.1, Version::V1_3)?;
        files.write("registry/region.toml", &registry())?;
        let config = folder.join("gateway.toml");
        let settings = crate::settings::Settings::load(&config)?;
        let gateway = Mutex::new(start_gateway(folder)?);
        let world = Self {
            bus,
            consumers,
            provider,
            folder: folder.to_owned(),
            settings,
            gateway,
        };
        world.wait_until_ready(admin).await?;
        world
            .command(&["registry", "apply", &folder.join("registry").to_string_lossy()])
            .await?;
        Ok(world)
    }

    /// An error with the log's end if the gateway is gone.
    pub(super) fn still_running(&self) -> Result<(), Failure> {
        let mut gateway = self.gateway.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match gateway.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(status)) => Err(Failure::refused(format!(
                "the gateway ended ({status}):\n{}",
                self.log_end()
            ))),
            Err(error) => Err(Failure::refused(error.to_string())),
        }
    }

    fn log_end(&self) -> String {
        let log = std::fs::read_to_string(self.folder.join("gateway.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    async fn wait_until_ready(&self, admin: SocketAddr) -> Result<(), Failure> {
        let begun = Instant::now();
        while begun.elapsed() < START {
            self.still_running()?;
            if is_ready(admin) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Failure::refused(format!(
            "the gateway did not become ready within {START:?}:\n{}",
            self.log_end()
        )))
    }

    /// Runs a command of this executable against the gateway, as an operator would, and returns what it printed.
    pub(super) async fn command(&self, arguments: &[&str]) -> Result<String, Failure> {
        let mut command = executable()?;
        command
            .arg("--config")
            .arg(self.folder.join("gateway.toml"))
            .args(arguments);
        let shown = arguments.join(" ");
        let output = tokio::task::spawn_blocking(move || command.output()).await;
        let output = output
            .map_err(|error| Failure::refused(error.to_string()))?
            .map_err(|error| Failure::refused(format!("rsmev {shown}: {error}")))?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(Failure::refused(format!(
            "rsmev {shown}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )))
    }

    /// Messages that wait in all queues of the gateway.
    pub(super) async fn queues(&self) -> Result<Vec<Waiting>, Failure> {
        let settings = self.settings.clone();
        let asked =
            tokio::task::spawn_blocking(move || Store::running(&settings.admin.socket).ask(Request::Queues)).await;
        asked.map_err(|error| Failure::refused(error.to_string()))?
    }

    /// Messages that wait for the federal bus, as the gateway says.
    pub(super) async fn waiting_upstream(&self) -> u64 {
        let queues = self.queues().await.unwrap_or_default();
        let upstream = queues
            .iter()
            .filter(|waiting| matches!(waiting.queue, Queue::Upstream(_)));
        upstream.map(|waiting| waiting.messages).sum()
    }

    /// The bus takes the next messages, and its answers get lost.
    pub(super) fn lose_answers(&self, times: u64) {
        self.bus.knobs().lose_answers(Operation::SendRequest, times);
    }

    /// Stops the gateway in order; says how it ended.
    pub(super) async fn stop_gateway(&self) -> Result<(), Failure> {
        let pid = {
            let gateway = self.gateway.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            rustix::process::Pid::from_child(&gateway)
        };
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| Failure::refused(format!("the gateway cannot be told to stop: {error}")))?;
        let begun = Instant::now();
        while begun.elapsed() < STOP {
            let ended = self
                .gateway
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .try_wait();
            match ended {
                Ok(Some(status)) if status.success() => return Ok(()),
                Ok(Some(status)) => {
                    return Err(Failure::refused(format!(
                        "the gateway ended with {status}:\n{}",
                        self.log_end()
                    )));
                }
                Ok(None) => tokio::time::sleep(Duration::from_millis(50)).await,
                Err(error) => return Err(Failure::refused(error.to_string())),
            }
        }
        Err(Failure::refused(format!("the gateway did not stop within {STOP:?}")))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let gateway = self
            .gateway
            .get_mut()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // It has ended in order already, unless something went wrong.
        let _ = gateway.kill();
        let _ = gateway.wait();
    }
}

/// A queue of the gateway.
#[derive(Debug, Deserialize)]
pub(super) struct Waiting {
    /// Its name.
    pub(super) queue: Queue,
    /// Messages in it.
    pub(super) messages: u64,
}

async fn start_bus(gateway: &Identity) -> Result<Emulator, Failure> {
    let cannot = |error: &dyn std::fmt::Display| Failure::refused(format!("the emulated bus: {error}"));
    let identity = Identity::generate("SMEV").map_err(|error| cannot(&error))?;
    let config = Config::new(identity)
        .participant(GATEWAY, gateway.certificate())
        .kind(Kind::new(FEDERAL_KIND, "Request", "Response", FEDERAL_PROVIDER))
        .kind(Kind::new(LOCAL_KIND, "Request", "Response", GATEWAY));
    let bus = Emulator::start(config).await.map_err(|error| cannot(&error))?;
    let extract = |request: &emulator::RequestData| {
        let number = number(&request.content);
        Reply::content(format!(
            "<Response xmlns=\"{FEDERAL_KIND}\"><Number>{number}</Number><Found>true</Found></Response>"
        ))
    };
    bus.set_provider(
        FEDERAL_KIND,
        Provider::new(extract)
            .status_first(1, "принято в работу")
            .after(Duration::from_millis(150)),
    );
    Ok(bus)
}

/// What stands in a payload's `Number`.
pub(super) fn number(payload: &str) -> &str {
    payload
        .split_once("<Number>")
        .and_then(|(_, rest)| rest.split_once("</Number>"))
        .map_or("0", |(number, _)| number)
}

/// The gateway as a child process; its log goes into the folder.
fn start_gateway(folder: &Path) -> Result<std::process::Child, Failure> {
    let log = folder.join("gateway.log");
    let log = std::fs::File::create(&log).map_err(|error| Failure::file(&log, error))?;
    let mut command = executable()?;
    command.arg("serve").arg("--config").arg(folder.join("gateway.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command
        .spawn()
        .map_err(|error| Failure::refused(format!("the gateway cannot be started: {error}")))
}

fn executable() -> Result<Command, Failure> {
    let path = std::env::current_exe().map_err(|error| Failure::refused(format!("this executable: {error}")))?;
    let mut command = Command::new(path);
    for (name, _) in crate::settings::environment() {
        command.env_remove(name);
    }
    Ok(command)
}

fn is_ready(admin: SocketAddr) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&admin, Duration::from_secs(1))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /ready HTTP/1.1\r\nHost: sandbox\r\nConnection: close\r\n\r\n")?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer)?;
        Ok(&answer == b"HTTP/1.1 200")
    };
    ask().unwrap_or(false)
}

/// Two different loopback addresses that nobody uses.
fn free_ports() -> Result<[SocketAddr; 2], Failure> {
    let find = || -> std::io::Result<[SocketAddr; 2]> {
        let listeners = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
        Ok([listeners[0].local_addr()?, listeners[1].local_addr()?])
    };
    find().map_err(|error| Failure::refused(format!("no free port: {error}")))
}

struct Files<'a> {
    folder: &'a Path,
}

impl Files<'_> {
    fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let file = self.folder.join(name);
        let write = || {
            file.parent().map_or(Ok(()), std::fs::create_dir_all)?;
            std::fs::write(&file, text)
        };
        write().map_err(|error| Failure::file(&file, error))
    }
}

fn configuration(folder: &Path, door: SocketAddr, admin: SocketAddr, federal: &str) -> String {
    let path = |name: &str| toml::Value::String(folder.join(name).to_string_lossy().into_owned());
    let (data, key, certificate) = (path("data"), path("keys/gateway.key"), path("keys/gateway.crt"));
    let (socket, signer) = (path("admin.sock"), path("federal.crt"));
    format!(
        r#"# The configuration of this sandbox. config/gateway.toml explains every key.
[node]
mnemonic = "{GATEWAY}"
name     = "РСМЭВ Ульяновской области (песочница)"
data_dir = {data}

[keys]
private_key = {key}
certificate = {certificate}

[smev3]
listen = "{door}"
redelivery = "3s"          # so that a redelivery can be seen within half a minute

[limits]
disk_reserve = "100 MB"

[admin]
listen = "{admin}"
socket = {socket}

[[upstream]]
name = "federal"
url  = "{federal}"
version = "1.2"
trusted_signers = [{signer}]
poll = {{ min = "100ms", max = "500ms" }}
"#
    )
}

fn registry() -> String {
    let mut text = String::from("# The registry of this sandbox.\n");
    for (mnemonic, name) in CONSUMERS.iter().chain([&PROVIDER]) {
        text.push_str(&format!(
            "[[participant]]\nmnemonic = \"{mnemonic}\"\nname = \"{name}\"\ncertificates = [\"{mnemonic}.crt\"]\n\n"
        ));
    }
    for (kind, namespace) in [("gpzu", LOCAL_KIND), ("extract", FEDERAL_KIND)] {
        text.push_str(&format!(
            "[[kind]]\nname = \"{kind}\"\nnamespace = \"{namespace}\"\nrequest = \"Request\"\nresponse = \"Response\"\n\n"
        ));
    }
    for (party, kind, may) in [
        ("participant = \"MUN001\"", "gpzu", "request"),
        ("participant = \"MUN001\"", "extract", "request"),
        ("participant = \"MUN002\"", "gpzu", "request"),
        ("participant = \"MUN002\"", "extract", "request"),
        ("participant = \"GISOGD73\"", "gpzu", "provide"),
        ("upstream = \"federal\"", "gpzu", "request"),
        ("upstream = \"federal\"", "extract", "provide"),
    ] {
        text.push_str(&format!("[[grant]]\n{party}\nkind = \"{kind}\"\nmay = [\"{may}\"]\n\n"));
    }
    text.push_str(
        "[[route]]\nkind = \"gpzu\"\nto = \"GISOGD73\"\n\n[[route]]\nkind = \"extract\"\nupstream = \"federal\"\n",
    );
    text
}
