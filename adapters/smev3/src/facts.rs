//! What routes ask about a payload (DESIGN §7).

use std::collections::BTreeMap;

use engine::command::PayloadRoot;
use engine::registry::{Direction, Registry};
use xmldsig::{Document, Element, Limits};

use crate::request::root_of;

/// The root element of a payload, and what the routes of its kind ask about it.
///
/// # Errors
/// It is not an XML document within the limits of a call; in words.
pub fn of_payload(xml: &[u8], registry: &Registry) -> Result<(PayloadRoot, BTreeMap<String, String>), String> {
    let document = Document::parse(xml, &Limits::default()).map_err(|error| error.to_string())?;
    let root = root_of(document.root());
    let values = of_request(document.root(), &root, registry);
    Ok((root, values))
}

/// What the routes of a payload's kind ask about it; nothing, unless it is that of a request.
pub(crate) fn of_request(
    payload: Element<'_, '_>,
    root: &PayloadRoot,
    registry: &Registry,
) -> BTreeMap<String, String> {
    match registry.kind_by_root(&root.namespace, &root.local) {
        Some((kind, Direction::Request)) => values(payload, registry.payload_paths(&kind.name)),
        _ => BTreeMap::new(),
    }
}

/// The text of the first element that each path finds; paths that find none are left out.
///
/// Paths are made of local names: `//A/B` anywhere, `/A/B` from the payload's root. Text is concatenated, so that
/// comments and CDATA change no route; white space around it does not count.
fn values<'p>(payload: Element<'_, '_>, paths: impl Iterator<Item = &'p str>) -> BTreeMap<String, String> {
    paths
        .filter_map(|path| Some((path.to_owned(), first(payload, path)?)))
        .collect()
}

fn first(payload: Element<'_, '_>, path: &str) -> Option<String> {
    let (anywhere, steps) = match path.strip_prefix("//") {
        Some(steps) => (true, steps),
        None => (false, path.strip_prefix('/')?),
    };
    let steps: Vec<&str> = steps.split('/').collect();
    let mut open = vec![payload];
    while let Some(element) = open.pop() {
        if let Some(found) = descend(element, &steps) {
            return Some(found.deep_text().trim().to_owned());
        }
        if anywhere {
            let end = open.len();
            open.extend(element.children());
            open[end..].reverse();
        }
    }
    None
}

/// The first element at the end of the steps, the first of which is the element itself.
fn descend<'d, 'a>(element: Element<'d, 'a>, steps: &[&str]) -> Option<Element<'d, 'a>> {
    let (first, rest) = steps.split_first()?;
    if element.local_name() != *first {
        return None;
    }
    if rest.is_empty() {
        return Some(element);
    }
    element.children().find_map(|child| descend(child, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_match_in_document_order_counts_and_comments_do_not() {
        let xml = "<r><a><OKTMO>73<!-- 99 -->701<![CDATA[000]]></OKTMO></a><b><a><OKTMO>1</OKTMO></a></b><OKTMO> 2 </OKTMO></r>";
        let document = Document::parse(xml.as_bytes(), &Limits::default()).unwrap();
        let paths = ["//OKTMO", "//b/a/OKTMO", "/r/OKTMO", "/OKTMO", "//none", "OKTMO", "/"];
        let found = values(document.root(), paths.into_iter());
        let expected = [("//OKTMO", "73701000"), ("//b/a/OKTMO", "1"), ("/r/OKTMO", "2")];
        assert_eq!(
            found,
            expected.map(|(path, text)| (path.to_owned(), text.to_owned())).into()
        );
    }
}
