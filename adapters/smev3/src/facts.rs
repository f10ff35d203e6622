//! What routes ask about a payload (DESIGN §7).

use std::collections::BTreeMap;

use xmldsig::Element;

/// The text of the first element that each path finds; paths that find none are left out.
///
/// Paths are made of local names: `//A/B` anywhere, `/A/B` from the payload's root. Text is concatenated, so that
/// comments and CDATA change no route; white space around it does not count.
pub(crate) fn values<'p>(payload: Element<'_, '_>, paths: impl Iterator<Item = &'p str>) -> BTreeMap<String, String> {
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
    use xmldsig::{Document, Limits};

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
