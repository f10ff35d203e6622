//! The transform `urn://smev-gov-ru/xmldsig/transform` (PROTOCOL §6.3; rule numbers in the comments are those there).
//!
//! It is defined over the octets that a canonicalisation left. What it reads from them (names, values, text, processing
//! instructions) is the same in the tree that the canonicalisation was made from, so the common case, exclusive
//! canonicalisation and then this, runs from the tree in one go. Text around a comment is one run then: the
//! canonicalisation would have dropped the comment.

use crate::{
    Document, Element, Limits, ParseError,
    escape::push_escaped,
    walk::{Subtree, Visitor, walk},
};
use roxmltree::{NS_XML_URI, Node};
use std::cmp::Ordering;

/// Exclusive canonicalisation of `element`, then the SMEV transform.
///
/// # Errors
/// [`TransformError::NoNamespace`] and [`TransformError::XmlAttribute`].
pub fn smev_transform(element: Element<'_, '_>) -> Result<String, TransformError> {
    transform(Subtree::whole(element.0))
}

/// The SMEV transform alone, of a stand-alone document. In a signature it always follows a canonicalisation.
///
/// # Errors
/// As [`smev_transform`], and [`TransformError::Parse`] when `octets` are not a document within `limits`.
pub fn smev_transform_octets(octets: &[u8], limits: &Limits) -> Result<String, TransformError> {
    smev_transform(Document::parse(octets, limits)?.root())
}

/// Why a transform has no result: a signature over such an element cannot be valid (rule 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransformError {
    /// The element at this octet is in no namespace.
    #[error("the element at octet {at} is in no namespace")]
    NoNamespace {
        /// Where its start tag begins.
        at: usize,
    },
    /// The element at this octet has an attribute of the namespace `xml`.
    #[error("the element at octet {at} has an attribute with the prefix xml")]
    XmlAttribute {
        /// Where its start tag begins.
        at: usize,
    },
    /// The octets to be transformed are not a document that we would read.
    #[error(transparent)]
    Parse(#[from] ParseError),
}

pub(crate) fn transform(part: Subtree<'_, '_>) -> Result<String, TransformError> {
    let length = part.apex.range().len();
    let mut writer = Writer {
        out: String::with_capacity(length + length / 4),
        prefixes: Vec::with_capacity(16),
        last_number: 0,
        open: Vec::with_capacity(32),
        run: Run::Empty,
        attributes: Vec::new(),
    };
    walk(part, &mut writer)?;
    Ok(writer.out)
}

struct Writer<'d, 'a> {
    out: String,
    /// Namespaces declared by the open elements, from the outermost, each with the number of its prefix.
    prefixes: Vec<(&'d str, u32)>,
    last_number: u32,
    open: Vec<Open<'a>>,
    run: Run<'d>,
    /// The current element's attributes; a buffer.
    attributes: Vec<Attribute<'d, 'a>>,
}

struct Open<'a> {
    prefix: u32,
    local: &'a str,
    /// Length of `prefixes` before this element.
    declared: usize,
}

struct Attribute<'d, 'a> {
    namespace: Option<&'d str>,
    local: &'a str,
    value: &'d str,
    prefix: u32,
}

/// A maximal run of text, still open. Several parts are rare: only comments part text.
enum Run<'d> {
    Empty,
    One(&'d str),
    Joined(String),
}

