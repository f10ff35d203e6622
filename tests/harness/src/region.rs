//! A region: a gateway that can be started, stopped and asked, and the systems that talk to it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use emulator::{Clock, Connection, Endpoint, HttpAnswer, Identity, Participant, Version};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::builder::RegionBuilder;
use crate::command::{self, CommandOutput};
use crate::error::HarnessError;
use crate::metrics::Metrics;
use crate::ports::ReservedPort;
use crate::process::{Process, log_tail};

/// How long the gateway may take to become ready, replay of a long journal included.
const START: Duration = Duration::from_secs(60);
/// How long it may take to stop: what it promises itself, and a little more.
const STOP: Duration = Duration::from_secs(90);
/// Pause between two looks at something that has no way to tell.
const LOOK: Duration = Duration::from_millis(25);

/// Where everything lies.
#[derive(Debug)]
pub(crate) struct Places {
    pub(crate) root: PathBuf,
    pub(crate) config: PathBuf,
    pub(crate) registry: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) socket: PathBuf,
    pub(crate) temporary: TempDir,
}

/// A region with a real gateway. Its process is killed and its temporary folder removed when this is dropped.
#[derive(Debug)]
pub struct Region {
    process: Option<Process>,
    binary: PathBuf,
    gateway: Identity,
    participants: BTreeMap<String, Identity>,
    door: ReservedPort,
    admin: ReservedPort,
    clock: Option<Clock>,
    places: Places,
}

impl Region {
    /// A region around this binary of the gateway, such as `env!("CARGO_BIN_EXE_rsmev")`.
    pub fn builder(binary: impl Into<PathBuf>) -> RegionBuilder {
        RegionBuilder::new(binary.into())
    }

    pub(crate) fn new(
        binary: PathBuf,
        places: Places,
        gateway: Identity,
        participants: BTreeMap<String, Identity>,
        door: ReservedPort,
        admin: ReservedPort,
        clock: Option<Clock>,
    ) -> Region {
        Region {
            process: None,
            binary,
            gateway,
            participants,
            door,
            admin,
            clock,
            places,
        }
    }

