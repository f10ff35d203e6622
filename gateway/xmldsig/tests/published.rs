//! Real messages: what verifies, what is refused, and why.
#![allow(clippy::unwrap_used)]

mod common;

use common::{parse, published};
use gost::Certificate;
use serde_json::Value;
use std::{fs, path::Path};
use xmldsig::{Document, Element, SignatureElement, SignatureRefusal, XMLDSIG_NAMESPACE, exclusive_c14n};

fn descendants<'d, 'a>(element: Element<'d, 'a>) -> Vec<Element<'d, 'a>> {
    let mut all = vec![element];
    let mut next = 0;
    while next < all.len() {
        let element = all[next];
        all.extend(element.children());
        next += 1;
    }
    all.sort_by_key(|e| e.range().start);
    all
}

fn signatures<'d, 'a>(document: &'d Document<'a>) -> Vec<Element<'d, 'a>> {
    descendants(document.root())
        .into_iter()
        .filter(|e| e.is(XMLDSIG_NAMESPACE, "Signature"))
        .collect()
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_else(|| panic!("{key} in {value}"))
}

/// The element of that name with that Id; a delivered message may hold others of the name, without it.
fn target<'d, 'a>(document: &'d Document<'a>, local: &str, id: &str) -> Element<'d, 'a> {
    let found = descendants(document.root())
        .into_iter()
        .find(|e| e.local_name() == local && e.attribute("Id") == Some(id));
    found.unwrap()
}

fn check(folder: &Path, entry: &Value) {
    let file = text(entry, "file");
    let octets = fs::read(folder.join(file)).unwrap();
    let document = parse(&octets);
    let index = usize::try_from(entry["signature_index"].as_u64().unwrap()).unwrap();
    let element = signatures(&document)[index];
    assert_eq!(
        element.parent().unwrap().local_name(),
        text(entry, "parent_element"),
        "{file}"
    );
    let reference = &entry["references"][0];
    let id = text(reference, "uri").trim_start_matches('#');
    let signature = match SignatureElement::parse(element) {
        Err(refusal) if file.contains("Body-simple") => return check_smev2_body(folder, file, &document, &refusal),
        parsed => parsed.unwrap_or_else(|e| panic!("{file}: {e}")),
    };
    assert_eq!(signature.reference_id(), id, "{file}");
    let certificate = Certificate::from_der(signature.certificate_der()).unwrap();
    let key = certificate.public_key().prepare();
    let signed = target(&document, text(reference, "target"), id);

    let expected = fs::read(folder.join(text(reference, "octets"))).unwrap();
    let digested = signature.digested_octets(signed).unwrap();
    assert!(
        digested.as_bytes() == expected,
        "{file}: the octets that are digested differ"
    );
    let verdict = signature.verify(&document, signed, &key);
    match (text(reference, "digest_check"), text(entry, "signature_check")) {
        ("OK", "OK(as-is)" | "OK") => {
            let evidence = verdict.unwrap_or_else(|e| panic!("{file}: {e}"));
            let signed_info = folder.join(file.replace(".xml", &format!(".sig{index}.signedinfo.c14n")));
            assert!(
                evidence.canonical_signed_info.as_bytes() == fs::read(signed_info).unwrap(),
                "{file}"
            );
        }
        // The digest matched, or this would be a DigestMismatch.
        ("OK", check) if check.starts_with("OKws") => {
            assert_eq!(verdict.unwrap_err(), SignatureRefusal::SignatureMismatch, "{file}");
        }
        ("BAD", _) => assert!(
            matches!(verdict, Err(SignatureRefusal::DigestMismatch { .. })),
            "{file}"
        ),
        other => panic!("{file}: {other:?} is not known"),
    }
}

/// WS-Security of SMEV 2 is outside the profile (the certificate is elsewhere); its canonical forms still must be right.
fn check_smev2_body(folder: &Path, file: &str, document: &Document<'_>, refusal: &SignatureRefusal) {
    assert_eq!(*refusal, SignatureRefusal::NoCertificate);
    for (local, end) in [("Body", "sig0.ref0.octets"), ("SignedInfo", "sig0.signedinfo.c14n")] {
        let element = descendants(document.root())
            .into_iter()
            .find(|e| e.local_name() == local)
            .unwrap();
        let expected = fs::read(folder.join(file.replace("xml", end))).unwrap();
        assert!(exclusive_c14n(element, &[]).as_bytes() == expected, "{file}: {local}");
    }
}

#[test]
fn published_signatures_get_the_verdict_of_the_manifest() {
    let Some(folder) = published("public") else { return };
    let manifest: Value = serde_json::from_slice(&fs::read(folder.join("signed/MANIFEST.json")).unwrap()).unwrap();
    let entries = manifest.as_array().unwrap();
    assert!(entries.len() >= 8);
    for entry in entries {
        check(&folder, entry);
    }
}

#[test]
fn a_published_message_with_an_edited_payload_fails_by_its_digest() {
    let Some(folder) = published("public/signed-negative") else {
        return;
    };
    let mut seen = 0;
    for file in fs::read_dir(&folder)
        .unwrap()
        .map(|f| f.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "xml"))
    {
        let octets = fs::read(&file).unwrap();
        let document = parse(&octets);
        let signature = SignatureElement::parse(signatures(&document)[0]).unwrap();
        let key = Certificate::from_der(signature.certificate_der())
            .unwrap()
            .public_key()
            .prepare();
        let signed = document.element_by_id(signature.reference_id()).unwrap();
        let refusal = signature.verify(&document, signed, &key).unwrap_err();
        assert!(
            matches!(refusal, SignatureRefusal::DigestMismatch { .. }),
            "{}: {refusal}",
            file.display()
        );
        seen += 1;
    }
    assert!(seen > 0);
}
