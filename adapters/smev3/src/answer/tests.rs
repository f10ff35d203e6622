//! Our answers beside the real bus' own: the same elements in the same order.

use engine::command::{Delivery, MessageType, NOTICE_FORMAT, Notice, NoticeReason};
use engine::registry::RegistryContent;
use gost::{Curve, KeyAlgorithm, SoftwareKey, SubjectName};
use xmldsig::{Element, XMLDSIG_NAMESPACE};

use super::*;
use crate::splice;
use crate::stored::{self, DataElement, ExchangeNote, Header};

fn author() -> Author {
    let key = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).unwrap();
    let subject = SubjectName::new("smev").unwrap();
    let certificate = gost::self_signed(&key, &subject, 1_500_000_000, 2_000_000_000).unwrap();
    Author {
        mnemonic: "SMEV".parse().unwrap(),
        name: "СМЭВ".into(),
        signer: Arc::new(key),
        certificate,
    }
}

fn real(name: &str) -> Option<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/public/").to_owned() + name;
    let text = std::fs::read_to_string(&path).ok();
    if text.is_none() {
        eprintln!("SKIPPED: no {path}");
    }
    text
}

fn parse(text: &str) -> Document<'_> {
    Document::parse(text.as_bytes(), &Limits::default()).unwrap()
}

/// Names and attribute names of all elements in order; a signature is one element, a status' own text stays.
fn shape(element: Element<'_, '_>) -> Vec<String> {
    let mut out = Vec::new();
    let mut open = vec![element];
    while let Some(element) = open.pop() {
        let mut attributes: Vec<_> = element.attributes().map(|(_, local, _)| local).collect();
        attributes.sort_unstable();
        let text = if element.local_name() == "Status" {
            element.text()
        } else {
            "".into()
        };
        out.push(format!(
            "{{{}}}{} {attributes:?} {text}",
            element.namespace().unwrap_or_default(),
            element.local_name()
        ));
        if element.namespace() != Some(XMLDSIG_NAMESPACE) {
            let end = open.len();
            open.extend(element.children());
            open[end..].reverse();
        } else {
            out.pop();
            out.push("Signature".to_owned());
        }
    }
    out
}

fn find<'d, 'a>(element: Element<'d, 'a>, local: &str) -> Option<Element<'d, 'a>> {
    if element.local_name() == local {
        return Some(element);
    }
    element.children().find_map(|child| find(child, local))
}

fn delivery(format: &str, original: &str) -> Delivery {
    Delivery {
        seq: 1,
        accepted_at: Timestamp::UNIX_EPOCH,
        delivered_at: Timestamp::UNIX_EPOCH,
        message_id: "c0938f39-9a55-11ea-8ec7-2dd0b486eb66".parse().unwrap(),
        reference_id: None,
        message_type: MessageType::Response,
        sender: Party::Participant("GGER03_3T".parse().unwrap()),
        remote_sender: None,
        recipient: Party::Participant("500502_3T".parse().unwrap()),
        kind: None,
        format: format.to_owned(),
        parts: Vec::new(),
        reply_token: None,
        original_message_id: Some(original.parse().unwrap()),
        exchange_note: None,
        test: false,
        end_of_life: None,
    }
}

fn handover<'h>(delivery: &'h Delivery, envelope: &'h [u8], note: ExchangeNote) -> Handover<'h> {
    Handover {
        version: Version::V1_2,
        operation: Operation::GetResponse,
        delivery,
        envelope,
        contents: Vec::new(),
        note,
        translate: true,
    }
}

#[test]
fn a_receipt_has_the_shape_of_the_real_one() {
    let Some(real) = real("signed/1.2-gost2012-chain/2-SendRequestResponse.xml") else {
        return;
    };
    let accepted_message = Accepted {
        seq: 1,
        at: "2020-05-20T04:52:37Z".parse().unwrap(),
        recipient: Party::Participant("GGER03_3T".parse().unwrap()),
        kind: None,
        message_type: MessageType::Request,
    };
    let registry = Registry::new(RegistryContent::default());
    let sender = "500502_3T".parse().unwrap();
    let id = "39f52a38-9a54-11ea-b23a-3316e2108089".parse().unwrap();
    let answer = accepted(&author(), &registry, Version::V1_2, &sender, id, &accepted_message).unwrap();
    let (ours, theirs) = (parse(&answer.envelope), parse(&real));
    assert_eq!(shape(ours.root()), shape(theirs.root()));
    let metadata =
        |document: &Document<'_>| xmldsig::smev_transform(find(document.root(), "MessageMetadata").unwrap()).unwrap();
    assert_eq!(metadata(&ours), metadata(&theirs), "not the same to the last character");
}