    /// Starts the gateway and waits until it is ready.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn start(&mut self) -> Result<(), HarnessError> {
        self.launch()?;
        self.wait_ready(START).await
    }

    /// Starts the gateway and waits for nothing.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn launch(&mut self) -> Result<(), HarnessError> {
        self.launch_with(&[])
    }

    /// The same with more arguments for `serve`.
    ///
    /// # Errors
    /// As [`launch`](Self::launch).
    pub fn launch_with(&mut self, more: &[&str]) -> Result<(), HarnessError> {
        if self.process.is_some() {
            return Err(HarnessError::Running);
        }
        let mut arguments = vec![
            "serve".to_owned(),
            "--config".to_owned(),
            self.places.config.display().to_string(),
        ];
        if let Some(clock) = &self.clock {
            arguments.extend(["--test-clock".to_owned(), format!("{}x{}", clock.now(), clock.rate())]);
        }
        arguments.extend(more.iter().map(|argument| (*argument).to_owned()));
        self.process = Some(Process::start(&self.binary, &arguments, &self.places.log)?);
        Ok(())
    }

    /// Waits until `/ready` says so and the door takes connections.
    ///
    /// # Errors
    /// [`HarnessError::Ended`], [`HarnessError::Late`].
    pub async fn wait_ready(&mut self, within: Duration) -> Result<(), HarnessError> {
        let since = Instant::now();
        loop {
            let process = self.process.as_mut().ok_or(HarnessError::NotRunning)?;
            if let Some(status) = process.ended()? {
                self.process = None;
                return Err(HarnessError::Ended {
                    status: status.to_string(),
                    log: self.log_tail(),
                });
            }
            let ready = matches!(self.admin_page("/ready").await, Ok(answer) if answer.status == 200);
            if ready && tokio::net::TcpStream::connect(self.door.address()).await.is_ok() {
                return Ok(());
            }
            if since.elapsed() > within {
                return Err(HarnessError::Late {
                    what: "ready".to_owned(),
                    within,
                    log: self.log_tail(),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// SIGKILL.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn kill(&mut self) -> Result<(), HarnessError> {
        self.process.take().ok_or(HarnessError::NotRunning)?.kill().await
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn stop(&mut self) -> Result<ExitStatus, HarnessError> {
        self.process.take().ok_or(HarnessError::NotRunning)?.stop(STOP).await
    }

    /// SIGTERM, then a start.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn restart(&mut self) -> Result<(), HarnessError> {
        self.stop().await?;
        self.start().await
    }

    /// SIGHUP: files that can be read again are.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn reload(&self) -> Result<(), HarnessError> {
        self.process
            .as_ref()
            .ok_or(HarnessError::NotRunning)?
            .signal(Signal::HUP)
    }

    /// How the gateway ended by itself, if it did.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub fn ended(&mut self) -> Result<Option<ExitStatus>, HarnessError> {
        self.process.as_mut().ok_or(HarnessError::NotRunning)?.ended()
    }

    /// After a gateway that ended by itself: another one may be started.
    pub fn forget_process(&mut self) {
        self.process = None;
    }

    /// The process id of the running gateway.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(Process::id)
    }

    /// Runs a command of the gateway with its configuration: `&["queue", "list"]`.
    ///
    /// # Errors
    /// [`HarnessError::Io`] only: how it ended is in the output.
    pub async fn command(&self, arguments: &[&str]) -> Result<CommandOutput, HarnessError> {
        let config = self.places.config.display().to_string();
        let mut all: Vec<&str> = arguments.to_vec();
        all.extend(["--config", config.as_str()]);
        command::run(&self.binary, &all).await
    }

    /// Runs a command that must succeed, with `--output json`: what it printed.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn json(&self, arguments: &[&str]) -> Result<Value, HarnessError> {
        let mut all: Vec<&str> = arguments.to_vec();
        all.extend(["--output", "json"]);
        self.command(&all).await?.success()?.json()
    }

    /// Applies the registry file.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn apply_registry(&self) -> Result<CommandOutput, HarnessError> {
        let file = self.places.registry.display().to_string();
        self.command(&["registry", "apply", &file]).await?.success()
    }

    /// A participant's system that speaks `version` with this gateway.
    ///
    /// # Errors
    /// [`HarnessError::UnknownParticipant`].
    pub fn participant(&self, mnemonic: &str, version: Version) -> Result<Participant, HarnessError> {
        let system = self.system(self.identity(mnemonic)?.clone(), version)?;
        Ok(system)
    }

    /// A system with any key, registered or not.
    ///
    /// # Errors
    /// [`HarnessError::Http`].
    pub fn system(&self, identity: Identity, version: Version) -> Result<Participant, HarnessError> {
        let system = Participant::new(
            identity,
            version,
            &self.url(version),
            self.gateway.certificate().clone(),
        )?;
        Ok(match &self.clock {
            Some(clock) => system.with_clock(clock.clone()),
            None => system,
        })
    }

    /// A participant's key and certificate.
    ///
    /// # Errors
    /// [`HarnessError::UnknownParticipant`].
    pub fn identity(&self, mnemonic: &str) -> Result<&Identity, HarnessError> {
        self.participants
            .get(mnemonic)
            .ok_or_else(|| HarnessError::UnknownParticipant(mnemonic.to_owned()))
    }

    /// The gateway's own key and certificate.
    pub fn gateway(&self) -> &Identity {
        &self.gateway
    }

    /// The door's endpoint of a version.
    pub fn url(&self, version: Version) -> String {
        format!("http://{}{}", self.door.address(), version.path())
    }

    /// Where the door listens.
    pub fn door(&self) -> SocketAddr {
        self.door.address()
    }

    /// `/ready`: status and JSON.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn ready(&self) -> Result<(u16, Value), HarnessError> {
        let answer = self.admin_page("/ready").await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let value = serde_json::from_str(&text).map_err(|_| HarnessError::NotJson {
            command: "serve (/ready)".to_owned(),
            output: text,
        })?;
        Ok((answer.status, value))
    }

    /// `/metrics`.
    ///
    /// # Errors
    /// [`HarnessError`].
    pub async fn metrics(&self) -> Result<Metrics, HarnessError> {
        Ok(Metrics::parse(&String::from_utf8_lossy(
            &self.admin_page("/metrics").await?.body,
        )))
    }

    /// Waits until the metrics are as wanted.
    ///
    /// # Errors
    /// [`HarnessError::Late`].
    pub async fn wait_metrics(
        &self,
        what: &str,
        within: Duration,
        wanted: impl Fn(&Metrics) -> bool,
    ) -> Result<Metrics, HarnessError> {
        let since = Instant::now();
        loop {
            if let Some(metrics) = self.metrics().await.ok().filter(&wanted) {
                return Ok(metrics);
            }
            if since.elapsed() > within {
                return Err(HarnessError::Late {
                    what: what.to_owned(),
                    within,
                    log: self.log_tail(),
                });
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A page of the administrative address, such as `/live`.
    ///
    /// # Errors
    /// [`HarnessError::Http`].
    pub async fn admin_page(&self, path: &str) -> Result<HttpAnswer, HarnessError> {
        let endpoint = Endpoint::parse(&format!("http://{}{path}", self.admin.address()))?;
        Ok(Connection::open(&endpoint).await?.get(path).await?)
    }

    /// Everything that the gateway has logged, over all its lives.
    pub fn log(&self) -> String {
        std::fs::read(&self.places.log)
            .map(|octets| String::from_utf8_lossy(&octets).into_owned())
            .unwrap_or_default()
    }

    /// The folder with everything.
    pub fn dir(&self) -> &Path {
        &self.places.root
    }

    /// The gateway's `data_dir`.
    pub fn data_dir(&self) -> &Path {
        &self.places.data
    }

    /// The configuration file.
    pub fn config_file(&self) -> &Path {
        &self.places.config
    }

    /// The registry file.
    pub fn registry_file(&self) -> &Path {
        &self.places.registry
    }

    /// Where `/metrics`, `/live` and `/ready` are.
    pub fn admin(&self) -> SocketAddr {
        self.admin.address()
    }

    /// The region's clock, if it has one of its own.
    pub fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    /// Leaves the temporary folder behind when the region goes: where it is.
    pub fn keep(mut self) -> PathBuf {
        self.places.temporary.disable_cleanup(true);
        self.places.root.clone()
    }

    fn log_tail(&self) -> String {
        log_tail(&self.places.log)
    }
}
