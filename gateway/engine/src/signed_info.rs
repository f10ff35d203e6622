//! How the journal writes a canonical SignedInfo.
//!
//! Nearly all of its octets are the same in every message: element names and algorithms. Records are hashed one after
//! the other on the writer's path, so the journal keeps what differs, in an object from which the octets follow exactly:
//!
//! ```json
//! {"prefix":"ds","signature":"cpxmlsec:gostr34102012-gostr34112012-256","uri":"#SIGNED_BY_CALLER","digest":"uSk…="}
//! ```
//!
//! stands for the elements in their order, without white space between them, each under the prefix (none if it is left
//! out), the namespace declared at SignedInfo and nowhere else. `canonicalization`, `transforms` and `hash` are left out if
//! they are the usual ones: `exc-c14n#`, then `smev-gov-ru/xmldsig/transform` after it, and the hash that stands in the
//! name of the signature algorithm. [`BEGINNINGS`] says what algorithms' names begin with. A SignedInfo of any other form
//! is written as the text that it is.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Short beginnings of algorithms' names, and what they stand for.
const BEGINNINGS: [(&str, &str); 6] = [
    ("exc-c14n#", "http://www.w3.org/2001/10/xml-exc-c14n#"),
    ("REC-xml-c14n-", "http://www.w3.org/TR/2001/REC-xml-c14n-"),
    ("xmldsig#", NAMESPACE),
    ("xmldsig-more#", "http://www.w3.org/2001/04/xmldsig-more#"),
    ("cpxmlsec:", "urn:ietf:params:xml:ns:cpxmlsec:algorithms:"),
    ("smev-gov-ru/", "urn://smev-gov-ru/"),
];
const NAMESPACE: &str = "http://www.w3.org/2000/09/xmldsig#";
/// More transforms than any profile allows.
const TRANSFORMS: usize = 8;

/// For serde's `with`.
pub(crate) fn serialize<S: Serializer>(text: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match Parts::parse(text) {
        Some(parts) => parts.serialize(serializer),
        None => serializer.serialize_str(text),
    }
}

/// For serde's `with`.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Visitor;

    impl<'de> de::Visitor<'de> for Visitor {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a SignedInfo as text or in its parts")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<String, A::Error> {
            Parts::deserialize(MapAccessDeserializer::new(map))?
                .text()
                .ok_or_else(|| de::Error::missing_field("hash"))
        }
    }

    deserializer.deserialize_any(Visitor)
}

/// What differs from one SignedInfo to the next.
#[derive(Debug, Serialize, Deserialize)]
struct Parts<'t> {
    #[serde(default, skip_serializing_if = "str::is_empty")]
    prefix: Cow<'t, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    canonicalization: Option<Algorithm<'t>>,
    signature: Algorithm<'t>,
    uri: Cow<'t, str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    transforms: Option<Vec<Algorithm<'t>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hash: Option<Algorithm<'t>>,
    digest: Cow<'t, str>,
}

impl<'t> Parts<'t> {
    /// Nothing if the text has another form.
    fn parse(text: &'t str) -> Option<Self> {
        let (name, _) = text.strip_prefix('<')?.split_once(' ')?;
        let prefix = match name.strip_suffix("SignedInfo")? {
            "" => "",
            prefix => prefix.strip_suffix(':').filter(|prefix| !prefix.is_empty())?,
        };
        let mut reader = Reader { prefix, rest: text };
        reader.open("SignedInfo")?;
        reader.eat(" xmlns")?;
        if !prefix.is_empty() {
            reader.eat(":")?;
            reader.eat(prefix)?;
        }
        reader.eat("=\"")?;
        reader.eat(NAMESPACE)?;
        reader.eat("\">")?;
        let canonicalization = reader.algorithm("CanonicalizationMethod")?;
        let signature = reader.algorithm("SignatureMethod")?;
        reader.open("Reference")?;
        reader.eat(" URI=\"")?;
        let uri = reader.until('"')?;
        reader.eat(">")?;
        reader.open("Transforms")?;
        reader.eat(">")?;
        let mut transforms = Vec::with_capacity(2);
        while reader.close("Transforms").is_none() {
            if transforms.len() == TRANSFORMS {
                return None;
            }
            transforms.push(reader.algorithm("Transform")?);
        }
        let hash = reader.algorithm("DigestMethod")?;
        reader.open("DigestValue")?;
        reader.eat(">")?;
        let digest = reader.before('<')?;
        for element in ["DigestValue", "Reference", "SignedInfo"] {
            reader.close(element)?;
        }
        reader.rest.is_empty().then_some(Self {
            prefix: prefix.into(),
            canonicalization: Some(canonicalization).filter(|it| *it != Algorithm::CANONICALIZATION),
            uri: uri.into(),
            transforms: Some(transforms).filter(|them| *them != Algorithm::TRANSFORMS),
            hash: Some(hash).filter(|it| signature.hash().as_ref() != Some(it)),
            signature,
            digest: digest.into(),
        })
    }

