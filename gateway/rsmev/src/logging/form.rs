//! Lines as text and as JSON.

use std::fmt::Write as _;

use tracing::Level;

use super::journald::priority;
use super::line::{Line, Value, escape, is_harmful};

/// A line of text for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text {
    /// It begins with `<N>`, from which a service manager knows how bad it is.
    pub(super) priority: bool,
    /// With the time, to the microsecond.
    pub(super) time: bool,
    /// The level is coloured.
    pub(super) colours: bool,
}

impl Text {
    /// The line with its end.
    pub(super) fn line(self, line: &Line) -> String {
        let mut text = String::with_capacity(160);
        // A String takes everything, here and below.
        if self.priority {
            let _ = write!(text, "<{}>", priority(line.level));
        }
        if self.time {
            let _ = write!(text, "{} ", line.at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"));
        }
        let _ = match self.colours {
            true => write!(
                text,
                "\u{1b}[{}m{:>5}\u{1b}[0m ",
                colour(line.level),
                line.level.as_str()
            ),
            false => write!(text, "{:>5} ", line.level.as_str()),
        };
        said(line, &mut text);
        text.push('\n');
        text
    }
}

/// Code, text and fields.
pub(super) fn said(line: &Line, out: &mut String) {
    escape(line.code.as_deref().unwrap_or(line.target), out);
    if !line.message.is_empty() {
        out.push(' ');
        escape(&line.message, out);
    }
    for (name, value) in &line.fields {
        let _ = write!(out, " {name}=");
        quote(value.text(), out);
    }
}

/// A value that can be told from what follows it.
fn quote(value: &str, out: &mut String) {
    let plain = |c: char| !c.is_whitespace() && !is_harmful(c) && !matches!(c, '"' | '\\' | '=');
    if !value.is_empty() && value.chars().all(plain) {
        return out.push_str(value);
    }
    out.push('"');
    escape(&value.replace('\\', "\\\\").replace('"', "\\\""), out);
    out.push('"');
}

fn colour(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// A JSON object with its end.
pub(super) fn json(line: &Line) -> String {
    let mut text = String::with_capacity(240);
    let _ = write!(
        text,
        "{{\"timestamp\":\"{}\",\"level\":\"{}\"",
        line.at.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        line.level
    );
    if let Some(code) = &line.code {
        member("code", code, &mut text);
    }
    member("message", &line.message, &mut text);
    for (name, value) in &line.fields {
        match value {
            Value::Text(value) => member(name, value, &mut text),
            Value::Plain(value) => {
                let _ = write!(text, ",\"{name}\":{value}");
            }
        }
    }
    member("target", line.target, &mut text);
    text.push_str("}\n");
    text
}

fn member(name: &str, value: &str, out: &mut String) {
    let _ = write!(out, ",\"{name}\":\"");
    for c in value.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // All of them are in the basic plane.
            c if is_harmful(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}
