//! Reading a `ds:Signature` into the closed profile, and verifying it.

use crate::{
    Canonicalization, Document, Element, IdError, SignatureRefusal, Transform, XMLDSIG_NAMESPACE,
    algorithm::{
        ENVELOPED_SIGNATURE, EXCLUSIVE_C14N, INCLUSIVE_C14N, SMEV_TRANSFORM, digest_method, goes_with, signature_method,
    },
    element::is_xml_space,
    reference::{Transforms, apply},
    walk::Subtree,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use gost::{Digest, DigestAlgorithm, KeyAlgorithm, VerifyingKey};

/// A `ds:Signature` that has the form of the profile (PROTOCOL §6.2): SignedInfo with one Reference, SignatureValue, and
/// KeyInfo with one certificate. Nothing of it is verified yet.
#[derive(Clone, Debug)]
pub struct SignatureElement<'d, 'a> {
    element: Element<'d, 'a>,
    signed_info: Element<'d, 'a>,
    canonicalization: Canonicalization,
    algorithm: KeyAlgorithm,
    reference_id: &'d str,
    transforms: Transforms,
    digest_algorithm: DigestAlgorithm,
    digest: Vec<u8>,
    signature_value: Vec<u8>,
    certificate_der: Vec<u8>,
}

/// What was verified, to be kept as evidence of authorship (DESIGN §4).
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The hash of the reference.
    pub digest_algorithm: DigestAlgorithm,
    /// The digest of the signed element, computed and compared.
    pub digest: Digest,
    /// The octets that were signed.
    pub canonical_signed_info: String,
    /// The signature over them.
    pub signature_value: Vec<u8>,
}

impl<'d, 'a> SignatureElement<'d, 'a> {
    /// Reads `signature`.
    ///
    /// # Errors
    /// [`SignatureRefusal`] for whatever is not of the profile: other algorithms, several references, `ds:Object`, …
    pub fn parse(signature: Element<'d, 'a>) -> Result<Self, SignatureRefusal> {
        if !signature.is(XMLDSIG_NAMESPACE, "Signature") {
            return Err(SignatureRefusal::NotASignature);
        }
        let [signed_info, value, key_info] =
            children(signature, "Signature", ["SignedInfo", "SignatureValue", "KeyInfo"]).map_err(|refusal| {
                if refusal == SignatureRefusal::Missing("KeyInfo") {
                    SignatureRefusal::NoCertificate
                } else {
                    refusal
                }
            })?;
        let references = signed_info
            .children()
            .filter(|e| e.is(XMLDSIG_NAMESPACE, "Reference"))
            .count();
        if references != 1 {
            return Err(SignatureRefusal::NotOneReference(references));
        }
        let [c14n, signature_method_element, reference] = children(
            signed_info,
            "SignedInfo",
            ["CanonicalizationMethod", "SignatureMethod", "Reference"],
        )?;
        let canonicalization = match transform(c14n, "CanonicalizationMethod")? {
            Transform::Canonicalize(method) => method,
            Transform::EnvelopedSignature | Transform::Smev => {
                return Err(SignatureRefusal::UnknownAlgorithm("CanonicalizationMethod"));
            }
        };
        let algorithm = signature_method(bare_algorithm(signature_method_element, "SignatureMethod")?)
            .ok_or(SignatureRefusal::UnknownAlgorithm("SignatureMethod"))?;

        let reference_id = reference
            .attribute("URI")
            .and_then(|uri| uri.strip_prefix('#'))
            .filter(|id| !id.is_empty())
            .ok_or(SignatureRefusal::ReferenceUri)?;
        let [transforms, digest_method_element, digest_value] =
            children(reference, "Reference", ["Transforms", "DigestMethod", "DigestValue"])?;
        let transforms = read_transforms(transforms)?;
        let digest_algorithm = digest_method(bare_algorithm(digest_method_element, "DigestMethod")?)
            .ok_or(SignatureRefusal::UnknownAlgorithm("DigestMethod"))?;
        if !goes_with(algorithm, digest_algorithm) {
            return Err(SignatureRefusal::AlgorithmsDisagree);
        }
        Ok(Self {
            element: signature,
            signed_info,
            canonicalization,
            algorithm,
            reference_id,
            transforms,
            digest_algorithm,
            digest: octets(digest_value, "DigestValue", Some(digest_algorithm.len()))?,
            signature_value: octets(value, "SignatureValue", Some(algorithm.signature_len()))?,
            certificate_der: certificate(key_info)?,
        })
    }