    /// Nothing if an object that this program has not written leaves out what does not follow.
    fn text(&self) -> Option<String> {
        let Self {
            prefix,
            canonicalization,
            signature,
            uri,
            transforms,
            hash,
            digest,
        } = self;
        let (p, declared) = match prefix.as_ref() {
            "" => (String::new(), String::new()),
            prefix => (format!("{prefix}:"), format!(":{prefix}")),
        };
        let algorithm =
            |element, name: &Algorithm<'_>| format!("<{p}{element} Algorithm=\"{}\"></{p}{element}>", name.uri());
        let canonicalization = canonicalization.as_ref().unwrap_or(&Algorithm::CANONICALIZATION);
        let transforms = transforms.as_deref().unwrap_or(&Algorithm::TRANSFORMS);
        let named = signature.hash();
        let hash = hash.as_ref().or(named.as_ref())?;
        let transforms: String = transforms.iter().map(|name| algorithm("Transform", name)).collect();
        let canonicalization = algorithm("CanonicalizationMethod", canonicalization);
        let signature = algorithm("SignatureMethod", signature);
        let hash = algorithm("DigestMethod", hash);
        Some(format!(
            "<{p}SignedInfo xmlns{declared}=\"{NAMESPACE}\">{canonicalization}{signature}<{p}Reference URI=\"{uri}\">\
             <{p}Transforms>{transforms}</{p}Transforms>{hash}<{p}DigestValue>{digest}</{p}DigestValue></{p}Reference>\
             </{p}SignedInfo>"
        ))
    }
}

/// Name of an algorithm with a short beginning.
#[derive(Debug, PartialEq)]
struct Algorithm<'t> {
    beginning: &'static str,
    rest: Cow<'t, str>,
}

impl<'t> Algorithm<'t> {
    const CANONICALIZATION: Algorithm<'static> = Algorithm {
        beginning: "exc-c14n#",
        rest: Cow::Borrowed(""),
    };
    const TRANSFORMS: [Algorithm<'static>; 2] = [
        Self::CANONICALIZATION,
        Algorithm {
            beginning: "smev-gov-ru/",
            rest: Cow::Borrowed("xmldsig/transform"),
        },
    ];

    /// The hash that the name of a signature algorithm ends with.
    fn hash(&self) -> Option<Algorithm<'_>> {
        let (_, hash) = self.rest.split_once('-')?;
        Some(Algorithm {
            beginning: self.beginning,
            rest: hash.into(),
        })
    }

    fn new(uri: &'t str) -> Option<Self> {
        if BEGINNINGS.iter().any(|(short, _)| uri.starts_with(short)) {
            // It would be read as something else.
            return None;
        }
        let known = BEGINNINGS
            .iter()
            .find_map(|(short, long)| Some((*short, uri.strip_prefix(long)?)));
        let (beginning, rest) = known.unwrap_or(("", uri));
        Some(Self {
            beginning,
            rest: rest.into(),
        })
    }

    fn uri(&self) -> String {
        let Self { beginning, rest } = self;
        match BEGINNINGS.iter().find(|(short, _)| short == beginning) {
            Some((_, long)) => format!("{long}{rest}"),
            None => rest.clone().into_owned(),
        }
    }
}

impl Serialize for Algorithm<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{}{}", self.beginning, self.rest))
    }
}

impl<'de> Deserialize<'de> for Algorithm<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = BEGINNINGS
            .iter()
            .find_map(|(short, _)| Some((*short, name.strip_prefix(short)?.to_owned())));
        let (beginning, rest) = known.unwrap_or(("", name));
        Ok(Self {
            beginning,
            rest: rest.into(),
        })
    }
}

