//! Real messages, templates and random octets against the intake.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::registry::{CertificateRef, Participant, RegistryContent};
use gost::Certificate;
use proptest::prelude::*;

use super::super::rate::{Limiter, Rate};
use super::*;
use crate::door::budget::Budget;
use crate::stored;

const PUBLIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/public");

fn intake() -> Intake {
    Intake {
        limits: Limits::default(),
        attachments_bytes: 5 << 20,
        timestamp_window: SignedDuration::from_hours(13),
        recognition: Recognition::new(),
        validators: Validators::default(),
        participants: Limiter::new(Rate::UNLIMITED, 1),
    }
}

fn room() -> Room {
    Room::new(Budget::new(u64::MAX).nothing())
}

fn registry(certificates: &[Certificate]) -> Registry {
    let participant = Participant {
        mnemonic: "REAL01".parse().unwrap(),
        name: "Участник".into(),
        oktmo: None,
        certificates: certificates
            .iter()
            .map(|certificate| CertificateRef(certificate.id()))
            .collect(),
        addresses: Vec::new(),
    };
    let participants = BTreeMap::from([(participant.mnemonic.clone(), participant)]);
    Registry::new(RegistryContent {
        participants,
        ..RegistryContent::default()
    })
}

fn read(intake: &Intake, registry: &Registry, body: &[u8], now: Timestamp) -> Result<Understood, Box<Refused>> {
    let arrival = Arrival {
        body,
        content_type: "text/xml",
        path_version: Version::V1_2,
        address: IpAddr::from([127, 0, 0, 1]),
        now: (now, now),
    };
    let blob = |_: &str| Err(io::Error::from(io::ErrorKind::NotFound));
    intake.read(&arrival, registry, &blob, &DoorMetrics::new(Budget::new(1)), &room())
}

/// The certificate in a real message, or nothing if the message is not there.
fn real(name: &str) -> Option<(Vec<u8>, Certificate)> {
    let path = PathBuf::from(PUBLIC).join(name);
    let Ok(body) = std::fs::read(&path) else {
        eprintln!("SKIPPED: no {}", path.display());
        return None;
    };
    let document = Document::parse(&body, &Limits::default()).unwrap();
    let call = Call::find(&document).unwrap();
    let signed = request::signed(&call).unwrap();
    let certificate = SignatureElement::parse(signed.signature).unwrap();
    let certificate = Certificate::from_der(certificate.certificate_der()).unwrap();
    Some((body, certificate))
}

#[test]
fn real_messages_are_understood_with_the_clock_set_back() {
    for (name, version, operation) in [
        (
            "signed/1.1-gost2001/SendRequestRequest-vburmistrov.xml",
            Version::V1_1,
            Operation::SendRequest,
        ),
        (
            "signed/1.1-gost2012-mtom-inline/1-SendRequestRequest.xml",
            Version::V1_1,
            Operation::SendRequest,
        ),
        (
            "signed/1.2-gost2012-chain/1-SendRequestRequest.xml",
            Version::V1_2,
            Operation::SendRequest,
        ),
        (
            "signed/1.2-gost2012-chain/4-AckRequest.xml",
            Version::V1_2,
            Operation::Ack,
        ),
    ] {
        let Some((body, certificate)) = real(name) else { return };
        let now = Timestamp::from_second(certificate.not_before() + 1).unwrap();
        let (intake, registry) = (intake(), registry(&[certificate]));
        let understood = read(&intake, &registry, &body, now).unwrap_or_else(|refused| panic!("{name}: {refused:?}"));
        assert_eq!(
            (understood.version, understood.operation),
            (version, operation),
            "{name}"
        );
        if let Command::Send(incoming) = understood.command {
            let stored = stored::Stored::decode(&incoming.parts[0].octets).unwrap();
            let text = std::str::from_utf8(&body).unwrap();
            assert!(
                text.contains(stored.data) && text.contains(stored.signature.unwrap()),
                "{name}: not as received"
            );
            assert_eq!(incoming.parts.len(), 1 + stored.header.attachments.len());
            assert_eq!(stored.header.message_id, incoming.message_id.to_string());
        }
        // A second time the certificate comes from the cache.
        assert!(read(&intake, &registry, &body, now).is_ok());
    }
}

