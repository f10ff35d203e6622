//! From the signed element to the octets that are digested.

use crate::{
    Canonicalization, Document, Limits, SignatureRefusal, Transform, TransformError,
    c14n::{Method, canonicalize},
    smev,
    walk::Subtree,
};
use roxmltree::NS_XML_URI;

/// PROTOCOL §6.1: at most this many transforms.
const MOST: usize = 4;

/// A list of transforms in an order that is allowed; it is executed literally.
///
/// The first is a canonicalisation or `enveloped-signature`. The SMEV transform comes once, after a canonicalisation.
/// One order from the wild has it between `enveloped-signature` and the canonicalisation: XML Signature §4.4.3.2 puts
/// Canonical XML between a step that gives nodes and one that takes octets, and so do we.
#[derive(Clone, Debug)]
pub(crate) struct Transforms(Vec<Transform>);

impl Transforms {
    pub(crate) fn new(steps: Vec<Transform>) -> Result<Self, SignatureRefusal> {
        use SignatureRefusal::{TooManyTransforms, TransformOrder};
        if steps.len() > MOST {
            return Err(TooManyTransforms);
        }
        match steps.first() {
            None => return Err(TransformOrder("there is none")),
            Some(Transform::Smev) => return Err(TransformOrder("the SMEV transform comes first")),
            Some(_) => {}
        }
        if steps[1..].contains(&Transform::EnvelopedSignature) {
            return Err(TransformOrder("enveloped-signature does not come first"));
        }
        if !steps.iter().any(|step| matches!(step, Transform::Canonicalize(_))) {
            return Err(TransformOrder("there is no canonicalisation"));
        }
        if steps.iter().filter(|step| **step == Transform::Smev).count() > 1 {
            return Err(TransformOrder("the SMEV transform comes twice"));
        }
        Ok(Self(steps))
    }

    pub(crate) fn steps(&self) -> &[Transform] {
        &self.0
    }

    /// Executes the steps on `target`; `signature` is what `enveloped-signature` leaves out.
    pub(crate) fn execute(
        &self,
        target: roxmltree::Node<'_, '_>,
        signature: Option<roxmltree::NodeId>,
    ) -> Result<String, TransformError> {
        let mut part = Subtree::whole(target);
        let mut steps = self.0.as_slice();
        if let [Transform::EnvelopedSignature, rest @ ..] = steps {
            part.omitted = signature;
            steps = rest;
        }
        let (mut octets, rest) = match steps {
            [Transform::Canonicalize(method), Transform::Smev, rest @ ..] => {
                (canonicalize_and_transform(part, method)?, rest)
            }
            [Transform::Smev, rest @ ..] => (canonicalize_and_transform(part, &Canonicalization::Inclusive)?, rest),
            [Transform::Canonicalize(method), rest @ ..] => (apply(part, method), rest),
            [] | [Transform::EnvelopedSignature, ..] => (apply(part, &Canonicalization::Inclusive), &steps[..0]),
        };
        for step in rest {
            let again = Document::parse(octets.as_bytes(), &limits_of_what_we_wrote())?;
            let part = Subtree::whole(again.root().0);
            octets = match step {
                Transform::Canonicalize(method) => apply(part, method),
                Transform::Smev => smev::transform(part)?,
                Transform::EnvelopedSignature => continue,
            };
        }
        Ok(octets)
    }
}

pub(crate) fn apply(part: Subtree<'_, '_>, method: &Canonicalization) -> String {
    match method {
        Canonicalization::Inclusive => canonicalize(part, Method::Inclusive),
        Canonicalization::Exclusive(prefixes) => {
            let prefixes: Vec<&str> = prefixes.iter().map(String::as_str).collect();
            canonicalize(part, Method::Exclusive(&prefixes))
        }
    }
}

/// Both canonicalisations leave the same for the SMEV transform, but for `xml:…` attributes: the inclusive one copies
/// those of the ancestors to the apex, and then the transform fails.
fn canonicalize_and_transform(part: Subtree<'_, '_>, method: &Canonicalization) -> Result<String, TransformError> {
    if *method == Canonicalization::Inclusive {
        let inherits = |node: roxmltree::Node<'_, '_>| node.attributes().any(|a| a.namespace() == Some(NS_XML_URI));
        if part.apex.ancestors().skip(1).any(inherits) {
            return Err(TransformError::XmlAttribute {
                at: part.apex.range().start,
            });
        }
    }
    smev::transform(part)
}

/// What is read again comes from a document within its limits; only its size has changed.
fn limits_of_what_we_wrote() -> Limits {
    Limits {
        octets: usize::MAX,
        depth: 1024,
        attributes: 1024,
        namespaces: 4096,
        nodes: 1 << 24,
        lavish: false,
    }
}
