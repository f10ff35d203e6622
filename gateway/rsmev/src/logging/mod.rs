//! Log lines: text on standard error, JSON, or fields for journald. The level can be changed while running.
//!
//! A [`Line`] is collected once and written in one of three forms. What stands in it may come from callers: each form
//! escapes what could take hold of a terminal or begin another line.

pub(crate) mod catalogue;
mod form;
mod journald;
mod line;

use std::io::{IsTerminal, Write};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};

use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

use crate::settings::{Log, LogFormat};
use form::Text;
use journald::Journal;
use line::Line;
pub(crate) use line::{escape, is_harmful};

static FILTER: OnceLock<reload::Handle<EnvFilter, Registry>> = OnceLock::new();

/// A filter from `log.level`.
pub(crate) fn filter(level: &str) -> Result<EnvFilter, String> {
    let example = "such as \"info\" or \"info,engine=debug\"";
    if level.trim().is_empty() {
        return Err(format!("must be a level {example}"));
    }
    let plain = level.split(',').next().unwrap_or_default().trim();
    if !plain.contains(['=', '[']) && !matches!(plain, "error" | "warn" | "info" | "debug" | "trace" | "off") {
        return Err(format!("{plain:?} is not a level {example}"));
    }
    EnvFilter::builder()
        .parse(level)
        .map_err(|error| format!("{level:?} is not a level {example}: {error}"))
}

/// Starts logging; later calls change nothing.
pub(crate) fn start(log: &Log) -> Result<(), String> {
    let (filter, handle) = reload::Layer::new(filter(&log.level)?);
    let lines = Lines::new(Form::of(log.format), Box::new(std::io::stderr()));
    if tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init()
        .is_ok()
    {
        let _ = FILTER.set(handle);
    }
    Ok(())
}

/// Takes another level.
pub(crate) fn set_level(level: &str) -> Result<(), String> {
    let Some(handle) = FILTER.get() else { return Ok(()) };
    handle.reload(filter(level)?).map_err(|error| error.to_string())
}

/// How lines are written.
#[derive(Debug)]
enum Form {
    Text(Text),
    Json,
    Journal(Journal),
}

impl Form {
    fn of(format: LogFormat) -> Self {
        let under_journal = journald::is_standard_error();
        let text = Text {
            priority: under_journal,
            // journald adds the time itself.
            time: !under_journal,
            colours: std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
        };
        let journal = || UnixDatagram::unbound().map(|socket| Journal::new(socket, Path::new(journald::SOCKET)));
        let wanted = match format {
            LogFormat::Text => false,
            LogFormat::Json => return Self::Json,
            LogFormat::Journald => true,
            LogFormat::Auto => under_journal && Path::new(journald::SOCKET).exists(),
        };
        match wanted.then(journal) {
            Some(Ok(journal)) => Self::Journal(journal),
            _ => Self::Text(text),
        }
    }
}

/// Writes each event as a line.
struct Lines {
    form: Form,
    out: Mutex<Box<dyn Write + Send>>,
}

impl Lines {
    fn new(form: Form, out: Box<dyn Write + Send>) -> Self {
        Self {
            form,
            out: Mutex::new(out),
        }
    }

    fn write(&self, octets: &[u8]) {
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody is left to tell if this fails.
        let _ = out.write_all(octets);
    }
}

