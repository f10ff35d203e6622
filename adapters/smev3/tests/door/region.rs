//! A region of one consumer and one provider behind a door, and a clock that the tests own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use engine::clock::Clock;
use engine::command::RegistryChange;
use engine::names::MessageId;
use engine::registry::{CertificateRef, Grant, Kind, May, Participant, RegistryContent, Route, Schema, Scope};
use engine::{Engine, Start};
use gost::{Certificate, Curve, KeyAlgorithm, SoftwareKey, SubjectName};
use jiff::{SignedDuration, Timestamp};
use journal::disk::RealDisk;
use smev3::answer::Author;
use smev3::door::{Door, DoorMetrics, Settings};
use smev3::fault::FaultName;
use tokio::sync::oneshot;

use crate::http::{self, Answer};

pub(crate) const NAMESPACE: &str = "urn://tests/kind/1.0";
pub(crate) const STRICT: &str = "urn://tests/strict/1.0";
const NOT_BEFORE: i64 = 1_700_000_000;
const NOT_AFTER: i64 = 1_900_000_000;

/// A system with a key.
pub(crate) struct System {
    pub(crate) mnemonic: &'static str,
    pub(crate) key: SoftwareKey,
    pub(crate) certificate: Certificate,
}

impl System {
    pub(crate) fn new(mnemonic: &'static str) -> Self {
        Self::valid(mnemonic, NOT_BEFORE, NOT_AFTER)
    }

    fn valid(mnemonic: &'static str, from: i64, until: i64) -> Self {
        let key = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).unwrap();
        let subject: SubjectName = SubjectName::new(mnemonic).unwrap();
        let certificate = gost::self_signed(&key, &subject, from, until).unwrap();
        Self {
            mnemonic,
            key,
            certificate,
        }
    }

    fn participant(&self) -> Participant {
        Participant {
            mnemonic: self.mnemonic.parse().unwrap(),
            name: format!("Система {}", self.mnemonic),
            oktmo: None,
            certificates: vec![CertificateRef(self.certificate.id())],
            addresses: Vec::new(),
        }
    }
}

/// A clock that stands still until it is moved.
#[derive(Clone)]
pub(crate) struct Time(Arc<Mutex<(Timestamp, SignedDuration)>>);

impl Time {
    pub(crate) fn pass(&self, time: SignedDuration) {
        let mut hands = self.0.lock().unwrap();
        hands.0 += time;
        hands.1 += time;
    }

    /// Somebody sets the clock.
    pub(crate) fn jump(&self, by: SignedDuration) {
        self.0.lock().unwrap().0 += by;
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }

    fn counted(&self) -> Option<SignedDuration> {
        Some(self.0.lock().unwrap().1)
    }
}

pub(crate) struct Region {
    pub(crate) consumer: System,
    /// The consumer with a certificate whose time is over.
    pub(crate) expired: System,
    pub(crate) provider: System,
    pub(crate) stranger: System,
    pub(crate) gateway: Certificate,
    pub(crate) time: Time,
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Arc<DoorMetrics>,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) served: Option<tokio::task::JoinHandle<()>>,
    counter: Mutex<u64>,
    pub(crate) dir: tempfile::TempDir,
}

