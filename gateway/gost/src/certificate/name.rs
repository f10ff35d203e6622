//! Distinguished names: as text in the manner of RFC 4514, and from such text.

use super::CertificateError;
use super::asn1::{fields, wrap};
use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Encode, Reader, SliceReader, Tag, Tagged};
use std::fmt;
use std::str::FromStr;

/// An attribute that has a short name: those of RFC 4514 (section 3), and those that Russian certificates have
/// (order of the FSB of 27 December 2011 No. 795).
struct Known {
    name: &'static str,
    oid: ObjectIdentifier,
    string: StringKind,
}

/// How the value is encoded, and what it may be.
#[derive(Clone, Copy)]
enum StringKind {
    Utf8,
    /// PrintableString of two capital letters.
    Country,
    Ia5,
    /// NumericString of so many digits.
    Digits(usize),
}

const COMMON_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.4.3");
/// Characters of one value; RFC 5280 has upper bounds of 64, which real certificates of long-named bodies exceed.
const LONGEST_VALUE: usize = 256;

const KNOWN: &[Known] = &[
    known("CN", "2.5.4.3", StringKind::Utf8),
    known("O", "2.5.4.10", StringKind::Utf8),
    known("OU", "2.5.4.11", StringKind::Utf8),
    known("L", "2.5.4.7", StringKind::Utf8),
    known("ST", "2.5.4.8", StringKind::Utf8),
    known("STREET", "2.5.4.9", StringKind::Utf8),
    known("C", "2.5.4.6", StringKind::Country),
    known("DC", "0.9.2342.19200300.100.1.25", StringKind::Ia5),
    known("UID", "0.9.2342.19200300.100.1.1", StringKind::Utf8),
    known("SN", "2.5.4.4", StringKind::Utf8),
    known("GN", "2.5.4.42", StringKind::Utf8),
    known("T", "2.5.4.12", StringKind::Utf8),
    known("E", "1.2.840.113549.1.9.1", StringKind::Ia5),
    known("INN", "1.2.643.3.131.1.1", StringKind::Digits(12)),
    known("INNLE", "1.2.643.100.4", StringKind::Digits(10)),
    known("OGRN", "1.2.643.100.1", StringKind::Digits(13)),
    known("OGRNIP", "1.2.643.100.5", StringKind::Digits(15)),
    known("SNILS", "1.2.643.100.3", StringKind::Digits(11)),
    known("unstructuredName", "1.2.840.113549.1.9.2", StringKind::Utf8),
    known("pseudonym", "2.5.4.65", StringKind::Utf8),
];

const fn known(name: &'static str, oid: &str, string: StringKind) -> Known {
    Known {
        name,
        oid: ObjectIdentifier::new_unwrap(oid),
        string,
    }
}

/// The subject of a certificate to be made: attributes, the most significant first as in the text.
///
/// Its text form is that of RFC 4514, `CN=Администрация г. Ульяновска,O=…,C=RU`. Attributes: CN, O, OU, L, ST, STREET, C,
/// DC, UID, SN, GN, T, E, INN (12 digits), INNLE (10), OGRN (13), OGRNIP (15), SNILS (11), unstructuredName, pseudonym.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectName(Vec<(&'static str, String)>);

impl SubjectName {
    /// A subject with a common name.
    ///
    /// # Errors
    /// [`CertificateError::Name`] if the text is empty or too long.
    pub fn new(common_name: &str) -> Result<Self, CertificateError> {
        Self(Vec::new()).with("CN", common_name)
    }

    /// The same with the organisation added.
    ///
    /// # Errors
    /// [`CertificateError::Name`] if the text is empty or too long.
    pub fn with_organization(self, organization: &str) -> Result<Self, CertificateError> {
        self.with("O", organization)
    }

    /// The same with the country added, two capital letters.
    ///
    /// # Errors
    /// [`CertificateError::Name`] if it is anything else.
    pub fn with_country(self, country: &str) -> Result<Self, CertificateError> {
        self.with("C", country)
    }

