//! Keys, a signed message, and the way a door looks at it.

use base64::{Engine, engine::general_purpose::STANDARD};
use gost::{Certificate, Curve, KeyAlgorithm, Signer, SoftwareKey, SubjectName, VerifyingKey, self_signed};
use xmldsig::{
    ChildError, Document, Element, Evidence, Limits, ParseError, SignatureElement, SignatureRefusal, sign_fragment,
};

pub const SOAP: &str = "http://schemas.xmlsoap.org/soap/envelope/";
pub const TYPES: &str = "urn://x-artefacts-smev-gov-ru/services/message-exchange/types/1.2";
pub const DATA: &str = "SenderProvidedRequestData";
pub const WRAPPER: &str = "CallerInformationSystemSignature";

pub struct Party {
    pub key: SoftwareKey,
    pub certificate: Certificate,
    pub verifying: VerifyingKey,
}

impl Party {
    pub fn new(curve: Curve, algorithm: KeyAlgorithm) -> Self {
        let key = SoftwareKey::generate(curve, algorithm).unwrap();
        let certificate = self_signed(
            &key,
            &SubjectName::new("Отправитель").unwrap(),
            1_700_000_000,
            1_900_000_000,
        )
        .unwrap();
        let verifying = certificate.public_key().prepare();
        Self {
            key,
            certificate,
            verifying,
        }
    }

    pub fn usual() -> Self {
        Self::new(Curve::CryptoProA, KeyAlgorithm::Gost2012_256)
    }

    pub fn sign(&self, data: &str) -> String {
        sign_fragment(data, &self.key, &self.certificate).unwrap()
    }

    /// Signs `data` with transforms of the caller's choice, given as elements.
    pub fn sign_with(&self, data: &str, transforms: &str) -> String {
        let usual = self.sign(data);
        let (before, rest) = usual.split_once("<ds:Transforms>").unwrap();
        let (_, after) = rest.split_once("</ds:Transforms>").unwrap();
        let other = format!("{before}<ds:Transforms>{transforms}</ds:Transforms>{after}");
        self.complete(data, &other)
    }

    /// Puts the right digest and signature into a signature whose SignedInfo was changed.
    pub fn complete(&self, data: &str, signature: &str) -> String {
        let with_digest = |digest: &str, xml: &str| replace_text(xml, "ds:DigestValue", digest);
        let message = envelope(data, signature);
        let document = Document::parse(message.as_bytes(), &Limits::default()).unwrap();
        let parsed = SignatureElement::parse(place(&document).unwrap().1).unwrap();
        let octets = parsed.digested_octets(place(&document).unwrap().0).unwrap();
        let digest = STANDARD.encode(parsed.digest_algorithm().hash(octets.as_bytes()).as_ref());
        let signature = with_digest(&digest, signature);
        let message = envelope(data, &signature);
        let document = Document::parse(message.as_bytes(), &Limits::default()).unwrap();
        let signed = SignatureElement::parse(place(&document).unwrap().1)
            .unwrap()
            .canonical_signed_info();
        let hash = self.key.public_key().algorithm().digest().hash(signed.as_bytes());
        replace_text(
            &signature,
            "ds:SignatureValue",
            &STANDARD.encode(self.key.sign(hash.as_ref()).unwrap().as_ref()),
        )
    }
}

pub fn replace_text(xml: &str, name: &str, text: &str) -> String {
    let (before, rest) = xml.split_once(&format!("<{name}>")).unwrap();
    let (_, after) = rest.split_once(&format!("</{name}>")).unwrap();
    format!("{before}<{name}>{text}</{name}>{after}")
}

/// The element that is signed, with its own declarations.
pub fn data(id: &str, amount: &str) -> String {
    format!(r#"<T:{DATA} xmlns:T="{TYPES}" Id="{id}"><T:Amount currency="643">{amount}</T:Amount></T:{DATA}>"#)
}

/// A message with `header` before its body.
pub fn message(header: &str, data: &str, signature: &str) -> String {
    format!(
        r#"<S:Envelope xmlns:S="{SOAP}"><S:Header>{header}</S:Header><S:Body><T:SendRequestRequest xmlns:T="{TYPES}">{data}<T:{WRAPPER}>{signature}</T:{WRAPPER}></T:SendRequestRequest></S:Body></S:Envelope>"#
    )
}

pub fn envelope(data: &str, signature: &str) -> String {
    message("", data, signature)
}

/// Signed data and signature, by their places.
pub fn place<'d, 'a>(document: &'d Document<'a>) -> Result<(Element<'d, 'a>, Element<'d, 'a>), ChildError> {
    let request = document
        .root()
        .only_child(SOAP, "Body")?
        .only_child(TYPES, "SendRequestRequest")?;
    let signature = request
        .only_child(TYPES, WRAPPER)?
        .only_child(xmldsig::XMLDSIG_NAMESPACE, "Signature")?;
    Ok((request.only_child(TYPES, DATA)?, signature))
}

/// Why a door does not take a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    Parse(ParseError),
    Place(ChildError),
    Signature(SignatureRefusal),
}

/// What a door does: parse, find by place, read the signature, verify. Gives the amount as the application reads it.
pub fn receive(message: &str, key: &VerifyingKey) -> Result<(String, Evidence), Refused> {
    let document = Document::parse(message.as_bytes(), &Limits::default()).map_err(Refused::Parse)?;
    let (data, signature) = place(&document).map_err(Refused::Place)?;
    let signature = SignatureElement::parse(signature).map_err(Refused::Signature)?;
    let evidence = signature.verify(&document, data, key).map_err(Refused::Signature)?;
    let amount = data
        .child(TYPES, "Amount")
        .map(|e| e.text().into_owned())
        .unwrap_or_default();
    Ok((amount, evidence))
}
