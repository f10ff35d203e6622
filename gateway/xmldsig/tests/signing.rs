//! What we sign verifies, in every algorithm and wherever it is put; other orders of transforms are executed literally.
#![allow(clippy::unwrap_used)]

mod common;

use common::signing::{DATA, Party, Refused, TYPES, data, envelope, place, receive};
use gost::{Curve, KeyAlgorithm};
use xmldsig::{
    Document, Limits, SignError, SignatureElement, SignatureRefusal, TransformError, exclusive_c14n, inclusive_c14n,
    sign, sign_fragment, smev_transform, smev_transform_octets,
};

const EXCLUSIVE: &str = r#"<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>"#;
const INCLUSIVE: &str = r#"<ds:Transform Algorithm="http://www.w3.org/TR/2001/REC-xml-c14n-20010315"/>"#;
const ENVELOPED: &str = r#"<ds:Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>"#;
const SMEV: &str = r#"<ds:Transform Algorithm="urn://smev-gov-ru/xmldsig/transform"/>"#;

#[test]
fn a_signature_by_any_key_verifies_and_carries_its_evidence() {
    for (curve, algorithm) in [
        (Curve::CryptoProA, KeyAlgorithm::Gost2012_256),
        (Curve::Tc26A256, KeyAlgorithm::Gost2012_256),
        (Curve::Tc26A512, KeyAlgorithm::Gost2012_512),
    ] {
        let party = Party::new(curve, algorithm);
        let data = data("SIGNED_BY_CALLER", "100");
        let message = envelope(&data, &party.sign(&data));
        let (amount, evidence) = receive(&message, &party.verifying).unwrap();
        assert_eq!(amount, "100");
        assert_eq!(evidence.digest_algorithm, algorithm.digest());
        let hash = algorithm.digest().hash(evidence.canonical_signed_info.as_bytes());
        party
            .verifying
            .verify(hash.as_ref(), &evidence.signature_value)
            .unwrap();
        let transformed = smev_transform_octets(data.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(evidence.digest, algorithm.digest().hash(transformed.as_bytes()));
    }
}

#[test]
fn the_signature_survives_another_spelling_of_the_element() {
    let party = Party::usual();
    let signature = party.sign(&data("A-1", "a > b"));
    let respelled = format!(
        "<{DATA}\n xmlns='{TYPES}' xmlns:unused='urn:unused' Id = 'A-1' >\r\n  <x:Amount xmlns:x='{TYPES}' currency='&#54;43'><![CDATA[a > ]]>b</x:Amount\n>\n</{DATA}>"
    );
    assert_eq!(
        receive(&envelope(&respelled, &signature), &party.verifying).unwrap().0,
        "a > b"
    );
}

#[test]
fn ids_are_escaped_in_the_reference() {
    let party = Party::usual();
    let data = data("a&amp;b&lt;&quot;ж'", "1");
    receive(&envelope(&data, &party.sign(&data)), &party.verifying).unwrap();
}

#[test]
fn each_order_from_the_wild_is_executed_literally() {
    let party = Party::usual();
    let data = format!(
        r#"<T:{DATA} xmlns:T="{TYPES}" xmlns:u="urn:u" Id="x"><T:Amount b="1" u:a="2">5</T:Amount></T:{DATA}>"#
    );
    let parsed = |xml: &str, then: &dyn Fn(xmldsig::Element<'_, '_>) -> String| {
        then(Document::parse(xml.as_bytes(), &Limits::default()).unwrap().root())
    };
    let smev = parsed(&data, &|e| smev_transform(e).unwrap());
    for (transforms, expected) in [
        ([EXCLUSIVE, SMEV].concat(), smev.clone()),
        ([ENVELOPED, INCLUSIVE, SMEV].concat(), smev.clone()),
        (
            [ENVELOPED, SMEV, EXCLUSIVE].concat(),
            parsed(&smev, &|e| exclusive_c14n(e, &[])),
        ),
        ([ENVELOPED, SMEV, INCLUSIVE].concat(), parsed(&smev, &inclusive_c14n)),
        ([EXCLUSIVE].concat(), parsed(&data, &|e| exclusive_c14n(e, &[]))),
        ([EXCLUSIVE, INCLUSIVE, SMEV].concat(), smev.clone()),
        (
            [ENVELOPED, EXCLUSIVE, SMEV, EXCLUSIVE].concat(),
            parsed(&smev, &|e| exclusive_c14n(e, &[])),
        ),
    ] {
        let message = envelope(&data, &party.sign_with(&data, &transforms));
        receive(&message, &party.verifying).unwrap();
        let document = common::parse(message.as_bytes());
        let (target, signature) = place(&document).unwrap();
        assert_eq!(
            SignatureElement::parse(signature)
                .unwrap()
                .digested_octets(target)
                .unwrap(),
            expected,
            "{transforms}"
        );
    }
}

#[test]
fn the_prefix_list_is_honoured() {
    let party = Party::usual();
    let data = format!(r#"<T:{DATA} xmlns:T="{TYPES}" xmlns:q="urn:q" Id="x"><T:Amount>q:t</T:Amount></T:{DATA}>"#);
    let transform = concat!(
        r#"<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#">"#,
        r#"<i:InclusiveNamespaces xmlns:i="http://www.w3.org/2001/10/xml-exc-c14n#" PrefixList="q  #default"/></ds:Transform>"#
    );
    let message = envelope(&data, &party.sign_with(&data, transform));
    receive(&message, &party.verifying).unwrap();
    let rebound = message.replace("urn:q", "urn:other");
    assert!(matches!(
        receive(&rebound, &party.verifying),
        Err(Refused::Signature(SignatureRefusal::DigestMismatch { .. }))
    ));
}

#[test]
fn an_enveloped_signature_leaves_itself_out_and_nothing_else() {
    let party = Party::usual();
    let bare = format!(r#"<T:{DATA} xmlns:T="{TYPES}" Id="x"><T:Amount>1</T:Amount></T:{DATA}>"#);
    let signature = party.sign_with(&bare, &[ENVELOPED, EXCLUSIVE, SMEV].concat());
    let verify = |content: &str| {
        let enveloped = bare.replace("</T:Amount>", &format!("</T:Amount>{content}"));
        let document = common::parse(enveloped.as_bytes());
        let element = document
            .root()
            .children()
            .find(|e| e.local_name() == "Signature")
            .unwrap();
        SignatureElement::parse(element)
            .unwrap()
            .verify(&document, document.root(), &party.verifying)
            .map(|_| ())
    };
    assert_eq!(verify(&signature), Ok(()));
    assert!(matches!(
        verify(&[&signature, "<T:More/>"].concat()),
        Err(SignatureRefusal::DigestMismatch { .. })
    ));
    assert!(matches!(
        verify(&[&signature, signature.as_str()].concat()),
        Err(SignatureRefusal::DigestMismatch { .. })
    ));
}

#[test]
fn inherited_xml_attributes_fail_the_transform_only_after_inclusive_canonicalisation() {
    let party = Party::usual();
    let data = data("x", "1");
    let lang = |message: String| message.replace("<S:Body>", r#"<S:Body xml:lang="ru">"#);
    let exclusive = lang(envelope(&data, &party.sign_with(&data, &[EXCLUSIVE, SMEV].concat())));
    receive(&exclusive, &party.verifying).unwrap();
    let inclusive = lang(envelope(&data, &party.sign_with(&data, &[INCLUSIVE, SMEV].concat())));
    assert!(matches!(
        receive(&inclusive, &party.verifying),
        Err(Refused::Signature(SignatureRefusal::Transform(
            TransformError::XmlAttribute { .. }
        )))
    ));
}

#[test]
fn what_cannot_be_signed_is_not() {
    let (party, other) = (Party::usual(), Party::usual());
    let sign = |xml: &str| sign_fragment(xml, &party.key, &party.certificate);
    assert!(matches!(sign("<a xmlns='u'/>"), Err(SignError::NoId)));
    assert!(matches!(sign("<a xmlns='u' Id=''/>"), Err(SignError::NoId)));
    assert!(matches!(
        sign("<a xmlns='u' Id='x'><b Id='x'/></a>"),
        Err(SignError::DuplicateId)
    ));
    assert!(matches!(
        sign("<a Id='x'/>"),
        Err(SignError::Transform(TransformError::NoNamespace { .. }))
    ));
    assert!(matches!(sign("<a"), Err(SignError::Parse(_))));
    assert!(matches!(
        sign_fragment("<a xmlns='u' Id='x'/>", &party.key, &other.certificate),
        Err(SignError::CertificateOfAnotherKey)
    ));
}

#[test]
fn an_element_can_be_signed_where_it_stands() {
    let party = Party::usual();
    let unsigned = envelope(&data("x", "7"), "");
    let document = common::parse(unsigned.as_bytes());
    let target = document.element_by_id("x").unwrap();
    let signature = sign(target, &party.key, &party.certificate).unwrap();
    assert_eq!(
        receive(&envelope(target.source(), &signature), &party.verifying)
            .unwrap()
            .0,
        "7"
    );
}
