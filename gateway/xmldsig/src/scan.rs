//! One linear pass over the text before the parser sees it.
//!
//! Two things are settled here. **Limits**: the parser and everything behind it look namespaces and attributes up in
//! lists, which is fast for what people send and quadratic for what attackers send; so depth, counts, the lookups that
//! lie ahead and the room that namespace names can take when they are repeated are bounded first. **Strictness**: a few
//! rules of XML 1.0 and Namespaces in XML 1.0 that roxmltree 0.21 does not hold to are checked here, because two parsers
//! that read one document differently are what signature wrapping lives on:
//! - a default namespace declared twice on one element, an attribute `p:xmlns` (taken for one), `xmlns:p=""`;
//! - names that begin with a colon;
//! - references to characters that do not exist (`&#xD800;` would become U+FFFD);
//! - a lone CR in text that has references too (its end-of-line handling gets this one case wrong);
//! - an XML declaration with another version, encoding or order; processing instructions named `xml` or run together
//!   with their data.
//!
//! The pass splits the text into the same tokens as the parser does for any well-formed document, and for any other at
//! least up to the first fault, where the parser stops.

use crate::{Limits, ParseError, element::is_xml_space};
use memchr::{memchr, memchr_iter, memmem};

/// Checks `text` against `limits` and against the rules named above.
pub(crate) fn scan(text: &str, limits: &Limits) -> Result<(), ParseError> {
    let bytes = text.as_bytes();
    let mut scanner = Scanner {
        bytes,
        limits,
        lone_cr: memchr_iter(b'\r', bytes).any(|at| bytes.get(at + 1) != Some(&b'\n')),
        numeric_references: memmem::find(bytes, b"&#").is_some(),
        nodes: 0,
        lookups: 0,
        repetition: 0,
        open: Vec::with_capacity(32),
    };
    let start = if bytes.starts_with("\u{feff}".as_bytes()) { 3 } else { 0 };
    let start = scanner.declaration(start)?;
    scanner.content(start)
}

struct Scanner<'t> {
    bytes: &'t [u8],
    limits: &'t Limits,
    /// There is a CR without LF somewhere.
    lone_cr: bool,
    /// There is a numeric character reference somewhere.
    numeric_references: bool,
    nodes: usize,
    /// Comparisons, of 16 octets each, that names may need in the parser and when the tree is written out again.
    lookups: usize,
    /// Octets of namespace names if every element and prefixed attribute had to declare the longest one in scope.
    repetition: usize,
    open: Vec<Scope>,
}

/// What holds inside an open element.
#[derive(Clone, Copy, Default)]
struct Scope {
    /// Namespace declarations here and above.
    declared: usize,
    /// Octets of the longest declaration here and above.
    longest: usize,
}

/// A name and what follows it.
struct Name<'t> {
    text: &'t [u8],
    prefixed: bool,
    end: usize,
}

impl<'t> Scanner<'t> {
    fn content(&mut self, start: usize) -> Result<(), ParseError> {
        let mut at = start;
        while let Some(length) = memchr(b'<', &self.bytes[at..]) {
            self.text(at, at + length)?;
            at += length;
            at = match self.bytes.get(at + 1) {
                Some(b'/') => self.end_tag(at)?,
                Some(b'!') => self.declaration_or_section(at)?,
                Some(b'?') => self.instruction(at)?,
                _ => self.start_tag(at)?,
            };
        }
        self.text(at, self.bytes.len())
    }

    fn text(&mut self, from: usize, to: usize) -> Result<(), ParseError> {
        if from == to {
            return Ok(());
        }
        self.count(1)?;
        if self.lone_cr {
            let text = &self.bytes[from..to];
            let lone = memchr_iter(b'\r', text).any(|at| text.get(at + 1) != Some(&b'\n'));
            if lone && memchr(b'&', text).is_some() {
                return Err(self.broken(from, "a carriage return without a line feed beside a reference"));
            }
        }
        self.references(from, to)
    }

