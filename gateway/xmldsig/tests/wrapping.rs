//! Attempts to make somebody else's signature stand for what they did not sign. Each fails, and for its own reason.
#![allow(clippy::unwrap_used)]

mod common;

use common::signing::{DATA, Party, Refused, TYPES, WRAPPER, data, envelope, message, receive, replace_text};
use gost::{Curve, KeyAlgorithm};
use std::{collections::HashSet, mem::discriminant};
use xmldsig::{Cause, ChildError, ParseError, SignatureRefusal as R};

/// A message of 100 that the victim signed, and a forged 999 to get accepted in its place.
struct Case {
    victim: Party,
    attacker: Party,
    original: String,
    signature: String,
    forged: String,
}

impl Case {
    fn new() -> Self {
        let (victim, attacker) = (Party::usual(), Party::usual());
        let original = data("SIGNED_BY_CALLER", "100");
        let signature = victim.sign(&original);
        Self {
            victim,
            attacker,
            original,
            signature,
            forged: data("OTHER", "999"),
        }
    }

    fn refusal(&self, message: &str) -> Refused {
        match receive(message, &self.victim.verifying) {
            Err(refused) => refused,
            Ok((amount, _)) => panic!("accepted with {amount}: {message}"),
        }
    }

    fn refused_with(&self, data: &str, signature: &str) -> R {
        match self.refusal(&envelope(data, signature)) {
            Refused::Signature(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    /// The original, where a verifier that goes by Id alone would find it.
    fn moved_to_header(&self, forged: &str) -> R {
        match self.refusal(&message(&format!("<W>{}</W>", self.original), forged, &self.signature)) {
            Refused::Signature(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_message_that_is_attacked_verifies() {
    let case = Case::new();
    assert_eq!(
        receive(&envelope(&case.original, &case.signature), &case.victim.verifying)
            .unwrap()
            .0,
        "100"
    );
}

#[test]
fn every_attempt_fails_for_its_own_reason() {
    let case = Case::new();
    let forged_as = |id: &str| case.forged.replace(r#"Id="OTHER""#, id);
    let signature = case.signature.as_str();
    let in_signature = |from: &str, to: &str| {
        assert!(signature.contains(from), "{from}");
        signature.replacen(from, to, 1)
    };
    let reference = &signature[signature.find("<ds:Reference").unwrap()..signature.find("</ds:SignedInfo>").unwrap()];
    let own_signature = case.attacker.sign(&case.forged);
    let weak_digest = in_signature(
        "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34112012-256\"",
        "http://www.w3.org/2001/04/xmldsig-more#gostr3411\"",
    );
    let certificate =
        &signature[signature.find("<ds:X509Certificate>").unwrap()..signature.find("</ds:X509Data>").unwrap()];
    let transforms =
        &signature[signature.find("<ds:Transforms>").unwrap()..signature.find("<ds:DigestMethod").unwrap()];
    let smev = r#"<ds:Transform Algorithm="urn://smev-gov-ru/xmldsig/transform"/>"#;

    let attempts: Vec<(&str, R, R)> = vec![
        (
            "original moved away, forged data with another Id in its place",
            case.moved_to_header(&case.forged),
            R::WrongTarget,
        ),
        (
            "both with the same Id",
            case.moved_to_header(&forged_as(r#"Id="SIGNED_BY_CALLER""#)),
            R::DuplicateId,
        ),
        (
            "the Id once more as xml:id",
            case.moved_to_header(&forged_as(r#"xml:id="SIGNED_BY_CALLER""#)),
            R::DuplicateId,
        ),
        (
            "the Id once more as ID",
            case.moved_to_header(&forged_as(r#"ID="SIGNED_BY_CALLER""#)),
            R::DuplicateId,
        ),
        (
            "forged data without any Id",
            case.moved_to_header(&forged_as("")),
            R::WrongTarget,
        ),
        (
            "original dropped",
            case.refused_with(&case.forged, signature),
            R::TargetMissing,
        ),
        (
            "original inside the signature, as ds:Object",
            case.refused_with(
                &case.forged,
                &in_signature(
                    "</ds:Signature>",
                    &format!("<ds:Object>{}</ds:Object></ds:Signature>", case.original),
                ),
            ),
            R::Unexpected("Signature"),
        ),
        (
            "the whole document instead of an Id",
            case.refused_with(&case.forged, &in_signature("#SIGNED_BY_CALLER", "")),
            R::ReferenceUri,
        ),
        (
            "a document elsewhere",
            case.refused_with(
                &case.forged,
                &in_signature("#SIGNED_BY_CALLER", "http://attacker/x#SIGNED_BY_CALLER"),
            ),
            R::ReferenceUri,
        ),
        (
            "a second reference",
            case.refused_with(
                &case.original,
                &in_signature(reference, &[reference, reference].concat()),
            ),
            R::NotOneReference(2),
        ),
        (
            "no reference",
            case.refused_with(&case.original, &in_signature(reference, "")),
            R::NotOneReference(0),
        ),
        (
            "an XPath filter that selects the original",
            case.refused_with(
                &case.forged,
                &in_signature(
                    "urn://smev-gov-ru/xmldsig/transform",
                    "http://www.w3.org/TR/1999/REC-xpath-19991116",
                ),
            ),
            R::UnknownAlgorithm("Transform"),
        ),
        (
            "five transforms",
            case.refused_with(
                &case.original,
                &in_signature(
                    transforms,
                    &format!("<ds:Transforms>{}</ds:Transforms>", smev.repeat(5)),
                ),
            ),
            R::TooManyTransforms,
        ),
        (
            "the SMEV transform over octets that were not canonicalised",
            case.refused_with(
                &case.original,
                &in_signature(transforms, &format!("<ds:Transforms>{smev}</ds:Transforms>")),
            ),
            R::TransformOrder("the SMEV transform comes first"),
        ),
        (
            "a hash of the last century",
            case.refused_with(&case.original, &weak_digest),
            R::AlgorithmsDisagree,
        ),
        (
            "a keyed hash with the public key as its key",
            case.refused_with(
                &case.original,
                &in_signature(
                    "urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-256",
                    "http://www.w3.org/2000/09/xmldsig#hmac-sha1",
                ),
            ),
            R::UnknownAlgorithm("SignatureMethod"),
        ),
        (
            "two certificates",
            case.refused_with(
                &case.original,
                &in_signature(certificate, &[certificate, certificate].concat()),
            ),
            R::AmbiguousCertificate,
        ),
        (
            "no certificate",
            case.refused_with(&case.original, &in_signature(certificate, "")),
            R::NoCertificate,
        ),
        (
            "forged data under the attacker's signature",
            case.refused_with(&case.forged, &own_signature),
            R::SignatureMismatch,
        ),
        (
            "SignedInfo of the attacker beside the value of the victim",
            case.refused_with(&case.forged, &replace_text(&own_signature, "ds:SignatureValue", "AAAA")),
            R::Length("SignatureValue"),
        ),
        (
            "SignedInfo twice",
            case.refused_with(
                &case.original,
                &in_signature("<ds:SignatureValue>", "<ds:SignedInfo/><ds:SignatureValue>"),
            ),
            R::Unexpected("Signature"),
        ),
        (
            "SignedInfo indented afterwards",
            case.refused_with(&case.original, &in_signature("<ds:Reference", "\n<ds:Reference")),
            R::SignatureMismatch,
        ),
        (
            "a digest hidden behind another element",
            case.refused_with(
                &case.original,
                &in_signature("<ds:DigestValue>", "<ds:DigestValue><ds:X/>"),
            ),
            R::Unexpected("DigestValue"),
        ),
        (
            "no signature value",
            case.refused_with(
                &case.original,
                &in_signature("<ds:SignatureValue>", "<ds:SignatureValue>!"),
            ),
            R::Base64("SignatureValue"),
        ),
    ];
    let mut kinds = HashSet::new();
    for (attempt, refusal, expected) in attempts {
        assert_eq!(refusal, expected, "{attempt}");
        kinds.insert(discriminant(&expected));
    }
    assert!(kinds.len() >= 15, "only {} kinds", kinds.len());
}

#[test]
fn edited_content_is_a_digest_that_does_not_match() {
    let case = Case::new();
    for edited in [
        case.original.replace("100", "999"),
        case.original.replace("100", "1<!-- -->00 "),
        case.original.replace("643", "840"),
        case.original
            .replace("</T:Amount>", "</T:Amount><T:Amount>999</T:Amount>"),
        case.original
            .replace(TYPES, "urn:types-of-the-attacker")
            .replace(&format!("T:{DATA}"), &format!("X:{DATA}"))
            .replace("xmlns:T=", &format!(r#"xmlns:X="{TYPES}" xmlns:T="#)),
    ] {
        assert!(
            matches!(case.refused_with(&edited, &case.signature), R::DigestMismatch { .. }),
            "{edited}"
        );
    }
}

#[test]
fn comments_cdata_and_instructions_leave_the_meaning_or_break_the_signature() {
    let case = Case::new();
    for respelled in ["1<!-- 999 -->00", "<![CDATA[1]]>00", "&#49;00", "<!-- 999 -->100"] {
        let message = envelope(&case.original.replace("100", respelled), &case.signature);
        assert_eq!(
            receive(&message, &case.victim.verifying).unwrap().0,
            "100",
            "{respelled}"
        );
    }
    let message = envelope(&case.original.replace("100", "100<?pi 999?>"), &case.signature);
    assert_eq!(receive(&message, &case.victim.verifying).unwrap().0, "100");
}

#[test]
fn places_that_are_taken_twice_or_by_a_dtd_never_reach_the_signature() {
    let case = Case::new();
    let twice = envelope(&[case.original.as_str(), &case.forged].concat(), &case.signature);
    assert_eq!(case.refusal(&twice), Refused::Place(ChildError::Duplicate));
    let wrappers = envelope(
        &case.forged,
        &format!("{}</T:{WRAPPER}><T:{WRAPPER}>{}", case.signature, case.signature),
    );
    assert_eq!(case.refusal(&wrappers), Refused::Place(ChildError::Duplicate));
    let declared = format!(
        r#"<!DOCTYPE S:Envelope [<!ATTLIST T:{DATA} Id CDATA "SIGNED_BY_CALLER">]>{}"#,
        envelope(&case.forged, &case.signature)
    );
    assert_eq!(case.refusal(&declared), Refused::Parse(ParseError::Dtd));
}

#[test]
fn a_key_of_another_algorithm_is_not_tried() {
    let case = Case::new();
    let longer = Party::new(Curve::Tc26A512, KeyAlgorithm::Gost2012_512);
    let refused = receive(&envelope(&case.original, &case.signature), &longer.verifying).map(|_| ());
    assert_eq!(refused, Err(Refused::Signature(R::KeyAlgorithm)));
}

#[test]
fn every_refusal_has_the_cause_that_the_bus_would_name() {
    assert_eq!(R::NotASignature.cause(), Cause::NoSignatureFound);
    for refusal in [
        R::WrongTarget,
        R::DuplicateId,
        R::TargetMissing,
        R::ReferenceUri,
        R::NotOneReference(2),
    ] {
        assert_eq!(refusal.cause().as_str(), "IncorrectSignatureTarget");
    }
    for refusal in [
        R::SignatureMismatch,
        R::TooManyTransforms,
        R::AlgorithmsDisagree,
        R::Length("x"),
        R::KeyAlgorithm,
    ] {
        assert_eq!(refusal.cause().as_str(), "SignatureIsInvalid");
    }
    assert_eq!(R::NoCertificate.cause().as_str(), "CertificateIsNotFound");
    assert_eq!(R::Missing("SignedInfo").cause().as_str(), "PoorSOAPEnvelopeFormat");
}
