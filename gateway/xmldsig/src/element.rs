//! Looking at an element: names, attributes, children, text, and its octets.

use std::{borrow::Cow, ops::Range};

/// An element of a [`Document`](crate::Document). Cheap to copy; equal only to itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element<'d, 'a>(pub(crate) roxmltree::Node<'d, 'a>);

impl<'d, 'a> Element<'d, 'a> {
    /// Whether this is the element `local` of `namespace`.
    pub fn is(self, namespace: &str, local: &str) -> bool {
        self.local_name() == local && self.namespace() == Some(namespace)
    }

    /// The name of its namespace, if it is in one.
    pub fn namespace(self) -> Option<&'d str> {
        self.0.tag_name().namespace().filter(|uri| !uri.is_empty())
    }

    /// The name without a prefix.
    pub fn local_name(self) -> &'a str {
        self.0.tag_name().name()
    }

    /// The prefix as it stands in the source.
    pub fn prefix(self) -> Option<&'a str> {
        match prefix_at(self.0.document().input_text(), self.0.range().start + 1) {
            "" => None,
            prefix => Some(prefix),
        }
    }

    /// The value of the attribute `local` in no namespace, normalised as XML 1.0 §3.3.3 says.
    pub fn attribute(self, local: &str) -> Option<&'d str> {
        self.0
            .attributes()
            .find(|a| a.name() == local && a.namespace().is_none())
            .map(|a| a.value())
    }

    /// The value of the attribute `local` of `namespace`.
    pub fn attribute_ns(self, namespace: &str, local: &str) -> Option<&'d str> {
        self.0
            .attributes()
            .find(|a| a.name() == local && a.namespace() == Some(namespace))
            .map(|a| a.value())
    }

    /// All attributes but namespace declarations: namespace, local name, value, in the order of the source.
    pub fn attributes(self) -> impl Iterator<Item = (Option<&'d str>, &'a str, &'d str)> {
        self.0.attributes().map(|a| (a.namespace(), a.name(), a.value()))
    }

    /// The element that contains this one; `None` for the root.
    pub fn parent(self) -> Option<Element<'d, 'a>> {
        self.0.parent().filter(roxmltree::Node::is_element).map(Element)
    }

    /// The child elements, in order.
    pub fn children(self) -> impl Iterator<Item = Element<'d, 'a>> + Clone {
        self.0.children().filter(roxmltree::Node::is_element).map(Element)
    }

    /// The first child element `local` of `namespace`.
    pub fn child(self, namespace: &str, local: &str) -> Option<Element<'d, 'a>> {
        self.children().find(|e| e.is(namespace, local))
    }

    /// The one and only child element `local` of `namespace`.
    ///
    /// # Errors
    /// [`ChildError`] when there is none, or more than one.
    pub fn only_child(self, namespace: &str, local: &str) -> Result<Element<'d, 'a>, ChildError> {
        let mut matching = self.children().filter(|e| e.is(namespace, local));
        match (matching.next(), matching.next()) {
            (None, _) => Err(ChildError::Missing),
            (Some(element), None) => Ok(element),
            (Some(_), Some(_)) => Err(ChildError::Duplicate),
        }
    }

    /// The text directly inside, concatenated: CDATA counts as text, comments and processing instructions do not part
    /// it, child elements are left out.
    pub fn text(self) -> Cow<'d, str> {
        concatenate(
            self.0
                .children()
                .filter(roxmltree::Node::is_text)
                .filter_map(|n| text_of(n)),
        )
    }

    /// All text inside, that of descendants included.
    pub fn deep_text(self) -> Cow<'d, str> {
        concatenate(
            self.0
                .descendants()
                .filter(roxmltree::Node::is_text)
                .filter_map(|n| text_of(n)),
        )
    }

    /// Whether there are child elements.
    pub fn has_element_children(self) -> bool {
        self.children().next().is_some()
    }

    /// Whether there is text other than white space directly inside.
    pub fn has_text(self) -> bool {
        self.0
            .children()
            .filter_map(|n| text_of(n))
            .any(|text| !text.bytes().all(is_xml_space))
    }

    /// Where the element stands in the source octets, from `<` of its start tag to `>` of its end tag.
    pub fn range(self) -> Range<usize> {
        self.0.range()
    }

    /// The element exactly as it was received.
    pub fn source(self) -> &'a str {
        &self.0.document().input_text()[self.0.range()]
    }

    /// Whether both are the same element of the same document, whatever the compiler knows of their lifetimes.
    pub(crate) fn is_same(self, other: Element<'_, '_>) -> bool {
        self.is_same_document(other) && self.0.id() == other.0.id()
    }

    pub(crate) fn is_same_document(self, other: Element<'_, '_>) -> bool {
        std::ptr::addr_eq(self.0.document(), other.0.document())
    }

    /// The namespaces in scope, own and inherited: prefix (`None` for the default namespace) and name.
    /// The prefix `xml` is not among them.
    pub fn namespaces_in_scope(self) -> impl Iterator<Item = (Option<&'d str>, &'d str)> {
        self.0
            .namespaces()
            .map(|n| (n.name(), n.uri()))
            .filter(|(_, uri)| !uri.is_empty())
    }
}

