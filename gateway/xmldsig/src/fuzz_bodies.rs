//! What must hold for any octets whatever: the bodies of the fuzz targets, which also run as plain tests.
//!
//! Each panics when a promise is broken, and only then.

use crate::{
    Document, Element, IdError, Limits, SignatureElement, TransformError, XMLDSIG_NAMESPACE, exclusive_c14n,
    inclusive_c14n, smev_transform, smev_transform_octets,
};
use gost::Certificate;
use std::sync::OnceLock;

/// A signed message; its certificate stands in its KeyInfo.
pub const SEED: &str = include_str!("../tests/data/signed.xml");

/// What a document shows of itself is consistent.
///
/// # Panics
/// When it is not.
pub fn parse(octets: &[u8]) {
    let Ok(document) = Document::parse(octets, &limits()) else {
        return;
    };
    assert_eq!(document.source().as_bytes(), octets);
    let root = document.root();
    let mut open = vec![root];
    while let Some(element) = open.pop() {
        let source = element.source();
        assert!(source.starts_with('<') && source.ends_with('>') && source.len() == element.range().len());
        assert!(element.namespace().is_some() || element.prefix().is_none());
        if let Some(prefix) = element.prefix() {
            let bound = element
                .namespaces_in_scope()
                .find(|(p, _)| *p == Some(prefix))
                .map(|(_, uri)| uri);
            assert_eq!(bound, element.namespace());
        }
        if let Some(id) = element.attribute("Id") {
            match document.element_by_id(id) {
                Ok(found) => assert_eq!(found, element),
                Err(error) => assert_eq!(error, IdError::Duplicate),
            }
        }
        for child in element.children() {
            assert_eq!(child.parent(), Some(element));
            open.push(child);
        }
    }
}

/// Canonical forms are their own canonical forms, and the transform of the tree is that of its canonical octets.
///
/// # Panics
/// When they are not.
pub fn canonicalize(octets: &[u8]) {
    let Ok(document) = Document::parse(octets, &limits()) else {
        return;
    };
    let root = document.root();
    let exclusive = exclusive_c14n(root, &[]);
    let again = |xml: &str, then: &dyn Fn(Element<'_, '_>) -> String| {
        then(
            Document::parse(xml.as_bytes(), &roomy())
                .expect("what we wrote is a document")
                .root(),
        )
    };
    assert_eq!(again(&exclusive, &|e| exclusive_c14n(e, &[])), exclusive);
    let inclusive = inclusive_c14n(root);
    assert_eq!(again(&inclusive, &inclusive_c14n), inclusive);
    assert_eq!(again(&inclusive, &|e| exclusive_c14n(e, &[])), exclusive);

    let from_octets = smev_transform_octets(exclusive.as_bytes(), &roomy());
    match smev_transform(root) {
        Ok(transformed) => {
            assert_eq!(from_octets.as_deref(), Ok(transformed.as_str()));
            let twice = again(&transformed, &|e| {
                smev_transform(e).expect("what was transformed can be transformed")
            });
            let meaning = |xml: &str| again(xml, &|e| exclusive_c14n(e, &[]));
            assert_eq!(meaning(&twice), meaning(&transformed));
        }
        Err(error) => {
            let other = from_octets.expect_err("it fails from octets as it does from the tree");
            assert!(!matches!(error, TransformError::Parse(_)) && !matches!(other, TransformError::Parse(_)));
        }
    }
}

/// A signature that verifies is over what the holder of the key signed.
///
/// # Panics
/// When one verifies over anything else.
pub fn verify(octets: &[u8]) {
    static SIGNED: OnceLock<(gost::VerifyingKey, String)> = OnceLock::new();
    let (key, signed) = SIGNED.get_or_init(|| {
        let document = Document::parse(SEED.as_bytes(), &limits()).expect("the seed is a document");
        let signature = signatures(&document).pop().expect("the seed is signed");
        let signature = SignatureElement::parse(signature).expect("the seed is in the profile");
        let key = Certificate::from_der(signature.certificate_der()).expect("the seed holds a certificate");
        let target = document
            .element_by_id(signature.reference_id())
            .expect("the seed holds what it signs");
        (
            key.public_key().prepare(),
            signature.digested_octets(target).expect("the seed can be transformed"),
        )
    });
    let Ok(document) = Document::parse(octets, &limits()) else {
        return;
    };
    for element in signatures(&document) {
        let Ok(signature) = SignatureElement::parse(element) else {
            continue;
        };
        let Ok(target) = document.element_by_id(signature.reference_id()) else {
            continue;
        };
        if signature.verify(&document, target, key).is_ok() {
            assert_eq!(signature.digested_octets(target).as_deref(), Ok(signed.as_str()));
        }
        let root = document.root();
        assert!(root == target || signature.verify(&document, root, key).is_err());
    }
}

fn signatures<'d, 'a>(document: &'d Document<'a>) -> Vec<Element<'d, 'a>> {
    let mut found = Vec::new();
    let mut open = vec![document.root()];
    while let Some(element) = open.pop() {
        if element.is(XMLDSIG_NAMESPACE, "Signature") {
            found.push(element);
        }
        open.extend(element.children());
    }
    found
}

fn limits() -> Limits {
    Limits {
        octets: 1 << 16,
        ..Limits::default()
    }
}

/// For what we wrote ourselves, which may be longer.
fn roomy() -> Limits {
    Limits {
        octets: usize::MAX,
        attributes: 1024,
        namespaces: 4096,
        ..Limits::default()
    }
}
