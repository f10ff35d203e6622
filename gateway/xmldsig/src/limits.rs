//! How much of a document we are willing to read.

/// Bounds on a document, checked in one linear pass before anything that costs more than that (DESIGN §5).
///
/// Two bounds follow from the document's own size: the work of looking namespaces up, and what namespace names can grow to
/// when they are declared again on every element. They are not settings, but can be [waived](Self::lavish).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Octets of the whole document.
    pub octets: usize,
    /// Elements open at the same time.
    pub depth: usize,
    /// Attributes of one element, namespace declarations included.
    pub attributes: usize,
    /// Namespace declarations on the way from the root to any element, those that are hidden by others included.
    pub namespaces: usize,
    /// Elements, attributes, texts, comments and processing instructions together. The tree takes 80 octets for each.
    pub nodes: usize,
    /// Whether namespaces may be declared and used as wastefully as the other bounds allow.
    pub lavish: bool,
}

impl Limits {
    /// The limits of documents of up to so many octets: a node for every four of them, and at least as many as the
    /// [default](Self::default) has. Elements of twelve octets, each with a text inside and white space behind, just fit.
    #[must_use]
    pub fn of_size(octets: usize) -> Self {
        const OCTETS_OF_A_NODE: usize = 4;
        Self {
            octets,
            depth: 256,
            attributes: 256,
            namespaces: 256,
            nodes: octets.max(DEFAULT_OCTETS) / OCTETS_OF_A_NODE,
            lavish: false,
        }
    }

    /// The limits of what was accepted before and is read again inside an envelope of our own. Its size and its use of
    /// namespaces are not asked a second time; the other bounds leave room for the envelope, and for the declarations
    /// that an element inherited and now carries itself, as attributes.
    #[must_use]
    pub fn of_accepted() -> Self {
        let accepted = Self::default();
        Self {
            octets: usize::MAX,
            depth: 2 * accepted.depth,
            attributes: 4 * accepted.attributes,
            namespaces: 4 * accepted.namespaces,
            nodes: usize::MAX,
            lavish: true,
        }
    }
}

const DEFAULT_OCTETS: usize = 8 << 20;

impl Default for Limits {
    /// 8 MiB with 2,097,152 nodes; 256 open elements, attributes of an element, namespace declarations in scope.
    fn default() -> Self {
        Self::of_size(DEFAULT_OCTETS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, ParseError};

    fn read(record: &str, count: usize) -> Result<(), ParseError> {
        let xml = format!("<a>{}</a>", record.repeat(count));
        Document::parse(xml.as_bytes(), &Limits::default()).map(|_| ())
    }

    #[test]
    fn a_body_of_small_elements_with_text_is_read_whole() {
        // 4 MB of 300,000 elements with text, and 8 MiB at the density that just fits.
        assert_eq!(read("<v>12345</v>\n", 300_000), Ok(()));
        assert_eq!(read("<v>1234</v>\n", (DEFAULT_OCTETS - 100) / 12), Ok(()));
        let limit = DEFAULT_OCTETS / 4;
        assert_eq!(read("<v/>x", limit / 2 + 1), Err(ParseError::TooManyNodes { limit }));
    }

    #[test]
    fn what_was_accepted_at_the_limits_is_read_again_inside_an_envelope() {
        let limits = Limits::default();
        let declarations: String = (1..=limits.namespaces).map(|n| format!(" xmlns:p{n}='u{n}'")).collect();
        let deep = |depth: usize| "<a>".repeat(depth) + &"</a>".repeat(depth);
        // What one element needs is little beside the text that stands next to it.
        let wasteful = format!("<a{declarations}>{}</a>", "<b/>".repeat(20_000));
        let padded = format!("<e><!--{}-->{wasteful}</e>", "x".repeat(500_000));
        for (accepted, alone) in [
            (format!("<a{declarations}/>"), format!("<a{declarations}/>")),
            (deep(limits.depth), deep(limits.depth)),
            (padded, wasteful.clone()),
        ] {
            let read = |xml: &str, limits: &Limits| Document::parse(xml.as_bytes(), limits).map(|_| ());
            assert_eq!(read(&accepted, &limits), Ok(()));
            let wrapped = format!("<r xmlns:ours='u' xmlns='v'><e>{alone}</e></r>");
            assert!(read(&wrapped, &limits).is_err(), "{}", &wrapped[..100]);
            assert_eq!(read(&wrapped, &Limits::of_accepted()), Ok(()));
        }
    }

    #[test]
    fn larger_documents_may_have_more_nodes_and_smaller_ones_not_fewer() {
        assert_eq!(Limits::of_size(64 << 20).nodes, 16 << 20);
        assert_eq!(Limits::of_size(100).nodes, Limits::default().nodes);
    }
}
