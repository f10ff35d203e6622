//! Taking an element out of one document and putting it into another, octet for octet (PROTOCOL §6.4).
//!
//! An element means what it means only together with the namespaces that its ancestors declare, QNames in content
//! (`xsi:type`) included. So the declarations that it inherits travel with it and are written into its start tag when it
//! is put elsewhere. Exclusive canonicalisation does not see them where they are not used, so signatures stay valid.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use xmldsig::Element;

use crate::xml;

/// A namespace declaration: the prefix, empty for the default namespace, and the name, empty for none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Declaration {
    /// The prefix; empty for the default namespace.
    pub prefix: String,
    /// The namespace; empty if an unprefixed name is in no namespace.
    pub namespace: String,
}

/// The declarations that hold for an element but do not stand in its own start tag.
///
/// That unprefixed names are in no namespace is stated too: the place it goes to may have a default namespace.
pub fn inherited(element: Element<'_, '_>) -> Vec<Declaration> {
    let own = declared(element.source());
    let mut declarations: Vec<Declaration> = element
        .namespaces_in_scope()
        .filter(|(prefix, _)| !own.contains(&prefix.unwrap_or_default()))
        .map(|(prefix, namespace)| Declaration {
            prefix: prefix.unwrap_or_default().to_owned(),
            namespace: namespace.to_owned(),
        })
        .collect();
    if !own.contains(&"") && !declarations.iter().any(|d| d.prefix.is_empty()) {
        declarations.push(Declaration {
            prefix: String::new(),
            namespace: String::new(),
        });
    }
    declarations
}

/// Appends an element's octets with the declarations that it inherited written into its start tag.
///
/// `source` must be the octets of one element of a well-formed document, from `<` to `>`, and the declarations those of
/// [`inherited`].
pub fn put(out: &mut String, source: &str, declarations: &[Declaration]) {
    let name_end = source.find([' ', '\t', '\r', '\n', '/', '>']).unwrap_or(source.len());
    // `/` and `>` cannot stand before the end of the name: the first octet is `<`.
    let (head, tail) = source.split_at(name_end);
    out.push_str(head);
    for Declaration { prefix, namespace } in declarations {
        out.push_str(" xmlns");
        if !prefix.is_empty() {
            out.push(':');
            out.push_str(prefix);
        }
        out.push_str("=\"");
        out.push_str(&xml::attribute(namespace));
        out.push('"');
    }
    out.push_str(tail);
}

/// The element as a text that stands by itself: its octets and what it inherited.
pub fn standalone(element: Element<'_, '_>) -> String {
    let mut out = String::with_capacity(element.source().len() + 256);
    put(&mut out, element.source(), &inherited(element));
    out
}

/// The prefixes that a start tag declares; empty for the default namespace. The source must be well-formed.
fn declared(source: &str) -> Vec<&str> {
    attributes(source)
        .filter_map(|(name, _)| match name.strip_prefix("xmlns") {
            Some("") => Some(""),
            Some(name) => name.strip_prefix(':'),
            None => None,
        })
        .collect()
}

/// The attributes of the start tag that a text begins with, declarations included: the name as written and the place of
/// the value between its quotes. The source must be well-formed.
pub(crate) fn attributes(source: &str) -> impl Iterator<Item = (&str, Range<usize>)> {
    const SPACE: [char; 4] = [' ', '\t', '\r', '\n'];
    let mut at = source.find([' ', '\t', '\r', '\n', '/', '>']).unwrap_or(source.len());
    std::iter::from_fn(move || {
        at += source[at..].find(|c| !SPACE.contains(&c))?;
        let name = &source[at..at + source[at..].find(['=', ' ', '\t', '\r', '\n', '/', '>'])?];
        if name.is_empty() {
            return None;
        }
        let quote = at + source[at..].find(['"', '\''])?;
        let value = quote + 1..quote + 1 + source[quote + 1..].find(&source[quote..=quote])?;
        at = value.end + 1;
        Some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmldsig::{Document, Limits};

    fn parse(xml: &str) -> Document<'_> {
        Document::parse(xml.as_bytes(), &Limits::default()).unwrap()
    }

    #[test]
    fn a_spliced_element_means_the_same_elsewhere() {
        let source = parse(
            r#"<o:a xmlns:o="urn:o" xmlns="urn:d" xmlns:q="urn:q?a&amp;b"><o:b
 xmlns:o='urn:p' x="xmlns:z='1' /" ><c t="q:T"/></o:b></o:a>"#,
        );
        let element = source.root().children().next().unwrap();
        let text = format!(r#"<e xmlns="urn:other" xmlns:o="urn:x">{}</e>"#, standalone(element));
        let target = parse(&text);
        let moved = target.root().children().next().unwrap();
        assert!(moved.is("urn:p", "b"));
        assert_eq!(
            xmldsig::exclusive_c14n(moved, &[]),
            xmldsig::exclusive_c14n(element, &[])
        );
        let child = moved.children().next().unwrap();
        assert!(child.is("urn:d", "c"));
        assert!(child.namespaces_in_scope().any(|n| n == (Some("q"), "urn:q?a&b")));
    }

    #[test]
    fn unprefixed_names_without_a_namespace_stay_so() {
        let source = parse("<a><b/></a>");
        let text = format!(
            r#"<e xmlns="urn:other">{}</e>"#,
            standalone(source.root().children().next().unwrap())
        );
        assert_eq!(parse(&text).root().children().next().unwrap().namespace(), None);
    }

    #[test]
    fn declarations_are_found_whatever_the_spacing() {
        assert_eq!(declared("<a/>"), Vec::<&str>::new());
        assert_eq!(declared("<a\txmlns = 'u'  b='>' xmlns:p=\"'\"/>"), ["", "p"]);
        assert_eq!(declared("<a xmlnsx='u'>"), Vec::<&str>::new());
    }
}
