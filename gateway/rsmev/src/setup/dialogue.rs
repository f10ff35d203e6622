//! Questions and answers on the terminal, each checked at once.

use std::fmt::Display;
use std::io::{self, BufRead};

use crate::confirm::said;
use crate::failure::Failure;
use crate::output::Out;

/// Asks a person, or takes what options and configuration say.
pub(super) struct Dialogue<'a, R> {
    input: R,
    out: &'a mut Out,
    /// Nobody is asked.
    silent: bool,
}

/// A question and the option that answers it.
pub(super) struct Question<'a, T> {
    /// What a person is asked.
    pub(super) text: &'a str,
    /// The option, such as `--mnemonic`.
    pub(super) option: &'a str,
    /// What the option says.
    pub(super) given: Option<T>,
    /// What an empty answer means.
    pub(super) default: Option<T>,
}

impl<'a, R: BufRead> Dialogue<'a, R> {
    pub(super) fn new(input: R, out: &'a mut Out, silent: bool) -> Self {
        Self { input, out, silent }
    }

    /// Tells something.
    pub(super) fn say(&mut self, text: impl Display) -> io::Result<()> {
        self.out.line(text)?;
        self.out.flush()
    }

    /// An answer that `parse` understands and `check` finds good; the text of `check` is told. A person is asked again
    /// until then.
    pub(super) fn settle<T: Clone + Display>(
        &mut self,
        question: Question<'_, T>,
        parse: impl Fn(&str) -> Result<T, String>,
        mut check: impl FnMut(&T) -> Result<Option<String>, String>,
    ) -> Result<T, Failure> {
        let Question {
            text,
            option,
            given,
            default,
        } = question;
        let fixed = given.or_else(|| default.clone().filter(|_| self.silent));
        if let Some(value) = fixed {
            return match check(&value) {
                Ok(remark) => Ok(self.settled(value, remark)?),
                Err(problem) => Err(Failure::refused(format!("{option} {value}: {problem}"))),
            };
        }
        if self.silent {
            return Err(Failure::usage(format!("{option} is needed")));
        }
        loop {
            let prompt = match &default {
                Some(value) => format!("{text} [{value}]:"),
                None => format!("{text}:"),
            };
            let line = self.ask(&prompt)?;
            let answer = match (line.as_str(), &default) {
                ("", Some(value)) => Ok(value.clone()),
                (line, _) => parse(line),
            };
            match answer.and_then(|value| Ok((check(&value)?, value))) {
                Ok((remark, value)) => return Ok(self.settled(value, remark)?),
                Err(problem) => self.say(format_args!("  {problem}"))?,
            }
        }
    }

    /// The answer, once what there is to tell of it is told.
    fn settled<T>(&mut self, value: T, remark: Option<String>) -> io::Result<T> {
        match remark {
            Some(remark) => self.say(remark).map(|()| value),
            None => Ok(value),
        }
    }

    /// Yes or no; nobody is asked in silence, where `silent` is the answer.
    pub(super) fn confirm(&mut self, text: &str, silent: bool) -> Result<bool, Failure> {
        if self.silent {
            return Ok(silent);
        }
        loop {
            if let Some(said) = said(&self.ask(&format!("{text} [y/n]:"))?) {
                return Ok(said);
            }
        }
    }

    fn ask(&mut self, prompt: &str) -> Result<String, Failure> {
        self.out.raw(format!("{prompt} ").as_bytes())?;
        self.out.flush()?;
        let mut line = String::new();
        let count = self
            .input
            .read_line(&mut line)
            .map_err(|error| Failure::refused(format!("standard input: {error}")))?;
        if count == 0 {
            return Err(Failure::refused("the questions were not answered; nothing was written"));
        }
        Ok(line.trim().to_owned())
    }
}
