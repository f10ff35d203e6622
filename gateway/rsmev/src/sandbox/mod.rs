//! `rsmev sandbox`: a region in a box. The real gateway, as a child process of this very executable, between three
//! local systems and an emulated federal bus; live traffic in all versions, an outage of the bus in the middle, and at
//! the end an account of every message.
//!
//! Nothing is staged: the gateway is told nothing of the sandbox, its figures are read where an operator reads them, and
//! the verdict rests on what the systems at both ends have seen.

mod account;
mod report;
mod screen;
mod traffic;
mod world;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};

use account::Account;
use screen::Screen;
use world::World;

use crate::cli::Sandbox;
use crate::failure::Failure;
use crate::output::remark;

/// How long after the last message everything may still be under way.
const SETTLE: Duration = Duration::from_secs(60);
/// How often the picture changes.
const FRAME: Duration = Duration::from_millis(200);

/// Carries the command out: an error unless every message is accounted for.
pub(crate) fn run(arguments: &Sandbox) -> Result<(), Failure> {
    let folder = Folder::new(arguments)?;
    let runtime = crate::store::runtime().map_err(|error| Failure::refused(error.to_string()))?;
    let shown = runtime.block_on(async {
        let cannot = |error: std::io::Error| Failure::refused(format!("signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        // Whatever ends the show early, the gateway ends with it.
        tokio::select! {
            shown = show(arguments, &folder) => shown,
            _ = async { tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} } } => Err(Failure::refused("\ninterrupted; nothing was accounted for")),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(2));
    if folder.stays() {
        remark(format_args!(
            "\nEverything is left in {0}: try `rsmev --config {0}/gateway.toml check`",
            folder.path().display()
        ));
    }
    shown
}

async fn show(arguments: &Sandbox, folder: &Folder) -> Result<(), Failure> {
    let account = Arc::new(Account::new());
    let mut screen = Screen::start(Duration::from_secs(arguments.seconds));
    screen.say("making keys and certificates, starting the federal bus and the gateway")?;
    let world = World::build(folder.path()).await?;
    screen.say("the region is up: three systems, one gateway, one federal bus")?;
    let performance = Performance {
        world: &world,
        account: &account,
        begun: Instant::now(),
        down_since: None,
    };
    performance
        .run(Duration::from_secs(arguments.seconds), &mut screen)
        .await?;
    let verdict = report::conclude(&world, &account).await?;
    screen.finish()?;
    report::print(&account, &verdict)
}

/// The traffic and what happens to it meanwhile.
struct Performance<'a> {
    world: &'a World,
    account: &'a Arc<Account>,
    begun: Instant,
    down_since: Option<Instant>,
}

/// What happens when, in parts of the time given.
const LOST_ANSWERS_AT: f64 = 0.15;
const DOWN_AT: f64 = 0.35;
const UP_AT: f64 = 0.65;

impl Performance<'_> {
    async fn run(mut self, length: Duration, screen: &mut Screen) -> Result<(), Failure> {
        let traffic = traffic::start(self.world, self.account);
        let mut script = [
            (length.mul_f64(LOST_ANSWERS_AT), Scene::LoseAnswers),
            (length.mul_f64(DOWN_AT), Scene::GoDown),
            (length.mul_f64(UP_AT), Scene::ComeBack),
            (length, Scene::StopSending),
        ]
        .into_iter()
        .peekable();
        loop {
            tokio::time::sleep(FRAME).await;
            while let Some((_, scene)) = script.next_if(|(at, _)| self.begun.elapsed() >= *at) {
                self.play(scene, &traffic, screen).await?;
            }
            let waiting = self.world.waiting_upstream().await;
            screen.draw(&self.account.figures(), waiting, self.down_since)?;
            self.world.still_running()?;
            let sent_all = script.peek().is_none();
            if sent_all && (self.account.is_settled() || self.begun.elapsed() > length + SETTLE) {
                break;
            }
        }
        traffic.end().await;
        Ok(())
    }

    async fn play(&mut self, scene: Scene, traffic: &traffic::Traffic, screen: &mut Screen) -> Result<(), Failure> {
        let cannot = |error: std::io::Error| Failure::refused(format!("the emulated bus: {error}"));
        match scene {
            Scene::LoseAnswers => {
                self.world.lose_answers(2);
                screen.say("the bus takes two messages but its answers get lost: they must not arrive twice")
            }
            Scene::GoDown => {
                self.world.bus.go_down().await;
                self.down_since = Some(Instant::now());
                self.account.bus_down(true);
                screen.say(
                    "the federal bus goes DOWN: what is meant for it is accepted and waits, local exchange goes on",
                )
            }
            Scene::ComeBack => {
                self.world.bus.come_back().await.map_err(cannot)?;
                self.down_since = None;
                self.account.bus_down(false);
                screen.say("the federal bus is back: what waited goes out, in order")
            }
            Scene::StopSending => {
                traffic.stop_sending();
                screen.say("nobody sends any more; the last answers come home")
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Scene {
    LoseAnswers,
    GoDown,
    ComeBack,
    StopSending,
}

/// Where everything lies.
enum Folder {
    /// Goes when it is dropped.
    Temporary(tempfile::TempDir),
    /// Was asked for.
    Kept(PathBuf),
}

impl Folder {
    fn new(arguments: &Sandbox) -> Result<Self, Failure> {
        let Some(dir) = &arguments.dir else {
            let mut builder = tempfile::Builder::new();
            builder.prefix("rsmev-sandbox-");
            let made = builder
                .tempdir()
                .map_err(|error| Failure::refused(format!("temporary folder: {error}")))?;
            return Ok(if arguments.keep {
                Self::Kept(made.keep())
            } else {
                Self::Temporary(made)
            });
        };
        std::fs::create_dir_all(dir).map_err(|error| Failure::file(dir, error))?;
        if std::fs::read_dir(dir)
            .map_err(|error| Failure::file(dir, error))?
            .next()
            .is_some()
        {
            return Err(Failure::refused(format!(
                "{}: is not empty; the sandbox wants a folder of its own",
                dir.display()
            )));
        }
        let dir = dir.canonicalize().map_err(|error| Failure::file(dir, error))?;
        Ok(Self::Kept(dir))
    }

    fn path(&self) -> &std::path::Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Kept(dir) => dir,
        }
    }

    fn stays(&self) -> bool {
        matches!(self, Self::Kept(_))
    }
}
