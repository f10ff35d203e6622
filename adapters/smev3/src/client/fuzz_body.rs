//! What must hold for any answer of an upstream: the body of a fuzz target, which also runs as a plain test.

use std::sync::OnceLock;

use engine::command::Incoming;
use engine::names::MessageId;
use engine::registry::Registry;
use gost::Certificate;
use hyper::StatusCode;
use jiff::Timestamp;

use super::answer::Answer;
use super::pulled::Reader;
use super::transport::HttpAnswer;
use super::trust::TrustedSigners;
use super::{Pull, read_receipt};
use crate::envelope::Operation;

/// What the bus of the seeds has signed.
const SEEDS: [&[u8]; 3] = [
    include_bytes!("../../../../tests/fuzz/seeds/upstream_answer/request"),
    include_bytes!("../../../../tests/fuzz/seeds/upstream_answer/response"),
    include_bytes!("../../../../tests/fuzz/seeds/upstream_answer/status"),
];
/// Its certificate.
const SIGNER: &[u8] = include_bytes!("../../../../tests/fuzz/seeds/certificate/upstream.der");
/// A message of ours.
const SENT: &str = "39f52a38-9a54-11ea-b23a-3316e2108089";

/// What a message says of itself that the bus's signature covers.
type Said = (
    MessageId,
    Option<uuid::Uuid>,
    Option<Timestamp>,
    bool,
    Option<String>,
    Option<Vec<u8>>,
);

/// See [`crate::fuzz_bodies::upstream_answer`].
pub(crate) fn upstream_answer(content_type: &str, body: &[u8]) {
    static KNOWN: OnceLock<(TrustedSigners, Vec<Said>)> = OnceLock::new();
    let (trusted, known) = KNOWN.get_or_init(|| {
        let signer = Certificate::from_der(SIGNER).expect("the seeds' signer has a certificate");
        let trusted = TrustedSigners::new(&[signer]);
        let known: Vec<Said> = SEEDS
            .iter()
            .flat_map(|seed| pulled(&unpacked(seed), &trusted))
            .collect();
        assert_eq!(known.len(), SEEDS.len(), "each seed is a message");
        (trusted, known)
    });
    let answer = answer(content_type, body);
    for said in pulled(&answer, trusted) {
        assert!(known.contains(&said), "{said:?}");
    }
    let id = SENT.parse().expect("it is an identifier");
    for operation in [Operation::SendRequest, Operation::SendResponse] {
        let receipt = read_receipt(&answer, operation, id, trusted);
        assert!(receipt.is_err(), "the seeds' bus has taken no message");
    }
}

/// What every kind of pull makes of an answer.
fn pulled(answer: &HttpAnswer, trusted: &TrustedSigners) -> Vec<Said> {
    let registry = Registry::default();
    let upstream = "federal".parse().expect("it is a name");
    let reader = Reader {
        upstream: &upstream,
        trusted,
        registry: &registry,
        fresh_id: SENT.parse().expect("it is an identifier"),
    };
    let read = Pull::ALL.map(|pull| {
        let opened = Answer::open(answer).ok()?;
        reader.read(&opened, pull.operation()).ok()?
    });
    read.into_iter().flatten().map(|pulled| said(pulled.incoming)).collect()
}

fn said(incoming: Incoming) -> Said {
    (
        incoming.message_id,
        incoming.reference_id,
        incoming.end_of_life,
        incoming.test,
        incoming.remote_sender,
        incoming.exchange_note,
    )
}

fn answer(content_type: &str, body: &[u8]) -> HttpAnswer {
    HttpAnswer {
        status: StatusCode::OK,
        content_type: content_type.to_owned(),
        body: body.to_vec().into(),
    }
}

/// A seed: a line with the Content-Type, then the body.
fn unpacked(seed: &[u8]) -> HttpAnswer {
    let end = seed
        .iter()
        .position(|octet| *octet == b'\n')
        .expect("a seed has two parts");
    let content_type = std::str::from_utf8(&seed[..end]).expect("a header is text");
    answer(content_type, &seed[end + 1..])
}
