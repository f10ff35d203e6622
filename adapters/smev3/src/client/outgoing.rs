//! A stored message written for an upstream (DESIGN §6): under the gateway's own name and signature, with the sender's
//! content spliced octet for octet.
//!
//! What the gateway says itself is the message's identifier, `To` and the signatures; `NodeID` is the region's own
//! business and dropped; everything else is the sender's. Where the upstream speaks another version, the elements of
//! the protocol are translated, and what is inside them (payload, personal signature, metadata) is still spliced.

use std::fmt::Write as _;

use bytes::Bytes;
use engine::command::Notice;
use engine::names::MessageId;
use xmldsig::{Document, Element, Limits};

use super::error::BuildError;
use super::seal::Seal;
use super::transport::HttpCall;
use crate::envelope::{ENVELOPE_HEAD, ENVELOPE_TAIL, Operation};
use crate::mime;
use crate::splice;
use crate::stored::{DataElement, Header, Stored};
use crate::translate::Translation;
use crate::version::{ROUTING, Version};
use crate::xml;

/// A message from the spool that is to go to an upstream.
#[derive(Debug, Clone, Copy)]
pub struct Dispatch<'a> {
    /// What it is.
    pub content: DispatchContent<'a>,
    /// The identifier under which it goes.
    pub id: MessageId,
    /// The upstream's ReplyTo, for answers: becomes `To`, verbatim.
    pub reply_to: Option<&'a str>,
}

/// What goes to an upstream.
#[derive(Debug, Clone, Copy)]
pub enum DispatchContent<'a> {
    /// A participant's message: part 0, and the attachments in their order.
    Message {
        /// Part 0: a [`Stored`] message.
        stored: &'a [u8],
        /// Parts 1 and following.
        attachments: &'a [Vec<u8>],
    },
    /// The gateway's word that a request of the upstream could not be served; goes as RequestRejected.
    Notice(&'a Notice),
}

/// A signed call, ready to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub(super) operation: Operation,
    pub(super) id: MessageId,
    pub(super) call: HttpCall,
}

impl Outgoing {
    /// The identifier under which the message goes.
    pub fn id(&self) -> MessageId {
        self.id
    }
}

/// Writes and signs a message. CPU-heavy in proportion to the message's size.
pub(super) fn build(dispatch: &Dispatch<'_>, version: Version, seal: &Seal) -> Result<Outgoing, BuildError> {
    match dispatch.content {
        DispatchContent::Message { stored, attachments } => {
            let stored = Stored::decode(stored).map_err(|error| BuildError::Stored(error.to_string()))?;
            message(dispatch, &stored, attachments, version, seal)
        }
        DispatchContent::Notice(notice) => self::notice(dispatch, notice, version, seal),
    }
}

fn message(
    dispatch: &Dispatch<'_>,
    stored: &Stored<'_>,
    attachments: &[Vec<u8>],
    version: Version,
    seal: &Seal,
) -> Result<Outgoing, BuildError> {
    let header = &stored.header;
    let operation = match header.element {
        DataElement::Request => Operation::SendRequest,
        DataElement::Response => Operation::SendResponse,
        DataElement::Status => return Err(BuildError::Stored("it is a status of an upstream".to_owned())),
    };
    if attachments.len() != header.attachments.len() {
        return Err(BuildError::Stored(format!(
            "it has {} attachments of {}",
            attachments.len(),
            header.attachments.len()
        )));
    }
    let text = stored.standalone_data();
    let document = Document::parse(text.as_bytes(), &Limits::of_accepted())
        .map_err(|error| BuildError::Stored(error.to_string()))?;
    let writer = DataWriter {
        header,
        dispatch,
        version,
    };
    let data = writer.data(document.root())?;
    let signature = seal.sign(&data)?;
    let routing = writer.routing(seal)?;

    let contents = contents(header, attachments);
    let list = contents
        .iter()
        .zip(&header.attachments)
        .fold(String::new(), |mut list, (part, attachment)| {
            xml_content(&mut list, &attachment.content_id, &part.content_id);
            list
        });
    let list = if list.is_empty() {
        list
    } else {
        format!("<AttachmentContentList>{list}</AttachmentContentList>")
    };
    let body = wrap(
        operation,
        version,
        &[&data, &list, &signature_wrapper(&signature), &routing],
    );
    let (content_type, body) = if contents.is_empty() {
        (super::seal::PLAIN.to_owned(), body.into_bytes())
    } else {
        mime::write(&body, &contents)
    };
    let call = HttpCall {
        action: super::seal::action(operation),
        content_type,
        body: Bytes::from(body),
    };
    Ok(Outgoing {
        operation,
        id: dispatch.id,
        call,
    })
}

fn contents(header: &Header, attachments: &[Vec<u8>]) -> Vec<mime::Attachment> {
    let parts = header.attachments.iter().zip(attachments);
    parts
        .map(|(attachment, octets)| mime::Attachment {
            content_id: mime::content_id(&attachment.content_id),
            content_type: attachment.mime_type.clone(),
            octets: octets.clone(),
        })
        .collect()
}

fn xml_content(list: &mut String, id: &str, content_id: &str) {
    list.push_str("<AttachmentContent>");
    xml::element(list, "Id", id);
    list.push_str("<Content><xop:Include xmlns:xop=\"http://www.w3.org/2004/08/xop/include\" href=\"cid:");
    list.push_str(&xml::attribute(content_id));
    list.push_str("\"/></Content></AttachmentContent>");
}