    /// The certificate in KeyInfo: only a key into the registry, nothing in it is to be trusted.
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate_der
    }

    /// The key algorithm that SignatureMethod names.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// The hash that DigestMethod names.
    pub fn digest_algorithm(&self) -> DigestAlgorithm {
        self.digest_algorithm
    }

    /// The Id that the Reference names.
    pub fn reference_id(&self) -> &'d str {
        self.reference_id
    }

    /// The transforms of the Reference, in order.
    pub fn transforms(&self) -> &[Transform] {
        self.transforms.steps()
    }

    /// The digest that the Reference claims.
    pub fn claimed_digest(&self) -> &[u8] {
        &self.digest
    }

    /// The `ds:Signature` itself.
    pub fn element(&self) -> Element<'d, 'a> {
        self.element
    }

    /// Whether `key` signed `target` as it stands in `document`.
    ///
    /// `target` is the element that the operation demands, found by its place. It must be the one that the Reference
    /// names, and its Id must be unique in the document; then the digest is compared, and last the signature.
    ///
    /// # Errors
    /// [`SignatureRefusal`], with the first thing that does not hold.
    pub fn verify(
        &self,
        document: &Document<'_>,
        target: Element<'_, '_>,
        key: &VerifyingKey,
    ) -> Result<Evidence, SignatureRefusal> {
        match document.element_by_id(self.reference_id) {
            Err(IdError::Missing) => return Err(SignatureRefusal::TargetMissing),
            Err(IdError::Duplicate) => return Err(SignatureRefusal::DuplicateId),
            Ok(named) if !named.is_same(target) => return Err(SignatureRefusal::WrongTarget),
            Ok(_) => {}
        }
        let digest = self.digest_of(target)?;
        if digest.as_ref() != self.digest {
            return Err(SignatureRefusal::DigestMismatch {
                expected: self.digest.clone(),
                computed: digest,
            });
        }
        if key.public_key().algorithm() != self.algorithm {
            return Err(SignatureRefusal::KeyAlgorithm);
        }
        let canonical_signed_info = self.canonical_signed_info();
        let signed = self.algorithm.digest().hash(canonical_signed_info.as_bytes());
        key.verify(signed.as_ref(), &self.signature_value)
            .map_err(|_| SignatureRefusal::SignatureMismatch)?;
        Ok(Evidence {
            digest_algorithm: self.digest_algorithm,
            digest,
            canonical_signed_info,
            signature_value: self.signature_value.clone(),
        })
    }

    /// The octets of `target` that are digested: what the transforms leave of it.
    ///
    /// # Errors
    /// [`SignatureRefusal::Transform`].
    pub fn digested_octets(&self, target: Element<'_, '_>) -> Result<String, SignatureRefusal> {
        Ok(self.transforms.execute(
            target.0,
            self.element.is_same_document(target).then(|| self.element.0.id()),
        )?)
    }

    /// The octets that are signed.
    pub fn canonical_signed_info(&self) -> String {
        apply(Subtree::whole(self.signed_info.0), &self.canonicalization)
    }

    fn digest_of(&self, target: Element<'_, '_>) -> Result<Digest, SignatureRefusal> {
        Ok(self.digest_algorithm.hash(self.digested_octets(target)?.as_bytes()))
    }
}

/// The children of `parent`: exactly these, in this order, and no text beside them.
fn children<'d, 'a, const N: usize>(
    parent: Element<'d, 'a>,
    parent_name: &'static str,
    names: [&'static str; N],
) -> Result<[Element<'d, 'a>; N], SignatureRefusal> {
    let mut found = parent.children();
    let mut result = [parent; N];
    for (place, name) in result.iter_mut().zip(names) {
        *place = found.next().ok_or(SignatureRefusal::Missing(name))?;
        if !place.is(XMLDSIG_NAMESPACE, name) {
            let elsewhere = parent.child(XMLDSIG_NAMESPACE, name).is_some();
            return Err(if elsewhere {
                SignatureRefusal::Unexpected(parent_name)
            } else {
                SignatureRefusal::Missing(name)
            });
        }
    }
    if found.next().is_some() || parent.has_text() {
        return Err(SignatureRefusal::Unexpected(parent_name));
    }
    Ok(result)
}

/// The Algorithm of a method that takes no parameters.
fn bare_algorithm<'d>(method: Element<'d, '_>, name: &'static str) -> Result<&'d str, SignatureRefusal> {
    if method.has_element_children() || method.has_text() {
        return Err(SignatureRefusal::Unexpected(name));
    }
    method
        .attribute("Algorithm")
        .ok_or(SignatureRefusal::UnknownAlgorithm(name))
}

