//! Writing XML by hand: the escaping that keeps it well-formed whatever the text.

use std::borrow::Cow;

/// Escapes character data.
pub(crate) fn text(value: &str) -> Cow<'_, str> {
    escape(value, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '\r' => Some("&#13;"),
        _ => forbidden(c),
    })
}

/// Escapes the value of an attribute that stands between double quotes.
pub(crate) fn attribute(value: &str) -> Cow<'_, str> {
    escape(value, |c| match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '"' => Some("&quot;"),
        '\t' => Some("&#9;"),
        '\n' => Some("&#10;"),
        '\r' => Some("&#13;"),
        _ => forbidden(c),
    })
}

/// Appends `<name>text</name>`.
pub(crate) fn element(out: &mut String, name: &str, value: &str) {
    out.push('<');
    out.push_str(name);
    out.push('>');
    out.push_str(&text(value));
    out.push_str("</");
    out.push_str(name);
    out.push('>');
}

/// At most `limit` characters of a text.
pub(crate) fn shortened(value: &str, limit: usize) -> &str {
    match value.char_indices().nth(limit) {
        Some((end, _)) => &value[..end],
        None => value,
    }
}

/// Characters that XML 1.0 cannot hold are shown as the replacement character.
fn forbidden(c: char) -> Option<&'static str> {
    match c {
        '\t' | '\n' | '\r' => None,
        '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => Some("\u{fffd}"),
        _ => None,
    }
}

fn escape(value: &str, replacement: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    let Some((first, _)) = value.char_indices().find(|&(_, c)| replacement(c).is_some()) else {
        return Cow::Borrowed(value);
    };
    let mut out = String::with_capacity(value.len() + 16);
    out.push_str(&value[..first]);
    for c in value[first..].chars() {
        match replacement(c) {
            Some(text) => out.push_str(text),
            None => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_escaped_is_read_back_by_a_strict_parser() {
        let value = "a & b < c > d ]]> \" ' \t\r\n Ж\u{85}\u{1f600}";
        let xml = format!("<e a=\"{}\">{}</e>", attribute(value), text(value));
        let document = xmldsig::Document::parse(xml.as_bytes(), &xmldsig::Limits::default()).unwrap();
        assert_eq!(document.root().text(), value);
        assert_eq!(document.root().attribute("a"), Some(value));
    }

    #[test]
    fn characters_that_xml_cannot_hold_do_not_break_it() {
        let xml = format!("<e>{}</e>", text("\0\x0b\u{ffff}"));
        let document = xmldsig::Document::parse(xml.as_bytes(), &xmldsig::Limits::default()).unwrap();
        assert_eq!(document.root().text(), "\u{fffd}\u{fffd}\u{fffd}");
    }

    #[test]
    fn shortening_counts_characters() {
        assert_eq!(shortened("жук", 2), "жу");
        assert_eq!(shortened("жук", 3), "жук");
    }
}