impl<S: Subscriber> Layer<S> for Lines {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::of(event);
        match &self.form {
            Form::Text(text) => self.write(text.line(&line).as_bytes()),
            Form::Json => self.write(form::json(&line).as_bytes()),
            Form::Journal(journal) => {
                if journal.send(&line).is_err() {
                    self.write(journald::INSTEAD.line(&line).as_bytes());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use logbook::log;

    use super::*;
    use crate::logged;

    /// A place to write to that can be read afterwards.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(octets);
            Ok(octets.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(form: Form, what: impl FnOnce()) -> String {
        let page = Page::default();
        let lines = Lines::new(form, Box::new(page.clone()));
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), what);
        let octets = page.0.lock().unwrap().clone();
        String::from_utf8(octets).unwrap()
    }

    /// What a hostile caller would like to see in a log.
    const HOSTILE: &str = "a\nERROR run-failed \u{1b}[2J\u{9b}31m\u{202e}\"\\\r\0";

    fn hostile() {
        log!(logged::TLS_RENEWED, subject = HOSTILE, until = %HOSTILE, "the door has {HOSTILE}");
    }

    const PLAIN: Text = Text {
        priority: false,
        time: false,
        colours: false,
    };

    #[test]
    fn a_line_of_text_has_level_code_text_and_fields() {
        let text = logged(Form::Text(PLAIN), || {
            log!(logged::FEW_FILES, wanted = 7, connections = "a b", "raise it");
            tracing::debug!(count = true, "without a code");
        });
        assert_eq!(
            text,
            " WARN run-few-files raise it wanted=7 connections=\"a b\"\nDEBUG rsmev::logging::tests without a code count=true\n"
        );
    }

    #[test]
    fn a_line_for_a_service_manager_begins_with_its_priority() {
        let text = Text {
            priority: true,
            ..PLAIN
        };
        let text = logged(Form::Text(text), || log!(logged::STOPPED, "stopped"));
        assert_eq!(text, "<6> INFO run-stopped stopped\n");
    }

    #[test]
    fn what_comes_from_outside_cannot_begin_a_line_or_take_hold_of_a_terminal() {
        for form in [Form::Text(PLAIN), Form::Json] {
            let text = logged(form, hostile);
            assert_eq!(text.matches('\n').count(), 1, "{text}");
            let line = text.strip_suffix('\n').unwrap();
            assert!(!line.contains(line::is_harmful), "{line}");
        }
    }

    #[test]
    fn a_line_of_json_gives_back_what_was_logged() {
        let json: serde_json::Value = serde_json::from_str(&logged(Form::Json, hostile)).unwrap();
        assert_eq!(json["code"], "tls-renewed");
        assert_eq!(json["level"], "INFO");
        assert_eq!(json["subject"], HOSTILE);
        assert_eq!(json["message"], format!("the door has {HOSTILE}"));
        let json: serde_json::Value = serde_json::from_str(&logged(Form::Json, || {
            log!(logged::FEW_FILES, wanted = 7_u64, connections = -1, "raise it");
        }))
        .unwrap();
        assert_eq!(json["wanted"], 7);
        assert_eq!(json["connections"], -1);
    }

    #[test]
    fn journald_gets_a_datagram_with_fields() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let receiver = UnixDatagram::bind(&path).unwrap();
        let journal = || Form::Journal(Journal::new(UnixDatagram::unbound().unwrap(), &path));
        let beside = logged(journal(), hostile);
        assert_eq!(beside, "", "all of it went to journald");
        let mut octets = [0; 65536];
        let length = receiver.recv(&mut octets).unwrap();
        let text = std::str::from_utf8(&octets[..length]).unwrap();
        let fields: Vec<(&str, &str)> = text.lines().map(|line| line.split_once('=').unwrap()).collect();
        let value = |name: &str| fields.iter().find(|field| field.0 == name).unwrap().1;
        assert_eq!(value("PRIORITY"), "6");
        assert_eq!(value("SYSLOG_IDENTIFIER"), "rsmev");
        assert_eq!(value("RSMEV_CODE"), "tls-renewed");
        assert_eq!(value("RSMEV_LEVEL"), "INFO");
        assert!(
            value("RSMEV_SUBJECT").starts_with("a\\nERROR run-failed \\u{1b}[2J"),
            "{text}"
        );
        assert!(
            value("MESSAGE").starts_with("tls-renewed the door has a\\nERROR"),
            "{text}"
        );
        assert!(value("CODE_FILE").ends_with("mod.rs"));
        let names: std::collections::BTreeSet<&str> = fields.iter().map(|field| field.0).collect();
        assert_eq!(names.len(), fields.len(), "nothing is there twice: {text}");

        // Without journald nothing is lost.
        drop(receiver);
        std::fs::remove_file(&path).unwrap();
        let beside = logged(journal(), || log!(logged::STOPPED, "stopped"));
        assert_eq!(beside, "<6> INFO run-stopped stopped\n");
    }

    #[test]
    fn priorities_are_those_of_syslog() {
        for (level, priority) in [("ERROR", 3), ("WARN", 4), ("INFO", 6), ("DEBUG", 7), ("TRACE", 7)] {
            assert_eq!(journald::priority(level.parse().unwrap()), priority, "{level}");
        }
    }
}
