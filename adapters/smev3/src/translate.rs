//! From one version to another: the sender's data are written anew around what is not the protocol's (DESIGN §6).
//!
//! Payload, personal signature and business metadata are spliced octet for octet; only the protocol's own elements change
//! their namespaces. The sender's signature over the data cannot survive that; the original stays in the spool. What an
//! older version has no place for (file names and archives of 1.3 headers, RoutingStatus) is left out.

use xmldsig::Element;

use crate::splice;
use crate::status;
use crate::version::{ROUTING, Version};
use crate::xml;

const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// How the data are written.
#[derive(Debug, Clone, Copy)]
pub struct Translation<'t> {
    /// The version that they are in.
    pub from: Version,
    /// The version that they shall be in.
    pub to: Version,
    /// What `AsyncProcessingStatus/OriginalMessageId` shall say; `None` leaves it.
    pub original_id: Option<&'t str>,
}

impl Translation<'_> {
    /// Appends the element in the new version. Prefixes are those of [`Version`]'s answers: none for `B`, `ns2` for `T`,
    /// `ns3` for `F`; their declarations must stand further out.
    pub fn put(&self, out: &mut String, element: Element<'_, '_>) {
        let Some(prefix) = self.prefix(element) else {
            if element.namespace() != Some(ROUTING) || self.to == Version::V1_3 {
                splice::put(out, element.source(), &splice::inherited(element));
            }
            return;
        };
        let local = element.local_name();
        if self.to != Version::V1_3 && matches!(local, "NamespaceUri" | "Archive" | "FileName") && prefix.is_empty() {
            return;
        }
        out.push('<');
        out.push_str(prefix);
        out.push_str(local);
        self.put_attributes(out, element);
        out.push('>');
        let opaque = matches!(
            local,
            "MessagePrimaryContent" | "PersonalSignature" | "BusinessProcessMetadata"
        );
        if opaque {
            element
                .children()
                .for_each(|child| splice::put(out, child.source(), &splice::inherited(child)));
        } else if element.has_element_children() {
            element.children().for_each(|child| self.put(out, child));
        } else {
            out.push_str(&self.text(element));
        }
        out.push_str("</");
        out.push_str(prefix);
        out.push_str(local);
        out.push('>');
    }

    fn text(&self, element: Element<'_, '_>) -> String {
        let text = element.text();
        let in_status = element
            .parent()
            .is_some_and(|parent| parent.local_name() == "AsyncProcessingStatus");
        match (element.local_name(), self.original_id) {
            ("StatusCategory", _) => xml::text(status::in_version(text.trim(), self.to)).into_owned(),
            ("OriginalMessageId", Some(id)) if in_status => xml::text(id).into_owned(),
            _ => xml::text(&text).into_owned(),
        }
    }

    fn prefix(&self, element: Element<'_, '_>) -> Option<&'static str> {
        self.prefix_of(element.namespace()?)
    }

    fn prefix_of(&self, namespace: &str) -> Option<&'static str> {
        match namespace {
            n if n == self.from.types() => Some("ns2:"),
            n if n == self.from.basic() => Some(""),
            n if n == self.from.faults() => Some("ns3:"),
            _ => None,
        }
    }

    fn put_attributes(&self, out: &mut String, element: Element<'_, '_>) {
        for (namespace, local, value) in element.attributes() {
            match namespace {
                None => out.push_str(&format!(" {local}=\"{}\"", xml::attribute(value))),
                Some(XSI) if local == "type" => {
                    let value = self.type_name(element, value);
                    out.push_str(&format!(" xmlns:xsi=\"{XSI}\" xsi:type=\"{}\"", xml::attribute(&value)));
                }
                Some(_) => {}
            }
        }
    }

    /// A QName in content: its prefix means a namespace, and the namespace changes.
    fn type_name(&self, element: Element<'_, '_>, value: &str) -> String {
        let (prefix, local) = match value.trim().split_once(':') {
            Some((prefix, local)) => (Some(prefix), local),
            None => (None, value.trim()),
        };
        let namespace = element
            .namespaces_in_scope()
            .find(|(p, _)| *p == prefix)
            .map(|(_, namespace)| namespace);
        match namespace.and_then(|namespace| self.prefix_of(namespace)) {
            Some(prefix) => format!("{prefix}{local}"),
            None => "SmevFault".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmldsig::{Document, Limits};

    fn translate(xml: &str, translation: Translation<'_>) -> String {
        let document = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
        let mut out = format!("<ns2:Root{}>", translation.to.declarations());
        translation.put(&mut out, document.root());
        out.push_str("</ns2:Root>");
        out
    }

    #[test]
    fn the_protocols_elements_change_and_the_rest_stays_octet_for_octet() {
        let payload = r#"<p:R xmlns:p="urn:p" a='1' ><p:x t="xs:int"/><!-- c --></p:R>"#;
        let xml = format!(
            r#"<t:SenderProvidedRequestData xmlns:t="{}" xmlns:b="{}" xmlns:xs="urn:xs" Id="I&amp;1">
            <t:MessageID>m</t:MessageID><b:MessagePrimaryContent>{payload}</b:MessagePrimaryContent>
            <b:AttachmentHeaderList><b:AttachmentHeader><b:contentId>c</b:contentId><b:NamespaceUri>n</b:NamespaceUri>
            <b:MimeType>a/b</b:MimeType></b:AttachmentHeader></b:AttachmentHeaderList>
            </t:SenderProvidedRequestData>"#,
            Version::V1_3.types(),
            Version::V1_3.basic(),
        );
        for to in [Version::V1_1, Version::V1_2] {
            let text = translate(
                &xml,
                Translation {
                    from: Version::V1_3,
                    to,
                    original_id: None,
                },
            );
            let document = Document::parse(text.as_bytes(), &Limits::default()).unwrap();
            let data = document.root().children().next().unwrap();
            assert!(data.is(to.types(), "SenderProvidedRequestData"));
            assert_eq!(data.attribute("Id"), Some("I&1"));
            assert_eq!(data.only_child(to.types(), "MessageID").unwrap().text(), "m");
            let content = data.only_child(to.basic(), "MessagePrimaryContent").unwrap();
            let moved = content.children().next().unwrap();
            let original = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
            let original = original
                .root()
                .child(Version::V1_3.basic(), "MessagePrimaryContent")
                .unwrap();
            let original = original.children().next().unwrap();
            assert_eq!(
                xmldsig::smev_transform(moved).unwrap(),
                xmldsig::smev_transform(original).unwrap()
            );
            assert!(
                moved.source().ends_with(r#"><p:x t="xs:int"/><!-- c --></p:R>"#),
                "{}",
                moved.source()
            );
            assert!(moved.namespaces_in_scope().any(|n| n == (Some("xs"), "urn:xs")));
            assert!(
                text.contains("<contentId>c</contentId><MimeType>a/b</MimeType>"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_notice_keeps_its_type_and_gets_the_senders_identifier() {
        let xml = format!(
            r#"<t:AsyncProcessingStatus xmlns:t="{0}"><t:OriginalMessageId>north</t:OriginalMessageId>
            <t:StatusCategory>responseIsRejectedBySmev</t:StatusCategory><t:SmevFault xmlns:i="{XSI}" xmlns:f="{1}"
            i:type="f:InvalidContent"><Code xmlns="{2}">1</Code><f:ValidationError errorPosition="-1">x</f:ValidationError>
            </t:SmevFault></t:AsyncProcessingStatus>"#,
            Version::V1_2.types(),
            Version::V1_2.faults(),
            Version::V1_2.basic(),
        );
        let translation = Translation {
            from: Version::V1_2,
            to: Version::V1_1,
            original_id: Some("home"),
        };
        let text = translate(&xml, translation);
        assert!(
            text.contains("<ns2:OriginalMessageId>home</ns2:OriginalMessageId>"),
            "{text}"
        );
        assert!(
            text.contains("<ns2:StatusCategory>requestIsRejectedBySmev</ns2:StatusCategory>"),
            "{text}"
        );
        assert!(text.contains(r#"xsi:type="ns3:InvalidContent""#), "{text}");
        assert!(
            text.contains(r#"<ns3:ValidationError errorPosition="-1">x</ns3:ValidationError>"#),
            "{text}"
        );
    }
}
