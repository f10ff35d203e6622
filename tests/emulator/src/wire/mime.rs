//! `multipart/related` with XOP, read and written (PROTOCOL §1, §7).

use bytes::Bytes;

use super::write::content_id;
use crate::message::Attachment;

const ROOT: &str = "root.message@cxf.apache.org";

/// A body taken apart: the SOAP part and the parts beside it.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    root: Bytes,
    others: Vec<(String, Bytes)>,
}

impl Parts {
    /// Takes a body apart by its content type. What is not multipart is the SOAP part itself.
    ///
    /// # Errors
    /// If the body says that it is multipart and is not.
    pub(crate) fn of(content_type: &str, body: Bytes) -> Result<Parts, &'static str> {
        if !content_type.trim_start().to_ascii_lowercase().starts_with("multipart/") {
            return Ok(Parts {
                root: body,
                others: Vec::new(),
            });
        }
        let boundary = parameter(content_type, "boundary").ok_or("the multipart message names no boundary")?;
        let start = parameter(content_type, "start").map(|id| trim_brackets(&id).to_owned());
        let mut parts = split(&body, &boundary)?;
        let root = match start.and_then(|start| parts.iter().position(|(id, _)| *id == start)) {
            Some(at) => parts.remove(at),
            None if parts.is_empty() => return Err("the multipart message has no parts"),
            None => parts.remove(0),
        };
        Ok(Parts {
            root: root.1,
            others: parts,
        })
    }

    /// The SOAP part.
    pub(crate) fn root(&self) -> &Bytes {
        &self.root
    }

    /// The part that a `cid:` reference names.
    pub(crate) fn content(&self, href: &str) -> Option<&Bytes> {
        let id = percent_decoded(href.strip_prefix("cid:")?);
        self.others
            .iter()
            .find(|(part, _)| *part == id)
            .map(|(_, octets)| octets)
    }
}

/// Puts an envelope and the contents of attachments together: content type and body.
pub(crate) fn write(envelope: &str, attachments: &[Attachment]) -> (String, Bytes) {
    let boundary = format!("uuid:{}", uuid::Uuid::new_v4());
    let mut body =
        Vec::with_capacity(envelope.len() + attachments.iter().map(|a| a.content.len() + 256).sum::<usize>());
    let mut part = |id: &str, content_type: &str, octets: &[u8]| {
        body.extend_from_slice(
            format!("\r\n--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: binary\r\nContent-ID: <{id}>\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(octets);
    };
    part(
        ROOT,
        "application/xop+xml; charset=UTF-8; type=\"text/xml\"",
        envelope.as_bytes(),
    );
    for (number, attachment) in attachments.iter().enumerate() {
        part(&content_id(number), &attachment.mime_type, &attachment.content);
    }
    body.extend_from_slice(format!("\r\n--{boundary}--").as_bytes());
    let content_type = format!(
        "multipart/related; type=\"application/xop+xml\"; boundary=\"{boundary}\"; start=\"<{ROOT}>\"; start-info=\"text/xml\""
    );
    (content_type, body.into())
}

fn split(body: &Bytes, boundary: &str) -> Result<Vec<(String, Bytes)>, &'static str> {
    let delimiter = format!("--{boundary}");
    let mut places = find_all(body, delimiter.as_bytes());
    places.retain(|at| *at == 0 || body[at - 1] == b'\n');
    let mut parts = Vec::new();
    for pair in places.windows(2) {
        let part = body.slice(pair[0] + delimiter.len()..pair[1]);
        let headers_end = find(&part, b"\r\n\r\n").map(|at| (at, at + 4));
        let (end, start) = headers_end
            .or_else(|| find(&part, b"\n\n").map(|at| (at, at + 2)))
            .ok_or("a part has no end of headers")?;
        let headers = String::from_utf8_lossy(&part[..end]).into_owned();
        let id = headers
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("content-id"))
            .map(|(_, value)| trim_brackets(value).to_owned())
            .unwrap_or_default();
        let content = part.slice(start..);
        let line_end = if content.ends_with(b"\r\n") {
            2
        } else {
            usize::from(content.ends_with(b"\n"))
        };
        parts.push((id, content.slice(..content.len() - line_end)));
    }
    match places.last() {
        Some(last) if body[last + delimiter.len()..].starts_with(b"--") => Ok(parts),
        _ => Err("the multipart message is cut off"),
    }
}