pub(super) fn signature_wrapper(signature: &str) -> String {
    format!("<ns2:CallerInformationSystemSignature>{signature}</ns2:CallerInformationSystemSignature>")
}

/// The whole envelope around the parts of an operation's request.
pub(super) fn wrap(operation: Operation, version: Version, parts: &[&str]) -> String {
    let name = operation.request_element();
    let mut out = String::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + 600);
    out.push_str(ENVELOPE_HEAD);
    // Writing to a String cannot fail.
    let _ = write!(out, "<ns2:{name}{}>", version.declarations());
    parts.iter().for_each(|part| out.push_str(part));
    let _ = write!(out, "</ns2:{name}>");
    out.push_str(ENVELOPE_TAIL);
    out
}

struct DataWriter<'a> {
    header: &'a Header,
    dispatch: &'a Dispatch<'a>,
    version: Version,
}

impl DataWriter<'_> {
    /// The gateway's own SenderProvided*Data around the sender's content.
    fn data(&self, source: Element<'_, '_>) -> Result<String, BuildError> {
        let name = source.local_name();
        let id = unused_id(source.source(), "SIGNED_BY_CALLER");
        let translation = Translation {
            from: self.header.version,
            to: self.version,
            original_id: None,
        };
        let mut out = String::with_capacity(source.source().len() + 1024);
        let _ = write!(out, r#"<ns2:{name}{} Id="{id}">"#, self.version.declarations());
        for child in source.children() {
            let own = child.namespace() == Some(self.header.version.types());
            match child.local_name() {
                "MessageID" if own => xml::element(&mut out, "ns2:MessageID", &self.dispatch.id.to_string()),
                "ReferenceMessageID" if own => self.reference(&mut out, child),
                "NodeID" if own => {}
                "To" if own => self.to(&mut out)?,
                _ if self.header.version == self.version => out.push_str(&splice::standalone(child)),
                _ => translation.put(&mut out, child),
            }
        }
        let _ = write!(out, "</ns2:{name}>");
        Ok(out)
    }

    /// The root message of a chain refers to itself; it does so under its new identifier too.
    fn reference(&self, out: &mut String, child: Element<'_, '_>) {
        let reference = child.text();
        let own = reference.trim() == self.header.message_id;
        let text = if own {
            self.dispatch.id.to_string()
        } else {
            reference.into_owned()
        };
        xml::element(out, "ns2:ReferenceMessageID", &text);
    }

    fn to(&self, out: &mut String) -> Result<(), BuildError> {
        xml::element(out, "ns2:To", self.dispatch.reply_to.ok_or(BuildError::NoReplyTo)?);
        Ok(())
    }

    /// 1.3 routing names the message, so it is written anew and signed by the gateway.
    fn routing(&self, seal: &Seal) -> Result<String, BuildError> {
        let Some(source) = &self.header.routing else {
            return Ok(String::new());
        };
        if self.version != Version::V1_3 {
            return Err(BuildError::NotExpressible {
                version: self.version,
                what: "routing".to_owned(),
            });
        }
        let document = Document::parse(source.as_bytes(), &Limits::of_accepted())
            .map_err(|error| BuildError::Stored(error.to_string()))?;
        let mut information =
            format!(r#"<routing:RoutingInformation xmlns:routing="{ROUTING}" Id="ROUTING_SIGNED_BY_CALLER">"#);
        xml::element(&mut information, "routing:MessageID", &self.dispatch.id.to_string());
        for child in document
            .root()
            .children()
            .filter(|child| !child.is(ROUTING, "MessageID"))
        {
            information.push_str(&splice::standalone(child));
        }
        information.push_str("</routing:RoutingInformation>");
        let signature = seal.sign(&information)?;
        Ok(format!(
            r#"<routing:Routing xmlns:routing="{ROUTING}">{information}<routing:RoutingSignature>{signature}</routing:RoutingSignature></routing:Routing>"#
        ))
    }
}

/// An Id that stands nowhere in the text.
fn unused_id(text: &str, wanted: &str) -> String {
    let numbered = (1_u32..).map(|number| format!("{wanted}_{number}"));
    std::iter::once(wanted.to_owned())
        .chain(numbered)
        .find(|id| !text.contains(id.as_str()))
        .expect("a text of bounded length does not hold every number")
}

/// A notice to a requester behind the upstream. The protocol has one form for it: the provider's RequestRejected.
fn notice(dispatch: &Dispatch<'_>, notice: &Notice, version: Version, seal: &Seal) -> Result<Outgoing, BuildError> {
    let mut data = format!(
        r#"<ns2:SenderProvidedResponseData{} Id="SIGNED_BY_CALLER">"#,
        version.declarations()
    );
    xml::element(&mut data, "ns2:MessageID", &dispatch.id.to_string());
    xml::element(&mut data, "ns2:To", dispatch.reply_to.ok_or(BuildError::NoReplyTo)?);
    data.push_str("<ns2:RequestRejected>");
    xml::element(&mut data, "ns2:RejectionReasonCode", "FAILURE");
    xml::element(
        &mut data,
        "ns2:RejectionReasonDescription",
        xml::shortened(&crate::answer::notice::details(notice), 4000),
    );
    data.push_str("</ns2:RequestRejected></ns2:SenderProvidedResponseData>");
    let signature = seal.sign(&data)?;
    let operation = Operation::SendResponse;
    let body = wrap(operation, version, &[&data, &signature_wrapper(&signature)]);
    Ok(Outgoing {
        operation,
        id: dispatch.id,
        call: super::seal::plain(operation, body),
    })
}
