//! The order of checks (DESIGN §6): a sender hears of the first thing that is wrong, and repairs one after the other.

use engine::names::KindName;
use engine::registry::{Grant, Kind, May, RegistryContent};
use jiff::SignedDuration;
use smev3::Version;
use smev3::fault::FaultName::{
    AccessDenied, AttachmentContentMiscoordination, AttachmentSizeLimitExceeded, BusinessDataTypeIsNotSupported,
    DestinationOverflow, EndOfLifeReached, InvalidContent, InvalidMessageIdFormat, MessageIsAlreadySent,
    RecipientIsNotFound, SMEVFailure, SenderIsNotRegistered, SignatureVerificationFault, StaleMessageId,
};

use crate::calls::{ack, payload, request_data, response_data, signature, signed};
use crate::region::{NAMESPACE, Region, STRICT, System};

const VERSION: Version = Version::V1_3;
/// The kind that has a grant, but no route.
const LOST: &str = "urn://tests/lost/1.0";
const CLOSED: &str = "urn://tests/closed/1.0";

/// A request of 1.3 with everything wrong with it.
struct Draft<'r> {
    padding: usize,
    /// Signs the message.
    sender: &'r System,
    /// Signs the routing information.
    router: &'r System,
    changed: bool,
    id: String,
    node: String,
    namespace: &'r str,
    /// Contents of the one attachment that is announced.
    contents: Vec<&'r str>,
    file_references: bool,
    end_of_life: &'r str,
}

impl Draft<'_> {
    fn call(&self) -> String {
        let routing = smev3::version::ROUTING;
        let information = format!(
            r#"<r:RoutingInformation xmlns:r="{routing}" Id="R"><r:MessageID>{}</r:MessageID></r:RoutingInformation>"#,
            self.id
        );
        let tail = format!(
            r#"<r:Routing xmlns:r="{routing}">{information}<r:RoutingSignature>{}</r:RoutingSignature></r:Routing>{}"#,
            signature(self.router, VERSION, &information),
            contents(&self.contents),
        );
        let references = "<b:RefAttachmentHeaderList><b:RefAttachmentHeader><b:uuid>u</b:uuid><b:Hash>h</b:Hash><b:MimeType>application/zip</b:MimeType></b:RefAttachmentHeader></b:RefAttachmentHeaderList>";
        let more = if self.file_references { references } else { "" };
        let data = request_data(
            &self.id,
            &payload(self.namespace, "Request", "<p:n>many</p:n>"),
            &format!("{HEADER}{more}"),
        )
        .replace(
            "</t:MessageID>",
            &format!(
                "</t:MessageID><t:NodeID>{}</t:NodeID><t:EOL>{}</t:EOL>",
                self.node, self.end_of_life
            ),
        );
        let mut call = signed(self.sender, VERSION, "SendRequest", &data, &tail);
        if self.changed {
            call = call.replace("<p:n>", "<p:n a=\"1\">");
        }
        call.replace(
            "<S:Header/>",
            &format!("<S:Header/><!--{}-->", "-x".repeat(self.padding)),
        )
    }
}

const HEADER: &str = "<b:AttachmentHeaderList><b:AttachmentHeader><b:contentId>a</b:contentId>\
                      <b:MimeType>application/zip</b:MimeType></b:AttachmentHeader></b:AttachmentHeaderList>";

fn contents(contents: &[&str]) -> String {
    let items: String = contents
        .iter()
        .map(|content| {
            format!("<b:AttachmentContent><b:Id>a</b:Id><b:Content>{content}</b:Content></b:AttachmentContent>")
        })
        .collect();
    format!("<b:AttachmentContentList>{items}</b:AttachmentContentList>")
}

