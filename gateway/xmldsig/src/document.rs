//! A strictly parsed document, borrowed from its octets.

use crate::{Element, Limits, scan};
use std::str;

/// A well-formed, namespace-well-formed XML 1.0 document in UTF-8 without a DTD, within its [`Limits`].
///
/// It borrows the octets, which therefore stay exactly as they were received. A document is parsed once and looked at
/// often; it is `Send` and `Sync`. Callers that must keep one for longer keep the octets (and ranges in them).
#[derive(Debug)]
pub struct Document<'a> {
    tree: roxmltree::Document<'a>,
}

impl<'a> Document<'a> {
    /// Parses `octets`.
    ///
    /// A byte order mark is accepted, everything but UTF-8 (declared or not) is refused, as are a DTD, XML 1.1 and what
    /// exceeds `limits`.
    ///
    /// # Errors
    /// [`ParseError`]; the sender is to blame for each of them.
    pub fn parse(octets: &'a [u8], limits: &Limits) -> Result<Document<'a>, ParseError> {
        let text = text_within(octets, limits)?;
        let options = roxmltree::ParsingOptions {
            allow_dtd: false,
            nodes_limit: u32::try_from(limits.nodes).unwrap_or(u32::MAX).saturating_add(1),
            ..Default::default()
        };
        let tree = roxmltree::Document::parse_with_options(text, options).map_err(|e| refusal_of_parser(&e))?;
        Ok(Self { tree })
    }

    /// Looks for what [`parse`](Self::parse) refuses before it builds anything: all bounds, and many a fault of syntax.
    /// A cheap pass that needs no memory.
    ///
    /// # Errors
    /// [`ParseError`].
    pub fn check(octets: &[u8], limits: &Limits) -> Result<(), ParseError> {
        text_within(octets, limits).map(|_| ())
    }

    /// The root element.
    pub fn root(&self) -> Element<'_, 'a> {
        Element(self.tree.root_element())
    }

    /// The whole text as it was given to [`parse`](Self::parse), byte order mark included.
    pub fn source(&self) -> &'a str {
        self.tree.input_text()
    }

    /// The element whose attribute `Id` (in no namespace) is `id`.
    ///
    /// To be found, the value must be unique among everything that any program might take for an identifier: all
    /// attributes whose local name is `Id` in whatever case and namespace (`ID`, `xml:id`, `wsu:Id`). Other values may
    /// repeat: business data use the same name for their own purposes.
    ///
    /// # Errors
    /// [`IdError::Missing`] and [`IdError::Duplicate`].
    pub fn element_by_id(&self, id: &str) -> Result<Element<'_, 'a>, IdError> {
        find_id(&self.tree, id).map(Element)
    }
}

fn text_within<'a>(octets: &'a [u8], limits: &Limits) -> Result<&'a str, ParseError> {
    if octets.len() > limits.octets {
        return Err(ParseError::TooLarge { limit: limits.octets });
    }
    let text = str::from_utf8(octets).map_err(|_| ParseError::Encoding)?;
    scan::scan(text, limits)?;
    Ok(text)
}

/// Why a document was not accepted. The sender is to blame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// More octets than [`Limits::octets`].
    #[error("the document is larger than {limit} octets")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The octets are not UTF-8, or the document declares another encoding.
    #[error("the document is not in UTF-8")]
    Encoding,
    /// The document declares a version of XML other than 1.0.
    #[error("the document is not XML 1.0")]
    Version,
    /// The document has a document type declaration.
    #[error("the document has a DTD")]
    Dtd,
    /// More open elements than [`Limits::depth`].
    #[error("elements are nested deeper than {limit}")]
    TooDeep {
        /// The limit.
        limit: usize,
    },
    /// An element with more attributes than [`Limits::attributes`].
    #[error("an element has more than {limit} attributes")]
    TooManyAttributes {
        /// The limit.
        limit: usize,
    },
    /// More namespace declarations above an element than [`Limits::namespaces`].
    #[error("more than {limit} namespace declarations are in scope")]
    TooManyNamespaces {
        /// The limit.
        limit: usize,
    },
    /// More nodes than [`Limits::nodes`].
    #[error("the document has more than {limit} nodes")]
    TooManyNodes {
        /// The limit.
        limit: usize,
    },
    /// Namespaces are declared and used in a way that would cost far more than the document's size tells.
    #[error("namespaces are used too wastefully")]
    Wasteful,
    /// Not well-formed, or not well-formed with respect to namespaces.
    #[error("not well-formed at line {line}, column {column}: {what}")]
    NotWellFormed {
        /// Line, from 1.
        line: u32,
        /// Column in characters, from 1.
        column: u32,
        /// The rule that is broken.
        what: &'static str,
    },
}

