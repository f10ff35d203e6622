//! As much of an HTTP client as the tests need: it sends exactly the octets it is told to.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The SOAP envelope, whether plain or the root of a multipart answer.
    pub(crate) fn envelope(&self) -> String {
        let content_type = self.header("content-type").unwrap();
        if content_type.starts_with("multipart/") {
            let multipart = smev3::mime::Multipart::parse(content_type, &self.body).unwrap();
            return String::from_utf8(multipart.root.content().unwrap()).unwrap();
        }
        assert_eq!(content_type, "text/xml; charset=UTF-8");
        self.text().to_owned()
    }
}

/// Sends one request and reads the answer to the end of the connection.
pub(crate) async fn exchange(address: SocketAddr, octets: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(octets).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    parse(&answer)
}

/// Takes an answer apart; its body ends where Content-Length says.
pub(crate) fn parse(answer: &[u8]) -> Answer {
    let end = answer
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .expect("the head of an answer");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let answer = Answer {
        status,
        head,
        body: answer[end + 4..].to_vec(),
    };
    let length: usize = answer.header("content-length").unwrap().parse().unwrap();
    assert_eq!(answer.body.len(), length);
    answer
}

/// A request that asks for the connection to be closed.
pub(crate) fn request(method: &str, path: &str, content_type: Option<&str>, body: &[u8]) -> Vec<u8> {
    let content_type = content_type
        .map(|value| format!("Content-Type: {value}\r\n"))
        .unwrap_or_default();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n{content_type}Content-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}