/// A kind whose messages have nowhere to go, beside those of every region.
fn with_lost(registry: &mut RegistryContent) {
    let lost: KindName = "lost".parse().unwrap();
    let closed = &registry.kinds["closed"];
    let kind = Kind {
        name: lost.clone(),
        namespace: LOST.to_owned(),
        ..closed.clone()
    };
    registry.kinds.insert(lost.clone(), kind);
    registry.grants.push(Grant {
        party: "MUN001".parse().map(engine::names::Party::Participant).unwrap(),
        kind: lost,
        may: vec![May::Request],
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_faults_the_first_is_told_and_repairing_it_shows_the_next() {
    let region = Region::with(
        |engine| engine.queue_messages = 1,
        |door| {
            door.body_bytes = 64 << 10;
            door.attachments_bytes = 10;
        },
        with_lost,
    )
    .await;
    let stale = region.id().to_string();
    region.time.pass(SignedDuration::from_hours(49));
    let sent = region.id().to_string();
    let first = request_data(&sent, &payload(NAMESPACE, "Request", ""), "");
    let first = signed(&region.consumer, VERSION, "SendRequest", &first, "");
    assert_eq!(region.post(&first).await.status, 200, "it fills the provider's queue");

    let mut draft = Draft {
        padding: 64 << 10,
        sender: &region.stranger,
        router: &region.provider,
        changed: true,
        id: "7".to_owned(),
        node: "n".repeat(51),
        namespace: "urn://tests/unknown",
        contents: Vec::new(),
        file_references: true,
        end_of_life: "2026-01-01T00:00:00+03:00",
    };
    // A body that is not read is answered in the version of the path.
    region.refuses(Version::V1_2, &draft.call(), InvalidContent).await;
    draft.padding = 0;
    let fault = region.refuses(VERSION, &draft.call(), InvalidContent).await;
    assert!(fault.contains("NodeID"), "{fault}");
    draft.node = "n".to_owned();
    region.refuses(VERSION, &draft.call(), SenderIsNotRegistered).await;
    draft.sender = &region.expired;
    let fault = region.refuses(VERSION, &draft.call(), SignatureVerificationFault).await;
    assert!(fault.contains("CertificateIsExpired"), "{fault}");
    draft.sender = &region.consumer;
    let fault = region.refuses(VERSION, &draft.call(), SignatureVerificationFault).await;
    assert!(fault.contains("SignatureIsInvalid"), "{fault}");
    draft.changed = false;
    let fault = region.refuses(VERSION, &draft.call(), SignatureVerificationFault).await;
    assert!(fault.contains("RoutingSignature"), "{fault}");
    draft.router = &region.consumer;
    region.refuses(VERSION, &draft.call(), InvalidMessageIdFormat).await;
    draft.id = stale;
    region.refuses(VERSION, &draft.call(), StaleMessageId).await;
    draft.id = sent.clone();
    region.refuses(VERSION, &draft.call(), MessageIsAlreadySent).await;
    draft.id = region.id().to_string();
    region
        .refuses(VERSION, &draft.call(), BusinessDataTypeIsNotSupported)
        .await;
    draft.namespace = CLOSED;
    region.refuses(VERSION, &draft.call(), AccessDenied).await;
    draft.namespace = LOST;
    region.refuses(VERSION, &draft.call(), RecipientIsNotFound).await;
    draft.namespace = NAMESPACE;
    region
        .refuses(VERSION, &draft.call(), AttachmentContentMiscoordination)
        .await;
    draft.contents = vec!["not base64"];
    let fault = region.refuses(VERSION, &draft.call(), InvalidContent).await;
    assert!(fault.contains("base64"), "{fault}");
    draft.contents = vec!["QUFBQUFBQUFBQUE="];
    region
        .refuses(VERSION, &draft.call(), AttachmentSizeLimitExceeded)
        .await;
    draft.contents = vec!["QQ=="];
    let fault = region
        .refuses(VERSION, &draft.call(), AttachmentContentMiscoordination)
        .await;
    assert!(fault.contains("файлового хранилища"), "{fault}");
    draft.file_references = false;
    region.refuses(VERSION, &draft.call(), EndOfLifeReached).await;
    draft.end_of_life = "2099-01-01T00:00:00+03:00";
    region.refuses(VERSION, &draft.call(), DestinationOverflow).await;
    let taken = region.get(&region.provider, VERSION, "GetRequest", "");
    assert_eq!(region.post(&taken).await.status, 200);
    let taken = ack(&region.provider, VERSION, &sent, r#" accepted="true""#);
    assert_eq!(region.post(&taken).await.status, 200);
    assert_eq!(region.post(&draft.call()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_answers_many_faults_the_first_is_told() {
    let region = Region::with(|_| {}, |_| {}, with_lost).await;
    let version = Version::V1_2;
    let stale = region.id().to_string();
    region.time.pass(SignedDuration::from_hours(49));
    let request = request_data(&region.id().to_string(), &payload(NAMESPACE, "Request", ""), "");
    let request = signed(&region.consumer, version, "SendRequest", &request, "");
    assert_eq!(region.post(&request).await.status, 200);
    let taken = region
        .post(&region.get(&region.provider, version, "GetRequest", ""))
        .await;
    let taken = taken.envelope();
    let token = taken.split("ReplyTo>").nth(1).unwrap().trim_end_matches("</ns2:");

    let answer = |id: &str, to: &str, namespace: &str, root: &str, contents_of: &[&str]| {
        let inside = format!(
            "<b:MessagePrimaryContent>{}</b:MessagePrimaryContent>{HEADER}",
            payload(namespace, root, "")
        );
        let data = response_data(id, to, &inside);
        signed(&region.provider, version, "SendResponse", &data, &contents(contents_of))
    };
    let fresh = region.id().to_string();
    for (id, to, namespace, root, inside, expected) in [
        (
            "7",
            "nobody",
            "urn://tests/unknown",
            "Response",
            &[][..],
            InvalidMessageIdFormat,
        ),
        (&stale, "nobody", "urn://tests/unknown", "Response", &[], StaleMessageId),
        (
            &fresh,
            "nobody",
            "urn://tests/unknown",
            "Response",
            &[],
            BusinessDataTypeIsNotSupported,
        ),
        // Without a grant the token leads nowhere: the operation has no AccessDenied.
        (&fresh, token, LOST, "Response", &[], RecipientIsNotFound),
        (&fresh, "nobody", NAMESPACE, "Response", &[], RecipientIsNotFound),
        (
            &fresh,
            token,
            NAMESPACE,
            "Response",
            &[],
            AttachmentContentMiscoordination,
        ),
    ] {
        let call = answer(id, to, namespace, root, inside);
        region.refuses(version, &call, expected).await;
    }
    assert_eq!(
        region
            .post(&answer(&fresh, token, NAMESPACE, "Response", &["QQ=="]))
            .await
            .status,
        200
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_that_cannot_be_used_is_told_last() {
    let broken = |registry: &mut RegistryContent| {
        let strict = registry.kinds.get_mut("strict").unwrap();
        let schema = strict.schema.as_mut().unwrap();
        schema.main = "other.xsd".to_owned();
    };
    let region = Region::with(|_| {}, |_| {}, broken).await;
    let call = |end_of_life: &str| {
        let data = request_data(&region.id().to_string(), &payload(STRICT, "Request", ""), "");
        let end_of_life = format!("</t:MessageID><t:EOL>{end_of_life}</t:EOL>");
        let data = data.replace("</t:MessageID>", &end_of_life);
        signed(&region.consumer, VERSION, "SendRequest", &data, "")
    };
    region
        .refuses(VERSION, &call("2026-01-01T00:00:00Z"), EndOfLifeReached)
        .await;
    region
        .refuses(VERSION, &call("2099-01-01T00:00:00Z"), SMEVFailure)
        .await;
}