    fn start_tag(&mut self, at: usize) -> Result<usize, ParseError> {
        let element = self.name(at + 1)?;
        let mut scope = self.open.last().copied().unwrap_or_default();
        let (mut attributes, mut prefixed, mut declared, mut default_declared) = (0_usize, 0_usize, 0_usize, false);
        let mut at = element.end;
        let empty = loop {
            at = self.skip_spaces(at);
            match self.bytes.get(at) {
                Some(b'>') => break false,
                Some(b'/') if self.bytes.get(at + 1) == Some(&b'>') => {
                    at += 1;
                    break true;
                }
                _ => {}
            }
            let name = self.name(at)?;
            let value = self.value(name.end)?;
            attributes += 1;
            if name.text == b"xmlns" || name.text.starts_with(b"xmlns:") {
                if name.prefixed && value.is_empty() {
                    return Err(self.broken(at, "a prefix is undeclared"));
                }
                if !name.prefixed && std::mem::replace(&mut default_declared, true) {
                    return Err(self.broken(at, "the default namespace is declared twice"));
                }
                declared += 1;
                scope.longest = scope.longest.max(name.text.len() + value.len());
            } else if name.prefixed {
                prefixed += 1;
            }
            if name.prefixed && name.text.ends_with(b":xmlns") {
                return Err(self.broken(at, "the name `xmlns` is misused"));
            }
            self.references(value.start, value.end)?;
            at = value.end + 1;
        };
        if attributes > self.limits.attributes {
            return Err(ParseError::TooManyAttributes {
                limit: self.limits.attributes,
            });
        }
        self.count(1 + attributes)?;
        scope.declared += declared;
        if scope.declared > self.limits.namespaces {
            return Err(ParseError::TooManyNamespaces {
                limit: self.limits.namespaces,
            });
        }
        self.spend(scope, attributes, prefixed, declared)?;
        if !empty {
            self.open.push(scope);
            if self.open.len() > self.limits.depth {
                return Err(ParseError::TooDeep {
                    limit: self.limits.depth,
                });
            }
        }
        Ok(at + 1)
    }

    /// Books the work that an element will cost: looking up its names, comparing its attributes with each other, copying
    /// the scope if it declares something; comparing long names costs more. What is left is at worst some tenths of a
    /// second for 8 MiB; what real documents need is a tenth of it.
    fn spend(&mut self, scope: Scope, attributes: usize, prefixed: usize, declared: usize) -> Result<(), ParseError> {
        let mut comparisons = scope.declared.saturating_mul(1 + prefixed);
        comparisons = comparisons.saturating_add(attributes.saturating_mul(attributes) / 2);
        if declared > 0 {
            comparisons = comparisons.saturating_add(scope.declared.saturating_mul(scope.declared) / 2);
        }
        self.lookups = self
            .lookups
            .saturating_add(comparisons.saturating_mul(1 + scope.longest / 16));
        self.repetition = self
            .repetition
            .saturating_add(scope.longest.saturating_mul(1 + prefixed));
        let wasteful =
            |spent: usize, factor: usize| spent > self.bytes.len().saturating_mul(factor).saturating_add(1 << 20);
        if !self.limits.lavish && (wasteful(self.lookups, 16) || wasteful(self.repetition, 8)) {
            return Err(ParseError::Wasteful);
        }
        Ok(())
    }

    fn end_tag(&mut self, at: usize) -> Result<usize, ParseError> {
        let name = self.name(at + 2)?;
        let end = self.skip_spaces(name.end);
        if self.bytes.get(end) != Some(&b'>') || self.open.pop().is_none() {
            return Err(self.broken(at, "the end tag is misplaced"));
        }
        Ok(end + 1)
    }

    fn declaration_or_section(&mut self, at: usize) -> Result<usize, ParseError> {
        let rest = &self.bytes[at..];
        let (opening, closing): (usize, &[u8]) = if rest.starts_with(b"<!--") {
            (4, b"-->")
        } else if rest.starts_with(b"<![CDATA[") {
            (9, b"]]>")
        } else if rest.starts_with(b"<!DOCTYPE") {
            return Err(ParseError::Dtd);
        } else {
            return Err(self.broken(at, "the syntax is broken"));
        };
        self.count(1)?;
        let length = memmem::find(&rest[opening..], closing)
            .ok_or_else(|| self.broken(at, "a comment or CDATA section is not closed"))?;
        Ok(at + opening + length + closing.len())
    }

    fn instruction(&mut self, at: usize) -> Result<usize, ParseError> {
        self.count(1)?;
        let rest = &self.bytes[at + 2..];
        let length =
            memmem::find(rest, b"?>").ok_or_else(|| self.broken(at, "a processing instruction is not closed"))?;
        let content = &rest[..length];
        let target = &content[..content.iter().position(|b| is_xml_space(*b)).unwrap_or(length)];
        let name = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
        if !target.iter().all(name) || target.eq_ignore_ascii_case(b"xml") {
            return Err(self.broken(
                at,
                "the target of a processing instruction is not an ASCII name, or is `xml`",
            ));
        }
        Ok(at + 2 + length + 2)
    }

