//! What the client writes verifies and says what it should; what it reads is believed only if it verifies.

use engine::command::{Answer as Form, AnswerTo, Content, MessageType, Notice, NoticeReason};
use engine::registry::Registry;
use gost::{Curve, KeyAlgorithm, SoftwareKey, SubjectName};
use hyper::StatusCode;
use xmldsig::{Document, Element, Limits, SignatureElement};

use super::outgoing::build;
use super::*;
use crate::envelope::{Call, envelope};
use crate::mime::{Attachment, Multipart};
use crate::splice::{Declaration, inherited};
use crate::stored::{self, DataElement, ExchangeNote, Header, Stored, StoredAttachment};
use crate::version::ROUTING;
use crate::{attachments, request};

const SENDERS: &str = "db0486d0-3c08-11e5-95e2-d4c9eff07b77";
const NORTHBOUND: &str = "39f52a38-9a54-11ea-b23a-3316e2108089";

fn seal(name: &str) -> Seal {
    let key = SoftwareKey::generate(Curve::CryptoProA, KeyAlgorithm::Gost2012_256).unwrap();
    let subject = SubjectName::new(name).unwrap();
    let certificate = gost::self_signed(&key, &subject, 1_700_000_000, 2_000_000_000).unwrap();
    Seal {
        signer: Arc::new(key),
        certificate,
    }
}

fn parse(text: &str) -> Document<'_> {
    Document::parse(text.as_bytes(), &Limits::default()).unwrap()
}

/// A stored message from its data; the data's document has the prefixes `t`, `b` and `q`.
fn stored_message(
    version: Version,
    element: DataElement,
    inside: &str,
    attachments: &[&str],
    routing: Option<&str>,
) -> Vec<u8> {
    let name = if element == DataElement::Request {
        "SenderProvidedRequestData"
    } else {
        "SenderProvidedResponseData"
    };
    let (types, basic) = (version.types(), version.basic());
    let text = format!(
        r#"<t:Call xmlns:t="{types}" xmlns:b="{basic}" xmlns:q="urn:q"><t:{name} Id="SIGNED_BY_CALLER"><t:MessageID>{SENDERS}</t:MessageID>{inside}</t:{name}></t:Call>"#
    );
    let document = parse(&text);
    let data = document.root().children().next().unwrap();
    let header = Header {
        version,
        element,
        data_scope: inherited(data),
        signature_scope: Vec::<Declaration>::new(),
        message_id: SENDERS.to_owned(),
        reference_id: None,
        transaction_code: None,
        node_id: None,
        end_of_life: None,
        to: None,
        test: false,
        attachments: attachments
            .iter()
            .map(|id| StoredAttachment {
                content_id: (*id).to_owned(),
                mime_type: "application/zip".to_owned(),
            })
            .collect(),
        routing: routing.map(str::to_owned),
        file_storage: None,
        remote_name: None,
    };
    stored::encode(&header, data.source(), None)
}

fn write(
    stored: &[u8],
    attachments: &[Vec<u8>],
    to: Option<&str>,
    version: Version,
    seal: &Seal,
) -> Result<Outgoing, BuildError> {
    let content = DispatchContent::Message { stored, attachments };
    build(
        &Dispatch {
            content,
            id: NORTHBOUND.parse().unwrap(),
            reply_to: to,
        },
        version,
        seal,
    )
}

fn body(outgoing: &Outgoing) -> String {
    String::from_utf8(outgoing.call.body.to_vec()).unwrap()
}

/// Verifies the caller's signature as a bus does, and gives the signed element.
fn verified<'d, 'a>(document: &'d Document<'a>, seal: &Seal) -> Element<'d, 'a> {
    let call = Call::find(document).unwrap();
    let signed = request::signed(&call).unwrap();
    let signature = SignatureElement::parse(signed.signature).unwrap();
    signature
        .verify(document, signed.target, &seal.certificate.public_key().prepare())
        .unwrap();
    signed.target
}

const CONTENT: &str = concat!(
    "<t:ReferenceMessageID>db0486d0-3c08-11e5-95e2-d4c9eff07b77</t:ReferenceMessageID>",
    "<t:TransactionCode>код</t:TransactionCode><t:NodeID>n1</t:NodeID><t:EOL>2030-01-01T00:00:00+03:00</t:EOL>",
    r#"<b:MessagePrimaryContent><p:R xmlns:p='urn:p' Id="SIGNED_BY_CALLER_1" t="q:T" ><!-- c --><p:x/></p:R></b:MessagePrimaryContent>"#,
    r#"<t:PersonalSignature><ds:Signature xmlns:ds="http://www.w3.org/2000/09/xmldsig#">personal</ds:Signature></t:PersonalSignature>"#,
    r#"<t:BusinessProcessMetadata><m:frgu xmlns:m="urn:m">1</m:frgu></t:BusinessProcessMetadata><t:TestMessage/>"#,
);