/// Why no element goes by an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// No element has this `Id`.
    #[error("no element has this Id")]
    Missing,
    /// The value stands in more than one attribute that may be taken for an identifier.
    #[error("the Id is not unique in the document")]
    Duplicate,
}

/// See [`Document::element_by_id`].
pub(crate) fn find_id<'d, 'a>(tree: &'d roxmltree::Document<'a>, id: &str) -> Result<roxmltree::Node<'d, 'a>, IdError> {
    let mut found = None;
    let mut holders = 0_usize;
    for node in tree.root().descendants() {
        for attribute in node.attributes() {
            if attribute.name().eq_ignore_ascii_case("id") && attribute.value() == id {
                holders += 1;
                if attribute.name() == "Id" && attribute.namespace().is_none() {
                    found = Some(node);
                }
            }
        }
    }
    match (found, holders) {
        (Some(element), 1) => Ok(element),
        (_, 0 | 1) => Err(IdError::Missing),
        _ => Err(IdError::Duplicate),
    }
}

/// Keeps the place and the rule; the parser's own message may quote the document, which must not get into logs.
fn refusal_of_parser(error: &roxmltree::Error) -> ParseError {
    use roxmltree::Error as E;
    let what = match error {
        E::DtdDetected => return ParseError::Dtd,
        E::NodesLimitReached => {
            return ParseError::TooManyNodes {
                limit: u32::MAX as usize,
            };
        }
        E::AttributesLimitReached | E::NamespacesLimitReached => return ParseError::Wasteful,
        E::InvalidXmlPrefixUri(_)
        | E::UnexpectedXmlUri(_)
        | E::UnexpectedXmlnsUri(_)
        | E::InvalidElementNamePrefix(_) => "a reserved namespace or prefix is misused",
        E::DuplicatedNamespace(..) => "a prefix is declared twice",
        E::UnknownNamespace(..) => "a prefix is not declared",
        E::UnexpectedCloseTag(..) => "the end tag does not match the start tag",
        E::UnknownEntityReference(..) => "an entity is not declared",
        E::MalformedEntityReference(_) => "a reference is malformed",
        E::InvalidAttributeValue(_) => "`<` in an attribute value",
        E::DuplicatedAttribute(..) => "an attribute is given twice",
        E::NoRootNode => "there is no root element",
        E::UnclosedRootNode | E::UnexpectedEndOfStream => "the document ends too early",
        E::InvalidName(_) => "a name is invalid",
        E::NonXmlChar(..) => "a character is not allowed in XML",
        E::InvalidComment(_) => "`--` in a comment",
        E::InvalidCharacterData(_) => "`]]>` in text",
        _ => "the syntax is broken",
    };
    let place = error.pos();
    ParseError::NotWellFormed {
        line: place.row,
        column: place.col,
        what,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_found_only_when_nothing_else_may_be_taken_for_it() {
        let find = |xml: &str| {
            Document::parse(xml.as_bytes(), &Limits::default())
                .unwrap()
                .element_by_id("x")
                .map(|e| e.local_name().to_owned())
        };
        assert_eq!(find(r#"<a><b Id="x"/><c Id="y"/><d Id="y"/></a>"#), Ok("b".to_owned()));
        assert_eq!(find(r#"<a><b id="x"/></a>"#), Err(IdError::Missing));
        assert_eq!(find(r#"<a><b Id="X"/></a>"#), Err(IdError::Missing));
        assert_eq!(find(r#"<a Id="x"><b Id="x"/></a>"#), Err(IdError::Duplicate));
        assert_eq!(find(r#"<a Id="x"><b ID="x"/></a>"#), Err(IdError::Duplicate));
        assert_eq!(find(r#"<a Id="x"><b xml:id="x"/></a>"#), Err(IdError::Duplicate));
        assert_eq!(
            find(r#"<a Id="&#120;" xmlns:w="urn:w" w:Id="x"/>"#),
            Err(IdError::Duplicate)
        );
    }

    #[test]
    fn a_document_can_be_shared_between_threads() {
        fn shared<T: Send + Sync>(_: &T) {}
        shared(&Document::parse(b"<a/>", &Limits::default()).unwrap());
    }

    #[test]
    fn the_parsers_errors_keep_the_place_but_not_the_content() {
        let error = Document::parse("<a>\n<secret></mismatch></a>".as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "not well-formed at line 2, column 9: the end tag does not match the start tag"
        );
    }
}
