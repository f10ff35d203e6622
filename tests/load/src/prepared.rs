//! Calls signed beforehand, so that signing does not take the processor from the server while it is measured.
//!
//! Calls of one kind differ only in an identifier, a digest and a signature value, all of fixed length: one template and
//! these three for each call are kept, which is 170 octets for a call of any size.

use bytes::Bytes;
use emulator::{CallError, Participant, RequestData, SignedCall};

/// A call with holes.
#[derive(Debug)]
pub(crate) struct Template {
    body: Vec<u8>,
    holes: [usize; 3],
    pub(crate) content_type: String,
}

/// What goes into the holes.
#[derive(Debug, Clone)]
pub(crate) struct Fill {
    id: [u8; 36],
    digest: Box<[u8]>,
    signature: Box<[u8]>,
}

impl Fill {
    /// The message identifier.
    pub(crate) fn id(&self) -> &str {
        std::str::from_utf8(&self.id).unwrap_or_default()
    }
}

impl Template {
    /// The length of a call.
    pub(crate) fn octets(&self) -> usize {
        self.body.len()
    }

    /// The call with its holes filled.
    pub(crate) fn fill(&self, fill: &Fill) -> Bytes {
        let mut body = self.body.clone();
        for (hole, text) in self.holes.iter().zip([&fill.id[..], &fill.digest, &fill.signature]) {
            body[*hole..*hole + text.len()].copy_from_slice(text);
        }
        body.into()
    }
}

/// Takes a signed call apart.
fn take_apart(call: &SignedCall) -> Option<(Template, Fill)> {
    let text = std::str::from_utf8(&call.body).ok()?;
    let id_at = text.find(&call.message_id)?;
    let (digest_at, digest) = value_of(text, "DigestValue>")?;
    let (signature_at, signature) = value_of(text, "SignatureValue>")?;
    let fill = Fill {
        id: call.message_id.as_bytes().try_into().ok()?,
        digest: digest.as_bytes().into(),
        signature: signature.as_bytes().into(),
    };
    let holes = [id_at, digest_at, signature_at];
    Some((
        Template {
            body: call.body.to_vec(),
            holes,
            content_type: call.content_type.clone(),
        },
        fill,
    ))
}

/// Place and text of the value after a tag.
fn value_of<'t>(text: &'t str, tag: &str) -> Option<(usize, &'t str)> {
    let start = text.find(tag)? + tag.len();
    let end = start + text[start..].find('<')?;
    Some((start, &text[start..end]))
}

/// Calls of one kind by one participant.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) template: Template,
    pub(crate) fills: Vec<Fill>,
}

impl Batch {
    /// Signs so many calls.
    pub(crate) fn sign(
        count: usize,
        mut make: impl FnMut(usize) -> Result<SignedCall, CallError>,
    ) -> Result<Batch, CallError> {
        let strange = || CallError::Malformed("a call of this program cannot be taken apart".to_owned());
        let (template, first) = take_apart(&make(0)?).ok_or_else(strange)?;
        let mut fills = Vec::with_capacity(count);
        fills.push(first);
        for number in 1..count {
            let (other, fill) = take_apart(&make(number)?).ok_or_else(strange)?;
            if other.holes != template.holes || other.body.len() != template.body.len() {
                return Err(strange());
            }
            fills.push(fill);
        }
        Ok(Batch { template, fills })
    }
}

/// The payload with which a whole call is of about `size` octets.
pub(crate) fn content(sender: &Participant, namespace: &str, size: usize) -> Result<String, CallError> {
    let bare = sender.sign_request(&sender.new_request(payload(namespace, "Request", 0)))?;
    Ok(payload(namespace, "Request", size.saturating_sub(bare.body.len())))
}

/// Requests of about `size` octets as a whole call; never less than envelope, signature and certificate need.
pub(crate) fn requests(sender: &Participant, namespace: &str, size: usize, count: usize) -> Result<Batch, CallError> {
    let content = content(sender, namespace, size)?;
    Batch::sign(count, |_| {
        sender.sign_request(&RequestData::sent_at(sender.now(), content.as_str()))
    })
}

/// A payload with so many octets of text.
pub(crate) fn payload(namespace: &str, root: &str, text: usize) -> String {
    let words = "Сведения о правах на объект недвижимости. ";
    let mut filler = String::with_capacity(text + words.len());
    while filler.len() < text {
        filler.push_str(words);
    }
    let mut end = text.min(filler.len());
    while !filler.is_char_boundary(end) {
        end -= 1;
    }
    filler.truncate(end);
    format!("<l:{root} xmlns:l=\"{namespace}\"><l:Data>{filler}</l:Data></l:{root}>")
}

#[cfg(test)]
mod tests {
    use super::*;
    use emulator::{Identity, Version};

    #[test]
    fn a_filled_template_is_the_call_that_was_signed() {
        let identity = Identity::generate("LOAD").unwrap();
        let gateway = identity.certificate().clone();
        let sender = Participant::new(identity, Version::V1_2, "http://127.0.0.1:1/ws", gateway).unwrap();
        let mut calls = Vec::new();
        let batch = Batch::sign(3, |_| {
            let call = sender.sign_request(&sender.new_request(payload("urn://l", "Request", 100)))?;
            calls.push(call.clone());
            Ok(call)
        })
        .unwrap();
        for (call, fill) in calls.iter().zip(&batch.fills) {
            assert_eq!(batch.template.fill(fill), call.body);
            assert_eq!(fill.id(), call.message_id);
        }
        let sized = requests(&sender, "urn://l", 5000, 1).unwrap();
        assert!(
            (4990..=5000).contains(&sized.template.body.len()),
            "{}",
            sized.template.body.len()
        );
    }
}
