//! Taking an element out of its document without hurting what was signed in it (PROTOCOL §6.4): the octets stay, and
//! the namespace declarations that were in scope move into its start tag.

use xmldsig::Element;

/// The element's octets as a document of its own: declarations that it inherits are added, nothing else changes.
pub(crate) fn self_contained(element: Element<'_, '_>) -> String {
    let source = element.source();
    let own = declared_prefixes(source);
    let name_end = source
        .find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>')
        .unwrap_or(source.len());
    let mut text = String::with_capacity(source.len() + 256);
    text.push_str(&source[..name_end]);
    for (prefix, uri) in element.namespaces_in_scope() {
        let prefix = prefix.unwrap_or("");
        if prefix == "xml" || own.contains(&prefix) {
            continue;
        }
        text.push_str(if prefix.is_empty() { " xmlns" } else { " xmlns:" });
        text.push_str(prefix);
        text.push_str("=\"");
        super::writer::escape_into(uri, &mut text);
        text.push('"');
    }
    text.push_str(&source[name_end..]);
    text
}

/// What stands between the element's tags, as it is.
pub(crate) fn inner<'a>(element: Element<'_, 'a>) -> &'a str {
    let source = element.source();
    match (start_tag_end(source), source.rfind("</")) {
        (Some(start), Some(end)) if start <= end => &source[start..end],
        _ => "",
    }
}

/// The prefixes that the start tag at the beginning of `source` declares; the default namespace is the empty one.
fn declared_prefixes(source: &str) -> Vec<&str> {
    let mut prefixes = Vec::new();
    let Some(end) = start_tag_end(source) else {
        return prefixes;
    };
    let mut rest = source[..end].trim_end_matches(['>', '/']);
    rest = rest
        .find(|c: char| c.is_ascii_whitespace())
        .map_or("", |at| &rest[at..]);
    while let Some((name, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let Some(quote) = after.chars().next() else { break };
        let name = name.trim();
        if name == "xmlns" {
            prefixes.push("");
        } else if let Some(prefix) = name.strip_prefix("xmlns:") {
            prefixes.push(prefix);
        }
        let Some(close) = after[1..].find(quote) else { break };
        rest = &after[close + 2..];
    }
    prefixes
}

/// Where the start tag at the beginning of `source` ends: after its `>`, quotes respected.
fn start_tag_end(source: &str) -> Option<usize> {
    let mut quote = None;
    for (at, octet) in source.bytes().enumerate() {
        match (quote, octet) {
            (None, b'"' | b'\'') => quote = Some(octet),
            (Some(open), _) if open == octet => quote = None,
            (None, b'>') => return Some(at + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use xmldsig::{Document, Limits};

    #[test]
    fn inherited_declarations_move_in_and_own_ones_stay() {
        let source = r#"<a xmlns="urn:d" xmlns:p="urn:p&amp;1" xmlns:q="urn:q"><q:b xmlns:q="urn:own" t = 'xmlns:p="no">'><p:c/></q:b></a>"#;
        let document = Document::parse(source.as_bytes(), &Limits::default()).unwrap();
        let b = document.root().children().next().unwrap();
        let alone = self_contained(b);
        let reparsed = Document::parse(alone.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(reparsed.root().namespace(), Some("urn:own"));
        assert_eq!(reparsed.root().attribute("t"), Some("xmlns:p=\"no\">"));
        assert!(reparsed.root().children().next().unwrap().is("urn:p&1", "c"));
        assert_eq!(
            xmldsig::exclusive_c14n(reparsed.root(), &[]),
            xmldsig::exclusive_c14n(b, &[])
        );
        assert_eq!(inner(b), "<p:c/>");
    }
}