impl<'d, 'a: 'd> Visitor<'d, 'a> for Writer<'d, 'a> {
    type Error = TransformError;

    fn open(&mut self, element: Node<'d, 'a>) -> Result<(), TransformError> {
        self.end_run();
        let at = element.range().start;
        let name = element.tag_name();
        let namespace = name
            .namespace()
            .filter(|uri| !uri.is_empty())
            .ok_or(TransformError::NoNamespace { at })?;
        let declared = self.prefixes.len();
        let prefix = self.prefix_of(namespace);
        self.out.push('<');
        push_name(&mut self.out, prefix, name.name());

        self.attributes.clear();
        for a in element.attributes() {
            if a.namespace() == Some(NS_XML_URI) {
                return Err(TransformError::XmlAttribute { at });
            }
            self.attributes.push(Attribute {
                namespace: a.namespace(),
                local: a.name(),
                value: a.value(),
                prefix: 0,
            });
        }
        if self.attributes.len() > 1 {
            self.attributes.sort_unstable_by(in_order_of_the_transform);
        }
        for at in 0..self.attributes.len() {
            if let Some(namespace) = self.attributes[at].namespace {
                self.attributes[at].prefix = self.prefix_of(namespace);
            }
        }
        for (namespace, number) in &self.prefixes[declared..] {
            self.out.push_str(" xmlns:ns");
            push_decimal(&mut self.out, *number);
            self.out.push_str("=\"");
            push_attribute_value(&mut self.out, namespace);
            self.out.push('"');
        }
        for attribute in &self.attributes {
            self.out.push(' ');
            match attribute.namespace {
                Some(_) => push_name(&mut self.out, attribute.prefix, attribute.local),
                None => self.out.push_str(attribute.local),
            }
            self.out.push_str("=\"");
            push_attribute_value(&mut self.out, attribute.value);
            self.out.push('"');
        }
        self.out.push('>');
        self.open.push(Open {
            prefix,
            local: name.name(),
            declared,
        });
        Ok(())
    }

    fn close(&mut self) {
        self.end_run();
        let Some(element) = self.open.pop() else { return };
        self.out.push_str("</");
        push_name(&mut self.out, element.prefix, element.local);
        self.out.push('>');
        self.prefixes.truncate(element.declared);
    }

    fn text(&mut self, text: &'d str) {
        self.run = match std::mem::replace(&mut self.run, Run::Empty) {
            Run::Empty => Run::One(text),
            Run::One(before) => Run::Joined([before, text].concat()),
            Run::Joined(mut before) => {
                before.push_str(text);
                Run::Joined(before)
            }
        };
    }

    fn instruction(&mut self, _: roxmltree::PI<'a>) {
        self.end_run();
    }
}

impl<'d> Writer<'d, '_> {
    /// Rule 3: the outermost open element that declared it, else a new number; numbers are never used again.
    fn prefix_of(&mut self, namespace: &'d str) -> u32 {
        if let Some((_, number)) = self.prefixes.iter().find(|(declared, _)| same(declared, namespace)) {
            return *number;
        }
        self.last_number += 1;
        self.prefixes.push((namespace, self.last_number));
        self.last_number
    }

    /// Rule 2.
    fn end_run(&mut self) {
        let joined;
        let text = match std::mem::replace(&mut self.run, Run::Empty) {
            Run::Empty => return,
            Run::One(text) => text,
            Run::Joined(text) => {
                joined = text;
                joined.as_str()
            }
        };
        if !text.bytes().all(|octet| octet <= b' ') {
            push_run(&mut self.out, text);
        }
    }
}

/// Equality that sees at once when both are the same place of the tree, as they nearly always are.
fn same(a: &str, b: &str) -> bool {
    std::ptr::eq(a, b) || a == b
}

/// Rule 4: with a namespace before without; by namespace, then by local name, both by UTF-16 units.
fn in_order_of_the_transform(a: &Attribute<'_, '_>, b: &Attribute<'_, '_>) -> Ordering {
    let by_name = || compare_utf16(a.local, b.local);
    match (a.namespace, b.namespace) {
        (Some(a), Some(b)) => compare_utf16(a, b).then_with(by_name),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => by_name(),
    }
}

fn compare_utf16(a: &str, b: &str) -> Ordering {
    if a.is_ascii() && b.is_ascii() {
        a.cmp(b)
    } else {
        a.encode_utf16().cmp(b.encode_utf16())
    }
}

/// Rule 6. The lengths are constants of the Woodstox writer: a short run is escaped unit by unit, a longer one is
/// copied to a buffer of 512 units at a time, and what `>` looks back at does not reach over the edge of a buffer.
fn push_run(out: &mut String, text: &str) {
    const SHORT: usize = 11;
    const CHUNK: usize = 512;
    if !text
        .bytes()
        .any(|octet| matches!(octet, b'&' | b'<' | b'>' | b'\r' | 0x7f | 0xc2))
    {
        out.push_str(text);
        return;
    }
    let short = text.encode_utf16().take(SHORT + 1).count() <= SHORT;
    let mut unit = 0;
    let mut before = Before::Nothing;
    for (at, c) in text.char_indices() {
        if !short && unit % CHUNK == 0 {
            before = Before::Nothing;
        }
        unit += c.len_utf16();
        let reference = match c {
            '&' => "&amp;",
            '<' => "&lt;",
            '\r' => "&#xd;",
            '>' if matches!(before, Before::Nothing | Before::Bracket) || (before == Before::Reference && !short) => {
                "&gt;"
            }
            '\u{7f}'..='\u{9f}' => {
                push_control(out, c);
                before = Before::Reference;
                continue;
            }
            _ => {
                out.push_str(&text[at..at + c.len_utf8()]);
                before = if c == ']' { Before::Bracket } else { Before::Other };
                continue;
            }
        };
        out.push_str(reference);
        before = Before::Reference;
    }
}

