//! Canonical XML 1.0 and Exclusive XML Canonicalization 1.0, both without comments.

use crate::{
    Element,
    element::prefix_at,
    escape::push_escaped,
    walk::{Subtree, Visitor, walk},
};
use roxmltree::{NS_XML_URI, Node};
use std::convert::Infallible;

/// The exclusive canonical form of `element` with everything inside (`http://www.w3.org/2001/10/xml-exc-c14n#`).
///
/// `inclusive_prefixes` is the PrefixList of InclusiveNamespaces; `#default` stands for the default namespace.
pub fn exclusive_c14n(element: Element<'_, '_>, inclusive_prefixes: &[&str]) -> String {
    canonicalize(Subtree::whole(element.0), Method::Exclusive(inclusive_prefixes))
}

/// The canonical form of `element` with everything inside, in the context of its document
/// (`http://www.w3.org/TR/2001/REC-xml-c14n-20010315`).
pub fn inclusive_c14n(element: Element<'_, '_>) -> String {
    canonicalize(Subtree::whole(element.0), Method::Inclusive)
}

/// Which of the two, and with which PrefixList.
#[derive(Clone, Copy)]
pub(crate) enum Method<'p> {
    Exclusive(&'p [&'p str]),
    Inclusive,
}

pub(crate) fn canonicalize<'d, 'a>(part: Subtree<'d, 'a>, method: Method<'_>) -> String {
    let length = part.apex.range().len();
    let mut writer = Writer {
        source: part.apex.document().input_text(),
        method,
        apex: part.apex,
        out: String::with_capacity(length + length / 4),
        rendered: Vec::with_capacity(16),
        hidden: Vec::with_capacity(16),
        open: Vec::with_capacity(32),
        fresh: Vec::new(),
        attributes: Vec::new(),
    };
    match walk(part, &mut writer) {
        Ok(()) => writer.out,
        Err(never) => match never {},
    }
}