/// Why there is not exactly one such child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChildError {
    /// There is none.
    #[error("the element is missing")]
    Missing,
    /// There are several.
    #[error("the element occurs more than once")]
    Duplicate,
}

/// The prefix of the qualified name that starts at `start`; empty if it has none.
pub(crate) fn prefix_at(source: &str, start: usize) -> &str {
    let name = source.get(start..).unwrap_or_default();
    match name
        .bytes()
        .position(|b| matches!(b, b':' | b' ' | b'\t' | b'\n' | b'\r' | b'=' | b'/' | b'>'))
    {
        Some(end) if name.as_bytes()[end] == b':' => &name[..end],
        _ => "",
    }
}

/// Text of a text node. (`Node::text` of an element would be that of its first child.)
pub(crate) fn text_of<'d>(node: roxmltree::Node<'d, '_>) -> Option<&'d str> {
    if node.is_text() { node.text() } else { None }
}

pub(crate) fn is_xml_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\n' | b'\r')
}

fn concatenate<'d>(mut parts: impl Iterator<Item = &'d str>) -> Cow<'d, str> {
    let mut text = Cow::Borrowed(parts.next().unwrap_or_default());
    for part in parts {
        text.to_mut().push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::{ChildError, Document, Limits};

    fn parse(xml: &str) -> Document<'_> {
        Document::parse(xml.as_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn comments_cdata_and_instructions_do_not_hide_text() {
        let doc = parse("<a>7<!-- 1 -->3<![CDATA[7]]>0<?x 9?>1<b>5</b></a>");
        assert_eq!(doc.root().text(), "73701");
        assert_eq!(doc.root().deep_text(), "737015");
        assert!(doc.root().has_text());
        assert!(!parse("<a> <!-- t --> <b>t</b></a>").root().has_text());
    }

    #[test]
    fn names_are_those_of_the_namespace_not_of_the_prefix() {
        let doc = parse(r#"<p:a xmlns:p="urn:1" xmlns="urn:2" p:x="1" x="2"><b/><c xmlns=""/></p:a>"#);
        let root = doc.root();
        assert!(root.is("urn:1", "a") && !root.is("urn:2", "a"));
        assert_eq!(
            (root.prefix(), root.attribute("x"), root.attribute_ns("urn:1", "x")),
            (Some("p"), Some("2"), Some("1"))
        );
        let children: Vec<_> = root
            .children()
            .map(|c| (c.namespace(), c.prefix(), c.local_name()))
            .collect();
        assert_eq!(children, [(Some("urn:2"), None, "b"), (None, None, "c")]);
    }

    #[test]
    fn an_only_child_is_alone() {
        let doc = parse(r#"<a xmlns="urn:1"><b/><c/><c/></a>"#);
        assert_eq!(doc.root().only_child("urn:1", "b").unwrap().local_name(), "b");
        assert_eq!(doc.root().only_child("urn:1", "c"), Err(ChildError::Duplicate));
        assert_eq!(doc.root().only_child("urn:2", "b"), Err(ChildError::Missing));
    }

    #[test]
    fn the_source_of_an_element_is_its_octets_also_behind_a_byte_order_mark() {
        let xml = "\u{feff}<a>\r\n<b  x='1'  >т</b\t></a>";
        let doc = parse(xml);
        let b = doc.root().children().next().unwrap();
        assert_eq!(b.source(), "<b  x='1'  >т</b\t>");
        assert_eq!(&xml.as_bytes()[b.range()], b.source().as_bytes());
    }

    #[test]
    fn scope_lists_what_is_inherited_and_not_what_is_hidden() {
        let doc = parse(r#"<a xmlns="urn:1" xmlns:p="urn:2" xmlns:q="urn:3"><b xmlns="" xmlns:p="urn:4"/></a>"#);
        let mut scope: Vec<_> = doc.root().children().next().unwrap().namespaces_in_scope().collect();
        scope.sort_unstable();
        assert_eq!(scope, [(Some("p"), "urn:4"), (Some("q"), "urn:3")]);
    }
}
