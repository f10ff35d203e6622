//! A region: a real engine in a temporary folder, participants CITY (asks) and LAND (provides), and a link.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use engine::clock::{Clock, SystemClock};
use engine::command::*;
use engine::names::{MessageId, Party, UpstreamName};
use engine::registry::{Grant, Kind, May, Participant, RegistryContent, Route, Scope};
use engine::{Engine, Start};
use forward::chance::SystemChance;
use forward::northbound::Identifiers;
use forward::{Link, Settings};
use gost::{Certificate, Curve, KeyAlgorithm, SoftwareKey, SubjectName};
use jiff::{SignedDuration, Timestamp};
use smev3::Version;
use smev3::client::Endpoint;
use smev3::splice::Declaration;
use smev3::stored::{self, DataElement, Header};

use super::bus::Bus;

pub(crate) fn key(name: &str) -> (Arc<SoftwareKey>, Certificate) {
    let key = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).unwrap();
    let subject = SubjectName::new(name).unwrap();
    let certificate = gost::self_signed(&key, &subject, 1_700_000_000, 2_000_000_000).unwrap();
    (Arc::new(key), certificate)
}

pub(crate) fn upstream() -> UpstreamName {
    "federal".parse().unwrap()
}

/// An identifier that was made so long ago.
pub(crate) fn id(ago: SignedDuration) -> MessageId {
    Identifiers::new(&SystemChance).make(SystemClock.now() - ago)
}

/// The machine's clock, until somebody sets it.
#[derive(Clone, Default)]
pub(crate) struct Time(Arc<Mutex<SignedDuration>>);

impl Time {
    pub(crate) fn jump(&self, by: SignedDuration) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        SystemClock.now() + *self.0.lock().unwrap()
    }

    fn counted(&self) -> Option<SignedDuration> {
        SystemClock.counted()
    }
}

pub(crate) struct Region {
    pub(crate) engine: Engine,
    pub(crate) bus: Bus,
    pub(crate) time: Time,
    pub(crate) key: Arc<SoftwareKey>,
    pub(crate) certificate: Certificate,
    _dir: tempfile::TempDir,
}

impl Region {
    pub(crate) async fn new() -> Self {
        let (key, certificate) = key("gateway");
        let dir = tempfile::tempdir().unwrap();
        let mut settings = engine::Settings::new(dir.path().to_owned(), "RSMEV73".parse().unwrap());
        settings.disk_reserve = Some(0);
        let time = Time::default();
        let engine = Engine::start(Start {
            settings,
            clock: Arc::new(time.clone()),
            disk: Arc::new(journal::disk::RealDisk),
            signer: key.clone(),
            at_rest: None,
            certificate: certificate.clone(),
        })
        .unwrap();
        let change = RegistryChange {
            content: registry(),
            prune: true,
            blobs: BTreeMap::new(),
        };
        engine.apply_registry(change, "operator").await.unwrap();
        let bus = Bus::new(&certificate);
        Self {
            engine,
            bus,
            time,
            key,
            certificate,
            _dir: dir,
        }
    }

    pub(crate) fn settings(&self, port: u16) -> Settings {
        let endpoint = Endpoint::parse(&format!("http://127.0.0.1:{port}/ws"), None).unwrap();
        let mut settings = Settings::new(upstream(), endpoint, Version::V1_2, vec![self.bus.certificate.clone()]);
        settings.backoff.min = Duration::from_millis(4);
        settings.backoff.max = Duration::from_millis(40);
        settings.poll.min = Duration::from_millis(5);
        settings.poll.max = Duration::from_millis(20);
        settings
    }

    pub(crate) fn link(&self, settings: Settings) -> Link {
        Link::start(
            settings,
            self.engine.clone(),
            self.key.clone(),
            self.certificate.clone(),
        )
    }

    /// CITY sends a request of a kind.
    pub(crate) async fn send(&self, id: MessageId, kind: &str) -> Accepted {
        self.engine.accept(request(id, kind)).await.unwrap()
    }

    /// Waits until nothing waits for the upstream.
    pub(crate) async fn until_empty(&self) {
        self.until(|region| {
            !region
                .engine
                .queues()
                .iter()
                .any(|queue| queue.queue.to_string() == "upstream/federal")
        })
        .await;
    }

