//! Copying text with a few octets replaced by references.

/// Appends `text`, with each octet that `reference` has an answer for replaced by it. Only ASCII may be replaced.
#[inline]
pub(crate) fn push_escaped(out: &mut String, text: &str, reference: impl Fn(u8) -> Option<&'static str>) {
    let mut copied = 0;
    for (at, octet) in text.bytes().enumerate() {
        if let Some(replacement) = reference(octet) {
            out.push_str(&text[copied..at]);
            out.push_str(replacement);
            copied = at + 1;
        }
    }
    out.push_str(&text[copied..]);
}