    /// The same with an attribute added by its short name, in any case of letters.
    ///
    /// # Errors
    /// [`CertificateError::Name`] if the attribute is unknown or the value is not of its kind.
    pub fn with(mut self, attribute: &str, value: &str) -> Result<Self, CertificateError> {
        let error = |text: &str, reason| CertificateError::Name {
            text: text.to_owned(),
            reason,
        };
        let known = KNOWN
            .iter()
            .find(|known| known.name.eq_ignore_ascii_case(attribute))
            .ok_or_else(|| error(attribute, "the attribute is unknown"))?;
        let fault = match known.string {
            _ if value.is_empty() => Some("it is empty"),
            _ if value.chars().count() > LONGEST_VALUE => Some("it is longer than 256 characters"),
            _ if value.contains(char::is_control) => Some("it has control characters"),
            StringKind::Utf8 => None,
            StringKind::Country => {
                let good = value.len() == 2 && value.bytes().all(|octet| octet.is_ascii_uppercase());
                (!good).then_some("a country is two capital letters")
            }
            StringKind::Ia5 => (!value.is_ascii()).then_some("it has other than ASCII characters"),
            StringKind::Digits(count) => {
                let good = value.len() == count && value.bytes().all(|octet| octet.is_ascii_digit());
                (!good).then_some("it is not a number with the right count of digits")
            }
        };
        match fault {
            Some(reason) => Err(error(value, reason)),
            None => {
                self.0.push((known.name, value.to_owned()));
                Ok(self)
            }
        }
    }

    /// The value of the first attribute of that short name.
    #[must_use]
    pub fn get(&self, attribute: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(attribute))
            .map(|(_, value)| value.as_str())
    }

    /// Name as DER. RFC 4514 writes the sequence backwards.
    pub(super) fn to_der(&self) -> der::Result<Vec<u8>> {
        let sets = self.0.iter().rev().map(|(name, value)| {
            let known = KNOWN
                .iter()
                .find(|known| known.name == *name)
                .expect("only known names get in");
            let tag = match known.string {
                StringKind::Utf8 => Tag::Utf8String,
                StringKind::Country => Tag::PrintableString,
                StringKind::Ia5 => Tag::Ia5String,
                StringKind::Digits(_) => Tag::NumericString,
            };
            let attribute = wrap(Tag::Sequence, &[&known.oid.to_der()?, &wrap(tag, &[value.as_bytes()])?])?;
            wrap(Tag::Set, &[&attribute])
        });
        let sets = sets.collect::<der::Result<Vec<_>>>()?;
        wrap(Tag::Sequence, &[&sets.concat()])
    }
}

impl fmt::Display for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, value)) in self.0.iter().enumerate() {
            write!(f, "{}{name}={}", if at == 0 { "" } else { "," }, Escaped(value))?;
        }
        Ok(())
    }
}

impl FromStr for SubjectName {
    type Err = CertificateError;

    fn from_str(text: &str) -> Result<Self, CertificateError> {
        let error = |reason| CertificateError::Name {
            text: text.to_owned(),
            reason,
        };
        let mut name = Self(Vec::new());
        let mut rest = text;
        loop {
            let (attribute, after) = rest
                .split_once('=')
                .ok_or_else(|| error("an attribute lacks its \"=\""))?;
            let (value, after) = unescape(after).ok_or_else(|| error("a backslash escapes nothing"))?;
            name = name.with(attribute.trim(), &value)?;
            match after {
                Some(after) => rest = after,
                None => return Ok(name),
            }
        }
    }
}

/// Reads a value up to the comma that ends it: the value, and what follows that comma if there is one.
fn unescape(text: &str) -> Option<(String, Option<&str>)> {
    let mut value = Vec::new();
    // Spaces around a value do not belong to it unless they are escaped.
    let mut significant = 0;
    let mut octets = text.bytes().enumerate();
    let mut rest = None;
    while let Some((at, octet)) = octets.next() {
        match octet {
            b',' => {
                rest = Some(&text[at + 1..]);
                break;
            }
            b'\\' => {
                let (_, escaped) = octets.next()?;
                match char::from(escaped).to_digit(16) {
                    Some(high) => {
                        let low = char::from(octets.next()?.1).to_digit(16)?;
                        value.push((high << 4 | low) as u8);
                    }
                    None => value.push(escaped),
                }
                significant = value.len();
            }
            b' ' if value.is_empty() => {}
            _ => {
                value.push(octet);
                significant = if octet == b' ' { significant } else { value.len() };
            }
        }
    }
    value.truncate(significant);
    Some((String::from_utf8(value).ok()?, rest))
}

