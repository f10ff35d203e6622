//! The places that documents speak of, made for a test: folders, a gateway with participants and a bus, ports.
//!
//! What a document names is put in place of the test's own, in commands and in what they are to say:
//!
//! | in the documents | in a scene |
//! |---|---|
//! | `rsmev` | the program under test; in a scene with a gateway with its configuration |
//! | `/etc/rsmev`, `/run/rsmev` | the folder of the scene |
//! | `/var/lib/rsmev` | the gateway's data directory |
//! | `/var/backups`, `/mnt` | empty folders of the scene |
//! | `127.0.0.1:7580`, `127.0.0.1:7500` | free ports |
//! | `MESSAGE_ID` | a message that waits for its receiver |

use std::any::Any;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use harness::documents::{self, Block};
use harness::{Kind, ReservedPort};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::common::{BINARY, CONSUMER, PROVIDER, World, request, send, within};
use crate::output;

/// Patience with one block.
const PATIENCE: Duration = Duration::from_secs(120);
/// The kind of the examples.
const GPZU: &str = "urn://gisogd73/gpzu/1.0.0";

/// A place where blocks are run, one after the other. What runs on in the background ends with it.
pub(crate) struct Scene {
    folder: PathBuf,
    /// What stands in the documents, and what stands here for it.
    places: Vec<(&'static str, String)>,
    groups: Vec<Pid>,
    admin: String,
    blocks: usize,
    /// Folder and ports, or gateway and bus, for as long as the scene lasts.
    _held: Box<dyn Any>,
}

impl Scene {
    /// The scene of this name.
    pub(crate) async fn named(name: &str) -> Result<Self, String> {
        match name {
            "empty folder" => Ok(Self::empty_folder()),
            "running gateway" => Ok(Self::running_gateway().await),
            "systems to connect" => Ok(Self::systems_to_connect().await),
            other => Err(format!(
                "there is no scene {other:?}; there are \"empty folder\", \"running gateway\" and \"systems to connect\""
            )),
        }
    }

    /// A home with nothing in it, and the program.
    fn empty_folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ports = [(); 2].map(|()| ReservedPort::new().unwrap());
        let places = vec![
            ("127.0.0.1:7500", ports[0].address().to_string()),
            ("127.0.0.1:7580", ports[1].address().to_string()),
        ];
        let path = folder.path().to_owned();
        Self::new(path.clone(), &path, places, None, Box::new((folder, ports)))
    }

    /// A gateway between MUN001 and GISOGD73, which exchange the kind gpzu, and a bus; a message waits.
    async fn running_gateway() -> Self {
        let world = Self::exchanging_gpzu().await;
        let waiting = send(&world.system(CONSUMER), request(GPZU, "73:21:1")).await;
        Self::around(world, Some(waiting))
    }

