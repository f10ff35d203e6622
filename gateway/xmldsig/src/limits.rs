//! How much of a document we are willing to read.

/// Bounds on a document, checked in one linear pass before anything that costs more than that (DESIGN §5).
///
/// Besides these, two bounds follow from the document's own size and are not settings: the work of looking namespaces
/// up, and what namespace names can grow to when they are declared again on every element.
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
    /// Elements, attributes, texts, comments and processing instructions together. The tree takes about 100 octets for each.
    pub nodes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            octets: 8 << 20,
            depth: 256,
            attributes: 256,
            namespaces: 256,
            nodes: 500_000,
        }
    }
}
