//! The structures of RFC 5280 as far as they are read here, and the few that are written.

use super::{CertificateError, algorithm_of_signature};
use crate::public_key::PublicKey;
use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, IntRef, ObjectIdentifier, OctetStringRef, UtcTime};
use der::{Choice, Decode, Encode, Header, Length, Reader, Sequence, SliceReader, Tag, TagNumber};
use spki::AlgorithmIdentifier;

pub(super) const SUBJECT_KEY_IDENTIFIER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");

/// Certificate: the signed part is kept as octets, since these are what the signature is over.
pub(super) struct Certificate<'a> {
    tbs: &'a [u8],
    algorithm: ObjectIdentifier,
    signature: &'a [u8],
}

impl<'a> Certificate<'a> {
    pub(super) fn from_der(der: &'a [u8]) -> Result<Self, CertificateError> {
        let mut fields = fields(AnyRef::from_der(der)?)?;
        let tbs = fields.tlv_bytes()?;
        let algorithm = AlgorithmIdentifier::<AnyRef<'_>>::decode(&mut fields)?.oid;
        let signature = BitStringRef::decode(&mut fields)?;
        let signature = signature
            .as_bytes()
            .ok_or_else(|| der::Error::from(Tag::BitString.value_error()))?;
        fields.finish()?;
        Ok(Self {
            tbs,
            algorithm,
            signature,
        })
    }

    pub(super) fn tbs(&self) -> Result<TbsCertificate<'a>, CertificateError> {
        let tbs = TbsCertificate::from_der(self.tbs)?;
        if tbs.algorithm == self.algorithm {
            Ok(tbs)
        } else {
            Err(CertificateError::SignatureAlgorithm(self.algorithm))
        }
    }

    pub(super) fn verify(&self, issuer_key: &PublicKey) -> Result<(), CertificateError> {
        let algorithm = algorithm_of_signature(self.algorithm)
            .filter(|algorithm| *algorithm == issuer_key.algorithm())
            .ok_or(CertificateError::SignatureAlgorithm(self.algorithm))?;
        let digest = algorithm.digest().hash(self.tbs);
        Ok(issuer_key.verify(digest.as_ref(), self.signature)?)
    }
}

/// TBSCertificate. Names and key are kept encoded.
pub(super) struct TbsCertificate<'a> {
    algorithm: ObjectIdentifier,
    serial: &'a [u8],
    pub(super) issuer: AnyRef<'a>,
    pub(super) validity: Validity,
    pub(super) subject: AnyRef<'a>,
    pub(super) public_key: &'a [u8],
    extensions: Vec<Extension<'a>>,
}

impl<'a> TbsCertificate<'a> {
    fn from_der(der: &'a [u8]) -> Result<Self, CertificateError> {
        let mut fields = fields(AnyRef::from_der(der)?)?;
        // The version says which of the fields at the end may occur; they are read if they are there.
        skip_context_specific(&mut fields, 0)?;
        let serial = IntRef::decode(&mut fields)?.as_bytes();
        let algorithm = AlgorithmIdentifier::<AnyRef<'_>>::decode(&mut fields)?.oid;
        let issuer = AnyRef::decode(&mut fields)?;
        let validity = Validity::decode(&mut fields)?;
        let subject = AnyRef::decode(&mut fields)?;
        let public_key = fields.tlv_bytes()?;
        skip_context_specific(&mut fields, 1)?;
        skip_context_specific(&mut fields, 2)?;
        let extensions = match next_context_specific(&mut fields, 3)? {
            Some(extensions) => Vec::<Extension<'_>>::from_der(extensions.value())?,
            None => Vec::new(),
        };
        fields.finish()?;
        Ok(Self {
            algorithm,
            serial,
            issuer,
            validity,
            subject,
            public_key,
            extensions,
        })
    }

    pub(super) fn serial(&self) -> String {
        let significant = self
            .serial
            .iter()
            .position(|octet| *octet != 0)
            .unwrap_or(self.serial.len().saturating_sub(1));
        let mut text = String::new();
        crate::hex::write(&mut text, &self.serial[significant..]).expect("a String takes any text");
        text
    }

    pub(super) fn key_identifier(&self) -> Result<Option<Vec<u8>>, CertificateError> {
        let Some(extension) = self
            .extensions
            .iter()
            .find(|extension| extension.id == SUBJECT_KEY_IDENTIFIER)
        else {
            return Ok(None);
        };
        Ok(Some(
            <&OctetStringRef>::from_der(extension.value.as_bytes())?
                .as_bytes()
                .to_vec(),
        ))
    }
}

#[derive(Sequence)]
pub(super) struct Validity {
    pub(super) not_before: Time,
    pub(super) not_after: Time,
}

#[derive(Choice)]
pub(super) enum Time {
    #[asn1(type = "UTCTime")]
    Utc(UtcTime),
    #[asn1(type = "GeneralizedTime")]
    General(GeneralizedTime),
}

impl Time {
    pub(super) fn unix_seconds(&self) -> i64 {
        let since_1970 = match self {
            Self::Utc(time) => time.to_unix_duration(),
            Self::General(time) => time.to_unix_duration(),
        };
        i64::try_from(since_1970.as_secs()).expect("the year 9999 is the last that DER can write")
    }
}

#[derive(Sequence)]
pub(super) struct Extension<'a> {
    pub(super) id: ObjectIdentifier,
    #[asn1(default = "Default::default")]
    pub(super) critical: bool,
    pub(super) value: &'a OctetStringRef,
}

/// A reader of the fields of a SEQUENCE.
pub(super) fn fields(sequence: AnyRef<'_>) -> der::Result<SliceReader<'_>> {
    der::Tagged::tag(&sequence).assert_eq(Tag::Sequence)?;
    SliceReader::new(sequence.value())
}

fn next_context_specific<'a>(fields: &mut SliceReader<'a>, number: u32) -> der::Result<Option<AnyRef<'a>>> {
    if fields.is_finished() {
        return Ok(None);
    }
    match Tag::peek(fields)? {
        Tag::ContextSpecific { number: found, .. } if found == TagNumber(number) => AnyRef::decode(fields).map(Some),
        _ => Ok(None),
    }
}

fn skip_context_specific(fields: &mut SliceReader<'_>, number: u32) -> der::Result<()> {
    next_context_specific(fields, number).map(|_| ())
}

/// One constructed or primitive value around the parts of its content.
pub(super) fn wrap(tag: Tag, parts: &[&[u8]]) -> der::Result<Vec<u8>> {
    let content = parts.concat();
    let mut der = Header::new(tag, Length::try_from(content.len())?).to_der()?;
    der.extend(content);
    Ok(der)
}

/// `[number]` around the parts, constructed.
pub(super) fn wrap_context_specific(number: u32, parts: &[&[u8]]) -> der::Result<Vec<u8>> {
    wrap(
        Tag::ContextSpecific {
            constructed: true,
            number: TagNumber(number),
        },
        parts,
    )
}