    /// XMLDecl ::= '<?xml' S version (S encoding)? (S standalone)? S? '?>'
    fn declaration(&self, start: usize) -> Result<usize, ParseError> {
        let rest = &self.bytes[start..];
        if !rest.starts_with(b"<?xml") || !rest.get(5).copied().is_some_and(is_xml_space) {
            return Ok(start);
        }
        let broken = || self.broken(start, "the XML declaration is broken");
        let end = start + memmem::find(rest, b"?>").ok_or_else(broken)?;
        let mut at = start + 5;
        let mut expected: &[&[u8]] = &[b"version", b"encoding", b"standalone"];
        loop {
            let next = self.skip_spaces(at);
            if next == end {
                break;
            }
            if next == at {
                return Err(broken());
            }
            let name = self.name(next)?;
            let value = self.value(name.end)?;
            let position = expected.iter().position(|e| *e == name.text).ok_or_else(broken)?;
            if value.end >= end || (expected.len() == 3 && position != 0) {
                return Err(broken());
            }
            expected = &expected[position + 1..];
            let value_text = &self.bytes[value.clone()];
            match name.text {
                b"version" if value_text != b"1.0" => return Err(ParseError::Version),
                b"encoding"
                    if !value_text.eq_ignore_ascii_case(b"utf-8") && !value_text.eq_ignore_ascii_case(b"utf8") =>
                {
                    return Err(ParseError::Encoding);
                }
                b"standalone" if !matches!(value_text, b"yes" | b"no") => return Err(broken()),
                _ => {}
            }
            at = value.end + 1;
        }
        if expected.len() == 3 {
            Err(broken())
        } else {
            Ok(end + 2)
        }
    }

    fn name(&self, start: usize) -> Result<Name<'t>, ParseError> {
        let mut end = start;
        let mut prefixed = false;
        while let Some(&octet) = self.bytes.get(end) {
            if octet == b':' {
                prefixed = true;
            } else if is_xml_space(octet) || matches!(octet, b'>' | b'/' | b'=' | b'<' | b'"' | b'\'' | b'&' | b'?') {
                break;
            }
            end += 1;
        }
        let text = &self.bytes[start..end];
        if text.is_empty() || text[0] == b':' {
            return Err(self.broken(start, "a name is invalid"));
        }
        Ok(Name { text, prefixed, end })
    }

    /// The range of the value inside its quotes, of what should be `= "value"` at `start`.
    fn value(&self, start: usize) -> Result<std::ops::Range<usize>, ParseError> {
        let broken = || self.broken(start, "an attribute is broken");
        let equals = self.skip_spaces(start);
        if self.bytes.get(equals) != Some(&b'=') {
            return Err(broken());
        }
        let quote = self.skip_spaces(equals + 1);
        let mark = match self.bytes.get(quote) {
            Some(mark @ (b'"' | b'\'')) => *mark,
            _ => return Err(broken()),
        };
        let length = memchr(mark, &self.bytes[quote + 1..]).ok_or_else(broken)?;
        Ok(quote + 1..quote + 1 + length)
    }

    /// Checks that the numeric references in the range name characters that XML allows.
    fn references(&self, from: usize, to: usize) -> Result<(), ParseError> {
        if !self.numeric_references {
            return Ok(());
        }
        for at in memmem::find_iter(&self.bytes[from..to], b"&#") {
            let rest = &self.bytes[from + at + 2..to];
            let (digits, radix) = match rest.split_first() {
                Some((b'x', digits)) => (digits, 16),
                _ => (rest, 10),
            };
            let digits = &digits[..memchr(b';', digits).unwrap_or(0)];
            let character = std::str::from_utf8(digits)
                .ok()
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|digits| u32::from_str_radix(digits, radix).ok())
                .and_then(char::from_u32);
            if !character.is_some_and(is_xml_char) {
                return Err(self.broken(from + at, "a reference to a character that XML does not allow"));
            }
        }
        Ok(())
    }

    fn skip_spaces(&self, mut at: usize) -> usize {
        while self.bytes.get(at).copied().is_some_and(is_xml_space) {
            at += 1;
        }
        at
    }

    fn count(&mut self, nodes: usize) -> Result<(), ParseError> {
        self.nodes = self.nodes.saturating_add(nodes);
        if self.nodes > self.limits.nodes {
            return Err(ParseError::TooManyNodes {
                limit: self.limits.nodes,
            });
        }
        Ok(())
    }

    fn broken(&self, at: usize, what: &'static str) -> ParseError {
        let before = &self.bytes[..at.min(self.bytes.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |lf| lf + 1);
        let characters = before[line_start..].iter().filter(|b| (**b & 0xc0) != 0x80).count();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        ParseError::NotWellFormed {
            line: number(1 + memchr_iter(b'\n', before).count()),
            column: number(1 + characters),
            what,
        }
    }
}

/// Char of XML 1.0 §2.2.
fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | '\u{20}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..='\u{10ffff}')
}

#[cfg(test)]
mod tests;