/// Name as text.
pub(super) fn to_text(name: AnyRef<'_>) -> der::Result<String> {
    let mut sets = Vec::new();
    for set in attributes(name)? {
        let parts = set.iter().map(ToString::to_string).collect::<Vec<_>>();
        sets.push(parts.join("+"));
    }
    sets.reverse();
    Ok(sets.join(","))
}

/// The value of the most significant common name.
pub(super) fn common_name(name: AnyRef<'_>) -> der::Result<Option<String>> {
    let sets = attributes(name)?;
    let mut attributes = sets.iter().rev().flatten();
    Ok(attributes
        .find(|attribute| attribute.oid == COMMON_NAME)
        .and_then(|attribute| text_of(attribute.value)))
}

struct Attribute<'a> {
    oid: ObjectIdentifier,
    value: AnyRef<'a>,
}

impl fmt::Display for Attribute<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = KNOWN.iter().find(|known| known.oid == self.oid);
        match (known, text_of(self.value)) {
            (Some(known), Some(text)) => write!(f, "{}={}", known.name, Escaped(&text)),
            // RFC 4514, section 2.4: what has no name is written with its encoding.
            _ => {
                write!(f, "{}=#", self.oid)?;
                crate::hex::write(f, &self.value.to_der().map_err(|_| fmt::Error)?)
            }
        }
    }
}

/// The relative names of a Name, in the order of the encoding.
fn attributes(name: AnyRef<'_>) -> der::Result<Vec<Vec<Attribute<'_>>>> {
    let mut sets = Vec::new();
    let mut relative_names = fields(name)?;
    while !relative_names.is_finished() {
        let set = AnyRef::decode(&mut relative_names)?;
        set.tag().assert_eq(Tag::Set)?;
        let mut members = SliceReader::new(set.value())?;
        let mut attributes = Vec::new();
        while !members.is_finished() {
            let mut parts = fields(AnyRef::decode(&mut members)?)?;
            attributes.push(Attribute {
                oid: ObjectIdentifier::decode(&mut parts)?,
                value: AnyRef::decode(&mut parts)?,
            });
            parts.finish()?;
        }
        sets.push(attributes);
    }
    Ok(sets)
}

/// The text of a string of any of the types that names have; `None` for other values and broken text.
fn text_of(value: AnyRef<'_>) -> Option<String> {
    let octets = value.value();
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::NumericString | Tag::VisibleString => {
            String::from_utf8(octets.to_vec()).ok()
        }
        // T.61 is read as ISO 8859-1, as everybody does.
        Tag::TeletexString => Some(octets.iter().copied().map(char::from).collect()),
        Tag::BmpString => {
            let units = octets
                .chunks_exact(2)
                .map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units)
                .collect::<Result<String, _>>()
                .ok()
                .filter(|_| octets.len().is_multiple_of(2))
        }
        _ => None,
    }
}

/// A value with the escapes of RFC 4514, section 2.4. Control characters are escaped as well: such texts end up in logs.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.0.chars().count().saturating_sub(1);
        for (at, character) in self.0.chars().enumerate() {
            match character {
                '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(f, "\\{character}")?,
                '#' if at == 0 => f.write_str("\\#")?,
                ' ' if at == 0 || at == last => f.write_str("\\ ")?,
                control if control.is_control() => {
                    let mut buffer = [0; 4];
                    for octet in control.encode_utf8(&mut buffer).bytes() {
                        write!(f, "\\{octet:02x}")?;
                    }
                }
                other => write!(f, "{other}")?,
            }
        }
        Ok(())
    }
}