#[test]
fn a_real_message_that_was_changed_is_not_understood() {
    let Some((body, certificate)) = real("signed/1.2-gost2012-chain/1-SendRequestRequest.xml") else {
        return;
    };
    let now = Timestamp::from_second(certificate.not_before() + 1).unwrap();
    let registry = registry(&[certificate]);
    let changed = String::from_utf8(body)
        .unwrap()
        .replace("00-1-2-3-000010-2000", "00-1-2-3-000010-2001");
    let refused = read(&intake(), &registry, changed.as_bytes(), now).err().unwrap();
    assert_eq!(refused.fault.name, FaultName::SignatureVerificationFault);
    assert_eq!(refused.participant.unwrap().as_str(), "REAL01");
    assert!(!refused.verified, "anybody can send a certificate");
}

#[test]
fn templates_of_real_clients_are_recognised_as_their_operation_before_their_gaps_are_refused() {
    let folder = Path::new(PUBLIC).join("request-templates");
    let Ok(folders) = std::fs::read_dir(&folder) else {
        eprintln!("SKIPPED: no {}", folder.display());
        return;
    };
    let registry = registry(&[]);
    let mut seen = 0;
    for entry in folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap()) {
        let path = entry.unwrap().path();
        let refused = read(
            &intake(),
            &registry,
            &std::fs::read(&path).unwrap(),
            Timestamp::UNIX_EPOCH,
        )
        .err()
        .unwrap();
        let name = path.display();
        let operation = refused
            .operation
            .unwrap_or_else(|| panic!("{name}: {:?}", refused.fault));
        let sends = matches!(operation, Operation::SendRequest | Operation::SendResponse);
        let expected = if sends {
            FaultName::InvalidContent
        } else {
            FaultName::SignatureVerificationFault
        };
        assert_eq!(refused.fault.name, expected, "{name}: {:?}", refused.fault);
        seen += 1;
    }
    assert_eq!(seen, 11);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_octets_panic_the_intake(octets in proptest::collection::vec(any::<u8>(), 0..600), content_type in "\\PC{0,60}") {
        let arrival = Arrival {
            body: &octets,
            content_type: &content_type,
            path_version: Version::V1_3,
            address: IpAddr::from([127, 0, 0, 1]),
            now: (Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH),
        };
        let blob = |_: &str| Err(io::Error::from(io::ErrorKind::NotFound));
        let refused = intake().read(&arrival, &registry(&[]), &blob, &DoorMetrics::new(Budget::new(1)), &room()).err();
        prop_assert_eq!(refused.map(|refused| refused.version), Some(Version::V1_3));
    }

    #[test]
    fn no_damage_to_a_call_panics_the_intake(
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), "\\PC{0,8}"), 1..4),
        which in 0..4_usize,
    ) {
        let mut text = CALLS[which].to_owned();
        for (from, to, insert) in cuts {
            let places: Vec<usize> = (0..=text.len()).filter(|&at| text.is_char_boundary(at)).collect();
            let (a, b) = (*from.get(&places), *to.get(&places));
            let end = a.max(b).min(a.min(b) + 20);
            let end = (end..=text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
            text.replace_range(a.min(b)..end, &insert);
        }
        let _ = read(&intake(), &registry(&[]), text.as_bytes(), Timestamp::UNIX_EPOCH);
    }
}

const CALLS: [&str; 4] = [
    include_str!("testdata/send-request-1.3.xml"),
    include_str!("testdata/send-response-1.2.xml"),
    include_str!("testdata/get-request-1.1.xml"),
    include_str!("testdata/ack-1.2.multipart"),
];
