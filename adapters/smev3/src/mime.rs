//! multipart/related with XOP: the packaging of MTOM (PROTOCOL §1, §7), read and written, for the door and the client.
//!
//! Reading borrows from the body. It is liberal about headers and strict about bounds: the number of parts and the
//! size of a part's headers are limited, nothing is allocated by a length that the other side names.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Parts of one body at most: the root and the attachments.
const MAX_PARTS: usize = 1 + crate::attachments::MAX_ATTACHMENTS;
/// Octets of one part's headers at most.
const MAX_HEADERS: usize = 8 * 1024;
/// Characters of a boundary at most: RFC 2046 allows 70, real clients are sloppy.
const MAX_BOUNDARY: usize = 200;

/// Why a multipart body cannot be read. The sender is to blame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MimeError {
    /// The boundary is missing, empty, or too long.
    #[error("the multipart boundary is missing or unusable")]
    Boundary,
    /// A delimiter, a header's end or the closing delimiter is missing.
    #[error("the multipart body is cut off or has no such boundary")]
    Framing,
    /// More parts or longer headers than allowed.
    #[error("the multipart body has too many parts or too long headers")]
    Limit,
    /// Two parts with one Content-ID, or a `start` that names no part.
    #[error("the multipart body has no unambiguous root part")]
    Root,
    /// A transfer encoding other than binary, 8bit, 7bit or base64.
    #[error("the multipart body uses an unknown Content-Transfer-Encoding")]
    Encoding,
    /// The root part is in base64: no client is known to write it so, and what it costs to read could not be told from
    /// the body.
    #[error("the root part of the multipart body is in base64")]
    RootEncoding,
}

/// One part of a multipart body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// Content-ID without angle brackets; empty if the part has none.
    pub content_id: String,
    /// Content-Type as written; empty if the part has none.
    pub content_type: String,
    /// The octets, the transfer encoding not undone.
    pub octets: &'a [u8],
    /// Whether the octets are base64 text.
    pub base64: bool,
}

impl<'a> Part<'a> {
    /// The content: the octets, base64 undone.
    ///
    /// # Errors
    /// [`MimeError::Encoding`] if base64 is announced and the octets are not.
    pub fn decoded(&self) -> Result<Cow<'a, [u8]>, MimeError> {
        if !self.base64 {
            return Ok(Cow::Borrowed(self.octets));
        }
        decode_base64(self.octets).map(Cow::Owned).ok_or(MimeError::Encoding)
    }

    /// A copy of the content.
    ///
    /// # Errors
    /// As [`decoded`](Self::decoded).
    pub fn content(&self) -> Result<Vec<u8>, MimeError> {
        self.decoded().map(Cow::into_owned)
    }
}

/// A multipart/related body taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Multipart<'a> {
    /// The part with the SOAP envelope.
    pub root: Part<'a>,
    /// The others in their order.
    pub parts: Vec<Part<'a>>,
}

impl<'a> Multipart<'a> {
    /// Takes a body apart. `content_type` is the message's own Content-Type.
    ///
    /// # Errors
    /// [`MimeError`]: what is wrong with the body.
    pub fn parse(content_type: &str, body: &'a [u8]) -> Result<Self, MimeError> {
        let boundary = match parameter(content_type, "boundary") {
            Some(boundary) => boundary,
            None => sniff_boundary(body).ok_or(MimeError::Boundary)?,
        };
        if boundary.is_empty() || boundary.len() > MAX_BOUNDARY {
            return Err(MimeError::Boundary);
        }
        let mut parts = split(body, &boundary)?;
        for (index, part) in parts.iter().enumerate() {
            if !part.content_id.is_empty() && parts[..index].iter().any(|other| other.content_id == part.content_id) {
                return Err(MimeError::Root);
            }
        }
        let root = match parameter(content_type, "start") {
            Some(start) => {
                let start = bare_id(&start);
                parts
                    .iter()
                    .position(|part| part.content_id == start)
                    .ok_or(MimeError::Root)?
            }
            None => 0,
        };
        if parts.is_empty() {
            return Err(MimeError::Root);
        }
        let root = parts.remove(root);
        if root.base64 {
            return Err(MimeError::RootEncoding);
        }
        Ok(Self { root, parts })
    }