#[test]
fn a_request_goes_under_our_signature_with_the_senders_content_in_every_version() {
    let seal = seal("gateway");
    for from in Version::ALL {
        for to in Version::ALL {
            let stored = stored_message(from, DataElement::Request, CONTENT, &[], None);
            let outgoing = write(&stored, &[], None, to, &seal).unwrap();
            assert_eq!(
                (outgoing.call.action, outgoing.id().to_string().as_str()),
                ("urn:SendRequest", NORTHBOUND)
            );
            let text = body(&outgoing);
            let document = parse(&text);
            let data = verified(&document, &seal);
            let names: Vec<_> = data.children().map(Element::local_name).collect();
            let expected = [
                "MessageID",
                "ReferenceMessageID",
                "TransactionCode",
                "EOL",
                "MessagePrimaryContent",
                "PersonalSignature",
                "BusinessProcessMetadata",
                "TestMessage",
            ];
            assert_eq!(names, expected, "{from} to {to}");
            let sent = request::request(data, to).unwrap();
            assert_eq!(
                (sent.message_id.as_str(), sent.transaction_code.as_deref()),
                (NORTHBOUND, Some("код"))
            );
            assert_eq!(
                sent.reference_id.map(|id| id.to_string()).as_deref(),
                Some(NORTHBOUND),
                "the root refers to itself"
            );
            assert!(sent.node.is_none() && sent.test && sent.end_of_life.is_some());
            let payload = sent.payload.unwrap();
            assert!(
                payload
                    .source()
                    .ends_with(r#" Id="SIGNED_BY_CALLER_1" t="q:T" ><!-- c --><p:x/></p:R>"#)
            );
            assert!(payload.namespaces_in_scope().any(|scope| scope == (Some("q"), "urn:q")));
            assert!(text.contains(">personal</ds:Signature>") && text.contains(">1</m:frgu>"));
        }
    }
}

#[test]
fn attachments_go_as_mtom_and_pair() {
    let seal = seal("gateway");
    let inside = concat!(
        r#"<b:MessagePrimaryContent><p:R xmlns:p="urn:p"/></b:MessagePrimaryContent><b:AttachmentHeaderList>"#,
        "<b:AttachmentHeader><b:contentId>1a.zip</b:contentId><b:MimeType>application/zip</b:MimeType>",
        "<b:SignaturePKCS7>AAAA</b:SignaturePKCS7></b:AttachmentHeader>",
        "<b:AttachmentHeader><b:contentId>акт</b:contentId><b:MimeType>application/zip</b:MimeType></b:AttachmentHeader>",
        "</b:AttachmentHeaderList>",
    );
    let stored = stored_message(Version::V1_1, DataElement::Request, inside, &["1a.zip", "акт"], None);
    let files = [b"PK\r\n--\0".to_vec(), vec![7; 1000]];
    for version in Version::ALL {
        let outgoing = write(&stored, &files, None, version, &seal).unwrap();
        let multipart = Multipart::parse(&outgoing.call.content_type, &outgoing.call.body).unwrap();
        let document = Document::parse(multipart.root.octets, &Limits::default()).unwrap();
        let sent = request::request(verified(&document, &seal), version).unwrap();
        let call = Call::find(&document).unwrap();
        let read = attachments::contents(call.element, version, &sent.attachments, Some(&multipart), 10_000).unwrap();
        assert_eq!(read, files);
    }
    assert!(matches!(
        write(&stored, &files[..1], None, Version::V1_2, &seal),
        Err(BuildError::Stored(_))
    ));
}

#[test]
fn routing_is_signed_anew_for_the_identifier_under_which_the_message_goes() {
    let seal = seal("gateway");
    let routing = format!(
        r#"<r:RoutingInformation xmlns:r="{ROUTING}" Id="R"><r:MessageID>{SENDERS}</r:MessageID><r:DynamicRouting><r:DynamicValue>73</r:DynamicValue></r:DynamicRouting></r:RoutingInformation>"#
    );
    let stored = stored_message(Version::V1_3, DataElement::Request, CONTENT, &[], Some(&routing));
    let text = body(&write(&stored, &[], None, Version::V1_3, &seal).unwrap());
    let document = parse(&text);
    verified(&document, &seal);
    let routing = request::routing(Call::find(&document).unwrap().element)
        .unwrap()
        .unwrap();
    assert_eq!(
        (routing.message_id.as_str(), routing.dynamic.as_slice()),
        (NORTHBOUND, ["73".to_owned()].as_slice())
    );
    let signature = SignatureElement::parse(routing.signature.unwrap()).unwrap();
    signature
        .verify(&document, routing.information, &seal.certificate.public_key().prepare())
        .unwrap();

    let refused = write(&stored, &[], None, Version::V1_2, &seal);
    assert!(
        matches!(
            refused,
            Err(BuildError::NotExpressible {
                version: Version::V1_2,
                ..
            })
        ),
        "{refused:?}"
    );
}

#[test]
fn an_answer_goes_to_the_upstreams_reply_to_and_nowhere_without_one() {
    let seal = seal("gateway");
    let inside = "<t:To>token of ours</t:To><t:RequestRejected><t:RejectionReasonCode>NO_DATA</t:RejectionReasonCode>\
                  <t:RejectionReasonDescription>нет</t:RejectionReasonDescription></t:RequestRejected>";
    let stored = stored_message(Version::V1_2, DataElement::Response, inside, &[], None);
    let text = body(&write(&stored, &[], Some("eyJ= <&>"), Version::V1_1, &seal).unwrap());
    let document = parse(&text);
    let answer = request::response(verified(&document, &seal), Version::V1_1).unwrap();
    assert_eq!(
        (answer.to.as_str(), answer.sent.message_id.as_str()),
        ("eyJ= <&>", NORTHBOUND)
    );
    assert!(matches!(answer.answer, request::Answer::Rejected));
    assert!(matches!(
        write(&stored, &[], None, Version::V1_1, &seal),
        Err(BuildError::NoReplyTo)
    ));
}

#[test]
fn a_notice_to_a_requester_behind_the_upstream_is_a_rejection() {
    let seal = seal("gateway");
    let notice = Notice {
        message_id: NORTHBOUND.parse().unwrap(),
        original_message_id: SENDERS.parse().unwrap(),
        about: MessageType::Request,
        reason: NoticeReason::Operator,
        details: "нет & <нет>".to_owned(),
        errors: vec![],
        upstream: None,
    };
    let content = DispatchContent::Notice(&notice);
    let dispatch = Dispatch {
        content,
        id: NORTHBOUND.parse().unwrap(),
        reply_to: Some("to"),
    };
    let text = body(&build(&dispatch, Version::V1_3, &seal).unwrap());
    let document = parse(&text);
    let answer = request::response(verified(&document, &seal), Version::V1_3).unwrap();
    assert!(matches!(answer.answer, request::Answer::Rejected));
}

#[test]
fn polls_and_acks_are_signed_and_say_what_they_select() {
    let seal = seal("gateway");
    let root = PayloadRoot {
        namespace: "urn:p&q".to_owned(),
        local: "R".to_owned(),
    };
    let now: jiff::Timestamp = "2026-03-02T10:00:00.25Z".parse().unwrap();
    for version in Version::ALL {
        for (selector, pull) in [(Some(&root), Pull::Requests), (None, Pull::Responses)] {
            let call = seal::poll(pull.operation(), selector, now, version, &seal).unwrap();
            let text = String::from_utf8(call.body.to_vec()).unwrap();
            let document = parse(&text);
            let read = request::selector(verified(&document, &seal), version).unwrap();
            assert_eq!((read.root.as_ref(), read.timestamp), (selector, now));
        }
        let status = seal::poll(Operation::GetStatus, None, now, version, &seal).unwrap();
        let text = String::from_utf8(status.body.to_vec()).unwrap();
        assert_eq!(request::timestamp(verified(&parse(&text), &seal)).unwrap(), now);
        let ack = seal::ack(NORTHBOUND.parse().unwrap(), version, &seal).unwrap();
        let text = String::from_utf8(ack.body.to_vec()).unwrap();
        let target = request::ack(verified(&parse(&text), &seal)).unwrap();
        assert_eq!((target.id.as_str(), target.accepted), (NORTHBOUND, true));
    }
}

fn read(answer: &HttpAnswer, trusted: &TrustedSigners, pull: Pull) -> Result<Option<Pulled>, ClientError> {
    let registry = Registry::default();
    let upstream = "federal".parse().unwrap();
    let reader = Reader {
        upstream: &upstream,
        trusted,
        registry: &registry,
        fresh_id: SENDERS.parse().unwrap(),
    };
    reader.read(&Answer::open(answer)?, pull.operation())
}

fn plain(text: &str) -> HttpAnswer {
    HttpAnswer {
        status: StatusCode::OK,
        content_type: "text/xml".to_owned(),
        body: text.to_owned().into(),
    }
}

#[test]
fn a_real_answer_of_the_bus_is_read_under_its_certificate_and_no_other() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../../shared/data/public/signed/1.2-gost2012-chain/3-GetResponseResponse.xml"
    );
    let Ok(text) = std::fs::read_to_string(path) else {
        eprintln!("SKIPPED: no {path}");
        return;
    };
    let document = parse(&text);
    let message = crate::envelope::body(&document).unwrap().children().next().unwrap();
    let wrapper = message.child(Version::V1_2.types(), "SMEVSignature").unwrap();
    let signature = SignatureElement::parse(wrapper.children().next().unwrap()).unwrap();
    let bus = Certificate::from_der(signature.certificate_der()).unwrap();

    let pulled = read(
        &plain(&text),
        &TrustedSigners::new(std::slice::from_ref(&bus)),
        Pull::Responses,
    )
    .unwrap()
    .unwrap();
    assert_eq!(
        pulled.acknowledge.unwrap().to_string(),
        "c0938f39-9a55-11ea-8ec7-2dd0b486eb66"
    );
    assert_eq!(pulled.incoming.remote_sender.as_deref(), Some("GGER03_3T"));
    assert_eq!(pulled.incoming.evidence.certificate, bus.id());
    let Content::Response { to, answer, .. } = &pulled.incoming.content else {
        panic!("it is an answer")
    };
    assert_eq!(*to, AnswerTo::Original(NORTHBOUND.parse().unwrap()));
    assert!(matches!(answer, Form::Payload(root) if root.local == "PublicPrintOutResponse"));
    let stored = Stored::decode(&pulled.incoming.parts[0].octets).unwrap();
    assert!(
        text.contains(stored.data) && text.contains(stored.signature.unwrap()),
        "octets as received"
    );

    let others = TrustedSigners::new(&[seal("other").certificate]);
    assert!(matches!(
        read(&plain(&text), &others, Pull::Responses),
        Err(ClientError::BadSignature(_))
    ));
    let trusted = TrustedSigners::new(&[bus]);
    let altered = text.replace("<ReestrDate>2020-01-21<", "<ReestrDate>2020-01-22<");
    assert!(matches!(
        read(&plain(&altered), &trusted, Pull::Responses),
        Err(ClientError::BadSignature(_))
    ));
}

