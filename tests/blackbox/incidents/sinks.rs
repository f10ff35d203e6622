//! A mail server and a web server that take what the gateway tells of incidents.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A mail as it came.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    /// The addresses that it was sent to.
    pub(crate) to: Vec<String>,
    /// Everything up to the empty line.
    pub(crate) head: String,
    /// The text, decoded.
    pub(crate) text: String,
}

/// A mail server without TLS that takes everything.
#[derive(Clone)]
pub(crate) struct MailSink {
    pub(crate) address: SocketAddr,
    mails: Arc<Mutex<Vec<Mail>>>,
}

impl MailSink {
    pub(crate) async fn start() -> MailSink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = MailSink {
            address: listener.local_addr().unwrap(),
            mails: Arc::default(),
        };
        let mails = Arc::clone(&sink.mails);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let mails = Arc::clone(&mails);
                // Who hangs up has nothing more to say.
                tokio::spawn(async move { converse(stream, &mails).await.unwrap_or_default() });
            }
        });
        sink
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.mails.lock().unwrap().clone()
    }
}

async fn converse(stream: TcpStream, mails: &Mutex<Vec<Mail>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 sink\r\n").await?;
    let mut to = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.to_ascii_uppercase();
        let answer: &[u8] = if command.starts_with("RCPT") {
            to.push(line.trim().to_owned());
            b"250 ok\r\n"
        } else if command.starts_with("DATA") {
            stream.write_all(b"354 go on\r\n").await?;
            let mail = read_mail(&mut stream, std::mem::take(&mut to)).await?;
            mails.lock().unwrap().push(mail);
            b"250 taken\r\n"
        } else if command.starts_with("QUIT") {
            return stream.write_all(b"221 bye\r\n").await;
        } else {
            b"250 sink\r\n"
        };
        stream.write_all(answer).await?;
    }
}

async fn read_mail(stream: &mut BufReader<TcpStream>, to: Vec<String>) -> std::io::Result<Mail> {
    let mut text = String::new();
    while !text.ends_with("\r\n.\r\n") {
        if stream.read_line(&mut text).await? == 0 {
            break;
        }
    }
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let encoded: String = body.trim_end_matches(".\r\n").split_whitespace().collect();
    let octets = BASE64_STANDARD.decode(encoded).unwrap_or_default();
    Ok(Mail {
        to,
        head: head.to_owned(),
        text: String::from_utf8_lossy(&octets).into_owned(),
    })
}

/// A call as it came, and how it was answered.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) head: String,
    pub(crate) body: Value,
    pub(crate) status: u16,
}

/// A web server that answers as it is told.
#[derive(Clone)]
pub(crate) struct WebSink {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<Web>>,
}

struct Web {
    calls: Vec<Call>,
    /// So many calls more are answered with 500.
    failures: usize,
    /// Calls about this phase are answered with 400.
    refused: Option<&'static str>,
    /// Whether nobody is there: connections end before anything is read.
    away: bool,
    /// Connections so far.
    connections: usize,
}

impl WebSink {
    /// The first calls are answered with 500.
    pub(crate) async fn start(failures: usize) -> WebSink {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let sink = WebSink {
            address: listener.local_addr().unwrap(),
            state: Arc::new(Mutex::new(Web {
                calls: Vec::new(),
                failures,
                refused: None,
                away: false,
                connections: 0,
            })),
        };
        let state = Arc::clone(&sink.state);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                let away = {
                    let mut web = state.lock().unwrap();
                    web.connections += 1;
                    web.away
                };
                if away {
                    continue;
                }
                tokio::spawn(async move { answer(stream, &state).await.unwrap_or_default() });
            }
        });
        sink
    }

    /// From now on so many calls are answered with 500.
    pub(crate) fn fail(&self, failures: usize) {
        self.state.lock().unwrap().failures = failures;
    }

    /// From now on calls about a phase are answered with 400.
    pub(crate) fn refuse(&self, phase: &'static str) {
        self.state.lock().unwrap().refused = Some(phase);
    }

    /// From now on nobody is there, or somebody again.
    pub(crate) fn go_away(&self, away: bool) {
        self.state.lock().unwrap().away = away;
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().unwrap().connections
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.state.lock().unwrap().calls.clone()
    }

    /// What was taken, by rule and phase.
    pub(crate) fn taken(&self, rule: &str, phase: &str) -> Vec<Call> {
        let mut calls = self.calls();
        calls.retain(|call| call.status == 200 && call.body["rule"] == rule && call.body["phase"] == phase);
        calls
    }
}

async fn answer(stream: TcpStream, state: &Mutex<Web>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.unwrap().parse().unwrap()];
    stream.read_exact(&mut body).await?;
    let status = {
        let mut web = state.lock().unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        let refused = web.refused.is_some_and(|phase| body["phase"] == phase);
        let status = match (web.failures, refused) {
            (0, false) => 200,
            (0, true) => 400,
            _ => 500,
        };
        web.failures = web.failures.saturating_sub(1);
        web.calls.push(Call { head, body, status });
        status
    };
    let answer = format!("HTTP/1.1 {status} -\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    stream.write_all(answer.as_bytes()).await
}