    /// The part that an `xop:Include/@href` names. `None` if the reference is not a `cid:` or leads nowhere.
    pub fn by_href(&self, href: &str) -> Option<&Part<'a>> {
        let id = cid(href)?;
        self.parts.iter().find(|part| part.content_id == id)
    }
}

/// Whether a body must be read as multipart: by its Content-Type, or, where that says something else, by its looks.
pub fn is_multipart(content_type: &str, body: &[u8]) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.len() >= 10 && kind.is_char_boundary(10) && kind[..10].eq_ignore_ascii_case("multipart/")
        || body.trim_ascii_start().starts_with(b"--")
}

/// A part to be written.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Content-ID without angle brackets.
    pub content_id: String,
    /// Content-Type.
    pub content_type: String,
    /// The octets.
    pub octets: Vec<u8>,
}

/// Content-ID of the root part, as the bus writes it.
pub const ROOT_ID: &str = "root.message@cxf.apache.org";

/// Writes an MTOM message. Gives the Content-Type and the body.
pub fn write(envelope: &str, attachments: &[Attachment]) -> (String, Vec<u8>) {
    let boundary = format!("uuid:{}", uuid::Uuid::new_v4());
    let content_type = format!(
        r#"multipart/related; type="application/xop+xml"; boundary="{boundary}"; start="<{ROOT_ID}>"; start-info="text/xml""#
    );
    let size = attachments.iter().map(|part| part.octets.len() + 300).sum::<usize>() + envelope.len() + 300;
    let mut body = Vec::with_capacity(size);
    let mut part = |content_type: &str, content_id: &str, octets: &[u8]| {
        body.extend_from_slice(
            format!(
                "--{boundary}\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: binary\r\n\
                 Content-ID: <{content_id}>\r\n\r\n"
            )
            .as_bytes(),
        );
        body.extend_from_slice(octets);
        body.extend_from_slice(b"\r\n");
    };
    part(
        r#"application/xop+xml; charset=UTF-8; type="text/xml""#,
        ROOT_ID,
        envelope.as_bytes(),
    );
    for attachment in attachments {
        part(
            &header_safe(&attachment.content_type),
            &header_safe(&attachment.content_id),
            &attachment.octets,
        );
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (content_type, body)
}

/// A Content-ID that is safe in a header and in a URL whatever the text it stands for.
pub fn content_id(text: &str) -> String {
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'));
    if plain && !text.is_empty() && text.len() <= 120 {
        format!("{text}@rsmev")
    } else {
        let digest = gost::DigestAlgorithm::Streebog256.hash(text.as_bytes());
        format!("{}@rsmev", URL_SAFE_NO_PAD.encode(digest.as_ref()))
    }
}

/// Decodes base64 text with line breaks and other white space in it; padding may be missing.
pub fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text = text.trim_ascii();
    if text.iter().any(u8::is_ascii_whitespace) {
        let compact: Vec<u8> = text.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
        LENIENT.decode(compact).ok()
    } else {
        LENIENT.decode(text).ok()
    }
}

/// The value of a parameter of a Content-Type, quotes removed.
pub fn parameter(content_type: &str, name: &str) -> Option<String> {
    let mut rest = content_type;
    while let Some(semicolon) = find_unquoted(rest, b';') {
        rest = rest[semicolon + 1..].trim_start();
        let end = find_unquoted(rest, b';').unwrap_or(rest.len());
        let (key, value) = rest[..end].split_once('=').unwrap_or((&rest[..end], ""));
        if key.trim().eq_ignore_ascii_case(name) {
            let value = value.trim();
            return Some(match value.strip_prefix('"').and_then(|v| v.strip_suffix('"')) {
                Some(quoted) => quoted.replace("\\\"", "\"").replace("\\\\", "\\"),
                None => value.to_owned(),
            });
        }
    }
    None
}

fn find_unquoted(text: &str, wanted: u8) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if byte == wanted && !quoted => return Some(index),
            _ => {}
        }
    }
    None
}