/// What stands before a character in its run or chunk.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Bracket,
    Reference,
    Other,
}

fn push_control(out: &mut String, c: char) {
    out.push_str("&#x");
    for shift in [4, 0] {
        out.extend(char::from_digit((c as u32 >> shift) & 0xf, 16));
    }
    out.push(';');
}

/// Rule 7.
fn push_attribute_value(out: &mut String, value: &str) {
    push_escaped(out, value, |octet| match octet {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'"' => Some("&quot;"),
        b'\t' => Some("&#x9;"),
        b'\n' => Some("&#xa;"),
        b'\r' => Some("&#xd;"),
        _ => None,
    });
}

fn push_name(out: &mut String, prefix: u32, local: &str) {
    out.push_str("ns");
    push_decimal(out, prefix);
    out.push(':');
    out.push_str(local);
}

fn push_decimal(out: &mut String, number: u32) {
    if number >= 10 {
        push_decimal(out, number / 10);
    }
    out.extend(char::from_digit(number % 10, 10));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exclusive_c14n;

    fn both_ways(xml: &str) -> String {
        let doc = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
        let fused = smev_transform(doc.root()).unwrap();
        let canonical = exclusive_c14n(doc.root(), &[]);
        assert_eq!(
            smev_transform_octets(canonical.as_bytes(), &Limits::default()).unwrap(),
            fused,
            "{xml}"
        );
        fused
    }

    #[test]
    fn a_comment_does_not_part_a_run_and_an_instruction_does() {
        assert_eq!(
            both_ways("<a xmlns='u'>a]<!-- -->></a>"),
            r#"<ns1:a xmlns:ns1="u">a]&gt;</ns1:a>"#
        );
        assert_eq!(
            both_ways("<a xmlns='u'>a<!-- -->></a>"),
            r#"<ns1:a xmlns:ns1="u">a></ns1:a>"#
        );
        assert_eq!(
            both_ways("<a xmlns='u'>a<?p?>></a>"),
            r#"<ns1:a xmlns:ns1="u">a&gt;</ns1:a>"#
        );
        assert_eq!(
            both_ways("<a xmlns='u'> <!-- --> <![CDATA[ ]]>b</a>"),
            r#"<ns1:a xmlns:ns1="u">   b</ns1:a>"#
        );
        assert_eq!(
            both_ways("<a xmlns='u'> <!-- --> <b/> <?p?> x</a>"),
            r#"<ns1:a xmlns:ns1="u"><ns1:b></ns1:b> x</ns1:a>"#
        );
    }

    #[test]
    fn numbers_of_prefixes_are_not_used_again() {
        let out = both_ways("<a xmlns='u' xmlns:v='v'><v:b v:x='1'/><v:b/></a>");
        assert_eq!(
            out,
            r#"<ns1:a xmlns:ns1="u"><ns2:b xmlns:ns2="v" ns2:x="1"></ns2:b><ns3:b xmlns:ns3="v"></ns3:b></ns1:a>"#
        );
    }

    #[test]
    fn what_cannot_be_transformed_is_named_by_its_place() {
        let at = |xml: &str| smev_transform_octets(xml.as_bytes(), &Limits::default());
        assert_eq!(at("<a/>"), Err(TransformError::NoNamespace { at: 0 }));
        assert_eq!(
            at("<a xmlns='u'><b xmlns=''/></a>"),
            Err(TransformError::NoNamespace { at: 13 })
        );
        assert_eq!(
            at("<a xmlns='u'><b xml:lang='ru'/></a>"),
            Err(TransformError::XmlAttribute { at: 13 })
        );
        assert_eq!(at("<a>"), smev_transform_octets(b"<a>", &Limits::default()));
        assert!(matches!(at("<a>"), Err(TransformError::Parse(_))));
    }

    #[test]
    fn lengths_are_counted_in_utf16_units() {
        // 10 units and 11 units before `>`: the second run is a long one, where a reference before `>` counts.
        assert_eq!(
            both_ways("<a xmlns='u'>&lt;>aaaaaaa😀</a>"),
            r#"<ns1:a xmlns:ns1="u">&lt;>aaaaaaa😀</ns1:a>"#
        );
        assert_eq!(
            both_ways("<a xmlns='u'>&lt;>aaaaaaaa😀</a>"),
            r#"<ns1:a xmlns:ns1="u">&lt;&gt;aaaaaaaa😀</ns1:a>"#
        );
    }
}
