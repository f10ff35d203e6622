//! The gateway under a service manager, whose part the test plays: sockets that stay open between two runs, what the
//! manager is told, and secrets that it hands over.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod common;

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use common::callers::Callers;
use common::{BINARY, CONSUMER, SOON, eventually, identity, local_region};
use emulator::Version;
use harness::Region;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

/// Starts the gateway as systemd does: with a socket as descriptor 3 if there is one, and with an environment.
fn start(region: &Region, socket: Option<&TcpListener>, environment: &[(&str, OsString)]) -> Child {
    let mut shell = Command::new("sh");
    let (script, input) = match socket {
        Some(socket) => (
            "LISTEN_PID=$$ LISTEN_FDS=1 exec \"$@\" 3<&0 </dev/null",
            Stdio::from(OwnedFd::from(socket.try_clone().unwrap())),
        ),
        None => ("exec \"$@\"", Stdio::null()),
    };
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(region.dir().join("service.log"))
        .unwrap();
    shell
        .args(["-c", script, "sh", BINARY, "serve", "--config"])
        .arg(region.config_file())
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .stdin(input)
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn log(region: &Region) -> String {
    std::fs::read_to_string(region.dir().join("service.log")).unwrap_or_default()
}

async fn ready(region: &Region) {
    eventually("the gateway is ready", async || {
        matches!(region.ready().await, Ok((200, _))).then_some(())
    })
    .await;
}

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap()).unwrap();
    kill_process(id, signal).unwrap();
}

async fn end(mut child: Child) {
    signal(&child, Signal::TERM);
    let status = tokio::time::timeout(SOON, child.wait()).await;
    let status = status.expect("an end within its time").unwrap();
    assert!(status.success(), "{status}");
}

/// The service manager's ear.
struct Ear {
    socket: UnixDatagram,
    path: OsString,
}

impl Ear {
    fn new(folder: &Path) -> Ear {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
        Ear {
            socket,
            path: path.into_os_string(),
        }
    }

    /// The next message that has `line`, which must come; the messages on the way to it are passed over.
    fn hear(&self, line: &str) -> String {
        let since = Instant::now();
        let mut buffer = [0; 4096];
        while since.elapsed() < SOON {
            let length = self.socket.recv(&mut buffer).expect(line);
            let message = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if message.lines().any(|told| told == line) {
                return message;
            }
        }
        panic!("{line} was not told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_manager_is_told_how_the_gateway_does() {
    let region = local_region().prepare().unwrap();
    let ear = Ear::new(region.dir());
    let environment = [
        ("NOTIFY_SOCKET", ear.path.clone()),
        ("WATCHDOG_USEC", OsString::from("300000")),
    ];
    let gateway = start(&region, None, &environment);
    tokio::task::block_in_place(|| {
        ear.hear("READY=1");
        // Alive again and again.
        for _ in 0..3 {
            ear.hear("WATCHDOG=1");
        }
        signal(&gateway, Signal::HUP);
        let reloading = ear.hear("RELOADING=1");
        assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
        ear.hear("READY=1");
        signal(&gateway, Signal::TERM);
        ear.hear("STOPPING=1");
    });
    let status = gateway.wait_with_output().await.unwrap().status;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_waits_asks_for_more_time() {
    let region = local_region().prepare().unwrap();
    let ear = Ear::new(region.dir());
    let gateway = start(&region, None, &[("NOTIFY_SOCKET", ear.path.clone())]);
    tokio::task::block_in_place(|| {
        ear.hear("EXTEND_TIMEOUT_USEC=60000000");
        ear.hear("READY=1");
    });
    end(gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr, reason = "the figures of the run")]
async fn callers_do_not_notice_a_restart_behind_a_socket_that_is_held_open() {
    let region = local_region().prepare().unwrap();
    let socket = TcpListener::bind(region.door()).unwrap();
    let mut gateway = start(&region, Some(&socket), &[]);
    ready(&region).await;
    region.apply_registry().await.unwrap();
    let systems = (0..4).map(|_| region.participant(CONSUMER, Version::V1_2).unwrap());
    let callers = Callers::start(systems);
    for _ in 0..3 {
        callers.more().await;
        end(gateway).await;
        gateway = start(&region, Some(&socket), &[]);
        callers.more().await;
    }
    let seen = callers.stop().await;
    let queues = region.json(&["queue", "list"]).await.unwrap();
    let waiting = queues[0]["messages"].as_u64();
    assert_eq!(waiting, Some(seen.accepted), "each call was accepted once: {queues}");
    eprintln!("3 restarts, {seen}");
    end(gateway).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_at_another_address_than_the_configured_one_is_refused() {
    let region = local_region().prepare().unwrap();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let gateway = start(&region, Some(&socket), &[]);
    let status = tokio::time::timeout(SOON, gateway.wait_with_output()).await.unwrap();
    assert_eq!(status.unwrap().status.code(), Some(1));
    let (log, held) = (log(&region), socket.local_addr().unwrap());
    let told = format!(
        "smev3.listen {}: the service manager holds {held} open instead",
        region.door()
    );
    assert!(log.contains(&told), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_read_from_where_the_service_manager_puts_them() {
    let gateway = identity("RSMEV73");
    // Files that this machine does not have, or has as somebody else's.
    let key = "\"/etc/rsmev/keys/handed-over.key\"";
    let certificate = "\"/etc/rsmev/keys/handed-over.crt\"";
    let region = local_region()
        .gateway(gateway.clone())
        .setting("keys", "private_key", key)
        .setting("keys", "certificate", certificate)
        .prepare()
        .unwrap();
    let credentials = region.dir().join("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let write = |name: &str, text: &str| std::fs::write(credentials.join(name), text).unwrap();
    write("keys_handed-over.key", gateway.private_key_pem().unwrap());
    write("keys_handed-over.crt", &gateway.certificate().to_pem());
    let gateway = start(
        &region,
        None,
        &[("CREDENTIALS_DIRECTORY", credentials.clone().into_os_string())],
    );
    ready(&region).await;
    end(gateway).await;
}
