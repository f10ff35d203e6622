//! Signing an element in the profile of PROTOCOL §6.2.

use crate::{
    Document, Element, IdError, Limits, ParseError, TransformError, XMLDSIG_NAMESPACE,
    algorithm::{EXCLUSIVE_C14N, SMEV_TRANSFORM, names},
    c14n::push_attribute_value,
    document::find_id,
    smev::smev_transform,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use gost::{Certificate, Signer};

/// Signs `target`, which has an attribute `Id`, and returns the text of the `ds:Signature` to be put into its wrapper.
///
/// The text declares all it needs, so it can stand anywhere outside `target`. The algorithms follow from the key; the
/// transforms are exclusive canonicalisation and the SMEV transform.
///
/// # Errors
/// [`SignError`]: the element cannot be signed, key and certificate do not match, or the key's provider failed.
pub fn sign(target: Element<'_, '_>, signer: &dyn Signer, certificate: &Certificate) -> Result<String, SignError> {
    if signer.public_key() != certificate.public_key() {
        return Err(SignError::CertificateOfAnotherKey);
    }
    let id = target
        .attribute("Id")
        .filter(|id| !id.is_empty())
        .ok_or(SignError::NoId)?;
    match find_id(target.0.document(), id) {
        Ok(_) => {}
        Err(IdError::Missing | IdError::Duplicate) => return Err(SignError::DuplicateId),
    }
    let algorithm = signer.public_key().algorithm();
    let hash = algorithm.digest();
    let digest = hash.hash(smev_transform(target)?.as_bytes());
    let signed_info = signed_info(id, names(algorithm), &STANDARD.encode(digest.as_ref()));
    let signed = hash.hash(signed_info.canonical().as_bytes());
    let signature = signer.sign(signed.as_ref()).map_err(SignError::Signer)?;
    Ok(format!(
        "<ds:Signature xmlns:ds=\"{XMLDSIG_NAMESPACE}\">{}<ds:SignatureValue>{}</ds:SignatureValue>\
         <ds:KeyInfo><ds:X509Data><ds:X509Certificate>{}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></ds:Signature>",
        signed_info.embedded(),
        STANDARD.encode(signature.as_ref()),
        STANDARD.encode(certificate.der()),
    ))
}

/// Signs the root element of the stand-alone document `xml`; see [`sign`].
///
/// The signature holds wherever the element is put, as long as its octets stay and no prefix that they use undeclared
/// is missing there.
///
/// # Errors
/// [`SignError`]; [`SignError::Parse`] when `xml` is not a document.
pub fn sign_fragment(xml: &str, signer: &dyn Signer, certificate: &Certificate) -> Result<String, SignError> {
    let limits = Limits::of_accepted();
    sign(Document::parse(xml.as_bytes(), &limits)?.root(), signer, certificate)
}

/// Why an element was not signed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignError {
    /// The caller's element has no attribute `Id`.
    #[error("the element to be signed has no Id")]
    NoId,
    /// Something else in the caller's document has the same identifier.
    #[error("the Id of the element to be signed is not unique in its document")]
    DuplicateId,
    /// The certificate is not that of the signing key: a mistake in the configuration.
    #[error("the certificate belongs to another key than the one that signs")]
    CertificateOfAnotherKey,
    /// The element cannot be transformed, so no signature over it would hold.
    #[error(transparent)]
    Transform(#[from] TransformError),
    /// The caller's text is not a document.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// The provider of the key failed.
    #[error("the key could not sign: {0}")]
    Signer(gost::SignError),
}

/// SignedInfo, written so that its exclusive canonical form differs only in declaring `ds`.
struct SignedInfo {
    content: String,
}

impl SignedInfo {
    fn embedded(&self) -> String {
        format!("<ds:SignedInfo>{}</ds:SignedInfo>", self.content)
    }

    fn canonical(&self) -> String {
        format!(
            "<ds:SignedInfo xmlns:ds=\"{XMLDSIG_NAMESPACE}\">{}</ds:SignedInfo>",
            self.content
        )
    }
}

fn signed_info(id: &str, (signature_method, digest_method): (&str, &str), digest: &str) -> SignedInfo {
    let mut uri = String::from("#");
    push_attribute_value(&mut uri, id);
    SignedInfo {
        content: format!(
            "<ds:CanonicalizationMethod Algorithm=\"{EXCLUSIVE_C14N}\"></ds:CanonicalizationMethod>\
             <ds:SignatureMethod Algorithm=\"{signature_method}\"></ds:SignatureMethod>\
             <ds:Reference URI=\"{uri}\"><ds:Transforms>\
             <ds:Transform Algorithm=\"{EXCLUSIVE_C14N}\"></ds:Transform>\
             <ds:Transform Algorithm=\"{SMEV_TRANSFORM}\"></ds:Transform></ds:Transforms>\
             <ds:DigestMethod Algorithm=\"{digest_method}\"></ds:DigestMethod>\
             <ds:DigestValue>{digest}</ds:DigestValue></ds:Reference>"
        ),
    }
}