fn parameter(content_type: &str, name: &str) -> Option<String> {
    let mut rest = content_type;
    while let Some(at) = rest.find(';') {
        rest = rest[at + 1..].trim_start();
        let (key, value) = rest.split_once('=')?;
        if let Some(quoted) = value.trim_start().strip_prefix('"') {
            let end = quoted.find('"')?;
            if key.trim().eq_ignore_ascii_case(name) {
                return Some(quoted[..end].to_owned());
            }
            rest = &quoted[end + 1..];
        } else if key.trim().eq_ignore_ascii_case(name) {
            return Some(value.split(';').next().unwrap_or_default().trim().to_owned());
        }
    }
    None
}

fn trim_brackets(id: &str) -> &str {
    id.trim().trim_start_matches('<').trim_end_matches('>')
}

fn percent_decoded(text: &str) -> String {
    let octets = text.as_bytes();
    let mut out = Vec::with_capacity(octets.len());
    let mut at = 0;
    while at < octets.len() {
        let hex = octets.get(at + 1..at + 3).and_then(|two| std::str::from_utf8(two).ok());
        match (octets[at], hex.and_then(|two| u8::from_str_radix(two, 16).ok())) {
            (b'%', Some(octet)) => {
                out.push(octet);
                at += 3;
            }
            (octet, _) => {
                out.push(octet);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn find_all(haystack: &[u8], needle: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut from = 0;
    while let Some(at) = find(&haystack[from..], needle) {
        places.push(from + at);
        from += at + needle.len();
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let files = [
            Attachment::new("a", "application/zip", b"\r\n--not a boundary\r\n\0\xff".to_vec()),
            Attachment::new("b", "text/plain", Vec::new()),
        ];
        let (content_type, body) = write("<e/>", &files);
        let parts = Parts::of(&content_type, body).unwrap();
        assert_eq!(parts.root(), "<e/>");
        for (number, file) in files.iter().enumerate() {
            assert_eq!(
                parts.content(&format!("cid:{}", content_id(number))).unwrap(),
                &file.content
            );
        }
        assert_eq!(
            parts.content("cid:attachment%2D0%40emulator").unwrap(),
            &files[0].content
        );
        assert!(parts.content("cid:other").is_none());
    }

    #[test]
    fn a_cut_message_is_noticed() {
        let (content_type, body) = write("<envelope/>", &[]);
        let half = body.slice(..body.len() / 2);
        assert!(Parts::of(&content_type, half).is_err());
    }

    #[test]
    fn the_real_bus_is_understood() {
        let place = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/public/responses");
        let name = "Fault-InvalidContent-missing-signature-1.2.multipart.txt";
        let Ok(text) = std::fs::read_to_string(format!("{place}/{name}")) else {
            eprintln!("SKIPPED: {place}/{name} is not there");
            return;
        };
        let (headers, body) = text.split_once("\n\n").or_else(|| text.split_once("\r\n\r\n")).unwrap();
        let parts = Parts::of(
            headers.strip_prefix("Content-Type:").unwrap(),
            Bytes::from(body.to_owned()),
        )
        .unwrap();
        let limits = xmldsig::Limits::default();
        let document = xmldsig::Document::parse(parts.root(), &limits).unwrap();
        let fault = crate::wire::read::fault(crate::wire::read::body(document.root()).unwrap());
        assert_eq!(fault.element, "InvalidContent");
        assert!(fault.description.unwrap().starts_with("SMEV-403:"));
    }
}
