//! The main job: exchanges inside the region and with the bus, every operation in every version.

#![allow(clippy::unwrap_used, reason = "what a test cannot go on without fails it there")]

mod buses;
#[path = "../common/mod.rs"]
mod common;
mod content;
mod operations;
mod queues;
mod tls;

use emulator::{AsyncStatus, Attachment, Reply, RequestData};

use common::{request, sign};

/// A request with everything that a request can have and every version knows.
fn full_request(system: &emulator::Participant, namespace: &str, text: &str) -> RequestData {
    let mut data = system
        .new_request(request(namespace, text))
        .transaction_code("код <транзакции> & ещё")
        .test();
    data.reference_message_id = Some(data.message_id.clone());
    data.eol = Some("2099-12-31T23:59:59+03:00".to_owned());
    let personal = "<p:Personal xmlns:p=\"urn://test/personal\" Id=\"PERSONAL_SIGNATURE\"/>";
    data.personal_signature = Some(sign(system.identity(), personal));
    data.business_process_metadata = Some(
        "<m:frgu xmlns:m=\"urn://x-artefacts-smev-gov-ru/services/message-exchange/business-process-metadata/1.0\">7300000000</m:frgu>"
            .to_owned(),
    );
    let mut signed = Attachment::new(
        "scan.zip",
        "application/zip",
        [0u8, 1, 2, 255, b'<', b'\r', b'\n'].as_slice(),
    );
    signed.signature_pkcs7 = Some(b"a detached CMS, kept as it was".to_vec());
    data.attach(signed)
        .attach(Attachment::new("1d0a.txt", "text/plain", "вложение".as_bytes()))
}

/// XML without the declarations that its surroundings lend it; those of these tests' own prefixes stay.
fn bare_xml(xml: &str) -> String {
    let (tag, rest) = xml.split_once('>').expect("an element has a start tag");
    let own = ["xmlns:k=", "xmlns:p=", "xmlns:m=", "xmlns:ds="];
    let keep = |part: &&str| !part.starts_with("xmlns") || own.iter().any(|own| part.starts_with(own));
    let kept: Vec<&str> = tag.split(' ').filter(keep).collect();
    format!("{}>{rest}", kept.join(" "))
}

fn bare(mut data: RequestData) -> RequestData {
    data.content = bare_xml(&data.content);
    data.personal_signature = data.personal_signature.as_deref().map(bare_xml);
    data.business_process_metadata = data.business_process_metadata.as_deref().map(bare_xml);
    data
}

fn bare_reply(reply: &Reply) -> Reply {
    let mut bare = reply.clone();
    if let Reply::Content { content, .. } = &mut bare {
        *content = bare_xml(content);
    }
    bare
}

fn assert_is_rejection(reply: &Reply, about: &str, as_category: &str) {
    let Reply::Async(AsyncStatus {
        original_message_id,
        category,
        fault,
        ..
    }) = reply
    else {
        panic!("not a notice: {reply:?}")
    };
    assert_eq!((original_message_id.as_str(), category.as_str()), (about, as_category));
    assert_eq!(
        fault.as_ref().map(|fault| fault.element.as_str()),
        Some("InvalidContent")
    );
}
