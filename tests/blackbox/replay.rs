//! Real messages, signed by real participants, replayed against the door with the clock set back: their signatures hold,
//! and no octet of them may be different.
//!
//! The messages are not part of the repository; without them the test says so and passes.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod common;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{CONSUMER, GATEWAY, PROVIDER, assert_no_request, refused, system, take_request};
use emulator::{Clock, Identity, Operation, Participant, SignedCall, Version};
use gost::{Certificate, Curve, KeyAlgorithm, SoftwareKey};
use harness::{Kind, Region};
use jiff::Timestamp;
use serde_json::Value;

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/public");

#[tokio::test]
async fn real_signed_messages_verify_at_the_door() {
    let calls = real_calls();
    if calls.is_empty() {
        eprintln!("SKIPPED: there are no real messages in {DATA}");
        return;
    }
    // Acks follow the request of their exchange, so that the clock is theirs.
    for real in calls.iter().filter(|real| real.operation == Operation::SendRequest) {
        let region = region_of(real).await;
        let consumer = system(&region, CONSUMER).with_version(real.version);
        let provider = system(&region, PROVIDER).with_version(real.version);

        for other in calls
            .iter()
            .filter(|other| other.operation == Operation::Ack && other.certificate == real.certificate)
        {
            if other.version == real.version {
                // The signature holds; the message that it acknowledges was never ours.
                let fault = refused(&consumer, &other.call()).await;
                assert_eq!(fault.element, "TargetMessageIsNotFound", "{}", other.name);
                refuse_damaged(&consumer, other).await;
            }
        }
        refuse_damaged(&consumer, real).await;
        assert_no_request(&provider).await;

        let answer = consumer.call(&real.call()).await.unwrap();
        let receipt = answer
            .receipt()
            .unwrap_or_else(|error| panic!("{}: {error}", real.name));
        let taken = take_request(&provider).await;
        assert_eq!(taken.data.message_id, receipt.message_id);
        assert_eq!(
            taken.sender.certificate(),
            Some(&real.certificate),
            "{}: the sender's signature is delivered whole",
            real.name
        );
    }
}

/// A copy with one changed digit is refused for its signature.
async fn refuse_damaged(system: &Participant, real: &RealCall) {
    let id = real.message_id();
    let other = if id.ends_with('0') { "1" } else { "0" };
    let damaged = format!("{}{other}", &id[..id.len() - 1]);
    let fault = refused(system, &real.call().replace(&id, &damaged)).await;
    assert_eq!(fault.element, "SignatureVerificationFault", "{}", real.name);
    assert_eq!(
        fault.field_text("SignatureVerificationFault"),
        Some("SignatureIsInvalid"),
        "{}",
        real.name
    );
}

/// A region at the time of a message, in which its sender may send it to PROVIDER.
async fn region_of(real: &RealCall) -> Region {
    let sent = emulator::time_of(&real.message_id()).expect("real identifiers tell their time");
    // One of them is under an identifier that is older than its certificate.
    let valid = Timestamp::from_second(real.certificate.not_before()).unwrap();
    let decades = "2010-01-01T00:00:00Z".parse::<Timestamp>().unwrap().as_second()..4_102_444_800;
    let then = |mnemonic: &str| {
        Identity::generate_with(mnemonic, Curve::CryptoProA, KeyAlgorithm::Gost2012_256, decades.clone()).unwrap()
    };
    // The sender's private key is its own secret: this one never signs anything.
    let stranger = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).unwrap();
    let sender = Identity::from_parts(CONSUMER, Arc::new(stranger), real.certificate.clone());
    let (namespace, root) = real.payload();
    let mut kind = Kind::new("real", &namespace);
    kind.request = root;
    Region::builder(common::BINARY)
        .gateway(then(GATEWAY))
        .participant(sender)
        .participant(then(PROVIDER))
        .kind(kind)
        .local_exchange("real", &[CONSUMER], PROVIDER)
        .setting("smev3", "stale_after", "\"3650d\"")
        .clock(Clock::running(sent.max(valid) + common::minutes(5), 1.0))
        .start()
        .await
        .unwrap()
}

/// A real call with the certificate that signed it.
struct RealCall {
    name: String,
    octets: Vec<u8>,
    operation: Operation,
    version: Version,
    certificate: Certificate,
}

impl RealCall {
    fn call(&self) -> SignedCall {
        SignedCall {
            operation: self.operation,
            message_id: self.message_id(),
            content_type: "text/xml; charset=UTF-8".to_owned(),
            soap_action: Some(format!("urn:{}", self.operation)),
            body: self.octets.clone().into(),
        }
    }

    /// The text of `MessageID`, or of `AckTargetMessage`.
    fn message_id(&self) -> String {
        let element = if self.operation == Operation::Ack {
            "AckTargetMessage"
        } else {
            "MessageID"
        };
        self.find(element, |found| found.text().trim().to_owned())
    }

    /// Namespace and root of the payload.
    fn payload(&self) -> (String, String) {
        self.find("MessagePrimaryContent", |content| {
            let payload = content.children().next().expect("there is a payload");
            (
                payload.namespace().unwrap_or_default().to_owned(),
                payload.local_name().to_owned(),
            )
        })
    }

    fn find<T>(&self, element: &str, read: impl Fn(xmldsig::Element<'_, '_>) -> T) -> T {
        let document = xmldsig::Document::parse(&self.octets, &xmldsig::Limits::default()).expect("it is XML");
        let found = find(document.root(), element, &read);
        found.unwrap_or_else(|| panic!("{} has no {element}", self.name))
    }
}

fn find<T>(at: xmldsig::Element<'_, '_>, element: &str, read: &impl Fn(xmldsig::Element<'_, '_>) -> T) -> Option<T> {
    if at.local_name() == element {
        return Some(read(at));
    }
    at.children().find_map(|child| find(child, element, read))
}

/// The calls of participants whose signatures are known to hold.
fn real_calls() -> Vec<RealCall> {
    let data = Path::new(DATA);
    let Ok(manifest) = std::fs::read(data.join("signed/MANIFEST.json")) else {
        return Vec::new();
    };
    let manifest: Value = serde_json::from_slice(&manifest).expect("the manifest is JSON");
    let entries = manifest.as_array().expect("the manifest is a list").iter();
    let text = |entry: &Value, field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let ours = entries.filter(|entry| {
        text(entry, "parent_element") == "CallerInformationSystemSignature"
            && text(entry, "signature_check") == "OK(as-is)"
    });
    let calls: Vec<RealCall> = ours
        .map(|entry| read(data, &text(entry, "file"), &text(entry, "certificate")))
        .collect();
    assert!(calls.len() >= 4, "only {} calls are in the manifest", calls.len());
    calls
}

fn read(data: &Path, file: &str, certificate: &str) -> RealCall {
    let octets = |path: PathBuf| std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let call = octets(data.join(file));
    let certificate = Certificate::from_pem_or_der(&octets(data.join(certificate))).expect("a certificate");
    let text = String::from_utf8_lossy(&call);
    let version = Version::ALL
        .into_iter()
        .find(|version| text.contains(version.types()))
        .expect("a version of ours");
    let operation = if text.contains("AckTargetMessage") {
        Operation::Ack
    } else {
        Operation::SendRequest
    };
    RealCall {
        name: file.to_owned(),
        operation,
        version,
        certificate,
        octets: call,
    }
}