impl Region {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}, |_| {}, |_| {}).await
    }

    pub(crate) async fn with(
        engine: impl FnOnce(&mut engine::Settings),
        door: impl FnOnce(&mut Settings),
        registry: impl FnOnce(&mut RegistryContent),
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (consumer, provider) = (System::new("MUN001"), System::new("GISOGD73"));
        let gateway = System::new("RSMEV73");
        let start = Timestamp::from_second(1_790_000_000).unwrap();
        let time = Time(Arc::new(Mutex::new((start, SignedDuration::ZERO))));
        let signer: Arc<dyn gost::Signer> = Arc::new(gateway.key);
        let mut settings = engine::Settings::new(dir.path().to_owned(), gateway.mnemonic.parse().unwrap());
        settings.disk_reserve = Some(0);
        settings.store.journal_segment_bytes = 256 << 10;
        settings.store.spool_segment_bytes = 1 << 20;
        engine(&mut settings);
        let engine = Engine::start(Start {
            at_rest: None,
            settings,
            clock: Arc::new(time.clone()),
            disk: Arc::new(RealDisk),
            signer: Arc::clone(&signer),
            certificate: gateway.certificate.clone(),
        })
        .unwrap();
        let (mut content, mut blobs) = content(&consumer, &provider);
        let expired = System::valid(consumer.mnemonic, NOT_BEFORE - 1000, NOT_BEFORE);
        let certificate = &expired.certificate;
        let pinned = content.participants.get_mut(consumer.mnemonic).unwrap();
        pinned.certificates.push(CertificateRef(certificate.id()));
        blobs.insert(certificate.id().to_string(), certificate.der().to_vec());
        registry(&mut content);
        engine
            .apply_registry(
                RegistryChange {
                    content,
                    prune: true,
                    blobs,
                },
                "operator",
            )
            .await
            .unwrap();
        let author = Author {
            mnemonic: gateway.mnemonic.parse().unwrap(),
            name: "РСМЭВ".into(),
            signer,
            certificate: gateway.certificate.clone(),
        };
        let mut settings = Settings::new("127.0.0.1:0".parse().unwrap(), "http://gw.test:7500".into());
        door(&mut settings);
        let bound = Door::bind(settings, engine.clone(), author).await.unwrap();
        let (address, metrics) = (bound.local_addr(), bound.metrics());
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(bound.serve(async {
            let _ = stopped.await;
        }));
        Self {
            consumer,
            expired,
            provider,
            stranger: System::new("STRANGER"),
            gateway: gateway.certificate,
            time,
            engine,
            address,
            metrics,
            stop: Some(stop),
            served: Some(served),
            counter: Mutex::new(0),
            dir,
        }
    }

    /// A fresh identifier of this moment.
    pub(crate) fn id(&self) -> MessageId {
        let now = self.time.now();
        let mut counter = self.counter.lock().unwrap();
        *counter += 1;
        let (seconds, nanos) = (now.as_second().unsigned_abs(), u32::try_from(*counter * 100).unwrap());
        let stamp = uuid::Timestamp::from_unix_time(seconds, nanos, u128::from(*counter), 14);
        MessageId::new(uuid::Uuid::new_v1(stamp, &[2, 0, 0, 0, 0, 1])).unwrap()
    }

    pub(crate) async fn post(&self, body: &str) -> Answer {
        self.post_as("/ws", Some("text/xml; charset=utf-8"), body.as_bytes())
            .await
    }

    pub(crate) async fn post_as(&self, path: &str, content_type: Option<&str>, body: &[u8]) -> Answer {
        http::exchange(self.address, &http::request("POST", path, content_type, body)).await
    }

    pub(crate) fn refused(&self, name: FaultName) -> u64 {
        self.metrics.refused().find(|(fault, _)| *fault == name).unwrap().1
    }
}

fn content(consumer: &System, provider: &System) -> (RegistryContent, BTreeMap<String, Vec<u8>>) {
    let schema = format!(
        r#"<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{STRICT}"
        elementFormDefault="qualified"><xs:element name="Request"><xs:complexType><xs:sequence>
        <xs:element name="n" type="xs:int"/></xs:sequence></xs:complexType></xs:element></xs:schema>"#
    );
    let digest = hex::encode(gost::DigestAlgorithm::Streebog256.hash(schema.as_bytes()).as_ref());
    let kind = |name: &str, namespace: &str| Kind {
        name: name.parse().unwrap(),
        namespace: namespace.into(),
        request: "Request".into(),
        response: "Response".into(),
        scope: Scope::Any,
        schema: None,
    };
    let strict = Kind {
        schema: Some(Schema {
            main: "s.xsd".into(),
            files: [("s.xsd".to_owned(), digest.clone())].into(),
        }),
        ..kind("strict", STRICT)
    };
    let kinds = [
        kind("plain", NAMESPACE),
        strict,
        kind("closed", "urn://tests/closed/1.0"),
    ];
    let party = |system: &System| engine::names::Party::Participant(system.mnemonic.parse().unwrap());
    let mut grants = Vec::new();
    for name in ["plain", "strict"] {
        grants.push(Grant {
            party: party(provider),
            kind: name.parse().unwrap(),
            may: vec![May::Provide],
        });
        grants.push(Grant {
            party: party(consumer),
            kind: name.parse().unwrap(),
            may: vec![May::Request],
        });
    }
    let route = |name: &str| Route {
        kind: name.parse().unwrap(),
        when: None,
        to: party(provider),
    };
    let content = RegistryContent {
        participants: [consumer, provider]
            .map(|s| (s.mnemonic.parse().unwrap(), s.participant()))
            .into(),
        kinds: kinds.into_iter().map(|kind| (kind.name.clone(), kind)).collect(),
        grants,
        routes: vec![route("plain"), route("strict")],
    };
    let certificates = [consumer, provider].map(|s| (s.certificate.id().to_string(), s.certificate.der().to_vec()));
    (
        content,
        certificates
            .into_iter()
            .chain([(digest, schema.into_bytes())])
            .collect(),
    )
}
