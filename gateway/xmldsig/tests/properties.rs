//! What holds for all documents.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    generator::{Element, NAMESPACES, Node, Style, element, write},
    parse,
};
use proptest::prelude::*;
use xmldsig::{Limits, exclusive_c14n, inclusive_c14n, smev_transform, smev_transform_octets};

fn styles() -> impl Strategy<Value = Style> {
    (0..5_usize, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(prefixes, indented, expanded, reversed)| {
        Style {
            prefixes,
            indented,
            expanded,
            reversed,
        }
    })
}

fn transformed(root: &Element, style: Style) -> String {
    smev_transform(parse(write(root, style).as_bytes()).root()).unwrap()
}

/// One change of meaning, chosen by `choice`, somewhere in the document. `None` if there is no place for it.
fn changed(root: &Element, choice: usize, at: usize) -> Option<Element> {
    let mut copy = root.clone();
    let mut element = &mut copy;
    // Walk down as far as `at` leads.
    let mut steps = at;
    loop {
        let inner = element.children.iter().position(|c| matches!(c, Node::Element(_)));
        match (inner, steps) {
            (Some(inner), 1..) => {
                steps -= 1;
                match &mut element.children[inner] {
                    Node::Element(child) => element = child,
                    _ => return None,
                }
            }
            _ => break,
        }
    }
    match choice {
        0 => element.local = (element.local + 1) % 6,
        1 => element.namespace = Some((element.namespace? + 1) % NAMESPACES.len()),
        2 => element.attributes.last_mut()?.2.push('!'),
        3 => drop(element.attributes.pop()?),
        4 => {
            let text = element.children.iter_mut().find_map(|c| match c {
                Node::Text(text, _) if !text.trim_matches(|c| c <= ' ').is_empty() => Some(text),
                _ => None,
            })?;
            text.push(' ');
        }
        5 => element
            .children
            .push(Node::Text("!".to_owned(), common::generator::Spelling::Escaped)),
        _ => element.children.push(Node::Element(Element {
            children: Vec::new(),
            ..element.clone()
        })),
    }
    Some(copy)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_transform_from_the_tree_is_the_transform_of_the_canonical_octets(root in element(true), style in styles()) {
        let xml = write(&root, style);
        let document = parse(xml.as_bytes());
        let fused = smev_transform(document.root()).unwrap();
        for canonical in [exclusive_c14n(document.root(), &[]), inclusive_c14n(document.root())] {
            prop_assert_eq!(&smev_transform_octets(canonical.as_bytes(), &Limits::default()).unwrap(), &fused);
        }
    }

    #[test]
    fn transformed_again_nothing_changes_in_meaning(root in element(true), style in styles()) {
        let once = transformed(&root, style);
        let twice = smev_transform_octets(once.as_bytes(), &Limits::default()).unwrap();
        let canonical = |xml: &str| exclusive_c14n(parse(xml.as_bytes()).root(), &[]);
        prop_assert_eq!(canonical(&once), canonical(&twice));
    }

    #[test]
    fn prefixes_order_of_attributes_and_white_space_between_elements_do_not_matter(
        root in element(true), one in styles(), other in styles(),
    ) {
        prop_assert_eq!(transformed(&root, one), transformed(&root, other));
    }

    #[test]
    fn whatever_else_changes_shows(root in element(true), choice in 0..7_usize, at in 0..4_usize, style in styles()) {
        if let Some(changed) = changed(&root, choice, at) {
            prop_assert_ne!(transformed(&root, style), transformed(&changed, style));
        }
    }

    #[test]
    fn canonical_forms_are_their_own(root in element(false), style in styles()) {
        let xml = write(&root, style);
        let document = parse(xml.as_bytes());
        let exclusive = exclusive_c14n(document.root(), &[]);
        prop_assert_eq!(&exclusive_c14n(parse(exclusive.as_bytes()).root(), &[]), &exclusive);
        let inclusive = inclusive_c14n(document.root());
        prop_assert_eq!(&inclusive_c14n(parse(inclusive.as_bytes()).root()), &inclusive);
        prop_assert_eq!(exclusive_c14n(parse(inclusive.as_bytes()).root(), &[]), exclusive);
    }

    #[test]
    fn a_part_is_canonicalised_in_its_context_alone(root in element(false), style in styles()) {
        let xml = write(&root, style);
        let document = parse(xml.as_bytes());
        for child in document.root().children() {
            let canonical = exclusive_c14n(child, &[]);
            prop_assert_eq!(&exclusive_c14n(parse(canonical.as_bytes()).root(), &[]), &canonical);
            let all: Vec<String> = child.namespaces_in_scope().map(|(p, _)| p.unwrap_or("#default").to_owned()).collect();
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let with_list = exclusive_c14n(child, &all);
            prop_assert_eq!(&exclusive_c14n(parse(with_list.as_bytes()).root(), &[]), &canonical);
            let inclusive = inclusive_c14n(child);
            let again = parse(inclusive.as_bytes());
            prop_assert_eq!(again.root().deep_text(), child.deep_text());
        }
    }
}