fn read_transforms(transforms: Element<'_, '_>) -> Result<Transforms, SignatureRefusal> {
    if transforms.has_text() || transforms.children().any(|e| !e.is(XMLDSIG_NAMESPACE, "Transform")) {
        return Err(SignatureRefusal::Unexpected("Transforms"));
    }
    // One more than may be, so that too many are told apart; what they are is then of no interest.
    let steps = transforms
        .children()
        .take(5)
        .map(|e| transform(e, "Transform"))
        .collect::<Result<_, _>>()?;
    Transforms::new(steps)
}

fn transform(element: Element<'_, '_>, name: &'static str) -> Result<Transform, SignatureRefusal> {
    if element.attribute("Algorithm") == Some(EXCLUSIVE_C14N) {
        return Ok(Transform::Canonicalize(Canonicalization::Exclusive(
            inclusive_prefixes(element, name)?,
        )));
    }
    match bare_algorithm(element, name)? {
        INCLUSIVE_C14N => Ok(Transform::Canonicalize(Canonicalization::Inclusive)),
        SMEV_TRANSFORM => Ok(Transform::Smev),
        ENVELOPED_SIGNATURE => Ok(Transform::EnvelopedSignature),
        _ => Err(SignatureRefusal::UnknownAlgorithm(name)),
    }
}

/// The PrefixList of the one InclusiveNamespaces that an exclusive canonicalisation may have.
fn inclusive_prefixes(method: Element<'_, '_>, name: &'static str) -> Result<Vec<String>, SignatureRefusal> {
    const MOST: usize = 64;
    let mut children = method.children();
    let list = match (children.next(), children.next()) {
        _ if method.has_text() => return Err(SignatureRefusal::Unexpected(name)),
        (None, _) => return Ok(Vec::new()),
        (Some(list), None) if list.is(EXCLUSIVE_C14N, "InclusiveNamespaces") => list,
        _ => return Err(SignatureRefusal::Unexpected(name)),
    };
    if list.has_element_children() || list.has_text() {
        return Err(SignatureRefusal::Unexpected("InclusiveNamespaces"));
    }
    let prefixes = list
        .attribute("PrefixList")
        .ok_or(SignatureRefusal::Missing("PrefixList"))?;
    let prefixes: Vec<String> = prefixes
        .split_ascii_whitespace()
        .take(MOST + 1)
        .map(str::to_owned)
        .collect();
    if prefixes.len() > MOST {
        Err(SignatureRefusal::Length("PrefixList"))
    } else {
        Ok(prefixes)
    }
}

/// The one certificate in KeyInfo. Other ways to name a key may stand beside it; nobody looks at them.
fn certificate(key_info: Element<'_, '_>) -> Result<Vec<u8>, SignatureRefusal> {
    let mut certificates = key_info
        .children()
        .filter(|e| e.is(XMLDSIG_NAMESPACE, "X509Data"))
        .flat_map(|data| data.children().filter(|e| e.is(XMLDSIG_NAMESPACE, "X509Certificate")));
    match (certificates.next(), certificates.next()) {
        (None, _) => Err(SignatureRefusal::NoCertificate),
        (Some(_), Some(_)) => Err(SignatureRefusal::AmbiguousCertificate),
        (Some(certificate), None) => match octets(certificate, "X509Certificate", None)? {
            der if der.is_empty() => Err(SignatureRefusal::NoCertificate),
            der => Ok(der),
        },
    }
}

/// The octets that an element's text gives in base64; line breaks and other XML white space may stand anywhere.
fn octets(element: Element<'_, '_>, name: &'static str, length: Option<usize>) -> Result<Vec<u8>, SignatureRefusal> {
    if element.has_element_children() {
        return Err(SignatureRefusal::Unexpected(name));
    }
    let text: Vec<u8> = element.text().bytes().filter(|b| !is_xml_space(*b)).collect();
    let octets = STANDARD.decode(text).map_err(|_| SignatureRefusal::Base64(name))?;
    match length {
        Some(length) if octets.len() != length => Err(SignatureRefusal::Length(name)),
        _ => Ok(octets),
    }
}
