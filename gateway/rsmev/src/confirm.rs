//! The question before something is changed: at a terminal a person sees what will happen, and says yes.
//!
//! Where standard input or standard error is no terminal nobody is asked: scripts, timers and what calls the gateway's command
//! line go on as they always did. Whoever wants that at a terminal, too, says `--yes`.

use std::fmt::Display;
use std::io::{self, BufRead, IsTerminal, Write};

use crate::failure::Failure;
use crate::output::clean;

/// The option of every command that changes something.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct YesArg {
    /// Do not ask before doing it; only at a terminal a person is asked
    #[arg(long)]
    pub(crate) yes: bool,
}

impl YesArg {
    /// Goes on if a person at the terminal agrees, or nobody is to be asked. `will` completes the sentence "This will …" and
    /// is only called for the question.
    pub(crate) fn confirm<T: Display>(self, will: impl FnOnce() -> Result<T, Failure>) -> Result<(), Failure> {
        let person = io::stdin().is_terminal() && io::stderr().is_terminal();
        if self.yes || !person {
            return Ok(());
        }
        ask(&mut io::stdin().lock(), &mut io::stderr(), &will()?.to_string())
    }
}

fn ask(input: &mut impl BufRead, screen: &mut impl Write, will: &str) -> Result<(), Failure> {
    // Names and reasons may hold anything, and must not take hold of the terminal.
    let will = clean(will);
    write!(screen, "This will {will}.\nGo on? [y/N] ")?;
    screen.flush()?;
    let mut line = String::new();
    let read = input.read_line(&mut line);
    read.map_err(|error| Failure::refused(format!("standard input: {error}")))?;
    match said(&line) {
        Some(true) => Ok(()),
        Some(false) | None => Err(Failure::refused("not confirmed; nothing was changed")),
    }
}

/// What a person says, in either language of those who run gateways; none if it is neither yes nor no.
pub(crate) fn said(line: &str) -> Option<bool> {
    match line.trim().to_lowercase().as_str() {
        "y" | "yes" | "д" | "да" => Some(true),
        "n" | "no" | "н" | "нет" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(answer: &str) -> (bool, String) {
        let mut screen = Vec::new();
        let agreed = ask(&mut answer.as_bytes(), &mut screen, "remove \u{1b}[2J3 messages").is_ok();
        (agreed, String::from_utf8(screen).unwrap())
    }

    #[test]
    fn only_a_yes_is_a_yes() {
        for yes in ["y\n", "YES\n", " да \n", "Д"] {
            assert!(asked(yes).0, "{yes:?}");
        }
        for no in ["", "\n", "n\n", "нет\n", "yes please\n", "maybe\n"] {
            assert!(!asked(no).0, "{no:?}");
        }
    }

    #[test]
    fn a_sentence_says_what_will_happen_and_cannot_write_over_the_screen() {
        let (_, screen) = asked("n\n");
        assert_eq!(screen, "This will remove  [2J3 messages.\nGo on? [y/N] ");
    }
}
