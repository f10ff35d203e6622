//! What a person reads: a heading, and lines of a name and a text. Nothing from outside takes hold of the terminal.

use std::io;

use super::caller::Signer;
use crate::output::Out;

/// Width of the lines' names.
const NAMES: usize = 12;
/// Characters that are shown of one text from outside.
const SHOWN: usize = 4000;

/// A heading with lines under it.
pub(super) struct Sheet {
    heading: String,
    lines: Vec<(&'static str, String)>,
}

impl Sheet {
    /// With this heading.
    pub(super) fn new(heading: impl Into<String>) -> Self {
        Self {
            heading: heading.into(),
            lines: Vec::new(),
        }
    }

    /// Adds a line; one without a name goes on with the one before.
    pub(super) fn line(&mut self, name: &'static str, text: impl Into<String>) {
        self.lines.push((name, text.into()));
    }

    /// Adds a line if there is something to tell.
    pub(super) fn some(&mut self, name: &'static str, text: Option<impl Into<String>>) {
        if let Some(text) = text {
            self.line(name, text);
        }
    }

    /// Who signed the answer, and what that is worth.
    pub(super) fn signer(&mut self, signer: Option<&Signer>) {
        let Some(signer) = signer else {
            self.line("signed by", "nobody: such an answer is not signed");
            return;
        };
        let worth = match signer.trusted {
            Some(_) => "the signature holds, the certificate is trusted",
            None => "the signature holds; name the gateway's certificate with --trusted to prove whose it is",
        };
        self.line("signed by", format!("{}: {worth}", signer.subject));
        self.line("", format!("certificate {}", signer.certificate));
    }

    /// Writes it.
    pub(super) fn show(&self, out: &mut Out) -> io::Result<()> {
        out.line(escaped(&self.heading))?;
        for (name, text) in &self.lines {
            let mut name = *name;
            for line in text.split('\n') {
                out.line(format_args!("  {name:<NAMES$}{}", escaped(line)))?;
                name = "";
            }
        }
        Ok(())
    }
}

/// The text with everything escaped that a terminal would obey, or that would show it in another order; cut when it is long.
pub(super) fn escaped(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (number, character) in text.chars().enumerate() {
        if number == SHOWN {
            shown.push_str(" […]");
            break;
        }
        match character {
            '\t' => shown.push(' '),
            character if character.is_control() || reorders(character) => shown.extend(character.escape_unicode()),
            character => shown.push(character),
        }
    }
    shown
}

/// Marks of direction and separators of lines (Unicode: Bidi_Control, Zl, Zp).
fn reorders(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_takes_hold_of_the_terminal() {
        assert_eq!(
            escaped("\u{1b}[2Jда\u{202e}\u{9b}1m\r"),
            "\\u{1b}[2Jда\\u{202e}\\u{9b}1m\\u{d}"
        );
        let long = "я".repeat(SHOWN + 1);
        assert!(escaped(&long).ends_with("я […]"));
        assert_eq!(escaped(&long[..2 * SHOWN]), long[..2 * SHOWN]);
    }
}