struct Writer<'d, 'a, 'p> {
    source: &'a str,
    method: Method<'p>,
    apex: Node<'d, 'a>,
    out: String,
    /// The declarations that hold in the output at this place, one for each prefix (`""` for the default namespace).
    rendered: Vec<(&'d str, &'d str)>,
    /// What they hid: index in `rendered` and the name that held before, `None` if the entry is new.
    hidden: Vec<(usize, Option<&'d str>)>,
    /// The open elements: name, and length of `hidden` before each.
    open: Vec<(&'a str, usize)>,
    /// Declarations that the current element must make; a buffer.
    fresh: Vec<(&'d str, &'d str)>,
    /// The current element's attributes; a buffer.
    attributes: Vec<Attribute<'d, 'a>>,
}

struct Attribute<'d, 'a> {
    namespace: &'d str,
    local: &'a str,
    prefix: &'a str,
    value: &'d str,
}

impl<'d, 'a: 'd> Visitor<'d, 'a> for Writer<'d, 'a, '_> {
    type Error = Infallible;

    fn open(&mut self, element: Node<'d, 'a>) -> Result<(), Infallible> {
        let start = element.range().start + 1;
        let local = element.tag_name().name();
        let prefix = prefix_at(self.source, start);
        let name_length = local.len() + if prefix.is_empty() { 0 } else { prefix.len() + 1 };
        let name = &self.source[start..start + name_length];
        self.open.push((name, self.hidden.len()));
        self.out.push('<');
        self.out.push_str(name);

        self.read_attributes(element);
        self.fresh.clear();
        match self.method {
            Method::Exclusive(inclusive) => {
                self.declare(prefix, element.tag_name().namespace().unwrap_or_default());
                for at in 0..self.attributes.len() {
                    let Attribute { prefix, namespace, .. } = self.attributes[at];
                    if !prefix.is_empty() {
                        self.declare(prefix, namespace);
                    }
                }
                if !inclusive.is_empty() {
                    self.declare_scope(element, |prefix| {
                        inclusive
                            .iter()
                            .any(|p| *p == prefix || (prefix.is_empty() && *p == "#default"))
                    });
                }
            }
            Method::Inclusive => self.declare_scope(element, |_| true),
        }
        self.write_declarations();
        self.write_attributes();
        self.out.push('>');
        Ok(())
    }

    fn close(&mut self) {
        let Some((name, hidden)) = self.open.pop() else { return };
        self.out.push_str("</");
        self.out.push_str(name);
        self.out.push('>');
        while self.hidden.len() > hidden {
            match self.hidden.pop() {
                Some((at, Some(before))) => self.rendered[at].1 = before,
                _ => {
                    self.rendered.pop();
                }
            }
        }
    }

    fn text(&mut self, text: &'d str) {
        push_escaped(&mut self.out, text, |octet| match octet {
            b'&' => Some("&amp;"),
            b'<' => Some("&lt;"),
            b'>' => Some("&gt;"),
            b'\r' => Some("&#xD;"),
            _ => None,
        });
    }

    fn instruction(&mut self, instruction: roxmltree::PI<'a>) {
        self.out.push_str("<?");
        self.out.push_str(instruction.target);
        if let Some(data) = instruction.value {
            self.out.push(' ');
            // The parser normalises line ends everywhere but here.
            let mut lines = data.split('\r');
            self.out.push_str(lines.next().unwrap_or_default());
            for line in lines {
                self.out.push('\n');
                self.out.push_str(line.strip_prefix('\n').unwrap_or(line));
            }
        }
        self.out.push_str("?>");
    }
}

impl<'d, 'a: 'd> Writer<'d, 'a, '_> {
    fn read_attributes(&mut self, element: Node<'d, 'a>) {
        self.attributes.clear();
        self.attributes.extend(element.attributes().map(|a| {
            let namespace = a.namespace().unwrap_or_default();
            let prefix = if namespace.is_empty() {
                ""
            } else {
                prefix_at(self.source, a.range().start)
            };
            Attribute {
                namespace,
                local: a.name(),
                prefix,
                value: a.value(),
            }
        }));
        if matches!(self.method, Method::Inclusive) && element == self.apex {
            self.inherit_xml_attributes(element);
        }
        if self.attributes.len() > 1 {
            self.attributes
                .sort_unstable_by(|a, b| (a.namespace, a.local).cmp(&(b.namespace, b.local)));
        }
    }

    /// Canonical XML 1.0 §2.4: the apex takes over `xml:…` attributes of its ancestors, from the nearest.
    fn inherit_xml_attributes(&mut self, apex: Node<'d, 'a>) {
        for ancestor in apex.ancestors().skip(1) {
            for a in ancestor.attributes().filter(|a| a.namespace() == Some(NS_XML_URI)) {
                if !self
                    .attributes
                    .iter()
                    .any(|own| own.namespace == NS_XML_URI && own.local == a.name())
                {
                    let attribute = Attribute {
                        namespace: NS_XML_URI,
                        local: a.name(),
                        prefix: "xml",
                        value: a.value(),
                    };
                    self.attributes.push(attribute);
                }
            }
        }
    }

    /// Makes the current element declare `prefix` unless that already holds in the output.
    fn declare(&mut self, prefix: &'d str, namespace: &'d str) {
        if prefix == "xml" {
            return;
        }
        match self.rendered.iter().rposition(|(p, _)| *p == prefix) {
            Some(at) if self.rendered[at].1 == namespace => return,
            Some(at) => {
                self.hidden.push((at, Some(self.rendered[at].1)));
                self.rendered[at].1 = namespace;
            }
            None if namespace.is_empty() => return,
            None => {
                self.hidden.push((self.rendered.len(), None));
                self.rendered.push((prefix, namespace));
            }
        }
        self.fresh.push((prefix, namespace));
    }

    /// Declares what is in scope and wanted, where the scope is another than the parent's.
    fn declare_scope(&mut self, element: Node<'d, 'a>, wanted: impl Fn(&str) -> bool) {
        let same_scope = |parent: Node<'d, 'a>| {
            element.namespaces().len() == parent.namespaces().len()
                && element
                    .namespaces()
                    .zip(parent.namespaces())
                    .all(|(own, inherited)| std::ptr::eq(own, inherited))
        };
        if element != self.apex && element.parent().is_some_and(same_scope) {
            return;
        }
        let mut default = "";
        for namespace in element.namespaces() {
            match namespace.name() {
                None => default = namespace.uri(),
                Some(prefix) if wanted(prefix) => self.declare(prefix, namespace.uri()),
                Some(_) => {}
            }
        }
        if wanted("") {
            self.declare("", default);
        }
    }

    fn write_declarations(&mut self) {
        self.fresh.sort_unstable();
        for (prefix, namespace) in &self.fresh {
            self.out.push_str(" xmlns");
            if !prefix.is_empty() {
                self.out.push(':');
                self.out.push_str(prefix);
            }
            self.out.push_str("=\"");
            push_attribute_value(&mut self.out, namespace);
            self.out.push('"');
        }
    }

    fn write_attributes(&mut self) {
        for attribute in &self.attributes {
            self.out.push(' ');
            if !attribute.prefix.is_empty() {
                self.out.push_str(attribute.prefix);
                self.out.push(':');
            }
            self.out.push_str(attribute.local);
            self.out.push_str("=\"");
            push_attribute_value(&mut self.out, attribute.value);
            self.out.push('"');
        }
    }
}

/// Appends an attribute's value as Canonical XML writes it.
pub(crate) fn push_attribute_value(out: &mut String, value: &str) {
    push_escaped(out, value, |octet| match octet {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'"' => Some("&quot;"),
        b'\t' => Some("&#x9;"),
        b'\n' => Some("&#xA;"),
        b'\r' => Some("&#xD;"),
        _ => None,
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, Limits};

    /// Both canonical forms of the first descendant called `e`.
    fn forms(xml: &str, prefixes: &[&str]) -> (String, String) {
        let document = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
        let mut element = document.root();
        while element.local_name() != "e" {
            element = element.children().next().unwrap();
        }
        (exclusive_c14n(element, prefixes), inclusive_c14n(element))
    }

    #[test]
    fn exclusive_declares_what_is_used_and_inclusive_what_is_in_scope() {
        let xml = r#"<r xmlns="urn:d" xmlns:a="urn:a" xmlns:b="urn:b" xml:lang="ru"><b:e a:x="1"><b:f/><g/></b:e></r>"#;
        let (exclusive, inclusive) = forms(xml, &[]);
        assert_eq!(
            exclusive,
            r#"<b:e xmlns:a="urn:a" xmlns:b="urn:b" a:x="1"><b:f></b:f><g xmlns="urn:d"></g></b:e>"#
        );
        assert_eq!(
            inclusive,
            r#"<b:e xmlns="urn:d" xmlns:a="urn:a" xmlns:b="urn:b" xml:lang="ru" a:x="1"><b:f></b:f><g></g></b:e>"#
        );
    }

    #[test]
    fn listed_prefixes_are_declared_where_their_scope_begins() {
        let xml =
            r#"<r xmlns="urn:d" xmlns:a="urn:a"><a:e><a:f xmlns:q="urn:q" xmlns=""/><a:g xmlns:q="urn:q"/></a:e></r>"#;
        assert_eq!(
            forms(xml, &["q", "#default", "none"]).0,
            r#"<a:e xmlns="urn:d" xmlns:a="urn:a"><a:f xmlns="" xmlns:q="urn:q"></a:f><a:g xmlns:q="urn:q"></a:g></a:e>"#
        );
        assert_eq!(
            forms(xml, &[]).0,
            r#"<a:e xmlns:a="urn:a"><a:f></a:f><a:g></a:g></a:e>"#
        );
    }

    #[test]
    fn a_default_namespace_is_undeclared_only_where_one_was_declared() {
        let (exclusive, inclusive) = forms(r#"<e xmlns=""><f xmlns="urn:f"><g xmlns=""/></f></e>"#, &[]);
        assert_eq!(exclusive, r#"<e><f xmlns="urn:f"><g xmlns=""></g></f></e>"#);
        assert_eq!(inclusive, exclusive);
    }

    #[test]
    fn a_prefix_that_changes_its_namespace_is_declared_again_and_comes_back() {
        let xml = r#"<p:e xmlns:p="urn:1"><p:f xmlns:p="urn:2"><p:g xmlns:p="urn:1"/></p:f><p:h/></p:e>"#;
        assert_eq!(
            forms(xml, &[]).0,
            r#"<p:e xmlns:p="urn:1"><p:f xmlns:p="urn:2"><p:g xmlns:p="urn:1"></p:g></p:f><p:h></p:h></p:e>"#
        );
    }

    #[test]
    fn characters_are_written_as_the_standard_says() {
        let xml =
            "<e b='&#9;&#10;&#13;\"&gt;&lt;' a='x\r\ny'>]]&gt;&#13;\r\n\"<![CDATA[<&>]]><?pi  a\r\nb?><!-- --></e>";
        assert_eq!(
            forms(xml, &[]).0,
            "<e a=\"x y\" b=\"&#x9;&#xA;&#xD;&quot;>&lt;\">]]&gt;&#xD;\n\"&lt;&amp;&gt;<?pi a\nb?></e>"
        );
    }
}