    /// Waits until the engine's state is as wanted, looking at it again and again.
    pub(crate) async fn until(&self, wanted: impl Fn(&Region) -> bool) {
        let wait = async {
            while !wanted(self) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(
            tokio::time::timeout(Duration::from_secs(20), wait).await.is_ok(),
            "waited in vain"
        );
    }

    /// CITY's next answer, LAND's next request or status.
    pub(crate) async fn take(&self, who: &str, from: TakeFrom) -> Option<Delivery> {
        let take = Take {
            participant: who.parse().unwrap(),
            from,
            selector: None,
        };
        self.engine.take(take).await.unwrap()
    }
}

pub(crate) fn evidence() -> Evidence {
    Evidence {
        certificate: gost::CertificateId([7; 32]),
        signed_info: "<ds:SignedInfo/>".to_owned(),
        signature: "c2ln".to_owned(),
        attachments: Vec::new(),
    }
}

fn header(element: DataElement, id: MessageId) -> Header {
    let declaration = |prefix: &str, namespace: &str| Declaration {
        prefix: prefix.into(),
        namespace: namespace.into(),
    };
    Header {
        data_scope: vec![
            declaration("t", Version::V1_2.types()),
            declaration("b", Version::V1_2.basic()),
        ],
        ..Header::new(Version::V1_2, element, id.to_string())
    }
}

fn incoming(sender: &str, id: MessageId, octets: Vec<u8>, content: Content) -> Incoming {
    Incoming {
        door: "smev3",
        sender: Party::Participant(sender.parse().unwrap()),
        remote_sender: None,
        message_id: id,
        reference_id: None,
        node: None,
        end_of_life: None,
        test: false,
        format: Version::V1_2.format().to_owned(),
        parts: vec![Part { number: 0, octets }],
        exchange_note: None,
        attachments: Ok(()),
        file_references: false,
        evidence: evidence(),
        content,
    }
}

fn request(id: MessageId, kind: &str) -> Incoming {
    let data = format!(
        r#"<t:SenderProvidedRequestData Id="X"><t:MessageID>{id}</t:MessageID><t:NodeID>n</t:NodeID><b:MessagePrimaryContent><p:Request xmlns:p="urn:{kind}"/></b:MessagePrimaryContent></t:SenderProvidedRequestData>"#
    );
    let root = PayloadRoot {
        namespace: format!("urn:{kind}"),
        local: "Request".to_owned(),
    };
    let content = Content::Request {
        root,
        routing: RoutingFacts::default(),
        schema: SchemaVerdict::NotChecked,
    };
    let octets = stored::encode(&header(DataElement::Request, id), &data, None);
    incoming("CITY", id, octets, content)
}

/// LAND's answer to the request with this token.
pub(crate) fn answer(id: MessageId, token: &str) -> Incoming {
    let data = format!(
        r#"<t:SenderProvidedResponseData Id="X"><t:MessageID>{id}</t:MessageID><t:To>{token}</t:To><b:MessagePrimaryContent><p:Response xmlns:p="urn:plan"/></b:MessagePrimaryContent></t:SenderProvidedResponseData>"#
    );
    let root = PayloadRoot {
        namespace: "urn:plan".to_owned(),
        local: "Response".to_owned(),
    };
    let content = Content::Response {
        to: AnswerTo::Token(token.to_owned()),
        answer: Answer::Payload(root),
        schema: SchemaVerdict::NotChecked,
    };
    let octets = stored::encode(&header(DataElement::Response, id), &data, None);
    incoming("LAND", id, octets, content)
}

fn registry() -> RegistryContent {
    let mut content = RegistryContent::default();
    for name in ["CITY", "LAND"] {
        let participant = Participant {
            mnemonic: name.parse().unwrap(),
            name: name.to_owned(),
            oktmo: None,
            certificates: Vec::new(),
            addresses: Vec::new(),
        };
        content.participants.insert(participant.mnemonic.clone(), participant);
    }
    let federal = Party::Upstream(upstream());
    let party = |name: &str| Party::Participant(name.parse().unwrap());
    for name in ["pass", "slow", "bad", "plan", "near"] {
        let kind = Kind {
            name: name.parse().unwrap(),
            namespace: format!("urn:{name}"),
            request: "Request".to_owned(),
            response: "Response".to_owned(),
            scope: Scope::Any,
            schema: None,
        };
        let (asks, provides) = match name {
            "plan" => (federal.clone(), party("LAND")),
            "near" => (party("CITY"), Party::Upstream("neighbour".parse().unwrap())),
            _ => (party("CITY"), federal.clone()),
        };
        content.grants.push(Grant {
            party: asks,
            kind: kind.name.clone(),
            may: vec![May::Request],
        });
        content.grants.push(Grant {
            party: provides.clone(),
            kind: kind.name.clone(),
            may: vec![May::Provide],
        });
        content.routes.push(Route {
            kind: kind.name.clone(),
            when: None,
            to: provides,
        });
        content.kinds.insert(kind.name.clone(), kind);
    }
    content
}