#[test]
fn a_delivered_answer_has_the_shape_of_the_real_one_and_its_senders_signature_still_holds() {
    let Some(real) = real("signed/1.2-gost2012-chain/3-GetResponseResponse.xml") else {
        return;
    };
    let theirs = parse(&real);
    let data = find(theirs.root(), "SenderProvidedResponseData").unwrap();
    let signature = find(theirs.root(), "SenderInformationSystemSignature")
        .unwrap()
        .children()
        .next()
        .unwrap();
    let header = Header {
        data_scope: splice::inherited(data),
        signature_scope: splice::inherited(signature),
        ..Header::new(
            Version::V1_2,
            DataElement::Response,
            "c0938f39-9a55-11ea-8ec7-2dd0b486eb66".into(),
        )
    };
    let part = stored::encode(&header, data.source(), Some(signature.source()));
    let delivery = delivery("smev3/1.2", "39f52a38-9a54-11ea-b23a-3316e2108089");
    let registry = Registry::new(RegistryContent::default());
    let answer = deliver(
        &author(),
        &registry,
        handover(&delivery, &part, ExchangeNote::default()),
    )
    .unwrap();
    let ours = parse(&answer.envelope);
    assert_eq!(shape(ours.root()), shape(theirs.root()));

    let signature = find(ours.root(), "SenderInformationSystemSignature")
        .unwrap()
        .children()
        .next()
        .unwrap();
    let signature = xmldsig::SignatureElement::parse(signature).unwrap();
    let certificate = gost::Certificate::from_der(signature.certificate_der()).unwrap();
    let target = find(ours.root(), "SenderProvidedResponseData").unwrap();
    signature
        .verify(&ours, target, &certificate.public_key().prepare())
        .unwrap();
}

#[test]
fn a_notice_has_the_shape_of_the_real_one() {
    let Some(real) = real("responses/GetResponse-async-reject-2026-1.2.no-signature.xml") else {
        return;
    };
    let id = "b077cd84-3959-11f1-b8b2-0242333cce59";
    let notice = Notice {
        message_id: "c0938f39-9a55-11ea-8ec7-2dd0b486eb66".parse().unwrap(),
        original_message_id: id.parse().unwrap(),
        about: MessageType::Request,
        reason: NoticeReason::InvalidContent,
        details: "не соответствуют схеме".into(),
        errors: vec!["one".into(), "two".into()],
        upstream: None,
    };
    let part = serde_json::to_vec(&notice).unwrap();
    let delivery = Delivery {
        sender: Party::Gateway,
        ..delivery(NOTICE_FORMAT, id)
    };
    let note = ExchangeNote {
        transaction_code: Some("code".into()),
        upstream_reply_to: None,
    };
    let registry = Registry::new(RegistryContent::default());
    let answer = deliver(&author(), &registry, handover(&delivery, &part, note)).unwrap();
    let ours = parse(&answer.envelope);
    let mut ours = shape(crate::envelope::body(&ours).unwrap());
    // The published sample has lost its signature.
    ours.truncate(ours.len() - 2);
    assert_eq!(ours, shape(parse(&real).root()));
}

#[test]
fn a_message_of_another_version_is_not_handed_out_when_that_is_forbidden() {
    let delivery = delivery("smev3/1.3", "39f52a38-9a54-11ea-b23a-3316e2108089");
    let registry = Registry::new(RegistryContent::default());
    let handover = Handover {
        translate: false,
        ..handover(&delivery, b"", ExchangeNote::default())
    };
    let refused = deliver(&author(), &registry, handover).unwrap_err();
    assert!(
        matches!(refused, HandoverError::OtherVersion(Version::V1_3)),
        "{refused}"
    );
}