    /// The same gateway with nothing waiting, and in the folder the keys of MUN001 and GISOGD73.
    async fn systems_to_connect() -> Self {
        let world = Self::exchanging_gpzu().await;
        let beside = world.region.registry_file().parent().unwrap().to_owned();
        for mnemonic in [CONSUMER, PROVIDER] {
            let (system, name) = (world.region.identity(mnemonic).unwrap(), mnemonic.to_lowercase());
            let key = beside.join(format!("{name}.key"));
            std::fs::write(&key, system.private_key_pem().unwrap()).unwrap();
            std::fs::set_permissions(key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            std::fs::write(beside.join(format!("{name}.crt")), system.certificate().to_pem()).unwrap();
        }
        Self::around(world, None)
    }

    async fn exchanging_gpzu() -> World {
        World::start_with(None, |builder| {
            let kind = Kind::new("gpzu", GPZU).local();
            builder.kind(kind).local_exchange("gpzu", &[CONSUMER], PROVIDER)
        })
        .await
    }

    /// The scene of a gateway, and of the message that waits.
    fn around(world: World, waiting: Option<String>) -> Self {
        let region = &world.region;
        let root = region.dir().to_owned();
        let shown = |path: &Path| path.display().to_string();
        let beside = region.registry_file().parent().unwrap().to_owned();
        std::fs::write(beside.join("request.xml"), request(GPZU, "73:21:2")).unwrap();
        std::fs::copy(root.join("keys/gateway.crt"), beside.join("gateway.crt")).unwrap();
        for folder in ["mnt/backup", "mnt/archive", "var/backups"] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        let mut places = vec![
            ("127.0.0.1:7500", region.door().to_string()),
            ("127.0.0.1:7580", region.admin().to_string()),
            ("/etc/rsmev", shown(&root)),
            ("/run/rsmev", shown(&root)),
            ("/var/lib/rsmev", shown(region.data_dir())),
            ("/var/backups", shown(&root.join("var/backups"))),
            ("/mnt/", format!("{}/", shown(&root.join("mnt")))),
        ];
        places.extend(waiting.map(|waiting| ("MESSAGE_ID", waiting)));
        let config = region.config_file().to_owned();
        Self::new(root, &beside, places, Some(config), Box::new(world))
    }

    fn new(
        folder: PathBuf,
        work: &Path,
        places: Vec<(&'static str, String)>,
        config: Option<PathBuf>,
        held: Box<dyn Any>,
    ) -> Self {
        let bin = folder.join("bin");
        std::fs::create_dir(&bin).unwrap();
        let program = match config {
            None => format!("#!/bin/sh\nexec {BINARY:?} \"$@\"\n"),
            Some(config) => format!(
                "#!/bin/sh\ncase \" $* \" in *' --config '*) exec {BINARY:?} \"$@\" ;; esac\nexec {BINARY:?} --config {config:?} \"$@\"\n"
            ),
        };
        std::fs::write(bin.join("rsmev"), program).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(bin.join("rsmev"), mode).unwrap();
        std::fs::write(folder.join("where"), work.display().to_string()).unwrap();
        let admin = places.iter().find(|(shown, _)| *shown == "127.0.0.1:7580");
        Self {
            admin: admin.map(|(_, address)| address.clone()).unwrap_or_default(),
            folder,
            places,
            groups: Vec::new(),
            blocks: 0,
            _held: held,
        }
    }

    /// Writes a file that a document shows, where the commands are now.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let work = std::fs::read_to_string(self.folder.join("where")).unwrap();
        std::fs::write(Path::new(work.trim_end()).join(name), self.here(text)).unwrap();
    }

    /// Runs a block, and holds its end and what it says against what is shown.
    #[allow(clippy::print_stderr, reason = "what is skipped is said")]
    pub(crate) async fn play(&mut self, block: &Block) -> Result<(), String> {
        if block.text.contains("curl ") && !has_curl() {
            eprintln!("SKIPPED: this machine has no curl, which a document shows");
            return Ok(());
        }
        let expected = block.directions.exit.unwrap_or(0);
        if block.language != "console" {
            return self.run(&block.text, expected).await.map(drop);
        }
        let mut lines = block.text.lines().peekable();
        for typed in block.typed() {
            let mut shown = String::new();
            // The lines of the command itself, then what it says.
            while lines.next_if(|line| documents::prompted(line).is_none()).is_some() {}
            while lines.next().is_some_and(|line| line.ends_with('\\')) {}
            while let Some(line) = lines.next_if(|line| documents::prompted(line).is_none()) {
                shown.push_str(&format!("{line}\n"));
            }
            let said = self.run(&typed, expected).await?;
            if let Some(line) = output::missing(&self.here(&shown), &said) {
                return Err(format!("{typed}\nis shown to say {line:?}, and said\n{said}"));
            }
        }
        Ok(())
    }

    /// Runs a script where the one before ended, with the variables that it left.
    async fn run(&mut self, script: &str, expected: i32) -> Result<String, String> {
        self.blocks += 1;
        let file = |ending: &str| self.folder.join(format!("block-{}.{ending}", self.blocks));
        let (place, variables) = (self.folder.join("where"), self.folder.join("variables"));
        let script = self.here(script);
        let whole = format!(
            "cd \"$(cat {place:?})\"\n[ -e {variables:?} ] && . {variables:?}\nset -e\n{script}\npwd >{place:?}\nexport -p >{variables:?}\n"
        );
        std::fs::write(file("sh"), whole).unwrap();
        let said = std::fs::File::create(file("log")).unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let mut child = Command::new("bash")
            .arg(file("sh"))
            .env("PATH", format!("{}:{path}", self.folder.join("bin").display()))
            .env("HOME", &self.folder)
            .env("NO_COLOR", "1")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said)
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("bash: {error}"))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let ended = tokio::time::timeout(PATIENCE, child.wait()).await;
        // What the script left running goes on, until the scene ends.
        self.groups
            .extend(group.filter(|group| test_kill_process_group(*group).is_ok()));
        let said = || std::fs::read_to_string(file("log")).unwrap_or_default();
        match ended {
            Err(_) => Err(format!("{script}\ndid not end within {PATIENCE:?}:\n{}", said())),
            Ok(status) => match status.map_err(|error| error.to_string())?.code() {
                Some(code) if code == expected => {
                    self.settle(&script).await;
                    Ok(said())
                }
                code => Err(format!("{script}\nended with {code:?}, not {expected}:\n{}", said())),
            },
        }
    }

    /// A person waits until what was started is there.
    async fn settle(&self, script: &str) {
        if !script.contains(" serve &") {
            return;
        }
        within(PATIENCE, "the gateway is ready", async || {
            let mut connection = TcpStream::connect(&self.admin).await.ok()?;
            connection.write_all(b"GET /ready HTTP/1.0\r\n\r\n").await.ok()?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await.ok()?;
            let status = answer.split_whitespace().nth(1);
            (status == Some("200")).then_some(())
        })
        .await;
    }

    /// A text with the places of this scene.
    fn here(&self, text: &str) -> String {
        let put = |text: String, (shown, here): &(&str, String)| text.replace(shown, here);
        self.places.iter().fold(text.to_owned(), put)
    }
}

fn has_curl() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join("curl").exists())
}

impl Drop for Scene {
    fn drop(&mut self) {
        for group in &self.groups {
            // It may have ended already.
            let _ = kill_process_group(*group, Signal::KILL);
        }
    }
}
