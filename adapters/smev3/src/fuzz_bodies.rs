//! What must hold for any octets whatever: the bodies of the fuzz targets, which also run as plain tests.
//!
//! Each panics when a promise is broken, and only then.

use xmldsig::{Document, Limits, SignatureElement};

use crate::attachments::{self, TakenOut};
use crate::client;
use crate::envelope::{Call, Operation};
use crate::fault::Fault;
use crate::mime::{self, Attachment, Multipart};
use crate::request::{self, Sent};
use crate::stored::{self, ExchangeNote, Stored};
use crate::version::Version;

/// Octets of attachments that are read.
const ATTACHMENTS: u64 = 1 << 16;

/// The first line is the Content-Type, the rest the body: parts are pieces of it, and what is written again is read as
/// the same.
///
/// # Panics
/// When they are not.
pub fn multipart(octets: &[u8]) {
    let (content_type, body) = packed(octets);
    let _ = mime::is_multipart(content_type, body);
    let multipart = match Multipart::parse(content_type, body) {
        Ok(multipart) => multipart,
        Err(error) => return is_told(error.into()),
    };
    let total: usize = multipart.parts.iter().map(|part| part.octets.len()).sum();
    assert!(
        total + multipart.root.octets.len() <= body.len(),
        "no octet belongs to two parts"
    );
    for part in &multipart.parts {
        if !part.content_id.is_empty() {
            let escaped: String = part.content_id.bytes().map(|octet| format!("%{octet:02x}")).collect();
            assert_eq!(multipart.by_href(&format!("cid:{escaped}")), Some(part));
        }
        if let Ok(decoded) = part.decoded() {
            assert!(decoded.len() <= part.octets.len());
        }
    }
    let Ok(root) = std::str::from_utf8(multipart.root.octets) else {
        return;
    };
    let numbered = |(number, part): (usize, &mime::Part<'_>)| Attachment {
        content_id: format!("part-{number}"),
        content_type: part.content_type.clone(),
        octets: part.octets.to_vec(),
    };
    let attachments: Vec<_> = multipart.parts.iter().enumerate().map(numbered).collect();
    let (content_type, written) = mime::write(root, &attachments);
    let again = Multipart::parse(&content_type, &written).expect("what we wrote is multipart");
    assert_eq!(again.root.octets, root.as_bytes());
    let octets = |parts: &[mime::Part<'_>]| parts.iter().map(|part| part.octets.to_vec()).collect::<Vec<_>>();
    assert_eq!(octets(&again.parts), octets(&multipart.parts));
}

/// A call is read from what it must have signed and from nothing else, whatever surrounds it; a refusal is always an
/// envelope that can be read. Written as for [`multipart`] where it begins with a Content-Type, else plain.
///
/// # Panics
/// When it is not.
pub fn call(octets: &[u8]) {
    let (content_type, body) = packed(octets);
    let multipart = match mime::is_multipart(content_type, body) {
        true => Multipart::parse(content_type, body).ok(),
        false => None,
    };
    let root = multipart.as_ref().map_or(octets, |multipart| multipart.root.octets);
    let limits = Limits {
        octets: 1 << 16,
        ..Limits::default()
    };
    let document = match Document::parse(root.trim_ascii_start(), &limits) {
        Ok(document) => document,
        Err(error) => return is_told(error.into()),
    };
    let call = match Call::find(&document) {
        Ok(call) => call,
        Err(error) => return is_told(error.into()),
    };
    let read = read(&call, multipart.as_ref());
    if let Err(fault) = read {
        is_told(fault);
    }
}

fn read(call: &Call<'_, '_>, multipart: Option<&Multipart<'_>>) -> Result<(), Fault> {
    let signed = request::signed(call)?;
    let (whole, target) = (call.element.range(), signed.target.range());
    assert!(whole.start < target.start && target.end < whole.end);
    assert!(
        signed.target.parent() == Some(call.element),
        "what is signed is found by its place"
    );
    if let Err(refusal) = SignatureElement::parse(signed.signature) {
        is_told(refusal.into());
    }
    if let Some(multipart) = multipart {
        // What it finds is measured before it is copied; the places are in the document, which is not at hand here.
        TakenOut::find(signed.target, multipart)?;
    }
    let inside = |sent: &Sent<'_, '_>| {
        if let Some(payload) = sent.payload {
            let payload = payload.range();
            assert!(
                target.start < payload.start && payload.end < target.end,
                "the payload is signed"
            );
        }
        attachments::contents(call.element, call.version, &sent.attachments, multipart, ATTACHMENTS)
            .map(|contents| {
                assert_eq!(contents.len(), sent.attachments.len());
                assert!(contents.iter().map(|content| content.len() as u64).sum::<u64>() <= ATTACHMENTS);
            })
            .map_err(Fault::from)
    };
    match call.operation {
        Operation::SendRequest => {
            let sent = request::request(signed.target, call.version)?;
            request::routing(call.element)?;
            inside(&sent)
        }
        Operation::SendResponse => inside(&request::response(signed.target, call.version)?.sent),
        Operation::GetRequest | Operation::GetResponse => request::selector(signed.target, call.version).map(drop),
        Operation::Ack => request::ack(signed.target).map(drop),
        Operation::GetStatus => request::timestamp(signed.target).map(drop),
        Operation::GetIncomingQueueStatistics => request::statistics_node(call.element, call.version).map(drop),
    }
}

/// An upstream's answer; written as for [`multipart`]. Nothing is believed but what the upstream has signed.
///
/// # Panics
/// When something else is.
pub fn upstream_answer(octets: &[u8]) {
    let (content_type, body) = packed(octets);
    client::fuzz_body::upstream_answer(content_type, body);
}

/// What is read back from the spool is the same when it is written again.
///
/// # Panics
/// When it is not.
pub fn stored(octets: &[u8]) {
    if let Ok(stored) = Stored::decode(octets) {
        let written = stored::encode(&stored.header, stored.data, stored.signature);
        assert_eq!(Stored::decode(&written).as_ref(), Ok(&stored));
        assert!(stored.standalone_data().len() >= stored.data.len());
        let _ = stored.standalone_signature();
    }
    if let Ok(note) = ExchangeNote::decode(octets)
        && let Some(written) = note.encode()
    {
        assert_eq!(ExchangeNote::decode(&written).as_ref(), Ok(&note));
    }
}

/// The Content-Type in the first line, and what follows it.
fn packed(octets: &[u8]) -> (&str, &[u8]) {
    let end = memchr::memchr(b'\n', octets).unwrap_or(octets.len());
    let (line, rest) = octets.split_at(end);
    let content_type = std::str::from_utf8(line).unwrap_or_default().trim_end();
    (content_type, rest.get(1..).unwrap_or_default())
}

/// A refusal is well-formed XML whatever words of the caller it repeats.
#[expect(clippy::needless_pass_by_value, reason = "every caller has just made it")]
fn is_told(fault: Fault) {
    for version in Version::ALL {
        let envelope = fault.envelope(version);
        let read = Document::parse(envelope.as_bytes(), &Limits::of_accepted());
        assert!(read.is_ok(), "{envelope}");
    }
}