fn sniff_boundary(body: &[u8]) -> Option<String> {
    let line = body.trim_ascii_start().strip_prefix(b"--")?;
    let line = line.get(..line.len().min(MAX_BOUNDARY + 2))?;
    let end = line.iter().position(|b| matches!(b, b'\r' | b'\n'))?;
    std::str::from_utf8(&line[..end])
        .ok()
        .map(|text| text.trim_end().to_owned())
}

fn split<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>, MimeError> {
    let delimiter = format!("--{boundary}");
    let finder = memchr::memmem::Finder::new(delimiter.as_bytes());
    let mut parts = Vec::new();
    let mut start: Option<usize> = None;
    for at in finder.find_iter(body) {
        // A delimiter stands at the start of a line; one inside a part's octets does not count.
        if at != 0 && body[at - 1] != b'\n' {
            continue;
        }
        let after = at + delimiter.len();
        let tail = &body[after..];
        let closing = tail.starts_with(b"--");
        let line = tail.iter().position(|&b| b == b'\n');
        let padding = if closing {
            &tail[2..2]
        } else {
            &tail[..line.unwrap_or(tail.len())]
        };
        if !padding.iter().all(|b| matches!(b, b' ' | b'\t' | b'\r')) {
            continue;
        }
        if let Some(start) = start {
            let mut end = at.saturating_sub(1);
            if end > start && body[end - 1] == b'\r' {
                end -= 1;
            }
            if parts.len() == MAX_PARTS {
                return Err(MimeError::Limit);
            }
            parts.push(part(body.get(start..end).ok_or(MimeError::Framing)?)?);
        }
        if closing {
            return Ok(parts);
        }
        start = Some(after + line.ok_or(MimeError::Framing)? + 1);
    }
    Err(MimeError::Framing)
}

fn part(octets: &[u8]) -> Result<Part<'_>, MimeError> {
    let mut content_id = String::new();
    let mut content_type = String::new();
    let mut base64 = false;
    let mut at = 0;
    loop {
        let rest = &octets[at..];
        let line_len = rest.iter().position(|&b| b == b'\n').ok_or(MimeError::Framing)?;
        at += line_len + 1;
        if at > MAX_HEADERS {
            return Err(MimeError::Limit);
        }
        let line = String::from_utf8_lossy(rest[..line_len].trim_ascii_end()).into_owned();
        if line.is_empty() {
            return Ok(Part {
                content_id,
                content_type,
                octets: &octets[at..],
                base64,
            });
        }
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "content-id" => content_id = bare_id(value).to_owned(),
            "content-type" => content_type = value.to_owned(),
            "content-transfer-encoding" => match value.to_ascii_lowercase().as_str() {
                "binary" | "8bit" | "7bit" => {}
                "base64" => base64 = true,
                _ => return Err(MimeError::Encoding),
            },
            _ => {}
        }
    }
}

fn bare_id(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix('<').and_then(|t| t.strip_suffix('>')).unwrap_or(text)
}

/// The Content-ID that a `cid:` URL names (RFC 2392), percent-encoding undone.
pub fn cid(href: &str) -> Option<String> {
    let text = href.trim().strip_prefix("cid:")?;
    let mut octets = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            octets.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            octets.push(byte);
        }
    }
    String::from_utf8(octets).ok()
}