/// Reads exactly what the form demands.
struct Reader<'t> {
    prefix: &'t str,
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn eat(&mut self, text: &str) -> Option<()> {
        self.rest = self.rest.strip_prefix(text)?;
        Some(())
    }

    /// The beginning of a tag, or nothing.
    fn tag(&mut self, bracket: &str, element: &str) -> Option<&'t str> {
        let rest = self.rest.strip_prefix(bracket)?.strip_prefix(self.prefix)?;
        let rest = if self.prefix.is_empty() {
            rest
        } else {
            rest.strip_prefix(':')?
        };
        rest.strip_prefix(element)
    }

    fn open(&mut self, element: &str) -> Option<()> {
        self.rest = self.tag("<", element)?;
        Some(())
    }

    fn close(&mut self, element: &str) -> Option<()> {
        self.rest = self.tag("</", element)?.strip_prefix('>')?;
        Some(())
    }

    fn before(&mut self, end: char) -> Option<&'t str> {
        let (value, rest) = self.rest.split_at(self.rest.find(end)?);
        self.rest = rest;
        Some(value)
    }

    /// The value and its end.
    fn until(&mut self, end: char) -> Option<&'t str> {
        let (value, rest) = self.rest.split_once(end)?;
        self.rest = rest;
        Some(value)
    }

    fn algorithm(&mut self, element: &str) -> Option<Algorithm<'t>> {
        self.open(element)?;
        self.eat(" Algorithm=\"")?;
        let uri = self.until('"')?;
        self.eat(">")?;
        self.close(element)?;
        Algorithm::new(uri)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Kept(#[serde(with = "super")] String);

    fn there_and_back(text: &str) -> String {
        let written = serde_json::to_string(&Kept(text.to_owned())).unwrap();
        let read: Kept = serde_json::from_str(&written).unwrap();
        assert_eq!(read.0, text, "{written}");
        written
    }

    /// As this program and most others sign.
    fn usual(prefix: &str) -> String {
        let (p, declared) = match prefix {
            "" => (String::new(), String::new()),
            prefix => (format!("{prefix}:"), format!(":{prefix}")),
        };
        format!(
            "<{p}SignedInfo xmlns{declared}=\"http://www.w3.org/2000/09/xmldsig#\"><{p}CanonicalizationMethod \
             Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></{p}CanonicalizationMethod><{p}SignatureMethod \
             Algorithm=\"urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34102012-gostr34112012-256\"></{p}SignatureMethod>\
             <{p}Reference URI=\"#A&amp;B\"><{p}Transforms><{p}Transform \
             Algorithm=\"http://www.w3.org/2001/10/xml-exc-c14n#\"></{p}Transform><{p}Transform \
             Algorithm=\"urn://smev-gov-ru/xmldsig/transform\"></{p}Transform></{p}Transforms><{p}DigestMethod \
             Algorithm=\"urn:ietf:params:xml:ns:cpxmlsec:algorithms:gostr34112012-256\"></{p}DigestMethod>\
             <{p}DigestValue>q83v/w==</{p}DigestValue></{p}Reference></{p}SignedInfo>"
        )
    }

    #[test]
    fn the_usual_form_is_written_in_parts() {
        assert_eq!(
            there_and_back(&usual("ds")),
            r##"{"prefix":"ds","signature":"cpxmlsec:gostr34102012-gostr34112012-256","uri":"#A&amp;B","digest":"q83v/w=="}"##
        );
        assert!(there_and_back(&usual("")).starts_with(r#"{"signature":"#));
        let other = usual("")
            .replace("xml-exc-c14n#", "xml-exc-c14n#WithComments")
            .replace("gostr34112012-256\"></D", "gostr3411\"></D");
        assert_eq!(
            there_and_back(&other),
            r##"{"canonicalization":"exc-c14n#WithComments","signature":"cpxmlsec:gostr34102012-gostr34112012-256","uri":"#A&amp;B","transforms":["exc-c14n#WithComments","smev-gov-ru/xmldsig/transform"],"hash":"cpxmlsec:gostr3411","digest":"q83v/w=="}"##
        );
    }

    #[test]
    fn any_change_of_the_form_keeps_its_octets() {
        for text in [usual("ds"), usual("")] {
            for at in 0..text.len() {
                let (before, after) = text.split_at(at);
                there_and_back(&format!("{before}{}", &after[1..]));
                for more in ["\n", "a", ">", "<", "\"", ":", "exc-c14n#", "xmldsig#"] {
                    there_and_back(&format!("{before}{more}{after}"));
                }
            }
        }
    }

    #[test]
    fn the_published_messages_keep_their_octets() {
        let dir = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data/public/signed");
        let Ok(groups) = std::fs::read_dir(dir) else {
            eprintln!("SKIPPED: {dir} is not there");
            return;
        };
        let groups = groups.map(|group| group.unwrap().path()).filter(|group| group.is_dir());
        let files = groups.flat_map(|group| std::fs::read_dir(group).unwrap());
        let mut in_parts = 0;
        for file in files.map(|file| file.unwrap().path()) {
            if file.to_string_lossy().ends_with(".signedinfo.c14n") {
                let written = there_and_back(&std::fs::read_to_string(file).unwrap());
                in_parts += usize::from(written.starts_with('{'));
            }
        }
        assert!(in_parts > 0);
    }

    proptest! {
        #[test]
        fn any_values_keep_their_octets(
            prefix in "[a-z:]{0,3}", uri in "[^\"]{0,9}", name in "(exc-c14n#|cpxmlsec:|urn:ietf:params:xml:ns:cpxmlsec:algorithms:)?[a-z#:<>]{0,5}", digest in "[^<]{0,9}",
        ) {
            let text = usual(&prefix).replace("#A&amp;B", &uri).replace("q83v/w==", &digest);
            there_and_back(&text.replace("urn://smev-gov-ru/xmldsig/transform", &name));
            there_and_back(&uri);
        }
    }
}