/// An answer with a message that `bus` signed.
fn answer_with(operation: &str, wrapper: &str, signed: &str, beside: &str, bus: &Seal) -> String {
    let types = Version::V1_1.types();
    let signature = bus.sign(signed).unwrap();
    envelope(&format!(
        r#"<t:{operation}Response xmlns:t="{types}"><t:{wrapper}>{signed}{beside}<t:SMEVSignature>{signature}</t:SMEVSignature></t:{wrapper}></t:{operation}Response>"#
    ))
}

#[test]
fn a_request_brings_its_attachments_its_reply_to_and_its_list_of_files() {
    let bus = seal("bus");
    let (types, basic) = (Version::V1_1.types(), Version::V1_1.basic());
    let signed = format!(
        r#"<t:Request xmlns:t="{types}" xmlns="{basic}" Id="S"><t:SenderProvidedRequestData Id="X"><t:MessageID>{NORTHBOUND}</t:MessageID><t:TransactionCode>tc</t:TransactionCode><MessagePrimaryContent><p:R xmlns:p="urn:p"/></MessagePrimaryContent><AttachmentHeaderList><AttachmentHeader><contentId>f</contentId><MimeType>a/b</MimeType><SignaturePKCS7>cGtjcw==</SignaturePKCS7></AttachmentHeader></AttachmentHeaderList><RefAttachmentHeaderList><RefAttachmentHeader><uuid>u</uuid></RefAttachmentHeader></RefAttachmentHeaderList></t:SenderProvidedRequestData><t:MessageMetadata><t:Sender><t:Mnemonic>FNS</t:Mnemonic><t:HumanReadableName>ФНС</t:HumanReadableName></t:Sender></t:MessageMetadata><FSAttachmentsList><FSAttachment><uuid>u</uuid></FSAttachment></FSAttachmentsList><t:ReplyTo>eyJ=</t:ReplyTo></t:Request>"#
    );
    let list = |content: &str| {
        format!(
            r#"<AttachmentContentList xmlns="{basic}"><AttachmentContent><Id>f</Id><Content>{content}</Content></AttachmentContent></AttachmentContentList>"#
        )
    };
    let include = |id: &str| format!(r#"<xop:Include xmlns:xop="{}" href="cid:{id}"/>"#, crate::version::XOP);
    let inline = plain(&answer_with(
        "GetRequest",
        "RequestMessage",
        &signed,
        &list("aGVsbG8="),
        &bus,
    ));
    // MTOM takes every base64 text out, signed or not; the signature is over the whole.
    let text = answer_with("GetRequest", "RequestMessage", &signed, &list(&include("1")), &bus);
    let text = text.replace("cGtjcw==", &include("2"));
    let part = |id: &str, octets: &[u8]| Attachment {
        content_id: id.to_owned(),
        content_type: "application/octet-stream".to_owned(),
        octets: octets.to_vec(),
    };
    let (content_type, body) = crate::mime::write(&text, &[part("1", b"hello"), part("2", b"pkcs")]);
    let mtom = HttpAnswer {
        status: StatusCode::OK,
        content_type,
        body: body.into(),
    };

    let trusted = TrustedSigners::new(std::slice::from_ref(&bus.certificate));
    for answer in [inline, mtom] {
        let incoming = read(&answer, &trusted, Pull::Requests).unwrap().unwrap().incoming;
        assert_eq!(
            (incoming.parts.len(), incoming.parts[1].octets.as_slice()),
            (2, b"hello".as_slice())
        );
        assert!(!incoming.file_references, "the files come with their access data");
        let note = ExchangeNote::decode(incoming.exchange_note.as_deref().unwrap()).unwrap();
        assert_eq!(
            (note.transaction_code.as_deref(), note.upstream_reply_to.as_deref()),
            (Some("tc"), Some("eyJ="))
        );
        let stored = Stored::decode(&incoming.parts[0].octets).unwrap();
        assert!(
            stored
                .header
                .file_storage
                .as_deref()
                .is_some_and(|list| list.contains(">u</uuid>"))
        );
        assert!(stored.data.contains(">cGtjcw==<"));
        assert_eq!(stored.header.remote_name.as_deref(), Some("ФНС"));
        assert_eq!(incoming.evidence.attachments.len(), 1);
    }
}

#[test]
fn a_status_gets_an_identifier_and_needs_no_ack() {
    let bus = seal("bus");
    let types = Version::V1_1.types();
    let signed = format!(
        r#"<t:AsyncProcessingStatusData xmlns:t="{types}" Id="S"><t:AsyncProcessingStatus><t:OriginalMessageId>{NORTHBOUND}</t:OriginalMessageId><t:StatusCategory>requestIsRejectedBySmev</t:StatusCategory></t:AsyncProcessingStatus></t:AsyncProcessingStatusData>"#
    );
    let answer = plain(&answer_with(
        "GetStatus",
        "SmevAsyncProcessingMessage",
        &signed,
        "",
        &bus,
    ));
    let pulled = read(&answer, &TrustedSigners::new(&[bus.certificate]), Pull::Status)
        .unwrap()
        .unwrap();
    assert_eq!(
        (pulled.acknowledge, pulled.incoming.message_id.to_string().as_str()),
        (None, SENDERS)
    );
    let Content::Response { to, answer, .. } = pulled.incoming.content else {
        panic!("it is about an answer")
    };
    assert_eq!(
        (to, answer),
        (
            AnswerTo::Original(NORTHBOUND.parse().unwrap()),
            Form::Async { rejection: true }
        )
    );
}

#[test]
fn a_signature_over_another_element_is_not_believed() {
    let bus = seal("bus");
    let types = Version::V1_1.types();
    let inner = format!(r#"<t:Request xmlns:t="{types}" Id="S"/>"#);
    let signed = answer_with("GetRequest", "RequestMessage", &inner, "", &bus);
    // The signed element is moved aside, and another takes its place.
    let forged = format!(r#"<t:Request xmlns:t="{types}" Id="F"><t:SenderProvidedRequestData/></t:Request>"#);
    let text = signed.replace(&inner, &format!("{forged}<aside>{inner}</aside>"));
    let trusted = TrustedSigners::new(&[bus.certificate]);
    assert!(matches!(
        read(&plain(&text), &trusted, Pull::Requests),
        Err(ClientError::BadSignature(_))
    ));
    let unsigned = signed.replace("SMEVSignature", "Other");
    assert!(matches!(
        read(&plain(&unsigned), &trusted, Pull::Requests),
        Err(ClientError::BadSignature(_))
    ));
}