fn header_safe(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Attachment> {
        vec![
            Attachment {
                content_id: content_id("a.zip"),
                content_type: "application/zip".into(),
                octets: b"\r\n--uuid:x\r\nPK\0\xff\r\n".to_vec(),
            },
            Attachment {
                content_id: content_id("имя"),
                content_type: "text/plain".into(),
                octets: Vec::new(),
            },
        ]
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (content_type, body) = write("<e/>", &sample());
        assert!(is_multipart(&content_type, &body));
        let read = Multipart::parse(&content_type, &body).unwrap();
        assert_eq!(read.root.octets, b"<e/>");
        assert_eq!(read.root.content_id, ROOT_ID);
        for (part, written) in read.parts.iter().zip(&sample()) {
            assert_eq!(part.content().unwrap(), written.octets);
            assert_eq!(read.by_href(&format!("cid:{}", written.content_id)), Some(part));
        }
        assert_eq!(read.parts.len(), 2);
    }

    #[test]
    fn the_bus_own_multipart_answers_are_read() {
        for name in [
            "Fault-InvalidContent-missing-signature-1.2.multipart.txt",
            "GetResponse-empty-1.2.multipart.txt",
        ] {
            let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/public/responses/").to_owned() + name;
            let Ok(text) = std::fs::read_to_string(&path) else {
                eprintln!("SKIPPED: no {path}");
                return;
            };
            let (content_type, body) = match text.strip_prefix("Content-Type: ") {
                Some(rest) => rest.split_once("\n").unwrap(),
                None => ("multipart/related", text.as_str()),
            };
            let read = Multipart::parse(content_type.trim(), body.trim_start().as_bytes()).unwrap();
            assert!(read.root.octets.starts_with(b"<soap:Envelope"), "{name}");
            assert!(read.root.octets.ends_with(b"</soap:Envelope>"), "{name}");
        }
    }

    #[test]
    fn parameters_survive_quotes_and_case() {
        let text = r#"Multipart/Related; Type="a;b"; BOUNDARY=xyz ; start="<r@x>""#;
        assert_eq!(parameter(text, "boundary").as_deref(), Some("xyz"));
        assert_eq!(parameter(text, "type").as_deref(), Some("a;b"));
        assert_eq!(parameter(text, "start").as_deref(), Some("<r@x>"));
        assert_eq!(parameter(text, "charset"), None);
    }

    #[test]
    fn a_reference_is_decoded_and_must_be_a_cid() {
        assert_eq!(cid("cid:a%40b").as_deref(), Some("a@b"));
        assert_eq!(cid("http://x"), None);
        assert_eq!(cid("cid:%4"), None);
    }

    #[test]
    fn broken_bodies_have_distinct_causes() {
        let parse = |content_type: &str, body: &str| Multipart::parse(content_type, body.as_bytes()).unwrap_err();
        assert_eq!(parse("multipart/related", "x"), MimeError::Boundary);
        assert_eq!(
            parse("multipart/related; boundary=b", "--b\r\n\r\nx"),
            MimeError::Framing
        );
        assert_eq!(
            parse("multipart/related; boundary=b; start=q", "--b\r\n\r\nx\r\n--b--"),
            MimeError::Root
        );
        let twins = "--b\r\nContent-ID: <a>\r\n\r\nx\r\n--b\r\nContent-ID: a\r\n\r\ny\r\n--b--";
        assert_eq!(parse("multipart/related; boundary=b", twins), MimeError::Root);
        let root = "--b\r\nContent-Transfer-Encoding: base64\r\n\r\nPGEvPg==\r\n--b--";
        assert_eq!(parse("multipart/related; boundary=b", root), MimeError::RootEncoding);
        let odd = "--b\r\nContent-Transfer-Encoding: gzip\r\n\r\nx\r\n--b--";
        assert_eq!(parse("multipart/related; boundary=b", odd), MimeError::Encoding);
    }

    #[test]
    fn base64_may_have_line_breaks_and_lack_padding() {
        assert_eq!(decode_base64(b" aGVs\r\nbG8 \n").unwrap(), b"hello");
        assert_eq!(decode_base64(b"aGVsbG8=").unwrap(), b"hello");
        assert_eq!(decode_base64(b"a*b"), None);
    }

    proptest::proptest! {
        #[test]
        fn no_octets_panic_the_reader(boundary in "[a-z\"=; -]{0,12}", body in proptest::collection::vec(0u8..128, 0..400)) {
            let _ = Multipart::parse(&format!("multipart/related; boundary={boundary}"), &body);
            let _ = Multipart::parse("", &[b"--b\r\n".as_slice(), &body, b"\r\n--b--"].concat());
        }

        #[test]
        fn any_attachment_comes_back(octets in proptest::collection::vec(proptest::num::u8::ANY, 0..2000)) {
            let part = Attachment { content_id: "x@rsmev".into(), content_type: "a/b".into(), octets };
            let (content_type, body) = write("<e/>", std::slice::from_ref(&part));
            let read = Multipart::parse(&content_type, &body).unwrap();
            proptest::prop_assert_eq!(read.parts[0].octets, part.octets.as_slice());
        }
    }
}
